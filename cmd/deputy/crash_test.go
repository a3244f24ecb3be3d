package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"deputy/tools/github/githubfake"
)

// house is a home whose deputy may die; the provider lives on in the test.
type house struct {
	t      testing.TB
	github *githubfake.Fake
	dir    string
	url    string
	proc   *process
	client *client
}

func newHouse(t testing.TB, settings ...string) *house { return newHouseOn(t, "bolt", settings...) }

func newHouseOn(t testing.TB, store string, settings ...string) *house {
	t.Helper()
	h := &house{t: t, github: githubfake.New(githubfake.Config{ClientID: "id", ClientSecret: "secret"}), dir: home(t)}
	api := httptest.NewServer(h.github)
	t.Cleanup(api.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	h.url = "http://localhost" + addr[strings.LastIndexByte(addr, ':'):]
	if !slices.ContainsFunc(settings, func(s string) bool { return strings.HasPrefix(s, "approvals:") }) {
		settings = append(settings, "approvals: {channels: [client, page, cli]}")
	}
	writeFile(t, filepath.Join(h.dir, "deputy.yaml"), fmt.Sprintf(`home: %s/home
store: %s
key: env:DEPUTY_TEST_KEY
listen: %s
public_url: %s
user: anna
providers:
  github: {client_id: id, client_secret: env:DEPUTY_TEST_SECRET, api_url: %s, auth_url: %[5]s/login/oauth/authorize, token_url: %[5]s/login/oauth/access_token, revoke_url: %[5]s/applications}
%s
`, h.dir, store, addr, h.url, api.URL, strings.Join(settings, "\n")))
	h.start()
	h.connect()
	return h
}

func (h *house) env() []string {
	return []string{"DEPUTY_TEST_KEY=" + strings.Repeat("ab", 32), "DEPUTY_TEST_SECRET=secret", "CRM_SECRET=crm-secret"}
}

func (h *house) start() {
	h.t.Helper()
	h.proc = start(h.t, nil, nil, h.env(), "--config", filepath.Join(h.dir, "deputy.yaml"), "serve")
	for range 500 {
		if resp, err := http.Get(h.url + "/healthz"); err == nil {
			resp.Body.Close()
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	var bearer []byte
	for range 500 {
		if bearer, _ = os.ReadFile(filepath.Join(h.dir, "home", "keys", "bearer")); len(bearer) > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	var err error
	if h.client, err = connectClient(h.url+"/mcp", strings.TrimSpace(string(bearer))); err != nil {
		h.t.Fatalf("%v: %s", err, h.proc.stderr)
	}
}

// order has the running deputy carry out a command, without a process for it.
func (h *house) order(args ...string) (stdout string, err error) {
	var out, errs bytes.Buffer
	inv := &invocation{stdio: stdio{nil, &out, &errs}, ctx: h.t.Context(), global: globals{config: filepath.Join(h.dir, "deputy.yaml"), json: true}}
	done, err := askOwner(inv, args[0], args[1:])
	if err == nil && !done {
		err = errors.New("nobody owns the home")
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), err
}

func (h *house) run(args ...string) (string, string, int) {
	h.t.Helper()
	return deputy(h.t, h.env(), append([]string{"--config", filepath.Join(h.dir, "deputy.yaml")}, args...)...)
}

// connect walks the browser's way, with the link a person would open.
func (h *house) connect() {
	h.t.Helper()
	out, errText, _ := h.run("--json", "approvals", "open")
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(out), &link); err != nil {
		h.t.Fatalf("%v: %s", err, errText)
	}
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	for _, to := range []string{link.URL, h.url + "/connect/github"} {
		resp, err := browser.Get(to)
		if err != nil || resp.StatusCode != http.StatusOK {
			h.t.Fatalf("%s: %v, %v", to, resp, err)
		}
		resp.Body.Close()
	}
}

func (h *house) comment(body string) (id string) {
	h.t.Helper()
	r, err := h.client.call("github_add_issue_comment", map[string]any{"owner": "octo-anna", "repo": "harbor", "issue_number": 1, "body": body})
	if err != nil {
		h.t.Fatal(err)
	}
	var s struct {
		ID string `json:"approval_id"`
	}
	if err := json.Unmarshal(r.Result.StructuredContent, &s); err != nil || s.ID == "" {
		h.t.Fatalf("no question: %s", r.raw)
	}
	return s.ID
}

func (h *house) arrived(body string) (n int) {
	for _, c := range h.github.Created() {
		if c.Body == body {
			n++
		}
	}
	return n
}

// kills is how often the process dies between a yes and the end of the send.
const kills = 100

// TestKillBetweenApprovalAndSend kills deputy at a random moment after the
// decision and starts it again: each write arrives at most once, and every
// request ends in a state its person can see.
func TestKillBetweenApprovalAndSend(t *testing.T) {
	t.Parallel()
	killBetween(t, newHouse(t), kills)
}

func killBetween(t *testing.T, h *house, kills int) {
	t.Helper()
	states := map[string]int{}
	for n := range kills {
		body := fmt.Sprintf("comment %d", n)
		id := h.comment(body)
		decided := make(chan struct{})
		go func() {
			defer close(decided)
			h.order("approvals", "approve", id)
		}()
		time.Sleep(time.Duration(rand.IntN(5_000)) * time.Microsecond)
		h.proc.kill()
		<-decided
		h.start()
		state := h.settle(id)
		states[state]++
		got := h.arrived(body)
		switch {
		case got > 1:
			t.Fatalf("%s arrived %d times", body, got)
		case state == "done" && got != 1:
			t.Errorf("%s is done and arrived %d times", body, got)
		case state == "pending" && got != 0:
			t.Errorf("%s arrived without a yes", body)
		}
		if state == "failed" { // the person resolves it by asking again
			if again := h.comment(body); again == id {
				t.Errorf("%s cannot be asked again", body)
			}
		}
	}
	t.Logf("after %d kills: %v", kills, states)
	if out, errText, code := h.run("audit", "verify"); code != 0 {
		t.Errorf("the log does not verify: %s%s", out, errText)
	}
}

// settle waits until a request stands still: ended, or pending as before.
func (h *house) settle(id string) string {
	h.t.Helper()
	var item struct{ State string }
	for range 400 {
		out, err := h.order("approvals", "show", id)
		if err == nil {
			err = json.Unmarshal([]byte(out), &item)
		}
		if err != nil {
			h.t.Fatalf("%s is lost from sight: %v", id, err)
		}
		switch item.State {
		case "approved", "spent":
			time.Sleep(10 * time.Millisecond)
		default:
			return item.State
		}
	}
	h.t.Fatalf("%s is stuck in %s", id, item.State)
	return ""
}

// TestStopWaitsForWhatIsUnderWay: an ordinary stop loses nothing.
func TestStopWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.comment("in time")
	h.github.Inject(githubfake.Fault{Delay: 500 * time.Millisecond})
	decided := make(chan struct{})
	go func() {
		defer close(decided)
		h.run("approvals", "approve", id)
	}()
	for range 200 {
		if len(h.github.Calls()) > 0 && strings.Contains(fmt.Sprint(h.github.Calls()[len(h.github.Calls())-1]), "POST") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	h.proc.stop(t)
	<-decided
	h.start()
	if state := h.settle(id); state != "done" || h.arrived("in time") != 1 {
		t.Errorf("%s, arrived %d times", state, h.arrived("in time"))
	}
}

// TestSecondProcessIsToldWhoHasTheHome: exactly one process owns a home.
func TestSecondProcessIsToldWhoHasTheHome(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, errText, code := h.run("stdio", "--no-daemon")
	if code != exitFailed || !strings.Contains(errText, "is in use by process") || !strings.Contains(errText, "stop it first") {
		t.Errorf("exit %d: %s", code, errText)
	}
	if !strings.Contains(errText, fmt.Sprint(h.proc.cmd.Process.Pid)) {
		t.Errorf("it does not name process %d: %s", h.proc.cmd.Process.Pid, errText)
	}
}
