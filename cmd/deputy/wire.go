package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/authz/storefile"
	"deputy/internal/audit"
	"deputy/internal/authserver"
	"deputy/internal/config"
	"deputy/internal/login"
	"deputy/internal/seal"
	"deputy/internal/server"
	"deputy/internal/store"
	"deputy/tools"
	"deputy/vault"
)

// app is one open home with everything wired. Exactly one process has it.
type app struct {
	config config.Config
	public *url.URL
	owner  string // the person this home belongs to
	log    *slog.Logger

	store  store.Store
	door   *authz.Door
	engine *authz.Rules
	ledger *approvals.Ledger
	vault  *vault.Vault
	guard  *tools.Guard
	login  *login.Login
	outer  *door              // /mcp over HTTP
	auth   *authserver.Server // nil: the configuration names another
	server *server.Server
	tokens http.Handler // the token endpoint for back ends, if there are any
	box    *seal.Box
	audit  *audit.Log

	front     attached           // front-ends over the socket
	drain     context.CancelFunc // a daemon's: finish and go
	listening bool               // this process serves the pages
	rotating  sync.Mutex         // one change of the keys at a time
	stopped   chan struct{}      // closed when the home is
}

// loadConfig reads the file and lays the global flags over it.
func loadConfig(g globals) (config.Config, error) {
	path, must := config.Path(g.config)
	c, err := config.Load(path, must)
	if err == nil && g.home != "" {
		c.Home, err = filepath.Abs(g.home)
		// A home that was made with its own key is opened with it.
		if own := filepath.Join(c.Home, "keys", "kek"); g.config == "" && c.Key == config.Default().Key && exists(own) {
			c.Key = "file:" + own
		}
	}
	return c, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// open opens a home. It is the only function that knows all the parts.
func open(c config.Config, within tools.Choice, findKEK func(config.Config) (seal.KEK, error), log *slog.Logger) (_ *app, err error) {
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, err
	}
	a := &app{config: c, public: public, log: log}
	if a.owner, err = owner(c); err != nil {
		return nil, err
	}
	if err := privateDir(c.Home); err != nil {
		return nil, err
	}
	kek, err := findKEK(c)
	if err != nil {
		return nil, err
	}
	if a.store, err = openStore(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.store.Close()
		}
	}()
	box, err := openKeys(filepath.Join(c.Home, "keys"), kek, a.store)
	if err != nil {
		return nil, err
	}
	auditLog := &audit.Log{Key: box.Key("audit")}
	a.box, a.audit = box, auditLog
	people := &login.Profiles{Store: a.store, Sealer: box, Owner: a.owner}
	a.door = authz.NewDoor(a.mayEnter(people))
	a.login = a.signIn(people)
	if a.ledger, err = approvals.Open(approvals.Config{
		Store: a.store, Sealer: box, Audit: auditLog, Door: a.door,
		Expires: c.Approvals.Expires, Channels: c.Approvals.Channels, Presence: presence[c.Approvals.Presence], Strong: a.login.Strong,
	}); err != nil {
		return nil, err
	}
	if a.engine, err = a.openRules(c); err != nil {
		return nil, err
	}
	all, err := configured(c)
	if err != nil {
		return nil, err
	}
	oauth, err := inHouse(c)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		oauth = append(oauth, p.Provider)
	}
	if a.vault, err = vault.Open(vault.Config{
		Store: a.store, Sealer: box, Audit: auditLog, Ledger: a.ledger, Providers: oauth, PublicURL: c.PublicURL,
	}); err != nil {
		return nil, err
	}
	catalog, err := tools.NewCatalog([]tools.Choice{chosen(c.Tools), within}, all...)
	if err != nil {
		return nil, err
	}
	ruled, err := readRules(c)
	if err != nil {
		return nil, err
	}
	a.guard = tools.NewGuard(tools.Config{
		Catalog: catalog, Engine: a.engine, Vault: a.vault, Ledger: a.ledger, Audit: auditLog, Store: a.store, Sealer: box,
		Policy: policy(c.Approvals.Defaults), Rules: ruled, PublicURL: c.PublicURL, Log: log,
	})
	if a.outer, err = a.newDoor(); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	if a.tokens, err = a.exchange(); err != nil {
		return nil, err
	}
	if a.auth, err = a.openAuthserver(a.outer.resource); err != nil {
		return nil, err
	}
	forms := false
	for _, ch := range c.Approvals.Channels {
		forms = forms || ch == "client"
	}
	a.server = server.New(server.Config{Guard: a.guard, Sealer: box, Version: version, Forms: forms, Log: log})
	// What people had approved when the last process ended is sent now, or has
	// expired.
	if err := a.ledger.Resume(); err != nil {
		return nil, err
	}
	a.stopped = make(chan struct{})
	go a.sweep()
	go a.finishRotation()
	return a, nil
}

