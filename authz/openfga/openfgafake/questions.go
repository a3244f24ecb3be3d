package openfgafake

import (
	"fmt"
	"net/http"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/types/known/structpb"

	"deputy/authz/fga"
	"deputy/authz/openfga"
)

func query(k *openfgav1.CheckRequestTupleKey, contextual *openfgav1.ContextualTupleKeys, context *structpb.Struct) fga.Query {
	return fga.Query{User: k.GetUser(), Relation: k.GetRelation(), Object: k.GetObject(), Contextual: tuples(contextual.GetTupleKeys()), Context: context.AsMap()}
}

func (s *Server) check(r *http.Request, in *openfgav1.CheckRequest) (*openfgav1.CheckResponse, error) {
	e, err := s.under(r, in.GetAuthorizationModelId())
	if err != nil {
		return nil, err
	}
	ok, err := e.Check(r.Context(), query(in.GetTupleKey(), in.GetContextualTuples(), in.GetContext()))
	return &openfgav1.CheckResponse{Allowed: ok}, err
}

func (s *Server) batchCheck(r *http.Request, in *openfgav1.BatchCheckRequest) (*openfgav1.BatchCheckResponse, error) {
	e, err := s.under(r, in.GetAuthorizationModelId())
	if err != nil {
		return nil, err
	}
	if len(in.GetChecks()) > 50 {
		return nil, &refused{http.StatusBadRequest, "validation_error", fmt.Sprintf("batchCheck received %d checks, the maximum allowed is 50", len(in.GetChecks()))}
	}
	out := &openfgav1.BatchCheckResponse{Result: map[string]*openfgav1.BatchCheckSingleResult{}}
	for _, item := range in.GetChecks() {
		if _, twice := out.Result[item.GetCorrelationId()]; twice {
			return nil, &refused{http.StatusBadRequest, "validation_error", "received duplicate correlation id: " + item.GetCorrelationId()}
		}
		ok, err := e.Check(r.Context(), query(item.GetTupleKey(), item.GetContextualTuples(), item.GetContext()))
		result := &openfgav1.BatchCheckSingleResult{CheckResult: &openfgav1.BatchCheckSingleResult_Allowed{Allowed: ok}}
		if err != nil {
			result.CheckResult = &openfgav1.BatchCheckSingleResult_Error{Error: checkError(err)}
		}
		out.Result[item.GetCorrelationId()] = result
	}
	return out, nil
}

func checkError(err error) *openfgav1.CheckError {
	e := &openfgav1.CheckError{Message: err.Error()}
	if code, ok := openfgav1.ErrorCode_value[openfga.Code(fga.KindOf(err))]; ok {
		e.Code = &openfgav1.CheckError_InputError{InputError: openfgav1.ErrorCode(code)}
	} else {
		e.Code = &openfgav1.CheckError_InternalError{InternalError: openfgav1.InternalErrorCode_internal_error}
	}
	return e
}

