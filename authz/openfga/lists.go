package openfga

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"deputy/authz/fga"
)

// ListObjects finds the objects of a type that the query's user stands in the
// relation to, as fga.Engine does. The server ends its search when its own
// time for it is up, and does not say so.
func (c *Client) ListObjects(ctx context.Context, q fga.Query, limit int) ([]string, error) {
	m, err := c.current()
	if err != nil {
		return nil, err
	}
	if err := m.lookup(q.Object, q.Relation); err != nil { // in a stream, errors come without their codes
		return nil, err
	}
	relevant, err := m.lay(q.Contextual).whole()
	if err != nil {
		return nil, err
	}
	keys, err := tupleKeys(relevant)
	if err != nil {
		return nil, err
	}
	in := &openfgav1.StreamedListObjectsRequest{AuthorizationModelId: m.id, Consistency: consistency,
		Type: q.Object, Relation: q.Relation, User: q.User, ContextualTuples: &openfgav1.ContextualTupleKeys{TupleKeys: keys}}
	if in.Context, err = structOf(q.Context); err != nil {
		return nil, err
	}
	// As a stream, since the other form ends at a number that the server sets.
	answer, err := c.askRaw(ctx, c.path("streamed-list-objects"), in)
	if err != nil {
		return nil, err
	}
	return c.readStream(answer, q.Object, limit)
}

// readStream reads objects, one a line. An error among them counts unless the
// limit is reached without it.
func (w *wire) readStream(answer []byte, typ string, limit int) (out []string, failure error) {
	lines, seen := json.NewDecoder(bytes.NewReader(answer)), map[string]bool{}
	for {
		var line struct {
			Result json.RawMessage
			Error  *streamError
		}
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return out, failure
		case err != nil:
			return nil, w.odd("its list is cut off")
		case line.Error != nil:
			failure = w.streamed(*line.Error)
			continue
		}
		r := &openfgav1.StreamedListObjectsResponse{}
		if protojson.Unmarshal(line.Result, r) != nil || !strings.HasPrefix(r.GetObject(), typ+":") {
			return nil, w.odd("its list holds what is no %s", typ)
		}
		if !seen[r.GetObject()] {
			seen[r.GetObject()] = true
			out = append(out, r.GetObject())
		}
		if limit > 0 && len(out) == limit {
			return out, nil
		}
	}
}

// streamError is an error in a stream, which has gRPC's numbers for codes.
type streamError struct {
	Code    int32
	Message string
}

func (w *wire) streamed(e streamError) error {
	const invalidArgument = 3
	if e.Code == invalidArgument {
		return w.coded(Code(fga.Validation), e.Message)
	}
	return fmt.Errorf("OpenFGA at %s cannot make a list (%s): see its log", w.base, w.clean(e.Message))
}

// ListUsers finds the users, of the kind that the filter names, that stand in
// the query's relation to its object, as fga.Engine does. The server ends its
// search at a number and a time of its own, and does not say so.
func (c *Client) ListUsers(ctx context.Context, q fga.Query, filter fga.UserFilter) ([]string, error) {
	m, err := c.current()
	if err != nil {
		return nil, err
	}
	relevant, err := m.lay(q.Contextual).of(q.Object, q.Relation)
	if err != nil {
		return nil, err
	}
	typ, id, _ := strings.Cut(q.Object, ":")
	in := &openfgav1.ListUsersRequest{AuthorizationModelId: m.id, Consistency: consistency,
		Object: &openfgav1.Object{Type: typ, Id: id}, Relation: q.Relation,
		UserFilters: []*openfgav1.UserTypeFilter{{Type: filter.Type, Relation: filter.Relation}}}
	if in.ContextualTuples, err = tupleKeys(relevant); err != nil {
		return nil, err
	}
	if in.Context, err = structOf(q.Context); err != nil {
		return nil, err
	}
	out := &openfgav1.ListUsersResponse{}
	if err := c.ask(ctx, c.path("list-users"), in, out); err != nil {
		return nil, err
	}
	var users []string
	for _, u := range out.GetUsers() {
		switch u := u.GetUser().(type) {
		case *openfgav1.User_Object:
			users = append(users, u.Object.GetType()+":"+u.Object.GetId())
		case *openfgav1.User_Wildcard:
			users = append(users, u.Wildcard.GetType()+":*")
		case *openfgav1.User_Userset:
			users = append(users, u.Userset.GetType()+":"+u.Userset.GetId()+"#"+u.Userset.GetRelation())
		default:
			return nil, c.odd("its list holds what is no user")
		}
	}
	return users, nil
}

// Expand shows how the query's relation to its object comes about.
func (c *Client) Expand(ctx context.Context, q fga.Query) (*fga.Tree, error) {
	m, err := c.current()
	if err != nil {
		return nil, err
	}
	relevant, err := m.lay(q.Contextual).of(q.Object, q.Relation)
	if err != nil {
		return nil, err
	}
	keys, err := tupleKeys(relevant)
	if err != nil {
		return nil, err
	}
	in := &openfgav1.ExpandRequest{AuthorizationModelId: m.id, Consistency: consistency,
		TupleKey:         &openfgav1.ExpandRequestTupleKey{Relation: q.Relation, Object: q.Object},
		ContextualTuples: &openfgav1.ContextualTupleKeys{TupleKeys: keys}}
	out := &openfgav1.ExpandResponse{}
	if err := c.ask(ctx, c.path("expand"), in, out); err != nil {
		return nil, err
	}
	t := treeOf(out.GetTree().GetRoot())
	if t == nil {
		return nil, c.odd("its tree has no root")
	}
	return t, nil
}

func treeOf(n *openfgav1.UsersetTree_Node) *fga.Tree {
	if n == nil {
		return nil
	}
	t := &fga.Tree{Name: n.GetName()}
	switch v := n.GetValue().(type) {
	case *openfgav1.UsersetTree_Node_Leaf:
		leaf(t, v.Leaf)
	case *openfgav1.UsersetTree_Node_Union:
		t.Union = trees(v.Union)
	case *openfgav1.UsersetTree_Node_Intersection:
		t.Intersection = trees(v.Intersection)
	case *openfgav1.UsersetTree_Node_Difference:
		t.Base, t.Not = treeOf(v.Difference.GetBase()), treeOf(v.Difference.GetSubtract())
	}
	return t
}

func trees(ns *openfgav1.UsersetTree_Nodes) (out []*fga.Tree) {
	for _, n := range ns.GetNodes() {
		out = append(out, treeOf(n))
	}
	return out
}

func leaf(t *fga.Tree, l *openfgav1.UsersetTree_Leaf) {
	switch v := l.GetValue().(type) {
	case *openfgav1.UsersetTree_Leaf_Users:
		t.Users = append([]string{}, v.Users.GetUsers()...)
		slices.Sort(t.Users)
		t.Users = slices.Compact(t.Users)
	case *openfgav1.UsersetTree_Leaf_Computed:
		t.Computed = v.Computed.GetUserset()
	case *openfgav1.UsersetTree_Leaf_TupleToUserset:
		t.Tupleset = v.TupleToUserset.GetTupleset()
		for _, parent := range v.TupleToUserset.GetComputed() {
			t.Parents = append(t.Parents, parent.GetUserset())
		}
		slices.Sort(t.Parents)
		t.Parents = slices.Compact(t.Parents)
	}
}
