package githubfake

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type account struct {
	id          int64
	login, name string
	kind        string // "User" or "Organization"
}

type repo struct {
	id          int64
	owner       *account
	name        string
	description string
	language    string
	private     bool
	archived    bool
	withheld    bool // exists, but not for Anna
	created     time.Time
	branches    []*branch // the default one first
	issues      []*issue  // by number, from 1
}

type branch struct {
	name      string
	head      *commit
	protected bool
}

// commit holds the whole tree as it then was; the demo repositories are small.
type commit struct {
	sha, message string
	author       *account
	date         time.Time
	parent       *commit
	changed      []string
	tree         map[string]string
}

// commit adds to a branch, which starts from the default branch when it is new. The sha depends
// on what was said and done, not on the clock, so it is the same in every run.
func (r *repo) commit(name, text string, who *account, when time.Time, files map[string]string) {
	i := slices.IndexFunc(r.branches, func(b *branch) bool { return b.name == name })
	if i < 0 {
		b := &branch{name: name, protected: len(r.branches) == 0}
		if len(r.branches) > 0 {
			b.head = r.branches[0].head
		}
		r.branches = append(r.branches, b)
		i = len(r.branches) - 1
	}
	c := &commit{message: text, author: who, date: when, parent: r.branches[i].head, tree: map[string]string{}}
	if c.parent != nil {
		maps.Copy(c.tree, c.parent.tree)
	}
	maps.Copy(c.tree, files)
	c.changed = slices.Sorted(maps.Keys(files))
	h := sha1.New()
	fmt.Fprintln(h, r.fullName(), name, text, c.parentSHA())
	for _, path := range c.changed {
		fmt.Fprintln(h, path, blobSHA(files[path]))
	}
	c.sha = fmt.Sprintf("%x", h.Sum(nil))
	r.branches[i].head = c
}

func (c *commit) parentSHA() string {
	if c.parent == nil {
		return ""
	}
	return c.parent.sha
}

func (r *repo) fullName() string { return r.owner.login + "/" + r.name }
func (r *repo) htmlURL() string  { return "https://github.com/" + r.fullName() }
func (r *repo) apiURL(q *request) string {
	return q.base() + "/repos/" + r.fullName()
}

// at finds what a ref names: nothing (the default branch), a branch, or a commit by its sha or
// the first seven or more letters of it.
func (r *repo) at(ref string) *commit {
	if ref == "" {
		return r.branches[0].head
	}
	for _, b := range r.branches {
		if b.name == strings.TrimPrefix(ref, "refs/heads/") {
			return b.head
		}
	}
	for _, b := range r.branches {
		for c := b.head; c != nil; c = c.parent {
			if len(ref) >= 7 && strings.HasPrefix(c.sha, ref) {
				return c
			}
		}
	}
	return nil
}

func (r *repo) pushed() time.Time {
	latest := r.branches[0].head.date
	for _, b := range r.branches[1:] {
		if b.head.date.After(latest) {
			latest = b.head.date
		}
	}
	return latest
}

func (f *Fake) getUser(q *request) reply {
	a := f.world.anna
	out := showAccount(a)
	maps.Copy(out, map[string]any{
		"name": a.name, "company": nil, "blog": "", "location": "Busan", "email": "anna@example.com", "bio": nil,
		"public_repos": 2, "public_gists": 0, "followers": 12, "following": 7,
		"created_at": stamp(f.world.born.AddDate(-6, 0, 0)), "updated_at": stamp(f.world.born.AddDate(0, 0, -3)),
	})
	return jsonReply(http.StatusOK, out)
}

// listRepos lists those Anna takes part in, as far as the token sees them.
func (f *Fake) listRepos(q *request) reply {
	visibility := q.query.Get("visibility")
	if kind := q.query.Get("type"); kind == "private" || kind == "public" {
		visibility = kind
	}
	var found []*repo
	for _, r := range f.world.repos {
		if !q.token.sees(r) || visibility == "private" && !r.private || visibility == "public" && r.private {
			continue
		}
		found = append(found, r)
	}
	sort := q.query.Get("sort")
	slices.SortStableFunc(found, func(a, b *repo) int {
		switch sort {
		case "created":
			return b.created.Compare(a.created)
		case "updated", "pushed":
			return b.pushed().Compare(a.pushed())
		}
		return cmp.Compare(a.fullName(), b.fullName())
	})
	// Names run upwards and times downwards unless asked otherwise.
	if d := q.query.Get("direction"); d != "" && (d == "desc") == (sort == "" || sort == "full_name") {
		slices.Reverse(found)
	}
	shown := make([]map[string]any, len(found))
	for i, r := range found {
		shown[i] = f.showRepo(q, r)
	}
	return listReply(q, shown)
}

