package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"deputy/internal/access"
)

var ctx = context.Background()

const here = "https://deputy.example/mcp"

// issuer is an authorization server of somebody else's.
type issuer struct {
	*httptest.Server
	key    *ecdsa.PrivateKey
	keys   atomic.Value // []jose.JSONWebKey
	asked  atomic.Int32 // how often for keys
	down   atomic.Bool
	broken atomic.Value // what it answers instead of keys
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.keys.Store([]jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}})
	i.broken.Store("")
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case i.down.Load():
			http.Error(w, "down", http.StatusServiceUnavailable)
		case r.URL.Path == "/.well-known/openid-configuration":
			json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"})
		case r.URL.Path == "/jwks":
			i.asked.Add(1)
			if b := i.broken.Load().(string); b != "" {
				w.Write([]byte(b))
				return
			}
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys.Load().([]jose.JSONWebKey)})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) verifier(t testing.TB) access.JWT {
	t.Helper()
	keys, err := access.NewIssuerKeys(i.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return access.JWT{Issuer: i.URL, Audience: here, Keys: keys}
}

func (i *issuer) claims() map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": i.URL, "sub": "anna-1", "aud": here, "client_id": "https://client.example/meta", "jti": "t1",
		"scope": "gmail.read github.read", "iat": now, "exp": now + 600, "auth_time": now - 60, "acr": "mfa",
	}
}

func with(c map[string]any, name string, v any) map[string]any {
	c = maps.Clone(c)
	if c[name] = v; v == nil {
		delete(c, name)
	}
	return c
}

func sign(t testing.TB, key any, alg jose.SignatureAlgorithm, head map[jose.HeaderKey]any, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &jose.SignerOptions{ExtraHeaders: head})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var head = map[jose.HeaderKey]any{"typ": "at+jwt", "kid": "k1"}

func (i *issuer) token(t testing.TB, claims map[string]any) string {
	return sign(t, i.key, jose.ES256, head, claims)
}

