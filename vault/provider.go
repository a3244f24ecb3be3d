package vault

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"deputy/internal/fetch"
	"deputy/vault/internal/oauth"
)

// Names of the OAuth layer that a declaration needs. They are data: what can
// speak to a server, or look into a Secret, stays below.
type (
	Server     = oauth.Server
	Secret     = oauth.Secret
	Shape      = oauth.Shape
	Revocation = oauth.Revocation
	Verdict    = oauth.Verdict
)

const (
	SlackV2User = oauth.SlackV2User

	RevokeToken  = oauth.RevokeToken
	RevokeBearer = oauth.RevokeBearer
	RevokeGitHub = oauth.RevokeGitHub

	GrantEnded = oauth.GrantEnded
	ClientBad  = oauth.ClientBad
)

// NewSecret makes a Secret. Only this package can look into it again.
func NewSecret(v string) Secret { return oauth.Hide(v) }

// Provider describes one provider and its API, as data. The provider packages
// under tools declare theirs; configuration fills in the client, may move the
// endpoints (tests, GitHub Enterprise, proxies), and declares in-house ones.
type Provider struct {
	Name  string // "google", as in the configuration
	Title string // "Google", as a person reads it

	APIURL   string
	OAuth    Server
	Public   *Server // instead of OAuth where the client has no secret (Slack's PKCE apps)
	Discover bool    // what OAuth lacks comes from its issuer's metadata

	// Key is a static key instead of OAuth; every user has it. KeyHeader is
	// where it goes; "" is a bearer.
	Key       Secret
	KeyHeader string

	// From names another provider whose account this one's tokens are traded
	// from, so that a person connects one thing and reaches many (an in-house
	// API behind the company's own issuer).
	From  string
	Trade Trade

	// Several says that grants of different scopes live side by side, so that a
	// tool that reads never holds a token that sends. Else scopes add up.
	Several bool

	// App says that tokens have permissions of their own and no scopes (GitHub
	// Apps): what is allowed was settled when the app was installed.
	App bool

	BaseScopes []string // asked with every grant
	Implies    map[string][]string
	RevokeNote string   // what else ends when a grant is revoked
	Notes      []string // what whoever runs deputy should know; doctor says it
	Identity   Identity
	Narrow     Narrow

	// Reads and Writes declare every request that may ever be made, as
	// http.ServeMux patterns below APIURL: "GET /repos/{owner}/{repo}". A GET
	// is no promise to be harmless, so reads are declared by path.
	Reads, Writes []string
	PostReads     bool              // reads are sent as a POST form (Slack)
	Header        map[string]string // sent with every API request
	PerMinute     int               // requests one account may make; 0 is no limit of ours

	// Fault sorts an answer that is not a success, or says it is one ("").
	// Slack says no with a 200.
	Fault func(status int, body []byte) Kind
}

// Identity says where the provider tells whose account it is: in the ID token
// of the token answer, or in the answer to a GET below APIURL. With neither,
// the account is known only by the name its user gave it.
type Identity struct {
	IDToken bool
	Path    string
	Subject []string // JSON fields that together never change
	Name    []string // JSON fields that a person recognises; the first that is there where Any
	Any     bool
}

// Trade is how a token of one provider becomes a token for another.
type Trade struct {
	// Assertion trades through an ID-JAG: the issuer behind From gives an
	// assertion for Audience, which OAuth.TokenURL takes (RFC 7523). Without it
	// OAuth.TokenURL takes the other's access token itself (RFC 8693).
	Assertion bool
	Audience  string
	Scopes    []string
}

// Narrow says how a token for less than the grant is had.
type Narrow struct {
	// Refresh: a refresh may ask for fewer scopes (RFC 6749 §6) without ending
	// the grant it came from. Whether the provider complies is checked each time.
	Refresh bool

	// ScopedURL makes tokens for one repository and a few permissions (GitHub
	// Apps). Permissions gives what each declared request needs: "issues:read".
	ScopedURL   string
	Permissions map[string]string
}

// route is a provider made ready: base parsed, patterns compiled.
type route struct {
	Provider
	base   *url.URL
	reads  *http.ServeMux
	writes *http.ServeMux
	client *http.Client // for its authorization server; API requests get a pinned one
	traded bool         // another provider's tokens are made from its ID tokens

	turn     chan struct{} // whoever is in it has the rest
	metadata oauth.Metadata
	read     time.Time // when
}

