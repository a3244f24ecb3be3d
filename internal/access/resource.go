package access

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Resource is this server, to clients that want a token for it.
type Resource struct {
	Public  *url.URL // public_url
	Servers []string // issuers of tokens for it
	Scopes  []string // all that there are
	First   []string // what a client that has none is told to ask for
	Docs    string   // an address for people, or nothing
}

// The resource's identifier is the address of its MCP endpoint.
const endpoint = "/mcp"

// ID is the resource identifier (RFC 8707 §2), as tokens have it in aud.
func (r Resource) ID() string { return r.Public.String() + endpoint }

const wellKnownPath = "/.well-known/oauth-protected-resource"

// Routes serves the metadata (RFC 9728 §3), under the resource's path and for
// clients that look at the root.
func (r Resource) Routes(mux *http.ServeMux) {
	body, _ := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Methods  []string `json:"bearer_methods_supported"`
		Name     string   `json:"resource_name"`
		Docs     string   `json:"resource_documentation,omitempty"`
	}{r.ID(), r.Servers, r.Scopes, []string{"header"}, "deputy", r.Docs})
	serve := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=300")
		w.Header().Set("Access-Control-Allow-Origin", "*") // it holds no secret, and clients in browsers read it
		w.Write(append(body, '\n'))
	}
	mux.HandleFunc("GET "+wellKnownPath, serve)
	mux.HandleFunc("GET "+wellKnownPath+endpoint, serve)
}

// Lack is what a request lacks.
type Lack struct {
	Status int
	Error  string // a code of RFC 6750 §3.1 or RFC 9470 §3, or nothing where no token came
	Says   string // to whoever reads it, in words of ours

	Scopes    []string      // all that the call takes
	ACRValues []string      // RFC 9470 §3
	MaxAge    time.Duration // RFC 9470 §3
}

// NoToken is a request without a token, or with one in another scheme.
func (r Resource) NoToken() Lack {
	return Lack{Status: http.StatusUnauthorized, Says: "a bearer token is needed", Scopes: r.First}
}

// BadToken is a request with a token that is not good.
func (r Resource) BadToken() Lack {
	return Lack{Status: http.StatusUnauthorized, Error: "invalid_token", Says: "the token is not good here: get a new one", Scopes: r.First}
}

// Insufficient is a token without a scope that the call takes. What it has is
// asked for again, so that the next token does for both.
func (r Resource) Insufficient(has, needs []string) Lack {
	all := slices.Concat(has, needs)
	slices.Sort(all)
	return Lack{Status: http.StatusForbidden, Error: "insufficient_scope", Says: "the call takes a scope that the token lacks", Scopes: slices.Compact(all)}
}

// Stale is a sign-in that is too old or too weak for the call.
func (r Resource) Stale(acr []string, maxAge time.Duration) Lack {
	return Lack{Status: http.StatusUnauthorized, Error: "insufficient_user_authentication", Says: "the person has to sign in again, or in a stronger way", ACRValues: acr, MaxAge: maxAge}
}

// Write answers with the challenge, and with the same as JSON for clients that
// show the body.
func (r Resource) Write(w http.ResponseWriter, l Lack) {
	var b strings.Builder
	b.WriteString(`Bearer realm="deputy"`)
	add := func(name, value string) {
		if value != "" {
			b.WriteString(`, ` + name + `="` + quoted(value) + `"`)
		}
	}
	add("error", l.Error)
	if l.Error != "" {
		add("error_description", l.Says)
	}
	add("scope", strings.Join(l.Scopes, " "))
	add("acr_values", strings.Join(l.ACRValues, " "))
	if l.MaxAge > 0 {
		add("max_age", strconv.Itoa(int(l.MaxAge.Seconds())))
	}
	if len(r.Servers) > 0 {
		add("resource_metadata", r.Public.String()+wellKnownPath+endpoint)
	}
	w.Header().Set("WWW-Authenticate", b.String())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(l.Status)
	code := l.Error
	if code == "" {
		code = "invalid_token"
	}
	json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": l.Says})
}

// quoted makes a value safe for a quoted string (RFC 9110 §5.6.4).
func quoted(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}
