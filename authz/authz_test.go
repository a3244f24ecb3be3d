package authz_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"deputy/authz"
	"deputy/internal/store"
)

var ctx = context.Background()

func caller(t *testing.T, user, agent string) authz.Caller {
	t.Helper()
	door := authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	c, err := door.Caller(ctx, authz.Principal{User: user, Agent: agent})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func engine(t *testing.T, written ...string) *authz.Rules {
	t.Helper()
	e, err := authz.Open(store.NewMemory(), nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e, written...)
	return e
}

// model is a model with users and the given types.
func model(t *testing.T, body string) authz.Model {
	t.Helper()
	m, err := authz.ParseModel("model\n  schema 1.1\ntype user\n" + body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func write(t *testing.T, e *authz.Rules, written ...string) {
	t.Helper()
	if err := e.Write(ctx, parse(t, written...), nil); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, lines ...string) (out []authz.Tuple) {
	t.Helper()
	for _, l := range lines {
		f := strings.Fields(l)
		tuple, err := authz.ParseTuple(f[0], f[1], f[2])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tuple)
	}
	return out
}

// world is what the provider's answers would say about a few objects.
var world = []string{
	"user:anna owner account:github/octo",
	"user:anna owner account:google/anna@example.com",
	"user:anna owner account:slack/T1/U1",
	"account:github/octo account github_org:octo",
	"github_org:octo org github_repo:octo/hello",
	"github_org:octo org github_repo:octo/secret",
	"kind:github/public kind github_repo:octo/hello",
	"github_repo:octo/hello repo github_issue:octo/hello/1",
	"github_repo:octo/secret repo github_issue:octo/secret/1",
	"github_repo:octo/hello parent github_path:octo/hello/docs",
	"github_path:octo/hello/docs parent github_path:octo/hello/docs/a.md",
	"account:google/anna@example.com account gmail_mailbox:anna",
	"gmail_mailbox:anna mailbox gmail_thread:t1",
	"gmail_mailbox:anna mailbox gmail_label:anna/Payroll",
	"gmail_label:anna/Payroll label gmail_thread:t1",
	"gmail_mailbox:anna mailbox gmail_thread:t2",
	"gmail_mailbox:anna mailbox gmail_label:anna/INBOX",
	"gmail_label:anna/INBOX label gmail_thread:t2",
	"mail_address:bo@mail.evil.example sender gmail_thread:t2",
	"mail_domain:mail.evil.example domain mail_address:bo@mail.evil.example",
	"mail_domain:evil.example parent mail_domain:mail.evil.example",
	"account:slack/T1/U1 account slack_workspace:T1",
	"slack_workspace:T1 workspace slack_channel:T1/C1",
	"kind:slack/private_channel kind slack_channel:T1/C1",
	"slack_channel:T1/C1 channel slack_message:T1/C1/1.0",
}

func TestBuiltinModelNarrows(t *testing.T) {
	const hello, secret, file, t1, t2, slack = "github_issue:octo/hello/1", "github_issue:octo/secret/1", "github_path:octo/hello/docs/a.md", "gmail_thread:t1", "gmail_thread:t2", "slack_message:T1/C1/1.0"
	everything := []string{hello, secret, file, t1, t2, slack}
	but := func(gone ...string) []string {
		return slices.DeleteFunc(slices.Clone(everything), func(o string) bool { return slices.Contains(gone, o) })
	}
	for _, c := range []struct {
		name, tuples, user, agent string
		want                      []string
	}{
		{"by default the assistant sees what the account sees", "", "anna", "claude", everything},
		{"another user sees nothing of it", "", "bo", "claude", nil},
		{"repo allow-list", "user:* restricted account:github/octo|user:* allowed github_repo:octo/hello", "anna", "claude", but(secret)},
		{"an allow-list gives nobody else's account", "user:* restricted account:github/octo|user:* allowed github_repo:octo/hello", "bo", "claude", nil},
		{"… and not what is restricted nearer", "user:* restricted github_org:octo|user:* allowed github_repo:octo/hello|user:* restricted github_path:octo/hello/docs", "anna", "claude", but(secret, file)},
		{"an organisation that is allowed, and one repository in it that is not", "user:* restricted account:github/octo|user:* allowed github_org:octo|user:* restricted github_repo:octo/secret", "anna", "claude", but(secret)},
		{"an allow-list for one agent", "agent:claude restricted github_org:octo|agent:claude allowed github_repo:octo/hello", "anna", "claude", but(secret)},
		{"… and for no other", "agent:claude restricted github_org:octo|agent:claude allowed github_repo:octo/hello", "anna", "cursor", everything},
		{"what an agent is allowed, its person need not be", "user:* restricted github_org:octo|agent:claude allowed github_repo:octo/hello", "anna", "claude", but(hello, secret, file)},
		{"hidden folder", "agent:* hidden github_path:octo/hello/docs", "anna", "claude", but(file)},
		{"hidden Gmail label", "user:* hidden gmail_label:anna/Payroll", "anna", "claude", but(t1)},
		{"labels as an allow-list", "user:* restricted gmail_mailbox:anna|user:anna allowed gmail_label:anna/Payroll", "anna", "claude", but(t2)},
		{"hidden sender domain", "user:* hidden mail_domain:evil.example", "anna", "claude", but(t2)},
		{"hidden Slack channel", "user:anna hidden slack_channel:T1/C1", "anna", "claude", but(slack)},
		{"hidden kind", "agent:* hidden kind:slack/private_channel", "anna", "claude", but(slack)},
		{"hidden from one agent", "agent:claude hidden github_repo:octo/secret", "anna", "claude", but(secret)},
		{"… and from no other", "agent:claude hidden github_repo:octo/secret", "anna", "cursor", everything},
		{"hidden from whatever acts for anna", "user:anna#agent hidden github_repo:octo/secret", "anna", "cursor", but(secret)},
		{"hidden from whatever acts for bo", "user:bo#agent hidden github_repo:octo/secret", "anna", "cursor", everything},
		{"hidden from a group", "user:anna member group:staff|group:staff#member hidden account:google/anna@example.com", "anna", "claude", but(t1, t2)},
		{"one hidden issue", "user:* hidden github_issue:octo/hello/1", "anna", "claude", but(hello)},
	} {
		var written []string
		if c.tuples != "" {
			written = strings.Split(c.tuples, "|")
		}
		e := engine(t, written...)
		var objects []authz.Object
		for _, o := range everything {
			objects = append(objects, authz.Object(o))
		}
		visible, err := e.Visible(ctx, caller(t, c.user, c.agent), objects, parse(t, world...))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []string
		for i, v := range visible {
			if v {
				got = append(got, string(objects[i]))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestAdmit(t *testing.T) {
	hello, secret := authz.Object("github_repo:octo/hello"), authz.Object("account:github/octo")
	for _, c := range []struct {
		name, tuple string
		agent       string
		want        bool
	}{
		{"by default", "", "claude", true},
		{"barred tool", "user:* barred tool:github_issue_write", "claude", false},
		{"barred for the agent", "agent:claude barred tool:github_issue_write", "claude", false},
		{"… not for another", "agent:claude barred tool:github_issue_write", "cursor", true},
		{"read-only account", "user:* read_only account:github/octo", "claude", false},
		{"read-only repo", "user:anna read_only github_repo:octo/hello", "claude", false},
		{"repo the agent may not see", "agent:* hidden github_repo:octo/hello", "claude", false},
		{"repo the user may not see", "user:* hidden github_repo:octo/hello", "claude", false},
		{"repo off the user's list", "user:* restricted github_org:octo", "claude", false},
		{"repo off the agent's list", "agent:claude restricted github_org:octo", "claude", false},
		{"nothing that others see", "agent:* barred effect:publishes", "claude", false},
		{"nothing that destroys", "agent:* barred effect:destroys", "claude", true},
		{"toolset off the list", "agent:claude restricted toolset:github", "claude", false},
		{"… with one tool on it", "agent:claude restricted toolset:github|agent:claude allowed tool:github_issue_write", "claude", true},
		{"nothing in public repositories", "agent:* read_only kind:github/public", "claude", false},
	} {
		var written []string
		if c.tuple != "" {
			written = strings.Split(c.tuple, "|")
		}
		e := engine(t, written...)
		r, err := e.Admit(ctx, caller(t, "anna", c.agent), authz.Question{
			Tool: "github_issue_write", Changes: []authz.Object{secret, hello},
			Facts: append(parse(t, world...), parse(t, "toolset:github toolset tool:github_issue_write", "effect:publishes effect tool:github_issue_write")...),
		})
		if err != nil || r.Allowed != c.want {
			t.Errorf("%s: %+v, %v; want %v", c.name, r, err, c.want)
		}
	}
}

func TestNobodySeesNothing(t *testing.T) {
	e := engine(t)
	visible, err := e.Visible(ctx, authz.Caller{}, []authz.Object{"gmail_thread:t2"}, parse(t, world...))
	if err != nil || visible[0] {
		t.Errorf("the zero caller: %v, %v", visible, err)
	}
	r, err := e.Admit(ctx, authz.Caller{}, authz.Question{Tool: "x"})
	if err != nil || r.Allowed {
		t.Errorf("the zero caller: %+v, %v", r, err)
	}
}

func TestRevokeIsEffectiveAtOnce(t *testing.T) { // T29
	e := engine(t)
	anna := caller(t, "anna", "claude")
	see := func() bool {
		v, err := e.Visible(ctx, anna, []authz.Object{"gmail_thread:t2"}, parse(t, world...))
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	hide := parse(t, "user:* hidden gmail_label:anna/INBOX")
	for range 100 {
		if !see() {
			t.Fatal("hidden before it was hidden")
		}
		if err := e.Write(ctx, hide, nil); err != nil {
			t.Fatal(err)
		}
		if see() {
			t.Fatal("visible after the write was acknowledged")
		}
		if err := e.Write(ctx, nil, hide); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTuplesSurviveReopening(t *testing.T) {
	s := store.NewMemory()
	e, err := authz.Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e, "user:* barred tool:x", "user:anna member group:g")
	e, err = authz.Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Check(ctx, parse(t, "user:anna member group:g")[0], nil); err != nil || !ok {
		t.Errorf("after reopening: %v, %v", ok, err)
	}
	got, err := e.Read(ctx, authz.Tuple{Object: "tool"})
	if err != nil || len(got) != 1 || got[0].String() != "user:* barred tool:x" {
		t.Errorf("Read: %v, %v", got, err)
	}
}

func TestWriteIsAllOrNothingAndExplainsItself(t *testing.T) {
	e := engine(t)
	good := "user:* barred tool:x"
	for _, c := range []struct{ bad, want string }{
		{"user:* barred spaceship:x", `no type "spaceship"`},
		{"user:* flies tool:x", `no relation "flies"`},
		{"group:g barred tool:x", "does not take [group]"},
		{good, "in the request twice"},
	} {
		err := e.Write(ctx, append(parse(t, good), parse(t, c.bad)...), nil)
		if !errors.Is(err, authz.ErrBadTuple) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.bad, err, c.want)
		}
		if got, _ := e.Read(ctx, authz.Tuple{}); len(got) != 0 {
			t.Fatalf("%s: half was written: %v", c.bad, got)
		}
	}
	if err := e.Write(ctx, nil, parse(t, good)); err == nil || !strings.Contains(err.Error(), "no such tuple") {
		t.Errorf("deleting nothing: %v", err)
	}
	for _, bad := range [][3]string{{"anna", "r", "tool:x"}, {"user:anna", "", "tool:x"}, {"user:anna", "r", "tool:*"}, {"user:a b", "r", "tool:x"}, {"user:anna", "r", "x"}, {"user:*#m", "r", "t:x"}} {
		if _, err := authz.ParseTuple(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%v parsed", bad)
		}
	}
}

func TestModelsAreChecked(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"type doc\n  relations\n    define viewer: [user] or editor", "editor"},
		{"type doc\n  relations\n    define viewer: [nobody]", "nobody"},
		{"type doc\n  relations\n    define parent: [user]\n    define viewer: viewer from parent", "viewer"},
		{"type doc\n  relations\n    define viewer: [user with c]\ncondition c(x: int) {\n  x < 'a'\n}", "condition 'c'"},
		{"this is no model", "authorization model"},
	} {
		_, err := authz.ParseModel("model\n  schema 1.1\ntype user\n" + c.body + "\n")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.body, err, c.want)
		}
	}
}

// TestAStrayRuleIsNoSilence: a model that has no place for what was written is
// refused, since what was written may have hidden something.
func TestAStrayRuleIsNoSilence(t *testing.T) {
	s := store.NewMemory()
	e, err := authz.Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e, "user:* hidden gmail_label:anna/Payroll")
	m := model(t, "type gmail_label\n  relations\n    define allowed: [user]\n")
	_, err = authz.Open(s, &m)
	if !errors.Is(err, authz.ErrBadTuple) || !strings.Contains(err.Error(), "Payroll") {
		t.Errorf("opened: %v", err)
	}
}

func TestCyclesEnd(t *testing.T) {
	e := engine(t, "group:a#member member group:b", "group:b#member member group:a", "user:bo member group:b")
	for user, want := range map[string]bool{"user:anna": false, "user:bo": true, "group:a#member": true} {
		ok, err := e.Check(ctx, authz.Tuple{User: user, Relation: "member", Object: "group:a"}, nil)
		if err != nil || ok != want {
			t.Errorf("%s in a cycle: %v, %v; want %v", user, ok, err, want)
		}
	}
	var chain []string
	for i := range 40 {
		chain = append(chain, "group:g"+string(rune('A'+i))+"#member member group:g"+string(rune('A'+i+1)))
	}
	write(t, e, chain...)
	if _, err := e.Check(ctx, authz.Tuple{User: "user:x", Relation: "member", Object: "group:gi"}, nil); err == nil {
		t.Error("an unbounded chain was followed to its end")
	}
}

func TestObjectsCannotPoseAsOthers(t *testing.T) {
	for _, c := range []struct {
		got  authz.Object
		want string
	}{
		{authz.NewObject("gmail_label", "anna@example.com", "Clients/2026 *"), "gmail_label:anna@example.com/Clients%2F2026%20*"},
		{authz.NewObject("user", "*"), "user:%2A"},
		{authz.NewObject("t", "a\u0085b\u00a0"), "t:a%C2%85b\u00a0"},
		{authz.NewObject("user", "a#member"), "user:a%23member"},
		{authz.NewObject("t", "a", "b"), "t:a/b"},
		{authz.NewObject("t", "a/b"), "t:a%2Fb"},
		{authz.NewPathObject("github_path", "octo", "hello", "docs/a b.md"), "github_path:octo/hello/docs/a%20b.md"},
	} {
		if string(c.got) != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestLabelsJoin(t *testing.T) {
	u, p := authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Public}, authz.Label{Integrity: authz.Trusted, Confidentiality: authz.Private}
	if got := u.Join(p); got != p.Join(u) || got.String() != "untrusted/private" {
		t.Errorf("join = %v", got)
	}
	if got := (authz.Label{}).Join(authz.Label{}); got.String() != "trusted/public" {
		t.Errorf("empty join = %v", got)
	}
}

func TestDoorAsksEachTime(t *testing.T) {
	gone := false
	door := authz.NewDoor(func(_ context.Context, p authz.Principal) error {
		if gone {
			return authz.ErrNobody
		}
		return nil
	})
	c, err := door.Caller(ctx, authz.Principal{User: "anna", Agent: "a"})
	if err != nil {
		t.Fatal(err)
	}
	gone = true
	if _, err := door.Caller(ctx, c.Principal()); !errors.Is(err, authz.ErrNobody) {
		t.Errorf("a person who is gone was let in: %v", err)
	}
	if _, err := door.Caller(ctx, authz.Principal{User: "anna"}); err == nil {
		t.Error("a caller without an agent was let in")
	}
}