func (p Provider) route() (*route, error) {
	if p.Public != nil && p.OAuth.ClientSecret.IsZero() && p.OAuth.ClientID != "" {
		id := p.OAuth.ClientID
		p.OAuth = *p.Public
		p.OAuth.ClientID = id
	}
	if p.From != "" {
		if err := oauth.SafeURL(p.OAuth.TokenURL); err != nil {
			return nil, fmt.Errorf("provider %s: token_url %w", p.Name, err)
		}
	}
	if p.Key.IsZero() && !p.Discover && p.From == "" {
		if err := p.OAuth.Check(); err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.Name, err)
		}
	}
	if p.Discover {
		if err := oauth.SafeURL(p.OAuth.Issuer); err != nil {
			return nil, fmt.Errorf("provider %s: issuer %w", p.Name, err)
		}
	}
	if err := oauth.SafeURL(p.APIURL); err != nil {
		return nil, fmt.Errorf("provider %s: api_url %w", p.Name, err)
	}
	base, _ := url.Parse(strings.TrimSuffix(p.APIURL, "/"))
	r := &route{Provider: p, base: base, turn: make(chan struct{}, 1), reads: http.NewServeMux(), writes: http.NewServeMux()}
	for _, pattern := range p.Reads {
		r.reads.HandleFunc(pattern, nop)
	}
	for _, pattern := range p.Writes {
		r.writes.HandleFunc(pattern, nop)
	}
	return r, nil
}

// fence keeps requests to hosts that the operator named on the ordinary way. A
// host that only the issuer's metadata names is somebody else's choice, so it
// is reached if it is on the public internet and not otherwise.
type fence struct {
	named           map[string]bool
	inside, outside http.RoundTripper
}

func (f fence) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.named[r.URL.Host] {
		return f.inside.RoundTrip(r)
	}
	return f.outside.RoundTrip(r)
}

// fenced is the transport for a provider's authorization server.
func (p Provider) fenced(inside http.RoundTripper) http.RoundTripper {
	if !p.Discover {
		return inside
	}
	f := fence{named: map[string]bool{}, inside: inside, outside: fetch.Transport()}
	for _, named := range []string{p.OAuth.Issuer, p.OAuth.AuthURL, p.OAuth.TokenURL, p.OAuth.RevokeURL, p.OAuth.DeviceURL, p.OAuth.PARURL, p.APIURL} {
		if u, err := url.Parse(named); err == nil && u.Host != "" {
			f.named[u.Host] = true
		}
	}
	return f
}

func nop(http.ResponseWriter, *http.Request) {}

// metadataLife is how long a server's description of itself is believed.
const metadataLife = time.Hour

// server is the authorization server, with what its metadata says. It is read
// when it is first needed, so that deputy starts without the network.
func (r *route) server(ctx context.Context) (*Server, error) {
	if !r.Discover {
		return &r.OAuth, nil
	}
	// No mutex: who waits for a server that does not answer must be able to stop.
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, &Fault{Provider: r.Name, Kind: Upstream, Cause: "the authorization server's metadata is slow to come"}
	}
	if r.metadata.Issuer == "" || time.Since(r.read) > metadataLife {
		m, err := oauth.Discover(ctx, r.client, r.OAuth.Issuer)
		if err != nil && r.metadata.Issuer == "" {
			return nil, &Fault{Provider: r.Name, Kind: Upstream, Cause: err.Error()}
		}
		if err == nil {
			r.metadata, r.read = m, time.Now()
		}
	}
	s := r.metadata.Merge(r.OAuth)
	return &s, nil
}

// declared reports whether mux has a pattern for the request, and which. The
// path must be in its plain form: what the provider would normalise we refuse.
func declared(mux *http.ServeMux, method, path string) (pattern string, ok bool) {
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Host != "" || u.Fragment != "" || strings.Contains(path, "#") {
		return "", false
	}
	for _, part := range strings.Split(u.Path, "/")[1:] {
		if part == "." || part == ".." || strings.ContainsAny(part, "\\\x00") {
			return "", false
		}
	}
	if strings.Contains(u.Path, "//") {
		return "", false
	}
	_, pattern = mux.Handler(&http.Request{Method: method, URL: u, Host: "api"})
	return pattern, pattern != ""
}

// covers reports whether the granted scopes include want, directly or because
// a wider one implies it.
func (p Provider) covers(granted []string, want string) bool {
	return p.App || slices.ContainsFunc(granted, func(g string) bool {
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

// surplus is what was granted and neither asked for nor implied by it.
func (p Provider) surplus(granted, asked []string) (out []string) {
	if p.App {
		return nil
	}
	for _, g := range granted {
		implied := slices.ContainsFunc(p.Implies[g], func(i string) bool { return slices.Contains(asked, i) })
		if !p.covers(asked, g) && !implied {
			out = append(out, g)
		}
	}
	return out
}

// set is a set of scopes in the one order in which they are kept and compared.
func set(scopes ...[]string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(scopes...))))
}

// Providers names what can be connected, sorted.
func (v *Vault) Providers() []string { return slices.Sorted(maps.Keys(v.routes)) }

// Title is a provider's name as a person reads it.
func (v *Vault) Title(provider string) string {
	if r := v.routes[provider]; r != nil {
		return r.Title
	}
	return provider
}

// Origins names where each provider's requests go, for the policy version: a
// yes given while writes went to one host is no yes for another.
func (v *Vault) Origins() string {
	var b strings.Builder
	for _, name := range v.Providers() {
		fmt.Fprintf(&b, "%s=%s;", name, v.routes[name].APIURL)
	}
	return b.String()
}
