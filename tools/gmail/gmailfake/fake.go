// Package gmailfake is a small, stateful Google for tests and for the demo: the
// OAuth endpoints and the part of the Gmail API that deputy uses, in memory,
// with Google's own shapes, errors and strictness.
package gmailfake

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config sets up a Fake. The zero Config accepts any client.
type Config struct {
	ClientID, ClientSecret string
	RedirectURI            string           // exact match; "" = any http URI of this machine
	TokenLifetime          time.Duration    // of access tokens; 0 = 1 h
	Now                    func() time.Time // nil = time.Now
}

// Sent is one mail as it really arrived.
type Sent struct {
	ID, ThreadID string
	Raw          []byte // the RFC 5322 bytes, exactly as received
}

// Call is one request to the API.
type Call struct {
	Method, Path string
	Body         []byte
	Status       int
}

// Fault is an answer that replaces, delays or cuts the real one.
type Fault struct {
	Status     int
	Header     http.Header
	Body       string
	Delay      time.Duration
	Truncate   bool // announce the whole body and send half
	ApplyFirst bool // do what was asked, then answer with the fault: a lost reply
}

// Fake is one Google with one mailbox.
type Fake struct {
	c   Config
	mux *http.ServeMux

	mu          sync.Mutex
	messages    []*message
	drafts      map[string]*message
	sent        []Sent
	drafted     []Sent
	calls       []Call
	codes       map[string]*grant
	access      map[string]*access
	refresh     map[string]*grant
	issued      []string
	faults      []Fault
	tokenFaults []Fault
	denied      map[string]bool
	ticked      []string
	history     int
}

// New returns a Fake seeded with the demo world.
func New(c Config) *Fake {
	if c.TokenLifetime == 0 {
		c.TokenLifetime = time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	f := &Fake{
		c: c, drafts: map[string]*message{}, codes: map[string]*grant{}, access: map[string]*access{},
		refresh: map[string]*grant{}, denied: map[string]bool{}, history: 1000,
	}
	f.seed()
	f.mux = http.NewServeMux()
	f.mux.HandleFunc("GET /o/oauth2/v2/auth", f.authorize)
	f.mux.HandleFunc("POST /token", f.token)
	f.mux.HandleFunc("POST /revoke", f.revoke)
	for pattern, r := range f.routes() {
		f.mux.HandleFunc(pattern, f.api(r))
	}
	return f
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

// Sent is every mail really sent, in order.
func (f *Fake) Sent() []Sent { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.sent) }

// Drafts is every draft really created, in order.
func (f *Fake) Drafts() []Sent { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.drafted) }

// Calls is every request to the API.
func (f *Fake) Calls() []Call { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.calls) }

// Writes is every request to the API that is not a GET, accepted or refused.
func (f *Fake) Writes() []Call {
	return slices.DeleteFunc(f.Calls(), func(c Call) bool { return c.Method == http.MethodGet })
}

// Tokens is every token ever issued.
func (f *Fake) Tokens() []string { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.issued) }

// Inject makes the next API requests answer with these, in order.
func (f *Fake) Inject(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, faults...)
}

// InjectToken does the same for the token endpoint.
func (f *Fake) InjectToken(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokenFaults = append(f.tokenFaults, faults...)
}

// ExpireAccess ends all access tokens; refreshing still works.
func (f *Fake) ExpireAccess() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.access {
		a.expires = f.c.Now().Add(-time.Second)
	}
}

// RevokeAll ends every grant, as if the user had removed the app.
func (f *Fake) RevokeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.access)
	clear(f.refresh)
}

// Deny makes the consent page refuse this account.
func (f *Fake) Deny(email string) { f.mu.Lock(); defer f.mu.Unlock(); f.denied[email] = true }

// Consent makes the user tick only these scopes from now on; none = all.
func (f *Fake) Consent(scopes ...string) { f.mu.Lock(); defer f.mu.Unlock(); f.ticked = scopes }

// route is one API method and the scopes any of which opens it.
type route struct {
	scopes []string
	do     func(*http.Request, []byte) (int, any)
}

// api wraps a method with what Google does to every request.
func (f *Fake) api(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		fault, has := pop(&f.faults)
		f.mu.Unlock()
		if has && fault.Delay > 0 {
			select {
			case <-time.After(fault.Delay):
			case <-r.Context().Done():
				return
			}
		}
		replaced := has && (fault.Status != 0 || fault.Body != "")
		rec := httptest.NewRecorder()
		if !replaced || fault.ApplyFirst {
			f.mu.Lock()
			status, v := f.allowed(r, rt.scopes)
			if status == 0 {
				status, v = rt.do(r, body)
			}
			f.mu.Unlock()
			writeJSON(rec, status, v)
		}
		if replaced {
			rec = httptest.NewRecorder()
			rec.Header().Set("Content-Type", "application/json")
			for k, v := range fault.Header {
				rec.Header()[k] = v
			}
			if fault.Status == 0 {
				fault.Status = http.StatusOK
			}
			rec.WriteHeader(fault.Status)
			io.WriteString(rec, fault.Body)
		}
		f.mu.Lock()
		f.calls = append(f.calls, Call{r.Method, r.URL.Path, body, rec.Code})
		f.mu.Unlock()
		send(w, rec, has && fault.Truncate)
	}
}

func pop(faults *[]Fault) (Fault, bool) {
	if len(*faults) == 0 {
		return Fault{}, false
	}
	first := (*faults)[0]
	*faults = (*faults)[1:]
	return first, true
}

func send(w http.ResponseWriter, rec *httptest.ResponseRecorder, truncate bool) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	body := rec.Body.Bytes()
	if truncate {
		w.Header().Set("Content-Length", itoa(len(body)))
		body = body[:len(body)/2]
	}
	w.WriteHeader(rec.Code)
	w.Write(body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	if v != nil {
		var b bytes.Buffer
		json.NewEncoder(&b).Encode(v)
		w.Write(b.Bytes())
	}
}

// failure is Google's error envelope.
func failure(code int, status, reason, text string) any {
	return map[string]any{"error": map[string]any{
		"code": code, "message": text, "status": status,
		"errors": []map[string]string{{"message": text, "domain": "global", "reason": reason}},
	}}
}

func random(prefix string) string {
	b := make([]byte, 18)
	rand.Read(b)
	return prefix + hex.EncodeToString(b)
}

func bearerOf(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}
