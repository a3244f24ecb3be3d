package github

import (
	"encoding/json"
	"strings"
	"testing"

	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/tools"
	"deputy/tools/toolstest"
)

// A GitHub App's tokens are for one repository and what the request needs, and
// the log says so; an OAuth app has none, and the log says that too.
func TestAnAppsTokensAreNarrowed(t *testing.T) {
	for _, c := range []struct {
		app    bool
		reach  string
		minted int
	}{{true, "repository", 2}, {false, "exact", 0}} {
		f := newFake()
		p := Provider()
		if c.app {
			p.App, p.Several = true, false
		}
		w := toolstest.New(t, p, adapt(f))
		anna := w.Caller("anna", "claude")
		if _, err := w.Connect(anna); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			out := w.Call(anna, "github_list_issues", `{"owner":"Octo-Anna","repo":"harbor"}`)
			if _, ok := out.(tools.Answer); !ok {
				t.Fatalf("app %v: %s", c.app, out.Structured())
			}
		}
		minted := 0
		for _, call := range f.AppCalls() {
			if strings.HasSuffix(call.Path, "/token/scoped") {
				minted++
			}
		}
		if minted != c.minted {
			t.Errorf("app %v: %d narrower tokens, want %d", c.app, minted, c.minted)
		}
		if last := lastAnswer(t, w); last.Reach != c.reach {
			t.Errorf("app %v: the log says %q, want %q", c.app, last.Reach, c.reach)
		}
	}
}

func lastAnswer(t *testing.T, w *toolstest.World) (last audit.Line) {
	t.Helper()
	err := w.Store.View(func(tx store.Tx) error {
		return audit.Each(tx, func(data json.RawMessage) error {
			var l audit.Line
			if err := json.Unmarshal(data, &l); err != nil {
				return err
			}
			if l.Event == "answer" {
				last = l
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// Every request below a repository is declared with what it needs.
func TestEveryRequestNamesItsPermissions(t *testing.T) {
	p := Provider()
	for _, pattern := range append(p.Reads, p.Writes...) {
		if strings.Contains(pattern, " /repos/{owner}/{repo}") != (permissions[pattern] != "") {
			t.Errorf("%s needs %q", pattern, permissions[pattern])
		}
	}
}
