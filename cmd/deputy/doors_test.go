package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDoors asks for what nobody should get over HTTP.
func TestDoors(t *testing.T) {
	t.Parallel()
	_, info := startDemo(t, home(t)+"/h")
	base := strings.TrimSuffix(info.URL, "/mcp")
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`
	for name, c := range map[string]struct {
		method, path, body string
		header             map[string]string
		host               string
		want               int
	}{
		"no bearer":             {"POST", "/mcp", list, nil, "", 401},
		"wrong bearer":          {"POST", "/mcp", list, map[string]string{"Authorization": "Bearer dpt_wrong"}, "", 401},
		"a provider's token":    {"POST", "/mcp", list, map[string]string{"Authorization": "Bearer ya29.foreign"}, "", 401}, // T10
		"a JWT":                 {"POST", "/mcp", list, map[string]string{"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, "", 401},
		"basic":                 {"POST", "/mcp", list, map[string]string{"Authorization": "Basic " + info.Bearer}, "", 401},
		"another host":          {"POST", "/mcp", list, map[string]string{"Authorization": "Bearer " + info.Bearer}, "evil.example", 403}, // T19
		"another origin":        {"POST", "/mcp", list, map[string]string{"Authorization": "Bearer " + info.Bearer, "Origin": "https://evil.example"}, "", 403},
		"null origin":           {"POST", "/mcp", list, map[string]string{"Authorization": "Bearer " + info.Bearer, "Origin": "null"}, "", 403},
		"too large":             {"POST", "/mcp", strings.Repeat(" ", 5<<20), map[string]string{"Authorization": "Bearer " + info.Bearer}, "", 413},
		"page, another host":    {"GET", "/approvals", "", nil, "evil.example", 403},
		"page, nobody":          {"GET", "/approvals", "", nil, "", 401},
		"page, agent's bearer":  {"GET", "/approvals", "", map[string]string{"Authorization": "Bearer " + info.Bearer}, "", 401},
		"api, agent's bearer":   {"GET", "/api/approvals", "", map[string]string{"Authorization": "Bearer " + info.Bearer}, "", 401},
		"decide, agent":         {"POST", "/api/approvals/apr_x", `{"decision":"approve"}`, map[string]string{"Authorization": "Bearer " + info.Bearer}, "", 401},
		"connect, nobody":       {"GET", "/connect/github", "", nil, "", 401},
		"callback, nobody":      {"GET", "/connect/github/callback?code=x&state=y", "", nil, "", 403},
		"cross-site decision":   {"POST", "/approvals/apr_x", "decision=approve", map[string]string{"Sec-Fetch-Site": "cross-site"}, "", 403},
		"sign in with nonsense": {"GET", "/signin?code=nonsense", "", nil, "", 401},
		"exchange, off":         {"POST", "/oauth/token", "grant_type=urn:ietf:params:oauth:grant-type:token-exchange", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "", 400},
		"health":                {"GET", "/healthz", "", nil, "", 200},
		"no such page":          {"GET", "/nothing", "", nil, "", 404},
	} {
		req, _ := http.NewRequest(c.method, base+c.path, strings.NewReader(c.body))
		req.Header.Set("Content-Type", "application/json")
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		if c.host != "" {
			req.Host = c.host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d: %.200s", name, resp.StatusCode, c.want, body)
		}
		if c.want == 401 && c.path == "/mcp" && !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: no challenge", name)
		}
		if strings.Contains(string(body), info.Bearer) {
			t.Errorf("%s: the bearer comes back", name)
		}
	}
	c, err := connectClient(info.URL, info.Bearer)
	if err != nil {
		t.Fatal(err)
	}
	for method, params := range map[string]any{
		"tools/fly":  nil,
		"tools/call": map[string]any{"name": "fly"},
	} {
		if r, err := c.do(method, params); err != nil || r.Error == nil {
			t.Errorf("%s: %v %s", method, err, r.raw)
		}
	}
	for name, body := range map[string]string{
		"not JSON": `{"jsonrpc":`, "no JSON-RPC": `{"id":1,"method":"tools/list"}`, "empty": ``, "array": `[]`, "deep": strings.Repeat("[", 20000),
	} {
		req, _ := http.NewRequest("POST", info.URL, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+info.Bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode < 400 && !strings.Contains(string(answer), `"error"`) || resp.StatusCode >= 500 {
			t.Errorf("%s: %d %.200s", name, resp.StatusCode, answer)
		}
	}
}

// TestPage decides on the page, as a browser would.
func TestPage(t *testing.T) {
	t.Parallel()
	_, info := startDemo(t, home(t)+"/h")
	base := strings.TrimSuffix(info.URL, "/mcp")
	c, err := connectClient(info.URL, info.Bearer)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.call("slack_send_message", map[string]any{"channel_id": "C0LAUNCH01", "message": "See <b>you</b> at ten \u202e"})
	if err == nil && r.Result.IsError { // the override is refused by the tool; ask again without it
		r, err = c.call("slack_send_message", map[string]any{"channel_id": "C0LAUNCH01", "message": "See <b>you</b> at ten"})
	}
	if err != nil {
		t.Fatal(err)
	}
	var ask struct {
		URL  string
		Code string `json:"match_code"`
	}
	if err := json.Unmarshal(r.Result.StructuredContent, &ask); err != nil || ask.URL == "" {
		t.Fatalf("%s", r.raw)
	}
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	get := func(u string) (string, *http.Response) {
		t.Helper()
		resp, err := browser.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body), resp
	}
	if page, resp := get(ask.URL); resp.StatusCode != 401 || strings.Contains(page, "at ten") {
		t.Errorf("without signing in: %d %s", resp.StatusCode, page)
	}
	get(info.Approvals)
	if page, _ := get(info.Approvals); !strings.Contains(page, "This code was used") {
		t.Error("the one-time link works twice")
	}
	page, resp := get(ask.URL)
	for _, want := range []string{"See &lt;b&gt;you&lt;/b&gt; at ten", ask.Code, `value="approve"`, "C0LAUNCH01"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for header, want := range map[string]string{"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if !strings.Contains(resp.Header.Get(header), want) {
			t.Errorf("%s: %q", header, resp.Header.Get(header))
		}
	}
	if strings.Contains(page, "<script") || regexp.MustCompile(`https?://`).MatchString(strings.ReplaceAll(page, base, "")) {
		t.Errorf("the page has a script or a foreign link: %s", page)
	}
	if resp := postFrom(t, browser, "https://evil.example", ask.URL); resp != http.StatusForbidden {
		t.Errorf("a decision from another site: %d", resp)
	}
	post, err := browser.PostForm(ask.URL, url.Values{"decision": {"approve"}})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(post.Body)
	post.Body.Close()
	if !strings.Contains(string(body), "Done at") {
		t.Errorf("after the yes: %s", body)
	}
	post, _ = browser.PostForm(ask.URL, url.Values{"decision": {"deny"}})
	post.Body.Close()
	if post.StatusCode != http.StatusConflict {
		t.Errorf("a second decision: %d", post.StatusCode)
	}
	if list, _ := get(base + "/approvals"); !strings.Contains(list, "done") {
		t.Errorf("the inbox: %s", list)
	}
	if api, resp := get(base + "/api/approvals"); resp.StatusCode != 200 || !strings.Contains(api, `"state":"done"`) {
		t.Errorf("the JSON: %d %s", resp.StatusCode, api)
	}
}

