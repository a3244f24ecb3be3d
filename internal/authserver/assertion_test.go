package authserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"deputy/internal/authserver"
)

const idp = "https://idp.example"

// provider is a company's identity provider that signs notes.
type provider struct {
	key     *ecdsa.PrivateKey
	kid     string
	fetched int
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.fetched++
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: p.kid, Use: "sig"}}})
}

func (p *provider) sign(t testing.TB, typ, kid string, claims map[string]any) string {
	t.Helper()
	body, _ := json.Marshal(claims)
	return p.signText(t, typ, kid, body)
}

func (p *provider) signText(t testing.TB, typ, kid string, body []byte) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: kid}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := signed.CompactSerialize()
	return text
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func company(t testing.TB) (*office, *provider) {
	p := &provider{key: newKey(t), kid: "k1"}
	o := newOffice(t, func(c *authserver.Config) {
		c.Issuers = []authserver.TrustedIssuer{{Issuer: idp, Keys: idp + "/jwks"}}
		c.People.Known = func(_ context.Context, iss, sub string) (string, error) {
			if iss == idp && sub == "u-1" {
				return "anna", nil
			}
			return "", errors.New("nobody")
		}
	})
	o.hosts["idp.example"] = p
	return o, p
}

func idJAG(change ...any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": idp, "sub": "u-1", "aud": issuer, "client_id": "backend", "jti": rand(8), "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(),
		"resource": resource, "scope": "gmail.read slack.read", "auth_time": now.Add(-time.Hour).Unix(), "acr": "urn:idp:mfa", "email": "anna@example.com", "act": map[string]any{"sub": "agent-7"},
	}
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == nil {
			delete(c, change[i].(string))
		} else {
			c[change[i].(string)] = change[i+1]
		}
	}
	return c
}

func (o *office) bring(assertion string, change ...string) said {
	o.Helper()
	return o.call("/oauth/token", form(append([]string{
		"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion, "client_id", "backend", "client_secret", "s3cret/+ %",
	}, change...)...))
}

