package vault

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"deputy/vault/internal/oauth"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The round tripper itself holds the token to its host, whatever client it is
// put into, and takes it out of what the client sees.
func TestPinned(t *testing.T) {
	base, _ := url.Parse("https://api.example.com/v1")
	left := 0
	p := pinned{base: base, token: oauth.Hide("canary"), next: roundTrip(func(r *http.Request) (*http.Response, error) {
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

// What holds tokens on their way to a request prints none of them.
func TestNothingOnTheWayPrintsAToken(t *testing.T) { // T39
	b := bearer{
		token: oauth.Hide("canary"),
		from:  current{connection: connection{Account: Account{ID: "github/octo"}}, tokens: tokens{access: oauth.Hide("canary"), refresh: oauth.Hide("canary")}},
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		for _, s := range []string{
			fmt.Sprintf(verb, b), fmt.Sprintf(verb, &b), fmt.Sprintf(verb, b.from), fmt.Sprintf(verb, b.from.tokens),
			fmt.Sprintf(verb, pinned{token: b.token}), fmt.Sprintf(verb, oauth.Tokens{Access: b.token}), fmt.Sprintf(verb, less{token: b.token}),
		} {
			if strings.Contains(s, "canary") {
				t.Errorf("%s: %s", verb, s)
			}
		}
	}
}
