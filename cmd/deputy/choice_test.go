package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listed are the tools that a client sees at a path, with its headers.
func listed(t *testing.T, url, bearer string, header ...string) (names []string, status int, words string) {
	t.Helper()
	c := &client{url: url, bearer: bearer, header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		c.header.Set(header[i], header[i+1])
	}
	if r, err := c.do("initialize", map[string]any{"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]string{"name": "t", "version": "1"}}); err != nil {
		return nil, http.StatusBadRequest, r.raw
	}
	r, err := c.do("tools/list", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range r.Result.Tools {
		names = append(names, tool.Name)
	}
	return names, http.StatusOK, ""
}

// TestAClientAsksForLess: by the headers that users know, by the address, and
// by flags of deputy stdio, which reach the daemon as the same headers.
func TestAClientAsksForLess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	bearer := h.client.bearer
	writes := func(names []string) bool { return slices.Contains(names, "github_add_issue_comment") }
	all, _, _ := listed(t, h.url+"/mcp", bearer)
	if !writes(all) || !slices.Contains(all, "gmail_search_threads") {
		t.Fatalf("%v", all)
	}
	for name, c := range map[string]struct {
		path   string
		header []string
		has    string
		lacks  string
	}{
		"read only":        {"/mcp", []string{"X-MCP-Readonly", "true"}, "github_list_issues", "github_add_issue_comment"},
		"read only, badly": {"/mcp", []string{"X-MCP-Readonly", "yes please"}, "github_list_issues", "github_add_issue_comment"},
		"not read only":    {"/mcp", []string{"X-MCP-Readonly", "false"}, "github_add_issue_comment", "-"},
		"by address":       {"/mcp/readonly", nil, "github_list_issues", "github_add_issue_comment"},
		"address wins":     {"/mcp/readonly", []string{"X-MCP-Readonly", "false"}, "github_list_issues", "github_add_issue_comment"},
		"a toolset":        {"/mcp", []string{"X-MCP-Toolsets", "slack"}, "slack_send_message", "github_list_issues"},
		"one tool":         {"/mcp", []string{"X-MCP-Tools", "gmail_reply"}, "gmail_reply", "gmail_send_message"},
		"own tools stay":   {"/mcp", []string{"X-MCP-Tools", "gmail_reply"}, "approval_wait", "gmail_send_message"},
		"less one":         {"/mcp", []string{"X-MCP-Exclude-Tools", "gmail_reply, slack_send_message"}, "gmail_send_message", "slack_send_message"},
		"drafts":           {"/mcp", []string{"X-MCP-Drafts-Only", "1"}, "gmail_create_draft", "gmail_send_message"},
		"an empty header":  {"/mcp", []string{"X-MCP-Toolsets", ""}, "github_add_issue_comment", "-"},
	} {
		got, status, words := listed(t, h.url+c.path, bearer, c.header...)
		if status != 200 || !slices.Contains(got, c.has) || slices.Contains(got, c.lacks) {
			t.Errorf("%s: %d %s %v", name, status, words, got)
		}
	}
	if _, status, _ := listed(t, h.url+"/mcp", bearer, "X-MCP-Tools", "github_nothing"); status == 200 {
		t.Error("an unknown tool was taken")
	}
	req, _ := http.NewRequest("POST", h.url+"/mcp", strings.NewReader("{}"))
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("X-MCP-Toolsets", "gitlab")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if words, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(words), `no toolset "gitlab"; there are default, all, gmail, slack, github`) {
		t.Errorf("%d %s", resp.StatusCode, words)
	}

	a := newAssistant(t, h.dir, h.env(), `{}`, "--read-only", "--toolsets", "github")
	said := fmt.Sprint(a.ask("tools/list", `{}`))
	if !strings.Contains(said, "github_list_issues") || strings.Contains(said, "github_add_issue_comment") || strings.Contains(said, "slack_") {
		t.Errorf("stdio: %s", said)
	}
	if said := fmt.Sprint(a.ask("tools/call", `{"name":"github_add_issue_comment","arguments":{"owner":"octo-anna","repo":"harbor","issue_number":1,"body":"hi"}}`)); !strings.Contains(said, "not found") {
		t.Errorf("a call: %s", said)
	}
	b := newAssistant(t, h.dir, h.env(), "", "--tools", "github_nothing")
	if said := fmt.Sprint(b.ask("initialize", `{}`)); !strings.Contains(said, `there is no tool "github_nothing"`) {
		t.Errorf("stdio: %s", said)
	}

	dir, env := desk(t)
	if _, words, code := deputy(t, env, "--config", filepath.Join(dir, "deputy.yaml"), "stdio", "--no-daemon", "--exclude-tools", "gmail_nothing"); code == 0 || !strings.Contains(words, `there is no tool "gmail_nothing"`) {
		t.Errorf("exit %d: %s", code, words)
	}
}
