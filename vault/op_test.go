package vault_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault"
)

// op is a company's own OpenID provider and an API behind it: every token
// knows whose it is, for which scopes and where it came from, and every request
// to the provider is kept. Tests switch its abilities on and off.
type op struct {
	*httptest.Server
	mu       sync.Mutex
	t        *testing.T
	subject  string   // who signs in next
	gives    []string // scopes given instead of those asked; nil: as asked
	lifetime int
	narrows  bool // a refresh may ask for less
	noS256   bool
	iss      string               // what the callback says; "-" says nothing
	approved bool                 // the person has typed the device code
	claims   func(map[string]any) // changes the next ID tokens
	slow     int                  // device polls answered with slow_down first

	tokens map[string]opToken // access and refresh tokens and codes
	pushed map[string]url.Values
	asked  []url.Values // every form the token endpoint got
	served []opToken    // whose token each API request had
	n      int
}

type opToken struct {
	kind, subject, challenge, redirect, via string
	scopes                                  []string
}

func newOP(t *testing.T) *op {
	o := &op{t: t, subject: "anna", lifetime: 3600, tokens: map[string]opToken{}, pushed: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		methods := []string{"S256"}
		if o.noS256 {
			methods = []string{"plain"}
		}
		json.NewEncoder(w).Encode(map[string]any{
			"issuer": o.URL, "authorization_endpoint": o.URL + "/auth", "token_endpoint": o.URL + "/token", "revocation_endpoint": o.URL + "/revoke",
			"device_authorization_endpoint": o.URL + "/device", "pushed_authorization_request_endpoint": o.URL + "/par",
			"authorization_response_iss_parameter_supported": true, "code_challenge_methods_supported": methods,
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
		})
	})
	mux.HandleFunc("POST /par", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		if !o.client(w, r) {
			return
		}
		uri := o.mint("urn:par")
		o.mu.Lock()
		o.pushed[uri] = r.PostForm
		o.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"request_uri":%q,"expires_in":60}`, uri)
	})
	mux.HandleFunc("GET /auth", o.authorize)
	mux.HandleFunc("POST /device", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		code := o.give(opToken{kind: "device", subject: o.subject, scopes: strings.Fields(r.PostForm.Get("scope"))})
		fmt.Fprintf(w, `{"device_code":%q,"user_code":"ABCD-EFGH","verification_uri":%q,"expires_in":600,"interval":1}`, code, o.URL+"/code")
	})
	mux.HandleFunc("POST /token", o.token)
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.tokens, r.FormValue("token"))
	})
	mux.HandleFunc("POST /apps/{id}/token/scoped", o.scoped)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		t, ok := o.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		if !ok || t.kind != "access" {
			http.Error(w, `{}`, http.StatusUnauthorized)
			return
		}
		o.served = append(o.served, t)
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprintf(w, `{"id":%q,"login":%q,"path":%q}`, t.subject, t.subject, r.URL.Path)
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

func (o *op) mint(prefix string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	return fmt.Sprintf("%s-canary-%d", prefix, o.n)
}

func (o *op) give(t opToken) string {
	name := o.mint(t.kind)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens[name] = t
	return name
}

func (o *op) client(w http.ResponseWriter, r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != "id" || secret != "client-secret-canary" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client"}`)
		return false
	}
	return true
}

