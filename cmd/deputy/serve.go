package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"deputy/approvals"
	"deputy/internal/config"
	"deputy/internal/pages"
	"deputy/internal/server"
	"deputy/internal/store"
	"deputy/vault"
)

func serveFlagSet(f *flag.FlagSet, inv *invocation) {
	f.StringVar(&inv.demoFlags.listen, "listen", "", "`ADDR` to listen on, instead of the configuration's")
	f.Func("behind-proxy", "`ADDR,…` of reverse proxies that end TLS, instead of the configuration's", func(text string) error {
		inv.proxies = strings.Split(text, ",")
		return nil
	})
	choiceFlags(f, &inv.choice)
}

// serve runs until it is told to stop.
func serve(inv *invocation) error {
	c, err := loadConfig(inv.global)
	if err != nil {
		return err
	}
	if inv.demoFlags.listen != "" {
		c.Listen = inv.demoFlags.listen
		// Links follow the port, unless somebody has said where they lead.
		if _, port, err := net.SplitHostPort(c.Listen); err == nil && port != "0" && c.PublicURL == config.Default().PublicURL {
			c.PublicURL = "http://localhost:" + port
		}
	}
	if inv.proxies != nil {
		c.Proxies = inv.proxies
	}
	a, err := openHome(c, inv)
	if err != nil {
		return err
	}
	h, err := a.listen()
	if err != nil {
		return errors.Join(err, a.close())
	}
	bearer, err := a.bearerFile()
	if err != nil {
		return errors.Join(err, h.stop(), a.close())
	}
	fmt.Fprintf(inv.err, "deputy: MCP at %s/mcp, bearer in %s\n", a.public, bearer)
	if link, err := a.login.SignInURL(a.owner, "/approvals"); err == nil {
		fmt.Fprintf(inv.err, "deputy: approvals at %s (signs one browser in, within ten minutes)\n", link)
	}
	if me, err := a.login.Profiles.Get(a.owner); err == nil && len(me.Passkeys) == 0 && a.login.Passkeys != nil {
		fmt.Fprintf(inv.err, "deputy: then add a passkey at %s/profile: approving what cannot be undone will take your device\n", a.public)
	}
	<-inv.ctx.Done()
	return errors.Join(h.stop(), a.close())
}

func stdioFlagSet(f *flag.FlagSet, inv *invocation) {
	f.BoolVar(&inv.noDaemon, "no-daemon", false, "open the home in this process instead of attaching to a daemon")
	choiceFlags(f, &inv.choice)
}

// serveStdio is one client's server: a front-end to whoever owns the home, or
// with --no-daemon the owner itself. Then it listens too, for the approval page
// and the providers' way back.
func serveStdio(inv *invocation) error {
	c, err := loadConfig(inv.global)
	if err != nil {
		return err
	}
	if !inv.noDaemon {
		return attach(inv, c)
	}
	a, err := openHome(c, inv)
	if err != nil {
		return err
	}
	return a.serveStdio(inv)
}

func (a *app) serveStdio(inv *invocation) error {
	h, err := a.listen()
	if err != nil {
		return errors.Join(err, a.close())
	}
	caller, err := a.login.Local(inv.ctx, a.owner, "stdio", "stdio")
	if err == nil {
		err = a.server.Stdio(inv.ctx, caller, inv.in, inv.out)
	}
	return errors.Join(err, h.stop(), a.close())
}

// openHome opens the configured home and explains a locked one.
func openHome(c config.Config, inv *invocation) (*app, error) {
	log := slog.New(slog.NewTextHandler(inv.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := open(c, inv.choice, inv.findKEK, log)
	var locked *store.LockedError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("%w: connect to that one (deputy doctor), or stop it first", err)
	}
	return a, err
}

// listener is a home's open doors: HTTP and the socket.
type listener struct {
	http, socket *http.Server
	endStreams   context.CancelFunc
}

// listen opens the doors and returns at once.
func (a *app) listen() (*listener, error) {
	ln, err := net.Listen("tcp", a.config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w: set \"listen\" and \"public_url\" to another port in the configuration (serve and demo take --listen)", err)
	}
	return a.serveOn(ln)
}

