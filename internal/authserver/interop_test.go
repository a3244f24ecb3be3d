package authserver_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/mark3labs/mcp-go/client/transport"
	"golang.org/x/oauth2"

	"deputy/internal/authserver"
)

// TestMetadata: both documents say the same, and what they say is there.
func TestMetadata(t *testing.T) {
	o := newOffice(t, func(c *authserver.Config) {
		c.Grants = map[string]http.Handler{"urn:example:exchange": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "exchanged "+r.PostForm.Get("client_id"))
		})}
	})
	b := o.browser("")
	a := b.get("/.well-known/oauth-authorization-server")
	if c := b.get("/.well-known/openid-configuration"); a.text != c.text || a.StatusCode != 200 {
		t.Errorf("they differ: %s and %s", a.text, c.text)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(a.text), &m); err != nil {
		t.Fatal(err)
	}
	if m["issuer"] != issuer || m["authorization_response_iss_parameter_supported"] != true || m["client_id_metadata_document_supported"] != true || m["registration_endpoint"] != nil {
		t.Errorf("%v", m)
	}
	for name, at := range m {
		address, ok := at.(string)
		if !ok || !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		path := strings.TrimPrefix(address, issuer)
		method := "POST"
		if name == "jwks_uri" || name == "authorization_endpoint" {
			method = "GET"
		}
		if _, pattern := o.mux.Handler(mustRequest(t, method, address)); pattern == "" {
			t.Errorf("%s: nothing is served at %s", name, path)
		}
	}
	for _, g := range m["grant_types_supported"].([]any) {
		if s := o.call("/oauth/token", form("grant_type", g.(string), "client_id", "app")); s.Error == "unsupported_grant_type" {
			t.Errorf("%s is announced and not there", g)
		}
	}
	if s := o.call("/oauth/token", form("grant_type", "urn:example:exchange", "client_id", "theirs")); s.raw != "exchanged theirs" {
		t.Errorf("the delegated grant: %s", s.raw)
	}
	registering := newOffice(t, func(c *authserver.Config) { c.Register = true })
	if p := registering.browser("").get("/.well-known/oauth-authorization-server"); !strings.Contains(p.text, `"registration_endpoint"`) {
		t.Errorf("%s", p.text)
	}
}

func mustRequest(t *testing.T, method, address string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGoOIDCAndOAuth2 run the whole code flow as clients that others wrote.
func TestGoOIDCAndOAuth2(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: o})
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{ClientID: "app", RedirectURL: site, Scopes: []string{"gmail.read"}, Endpoint: provider.Endpoint()}
	verifier := oauth2.GenerateVerifier()
	at := config.AuthCodeURL("xyz", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("resource", resource))
	q := anna.allow(strings.TrimPrefix(at, issuer)).to(t, site)
	if q.Get("state") != "xyz" || q.Get("iss") != issuer {
		t.Fatalf("%v", q)
	}
	token, err := config.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	// The keys that are published verify what was signed, for a checker that
	// knows nothing else of us.
	checked, err := provider.Verifier(&oidc.Config{ClientID: resource}).Verify(ctx, token.AccessToken)
	if err != nil || checked.Subject != "anna" {
		t.Errorf("%+v %v", checked, err)
	}
	next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil || next.RefreshToken == token.RefreshToken || !o.valid(next.AccessToken) {
		t.Errorf("%v", err)
	}
}

// TestOAuth2Device runs the device flow as a client that others wrote.
func TestOAuth2Device(t *testing.T) {
	o := newOffice(t)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: o})
	config := oauth2.Config{ClientID: "tv", Endpoint: oauth2.Endpoint{DeviceAuthURL: issuer + "/oauth/device", TokenURL: issuer + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	d, err := config.DeviceAuth(ctx, oauth2.SetAuthURLParam("resource", resource))
	if err != nil {
		t.Fatal(err)
	}
	anna := o.browser("anna")
	anna.post("/device", form("handle", anna.post("/device", form("user_code", d.UserCode)).handle(t), "decision", "allow"))
	d.Interval = 1
	token, err := config.DeviceAccessToken(ctx, d)
	if err != nil || !o.valid(token.AccessToken) {
		t.Errorf("%v", err)
	}
}

// allow follows a link and allows what is asked there.
func (b *browser) allow(path string) page {
	b.o.Helper()
	p := b.get(path)
	return b.post("/oauth/authorize", form("handle", p.handle(b.o), "decision", "allow"))
}

// TestMCPGoClient: mcp-go's client finds us from the resource's metadata, asks
// with PKCE and resource, redeems and refreshes.
func TestMCPGoClient(t *testing.T) {
	o := newOffice(t)
	o.mux.HandleFunc("GET /.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"resource": resource, "authorization_servers": []string{issuer}})
	})
	h := transport.NewOAuthHandler(transport.OAuthConfig{
		ClientID: "desk", RedirectURI: "http://127.0.0.1:8123/callback", Scopes: []string{"gmail.read", "slack.read"}, PKCEEnabled: true,
		TokenStore: transport.NewMemoryTokenStore(), HTTPClient: &http.Client{Transport: o},
		ProtectedResourceMetadataURL: issuer + "/.well-known/oauth-protected-resource/mcp",
	})
	h.SetBaseURL(resource)
	m, err := h.GetServerMetadata(t.Context())
	if err != nil || m.Issuer != issuer || !slices.Contains(m.CodeChallengeMethodsSupported, "S256") {
		t.Fatalf("%+v %v", m, err)
	}
	verifier, err := transport.GenerateCodeVerifier()
	if err != nil {
		t.Fatal(err)
	}
	state, err := transport.GenerateState()
	if err != nil {
		t.Fatal(err)
	}
	at, err := h.GetAuthorizationURL(t.Context(), state, transport.GenerateCodeChallenge(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if u, _ := url.Parse(at); u.Query().Get("resource") != resource {
		t.Fatalf("asks at %s", at)
	}
	q := o.browser("anna").allow(strings.TrimPrefix(at, issuer)).to(t, "http://127.0.0.1:8123/callback")
	if err := h.ProcessAuthorizationResponse(t.Context(), q.Get("code"), q.Get("state"), verifier); err != nil {
		t.Fatal(err)
	}
	header, err := h.GetAuthorizationHeader(t.Context())
	if err != nil || !o.valid(strings.TrimPrefix(header, "Bearer ")) {
		t.Errorf("%q %v", header, err)
	}
}
