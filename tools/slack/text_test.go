package slack

import (
	"regexp"
	"strings"
	"testing"

	"deputy/authz"
)

func TestReadable(t *testing.T) {
	names := map[string]string{"U0BO": "Bo"}
	for in, want := range map[string]string{
		"":                                          "",
		"a &lt; b &amp;":                            "a < b &",
		"&amp;lt;":                                  "&lt;",
		"<@U0BO> <@U0XX> <@U0BO|boss>":              "@Bo @U0XX @Bo",
		"<#C0A|random> <#C0B> <#C0B|>":              "#random #C0B #C0B",
		"<!here> <!channel|channel> <!everyone>":    "@here @channel @everyone",
		"<!subteam^S0A|@ops> <!subteam^S0B>":        "@ops @S0B",
		"<!date^1^{date}|Monday>":                   "Monday",
		"<!date^1^{date}^https://e.example|Mon>":    "Mon (https://e.example)",
		"<!odd> <!odd|thing>":                       "<!odd> thing",
		"<https://a.example/?x=1&amp;y=2>":          "https://a.example/?x=1&y=2",
		"<https://a.example/|a.example>":            "https://a.example/",
		"<https://evil.example|bank.example>":       "bank.example (https://evil.example)",
		"<https://evil.example|https://bank.ex>":    "https://bank.ex (https://evil.example)",
		"<https://evil.example|two\nlines>":         "two lines (https://evil.example)",
		"<mailto:bo@x.example|bo@x.example>":        "mailto:bo@x.example",
		"<mailto:bo@x.example|Bo>":                  "Bo (mailto:bo@x.example)",
		"<https://evil.example|go &lt;!-- > --&gt;": "go <! -- (https://evil.example) -->",
		"&lt;!-- seen by people --&gt;":             "<! -- seen by people -->",
		"<> <@> <#> <!> <|x> <a b>":                 "<> <@> <#> <!> <|x> <a b>",
		"<!odd <https://a.example|b>":               "<!odd b (https://a.example)",
		"1 < 2, 3 > 2 <":                            "1 < 2, 3 > 2 <",
	} {
		if got := readable(in, names); got != want {
			t.Errorf("readable(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a & b", "&amp;", "&lt;!channel&gt;", "<!here>", "<https://evil|bank>", "\xff<", "&&;<>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := escape(s)
		if strings.ContainsAny(e, "<>") {
			t.Errorf("escape(%q) = %q", s, e)
		}
		if got := unescape(e); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
		if len(mentioned(e)) > 0 || markup(e) {
			t.Errorf("escape(%q) = %q is more than text", s, e)
		}
	})
}

var (
	anyLink = regexp.MustCompile(`<https?://([^|>/<]+)[^|><]*(\|[^><]*)?>`)
	comment = regexp.MustCompile(`(?s)<!--.*?(-->|$)`)
)

// seen is what is left of a text on its way to a model.
func seen(s string) string {
	return strings.Map(func(r rune) rune {
		if authz.Invisible(r) {
			return -1
		}
		return r
	}, comment.ReplaceAllString(s, ""))
}

func FuzzReadable(f *testing.F) {
	for _, s := range []string{
		"<https://evil.example|bank.example>", "<@U0BO> <#C0A|x> <!here>", "<<https://a.example|b>", "<https://a.example|b",
		"<https://evil.example|go &lt;!--> --&gt;", "&lt;!-- <https://evil.example|x>", "<!date^1^x^https://e.example|y>",
		"<https://a.example|>", "<https://b@a.example|b>", "0<!0000<http://0|0>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := seen(readable(s, map[string]string{"U0BO": "Bo"}))
		for _, link := range anyLink.FindAllStringSubmatch(s, -1) {
			if host := seen(unescape(link[1])); !strings.Contains(got, "://"+host) {
				t.Errorf("%q hides %q: %q", s, host, got)
			}
		}
	})
}

func TestLabels(t *testing.T) {
	for name, c := range map[string]struct {
		w   wireMessage
		own bool
	}{
		"own words":         {wireMessage{User: "U0ANNA0001", Text: "see <https://a.example|this>"}, true},
		"others' words":     {wireMessage{User: "U0BO000001", Text: "x"}, false},
		"nobody's":          {wireMessage{Username: "Anna", Text: "x"}, false},
		"an app's, for her": {wireMessage{User: "U0ANNA0001", BotID: "B0", Text: "x"}, false},
		"others' names":     {wireMessage{User: "U0ANNA0001", Text: "<@U0BO000001>"}, false},
		"others' emoji": {wireMessage{User: "U0ANNA0001", Text: "x", Reactions: []struct {
			Name  string
			Count int
		}{{"obey", 1}}}, false},
	} {
		m := messageOf(me, "C0A", c.w, nil)
		if got := m.Label().Integrity == authz.Trusted; got != c.own || m.Label().Confidentiality != authz.Private {
			t.Errorf("%s: %v", name, m.Label())
		}
	}
	if m := messageOf("", "C0A", wireMessage{}, nil); m.own {
		t.Error("nobody's message is nobody's own")
	}
}
