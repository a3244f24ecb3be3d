// Package openfgafake is an OpenFGA server for tests: the part of its HTTP API
// that authz/openfga uses, over authz/fga, with faults on demand.
package openfgafake

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"deputy/authz/fga"
	"deputy/authz/openfga"
	"deputy/internal/store"
)

// Server is one OpenFGA server on a loopback port. Close ends it.
type Server struct {
	*httptest.Server
	Token string // that every request must bring, if it is not empty

	mu     sync.Mutex
	stores []*opened
	faults faults
	asked  []string
}

// opened is one store of the server.
type opened struct {
	id, name string
	rows     store.Store
	engine   *fga.Engine
	current  string // the model that the engine decides under
	models   []*openfgav1.AuthorizationModel
}

// New starts a server without stores.
func New() *Server {
	s := &Server{}
	s.Server = httptest.NewServer(s.faulty(s.guarded(s.routes())))
	return s
}

// Asked lists the requests so far: method and path.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.asked...)
}

func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch got := r.Header.Get("Authorization"); {
		case s.Token == "" || got == "Bearer "+s.Token:
			next.ServeHTTP(w, r)
		default: // it repeats what it got, as a careless server would
			refuse(w, http.StatusUnauthorized, "auth_failed_invalid_bearer_token", "unauthenticated: "+got)
		}
	})
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /stores", handle(s.createStore))
	mux.HandleFunc("GET /stores", handle(s.listStores))
	mux.HandleFunc("GET /stores/{store}", handle(s.getStore))
	mux.HandleFunc("POST /stores/{store}/authorization-models", handle(s.writeModel))
	mux.HandleFunc("GET /stores/{store}/authorization-models", handle(s.readModels))
	mux.HandleFunc("GET /stores/{store}/authorization-models/{id}", handle(s.readModel))
	mux.HandleFunc("POST /stores/{store}/check", handle(s.check))
	mux.HandleFunc("POST /stores/{store}/batch-check", handle(s.batchCheck))
	mux.HandleFunc("POST /stores/{store}/list-users", handle(s.listUsers))
	mux.HandleFunc("POST /stores/{store}/expand", handle(s.expand))
	mux.HandleFunc("POST /stores/{store}/write", handle(s.write))
	mux.HandleFunc("POST /stores/{store}/read", handle(s.read))
	mux.HandleFunc("GET /stores/{store}/changes", handle(s.changes))
	mux.HandleFunc("POST /stores/{store}/streamed-list-objects", s.streamObjects)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "undefined_endpoint", "Not Found")
	})
	return mux
}

// refused is an answer with a code of OpenFGA's.
type refused struct {
	status        int
	code, message string
}

func (r *refused) Error() string { return r.message }

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"code":%q,"message":%q}`+"\n", code, message)
}

// coded gives an error of the engine OpenFGA's status and code.
func coded(err error) error {
	if err == nil {
		return nil
	}
	switch kind := fga.KindOf(err); kind {
	case fga.Internal:
		return &refused{http.StatusInternalServerError, openfga.Code(kind), err.Error()}
	case fga.WriteConflict:
		return &refused{http.StatusConflict, openfga.Code(kind), err.Error()}
	default:
		return &refused{http.StatusBadRequest, openfga.Code(kind), err.Error()}
	}
}

// message is a request or an answer of OpenFGA's.
type message[T any] interface {
	*T
	proto.Message
	Validate() error
}

// handle reads the body into a request, checks it by OpenFGA's own rules, and
// answers.
func handle[In any, P message[In], Out proto.Message](fn func(*http.Request, P) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in := P(new(In))
		err := decode(r, in)
		var out Out
		if err == nil {
			out, err = fn(r, in)
		}
		if err != nil {
			f, ok := err.(*refused)
			if !ok {
				f = coded(err).(*refused)
			}
			refuse(w, f.status, f.code, f.message)
			return
		}
		answer, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(out)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(answer)
	}
}

// decode reads a request. The path has its store.
func decode(r *http.Request, in interface {
	proto.Message
	Validate() error
}) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := protojson.Unmarshal(body, in); err != nil {
			return &refused{http.StatusBadRequest, "validation_error", "malformed JSON: " + err.Error()}
		}
	}
	id := in.ProtoReflect().Descriptor().Fields().ByName("store_id")
	if store := r.PathValue("store"); store != "" && id != nil {
		in.ProtoReflect().Set(id, protoreflect.ValueOfString(store))
	}
	if c := in.ProtoReflect().Descriptor().Fields().ByName("consistency"); c != nil && in.ProtoReflect().Get(c).Enum() != openfgav1.ConsistencyPreference_HIGHER_CONSISTENCY.Number() {
		// A real one would answer, out of its cache.
		return &refused{http.StatusBadRequest, "validation_error", "the question does not ask for HIGHER_CONSISTENCY"}
	}
	if r.Method == http.MethodPost {
		if err := in.Validate(); err != nil {
			return &refused{http.StatusBadRequest, "validation_error", err.Error()}
		}
	}
	return nil
}
