package gmail

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deputy/authz"
)

func TestSenders(t *testing.T) {
	for from, want := range map[string][]string{
		"Bo <Bo@Example.COM>":                            {"bo@example.com"},
		`"eve@evil.example" <bo@example.com>`:            {"eve@evil.example", "bo@example.com"},
		"bo@example.com, eve@evil.example":               {"bo@example.com", "eve@evil.example"},
		"=?utf-8?q?eve=40evil.example?= <b@example.com>": {"b@example.com", "eve@evil.example"},
		"eve@EVIL.example.":                              {"eve@evil.example"},
		"eve@evil.example>":                              {"eve@evil.example"},
		"<<eve@évil.example>":                            {"eve@xn--vil-9la.example"},
		"Eve":                                            nil,
		"":                                               nil,
	} {
		m := headed("From", from)
		got := m.senders()
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %v, want %v", from, got, want)
			}
		}
		if len(want) == 0 && len(got) > 0 {
			t.Errorf("%q: %v", from, got)
		}
	}
	two := headed("From", "bo@example.com", "Sender", "eve@evil.example")
	if diff := cmp.Diff([]string{"bo@example.com", "eve@evil.example"}, two.senders()); diff != "" {
		t.Error(diff)
	}
}

// However long a domain is made, the end of it counts, and no rule runs deep.
func TestLongDomains(t *testing.T) {
	host := "evil.example"
	for range 60 {
		host = "a." + host
	}
	facts := sentBy("gmail_message:anna/m", "eve@"+host)
	if !slices.Contains(facts, authz.Object("mail_domain:a.evil.example").Is("parent", "mail_domain:evil.example")) || len(facts) > 2*maxDomainParts {
		t.Errorf("%d facts: %v", len(facts), facts)
	}
	if got := spell("mail_domain:.Évil.Example."); got != "mail_domain:xn--vil-9la.example" {
		t.Errorf("%s", got)
	}
}

func FuzzSenders(f *testing.F) {
	f.Add("Bo <bo@example.com>")
	f.Add("=?utf-8?b?w6k=?= <a@b>, x@y.z")
	f.Fuzz(func(t *testing.T, from string) {
		for _, s := range headed("From", from).senders() {
			for _, fact := range sentBy("gmail_message:anna/m", s) {
				if _, err := authz.ParseTuple(fact.User, fact.Relation, string(fact.Object)); err != nil && len(from) < 200 {
					t.Errorf("%q: %v", from, err)
				}
			}
		}
	})
}
