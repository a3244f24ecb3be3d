package authz

import (
	"context"
	"slices"
)

// Question is what Admit decides: may this caller call this tool and change
// these objects with it?
type Question struct {
	Tool    string
	Changes []Object // what a write touches, read from its request bytes
	Facts   Facts
}

// Ruling is the answer to a Question. Withheld tells the operator's log which
// object or tool it was; it is never shown to the caller, for whom a refusal
// looks like something that does not exist.
type Ruling struct {
	Allowed  bool
	Withheld Object
}

// Engine decides. It fails closed: an error is a no.
type Engine interface {
	// Admit decides on a call before it happens.
	Admit(ctx context.Context, c Caller, q Question) (Ruling, error)

	// Visible decides on a whole answer in one batch: visible[i] belongs to
	// objects[i].
	Visible(ctx context.Context, c Caller, objects []Object, facts Facts) (visible []bool, err error)

	// Narrowed reports whether anything is set down that could keep an object
	// from whoever owns the account it is in. While it is false, a list need not
	// look past its end for what is withheld.
	Narrowed() bool

	// Version names the model, so that an approval given under one model is
	// not used under another.
	Version() string
}

// The relations the engine asks for, for the user …
const (
	canCall  = "can_call"
	canView  = "can_view"
	canWrite = "can_write"
)

// … and those that keep something from an agent, whoever it acts for. What an
// agent may not see it may not change either.
const (
	withheld = "withheld"
	readOnly = "read_only"
)

// UserOf and AgentOf are the caller's two halves as objects.
func UserOf(c Caller) Object  { return NewObject("user", c.User()) }
func AgentOf(c Caller) Object { return NewObject("agent", c.Agent()) }

// ToolObject is the object of a tool's name.
func ToolObject(name string) Object { return NewObject("tool", name) }

// Admit implements Engine.
func (r *Rules) Admit(ctx context.Context, c Caller, q Question) (Ruling, error) {
	tool := ToolObject(q.Tool)
	facts := append(slices.Clone(q.Facts), Offered(q.Tool))
	ok, err := r.decide(ctx, c, canCall, []Object{tool}, facts)
	if err != nil || !ok[0] {
		return Ruling{Withheld: tool}, err
	}
	ok, err = r.decide(ctx, c, canWrite, q.Changes, facts)
	if err != nil {
		return Ruling{}, err
	}
	if i := slices.Index(ok, false); i >= 0 {
		return Ruling{Withheld: q.Changes[i]}, nil
	}
	return Ruling{Allowed: true}, nil
}

// Visible implements Engine.
func (r *Rules) Visible(ctx context.Context, c Caller, objects []Object, facts Facts) ([]bool, error) {
	return r.decide(ctx, c, canView, objects, facts)
}

// Offered is the fact that the catalogue has a tool.
func Offered(tool string) Tuple {
	return Tuple{User: "user:*", Relation: "offered", Object: ToolObject(tool)}
}

// ActsFor is the fact that a caller's agent acts for its user.
func ActsFor(c Caller) Tuple {
	return Tuple{User: string(AgentOf(c)), Relation: "agent", Object: UserOf(c)}
}

// decide asks, for each object, whether the user stands in relation to it and
// it is not kept from the agent.
func (r *Rules) decide(ctx context.Context, c Caller, relation string, objects []Object, facts Facts) ([]bool, error) {
	if c.IsZero() || len(objects) == 0 {
		return make([]bool, len(objects)), nil
	}
	if r.Model().compiled.Lookup("user", "agent") {
		facts = append(slices.Clip(facts), ActsFor(c))
	}
	a := r.asking(facts)
	ok := a.ask(string(UserOf(c)), relation, objects)
	kept := a.ask(string(AgentOf(c)), withheld, objects)
	frozen := make([]bool, len(objects))
	if relation == canWrite {
		frozen = a.ask(string(AgentOf(c)), readOnly, objects)
	}
	if err := a.answer(ctx, r.backend); err != nil {
		return nil, err
	}
	for i := range ok {
		ok[i] = ok[i] && !kept[i] && !frozen[i]
	}
	return ok, nil
}
