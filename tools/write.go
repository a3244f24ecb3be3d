package tools

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/vault"
)

// ask turns a plan into a question, or joins the identical one. Before anybody
// is asked, the rules are: on what the plan was made of and what it changes.
func (g *Guard) ask(ctx context.Context, k *call, p planned, read bool) (approvals.Item, error) {
	if read && len(p.uses) == 0 {
		return approvals.Item{}, fmt.Errorf("tools: %s read something and its plan does not say what", k.tool.spec.Name)
	}
	provider := g.c.Catalog.provider(k.tool)
	preview, err := provider.Render(k.lease.Account().Name, p.request)
	if err != nil {
		return approvals.Item{}, fmt.Errorf("tools: %s planned a request that cannot be shown: %w", k.tool.spec.Name, err)
	}
	preview.Seen = p.seen
	need := max(g.c.Policy.need(k.tool.spec), k.ruling.Need)
	if k.ruling.Reason != "" {
		preview.Notes = append(preview.Notes, "The operator's rules: "+k.ruling.Reason)
	}
	action := approvals.Action{
		Caller: k.caller, Provider: provider.Name, Account: k.lease.Account().ID, Tool: k.tool.spec.Name,
		Key: text(k.args["idempotency_key"]), Request: p.request, PolicyVersion: g.version(),
		Title: k.tool.spec.Title, Preview: preview, Need: need, Read: g.sessionLabel(k.caller),
	}
	action.Uses, action.Facts = about(AccountObject(action.Account), p.uses)
	if err := g.mayChange(ctx, action); err != nil {
		return approvals.Item{}, err
	}
	return g.c.Ledger.Ask(ctx, action)
}

// mayChange asks the rules about what the plan was made of, about the account,
// and about what the request touches, as Render read it from the bytes.
func (g *Guard) mayChange(ctx context.Context, a approvals.Action) error {
	account := AccountObject(a.Account)
	tool, ok := g.c.Catalog.find(a.Tool)
	if !ok {
		return errNoSuchTool
	}
	facts := append(accountFacts(a.Caller, account), a.Facts...)
	visible, err := g.c.Engine.Visible(ctx, a.Caller, a.Uses, facts)
	if err != nil {
		return err
	}
	if slices.Contains(visible, false) {
		return errNotFound
	}
	where := g.c.Catalog.provider(tool).Where
	facts = append(facts, g.c.Catalog.facts(tool)...)
	for _, o := range a.Preview.Changes {
		facts = append(facts, where(account, o)...)
	}
	ruling, err := g.c.Engine.Admit(ctx, a.Caller, authz.Question{
		Tool: a.Tool, Changes: append([]authz.Object{account}, a.Preview.Changes...), Facts: facts.Set(),
	})
	if err == nil && !ruling.Allowed {
		err = errNotFound
	}
	return err
}

// accountFacts: a caller's accounts are the caller's.
func accountFacts(c authz.Caller, account authz.Object) authz.Facts {
	return authz.Facts{account.Is("owner", authz.UserOf(c))}
}

// flights runs one send per request in this process; others wait for it.
type flights struct {
	mu      sync.Mutex
	running map[string]chan struct{}
}

// begin returns nil for the one that shall run, or a channel to wait on.
func (f *flights) begin(id string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if done, ok := f.running[id]; ok {
		return done
	}
	f.running[id] = make(chan struct{})
	return nil
}

func (f *flights) end(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.running[id])
	delete(f.running, id)
}

// sendTimeout bounds one send from permit to answer.
const sendTimeout = time.Minute

