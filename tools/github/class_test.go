package github

import (
	"fmt"
	"testing"
	"time"

	"deputy/authz"
	"deputy/tools/toolstest"
)

// BenchmarkHiddenAndMissing: what is hidden takes as many requests, one after
// another, as what does not exist.
func BenchmarkHiddenAndMissing(b *testing.B) {
	f := newFake()
	fake := adapt(f)
	fake.Handler = toolstest.Slow(fake.Handler, 5*time.Millisecond)
	w := toolstest.New(b, Provider(), fake)
	anna := w.Caller("anna", "claude")
	if _, err := w.Connect(anna); err != nil {
		b.Fatal(err)
	}
	hide := authz.Object("github_repo:octo-anna/payroll").Is("hidden", "user:*")
	if err := w.Engine.Write(b.Context(), []authz.Tuple{hide}, nil); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ tool, args, hidden, missing string }{
		{"github_list_issues", `{"owner":"octo-anna","repo":"%s"}`, "payroll", "nowhere"},
		{"github_issue_read", `{"method":"get","owner":"octo-anna","repo":"%s","issue_number":1}`, "payroll", "nowhere"},
		{"github_get_file_contents", `{"owner":"octo-anna","repo":"%s","path":"salaries.csv"}`, "payroll", "nowhere"},
		{"github_issue_write", `{"method":"update","owner":"octo-anna","repo":"%s","issue_number":1,"title":"hi"}`, "payroll", "nowhere"},
	} {
		b.Run(c.tool, func(b *testing.B) {
			w.TimeClass(b, anna, c.tool, fmt.Sprintf(c.args, c.hidden), fmt.Sprintf(c.args, c.missing))
		})
	}
}
