package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"deputy/authz"
)

// maxListing is the byte budget of a whole tools/list.
const maxListing = 40 << 10

// Catalog is the sorted set of tools.
type Catalog struct {
	providers []Provider
	tools     []Tool
	byName    map[string]entry
	declared  []string // every tool's name, also of those that were not chosen
}

type entry struct {
	tool     Tool
	provider int // index into providers, -1 for deputy's own
}

// NewCatalog validates the declarations and returns the tools that every choice
// keeps, sorted.
func NewCatalog(choices []Choice, providers ...Provider) (_ *Catalog, err error) {
	full := &Catalog{providers: providers, byName: map[string]entry{}}
	for i, p := range providers {
		for _, t := range p.Tools {
			full.add(t, i)
		}
	}
	for _, t := range ownTools {
		full.add(t, -1)
	}
	if err := full.Validate(); err != nil {
		return nil, err
	}
	slices.SortFunc(full.tools, func(a, b Tool) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	for _, t := range full.tools {
		full.declared = append(full.declared, t.spec.Name)
	}
	for _, choice := range choices {
		if full, err = full.choose(choice); err != nil {
			return nil, err
		}
	}
	return full, nil
}

func (c *Catalog) add(t Tool, provider int) {
	c.tools = append(c.tools, t)
	c.byName[t.spec.Name] = entry{t, provider}
}

func (c *Catalog) find(name string) (Tool, bool) {
	e, ok := c.byName[name]
	return e.tool, ok
}

// Has reports whether there is a tool of that name.
func (c *Catalog) Has(name string) bool { _, ok := c.find(name); return ok }

func (c *Catalog) provider(t Tool) Provider { return c.providers[c.byName[t.spec.Name].provider] }

// facts are what the rules know of a tool: its toolset and what it does.
func (c *Catalog) facts(t Tool) authz.Facts {
	o := authz.ToolObject(t.spec.Name)
	return authz.Facts{
		o.Is("toolset", authz.NewObject("toolset", c.toolset(c.byName[t.spec.Name]))),
		o.Is("effect", authz.NewObject("effect", t.spec.Effect.String())),
	}
}

// ownToolset is the toolset of deputy's own tools, for the rules.
const ownToolset = "deputy"

func (c *Catalog) question(t Tool) authz.Question {
	return authz.Question{Tool: t.spec.Name, Facts: c.facts(t)}
}

// Known is what is known about an object without asking a provider: of a tool
// what it is, of what lies in an account where it lies, by its name. What
// providers' answers add, labels or kinds, is not there.
func (c *Catalog) Known(o authz.Object, accounts ...authz.Object) authz.Facts {
	if o.Type() == "tool" {
		t, ok := c.find(o.ID())
		if !ok {
			return nil
		}
		return append(c.facts(t), authz.Offered(o.ID()))
	}
	var facts authz.Facts
	for _, p := range c.providers {
		for _, account := range accounts {
			name, _, _ := cutAccount(account.ID())
			if name == p.Name && strings.HasPrefix(o.Type(), p.Toolset+"_") {
				facts = append(facts, p.Where(account, o)...)
			}
		}
	}
	return facts.Set()
}

// version names the policy a yes was given under.
func (c *Catalog) version(p Policy, ruled, origins string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v|%s|%s", p, ruled, origins))
	return hex.EncodeToString(sum[:6])
}

var toolName = regexp.MustCompile(`\b(gmail|slack|github|accounts?|approvals?)_[a-z_]+\b`)

// Validate checks what the types cannot: unique and prefixed names, a provider
// scope for every tool, known tools in every Doc, declared reads, the budget.
func (c *Catalog) Validate() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf("tools: "+format, args...)) }
	if len(c.byName) != len(c.tools) {
		say("two tools share a name")
	}
	size := 0
	for _, t := range c.tools {
		s := t.spec
		e := c.byName[s.Name]
		if s.Name == "" || t.read == nil && t.write == nil && t.own == nil {
			say("%q was not made by Read or Write", s.Name)
			continue
		}
		if s.Title == "" || s.Doc == "" {
			say("%s has no title or no doc", s.Name)
		}
		if (t.write != nil) != (s.Effect != Reads) {
			say("%s: its effect and its kind disagree", s.Name)
		}
		if e.provider >= 0 {
			if !strings.HasPrefix(s.Name, c.providers[e.provider].Toolset+"_") {
				say("%s is not named after its toolset", s.Name)
			}
			if len(s.Scopes) == 0 {
				say("%s declares no scopes", s.Name)
			}
		}
		for _, named := range toolName.FindAllString(s.Doc, -1) {
			if _, ok := c.byName[named]; !ok && t.input.schema.Properties[named] == nil {
				say("%s speaks of %s, which does not exist", s.Name, named)
			}
		}
		listing, err := json.Marshal(t.listing())
		if err != nil {
			say("%s: %v", s.Name, err)
		}
		size += len(listing)
	}
	if size > maxListing {
		say("tools/list takes %d bytes, the budget is %d", size, maxListing)
	}
	for _, p := range c.providers {
		if len(p.Reads) == 0 || p.Render == nil || p.Fault == nil || p.Where == nil {
			say("provider %s declares no reads, no Render, no Where or no Fault", p.Name)
		}
	}
	return errors.Join(errs...)
}

// Scopes are all the scopes the chosen tools of a provider take, sorted; with
// names, only those tools'.
func (c *Catalog) Scopes(provider string, names ...string) ([]string, error) {
	var out []string
	for _, name := range names {
		if _, ok := c.byName[name]; !ok {
			return nil, fmt.Errorf("there is no tool %q", name)
		}
	}
	for _, t := range c.tools {
		e := c.byName[t.spec.Name]
		if e.provider < 0 || c.providers[e.provider].Name != provider || len(names) > 0 && !slices.Contains(names, t.spec.Name) {
			continue
		}
		out = append(out, t.spec.Scopes...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Listing is one tool as tools/list shows it.
type Listing struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"inputSchema"`
	Output      json.RawMessage `json:"outputSchema"`
	Hints       Hints           `json:"hints"`
}

func (t Tool) listing() Listing {
	return Listing{t.spec.Name, t.spec.Title, t.spec.Doc, t.input.json, t.output, t.spec.Hints()}
}

// All is every tool of the catalogue, in order.
func (c *Catalog) All() []Listing {
	out := make([]Listing, len(c.tools))
	for i, t := range c.tools {
		out[i] = t.listing()
	}
	return out
}

// Specs is every declaration of the catalogue, in order.
func (c *Catalog) Specs() []Spec {
	out := make([]Spec, len(c.tools))
	for i, t := range c.tools {
		out[i] = t.spec
	}
	return out
}

// Allowed reports whether the caller has the tool: the rules alone decide.
func (g *Guard) Allowed(ctx context.Context, c authz.Caller, name string) bool {
	k := &call{caller: c}
	k.tool, _ = g.find(name)
	err := g.admit(ctx, k)
	if err != nil && !errors.Is(err, errNoSuchTool) {
		g.c.Log.Warn("the rules could not be asked, so the tool is not offered", "tool", name, "cause", err)
	}
	return err == nil
}

// Spell writes an object as the tools write it, for rules that people write.
func (c *Catalog) Spell(o authz.Object) authz.Object {
	for _, p := range c.providers {
		if p.Spell != nil {
			o = p.Spell(o)
		}
	}
	return o
}

// Catalog is what this guard guards.
func (g *Guard) Catalog() *Catalog { return g.c.Catalog }
