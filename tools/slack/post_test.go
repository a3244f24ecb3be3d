package slack

import (
	"encoding/json"
	"strings"
	"testing"
)

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
