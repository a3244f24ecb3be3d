package tools_test

import (
	"encoding/json"
	"strings"
	"testing"

	"deputy/approvals/rules"
	"deputy/authz"
	"deputy/tools"
)

// What a call would take is told before it is made, and nothing is looked up.
func TestPolicyExplain(t *testing.T) {
	n := &notebook{}
	w, anna := world(t, n)
	set, err := rules.Compile([]rules.Rule{
		{Name: "shout", When: `args.text == "SHOUT"`, Need: "ask+stepup", Reason: "somebody shouts"},
		{Name: "never", When: `args.text == "never"`, Need: "deny", Reason: "not this"},
	}, w.Config.Catalog.RuleTools(w.Config.Policy))
	if err != nil {
		t.Fatal(err)
	}
	w.Config.Rules = set
	w.Guard = tools.NewGuard(w.Config)
	seen := len(n.sent)
	for _, c := range []struct{ args, needs, because string }{
		{`{"tool":"github_notes_list"}`, "allow", "it reads"},
		{`{"tool":"github_notes_draft"}`, "allow", "the policy says allow"},
		{`{"tool":"github_notes_add"}`, "ask", "give args"},
		{`{"tool":"github_notes_add","args":{"text":"hello"}}`, "ask", "it publishes: the policy says ask"},
		{`{"tool":"github_notes_add","args":{"text":"SHOUT"}}`, "ask+stepup", "somebody shouts"},
		{`{"tool":"github_notes_add","args":{"text":"never"}}`, "deny", "not this"},
		{`{"tool":"accounts_list"}`, "allow", "it reads"},
	} {
		var got struct {
			Needs     string
			Because   []string
			Connected bool
		}
		out := w.Call(anna, "policy_explain", c.args)
		if err := json.Unmarshal(out.Structured(), &got); err != nil || got.Needs != c.needs || !got.Connected || !strings.Contains(strings.Join(got.Because, "\n"), c.because) {
			t.Errorf("%s: %s", c.args, out.Structured())
		}
	}
	// A mistake in the arguments is told as the call would tell it.
	refused(t, w.Call(anna, "policy_explain", `{"tool":"github_notes_add","args":{"txt":"x"}}`), "bad_input")
	// Barred and unknown are one.
	if err := w.Engine.Write(ctx, []authz.Tuple{authz.ToolObject("github_notes_add").Is("barred", "agent:*")}, nil); err != nil {
		t.Fatal(err)
	}
	a, b := w.Call(anna, "policy_explain", `{"tool":"github_notes_add"}`), w.Call(anna, "policy_explain", `{"tool":"github_no_such"}`)
	if string(a.Structured()) != string(b.Structured()) {
		t.Errorf("barred %s, unknown %s", a.Structured(), b.Structured())
	}
	if len(n.sent) != seen {
		t.Error("an explanation wrote something")
	}
	// Without the account it says what is missing.
	bo := w.Caller("bo", "claude")
	if s := string(w.Call(bo, "policy_explain", `{"tool":"github_notes_list"}`).Structured()); !strings.Contains(s, `"connected":false`) {
		t.Errorf("not connected: %s", s)
	}
}