func TestAGoodToken(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	got, err := v.Verify(ctx, i.token(t, i.claims()))
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "anna-1" || got.Client != "https://client.example/meta" || got.ACR != "mfa" || got.ID != "t1" || got.Issuer != i.URL ||
		time.Since(got.AuthTime).Round(time.Minute) != time.Minute || !cmp.Equal(got.Scopes, []string{"github.read", "gmail.read"}) {
		t.Errorf("%+v", got)
	}
	for _, c := range []map[string]any{
		with(i.claims(), "aud", []string{here}), with(i.claims(), "scope", nil), with(i.claims(), "auth_time", nil),
		with(i.claims(), "iat", time.Now().Add(50*time.Second).Unix()),
	} {
		if _, err := v.Verify(ctx, i.token(t, c)); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	if i.asked.Load() != 1 {
		t.Errorf("keys were read %d times", i.asked.Load())
	}
}

// A token for somebody else, or of somebody else, opens nothing.
func TestClaims(t *testing.T) { // T10, T11, T14
	i := newIssuer(t)
	v := i.verifier(t)
	base := i.claims()
	for name, c := range map[string]map[string]any{
		"another audience":     with(base, "aud", "https://mail.google.com/"),
		"one audience more":    with(base, "aud", []string{here, "https://other.example"}),
		"a prefix":             with(base, "aud", "https://deputy.example"),
		"a slash more":         with(base, "aud", here+"/"),
		"other case":           with(base, "aud", "https://Deputy.example/mcp"),
		"a port":               with(base, "aud", "https://deputy.example:443/mcp"),
		"no audience":          with(base, "aud", nil),
		"an empty list":        with(base, "aud", []string{}),
		"audience as a number": with(base, "aud", 7),
		"another issuer":       with(base, "iss", "https://evil.example"),
		"no issuer":            with(base, "iss", nil),
		"over":                 with(base, "exp", time.Now().Add(-2*time.Minute).Unix()),
		"no end":               with(base, "exp", nil),
		"an end as a text":     with(base, "exp", "never"),
		"not begun":            with(base, "nbf", time.Now().Add(5*time.Minute).Unix()),
		"made in the future":   with(base, "iat", time.Now().Add(5*time.Minute).Unix()),
		"signed in later":      with(base, "auth_time", time.Now().Add(5*time.Minute).Unix()),
		"nobody":               with(base, "sub", nil),
		"no client":            with(base, "client_id", nil),
		"bound to a key":       with(base, "cnf", map[string]any{"jkt": "x"}), // T17
		"a long name":          with(base, "sub", strings.Repeat("x", 300)),
	} {
		if a, err := v.Verify(ctx, i.token(t, c)); !errors.Is(err, access.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	for name, typ := range map[string]any{"an ID token": "JWT", "no typ": nil, "an ID-JAG": "oauth-id-jag+jwt", "logout": "logout+jwt"} {
		h := map[jose.HeaderKey]any{"kid": "k1"}
		if typ != nil {
			h["typ"] = typ
		}
		if _, err := v.Verify(ctx, sign(t, i.key, jose.ES256, h, base)); !errors.Is(err, access.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "ya29.a0Af", "xoxp-1", "gho_x", "a.b.c", "..", strings.Repeat("x", 1<<20)} {
		if _, err := v.Verify(ctx, text); !errors.Is(err, access.ErrInvalid) || len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// Keys come from the issuer alone, and algorithms from us.
func TestSignatures(t *testing.T) { // T12
	i := newIssuer(t)
	v := i.verifier(t)
	fetched := atomic.Int32{}
	lure := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer lure.Close()
	mine, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	mineRSA, _ := rsa.GenerateKey(rand.Reader, 2048)
	b64 := base64.RawURLEncoding.EncodeToString
	payload, _ := json.Marshal(i.claims())
	none := b64([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + b64(payload) + "."
	public, _ := json.Marshal(jose.JSONWebKey{Key: i.key.Public(), KeyID: "k1"})
	hs := b64([]byte(`{"alg":"HS256","typ":"at+jwt","kid":"k1"}`)) + "." + b64(payload)
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(hs))
	good := i.token(t, i.claims())
	cut := good[:strings.LastIndexByte(good, '.')+1]
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: mine}, &jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"typ": "at+jwt"}})
	if err != nil {
		t.Fatal(err)
	}
	own, _ := embedded.Sign(payload)
	ownText, _ := own.CompactSerialize()
	extra := func(name jose.HeaderKey, v any) map[jose.HeaderKey]any {
		h := maps.Clone(head)
		h[name] = v
		return h
	}
	for name, text := range map[string]string{
		"alg none":                  none,
		"HS256 with the public key": hs + "." + b64(mac.Sum(nil)),
		"r and s are 0":             cut + b64(make([]byte, 64)),
		"no signature":              cut,
		"another's key":             sign(t, mine, jose.ES256, head, i.claims()),
		"another kind of key":       sign(t, mineRSA, jose.RS256, head, i.claims()),
		"a key in the header":       ownText,
		"jku":                       sign(t, i.key, jose.ES256, extra("jku", lure.URL), i.claims()),
		"x5u":                       sign(t, i.key, jose.ES256, extra("x5u", lure.URL), i.claims()),
		"x5c":                       sign(t, i.key, jose.ES256, extra("x5c", []string{"MII"}), i.claims()),
		"a changed payload":         strings.Replace(good, "."+strings.Split(good, ".")[1], "."+b64([]byte(strings.Replace(string(payload), "anna-1", "bo-1", 1))), 1),
		"two signatures, JSON":      `{"payload":"","signatures":[]}`,
		"encrypted":                 "a.b.c.d.e",
	} {
		if a, err := v.Verify(ctx, text); !errors.Is(err, access.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if fetched.Load() != 0 {
		t.Error("an address in a token was asked")
	}
}

// A flood of unknown key ids is one request to the issuer in thirty seconds.
func TestUnknownKeys(t *testing.T) { // T13
	i := newIssuer(t)
	v := i.verifier(t)
	for n := range 200 {
		for _, kid := range []string{"../../etc/passwd", "' OR 1=1 --", fmt.Sprint("unknown", n), strings.Repeat("k", 10<<10), "\x00"} {
			h := map[jose.HeaderKey]any{"typ": "at+jwt", "kid": kid}
			if _, err := v.Verify(ctx, sign(t, i.key, jose.ES256, h, i.claims())); !errors.Is(err, access.ErrInvalid) {
				t.Fatalf("%.20q: %v", kid, err)
			}
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// fakeIssuer answers without a network, so that time can stand still.
type fakeIssuer struct {
	keys  jose.JSONWebKeySet
	asked int
	down  bool
	big   bool
}

func (f *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.down {
		return nil, errors.New("down")
	}
	w := httptest.NewRecorder()
	if strings.HasSuffix(r.URL.Path, "/jwks") {
		f.asked++
		if f.big {
			w.WriteString(strings.Repeat(" ", 1<<20))
		}
		json.NewEncoder(w).Encode(f.keys)
	} else {
		json.NewEncoder(w).Encode(map[string]string{"issuer": "https://idp.example", "jwks_uri": "https://idp.example/jwks"})
	}
	return w.Result(), nil
}

// Keys change, issuers fall silent: what was read is used for an hour at most.
func TestKeysOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		two, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		f := &fakeIssuer{keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: one.Public(), KeyID: "one"}}}}
		keys, err := access.NewIssuerKeys("https://idp.example", f)
		if err != nil {
			t.Fatal(err)
		}
		has := func(id string) bool {
			k, err := keys.Key(ctx, id)
			if err != nil && !errors.Is(err, access.ErrSilent) {
				t.Fatal(err)
			}
			return k != nil
		}
		if !has("one") || has("two") {
			t.Fatal("before the change")
		}
		f.keys.Keys = append(f.keys.Keys, jose.JSONWebKey{Key: two.Public(), KeyID: "two"}, jose.JSONWebKey{Key: []byte("a secret of somebody"), KeyID: "three"})
		time.Sleep(31 * time.Second)
		if !has("two") || has("three") || f.asked != 2 {
			t.Errorf("after the change: asked %d times", f.asked)
		}
		f.keys.Keys = f.keys.Keys[1:2]
		time.Sleep(11 * time.Minute)
		if has("one") || !has("two") {
			t.Error("a key that was withdrawn is good")
		}
		f.down = true
		time.Sleep(30 * time.Minute)
		if !has("two") {
			t.Error("a silent issuer shuts everybody out at once")
		}
		time.Sleep(31 * time.Minute)
		if k, err := keys.Key(ctx, "two"); k != nil || !errors.Is(err, access.ErrSilent) {
			t.Errorf("an issuer that was silent for an hour: %v, %v", k, err)
		}
		f.down = false
		time.Sleep(6 * time.Second)
		if !has("two") {
			t.Error("the issuer is back")
		}
		f.big = true
		time.Sleep(11 * time.Minute)
		if !has("two") {
			t.Error("an answer too large took the keys away")
		}
	})
}

func TestIssuersThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "idp.example", "http://idp.example", "https://u:p@idp.example", "https://idp.example?x=1", "ftp://idp.example"} {
		if _, err := access.NewIssuerKeys(bad, nil); err == nil {
			t.Errorf("%q is an issuer", bad)
		}
	}
	i := newIssuer(t)
	i.broken.Store(`{"keys": "x"}`)
	if _, err := i.verifier(t).Verify(ctx, i.token(t, i.claims())); !errors.Is(err, access.ErrSilent) {
		t.Errorf("no keys: %v", err)
	}
	i.down.Store(true)
	if _, err := i.verifier(t).Verify(ctx, i.token(t, i.claims())); !errors.Is(err, access.ErrSilent) {
		t.Errorf("down: %v", err)
	}
}

