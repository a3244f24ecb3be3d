package github

import (
	"slices"
	"strconv"
	"strings"

	"deputy/authz"
)

// place is where a thing belongs, for the rules, and how it is labelled. Every
// result has one; by itself it stands for a thing that is used and not shown.
type place struct {
	repo   repo
	object authz.Object
	label  authz.Label
	kind   string // of the repository: public or private, or nothing if that is not known
}

func (p place) Object() authz.Object { return p.object }
func (p place) Label() authz.Label   { return p.label }

func (p place) Facts(account authz.Object) authz.Facts {
	facts := where(account, p.object)
	for _, kind := range []string{"public", "private"} {
		if p.kind == "" || p.kind == kind { // what is not known may be either
			facts = append(facts, p.repo.object().Is("kind", authz.NewObject("kind", "github")+authz.Object("/"+kind)))
		}
	}
	return facts
}

// where is what the name of an object says about where it is: its organisation,
// its repository, the folders above it.
func where(account, o authz.Object) authz.Facts {
	org, repo := o.Part("github_org", 1), o.Part("github_repo", 2)
	facts := authz.Facts{org.Is("account", account)}
	if o.Type() != "github_org" && repo != "" {
		facts = append(facts, repo.Is("org", org))
	}
	switch o.Type() {
	case "github_issue":
		facts = append(facts, o.Is("repo", repo))
	case "github_pull":
		issue := o.Part("github_issue", 3)
		facts = append(facts, issue.Is("repo", repo), o.Is("issue", issue))
	case "github_path":
		parent := repo
		for n := 3; ; n++ {
			at := o.Part("github_path", n)
			if at == "" {
				break
			}
			facts = append(facts, at.Is("parent", parent))
			parent = at
		}
	}
	return facts
}

// unknown is the label of what nothing is known about.
var unknown = authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}

// Names are in lower case, because GitHub knows Octo/Hello and octo/hello as
// one and a rule must too.
func (r repo) object() authz.Object {
	return authz.NewObject("github_repo", strings.ToLower(r.owner), strings.ToLower(r.name))
}

func (r repo) place() place { return place{r, r.object(), unknown, ""} }

func (r repo) issue(number int) place {
	o := authz.NewObject("github_issue", strings.ToLower(r.owner), strings.ToLower(r.name), strconv.Itoa(number))
	return place{r, o, unknown, ""}
}

// file is the place of a file or directory; git tells cases apart in paths. The
// root is the repository.
func (r repo) file(path string) place {
	if path == "" {
		return r.place()
	}
	o := authz.NewPathObject("github_path", strings.ToLower(r.owner), strings.ToLower(r.name), path)
	return place{r, o, unknown, ""}
}

// Issue is an issue or a pull request, which at GitHub is one too.
type Issue struct {
	Number      int      `json:"number"`
	PullRequest bool     `json:"pull_request,omitempty"`
	Title       string   `json:"title"`
	State       string   `json:"state"`
	StateReason string   `json:"state_reason,omitempty"`
	Author      string   `json:"author"`
	Labels      []string `json:"labels,omitempty"`
	Assignees   []string `json:"assignees,omitempty"`
	Comments    int      `json:"comments"`
	Created     string   `json:"created_at"`
	Updated     string   `json:"updated_at"`
	URL         string   `json:"url"`
	Body        string   `json:"body,omitempty"`
	BodyCut     bool     `json:"body_cut,omitempty"`

	place
}

// Comment is a comment on an issue; for the rules it is a part of the issue.
type Comment struct {
	ID      int64  `json:"id"`
	Author  string `json:"author"`
	Created string `json:"created_at"`
	Updated string `json:"updated_at"`
	URL     string `json:"url"`
	Body    string `json:"body,omitempty"`
	BodyCut bool   `json:"body_cut,omitempty"`

	place
}

// Tag is a label of an issue. It goes by another name here, because a Label
// means something else in the rest of deputy.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Part is one item of github_issue_read: one of the three.
type Part struct {
	Issue   *Issue   `json:"issue,omitempty"`
	Comment *Comment `json:"comment,omitempty"`
	Tag     *Tag     `json:"label,omitempty"`

	place
}

