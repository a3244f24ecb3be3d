package slackfake

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Fault is a misfortune that replaces or bends one answer.
//
// With a Status or a Body the request is not performed and the fault is the answer (Status 0
// then means 200, an empty Body the JSON that Slack sends with such a status). With neither, the
// request is performed and its own answer is sent, late or cut short as asked.
type Fault struct {
	Status int
	Header http.Header // set on whatever is answered
	Body   string
	// Delay is waited before the answer; a request whose client gives up meanwhile is not
	// performed, unless ApplyFirst.
	Delay time.Duration
	// Truncate announces the whole length and sends half of it, as a connection that breaks.
	// For broken JSON in a whole answer, set Body instead.
	Truncate bool
	// ApplyFirst performs the request before anything else, and then answers with the fault: the
	// reply is lost, the deed is done. With no answer of its own the connection is dropped; Go's
	// client then repeats a GET by itself, but not a POST.
	ApplyFirst bool
}

// Inject makes the next Web API requests answer with these faults, one each, in order.
// The fake itself answers 429 by Config.PerMinute alone.
func (f *Fake) Inject(faults ...Fault) { f.inject(&f.apiDoor, faults) }

// InjectToken is Inject for the token endpoints, /api/oauth.v2.access and
// /api/oauth.v2.user.access.
func (f *Fake) InjectToken(faults ...Fault) { f.inject(&f.tokenDoor, faults) }

func (f *Fake) inject(d *door, faults []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.faults = append(d.faults, faults...)
}

// door is one of the ways in: each has its own faults waiting and its own record, so that a
// fault meant for an API call never hits the refresh that goes before it.
type door struct {
	handle func(*http.Request, []byte) reply
	faults []Fault
	calls  []Call
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request, body []byte, d *door) {
	f.mu.Lock()
	n := len(d.calls)
	d.calls = append(d.calls, Call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: body})
	var fault Fault
	if len(d.faults) > 0 {
		fault, d.faults = d.faults[0], d.faults[1:]
	}
	f.mu.Unlock()

	perform := func() reply {
		f.mu.Lock()
		defer f.mu.Unlock()
		return d.handle(r, body)
	}
	replaces := fault.Status != 0 || fault.Body != ""
	var out reply
	if fault.ApplyFirst {
		out = perform()
	}
	if !wait(r.Context(), fault.Delay) {
		return
	}
	switch {
	case replaces:
		out = fault.reply()
	case fault.ApplyFirst && !fault.Truncate:
		panic(http.ErrAbortHandler) // net/http's way to hang up without an answer
	case !fault.ApplyFirst:
		out = perform()
	}
	for k, v := range fault.Header {
		out.header[http.CanonicalHeaderKey(k)] = v
	}

	f.mu.Lock()
	// Before the answer leaves, so that the client finds it recorded.
	d.calls[n].Status, d.calls[n].Error, d.calls[n].Answered = out.status, errorOf(out.body), len(out.body)
	f.mu.Unlock()
	out.write(w, fault.Truncate)
}

func (f Fault) reply() reply {
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	body := f.Body
	if body == "" {
		body = `{"ok":false,"error":"` + wordFor(status) + `"}`
	}
	kind := "text/html; charset=utf-8"
	if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		kind = jsonType
	}
	return reply{status: status, header: http.Header{"Content-Type": {kind}}, body: []byte(body)}
}

// wordFor is the error Slack gives with the few statuses it uses besides 200.
func wordFor(status int) string {
	switch status {
	case http.StatusTooManyRequests:
		return "ratelimited"
	case http.StatusServiceUnavailable:
		return "service_unavailable"
	}
	return "internal_error"
}

// wait reports whether the client was still there at the end.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