// TestIDJAG (T14): a note of a trusted issuer, for us and this client, is good
// once; whatever differs in one thing is good never.
func TestIDJAG(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, p := company(t)
		const typ = "oauth-id-jag+jwt"
		text := p.sign(t, typ, "k1", idJAG())
		got := o.bring(text, "scope", "slack.read")
		if got.Status != 200 || got.Refresh != "" || got.Scope != "slack.read" {
			t.Fatalf("%d %s", got.Status, got.raw)
		}
		a, err := o.server.Verify(t.Context(), got.Access)
		if err != nil || a.User != "anna" || a.Client != "backend" || a.Actor != "agent-7" || a.ACR != "urn:idp:mfa" || time.Since(a.AuthTime) < time.Hour {
			t.Errorf("%+v %v", a, err)
		}
		if s := o.bring(text); s.Error != "invalid_grant" {
			t.Errorf("a second time: %s", s.raw)
		}
		claimed := o.bring(p.sign(t, typ, "k1", idJAG("acr", strong)))
		if a, err := o.server.Verify(t.Context(), claimed.Access); err != nil || a.ACR != "" {
			t.Errorf("our own acr, said by another: %+v %v", a, err)
		}
		stranger := &provider{key: newKey(t)}
		old := time.Now().Add(-time.Hour)
		for name, text := range map[string]string{
			"an ID token":                p.sign(t, "JWT", "k1", idJAG()),
			"an access token":            p.sign(t, "at+jwt", "k1", idJAG()),
			"no type":                    p.sign(t, "", "k1", idJAG()),
			"another issuer":             p.sign(t, typ, "k1", idJAG("iss", "https://other.example")),
			"no issuer":                  p.sign(t, typ, "k1", idJAG("iss", nil)),
			"another's signature":        stranger.sign(t, typ, "k1", idJAG()),
			"another audience":           p.sign(t, typ, "k1", idJAG("aud", "https://other.example")),
			"the token endpoint":         p.sign(t, typ, "k1", idJAG("aud", issuer+"/oauth/token")),
			"two audiences":              p.sign(t, typ, "k1", idJAG("aud", []string{issuer, "https://other.example"})),
			"another client":             p.sign(t, typ, "k1", idJAG("client_id", "app")),
			"no client":                  p.sign(t, typ, "k1", idJAG("client_id", nil)),
			"no number":                  p.sign(t, typ, "k1", idJAG("jti", nil)),
			"no subject":                 p.sign(t, typ, "k1", idJAG("sub", nil)),
			"another resource":           p.sign(t, typ, "k1", idJAG("resource", "https://other.example/mcp")),
			"no resource":                p.sign(t, typ, "k1", idJAG("resource", nil)),
			"over":                       p.sign(t, typ, "k1", idJAG("iat", old.Unix(), "exp", old.Add(time.Minute).Unix())),
			"no end":                     p.sign(t, typ, "k1", idJAG("exp", nil)),
			"no beginning":               p.sign(t, typ, "k1", idJAG("iat", nil)),
			"from the future":            p.sign(t, typ, "k1", idJAG("iat", time.Now().Add(10*time.Minute).Unix(), "exp", time.Now().Add(12*time.Minute).Unix())),
			"signed in tomorrow":         p.sign(t, typ, "k1", idJAG("auth_time", time.Now().Add(24*time.Hour).Unix())),
			"for an hour":                p.sign(t, typ, "k1", idJAG("exp", time.Now().Add(time.Hour).Unix())),
			"an address in a subject":    p.sign(t, typ, "k1", idJAG("sub", "anna@example.com")),
			"an unknown key":             p.sign(t, typ, "k9", idJAG()),
			"our own access token":       o.tokens("anna").Access,
			"text":                       "x.y.z",
			"nothing":                    "",
			"too long":                   p.sign(t, typ, "k1", idJAG("x", strings.Repeat("x", 9000))),
			"an actor without a subject": p.sign(t, typ, "k1", idJAG("act", map[string]any{})),
		} {
			if s := o.bring(text); s.Error != "invalid_grant" || s.Access != "" {
				t.Errorf("%s: %s", name, s.raw)
			}
		}
		if p.fetched > 2 {
			t.Errorf("the keys were fetched %d times", p.fetched)
		}
		time.Sleep(31 * time.Second)
		p.key, p.kid = newKey(t), "k2"
		if s := o.bring(p.sign(t, typ, "k2", idJAG())); s.Status != 200 {
			t.Errorf("the issuer's next key: %s", s.raw)
		}
		p.kid = "k1"
		time.Sleep(31 * time.Second)
		o.bring(p.sign(t, typ, "k1", idJAG()))
		if s := o.bring(p.sign(t, typ, "k1", idJAG()), "scope", "gmail.send"); s.Error != "invalid_scope" {
			t.Errorf("more than the note says: %s", s.raw)
		}
		if s := o.bring(p.sign(t, typ, "k1", idJAG("scope", nil))); s.Error != "invalid_scope" {
			t.Errorf("a note without scope: %s", s.raw)
		}
		if s := o.bring(p.sign(t, typ, "k1", idJAG()), "resource", issuer); s.Error != "invalid_target" {
			t.Errorf("another resource: %s", s.raw)
		}
		if s := o.bring(p.sign(t, typ, "k1", idJAG("client_id", "app")), "client_id", "app", "client_secret", "-"); s.Error != "unauthorized_client" {
			t.Errorf("a public client: %s", s.raw)
		}
		o.gone["anna"] = true
		if s := o.bring(p.sign(t, typ, "k1", idJAG())); s.Error != "invalid_grant" {
			t.Errorf("who is gone: %s", s.raw)
		}
		o.gone["anna"] = false
		list, err := o.server.Grants(t.Context(), "anna")
		if err != nil || len(list) != 2 {
			t.Errorf("%+v %v", list, err)
		}
		if err := o.server.Revoke(t.Context(), "anna", "backend", "anna"); err != nil || o.valid(got.Access) {
			t.Errorf("taken back: %v", err)
		}
		// Its number is known until the note itself is over, also after Sweep.
		text = p.sign(t, typ, "k1", idJAG())
		o.bring(text)
		time.Sleep(5*time.Minute + 59*time.Second)
		o.server.Sweep()
		if s := o.bring(text); s.Error != "invalid_grant" {
			t.Errorf("at its very end: %s", s.raw)
		}
		for _, line := range o.lines("token") {
			if line.Channel == "id-jag" && line.Agent == "backend" {
				return
			}
		}
		t.Error("the log does not say id-jag")
	})
}