// openStore opens the store for this process alone: relationships, for one, are
// read once and then kept in memory.
func openStore(c config.Config) (store.Store, error) {
	ref, ok := c.Store.Postgres()
	if !ok {
		return store.OpenBolt(filepath.Join(c.Home, "deputy.db"))
	}
	url, err := ref.Read()
	if err != nil {
		return nil, fmt.Errorf("store: the PostgreSQL URL: %w: put it there, or change \"store\" in the configuration", err)
	}
	return store.OpenPostgres(url, store.PostgresOptions{Exclusive: true})
}

// sweep forgets, now and then, what has had its time.
func (a *app) sweep() {
	for tick := time.NewTicker(10 * time.Minute); ; {
		select {
		case <-tick.C:
			if err := errors.Join(a.ledger.Sweep(), a.login.Sweep(), a.vault.Sweep(), a.sweepGrants()); err != nil {
				a.log.Warn("sweep", "cause", err)
			}
		case <-a.stopped:
			tick.Stop()
			return
		}
	}
}

// close waits for sends under way, then closes the store.
func (a *app) close() error {
	close(a.stopped)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	a.guard.Shutdown(ctx)
	a.vault.Close(ctx)
	return a.store.Close()
}

func owner(c config.Config) (string, error) {
	if c.User != "" {
		return c.User, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("who are you? set \"user\" in the configuration: %w", err)
	}
	// On Windows it comes as DOMAIN\name.
	return u.Username[strings.LastIndexByte(u.Username, '\\')+1:], nil
}

// privateDir makes the home, or refuses one that others can read.
func privateDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("home: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("home: %w", err)
	}
	if os.PathSeparator == '/' && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("home %s can be read by others: chmod 700 it", path)
	}
	return nil
}

// modelFile reads the model that the configuration names, if it names one.
func modelFile(path string) (*authz.Model, error) {
	if path == "builtin" {
		return nil, nil
	}
	text, err := storefile.ReadModel(path)
	if err != nil {
		return nil, fmt.Errorf("authz.model: %w", err)
	}
	return &text, nil
}

// presence reads the configuration's words.
var presence = map[string]approvals.Presence{"never": approvals.PresenceNever, "stepup": approvals.PresenceStepUp, "always": approvals.PresenceAlways}

// policy reads the configuration's words; they were checked when it was read.
func policy(d config.Defaults) tools.Policy {
	need := map[string]approvals.Need{}
	for _, n := range []approvals.Need{approvals.ByRule, approvals.ByPerson, approvals.ByFreshPerson} {
		need[n.String()] = n
	}
	return tools.Policy{Drafts: need[d.Drafts], Publishes: need[d.Publishes], Destroys: need[d.Destroys]}
}

// makeKEK gives a home a key-encryption key of its own, kept beside the store.
// Only the demo does this: a key next to what it seals protects a copied
// database, not a copied home.
func makeKEK(home string) (ref string, err error) {
	path := filepath.Join(home, "keys", "kek")
	if exists(path) {
		return "file:" + path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	key := make([]byte, 32)
	rand.Read(key)
	return "file:" + path, os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
}
