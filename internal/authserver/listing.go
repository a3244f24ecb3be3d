package authserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"deputy/internal/audit"
	"deputy/internal/authserver/clients"
	"deputy/internal/store"
)

// Given is what one client has of one person.
type Given struct {
	Client    string       `json:"client"`
	Name      string       `json:"name,omitempty"` // what the client calls itself, unless the operator wrote it
	Kind      clients.Kind `json:"kind"`
	Host      string       `json:"host,omitempty"`      // verified: it serves the client's document
	Redirects []string     `json:"redirects,omitempty"` // where answers have gone
	Scopes    []string     `json:"scopes"`              // allowed, or in use
	Live      int          `json:"live"`                // grants that live now
	First     time.Time    `json:"first"`
	Last      time.Time    `json:"last"` // to the minute
}

// Grants lists what a person gave, last used first.
func (s *Server) Grants(_ context.Context, user string) (all []Given, err error) {
	err = s.c.Store.View(func(tx store.Tx) error {
		all = nil
		c := &change{Tx: tx, s: s}
		return s.tables.permissions.All(tx, func(p permission) error {
			grants, err := c.of(user, p.Client)
			now := time.Now()
			grants = slices.DeleteFunc(grants, func(g grant) bool { return g.over(now) })
			all = append(all, Given{
				Client: p.Client, Name: p.Name, Kind: p.Kind, Host: p.Host, Redirects: p.Redirects,
				Scopes: union(p.Consented, p.Scopes), Live: len(grants), First: p.First, Last: p.Last,
			})
			return err
		}, user)
	})
	slices.SortFunc(all, func(a, b Given) int { return b.Last.Compare(a.Last) })
	return all, err
}

// Revoke takes back what a person gave a client: every grant ends, with every
// token, and the person is asked again. When it returns, Verify knows.
func (s *Server) Revoke(_ context.Context, user, client, by string) error {
	return s.change(func(c *change) error {
		if err := s.tables.permissions.Delete(c, user, client); err != nil {
			return err
		}
		if err := c.dropWaiting(user, client); err != nil {
			return err
		}
		all, err := c.of(user, client)
		for _, g := range all {
			err = errors.Join(err, c.forget(g))
		}
		return errors.Join(err, c.note(audit.Line{Event: "revoke", User: user, Agent: client, By: by, Outcome: "person"}))
	})
}

// RevokeAll takes back everything that a person gave anybody.
func (s *Server) RevokeAll(ctx context.Context, user, by string) error {
	all, err := s.Grants(ctx, user)
	for _, g := range all {
		err = errors.Join(err, s.Revoke(ctx, user, g.Client, by))
	}
	return err
}

// dropWaiting ends what is on its way to becoming a grant: codes, and devices
// that were allowed.
func (c *change) dropWaiting(user, client string) error {
	return errors.Join(
		c.s.tables.codes.DeleteIf(c, func(r code) bool { return r.User == user && r.Request.Client == client && !r.Spent }),
		c.s.tables.devices.DeleteIf(c, func(d device) bool { return d.User == user && d.Client == client }),
	)
}
