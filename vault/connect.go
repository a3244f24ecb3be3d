package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// Wish is what somebody wants to connect.
type Wish struct {
	Provider string   `json:"provider"`
	Scopes   []string `json:"scopes"`

	// Account names a connected account, by id or alias, that must come back,
	// or an alias for a new one. Empty takes whatever the person signs in to.
	Account string `json:"account,omitempty"`
}

// attempt is one connection in the making. It is stored under the hash of its
// state, taken out exactly once, and bound to the person and the browser
// session that began it: whoever finishes must be who started.
type attempt struct {
	Wish
	User     string    `json:"user"`
	Session  string    `json:"session"`
	Verifier string    `json:"verifier"`
	Expires  time.Time `json:"expires"`
}

const attemptLife = 10 * time.Minute

// RedirectURI is the one callback of a provider: one URI per provider is the
// defence against mix-up where the provider sends no iss (RFC 9700 §4.4.2).
func (v *Vault) RedirectURI(provider string) string {
	return v.c.PublicURL + "/connect/" + provider + "/callback"
}

// ready checks that a wish can be followed and completes its scopes.
func (v *Vault) ready(c authz.Caller, w *Wish) (*route, error) {
	p := v.routes[w.Provider]
	switch {
	case p == nil:
		return nil, fmt.Errorf("%w: no provider %q", ErrNoAccount, w.Provider)
	case !p.Key.IsZero():
		return nil, fmt.Errorf("%w: %s has a static key: there is nothing to connect", ErrUnconfigured, w.Provider)
	case p.From != "":
		return nil, fmt.Errorf("%w: %s is reached through %s: connect that", ErrUnconfigured, w.Provider, p.From)
	case p.OAuth.ClientID == "":
		return nil, fmt.Errorf("%w (%s)", ErrUnconfigured, w.Provider)
	case c.IsZero():
		return nil, ErrNotStarter
	}
	if err := validAlias(w.Account); err != nil {
		return nil, err
	}
	if err := v.Frozen(c, w.Provider, w.Account); err != nil {
		return nil, err
	}
	w.Scopes = set(p.BaseScopes, w.Scopes)
	return p, nil
}

// Begin starts a connection for the caller, in the browser session the caller
// came in with, and returns where to send the browser.
func (v *Vault) Begin(ctx context.Context, c authz.Caller, w Wish) (string, error) {
	p, err := v.ready(c, &w)
	if err != nil {
		return "", err
	}
	if c.Session() == "" {
		return "", ErrNotStarter
	}
	server, err := p.server(ctx)
	if err != nil {
		return "", err
	}
	var raw [32]byte
	rand.Read(raw[:])
	state := base64.RawURLEncoding.EncodeToString(raw[:])
	a := attempt{Wish: w, User: c.User(), Session: c.Session(), Verifier: oauth.Verifier(), Expires: time.Now().Add(attemptLife)}
	if err := v.c.Store.Update(func(tx store.Tx) error { return v.attempts.Put(tx, a, stateKey(state)) }); err != nil {
		return "", err
	}
	ask := oauth.Authorization{RedirectURI: v.RedirectURI(w.Provider), State: state, Verifier: a.Verifier, Scopes: a.Scopes}
	if p.App {
		ask.Scopes = nil
	}
	to, err := oauth.Authorize(ctx, p.client, server, ask)
	if err != nil {
		return "", p.fault(err)
	}
	return to, nil
}

// Connected is the result of a finished connection.
type Connected struct {
	Account
	Missing []string // scopes that were asked for and not given
	Surplus []string // scopes that were given and not asked for
}

// Finish takes the provider's answer to the callback. The state is used up
// whatever happens next.
func (v *Vault) Finish(ctx context.Context, c authz.Caller, provider string, answer url.Values) (Connected, error) {
	a, err := v.take(answer.Get("state"))
	if err != nil {
		return Connected{}, err
	}
	p := v.routes[provider]
	if p == nil || a.Provider != provider {
		return Connected{}, ErrState
	}
	if c.IsZero() || a.User != c.User() || subtle.ConstantTimeCompare([]byte(a.Session), []byte(c.Session())) != 1 {
		return Connected{}, ErrNotStarter
	}
	server, err := p.server(ctx)
	if err != nil {
		return Connected{}, err
	}
	if !server.FromServer(answer.Get("iss")) {
		return Connected{}, ErrMixedUp
	}
	if answer.Get("error") != "" || answer.Get("code") == "" {
		return Connected{}, ErrRefused // the provider's own words are not ours to show
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {v.RedirectURI(provider)}}
	if server.PKCE {
		form.Set("code_verifier", a.Verifier)
	}
	if server.Resource != "" {
		form.Set("resource", server.Resource)
	}
	t, err := oauth.Ask(ctx, p.client, server, form)
	if err != nil {
		return Connected{}, err
	}
	return v.connected(ctx, c, p, server, a.Wish, t)
}