// File is a file with a range of its text, or an entry of a directory.
type File struct {
	Path   string `json:"path"`
	Type   string `json:"type" jsonschema:"file, dir, symlink or submodule."`
	Size   int    `json:"size,omitempty"`
	SHA    string `json:"sha,omitempty"`
	URL    string `json:"url,omitempty"`
	Target string `json:"target,omitempty" jsonschema:"Of a symlink."`

	Text            string `json:"text,omitempty"`
	Offset          int    `json:"offset,omitempty"`
	NextOffset      int    `json:"next_offset,omitempty" jsonschema:"The text goes on there."`
	CommentsRemoved bool   `json:"comments_removed,omitempty" jsonschema:"HTML comments were taken out of the text."`
	Binary          bool   `json:"binary,omitempty" jsonschema:"It is no text."`
	TooLarge        bool   `json:"too_large,omitempty" jsonschema:"GitHub does not give the text of so large a file."`

	place
}

// written is the label of what somebody wrote in the repository r. It is
// trusted if GitHub says that the repository's people wrote it, and not through
// an app, whose words may be an agent's.
func (h home) written(r repo, author *wireUser, association string, byApp bool) authz.Label {
	l := h.kept(r)
	l.Integrity = authz.Untrusted
	own := author != nil && author.Login != "" && strings.EqualFold(author.Login, h.account)
	insider := slices.Contains([]string{"OWNER", "MEMBER", "COLLABORATOR"}, association)
	// Of another repository, as sub-issues can be, nothing is known: anybody is
	// the owner of their own.
	if r.is(h.repo) && !byApp && (own || insider) {
		l.Integrity = authz.Trusted
	}
	return l
}

// kept is the label of what lies in the repository r: only those with push
// access put it there, but to a public repository they push what strangers
// propose.
func (h home) kept(r repo) authz.Label {
	switch {
	case !r.is(h.repo):
		return unknown
	case h.visibility == public:
		return authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Public}
	}
	return authz.Label{Integrity: authz.Trusted, Confidentiality: authz.Private}
}

// kind is whether the repository r is public, where that is known.
func (h home) kind(r repo) string {
	if !r.is(h.repo) {
		return ""
	}
	return h.visibility
}

// place is the repository itself, as GitHub answered for it.
func (h home) place() place {
	p := h.repo.place()
	p.kind = h.visibility
	return p
}

// issue makes a result of an answer, with at most so many bytes of its text.
func (h home) issue(w wireIssue, most int) (Issue, error) {
	r, _, ok := locate(w.RepoURL)
	if !ok || w.Number < 1 {
		return Issue{}, strange()
	}
	i := Issue{
		Number: w.Number, PullRequest: w.Pull != nil, Title: w.Title, State: w.State, StateReason: w.StateReason,
		Author: w.User.name(), Comments: w.Comments, Created: w.Created, Updated: w.Updated, URL: w.URL,
		place: r.issue(w.Number),
	}
	for _, l := range w.Labels {
		i.Labels = append(i.Labels, l.Name)
	}
	for _, a := range w.Assignees {
		i.Assignees = append(i.Assignees, a.name())
	}
	i.Body, i.BodyCut = cut(w.Body, most)
	i.label, i.kind = h.written(r, w.User, w.Association, w.App != nil), h.kind(r)
	return i, nil
}

// comment makes a result of an answer.
func (h home) comment(w wireComment, most int) (Comment, error) {
	r, number, ok := locateIssue(w.IssueURL)
	if !ok || w.ID < 1 {
		return Comment{}, strange()
	}
	c := Comment{ID: w.ID, Author: w.User.name(), Created: w.Created, Updated: w.Updated, URL: w.URL, place: r.issue(number)}
	c.Body, c.BodyCut = cut(w.Body, most)
	c.label, c.kind = h.written(r, w.User, w.Association, w.App != nil), h.kind(r)
	return c, nil
}

// spell writes an object as the functions above do: owner and repository in
// lower case, a file's path as it is.
func spell(o authz.Object) authz.Object {
	typ, id, _ := strings.Cut(string(o), ":")
	parts := strings.SplitN(id, "/", 3)
	switch {
	case typ == "github_org" || typ == "github_repo" || typ == "github_issue" || typ == "github_pull":
		return authz.Object(typ + ":" + strings.ToLower(id))
	case typ == "github_path" && len(parts) == 3:
		return authz.Object(typ + ":" + strings.ToLower(parts[0]+"/"+parts[1]) + "/" + parts[2])
	}
	return o
}
