package github

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"deputy/authz"
	"deputy/tools"
)

// repo names a repository.
type repo struct{ owner, name string }

func (r repo) String() string { return r.owner + "/" + r.name }

// is compares as GitHub does.
func (r repo) is(o repo) bool { return strings.EqualFold(r.String(), o.String()) }

// repoInput is how the tools are told a repository.
type repoInput struct {
	Owner string `json:"owner" audit:"plain"`
	Repo  string `json:"repo" audit:"plain"`
}

func (in repoInput) repo() repo { return repo{in.Owner, in.Repo} }

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func (r repo) check() error {
	for _, n := range []struct{ field, name string }{{"owner", r.owner}, {"repo", r.name}} {
		if !nameForm.MatchString(n.name) || n.name == "." || n.name == ".." {
			return tools.BadInput(n.field, "must be a name of letters, digits, '.', '_' and '-', as in octo/hello")
		}
	}
	return nil
}

// What GitHub takes at most; a label's and a title's limits are in characters.
const (
	maxTitle     = 256
	maxText      = 65_536 // characters
	maxLabel     = 50
	maxLabels    = 100
	maxAssignees = 10
)

func checkTitle(title string) error {
	switch {
	case strings.TrimSpace(title) == "":
		return tools.BadInput("title", "is empty")
	case strings.ContainsAny(title, "\r\n"):
		return tools.BadInput("title", "must be a single line")
	case utf8.RuneCountInString(title) > maxTitle:
		return tools.BadInput("title", fmt.Sprintf("is longer than %d characters", maxTitle))
	}
	return checkLine("title", title)
}

// checkLine refuses what a person would not see in a line. Emoji are put
// together with invisible characters, so those may be in it.
func checkLine(field, line string) error {
	for _, r := range line {
		joins := r == '\u200d' || r == '\ufe0e' || r == '\ufe0f'
		if unicode.IsControl(r) || authz.Invisible(r) && !joins {
			return tools.BadInput(field, fmt.Sprintf("contains the invisible character U+%04X", r))
		}
	}
	return nil
}

func checkText(field, text string) error {
	if n := utf8.RuneCountInString(text); n > maxText {
		return tools.BadInput(field, fmt.Sprintf("is %d characters long, GitHub takes %d", n, maxText))
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return tools.BadInput(field, fmt.Sprintf("contains the control character U+%04X", r))
		}
	}
	return nil
}

func checkLabels(labels []string) error {
	if len(labels) > maxLabels {
		return tools.BadInput("labels", fmt.Sprintf("are more than %d", maxLabels))
	}
	for i, l := range labels {
		field := fmt.Sprintf("labels[%d]", i)
		if strings.TrimSpace(l) == "" || utf8.RuneCountInString(l) > maxLabel {
			return tools.BadInput(field, fmt.Sprintf("must have 1 to %d characters", maxLabel))
		}
		if err := checkLine(field, l); err != nil {
			return err
		}
	}
	return nil
}

var loginForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

func checkAssignees(logins []string) error {
	if len(logins) > maxAssignees {
		return tools.BadInput("assignees", fmt.Sprintf("are more than %d", maxAssignees))
	}
	for i, l := range logins {
		if !loginForm.MatchString(l) {
			return tools.BadInput(fmt.Sprintf("assignees[%d]", i), "must be a login, without an @")
		}
	}
	return nil
}

// cleanPath is a file's path as git has it: no slash at its ends, none twice.
func cleanPath(path string) (string, error) {
	var parts []string
	for p := range strings.SplitSeq(path, "/") {
		switch {
		case p == "":
			continue
		case p == ".", p == "..", strings.ContainsAny(p, "\\\x00"):
			return "", tools.BadInput("path", "must be a path in the repository, like docs/launch.md, without . or ..")
		}
		parts = append(parts, p)
	}
	clean := strings.Join(parts, "/")
	if len(clean) > 4096 {
		return "", tools.BadInput("path", "is too long")
	}
	return clean, nil
}
