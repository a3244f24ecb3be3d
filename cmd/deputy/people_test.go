package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
)

// surfer is a person's browser against a running deputy.
type surfer struct {
	t testing.TB
	h *house
	*http.Client
}

func (h *house) surfer() *surfer {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &surfer{h.t, h, &http.Client{Jar: jar}}
}

// read gives the page, and the path where it was found in the end.
func (s *surfer) read(resp *http.Response, err error) (page, at string, status int) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body), resp.Request.URL.Path, resp.StatusCode
}

func (s *surfer) get(path string) (string, string, int) {
	s.t.Helper()
	return s.read(s.Get(s.h.url + path))
}

func (s *surfer) post(path string, pairs ...string) (string, string, int) {
	s.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return s.read(s.PostForm(s.h.url+path, form))
}

// withLink signs in by the link that a command prints.
func (s *surfer) withLink(args ...string) {
	s.t.Helper()
	out, err := s.h.order(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(out), &link); err != nil {
		s.t.Fatal(err)
	}
	s.read(s.Get(link.URL))
}

// TestApprovingTakesThePasskey: once a person has one, no sign-in by code
// approves what takes a fresh proof; the page asks for the passkey and leads
// back.
func TestApprovingTakesThePasskey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "approvals: {channels: [client, page, cli], presence: always}")
	ask := func(title string) string {
		t.Helper()
		r, err := h.client.call("github_add_issue_comment", map[string]any{"owner": "octo-anna", "repo": "harbor", "issue_number": 1, "body": title})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			ID string `json:"approval_id"`
		}
		if json.Unmarshal(r.Result.StructuredContent, &answer); answer.ID == "" {
			t.Fatalf("%s", r.raw)
		}
		return "/approvals/" + answer.ID
	}
	approve := func(s *surfer, at string) (string, string, int) { return s.post(at, "decision", "approve") }

	anna := h.surfer()
	anna.withLink("approvals", "open")
	first := ask("by code")
	if page, at, _ := approve(anna, first); at != first || !strings.Contains(page, "Done at") {
		t.Errorf("without a passkey a fresh code is enough: %s %s", at, page)
	}
	if _, errs, code := h.run("approvals", "approve", strings.TrimPrefix(ask("by terminal"), "/approvals/")); code != exitRefused || !strings.Contains(errs, "fresh sign-in") {
		t.Errorf("presence: always, in a terminal: %d %s", code, errs)
	}

	// Anna's device.
	rp := virtualwebauthn.RelyingParty{ID: "localhost", Name: "deputy", Origin: h.url}
	device, cred := virtualwebauthn.NewAuthenticator(), virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	for len(cred.Key.AttestationData()) != 77 { // the library leaves leading zeros out
		cred = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	}
	options, _, _ := anna.post("/profile/passkeys/options")
	creation, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		t.Fatalf("%v: %s", err, options)
	}
	if page, at, status := anna.post("/profile/passkeys", "name", "phone", "answer", virtualwebauthn.CreateAttestationResponse(rp, device, cred, *creation)); status != 200 || at != "/profile" || !strings.Contains(page, "phone") {
		t.Fatalf("%d %s %s", status, at, page)
	}

	agent := h.surfer() // a program that runs as anna, and can make codes
	agent.withLink("approvals", "open")
	second := ask("by passkey")
	page, at, _ := approve(agent, second)
	if at != "/signin/again" || !strings.Contains(page, "Confirm with a passkey") || strings.Contains(page, `name="code"`) {
		t.Fatalf("%s %s", at, page)
	}
	if page, _, status := agent.read(agent.Post(h.url+"/api"+second, "application/json", strings.NewReader(`{"decision":"approve"}`))); status != http.StatusForbidden {
		t.Errorf("the JSON twin: %d %s", status, page)
	}
	// The person is at the same page, with the device.
	options, _, _ = agent.post("/signin/again/options")
	assertion, err := virtualwebauthn.ParseAssertionOptions(options)
	if err != nil {
		t.Fatalf("%v: %s", err, options)
	}
	cred.Counter++
	_, at, _ = agent.post("/signin/again/passkey", "next", second, "answer", virtualwebauthn.CreateAssertionResponse(rp, device, cred, *assertion))
	if at != second {
		t.Errorf("the step-up leads to %s", at)
	}
	if page, at, _ := approve(agent, second); at != second || !strings.Contains(page, "Done at") {
		t.Errorf("after it: %s %s", at, page)
	}
	if out, err := h.order("audit", "tail"); err != nil || !strings.Contains(out, `"event":"stepup"`) {
		t.Errorf("the log: %v %s", err, out)
	}
}

// TestUsers: somebody else is invited, has a profile of their own, sees nothing
// of the owner's, and is shut out again.
func TestUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	bo := h.surfer()
	bo.withLink("users", "code", "bo@example.com")
	if page, _, status := bo.get("/profile"); status != 200 || !strings.Contains(page, "user:bo@example.com") {
		t.Fatalf("%d %s", status, page)
	}
	if out, err := h.order("users"); err != nil || !strings.Contains(out, `"bo@example.com"`) || !strings.Contains(out, `"owner"`) {
		t.Errorf("%v %s", err, out)
	}
	if page, _, _ := bo.get("/api/approvals"); strings.Contains(page, "apr_") {
		t.Errorf("bo sees %s", page)
	}
	for _, c := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"users", "disable", "anna"}, exitRefused, "belongs to anna"},
		{[]string{"users", "disable", "mia"}, exitFailed, "nobody called"},
		{[]string{"users", "code", "B O"}, exitUsage, "small letters"},
		{[]string{"users", "code"}, exitUsage, "want list"},
		{[]string{"users", "fly", "bo"}, exitUsage, "no \"fly\""},
		{[]string{"users", "disable", "bo@example.com"}, exitDone, ""},
		{[]string{"users", "code", "bo@example.com"}, exitFailed, "is disabled"},
		{[]string{"users", "enable", "bo@example.com"}, exitDone, ""},
		{[]string{"users", "reset", "bo@example.com"}, exitDone, ""},
	} {
		if _, errs, code := h.run(c.args...); code != c.code || !strings.Contains(errs, c.say) {
			t.Errorf("%v: %d %s", c.args, code, errs)
		}
	}
	if _, _, status := bo.get("/profile"); status != http.StatusUnauthorized {
		t.Errorf("disabled and enabled, the session is: %d", status)
	}
	if out, err := h.order("audit", "tail"); err != nil || !strings.Contains(out, `"event":"profile_disable"`) || !strings.Contains(out, `"by":"anna"`) {
		t.Errorf("the log: %v %s", err, out)
	}
}
