package authserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/authserver/clients"
	"deputy/internal/authserver/signing"
	"deputy/internal/fetch"
	"deputy/internal/store"
)

// Scope is a permission that clients may ask for.
type Scope struct {
	Name    string
	Title   string // what it allows, to a person: a text's key, or a text
	Default bool   // given to a client that names no scope
}

// Need is what a request asks of the person's sign-in (RFC 9470 §3).
type Need struct {
	MaxAge time.Duration // no older than that; 0: any
	ACR    string        // that, or a stronger one; empty: any
}

// People is the other side: who is signed in, and how somebody signs in.
type People struct {
	// Person is who is signed in, with the time and manner of the proof.
	Person func(*http.Request) (authz.Caller, bool)

	// Ask has the browser sign in and leads back to the request's address.
	Ask http.HandlerFunc

	// StepUp asks the signed-in person again and leads back.
	StepUp func(http.ResponseWriter, *http.Request, Need)

	// Meets reports whether a sign-in is at least of the given acr.
	Meets func(c authz.Caller, acr string) bool

	// May reports whether a user may still act. It is asked before every token.
	May func(ctx context.Context, user string) error

	// Known is the user behind an account at a trusted issuer (ID-JAG), found by
	// issuer and subject, never by an address. Nil: nobody.
	Known func(ctx context.Context, issuer, subject string) (user string, err error)
}

// Config is what an authorization server needs. Issuer, Store, Sealer, Audit,
// People, Resources and Scopes are required.
type Config struct {
	Issuer *url.URL // public_url: a scheme and a host
	Store  store.Store
	Sealer store.Sealer
	Audit  *audit.Log
	People People
	Fetch  fetch.Client
	Log    *slog.Logger // nil: no log

	// Resources are the servers that tokens are for (RFC 8707), exactly as
	// clients name them.
	Resources []string
	Scopes    []Scope
	ACRValues []string // what People.Meets knows, for the metadata

	Clients  []clients.Client // the operator's
	Register bool             // clients may register themselves (RFC 7591)
	Issuers  []TrustedIssuer  // whose ID-JAGs are taken

	// Grants answer further grant types at the token endpoint. They authenticate
	// their clients themselves; the form is parsed, bounded and free of doubles.
	Grants map[string]http.Handler
}

// Server is the authorization server. Make one with New.
type Server struct {
	c       Config
	issuer  string
	log     *slog.Logger
	clients *clients.Directory
	keys    *signing.Ring
	tables  tables
	live    live
	limits  limits
	issuers map[string]*TrustedIssuer
	mac     macKey
}

