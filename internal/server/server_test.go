package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/seal"
	"deputy/internal/server"
	"deputy/tools/slack"
	"deputy/tools/slack/slackfake"
	"deputy/tools/toolstest"
)

// line is a server with one user's Slack behind it, and a client that speaks
// the 2026-07-28 revision by hand, so that a test can also lie.
type line struct {
	*toolstest.World
	t      *testing.T
	slack  *slackfake.Fake
	url    string
	caller authz.Caller // who the door says is calling
}

func open(t *testing.T, forms bool) *line {
	t.Helper()
	fake := slackfake.New(slackfake.Config{ClientID: "client", ClientSecret: "client-secret"})
	l := &line{t: t, slack: fake}
	l.World = toolstest.New(t, slack.Provider(), toolstest.Fake{Handler: fake, Tokens: fake.Tokens})
	l.caller = l.Caller("anna", "claude")
	if _, err := l.Connect(l.caller); err != nil {
		t.Fatal(err)
	}
	kek, _ := seal.NewKEK(make([]byte, 32))
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Config{Guard: l.Guard, Sealer: box, Version: "test", Forms: forms, Patience: time.Second, Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewUnstartedServer(nil)
	public, _ := url.Parse("http://" + srv.Listener.Addr().String())
	srv.Config.Handler = server.Front(public, s.HTTP(server.Door{Identify: func(*http.Request) (authz.Caller, error) { return l.caller, nil }}))
	srv.Start()
	t.Cleanup(srv.Close)
	l.url = srv.URL + "/mcp"
	return l
}

type answer struct {
	Result struct {
		ResultType        string
		StructuredContent json.RawMessage
		IsError           bool
		Tools             []struct{ Name string }
		TTLMs             int64
		CacheScope        string
		RequestState      string
		InputRequests     map[string]struct {
			Method string
			Params struct{ Mode, Message, URL, ElicitationID string }
		}
	}
	Error *struct {
		Code    int
		Message string
	}
	raw string
}

func (l *line) do(method string, capabilities, params map[string]any) answer {
	l.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	params["_meta"] = map[string]any{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": capabilities,
		"io.modelcontextprotocol/clientInfo": map[string]string{"name": "test", "version": "1"},
	}
	body, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	req, _ := http.NewRequest(http.MethodPost, l.url, bytes.NewReader(body))
	for k, v := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method,
	} {
		req.Header.Set(k, v)
	}
	if name, ok := params["name"].(string); ok {
		req.Header.Set("Mcp-Name", name)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	if i := bytes.Index(data, []byte("data: ")); i >= 0 && data[0] != '{' {
		data, _, _ = bytes.Cut(data[i+6:], []byte("\n"))
	}
	a := answer{raw: string(data)}
	if err := json.Unmarshal(data, &a); err != nil {
		l.t.Fatalf("%s: %d %s", method, resp.StatusCode, data)
	}
	return a
}

var (
	forms = map[string]any{"elicitation": map[string]any{"form": map[string]any{}}}
	links = map[string]any{"elicitation": map[string]any{"url": map[string]any{}}}
	none  = map[string]any{}
)

func message(text string) map[string]any {
	return map[string]any{"name": "slack_send_message", "arguments": map[string]any{"channel_id": slackfake.Launch, "message": text}}
}

func reply(params map[string]any, state, action string, content any) map[string]any {
	out := map[string]any{}
	for k, v := range params {
		out[k] = v
	}
	out["requestState"] = state
	out["inputResponses"] = map[string]any{"approval": map[string]any{"action": action, "content": content}}
	return out
}

func TestListIsDeterministicAndCacheable(t *testing.T) {
	l := open(t, true)
	first, second := l.do("tools/list", none, nil), l.do("tools/list", none, nil)
	if first.raw != second.raw {
		t.Error("two lists differ")
	}
	var names []string
	for _, tool := range first.Result.Tools {
		names = append(names, tool.Name)
	}
	if !slices.IsSorted(names) || len(names) != 20 {
		t.Errorf("tools: %v", names)
	}
	if first.Result.TTLMs <= 0 || first.Result.CacheScope != "private" {
		t.Errorf("cache hints: %d %q", first.Result.TTLMs, first.Result.CacheScope)
	}
	if err := l.Engine.Write(t.Context(), []authz.Tuple{{User: "user:*", Relation: "barred", Object: "tool:slack_send_message"}}, nil); err != nil {
		t.Fatal(err)
	}
	if list := l.do("tools/list", none, nil); strings.Contains(list.raw, "slack_send_message") {
		t.Error("a barred tool is listed")
	}
	barred, unknown := l.do("tools/call", none, message("x")), l.do("tools/call", none, map[string]any{"name": "slack_send_massage", "arguments": map[string]any{}})
	if barred.Error == nil || strings.ReplaceAll(barred.raw, "send_message", "send_massage") != unknown.raw {
		t.Errorf("barred %s, unknown %s", barred.raw, unknown.raw)
	}
}

func TestFormInTheClient(t *testing.T) {
	l := open(t, true)
	ask := l.do("tools/call", forms, message("at ten"))
	in := ask.Result.InputRequests["approval"]
	if ask.Result.ResultType != "input_required" || in.Method != "elicitation/create" || !strings.Contains(in.Params.Message, "at ten") {
		t.Fatalf("%s", ask.raw)
	}
	done := l.do("tools/call", forms, reply(message("at ten"), ask.Result.RequestState, "accept", map[string]any{"approve": true}))
	if !strings.Contains(string(done.Result.StructuredContent), `"status":"done"`) || len(l.slack.Posted()) != 1 {
		t.Errorf("%s, posted %v", done.raw, l.slack.Posted())
	}
	// The same answer again is the same outcome, not a second message.
	l.do("tools/call", forms, reply(message("at ten"), ask.Result.RequestState, "accept", map[string]any{"approve": true}))
	if len(l.slack.Posted()) != 1 {
		t.Errorf("posted %v", l.slack.Posted())
	}
}

func TestEveryWayToSayNo(t *testing.T) {
	for name, c := range map[string]struct {
		action  string
		content any
		status  string
	}{
		"decline":          {"decline", nil, "denied"},
		"accept with no":   {"accept", map[string]any{"approve": false}, "denied"},
		"accept, no field": {"accept", map[string]any{}, "denied"},
		"accept, a string": {"accept", map[string]any{"approve": "true"}, "denied"},
		"cancel":           {"cancel", nil, "approval_required"},
	} {
		l := open(t, true)
		ask := l.do("tools/call", forms, message("at ten"))
		got := l.do("tools/call", forms, reply(message("at ten"), ask.Result.RequestState, c.action, c.content))
		if !strings.Contains(string(got.Result.StructuredContent), `"status":"`+c.status+`"`) {
			t.Errorf("%s: %s", name, got.raw)
		}
		if len(l.slack.Posted()) != 0 {
			t.Errorf("%s: posted", name)
		}
	}
}

func TestStatesAreBound(t *testing.T) { // T20
	l := open(t, true)
	yes := map[string]any{"approve": true}
	ask := l.do("tools/call", forms, message("at ten"))
	state := ask.Result.RequestState
	other := l.do("tools/call", forms, message("at eleven"))
	for name, c := range map[string]struct {
		who    authz.Caller
		params map[string]any
	}{
		"another user":       {l.Caller("bo", "claude"), reply(message("at ten"), state, "accept", yes)},
		"another agent":      {l.Caller("anna", "cursor"), reply(message("at ten"), state, "accept", yes)},
		"other arguments":    {l.caller, reply(message("at tem"), state, "accept", yes)},
		"another question's": {l.caller, reply(message("at ten"), other.Result.RequestState, "accept", yes)},
		"another tool":       {l.caller, reply(map[string]any{"name": "slack_read_channel", "arguments": map[string]any{"channel_id": slackfake.Launch}}, state, "accept", yes)},
		"changed":            {l.caller, reply(message("at ten"), state[:len(state)-3]+"AAA", "accept", yes)},
		"not a state":        {l.caller, reply(message("at ten"), "apr_x", "accept", yes)},
	} {
		before := l.caller
		l.caller = c.who
		got := l.do("tools/call", forms, c.params)
		l.caller = before
		if got.Error == nil {
			t.Errorf("%s: %s", name, got.raw)
		}
		if strings.Contains(got.raw, "expired") || strings.Contains(got.raw, "forbidden") {
			t.Errorf("%s: it says why: %s", name, got.raw)
		}
	}
	if len(l.slack.Posted()) != 0 {
		t.Errorf("posted %v", l.slack.Posted())
	}
}

func TestLinkInTheClient(t *testing.T) {
	l := open(t, true)
	ask := l.do("tools/call", links, message("at ten"))
	in := ask.Result.InputRequests["approval"].Params
	if in.Mode != "url" || !strings.HasPrefix(in.URL, "http://localhost:8787/approvals/apr_") || in.ElicitationID == "" {
		t.Fatalf("%s", ask.raw)
	}
	// Opening the page is no yes.
	go func() {
		time.Sleep(300 * time.Millisecond)
		if n := len(l.slack.Posted()); n != 0 {
			t.Errorf("posted %d before the decision", n)
		}
		l.Ledger.Decide(t.Context(), in.ElicitationID, l.caller, approvals.Decision{Approve: true, Channel: "page"})
	}()
	done := l.do("tools/call", links, reply(message("at ten"), ask.Result.RequestState, "accept", nil))
	if !strings.Contains(string(done.Result.StructuredContent), `"status":"done"`) || len(l.slack.Posted()) != 1 {
		t.Errorf("%s", done.raw)
	}
}

func TestClientsAreAskedOnlyWhatTheyDeclare(t *testing.T) {
	for name, c := range map[string]struct {
		forms        bool
		capabilities map[string]any
		mode         string
	}{
		"nothing declared":         {true, none, ""},
		"empty elicitation":        {true, map[string]any{"elicitation": map[string]any{}}, "form"},
		"forms are off":            {false, forms, ""},
		"forms are off, has links": {false, map[string]any{"elicitation": map[string]any{"form": map[string]any{}, "url": map[string]any{}}}, "url"},
	} {
		l := open(t, c.forms)
		got := l.do("tools/call", c.capabilities, message("at ten"))
		if mode := got.Result.InputRequests["approval"].Params.Mode; mode != c.mode {
			t.Errorf("%s: mode %q, want %q: %s", name, mode, c.mode, got.raw)
		}
		if c.mode == "" && !strings.Contains(string(got.Result.StructuredContent), `"status":"approval_required"`) {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
}

func TestConnectionIsALink(t *testing.T) {
	l := open(t, true)
	l.caller = l.Caller("bo", "claude")
	read := map[string]any{"name": "slack_search_channels", "arguments": map[string]any{"query": "x"}}
	if got := l.do("tools/call", none, read); !strings.Contains(string(got.Result.StructuredContent), `"connection_required"`) || got.Result.IsError {
		t.Errorf("%s", got.raw)
	}
	ask := l.do("tools/call", links, read)
	if in := ask.Result.InputRequests["approval"].Params; in.Mode != "url" || !strings.Contains(in.URL, "/connect/slack?want=") {
		t.Fatalf("%s", ask.raw)
	}
	if got := l.do("tools/call", links, reply(read, ask.Result.RequestState, "accept", nil)); !strings.Contains(string(got.Result.StructuredContent), `"connection_required"`) {
		t.Errorf("not connected yet: %s", got.raw)
	}
	// The waiting call goes on by itself.
	ask = l.do("tools/call", links, read)
	go func() {
		time.Sleep(100 * time.Millisecond)
		if _, err := l.Connect(l.caller); err != nil {
			t.Error(err)
		}
	}()
	if got := l.do("tools/call", links, reply(read, ask.Result.RequestState, "accept", nil)); !strings.Contains(string(got.Result.StructuredContent), `"items"`) {
		t.Errorf("connected meanwhile: %s", got.raw)
	}
}

func TestRefusalsAreToolErrors(t *testing.T) {
	l := open(t, true)
	bad := l.do("tools/call", none, map[string]any{"name": "slack_send_message", "arguments": map[string]any{"channel": "x"}})
	if !bad.Result.IsError || !strings.Contains(bad.raw, "channel: unknown argument") {
		t.Errorf("%s", bad.raw)
	}
	var refusal struct{ Error, Field string }
	if json.Unmarshal(bad.Result.StructuredContent, &refusal); refusal.Error != "bad_input" || refusal.Field != "channel" {
		t.Errorf("%s", bad.Result.StructuredContent)
	}
}
