package openfga

import (
	"context"
	"fmt"
	"sync"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/types/known/structpb"

	"deputy/authz/fga"
)

// Client asks one store of an OpenFGA server. All of its methods may be called
// at once.
type Client struct {
	*wire
	store  string
	pinned string // the model's id, if the configuration names it

	mu    sync.Mutex
	model *model
	mark  mark
}

const consistency = openfgav1.ConsistencyPreference_HIGHER_CONSISTENCY

func (c *Client) path(name string) string { return "/stores/" + c.store + "/" + name }

// Check answers one question.
func (c *Client) Check(ctx context.Context, q fga.Query) (bool, error) {
	m, err := c.current()
	if err != nil {
		return false, err
	}
	item, err := m.item(q, m.lay(q.Contextual))
	if err != nil {
		return false, err
	}
	in := &openfgav1.CheckRequest{AuthorizationModelId: m.id, Consistency: consistency,
		TupleKey: item.GetTupleKey(), ContextualTuples: item.GetContextualTuples(), Context: item.GetContext()}
	out := &openfgav1.CheckResponse{}
	if err := c.ask(ctx, c.path("check"), in, out); err != nil {
		return false, err
	}
	return out.GetAllowed(), nil
}

// item is a question as the server takes it. What it would refuse a whole
// batch for is found here.
func (m *model) item(q fga.Query, facts *facts) (*openfgav1.BatchCheckItem, error) {
	values, err := structOf(q.Context)
	if err != nil {
		return nil, err
	}
	relevant, err := facts.of(q.Object, q.Relation)
	if err != nil {
		return nil, err
	}
	keys, err := tupleKeys(relevant)
	if err != nil {
		return nil, err
	}
	item := &openfgav1.BatchCheckItem{
		TupleKey:      &openfgav1.CheckRequestTupleKey{User: q.User, Relation: q.Relation, Object: q.Object},
		Context:       values,
		CorrelationId: "0",
	}
	if len(keys) > 0 {
		item.ContextualTuples = &openfgav1.ContextualTupleKeys{TupleKeys: keys}
	}
	if err := item.Validate(); err != nil {
		return nil, invalid(fmt.Errorf("OpenFGA does not take this question: %w", err))
	}
	return item, nil
}

func structOf(values map[string]any) (*structpb.Struct, error) {
	if len(values) == 0 {
		return nil, nil
	}
	s, err := structpb.NewStruct(values) // as authz/fga takes them
	if err != nil {
		return nil, invalid(fmt.Errorf("invalid context: %w", err))
	}
	return s, nil
}

func tupleKeys(tuples []fga.Tuple) (out []*openfgav1.TupleKey, err error) {
	for _, t := range tuples {
		k := &openfgav1.TupleKey{User: t.User, Relation: t.Relation, Object: t.Object}
		if t.Condition != nil {
			k.Condition = &openfgav1.RelationshipCondition{Name: t.Condition.Name}
			if k.Condition.Context, err = structOf(t.Condition.Context); err != nil {
				return nil, err
			}
		}
		out = append(out, k)
	}
	return out, nil
}

func tupleOf(k *openfgav1.TupleKey) fga.Tuple {
	t := fga.Tuple{User: k.GetUser(), Relation: k.GetRelation(), Object: k.GetObject()}
	if c := k.GetCondition(); c.GetName() != "" {
		t.Condition = &fga.Condition{Name: c.GetName()}
		if len(c.GetContext().GetFields()) > 0 {
			t.Condition.Context = c.GetContext().AsMap()
		}
	}
	return t
}