// New checks the configuration and returns a server. It writes nothing.
func New(c Config) (*Server, error) {
	if c.Issuer == nil || c.Issuer.Host == "" || c.Issuer.User != nil || strings.Trim(c.Issuer.Path, "/") != "" || c.Issuer.RawQuery != "" || c.Issuer.Fragment != "" {
		return nil, errors.New("authserver: the issuer is a scheme and a host: set public_url to one")
	}
	if c.Issuer.Scheme != "https" && !isLoopback(c.Issuer.Hostname()) {
		return nil, errors.New("authserver: the issuer is plain http on a public name: set public_url to an https one")
	}
	p := c.People
	if c.Store == nil || c.Sealer == nil || c.Audit == nil || p.Person == nil || p.Ask == nil || p.StepUp == nil || p.Meets == nil || p.May == nil {
		return nil, errors.New("authserver: the configuration lacks a part")
	}
	if len(c.Resources) == 0 || len(c.Scopes) == 0 {
		return nil, errors.New("authserver: there is nothing to give tokens for")
	}
	for _, name := range c.Resources {
		if u, err := url.Parse(name); err != nil || u.Scheme == "" || u.Host == "" || u.Fragment != "" {
			return nil, fmt.Errorf("authserver: resource %q is no absolute URI (RFC 8707 §2)", name)
		}
	}
	for _, s := range c.Scopes {
		if s.Name == "" || strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, fmt.Errorf("authserver: %q is no scope (RFC 6749 §3.3)", s.Name)
		}
	}
	s := &Server{
		c: c, issuer: c.Issuer.Scheme + "://" + c.Issuer.Host, log: c.Log,
		keys: signing.NewRing(c.Store, c.Sealer, AccessLife), tables: newTables(c.Sealer),
		limits: newLimits(), issuers: map[string]*TrustedIssuer{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.clients, err = clients.NewDirectory(c.Store, c.Sealer, c.Fetch, c.Clients, c.Register); err != nil {
		return nil, fmt.Errorf("authserver: %w", err)
	}
	for _, t := range c.Issuers {
		if err := t.check(); err != nil {
			return nil, err
		}
		if t.set = signing.FixedKeySet(t.Fixed); t.Keys != "" {
			t.set = signing.NewKeySet(t.Keys, c.Fetch)
		}
		s.issuers[t.Issuer] = &t
	}
	if len(s.issuers) > 0 && p.Known == nil {
		return nil, errors.New("authserver: issuers are trusted, and nobody knows their accounts")
	}
	return s, nil
}

// Routes adds every endpoint and page to mux. The pages refuse other sites'
// forms themselves; what machines call takes no cookie.
func (s *Server) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.metadata)
	mux.HandleFunc("GET /.well-known/openid-configuration", s.metadata)
	mux.HandleFunc("GET /oauth/jwks", s.jwks)

	mux.HandleFunc("POST /oauth/token", s.token)
	mux.HandleFunc("POST /oauth/par", s.machine(s.push))
	mux.HandleFunc("POST /oauth/device", s.machine(s.beginDevice))
	mux.HandleFunc("POST /oauth/revoke", s.machine(s.revoke))
	mux.HandleFunc("POST /oauth/introspect", s.machine(s.introspect))
	if s.c.Register {
		mux.HandleFunc("POST /oauth/register", s.register)
	}

	own := http.NewCrossOriginProtection()
	mux.HandleFunc("GET /oauth/authorize", s.authorize)
	mux.Handle("POST /oauth/authorize", own.Handler(http.HandlerFunc(s.decide)))
	mux.HandleFunc("GET /agents", s.showAgents)
	mux.Handle("POST /agents/revoke", own.Handler(http.HandlerFunc(s.revokeAgent)))
	mux.HandleFunc("GET /device", s.showDevice)
	mux.Handle("POST /device", own.Handler(http.HandlerFunc(s.deviceForm)))
}

// RotateKey has a new key sign from now on. Tokens that are out stay good.
func (s *Server) RotateKey() (kid string, err error) { return s.keys.Rotate() }

// Sweep forgets what is over. It is called now and then.
func (s *Server) Sweep() error {
	now := time.Now()
	s.limits.sweep(now)
	err := s.change(func(c *change) error {
		return errors.Join(
			s.tables.codes.DeleteIf(c, func(r code) bool { return now.After(r.Kept) }),
			s.tables.pushed.DeleteIf(c, func(r pushed) bool { return now.After(r.Expires) }),
			s.tables.devices.DeleteIf(c, func(r device) bool { return now.After(r.Expires) }),
			s.tables.userCodes.DeleteIf(c, func(r userCode) bool { return now.After(r.Expires) }),
			s.tables.spent.DeleteIf(c, func(until time.Time) bool { return now.After(until) }),
			s.clients.Sweep(c),
			c.endOver(now),
		)
	})
	return errors.Join(err, s.keys.Sweep())
}

// scopesOf reads a scope parameter against what there is.
func (s *Server) scopesOf(text string) ([]string, error) {
	var asked []string
	for _, name := range strings.Fields(text) {
		if !slices.ContainsFunc(s.c.Scopes, func(k Scope) bool { return k.Name == name }) {
			return nil, refuse(invalidScope, "there is no such scope: see scopes_supported")
		}
		asked = append(asked, name)
	}
	if len(asked) == 0 {
		for _, k := range s.c.Scopes {
			if k.Default {
				asked = append(asked, k.Name)
			}
		}
	}
	if len(asked) == 0 {
		return nil, refuse(invalidScope, "scope is missing: see scopes_supported")
	}
	slices.Sort(asked)
	return slices.Compact(asked), nil
}

// resourceOf checks that a token is asked for one of our resources, and for one
// alone (RFC 8707 §2).
func (s *Server) resourceOf(values []string) (string, error) {
	if len(values) != 1 || !slices.Contains(s.c.Resources, values[0]) {
		return "", refuse(invalidTarget, "resource: want exactly one, as this server's metadata name it")
	}
	return values[0], nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