// send carries out an approved request, whoever approved it and whether or not
// the agent is still there. It is detached from the caller: a dropped
// connection does not stop what a person has said yes to.
func (g *Guard) send(ctx context.Context, id string) {
	if done := g.flights.begin(id); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
		}
		return
	}
	defer g.flights.end(id)
	g.sending.Add(1)
	defer g.sending.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()

	answer, err := g.execute(ctx, id)
	switch {
	case err == nil:
		err = g.c.Ledger.Finish(id, answer, "", "")
	case errors.Is(err, approvals.ErrSpent):
		return // somebody else sent it, or it ended
	default:
		g.c.Log.Warn("send failed", "approval", id, "cause", err)
		r := refuse(err)
		failure := r.Kind
		if failure == "internal" || failure == "cancelled" {
			failure = string(vault.Unknown) // past the permit, nothing else is safe to say
		}
		// If the permit was not reached, nothing was sent and the yes ends.
		if finish := g.c.Ledger.Finish(id, nil, failure, r.Hint); finish != nil {
			err = g.c.Ledger.Abandon(id, abandonReason(err, r))
		} else {
			err = nil
		}
	}
	if err != nil {
		g.c.Log.Error("the outcome of a send could not be recorded", "approval", id, "cause", err)
	}
}

var errPolicyChanged = errors.New("tools: the rules changed after the approval")

func abandonReason(err error, r Refusal) string {
	var missing *vault.NotConnectedError
	switch {
	case errors.Is(err, errPolicyChanged):
		return "the rules changed after the approval; nothing was sent"
	case errors.As(err, &missing):
		return "the account is no longer connected; nothing was sent"
	}
	return r.Hint + "; nothing was sent"
}

// execute asks everything again that may have changed between the question and
// the yes, then sends the stored bytes against the permit.
func (g *Guard) execute(ctx context.Context, id string) (_ []byte, err error) {
	defer caught(&err)
	permit, action, err := g.c.Ledger.Redeem(ctx, id)
	if err != nil {
		return nil, err
	}
	t, ok := g.c.Catalog.find(action.Tool)
	if !ok || action.PolicyVersion != g.version() {
		return nil, errPolicyChanged
	}
	if err := errors.Join(g.covered(action), g.mayChange(ctx, action)); err != nil {
		return nil, fmt.Errorf("%w: %w", errPolicyChanged, err)
	}
	lease, err := g.c.Vault.Lease(ctx, action.Caller, action.Provider, t.spec.Scopes, action.Account)
	if err != nil {
		return nil, err
	}
	return lease.Send(ctx, permit, action)
}

// outcome is what a request has come to, for the caller that asked.
func (g *Guard) outcome(ctx context.Context, c authz.Caller, id string) (Outcome, error) {
	item, answer, err := g.c.Ledger.Outcome(ctx, c, id)
	if err != nil {
		return nil, err
	}
	switch item.State {
	case approvals.Pending:
		return NeedsApproval{Item: item, URL: g.ApprovalURL(id)}, nil
	case approvals.Done:
		return g.done(ctx, c, item, answer)
	}
	return notDone(item), nil
}

// done decodes the provider's answer and filters it like any other result.
func (g *Guard) done(ctx context.Context, c authz.Caller, item approvals.Item, answer []byte) (Outcome, error) {
	t, ok := g.c.Catalog.find(item.Tool)
	if !ok {
		return nil, errNoSuchTool
	}
	result := struct {
		Status   string `json:"status"`
		Replayed bool   `json:"replayed,omitempty"`
		Result   any    `json:"result,omitempty"`
		Reason   string `json:"reason,omitempty"`
	}{Status: "done", Replayed: time.Since(item.Finished) > replayGrace}
	out := Answer{Label: authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}}
	_, name, _ := cutAccount(item.Account)
	r, err := t.decode(name, answer)
	if err != nil {
		// It was done; only the provider's description of it is strange.
		result.Reason = "the provider's answer has an unexpected form"
	} else {
		visible, label, err := g.visible(ctx, c, AccountObject(item.Account), []Resource{r})
		if err != nil {
			return nil, err
		}
		out.Label = label
		if visible[0] {
			if result.Result, err = encode(r); err != nil {
				return nil, err
			}
			out.shown = 1
		} else {
			out.withheld = 1
		}
	}
	g.remember(c, out.Label)
	out.json, err = marshal(result)
	return out, err
}

// replayGrace: an answer older than this when it is given is told to be one,
// so that a model does not take it for a second sending.
const replayGrace = 90 * time.Second
