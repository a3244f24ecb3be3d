package authserver

import (
	"embed"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/authserver/clients"
	"deputy/internal/pages"
	"deputy/internal/store"
)

// permission is what a person has allowed a client, and what came of it. It
// outlives single grants: with it the person is not asked again for the same.
type permission struct {
	User      string       `json:"user"`
	Client    string       `json:"client"`
	Name      string       `json:"name,omitempty"`
	Kind      clients.Kind `json:"kind"`
	Host      string       `json:"host,omitempty"`
	Consented []string     `json:"consented,omitempty"` // scopes said yes to
	Resources []string     `json:"resources,omitempty"`
	Redirects []string     `json:"redirects,omitempty"` // hosts that the answer may go to
	Scopes    []string     `json:"scopes,omitempty"`    // of all grants, for the list
	First     time.Time    `json:"first"`
	Last      time.Time    `json:"last"`
}

// covered reports whether the person has said yes to just this before. An answer
// that goes to a program on the person's machine is asked for each time: any
// program there can say that it is this client (RFC 8252 §8.6).
func (s *Server) covered(user string, q request, client clients.Client) (bool, error) {
	if clients.Local(q.Redirect) {
		return false, nil
	}
	var p permission
	err := s.c.Store.View(func(tx store.Tx) (err error) { p, err = s.tables.permissions.Get(tx, user, client.ID); return err })
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && within(q.Scopes, p.Consented) &&
		slices.Contains(p.Resources, q.Resource) && slices.Contains(p.Redirects, clients.RedirectHost(q.Redirect)), err
}

// permission reads a row, or begins one.
func (c *change) permission(user string, client clients.Client) (permission, error) {
	p, err := c.s.tables.permissions.Get(c, user, client.ID)
	if errors.Is(err, store.ErrNotFound) {
		now := time.Now().UTC()
		p, err = permission{User: user, Client: client.ID, First: now, Last: now}, nil
	}
	p.Name, p.Kind, p.Host = client.Name, client.Kind, client.Host
	return p, err
}

// consent notes a yes.
func (c *change) consent(who authz.Caller, q request, client clients.Client) error {
	p, err := c.permission(who.User(), client)
	if err != nil {
		return err
	}
	p.Consented = union(p.Consented, q.Scopes)
	p.Resources = union(p.Resources, []string{q.Resource})
	p.Redirects = union(p.Redirects, []string{clients.RedirectHost(q.Redirect)})
	return errors.Join(
		c.s.tables.permissions.Put(c, p, p.User, p.Client),
		c.note(audit.Line{Event: "consent", User: p.User, Agent: p.Client, Session: who.Session(), Outcome: "given", Arguments: map[string]string{"scope": strings.Join(q.Scopes, " ")}}),
	)
}

// refused notes a no.
func (s *Server) refused(who authz.Caller, client clients.Client) error {
	return s.change(func(c *change) error {
		return c.note(audit.Line{Event: "consent", User: who.User(), Agent: client.ID, Session: who.Session(), Outcome: "refused"})
	})
}

// listed notes a new grant in the person's list.
func (c *change) listed(g grant, client clients.Client) error {
	p, err := c.permission(g.User, client)
	if err != nil {
		return err
	}
	p.Scopes, p.Last = union(p.Scopes, g.Scopes), g.Used
	return c.s.tables.permissions.Put(c, p, p.User, p.Client)
}

// touch notes a use. To the minute is enough.
func (c *change) touch(g grant) error {
	p, err := c.s.tables.permissions.Get(c, g.User, g.Client)
	if errors.Is(err, store.ErrNotFound) || err == nil && g.Used.Sub(p.Last) < time.Minute {
		return nil
	}
	if err != nil {
		return err
	}
	p.Last = g.Used
	return c.s.tables.permissions.Put(c, p, p.User, p.Client)
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

//go:embed templates
var templates embed.FS

var (
	consentPage = pages.Parse(templates, "templates/consent.html", pages.Outside)
	devicePage  = pages.Parse(templates, "templates/device.html", pages.Outside)
)

// question is what a consent page shows.
type question struct {
	Action   string // where its form goes
	Handle   string
	User     string
	Name     string // self-asserted, unless the operator wrote it
	Kind     clients.Kind
	Host     string // verified
	Redirect string // where the answer goes; empty: to a device elsewhere
	Local    bool   // … a program on this machine
	Scopes   []Scope
}

func (s *Server) question(client clients.Client, who authz.Caller, scopes []string) question {
	name := client.Name
	if name == "" {
		name = client.ID
	}
	return question{User: who.User(), Name: name, Kind: client.Kind, Host: client.Host, Scopes: s.scopesTitled(scopes)}
}

// ask shows the consent page.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, q request, client clients.Client, who authz.Caller) {
	h, err := s.seal(consentAD, handle{Request: q, User: who.User(), Session: who.Session()})
	if err != nil {
		s.back(w, r, q, err)
		return
	}
	ask := s.question(client, who, q.Scopes)
	ask.Action, ask.Handle = "/oauth/authorize", h
	ask.Redirect, ask.Local = clients.RedirectHost(q.Redirect), clients.Local(q.Redirect)
	consentPage.RenderLeading(w, r, http.StatusOK, "consent.title", ask, leadsTo(q.Redirect))
}
