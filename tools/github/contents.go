package github

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"deputy/tools"
)

type getFileContentsInput struct {
	repoInput
	Path     string `json:"path,omitempty" jsonschema:"Of a file or directory; empty is the root."`
	Ref      string `json:"ref,omitempty" jsonschema:"A branch, tag or commit; the default branch if not given." audit:"plain"`
	Offset   int    `json:"offset,omitempty" min:"0" max:"100000000" jsonschema:"Where the text begins: next_offset of the last answer." audit:"plain"`
	MaxBytes int    `json:"max_bytes,omitempty" min:"100" max:"200000" jsonschema:"Most bytes of text, 20000 if not given." audit:"plain"`
	Cursor   string `json:"cursor,omitempty" jsonschema:"next_cursor of the last answer, for a long directory." audit:"plain"`
}

var getFileContents = tools.Read(tools.Spec{
	Name:   "github_get_file_contents",
	Title:  "Read a file on GitHub",
	Doc:    "The text of a file, or the entries of a directory. A long text goes on at next_offset.",
	Scopes: scopes,
	Effect: tools.Reads,
}, contents)

func contents(ctx context.Context, a *tools.Account, in getFileContentsInput) (none tools.Found[File], _ error) {
	if err := in.repo().check(); err != nil {
		return none, err
	}
	asked, err := cleanPath(in.Path)
	if err != nil {
		return none, err
	}
	if err := checkLine("ref", in.Ref); err != nil {
		return none, err
	}
	path := tools.Path("/repos/{}/{}/contents", in.Owner, in.Repo).Tail(asked).With("ref", in.Ref)
	var raw json.RawMessage
	at, err := visit(ctx, a, in.repo(), path, &raw)
	if err != nil {
		return nothing[File](in.repo(), err)
	}
	files, err := at.files(raw, in)
	if err != nil {
		return none, err
	}
	// A link may lead to a file with another path, so both are asked about.
	return tools.Items(files...).Within(at.asked.file(asked)), nil
}

// files reads the answer: an object for a file, an array for a directory.
func (h home) files(raw json.RawMessage, in getFileContentsInput) ([]File, error) {
	var list []wireContent
	if json.Unmarshal(raw, &list) == nil && list != nil { // null is neither
		files := make([]File, len(list))
		for i, w := range list {
			var err error
			if files[i], err = h.file(w); err != nil {
				return nil, err
			}
		}
		return files, nil
	}
	var w wireContent
	if json.Unmarshal(raw, &w) != nil {
		return nil, strange()
	}
	f, err := h.file(w)
	if err != nil {
		return nil, err
	}
	f.SHA, f.URL = w.SHA, w.Page
	if w.Type == "file" {
		err = f.read(w, in)
	}
	return []File{f}, err
}

func (h home) file(w wireContent) (File, error) {
	r, _, ok := locate(w.URL)
	if !ok || w.Path == "" || w.Type == "" {
		return File{}, strange()
	}
	f := File{Path: w.Path, Type: w.Type, Size: w.Size, Target: w.Target, place: r.file(w.Path)}
	f.label, f.kind = h.kept(r), h.kind(r)
	return f, nil
}

const defaultBytes = 20_000

var htmlComment = regexp.MustCompile(`(?s)<!--.*?(-->|$)`)

// read fills in the asked range of the file's text. HTML comments are taken out
// of every answer; here that comes before the range is taken, or a range that
// begins inside of one would show the rest of it.
func (f *File) read(w wireContent, in getFileContentsInput) error {
	if w.Encoding != "base64" {
		f.TooLarge = true
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(w.Content, "\n", ""))
	if err != nil {
		return strange()
	}
	text := string(data)
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		f.Binary = true
		return nil
	}
	if bare := htmlComment.ReplaceAllString(text, ""); bare != text {
		text, f.CommentsRemoved = bare, true
	}
	from := min(in.Offset, len(text))
	for from < len(text) && !utf8.RuneStart(text[from]) {
		from++
	}
	most := in.MaxBytes
	if most == 0 {
		most = defaultBytes
	}
	more := false
	f.Offset = from
	if f.Text, more = cut(text[from:], most); more {
		f.NextOffset = from + len(f.Text)
	}
	return nil
}
