package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// OAuth is deputy's own authorization server, for MCP clients over HTTP.
type OAuth struct {
	Clients  map[string]OAuthClient `yaml:"clients" doc:"clients you know, by client_id; others are known by a document at their client_id, an https address"`
	Register bool                   `yaml:"register" doc:"clients may register themselves (RFC 7591); nobody has checked them"`
	Issuers  map[string]OAuthIssuer `yaml:"issuers" doc:"companies whose ID-JAGs are taken for tokens, by issuer"`
}

// OAuthClient is one client that the operator knows.
type OAuthClient struct {
	Name       string   `yaml:"name" doc:"as a person reads it"`
	Secret     Secret   `yaml:"secret" doc:"file:PATH, env:NAME or keyring:NAME; empty: a public client"`
	Redirects  []string `yaml:"redirect_uris" doc:"exactly; a loopback address may have any port"`
	Grants     []string `yaml:"grant_types" doc:"empty: authorization_code and refresh_token"`
	Introspect bool     `yaml:"introspect" doc:"it may ask about any token (RFC 7662); needs a secret"`
}

// OAuthIssuer is where a company's keys are.
type OAuthIssuer struct {
	JWKS string `yaml:"jwks_uri" doc:"an https address"`
}

func (o OAuth) check() error {
	for id, c := range o.Clients {
		if id == "" || strings.HasPrefix(id, "https://") {
			return fmt.Errorf("clients.%s: want a name of your own: an https address is known by its document", id)
		}
		if c.Introspect && c.Secret == "" {
			return fmt.Errorf("clients.%s: introspect needs a secret", id)
		}
		for _, r := range c.Redirects {
			if u, err := url.Parse(r); err != nil || u.Scheme == "" || u.Fragment != "" {
				return fmt.Errorf("clients.%s.redirect_uris: %q is no absolute address without a fragment", id, r)
			}
		}
	}
	for issuer, i := range o.Issuers {
		if !strings.HasPrefix(issuer, "https://") || !strings.HasPrefix(i.JWKS, "https://") {
			return errors.New("issuers: want https addresses, of the issuer and of jwks_uri")
		}
	}
	return nil
}
