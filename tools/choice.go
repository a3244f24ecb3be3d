package tools

import (
	"fmt"
	"slices"
	"strings"
)

// Choice narrows what is offered. The zero Choice keeps everything; no Choice
// adds what an earlier one left out. Names and rules are those that users of
// GitHub's server know: toolsets and tools add up, exclusion wins over both,
// and reading only wins over all. Deputy's own tools stay unless they are
// excluded or write.
type Choice struct {
	Toolsets   []string // gmail, slack, github; default or all of each; with Tools, nil = all
	Tools      []string // these tools, by name; nil = what Toolsets says
	Exclude    []string // not these
	ReadOnly   bool     // no tool that writes
	DraftsOnly bool     // no tool that others notice: reading and drafting
}

const (
	defaultSet = "default" // what most people ask for: not the Extra tools
	allSets    = "all"
)

// IsZero reports whether c keeps everything.
func (c Choice) IsZero() bool {
	return c.Toolsets == nil && c.Tools == nil && c.Exclude == nil && !c.ReadOnly && !c.DraftsOnly
}

// keeps reports whether a tool of a toolset is still offered.
func (c Choice) keeps(s Spec, toolset string) bool {
	switch {
	case slices.Contains(c.Exclude, s.Name), c.ReadOnly && s.Effect != Reads, c.DraftsOnly && s.Effect > Drafts:
		return false
	case toolset == ownToolset, c.Toolsets == nil && c.Tools == nil, slices.Contains(c.Tools, s.Name):
		return true
	}
	return slices.ContainsFunc(c.Toolsets, func(set string) bool {
		return set == toolset || set == allSets || set == defaultSet && !s.Extra
	})
}

// names checks that what a choice speaks of exists: a misspelt exclusion would
// exclude nothing.
func (c *Catalog) names(choice Choice) error {
	sets := []string{defaultSet, allSets}
	for _, p := range c.providers {
		sets = append(sets, p.Toolset)
	}
	for _, s := range choice.Toolsets {
		if !slices.Contains(sets, s) {
			return fmt.Errorf("there is no toolset %q; there are %s", s, strings.Join(sets, ", "))
		}
	}
	for _, name := range slices.Concat(choice.Tools, choice.Exclude) {
		if !slices.Contains(c.declared, name) {
			return fmt.Errorf("there is no tool %q: deputy tools lists them", name)
		}
	}
	return nil
}

// choose returns the catalogue of what a choice keeps.
func (c *Catalog) choose(choice Choice) (*Catalog, error) {
	if err := c.names(choice); err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	out := &Catalog{providers: c.providers, declared: c.declared, byName: map[string]entry{}}
	for _, t := range c.tools {
		if e := c.byName[t.spec.Name]; choice.keeps(t.spec, c.toolset(e)) {
			out.add(t, e.provider)
		}
	}
	return out, nil
}

func (c *Catalog) toolset(e entry) string {
	if e.provider < 0 {
		return ownToolset
	}
	return c.providers[e.provider].Toolset
}

// Within is the guard for a client that wants less: what its choice leaves out
// is not there, for tools/list and for calls. What a person has approved is
// sent all the same.
func (g *Guard) Within(choice Choice) (*Guard, error) {
	if err := g.c.Catalog.names(choice); err != nil {
		return nil, err
	}
	narrow := *g
	narrow.within = append(slices.Clip(g.within), choice)
	return &narrow, nil
}

// find is the tool of that name, if it is offered.
func (g *Guard) find(name string) (Tool, bool) {
	e, ok := g.c.Catalog.byName[name]
	if !ok {
		return Tool{}, false
	}
	for _, choice := range g.within {
		if !choice.keeps(e.tool.spec, g.c.Catalog.toolset(e)) {
			return Tool{}, false
		}
	}
	return e.tool, true
}
