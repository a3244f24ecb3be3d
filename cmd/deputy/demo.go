package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"deputy/internal/config"
	"deputy/tools/github/githubfake"
	"deputy/tools/gmail/gmailfake"
	"deputy/tools/slack/slackfake"
)

type demoFlags struct {
	stdio  bool
	listen string
}

func demoFlagSet(f *flag.FlagSet, inv *invocation) {
	f.BoolVar(&inv.demoFlags.stdio, "stdio", false, "serve MCP over stdin and stdout")
	f.StringVar(&inv.demoFlags.listen, "listen", "", "`ADDR` to listen on; 127.0.0.1:8787, or any free port if that is taken")
	choiceFlags(f, &inv.choice)
}

// demoUser lives in the sandbox's world.
const demoUser = "anna"

// demo is serve or stdio against sandbox providers in this process. Everything
// else is real: the OAuth flows, the sealing, the rules, the approvals.
func demo(inv *invocation) error {
	home, temporary, err := demoHome(inv.global.home)
	if err != nil {
		return err
	}
	if temporary {
		defer os.RemoveAll(home)
	}
	ln, err := demoListen(inv.demoFlags.listen)
	if err != nil {
		return err
	}
	box, err := openSandbox()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer box.close()
	c := config.Default()
	c.Home, c.User = home, demoUser
	c.Listen = ln.Addr().String()
	c.PublicURL = fmt.Sprintf("http://localhost:%d", ln.Addr().(*net.TCPAddr).Port)
	c.Providers = box.providers
	c.Approvals.Channels = append(c.Approvals.Channels, "cli")
	c.OAuth.Register = true // it is a sandbox: any client may try itself against it
	if c.Key, err = makeKEK(home); err != nil {
		return errors.Join(err, ln.Close())
	}
	a, err := openHome(c, inv)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	h, err := a.serveOn(ln)
	if err != nil {
		return errors.Join(err, a.close())
	}
	err = a.demoRun(inv)
	return errors.Join(err, h.stop(), a.close())
}

func (a *app) demoRun(inv *invocation) error {
	if err := a.demoConnect(inv.ctx); err != nil {
		return fmt.Errorf("demo: connecting the sandbox: %w", err)
	}
	if inv.demoFlags.stdio {
		caller, err := a.login.Local(inv.ctx, a.owner, "stdio", "stdio")
		if err != nil {
			return err
		}
		fmt.Fprintf(inv.err, "deputy: sandbox ready, home %s, approvals: deputy --home %s approvals\n", a.config.Home, a.config.Home)
		return a.server.Stdio(inv.ctx, caller, inv.in, inv.out)
	}
	bearer, err := a.login.Bearer(a.owner, "demo")
	if err != nil {
		return err
	}
	link, err := a.login.SignInURL(a.owner, "/approvals")
	if err != nil {
		return err
	}
	if inv.global.json {
		err = json.NewEncoder(inv.out).Encode(map[string]string{"url": a.config.PublicURL + "/mcp", "bearer": bearer, "home": a.config.Home, "approvals": link})
	} else {
		_, err = io.WriteString(inv.out, tour(a.config, bearer, link))
	}
	if err != nil {
		return err
	}
	<-inv.ctx.Done()
	return nil
}

// tour is what the demo prints: how to attach, and what to try.
func tour(c config.Config, bearer, link string) string {
	mcp := c.PublicURL + "/mcp"
	return strings.NewReplacer("deputy --home", self()+" --home", `"command":"deputy","args":["demo"`, claudeCommand(), "MCP_URL", mcp, "BEARER", bearer, "HOME_DIR", c.Home, "LINK", link).Replace(`deputy demo: a sandbox Gmail, Slack and GitHub of one Anna Kim. Nothing leaves this machine.

  url:       MCP_URL
  bearer:    BEARER
  home:      HOME_DIR
  approvals: LINK
             (signs one browser in; a new link: deputy --home HOME_DIR approvals open)

Attach a client:
  Claude Code     claude mcp add --transport http deputy MCP_URL --header "Authorization: Bearer BEARER"
  VS Code         code --add-mcp '{"name":"deputy","type":"http","url":"MCP_URL","headers":{"Authorization":"Bearer BEARER"}}'
  Cursor          ~/.cursor/mcp.json      {"mcpServers":{"deputy":{"url":"MCP_URL","headers":{"Authorization":"Bearer BEARER"}}}}
  Claude Desktop  claude_desktop_config.json  {"mcpServers":{"deputy":{"command":"deputy","args":["demo","--stdio"]}}}

Try, in the assistant:
  1. What did Bo write about the launch?             read: answered at once
  2. Reply to Bo that ten o'clock is fine.           write: a person is asked
  3. deputy --home HOME_DIR approvals        in another terminal: approve, and exactly those bytes go out
  4. Summarise the newsletter.                       it tries to give orders: they arrive as labelled data
  5. deputy --home HOME_DIR authz write 'user:*' hidden gmail_label:anna@example.com/Payroll
                                                     and payroll mail no longer exists for the assistant

Ctrl-C ends it.
`)
}

