package slack

import (
	"encoding/json"
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

// samples are a body of each kind, with all its fields.
func samples(t testing.TB) map[string]approvals.Request {
	t.Helper()
	blocks := `[{"type":"header","text":{"type":"plain_text","text":"Heads & tails"}},{"type":"divider"},` +
		`{"type":"section","text":{"type":"mrkdwn","text":"see <https://evil.example|bank.example> & <!here>"}},` +
		`{"type":"section","fields":[{"type":"plain_text","text":"left"},{"type":"mrkdwn","text":"*right*"}]},` +
		`{"type":"context","elements":[{"type":"mrkdwn","text":"small <@U0BO000001>"}]}]`
	all := content{Message: "the <!channel> words", Mrkdwn: true, Blocks: blocks}
	post, err := sendInput{ChannelID: "C0LAUNCH01", content: all, ThreadTS: "1795233600.000500", Broadcast: true}.post()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := sendInput{ChannelID: "D0BO000001", content: content{Message: "<!channel> &amp; \"quoted\"\n\tü\u2028"}}.post()
	if err != nil {
		t.Fatal(err)
	}
	later := post
	later.PostAt = 1796115600
	update1 := update{"C0LAUNCH01", "1.2", post.said}
	return map[string]approvals.Request{
		"post":     request(postPath, posting{post}),
		"plain":    request(postPath, posting{plain}),
		"schedule": request(schedulePath, scheduling{later}),
		"update":   request(updatePath, update1),
		"delete":   request(deletePath, deletion{"C0LAUNCH01", "1.2"}),
		"react":    request(reactPath, reaction{"C0LAUNCH01", "wave::skin-tone-2", "1.2"}),
		"open":     request(openPath, opening{"U0BO000001,U0MIA00001"}),
		"create":   request(createPath, creation{"ångström-2", true}),
	}
}

func FuzzRender(f *testing.F) {
	for _, r := range samples(f) {
		f.Add(r.Path, r.Body)
	}
	f.Add(postPath, []byte(`{"channel":"C0LAUNCH01","unfurl_links":false,"unfurl_media":false,"text":"<!channel>","parse":"none","link_names":false}`))
	f.Add(postPath, []byte(`{"channel":"C0LAUNCH01","unfurl_links":true,"unfurl_media":false,"text":"a","parse":"full","link_names":true}`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		r := request(path, nil)
		r.Body = body
		first, err := render(me, r)
		if err != nil {
			return
		}
		again, err := render(me, r)
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Errorf("%q renders as %v, then as %v, %v", body, first, again, err)
		}
		// Every word of the bytes is before the person who reads.
		var all map[string]any
		if json.Unmarshal(body, &all) != nil || all["parse"] != nil && all["parse"] != "none" || all["link_names"] == true ||
			all["unfurl_links"] == true || all["unfurl_media"] == true {
			t.Errorf("%q was accepted", body)
		}
		shown := first.Text()
		for name, v := range all {
			text, ok := v.(string)
			switch {
			case name == "text":
				if !strings.Contains(shown, readable(text, nil)) {
					t.Errorf("%q is not in %q", text, shown)
				}
				for _, p := range pieces(text) {
					if strings.HasPrefix(p.ref, "!") && !strings.Contains(shown, "It notifies") {
						t.Errorf("nothing says that %q notifies: %q", text, shown)
					}
				}
			case ok && name != "parse" && name != "users" && !strings.Contains(shown, text):
				t.Errorf("%s %q is not in %q", name, text, shown)
			}
		}
	})
}

