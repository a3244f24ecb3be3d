// Command deputy lets AI assistants use a person's Gmail, Slack and GitHub for
// them, under their control. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"deputy/internal/seal"
	"deputy/tools"
)

// version is set by the release build.
var version = "dev"

// Exit codes (docs/design.md).
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitRefused
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// stdio is where a command reads and writes: a terminal's, or a test's.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// globals are the flags every command takes, before its name or after.
type globals struct {
	config, home string
	json         bool
}

func (g *globals) register(f *flag.FlagSet) {
	f.StringVar(&g.config, "config", g.config, "configuration `FILE`")
	f.StringVar(&g.home, "home", g.home, "home `DIR`, instead of the configuration's")
	f.BoolVar(&g.json, "json", g.json, "print JSON where something is listed")
}

// command is one word of the command line.
type command struct {
	name, args, does string

	// Commands run inside the process that owns the home, which may be another
	// one. Those with start run here: they become that process, or, with both,
	// ask here for what only their caller has and go on in the owner.
	run   func(*invocation) error
	start func(*invocation) error
	flags func(*flag.FlagSet, *invocation)
}

// invocation is one run of one command.
type invocation struct {
	stdio
	ctx    context.Context
	global globals
	args   []string
	app    *app // nil for commands with start

	// watched: a person sees what goes to err.
	watched bool

	demoFlags    demoFlags
	connectFlags connectFlags
	daemonFlags  daemonFlags
	noDaemon     bool
	choice       tools.Choice // what flags leave of the tools
	proxies      []string
	printConfig  bool
	reason       string
	keysFlags    keysFlags
	authzFlags   authzFlags

	input string    // for run, from a start before it
	kek   *seal.KEK // once it is found
}

func commands() []command {
	return []command{
		{name: "demo", args: "[--stdio] [--listen ADDR] [--read-only …]", does: "try everything in a sandbox with a throw-away home", start: demo, flags: demoFlagSet},
		{name: "stdio", args: "[--no-daemon] [--toolsets SET,…] [--tools NAME,…] [--exclude-tools NAME,…] [--read-only] [--drafts-only]", does: "serve MCP over stdin and stdout", start: serveStdio, flags: stdioFlagSet},
		{name: "daemon", args: "[--idle DURATION]", does: "own a home for stdio front-ends; stdio starts it", start: daemon, flags: daemonFlagSet},
		{name: "serve", args: "[--listen ADDR] [--behind-proxy ADDR,…] [--read-only …]", does: "serve MCP over HTTP, the approval page and connections", start: serve, flags: serveFlagSet},
		{name: "connect", args: "PROVIDER [--account NAME] [--for TOOL,…] [--device]", does: "connect an account in the browser", run: connect, flags: connectFlagSet},
		{name: "accounts", args: "[default ACCOUNT | name ACCOUNT NAME | shares | share ACCOUNT CLIENT [SCOPE…] | unshare ACCOUNT CLIENT]", does: "list connected accounts, name them, share one with a back end", run: accounts},
		{name: "disconnect", args: "ACCOUNT", does: "revoke at the provider, then forget, and report what it was used for", run: disconnect},
		{name: "freeze", args: "[all | USER | ACCOUNT | PROVIDER | agent:NAME]", does: "stop it at once, also in the middle of a run; or list what is stopped", run: freeze, flags: freezeFlagSet},
		{name: "thaw", args: "all | USER | ACCOUNT | PROVIDER | agent:NAME", does: "let it go on", run: thaw},
		{name: "approvals", args: "[list | show ID | approve ID | deny ID | open [ID]]", does: "decide in a terminal, or sign a browser in", run: approvalsCommand, flags: approvalsFlagSet},
		{name: "agents", args: "[list | revoke CLIENT]", does: "programs that may act for you over HTTP, and taking that back", run: agentsCommand},
		{name: "users", args: "[list | code NAME | disable NAME | enable NAME | reset NAME]", does: "the people of this home: invite one by a one-time link, shut one out, forget lost passkeys", run: usersCommand},
		{name: "authz", args: "check | explain | write | delete USER RELATION OBJECT | write | delete --file FILE | list [OBJECT] | model [list | show ID | set FILE] | test FILE…", does: "relationships and their model: ask, change, explain, test", start: authzHere, run: authzCommand, flags: authzFlagSet},
		{name: "tools", args: "[NAME]", does: "list what an agent may use, and what it takes", run: toolsCommand},
		{name: "audit", args: "[tail | verify | export]", does: "read or check the log", run: auditCommand},
		{name: "keys", args: "[status | rotate [--kek REF] | export --to RECIPIENT [FILE] | import --identity FILE BACKUP]", does: "sealing keys: list, rotate, back up a home and restore it", start: keysHere, run: keysCommand, flags: keysFlagSet},
		{name: "doctor", args: "[--print-config]", does: "what is configured and connected, and what to do next", start: doctor, flags: doctorFlagSet},
		{name: "version", does: "print the version", start: printVersion},
	}
}