func (s *Server) streamObjects(w http.ResponseWriter, r *http.Request) {
	in := &openfgav1.StreamedListObjectsRequest{}
	err := decode(r, in)
	var objects []string
	if err == nil {
		var e *fga.Engine
		if e, err = s.under(r, in.GetAuthorizationModelId()); err == nil {
			objects, err = e.ListObjects(r.Context(), fga.Query{User: in.GetUser(), Relation: in.GetRelation(), Object: in.GetType(),
				Contextual: tuples(in.GetContextualTuples().GetTupleKeys()), Context: in.GetContext().AsMap()}, 0)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil && len(objects) == 0 {
		w.WriteHeader(http.StatusBadRequest)
	}
	for _, o := range objects {
		fmt.Fprintf(w, `{"result":{"object":%q}}`+"\n", o)
	}
	if err != nil {
		fmt.Fprintf(w, `{"error":{"code":3,"message":%q,"details":[]}}`+"\n", err)
	}
}

func (s *Server) listUsers(r *http.Request, in *openfgav1.ListUsersRequest) (*openfgav1.ListUsersResponse, error) {
	e, err := s.under(r, in.GetAuthorizationModelId())
	if err != nil {
		return nil, err
	}
	f := in.GetUserFilters()[0]
	users, err := e.ListUsers(r.Context(), fga.Query{Relation: in.GetRelation(), Object: in.GetObject().GetType() + ":" + in.GetObject().GetId(),
		Contextual: tuples(in.GetContextualTuples()), Context: in.GetContext().AsMap()}, fga.UserFilter{Type: f.GetType(), Relation: f.GetRelation()})
	out := &openfgav1.ListUsersResponse{}
	for _, u := range users {
		out.Users = append(out.Users, user(u))
	}
	return out, err
}

func user(s string) *openfgav1.User {
	object, relation, _ := strings.Cut(s, "#")
	typ, id, _ := strings.Cut(object, ":")
	switch {
	case relation != "":
		return &openfgav1.User{User: &openfgav1.User_Userset{Userset: &openfgav1.UsersetUser{Type: typ, Id: id, Relation: relation}}}
	case id == "*":
		return &openfgav1.User{User: &openfgav1.User_Wildcard{Wildcard: &openfgav1.TypedWildcard{Type: typ}}}
	}
	return &openfgav1.User{User: &openfgav1.User_Object{Object: &openfgav1.Object{Type: typ, Id: id}}}
}

func (s *Server) expand(r *http.Request, in *openfgav1.ExpandRequest) (*openfgav1.ExpandResponse, error) {
	e, err := s.under(r, in.GetAuthorizationModelId())
	if err != nil {
		return nil, err
	}
	tree, err := e.Expand(r.Context(), fga.Query{Relation: in.GetTupleKey().GetRelation(), Object: in.GetTupleKey().GetObject(), Contextual: tuples(in.GetContextualTuples().GetTupleKeys())})
	if err != nil {
		return nil, err
	}
	return &openfgav1.ExpandResponse{Tree: &openfgav1.UsersetTree{Root: node(tree)}}, nil
}

func node(t *fga.Tree) *openfgav1.UsersetTree_Node {
	n := &openfgav1.UsersetTree_Node{Name: t.Name}
	leaf := &openfgav1.UsersetTree_Leaf{}
	switch {
	case t.Union != nil:
		n.Value = &openfgav1.UsersetTree_Node_Union{Union: nodes(t.Union)}
		return n
	case t.Intersection != nil:
		n.Value = &openfgav1.UsersetTree_Node_Intersection{Intersection: nodes(t.Intersection)}
		return n
	case t.Base != nil:
		n.Value = &openfgav1.UsersetTree_Node_Difference{Difference: &openfgav1.UsersetTree_Difference{Base: node(t.Base), Subtract: node(t.Not)}}
		return n
	case t.Computed != "":
		leaf.Value = &openfgav1.UsersetTree_Leaf_Computed{Computed: &openfgav1.UsersetTree_Computed{Userset: t.Computed}}
	case t.Tupleset != "":
		ttu := &openfgav1.UsersetTree_TupleToUserset{Tupleset: t.Tupleset}
		for _, p := range t.Parents {
			ttu.Computed = append(ttu.Computed, &openfgav1.UsersetTree_Computed{Userset: p})
		}
		leaf.Value = &openfgav1.UsersetTree_Leaf_TupleToUserset{TupleToUserset: ttu}
	default:
		leaf.Value = &openfgav1.UsersetTree_Leaf_Users{Users: &openfgav1.UsersetTree_Users{Users: t.Users}}
	}
	n.Value = &openfgav1.UsersetTree_Node_Leaf{Leaf: leaf}
	return n
}

func nodes(ts []*fga.Tree) *openfgav1.UsersetTree_Nodes {
	out := &openfgav1.UsersetTree_Nodes{}
	for _, t := range ts {
		out.Nodes = append(out.Nodes, node(t))
	}
	return out
}
