package githubfake

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// inlineLimit is the size above which GitHub lists a file but does not include it.
const inlineLimit = 1 << 20

func (f *Fake) getContents(q *request) reply {
	ref := q.query.Get("ref")
	at := q.repo.at(ref)
	if at == nil {
		return message(http.StatusNotFound, "No commit found for the ref "+ref)
	}
	if ref == "" {
		ref = q.repo.branches[0].name
	}
	path := strings.Trim(q.vars["path"], "/")
	if text, ok := at.tree[path]; ok {
		if strings.Contains(q.Header.Get("Accept"), "application/vnd.github") && strings.Contains(q.Header.Get("Accept"), "raw") {
			return reply{
				status: http.StatusOK,
				header: http.Header{"Content-Type": {"application/vnd.github.raw+json; charset=utf-8"}},
				body:   []byte(text),
			}
		}
		out := f.entry(q, ref, path, "file", blobSHA(text), len(text))
		out["content"], out["encoding"] = wrapped(text), "base64"
		if len(text) > inlineLimit {
			out["content"], out["encoding"] = "", "none"
		}
		return jsonReply(http.StatusOK, out)
	}
	prefix := ""
	if path != "" {
		prefix = path + "/"
	}
	listed := []map[string]any{}
	seen := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(at.tree)) {
		rest, inside := strings.CutPrefix(p, prefix)
		name, _, isDir := strings.Cut(rest, "/")
		if !inside || seen[name] {
			continue
		}
		seen[name] = true
		if isDir {
			listed = append(listed, f.entry(q, ref, prefix+name, "dir", treeSHA(at.tree, prefix+name+"/"), 0))
		} else {
			listed = append(listed, f.entry(q, ref, p, "file", blobSHA(at.tree[p]), len(at.tree[p])))
		}
	}
	if len(listed) == 0 {
		return notFound()
	}
	return jsonReply(http.StatusOK, listed)
}

func (f *Fake) entry(q *request, ref, path, kind, sha string, size int) map[string]any {
	self := q.repo.apiURL(q) + "/contents/" + escape(path) + "?ref=" + url.QueryEscape(ref)
	object, view := "blobs", "blob"
	if kind == "dir" {
		object, view = "trees", "tree"
	}
	git := q.repo.apiURL(q) + "/git/" + object + "/" + sha
	page := q.repo.htmlURL() + "/" + view + "/" + escape(ref) + "/" + escape(path)
	out := map[string]any{
		"type": kind, "name": path[strings.LastIndex(path, "/")+1:], "path": path, "sha": sha, "size": size,
		"url": self, "git_url": git, "html_url": page, "download_url": nil,
		"_links": map[string]any{"self": self, "git": git, "html": page},
	}
	if kind == "file" {
		out["download_url"] = f.downloadURL(q.repo, ref, path)
	}
	return out
}

// downloadURL carries a token for a private file, as GitHub's does: whoever passes the URL on
// passes the file on.
func (f *Fake) downloadURL(r *repo, ref, path string) string {
	u := "https://raw.githubusercontent.com/" + r.fullName() + "/" + escape(ref) + "/" + escape(path)
	if !r.private {
		return u
	}
	key := r.fullName() + "/" + path
	if f.raw[key] == "" {
		f.raw[key] = f.secret("GHSATcanary")
	}
	return u + "?token=" + f.raw[key]
}

func escape(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// wrapped is base64 with a newline after every 60 characters and at the end.
func wrapped(text string) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(text))), 60) {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// blobSHA is git's own name for a file of this content.
func blobSHA(text string) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00%s", len(text), text)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// treeSHA names a directory by what is in it; it is steady, though not the one git would give.
func treeSHA(tree map[string]string, prefix string) string {
	h := sha1.New()
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		if strings.HasPrefix(path, prefix) {
			fmt.Fprintln(h, path, blobSHA(tree[path]))
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