// errUsage and errRefused choose the exit code.
var (
	errUsage   = errors.New("usage")
	errRefused = errors.New("refused")
)

func usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

func run(ctx context.Context, args []string, io stdio) int {
	var g globals
	top := flag.NewFlagSet("deputy", flag.ContinueOnError)
	top.SetOutput(io.err)
	top.Usage = func() { printUsage(io.err) }
	g.register(top)
	if err := top.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitDone
		}
		return exitUsage
	}
	name := top.Arg(0)
	for _, c := range commands() {
		if c.name == name {
			return report(io.err, c, runCommand(ctx, c, g, top.Args()[1:], io))
		}
	}
	printUsage(io.err)
	if name == "" || name == "help" {
		return exitDone
	}
	fmt.Fprintf(io.err, "\ndeputy: there is no command %q\n", name)
	return exitUsage
}

// runCommand runs c here, or in the process that owns the home.
func runCommand(ctx context.Context, c command, g globals, args []string, io stdio) error {
	inv, err := parse(ctx, c, g, args, io)
	if err != nil || inv == nil {
		return err
	}
	if c.start != nil {
		return c.start(inv)
	}
	return inOwner(inv, c.name, args, c.run)
}

func inOwner(inv *invocation, name string, args []string, run func(*invocation) error) error {
	done, err := askOwner(inv, name, args)
	if done || err != nil {
		return err
	}
	return withApp(inv, run)
}

// parse reads a command's own flags, which may stand before, between or after
// its arguments. A nil invocation means that help was printed.
func parse(ctx context.Context, c command, g globals, args []string, io stdio) (*invocation, error) {
	inv := &invocation{stdio: io, ctx: ctx, global: g, watched: isTerminal(io.err)}
	f := flag.NewFlagSet("deputy "+c.name, flag.ContinueOnError)
	f.SetOutput(io.err)
	f.Usage = func() { fmt.Fprintf(io.err, "deputy %s %s: %s\n", c.name, c.args, c.does); f.PrintDefaults() }
	inv.global.register(f)
	if c.flags != nil {
		c.flags(f, inv)
	}
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, nil
			}
			return nil, errUsage // flag has said what is wrong
		}
		if args = f.Args(); len(args) > 0 {
			inv.args, args = append(inv.args, args[0]), args[1:]
		}
	}
	return inv, nil
}

// report prints an error once, as "deputy: what happened: what to do", and
// chooses the exit code.
func report(w io.Writer, c command, err error) int {
	var remote *remoteError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &remote): // its owner has printed it
		return remote.code
	case err == errUsage:
		return exitUsage
	case errors.Is(err, errUsage):
		fmt.Fprintf(w, "deputy: %s: %s; see deputy %s -h\n", c.name, strings.TrimPrefix(err.Error(), "usage: "), c.name)
		return exitUsage
	case errors.Is(err, errRefused):
		fmt.Fprintf(w, "deputy: %s\n", strings.TrimPrefix(err.Error(), "refused: "))
		return exitRefused
	}
	fmt.Fprintf(w, "deputy: %v\n", err)
	return exitFailed
}

func printUsage(w io.Writer) {
	fmt.Fprintf(w, "deputy lets AI assistants use your Gmail, Slack and GitHub for you, under your control.\n\nUsage: deputy [--config FILE] [--home DIR] [--json] COMMAND\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-11s %s\n", c.name, c.does)
	}
	fmt.Fprintf(w, "\nFirst time? Run: deputy demo\n")
}

func printVersion(inv *invocation) error {
	fmt.Fprintf(inv.out, "deputy %s\n", version)
	return nil
}
