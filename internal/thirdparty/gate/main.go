// Command gate stands in front of one emulated provider (Google, Slack or
// GitHub) and adds the strictness the emulator lacks.
//
//	deputy ──▶ gate ──▶ emulate
//
// The emulator answers any bearer token, known or not. The gate lets through
// only tokens it has seen the provider's own token endpoint hand out, and
// refuses every other in the provider's own words. It keeps a copy of every
// write it forwarded, so that a test can say "exactly these bytes went out,
// once" without believing either side, and it injects the failures providers
// have on bad days. It is a test tool: it listens on loopback only and keeps
// everything in memory.
//
// What the gate itself answers lives under /__gate/ (see control.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: gate -kind google|slack|github -upstream URL [flags]

A strict, recording reverse proxy in front of one emulated provider.

flags:
`

const controls = `
control, on the same address:
  GET  /__gate/writes [?since=N]     every write forwarded, in order
  GET  /__gate/tokens                every token seen, and every token refused
  POST /__gate/expire [?token=T] [&refresh=true]
                                     end one access token, or all of them; with
                                     refresh=true the refresh tokens too
  POST /__gate/fault?status=429,drop [&after=N] [&path=P] [&forward=true]
                                     answer the next requests with these statuses
                                     (drop: cut the line), after N were let by, for
                                     paths containing P; forward=true lets the
                                     request reach the provider and loses its answer
  POST /__gate/reset                 forget writes and faults; tokens stay

example:
  gate -kind github -listen 127.0.0.1:9001 -upstream http://127.0.0.1:9101 -client id:secret
`

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// options are the command line, parsed and checked.
type options struct {
	listen string
	config Config
}

func parse(args []string, out io.Writer) (options, error) {
	var (
		o               options
		kind, upstream  string
		clients, tokens list
	)
	fs := flag.NewFlagSet("gate", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() {
		fmt.Fprint(out, usage)
		fs.PrintDefaults()
		fmt.Fprint(out, controls)
	}
	fs.StringVar(&kind, "kind", "", "provider behind the gate: google, slack or github")
	fs.StringVar(&upstream, "upstream", "", "`URL` of the emulated provider")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `address` to listen on")
	fs.DurationVar(&o.config.TTL, "ttl", 0, "lifetime of every access token; 0 believes the provider's expires_in")
	fs.BoolVar(&o.config.AnyScope, "any-scope", false, "do not check Gmail scopes")
	fs.Var(&clients, "client", "OAuth client as `id:secret`, for GitHub's /applications endpoints (repeatable)")
	fs.Var(&tokens, "token", "a `token` that is live from the start (repeatable)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	fail := func(format string, a ...any) (options, error) {
		err := fmt.Errorf(format, a...)
		fmt.Fprintf(out, "gate: %v\n", err)
		fs.Usage()
		return o, err
	}
	if fs.NArg() > 0 {
		return fail("unexpected argument %q", fs.Arg(0))
	}
	switch o.config.Kind = Kind(kind); o.config.Kind {
	case Google, Slack, GitHub:
	default:
		return fail("-kind must be google, slack or github")
	}
	u, err := url.Parse(upstream)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return fail("-upstream must be an http URL")
	}
	o.config.Upstream = u
	if err := loopback(o.listen); err != nil {
		return fail("-listen: %v", err)
	}
	o.config.Clients = map[string]string{}
	for _, c := range clients {
		id, secret, ok := strings.Cut(c, ":")
		if !ok || id == "" || secret == "" {
			return fail("-client must be id:secret")
		}
		o.config.Clients[id] = secret
	}
	o.config.Tokens = tokens
	return o, nil
}

// loopback refuses addresses that others could reach.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not a loopback address", host)
	}
	return nil
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "gate: %v\n", err)
		os.Exit(1)
	}
}

// run serves until SIGTERM or SIGINT. The one line it prints is what a script
// waits for.
func run(o options, out io.Writer) error {
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: NewGate(o.config), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { srv.Close() })
	fmt.Fprintf(out, "ready %s http://%s\n", o.config.Kind, ln.Addr())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
