package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"deputy/approvals"
	"deputy/authz"
)

// form is one kind of request that may be sent: where it goes, and how its body
// is read back for a person.
type form struct {
	pattern string // "PATCH /repos/{owner}/{repo}/issues/{number}"
	show    func(t target, body []byte) (approvals.Preview, error)
}

// target is what a request's path names.
type target struct {
	repo   repo
	number int // of an issue, or 0
}

const jsonType = "application/json"

// request fills the form in.
func (f form) request(t target, body any) approvals.Request {
	method, path, _ := strings.Cut(f.pattern, " ")
	path = strings.NewReplacer("{owner}", t.repo.owner, "{repo}", t.repo.name, "{number}", strconv.Itoa(t.number)).Replace(path)
	return approvals.Request{Method: method, Path: path, ContentType: jsonType, Body: encode(body)}
}

// encode is the one form in which a body is sent.
func encode(body any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // strings and lists of them always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

var errNotOurs = errors.New("github: the request is not in a form that deputy sends")

// reread decodes a body. Encoding it again is the strictest reading: it leaves
// no room for a further field, a repeated one, or anything after the end.
func reread[B any](raw []byte) (body B, err error) {
	if json.Unmarshal(raw, &body) != nil || !bytes.Equal(encode(body), raw) {
		return body, errNotOurs
	}
	return body, nil
}

// render reads a write back from the bytes that would be sent. Bytes that no
// tool of ours would send are not shown and not sent.
func render(_ string, r approvals.Request) (approvals.Preview, error) {
	for _, o := range offers {
		for _, f := range o.sends {
			if t, ok := f.target(r); ok {
				return f.show(t, r.Body)
			}
		}
	}
	return approvals.Preview{}, errNotOurs
}

var numberForm = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)

// target reads what request wrote, and nothing else.
func (f form) target(r approvals.Request) (t target, ok bool) {
	method, pattern, _ := strings.Cut(f.pattern, " ")
	want, got := strings.Split(pattern, "/"), strings.Split(r.Path, "/")
	if r.Method != method || r.ContentType != jsonType || len(want) != len(got) {
		return target{}, false
	}
	for i, w := range want {
		switch w {
		case "{owner}":
			t.repo.owner = got[i]
		case "{repo}":
			t.repo.name = got[i]
		case "{number}":
			if !numberForm.MatchString(got[i]) {
				return target{}, false
			}
			t.number, _ = strconv.Atoi(got[i])
		default:
			if w != got[i] {
				return target{}, false
			}
		}
	}
	return t, t.repo.check() == nil
}

// preview begins what a person reads with where the write goes.
func (t target) preview() approvals.Preview {
	p := approvals.Preview{Changes: []authz.Object{t.repo.object()}}
	if t.number > 0 {
		p.Changes = []authz.Object{t.repo.issue(t.number).object}
	}
	p.Fields = append(p.Fields, approvals.Field{Name: "Repository", Value: t.repo.String()})
	if t.number > 0 {
		p.Fields = append(p.Fields, approvals.Field{Name: "Issue", Value: "#" + strconv.Itoa(t.number)})
	}
	return p
}

const none = "(none)"

// listed shows names in a line. One with a comma in it is put in quotes, so
// that it does not look like two, and so is one that poses as none.
func listed(names []string) string {
	if len(names) == 0 {
		return none
	}
	shown := make([]string, len(names))
	for i, n := range names {
		if shown[i] = n; strings.ContainsAny(n, `,"`) || n == none {
			shown[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(n) + `"`
		}
	}
	return strings.Join(shown, ", ")
}
