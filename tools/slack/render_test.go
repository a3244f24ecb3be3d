package slack

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"deputy/approvals"
	"deputy/authz"
	"deputy/vault"
)

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
	edit := update{"C0LAUNCH01", "1.2", post.said}
	return map[string]approvals.Request{
		"post":     request(postPath, posting{post}),
		"plain":    request(postPath, posting{plain}),
		"schedule": request(schedulePath, scheduling{later}),
		"update":   request(updatePath, edit),
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
	if want := []authz.Object{"slack_channel:T0HARBOR01/C0LAUNCH01"}; !reflect.DeepEqual(p.Changes, want) {
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