// postFrom approves as a form on another origin would.
func postFrom(t *testing.T, browser *http.Client, origin, to string) int {
	t.Helper()
	req, _ := http.NewRequest(http.MethodPost, to, strings.NewReader("decision=approve"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestStopEndsStreams: a client that listens does not hold up a stop.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	p, info := startDemo(t, home(t)+"/h")
	c, err := connectClient(info.URL, info.Bearer)
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodGet, info.URL, nil)
	req.Header.Set("Authorization", "Bearer "+info.Bearer)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", c.session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	defer resp.Body.Close()
	began := time.Now()
	p.stop(t)
	if took := time.Since(began); took > 5*time.Second { // it would be ten
		t.Errorf("the stop took %v", took)
	}
}

// TestStdio writes requests and closes the pipe, as a script would; each is
// answered, also the one that reaches a provider.
func TestStdio(t *testing.T) {
	t.Parallel()
	in := strings.Join([]string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}`,
		`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"gmail_search_threads","arguments":{"query":"launch"}}}`,
		`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"gmail_search_threads","arguments":{"qeury":"launch"}}}`,
		`{broken`,
	}, "\n") + "\n"
	var out bytes.Buffer
	p := start(t, strings.NewReader(in), &out, nil, "demo", "--stdio")
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("it did not end: %s", p.stderr)
	}
	for _, want := range []string{`"id":1`, `"id":2`, `"id":3`, `"items":[{`, `qeury: unknown argument`, `-32700`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %s:\n%.2000s\n%s", want, out.String(), p.stderr)
		}
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("stdout is not JSON lines: %q", line)
		}
	}
}

// TestCanaries runs the main job and then looks for tokens everywhere a user
// or an operator could see them.
func TestCanaries(t *testing.T) { // T39
	t.Parallel()
	dir := home(t) + "/h"
	p, info := startDemo(t, dir)
	c, err := connectClient(info.URL, info.Bearer)
	if err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	call := func(tool string, args map[string]any) {
		t.Helper()
		r, err := c.call(tool, args)
		if err != nil {
			t.Fatal(err)
		}
		seen.WriteString(r.raw)
	}
	call("accounts_list", nil)
	call("account_connect", map[string]any{"provider": "google"})
	call("gmail_search_threads", map[string]any{"query": "newer_than:30d"})
	call("slack_search_channels", map[string]any{"query": "launch"})
	call("github_list_issues", map[string]any{"owner": "octo-anna", "repo": "harbor"})
	call("github_get_file_contents", map[string]any{"owner": "octo-anna", "repo": "payroll"})
	call("github_list_issues", map[string]any{"owner": "nobody", "repo": "nothing"})
	for _, args := range [][]string{{"accounts"}, {"audit", "export"}, {"approvals"}, {"tools"}, {"disconnect", "slack/T0HARBOR01/U0ANNA0001"}} {
		out, errText, _ := deputy(t, nil, append([]string{"--home", dir}, args...)...)
		seen.WriteString(out + errText)
	}
	p.stop(t)
	seen.WriteString(p.stderr.String())
	db, err := os.ReadFile(dir + "/deputy.db")
	if err != nil {
		t.Fatal(err)
	}
	seen.Write(db)
	// The fakes' tokens look like the providers' own and say canary.
	token := regexp.MustCompile(`(ya29\.|1//|xox[a-z.-]*|gh[a-z]_)canary`)
	if at := token.FindStringIndex(seen.String()); at != nil {
		t.Errorf("a token is visible: …%q…", seen.String()[max(0, at[0]-80):at[1]+20])
	}
	if len(db) < 10_000 || !strings.Contains(seen.String(), "U0ANNA0001") {
		t.Error("the look-around saw nothing")
	}
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := fmt.Sprint(names); got != "[deputy.db keys]" {
		t.Errorf("the home holds %s", got)
	}
}
