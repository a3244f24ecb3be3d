package tools

import (
	"encoding/json"
	"maps"

	"deputy/approvals/rules"

	"github.com/google/jsonschema-go/jsonschema"
)

// RuleTools is the catalogue as the operator's rules see it: each tool with its
// own arguments and what the policy asks for it already.
func (c *Catalog) RuleTools(p Policy) []rules.Tool {
	out := make([]rules.Tool, len(c.tools))
	for i, t := range c.tools {
		out[i] = rules.Tool{Name: t.spec.Name, Effect: t.spec.Effect.String(), Need: p.need(t.spec), Args: t.input.own(t.own != nil)}
		if e := c.byName[t.spec.Name]; e.provider >= 0 {
			out[i].Toolset = c.providers[e.provider].Toolset
		}
	}
	return out
}

// own is the schema of what the tool itself gets: the guard takes the rest out.
// A rule about the account goes by the account that is used, not by what the
// agent calls it.
func (in input) own(all bool) *jsonschema.Schema {
	s := *in.schema
	s.Properties = maps.Clone(s.Properties)
	delete(s.Properties, "cursor")
	if !all {
		delete(s.Properties, "account")
		delete(s.Properties, "idempotency_key")
	}
	return &s
}

// forbiddenError: a rule ended the call.
type forbiddenError struct{ reason string }

func (e *forbiddenError) Error() string { return "tools: " + e.hint() }

// hint is the operator's own words, or none: nothing about what the call would
// have found, because it was not looked at.
func (e *forbiddenError) hint() string {
	if e.reason == "" {
		return "a rule of the operator forbids this call"
	}
	return "a rule of the operator forbids this call: " + e.reason
}

// judge asks the operator's rules about the arguments the handler will get, the
// account that is used and what the session has read. It comes before anything
// is looked up, so that a refusal is the same for what is there and what is not.
func (g *Guard) judge(k *call, in json.RawMessage) error {
	about := rules.Call{Tool: k.tool.spec.Name, Args: in, Label: g.sessionLabel(k.caller)}
	if k.lease != nil {
		about.Account = k.lease.Account().ID
	}
	k.ruling = g.c.Rules.Decide(about)
	k.line.Rules = k.ruling.Rules
	for _, err := range k.ruling.Failed {
		g.c.Log.Warn("a rule could not be evaluated and counts as matched", "call", k.id, "tool", k.tool.spec.Name, "cause", err)
	}
	if k.ruling.Deny {
		return &forbiddenError{k.ruling.Reason}
	}
	return nil
}

// Rules are the operator's, or nil.
func (g *Guard) Rules() *rules.Set { return g.c.Rules }