func (a *app) serveOn(ln net.Listener) (*listener, error) {
	ln, proxies, err := a.outside(ln)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	socket, err := listenSocket(a.socketPath())
	if err != nil {
		ln.Close()
		return nil, err
	}
	streams, end := context.WithCancel(context.Background())
	h := &listener{
		http:       newServer(server.Behind(proxies, server.Front(a.public, a.mux(streams)))),
		socket:     newServer(a.socketHandler(streams)),
		endStreams: end,
	}
	a.listening = true
	go h.http.Serve(ln)
	go h.socket.Serve(socket)
	return h, nil
}

// outside is the listener as other machines reach it: with TLS here, or with
// proxies that end it. Plain http is for this machine alone.
func (a *app) outside(ln net.Listener) (net.Listener, []netip.Prefix, error) {
	proxies, err := server.Proxies(a.config.Proxies)
	if err != nil {
		return ln, nil, fmt.Errorf("behind_proxy: %w", err)
	}
	if a.config.TLS.Cert != "" {
		conf, err := server.TLS(a.config.TLS.Cert, a.config.TLS.Key, a.log)
		if err != nil {
			return ln, nil, err
		}
		return tls.NewListener(ln, conf), proxies, nil
	}
	if !ln.Addr().(*net.TCPAddr).IP.IsLoopback() && (a.public.Scheme == "http" || len(proxies) == 0) {
		return ln, nil, fmt.Errorf("listen: %s is open to other machines: set tls and an https public_url; or name the proxy that ends TLS with behind_proxy (--behind-proxy); or listen on 127.0.0.1", ln.Addr())
	}
	return ln, proxies, nil
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it would print paths with codes in them
	}
}

// stop closes the doors and lets requests that came in finish.
func (h *listener) stop() error {
	h.endStreams() // they would not end by themselves
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := errors.Join(h.http.Shutdown(ctx), h.socket.Shutdown(ctx))
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(h.http.Close(), h.socket.Close())
	}
	return err
}

// mux is everything served over HTTP.
func (a *app) mux(streams context.Context) http.Handler {
	mux := http.NewServeMux()
	mcp := ending(streams, a.server.HTTP(server.Door{Identify: a.outer.identify, Refuse: a.outer.refuse}))
	mux.Handle("/mcp", mcp)
	mux.Handle("/mcp/readonly", server.ReadOnly(mcp))
	a.outer.resource.Routes(mux)
	people := http.NewServeMux()
	a.login.Routes(people)
	approvals.Page{Ledger: a.ledger, Who: a.login.Person, SignIn: a.login.Ask, StepUp: a.stepUp}.Routes(people)
	vault.Page{Vault: a.vault, Who: a.login.Person, SignIn: a.login.Ask, Scopes: a.scopes}.Routes(people)
	people.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/approvals", http.StatusSeeOther) })
	people.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		pages.Message(w, r, http.StatusNotFound, "missing.title", "missing.page")
	})
	mux.Handle("/", http.NewCrossOriginProtection().Handler(people))
	switch {
	case a.auth != nil:
		a.auth.Routes(mux)
	case a.tokens != nil:
		mux.Handle("POST /oauth/token", a.tokens)
	}
	mux.HandleFunc("GET /style.css", pages.Style)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	ok := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := a.store.View(func(store.Tx) error { return nil }); err != nil {
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
			return
		}
		ok(w, r)
	})
	return mux
}

// stepUp asks for the proof that a decision takes.
func (a *app) stepUp(w http.ResponseWriter, r *http.Request) {
	c, _ := a.login.Person(r)
	need, err := a.login.FreshNeed(c.User())
	if err != nil {
		pages.Message(w, r, http.StatusInternalServerError, "failed.title", "failed.store")
		return
	}
	a.login.StepUp(w, r, need)
}

// ending lets event streams, which clients hold open by GET, end with streams.
func ending(streams context.Context, mcp http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(streams, cancel)()
			r = r.WithContext(ctx)
		}
		mcp.ServeHTTP(w, r)
	})
}

func (a *app) scopes(provider string) []string {
	s, _ := a.guard.Catalog().Scopes(provider)
	return s
}

// bearerFile keeps one bearer for this machine's HTTP clients in keys/bearer.
func (a *app) bearerFile() (string, error) {
	path := filepath.Join(a.config.Home, "keys", "bearer")
	if text, err := os.ReadFile(path); err == nil {
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(text)))
		if _, err := a.login.Agent(r); err == nil {
			return path, nil
		}
	}
	bearer, err := a.login.Bearer(a.owner, "http")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(bearer+"\n"), 0o600)
}
