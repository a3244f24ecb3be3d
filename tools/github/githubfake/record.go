package githubfake

import "slices"

// Created is one thing that really came to be: an issue, a comment, or a change of an issue.
// It is recorded even when the reply was lost.
type Created struct {
	Kind   string // "issue", "comment" or "update"
	Repo   string // "owner/name"
	Number int    // of the issue
	ID     int64  // of the issue, or of the comment
	Title  string // of the issue as it then was; empty for a comment
	Body   string // of the issue as it then was, or of the comment
	Raw    []byte // the request body, byte for byte
}

// Call is one request as it arrived.
type Call struct {
	Method, Path string
	Query        string // as sent, without the question mark
	Body         []byte
	Status       int // of the answer that was sent; 0 while there is none and for a dropped connection
}

// Created returns all that was created or changed, in order.
func (f *Fake) Created() []Created {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.created)
}

// Calls returns every API request, reads included. The OAuth pages and the calls an app makes
// about its tokens are not among them: a test that counts reads need not know how often the
// vault refreshed. See AppCalls for those.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.apiDoor.calls)
}

// Writes returns every API request that is not a GET, accepted or refused.
func (f *Fake) Writes() []Call {
	return slices.DeleteFunc(f.Calls(), func(c Call) bool { return c.Method == "GET" || c.Method == "HEAD" })
}

// AppCalls returns the requests of the app itself: those to the token endpoint, then those to
// /applications/...
func (f *Fake) AppCalls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Concat(f.tokenDoor.calls, f.appDoor.calls)
}

// Tokens returns every token string ever issued, dead ones too: access tokens, refresh tokens,
// and the ones GitHub puts into the download_url of a private file. None of them may ever show
// up in a log, an answer or an audit record.
func (f *Fake) Tokens() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.issued)
}
