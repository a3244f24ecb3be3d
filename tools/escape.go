package tools

import "net/url"

// Provider packages import no net/http; this is all of URL building they need.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return "%2E" // no such thing exists; the vault refuses the path
	}
	return url.PathEscape(s)
}

func escapeQuery(s string) string { return url.QueryEscape(s) }
