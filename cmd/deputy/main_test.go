package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"deputy": main})
}

// process is deputy running for a test.
type process struct {
	cmd    *exec.Cmd
	stderr *tail
	done   chan struct{}
}

// tail keeps what a process says, for the test to read at any time.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// start runs this test binary as deputy.
func start(t testing.TB, stdin io.Reader, stdout io.Writer, env []string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: &exec.Cmd{Path: exe, Args: append([]string{"deputy"}, args...)}, stderr: &tail{}, done: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, p.stderr
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process as a crash would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// stop asks it to end, as a service manager would.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		t.Errorf("deputy did not stop: %s", p.stderr)
	}
}

// sandboxInfo is what "demo --json" prints.
type sandboxInfo struct{ URL, Bearer, Home, Approvals string }

// startDemo runs the demo over HTTP in a kept home.
func startDemo(t testing.TB, home string) (*process, sandboxInfo) {
	t.Helper()
	r, w := io.Pipe()
	p := start(t, nil, w, nil, "--json", "demo", "--home", home, "--listen", "127.0.0.1:0")
	go func() { <-p.done; w.Close() }()
	var info sandboxInfo
	if err := json.NewDecoder(r).Decode(&info); err != nil {
		t.Fatalf("the demo did not start: %v: %s", err, p.stderr)
	}
	go io.Copy(io.Discard, r)
	return p, info
}

// home makes a short path: a socket's may not be long.
func home(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dpt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// deputy runs one command to its end.
func deputy(t testing.TB, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out bytes.Buffer
	p := start(t, nil, &out, env, args...)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.kill()
		t.Errorf("deputy %s did not end", strings.Join(args, " "))
	}
	return out.String(), p.stderr.String(), p.cmd.ProcessState.ExitCode()
}

// client is a small MCP client of the 2025-11-25 revision.
type client struct {
	url, bearer, session string
	header               http.Header
	id                   int
}

type rpcReply struct {
	Result struct {
		Content           []struct{ Text string }
		StructuredContent json.RawMessage
		IsError           bool
		Tools             []struct{ Name string }
		Meta              json.RawMessage `json:"_meta"`
	}
	Error *struct {
		Code    int
		Message string
	}
	raw string
}

func connectClient(url, bearer string) (*client, error) {
	c := &client{url: url, bearer: bearer}
	_, err := c.do("initialize", map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]string{"name": "test", "version": "1"},
	})
	return c, err
}

func (c *client) do(method string, params any) (rpcReply, error) {
	c.id++
	body, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params})
	req, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return rpcReply{}, err
	}
	for name, v := range c.header {
		req.Header[name] = v
	}
	req.Header.Set("Authorization", "Bearer "+c.bearer)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return rpcReply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return rpcReply{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return rpcReply{raw: string(raw)}, fmt.Errorf("HTTP %d: %s", resp.StatusCode, raw)
	}
	if s := resp.Header.Get("Mcp-Session-Id"); s != "" {
		c.session = s
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				raw = []byte(data)
			}
		}
	}
	r := rpcReply{raw: string(raw)}
	return r, json.Unmarshal(raw, &r)
}

func (c *client) call(tool string, args any) (rpcReply, error) {
	return c.do("tools/call", map[string]any{"name": tool, "arguments": args})
}

// writeFile puts a file into a test's folder.
func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
