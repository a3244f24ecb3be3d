package slackfake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	callback = "http://127.0.0.1:7777/callback"
	all      = "channels:read,groups:read,im:read,channels:history,groups:history,im:history,chat:write,reactions:write,users:read"
)

// scene is a fake, a server in front of it and a clock that only moves when told.
type scene struct {
	*testing.T
	*Fake
	url   string
	clock *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newScene(t *testing.T, cfg Config) *scene {
	c := &clock{now: time.Unix(1763900000, 0)}
	cfg.Now = c.Now
	f := New(cfg)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return &scene{T: t, Fake: f, url: srv.URL, clock: c}
}

// answer is what came back; json is nil if it was none, err is set if it broke off.
type answer struct {
	status int
	header http.Header
	raw    string
	json   map[string]any
	err    error
}

var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (s *scene) do(req *http.Request) answer {
	s.Helper()
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(body), err: err}
	json.Unmarshal(body, &a.json)
	return a
}

func (s *scene) must(a answer) map[string]any {
	s.Helper()
	if a.err != nil || a.status != 200 || a.json["ok"] != true {
		s.Fatalf("want ok, got %d %s %v", a.status, a.raw, a.err)
	}
	return a.json
}

func (s *scene) refused(a answer, word string) {
	s.Helper()
	if a.err != nil || a.status != 200 || a.json["ok"] != false || a.json["error"] != word {
		s.Errorf("want %s, got %d %v %v", word, a.status, a.json, a.err)
	}
}

func (s *scene) get(method, token string, args url.Values) answer {
	s.Helper()
	req, _ := http.NewRequest("GET", s.url+"/api/"+method+"?"+args.Encode(), nil)
	req.Header.Set("Authorization", "Bearer "+token)
	return s.do(req)
}

func (s *scene) post(method, token string, args url.Values) answer {
	s.Helper()
	return s.send(method, token, "application/x-www-form-urlencoded", args.Encode())
}

func (s *scene) send(method, token, kind, body string) answer {
	s.Helper()
	req, _ := http.NewRequest("POST", s.url+"/api/"+method, strings.NewReader(body))
	req.Header.Set("Content-Type", kind)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return s.do(req)
}

func (s *scene) authorize(path string, q url.Values) (int, *url.URL) {
	s.Helper()
	req, _ := http.NewRequest("GET", s.url+path+"?"+q.Encode(), nil)
	a := s.do(req)
	to, _ := url.Parse(a.header.Get("Location"))
	return a.status, to
}

func (s *scene) consent(path, scope, userScope string) (code string) {
	s.Helper()
	status, to := s.authorize(path, url.Values{
		"client_id": {DefaultClientID}, "redirect_uri": {callback}, "scope": {scope}, "user_scope": {userScope}, "state": {"s"},
	})
	if status != 302 || to.Query().Get("code") == "" || to.Query().Get("state") != "s" {
		s.Fatalf("consent: %d %s", status, to)
	}
	return to.Query().Get("code")
}

