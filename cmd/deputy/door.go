package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/access"
	"deputy/internal/login"
	"deputy/internal/server"
)

// door is /mcp's: whose tokens are good there, and what is said to others.
type door struct {
	app      *app
	resource access.Resource
	external access.Verifier // of config.Access, or nil
}

// newDoor makes the door of an open home.
func (a *app) newDoor() (*door, error) {
	catalog := a.guard.Catalog()
	// A client is told of all scopes at once: those of the field that have a
	// refresh token never ask for more later. The person sees the list, and each
	// write is asked about all the same.
	d := &door{app: a, resource: access.Resource{Public: a.public, Scopes: catalog.AccessScopes(), First: catalog.AccessScopes()}}
	in := a.config.Access
	if in.Issuer == "" {
		d.resource.Servers = []string{a.public.String()}
		return d, nil
	}
	d.resource.Servers = []string{in.Issuer}
	if in.Introspection != "" {
		d.external = access.Introspection{URL: in.Introspection, Issuer: in.Issuer, Audience: d.resource.ID(), ClientID: in.ClientID, ClientSecret: in.ClientSecret.Read}
		return d, nil
	}
	keys, err := access.NewIssuerKeys(in.Issuer, nil)
	d.external = access.JWT{Issuer: in.Issuer, Audience: d.resource.ID(), Keys: keys}
	return d, err
}

var (
	errNoToken = errors.New("no bearer token")
	errStale   = errors.New("the sign-in behind the token is too old or too weak")
)

func (d *door) identify(r *http.Request) (authz.Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return authz.Caller{}, errNoToken
	}
	return d.token(r.Context(), token)
}

// token lets in whoever a token is for: a bearer of this machine's, a client of
// deputy's own authorization server, or one of the operator's issuer.
func (d *door) token(ctx context.Context, token string) (authz.Caller, error) {
	switch {
	case login.IsBearer(token):
		return d.app.login.Token(ctx, token)
	case d.external != nil:
		return d.fromIssuer(ctx, token)
	}
	a, err := d.app.auth.Verify(ctx, token)
	if err != nil {
		return authz.Caller{}, err
	}
	if err := d.fresh(a.AuthTime, a.ACR); err != nil {
		return authz.Caller{}, err
	}
	return d.app.login.Client(ctx, authz.Principal{
		User: a.User, Agent: a.Client, Session: a.Grant, AuthTime: a.AuthTime, ACR: a.ACR, Limited: true, Scopes: a.Scopes, Grant: a.Grant,
	})
}

// fromIssuer lets in who signed in at the operator's own issuer: a person whose
// account there belongs to a profile here.
func (d *door) fromIssuer(ctx context.Context, token string) (authz.Caller, error) {
	a, err := d.external.Verify(ctx, token)
	if err != nil {
		return authz.Caller{}, err
	}
	if err := d.fresh(a.AuthTime, a.ACR); err != nil {
		return authz.Caller{}, err
	}
	user, err := d.app.login.Profiles.Known(a.Issuer, a.Subject)
	if err != nil {
		return authz.Caller{}, err
	}
	return d.app.login.Client(ctx, authz.Principal{
		User: user, Agent: a.Client, Session: a.ID, AuthTime: a.AuthTime, ACR: a.ACR, Limited: true, Scopes: a.Scopes,
	})
}

// fresh holds a token against what the operator asks of sign-ins (RFC 9470).
func (d *door) fresh(at time.Time, acr string) error {
	in := d.app.config.Access
	if in.MaxAge > 0 && (at.IsZero() || time.Since(at) > in.MaxAge) {
		return errStale
	}
	if len(in.ACRValues) > 0 && !slices.Contains(in.ACRValues, acr) {
		return errStale
	}
	return nil
}

// refuse says what a request lacks, and to the operator why.
func (d *door) refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var uncovered *server.UncoveredError
	lack := d.resource.BadToken()
	switch {
	case errors.As(err, &uncovered):
		lack = d.resource.Insufficient(uncovered.Has, uncovered.Needs)
	case errors.Is(err, errNoToken):
		lack = d.resource.NoToken()
	case errors.Is(err, errStale):
		lack = d.resource.Stale(d.app.config.Access.ACRValues, d.app.config.Access.MaxAge)
	case errors.Is(err, access.ErrSilent):
		d.app.log.Warn("a token could not be checked", "cause", err)
		http.Error(w, "deputy: the issuer of the token does not answer: try again later", http.StatusServiceUnavailable)
		return
	default:
		d.app.log.Info("a token was refused", "cause", err)
	}
	if lack.Error == "" || lack.Error == "invalid_token" {
		lack.Says = "a token is needed: from the authorization server that resource_metadata leads to, or on this machine the bearer in HOME/keys/bearer"
	}
	d.resource.Write(w, lack)
}
