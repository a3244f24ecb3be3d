package authserver_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/authserver"
	"deputy/internal/authserver/clients"
	"deputy/internal/fetch"
	"deputy/internal/seal"
	"deputy/internal/store"
)

const (
	issuer   = "https://deputy.example"
	resource = issuer + "/mcp"
	site     = "https://app.example/callback"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	strong   = "urn:test:strong"
)

// office is a deputy with people, clients and the hosts of clients, all in one
// process: requests go through the handlers and no network.
type office struct {
	testing.TB
	config authserver.Config
	server *authserver.Server
	store  store.Store
	mux    *http.ServeMux
	hosts  map[string]http.Handler // that serve documents and keys

	mu       sync.Mutex
	sessions map[string]authz.Principal
	gone     map[string]bool // may not act any more
	door     *authz.Door
	logged   bytes.Buffer
}

func newOffice(t testing.TB, change ...func(*authserver.Config)) *office {
	t.Helper()
	o := &office{TB: t, store: store.NewMemory(), sessions: map[string]authz.Principal{}, gone: map[string]bool{}, hosts: map[string]http.Handler{}}
	o.door = authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	kek, err := seal.NewKEK(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(issuer)
	o.config = authserver.Config{
		Issuer: u, Store: o.store, Sealer: box, Audit: &audit.Log{Key: []byte("k")}, Fetch: fetch.Client{Via: o},
		Log: slog.New(slog.NewTextHandler(&o.logged, nil)),
		People: authserver.People{
			Person: o.person, Ask: o.ask, StepUp: o.stepUp,
			Meets: func(c authz.Caller, acr string) bool { return c.ACR() == acr },
			May: func(_ context.Context, user string) error {
				o.mu.Lock()
				defer o.mu.Unlock()
				if o.gone[user] {
					return authz.ErrNobody
				}
				return nil
			},
		},
		Resources: []string{resource},
		Scopes: []authserver.Scope{
			{Name: "gmail.read", Title: "Read your mail", Default: true}, {Name: "gmail.send", Title: "Send mail for you"}, {Name: "slack.read", Title: "Read Slack"},
		},
		ACRValues: []string{strong},
		Clients: []clients.Client{
			{ID: "app", Name: "The App", Redirects: []string{site, "https://app.example/other?x=1", "https://other.example/cb"}},
			{ID: "rival", Name: "Rival", Redirects: []string{"https://rival.example/cb"}},
			{ID: "desk", Name: "Desk", Redirects: []string{"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost:33418", "com.example.desk:/back"}},
			{ID: "tv", Name: "Television", Grants: []string{clients.DeviceGrant, clients.RefreshGrant}},
			{ID: "radio", Name: "Radio", Grants: []string{clients.DeviceGrant}},
			{ID: "backend", Name: "Back end", Secret: clients.NewSecret("s3cret/+ %"), Introspects: true,
				Redirects: []string{"https://backend.example/cb"}, Grants: []string{clients.CodeGrant, clients.RefreshGrant, clients.AssertionGrant}},
		},
	}
	for _, c := range change {
		c(&o.config)
	}
	if o.config.Store != o.store {
		o.store = o.config.Store
	}
	o.start()
	return o
}

// start begins a server over what is stored, as after a restart.
func (o *office) start() {
	o.Helper()
	var err error
	if o.server, err = authserver.New(o.config); err != nil {
		o.Fatal(err)
	}
	o.mux = http.NewServeMux()
	o.server.Routes(o.mux)
}

// RoundTrip serves deputy itself and the other hosts.
func (o *office) RoundTrip(r *http.Request) (*http.Response, error) {
	var h http.Handler = o.mux
	if "https://"+r.URL.Host != issuer {
		if h = o.hosts[r.URL.Host]; h == nil {
			return nil, errors.New("no such host")
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI, in.Host, in.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "192.0.2.1:1234"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func (o *office) person(r *http.Request) (authz.Caller, bool) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return authz.Caller{}, false
	}
	o.mu.Lock()
	p, ok := o.sessions[cookie.Value]
	o.mu.Unlock()
	if !ok {
		return authz.Caller{}, false
	}
	c, err := o.door.Caller(r.Context(), p)
	return c, err == nil
}

func (o *office) ask(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Next", r.URL.RequestURI())
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, "sign in")
}

func (o *office) stepUp(w http.ResponseWriter, r *http.Request, n authserver.Need) {
	w.Header().Set("X-Next", r.URL.RequestURI())
	w.Header().Set("X-Need", n.MaxAge.String()+" "+n.ACR)
	w.WriteHeader(http.StatusForbidden)
	io.WriteString(w, "prove it")
}

// publish serves a document at an address.
func (o *office) publish(address, body string, header ...string) {
	u, _ := url.Parse(address)
	o.hosts[u.Host] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if r.URL.Path != u.Path {
			w.WriteHeader(404)
			return
		}
		io.WriteString(w, body)
	})
}

func rand(n int) string {
	b := make([]byte, n)
	crand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
