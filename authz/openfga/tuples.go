package openfga

import (
	"context"
	"net/url"
	"slices"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"deputy/authz/fga"
)

const pageSize = 100 // the most that OpenFGA gives

// Write changes tuples, all or nothing. It is sent once.
func (c *Client) Write(ctx context.Context, w fga.Write) error {
	m, err := c.current()
	if err != nil {
		return err
	}
	in := &openfgav1.WriteRequest{AuthorizationModelId: m.id}
	if len(w.Writes) > 0 {
		in.Writes = &openfgav1.WriteRequestWrites{OnDuplicate: "error"}
		if w.IgnoreDuplicates {
			in.Writes.OnDuplicate = "ignore"
		}
		if in.Writes.TupleKeys, err = tupleKeys(w.Writes); err != nil {
			return err
		}
	}
	if len(w.Deletes) > 0 {
		in.Deletes = &openfgav1.WriteRequestDeletes{OnMissing: "error"}
		if w.IgnoreMissing {
			in.Deletes.OnMissing = "ignore"
		}
		for _, t := range w.Deletes {
			in.Deletes.TupleKeys = append(in.Deletes.TupleKeys, &openfgav1.TupleKeyWithoutCondition{User: t.User, Relation: t.Relation, Object: t.Object})
		}
	}
	return c.wire.write(ctx, c.path("write"), in, &openfgav1.WriteResponse{}, "look with authz list")
}

// Read lists stored tuples in order, as fga.Engine does. The server filters
// what it can; the order is made here, so all that it finds is read.
func (c *Client) Read(ctx context.Context, filter fga.Tuple, after *fga.Tuple, limit int) (out []fga.Tuple, err error) {
	key := readKey(filter)
	err = pages(func(token string) (string, error) {
		in := &openfgav1.ReadRequest{TupleKey: key, PageSize: wrapperspb.Int32(pageSize), ContinuationToken: token, Consistency: consistency}
		page := &openfgav1.ReadResponse{}
		err := c.ask(ctx, c.path("read"), in, page)
		for _, x := range page.GetTuples() {
			if t := tupleOf(x.GetKey()); matches(filter, t) && (after == nil || fga.Compare(t, *after) > 0) {
				out = append(out, t)
			}
		}
		return page.GetContinuationToken(), err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, fga.Compare)
	out = slices.CompactFunc(out, func(a, b fga.Tuple) bool { return fga.Compare(a, b) == 0 }) // what was written again while the pages were read
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

// readKey is as much of the filter as OpenFGA takes: an object, or a type and
// a user.
func readKey(f fga.Tuple) *openfgav1.ReadRequestTupleKey {
	if f.Object == "" || strings.HasSuffix(f.Object, ":") && f.User == "" {
		return nil
	}
	key := &openfgav1.ReadRequestTupleKey{User: f.User, Relation: f.Relation, Object: f.Object}
	if key.Validate() != nil {
		return nil
	}
	return key
}

func matches(f, t fga.Tuple) bool {
	return (f.User == "" || f.User == t.User) && (f.Relation == "" || f.Relation == t.Relation) &&
		(f.Object == "" || f.Object == t.Object || strings.HasSuffix(f.Object, ":") && strings.HasPrefix(t.Object, f.Object))
}

// mark is how far the changes were read: the server has tokens where
// fga.Engine has numbers.
type mark struct {
	n     uint64
	token string
}

// ReadChanges lists what was written and deleted, as fga.Engine does. Changes
// are numbered in the order in which the server tells them.
func (c *Client) ReadChanges(ctx context.Context, typ string, after uint64, limit int) (out []fga.Change, next uint64, err error) {
	c.mu.Lock()
	from := c.mark
	c.mu.Unlock()
	if from.n > after {
		from = mark{}
	}
	n, next := from.n, after
	err = pages(func(token string) (string, error) {
		if token == "" {
			token = from.token
		}
		page := &openfgav1.ReadChangesResponse{}
		if err := c.get(ctx, c.path("changes"), url.Values{"page_size": {"100"}, "continuation_token": {token}}, page); err != nil {
			return "", err
		}
		start := n
		for _, x := range page.GetChanges() {
			if n++; n <= after {
				continue
			}
			next = n
			if typ == "" || strings.HasPrefix(x.GetTupleKey().GetObject(), typ+":") {
				out = append(out, fga.Change{Tuple: tupleOf(x.GetTupleKey()), Deleted: x.GetOperation() == openfgav1.TupleOperation_TUPLE_OPERATION_DELETE, At: x.GetTimestamp().AsTime()})
			}
			if limit > 0 && len(out) == limit {
				c.remember(mark{start, token})
				return "", nil
			}
		}
		if len(page.GetChanges()) == 0 {
			return "", nil
		}
		c.remember(mark{n, page.GetContinuationToken()})
		return page.GetContinuationToken(), nil
	})
	if err != nil {
		return nil, after, err
	}
	return out, next, nil
}

func (c *Client) remember(m mark) {
	c.mu.Lock()
	c.mark = m
	c.mu.Unlock()
}
