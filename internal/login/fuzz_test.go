package login

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzLocal: where a sign-in leads is a path of ours, for every reader of URLs.
func FuzzLocal(f *testing.F) {
	for _, s := range []string{"/approvals/x", "//evil", `/\evil`, "/a\r\nb", "https://evil", "/\t/evil", "", "/x?next=//y", "/..//evil"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://deputy.example/signin")
	f.Fuzz(func(t *testing.T, next string) {
		got := local(next)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %q", next, got)
		}
		if u, err := base.Parse(got); err == nil && u.Host != base.Host {
			t.Errorf("%q leads to %s", next, u.Host)
		}
	})
}

// FuzzBrowser: a header of any kind becomes a few known words.
func FuzzBrowser(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	f.Add("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15")
	f.Add("<script>")
	f.Fuzz(func(t *testing.T, agent string) {
		if got := browser(agent); len(got) > 24 || strings.ContainsAny(got, "<>&\n") {
			t.Errorf("%q", got)
		}
	})
}
