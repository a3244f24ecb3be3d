package tools

import (
	"context"
	"encoding/json"

	"deputy/approvals"
	"deputy/authz"
	"deputy/vault"
)

// Tool is one thing an agent may do. Read and Write make the only ones; the
// zero Tool is refused by the catalogue.
type Tool struct {
	spec   Spec
	input  input
	output json.RawMessage

	// One of the three is set.
	read  func(context.Context, *Account, json.RawMessage) (found, error)
	write func(context.Context, *Account, json.RawMessage) (planned, error)
	own   func(context.Context, *Guard, authz.Caller, json.RawMessage) (Outcome, error)

	// decode belongs to the tool, not to the plan: a plan is sent, perhaps
	// after a restart, by a process that never ran the handler.
	decode func(account string, answer []byte) (Resource, error)
}

// Spec returns the tool's declaration.
func (t Tool) Spec() Spec { return t.spec }

// Read makes a tool that returns what it finds.
func Read[In any, R Resource](s Spec, handle func(context.Context, *Account, In) (Found[R], error)) Tool {
	t := Tool{spec: s, input: inputOf[In](reads), output: schemaOfFound[R]()}
	t.read = func(ctx context.Context, a *Account, raw json.RawMessage) (found, error) {
		in, err := decodeInput[In](raw)
		if err != nil {
			return found{}, err
		}
		f, err := handle(ctx, a, in)
		return f.open(), err
	}
	return t
}

// Write makes a tool that plans one provider request. It is sent by the guard
// against a permit; decode then reads the provider's answer.
func Write[In any, R Resource](s Spec, plan func(context.Context, *Account, In) (Plan[R], error), decode func(account string, answer []byte) (R, error)) Tool {
	t := Tool{spec: s, input: inputOf[In](writes), output: schemaOfDone[R]()}
	t.write = func(ctx context.Context, a *Account, raw json.RawMessage) (planned, error) {
		in, err := decodeInput[In](raw)
		if err != nil {
			return planned{}, err
		}
		p, err := plan(ctx, a, in)
		return planned{p.Request, p.Uses, p.Seen}, err
	}
	t.decode = func(account string, answer []byte) (Resource, error) { return decode(account, answer) }
	return t
}

// own makes one of deputy's own tools: it speaks about accounts and approvals,
// not about a provider's objects.
func own[In any](s Spec, answer json.RawMessage, handle func(context.Context, *Guard, authz.Caller, In) (Outcome, error)) Tool {
	t := Tool{spec: s, input: inputOf[In](owns), output: answer}
	t.own = func(ctx context.Context, g *Guard, c authz.Caller, raw json.RawMessage) (Outcome, error) {
		in, err := decodeInput[In](raw)
		if err != nil {
			return nil, err
		}
		return handle(ctx, g, c, in)
	}
	return t
}

// Plan is what a write handler returns: one provider request as plain data,
// and every resource that was read to make it. Nothing has been sent.
type Plan[R Resource] struct {
	Request approvals.Request

	// Uses are checked like results before anybody is asked: a reply to a mail
	// the agent may not see is a reply to a mail that does not exist.
	Uses []Resource

	// Seen are names that the provider gave for ids in the request: a person
	// who reads "C0LAUNCH01" wants to know that it is #launch.
	Seen []approvals.Field
}

type planned struct {
	request approvals.Request
	uses    []Resource
	seen    []approvals.Field
}

// Provider is one provider's tools with what they need of the vault.
type Provider struct {
	vault.Provider
	Toolset string // "gmail"
	Tools   []Tool

	// Render reads a preview back from the bytes of a write by the named
	// account. A request it cannot read is not asked about and not sent.
	Render func(account string, r approvals.Request) (approvals.Preview, error)

	// Where says where an object is, as far as its name tells: a file in its
	// folders, those in their repository, all in the account.
	Where func(account, o authz.Object) authz.Facts

	// Spell writes an object of this provider as its tools write it, so that a
	// rule finds it: GitHub, say, does not tell capitals apart. nil changes
	// nothing.
	Spell func(authz.Object) authz.Object
}
