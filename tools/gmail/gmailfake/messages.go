package gmailfake

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
)

// message is one mail in the mailbox.
type message struct {
	id, thread string
	labels     []string
	date       time.Time
	raw        []byte
	history    int
}

var (
	readers    = []string{"readonly", "modify"}
	composers  = []string{"compose", "modify"}
	senders    = []string{"send", "compose", "modify"}
	labelUsers = []string{"readonly", "modify", "labels", "metadata"}
)

func (f *Fake) routes() map[string]route {
	const me = "/gmail/v1/users/me/"
	return map[string]route{
		"GET " + me + "profile":                                {slices.Concat(readers, composers), f.profile},
		"GET " + me + "labels":                                 {labelUsers, f.listLabels},
		"GET " + me + "labels/{id}":                            {labelUsers, f.getLabel},
		"GET " + me + "messages":                               {readers, f.listMessages},
		"GET " + me + "messages/{id}":                          {readers, f.getMessage},
		"GET " + me + "messages/{id}/attachments/{attachment}": {readers, f.getAttachment},
		"GET " + me + "threads":                                {readers, f.listThreads},
		"GET " + me + "threads/{id}":                           {readers, f.getThread},
		"POST " + me + "messages/send":                         {senders, f.sendMail},
		"POST " + me + "drafts":                                {composers, f.createDraft},
		"GET " + me + "drafts":                                 {slices.Concat(readers, composers), f.listDrafts},
		"GET " + me + "drafts/{id}":                            {slices.Concat(readers, composers), f.getDraft},
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func notFound() (int, any) {
	return http.StatusNotFound, failure(404, "NOT_FOUND", "notFound", "Requested entity was not found.")
}

func badRequest(text string) (int, any) {
	return http.StatusBadRequest, failure(400, "INVALID_ARGUMENT", "invalidArgument", text)
}

func (f *Fake) profile(*http.Request, []byte) (int, any) {
	threads := map[string]bool{}
	for _, m := range f.messages {
		threads[m.thread] = true
	}
	return 200, map[string]any{"emailAddress": Anna, "messagesTotal": len(f.messages), "threadsTotal": len(threads), "historyId": itoa(f.history)}
}

// page cuts a list by maxResults and pageToken, an offset.
func page[T any](r *http.Request, all []T) (some []T, next string, ok bool) {
	from, limit := 0, 100
	var err error
	if t := r.FormValue("pageToken"); t != "" {
		if from, err = strconv.Atoi(t); err != nil || from > len(all) {
			return nil, "", false
		}
	}
	if m := r.FormValue("maxResults"); m != "" {
		if limit, err = strconv.Atoi(m); err != nil || limit < 1 {
			return nil, "", false
		}
	}
	to := min(from+limit, len(all))
	if to < len(all) {
		next = itoa(to)
	}
	return all[from:to], next, true
}

// match filters the mailbox as a list call asks, newest first.
func (f *Fake) match(r *http.Request) []*message {
	q := parseQuery(r.FormValue("q"))
	var out []*message
	for _, m := range f.messages {
		hidden := slices.Contains(m.labels, "TRASH") || slices.Contains(m.labels, "SPAM")
		if hidden && r.FormValue("includeSpamTrash") != "true" || slices.Contains(m.labels, "DRAFT") {
			continue
		}
		has := func(l string) bool { return slices.Contains(m.labels, l) }
		all := true
		for _, l := range r.Form["labelIds"] {
			all = all && has(l)
		}
		if all && f.matches(m, q) {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b *message) int { return b.date.Compare(a.date) })
	return out
}

func (f *Fake) listMessages(r *http.Request, _ []byte) (int, any) {
	some, next, ok := page(r, f.match(r))
	if !ok {
		return badRequest("Invalid pageToken")
	}
	list := []map[string]string{}
	for _, m := range some {
		list = append(list, map[string]string{"id": m.id, "threadId": m.thread})
	}
	return 200, withNext(map[string]any{"messages": list, "resultSizeEstimate": len(list)}, next)
}

func withNext(v map[string]any, next string) map[string]any {
	if next != "" {
		v["nextPageToken"] = next
	}
	return v
}

func (f *Fake) listThreads(r *http.Request, _ []byte) (int, any) {
	var threads []*message // the newest matching mail of each
	seen := map[string]bool{}
	for _, m := range f.match(r) {
		if !seen[m.thread] {
			seen[m.thread] = true
			threads = append(threads, m)
		}
	}
	some, next, ok := page(r, threads)
	if !ok {
		return badRequest("Invalid pageToken")
	}
	list := []map[string]any{}
	for _, m := range some {
		list = append(list, map[string]any{"id": m.thread, "snippet": m.snippet(), "historyId": itoa(m.history)})
	}
	return 200, withNext(map[string]any{"threads": list, "resultSizeEstimate": len(list)}, next)
}

func (f *Fake) getThread(r *http.Request, _ []byte) (int, any) {
	list := []any{}
	for _, m := range f.messages {
		if m.thread == r.PathValue("id") && !slices.Contains(m.labels, "DRAFT") {
			list = append(list, m.resource(r))
		}
	}
	if len(list) == 0 {
		return notFound()
	}
	return 200, map[string]any{"id": r.PathValue("id"), "historyId": itoa(f.history), "messages": list}
}

func (f *Fake) find(id string) *message {
	for _, m := range f.messages {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (f *Fake) getMessage(r *http.Request, _ []byte) (int, any) {
	m := f.find(r.PathValue("id"))
	if m == nil {
		return notFound()
	}
	return 200, m.resource(r)
}

func (f *Fake) getAttachment(r *http.Request, _ []byte) (int, any) {
	m := f.find(r.PathValue("id"))
	if m == nil {
		return notFound()
	}
	for _, p := range flatten(m.payload()) {
		if p.Body.AttachmentID == r.PathValue("attachment") && p.Body.AttachmentID != "" {
			return 200, map[string]any{"size": p.Body.Size, "data": base64.URLEncoding.EncodeToString(p.data)}
		}
	}
	return notFound()
}

func (m *message) resource(r *http.Request) map[string]any {
	out := map[string]any{
		"id": m.id, "threadId": m.thread, "labelIds": m.labels, "snippet": m.snippet(), "historyId": itoa(m.history),
		"internalDate": strconv.FormatInt(m.date.UnixMilli(), 10), "sizeEstimate": len(m.raw),
	}
	switch r.FormValue("format") {
	case "minimal":
	case "raw":
		out["raw"] = base64.URLEncoding.EncodeToString(m.raw)
	case "metadata":
		p := &part{MimeType: m.payload().MimeType}
		for _, h := range headers(m.raw) {
			wanted := r.Form["metadataHeaders"]
			if len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, h["name"]) }) {
				p.Headers = append(p.Headers, h)
			}
		}
		out["payload"] = p
	default:
		out["payload"] = m.payload()
	}
	return out
}

// accept reads and checks a mail as Gmail does before taking it.
func (f *Fake) accept(raw, threadID string, recipients bool) (*message, string) {
	data, err := base64.URLEncoding.DecodeString(raw)
	if err != nil {
		if data, err = base64.RawURLEncoding.DecodeString(raw); err != nil {
			return nil, "Invalid value for raw"
		}
	}
	msg, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return nil, "Invalid mail"
	}
	n := 0
	for _, field := range []string{"To", "Cc", "Bcc"} {
		if msg.Header.Get(field) == "" {
			continue
		}
		list, err := msg.Header.AddressList(field)
		if err != nil {
			return nil, "Invalid " + field + " header"
		}
		n += len(list)
	}
	if recipients && n == 0 {
		return nil, "Recipient address required"
	}
	f.history++
	m := &message{id: f.newID(), date: f.c.Now(), raw: data, history: f.history}
	m.thread = m.id
	if threadID != "" {
		joins := false
		for _, old := range f.messages {
			if old.thread == threadID {
				id := old.header("Message-ID")
				joins = joins || id != "" && strings.Contains(msg.Header.Get("References")+msg.Header.Get("In-Reply-To"), id)
			}
		}
		if !joins {
			return nil, "Invalid threadId value"
		}
		m.thread = threadID
	}
	// Gmail adds what is missing to its own copy.
	if msg.Header.Get("Date") == "" {
		m.raw = append([]byte("Date: "+m.date.Format(time.RFC1123Z)+"\r\nMessage-ID: <"+m.id+"@mail.gmail.com>\r\nFrom: Anna Kim <"+Anna+">\r\n"), data...)
	}
	return m, ""
}

