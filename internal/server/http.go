package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"deputy/authz"

	mcpserver "github.com/mark3labs/mcp-go/server"
)

// maxBody bounds one request; mcp-go itself reads without end.
const maxBody = 4 << 20

// Door lets callers in over HTTP, and says to those who stay outside what they
// lack.
type Door struct {
	Identify func(*http.Request) (authz.Caller, error)

	// Refuse answers a request that Identify has refused, or a call that the
	// caller's token does not cover, with an *UncoveredError.
	Refuse func(http.ResponseWriter, *http.Request, error)
}

// UncoveredError says which scopes a call takes that its caller lacks.
type UncoveredError struct {
	Has, Needs []string
}

func (*UncoveredError) Error() string { return "server: the token does not cover the call" }

// HTTP serves Streamable HTTP to callers that the door lets in. It stands
// behind a Front.
func (s *Server) HTTP(d Door) http.Handler {
	streamable := Streamable(s.mcp,
		mcpserver.WithHTTPContextFunc(func(ctx context.Context, r *http.Request) context.Context {
			return visitOf(r.Context()).with(ctx)
		}),
		mcpserver.WithStreamableHTTPLogger(s.c.Log),
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := d.Identify(r)
		if err != nil {
			d.Refuse(w, r, err)
			return
		}
		v := visit{c, s.c.Guard}
		if choice := choiceOf(r.Header); !choice.IsZero() {
			if v.guard, err = s.c.Guard.Within(choice); err != nil {
				http.Error(w, "deputy: X-MCP-Toolsets, X-MCP-Tools or X-MCP-Exclude-Tools: "+err.Error(), http.StatusBadRequest)
				return
			}
		}
		if c.Principal().Limited && r.Method == http.MethodPost {
			if err := v.covered(r); err != nil {
				d.Refuse(w, r, err)
				return
			}
		}
		streamable.ServeHTTP(w, r.WithContext(v.with(r.Context())))
	})
}

// covered looks into a request for the tools it calls, so that a client hears of
// a missing scope where it listens for it: in the HTTP answer. The guard asks
// again, of whatever is called in the end.
func (v visit) covered(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil // too large, or cut off: the transport answers
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	type request struct {
		Method string
		Params struct{ Name string }
	}
	var calls []request
	if json.Unmarshal(body, &calls) != nil {
		calls = make([]request, 1)
		if json.Unmarshal(body, &calls[0]) != nil {
			return nil
		}
	}
	var needs []string
	for _, call := range calls {
		scope := v.guard.Catalog().AccessScope(call.Params.Name)
		if call.Method == "tools/call" && !v.caller.May(scope) && v.guard.Allowed(r.Context(), v.caller, call.Params.Name) {
			needs = append(needs, scope)
		}
	}
	if len(needs) > 0 {
		return &UncoveredError{v.caller.Principal().Scopes, needs}
	}
	return nil
}

// Streamable is the Streamable HTTP transport every deputy speaks, without its
// Front and without a caller.
func Streamable(core *mcpserver.MCPServer, options ...mcpserver.StreamableHTTPOption) http.Handler {
	return mcpserver.NewStreamableHTTPServer(core, append([]mcpserver.StreamableHTTPOption{
		mcpserver.WithSessionIdleTTL(sessionIdle),
	}, options...)...)
}

// sessionIdle ends sessions of earlier revisions whose clients went away.
const sessionIdle = time.Hour

// Front is what every request passes first: it must name this server as its
// host (DNS rebinding), come from no other site (Origin), and be of a size.
func Front(public *url.URL, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !sameHost(public, r.Host) {
			http.Error(w, "deputy: this host name is not served here: use public_url", http.StatusForbidden)
			return
		}
		if o := r.Header.Get("Origin"); o != "" {
			u, err := url.Parse(o)
			if err != nil || u.Scheme != public.Scheme && !loopback(u.Hostname()) || !sameHost(public, u.Host) {
				http.Error(w, "deputy: requests from another site are not served", http.StatusForbidden)
				return
			}
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if r.ContentLength > maxBody {
			http.Error(w, "deputy: the request is larger than 4 MiB", http.StatusRequestEntityTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameHost: the host of public_url, or any name of this machine where
// public_url is one itself.
func sameHost(public *url.URL, host string) bool {
	if strings.EqualFold(host, public.Host) {
		return true
	}
	name := host
	if u, err := url.Parse("http://" + host); err == nil {
		name = u.Hostname()
	}
	return loopback(public.Hostname()) && loopback(name)
}

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
