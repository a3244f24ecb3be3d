package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"deputy/authz"
	"deputy/internal/access"
	"deputy/internal/authserver"
	"deputy/internal/authserver/clients"
	"deputy/internal/login"
	"deputy/vault"
)

// scopeTitles say what a scope allows, to the person who is asked.
var scopeTitles = map[string]string{
	"accounts":     "scope.accounts",
	"gmail.read":   "scope.gmail_read",
	"gmail.write":  "scope.gmail_write",
	"slack.read":   "scope.slack_read",
	"slack.write":  "scope.slack_write",
	"github.read":  "scope.github_read",
	"github.write": "scope.github_write",
}

// openAuthserver makes the authorization server of an open home, unless the
// configuration names another for MCP clients.
func (a *app) openAuthserver(resource access.Resource) (*authserver.Server, error) {
	if a.config.Access.Issuer != "" {
		return nil, nil
	}
	in := a.config.OAuth
	c := authserver.Config{
		Issuer: a.public, Store: a.store, Sealer: a.box, Audit: a.audit, Log: a.log, Register: in.Register,
		Resources: []string{resource.ID()},
		ACRValues: []string{login.ACRPasskey, login.ACRAccount, login.ACRCode},
		People: authserver.People{
			Person: a.login.Person,
			Ask:    a.login.Ask,
			StepUp: func(w http.ResponseWriter, r *http.Request, n authserver.Need) {
				a.login.StepUp(w, r, login.Need{MaxAge: n.MaxAge, ACR: n.ACR})
			},
			Meets: func(c authz.Caller, acr string) bool { return login.Need{ACR: acr}.Met(c) },
			May: func(ctx context.Context, user string) error {
				return a.login.Profiles.MayEnter(ctx, authz.Principal{User: user})
			},
			Known: func(_ context.Context, issuer, subject string) (string, error) {
				return a.login.Profiles.Known(issuer, subject)
			},
		},
		Grants: map[string]http.Handler{},
	}
	for _, name := range resource.Scopes {
		c.Scopes = append(c.Scopes, authserver.Scope{Name: name, Title: scopeTitles[name], Default: strings.HasSuffix(name, ".read")})
	}
	for _, id := range slices.Sorted(maps.Keys(in.Clients)) {
		known := in.Clients[id]
		secret := ""
		if known.Secret != "" {
			var err error
			if secret, err = known.Secret.Read(); err != nil {
				return nil, fmt.Errorf("oauth.clients.%s.secret: %w", id, err)
			}
		}
		c.Clients = append(c.Clients, clients.Client{
			ID: id, Name: known.Name, Redirects: known.Redirects, Grants: known.Grants, Secret: clients.NewSecret(secret), Introspects: known.Introspect,
		})
	}
	for _, issuer := range slices.Sorted(maps.Keys(in.Issuers)) {
		c.Issuers = append(c.Issuers, authserver.TrustedIssuer{Issuer: issuer, Keys: in.Issuers[issuer].JWKS})
	}
	if a.tokens != nil {
		for _, grant := range vault.ExchangeGrants {
			c.Grants[grant] = a.tokens
		}
	}
	return authserver.New(c)
}

func (a *app) sweepGrants() error {
	if a.auth == nil {
		return nil
	}
	return a.auth.Sweep()
}

// mayEnter: the person may, and what the person gave the program has not been
// taken back, since something it asked for may still wait to be done.
func (a *app) mayEnter(people *login.Profiles) func(context.Context, authz.Principal) error {
	return func(ctx context.Context, p authz.Principal) error {
		if err := people.MayEnter(ctx, p); err != nil || p.Grant == "" {
			return err
		}
		if a.auth == nil || a.auth.Lives(p.Grant) != nil {
			return authz.ErrNobody
		}
		return nil
	}
}
