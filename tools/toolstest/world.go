// Package toolstest lets tests of tools read as scenes: a guard over real
// parts, a memory store and a provider's fake, and the verbs of the stories.
package toolstest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/seal"
	"deputy/internal/store"
	"deputy/tools"
	"deputy/vault"
)

// Fake is a provider's fake as the stories need it.
type Fake struct {
	Handler http.Handler
	Sent    func() []string // the text of every write that really happened
	Tokens  func() []string // every token ever issued
	Fail    func(status int)
	Expire  func() // access tokens are over
	Revoke  func() // the user removed the app
}

// World is one household: a user with a connected account, and everything
// between the agent and the provider.
type World struct {
	T      testing.TB
	Guard  *tools.Guard
	Vault  *vault.Vault
	Ledger *approvals.Ledger
	Engine *authz.Rules
	Store  store.Store
	Door   *authz.Door
	Fake   Fake
	Log    *Buffer      // what the operator's log got
	Full   *atomic.Bool // the disk is full: nothing can be written
	Config tools.Config // what Guard stands on

	provider tools.Provider
}

// New returns a World around one provider, whose endpoints are turned to the
// fake. Nothing is connected yet.
func New(t testing.TB, p tools.Provider, fake Fake) *World {
	t.Helper()
	return NewWith(t, p, fake, func(*vault.Provider) {})
}

// NewWith is New with a change to the provider as it is configured.
func NewWith(t testing.TB, p tools.Provider, fake Fake, change func(*vault.Provider)) *World {
	t.Helper()
	srv := httptest.NewServer(fake.Handler)
	t.Cleanup(srv.Close)
	p.Provider = Point(p.Provider, srv.URL)
	change(&p.Provider)

	key := make([]byte, 32)
	rand.Read(key)
	kek, err := seal.NewKEK(key)
	check(t, err)
	box, err := seal.Open(t.TempDir(), kek)
	check(t, err)
	w := &World{T: t, Fake: fake, Log: &Buffer{}, Full: &atomic.Bool{}, provider: p}
	w.Store = disk{store.NewMemory(), w.Full}
	w.Door = authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	log := &audit.Log{Key: box.Key("audit")}
	w.Ledger, err = approvals.Open(approvals.Config{
		Store: w.Store, Sealer: box, Audit: log, Door: w.Door, Channels: []string{"client", "page", "cli"},
	})
	check(t, err)
	w.Engine, err = authz.Open(w.Store, nil)
	check(t, err)
	w.Vault, err = vault.Open(vault.Config{
		Store: w.Store, Sealer: box, Audit: log, Ledger: w.Ledger, Providers: []vault.Provider{p.Provider},
		PublicURL: "http://localhost:8787",
	})
	check(t, err)
	catalog, err := tools.NewCatalog(nil, p)
	check(t, err)
	w.Config = tools.Config{
		Catalog: catalog, Engine: w.Engine, Vault: w.Vault, Ledger: w.Ledger, Audit: log, Store: w.Store, Sealer: box,
		Policy: tools.DefaultPolicy, PublicURL: "http://localhost:8787", Log: slog.New(slog.NewTextHandler(w.Log, nil)),
	}
	w.Guard = tools.NewGuard(w.Config)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		w.Guard.Shutdown(ctx)
	})
	return w
}

// disk is a store that can be full.
type disk struct {
	store.Store
	full *atomic.Bool
}

func (d disk) Update(fn func(store.Tx) error) error {
	if d.full.Load() {
		return errors.New("no space left on device")
	}
	return d.Store.Update(fn)
}

// Point turns a provider's endpoints to a fake at base, keeping their paths.
func Point(p vault.Provider, base string) vault.Provider {
	endpoints := []*string{&p.OAuth.AuthURL, &p.OAuth.TokenURL, &p.OAuth.RevokeURL, &p.OAuth.DeviceURL, &p.Narrow.ScopedURL, &p.APIURL}
	if p.Public != nil {
		public := *p.Public
		p.Public = &public
		endpoints = append(endpoints, &public.AuthURL, &public.TokenURL, &public.RevokeURL)
	}
	for _, u := range endpoints {
		if *u == "" {
			continue
		}
		parsed, err := url.Parse(*u)
		if err != nil {
			panic(err)
		}
		*u = base + parsed.Path
	}
	p.OAuth.Issuer = ""
	p.OAuth.ClientID, p.OAuth.ClientSecret = "client", vault.NewSecret("client-secret")
	return p
}

// Caller is a user with an agent, in a browser session for connecting.
func (w *World) Caller(user, agent string) authz.Caller {
	w.T.Helper()
	c, err := w.Door.Caller(context.Background(), authz.Principal{User: user, Agent: agent, Session: "session-of-" + user, AuthTime: time.Now()})
	check(w.T, err)
	return c
}

// Connect walks the provider's consent, as a browser would.
func (w *World) Connect(c authz.Caller, scopes ...string) (vault.Connected, error) {
	w.T.Helper()
	ctx := context.Background()
	if len(scopes) == 0 {
		var err error
		scopes, err = w.Guard.Catalog().Scopes(w.provider.Name)
		check(w.T, err)
	}
	to, err := w.Vault.Begin(ctx, c, vault.Wish{Provider: w.provider.Name, Scopes: scopes})
	if err != nil {
		return vault.Connected{}, err
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Get(to)
	check(w.T, err)
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		return vault.Connected{}, fmt.Errorf("the consent page answered %d", resp.StatusCode)
	}
	return w.Vault.Finish(ctx, c, w.provider.Name, back.Query())
}

// Call calls a tool with JSON arguments.
func (w *World) Call(c authz.Caller, tool, args string) tools.Outcome {
	return w.Guard.Call(context.Background(), c, tool, json.RawMessage(args))
}

// Leaks returns the tokens the fake ever issued that occur in text.
func (w *World) Leaks(text string) (found []string) {
	for _, tok := range w.Fake.Tokens() {
		if strings.Contains(text, tok) {
			found = append(found, tok)
		}
	}
	return found
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
