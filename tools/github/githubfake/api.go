package githubfake

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// request is one API call after its bearer, route, repository and issue were found.
type request struct {
	*http.Request
	body  []byte
	vars  map[string]string
	query url.Values
	token *token
	repo  *repo  // of a /repos/ route
	issue *issue // of a route with an issue number
}

// route is one line of the API. Area is the permission a narrowed token needs for it.
type route struct {
	method, pattern, area string
	handle                func(*Fake, *request) reply
}

var routes = []route{
	{"GET", "user", "", (*Fake).getUser},
	{"GET", "user/repos", "", (*Fake).listRepos},
	{"GET", "repos/{owner}/{repo}", "metadata", (*Fake).getRepo},
	{"GET", "repos/{owner}/{repo}/branches", "contents", (*Fake).listBranches},
	{"GET", "repos/{owner}/{repo}/commits", "contents", (*Fake).listCommits},
	{"GET", "repos/{owner}/{repo}/contents", "contents", (*Fake).getContents},
	{"GET", "repos/{owner}/{repo}/contents/{path...}", "contents", (*Fake).getContents},
	{"GET", "repos/{owner}/{repo}/issues", "issues", (*Fake).listIssues},
	{"POST", "repos/{owner}/{repo}/issues", "issues", (*Fake).createIssue},
	{"GET", "repos/{owner}/{repo}/issues/{number}", "issues", (*Fake).getIssue},
	{"PATCH", "repos/{owner}/{repo}/issues/{number}", "issues", (*Fake).updateIssue},
	{"GET", "repos/{owner}/{repo}/issues/{number}/comments", "issues", (*Fake).listComments},
	{"POST", "repos/{owner}/{repo}/issues/{number}/comments", "issues", (*Fake).createComment},
	{"GET", "repos/{owner}/{repo}/issues/{number}/labels", "issues", (*Fake).listLabels},
	{"GET", "repos/{owner}/{repo}/issues/{number}/sub_issues", "issues", (*Fake).listSubIssues},
}

// api answers one REST request.
func (f *Fake) api(r *http.Request, body []byte) reply {
	q := &request{Request: r, body: body, query: r.URL.Query()}
	if q.token = f.bearer(r.Header.Get("Authorization")); q.token == nil {
		out := badCredentials()
		f.finish(q, &out)
		return out
	}
	out := f.dispatch(q)
	f.finish(q, &out)
	return out
}

func (f *Fake) bearer(header string) *token {
	scheme, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") {
		return nil
	}
	return f.live(strings.TrimSpace(value))
}

func (f *Fake) dispatch(q *request) reply {
	var way route
	for _, way = range routes {
		if q.vars = way.match(q.Request); q.vars != nil {
			break
		}
	}
	if q.vars == nil {
		return notFound()
	}
	if name := q.vars["repo"]; name != "" {
		q.repo = f.world.repo(q.vars["owner"], name)
		if q.repo == nil || !q.token.sees(q.repo) {
			return notFound()
		}
		if out, refused := q.refuse(way); refused {
			return out
		}
	}
	if number := q.vars["number"]; number != "" {
		if q.issue = q.repo.issue(number); q.issue == nil {
			return notFound()
		}
	}
	return way.handle(f, q)
}

// refuse holds what a visible repository still denies.
func (q *request) refuse(way route) (reply, bool) {
	write := way.method != "GET"
	switch {
	case !q.token.permits(way.area, write):
		return message(http.StatusForbidden, "Resource not accessible by integration"), true
	case write && !q.token.mayWrite(q.repo):
		return notFound(), true // GitHub's answer to a scope that is too small, also where reading works
	case write && q.repo.archived:
		return message(http.StatusForbidden, "Repository was archived so is read-only."), true
	}
	return reply{}, false
}

// match returns the variables of the pattern, or nil. It splits before it decodes, so that an
// encoded slash stays inside its segment.
func (w route) match(r *http.Request) map[string]string {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if method != w.method {
		return nil
	}
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	pattern := strings.Split(w.pattern, "/")
	vars := map[string]string{}
	for i, want := range pattern {
		if i >= len(parts) {
			return nil
		}
		got, err := url.PathUnescape(parts[i])
		if err != nil || got == "" {
			return nil
		}
		switch {
		case want == "{path...}":
			rest, err := url.PathUnescape(strings.Join(parts[i:], "/"))
			if err != nil {
				return nil
			}
			vars["path"] = rest
			return vars
		case strings.HasPrefix(want, "{"):
			vars[strings.Trim(want, "{}")] = got
		case want != got:
			return nil
		}
	}
	if len(parts) != len(pattern) {
		return nil
	}
	return vars
}

// finish adds the headers of every API answer and turns a known ETag into 304.
func (f *Fake) finish(q *request, out *reply) {
	h := out.header
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	h.Set("X-GitHub-Api-Version-Selected", "2022-11-28")
	h.Set("Vary", "Accept, Authorization, Cookie")
	if out.status == http.StatusOK && (q.Method == "GET" || q.Method == "HEAD") {
		sum := sha256.Sum256(out.body)
		tag := fmt.Sprintf(`W/"%x"`, sum)
		h.Set("ETag", tag)
		h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
		if known(q.Header.Get("If-None-Match"), tag) {
			out.status, out.body = http.StatusNotModified, nil
			h.Del("Content-Type")
		}
	}
	if q.token == nil {
		return
	}
	h.Set("X-OAuth-Scopes", strings.Join(q.token.scopes, ", "))
	accepted := ""
	if q.repo != nil {
		accepted = "repo"
	}
	h.Set("X-Accepted-OAuth-Scopes", accepted)
	f.meter(h, out.status)
}

// meter shows a rate limit but never enforces it: a long test run must not hit a wall by
// accident. To test the wall, inject a 403 or 429 with the headers of one.
func (f *Fake) meter(h http.Header, status int) {
	const limit = 5000
	if now := f.now(); !now.Before(f.reset) {
		f.used, f.reset = 0, now.Add(time.Hour)
	}
	if status != http.StatusNotModified { // those are free
		f.used = min(f.used+1, limit-1)
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Used", strconv.Itoa(f.used))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(limit-f.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(f.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

func known(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// listReply answers with the asked page of all and the Link header that leads to the others.
func listReply[T any](q *request, all []T) reply {
	size, err := strconv.Atoi(q.query.Get("per_page"))
	if err != nil || size < 1 {
		size = 30
	}
	size = min(size, 100)
	page, err := strconv.Atoi(q.query.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	last := max(1, (len(all)+size-1)/size)
	shown := []T{} // [] in JSON, never null
	if page <= last {
		shown = append(shown, all[(page-1)*size:min(page*size, len(all))]...)
	}
	out := jsonReply(http.StatusOK, shown)
	var links []string
	link := func(rel string, n int) {
		to := url.Values{}
		for k, v := range q.query {
			to[k] = v
		}
		to.Set("page", strconv.Itoa(n))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, q.base(), q.URL.EscapedPath(), to.Encode(), rel))
	}
	if page > 1 {
		link("prev", min(page-1, last))
	}
	if page < last {
		link("next", page+1)
		link("last", last)
	}
	if page > 1 {
		link("first", 1)
	}
	if len(links) > 0 {
		out.header.Set("Link", strings.Join(links, ", "))
	}
	return out
}

// base is the address the client used, so that the URLs it is given lead back here.
func (q *request) base() string {
	if q.TLS != nil {
		return "https://" + q.Host
	}
	return "http://" + q.Host
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
