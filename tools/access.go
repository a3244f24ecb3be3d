package tools

import (
	"errors"
	"slices"

	"deputy/approvals"
)

// Access scopes are what a client's token for deputy may cover, coarse and few:
// reading and writing by toolset, and connecting accounts. They are another
// thing than a provider's scopes, which are the vault's.
const (
	readScope     = ".read"
	writeScope    = ".write"
	accountsScope = "accounts"
)

// accessScope is the scope that a tool takes, or nothing: what approvals have
// come to is told to whoever was let in.
func (c *Catalog) accessScope(t Tool) string {
	e := c.byName[t.spec.Name]
	switch {
	case e.provider < 0 && t.spec.Name == accountConnect.spec.Name:
		return accountsScope
	case e.provider < 0:
		return ""
	case t.spec.Effect == Reads:
		return c.providers[e.provider].Toolset + readScope
	}
	return c.providers[e.provider].Toolset + writeScope
}

// AccessScope is the scope that a tool takes, by name.
func (c *Catalog) AccessScope(tool string) string {
	t, ok := c.find(tool)
	if !ok {
		return ""
	}
	return c.accessScope(t)
}

// AccessScopes are all that the catalogue's tools take, sorted.
func (c *Catalog) AccessScopes() []string {
	var all []string
	for _, t := range c.tools {
		if s := c.accessScope(t); s != "" {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var errScope = errors.New("tools: the caller's token lacks the scope")

// Lacks is the refusal of a call that the caller's token does not cover.
const Lacks = "insufficient_scope"

// covered: what a limited caller asked for is done only while its token's
// scopes cover it, also when a person has said yes meanwhile.
func (g *Guard) covered(a approvals.Action) error {
	if a.Caller.May(g.c.Catalog.AccessScope(a.Tool)) {
		return nil
	}
	return errScope
}
