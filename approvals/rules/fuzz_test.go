package rules_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/approvals/rules"
	"deputy/authz"
)

// FuzzCompile: whatever stands in a rule, reading it ends soon, and what was
// accepted judges a call without lowering anything.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`taint`, `args.to.exists(a, domain(a) != "example.com")`, `(args.to + args.cc).exists_one(x, x == "")`,
		`args.body.matches("(a+)+$")`, `args.to.map(a, args.to.map(b, a + b)) == []`, `[1,2,3].all(a, a > args.number)`,
		`args.meta.deep.startsWith("x") ? taint : !taint`, `args.extra.a[0].b == 1.0`, `{"a": args.number}["a"] in [1, 2]`,
		`((((((taint))))))`, `"\u0000" == args.subject`, `has(args.to)`, `tool.name in ["gmail_send"] && duration("1s") < duration(args.subject)`, dear(),
	} {
		f.Add(seed)
	}
	tools := someTools(f)
	args := json.RawMessage(`{"to":["a@example.com","b@example.org"],"subject":"s","body":"` + strings.Repeat("text ", 200) + `","base":"main","number":3,"extra":{"a":[{"b":1}]}}`)
	f.Fuzz(func(t *testing.T, when string) {
		began := time.Now()
		s, err := rules.Compile([]rules.Rule{{Name: "it", When: when, Need: "ask+stepup"}}, tools)
		if took := time.Since(began); took > 10*time.Second {
			t.Fatalf("compiling took %v", took)
		}
		if err != nil {
			if len(err.Error()) > 8000 || !strings.HasPrefix(err.Error(), `approvals.rules[0] "it": `) {
				t.Fatalf("%q: %v", when, err)
			}
			return
		}
		for _, tool := range tools {
			if r := s.Decide(rules.Call{Tool: tool.Name, Args: args}); r.Need < tool.Need || r.Deny {
				t.Fatalf("%q lowers %s: %+v", when, tool.Name, r)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Fatalf("all took %v", took)
		}
	})
}

// FuzzDecide: whatever the arguments are, the answer comes, is no less than
// without rules, and is at least the rule's where they could not be read.
func FuzzDecide(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, ``, `[]`, `{"to":["a@b.example"],"to":[]}`, `{"to":[null]}`, `{"to":"x"}`, `{"to":[1]}`, `{"To":["x"]}`,
		`{"number":1.0,"base":"main"}`, `{"number":1e999}`, `{"base":"\ud800"}`, `{"extra":{"a":{"a":{"a":[]}}}}`, `{"meta":[],"method":"merge"}`,
	} {
		f.Add(seed, "a@example.com", true)
	}
	tools := someTools(f)
	s := compile(f,
		rule(`args.to.exists(a, domain(a) != "example.com")`, "ask+stepup"),
		rule(`args.base == "main" && args.number > 2`, "deny"),
		rule(`args.meta.deep == "x" || args.extra.a.size() > 1`, "ask+stepup"),
		rule(`taint && account.endsWith("example.com")`, "ask+stepup"),
	)
	f.Fuzz(func(t *testing.T, args, account string, taint bool) {
		label := authz.Label{}
		if taint {
			label.Integrity = authz.Untrusted
		}
		for _, tool := range tools {
			r := s.Decide(rules.Call{Tool: tool.Name, Args: json.RawMessage(args), Account: account, Label: label})
			if r.Need < tool.Need {
				t.Fatalf("%s %q: %+v", tool.Name, args, r)
			}
			if tool.Name == "gmail_send" && args != "" && !json.Valid([]byte(args)) && r.Need < approvals.ByFreshPerson && strings.Trim(args, " \t\r\n") != "" {
				t.Fatalf("what cannot be read passes: %q: %+v", args, r)
			}
			for _, err := range r.Failed {
				if len(err.Error()) > 200 {
					t.Fatalf("%q: %v", args, err)
				}
			}
		}
	})
}