// newID is the next of Gmail's sixteen hexadecimal digits.
func (f *Fake) newID() string {
	s := strconv.FormatInt(int64(0x19a0000000000000)+int64(f.history), 16)
	return strings.Repeat("0", 16-len(s)) + s
}

func (f *Fake) sendMail(_ *http.Request, body []byte) (int, any) {
	var in struct{ Raw, ThreadID string }
	if err := json.Unmarshal(body, &in); err != nil {
		return badRequest("Invalid JSON payload")
	}
	m, why := f.accept(in.Raw, in.ThreadID, true)
	if m == nil {
		return badRequest(why)
	}
	m.labels = []string{"SENT"}
	f.messages = append(f.messages, m)
	f.sent = append(f.sent, Sent{m.id, m.thread, decoded(in.Raw)})
	return 200, map[string]any{"id": m.id, "threadId": m.thread, "labelIds": m.labels}
}

func decoded(raw string) []byte {
	data, err := base64.URLEncoding.DecodeString(raw)
	if err != nil {
		data, _ = base64.RawURLEncoding.DecodeString(raw)
	}
	return data
}

func (f *Fake) createDraft(_ *http.Request, body []byte) (int, any) {
	var in struct {
		Message struct{ Raw, ThreadID string }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return badRequest("Invalid JSON payload")
	}
	m, why := f.accept(in.Message.Raw, in.Message.ThreadID, false)
	if m == nil {
		return badRequest(why)
	}
	m.labels = []string{"DRAFT"}
	f.messages = append(f.messages, m)
	id := "r" + m.id
	f.drafts[id] = m
	f.drafted = append(f.drafted, Sent{m.id, m.thread, decoded(in.Message.Raw)})
	return 200, map[string]any{"id": id, "message": map[string]any{"id": m.id, "threadId": m.thread, "labelIds": m.labels}}
}

func (f *Fake) listDrafts(*http.Request, []byte) (int, any) {
	list := []any{}
	for id, m := range f.drafts {
		list = append(list, map[string]any{"id": id, "message": map[string]string{"id": m.id, "threadId": m.thread}})
	}
	return 200, map[string]any{"drafts": list, "resultSizeEstimate": len(list)}
}

func (f *Fake) getDraft(r *http.Request, _ []byte) (int, any) {
	m := f.drafts[r.PathValue("id")]
	if m == nil {
		return notFound()
	}
	return 200, map[string]any{"id": r.PathValue("id"), "message": m.resource(r)}
}