func (f *Fake) getRepo(q *request) reply { return jsonReply(http.StatusOK, f.showRepo(q, q.repo)) }

func (f *Fake) showRepo(q *request, r *repo) map[string]any {
	visibility, open := "public", 0
	if r.private {
		visibility = "private"
	}
	for _, i := range r.issues {
		if i.state == "open" {
			open++
		}
	}
	mine := r.owner == f.world.anna
	return map[string]any{
		"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(),
		"owner": showAccount(r.owner), "private": r.private, "visibility": visibility,
		"description": r.description, "language": r.language, "fork": false, "archived": r.archived, "disabled": false,
		"html_url": r.htmlURL(), "url": r.apiURL(q), "clone_url": r.htmlURL() + ".git",
		"default_branch": r.branches[0].name, "has_issues": true, "open_issues": open, "open_issues_count": open,
		"stargazers_count": 0, "watchers_count": 0, "forks_count": 0, "topics": []string{}, "license": nil,
		"created_at": stamp(r.created), "updated_at": stamp(r.pushed()), "pushed_at": stamp(r.pushed()),
		"permissions": map[string]bool{"admin": mine, "maintain": mine, "push": true, "triage": true, "pull": true},
	}
}

func (f *Fake) listBranches(q *request) reply {
	var shown []map[string]any
	for _, b := range q.repo.branches {
		if p := q.query.Get("protected"); p != "" && (p == "true") != b.protected {
			continue
		}
		shown = append(shown, map[string]any{
			"name":      b.name,
			"commit":    map[string]any{"sha": b.head.sha, "url": q.repo.apiURL(q) + "/commits/" + b.head.sha},
			"protected": b.protected,
		})
	}
	return listReply(q, shown)
}

func (f *Fake) listCommits(q *request) reply {
	from := q.repo.at(q.query.Get("sha"))
	if from == nil {
		return notFound()
	}
	path := strings.Trim(q.query.Get("path"), "/")
	author := q.query.Get("author")
	since, _ := time.Parse(time.RFC3339, q.query.Get("since"))
	until, err := time.Parse(time.RFC3339, q.query.Get("until"))
	if err != nil {
		until = from.date
	}
	var shown []map[string]any
	for c := from; c != nil; c = c.parent {
		if c.date.Before(since) || c.date.After(until) ||
			path != "" && !slices.ContainsFunc(c.changed, func(p string) bool { return p == path || strings.HasPrefix(p, path+"/") }) ||
			author != "" && !strings.EqualFold(author, c.author.login) {
			continue
		}
		shown = append(shown, q.repo.showCommit(q, c))
	}
	return listReply(q, shown)
}

func (r *repo) showCommit(q *request, c *commit) map[string]any {
	person := map[string]any{"name": c.author.name, "email": c.author.login + "@users.noreply.github.com", "date": stamp(c.date)}
	parents := []map[string]any{}
	if c.parent != nil {
		parents = append(parents, map[string]any{
			"sha": c.parent.sha, "url": r.apiURL(q) + "/commits/" + c.parent.sha, "html_url": r.htmlURL() + "/commit/" + c.parent.sha,
		})
	}
	return map[string]any{
		"sha": c.sha, "url": r.apiURL(q) + "/commits/" + c.sha, "html_url": r.htmlURL() + "/commit/" + c.sha,
		"commit": map[string]any{
			"author": person, "committer": person, "message": c.message, "comment_count": 0,
			"tree":         map[string]any{"sha": treeSHA(c.tree, "")},
			"verification": map[string]any{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil},
		},
		"author": showAccount(c.author), "committer": showAccount(c.author), "parents": parents,
	}
}

func showAccount(a *account) map[string]any {
	return map[string]any{
		"login": a.login, "id": a.id, "node_id": nodeID(a.kind, a.id), "type": a.kind, "site_admin": false,
		"avatar_url": "https://avatars.githubusercontent.com/u/" + strconv.FormatInt(a.id, 10) + "?v=4",
		"html_url":   "https://github.com/" + a.login, "url": "https://api.github.com/users/" + a.login,
	}
}

// nodeID is opaque to clients; it only has to be steady.
func nodeID(kind string, id int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%03d:%s%d", len(kind), kind, id))
}