func (o *op) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if uri := q.Get("request_uri"); uri != "" {
		o.mu.Lock()
		pushed, ok := o.pushed[uri]
		delete(o.pushed, uri)
		o.mu.Unlock()
		if !ok {
			http.Error(w, "request_uri used", http.StatusBadRequest)
			return
		}
		q = pushed
	}
	scopes := strings.Fields(q.Get("scope"))
	if o.gives != nil {
		scopes = o.gives
	}
	code := o.give(opToken{kind: "code", subject: o.subject, scopes: scopes, challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri")})
	back := url.Values{"state": {q.Get("state")}, "code": {code}, "iss": {o.URL}}
	if o.iss == "-" {
		back.Del("iss")
	} else if o.iss != "" {
		back.Set("iss", o.iss)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (o *op) token(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	f := r.PostForm
	o.mu.Lock()
	o.asked = append(o.asked, f)
	o.mu.Unlock()
	if !o.client(w, r) {
		return
	}
	refuse := func(code string) { w.WriteHeader(http.StatusBadRequest); fmt.Fprintf(w, `{"error":%q}`, code) }
	take := func(name string, once bool) (opToken, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		t, ok := o.tokens[name]
		if once {
			delete(o.tokens, name)
		}
		return t, ok
	}
	switch f.Get("grant_type") {
	case "authorization_code":
		t, ok := take(f.Get("code"), true)
		sum := sha256.Sum256([]byte(f.Get("code_verifier")))
		if !ok || t.redirect != f.Get("redirect_uri") || t.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			refuse("invalid_grant")
			return
		}
		o.answer(w, t, "code", true)
	case "refresh_token":
		t, ok := take(f.Get("refresh_token"), !o.narrows)
		if !ok || t.kind != "refresh" {
			refuse("invalid_grant")
			return
		}
		if less := strings.Fields(f.Get("scope")); len(less) > 0 && o.narrows {
			t.scopes = less
		}
		o.answer(w, t, "refresh", !o.narrows)
	case "urn:ietf:params:oauth:grant-type:device_code":
		t, ok := take(f.Get("device_code"), o.approved && o.slow == 0)
		switch {
		case !ok:
			refuse("expired_token")
		case o.slow > 0:
			o.slow--
			refuse("slow_down")
		case !o.approved:
			refuse("authorization_pending")
		default:
			o.answer(w, t, "device", true)
		}
	case "urn:ietf:params:oauth:grant-type:token-exchange":
		t, ok := take(f.Get("subject_token"), false)
		if f.Get("subject_token_type") == "urn:ietf:params:oauth:token-type:id_token" {
			t, ok = opToken{subject: subjectOf(f.Get("subject_token"))}, true
		}
		if !ok {
			refuse("invalid_request")
			return
		}
		if f.Get("audience") == "forbidden" {
			refuse("invalid_target")
			return
		}
		kind, issued := "access", "urn:ietf:params:oauth:token-type:access_token"
		if f.Get("requested_token_type") == "urn:ietf:params:oauth:token-type:id-jag" {
			kind, issued = "jag", f.Get("requested_token_type")
		}
		name := o.give(opToken{kind: kind, subject: t.subject, via: "exchange", scopes: strings.Fields(f.Get("scope"))})
		fmt.Fprintf(w, `{"access_token":%q,"issued_token_type":%q,"token_type":"N_A","expires_in":300}`, name, issued)
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		t, ok := take(f.Get("assertion"), true)
		if !ok || t.kind != "jag" {
			refuse("invalid_grant")
			return
		}
		name := o.give(opToken{kind: "access", subject: t.subject, via: "jag", scopes: t.scopes})
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":300}`, name)
	default:
		refuse("unsupported_grant_type")
	}
}

// answer gives a pair of tokens and an ID token.
func (o *op) answer(w http.ResponseWriter, t opToken, via string, refresh bool) {
	access := o.give(opToken{kind: "access", subject: t.subject, scopes: t.scopes, via: via})
	a := map[string]any{"access_token": access, "token_type": "Bearer", "scope": strings.Join(t.scopes, " "), "id_token": o.idToken(t.subject)}
	if o.lifetime > 0 {
		a["expires_in"] = o.lifetime
	}
	if refresh {
		a["refresh_token"] = o.give(opToken{kind: "refresh", subject: t.subject, scopes: t.scopes})
	}
	json.NewEncoder(w).Encode(a)
}

func (o *op) idToken(subject string) string {
	claims := map[string]any{"iss": o.URL, "aud": "id", "sub": "sub-" + subject, "email": subject + "@example.com", "exp": time.Now().Add(time.Hour).Unix()}
	if o.claims != nil {
		o.claims(claims)
	}
	payload, _ := json.Marshal(claims)
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
}

func subjectOf(idToken string) string {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(idToken, ".")[1])
	var c struct{ Sub string }
	json.Unmarshal(payload, &c)
	return strings.TrimPrefix(c.Sub, "sub-")
}

// scoped is GitHub's endpoint for narrower tokens of an app.
func (o *op) scoped(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	var in struct {
		Access       string            `json:"access_token"`
		Target       string            `json:"target"`
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	json.NewDecoder(r.Body).Decode(&in)
	o.mu.Lock()
	t, ok := o.tokens[in.Access]
	o.mu.Unlock()
	if id != "id" || secret != "client-secret-canary" || !ok || !o.narrows {
		http.Error(w, `{}`, http.StatusNotFound)
		return
	}
	scopes := []string{in.Target + "/" + strings.Join(in.Repositories, ",")}
	for p, level := range in.Permissions {
		scopes = append(scopes, p+":"+level)
	}
	token := o.give(opToken{kind: "access", subject: t.subject, via: "scoped", scopes: scopes})
	json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_at": time.Now().Add(8 * time.Hour), "installation": map[string]any{"permissions": in.Permissions}})
}

// company is a provider as a configuration would declare it.
func (o *op) company() vault.Provider {
	return vault.Provider{
		Name: "corp", Title: "Corp", APIURL: o.URL + "/api", Discover: true, BaseScopes: []string{"openid"},
		OAuth:    vault.Server{Issuer: o.URL, ClientID: "id", ClientSecret: vault.NewSecret("client-secret-canary"), PKCE: true},
		Identity: vault.Identity{IDToken: true, Subject: []string{"sub"}, Name: []string{"email", "sub"}, Any: true},
		Reads:    []string{"GET /me", "GET /things/{id}", "GET /repos/{owner}/{repo}/issues"}, Writes: []string{"POST /things"},
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

// bank opens a vault with the given providers, all of this op.
func (o *op) bank(providers ...vault.Provider) *bank {
	return openWith(o.t, providers...)
}

// connect walks the browser through the provider's pages and back.
func (o *op) connect(b *bank, w vault.Wish) (vault.Connected, error) {
	to, err := b.Begin(ctx, b.me, w)
	if err != nil {
		return vault.Connected{}, err
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Get(to)
	if err != nil {
		o.t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		o.t.Fatalf("the provider answered %d", resp.StatusCode)
	}
	return b.Finish(ctx, b.me, w.Provider, back.Query())
}

func (o *op) must(b *bank, w vault.Wish) vault.Connected {
	o.t.Helper()
	c, err := o.connect(b, w)
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

// read makes one request and returns the token the API saw.
func (o *op) read(b *bank, provider, path string, scopes ...string) (opToken, *vault.Lease) {
	o.t.Helper()
	l, err := b.Lease(ctx, b.me, provider, scopes, "")
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := l.Read(ctx, path); err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.served[len(o.served)-1], l
}

// count is how many token requests of a grant type there were.
func (o *op) count(grant string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.asked {
		if f.Get("grant_type") == grant {
			n++
		}
	}
	return n
}

func has(scopes []string, want ...string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(scopes, w) })
}

// log is the whole audit log as text.
func (b *bank) log() string {
	var s strings.Builder
	b.store.View(func(tx store.Tx) error {
		return audit.Each(tx, func(line json.RawMessage) error { s.Write(line); s.WriteByte('\n'); return nil })
	})
	return s.String()
}

// used writes what the guard writes for n answered calls.
func (b *bank) used(tool, account string, n int) {
	log := &audit.Log{Key: []byte("k")}
	for range n {
		err := b.store.Update(func(tx store.Tx) error {
			return log.Append(tx, audit.Line{Event: "answer", User: "anna", Tool: tool, Account: account})
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// rows, putRows and deleteRows are somebody with a copy of the store.
func (b *bank) rows(prefix string) map[string][]byte {
	all := map[string][]byte{}
	b.store.View(func(tx store.Tx) error {
		from, to := store.Prefix([]byte(prefix))
		return tx.Scan(from, to, func(k, v []byte) error { all[string(k)] = slices.Clone(v); return nil })
	})
	return all
}

func (b *bank) putRows(all map[string][]byte) {
	b.store.Update(func(tx store.Tx) error {
		for k, v := range all {
			if err := tx.Put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bank) deleteRows(prefix string) {
	all := b.rows(prefix)
	b.store.Update(func(tx store.Tx) error {
		for k := range all {
			if err := tx.Delete([]byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
}
