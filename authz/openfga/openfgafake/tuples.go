package openfgafake

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"deputy/authz/fga"
)

func tuples(keys []*openfgav1.TupleKey) (out []fga.Tuple) {
	for _, k := range keys {
		t := fga.Tuple{User: k.GetUser(), Relation: k.GetRelation(), Object: k.GetObject()}
		if c := k.GetCondition(); c.GetName() != "" {
			t.Condition = &fga.Condition{Name: c.GetName(), Context: c.GetContext().AsMap()}
		}
		out = append(out, t)
	}
	return out
}

func key(t fga.Tuple) *openfgav1.TupleKey {
	k := &openfgav1.TupleKey{User: t.User, Relation: t.Relation, Object: t.Object}
	if t.Condition != nil {
		values, err := structpb.NewStruct(t.Condition.Context)
		if err != nil {
			panic(err)
		}
		k.Condition = &openfgav1.RelationshipCondition{Name: t.Condition.Name, Context: values}
	}
	return k
}

func (s *Server) write(r *http.Request, in *openfgav1.WriteRequest) (*openfgav1.WriteResponse, error) {
	e, err := s.under(r, in.GetAuthorizationModelId())
	if err != nil {
		return nil, err
	}
	w := fga.Write{Writes: tuples(in.GetWrites().GetTupleKeys()), IgnoreDuplicates: in.GetWrites().GetOnDuplicate() == "ignore", IgnoreMissing: in.GetDeletes().GetOnMissing() == "ignore"}
	for _, k := range in.GetDeletes().GetTupleKeys() {
		w.Deletes = append(w.Deletes, fga.Tuple{User: k.GetUser(), Relation: k.GetRelation(), Object: k.GetObject()})
	}
	if len(w.Writes)+len(w.Deletes) > 100 {
		return nil, &refused{http.StatusBadRequest, "exceeded_entity_limit", "The number of write operations exceeds the allowed limit of 100"}
	}
	return &openfgav1.WriteResponse{}, e.Write(r.Context(), w)
}

// read gives two tuples a page, the last first.
func (s *Server) read(r *http.Request, in *openfgav1.ReadRequest) (*openfgav1.ReadResponse, error) {
	k := in.GetTupleKey()
	if typ, id, _ := strings.Cut(k.GetObject(), ":"); k != nil && (typ == "" || id == "" && k.GetUser() == "") {
		return nil, &refused{http.StatusBadRequest, "validation_error", "the 'tuple_key' field was provided but the object type field is required and both the object id and user cannot be empty"}
	}
	e, err := s.under(r, "")
	if err != nil {
		return nil, err
	}
	found, err := e.Read(r.Context(), fga.Tuple{User: k.GetUser(), Relation: k.GetRelation(), Object: k.GetObject()}, nil, 0)
	slices.Reverse(found)
	at, _ := strconv.Atoi(in.GetContinuationToken())
	out := &openfgav1.ReadResponse{}
	for _, t := range found[min(at, len(found)):min(at+2, len(found))] {
		out.Tuples = append(out.Tuples, &openfgav1.Tuple{Key: key(t), Timestamp: timestamppb.Now()})
	}
	if at+2 < len(found) {
		out.ContinuationToken = strconv.Itoa(at + 2)
	}
	return out, err
}

// changes gives three a page, and a token whether or not there are more.
func (s *Server) changes(r *http.Request, _ *openfgav1.ReadChangesRequest) (*openfgav1.ReadChangesResponse, error) {
	e, err := s.under(r, "")
	if err != nil {
		return nil, err
	}
	token := r.FormValue("continuation_token")
	after, err := strconv.ParseUint(token, 10, 64)
	if err != nil && token != "" {
		return nil, &refused{http.StatusBadRequest, "invalid_continuation_token", "Invalid continuation token"}
	}
	found, next, err := e.ReadChanges(r.Context(), r.FormValue("type"), after, 3)
	if err != nil {
		return nil, errors.New("the changes cannot be read")
	}
	out := &openfgav1.ReadChangesResponse{ContinuationToken: token}
	if len(found) > 0 {
		out.ContinuationToken = strconv.FormatUint(next, 10)
	}
	for _, c := range found {
		x := &openfgav1.TupleChange{TupleKey: key(c.Tuple), Timestamp: timestamppb.New(c.At)}
		if c.Deleted {
			x.Operation = openfgav1.TupleOperation_TUPLE_OPERATION_DELETE
		}
		out.Changes = append(out.Changes, x)
	}
	return out, nil
}
