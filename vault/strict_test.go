package vault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/seal"
	"deputy/internal/store"
	"deputy/vault"
)

// strict is an authorization server without mercy: a refresh token works once,
// using it again ends everything it came from, and what it has decided stands
// whether or not anybody hears the answer. With grace it forgives a retry.
type strict struct {
	*httptest.Server
	latency time.Duration // of the token endpoint, once it is set
	grace   bool
	oneShot bool // an access token is good for one request

	mu       sync.Mutex
	families map[string]*family // by refresh token, used ones too
	access   map[string]*family
	n        int
	asked    int // refreshes
	reused   int // refresh tokens used again
}

type family struct {
	user    string
	current string // the refresh token that is good
	used    string // the one before
	answer  []byte // what it was answered with
	dead    bool
}

func newStrict(t testing.TB, grace bool) *strict {
	s := &strict{grace: grace, families: map[string]*family{}, access: map[string]*family{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		answer, ok := s.token(r.FormValue("grant_type"), r.FormValue("code"), r.FormValue("refresh_token"))
		time.Sleep(s.latency) // decided, and not yet said
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
		}
		w.Write(answer)
	})
	mux.HandleFunc("GET /api/user", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f := s.access[r.Header.Get("Authorization")[len("Bearer "):]]
		if f == nil || f.dead {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if s.oneShot {
			delete(s.access, r.Header.Get("Authorization")[len("Bearer "):])
		}
		fmt.Fprintf(w, `{"id":%q,"login":%q}`, f.user, f.user)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *strict) token(grant, code, refresh string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var f *family
	switch grant {
	case "authorization_code":
		f = &family{user: code} // the code says who
	default:
		s.asked++
		if f = s.families[refresh]; f == nil {
			return []byte(`{"error":"invalid_grant"}`), false
		}
		if f.used == refresh && s.grace {
			return f.answer, true
		}
		if f.current != refresh || f.dead {
			s.reused++
			f.dead = true
			return []byte(`{"error":"invalid_grant"}`), false
		}
	}
	s.n++
	at, rt := fmt.Sprintf("at-canary-%d", s.n), fmt.Sprintf("rt-canary-%d", s.n)
	f.used, f.current = f.current, rt
	s.families[rt], s.access[at] = f, f
	life := 3600
	if grant == "authorization_code" && !s.oneShot {
		life = 1 // what was just made is soon due
	}
	f.answer, _ = json.Marshal(map[string]any{"access_token": at, "refresh_token": rt, "token_type": "bearer", "expires_in": life, "scope": "read"})
	return f.answer, true
}

func (s *strict) provider() vault.Provider { return strictProvider(s.URL) }

func strictProvider(at string) vault.Provider {
	return vault.Provider{
		Name: "github", Title: "Strict", APIURL: at + "/api",
		OAuth:    vault.Server{AuthURL: at + "/auth", TokenURL: at + "/token", ClientID: "id", ClientSecret: vault.NewSecret("client-secret-canary")},
		Identity: vault.Identity{Path: "/user", Subject: []string{"id"}, Name: []string{"login"}},
		Reads:    []string{"GET /user"},
		Fault: func(status int, _ []byte) vault.Kind {
			switch {
			case status == 401:
				return vault.Reconnect
			case status >= 300:
				return vault.Upstream
			}
			return ""
		},
	}
}

// RoundTrip is the way to the server that costs nothing but what the vault
// does: the API answers in this process.
func (s *strict) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/api/user" {
		return http.DefaultTransport.RoundTrip(r)
	}
	w := httptest.NewRecorder()
	s.Config.Handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// desk is a vault of one process over a store that may be others' too.
type desk struct {
	*vault.Vault
	door *authz.Door
}

// sit opens a vault over s. The keys are in dir.
func sit(t testing.TB, dir string, s store.Store, shared bool, p vault.Provider, way ...http.RoundTripper) desk {
	t.Helper()
	kek, err := seal.NewKEK(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(dir, kek)
	if err != nil {
		t.Fatal(err)
	}
	door := authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	log := &audit.Log{Key: box.Key("audit")}
	ledger, err := approvals.Open(approvals.Config{Store: s, Sealer: box, Audit: log, Door: door, Channels: []string{"page"}})
	if err != nil {
		t.Fatal(err)
	}
	c := vault.Config{Store: s, Shared: shared, Sealer: box, Audit: log, Ledger: ledger, Providers: []vault.Provider{p}, PublicURL: "http://localhost:8787"}
	if len(way) > 0 {
		c.Transport = way[0]
	}
	v, err := vault.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return desk{v, door}
}

func (d desk) caller(t testing.TB, user string) authz.Caller {
	t.Helper()
	c, err := d.door.Caller(context.Background(), authz.Principal{User: user, Agent: "claude", Session: "s"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect gives a person a grant whose token is due at once.
func (d desk) connect(t testing.TB, user string) {
	t.Helper()
	c := d.caller(t, user)
	to, err := d.Begin(ctx, c, vault.Wish{Provider: "github", Scopes: []string{"read"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Finish(ctx, c, "github", map[string][]string{"state": {query(to, "state")}, "code": {user}}); err != nil {
		t.Fatal(err)
	}
}

// read makes one request for a person.
func (d desk) read(c authz.Caller) error {
	l, err := d.Lease(ctx, c, "github", []string{"read"}, "")
	if err != nil {
		return err
	}
	_, err = l.Read(ctx, "/user")
	return err
}
