package openfga_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"deputy/authz/fga"
	"deputy/internal/store"
)

// client speaks OpenFGA's service interface to authz/fga: one engine over one
// memory store for each of OpenFGA's stores.
type client struct {
	openfgav1.OpenFGAServiceClient // what the suites do not call

	mu     sync.Mutex
	stores map[string]*opened
}

type opened struct {
	store  store.Store
	engine *fga.Engine
	models int
}

func newClient() *client { return &client{stores: map[string]*opened{}} }

func (c *client) opened(id string) *opened {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stores[id]
}

func (c *client) engine(id string) *fga.Engine { return c.opened(id).engine }

func (c *client) CreateStore(_ context.Context, in *openfgav1.CreateStoreRequest, _ ...grpc.CallOption) (*openfgav1.CreateStoreResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := fmt.Sprintf("01%024d", len(c.stores))
	c.stores[id] = &opened{store: store.NewMemory()}
	return &openfgav1.CreateStoreResponse{Id: id, Name: in.GetName()}, nil
}

func (c *client) WriteAuthorizationModel(_ context.Context, in *openfgav1.WriteAuthorizationModelRequest, _ ...grpc.CallOption) (*openfgav1.WriteAuthorizationModelResponse, error) {
	m, err := fga.NewModel(&openfgav1.AuthorizationModel{
		SchemaVersion: in.GetSchemaVersion(), TypeDefinitions: in.GetTypeDefinitions(), Conditions: in.GetConditions(),
	})
	if err != nil {
		return nil, coded(err)
	}
	o := c.opened(in.GetStoreId())
	if o.engine == nil {
		o.engine, err = fga.Open(o.store, "authz", m)
	} else {
		err = o.engine.SetModel(m)
	}
	o.models++
	return &openfgav1.WriteAuthorizationModelResponse{AuthorizationModelId: fmt.Sprintf("01%024d", o.models)}, coded(err)
}

func (c *client) Write(ctx context.Context, in *openfgav1.WriteRequest, _ ...grpc.CallOption) (*openfgav1.WriteResponse, error) {
	w := fga.Write{
		Writes:           tuples(in.GetWrites().GetTupleKeys()),
		IgnoreDuplicates: in.GetWrites().GetOnDuplicate() == "ignore",
		IgnoreMissing:    in.GetDeletes().GetOnMissing() == "ignore",
	}
	for _, k := range in.GetDeletes().GetTupleKeys() {
		w.Deletes = append(w.Deletes, fga.Tuple{User: k.GetUser(), Relation: k.GetRelation(), Object: k.GetObject()})
	}
	return &openfgav1.WriteResponse{}, coded(c.engine(in.GetStoreId()).Write(ctx, w))
}

func (c *client) Check(ctx context.Context, in *openfgav1.CheckRequest, _ ...grpc.CallOption) (*openfgav1.CheckResponse, error) {
	if err := in.Validate(); err != nil {
		return nil, status.Error(codes.Code(openfgav1.ErrorCode_validation_error), err.Error())
	}
	q, err := query(in.GetTupleKey().GetUser(), in.GetTupleKey().GetRelation(), in.GetTupleKey().GetObject(), in.GetContextualTuples().GetTupleKeys(), in.GetContext())
	if err != nil {
		return nil, err
	}
	ok, err := c.engine(in.GetStoreId()).Check(ctx, q)
	if err != nil {
		return nil, coded(err)
	}
	return &openfgav1.CheckResponse{Allowed: ok}, nil
}

func (c *client) ListObjects(ctx context.Context, in *openfgav1.ListObjectsRequest, _ ...grpc.CallOption) (*openfgav1.ListObjectsResponse, error) {
	q, err := query(in.GetUser(), in.GetRelation(), in.GetType(), in.GetContextualTuples().GetTupleKeys(), in.GetContext())
	if err != nil {
		return nil, err
	}
	objects, err := c.engine(in.GetStoreId()).ListObjects(ctx, q, 1000)
	if err != nil {
		return nil, coded(err)
	}
	return &openfgav1.ListObjectsResponse{Objects: objects}, nil
}

func (c *client) StreamedListObjects(ctx context.Context, in *openfgav1.StreamedListObjectsRequest, _ ...grpc.CallOption) (openfgav1.OpenFGAService_StreamedListObjectsClient, error) {
	q, err := query(in.GetUser(), in.GetRelation(), in.GetType(), in.GetContextualTuples().GetTupleKeys(), in.GetContext())
	if err != nil {
		return nil, err
	}
	objects, err := c.engine(in.GetStoreId()).ListObjects(ctx, q, 0)
	return &stream{objects: objects, err: coded(err)}, nil
}

// stream hands out what was found, then the error.
type stream struct {
	grpc.ClientStream
	objects []string
	err     error
}

func (s *stream) Recv() (*openfgav1.StreamedListObjectsResponse, error) {
	switch {
	case len(s.objects) > 0:
		o := s.objects[0]
		s.objects = s.objects[1:]
		return &openfgav1.StreamedListObjectsResponse{Object: o}, nil
	case s.err != nil:
		return nil, s.err
	}
	return nil, io.EOF
}

func (c *client) ListUsers(ctx context.Context, in *openfgav1.ListUsersRequest, _ ...grpc.CallOption) (*openfgav1.ListUsersResponse, error) {
	if err := in.Validate(); err != nil {
		return nil, status.Error(codes.Code(openfgav1.ErrorCode_validation_error), err.Error())
	}
	q, err := query("", in.GetRelation(), in.GetObject().GetType()+":"+in.GetObject().GetId(), in.GetContextualTuples(), in.GetContext())
	if err != nil {
		return nil, err
	}
	f := in.GetUserFilters()[0]
	users, err := c.engine(in.GetStoreId()).ListUsers(ctx, q, fga.UserFilter{Type: f.GetType(), Relation: f.GetRelation()})
	if err != nil {
		return nil, coded(err)
	}
	out := &openfgav1.ListUsersResponse{}
	for _, u := range users {
		out.Users = append(out.Users, user(u))
	}
	return out, nil
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

func query(user, relation, object string, contextual []*openfgav1.TupleKey, context *structpb.Struct) (fga.Query, error) {
	return fga.Query{User: user, Relation: relation, Object: object, Contextual: tuples(contextual), Context: context.AsMap()}, nil
}

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

var code = map[fga.Kind]codes.Code{
	fga.Internal:         codes.Code(openfgav1.InternalErrorCode_internal_error),
	fga.Validation:       codes.Code(openfgav1.ErrorCode_validation_error),
	fga.InvalidTuple:     codes.Code(openfgav1.ErrorCode_invalid_tuple),
	fga.InvalidModel:     codes.Code(openfgav1.ErrorCode_invalid_authorization_model),
	fga.TypeNotFound:     codes.Code(openfgav1.ErrorCode_type_not_found),
	fga.RelationNotFound: codes.Code(openfgav1.ErrorCode_relation_not_found),
	fga.TooComplex:       codes.Code(openfgav1.ErrorCode_authorization_model_resolution_too_complex),
	fga.DuplicateTuple:   codes.Code(openfgav1.ErrorCode_cannot_allow_duplicate_tuples_in_one_request),
	fga.WriteRefused:     codes.Code(openfgav1.ErrorCode_write_failed_due_to_invalid_input),
	fga.WriteConflict:    codes.Aborted,
}

func coded(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(code[fga.KindOf(err)], err.Error())
}