func (s *scene) token(path string, form url.Values) answer {
	s.Helper()
	for k, v := range map[string]string{"client_id": DefaultClientID, "client_secret": DefaultClientSecret} {
		if !form.Has(k) {
			form.Set(k, v)
		}
	}
	req, _ := http.NewRequest("POST", s.url+path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(req)
}

func (s *scene) exchange(path, code string) answer {
	s.Helper()
	return s.token(path, url.Values{"code": {code}, "redirect_uri": {callback}})
}

func (s *scene) refresh(token string) answer {
	s.Helper()
	return s.token("/api/oauth.v2.access", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// connect gets Anna's tokens.
func (s *scene) connect(scopes string) (access, refresh string) {
	s.Helper()
	u := s.must(s.exchange("/api/oauth.v2.access", s.consent("/oauth/v2/authorize", "", scopes)))["authed_user"].(map[string]any)
	refresh, _ = u["refresh_token"].(string)
	return u["access_token"].(string), refresh
}

func list(a map[string]any, key, field string) []string {
	var out []string
	for _, v := range a[key].([]any) {
		if m, isMap := v.(map[string]any); isMap {
			v = m[field]
		}
		out = append(out, v.(string))
	}
	return out
}

func TestWhereTheTokenMayStand(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(all)
	const form, js = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	s.must(s.send("auth.test", token, form, ""))
	s.must(s.send("auth.test", "", form, "token="+url.QueryEscape(token)))
	s.must(s.send("auth.test", token, js, "{}"))
	s.refused(s.send("auth.test", "", js, `{"token":"`+token+`"}`), "not_authed")
	s.refused(s.send("auth.test?token="+url.QueryEscape(token), "", form, ""), "not_authed")
	s.refused(s.send("auth.test", "xoxp-made-up", form, ""), "invalid_auth")
	s.refused(s.send("auth.test", token, "text/plain", "x"), "invalid_post_type")
	s.refused(s.send("auth.test", token, js, "{"), "invalid_json")
	s.refused(s.send("chat.nonsense", token, form, ""), "unknown_method")

	calls, writes := s.Calls(), s.Writes()
	if len(calls) != 9 || calls[5].Error != "invalid_auth" || calls[5].Status != 200 || calls[5].Path != "/api/auth.test" {
		t.Errorf("calls %v", calls)
	}
	// A method nobody knows is taken for a write.
	if len(writes) != 1 || writes[0].Path != "/api/chat.nonsense" || writes[0].Error != "unknown_method" {
		t.Errorf("writes %v", writes)
	}
	if a := s.get("users.list", token, nil); a.header.Get("X-OAuth-Scopes") == "" {
		t.Errorf("header %v", a.header)
	}
	if resp, err := http.Get(s.url + "/nothing"); err != nil || resp.StatusCode != 404 {
		t.Errorf("unknown page: %v %v", resp, err)
	}
}

func TestScopes(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect("channels:read,channels:history")
	for _, c := range []struct{ method, args, needed string }{
		{"conversations.list", "types=public_channel,private_channel", "groups:read"},
		{"conversations.list", "types=im", "im:read"},
		{"conversations.info", "channel=" + Leadership, "groups:read"},
		{"conversations.history", "channel=" + Leadership, "groups:history"},
		{"conversations.replies", "channel=" + DirectBo + "&ts=1", "im:history"},
		{"users.list", "", "users:read"},
		{"users.info", "user=" + Bo, "users:read"},
		{"team.info", "", "team:read"},
		{"chat.postMessage", "channel=" + General + "&text=x", "chat:write"},
		{"reactions.add", "channel=" + General, "reactions:write"},
	} {
		v, _ := url.ParseQuery(c.args)
		a := s.get(c.method, token, v)
		s.refused(a, "missing_scope")
		if a.json["needed"] != c.needed || a.json["provided"] != "channels:history,channels:read" {
			t.Errorf("%s: %v", c.method, a.json)
		}
	}
	if len(s.Posted()) != 0 || len(s.Writes()) != 2 {
		t.Errorf("posted %v, writes %v", s.Posted(), s.Writes())
	}
}

func TestPrivacy(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(all)
	r := s.must(s.get("conversations.list", token, url.Values{"types": {"public_channel,private_channel,im"}, "exclude_archived": {"true"}}))
	want := []string{General, Launch, Random, PartnersNorthwind, Lunch, Leadership, DirectBo}
	if got := list(r, "channels", "id"); !slices.Equal(got, want) {
		t.Errorf("list %v", got)
	}
	// What Anna is not in looks exactly like what is not there.
	for _, method := range []string{"conversations.info", "conversations.history", "conversations.members", "chat.postMessage"} {
		board := s.post(method, token, url.Values{"channel": {Board}, "text": {"x"}})
		none := s.post(method, token, url.Values{"channel": {"C0NOTHING1"}, "text": {"x"}})
		s.refused(board, "channel_not_found")
		if board.raw != none.raw {
			t.Errorf("%s tells: %s %s", method, board.raw, none.raw)
		}
	}
	info := s.must(s.get("conversations.info", token, url.Values{"channel": {PartnersNorthwind}}))["channel"].(map[string]any)
	if info["is_ext_shared"] != true || info["is_private"] != false || info["is_member"] != true || info["num_members"] != nil {
		t.Errorf("partners %v", info)
	}
	info = s.must(s.get("conversations.info", token, url.Values{"channel": {Leadership}, "include_num_members": {"1"}}))["channel"].(map[string]any)
	if info["is_private"] != true || info["is_ext_shared"] != false || info["num_members"] != 2.0 || info["topic"].(map[string]any)["value"] != "Confidential" {
		t.Errorf("leadership %v", info)
	}
	info = s.must(s.get("conversations.info", token, url.Values{"channel": {DirectBo}}))["channel"].(map[string]any)
	if info["is_im"] != true || info["user"] != Bo || info["name"] != nil {
		t.Errorf("direct %v", info)
	}
	// A public channel can be read from outside, but not written to.
	s.must(s.get("conversations.history", token, url.Values{"channel": {Lunch}}))
	s.refused(s.post("chat.postMessage", token, url.Values{"channel": {Lunch}, "text": {"x"}}), "not_in_channel")
}

func TestPaging(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(all)
	whole := list(s.must(s.get("conversations.history", token, url.Values{"channel": {Launch}})), "messages", "ts")
	if !slices.IsSortedFunc(whole, func(a, b string) int { return strings.Compare(b, a) }) || len(whole) != 5 {
		t.Errorf("history %v", whole)
	}
	args := url.Values{"channel": {Launch}, "limit": {"2"}}
	var paged []string
	for range 3 {
		r := s.must(s.get("conversations.history", token, args))
		paged = append(paged, list(r, "messages", "ts")...)
		if r["has_more"] == false {
			if r["response_metadata"] != nil {
				t.Errorf("last page %v", r)
			}
			break
		}
		args.Set("cursor", r["response_metadata"].(map[string]any)["next_cursor"].(string))
	}
	if !slices.Equal(paged, whole) {
		t.Errorf("paged %v, whole %v", paged, whole)
	}
	stray := url.Values{"channel": {General}, "cursor": args["cursor"]}
	s.refused(s.get("conversations.history", token, stray), "invalid_cursor")
	stray.Set("cursor", "nonsense")
	s.refused(s.get("conversations.history", token, stray), "invalid_cursor")
	s.refused(s.get("conversations.history", token, url.Values{"channel": {General}, "limit": {"-1"}}), "invalid_limit")
	s.refused(s.get("conversations.history", token, url.Values{"channel": {General}, "oldest": {"yesterday"}}), "invalid_ts_oldest")

	bounds := url.Values{"channel": {Launch}, "oldest": {whole[3]}, "latest": {whole[1]}}
	if got := list(s.must(s.get("conversations.history", token, bounds)), "messages", "ts"); !slices.Equal(got, whole[2:3]) {
		t.Errorf("between: %v", got)
	}
	bounds.Set("inclusive", "true")
	if got := list(s.must(s.get("conversations.history", token, bounds)), "messages", "ts"); !slices.Equal(got, whole[1:4]) {
		t.Errorf("inclusive: %v", got)
	}

	for _, c := range []struct{ method, key, field, args string }{
		{"conversations.list", "channels", "id", "types=public_channel,private_channel,im"},
		{"conversations.members", "members", "", "channel=" + Launch},
		{"users.list", "members", "id", ""},
	} {
		args, _ := url.ParseQuery(c.args)
		whole := list(s.must(s.get(c.method, token, args)), c.key, c.field)
		args.Set("limit", "2")
		var paged []string
		for cursor := "-"; cursor != ""; args.Set("cursor", cursor) {
			r := s.must(s.get(c.method, token, args))
			paged = append(paged, list(r, c.key, c.field)...)
			cursor = r["response_metadata"].(map[string]any)["next_cursor"].(string)
		}
		if !slices.Equal(paged, whole) || len(whole) < 3 {
			t.Errorf("%s: paged %v, whole %v", c.method, paged, whole)
		}
	}
}

func TestThread(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(all)
	ts := s.LaunchThread()
	r := s.must(s.get("conversations.replies", token, url.Values{"channel": {Launch}, "ts": {ts}}))
	messages := r["messages"].([]any)
	parent := messages[0].(map[string]any)
	if len(messages) != 6 || parent["ts"] != ts || parent["thread_ts"] != ts || parent["reply_count"] != 5.0 || parent["user"] != Bo {
		t.Errorf("%d messages, parent %v", len(messages), parent)
	}
	reply := messages[1].(map[string]any)
	if reply["thread_ts"] != ts || reply["parent_user_id"] != Bo || reply["reply_count"] != nil {
		t.Errorf("reply %v", reply)
	}
	again := s.must(s.get("conversations.replies", token, url.Values{"channel": {Launch}, "ts": {reply["ts"].(string)}, "limit": {"3"}}))
	if len(again["messages"].([]any)) != 3 || again["has_more"] != true {
		t.Errorf("by a reply's ts: %v", again)
	}
	s.refused(s.get("conversations.replies", token, url.Values{"channel": {Launch}, "ts": {"1.000000"}}), "thread_not_found")
	s.refused(s.get("conversations.replies", token, url.Values{"channel": {General}, "ts": {ts}}), "thread_not_found")

	post := url.Values{"channel": {Launch}, "text": {"one"}, "thread_ts": {ts}}
	s.must(s.post("chat.postMessage", token, post))
	post.Set("reply_broadcast", "true")
	s.must(s.post("chat.postMessage", token, post))
	post.Set("thread_ts", reply["ts"].(string))
	s.refused(s.post("chat.postMessage", token, post), "thread_not_found")

	newest := s.must(s.get("conversations.history", token, url.Values{"channel": {Launch}}))["messages"].([]any)
	if m := newest[0].(map[string]any); len(newest) != 6 || m["subtype"] != "thread_broadcast" || m["thread_ts"] != ts {
		t.Errorf("broadcast %v", m)
	}
	if p := s.Posted(); len(p) != 2 || p[0].ThreadTS != ts || p[1].TS <= p[0].TS {
		t.Errorf("posted %v", p)
	}
}

func TestPost(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(all)
	const text = "Go! <@U0BO000001> &amp; <https://x.example/?a=1&amp;b=2|link> \u2028 ü \"quoted\" @here\n"
	js, _ := json.Marshal(map[string]any{
		"channel": General, "text": text, "unfurl_links": false, "link_names": false, "parse": "none",
		"blocks": []any{map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": "<b>"}}},
	})
	r := s.must(s.send("chat.postMessage", token, "application/json; charset=utf-8", string(js)))
	m := r["message"].(map[string]any)
	if r["channel"] != General || r["ts"] != "1763900000.000100" || m["text"] != text || m["user"] != Anna || m["type"] != "message" || m["blocks"] == nil {
		t.Errorf("posted %v", r)
	}
	form := url.Values{"channel": {DirectBo}, "text": {text}}
	second := s.must(s.post("chat.postMessage", token, form))["ts"].(string)
	if second != "1763900000.000200" {
		t.Errorf("second ts %s", second)
	}
	p := s.Posted()
	if len(p) != 2 || string(p[0].Body) != string(js) || p[0].Text != text || string(p[1].Body) != form.Encode() ||
		p[1].Channel != DirectBo || p[1].TS != second || p[1].User != Anna {
		t.Errorf("record %+v", p)
	}
	h := s.must(s.get("conversations.history", token, url.Values{"channel": {DirectBo}, "limit": {"1"}}))
	if got := h["messages"].([]any)[0].(map[string]any); got["text"] != text || got["ts"] != second {
		t.Errorf("read back %v", got)
	}

	for word, args := range map[string]url.Values{
		"no_text":               {"channel": {General}},
		"msg_too_long":          {"channel": {General}, "text": {strings.Repeat("ü", 40001)}},
		"invalid_blocks_format": {"channel": {General}, "blocks": {"{"}},
		"invalid_blocks":        {"channel": {General}, "blocks": {`[{"text":"x"}]`}},
		"thread_not_found":      {"channel": {General}, "text": {"x"}, "thread_ts": {"1700000000.000001"}},
		"channel_not_found":     {"channel": {"#general"}, "text": {"x"}},
		"is_archived":           {"channel": {OldOffice}, "text": {"x"}},
	} {
		s.refused(s.post("chat.postMessage", token, args), word)
	}
	s.must(s.post("chat.postMessage", token, url.Values{"channel": {General}, "text": {strings.Repeat("ü", 40000)}}))
	if len(s.Posted()) != 3 || len(s.Writes()) != 10 {
		t.Errorf("%d posted, %d writes", len(s.Posted()), len(s.Writes()))
	}
}

func TestUpdateDeleteReact(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(all)
	ts := s.must(s.post("chat.postMessage", token, url.Values{"channel": {General}, "text": {"a"}}))["ts"].(string)
	own := url.Values{"channel": {General}, "ts": {ts}, "text": {"b"}}
	r := s.must(s.post("chat.update", token, own))
	if m := r["message"].(map[string]any); r["text"] != "b" || r["ts"] != ts || m["edited"].(map[string]any)["user"] != Anna {
		t.Errorf("update %v", r)
	}
	react := url.Values{"channel": {General}, "timestamp": {ts}, "name": {"tada"}}
	s.must(s.post("reactions.add", token, react))
	s.refused(s.post("reactions.add", token, react), "already_reacted")
	react.Set("name", "bad name")
	s.refused(s.post("reactions.add", token, react), "invalid_name")
	react = url.Values{"channel": {General}, "timestamp": {"1.0"}, "name": {"tada"}}
	s.refused(s.post("reactions.add", token, react), "message_not_found")
	h := s.must(s.get("conversations.history", token, url.Values{"channel": {General}, "limit": {"1"}}))
	m := h["messages"].([]any)[0].(map[string]any)
	if got := m["reactions"].([]any)[0].(map[string]any); got["name"] != "tada" || got["count"] != 1.0 {
		t.Errorf("reactions %v", m)
	}
	s.must(s.post("chat.postMessage", token, url.Values{"channel": {General}, "text": {"reply"}, "thread_ts": {ts}}))
	s.must(s.post("chat.delete", token, own))
	s.refused(s.post("chat.delete", token, own), "message_not_found")
	h = s.must(s.get("conversations.replies", token, url.Values{"channel": {General}, "ts": {ts}}))
	if m := h["messages"].([]any)[0].(map[string]any); m["subtype"] != "tombstone" || m["reply_count"] != 1.0 {
		t.Errorf("tombstone %v", m)
	}

	other := url.Values{"channel": {Launch}, "ts": {s.LaunchThread()}, "text": {"b"}}
	s.refused(s.post("chat.update", token, other), "cant_update_message")
	s.refused(s.post("chat.delete", token, other), "cant_delete_message")
	if p := s.Posted(); p[0].Text != "a" {
		t.Errorf("the record changed: %v", p)
	}
}

func TestPeople(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect("users:read,team:read")
	names := list(s.must(s.get("users.list", token, nil)), "members", "name")
	if !slices.Equal(names, []string{"anna", "bo", "mia", "pat", "deputy", "slackbot"}) {
		t.Errorf("names %v", names)
	}
	u := s.must(s.get("users.info", token, url.Values{"user": {Pat}}))["user"].(map[string]any)
	if u["team_id"] != PartnerTeam || u["profile"].(map[string]any)["email"] != nil {
		t.Errorf("pat %v", u)
	}
	s.refused(s.get("users.info", token, url.Values{"user": {"U1"}}), "user_not_found")
	if r := s.must(s.get("team.info", token, nil))["team"].(map[string]any); r["id"] != Team || r["name"] != "Harbor" {
		t.Errorf("team %v", r)
	}
}

func TestFaults(t *testing.T) {
	s := newScene(t, Config{})
	token, _ := s.connect(all)
	hello := url.Values{"channel": {General}, "text": {"hello"}}
	s.Inject(
		Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}}},
		Fault{Body: `{"ok":true,"chan`},
		Fault{Truncate: true},
		Fault{ApplyFirst: true},
		Fault{ApplyFirst: true, Status: 500},
		Fault{Delay: 10 * time.Millisecond},
	)
	if a := s.post("chat.postMessage", token, hello); a.status != 429 || a.header.Get("Retry-After") != "30" || a.json["error"] != "ratelimited" {
		t.Errorf("rate limit %+v", a)
	}
	if a := s.post("chat.postMessage", token, hello); a.status != 200 || a.err != nil || a.json != nil {
		t.Errorf("broken JSON %+v", a)
	}
	if a := s.get("users.list", token, nil); a.status != 200 || a.err == nil || a.json != nil || a.raw == "" {
		t.Errorf("truncated %+v", a)
	}
	if n := len(s.Posted()); n != 0 {
		t.Errorf("%d posted before any was applied", n)
	}
	if a := s.post("chat.postMessage", token, hello); a.err == nil {
		t.Errorf("dropped %+v", a)
	}
	if a := s.post("chat.postMessage", token, hello); a.status != 500 || a.json["error"] != "internal_error" {
		t.Errorf("lost reply %+v", a)
	}
	if n := len(s.Posted()); n != 2 {
		t.Errorf("%d posted, want both whose reply was lost", n)
	}
	start := time.Now()
	s.must(s.post("chat.postMessage", token, hello))
	if time.Since(start) < 10*time.Millisecond {
		t.Error("no delay")
	}
	s.must(s.post("chat.postMessage", token, hello))
	var statuses []string
	for _, c := range s.Writes() {
		statuses = append(statuses, fmt.Sprint(c.Status, c.Error))
	}
	if want := []string{"429ratelimited", "200", "0", "500internal_error", "200", "200"}; !slices.Equal(statuses, want) {
		t.Errorf("writes %v", statuses)
	}
}

func TestWorldIsTheSameEveryTime(t *testing.T) {
	one, two := newScene(t, Config{}), newScene(t, Config{})
	read := func(s *scene, ch string) string {
		token, _ := s.connect(all)
		a := s.get("conversations.history", token, url.Values{"channel": {ch}})
		s.must(a)
		return a.raw
	}
	for _, ch := range []string{General, Launch, Random, Leadership, PartnersNorthwind, DirectBo} {
		if a, b := read(one, ch), read(two, ch); a != b {
			t.Errorf("%s: %s\n%s", ch, a, b)
		}
	}
	for ch, part := range map[string]string{
		General:    `load &lt; 0.7 &amp; queue`,
		Random:     `NOTE TO AI ASSISTANTS`,
		Leadership: `salary`,
		Launch:     `"reply_count":5`,
	} {
		if got := read(one, ch); !strings.Contains(got, part) {
			t.Errorf("%s lacks %q: %s", ch, part, got)
		}
	}
	// No message of the demo world lies in the future or shares its time with another.
	seen := map[int64]bool{}
	for _, ch := range one.world.channels {
		for _, m := range ch.messages {
			if seen[m.ts] || m.ts > one.clock.Now().UnixMicro() || m.threadTS > m.ts || m.threadTS != 0 && ch.message(m.threadTS) == nil {
				t.Errorf("%s: message %s", ch.name, formatTS(m.ts))
			}
			seen[m.ts] = true
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	s := newScene(t, Config{})
	token, refresh := s.connect(all)
	var wg sync.WaitGroup
	won := make(chan bool, 8)
	for range 8 {
		wg.Go(func() {
			s.post("chat.postMessage", token, url.Values{"channel": {General}, "text": {"x"}})
			s.get("conversations.history", token, url.Values{"channel": {General}})
			s.Calls()
			s.Posted()
			won <- s.refresh(refresh).json["ok"] == true
			s.Inject()
			s.Tokens()
		})
	}
	wg.Wait()
	n := 0
	for range 8 {
		if <-won {
			n++
		}
	}
	if n != 1 {
		t.Errorf("one refresh token was taken %d times", n)
	}
}