// TestForgedAccessTokens (T14): what is not an access token of ours for one of
// our resources is none.
func TestForgedAccessTokens(t *testing.T) {
	o, p := company(t)
	good := o.tokens("anna").Access
	parts := strings.Split(good, ".")
	claims := map[string]any{}
	json.Unmarshal(unb64(t, parts[1]), &claims)
	header := map[string]any{}
	json.Unmarshal(unb64(t, parts[0]), &header)
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || claims["iss"] != issuer || claims["aud"] != resource || claims["client_id"] != "app" {
		t.Fatalf("%v %v", header, claims)
	}
	kid := header["kid"].(string)
	change := func(name string, to any) string {
		c := map[string]any{}
		for k, v := range claims {
			c[k] = v
		}
		c[name] = to
		body, _ := json.Marshal(c)
		return parts[0] + "." + b64(body) + "." + parts[2]
	}
	head := func(h map[string]any) string { body, _ := json.Marshal(h); return b64(body) }
	for name, token := range map[string]string{
		"changed":               change("sub", "bo"),
		"another's key":         p.sign(t, "at+jwt", kid, claims),
		"alg none":              head(map[string]any{"alg": "none", "typ": "at+jwt", "kid": kid}) + "." + parts[1] + ".",
		"HS256":                 head(map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": kid}) + "." + parts[1] + "." + parts[2],
		"an empty signature":    parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
		"another type":          head(map[string]any{"alg": "ES256", "typ": "JWT", "kid": kid}) + "." + parts[1] + "." + parts[2],
		"an unknown key":        head(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": "../../etc/passwd"}) + "." + parts[1] + "." + parts[2],
		"a key of its own":      head(map[string]any{"alg": "ES256", "typ": "at+jwt", "jwk": map[string]any{"kty": "EC"}}) + "." + parts[1] + "." + parts[2],
		"critical":              head(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid, "crit": []string{"x"}, "x": 1}) + "." + parts[1] + "." + parts[2],
		"nothing":               "",
		"dots":                  "..",
		"long":                  strings.Repeat("a", 100_000),
		"with a tail":           good + ".x",
		"an ID token of an IdP": p.sign(t, "JWT", "k1", idJAG("aud", resource)),
	} {
		if o.valid(token) {
			t.Errorf("%s is valid", name)
		}
	}
	if !o.valid(good) {
		t.Error("the good one is not")
	}
	// What is served has changed since: its name, or what there are tokens for.
	was := o.config
	o.config.Issuer, _ = url.Parse("https://renamed.example")
	o.start()
	if o.valid(good) {
		t.Error("a token of an issuer that is no more")
	}
	o.config = was
	o.config.Resources = []string{issuer + "/other"}
	o.start()
	if o.valid(good) {
		t.Error("a token for a resource that is no more")
	}
	// Another deputy's, with the same issuer.
	if other := newOffice(t); o.valid(other.tokens("anna").Access) {
		t.Error("another home's token is valid here")
	}
}

// TestKeysRotate: the new key signs, the old one verifies until its last token is
// over, and what is published follows.
func TestKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		published := func() (kids []string) {
			var set jose.JSONWebKeySet
			p := o.browser("").get("/oauth/jwks")
			if err := json.Unmarshal([]byte(p.text), &set); err != nil || strings.Contains(p.text, `"d"`) {
				t.Fatalf("%s %v", p.text, err)
			}
			for _, k := range set.Keys {
				if !k.IsPublic() || k.Use != "sig" || k.Algorithm != "ES256" {
					t.Errorf("%+v", k)
				}
				kids = append(kids, k.KeyID)
			}
			return kids
		}
		kidOf := func(token string) string {
			var h struct{ Kid string }
			json.Unmarshal(unb64(t, strings.Split(token, ".")[0]), &h)
			return h.Kid
		}
		first := o.tokens("anna")
		kid, err := o.server.RotateKey()
		if err != nil || kid == kidOf(first.Access) {
			t.Fatalf("%s %v", kid, err)
		}
		second := o.refresh(first.Refresh)
		if kidOf(second.Access) != kid || !o.valid(first.Access) || !o.valid(second.Access) || len(published()) != 2 || published()[0] != kid {
			t.Errorf("after a rotation: %v", published())
		}
		o.start()
		if !o.valid(first.Access) || !o.valid(second.Access) {
			t.Error("a restart forgets keys")
		}
		time.Sleep(12 * time.Minute)
		if err := o.server.Sweep(); err != nil {
			t.Fatal(err)
		}
		if got := published(); len(got) != 1 || got[0] != kid {
			t.Errorf("later: %v", got)
		}
		time.Sleep(90 * 24 * time.Hour)
		if third := o.tokens("anna"); kidOf(third.Access) == kid || !o.valid(third.Access) {
			t.Error("a key signs for longer than ninety days")
		}
	})
}
