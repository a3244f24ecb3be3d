package tools

import (
	"context"
	"encoding/json"
	"errors"

	"deputy/approvals"
	"deputy/authz"
	"deputy/vault"

	"github.com/google/jsonschema-go/jsonschema"
)

type explainInput struct {
	Tool string         `json:"tool" audit:"plain"`
	Args map[string]any `json:"args,omitempty" jsonschema:"The arguments of the call; without them, what every call takes."`
}

var policyExplain = own(Spec{
	Name:   "policy_explain",
	Title:  "Explain what a call would take",
	Doc:    "What a call would take before it is done: allow, ask, ask+stepup or deny, why, and what has to be connected. Says nothing about what exists.",
	Effect: Reads,
}, explanationSchema(), explainPolicy)

// explanation is what a call would take. It goes by the tool, the arguments and
// what the caller has connected, and looks at nothing at a provider.
type explanation struct {
	Tool      string   `json:"tool"`
	Effect    string   `json:"effect"`
	Needs     string   `json:"needs"`
	Because   []string `json:"because"`
	Connected bool     `json:"connected"`
	Missing   []string `json:"missing_scopes,omitempty"`
	Scope     string   `json:"token_lacks,omitempty"`
}

func explainPolicy(ctx context.Context, g *Guard, c authz.Caller, in explainInput) (Outcome, error) {
	k := &call{caller: c}
	k.tool, _ = g.find(in.Tool)
	if err := g.admit(ctx, k); err != nil {
		return nil, err
	}
	s := k.tool.spec
	out := explanation{Tool: s.Name, Effect: s.Effect.String(), Connected: true, Because: []string{}}
	if scope := g.c.Catalog.accessScope(k.tool); !c.May(scope) {
		out.Scope = scope
	}
	var args json.RawMessage
	if in.Args != nil {
		raw, err := json.Marshal(in.Args)
		if err == nil {
			args, err = g.decode(k, raw)
		}
		if err != nil {
			return nil, err
		}
	}
	if k.tool.own == nil {
		var missing *vault.NotConnectedError
		switch err := g.lease(ctx, k); {
		case errors.As(err, &missing):
			out.Connected, out.Missing = false, missing.Missing
		case err != nil:
			return nil, err
		}
	}
	need := g.c.Policy.need(s)
	switch {
	case s.Effect == Reads:
		out.Because = append(out.Because, "it reads: nobody is asked")
	case s.Floor > g.c.Policy.byEffect(s.Effect):
		out.Because = append(out.Because, "the tool's own floor is "+need.String())
	default:
		out.Because = append(out.Because, "it "+s.Effect.String()+": the policy says "+need.String())
	}
	out.Needs = need.String()
	if args != nil {
		if err := g.judge(k, args); err != nil {
			var forbidden *forbiddenError
			if !errors.As(err, &forbidden) {
				return nil, err
			}
			out.Needs, out.Because = "deny", []string{forbidden.hint()}
			return g.say(out)
		}
		if s.Effect != Reads && k.ruling.Need > need {
			out.Needs = k.ruling.Need.String()
			out.Because = append(out.Because, ruled(k.ruling.Reason, k.ruling.Need))
		}
	} else if n := len(g.c.Rules.For(s.Name)); n > 0 {
		out.Because = append(out.Because, "the operator has rules that may ask more, by the arguments: give args")
	}
	return g.say(out)
}

func ruled(reason string, need approvals.Need) string {
	if reason == "" {
		return "a rule of the operator asks " + need.String()
	}
	return "a rule of the operator asks " + need.String() + ": " + reason
}

func explanationSchema() json.RawMessage {
	str, list := &jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "string"}}
	return mustMarshal(&jsonschema.Schema{Type: "object", Properties: map[string]*jsonschema.Schema{
		"tool": str, "effect": str, "needs": str, "because": list, "connected": {Type: "boolean"}, "missing_scopes": list, "token_lacks": str,
		"error": str, "hint": str,
	}})
}
