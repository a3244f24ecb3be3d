package slackfake

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// method is one method of the Web API.
type method struct {
	// scopes opens the method: any one of them. Which one it takes for a given conversation, the
	// method finds out itself, after it made sure that the caller may know of the conversation.
	scopes []string
	writes bool
	serve  func(*Fake, *call) reply
}

var (
	readScopes    = []string{"channels:read", "groups:read", "mpim:read", "im:read"}
	historyScopes = []string{"channels:history", "groups:history", "mpim:history", "im:history"}
)

var methods = map[string]method{
	"auth.test":             {serve: (*Fake).authTest},
	"auth.revoke":           {serve: (*Fake).authRevoke, writes: true},
	"conversations.list":    {serve: (*Fake).conversationsList, scopes: readScopes},
	"conversations.info":    {serve: (*Fake).conversationsInfo, scopes: readScopes},
	"conversations.members": {serve: (*Fake).conversationsMembers, scopes: readScopes},
	"conversations.history": {serve: (*Fake).conversationsHistory, scopes: historyScopes},
	"conversations.replies": {serve: (*Fake).conversationsReplies, scopes: historyScopes},
	"users.list":            {serve: (*Fake).usersList, scopes: []string{"users:read"}},
	"users.info":            {serve: (*Fake).usersInfo, scopes: []string{"users:read"}},
	"files.info":            {serve: (*Fake).filesInfo, scopes: []string{"files:read"}},
	"conversations.open":    {serve: (*Fake).conversationsOpen, writes: true, scopes: []string{"im:write", "mpim:write"}},
	"conversations.create":  {serve: (*Fake).conversationsCreate, writes: true, scopes: []string{"channels:write", "groups:write"}},
	"chat.scheduleMessage":  {serve: (*Fake).chatScheduleMessage, writes: true, scopes: []string{"chat:write"}},
	"team.info":             {serve: (*Fake).teamInfo, scopes: []string{"team:read"}},
	"chat.postMessage":      {serve: (*Fake).chatPostMessage, writes: true, scopes: []string{"chat:write"}},
	"chat.update":           {serve: (*Fake).chatUpdate, writes: true, scopes: []string{"chat:write"}},
	"chat.delete":           {serve: (*Fake).chatDelete, writes: true, scopes: []string{"chat:write"}},

	"assistant.search.context": {serve: (*Fake).searchContext, scopes: []string{"search:read.public"}},

	"reactions.add": {serve: (*Fake).reactionsAdd, writes: true, scopes: []string{"reactions:write"}},
}

// call is one request to a method, understood.
type call struct {
	name  string // of the method
	token *token
	args  map[string]string // structured JSON arguments (blocks) as their JSON text
	body  []byte
}

// api serves /api/METHOD: the method's name first, then who asks, then what they may.
func (f *Fake) api(r *http.Request, body []byte) reply {
	c := &call{name: strings.TrimPrefix(r.URL.Path, "/api/"), body: body}
	m, known := methods[c.name]
	if !known {
		return jsonReply(object{"ok": false, "error": "unknown_method", "req_method": c.name})
	}
	var refused string
	if c.args, refused = arguments(r, body); refused != "" {
		return fail(refused)
	}
	access, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		access = c.args["token"]
	}
	delete(c.args, "token")
	if c.token, refused = f.lookup(access); refused != "" {
		return fail(refused)
	}
	if len(m.scopes) > 0 && !c.hasAny(m.scopes) {
		return missing(strings.Join(m.scopes, ","), c.token)
	}
	if f.tooFast(c) {
		return slowDown()
	}
	out := m.serve(f, c)
	out = warned(r, out)
	out.header.Set("X-Oauth-Scopes", c.token.scope())
	if len(m.scopes) > 0 {
		out.header.Set("X-Accepted-Oauth-Scopes", strings.Join(m.scopes, ","))
	}
	return out
}

