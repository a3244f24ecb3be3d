package tools

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"deputy/approvals"
	"deputy/approvals/rules"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault"
)

// Config is what a Guard stands on. All of it is required but Rules, which may
// be none.
type Config struct {
	Catalog   *Catalog
	Engine    authz.Engine
	Vault     *vault.Vault
	Ledger    *approvals.Ledger
	Audit     *audit.Log
	Store     store.Store
	Sealer    store.Sealer // seals cursors
	Policy    Policy
	Rules     *rules.Set // read for the catalogue's tools
	PublicURL string
	Log       *slog.Logger // causes, for the operator
}

// Guard is the one way to a tool.
type Guard struct {
	c      Config
	within []Choice
	*running
}

// running is what a guard knows while it runs, whoever comes to it.
type running struct {
	read    sync.Map // what each session has read: session key → authz.Label
	sending sync.WaitGroup
	flights flights
}

// NewGuard returns the guard, and makes it the one that sends what people
// approve.
func NewGuard(c Config) *Guard {
	g := &Guard{c: c, running: &running{flights: flights{running: map[string]chan struct{}{}}}}
	c.Ledger.OnApproved(func(id string) { g.send(context.Background(), id) })
	return g
}

// call is one call on its way through the guard.
type call struct {
	id     string
	caller authz.Caller
	tool   Tool
	line   audit.Line
	args   map[string]json.RawMessage
	page   page
	lease  *vault.Lease
	ruling rules.Ruling
}

// Call takes one call through the ten steps.
func (g *Guard) Call(ctx context.Context, c authz.Caller, name string, args json.RawMessage) Outcome {
	k, err := g.open(c, name, args) // 1
	if err != nil {
		return refuse(err)
	}
	out, err := g.steps(ctx, k, args)
	if err != nil {
		out = g.failed(k, err)
	}
	return g.close(k, out) // 10
}

// caught turns a panic into an error: what it says may hold what a provider
// said, so it goes to the operator and to nobody else.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("tools: panic: %v\n%s", p, debug.Stack())
	}
}

func (g *Guard) steps(ctx context.Context, k *call, args json.RawMessage) (_ Outcome, err error) {
	defer caught(&err)
	if err := g.admit(ctx, k); err != nil { // 2
		return nil, err
	}
	if !k.caller.May(g.c.Catalog.accessScope(k.tool)) {
		return nil, errScope
	}
	if err := g.c.Vault.Frozen(k.caller, "", ""); err != nil {
		return nil, err
	}
	in, err := g.decode(k, args) // 3
	if err != nil {
		return nil, err
	}
	if k.tool.own != nil {
		if err := g.judge(k, in); err != nil {
			return nil, err
		}
		return k.tool.own(ctx, g, k.caller, in)
	}
	if err := g.lease(ctx, k); err != nil { // 4
		return nil, err
	}
	if err := g.judge(k, in); err != nil {
		return nil, err
	}
	account := &Account{lease: k.lease}
	if k.tool.read != nil {
		return g.list(ctx, k, account, in) // 5, 8, 9
	}
	plan, err := k.tool.write(ctx, account, in) // 5
	if err != nil {
		return nil, err
	}
	item, err := g.ask(ctx, k, plan, account.reads.Load() > 0) // 6
	if err != nil {
		return nil, err
	}
	if item.State == approvals.Approved {
		g.send(ctx, item.ID) // 7
	}
	return g.outcome(ctx, k.caller, item.ID) // 8, 9
}

// open writes the call's first audit line. If it cannot be written, nothing
// happens.
func (g *Guard) open(c authz.Caller, name string, args json.RawMessage) (*call, error) {
	if c.IsZero() {
		return nil, authz.ErrNobody
	}
	var raw [9]byte
	rand.Read(raw[:])
	k := &call{id: "call_" + base64.RawURLEncoding.EncodeToString(raw[:]), caller: c}
	k.tool, _ = g.find(name)
	k.line = audit.Line{Event: "call", Call: k.id, User: c.User(), Agent: c.Agent(), Session: c.Session(), Tool: name, Policy: g.version()}
	k.line.Arguments = g.auditArguments(k.tool, args)
	if len(name) > 128 || k.tool.spec.Name == "" {
		k.line.Tool = g.c.Audit.Digest([]byte(name)) // not ours: whatever it says stays out
	}
	return k, g.write(k.line)
}

// close writes the last line. A read whose line cannot be written is not
// answered; a write that was done is reported all the same.
func (g *Guard) close(k *call, out Outcome) Outcome {
	line := k.line
	line.Event, line.Arguments, line.Outcome = "answer", nil, out.outcome()
	if k.lease != nil {
		line.Reach = string(k.lease.Reach())
	}
	switch o := out.(type) {
	case Answer:
		line.Shown, line.Withheld, line.Label = o.shown, o.withheld, o.Label.String()
	case NeedsApproval:
		line.Approval = o.Item.ID
	case Refusal:
		if slices.Contains([]string{"internal", NoSuchTool, string(vault.Upstream), string(vault.Unknown)}, o.Kind) {
			g.c.Log.Warn("call refused", "call", k.id, "tool", line.Tool, "kind", o.Kind, "cause", o.cause)
		}
	}
	if err := g.write(line); err != nil && k.tool.write == nil {
		return refuse(err)
	}
	return out
}

