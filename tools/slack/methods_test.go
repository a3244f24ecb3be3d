package slack

import (
	"encoding/json"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/tools"
	"deputy/tools/toolstest"
)

// entry is a method of Slack's as testdata/methods.json has it: what we send
// and what we read. internal/thirdparty/slack.mjs holds the same file against
// the types of Slack's own SDK; those it does not have yet are marked newer.
type entry struct {
	Method    string
	Verb      string // what we use: reads are asked by POST too, so as not to be logged
	Scopes    []string
	Arguments []string
	Fields    []string
	Newer     bool
	Absent    []string // read with a type that methods share, and not answered by this one
}

func methods(t *testing.T) map[string]entry {
	t.Helper()
	data, err := os.ReadFile("testdata/methods.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	out := map[string]entry{}
	for i, e := range all {
		if _, twice := out[e.Method]; twice || i > 0 && all[i-1].Method > e.Method {
			t.Errorf("%s stands in the wrong place", e.Method)
		}
		out[e.Method] = e
	}
	return out
}

// answers are the types that methods' answers are read into.
var answers = map[string]reflect.Type{
	"assistant.search.context": reflect.TypeFor[searchAnswer](),
	"chat.delete":              reflect.TypeFor[changedAnswer](),
	"chat.postMessage":         reflect.TypeFor[postedAnswer](),
	"chat.scheduleMessage":     reflect.TypeFor[scheduledAnswer](),
	"chat.update":              reflect.TypeFor[changedAnswer](),
	"conversations.create":     reflect.TypeFor[openedAnswer](),
	"conversations.history":    reflect.TypeFor[messagesAnswer](),
	"conversations.info":       reflect.TypeFor[channelAnswer](),
	"conversations.list":       reflect.TypeFor[channelsAnswer](),
	"conversations.members":    reflect.TypeFor[membersAnswer](),
	"conversations.open":       reflect.TypeFor[openedAnswer](),
	"conversations.replies":    reflect.TypeFor[messagesAnswer](),
	"files.info":               reflect.TypeFor[fileAnswer](),
	"reactions.add":            reflect.TypeFor[doneAnswer](),
	"users.info":               reflect.TypeFor[userAnswer](),
	"users.list":               reflect.TypeFor[usersAnswer](),
}

// fieldsOf are the names of what a type reads: "messages[].reactions[].name".
func fieldsOf(t reflect.Type, prefix string) (out []string) {
	switch t.Kind() {
	case reflect.Pointer:
		return fieldsOf(t.Elem(), prefix)
	case reflect.Slice:
		return fieldsOf(t.Elem(), prefix+"[]")
	case reflect.Struct:
	default:
		return []string{prefix}
	}
	for f := range t.Fields() {
		name := strings.ToLower(f.Name)
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
			name = tag
		}
		switch {
		case f.Anonymous:
			name = prefix
		case prefix != "":
			name = prefix + "." + name
		}
		out = append(out, fieldsOf(f.Type, name)...)
	}
	return out
}

// Every method that is declared is in the list, and no other; every field that
// is read and every scope that is asked for is named there.
func TestMethodsAreListed(t *testing.T) {
	all := methods(t)
	p := Provider()
	declared := map[string]bool{}
	for _, pattern := range slices.Concat(p.Reads, p.Writes) {
		_, path, _ := strings.Cut(pattern, " ")
		declared[strings.TrimPrefix(path, "/")] = true
	}
	for name := range declared {
		if _, ok := all[name]; !ok {
			t.Errorf("%s is declared, and not listed", name)
		}
	}
	scopes := map[string]bool{}
	for name, e := range all {
		if !declared[name] || e.Verb != "POST" {
			t.Errorf("%s is listed, and not declared so", name)
		}
		for _, s := range e.Scopes {
			scopes[s] = true
		}
		if name == "auth.test" { // the vault reads it
			continue
		}
		if answers[name] == nil {
			t.Errorf("%s is read into nothing", name)
			continue
		}
		fields := slices.Sorted(slices.Values(fieldsOf(answers[name], "")))
		fields = slices.DeleteFunc(fields, func(f string) bool { return slices.Contains(e.Absent, f) })
		if got := slices.Compact(fields); !slices.Equal(got, e.Fields) {
			t.Errorf("%s reads\n%q, the list says\n%q", name, got, e.Fields)
		}
	}
	asked := map[string]bool{}
	for _, tool := range p.Tools {
		for _, s := range tool.Spec().Scopes {
			asked[s] = true
			if !scopes[s] {
				t.Errorf("%s asks for %s, which no method takes", tool.Spec().Name, s)
			}
		}
	}
	for s := range scopes {
		if !asked[s] {
			t.Errorf("no tool asks for %s", s)
		}
	}
}

