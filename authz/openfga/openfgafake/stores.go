package openfgafake

import (
	"fmt"
	"net/http"
	"strconv"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/proto"

	"deputy/authz/fga"
	"deputy/internal/store"
)

func (s *Server) createStore(_ *http.Request, in *openfgav1.CreateStoreRequest) (*openfgav1.CreateStoreResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &opened{id: fmt.Sprintf("01S%023d", len(s.stores)), name: in.GetName(), rows: store.NewMemory()}
	s.stores = append(s.stores, o)
	return &openfgav1.CreateStoreResponse{Id: o.id, Name: o.name}, nil
}

// listStores gives one store a page, so that clients have to go on.
func (s *Server) listStores(r *http.Request, _ *openfgav1.ListStoresRequest) (*openfgav1.ListStoresResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, _ := strconv.Atoi(r.FormValue("continuation_token"))
	out := &openfgav1.ListStoresResponse{}
	for ; at < len(s.stores); at++ {
		if name := r.FormValue("name"); name == "" || name == s.stores[at].name {
			out.Stores = append(out.Stores, &openfgav1.Store{Id: s.stores[at].id, Name: s.stores[at].name})
			out.ContinuationToken = strconv.Itoa(at + 1)
			break
		}
	}
	return out, nil
}

func (s *Server) getStore(r *http.Request, _ *openfgav1.GetStoreRequest) (*openfgav1.GetStoreResponse, error) {
	o, err := s.open(r)
	if err != nil {
		return nil, err
	}
	return &openfgav1.GetStoreResponse{Id: o.id, Name: o.name}, nil
}

func (s *Server) open(r *http.Request) (*opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.stores {
		if o.id == r.PathValue("store") {
			return o, nil
		}
	}
	return nil, &refused{http.StatusNotFound, "store_id_not_found", "Store ID not found"}
}

// under is the store's engine, deciding under a model.
func (s *Server) under(r *http.Request, model string) (*fga.Engine, error) {
	o, err := s.open(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if model == "" && len(o.models) > 0 {
		model = o.models[len(o.models)-1].GetId()
	}
	for _, p := range o.models {
		if p.GetId() != model {
			continue
		}
		if o.current == model {
			return o.engine, nil
		}
		m, err := fga.NewModel(p)
		if err != nil {
			return nil, err
		}
		o.engine, err = fga.Open(o.rows, "authz", m)
		o.current = model
		return o.engine, err
	}
	return nil, &refused{http.StatusBadRequest, "authorization_model_not_found", "Authorization Model '" + model + "' not found"}
}

func (s *Server) writeModel(r *http.Request, in *openfgav1.WriteAuthorizationModelRequest) (*openfgav1.WriteAuthorizationModelResponse, error) {
	o, err := s.open(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &openfgav1.AuthorizationModel{Id: fmt.Sprintf("01M%023d", len(o.models)), SchemaVersion: in.GetSchemaVersion(), TypeDefinitions: in.GetTypeDefinitions(), Conditions: in.GetConditions()}
	if _, err := fga.NewModel(m); err != nil {
		return nil, err
	}
	o.models = append(o.models, m)
	return &openfgav1.WriteAuthorizationModelResponse{AuthorizationModelId: m.GetId()}, nil
}

// Forget takes the models out of all stores, as a server does that starts
// again without its database.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.stores {
		o.models, o.current = nil, ""
	}
}

func (s *Server) readModels(r *http.Request, _ *openfgav1.ReadAuthorizationModelsRequest) (*openfgav1.ReadAuthorizationModelsResponse, error) {
	o, err := s.open(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size, _ := strconv.Atoi(r.FormValue("page_size"))
	at, _ := strconv.Atoi(r.FormValue("continuation_token"))
	out := &openfgav1.ReadAuthorizationModelsResponse{}
	for ; at < len(o.models) && len(out.AuthorizationModels) < size; at++ {
		out.AuthorizationModels = append(out.AuthorizationModels, proto.CloneOf(o.models[len(o.models)-1-at]))
	}
	if at < len(o.models) {
		out.ContinuationToken = strconv.Itoa(at)
	}
	return out, nil
}

func (s *Server) readModel(r *http.Request, _ *openfgav1.ReadAuthorizationModelRequest) (*openfgav1.ReadAuthorizationModelResponse, error) {
	o, err := s.open(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range o.models {
		if m.GetId() == r.PathValue("id") {
			return &openfgav1.ReadAuthorizationModelResponse{AuthorizationModel: proto.CloneOf(m)}, nil
		}
	}
	return nil, &refused{http.StatusBadRequest, "authorization_model_not_found", "Authorization Model '" + r.PathValue("id") + "' not found"}
}
