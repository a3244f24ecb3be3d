package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Kind names a provider.
type Kind string

// The providers a gate can stand in front of.
const (
	Google Kind = "google"
	Slack  Kind = "slack"
	GitHub Kind = "github"
)

// Config says which provider is behind the gate and how strict it is.
type Config struct {
	Kind     Kind
	Upstream *url.URL
	Clients  map[string]string // OAuth client id → secret
	Tokens   []string          // live from the start, unrestricted
	TTL      time.Duration     // access token lifetime; 0: as the provider says
	AnyScope bool
	Now      func() time.Time // nil: time.Now
}

// bodyLimit is more than any provider takes in one request.
const bodyLimit = 64 << 20

// A call is one request on its way through.
type call struct {
	r      *http.Request
	body   []byte     // as it came in
	form   url.Values // when body is a form
	bearer string
	scopes []string // what bearer may do; empty: anything
	lost   *fault   // a failure that comes after the provider has done its work

	method, path, query, contentType string // as they came in
}

// A provider knows one service's words and the emulator's gaps.
type provider interface {
	// issues reports whether path hands out tokens.
	issues(path string) bool
	// open reports whether path is served without a token.
	open(path string) bool
	// answer serves what the emulator lacks or must not decide.
	answer(g *Gate, w http.ResponseWriter, c *call) bool
	// writes reports whether the call changes something users can see.
	writes(c *call) bool
	// adapt makes the call one the emulator understands.
	adapt(c *call)
	// refuse answers a call whose token is missing or not live.
	refuse(w http.ResponseWriter, missing bool)
	// fail answers with an injected status.
	fail(w http.ResponseWriter, status int)
	// whoami is the path that names the token's owner, and the field it is in.
	whoami() (path, field string)
}

// Gate is the proxy.
type Gate struct {
	config   Config
	provider provider
	tokens   *tokens
	journal  journal
	faults   faults
	admin    http.Handler
	proxy    *httputil.ReverseProxy
	client   *http.Client
}

// NewGate returns the handler for one provider.
func NewGate(c Config) *Gate {
	if c.Now == nil {
		c.Now = time.Now
	}
	g := &Gate{
		config:   c,
		provider: map[Kind]provider{Google: google{}, Slack: slack{}, GitHub: github{}}[c.Kind],
		tokens:   newTokens(c.Now, c.Tokens),
		client:   &http.Client{Timeout: 10 * time.Second},
	}
	g.admin = g.control()
	g.proxy = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(c.Upstream)
			p.Out.Header.Del("Accept-Encoding") // the gate reads the answers
		},
		ModifyResponse: g.received,
		ErrorHandler:   g.broken,
	}
	return g
}

// errLost marks an answer that is made to get lost.
var errLost = errors.New("answer lost on purpose")

type callKey struct{}

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/__gate/") {
		g.admin.ServeHTTP(w, r)
		return
	}
	c, err := read(w, r)
	if err != nil {
		http.Error(w, "gate: request body: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if f, ok := g.faults.next(c.path); ok {
		if !f.forward {
			g.fail(w, f)
			return
		}
		c.lost = &f
	}
	if g.provider.answer(g, w, c) {
		return
	}
	if c.bearer != "" {
		scopes, ok := g.tokens.live(c.bearer)
		if !ok {
			g.provider.refuse(w, false)
			return
		}
		c.scopes = scopes
	} else if !g.provider.open(c.path) {
		g.provider.refuse(w, true)
		return
	}
	if g.config.Kind == Google && !g.config.AnyScope && !mayUseGmail(c) {
		googleError(w, http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions", "Request had insufficient authentication scopes.")
		return
	}
	g.provider.adapt(c)
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
}

// read takes the whole request in, and finds its bearer token.
func read(w http.ResponseWriter, r *http.Request) (*call, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		return nil, err
	}
	c := &call{
		r: r, body: body,
		method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, contentType: r.Header.Get("Content-Type"),
	}
	c.send(body)
	if media, _, _ := mime.ParseMediaType(c.contentType); media == "application/x-www-form-urlencoded" {
		c.form, _ = url.ParseQuery(string(body))
	}
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "token") {
		c.bearer = strings.TrimSpace(value)
	}
	return c, nil
}

// send sets the body that goes to the provider.
func (c *call) send(body []byte) {
	c.r.Body, c.r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	c.r.Header.Set("Content-Length", strconv.Itoa(len(body)))
}

// sendForm is send for a form.
func (c *call) sendForm(f url.Values) {
	c.r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c.send([]byte(f.Encode()))
}

// received sees every answer of the provider on its way back.
func (g *Gate) received(resp *http.Response) error {
	c := resp.Request.Context().Value(callKey{}).(*call)
	if g.provider.writes(c) {
		g.record(c, resp.StatusCode)
	}
	if g.provider.issues(c.path) {
		if err := g.learn(c, resp); err != nil {
			return err
		}
	}
	if c.lost != nil {
		resp.Body.Close()
		return errLost
	}
	if g.config.Kind == GitHub && len(c.scopes) > 0 {
		resp.Header.Set("X-OAuth-Scopes", strings.Join(c.scopes, ", "))
	}
	if g.config.Kind == Slack && resp.StatusCode == http.StatusNotFound && strings.HasPrefix(c.path, "/api/") {
		resp.StatusCode = http.StatusOK
		replaceBody(resp, []byte(`{"ok":false,"error":"unknown_method"}`))
	}
	return nil
}

// broken answers when the provider's answer did not make it: because it was
// made to get lost, or because the provider is not there.
func (g *Gate) broken(w http.ResponseWriter, r *http.Request, err error) {
	c := r.Context().Value(callKey{}).(*call)
	if err == errLost {
		g.fail(w, *c.lost)
		return
	}
	if g.provider.writes(c) {
		g.record(c, 0)
	}
	http.Error(w, "gate: provider: "+err.Error(), http.StatusBadGateway)
}

func (g *Gate) record(c *call, status int) {
	g.journal.add(Write{Method: c.method, Path: c.path, Query: c.query, ContentType: c.contentType, Body: c.body, Status: status})
}

// fail answers with an injected failure.
func (g *Gate) fail(w http.ResponseWriter, f fault) {
	if f.status == 0 {
		panic(http.ErrAbortHandler) // the server cuts the connection
	}
	if f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	g.provider.fail(w, f.status)
}

func replaceBody(resp *http.Response, body []byte) {
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	resp.TransferEncoding = nil
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	resp.Header.Del("Etag")
}
