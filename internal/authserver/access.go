package authserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"deputy/internal/authserver/signing"
)

const (
	// AccessLife is how long an access token lasts.
	AccessLife = 10 * time.Minute

	accessType = "at+jwt" // RFC 9068 §2.1
	skew       = time.Minute
)

// ErrToken says that a token is not ours, not for one of our resources, over or
// ended. Which of these it is, nobody is told.
var ErrToken = errors.New("authserver: the token is not valid")

// Access is what a verified access token stands for.
type Access struct {
	User     string // the person
	Client   string // client_id: the program that acts for the person
	Actor    string // who acts through the client, if its issuer said so (act, RFC 8693 §4.1)
	Grant    string // sid: what Revoke ends
	ID       string // jti
	Resource string // aud
	Scopes   []string
	AuthTime time.Time
	ACR      string
	Issued   time.Time
	Expires  time.Time
}

// claims of an access token (RFC 9068 §2.2).
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"` // one: a list does not decode
	Expires  int64  `json:"exp"`
	Issued   int64  `json:"iat"`
	ID       string `json:"jti"`
	Client   string `json:"client_id"`
	Scope    string `json:"scope"`
	AuthTime int64  `json:"auth_time,omitempty"`
	ACR      string `json:"acr,omitempty"`
	Grant    string `json:"sid"`
	Actor    *actor `json:"act,omitempty"`
}

type actor struct {
	Subject string `json:"sub"`
}

// mint makes an access token from a grant, for all its scopes or fewer.
func (s *Server) mint(g grant, scopes []string) (text string, life time.Duration, err error) {
	now := time.Now()
	life = min(AccessLife, g.Ends.Sub(now))
	c := claims{
		Issuer: s.issuer, Subject: g.User, Audience: g.Resource, Expires: now.Add(life).Unix(), Issued: now.Unix(),
		ID: secret(), Client: g.Client, Scope: strings.Join(scopes, " "), ACR: g.ACR, Grant: g.ID,
	}
	if !g.AuthTime.IsZero() {
		c.AuthTime = g.AuthTime.Unix()
	}
	if g.Actor != "" {
		c.Actor = &actor{g.Actor}
	}
	text, err = s.keys.Sign(accessType, c)
	return text, life, err
}

// Verify checks an access token: signature, type, issuer, audience, time, and
// that what it was given for still lives. A token whose grant has ended is
// invalid from the moment that Revoke returns.
func (s *Server) Verify(_ context.Context, token string) (Access, error) {
	var c claims
	if err := s.keys.Verify(token, accessType, &c); err != nil {
		if errors.Is(err, signing.ErrSignature) {
			return Access{}, ErrToken
		}
		return Access{}, err
	}
	now := time.Now()
	if c.Issuer != s.issuer || !slices.Contains(s.c.Resources, c.Audience) || c.Grant == "" || c.ID == "" ||
		!now.Before(time.Unix(c.Expires, 0)) || time.Unix(c.Issued, 0).After(now.Add(skew)) {
		return Access{}, ErrToken
	}
	g, err := s.lives(c.Grant)
	if err != nil {
		return Access{}, err
	}
	if g.user != c.Subject || g.client != c.Client {
		return Access{}, ErrToken
	}
	a := Access{
		User: c.Subject, Client: c.Client, Grant: c.Grant, ID: c.ID, Resource: c.Audience, Scopes: strings.Fields(c.Scope),
		ACR: c.ACR, Issued: time.Unix(c.Issued, 0), Expires: time.Unix(c.Expires, 0),
	}
	if c.AuthTime != 0 {
		a.AuthTime = time.Unix(c.AuthTime, 0)
	}
	if c.Actor != nil {
		a.Actor = c.Actor.Subject
	}
	return a, nil
}
