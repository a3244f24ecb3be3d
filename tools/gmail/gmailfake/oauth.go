package gmailfake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Anna is the demo user's mailbox.
const Anna = "anna@example.com"

type grant struct {
	client, redirect, email, challenge string
	scopes                             []string
	offline                            bool
	expires                            time.Time
	used                               bool
}

type access struct {
	grant   *grant
	expires time.Time
}

// authorize consents at once, as a user who clicks through would.
func (f *Fake) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	known := err == nil && (f.c.RedirectURI == q.Get("redirect_uri") || f.c.RedirectURI == "" && loopback(redirect))
	if !known || f.c.ClientID != "" && q.Get("client_id") != f.c.ClientID {
		http.Error(w, "Error 400: redirect_uri_mismatch or invalid_client", http.StatusBadRequest)
		return
	}
	if q.Get("response_type") != "code" || q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256" || q.Get("scope") == "" {
		http.Error(w, "Error 400: invalid_request", http.StatusBadRequest)
		return
	}
	email := q.Get("login_hint")
	if email == "" {
		email = Anna
	}
	back := url.Values{"state": {q.Get("state")}}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.denied[email] || email != Anna {
		back.Set("error", "access_denied")
	} else {
		scopes := strings.Fields(q.Get("scope"))
		if f.ticked != nil {
			scopes = slices.DeleteFunc(scopes, func(s string) bool {
				return s != "openid" && s != "email" && !slices.Contains(f.ticked, s)
			})
		}
		code := random("4/")
		f.codes[code] = &grant{
			client: q.Get("client_id"), redirect: q.Get("redirect_uri"), email: email, challenge: q.Get("code_challenge"),
			scopes: scopes, offline: q.Get("access_type") == "offline", expires: f.c.Now().Add(time.Minute),
		}
		back.Set("code", code)
		back.Set("scope", strings.Join(scopes, " "))
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

func loopback(u *url.URL) bool {
	return u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}

func (f *Fake) token(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault, has := pop(&f.tokenFaults); has {
		if fault.Delay > 0 {
			f.mu.Unlock()
			time.Sleep(fault.Delay)
			f.mu.Lock()
		}
		if fault.Status != 0 || fault.Body != "" {
			for k, v := range fault.Header {
				w.Header()[k] = v
			}
			w.WriteHeader(max(fault.Status, 200))
			w.Write([]byte(fault.Body))
			return
		}
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	if f.c.ClientID != "" && (id != f.c.ClientID || secret != f.c.ClientSecret) {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "Unauthorized"})
		return
	}
	bad := func(code string) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": "Bad Request"})
	}
	var g *grant
	answer := map[string]any{"token_type": "Bearer", "expires_in": int(f.c.TokenLifetime.Seconds())}
	switch r.FormValue("grant_type") {
	case "authorization_code":
		g = f.codes[r.FormValue("code")]
		if g == nil || g.used || f.c.Now().After(g.expires) || g.redirect != r.FormValue("redirect_uri") || g.client != id {
			bad("invalid_grant")
			return
		}
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if g.challenge != "" && base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
			bad("invalid_grant")
			return
		}
		g.used = true
		if g.offline {
			token := f.issue("1//canary-")
			f.refresh[token] = g
			answer["refresh_token"] = token
		}
		if slices.Contains(g.scopes, "openid") {
			answer["id_token"] = idToken(id, g.email)
		}
	case "refresh_token":
		if g = f.refresh[r.FormValue("refresh_token")]; g == nil {
			bad("invalid_grant")
			return
		}
	default:
		bad("unsupported_grant_type")
		return
	}
	token := f.issue("ya29.canary-")
	f.access[token] = &access{g, f.c.Now().Add(f.c.TokenLifetime)}
	answer["access_token"] = token
	answer["scope"] = strings.Join(g.scopes, " ")
	writeJSON(w, http.StatusOK, answer)
}

func (f *Fake) issue(prefix string) string {
	t := random(prefix)
	f.issued = append(f.issued, t)
	return t
}

// idToken has no real signature: nobody may trust it who did not get it
// straight from the token endpoint. It lives by the real clock, which is the
// one its reader goes by.
func idToken(client, email string) string {
	now := time.Now()
	part := func(v any) string {
		data, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	return part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{
		"iss": "https://accounts.google.com", "aud": client, "sub": "104857600000000000001", "email": email, "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("no signature"))
}

// revoke ends the whole grant, whichever of its tokens it is given.
func (f *Fake) revoke(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := r.FormValue("token")
	g := f.refresh[token]
	if a := f.access[token]; a != nil {
		g = a.grant
	}
	if g == nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_token", "error_description": "Token expired or revoked"})
		return
	}
	for t, a := range f.access {
		if a.grant == g {
			delete(f.access, t)
		}
	}
	for t, other := range f.refresh {
		if other == g {
			delete(f.refresh, t)
		}
	}
	writeJSON(w, http.StatusOK, struct{}{})
}

const (
	scopePrefix = "https://www.googleapis.com/auth/gmail."
	fullAccess  = "https://mail.google.com/"
)

// allowed checks the bearer and its scopes; 0 means yes.
func (f *Fake) allowed(r *http.Request, scopes []string) (int, any) {
	a := f.access[bearerOf(r)]
	if a == nil || f.c.Now().After(a.expires) {
		return http.StatusUnauthorized, failure(401, "UNAUTHENTICATED", "authError", "Request had invalid authentication credentials.")
	}
	for _, s := range a.grant.scopes {
		if s == fullAccess || slices.Contains(scopes, strings.TrimPrefix(s, scopePrefix)) {
			return 0, nil
		}
	}
	return http.StatusForbidden, failure(403, "PERMISSION_DENIED", "insufficientPermissions", "Request had insufficient authentication scopes.")
}
