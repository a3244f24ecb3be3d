package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var route = regexp.MustCompile(`Handle(?:Func)?\("((?:[A-Z]+ )?)(/[^"]*)"`)

// routes are the endpoints that deputy serves over HTTP, as its source declares
// them: a new one is tried without anybody's remembering it.
func routes(t *testing.T) (all [][2]string) {
	t.Helper()
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "thirdparty" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return cmp.Or(err, fs.SkipDir)
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "fake/") ||
			slices.Contains([]string{"daemon.go", "socket.go"}, d.Name()) { // the socket's, which only the system user reaches
			return nil
		}
		text, err := fs.ReadFile(root, path)
		for _, m := range route.FindAllSubmatch(text, -1) {
			method := strings.TrimSpace(string(m[1]))
			if method == "" {
				method = "POST"
			}
			all = append(all, [2]string{method, string(m[2])})
		}
		return err
	})
	if err != nil || len(all) < 40 {
		t.Fatalf("%d routes: %v", len(all), err)
	}
	return all
}

// odd are pieces that go where something else belongs.
var odd = []string{
	"", "0", "-1", "1e999", "null", "true", "[]", "{}", `{"a":`, `"`, "'", "<script>alert(1)</script>", "../../etc/passwd", "%00", "%2e%2e%2f", "%", "\x00", "\xff\xfe", "\r\nX-Evil: 1",
	"\u202etxt", "Ω≈ç√", "日本語", strings.Repeat("A", 3000), strings.Repeat("[", 2000), strings.Repeat(`{"a":`, 500), "javascript:alert(1)", "https://evil.example/", "http://127.0.0.1:1/cb",
	"file:///etc/passwd", "${jndi:ldap://x}", "eyJhbGciOiJub25lIn0.e30.", "apr_", "apr_AAAAAAAAAAAAAAAAAAAAAA", "github", "google", "oidc", "code", "S256", "anna", "2026-07-28", "2025-11-25",
}

// names are parameters that some endpoint reads.
var names = []string{
	"code", "state", "next", "iss", "error", "client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "resource", "request_uri", "request", "nonce", "prompt", "max_age",
	"acr_values", "code_challenge", "code_challenge_method", "code_verifier", "grant_type", "refresh_token", "assertion", "subject_token", "subject_token_type", "audience", "token", "token_type_hint",
	"user_code", "device_code", "handle", "decision", "reason", "digest", "match", "id", "provider", "account", "name", "lang", "cursor",
}

// A nuisance makes requests that nobody should send.
type nuisance struct{ *rand.Rand }

func (n nuisance) odd() string          { return odd[n.IntN(len(odd))] }
func (n nuisance) of(s []string) string { return s[n.IntN(len(s))] }

func (n nuisance) form() string {
	form := url.Values{}
	for range n.IntN(9) {
		form.Add(n.of(names), n.odd())
	}
	text := form.Encode()
	if n.IntN(8) == 0 {
		text = strings.ReplaceAll(text, "%", "%%") // no escaping at all
	}
	return text
}

