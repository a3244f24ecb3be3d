package oauth

import (
	"net/url"
	"testing"
)

// Who asks OpenID Connect for leave to act later has to ask for consent.
func TestOfflineAccessAsksForConsent(t *testing.T) {
	for name, c := range map[string]struct {
		server Server
		scopes []string
		prompt string
	}{
		"offline access":            {Server{}, []string{"offline_access", "openid"}, "consent"},
		"none":                      {Server{}, []string{"openid", "email"}, ""},
		"not OpenID Connect":        {Server{}, []string{"offline_access", "repo"}, ""},
		"another prompt":            {Server{Params: map[string]string{"prompt": "login consent"}}, []string{"offline_access", "openid"}, "login consent"},
		"another prompt in the URL": {Server{AuthURL: "https://as.example/auth?prompt=select_account"}, []string{"offline_access", "openid"}, "select_account"},
	} {
		to, err := Authorize(t.Context(), nil, &c.server, Authorization{Scopes: c.scopes})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Query().Get("prompt"); got != c.prompt {
			t.Errorf("%s: prompt=%q, want %q", name, got, c.prompt)
		}
	}
}
