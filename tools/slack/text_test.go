package slack

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"deputy/approvals"
	"deputy/authz"
	"deputy/vault"
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

const me = "T0HARBOR01/U0ANNA0001"

func FuzzRender(f *testing.F) {
	for _, in := range []sendInput{
		{ChannelID: "C0LAUNCH01", Message: "hi"},
		{ChannelID: "D0BO000001", Message: "<!channel> &amp; \"quoted\"\n\tü\u2028", ThreadTS: "1.2", Broadcast: true},
	} {
		f.Add(in.request().Body)
	}
	f.Add([]byte(`{"channel":"C0LAUNCH01","text":"<!channel>","unfurl_links":false,"unfurl_media":false,"parse":"none","link_names":false}`))
	f.Add([]byte(`{"channel":"C0LAUNCH01","text":"a","unfurl_links":true,"unfurl_media":false,"parse":"full","link_names":true}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := sendInput{}.request()
		r.Body = body
		first, err := render(me, r)
		if err != nil {
			return
		}
		again, err := render(me, r)
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Errorf("%q renders as %v, then as %v, %v", body, first, again, err)
		}
		// What a person reads is all there is: the same bytes come of it.
		in := sendInput{Message: first.Body}
		for _, f := range first.Fields {
			switch f.Name {
			case "Channel":
				in.ChannelID = f.Value
			case "Thread":
				in.ThreadTS = f.Value
			case "Also to channel":
				in.Broadcast = f.Value == "yes"
			}
		}
		if got := in.request().Body; string(got) != string(body) {
			t.Errorf("%q was shown as %v, which is %q", body, first, got)
		}
		var p post
		if json.Unmarshal(body, &p) != nil || strings.ContainsAny(p.Text, "<>") || p.Parse != "none" || p.LinkNames || p.UnfurlLinks || p.UnfurlMedia {
			t.Errorf("%q was accepted", body)
		}
	})
}

// Nothing an agent can put into a message is missing from what the person
// reads.
func TestPreviewShowsEveryField(t *testing.T) {
	in := sendInput{}
	v := reflect.ValueOf(&in).Elem()
	want := map[string]string{"ChannelID": "C0LAUNCH01", "Message": "the words", "ThreadTS": "1795233600.000500", "Broadcast": "Also to channel: yes"}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		text, ok := want[name]
		if !ok {
			t.Fatalf("there is a new field %s: how does the preview show it?", name)
		}
		if f := v.Field(i); f.Kind() == reflect.Bool {
			f.SetBool(true)
		} else {
			f.SetString(text)
		}
	}
	p, err := render(me, in.request())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if !strings.Contains(p.Text(), text) {
			t.Errorf("%s is missing from\n%s", name, p.Text())
		}
	}
	if want := []authz.Object{"slack_channel:T0HARBOR01/C0LAUNCH01"}; !reflect.DeepEqual(p.Changes, want) {
		t.Errorf("changes %v, want %v", p.Changes, want)
	}
}

// Only the one form in which deputy sends is shown at all.
func TestRenderRefuses(t *testing.T) {
	good := sendInput{ChannelID: "C0LAUNCH01", Message: "a", ThreadTS: "1.2"}.request()
	if _, err := render(me, good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*approvals.Request){
		"method":       func(r *approvals.Request) { r.Method = "GET" },
		"path":         func(r *approvals.Request) { r.Path = "/chat.delete" },
		"query":        func(r *approvals.Request) { r.Path += "?channel=C0RANDOM01" },
		"content type": func(r *approvals.Request) { r.ContentType = "application/x-www-form-urlencoded" },
		"no body":      func(r *approvals.Request) { r.Body = nil },
		"trailing":     func(r *approvals.Request) { r.Body = append(r.Body, ' ') },
		"second value": func(r *approvals.Request) { r.Body = append(r.Body, "{}"...) },
		"not utf-8":    swap(`"a"`, "\"a\xff\""),
		"unknown":      swap(`{"channel"`, `{"blocks":"[]","channel"`),
		"repeated":     swap(`{"channel"`, `{"channel":"C0RANDOM01","channel"`),
		"other case":   swap(`"text"`, `"TEXT"`),
		"other order":  swap(`"unfurl_links":false,"unfurl_media":false`, `"unfurl_media":false,"unfurl_links":false`),
		"unfurls":      swap(`"unfurl_links":false`, `"unfurl_links":true`),
		"media":        swap(`"unfurl_media":false`, `"unfurl_media":true`),
		"parses":       swap(`"none"`, `"full"`),
		"links names":  swap(`"link_names":false`, `"link_names":true`),
		"live markup":  swap(`"a"`, `"<!channel>"`),
		"half escaped": swap(`"a"`, `"a & b"`),
		"escaped JSON": swap(`"a"`, `"\u0061"`),
		"no text":      swap(`"a"`, `""`),
		"control":      swap(`"a"`, `"\u0008"`),
		"a name":       swap(`C0LAUNCH01`, `#launch`),
		"a user":       swap(`C0LAUNCH01`, `U0BO000001`),
		"no thread":    swap(`"1.2"`, `"1.2; 3"`),
		"broadcast":    swap(`"thread_ts":"1.2"`, `"reply_broadcast":true`),
	} {
		r := good
		r.Body = append([]byte(nil), good.Body...)
		change(&r)
		if p, err := render(me, r); err == nil {
			t.Errorf("%s: shown as %v", name, p)
		}
	}
	for _, account := range []string{"", "T0HARBOR01", "T0HARBOR01/", "/U0ANNA0001"} {
		if _, err := render(account, good); err == nil {
			t.Errorf("account %q passed", account)
		}
	}
}

func swap(from, to string) func(*approvals.Request) {
	return func(r *approvals.Request) { r.Body = []byte(strings.Replace(string(r.Body), from, to, 1)) }
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("ü", maxText)
	if err := (sendInput{ChannelID: "C0LAUNCH01", Message: long}).check(); err != nil {
		t.Error(err)
	}
	for _, text := range []string{long + "ü", strings.Repeat("<", maxText/4+1)} {
		err := sendInput{ChannelID: "C0LAUNCH01", Message: text}.check()
		if err == nil || !strings.HasPrefix(err.Error(), "message: ") {
			t.Errorf("%d characters: %v", len(text), err)
		}
	}
}

func TestDecodePosted(t *testing.T) {
	got, err := decodePosted(me, []byte(`{"ok":true,"channel":"C0A","ts":"1.2","message":{"text":"x","thread_ts":"1.1"}}`))
	if want := (Posted{ChannelID: "C0A", MessageTS: "1.2", ThreadTS: "1.1", team: "T0HARBOR01"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"channel":"C0A"}`, `{"channel":"see here","ts":"1.2"}`, `{"channel":"C0A","ts":"now"}`,
		`{"channel":"C0A","ts":"1.2","message":{"thread_ts":"x"}}`} {
		if got, err := decodePosted(me, []byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, got)
		}
	}
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

// The declaration names the requests that are made, and no more.
func TestDeclaration(t *testing.T) {
	p := Provider()
	if p.OAuth.PKCE || p.OAuth.ScopeParam != "user_scope" || p.OAuth.Shape != vault.SlackV2User || !p.PostReads {
		t.Errorf("%+v", p.Provider)
	}
	if got := fmt.Sprint(p.Writes); got != "[POST "+postPath+"]" {
		t.Errorf("writes: %s", got)
	}
}