// What an agent did not ask to be markup is none, and what it did is one of a
// few forms that are shown for what they are.
func FuzzCompose(f *testing.F) {
	for _, s := range []string{"", "a & b", "&amp;lt;", "<!here> <@U0BO000001>", "<https://a.example/?x=1&y=2|b & c>", "<<!here>", "<!date^1^x|y>", "<javascript:x|y>", "<https://a|b\n>", "\xff<"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if plain := compose(s, false); strings.ContainsAny(plain, "<>") || compose(plain, true) != plain {
			t.Errorf("%q became %q", s, plain)
		}
		marked := compose(s, true)
		if compose(marked, true) != marked {
			t.Errorf("%q became %q, which is not what it composes to", s, marked)
		}
		refs := 0
		for _, p := range pieces(marked) {
			if p.ref != "" && !outgoing.MatchString(p.ref) {
				t.Errorf("%q has %q in it", marked, p.ref)
			}
			if p.ref != "" {
				refs++
			}
		}
		if n := strings.Count(marked, "<"); n != refs || strings.Count(marked, ">") != refs {
			t.Errorf("%q has %d references and %d brackets", marked, refs, n)
		}
		shown := readable(marked, nil)
		for _, p := range pieces(marked) {
			if target, _, _ := strings.Cut(p.ref, "|"); strings.Contains(target, ":") && !strings.Contains(shown, unescape(target)) {
				t.Errorf("%q hides %q: %q", marked, target, shown)
			}
		}
	})
}