func (n nuisance) message() string {
	method := n.of([]string{"initialize", "tools/list", "tools/call", "ping", "resources/read", "prompts/get", "completion/complete", "logging/setLevel", "server/discover", "notifications/initialized", "tasks/get", n.odd()})
	tool := n.of([]string{"github_list_issues", "github_issue_write", "gmail_send_message", "slack_search_public", "approval_wait", "account_connect", "policy_explain", n.odd()})
	argument := n.of([]string{"owner", "repo", "title", "to", "query", "cursor", "limit", "approval_id", "args", "idempotency_key", n.odd()})
	meta := ""
	if n.IntN(2) == 0 {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":` + strconv.Quote(n.odd()) + `,"progressToken":` + n.of([]string{"1", `"x"`, "[]"}) + `}`
	}
	m := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{"name":%q,"arguments":{%q:%s}%s,"requestState":%q}}`,
		n.of([]string{"1", `"x"`, "null", "-1", "1.5", "[]"}), method, tool, argument, n.of([]string{strconv.Quote(n.odd()), "1", "-1e99", "[]", "{}", "null"}), meta, n.odd())
	switch n.IntN(8) {
	case 0:
		return m[:n.IntN(len(m))]
	case 1:
		return "[" + m + "," + m + "]"
	case 2:
		return n.odd()
	}
	return m
}

// request is one of them, to the endpoint that its number says.
func (n nuisance) request(base, bearer string, to [2]string) *http.Request {
	method := to[0]
	if n.IntN(6) == 0 {
		method = n.of([]string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "PROPFIND"})
	}
	path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(to[1], func(string) string { return url.PathEscape(n.odd()) })
	if n.IntN(10) == 0 {
		path += "/" + url.PathEscape(n.odd())
	}
	body, kind := n.form(), "application/x-www-form-urlencoded"
	if strings.HasPrefix(path, "/mcp") || strings.HasPrefix(path, "/api/") || n.IntN(4) == 0 {
		body, kind = n.message(), "application/json"
	}
	if n.IntN(10) == 0 {
		kind = n.of([]string{"", "text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-7", ";;;"})
	}
	var in io.Reader
	if method != "GET" && method != "HEAD" || n.IntN(10) == 0 {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, base+path, in)
	if err != nil { // an address that no client would send
		r, _ = http.NewRequest(method, base+to[1], in)
	}
	r.URL.RawQuery = n.form()
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Accept", n.of([]string{"application/json, text/event-stream", "text/html", "*/*", "", "image/png"}))
	switch n.IntN(4) {
	case 0, 1:
		r.Header.Set("Authorization", "Bearer "+bearer)
	case 2:
		r.Header.Set("Authorization", n.of([]string{"Bearer", "Bearer ", "Basic !!!", "Basic OjpA", "DPoP x", "Bearer " + strings.Repeat("A", 5000), "Bearer eyJhbGciOiJub25lIn0.e30."}))
	}
	for range n.IntN(3) {
		value := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, n.odd())
		r.Header.Set(n.of([]string{"Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-Id", "Cookie", "Accept-Language", "Sec-Fetch-Site", "X-Forwarded-For", "X-MCP-Tools", "If-None-Match", "DPoP"}), value)
	}
	return r
}

// TestMalformedRequests sends nonsense to every endpoint: deputy says no, in
// its own words, gives nothing away, breaks nothing and grows no larger.
// DEPUTY_MALFORMED=10000 is the promised figure.
func TestMalformedRequests(t *testing.T) {
	h := newHouse(t, "oauth: {register: true}\nlogin: {issuer: \"http://127.0.0.1:1\", client_id: deputy, allow: [\"sub:1\"]}")
	all := routes(t)
	count, _ := strconv.Atoi(os.Getenv("DEPUTY_MALFORMED"))
	count = max(count, 2000)
	person := h.surfer()
	person.withLink("approvals", "open")
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	nobody := &http.Client{CheckRedirect: stay}
	signedIn := &http.Client{CheckRedirect: stay, Jar: person.Jar}
	secrets := regexp.MustCompile(`gh[uor]_canary|goroutine \d|runtime error|/tmp/dpt`)

	one := func(i int) {
		n := nuisance{rand.New(rand.NewPCG(7, uint64(i)))}
		to := all[i%len(all)]
		if to[1] == "/signout" || to[1] == "/sessions/end" {
			return // they would do what they are asked
		}
		r := n.request(h.url, h.client.bearer, to)
		client := nobody
		if n.IntN(3) == 0 {
			client = signedIn
		}
		patience := 20 * time.Second
		stream := r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/mcp")
		if stream { // it does not end by itself
			patience = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		resp, err := client.Do(r.WithContext(ctx))
		if err != nil { // it could not be sent, or was cut off
			late := errors.Is(err, context.DeadlineExceeded) && !stream
			if late || strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "EOF") {
				t.Errorf("request %d, %s %.200s: %v", i, r.Method, r.URL, err)
			}
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		away := resp.StatusCode == http.StatusBadGateway && strings.HasPrefix(r.URL.Path, "/signin/oidc") // the provider named above is not there
		if resp.StatusCode >= 500 && !away || secrets.Match(body) || resp.Header.Get("X-Evil") != "" {
			t.Errorf("request %d, %s %.300s: %d %.300s", i, r.Method, r.URL, resp.StatusCode, body)
		}
	}
	round := func(from, to int) {
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := from + worker; i < to; i += 8 {
					one(i)
				}
			})
		}
		wg.Wait()
	}
	round(0, count/2)
	before := resident(h.proc.cmd.Process.Pid)
	round(count/2, count)
	after := resident(h.proc.cmd.Process.Pid)
	t.Logf("%d requests to %d endpoints; resident %d, then %d MiB", count, len(all), before>>20, after>>20)
	if before > 0 && after > before+before/2+(32<<20) {
		t.Errorf("it grew from %d to %d MiB", before>>20, after>>20)
	}
	if text := h.proc.stderr.String(); strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
		t.Errorf("%.3000s", text)
	}
	if got, err := h.client.call("github_list_issues", map[string]any{"owner": "octo-anna", "repo": "harbor"}); err != nil || got.Result.IsError {
		t.Errorf("after it all: %v %.300s", err, got.raw)
	}
	if n := h.github.Writes(); len(n) != 0 {
		t.Errorf("written: %v", n)
	}
	if out, errText, code := h.run("audit", "verify"); code != 0 {
		t.Errorf("the log: %s %s", out, errText)
	}
}

// resident is the memory of a process, or 0 where the system does not say.
func resident(pid int) int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize()
}
