package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// desk is a home that nobody serves, with accounts of nobody.
func desk(t testing.TB) (dir string, env []string) {
	t.Helper()
	dir = home(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	writeFile(t, filepath.Join(dir, "deputy.yaml"), fmt.Sprintf("home: %s/home\nkey: env:DEPUTY_TEST_KEY\nlisten: %s\npublic_url: http://%s\nuser: anna\n", dir, addr, addr))
	env = []string{"DEPUTY_TEST_KEY=" + strings.Repeat("ab", 32), "XDG_CACHE_HOME=" + dir, "HOME=" + dir}
	t.Cleanup(func() { drainDaemon(dir) })
	return dir, env
}

// whoOwns asks the socket who is there.
func whoOwns(dir string) (hello, error) {
	c := socketClient(filepath.Join(dir, "home", "deputy.sock"))
	defer c.CloseIdleConnections()
	return greet(context.Background(), c)
}

func drainDaemon(dir string) {
	c := socketClient(filepath.Join(dir, "home", "deputy.sock"))
	defer c.CloseIdleConnections()
	if resp, err := c.Post("http://deputy/drain", "", nil); err == nil {
		resp.Body.Close()
	}
	for range 500 {
		if _, err := whoOwns(dir); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// assistant is an MCP client with a deputy stdio of its own.
type assistant struct {
	t   *testing.T
	p   *process
	in  io.WriteCloser
	out *bufio.Scanner
	id  int
}

func newAssistant(t *testing.T, dir string, env []string, capabilities string, flags ...string) *assistant {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	a := &assistant{t: t, in: inW, out: bufio.NewScanner(outR)}
	a.out.Buffer(nil, 4<<20)
	a.p = start(t, inR, outW, env, append([]string{"--config", filepath.Join(dir, "deputy.yaml"), "stdio"}, flags...)...)
	go func() { <-a.p.done; outW.Close() }()
	t.Cleanup(func() { inW.Close(); go io.Copy(io.Discard, outR) })
	if capabilities != "" {
		a.ask("initialize", `{"protocolVersion":"2025-11-25","capabilities":`+capabilities+`,"clientInfo":{"name":"test","version":"1"}}`)
		a.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	}
	return a
}

func (a *assistant) say(line string) { fmt.Fprintln(a.in, line) }

// hear returns the next message.
func (a *assistant) hear() (m map[string]any) {
	a.t.Helper()
	if !a.out.Scan() {
		a.t.Fatalf("it said nothing: %s", a.p.stderr)
	}
	if err := json.Unmarshal(a.out.Bytes(), &m); err != nil {
		a.t.Fatalf("%s: %v", a.out.Text(), err)
	}
	return m
}

func (a *assistant) ask(method, params string) map[string]any {
	a.t.Helper()
	a.id++
	a.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, a.id, method, params))
	return a.hear()
}

// Ten assistants are opened at once on a desk where nothing runs yet: one
// daemon comes up, all of them are served, and each is a session of its own.
// DEPUTY_ROUNDS=30 is the promised figure.
func TestTenAssistantsOneDaemon(t *testing.T) {
	t.Parallel()
	rounds, _ := strconv.Atoi(os.Getenv("DEPUTY_ROUNDS"))
	for range max(1, rounds) {
		tenAssistants(t)
	}
}

func tenAssistants(t *testing.T) {
	t.Helper()
	dir, env := desk(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			a := newAssistant(t, dir, env, `{}`)
			if got := a.ask("tools/list", `{}`); got["result"] == nil {
				t.Errorf("%v", got)
			}
			a.ask("tools/call", `{"name":"accounts_list","arguments":{}}`)
			a.in.Close()
			<-a.p.done
			if code := a.p.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit %d: %s", code, a.p.stderr)
			}
		})
	}
	wg.Wait()
	who, err := whoOwns(dir)
	if err != nil || !who.Daemon {
		t.Fatalf("%+v, %v", who, err)
	}
	if n, known := daemons(dir); known && n != 1 {
		t.Errorf("%d daemons", n)
	}
	out, errText, code := deputy(t, env, "--config", filepath.Join(dir, "deputy.yaml"), "audit", "export")
	if code != 0 {
		t.Fatal(errText)
	}
	sessions := map[string]bool{}
	for line := range strings.Lines(out) {
		var l struct{ Event, Session string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Event == "call" {
			sessions[l.Session] = true
		}
	}
	if len(sessions) != 10 {
		t.Errorf("%d sessions for ten assistants", len(sessions))
	}
	drainDaemon(dir)
}

