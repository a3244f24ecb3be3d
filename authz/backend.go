package authz

import (
	"context"
	"fmt"
	"time"

	"deputy/authz/fga"
)

// Backend keeps relationships and evaluates them: as much of the OpenFGA API
// as deputy uses. fga.Engine does it in this process, openfga.Client has a
// server do it; one suite judges both.
type Backend interface {
	BatchCheck(context.Context, []fga.Query) []fga.Answer
	ListObjects(ctx context.Context, q fga.Query, limit int) ([]string, error)
	ListUsers(context.Context, fga.Query, fga.UserFilter) ([]string, error)
	Read(ctx context.Context, filter fga.Tuple, after *fga.Tuple, limit int) ([]fga.Tuple, error)
	Write(context.Context, fga.Write) error
}

// asking collects the questions of one decision, so that all of them are
// answered on one state. A question about a relation that the object's type
// lacks has the answer no, and is not asked.
type asking struct {
	model  *fga.Model
	facts  []fga.Tuple
	values map[string]any
	qs     []fga.Query
	to     []*bool
}

// asking begins a decision, which is made at one time.
func (r *Rules) asking(facts Facts) *asking {
	m := r.Model()
	return &asking{model: m.compiled, facts: m.place(facts).fga(), values: r.values()}
}

// values are what conditions may ask for.
func (r *Rules) values() map[string]any {
	return map[string]any{"current_time": time.Now().UTC().Format(time.RFC3339Nano)}
}

func (a *asking) ask(user, relation string, objects []Object) []bool {
	out := make([]bool, len(objects))
	for i, o := range objects {
		if a.model.Lookup(o.Type(), relation) {
			a.qs = append(a.qs, fga.Query{User: user, Relation: relation, Object: string(o), Contextual: a.facts, Context: a.values})
			a.to = append(a.to, &out[i])
		}
	}
	return out
}

func (a *asking) answer(ctx context.Context, b Backend) error {
	if len(a.qs) == 0 {
		return nil
	}
	answers := b.BatchCheck(ctx, a.qs)
	if len(answers) != len(a.qs) {
		return fmt.Errorf("authz: %d answers to %d questions", len(answers), len(a.qs))
	}
	for i, answer := range answers {
		if answer.Err != nil {
			return explained(answer.Err)
		}
		*a.to[i] = answer.Allowed
	}
	return nil
}

// explained marks what is wrong with the question or the tuple itself.
func explained(err error) error {
	switch fga.KindOf(err) {
	case fga.Internal, fga.TooComplex:
		return err
	}
	return fmt.Errorf("%w: %w", ErrBadTuple, err)
}
