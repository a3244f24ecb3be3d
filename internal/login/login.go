// Package login checks credentials and lets people and their agents in.
//
// Until an authorization server stands at the door there are two credentials,
// and neither opens what the other does:
//
//	bearer    an agent's: /mcp, and nothing else
//	session   a person's browser: approvals and connections, never /mcp
//
// A session begins with a one-time code, which the console shows or
// "deputy approvals open" makes. Only hashes of credentials are stored.
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
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/store"
)

// ErrDenied says that a credential is missing, wrong, used or too old. Which
// of these it is, nobody is told.
var ErrDenied = errors.New("login: not accepted")

// Login is the door with its credentials.
type Login struct {
	Store  store.Store
	Door   *authz.Door
	Public *url.URL // cookies and links are made for this alone
}

type credential struct {
	User    string    `json:"user"`
	Agent   string    `json:"agent,omitempty"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
}

var (
	bearers  = store.Table[credential]{Name: "login/bearer"}
	sessions = store.Table[credential]{Name: "login/session"}
	codes    = store.Table[credential]{Name: "login/code"}
)

const (
	bearerPrefix = "dpt_"
	bearerLife   = 90 * 24 * time.Hour
	sessionLife  = 12 * time.Hour
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
	var raw [24]byte
	rand.Read(raw[:])
	text := prefix + base64.RawURLEncoding.EncodeToString(raw[:])
	c.Made = time.Now().UTC()
	c.Expires = c.Made.Add(life)
	return text, l.Store.Update(func(tx store.Tx) error { return t.Put(tx, c, hashed(text)) })
}

// Sweep forgets credentials whose time is over.
func (l *Login) Sweep() error {
	over := func(c credential) bool { return time.Now().After(c.Expires) }
	return l.Store.Update(func(tx store.Tx) error {
		return errors.Join(bearers.DeleteIf(tx, over), sessions.DeleteIf(tx, over), codes.DeleteIf(tx, over))
	})
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (l *Login) find(t store.Table[credential], text string, once bool) (c credential, err error) {
	read := func(tx store.Tx) error {
		c, err = t.Get(tx, hashed(text))
		return err
	}
	if once {
		err = l.Store.Update(func(tx store.Tx) error {
			if err := read(tx); err != nil {
				return err
			}
			return t.Delete(tx, hashed(text))
		})
	} else {
		err = l.Store.View(read)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return credential{}, err
	}
	if err != nil || time.Now().After(c.Expires) {
		return credential{}, ErrDenied
	}
	return c, nil
}

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
	c, err := l.find(bearers, text, false)
	if err != nil {
		return authz.Caller{}, err
	}
	return l.Door.Caller(ctx, authz.Principal{User: c.User, Agent: c.Agent})
}

// Local lets in a program that the operating system vouches for: it came over
// stdin or the home's socket, so it runs as the home's own user.
func (l *Login) Local(ctx context.Context, user, agent, session string) (authz.Caller, error) {
	return l.Door.Caller(ctx, authz.Principal{User: user, Agent: agent, Session: session})
}

// browserAgent is the agent name of a person's own browser.
const browserAgent = "browser"

// Person lets in the person whose session cookie the request carries.
func (l *Login) Person(r *http.Request) (authz.Caller, bool) {
	cookie, err := r.Cookie(l.cookieName())
	if err != nil {
		return authz.Caller{}, false
	}
	c, err := l.find(sessions, cookie.Value, false)
	if err != nil {
		return authz.Caller{}, false
	}
	caller, err := l.Door.Caller(r.Context(), authz.Principal{
		User: c.User, Agent: browserAgent, Session: hashed(cookie.Value), AuthTime: c.Made,
	})
	return caller, err == nil
}

// cookieName has the __Host- prefix (RFC 6265bis §4.1.3.2) where there is TLS.
func (l *Login) cookieName() string {
	if l.Public.Scheme == "https" {
		return "__Host-deputy"
	}
	return "deputy"
}

func (l *Login) startSession(w http.ResponseWriter, user string) error {
	text, err := l.issue(sessions, "", credential{User: user}, sessionLife)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: l.cookieName(), Value: text, Path: "/", MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, Secure: l.Public.Scheme == "https",
		SameSite: http.SameSiteLaxMode, // Strict would lose the provider's way back
	})
	return nil
}