// tooFast counts a token's calls of a method in the running minute.
func (f *Fake) tooFast(c *call) bool {
	if f.cfg.PerMinute == 0 {
		return false
	}
	if minute := f.now().Truncate(time.Minute); !minute.Equal(f.minute) {
		f.minute, f.counts = minute, map[string]int{}
	}
	key := c.name + " " + c.token.access
	f.counts[key]++
	return f.counts[key] > f.cfg.PerMinute
}

func slowDown() reply {
	out := fail("ratelimited")
	out.status = http.StatusTooManyRequests
	out.header.Set("Retry-After", "30")
	return out
}

// warned adds what Slack says to a success that could have been asked for
// better: it is no failure, and a client must not take it for one.
func warned(r *http.Request, out reply) reply {
	kind, with, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	word := ""
	switch {
	case kind == "application/json" && with["charset"] == "":
		word = "missing_charset"
	case kind == "application/x-www-form-urlencoded" && with["charset"] != "":
		word = "superfluous_charset"
	}
	var said object
	if word == "" || json.Unmarshal(out.body, &said) != nil || said["ok"] != true {
		return out
	}
	metadata, _ := said["response_metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["warnings"] = []string{word}
	said["warning"], said["response_metadata"] = word, metadata
	again := jsonReply(said)
	again.header = out.header
	return again
}

// arguments reads them from the query, a form body or a JSON body; Slack takes all three for
// every method. A token counts only in a form: in a query it would end up in logs, and beside
// JSON Slack wants the header.
func arguments(r *http.Request, body []byte) (args map[string]string, refused string) {
	args = map[string]string{}
	take := func(v url.Values) {
		for k := range v {
			args[k] = v.Get(k)
		}
	}
	take(r.URL.Query())
	delete(args, "token")
	if r.Method == http.MethodGet {
		return args, ""
	}
	if r.Method != http.MethodPost {
		return nil, "invalid_request_method"
	}
	if len(body) == 0 {
		return args, ""
	}
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, "invalid_form_data"
		}
		take(form)
	case "application/json":
		var fields map[string]json.RawMessage
		if json.Unmarshal(body, &fields) != nil {
			return nil, "invalid_json"
		}
		for k, raw := range fields {
			var s string
			switch {
			case string(raw) == "null":
			case json.Unmarshal(raw, &s) == nil:
				args[k] = s
			default:
				args[k] = string(raw)
			}
		}
		delete(args, "token")
	default:
		return nil, "invalid_post_type"
	}
	return args, ""
}

func (c *call) hasAny(scopes []string) bool {
	for _, s := range scopes {
		if c.token.has(s) {
			return true
		}
	}
	return false
}

func (c *call) flag(name string) bool {
	v := c.args[name]
	return v == "1" || v == "true"
}

// limit reads the size of a page; most is the largest Slack gives.
func (c *call) limit(usual, most int) (n int, valid bool) {
	s := c.args["limit"]
	if s == "" {
		return usual, true
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, false
	}
	if n == 0 {
		n = usual
	}
	return min(n, most), true
}

// cursor names where the next page starts. It is bound to the method and to what is paged
// through: a cursor that went astray to another channel is refused rather than half understood.
func (c *call) cursor(about, next string) string {
	return base64.StdEncoding.EncodeToString([]byte(c.name + ":" + about + ":" + next))
}

// start reads the cursor argument; empty is the beginning.
func (c *call) start(about string) (next string, valid bool) {
	s := c.args["cursor"]
	if s == "" {
		return "", true
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), c.name+":"+about+":")
}

// pageOf cuts one page out of a list whose members have fixed names.
func pageOf[T any](c *call, about string, all []T, nameOf func(T) string, limit int) (part []T, next, refused string) {
	start, valid := c.start(about)
	from := 0
	if start != "" {
		for from < len(all) && nameOf(all[from]) != start {
			from++
		}
	}
	if !valid || c.args["cursor"] != "" && from == len(all) {
		return nil, "", "invalid_cursor"
	}
	to := min(from+limit, len(all))
	if to < len(all) {
		next = c.cursor(about, nameOf(all[to]))
	}
	return all[from:to], next, ""
}
