package gmail

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
)

func TestHTMLText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                  "plain",
		"a\n  b<br>c":                            "a b\nc",
		"<p>a</p><p>b</p>":                       "a\n\nb",
		"<div>a</div><div><div>b</div></div>":    "a\nb",
		"<ul><li>a</li><li>b <i>c</i></li></ul>": "- a\n- b c",
		"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>": "a b\nc",
		"<pre>a\n  b</pre>":        "a\n  b",
		"a&nbsp;b &lt;c&gt; &amp;": "a\u00a0b <c> &",
		"a<!-- b -->c":             "ac",
		"<style>x</style><script>y</script><title>z</title>":         "",
		`<a href="https://x.example/">https://x.example</a>`:         "https://x.example (https://x.example/)",
		`<a href="https://x.example/">x.example</a>`:                 "x.example",
		`<a href="https://evil.example">bank.example</a>`:            "bank.example (https://evil.example)",
		`<a href="http://mailto:a@b.c">a@b.c</a>`:                    "a@b.c (http://mailto:a@b.c)",
		`<a href="mailto:a@b.c">a@b.c</a>`:                           "a@b.c",
		`<a href="javascript:x">y</a>`:                               "y",
		`<img src="https://t.example/p" alt="Our logo">`:             "[Our logo]",
		`<img src="https://t.example/p">`:                            "",
		`<span style="display: none">a</span>b`:                      "b",
		`<span style="font-size:0px">a</span>b`:                      "b",
		`<span style="font-size:0.8em;opacity:0.9">a</span>b`:        "ab",
		`<span style="opacity:0">a</span>b`:                          "b",
		`<p hidden>a</p>b`:                                           "b",
		`<div style="max-height:0;overflow:hidden">preheader</div>b`: "b",
	} {
		if got := htmlText(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// What was written to be slow is not.
func TestHTMLTime(t *testing.T) {
	start := time.Now()
	for _, in := range []string{
		strings.Repeat("<div>", 100_000), strings.Repeat("<a href=x>", 50_000), strings.Repeat("<b><p>", 50_000),
		strings.Repeat("<!--", 100_000), strings.Repeat("<table><tr>", 50_000), strings.Repeat("&", 500_000), strings.Repeat("<p style=\"display:\">", 50_000),
	} {
		htmlText(in)
		beyondShowing(in)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestBeyondShowing(t *testing.T) {
	for _, fine := range []string{
		"", "text", "<p>a</p>", "<html><body><h1>a</h1><ul><li>b</ul></body></html>", "a<br/>b", "a < b & c", "<A HREF='https://x.example'>x</A>",
		`<a href="mailto:bo@example.com">Bo</a>`,
	} {
		if why := beyondShowing(fine); why != "" {
			t.Errorf("%s: %s", fine, why)
		}
	}
	for _, bad := range []string{
		"<img src=x>", "<p style=x>", "<p class=x>", "<!-- x -->", "<!x>", "<?x>", "</ x>", "<!doctype html>", "<script>x</script>", "<style>x</style>",
		"<title>x</title>", "<textarea>x", "<svg>", "<math>", "<font color=white>x</font>", `<a href="javascript:x">`, `<a href="/x">`, `<a href="https://x y">`,
		`<a href="https://x" title="y">`, `<a href="https://x" href="https://y">`, "</p x>", "</x>", "a<p", "<a href='", "<head>x</head>", "<template>x</template>",
		strings.Repeat("<div>", 2000) + "hidden", "<p hidden>x</p>",
	} {
		if beyondShowing(bad) == "" {
			t.Errorf("%.40s can be shown as %q", bad, htmlText(bad))
		}
	}
}

// FuzzHTML: reading never fails, and of HTML that may be sent the text shows
// every word and every link.
func FuzzHTML(f *testing.F) {
	f.Add("<p>a <b>b</b></p><!-- c -->")
	f.Add(`<table><tr>x<td><a href="https://x.example">y</a></table>`)
	f.Add("<pre>\n x</pre><ul><li>a<li>b</ul></html>z")
	f.Fuzz(func(t *testing.T, source string) {
		text := htmlText(source)
		if !utf8.ValidString(source) || strings.IndexFunc(source, unicode.IsControl) >= 0 || beyondShowing(source) != "" {
			return
		}
		showsHTML(t, text, source)
	})
}

// showsHTML checks that text has every word and link of the HTML source.
func showsHTML(t *testing.T, text, source string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(source))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			for _, w := range strings.FieldsFunc(z.Token().Data, htmlSpace) {
				if !strings.Contains(text, strings.TrimSpace(w)) {
					t.Fatalf("%q lacks %q of %q", text, w, source)
				}
			}
		case html.StartTagToken:
			for _, a := range z.Token().Attr {
				target := a.Val
				for _, p := range linkPrefixes {
					if rest, ok := cutPrefixFold(target, p); ok {
						target = strings.TrimSuffix(rest, "/")
						break
					}
				}
				if !strings.Contains(text, target) {
					t.Fatalf("%q lacks the link %q of %q", text, a.Val, source)
				}
			}
		}
	}
}

func TestCharsets(t *testing.T) {
	for _, c := range []struct{ charset, data, want string }{
		{"utf-8", "grün", "grün"},
		{"", "grün", "grün"},
		{"iso-8859-1", "gr\xfcn", "grün"},
		{"iso-8859-1", "grün", "grün"}, // already turned by Gmail
		{"windows-1252", "\x8420 \x80\x93", "„20 €“"},
		{"iso-2022-jp", "\x1b$B8+\x1b(B", "見"},
		{"euc-kr", "\xb9\xce\xc1\xf6", "민지"},
		{"utf-16", "\xff\xfeg\x00r\x00", "gr"},
		{"no-such", "gr\xfcn", "gr\uFFFDn"},
		{"replacement", "gr\xfcn", "gr\uFFFDn"},
	} {
		if got := inUTF8([]byte(c.data), c.charset); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.charset, c.data, got, c.want)
		}
	}
	for in, want := range map[string]string{
		"=?iso-8859-1?q?gr=FCn?= x":          "grün x",
		"=?no-such?q?x?=":                    "=?no-such?q?x?=",
		"=?utf-8?q?a=0D=0ABcc:_c=E2=80=8B?=": "a Bcc: c",
		"a\r\n b":                            "a b",
	} {
		if got := shownHeader(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
		cut  bool
	}{{"abc", 3, "abc", false}, {"abc", 2, "ab", true}, {"aüb", 2, "a", true}, {"ü", 1, "", true}, {"", 0, "", false}} {
		if got, was := cut(c.in, c.max); got != c.want || was != c.cut {
			t.Errorf("%q to %d: %q %v", c.in, c.max, got, was)
		}
	}
	if !slices.Equal(references("<1@x> junk <2@x> <3@x>", "<2@x>"), []string{"<1@x>", "<3@x>", "<2@x>"}) {
		t.Error(references("<1@x> junk <2@x> <3@x>", "<2@x>"))
	}
	if got := references(strings.Repeat("<a@x> ", 30)+"<b@x>", "<z@x>"); len(got) != maxReferences || got[0] != "<a@x>" || got[maxReferences-1] != "<z@x>" {
		t.Error(got)
	}
}