// Every argument that goes out is in the list, and each of the list goes out.
func TestArgumentsAreListed(t *testing.T) {
	all := methods(t)
	f := newFake()
	w := toolstest.New(t, Provider(), adapt(f))
	anna := w.Caller("anna", "claude")
	if _, err := w.Connect(anna); err != nil {
		t.Fatal(err)
	}
	const section = `"[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"text\":\"x\"}}]"`
	for _, call := range [][2]string{
		{"slack_search_channels", `{"query":"launch"}`},
		{"slack_search_users", `{"query":"bo"}`},
		{"slack_search_public", `{"query":"the","after":"1700000000","before":"1800000000","sort":"timestamp","limit":1}`},
		{"slack_read_channel", `{"channel_id":"C0LAUNCH01","oldest":"1","latest":"1800000000","limit":1}`},
		{"slack_read_thread", `{"channel_id":"C0LAUNCH01","message_ts":"1795233600.000500","limit":1}`},
		{"slack_list_channel_members", `{"channel_id":"C0LAUNCH01","limit":1}`},
		{"slack_read_file", `{"file_id":"F0PRESSKIT"}`},
		{"slack_send_message", `{"channel_id":"D0BO000001","message":"x","blocks":` + section + `}`},
		{"slack_send_message", `{"channel_id":"C0LAUNCH01","message":"x","thread_ts":"1795233600.000500","reply_broadcast":true}`},
		{"slack_schedule_message", `{"channel_id":"C0LAUNCH01","message":"x","thread_ts":"1795233600.000500","reply_broadcast":true,"post_at":"2026-12-01T09:00:00Z","blocks":` + section + `}`},
		{"slack_update_message", `{"channel_id":"D0BO000001","message_ts":"1795320000.003100","message":"x"}`},
		{"slack_add_reaction", `{"channel_id":"D0BO000001","message_ts":"1795320000.003100","emoji":"eyes"}`},
		{"slack_delete_message", `{"channel_id":"D0BO000001","message_ts":"1795320000.003100"}`},
		{"slack_create_conversation", `{"channel_name":"x"}`},
		{"slack_create_conversation", `{"user_ids":["U0BO000001"]}`},
	} {
		out := w.Call(anna, call[0], call[1])
		if n, ok := out.(tools.NeedsApproval); ok {
			if _, err := w.Ledger.Decide(t.Context(), n.Item.ID, anna, approvals.Decision{Approve: true, Channel: "page"}); err != nil {
				t.Fatal(err)
			}
			out = w.Guard.Wait(t.Context(), anna, n.Item.ID, 10*time.Second)
		}
		if _, ok := out.(tools.Answer); !ok {
			t.Fatalf("%s %s: %s", call[0], call[1], out.Structured())
		}
		if strings.Contains(string(out.Structured()), "next_cursor") {
			w.Call(anna, call[0], strings.TrimSuffix(call[1], "}")+`,"cursor":"`+next(t, out)+`"}`)
		}
	}
	// A list of channels is continued where there are more than a page of them.
	sent := map[string]map[string]bool{"conversations.list": {"cursor": true}, "users.list": {"cursor": true}}
	for _, c := range f.Calls() {
		name := strings.TrimPrefix(c.Path, "/api/")
		if sent[name] == nil {
			sent[name] = map[string]bool{}
		}
		var body map[string]json.RawMessage
		if json.Unmarshal(c.Body, &body) == nil {
			for k := range body {
				sent[name][k] = true
			}
			continue
		}
		form, _ := url.ParseQuery(string(c.Body))
		for k := range form {
			sent[name][k] = true
		}
	}
	for name, e := range all {
		got := []string{}
		for k := range sent[name] {
			got = append(got, k)
		}
		slices.Sort(got)
		if !slices.Equal(got, e.Arguments) {
			t.Errorf("%s is sent %q, the list says %q", name, got, e.Arguments)
		}
	}
}
