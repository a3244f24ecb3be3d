package login_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"deputy/internal/login/upstream"
)

// issuer is an OpenID provider, and in the same place a GitHub. Whoever visits
// says as whom. Tests bend its answers.
type issuer struct {
	*httptest.Server
	name string
	key  *rsa.PrivateKey

	mu     sync.Mutex
	codes  map[string]url.Values // authorization requests by code
	traded int                   // requests to the token endpoint
	asked  url.Values            // the last authorization request

	claims  func(map[string]any)                     // bends the ID token
	sign    func(*issuer, map[string]any) string     // replaces its signature
	iss     string                                   // what the way back says; "-" nothing
	respond func(http.ResponseWriter, *http.Request) // replaces the token endpoint
	people  map[string]map[string]any                // claims by subject
}

func newIssuer(t *testing.T, name string) *issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	o := &issuer{name: name, key: key, codes: map[string]url.Values{}, people: map[string]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"issuer": o.URL, "authorization_endpoint": o.URL + "/auth", "token_endpoint": o.URL + "/token", "jwks_uri": o.URL + "/jwks",
			"authorization_response_iss_parameter_supported": true, "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
			"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(o.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(o.key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("GET /auth", o.authorize)
	mux.HandleFunc("POST /token", o.token)
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		id, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer at-")
		if !ok {
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"id":%s,"login":"login-%s"}`, id, id)
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

// provider is how a desk reaches it.
func (o *issuer) provider() upstream.Provider {
	c := upstream.Config{
		Name: o.name, Title: o.name, Issuer: o.URL, ClientID: "deputy", Secret: func() (string, error) { return "s3cret", nil },
		Redirect: "http://localhost:8787/signin/" + o.name + "/callback", Scopes: []string{"email"},
	}
	if o.name == "github" {
		c.AuthURL, c.TokenURL, c.APIURL = o.URL+"/auth", o.URL+"/token", o.URL
		return upstream.GitHub(c)
	}
	return upstream.OIDC(c)
}

func (o *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := r.URL.Query()
	o.asked = q
	code := rand.Text()
	o.codes[code] = q
	back := url.Values{"state": {q.Get("state")}, "code": {code}}
	if o.name != "github" && o.iss == "" {
		back.Set("iss", o.URL)
	} else if o.iss != "" && o.iss != "-" {
		back.Set("iss", o.iss)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// visit sends a browser with a session of subject to an authorization request,
// and returns where it is sent back to.
func (o *issuer) visit(t *testing.T, to, subject string) string {
	t.Helper()
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Get(to + "&as=" + url.QueryEscape(subject))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.Header.Get("Location")
}

var href = regexp.MustCompile(`<a href="(http[^"]*)"`)

// linkIn finds the way to this issuer on a page.
func (o *issuer) linkIn(page string) string {
	for _, m := range href.FindAllStringSubmatch(page, -1) {
		if to := html.UnescapeString(m[1]); strings.HasPrefix(to, o.URL) {
			return to
		}
	}
	return ""
}

func (o *issuer) token(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.traded++
	if o.respond != nil {
		o.respond(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	id, secret, _ := r.BasicAuth()
	if id == "" {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	asked, ok := o.codes[r.PostFormValue("code")]
	delete(o.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || id != "deputy" || secret != "s3cret" || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") ||
		asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	subject := asked.Get("as")
	if o.name == "github" {
		fmt.Fprintf(w, `{"access_token":"at-%s","token_type":"bearer"}`, subject)
		return
	}
	claims := map[string]any{
		"iss": o.URL, "aud": "deputy", "sub": subject, "nonce": asked.Get("nonce"),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "auth_time": time.Now().Unix(), "acr": asked.Get("acr_values"),
	}
	for k, v := range o.people[subject] {
		claims[k] = v
	}
	if o.claims != nil {
		o.claims(claims)
	}
	sign := rs256
	if o.sign != nil {
		sign = o.sign
	}
	json.NewEncoder(w).Encode(map[string]any{"access_token": "at-canary", "token_type": "Bearer", "id_token": sign(o, claims)})
}

func signing(alg string, claims map[string]any) string {
	head, _ := json.Marshal(map[string]string{"alg": alg, "kid": "1", "typ": "JWT"})
	body, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
}

func rs256(o *issuer, claims map[string]any) string {
	text := signing("RS256", claims)
	sum := sha256.Sum256([]byte(text))
	sig, _ := rsa.SignPKCS1v15(rand.Reader, o.key, crypto.SHA256, sum[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// unsigned and public are the two classics: no signature, and a signature with
// the public key taken for a shared secret.
func unsigned(_ *issuer, claims map[string]any) string { return signing("none", claims) + "." }

func public(o *issuer, claims map[string]any) string {
	text := signing("HS256", claims)
	der, _ := x509.MarshalPKIXPublicKey(&o.key.PublicKey)
	m := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	m.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func forged(_ *issuer, claims map[string]any) string {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	return rs256(&issuer{key: key}, claims)
}
