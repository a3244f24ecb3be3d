package vault

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Provider describes one OAuth provider and its API, as data. The provider
// packages under tools declare theirs; configuration fills in the client and
// may move the endpoints (tests, GitHub Enterprise, proxies).
type Provider struct {
	Name  string // "google", as in the configuration
	Title string // "Google", as a person reads it

	AuthURL, TokenURL, RevokeURL, APIURL string
	ClientID                             string
	ClientSecret                         Secret

	PKCE       bool              // the provider knows S256 (RFC 7636)
	Issuer     string            // compared with iss (RFC 9207) when the provider sends it
	AuthParams map[string]string // further parameters of the authorization request
	ScopeParam string            // "scope", or Slack's "user_scope"
	ScopeSep   string            // " ", or ","
	BaseScopes []string          // asked with every grant
	Implies    map[string][]string
	Shape      Shape
	Revocation Revocation
	RevokeNote string // what else ends when a grant is revoked
	Identity   Identity

	// Reads and Writes declare every request that may ever be made, as
	// http.ServeMux patterns below APIURL: "GET /repos/{owner}/{repo}". A GET
	// is no promise to be harmless, so reads are declared by path.
	Reads, Writes []string
	PostReads     bool              // reads are sent as a POST form (Slack)
	Header        map[string]string // sent with every API request

	// Fault sorts an answer that is not a success, or says it is one ("").
	// Slack says no with a 200.
	Fault func(status int, body []byte) Kind
}

// Shape names the form of a token answer.
type Shape int

const (
	RFC6749     Shape = iota // access_token at the top; errors may come with a 200 (GitHub)
	SlackV2User              // the user's token under authed_user, a bot's at the top
)

// Revocation names how a grant is ended at the provider.
type Revocation int

const (
	RevokeForm   Revocation = iota // POST token=… (RFC 7009, Google)
	RevokeBearer                   // POST with the token as the bearer (Slack auth.revoke)
	RevokeGitHub                   // DELETE {RevokeURL}/{client_id}/grant with Basic
)

// Identity says where the provider tells whose account it is: in the ID token
// of the token answer, or in the answer to a GET below APIURL.
type Identity struct {
	IDToken bool
	Path    string
	Subject []string // JSON fields that together never change
	Name    []string // JSON fields that a person recognises
}

// Secret is a value that does not print. NewSecret makes one; only this
// package reads it.
type Secret struct{ v string }

func NewSecret(v string) Secret { return Secret{v} }

func (s Secret) IsZero() bool               { return s.v == "" }
func (Secret) String() string               { return "(hidden)" }
func (Secret) GoString() string             { return "(hidden)" }
func (Secret) MarshalText() ([]byte, error) { return []byte("(hidden)"), nil }

// route is a provider made ready: base parsed, patterns compiled.
type route struct {
	Provider
	base   *url.URL
	reads  *http.ServeMux
	writes *http.ServeMux
}

func (p Provider) route() (*route, error) {
	for name, u := range map[string]string{"auth_url": p.AuthURL, "token_url": p.TokenURL, "api_url": p.APIURL} {
		if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || parsed.Scheme != "https" && !loopback(parsed) {
			return nil, fmt.Errorf("provider %s: %s %q: want an https URL (http only on this machine)", p.Name, name, u)
		}
	}
	base, _ := url.Parse(strings.TrimSuffix(p.APIURL, "/"))
	r := &route{Provider: p, base: base, reads: http.NewServeMux(), writes: http.NewServeMux()}
	for _, pattern := range p.Reads {
		r.reads.HandleFunc(pattern, nop)
	}
	for _, pattern := range p.Writes {
		r.writes.HandleFunc(pattern, nop)
	}
	return r, nil
}

func nop(http.ResponseWriter, *http.Request) {}

func loopback(u *url.URL) bool {
	h := u.Hostname()
	return u.Scheme == "http" && (h == "localhost" || h == "127.0.0.1" || h == "::1")
}

// declared reports whether mux has a pattern for the request, whose path must
// be in its plain form: what the provider would normalise we refuse.
func declared(mux *http.ServeMux, method, path string) bool {
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Host != "" || u.Fragment != "" || strings.Contains(path, "#") {
		return false
	}
	for _, part := range strings.Split(u.Path, "/")[1:] {
		if part == "." || part == ".." || strings.ContainsAny(part, "\\\x00") {
			return false
		}
	}
	if strings.Contains(u.Path, "//") {
		return false
	}
	_, pattern := mux.Handler(&http.Request{Method: method, URL: u, Host: "api"})
	return pattern != ""
}

// covers reports whether the granted scopes include want, directly or because
// a wider one implies it.
func (p Provider) covers(granted []string, want string) bool {
	return slices.ContainsFunc(granted, func(g string) bool {
		return g == want || slices.Contains(p.Implies[g], want)
	})
}

func (p Provider) missing(granted, want []string) (out []string) {
	for _, w := range want {
		if !p.covers(granted, w) {
			out = append(out, w)
		}
	}
	return out
}