// What a provider sends can have any form; no handler falls over it.
func FuzzWire(f *testing.F) {
	f.Add([]byte(`{"ok":true,"channel":"C0A","ts":"1.2","message":{"text":"x","thread_ts":"1.1"}}`))
	f.Add([]byte(`{"ok":true,"channel":{"id":"D0A"},"scheduled_message_id":"Q0A","post_at":1}`))
	f.Add([]byte(`{"ok":true,"messages":[{"ts":"1.2","user":"U0A","text":"<@U0A>","files":[{"id":"F0A"}],"reactions":[{"name":"x"}],"attachments":[{}]}]}`))
	f.Add([]byte(`{"ok":true,"user":{"id":"U0A","profile":{"display_name":"a\nb"}},"file":{"id":"F0A","channels":["C0A",""]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = decodeDone(me, body)
		if p, err := decodePosted(me, body); err == nil && (!channelID.MatchString(p.ChannelID) || !messageTS.MatchString(p.MessageTS)) {
			t.Errorf("%q: %+v", body, p)
		}
		if s, err := decodeScheduled(me, body); err == nil && !channelID.MatchString(s.ChannelID) {
			t.Errorf("%q: %+v", body, s)
		}
		if o, err := decodeOpened(me, body); err == nil && o.Object().Type() != "slack_channel" {
			t.Errorf("%q: %+v", body, o)
		}
		fault(200, body)
		var answer struct {
			Messages []wireMessage
			User     wireUser
			Channel  wireChannel
		}
		if json.Unmarshal(body, &answer) != nil {
			return
		}
		for _, w := range answer.Messages {
			m := messageOf(me, "C0A", w, nil)
			if m.own && w.User != "U0ANNA0001" {
				t.Errorf("%q is not anna's own", body)
			}
		}
		if u := userOf("T0HARBOR01", answer.User); strings.ContainsAny(u.Name+u.Title, "\n\r") {
			t.Errorf("%q has a name of two lines", body)
		}
		channelOf("T0HARBOR01", answer.Channel)
	})
}

// Nothing an agent can put into a message is missing from what the person
// reads.
func TestPreviewShowsEveryField(t *testing.T) {
	all := samples(t)
	for name, wants := range map[string][]string{
		"post": {"Channel: C0LAUNCH01", "Thread: 1795233600.000500", "Also to channel: yes", "Notification: the @channel words",
			"Heads & tails", "────", "bank.example (https://evil.example)", "left", "*right*", "small @U0BO000001",
			"It notifies everybody: @channel.", "It notifies everybody: @here.", "It notifies U0BO000001.", `shown as "bank.example" leads to https://evil.example`},
		"schedule": {"Posted at: Tuesday 2026-12-01 09:00:00 UTC (1796115600)", "Also to channel: yes"},
		"update":   {"Channel: C0LAUNCH01", "Message: 1.2", "Notification: the @channel words", "Heads & tails"},
		"delete":   {"Channel: C0LAUNCH01", "Message: 1.2"},
		"react":    {"Message: 1.2", "Emoji: :wave::skin-tone-2:"},
		"open":     {"Message with: U0BO000001, U0MIA00001"},
		"create":   {"New channel: #ångström-2", "Kind: private"},
	} {
		p, err := render(me, all[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, text := range wants {
			if !strings.Contains(p.Text(), text) {
				t.Errorf("%s: %q is missing from\n%s", name, text, p.Text())
			}
		}
		if len(p.Changes) == 0 {
			t.Errorf("%s changes nothing", name)
		}
	}
	p, _ := render(me, all["post"])
	if want := []authz.Object{"slack_channel:T0HARBOR01/C0LAUNCH01", "slack_message:T0HARBOR01/C0LAUNCH01/1795233600.000500"}; !reflect.DeepEqual(p.Changes, want) {
		t.Errorf("changes %v, want %v", p.Changes, want)
	}

	// A new field of a body needs a place in what is shown.
	for body, fields := range map[reflect.Type]int{
		reflect.TypeFor[post](): 7, reflect.TypeFor[said](): 4, reflect.TypeFor[update](): 3, reflect.TypeFor[deletion](): 2,
		reflect.TypeFor[reaction](): 3, reflect.TypeFor[opening](): 1, reflect.TypeFor[creation](): 2,
		reflect.TypeFor[block](): 4, reflect.TypeFor[boxText](): 3,
	} {
		if n := body.NumField(); n != fields {
			t.Errorf("%v has %d fields, %d are shown", body, n, fields)
		}
	}
}

// Only the one form in which deputy sends is shown at all.
func TestRenderRefuses(t *testing.T) {
	p, err := sendInput{ChannelID: "C0LAUNCH01", content: content{Message: "a"}, ThreadTS: "1.2"}.post()
	if err != nil {
		t.Fatal(err)
	}
	good := request(postPath, p)
	if _, err := render(me, good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*approvals.Request){
		"method":       func(r *approvals.Request) { r.Method = "GET" },
		"path":         func(r *approvals.Request) { r.Path = deletePath },
		"other path":   func(r *approvals.Request) { r.Path = "/chat.meMessage" },
		"query":        func(r *approvals.Request) { r.Path += "?channel=C0RANDOM01" },
		"content type": func(r *approvals.Request) { r.ContentType = "application/x-www-form-urlencoded" },
		"no body":      func(r *approvals.Request) { r.Body = nil },
		"trailing":     func(r *approvals.Request) { r.Body = append(r.Body, ' ') },
		"second value": func(r *approvals.Request) { r.Body = append(r.Body, "{}"...) },
		"not utf-8":    swap(`"a"`, "\"a\xff\""),
		"unknown":      swap(`{"channel"`, `{"attachments":"[]","channel"`),
		"repeated":     swap(`{"channel"`, `{"channel":"C0RANDOM01","channel"`),
		"other case":   swap(`"text"`, `"TEXT"`),
		"other order":  swap(`"unfurl_links":false,"unfurl_media":false`, `"unfurl_media":false,"unfurl_links":false`),
		"unfurls":      swap(`"unfurl_links":false`, `"unfurl_links":true`),
		"media":        swap(`"unfurl_media":false`, `"unfurl_media":true`),
		"parses":       swap(`"none"`, `"full"`),
		"links names":  swap(`"link_names":false`, `"link_names":true`),
		"odd markup":   swap(`"a"`, `"<!date^1^x|y>"`),
		"script":       swap(`"a"`, `"<javascript:x|y>"`),
		"half escaped": swap(`"a"`, `"a & b"`),
		"escaped JSON": swap(`"a"`, `"\u0061"`),
		"no text":      swap(`"a"`, `""`),
		"control":      swap(`"a"`, `"\u0008"`),
		"no blocks":    swap(`"a",`, `"a","blocks":[],`),
		"a button":     swap(`"a",`, `"a","blocks":[{"type":"actions"}],`),
		"live block":   swap(`"a",`, `"a","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"x"}}],`),
		"at a time":    swap(`"thread_ts"`, `"post_at":1,"thread_ts"`),
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
	if _, err := (content{Message: long}).said(); err != nil {
		t.Error(err)
	}
	for _, text := range []string{long + "ü", strings.Repeat("<", maxText/4+1)} {
		_, err := content{Message: text}.said()
		if err == nil || !strings.HasPrefix(err.Error(), "message: ") {
			t.Errorf("%d characters: %v", len(text), err)
		}
	}
	for blocks, why := range map[string]string{
		`x`:                       "JSON array",
		`[]`:                      "empty",
		`[{"type":"divider"}] []`: "after the array",
		`[{"type":"divider"}` + strings.Repeat(`,{"type":"divider"}`, maxBlocks) + `]`:                       "more than 50",
		`[{"type":"section","text":{"type":"mrkdwn","text":"x"},"accessory":{"type":"button"}}]`:             "nothing else",
		`[{"type":"actions","elements":[]}]`:                                                                 "block 1: must be",
		`[{"type":"image"}]`:                                                                                 "block 1: must be",
		`[{"type":"divider"},{"type":"section"}]`:                                                            "block 2: must be",
		`[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]`:                                            "plain_text",
		`[{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", maxHeader+1) + `"}}]`: "longer than 150",
		`[{"type":"section","text":{"type":"html","text":"x"}}]`:                                             "of type",
		`[{"type":"section","text":{"type":"mrkdwn","text":" "}}]`:                                           "is empty",
		`[{"type":"section","text":{"type":"plain_text","text":"a\u0007"}}]`:                                 "U+0007",
		`[{"type":"context","elements":[null]}]`:                                                             "of type",
	} {
		if _, err := (content{Message: "m", Blocks: blocks}).said(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", blocks, err, why)
		}
	}
}

func TestDecode(t *testing.T) {
	got, err := decodePosted(me, []byte(`{"ok":true,"warning":"missing_charset","channel":"C0A","ts":"1.2","message":{"text":"x","thread_ts":"1.1"}}`))
	if want := (Posted{ChannelID: "C0A", MessageTS: "1.2", ThreadTS: "1.1", team: "T0HARBOR01"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"channel":"C0A"}`, `{"channel":"see here","ts":"1.2"}`, `{"channel":"C0A","ts":"now"}`,
		`{"channel":"C0A","ts":"1.2","message":{"thread_ts":"x"}}`} {
		if got, err := decodePosted(me, []byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, got)
		}
		if got, err := decodeScheduled(me, []byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, got)
		}
		if got, err := decodeOpened(me, []byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, got)
		}
		if got, err := decodeDone(me, []byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, got)
		}
	}
	for answer, kind := range map[string]string{
		`{"channel":{"id":"D0A"}}`:                              "im",
		`{"channel":{"id":"G0A"}}`:                              "mpim",
		`{"channel":{"id":"C0A","name":"x"}}`:                   "",
		`{"channel":{"id":"C0A","name":"x","is_private":true}}`: "private_channel",
	} {
		if o, err := decodeOpened(me, []byte(answer)); err != nil || o.kind != kind {
			t.Errorf("%s: %+v, %v", answer, o, err)
		}
	}
}

func TestChanges(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"one", "two", "Old text=one"},
		{"a\nb\nc", "a\nc\nd", "Line removed=b|Line added=d"},
		{"a\nb", "a\nb", ""},
		{"x\nsame\ny", "same", "Line removed=x|Line removed=y"},
		{strings.Repeat("x\n", maxChanges), "y", "Old text=" + strings.Repeat("x\n", maxChanges)},
	} {
		var got []string
		for _, f := range changes(c.before, c.after) {
			got = append(got, f.Name+"="+f.Value)
		}
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%q to %q: %q, want %q", c.before, c.after, s, c.want)
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
	if len(p.Writes) != len(bodies) {
		t.Errorf("writes: %v", p.Writes)
	}
	for _, w := range p.Writes {
		if _, path, _ := strings.Cut(w, " "); bodies[path] == nil {
			t.Errorf("nothing reads %s back", w)
		}
	}
}
