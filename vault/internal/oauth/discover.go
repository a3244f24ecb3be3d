package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Metadata is what a server says of itself (RFC 8414 §2, OpenID Connect
// Discovery §3), as far as deputy needs it.
type Metadata struct {
	Issuer        string   `json:"issuer"`
	AuthURL       string   `json:"authorization_endpoint"`
	TokenURL      string   `json:"token_endpoint"`
	RevokeURL     string   `json:"revocation_endpoint"`
	DeviceURL     string   `json:"device_authorization_endpoint"`
	PARURL        string   `json:"pushed_authorization_request_endpoint"`
	UserinfoURL   string   `json:"userinfo_endpoint"`
	SendsIss      bool     `json:"authorization_response_iss_parameter_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	ClientMethods []string `json:"token_endpoint_auth_methods_supported"`
}

// Discover reads the metadata of an issuer. Its endpoints are safe URLs, and
// its issuer is the one asked for (RFC 8414 §3.3): without that check one
// server could speak for another.
func Discover(ctx context.Context, c *http.Client, issuer string) (Metadata, error) {
	if err := SafeURL(issuer); err != nil {
		return Metadata{}, fmt.Errorf("issuer %w", err)
	}
	u, err := url.Parse(issuer)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		return Metadata{}, fmt.Errorf("issuer %q: want no query and no fragment", issuer)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	root := u.Scheme + "://" + u.Host
	var last error
	for _, at := range []string{
		root + path + "/.well-known/openid-configuration",
		root + "/.well-known/oauth-authorization-server" + path,
	} {
		m, err := fetch(ctx, c, at)
		if err != nil {
			last = err
			continue
		}
		return m, m.check(issuer)
	}
	return Metadata{}, fmt.Errorf("issuer %s: its metadata cannot be read: %w", issuer, last)
}

func fetch(ctx context.Context, c *http.Client, at string) (m Metadata, err error) {
	req, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil {
		return m, err
	}
	status, body, err := send(ctx, c, req)
	if err != nil {
		return m, err
	}
	if status != http.StatusOK {
		return m, &Unavailable{Status: status, Cause: "there is no metadata"}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, &Unavailable{Status: status, Cause: "the metadata is not JSON"}
	}
	return m, nil
}

func (m Metadata) check(issuer string) error {
	if m.Issuer != issuer {
		return fmt.Errorf("issuer %s: its metadata is for another issuer", issuer)
	}
	for name, u := range map[string]string{"authorization": m.AuthURL, "token": m.TokenURL} {
		if u == "" {
			return fmt.Errorf("issuer %s: its metadata has no %s endpoint", issuer, name)
		}
	}
	for _, u := range []string{m.AuthURL, m.TokenURL, m.RevokeURL, m.DeviceURL, m.PARURL, m.UserinfoURL} {
		if u != "" && SafeURL(u) != nil {
			return fmt.Errorf("issuer %s: its metadata names an endpoint that is not https", issuer)
		}
	}
	if !slices.Contains(m.Challenges, "S256") {
		return fmt.Errorf("issuer %s: its metadata does not list PKCE S256: name auth_url and token_url instead of issuer if it knows it all the same", issuer)
	}
	return nil
}

// Merge lays what a server says of itself over s; what s has already, stays.
func (m Metadata) Merge(s Server) Server {
	for to, from := range map[*string]string{
		&s.AuthURL: m.AuthURL, &s.TokenURL: m.TokenURL, &s.RevokeURL: m.RevokeURL, &s.DeviceURL: m.DeviceURL, &s.PARURL: m.PARURL,
	} {
		if *to == "" {
			*to = from
		}
	}
	s.PKCE, s.SendsIss = true, m.SendsIss
	// Basic is the default where nothing is said (RFC 8414 §2), what a client is
	// registered for where nothing is said (RFC 7591 §2), and the one way that
	// every server has to take (RFC 6749 §2.3.1): some offer the form and take
	// it at one endpoint only.
	s.Basic = len(m.ClientMethods) == 0 || slices.Contains(m.ClientMethods, "client_secret_basic")
	return s
}