// connected finds out whose account new tokens are for, and keeps them.
func (v *Vault) connected(ctx context.Context, c authz.Caller, p *route, server *Server, w Wish, t oauth.Tokens) (Connected, error) {
	now := time.Now().UTC()
	r := connection{Account: Account{Provider: p.Name, Since: now, Connected: now}, User: c.User()}
	g := grant{ID: newID(), Given: now, Scopes: w.Scopes} // RFC 6749 §5.1: unsaid means as asked
	if p.App {
		g.Scopes = nil
	} else if t.Scopes != nil {
		g.Scopes = set(t.Scopes)
	}
	if err := v.identify(ctx, c, p, server, w, t, &r); err != nil {
		return Connected{}, err
	}
	old, err := v.keep(&r, &g, w, t)
	if err != nil {
		return Connected{}, err
	}
	v.announce()
	for _, o := range old {
		// GitHub keeps ten tokens for a user and forgets the oldest: what was
		// replaced must not stand in the way of what is used.
		if oauth.Reveal(o.access) != oauth.Reveal(t.Access) && server.Revocation == RevokeGitHub {
			v.end(ctx, p.Name, o, oauth.OneToken)
		}
	}
	return Connected{Account: r.Account, Missing: p.missing(set(g.Scopes, shown(t)), w.Scopes), Surplus: p.surplus(g.Scopes, w.Scopes)}, nil
}

// shown is what an answer proves to be granted, said or not: a server that
// makes tokens for a resource lists that API's scopes alone (RFC 8707 §2.2).
func shown(t oauth.Tokens) (scopes []string) {
	if t.IDToken != "" {
		scopes = append(scopes, "openid")
	}
	if !t.Refresh.IsZero() {
		scopes = append(scopes, "offline_access")
	}
	return scopes
}

func (v *Vault) take(state string) (a attempt, err error) {
	err = v.c.Store.Update(func(tx store.Tx) error {
		if a, err = v.attempts.Get(tx, stateKey(state)); err != nil {
			return err
		}
		return v.attempts.Delete(tx, stateKey(state))
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return attempt{}, err
	}
	if err != nil || time.Now().After(a.Expires) {
		return attempt{}, ErrState
	}
	return a, nil
}

// Sweep forgets attempts that nobody finished.
func (v *Vault) Sweep() error {
	return v.c.Store.Update(func(tx store.Tx) error {
		return v.attempts.DeleteIf(tx, func(a attempt) bool { return time.Now().After(a.Expires) })
	})
}

func stateKey(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

// identify asks the provider whose account this is.
func (v *Vault) identify(ctx context.Context, c authz.Caller, p *route, server *Server, w Wish, t oauth.Tokens, r *connection) error {
	said := map[string]any{}
	switch {
	case p.Identity.IDToken:
		claims, err := server.Claims(t)
		if err != nil {
			return err
		}
		said = claims
	case p.Identity.Path != "":
		l := &Lease{vault: v, route: p, caller: c}
		body, _, err := l.do(ctx, bearer{token: t.Access}, l.reading(p.Identity.Path))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &said); err != nil {
			return &Fault{Provider: p.Name, Kind: Upstream, Cause: "the answer about the account cannot be read"}
		}
	default: // the provider does not say: it is whom its user says it is
		if r.Name = w.Account; r.Name == "" {
			r.Name = "account"
		}
		_, r.Name, _ = cutAccount(p.Name, r.Name)
		r.ID = p.Name + "/" + r.Name
		return nil
	}
	subject, ok := read(said, p.Identity.Subject, false)
	name, named := read(said, p.Identity.Name, p.Identity.Any)
	if !ok || !named {
		return &Fault{Provider: p.Name, Kind: Upstream, Cause: "the provider did not say whose account it is"}
	}
	r.Subject, r.Name = subject, name
	r.ID = p.Name + "/" + r.Name
	return nil
}

// read joins the named fields; with any the first that is there will do.
func read(said map[string]any, names []string, any bool) (string, bool) {
	var parts []string
	for _, n := range names {
		s := text(said[n])
		if s != "" {
			parts = append(parts, s)
		}
		if s == "" && !any {
			return "", false
		}
		if s != "" && any {
			break
		}
	}
	return strings.Join(parts, "/"), len(parts) > 0
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) <= 256 && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return v
		}
	case float64:
		return fmt.Sprintf("%.0f", v)
	}
	return ""
}

// cutAccount takes the provider's prefix off an account's id.
func cutAccount(provider, account string) (prefix, name string, had bool) {
	if rest, ok := strings.CutPrefix(account, provider+"/"); ok {
		return provider, rest, true
	}
	return "", account, false
}