func TestIntrospection(t *testing.T) {
	var said any
	status := 200
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "deputy" || secret != "s%2Fcret" || r.FormValue("token") != "opaque-canary" {
			t.Errorf("asked by %s %s about %q", id, secret, r.FormValue("token"))
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(said)
	}))
	defer srv.Close()
	v := access.Introspection{URL: srv.URL, Issuer: "https://idp.example", Audience: here, ClientID: "deputy", ClientSecret: func() (string, error) { return "s/cret", nil }}
	good := map[string]any{"active": true, "sub": "anna-1", "client_id": "c", "aud": here, "scope": "gmail.read", "exp": time.Now().Add(time.Minute).Unix()}
	said = good
	a, err := v.Verify(ctx, "opaque-canary")
	if err != nil || a.Subject != "anna-1" || a.Issuer != "https://idp.example" || !cmp.Equal(a.Scopes, []string{"gmail.read"}) {
		t.Errorf("%+v, %v", a, err)
	}
	for name, c := range map[string]map[string]any{
		"inactive":       with(good, "active", false),
		"active as text": with(good, "active", "true"),
		"no audience":    with(good, "aud", nil),
		"another":        with(good, "aud", "https://other.example"),
		"another issuer": with(good, "iss", "https://evil.example"),
		"over":           with(good, "exp", 1),
		"no end":         with(good, "exp", nil),
		"a refresh":      with(good, "token_type", "refresh_token"),
		"bound":          with(good, "cnf", map[string]any{"jkt": "x"}),
	} {
		said = c
		if a, err := v.Verify(ctx, "opaque-canary"); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	said, status = good, 500
	if _, err := v.Verify(ctx, "opaque-canary"); !errors.Is(err, access.ErrSilent) {
		t.Errorf("500: %v", err)
	}
	srv.Close()
	if _, err := v.Verify(ctx, "opaque-canary"); !errors.Is(err, access.ErrSilent) || strings.Contains(err.Error(), "canary") {
		t.Errorf("gone: %v", err)
	}
}

