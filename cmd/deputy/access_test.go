package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// company is an identity provider: people sign in there, and it makes access
// tokens for deputy.
type company struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	nonces map[string]string // by code
}

func newCompany(t *testing.T) *company {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &company{t: t, key: key, nonces: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"issuer": c.URL, "authorization_endpoint": c.URL + "/auth", "token_endpoint": c.URL + "/token", "jwks_uri": c.URL + "/jwks",
			"id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		code := rand.Text()
		c.mu.Lock()
		c.nonces[code] = q.Get("nonce")
		c.mu.Unlock()
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		nonce := c.nonces[r.FormValue("code")]
		c.mu.Unlock()
		now := time.Now().Unix()
		id := c.sign("JWT", map[string]any{"iss": c.URL, "sub": "employee-7", "aud": "deputy", "nonce": nonce, "iat": now, "exp": now + 300, "auth_time": now})
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": id})
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *company) sign(typ string, claims map[string]any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": typ, "kid": "k"}})
	if err != nil {
		c.t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := s.Sign(payload)
	if err != nil {
		c.t.Fatal(err)
	}
	text, _ := signed.CompactSerialize()
	return text
}

// token is an access token for a deputy, changed by pairs of claims.
func (c *company) token(h *house, change ...any) string {
	now := time.Now().Unix()
	claims := map[string]any{"iss": c.URL, "sub": "employee-7", "aud": h.url + "/mcp", "client_id": "assistant", "scope": "github.read",
		"iat": now, "exp": now + 300, "auth_time": now - 30, "acr": "mfa"}
	for i := 0; i < len(change); i += 2 {
		claims[change[i].(string)] = change[i+1]
	}
	return c.sign("at+jwt", claims)
}

// mcp sends one request with a token.
func (h *house) mcp(token, method, params string) (status int, challenge, body string) {
	h.t.Helper()
	req, _ := http.NewRequest("POST", h.url+"/mcp", strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(text)
}

// TestTokensOfAnIssuerOfOnesOwn: a client with the company's token for this
// deputy, of a person who has signed in here with the company's account, does
// what the token's scopes cover, and hears what it lacks otherwise.
func TestTokensOfAnIssuerOfOnesOwn(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	h := newHouse(t, fmt.Sprintf("login: {issuer: %q, client_id: deputy, allow: [\"sub:employee-7\"]}\naccess: {issuer: %q, max_age: 1h, acr_values: [mfa]}", c.URL, c.URL))
	const list, write = "tools/list", `{"name":"github_issue_write","arguments":{"method":"create","owner":"octo-anna","repo":"harbor","title":"hi"}}`

	status, challenge, _ := h.mcp("", list, "{}")
	if status != 401 || !strings.Contains(challenge, `resource_metadata="`+h.url+`/.well-known/oauth-protected-resource/mcp"`) || strings.Contains(challenge, "error=") || !strings.Contains(challenge, `github.read github.write`) {
		t.Errorf("nobody: %d %s", status, challenge)
	}
	resp, err := http.Get(h.url + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		t.Fatal(err)
	}
	var meta struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	json.NewDecoder(resp.Body).Decode(&meta)
	resp.Body.Close()
	if meta.Resource != h.url+"/mcp" || len(meta.Servers) != 1 || meta.Servers[0] != c.URL || !strings.Contains(strings.Join(meta.Scopes, " "), "github.write") {
		t.Errorf("%+v", meta)
	}

	// A stranger to deputy is nobody, however good the token is.
	if status, _, _ := h.mcp(c.token(h), list, "{}"); status != 401 {
		t.Errorf("an account that nobody has linked: %d", status)
	}
	// The person links the account: with a session here, and one there.
	s := h.surfer()
	s.withLink("approvals", "open")
	page, at, status := s.post("/profile/accounts", "provider", "oidc")
	away := regexp.MustCompile(`href="(http[^"]+)"`).FindStringSubmatch(page)
	if status != 200 || away == nil {
		t.Fatalf("linking: %d at %s: %.500s", status, at, page)
	}
	if page, at, status := s.read(s.Get(html.UnescapeString(away[1]))); status != 200 || at != "/profile" {
		t.Fatalf("linking: %d at %s: %.500s", status, at, page)
	}

	reader, err := connectClient(h.url+"/mcp", c.token(h))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := reader.do(list, map[string]any{}); err != nil || !strings.Contains(r.raw, "github_issue_write") {
		t.Errorf("the list: %v %.300s", err, r.raw)
	}
	if r, err := reader.call("github_list_issues", map[string]any{"owner": "octo-anna", "repo": "harbor"}); err != nil || !strings.Contains(string(r.Result.StructuredContent), `"items":[{`) {
		t.Errorf("a read: %v %.300s", err, r.raw)
	}
	status, challenge, _ = h.mcp(c.token(h), "tools/call", write)
	if status != 403 || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="github.read github.write"`) || !strings.Contains(challenge, "resource_metadata=") {
		t.Errorf("a write without the scope: %d %s", status, challenge)
	}
	writer, err := connectClient(h.url+"/mcp", c.token(h, "scope", "github.write"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := writer.call("github_issue_write", map[string]any{"method": "create", "owner": "octo-anna", "repo": "harbor", "title": "hi"}); err != nil || !strings.Contains(r.raw, "approval_required") {
		t.Errorf("a write with the scope: %v %.300s", err, r.raw)
	}
	if n := h.github.Writes(); len(n) != 0 {
		t.Errorf("written: %v", n)
	}

	// T10, T11, T14, T44, T45: what opens nothing.
	for name, token := range map[string]string{
		"for another server": c.token(h, "aud", "https://other.example/mcp"),
		"for one more":       c.token(h, "aud", []string{h.url + "/mcp", "https://other.example"}),
		"another person":     c.token(h, "sub", "employee-8"),
		"by address":         c.token(h, "sub", "anna", "email", "anna@example.com"),
		"over":               c.token(h, "exp", time.Now().Add(-time.Hour).Unix()),
		"as our own program": c.token(h, "client_id", "stdio"),
		"an ID token":        c.sign("JWT", map[string]any{"iss": c.URL, "sub": "employee-7", "aud": "deputy", "exp": time.Now().Add(time.Hour).Unix()}),
		"a provider's":       "ya29.canary",
	} {
		if status, challenge, body := h.mcp(token, list, "{}"); status != 401 || !strings.Contains(challenge, `error="invalid_token"`) || strings.Contains(challenge+body, token) {
			t.Errorf("%s: %d %s", name, status, challenge)
		}
	}
	for name, token := range map[string]string{
		"signed in long ago": c.token(h, "auth_time", time.Now().Add(-2*time.Hour).Unix()),
		"does not say when":  c.token(h, "auth_time", nil),
		"signed in weakly":   c.token(h, "acr", "pwd"),
		"does not say how":   c.token(h, "acr", nil),
	} {
		status, challenge, _ := h.mcp(token, list, "{}")
		if status != 401 || !strings.Contains(challenge, `error="insufficient_user_authentication"`) || !strings.Contains(challenge, `acr_values="mfa", max_age="3600"`) {
			t.Errorf("%s: %d %s", name, status, challenge)
		}
	}
	// The local bearer still opens everything.
	if _, err := h.client.call("github_list_issues", map[string]any{"owner": "octo-anna", "repo": "harbor"}); err != nil {
		t.Error(err)
	}
	if _, err := h.order("users", "disable", "anna"); err == nil {
		t.Error("the owner was disabled")
	}
}
