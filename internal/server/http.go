package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"deputy/authz"

	mcpserver "github.com/mark3labs/mcp-go/server"
)

// maxBody bounds one request; mcp-go itself reads without end.
const maxBody = 4 << 20

// HTTP serves Streamable HTTP to callers that identify lets in. It stands
// behind a Front.
func (s *Server) HTTP(identify func(*http.Request) (authz.Caller, error)) http.Handler {
	streamable := Streamable(s.mcp,
		mcpserver.WithHTTPContextFunc(func(ctx context.Context, r *http.Request) context.Context {
			return withCaller(ctx, callerOf(r.Context()))
		}),
		mcpserver.WithStreamableHTTPLogger(s.c.Log),
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := identify(r)
		if err != nil {
			unauthorized(w)
			return
		}
		streamable.ServeHTTP(w, r.WithContext(withCaller(r.Context(), c)))
	})
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

// unauthorized says where a token would come from and nothing about the one
// that was sent (RFC 6750 §3).
func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="deputy", error="invalid_token"`)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	json.NewEncoder(w).Encode(map[string]string{
		"error":             "invalid_token",
		"error_description": "send the bearer that deputy printed at its start, or that HOME/keys/bearer holds",
	})
}

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