func (g *Guard) write(line audit.Line) error {
	return g.c.Store.Update(func(tx store.Tx) error { return g.c.Audit.Append(tx, line) })
}

var errNoSuchTool = errors.New("tools: no such tool, or not for this caller")

// admit finds the tool and asks the rules. Unknown, excluded and barred are
// one answer.
func (g *Guard) admit(ctx context.Context, k *call) error {
	if k.tool.spec.Name == "" {
		return errNoSuchTool
	}
	ruling, err := g.c.Engine.Admit(ctx, k.caller, g.c.Catalog.question(k.tool))
	if err == nil && !ruling.Allowed {
		err = errNoSuchTool
	}
	return err
}

// decode checks the arguments and takes out those that are the guard's own.
func (g *Guard) decode(k *call, raw json.RawMessage) (json.RawMessage, error) {
	args, err := k.tool.input.check(raw)
	if err != nil {
		return nil, err
	}
	k.args = args
	if sealed := text(args["cursor"]); sealed != "" {
		if k.page, err = g.openCursor(k, sealed); err != nil {
			return nil, err
		}
	}
	rest := map[string]json.RawMessage{}
	for name, v := range args {
		rest[name] = v
	}
	if k.tool.own == nil { // the guard's own, and not one of deputy's tools'
		delete(rest, "account")
		delete(rest, "idempotency_key")
	}
	if delete(rest, "cursor"); k.page.Cursor != "" {
		rest["cursor"] = mustMarshal(k.page.Cursor)
	}
	return mustMarshal(rest), nil
}

func text(raw json.RawMessage) (s string) {
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, &s) // checked to be a string
	}
	return s
}

func (g *Guard) lease(ctx context.Context, k *call) (err error) {
	provider := g.c.Catalog.provider(k.tool)
	k.lease, err = g.c.Vault.Lease(ctx, k.caller, provider.Name, k.tool.spec.Scopes, text(k.args["account"]))
	if err == nil {
		k.line.Account = k.lease.Account().ID
	}
	return err
}

// failed turns an error into an outcome: a missing connection into the link
// that mends it, everything else into a refusal.
func (g *Guard) failed(k *call, err error) Outcome {
	if errors.Is(err, errNoSuchTool) {
		return Refusal{Kind: NoSuchTool, Hint: "no such tool", cause: err}
	}
	var missing *vault.NotConnectedError
	if errors.As(err, &missing) {
		url, urlErr := g.c.Vault.ConnectURL(k.caller, vault.Wish{Provider: missing.Provider, Scopes: missing.Missing, Account: missing.Account})
		if urlErr != nil {
			return refuse(urlErr)
		}
		return NeedsConnection{Provider: missing.Provider, Scopes: missing.Missing, URL: url, Account: missing.Account}
	}
	var fault *vault.Fault
	if errors.As(err, &fault) && (fault.Kind == vault.Reconnect || fault.Kind == vault.Scope) && k.lease != nil {
		if url, urlErr := g.c.Vault.ConnectURL(k.caller, vault.Wish{Provider: fault.Provider, Scopes: k.tool.spec.Scopes, Account: k.lease.Account().ID}); urlErr == nil {
			return NeedsConnection{Provider: fault.Provider, Scopes: k.tool.spec.Scopes, URL: url, Account: k.lease.Account().ID}
		}
	}
	return refuse(err)
}

// version names everything a yes was given under: the model, the policy with
// its rules and where the providers are.
func (g *Guard) version() string {
	return g.c.Engine.Version() + "." + g.c.Catalog.version(g.c.Policy, g.c.Rules.Version(), g.c.Vault.Origins())
}

// Shutdown waits for sends that are under way.
func (g *Guard) Shutdown(ctx context.Context) {
	done := make(chan struct{})
	go func() { g.sending.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// ApprovalURL is where a person reads and decides a request.
func (g *Guard) ApprovalURL(id string) string { return g.c.PublicURL + "/approvals/" + id }

// Decide records what the caller's user answered in the client.
func (g *Guard) Decide(ctx context.Context, c authz.Caller, id string, approve bool) error {
	_, err := g.c.Ledger.Decide(ctx, id, c, approvals.Decision{Approve: approve, Channel: "client"})
	return err
}

// Connected waits at most d until what a call lacked has been connected since
// then, and makes the call again. A call that only asked for the link is
// answered by the account.
func (g *Guard) Connected(ctx context.Context, c authz.Caller, name string, args json.RawMessage, lacked vault.Wish, since time.Time, d time.Duration) Outcome {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	account, ok := g.c.Vault.Await(wait, c, lacked, since)
	if ok && name == accountConnect.spec.Name {
		return Connected{account.ID}
	}
	return g.Call(ctx, c, name, args)
}

// Wait is the outcome of a request, or where it stands after at most d.
func (g *Guard) Wait(ctx context.Context, c authz.Caller, id string, d time.Duration) Outcome {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if _, err := g.c.Ledger.Wait(ctx, c, id); err != nil {
		return refuse(err)
	}
	out, err := g.outcome(context.WithoutCancel(ctx), c, id)
	if err != nil {
		return refuse(err)
	}
	return out
}
