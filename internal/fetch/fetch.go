// Package fetch gets documents whose address somebody else chose: a server's
// metadata named an endpoint, a client named a document about itself. Such an
// address may point at this machine, at its network or at a cloud's metadata
// service, and its name may resolve to another address the second time.
//
// So the check is on the address that is dialed, after resolving: whatever
// follows of the name, the host or a redirect, the connection is not made.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
)

// Limits of one document.
const (
	MaxBytes = 64 << 10
	Timeout  = 5 * time.Second
	maxDepth = 32
)

// ErrRefused says that an address is not fetched, or its answer not taken.
var ErrRefused = errors.New("fetch: the address is not one to fetch from")

// Transport connects to public addresses on port 443 and nowhere else. It
// follows no proxy from the environment, which would dial in its place.
func Transport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: Timeout, Control: ssrf.New(ssrf.WithPorts(443)).Safe}).DialContext,
		TLSHandshakeTimeout:    Timeout,
		ResponseHeaderTimeout:  Timeout,
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true, // a small answer may not unfold into a large one
		ForceAttemptHTTP2:      true,
	}
}

// Client fetches JSON documents. The zero value is ready.
type Client struct {
	// Via replaces the transport; tests use it.
	Via http.RoundTripper
}

// Document is what an address gave, and for how long it may be kept.
type Document struct {
	Body   []byte
	MaxAge time.Duration // as its Cache-Control says; 0 if it says nothing, or that it may not be kept
}

// JSON gets a document's body; see Document.
func (c Client) JSON(ctx context.Context, address string) ([]byte, error) {
	doc, err := c.Document(ctx, address)
	return doc.Body, err
}

// Document gets a document: https, no redirect, status 200, a JSON type, at most
// MaxBytes within Timeout, nested no deeper than a reader can stand. The error
// repeats nothing that came back.
func (c Client) Document(ctx context.Context, address string) (Document, error) {
	resp, body, err := c.get(ctx, address)
	if err != nil {
		return Document{}, err
	}
	return Document{body, maxAge(resp.Header.Get("Cache-Control"))}, nil
}

// maxAge reads max-age (RFC 9111 §5.2.2.1), which no-store and no-cache undo.
func maxAge(control string) (age time.Duration) {
	for part := range strings.SplitSeq(control, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && n > 0 {
				age = time.Duration(min(n, 365*24*3600)) * time.Second
			}
		}
	}
	return age
}

func (c Client) get(ctx context.Context, address string) (*http.Response, []byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || u.Port() != "" && u.Port() != "443" {
		return nil, nil, fmt.Errorf("%w: want https on port 443", ErrRefused)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, ErrRefused
	}
	req.Header.Set("Accept", "application/json")
	via := c.Via
	if via == nil {
		t := Transport()
		defer t.CloseIdleConnections()
		via = t
	}
	client := &http.Client{Transport: via, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: no connection", ErrRefused)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%w: it answered %d", ErrRefused, resp.StatusCode)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "application/json" && !strings.HasSuffix(kind, "+json") || resp.Header.Get("Content-Encoding") != "" {
		return nil, nil, fmt.Errorf("%w: the answer is not plain JSON", ErrRefused)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBytes+1))
	if err != nil || len(body) > MaxBytes {
		return nil, nil, fmt.Errorf("%w: the answer is longer than %d bytes or broke off", ErrRefused, MaxBytes)
	}
	if deep(body) {
		return nil, nil, fmt.Errorf("%w: the answer is nested deeper than %d", ErrRefused, maxDepth)
	}
	return resp, body, nil
}

// deep reports whether brackets outside strings nest deeper than maxDepth.
func deep(body []byte) bool {
	depth, quoted, escaped := 0, false, false
	for _, b := range body {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}
