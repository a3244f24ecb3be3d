package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// program is an MCP client that knows nothing but deputy's address.
type program struct {
	t        testing.TB
	h        *house
	id       string
	redirect string
	verifier string
}

func (h *house) program(id, redirect string) *program {
	return &program{h.t, h, id, redirect, rand.Text() + rand.Text()}
}

// askFor is the address that the program opens in its person's browser.
func (p *program) askFor(scope string) string {
	sum := sha256.Sum256([]byte(p.verifier))
	return p.h.url + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {p.redirect}, "scope": {scope}, "state": {"s1"}, "resource": {p.h.url + "/mcp"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

type issued struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
}

func (p *program) token(pairs ...string) (got issued, status int) {
	p.t.Helper()
	form := url.Values{"client_id": {p.id}, "resource": {p.h.url + "/mcp"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	resp, err := http.PostForm(p.h.url+"/oauth/token", form)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	json.NewDecoder(resp.Body).Decode(&got)
	return got, resp.StatusCode
}

// allow walks the person's browser through the consent page.
func (p *program) allow(s *surfer, scope string) issued {
	p.t.Helper()
	page, at, status := s.get(strings.TrimPrefix(p.askFor(scope), p.h.url))
	handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(page)
	action := regexp.MustCompile(`<form class="decide" method="post" action="([^"]+)"`).FindStringSubmatch(page)
	if status != 200 || handle == nil || action == nil {
		p.t.Fatalf("no consent page: %d at %s: %.800s", status, at, page)
	}
	s.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), p.redirect) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { s.CheckRedirect = nil }()
	to := html.UnescapeString(action[1])
	if strings.HasPrefix(to, "/") {
		to = p.h.url + to
	}
	resp, err := s.PostForm(to, url.Values{"handle": {html.UnescapeString(handle[1])}, "decision": {"allow"}})
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Query().Get("code") == "" || back.Query().Get("iss") != p.h.url || back.Query().Get("state") != "s1" {
		p.t.Fatalf("no way back: %d %v, %v", resp.StatusCode, back, err)
	}
	got, status := p.token("grant_type", "authorization_code", "code", back.Query().Get("code"), "redirect_uri", p.redirect, "code_verifier", p.verifier)
	if status != 200 || got.Access == "" {
		p.t.Fatalf("no token: %d %+v", status, got)
	}
	return got
}

// TestAProgramIsLetIn: from the first 401 to a tool's answer, through deputy's
// own authorization server, and out again when its person takes it back.
func TestAProgramIsLetIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "oauth: {clients: {desk: {name: The desk program, redirect_uris: [\"http://127.0.0.1/back\"]}}}")
	status, challenge, _ := h.mcp("", "tools/list", "{}")
	at := regexp.MustCompile(`resource_metadata="([^"]+)"`).FindStringSubmatch(challenge)
	if status != 401 || at == nil {
		t.Fatalf("%d %s", status, challenge)
	}
	var resource struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	read := func(address string, v any) {
		t.Helper()
		resp, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
			t.Fatalf("%s: %v", address, err)
		}
	}
	read(at[1], &resource)
	var meta struct {
		Issuer    string   `json:"issuer"`
		Authorize string   `json:"authorization_endpoint"`
		Methods   []string `json:"code_challenge_methods_supported"`
		ByURL     bool     `json:"client_id_metadata_document_supported"`
	}
	read(resource.Servers[0]+"/.well-known/oauth-authorization-server", &meta)
	if resource.Resource != h.url+"/mcp" || meta.Issuer != h.url || meta.Authorize != h.url+"/oauth/authorize" || !meta.ByURL || len(meta.Methods) != 1 || meta.Methods[0] != "S256" {
		t.Fatalf("%+v %+v", resource, meta)
	}

	s := h.surfer()
	p := h.program("desk", "http://127.0.0.1:8123/back")
	// Before anybody is signed in there is no consent page, and no redirect.
	if page, _, status := s.get(strings.TrimPrefix(p.askFor("github.read"), h.url)); status != 401 || strings.Contains(page, `name="handle"`) {
		t.Errorf("nobody is signed in: %d %.300s", status, page)
	}
	s.withLink("approvals", "open")
	got := p.allow(s, "github.read")
	if got.Scope != "github.read" || got.Refresh == "" {
		t.Errorf("%+v", got)
	}
	client, err := connectClient(h.url+"/mcp", got.Access)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := client.call("github_list_issues", map[string]any{"owner": "octo-anna", "repo": "harbor"}); err != nil || !strings.Contains(r.raw, `"items":[{`) {
		t.Fatalf("a read: %v %.300s", err, r.raw)
	}
	status, challenge, _ = h.mcp(got.Access, "tools/call", `{"name":"github_issue_write","arguments":{"method":"create","owner":"octo-anna","repo":"harbor","title":"hi"}}`)
	if status != 403 || !strings.Contains(challenge, `scope="github.read github.write"`) {
		t.Errorf("more than it may: %d %s", status, challenge)
	}
	more := p.allow(s, "github.read github.write")
	writer, err := connectClient(h.url+"/mcp", more.Access)
	if err != nil {
		t.Fatal(err)
	}
	r, err := writer.call("github_issue_write", map[string]any{"method": "create", "owner": "octo-anna", "repo": "harbor", "title": "Asked by the desk"})
	if err != nil {
		t.Fatal(err)
	}
	var pending struct {
		ID string `json:"approval_id"`
	}
	if err := json.Unmarshal(r.Result.StructuredContent, &pending); err != nil || pending.ID == "" {
		t.Fatalf("%v %.300s", err, r.raw)
	}
	// A rule finds the program by its client_id, and the log names it.
	if _, err := h.order("authz", "write", "agent:desk", "hidden", "github_repo:octo-anna/harbor"); err != nil {
		t.Fatal(err)
	}
	if r, err := client.call("github_list_issues", map[string]any{"owner": "octo-anna", "repo": "harbor"}); err != nil || !strings.Contains(r.raw, `"items":[]`) {
		t.Errorf("hidden from it: %v %.300s", err, r.raw)
	}
	if _, err := h.order("authz", "delete", "agent:desk", "hidden", "github_repo:octo-anna/harbor"); err != nil {
		t.Fatal(err)
	}
	if log, err := h.order("audit", "tail"); err != nil || !strings.Contains(log, `"agent":"desk"`) || strings.Contains(log, more.Access) {
		t.Errorf("the log does not name it: %v %s", err, log)
	}

	// Its person takes it back: its tokens are nothing from then on, and what it
	// had asked for is not done, whoever says yes to it now.
	if out, err := h.order("agents"); err != nil || !strings.Contains(out, "desk") {
		t.Errorf("%v %s", err, out)
	}
	if _, err := h.order("agents", "revoke", "desk"); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"first": got.Access, "second": more.Access} {
		if status, challenge, _ := h.mcp(token, "tools/list", "{}"); status != 401 || !strings.Contains(challenge, "invalid_token") {
			t.Errorf("the %s token after it was taken back: %d %s", name, status, challenge)
		}
	}
	if _, status := p.token("grant_type", "refresh_token", "refresh_token", more.Refresh); status != 400 {
		t.Errorf("a refresh after it was taken back: %d", status)
	}
	if _, err := h.order("approvals", "approve", pending.ID); err == nil {
		if out, err := h.order("approvals", "show", pending.ID); err == nil && strings.Contains(out, "done") {
			t.Errorf("what it had asked for was done: %s", out)
		}
	}
	if n := h.github.Writes(); len(n) != 0 {
		t.Errorf("written after it was taken back: %v", n)
	}
}

