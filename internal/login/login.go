// Package login checks credentials and lets people and their agents in.
//
// Two kinds of credential never open each other's doors:
//
//	bearer    an agent's: /mcp, and nothing else
//	session   a person's browser: approvals, connections, the profile; never /mcp
//
// A session begins with a proof of who is there, and its Caller says which and
// when (ACR, AuthTime):
//
//	passkey     WebAuthn, the person verified (package passkey)
//	upstream    an account at an OpenID provider or GitHub (package upstream)
//	code        a one-time code, which the console shows or a command makes
//	recovery    one of ten codes that a person keeps for the day all else is lost
//
// A Profile is one person with all of these. What is sensitive asks for a proof
// again: StepUp. Only hashes of credentials are stored.
package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/login/passkey"
	"deputy/internal/login/upstream"
	"deputy/internal/store"
)

// ErrDenied says that a credential is missing, wrong, used or too old. Which
// of these it is, nobody is told.
var ErrDenied = errors.New("login: not accepted")

// Login is the door with its credentials. Store, Door and Public are required;
// people who sign in other than by code need the rest.
type Login struct {
	Store  store.Store
	Door   *authz.Door
	Public *url.URL // cookies and links are made for this alone

	Sealer   store.Sealer // seals what a browser keeps while it signs in
	Audit    *audit.Log
	Profiles *Profiles
	Passkeys *passkey.Party // nil: public_url has no name for them
	Accounts []Accounts     // where people may sign in
}

// Accounts is a place to sign in, and whose accounts there may make a profile.
type Accounts struct {
	upstream.Provider
	Allow upstream.Allow
}

type credential struct {
	User    string    `json:"user"`
	Agent   string    `json:"agent,omitempty"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
}

var (
	bearers = store.Table[credential]{Name: "login/bearer"}
	codes   = store.Table[credential]{Name: "login/code"}
)

const (
	bearerPrefix = "dpt_"
	bearerLife   = 90 * 24 * time.Hour
	codeLife     = 10 * time.Minute
)

// Bearer makes a credential for one agent of a user, good for 90 days.
func (l *Login) Bearer(user, agent string) (string, error) {
	return l.issue(bearers, bearerPrefix, credential{User: user, Agent: agent}, bearerLife)
}

// Code makes a one-time code with which a person's browser signs in, good for
// ten minutes.
func (l *Login) Code(user string) (string, error) {
	return l.issue(codes, "", credential{User: user}, codeLife)
}

// SignInURL is a link that signs a browser in, once, and leads on to a local
// path.
func (l *Login) SignInURL(user, next string) (string, error) {
	code, err := l.Code(user)
	if err != nil {
		return "", err
	}
	return l.Public.String() + "/signin?" + url.Values{"code": {code}, "next": {next}}.Encode(), nil
}

func (l *Login) issue(t store.Table[credential], prefix string, c credential, life time.Duration) (string, error) {
	text := prefix + secret()
	c.Made = time.Now().UTC()
	c.Expires = c.Made.Add(life)
	return text, l.Store.Update(func(tx store.Tx) error { return t.Put(tx, c, hashed(text)) })
}

// secret is 192 random bits as text.
func secret() string {
	var raw [24]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Sweep forgets credentials whose time is over.
func (l *Login) Sweep() error {
	over := func(c credential) bool { return time.Now().After(c.Expires) }
	return l.Store.Update(func(tx store.Tx) error {
		return errors.Join(bearers.DeleteIf(tx, over), codes.DeleteIf(tx, over),
			sessions.DeleteIf(tx, func(s session) bool { return s.over() }),
			used.DeleteIf(tx, func(until time.Time) bool { return time.Now().After(until) }))
	})
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// findCode returns whose a one-time code is, and uses it up.
func (l *Login) findCode(text string) (c credential, err error) {
	err = l.Store.Update(func(tx store.Tx) error {
		if c, err = codes.Get(tx, hashed(text)); err != nil {
			return err
		}
		return codes.Delete(tx, hashed(text))
	})
	return c, c.check(err)
}

func (c credential) check(err error) error {
	if errors.Is(err, store.ErrNotFound) || err == nil && time.Now().After(c.Expires) {
		return ErrDenied
	}
	return err
}

// IsBearer reports whether a text is one of deputy's own bearers by its form.
func IsBearer(text string) bool { return strings.HasPrefix(text, bearerPrefix) }

// Agent lets in the agent whose bearer the request carries.
func (l *Login) Agent(r *http.Request) (authz.Caller, error) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return authz.Caller{}, ErrDenied
	}
	return l.Token(r.Context(), text)
}

// Token lets in whoever a bearer is for.
func (l *Login) Token(ctx context.Context, text string) (authz.Caller, error) {
	if !strings.HasPrefix(text, bearerPrefix) {
		return authz.Caller{}, ErrDenied
	}
	var c credential
	err := l.Store.View(func(tx store.Tx) (err error) { c, err = bearers.Get(tx, hashed(text)); return err })
	if err := c.check(err); err != nil {
		return authz.Caller{}, err
	}
	return l.Door.Caller(ctx, authz.Principal{User: c.User, Agent: c.Agent})
}

// Client lets in a client with an access token that the calling code has just
// verified, of the person that it names.
func (l *Login) Client(ctx context.Context, p authz.Principal) (authz.Caller, error) {
	if slices.Contains(ownAgents, p.Agent) {
		return authz.Caller{}, ErrDenied
	}
	return l.Door.Caller(ctx, p)
}

// ownAgents are agents that come without a token of somebody else's. A rule on
// one is not for a client that calls itself so.
var ownAgents = []string{"stdio", "http", "cli", browserAgent}

// Local lets in a program that the operating system vouches for: it came over
// stdin or the home's socket, so it runs as the home's own user.
func (l *Login) Local(ctx context.Context, user, agent, session string) (authz.Caller, error) {
	return l.Door.Caller(ctx, authz.Principal{User: user, Agent: agent, Session: session})
}

// secure reports whether browsers reach deputy over TLS.
func (l *Login) secure() bool { return l.Public.Scheme == "https" }

// cookie has the __Host- prefix (RFC 6265bis §4.1.3.2) where there is TLS.
func (l *Login) cookie(name, value string, life time.Duration) *http.Cookie {
	if l.secure() {
		name = "__Host-" + name
	}
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, Secure: l.secure(),
		SameSite: http.SameSiteLaxMode, // Strict would lose the provider's way back
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// note writes a line about a person into the log, in the commit of what it is
// about.
func (l *Login) note(tx store.Tx, line audit.Line) error {
	if l.Audit == nil {
		return nil
	}
	if line.Agent == "" {
		line.Agent = browserAgent
	}
	return l.Audit.Append(tx, line)
}

// noteAlone writes a line about what did not happen.
func (l *Login) noteAlone(line audit.Line) error {
	return l.Store.Update(func(tx store.Tx) error { return l.note(tx, line) })
}
