package slackfake

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const everything = all + ",mpim:read,im:write,mpim:write,channels:write,groups:write,files:read," +
	"search:read.public,search:read.private,search:read.im,search:read.mpim"

func (s *scene) search(token, query string, more ...string) answer {
	s.Helper()
	args := url.Values{"query": {query}}
	for i := 0; i < len(more); i += 2 {
		args.Set(more[i], more[i+1])
	}
	return s.post("assistant.search.context", token, args)
}

func hits(a map[string]any) []string {
	return list(a["results"].(map[string]any), "messages", "content")
}

func TestSearch(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(everything)
	const private = "public_channel,private_channel,im,mpim"
	for query, want := range map[string]int{"salary": 1, "78,000": 2, "acquisition": 0, "TEN minutes": 1, "salary in:<#" + Leadership + ">": 1,
		"salary in:<#" + Launch + ">": 0, "78,000 from:<@" + Mia + ">": 1} {
		if got := hits(s.must(s.search(token, query, "channel_types", private))); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	if got := hits(s.must(s.search(token, "salary"))); len(got) != 0 {
		t.Errorf("public is the default: %v", got)
	}
	s.must(s.post("chat.postMessage", token, url.Values{"channel": {General}, "text": {"zebra"}}))
	if n := len(hits(s.must(s.search(token, "zebra")))); n != 0 {
		t.Errorf("a bot's message came unasked")
	}
	r := s.must(s.search(token, "zebra", "include_bots", "true"))["results"].(map[string]any)["messages"].([]any)[0].(map[string]any)
	if r["is_author_bot"] != true || r["channel_id"] != General || r["channel_name"] != "general" || r["author_user_id"] != Anna || r["content"] != "zebra" {
		t.Errorf("a hit: %v", r)
	}
	var got []string
	cursor := ""
	for range 20 {
		r := s.must(s.search(token, "the", "limit", "3", "cursor", cursor))
		got = append(got, hits(r)...)
		if cursor = r["response_metadata"].(map[string]any)["next_cursor"].(string); cursor == "" {
			break
		}
	}
	if whole := hits(s.must(s.search(token, "the"))); !slices.Equal(got, whole) || len(whole) < 4 {
		t.Errorf("pages %v, whole %v", got, whole)
	}
	s.refused(s.search(token, ""), "missing_query")
	s.refused(s.search(token, "x", "channel_types", "secret"), "invalid_channel_types")
	s.refused(s.search(token, "x", "limit", "-1"), "invalid_limit")
	s.refused(s.search(token, "x", "cursor", "eA=="), "invalid_cursor")
}

func TestNewMethodsTakeTheirScopes(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect("search:read.public,channels:write,im:write")
	for _, c := range []struct{ method, args, needed string }{
		{"assistant.search.context", "query=x&channel_types=private_channel", "search:read.private"},
		{"assistant.search.context", "query=x&channel_types=im", "search:read.im"},
		{"conversations.create", "name=x&is_private=true", "groups:write"},
		{"conversations.open", "users=" + Bo + "," + Mia, "mpim:write"},
		{"files.info", "file=" + PressKit, "files:read"},
		{"chat.scheduleMessage", "channel=" + General, "chat:write"},
	} {
		args, _ := url.ParseQuery(c.args)
		a := s.post(c.method, token, args)
		s.refused(a, "missing_scope")
		if a.json["needed"] != c.needed {
			t.Errorf("%s: %v", c.method, a.json)
		}
	}
}

func TestFiles(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(everything)
	info := func(id string) answer { return s.get("files.info", token, url.Values{"file": {id}}) }
	r := s.must(info(Both))
	f := r["file"].(map[string]any)
	if !strings.HasPrefix(r["content"].(string), "# Plan") || fmt.Sprint(f["channels"], f["groups"]) != "["+General+"] ["+Leadership+"]" {
		t.Errorf("%v", r)
	}
	if r := s.must(info(Handbook)); r["content"] != nil || r["file"].(map[string]any)["preview"] == nil {
		t.Errorf("a canvas tells its text: %v", r)
	}
	s.refused(info(BoardFile), "file_not_found")
	if a, b := info(BoardFile), info("F0NOTHING1"); a.raw != b.raw {
		t.Errorf("%s, %s", a.raw, b.raw)
	}
	h := s.must(s.get("conversations.history", token, url.Values{"channel": {Launch}, "limit": {"1"}}))
	m := h["messages"].([]any)[0].(map[string]any)
	if m["files"].([]any)[0].(map[string]any)["id"] != PressKit || m["blocks"] == nil || m["client_msg_id"] == nil {
		t.Errorf("a message: %v", m)
	}
}

func TestOpenCreateSchedule(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(everything)
	open := func(users string) answer {
		return s.send("conversations.open", token, "application/json; charset=utf-8", `{"users":"`+users+`"}`)
	}
	id := func(a map[string]any) string { return a["channel"].(map[string]any)["id"].(string) }
	if r := s.must(open(Bo)); id(r) != DirectBo || r["already_open"] != true {
		t.Errorf("%v", r)
	}
	both := s.must(open(Bo + "," + Mia))
	if again := s.must(open(Mia + "," + Bo)); id(again) != id(both) || both["no_op"] != nil {
		t.Errorf("%v, %v", both, again)
	}
	if c := s.must(s.get("conversations.info", token, url.Values{"channel": {id(both)}}))["channel"].(map[string]any); c["is_mpim"] != true || c["is_private"] != true {
		t.Errorf("%v", c)
	}
	s.refused(open("U0NOBODY01"), "user_not_found")
	s.refused(open(Bot), "cannot_dm_bot")
	s.refused(open(""), "users_list_not_supplied")

	create := func(name string) answer { return s.post("conversations.create", token, url.Values{"name": {name}}) }
	if c := s.must(create("überblick-2"))["channel"].(map[string]any); c["is_member"] != true || c["is_private"] != false || c["name"] != "überblick-2" {
		t.Errorf("%v", c)
	}
	for name, word := range map[string]string{"": "invalid_name_required", "Big": "invalid_name_specials", "a b": "invalid_name_specials",
		"launch": "name_taken", "board": "name_taken", strings.Repeat("x", 81): "invalid_name_maxlength"} {
		s.refused(create(name), word)
	}

	at := s.clock.Now().Add(time.Hour).Unix()
	later := func(at any, channel string) answer {
		return s.send("chat.scheduleMessage", token, "application/json; charset=utf-8", fmt.Sprintf(`{"channel":%q,"text":"x","post_at":%v}`, channel, at))
	}
	if r := s.must(later(at, General)); r["channel"] != General || r["post_at"] != float64(at) || !strings.HasPrefix(r["scheduled_message_id"].(string), "Q") {
		t.Errorf("%v", r)
	}
	s.refused(later(at-7200, General), "time_in_past")
	s.refused(later(at+121*86400, General), "time_too_far")
	s.refused(later(`"soon"`, General), "invalid_time")
	s.refused(later(at, Board), "channel_not_found")
	if len(s.Posted()) != 0 {
		t.Error("a scheduled message was posted")
	}
}

// A success may come with a warning; too many calls are a 429.
func TestWarningsAndLimits(t *testing.T) {
	s := newScene(t, Config{PerMinute: 3})
	token, _ := s.connect(everything)
	a := s.send("chat.postMessage", token, "application/json", `{"channel":"`+General+`","text":"x"}`)
	if r := s.must(a); r["warning"] != "missing_charset" || r["ts"] == nil {
		t.Errorf("%v", r)
	}
	a = s.send("users.list", token, "application/x-www-form-urlencoded; charset=utf-8", "limit=1")
	if r := s.must(a); r["warning"] != "superfluous_charset" || r["response_metadata"].(map[string]any)["next_cursor"] == "" {
		t.Errorf("%v", r)
	}
	if a := s.send("chat.postMessage", token, "application/json", `{"channel":"C0NOTHING1","text":"x"}`); a.json["warning"] != nil {
		t.Errorf("a refusal with a warning: %v", a.json)
	}
	for i := range 5 {
		a := s.get("users.info", token, url.Values{"user": {Bo}})
		if fast := i >= 3; fast != (a.status == 429) || fast && (a.header.Get("Retry-After") == "" || a.json["error"] != "ratelimited") {
			t.Errorf("call %d: %d %v", i, a.status, a.json)
		}
	}
	s.clock.advance(time.Minute)
	s.must(s.get("users.info", token, url.Values{"user": {Bo}}))
}