func TestChallenges(t *testing.T) {
	public, _ := url.Parse("https://deputy.example")
	r := access.Resource{Public: public, Servers: []string{"https://deputy.example"}, Scopes: []string{"gmail.read", "gmail.write"}, First: []string{"gmail.read"}}
	const meta = `, resource_metadata="https://deputy.example/.well-known/oauth-protected-resource/mcp"`
	for _, c := range []struct {
		lack   access.Lack
		status int
		want   string
	}{
		{r.NoToken(), 401, `Bearer realm="deputy", scope="gmail.read"` + meta},
		{r.BadToken(), 401, `Bearer realm="deputy", error="invalid_token", error_description="the token is not good here: get a new one", scope="gmail.read"` + meta},
		{r.Insufficient([]string{"gmail.read"}, []string{"gmail.write", "gmail.read"}), 403, `Bearer realm="deputy", error="insufficient_scope", error_description="the call takes a scope that the token lacks", scope="gmail.read gmail.write"` + meta},
		{r.Stale([]string{"mfa", "x\"y\r\n"}, 5*time.Minute), 401, `Bearer realm="deputy", error="insufficient_user_authentication", error_description="the person has to sign in again, or in a stronger way", acr_values="mfa xy", max_age="300"` + meta},
	} {
		w := httptest.NewRecorder()
		r.Write(w, c.lack)
		if got := w.Header().Get("WWW-Authenticate"); w.Code != c.status || got != c.want {
			t.Errorf("%d %s\nwant %d %s", w.Code, got, c.status, c.want)
		}
		if w.Header().Get("Cache-Control") != "no-store" || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%v %s", w.Header(), w.Body)
		}
	}
	mux := http.NewServeMux()
	r.Routes(mux)
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatalf("%d %v", w.Code, err)
		}
		want := map[string]any{
			"resource": "https://deputy.example/mcp", "authorization_servers": []any{"https://deputy.example"},
			"scopes_supported": []any{"gmail.read", "gmail.write"}, "bearer_methods_supported": []any{"header"}, "resource_name": "deputy",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func FuzzJWT(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier(f)
	f.Add(i.token(f, i.claims()))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	good := i.token(f, i.claims())
	f.Fuzz(func(t *testing.T, text string) {
		a, err := v.Verify(ctx, text)
		if err == nil && text != good && a.Subject == "" {
			t.Errorf("%q is good", text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b)
	v := i.verifier(b)
	text := i.token(b, i.claims())
	for b.Loop() {
		if _, err := v.Verify(ctx, text); err != nil {
			b.Fatal(err)
		}
	}
}
