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
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"

	"golang.org/x/oauth2"
)

// attempt is one connection in the making. It is stored under the hash of its
// state, taken out exactly once, and bound to the person and the browser
// session that began it: whoever finishes must be who started.
type attempt struct {
	User     string    `json:"user"`
	Session  string    `json:"session"`
	Provider string    `json:"provider"`
	Scopes   []string  `json:"scopes"`
	Verifier string    `json:"verifier"`
	Expires  time.Time `json:"expires"`
}

const attemptLife = 10 * time.Minute

// RedirectURI is the one callback of a provider: one URI per provider is the
// defence against mix-up where the provider sends no iss (RFC 9700 §4.4.2).
func (v *Vault) RedirectURI(provider string) string {
	return v.c.PublicURL + "/connect/" + provider + "/callback"
}

// Begin starts a connection for the caller, in the browser session the caller
// came in with, and returns where to send the browser.
func (v *Vault) Begin(ctx context.Context, c authz.Caller, provider string, scopes []string) (string, error) {
	p := v.routes[provider]
	if p == nil {
		return "", fmt.Errorf("%w: no provider %q", ErrNoAccount, provider)
	}
	if p.ClientID == "" {
		return "", fmt.Errorf("%w (%s)", ErrUnconfigured, provider)
	}
	if c.IsZero() || c.Session() == "" {
		return "", ErrNotStarter
	}
	var raw [32]byte
	rand.Read(raw[:])
	state := base64.RawURLEncoding.EncodeToString(raw[:])
	a := attempt{
		User: c.User(), Session: c.Session(), Provider: provider, Verifier: oauth2.GenerateVerifier(),
		Scopes: slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.BaseScopes, scopes)))), Expires: time.Now().Add(attemptLife),
	}
	if err := v.c.Store.Update(func(tx store.Tx) error { return v.states.Put(tx, a, stateKey(state)) }); err != nil {
		return "", err
	}
	cfg := oauth2.Config{ClientID: p.ClientID, RedirectURL: v.RedirectURI(provider), Endpoint: oauth2.Endpoint{AuthURL: p.AuthURL}}
	opts := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam(p.ScopeParam, strings.Join(a.Scopes, p.ScopeSep))}
	for k, val := range p.AuthParams {
		opts = append(opts, oauth2.SetAuthURLParam(k, val))
	}
	if p.PKCE {
		opts = append(opts, oauth2.S256ChallengeOption(a.Verifier))
	}
	return cfg.AuthCodeURL(state, opts...), nil
}

// Connected is the result of a finished connection.
type Connected struct {
	Account
	Missing []string // scopes that were asked for and not given
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
	if iss := answer.Get("iss"); iss != "" && p.Issuer != "" && iss != p.Issuer {
		return Connected{}, ErrMixedUp
	}
	if answer.Get("error") != "" || answer.Get("code") == "" {
		return Connected{}, ErrRefused // the provider's own words are not ours to show
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {v.RedirectURI(provider)}}
	if p.PKCE {
		form.Set("code_verifier", a.Verifier)
	}
	t, err := v.ask(ctx, p, form)
	if err != nil {
		return Connected{}, err
	}
	now := time.Now().UTC()
	r := row{Account: Account{Provider: provider, Since: now, Connected: now}, User: c.User()}
	t.put(&r)
	if t.scopes == nil {
		r.Scopes = a.Scopes // RFC 6749 §5.1: unsaid means as asked
	}
	if err := v.identify(ctx, c, p, t, &r); err != nil {
		return Connected{}, err
	}
	if err := v.keep(&r); err != nil {
		return Connected{}, err
	}
	return Connected{Account: r.Account, Missing: p.missing(r.Scopes, a.Scopes)}, nil
}

func (v *Vault) take(state string) (a attempt, err error) {
	err = v.c.Store.Update(func(tx store.Tx) error {
		if a, err = v.states.Get(tx, stateKey(state)); err != nil {
			return err
		}
		return v.states.Delete(tx, stateKey(state))
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
		return v.states.DeleteIf(tx, func(a attempt) bool { return time.Now().After(a.Expires) })
	})
}

func stateKey(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

// identify asks the provider whose account this is.
func (v *Vault) identify(ctx context.Context, c authz.Caller, p *route, t tokens, r *row) error {
	var said map[string]any
	if p.Identity.IDToken {
		claims, err := t.claims()
		if err != nil {
			return err
		}
		said = claims
	} else {
		l := &Lease{vault: v, route: p, caller: c}
		req := l.reading(p.Identity.Path)
		body, _, err := l.do(ctx, *r, req)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &said); err != nil {
			return &Fault{Provider: p.Name, Kind: Upstream, Cause: "the answer about the account cannot be read"}
		}
	}
	var subject, name []string
	for _, f := range p.Identity.Subject {
		subject = append(subject, text(said[f]))
	}
	for _, f := range p.Identity.Name {
		name = append(name, text(said[f]))
	}
	if slices.Contains(subject, "") || slices.Contains(name, "") {
		return &Fault{Provider: p.Name, Kind: Upstream, Cause: "the provider did not say whose account it is"}
	}
	r.Subject, r.Name = strings.Join(subject, "/"), strings.Join(name, "/")
	r.ID = p.Name + "/" + r.Name
	return nil
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return fmt.Sprintf("%.0f", v)
	}
	return ""
}

// keep stores a connection that was just made. It replaces an older one of
// the same subject; another subject under the same name is refused, because a
// silent swap would send a person's next message from somebody else's account.
func (v *Vault) keep(r *row) error {
	return v.c.Store.Update(func(tx store.Tx) error {
		old, err := v.rows.Get(tx, r.User, r.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case old.Subject != r.Subject:
			return ErrOtherAccount
		default:
			r.Gen, r.Since = old.Gen+1, old.Since
		}
		if err := v.rows.Put(tx, *r, r.User, r.ID); err != nil {
			return err
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "connect", User: r.User, Account: r.ID})
	})
}