// daemons counts the processes that own a desk's home or try to, where the
// system tells.
func daemons(dir string) (n int, known bool) {
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range processes {
		args, err := os.ReadFile(p)
		if err != nil {
			continue // it ended
		}
		known = true
		if words := strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00"); words[len(words)-1] == "daemon" && slices.Contains(words, filepath.Join(dir, "home")) {
			n++
		}
	}
	return n, known
}

// What a server asks of its client passes too: the form, and its answer.
func TestAFormPassesTheFrontEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t) // serve owns it; stdio attaches to that
	a := newAssistant(t, h.dir, h.env(), `{"elicitation":{"form":{}}}`)
	a.id++
	a.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"github_add_issue_comment","arguments":{"owner":"octo-anna","repo":"harbor","issue_number":1,"body":"by form"}}}`, a.id))
	asked := a.hear()
	if asked["method"] != "elicitation/create" {
		t.Fatalf("%v", asked)
	}
	id, _ := json.Marshal(asked["id"])
	a.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{"approve":true}}}`, id))
	if got := fmt.Sprint(a.hear()); !strings.Contains(got, "done") || h.arrived("by form") != 1 {
		t.Errorf("%s, arrived %d times", got, h.arrived("by form"))
	}
	// A revision without sessions, over the same line.
	modern := newAssistant(t, h.dir, h.env(), "")
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	if got := fmt.Sprint(modern.ask("tools/list", `{`+meta+`}`)); !strings.Contains(got, "github_list_issues") {
		t.Errorf("%s", got)
	}
	if got := fmt.Sprint(modern.ask("tools/call", `{"name":"github_list_issues","arguments":{"owner":"octo-anna","repo":"harbor"},`+meta+`}`)); !strings.Contains(got, "items") {
		t.Errorf("%s", got)
	}
}

// A daemon that dies is an error in words, not silence; the next assistant gets
// a new one. A daemon that nobody needs goes.
func TestDaemonsComeAndGo(t *testing.T) {
	t.Parallel()
	dir, env := desk(t)
	a := newAssistant(t, dir, env, `{}`)
	first, err := whoOwns(dir)
	if err != nil {
		t.Fatal(err)
	}
	drainDaemon(dir)
	if got := fmt.Sprint(a.ask("tools/list", `{}`)); !strings.Contains(got, "the running deputy") {
		t.Errorf("%s", got)
	}
	b := newAssistant(t, dir, env, `{}`)
	if got := b.ask("tools/list", `{}`); got["result"] == nil {
		t.Errorf("%v", got)
	}
	if second, err := whoOwns(dir); err != nil || second.PID == first.PID {
		t.Errorf("%+v, %v", second, err)
	}
	b.in.Close()
	<-b.p.done
	drainDaemon(dir)
	idle := start(t, nil, io.Discard, env, "--config", filepath.Join(dir, "deputy.yaml"), "daemon", "--idle", "300ms")
	select {
	case <-idle.done:
		if code := idle.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit %d: %s", code, idle.stderr)
		}
	case <-time.After(10 * time.Second):
		t.Error("it stays although nobody needs it")
	}
}

// What stops a daemon is what the assistant's log shows.
func TestADaemonThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	dir, env := desk(t)
	a, errText, code := deputy(t, append(env, "DEPUTY_TEST_KEY="), "--config", filepath.Join(dir, "deputy.yaml"), "stdio")
	if code != exitFailed || !strings.Contains(errText, "no sealing key") || a != "" {
		t.Errorf("exit %d: %s %s", code, a, errText)
	}
}

// serve does not go because somebody on the socket asks it to, and a stranger's
// request has no session.
func TestServeDoesNotMakeRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := socketClient(filepath.Join(h.dir, "home", "deputy.sock"))
	defer c.CloseIdleConnections()
	for path, want := range map[string]int{"/drain": http.StatusConflict, "/mcp": http.StatusUnauthorized} {
		resp, err := c.Post("http://deputy"+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
