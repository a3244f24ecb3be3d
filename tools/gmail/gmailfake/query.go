package gmailfake

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// term is one condition of a Gmail search.
type term struct {
	op, value string
	not       bool
}

// parseQuery splits a search into terms; quotes keep a phrase together.
func parseQuery(q string) (out []term) {
	var words []string
	var word strings.Builder
	quoted := false
	for _, r := range q + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		default:
			word.WriteRune(r)
		}
	}
	for _, w := range words {
		var t term
		if rest, ok := strings.CutPrefix(w, "-"); ok {
			t.not, w = true, rest
		}
		if op, value, ok := strings.Cut(w, ":"); ok {
			t.op, t.value = strings.ToLower(op), strings.ToLower(value)
		} else {
			t.value = strings.ToLower(w)
		}
		out = append(out, t)
	}
	return out
}

func (f *Fake) matches(m *message, terms []term) bool {
	for _, t := range terms {
		if f.holds(m, t) == t.not {
			return false
		}
	}
	return true
}

func (f *Fake) holds(m *message, t term) bool {
	in := func(text string) bool { return strings.Contains(strings.ToLower(text), t.value) }
	switch t.op {
	case "":
		return in(m.header("Subject")) || in(m.header("From")) || in(m.header("To")) || in(m.text())
	case "from", "to", "subject", "cc":
		return in(m.header(t.op))
	case "label", "in":
		return t.value == "anywhere" || slices.ContainsFunc(m.labels, func(l string) bool {
			return strings.EqualFold(l, t.value) || strings.EqualFold(strings.ReplaceAll(labelNames[l], " ", "-"), t.value)
		})
	case "is":
		return slices.ContainsFunc(m.labels, func(l string) bool { return strings.EqualFold(l, t.value) })
	case "has":
		return t.value == "attachment" && slices.ContainsFunc(flatten(m.payload()), func(p *part) bool { return p.Filename != "" })
	case "newer_than", "older_than":
		age, ok := duration(t.value)
		return ok && (f.c.Now().Sub(m.date) < age) == (t.op == "newer_than")
	}
	return false // an operator this mailbox does not know finds nothing
}

func duration(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	n, err := strconv.Atoi(s[:len(s)-1])
	unit := map[byte]time.Duration{'d': 24 * time.Hour, 'm': 30 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}[s[len(s)-1]]
	return time.Duration(n) * unit, err == nil && unit > 0
}

// The user's own labels, and the system's, which are named after themselves.
const (
	LabelClients = "Label_1"
	LabelPayroll = "Label_2"
)

var labelNames = map[string]string{LabelClients: "Clients", LabelPayroll: "Payroll"}

var systemLabels = []string{"INBOX", "SENT", "DRAFT", "UNREAD", "IMPORTANT", "STARRED", "SPAM", "TRASH"}

func label(id string) map[string]string {
	if name, ok := labelNames[id]; ok {
		return map[string]string{"id": id, "name": name, "type": "user", "messageListVisibility": "show", "labelListVisibility": "labelShow"}
	}
	return map[string]string{"id": id, "name": id, "type": "system"}
}

func (f *Fake) listLabels(*http.Request, []byte) (int, any) {
	var list []map[string]string
	for _, id := range append(slices.Clone(systemLabels), LabelClients, LabelPayroll) {
		list = append(list, label(id))
	}
	return 200, map[string]any{"labels": list}
}

func (f *Fake) getLabel(r *http.Request, _ []byte) (int, any) {
	id := r.PathValue("id")
	if _, ok := labelNames[id]; !ok && !slices.Contains(systemLabels, id) {
		return notFound()
	}
	return 200, label(id)
}