// TestPagesOfAccountsAndPrograms: what a person connected and whom they let in
// is on a page, and ends there; another site cannot have it ended.
func TestPagesOfAccountsAndPrograms(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "oauth: {clients: {desk: {name: The desk program, redirect_uris: [\"http://127.0.0.1/back\"]}}}")
	s := h.surfer()
	for _, path := range []string{"/accounts", "/agents"} {
		if page, _, status := s.get(path); status != 401 || strings.Contains(page, "octo-anna") {
			t.Errorf("%s for nobody: %d", path, status)
		}
	}
	s.withLink("approvals", "open")
	p := h.program("desk", "http://127.0.0.1:8123/back")
	got := p.allow(s, "github.read")
	page, _, _ := s.get("/agents")
	if !strings.Contains(page, "The desk program") || !strings.Contains(page, "read GitHub") {
		t.Errorf("programs: %s", page)
	}
	if page, _, _ := s.get("/agents?lang=ko"); !strings.Contains(page, "GitHub 읽기") {
		t.Errorf("in Korean: %.600s", page)
	}
	s.get("/agents?lang=en")
	forged, _ := http.NewRequest("POST", h.url+"/agents/revoke", strings.NewReader("client=desk"))
	forged.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	if _, _, status := s.read(s.Do(forged)); status != 403 {
		t.Errorf("another site's form: %d", status)
	}
	if status, _, _ := h.mcp(got.Access, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`); status != 200 {
		t.Errorf("after the forged form: %d", status)
	}
	if page, at, _ := s.post("/agents/revoke", "client", "desk"); at != "/agents" || strings.Contains(page, "The desk program") {
		t.Errorf("taken back: %s %s", at, page)
	}
	if status, _, _ := h.mcp(got.Access, "initialize", "{}"); status != 401 {
		t.Errorf("after it was taken back: %d", status)
	}

	page, _, _ = s.get("/accounts")
	if !strings.Contains(page, "octo-anna") || !strings.Contains(page, "Disconnect") {
		t.Errorf("accounts: %s", page)
	}
	if page, _, status := s.post("/accounts/disconnect", "account", "github/nobody"); status != 404 {
		t.Errorf("an account that is none: %d %.300s", status, page)
	}
	if page, _, status := s.post("/accounts/disconnect", "account", "github/octo-anna"); status != 200 || !strings.Contains(page, "confirmed") {
		t.Errorf("disconnected: %d %.600s", status, page)
	}
	if page, _, _ := s.get("/accounts"); strings.Contains(page, "octo-anna") {
		t.Error("it is still there")
	}
}
