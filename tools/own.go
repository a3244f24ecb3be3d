package tools

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/vault"

	"github.com/google/jsonschema-go/jsonschema"
)

// ownTools are deputy's own: they speak about accounts and approvals.
var ownTools = []Tool{accountsList, accountConnect, approvalStatus, approvalWait, policyExplain}

var accountsList = own(Spec{
	Name:   "accounts_list",
	Title:  "List connected accounts",
	Doc:    "The user's connected accounts and the providers that can be connected.",
	Effect: Reads,
}, stringsSchema("accounts", "providers"), listAccounts)

func listAccounts(ctx context.Context, g *Guard, c authz.Caller, _ struct{}) (Outcome, error) {
	accounts, err := g.c.Vault.Accounts(ctx, c)
	if err != nil {
		return nil, err
	}
	type account struct {
		Account  string    `json:"account"`
		Name     string    `json:"name,omitempty"`
		Default  bool      `json:"default,omitempty"`
		Provider string    `json:"provider"`
		State    string    `json:"state"`
		Scopes   []string  `json:"scopes"`
		Since    time.Time `json:"since"`
	}
	out := struct {
		Accounts  []account `json:"accounts"`
		Providers []string  `json:"providers"`
	}{Accounts: []account{}, Providers: g.c.Vault.Providers()}
	for _, a := range accounts {
		out.Accounts = append(out.Accounts, account{a.ID, a.Alias, a.Default, a.Provider, a.State, a.Scopes, a.Since.Truncate(time.Second)})
	}
	return g.say(out)
}

type connectInput struct {
	Provider string   `json:"provider" jsonschema:"google, slack or github." audit:"plain"`
	Tools    []string `json:"tools,omitempty" jsonschema:"Only what these tools need; default all of the provider." audit:"plain"`
	Account  string   `json:"account,omitempty" jsonschema:"The account that must come back, or a name for a new one." audit:"plain"`
	Wait     int      `json:"max_seconds,omitempty" jsonschema:"Wait this long for the user; default 0." min:"0" max:"55" audit:"plain"`
}

var accountConnect = own(Spec{
	Name:   "account_connect",
	Title:  "Connect an account",
	Doc:    "A link that the user opens to connect an account or to give more rights. You cannot open it for them.",
	Effect: Reads,
}, outcomeSchema(map[string]*jsonschema.Schema{"account": {Type: "string"}}), connectAccount)

func connectAccount(ctx context.Context, g *Guard, c authz.Caller, in connectInput) (Outcome, error) {
	if !slices.Contains(g.c.Vault.Providers(), in.Provider) {
		return nil, BadInput("provider", "there are "+strings.Join(g.c.Vault.Providers(), ", "))
	}
	scopes, err := g.c.Catalog.Scopes(in.Provider, in.Tools...)
	if err != nil {
		return nil, BadInput("tools", err.Error())
	}
	wish, asked := vault.Wish{Provider: in.Provider, Scopes: scopes, Account: in.Account}, time.Now()
	url, err := g.c.Vault.ConnectURL(c, wish)
	if err != nil {
		return nil, err
	}
	if in.Wait > 0 {
		wait, cancel := context.WithTimeout(ctx, time.Duration(in.Wait)*time.Second)
		defer cancel()
		if account, ok := g.c.Vault.Await(wait, c, wish, asked); ok {
			return Connected{account.ID}, nil
		}
	}
	return NeedsConnection{Provider: in.Provider, Scopes: scopes, URL: url, Account: in.Account}, nil
}

type statusInput struct {
	ApprovalID string `json:"approval_id" audit:"plain"`
}

var approvalStatus = own(Spec{
	Name:   "approval_status",
	Title:  "See where an approval stands",
	Doc:    "The outcome of a request that needed approval, or pending, denied, expired or failed.",
	Effect: Reads,
}, approvalSchema(), statusOfApproval)

func statusOfApproval(ctx context.Context, g *Guard, c authz.Caller, in statusInput) (Outcome, error) {
	return g.standing(ctx, c, in.ApprovalID)
}

type waitInput struct {
	ApprovalID string `json:"approval_id" audit:"plain"`
	MaxSeconds int    `json:"max_seconds,omitempty" jsonschema:"Default 30." min:"0" max:"55" audit:"plain"`
}

var approvalWait = own(Spec{
	Name:   "approval_wait",
	Title:  "Wait for an approval",
	Doc:    "Waits until a request is decided and gives the tool's own result, or pending, denied, expired or failed.",
	Effect: Reads,
}, approvalSchema(), waitForApproval)

func waitForApproval(ctx context.Context, g *Guard, c authz.Caller, in waitInput) (Outcome, error) {
	d := 30 * time.Second
	if in.MaxSeconds > 0 {
		d = time.Duration(in.MaxSeconds) * time.Second
	}
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if _, err := g.c.Ledger.Wait(wait, c, in.ApprovalID); err != nil {
		return nil, err
	}
	return g.standing(ctx, c, in.ApprovalID)
}

// standing is the outcome, with a plain "pending" for what is still open: the
// agent already knows the link.
func (g *Guard) standing(ctx context.Context, c authz.Caller, id string) (Outcome, error) {
	out, err := g.outcome(ctx, c, id)
	if _, waits := out.(NeedsApproval); waits {
		return NotDone{Status: "pending"}, nil
	}
	return out, err
}

// say answers with deputy's own data: trusted, and private to its user.
func (g *Guard) say(v any) (Outcome, error) {
	data, err := marshal(v)
	return Answer{Label: authz.Label{Integrity: authz.Trusted, Confidentiality: authz.Private}, json: data, shown: 1}, err
}

// approvalSchema: the result is whatever the approved tool returns.
func approvalSchema() json.RawMessage {
	return outcomeSchema(map[string]*jsonschema.Schema{"result": {Type: "object"}, "replayed": {Type: "boolean"}})
}

func stringsSchema(arrays ...string) json.RawMessage {
	props := map[string]*jsonschema.Schema{}
	for _, name := range arrays {
		props[name] = &jsonschema.Schema{Type: "array"}
	}
	return mustMarshal(&jsonschema.Schema{Type: "object", Properties: props})
}
