package server

import (
	"net/http"
	"strconv"
	"strings"

	"deputy/tools"
)

// The headers by which a client asks for less, as users of GitHub's server know
// them. They only ever take away.
const (
	headerToolsets = "X-MCP-Toolsets"
	headerTools    = "X-MCP-Tools"
	headerExclude  = "X-MCP-Exclude-Tools"
	headerReadOnly = "X-MCP-Readonly"
	headerDrafts   = "X-MCP-Drafts-Only" // deputy's own
)

// choiceOf reads what a client asks to be left out. A flag that is there and
// not plainly off is on: what narrows is not lost to a misspelling.
func choiceOf(h http.Header) tools.Choice {
	return tools.Choice{
		Toolsets: list(h, headerToolsets), Tools: list(h, headerTools), Exclude: list(h, headerExclude),
		ReadOnly: on(h, headerReadOnly), DraftsOnly: on(h, headerDrafts),
	}
}

// SetChoice writes a choice into the headers of a request.
func SetChoice(h http.Header, c tools.Choice) {
	for name, words := range map[string][]string{headerToolsets: c.Toolsets, headerTools: c.Tools, headerExclude: c.Exclude} {
		if words != nil {
			h.Set(name, strings.Join(words, ","))
		}
	}
	for name, is := range map[string]bool{headerReadOnly: c.ReadOnly, headerDrafts: c.DraftsOnly} {
		if is {
			h.Set(name, "true")
		}
	}
}

// ReadOnly serves next without tools that write.
func ReadOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(headerReadOnly, "true")
		next.ServeHTTP(w, r)
	})
}

// list reads comma-separated words. A header that is there and empty is as one
// that is not, as clients send it where a setting is left open.
func list(h http.Header, name string) (words []string) {
	for _, v := range h.Values(name) {
		for word := range strings.SplitSeq(v, ",") {
			if word = strings.TrimSpace(word); word != "" {
				words = append(words, word)
			}
		}
	}
	return words
}

func on(h http.Header, name string) bool {
	v := strings.TrimSpace(h.Get(name))
	is, err := strconv.ParseBool(v)
	return v != "" && (is || err != nil)
}
