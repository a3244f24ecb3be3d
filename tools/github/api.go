package github

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"deputy/tools"
	"deputy/vault"

	"golang.org/x/sync/errgroup"
)

// fault sorts an answer by its status, and a 403 by its words: GitHub says "too
// fast" and "you may not" with the same number.
func fault(status int, body []byte) vault.Kind {
	switch {
	case status/100 == 2:
		return ""
	case status == 401:
		return vault.Reconnect
	case status == 403 && tooFast(body), status == 429:
		return vault.RateLimited
	case status == 403:
		return vault.Forbidden
	case status == 404, status == 410, status == 451:
		return vault.NotFound
	case status == 301, status == 302, status == 307, status == 308:
		// Renamed, moved or transferred. The vault follows no redirect, and under
		// this name there is nothing.
		return vault.NotFound
	case status == 409:
		return vault.Conflict
	case status == 400, status == 422:
		return vault.BadInput
	}
	return vault.Upstream
}

func tooFast(body []byte) bool {
	var said struct{ Message string }
	if json.Unmarshal(body, &said) != nil {
		return false
	}
	words := strings.ToLower(said.Message)
	return strings.Contains(words, "rate limit") || strings.Contains(words, "abuse detection")
}

// nothing answers a read that failed. What is missing is an empty list, as what
// is withheld. A 403 would tell of a repository whose existence the rules may
// hide (single sign-on, an organisation that has not approved the app), so it
// is shown where the repository may be seen.
func nothing[R tools.Resource](at repo, err error) (none tools.Found[R], _ error) {
	var f *vault.Fault
	if errors.As(err, &f) && f.Kind == vault.Forbidden {
		return none.Within(at.place()).Failed(err), nil
	}
	if missing(err) {
		return none, nil
	}
	return none, err
}

// missing reports whether a read says that there is no such thing. A plan takes
// a 403 for that too.
func missing(err error) bool {
	var f *vault.Fault
	return errors.As(err, &f) && (f.Kind == vault.NotFound || f.Kind == vault.Forbidden)
}

// strange is an answer that does not say what the rules have to know.
func strange() error {
	return &vault.Fault{Provider: "github", Kind: vault.Upstream, Cause: "the answer does not say where it belongs"}
}

// home is a repository as GitHub answered for it, and who asks.
type home struct {
	asked      repo   // the name it was asked for under
	repo       repo   // its own name
	visibility string // public or private, where the answer says so
	account    string
}

const (
	public  = "public"
	private = "private"
)

// moved reports whether the repository was reached under another name.
func (h home) moved() bool { return !h.repo.is(h.asked) }

// visit reads something of a repository, and the repository itself, which alone
// says whether it is public. Neither read ends the other: a request that is cut
// off may still arrive, and what arrives when would then be chance.
func visit(ctx context.Context, a *tools.Account, at repo, path *tools.PathBuilder, v any) (home, error) {
	var h home
	var both errgroup.Group
	both.Go(func() error { return a.Get(ctx, path.String(), v) })
	both.Go(func() (err error) {
		h, err = look(ctx, a, at)
		return err
	})
	return h, both.Wait()
}

// look reads a repository.
func look(ctx context.Context, a *tools.Account, at repo) (home, error) {
	var w wireRepo
	if err := a.Get(ctx, tools.Path("/repos/{}/{}", at.owner, at.name).String(), &w); err != nil {
		return home{}, err
	}
	found, ok := splitName(w.FullName)
	if !ok {
		return home{}, strange()
	}
	h := home{asked: at, repo: found, account: a.Name()}
	switch {
	case w.Private == nil: // unsaid is neither
	case *w.Private, w.Visibility != "" && w.Visibility != public: // internal is for a company
		h.visibility = private
	default:
		h.visibility = public
	}
	return h, nil
}

type wireRepo struct {
	FullName   string `json:"full_name"`
	Private    *bool
	Visibility string
}

type wireUser struct{ Login string }

// name is the login, or what GitHub itself shows for an account that is gone.
func (u *wireUser) name() string {
	if u == nil || u.Login == "" {
		return "ghost"
	}
	return u.Login
}

type wireIssue struct {
	Number      int
	Title       string
	Body        string
	State       string
	StateReason string `json:"state_reason"`
	User        *wireUser
	Association string `json:"author_association"`
	Labels      []wireLabel
	Assignees   []wireUser
	Comments    int
	Created     string           `json:"created_at"`
	Updated     string           `json:"updated_at"`
	URL         string           `json:"html_url"`
	RepoURL     string           `json:"repository_url"`
	Pull        *json.RawMessage `json:"pull_request"`
	App         *json.RawMessage `json:"performed_via_github_app"`
}

type wireComment struct {
	ID          int64
	Body        string
	User        *wireUser
	Association string           `json:"author_association"`
	Created     string           `json:"created_at"`
	Updated     string           `json:"updated_at"`
	URL         string           `json:"html_url"`
	IssueURL    string           `json:"issue_url"`
	App         *json.RawMessage `json:"performed_via_github_app"`
}

// wireLabel is an object or, as GitHub's description of its API allows, a
// string.
type wireLabel struct{ Name, Description string }

func (l *wireLabel) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &l.Name)
	}
	type plain wireLabel
	return json.Unmarshal(data, (*plain)(l))
}

// wireContent is a file, or an entry of a directory. Its download_url is left
// out on purpose: for a private file it carries a token.
type wireContent struct {
	Type     string
	Name     string
	Path     string
	SHA      string
	Size     int
	Content  string
	Encoding string
	Target   string // of a symbolic link
	URL      string
	Page     string `json:"html_url"`
}

// locate reads "…/repos/{owner}/{name}/…" of GitHub's own URLs, wherever its
// API is. rest is what follows, without the query.
func locate(url string) (r repo, rest string, ok bool) {
	url, _, _ = strings.Cut(url, "?")
	_, after, ok := strings.Cut(url, "/repos/")
	if !ok {
		return repo{}, "", false
	}
	parts := strings.SplitN(after, "/", 3)
	if len(parts) < 2 {
		return repo{}, "", false
	}
	r = repo{parts[0], parts[1]}
	if len(parts) == 3 {
		rest = parts[2]
	}
	return r, rest, r.check() == nil
}

// locateIssue reads the URL of an issue.
func locateIssue(url string) (r repo, number int, ok bool) {
	r, rest, ok := locate(url)
	text, isIssue := strings.CutPrefix(rest, "issues/")
	number, err := strconv.Atoi(text)
	return r, number, ok && isIssue && err == nil && number > 0
}

func splitName(full string) (repo, bool) {
	owner, name, _ := strings.Cut(full, "/")
	r := repo{owner, name}
	return r, r.check() == nil
}
