package clients

import (
	"net/url"
	"slices"
	"strings"
)

const (
	maxID        = 1024
	maxURI       = 2048
	maxRedirects = 32
	maxName      = 100
)

// Allows reports whether a code may go to uri: it is one that the client has
// registered, byte for byte (RFC 9700 §2.1), except that a loopback address may
// have any port (RFC 8252 §7.3).
func (c Client) Allows(uri string) bool {
	if len(uri) > maxURI {
		return false
	}
	if slices.Contains(c.Redirects, uri) {
		return true
	}
	asked, ok := loopback(uri)
	return ok && slices.ContainsFunc(c.Redirects, func(r string) bool {
		known, ok := loopback(r)
		return ok && known == asked
	})
}

// loopback returns a loopback redirect URI without its port. It cuts the text
// and normalizes nothing: what a parser would forgive is not forgiven here.
func loopback(uri string) (portless string, ok bool) {
	rest, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		port, found := strings.CutPrefix(authority, host)
		if found && (port == "" || validPort(port)) {
			return host + path, true
		}
	}
	return "", false
}

func validPort(s string) bool {
	digits, ok := strings.CutPrefix(s, ":")
	return ok && digits != "" && len(digits) <= 5 && !strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

// Local reports whether a code sent to uri arrives at a program on the person's
// own machine. Any program there may be the one that takes it.
func Local(uri string) bool { return !strings.HasPrefix(uri, "https://") }

// RedirectHost is what is remembered and shown of a redirect URI: the host, or
// for a program on the machine its address without port, or its scheme.
func RedirectHost(uri string) string {
	if portless, ok := loopback(uri); ok {
		host, _, _ := strings.Cut(portless, "/")
		return host
	}
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Scheme == "https" {
		return u.Host
	}
	return u.Scheme + ":"
}

// validRedirect reports whether a client may register uri: https, a loopback
// address, or a scheme of the program's own. Who is not trusted by the operator
// takes a reverse domain name for that (RFC 8252 §7.1).
func validRedirect(uri string, trusted bool) bool {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxURI || u.User != nil || strings.ContainsAny(uri, "#\\*") ||
		strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Host != "" && u.Hostname() != ""
	case "http":
		_, ok := loopback(uri)
		return ok
	}
	if slices.Contains([]string{"", "javascript", "data", "file", "blob", "about", "vbscript", "ftp", "ws", "wss", "mailto", "filesystem", "view-source", "intent"}, u.Scheme) {
		return false
	}
	return trusted || strings.Contains(u.Scheme, ".")
}
