package main

import (
	"errors"
	"fmt"
	"net/http"

	"deputy/internal/config"
	"deputy/tools"
	"deputy/tools/github"
	"deputy/tools/gmail"
	"deputy/tools/slack"
	"deputy/vault"
)

// providers is every provider this build has tools for, in the order people
// meet them.
func providers() []tools.Provider {
	return []tools.Provider{gmail.Provider(), slack.Provider(), github.Provider()}
}

// configured lays the configuration over the providers' declarations.
func configured(c config.Config) ([]tools.Provider, error) {
	all := providers()
	for i := range all {
		p, set := &all[i], c.Providers[all[i].Name]
		secret, err := set.ClientSecret.Read()
		if err != nil {
			return nil, fmt.Errorf("providers.%s.client_secret: %w", p.Name, err)
		}
		p.OAuth.ClientID, p.OAuth.ClientSecret = set.ClientID, vault.NewSecret(secret)
		if set.App { // its tokens have permissions, settled where it is installed
			p.App, p.Several = true, false
		}
		servers := []*vault.Server{&p.OAuth}
		if p.Public != nil {
			servers = append(servers, p.Public)
		}
		for _, s := range servers {
			if move(s, set) {
				s.Issuer = "" // another server than the one whose name we know
			}
		}
		if set.APIURL != "" {
			p.APIURL = set.APIURL
		}
		if set.RevokeURL != "" && p.Narrow.ScopedURL != "" {
			p.Narrow.ScopedURL = set.RevokeURL // GitHub has both in one place
		}
	}
	return all, nil
}

// move points a server's endpoints to where the configuration says, and
// reports whether there was anything to move.
func move(s *vault.Server, set config.Provider) (moved bool) {
	for to, from := range map[*string]string{&s.AuthURL: set.AuthURL, &s.TokenURL: set.TokenURL, &s.RevokeURL: set.RevokeURL, &s.DeviceURL: set.DeviceURL} {
		if from != "" {
			*to, moved = from, true
		}
	}
	return moved
}

// inHouse makes the providers that the configuration alone declares.
func inHouse(c config.Config) (all []vault.Provider, err error) {
	for name, set := range c.Providers {
		if set.Type == "" {
			continue
		}
		p := vault.Provider{
			Name: name, Title: set.Title, APIURL: set.APIURL, KeyHeader: set.KeyHeader, BaseScopes: set.Scopes,
			Header: map[string]string{"Accept": "application/json"}, Fault: plainFault,
			RevokeNote: "The provider ended the tokens of this connection.",
		}
		if p.Title == "" {
			p.Title = name
		}
		for ref, to := range map[config.Secret]*vault.Secret{set.ClientSecret: &p.OAuth.ClientSecret, set.Key: &p.Key} {
			secret, err := ref.Read()
			if err != nil {
				return nil, fmt.Errorf("providers.%s: its secret cannot be read: %w", name, err)
			}
			if ref != "" {
				*to = vault.NewSecret(secret)
			}
		}
		if set.Type == "key" && p.Key.IsZero() {
			return nil, fmt.Errorf("providers.%s.key: it is empty", name)
		}
		p.OAuth.ClientID, p.OAuth.Issuer, p.OAuth.Resource, p.OAuth.PKCE = set.ClientID, set.Issuer, set.Resource, !set.NoPKCE
		p.Discover = set.Issuer != ""
		move(&p.OAuth, set)
		switch {
		case set.From != "":
			p.From, p.BaseScopes = set.From, nil
			p.Trade = vault.Trade{Assertion: set.Type == "id-jag", Audience: set.Audience, Scopes: set.Scopes}
		case set.Type == "oidc":
			p.BaseScopes = append([]string{"openid"}, set.Scopes...)
			p.Identity = vault.Identity{IDToken: true, Subject: []string{"sub"}, Name: []string{"email", "preferred_username", "sub"}, Any: true}
		case set.Identity.Path != "":
			p.Identity = vault.Identity{Path: set.Identity.Path, Subject: []string{set.Identity.Subject}, Name: []string{set.Identity.Name}}
		}
		all = append(all, p)
	}
	return all, nil
}

// exchange is the token endpoint for the operator's back ends, or nil.
func (a *app) exchange() (http.Handler, error) {
	if len(a.config.Exchange.Clients) == 0 {
		return nil, nil
	}
	x := vault.Exchange{Vault: a.vault, Clients: map[string]vault.ExchangeClient{}, Subject: a.outer.token}
	for name, c := range a.config.Exchange.Clients {
		secret, err := c.Secret.Read()
		if err == nil && secret == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("exchange.clients.%s.secret: %w", name, err)
		}
		x.Clients[name] = vault.ExchangeClient{Secret: vault.NewSecret(secret), Providers: c.Providers}
	}
	return x, nil
}

// plainFault sorts answers by their status alone (RFC 9110 §15).
func plainFault(status int, _ []byte) vault.Kind {
	switch {
	case status/100 == 2:
		return ""
	case status == http.StatusUnauthorized:
		return vault.Reconnect
	case status == http.StatusForbidden:
		return vault.Forbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		return vault.NotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return vault.Conflict
	case status == http.StatusTooManyRequests:
		return vault.RateLimited
	case status/100 == 4:
		return vault.BadInput
	}
	return vault.Upstream
}
