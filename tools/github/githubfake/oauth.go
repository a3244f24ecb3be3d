package githubfake

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	codeLifetime    = 10 * time.Minute
	refreshLifetime = 15_811_200 * time.Second // what GitHub calls six months
	docsAuthorize   = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/#"
	docsToken       = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/#"
)

// code is an authorization code that was not yet exchanged.
type code struct {
	redirect  string
	challenge string // S256; empty when the client used no PKCE, which GitHub does not enforce
	scopes    []string
	expires   time.Time
}

// authorize is the consent page. Anna says yes at once, or no after Deny.
func (f *Fake) authorize(r *http.Request) reply {
	q := r.URL.Query()
	if r.Method != http.MethodGet || q.Get("client_id") != f.cfg.ClientID {
		return page(http.StatusNotFound, "Page not found")
	}
	redirect := q.Get("redirect_uri")
	if redirect == "" {
		redirect = f.cfg.RedirectURI
	}
	if !f.redirectAllowed(redirect) {
		// An error must never travel to a URI that is not registered.
		if f.cfg.RedirectURI == "" {
			return page(http.StatusBadRequest, "The redirect_uri is not associated with this application.")
		}
		return callback(f.cfg.RedirectURI, q.Get("state"), "redirect_uri_mismatch",
			"The redirect_uri MUST match the registered callback URL for this application.")
	}
	challenge, method := q.Get("code_challenge"), q.Get("code_challenge_method")
	if (challenge != "" || method != "") && (method != "S256" || len(challenge) != 43) {
		return callback(redirect, q.Get("state"), "invalid_request", "The code_challenge_method must be S256.")
	}
	if f.denied {
		return callback(redirect, q.Get("state"), "access_denied", "The user has denied your application access.")
	}
	name := randomText()
	f.codes[name] = &code{
		redirect:  redirect,
		challenge: challenge,
		scopes:    scopeSet(q.Get("scope")),
		expires:   f.now().Add(codeLifetime),
	}
	return redirectTo(redirect, url.Values{"code": {name}}, q.Get("state"))
}

func (f *Fake) redirectAllowed(uri string) bool {
	if f.cfg.RedirectURI != "" {
		return uri == f.cfg.RedirectURI
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func callback(to, state, kind, text string) reply {
	return redirectTo(to, url.Values{
		"error":             {kind},
		"error_description": {text},
		"error_uri":         {docsAuthorize + strings.ReplaceAll(kind, "_", "-")},
	}, state)
}

func redirectTo(to string, add url.Values, state string) reply {
	u, err := url.Parse(to)
	if err != nil {
		return page(http.StatusBadRequest, "The redirect_uri is not a URI.")
	}
	q := u.Query()
	for k, v := range add {
		q[k] = v
	}
	if state != "" {
		q.Set("state", state)
	}
	u.RawQuery = q.Encode()
	out := page(http.StatusFound, "You are being redirected.")
	out.header.Set("Location", u.String())
	return out
}

func page(status int, text string) reply {
	return reply{
		status: status,
		header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body:   []byte("<!DOCTYPE html><title>GitHub</title><p>" + text + "</p>\n"),
	}
}

// tokenEndpoint exchanges codes and refresh tokens. Its refusals are answered with status 200,
// which is why a client must look for "error" before it looks for a token.
func (f *Fake) tokenEndpoint(r *http.Request, _ []byte) reply {
	if r.Method != http.MethodPost {
		return notFound()
	}
	if err := r.ParseForm(); err != nil {
		return message(http.StatusBadRequest, "Problems parsing the form")
	}
	answer := f.exchange(r)
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		return jsonReply(http.StatusOK, answer)
	}
	form := url.Values{}
	for k, v := range answer {
		form.Set(k, fmt.Sprint(v))
	}
	return reply{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
		body:   []byte(form.Encode()),
	}
}

func (f *Fake) exchange(r *http.Request) map[string]any {
	id, secret := r.Form.Get("client_id"), r.Form.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		id, secret = user, pass
	}
	if !f.isClient(id, secret) {
		return refusal("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
	}
	switch r.Form.Get("grant_type") {
	case "", "authorization_code": // GitHub predates grant_type here and does not ask for it
		return f.redeem(r.Form)
	case "refresh_token":
		old := f.refresh[r.Form.Get("refresh_token")]
		if old == nil || !f.now().Before(old.refreshEnds) {
			return refusal("bad_refresh_token", "The refresh token passed is incorrect or expired.")
		}
		f.drop(old) // single use: the access token that came with it dies too
		return f.success(f.mint(old.scopes))
	}
	return refusal("unsupported_grant_type", "The grant_type is not supported.")
}

func (f *Fake) redeem(form url.Values) map[string]any {
	bad := refusal("bad_verification_code", "The code passed is incorrect or expired.")
	name := form.Get("code")
	c := f.codes[name]
	if c == nil {
		return bad
	}
	if uri := form.Get("redirect_uri"); uri != "" && uri != c.redirect {
		return refusal("redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL for this application.")
	}
	delete(f.codes, name) // a wrong verifier spends the code as well: no second guess
	if !f.now().Before(c.expires) {
		return bad
	}
	if c.challenge != "" {
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge {
			return bad
		}
	}
	return f.success(f.mint(c.scopes))
}

func (f *Fake) isClient(id, secret string) bool {
	return id == f.cfg.ClientID && subtle.ConstantTimeCompare([]byte(secret), []byte(f.cfg.ClientSecret)) == 1
}

// success lists the scopes even for a GitHub App, where the real answer leaves them empty: they
// are what the fake enforces.
func (f *Fake) success(t *token) map[string]any {
	answer := map[string]any{
		"access_token": t.access,
		"token_type":   "bearer",
		"scope":        strings.Join(t.scopes, ","),
	}
	if t.refresh != "" {
		answer["expires_in"] = int(math.Ceil(f.cfg.TokenLifetime.Seconds()))
		answer["refresh_token"] = t.refresh
		answer["refresh_token_expires_in"] = int(refreshLifetime.Seconds())
	}
	return answer
}

func refusal(kind, text string) map[string]any {
	return map[string]any{
		"error":             kind,
		"error_description": text,
		"error_uri":         docsToken + strings.ReplaceAll(kind, "_", "-"),
	}
}

// scopeSet reads scopes parted by spaces or commas; GitHub takes both.
func scopeSet(s string) []string {
	scopes := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	slices.Sort(scopes)
	return slices.Compact(scopes)
}
