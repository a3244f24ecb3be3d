package authserver

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"deputy/internal/audit"
	"deputy/internal/authserver/clients"
	"deputy/internal/store"
)

const (
	// GrantLife is how long a grant lasts at most; then the person is asked again.
	GrantLife = 90 * 24 * time.Hour

	// GrantIdle is how long a grant lasts that nobody uses.
	GrantIdle = 30 * 24 * time.Hour

	// maxGrants are kept for a user and a client; the oldest gives way.
	maxGrants = 32
)

// grant is one authorization: what a person gave a client, once. All its tokens
// end with it.
type grant struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Client   string    `json:"client"`
	Actor    string    `json:"actor,omitempty"` // who acts through the client, as its issuer said
	Resource string    `json:"resource"`
	Scopes   []string  `json:"scopes"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	ACR      string    `json:"acr,omitempty"`
	Via      string    `json:"via"` // code, device or id-jag
	Made     time.Time `json:"made"`
	Used     time.Time `json:"used"`
	Ends     time.Time `json:"ends"`

	// The refresh token that is current, the one before it, and for a moment
	// the current one itself: see refresh.go.
	Refresh    string    `json:"refresh,omitempty"`  // hash
	Previous   string    `json:"previous,omitempty"` // hash
	Successor  string    `json:"successor,omitempty"`
	Rotated    time.Time `json:"rotated,omitzero"`
	Generation uint32    `json:"generation,omitempty"`
}

func (g grant) over(now time.Time) bool { return now.After(g.ends()) }

// ends is when a grant ends by itself.
func (g grant) ends() time.Time {
	if idle := g.Used.Add(GrantIdle); idle.Before(g.Ends) {
		return idle
	}
	return g.Ends
}

func newGrantID() string {
	var raw [16]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// open stores a new grant, remembers it for the person's list, and writes the
// line about the token that is about to be made.
func (c *change) open(g *grant, client clients.Client) error {
	now := time.Now().UTC()
	g.ID, g.Client, g.Made, g.Used = newGrantID(), client.ID, now, now
	if g.Ends.IsZero() {
		g.Ends = now.Add(GrantLife)
	}
	if err := c.makeRoom(g.User, g.Client); err != nil {
		return err
	}
	return errors.Join(
		c.s.tables.byClient.Put(c, g.ID, g.User, g.Client, g.ID),
		c.listed(*g, client),
		c.s.clients.Used(c, client),
	)
}

// keep stores a grant after a token was made from it.
func (c *change) keep(g grant, channel string) error {
	return errors.Join(
		c.s.tables.grants.Put(c, g, g.ID),
		c.note(audit.Line{Event: "token", User: g.User, Agent: g.Client, Session: g.ID, Channel: channel, Outcome: "issued"}),
	)
}

// of returns the grants that a client holds of a user, oldest first.
func (c *change) of(user, client string) (all []grant, err error) {
	err = c.s.tables.byClient.All(c, func(id string) error {
		g, err := c.s.tables.grants.Get(c, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		all = append(all, g)
		return err
	}, user, client)
	slices.SortFunc(all, func(a, b grant) int { return a.Made.Compare(b.Made) })
	return all, err
}

func (c *change) makeRoom(user, client string) error {
	all, err := c.of(user, client)
	for len(all) >= maxGrants && err == nil {
		err = c.end(all[0], "replaced")
		all = all[1:]
	}
	return err
}

// end ends a grant, with every token that belongs to it, and says why in the
// log.
func (c *change) end(g grant, why string) error {
	return errors.Join(c.forget(g),
		c.note(audit.Line{Event: "revoke", User: g.User, Agent: g.Client, Session: g.ID, Outcome: why}))
}

func (c *change) forget(g grant) error {
	c.ended = append(c.ended, g.ID)
	return errors.Join(
		c.s.tables.grants.Delete(c, g.ID),
		c.s.tables.byClient.Delete(c, g.User, g.Client, g.ID),
	)
}

// endOver forgets grants whose time is over, and successors that nobody may
// have any more.
func (c *change) endOver(now time.Time) error {
	var over, late []grant
	err := c.s.tables.grants.All(c, func(g grant) error {
		switch {
		case g.over(now):
			over = append(over, g)
		case g.Successor != "" && now.Sub(g.Rotated) > replayFor:
			late = append(late, g)
		}
		return nil
	})
	for _, g := range over {
		err = errors.Join(err, c.forget(g))
	}
	for _, g := range late {
		g.Successor = ""
		err = errors.Join(err, c.s.tables.grants.Put(c, g, g.ID))
	}
	return err
}
