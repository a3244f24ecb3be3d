package githubfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// scene is a fake, a server in front of it and a clock that only moves when told.
type scene struct {
	*testing.T
	*Fake
	url   string
	clock *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newScene(t *testing.T, cfg Config) *scene {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	cfg.Now = c.Now
	f := New(cfg)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return &scene{T: t, Fake: f, url: srv.URL, clock: c}
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) json(t *scene) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("not a JSON object: %v: %.200s", err, a.body)
	}
	return m
}

func (a answer) list(t *scene) []map[string]any {
	t.Helper()
	var l []map[string]any
	if err := json.Unmarshal([]byte(a.body), &l); err != nil {
		t.Fatalf("not a JSON array: %v: %.200s", err, a.body)
	}
	return l
}

// send makes a request; headers come in pairs. Redirects are not followed.
func (s *scene) send(method, path, body string, headers ...string) answer {
	s.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(all), err}
}

// as sends with a bearer.
func (s *scene) as(token, method, path, body string, headers ...string) answer {
	s.Helper()
	return s.send(method, path, body, append(headers, "Authorization", "Bearer "+token)...)
}

func (s *scene) want(a answer, status int, contains ...string) answer {
	s.Helper()
	if a.err != nil || a.status != status {
		s.Fatalf("status %d, error %v, want %d: %.300s", a.status, a.err, status, a.body)
	}
	for _, c := range contains {
		if !strings.Contains(a.body, c) {
			s.Fatalf("no %q in %.500s", c, a.body)
		}
	}
	return a
}

func TestFaults(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	get := func() answer { return s.as(tok, "GET", "/user", "") }
	post := func() answer {
		return s.as(tok, "POST", "/repos/octo-anna/harbor/issues/1/comments", `{"body":"hi"}`)
	}

	s.Inject(
		Fault{Status: 403, Header: http.Header{"retry-after": {"60"}}, Body: `{"message":"secondary rate limit"}`},
		Fault{Status: 502, Body: "<html>unicorn</html>"},
		Fault{Status: 503},
		Fault{Body: `{"login":`},
	)
	if a := s.want(get(), 403, "secondary"); a.header.Get("Retry-After") != "60" {
		t.Error("header of the fault is missing")
	}
	if a := s.want(get(), 502, "unicorn"); !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Error("not HTML:", a.header)
	}
	s.want(get(), 503, "Service Unavailable")
	if a := s.want(get(), 200); json.Valid([]byte(a.body)) {
		t.Error("body is whole")
	}
	s.want(get(), 200, Login)

	// A reply cut short: the status came, the rest of the body did not.
	s.Inject(Fault{Truncate: true})
	if a := get(); a.status != 200 || !errors.Is(a.err, io.ErrUnexpectedEOF) || json.Valid([]byte(a.body)) {
		t.Errorf("truncated: %d %v %s", a.status, a.err, a.body)
	}

	// Refused before it was done: nothing came to be.
	s.Inject(Fault{Status: 500})
	s.want(post(), 500)
	if n := len(s.Created()); n != 0 {
		t.Fatalf("%d created", n)
	}
	// Done, and the reply lost, in each of the three ways.
	s.Inject(Fault{Status: 504, ApplyFirst: true}, Fault{ApplyFirst: true, Truncate: true}, Fault{ApplyFirst: true})
	s.want(post(), 504)
	if a := post(); a.status != 201 || a.err == nil {
		t.Error("not truncated:", a)
	}
	if a := post(); a.err == nil {
		t.Error("connection was not dropped:", a)
	}
	if n := len(s.Created()); n != 3 {
		t.Fatalf("%d created, want 3", n)
	}
	var statuses []int
	for _, w := range s.Writes() {
		statuses = append(statuses, w.Status)
	}
	if got, want := statuses, []int{500, 504, 201, 0}; !equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}

	// A slow answer, and a client that does not wait for it.
	s.Inject(Fault{Delay: 20 * time.Millisecond}, Fault{Delay: time.Hour})
	start := time.Now()
	s.want(get(), 200)
	if time.Since(start) < 20*time.Millisecond {
		t.Error("no delay")
	}
	client := &http.Client{Timeout: 20 * time.Millisecond}
	req, _ := http.NewRequest("POST", s.url+"/repos/octo-anna/harbor/issues", strings.NewReader(`{"title":"late"}`))
	req.Header.Set("Authorization", "Bearer "+tok)
	if _, err := client.Do(req); err == nil {
		t.Error("no timeout")
	}
	if n := len(s.Created()); n != 3 {
		t.Error("an abandoned request was performed")
	}
}

func TestTokenEndpointFaults(t *testing.T) {
	s := newScene(t, Config{})
	pair := s.connect("repo")
	refresh := map[string]string{"grant_type": "refresh_token", "refresh_token": pair["refresh_token"].(string)}

	// The worst case of rotation: GitHub rotated and the answer never arrived.
	s.InjectToken(Fault{Status: 502}, Fault{ApplyFirst: true})
	s.Inject(Fault{Status: 418}) // waits for the API, however many tokens are asked for
	s.want(s.token(refresh), 502)
	if a := s.token(refresh); a.err == nil {
		t.Fatal("answered")
	}
	s.refused(s.token(refresh), "bad_refresh_token")
	s.want(s.send("GET", "/user", ""), 418)

	s.InjectApp(Fault{Status: 503})
	s.want(s.app("DELETE", "grant", `{"access_token":"x"}`), 503)
	if n := len(s.AppCalls()); n != 5 {
		t.Errorf("%d app calls, want 5", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := newScene(t, Config{})
	tok := s.Issue("repo")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				s.as(tok, "POST", "/repos/octo-anna/harbor/issues", `{"title":"again"}`)
				s.as(tok, "GET", "/repos/octo-anna/harbor/issues", "")
				s.Inject(Fault{Truncate: true})
				s.Issue("repo")
				_, _, _, _ = s.Calls(), s.Writes(), s.Created(), s.Tokens()
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, c := range s.Created() {
		if seen[c.Number] {
			t.Fatalf("number %d twice", c.Number)
		}
		seen[c.Number] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d created, want 40", len(seen))
	}
}

func TestSameWorldEveryTime(t *testing.T) {
	read := func() string {
		s := newScene(t, Config{})
		tok := s.Issue("repo")
		var b bytes.Buffer
		for _, path := range []string{"/user/repos", "/repos/octo-anna/harbor/issues?state=all", "/repos/octo-anna/harbor/commits",
			"/repos/octo-anna/harbor/contents", "/repos/northwind/portal/issues/3"} {
			b.WriteString(s.want(s.as(tok, "GET", path, ""), 200).body)
		}
		return strings.ReplaceAll(b.String(), s.url, "")
	}
	if first, second := read(), read(); first != second {
		t.Error("two worlds differ")
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
