package vault

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The round tripper itself holds the token to its host, whatever client it is
// put into, and takes it out of what the client sees.
func TestPinned(t *testing.T) {
	base, _ := url.Parse("https://api.example.com/v1")
	left := 0
	p := pinned{base: base, token: token{"canary"}, next: roundTrip(func(r *http.Request) (*http.Response, error) {
		left++
		if r.Header.Get("Authorization") != "Bearer canary" {
			t.Errorf("it goes out with %q", r.Header.Get("Authorization"))
		}
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
	})}
	get := func(u string) (*http.Response, error) {
		req, err := http.NewRequest(http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.RoundTrip(req)
	}
	resp, err := get("https://api.example.com/v1/user")
	if err != nil || left != 1 || resp.Request.Header.Get("Authorization") != "" {
		t.Errorf("its own host: %v, and the request keeps %q", err, resp.Request.Header.Get("Authorization"))
	}
	for _, other := range []string{"https://evil.example/user", "http://api.example.com/v1/user", "https://api.example.com:8443/user", "https://api.example.com.evil.example/"} {
		if _, err := get(other); err == nil || left != 1 || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, %d left", other, err, left)
		}
	}
}

// A person's token, and nobody else's, whatever shape the answer has.
func TestTokenShapes(t *testing.T) {
	for name, c := range map[string]struct {
		shape        Shape
		body, access string
		scopes       int
	}{
		"RFC 6749":             {RFC6749, `{"access_token":"a","scope":"x y"}`, "a", 2},
		"GitHub's commas":      {RFC6749, `{"access_token":"a","scope":"x,y,z"}`, "a", 3},
		"Slack: user and bot":  {SlackV2User, `{"ok":true,"access_token":"bot","token_type":"bot","scope":"b","authed_user":{"id":"U1","access_token":"user","scope":"x,y"}}`, "user", 2},
		"Slack: bot alone":     {SlackV2User, `{"ok":true,"access_token":"bot","token_type":"bot","scope":"b","authed_user":{"id":"U1"}}`, "", 0},
		"Slack: user alone":    {SlackV2User, `{"ok":true,"authed_user":{"id":"U1","access_token":"user","scope":"x"}}`, "user", 1},
		"Slack: a refresh":     {SlackV2User, `{"ok":true,"access_token":"user","token_type":"user","scope":"x,y"}`, "user", 2},
		"Slack: user endpoint": {SlackV2User, `{"ok":true,"access_token":"user","token_type":"user","authed_user":{"id":"U1","scope":"x,y"}}`, "user", 2},
		"Slack: no type":       {SlackV2User, `{"ok":true,"access_token":"whose"}`, "", 0},
		"Slack: not ok":        {SlackV2User, `{"ok":false,"error":"invalid_code","access_token":"a","token_type":"user"}`, "", 0},
	} {
		r := &route{Provider: Provider{Name: "p", Shape: c.shape}}
		got, err := r.parse(200, []byte(c.body))
		if (err == nil) != (c.access != "") || got.access.v != c.access || len(got.scopes) != c.scopes {
			t.Errorf("%s: %q, %d scopes, %v", name, got.access.v, len(got.scopes), err)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add(200, `{"access_token":"a","expires_in":1e309}`)
	f.Add(200, `{"ok":true,"authed_user":{"access_token":"u"}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		for _, shape := range []Shape{RFC6749, SlackV2User} {
			r := &route{Provider: Provider{Name: "p", Shape: shape}}
			got, err := r.parse(status, []byte(body))
			if err == nil && (got.access.v == "" || got.lifetime < 0) {
				t.Fatalf("no token and no error: %q", body)
			}
			if err != nil && len(err.Error()) > 120 {
				t.Fatalf("the error repeats the answer: %v", err)
			}
		}
	})
}
