package githubfake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// applications serves what an app may do with its users' tokens:
//
//	POST   /applications/{client_id}/token         is it still good?
//	POST   /applications/{client_id}/token/scoped  a narrower one, please
//	DELETE /applications/{client_id}/token         end this one
//	DELETE /applications/{client_id}/grant         end all of this user
func (f *Fake) applications(r *http.Request, body []byte) reply {
	id, secret, ok := r.BasicAuth()
	if !ok || !f.isClient(id, secret) {
		return badCredentials()
	}
	path, mine := strings.CutPrefix(r.URL.Path, "/applications/"+f.cfg.ClientID+"/")
	if !mine {
		return notFound()
	}
	var in scopedRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return message(http.StatusBadRequest, "Problems parsing JSON")
	}
	if in.AccessToken == "" {
		return invalid(fieldError{Resource: "OauthAccess", Field: "access_token", Code: "missing_field"})
	}
	// Like GitHub: an expired token is as unknown as an invented one, even for revoking.
	t := f.live(in.AccessToken)
	if t == nil {
		return notFound()
	}
	switch r.Method + " " + path {
	case "POST token":
		return jsonReply(http.StatusOK, f.authorization(t))
	case "POST token/scoped":
		return f.narrower(t, in)
	case "DELETE token":
		f.drop(t)
		return reply{status: http.StatusNoContent, header: http.Header{}}
	case "DELETE grant":
		f.revokeAll()
		return reply{status: http.StatusNoContent, header: http.Header{}}
	}
	return notFound()
}

// scopedRequest is the body of all four calls; three of them use its first field only.
type scopedRequest struct {
	AccessToken   string            `json:"access_token"`
	Target        string            `json:"target"`
	TargetID      int64             `json:"target_id"`
	Repositories  []string          `json:"repositories"`
	RepositoryIDs []int64           `json:"repository_ids"`
	Permissions   map[string]string `json:"permissions"`
}

// permissionNames are those the fake knows. Only issues and contents change what it answers.
var permissionNames = []string{"actions", "checks", "contents", "issues", "metadata", "pull_requests", "statuses", "workflows"}

func (f *Fake) narrower(parent *token, in scopedRequest) reply {
	if f.cfg.TokenLifetime < 0 {
		return notFound() // only GitHub Apps can narrow
	}
	wrong := func(field, code string) reply {
		return invalid(fieldError{Resource: "OauthAccess", Field: field, Code: code})
	}
	if parent.narrow != nil {
		return wrong("access_token", "invalid") // a narrowed token cannot be narrowed again
	}
	owner := f.target(in)
	if owner == nil {
		return wrong("target", "missing_field")
	}
	if len(in.Repositories) > 0 && len(in.RepositoryIDs) > 0 {
		return wrong("repositories", "invalid")
	}
	n := &narrowing{owner: owner.login, permissions: in.Permissions}
	for _, name := range in.Repositories {
		r := f.world.repo(owner.login, name)
		if r == nil || !parent.sees(r) {
			return wrong("repositories", "invalid")
		}
		n.add(r.id)
	}
	for _, id := range in.RepositoryIDs {
		i := slices.IndexFunc(f.world.repos, func(r *repo) bool { return r.id == id })
		if i < 0 || f.world.repos[i].owner != owner || !parent.sees(f.world.repos[i]) {
			return wrong("repository_ids", "invalid")
		}
		n.add(id)
	}
	for name, level := range in.Permissions {
		if !slices.Contains(permissionNames, name) || level != "read" && level != "write" {
			return wrong("permissions", "invalid")
		}
	}
	child := &token{
		access:  f.secret("ghu_canary"),
		scopes:  parent.scopes,
		created: f.now(),
		expires: parent.expires,
		narrow:  n,
	}
	f.access[child.access] = child
	return jsonReply(http.StatusOK, f.authorization(child))
}

func (n *narrowing) add(id int64) {
	if n.repos == nil {
		n.repos = map[int64]bool{}
	}
	n.repos[id] = true
}

func (f *Fake) target(in scopedRequest) *account {
	for _, a := range f.world.accounts {
		if in.Target != "" && strings.EqualFold(a.login, in.Target) || in.Target == "" && in.TargetID != 0 && a.id == in.TargetID {
			return a
		}
	}
	return nil
}

// authorization is GitHub's description of a token. It does hold the token itself.
func (f *Fake) authorization(t *token) map[string]any {
	out := map[string]any{
		"id":               1,
		"url":              "https://api.github.com/authorizations/1",
		"app":              map[string]any{"client_id": f.cfg.ClientID, "name": "deputy", "url": "https://github.com/apps/deputy"},
		"token":            t.access,
		"token_last_eight": t.access[len(t.access)-8:],
		"scopes":           t.scopes,
		"created_at":       stamp(t.created),
		"updated_at":       stamp(t.created),
		"expires_at":       nil,
		"user":             showAccount(f.world.anna),
	}
	if !t.expires.IsZero() {
		out["expires_at"] = stamp(t.expires)
	}
	if t.narrow != nil {
		selection := "all"
		if t.narrow.repos != nil {
			selection = "selected"
		}
		out["installation"] = map[string]any{"permissions": t.narrow.permissions, "repository_selection": selection}
	}
	return out
}