// self is how this program was called, so that what the demo prints can be
// pasted: with "go run" there is no deputy on the path.
func self() string {
	if exe, err := os.Executable(); err == nil && strings.Contains(exe, "go-build") {
		return "go run ./cmd/deputy"
	}
	return "deputy"
}

// claudeCommand starts the demo from any folder: by the path of this binary.
func claudeCommand() string {
	exe, err := os.Executable()
	if err != nil || strings.Contains(exe, "go-build") {
		exe = "deputy" // of go install ./cmd/deputy
	}
	return fmt.Sprintf(`"command":%q,"args":["demo"`, exe)
}

// demoHome is the named folder, which is kept, or a temporary one.
func demoHome(named string) (home string, temporary bool, err error) {
	if named != "" {
		home, err = filepath.Abs(named)
		return home, false, err
	}
	home, err = os.MkdirTemp("", "deputy-demo-")
	return home, true, err
}

func demoListen(addr string) (net.Listener, error) {
	if addr != "" {
		return net.Listen("tcp", addr)
	}
	if ln, err := net.Listen("tcp", "127.0.0.1:8787"); err == nil {
		return ln, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// sandbox is the three providers' fakes, each on a port of its own.
type sandbox struct {
	providers map[string]config.Provider
	servers   []*http.Server
}

func openSandbox() (*sandbox, error) {
	const id, secret = "deputy-demo", "deputy-demo-secret"
	// The reference is resolved when the home opens; the sandbox's secret is
	// no secret.
	if err := os.Setenv("DEPUTY_DEMO_SECRET", secret); err != nil {
		return nil, err
	}
	b := &sandbox{providers: map[string]config.Provider{}}
	google, err := b.serve(gmailfake.New(gmailfake.Config{ClientID: id, ClientSecret: secret}))
	if err != nil {
		return nil, err
	}
	slack, err := b.serve(slackfake.New(slackfake.Config{ClientID: id, ClientSecret: secret}))
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	github, err := b.serve(githubfake.New(githubfake.Config{ClientID: id, ClientSecret: secret}))
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	set := func(name, api, auth, token, revoke string) {
		b.providers[name] = config.Provider{ClientID: id, ClientSecret: "env:DEPUTY_DEMO_SECRET", APIURL: api, AuthURL: auth, TokenURL: token, RevokeURL: revoke}
	}
	set("google", google, google+"/o/oauth2/v2/auth", google+"/token", google+"/revoke")
	set("slack", slack+"/api", slack+"/oauth/v2/authorize", slack+"/api/oauth.v2.access", slack+"/api/auth.revoke")
	set("github", github, github+"/login/oauth/authorize", github+"/login/oauth/access_token", github+"/applications")
	return b, nil
}

func (b *sandbox) serve(h http.Handler) (base string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := newServer(h)
	b.servers = append(b.servers, srv)
	go srv.Serve(ln)
	return "http://" + ln.Addr().String(), nil
}

func (b *sandbox) close() error {
	var err error
	for _, s := range b.servers {
		err = errors.Join(err, s.Close())
	}
	return err
}

// demoConnect walks, for each provider, the way a person's browser goes: sign
// in, our connect page, the provider's consent, our callback.
func (a *app) demoConnect(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	link, err := a.login.SignInURL(a.owner, "/healthz")
	if err != nil {
		return err
	}
	if err := visit(ctx, browser, link); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 3)
	for _, p := range a.vault.Providers() {
		// A kept home may hold grants of an earlier sandbox, which this one has
		// never heard of: they are connected anew.
		wg.Go(func() { errs <- visit(ctx, browser, a.config.PublicURL+"/connect/"+p) })
	}
	wg.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func visit(ctx context.Context, browser *http.Client, to string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return err
	}
	resp, err := browser.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", resp.Request.URL.Path, resp.StatusCode)
	}
	return nil
}
