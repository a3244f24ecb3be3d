package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Login says where people may sign in with an account they have, and whose
// accounts make a profile here.
type Login struct {
	Issuer       string      `yaml:"issuer" doc:"your OpenID provider; empty: none. Redirect URI: PUBLIC_URL/signin/oidc/callback"`
	Title        string      `yaml:"title" doc:"as a person reads it; empty: the issuer's host"`
	ClientID     string      `yaml:"client_id"`
	ClientSecret Secret      `yaml:"client_secret" doc:"file:PATH, env:NAME or keyring:NAME; empty: a public client"`
	Scopes       []string    `yaml:"scopes" doc:"asked beside openid; email is what email: and email_domain: below need"`
	Allow        []string    `yaml:"allow" doc:"who may make a profile: sub:ID, email:ADDRESS, email_domain:DOMAIN (an address only if the provider has verified it); empty: nobody new"`
	GitHub       LoginGitHub `yaml:"github" doc:"sign-in with GitHub"`
}

// LoginGitHub is GitHub as a place to sign in. It is another client than the one
// that tools use: that one holds grants.
type LoginGitHub struct {
	ClientID     string   `yaml:"client_id" doc:"empty: none. Callback URL: PUBLIC_URL/signin/github/callback"`
	ClientSecret Secret   `yaml:"client_secret" doc:"file:PATH, env:NAME or keyring:NAME"`
	Allow        []string `yaml:"allow" doc:"who may make a profile: sub:ID, the account's number (https://api.github.com/users/LOGIN)"`
	APIURL       string   `yaml:"api_url" doc:"tests, GitHub Enterprise"`
	AuthURL      string   `yaml:"auth_url"`
	TokenURL     string   `yaml:"token_url"`
}

func (l Login) check() error {
	if l.Issuer == "" && (l.ClientID != "" || l.ClientSecret != "" || len(l.Allow) > 0 || l.Title != "") {
		return errors.New("issuer is missing")
	}
	if l.Issuer == "https://github.com" {
		return errors.New("issuer: GitHub is no OpenID provider: set login.github instead")
	}
	if l.Issuer != "" {
		if err := safeURL(l.Issuer); err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
		if l.ClientID == "" {
			return errors.New("client_id is missing")
		}
	}
	if slices.Contains(l.Scopes, "offline_access") {
		return errors.New("scopes: offline_access: deputy keeps no token of a sign-in")
	}
	if err := checkAllow(l.Allow, true); err != nil {
		return fmt.Errorf("allow: %w", err)
	}
	return l.GitHub.check()
}

func (g LoginGitHub) check() error {
	if g.ClientID == "" {
		if g.ClientSecret != "" || len(g.Allow) > 0 || g.APIURL != "" || g.AuthURL != "" || g.TokenURL != "" {
			return errors.New("github: client_id is missing")
		}
		return nil
	}
	if g.ClientSecret == "" {
		return errors.New("github: client_secret is missing: GitHub has no public clients here")
	}
	if own := []string{g.APIURL, g.AuthURL, g.TokenURL}; slices.Contains(own, "") && strings.Join(own, "") != "" {
		return errors.New("github: api_url, auth_url and token_url go together")
	}
	for _, u := range []string{g.APIURL, g.AuthURL, g.TokenURL} {
		if u != "" {
			if err := safeURL(u); err != nil {
				return fmt.Errorf("github: %w", err)
			}
		}
	}
	if err := checkAllow(g.Allow, false); err != nil {
		return fmt.Errorf("github: allow: %w", err)
	}
	return nil
}

// checkAllow says what is wrong with a list of who may make a profile.
func checkAllow(list []string, addresses bool) error {
	for _, entry := range list {
		kind, value, _ := strings.Cut(entry, ":")
		switch {
		case value == "" || strings.ContainsAny(value, " \t\r\n*"):
		case kind == "sub":
			continue
		case !addresses && (kind == "email" || kind == "email_domain"):
			return fmt.Errorf("%q: GitHub vouches for no address: want sub:ID, the account's number", entry)
		case kind == "email" && strings.Count(value, "@") == 1, kind == "email_domain" && !strings.Contains(value, "@"):
			continue
		}
		return fmt.Errorf("%q: want sub:ID, email:ADDRESS or email_domain:DOMAIN", entry)
	}
	return nil
}

// safeURL: https, or plain http on this machine, without credentials.
func safeURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && !(u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())) {
		return errors.New("want https://HOST, or http on this machine, without query and user")
	}
	return nil
}
