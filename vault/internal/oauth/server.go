package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Server is an authorization server and deputy as its client, as data.
type Server struct {
	AuthURL, TokenURL, RevokeURL string
	DeviceURL                    string // RFC 8628; "": no device flow
	PARURL                       string // RFC 9126; "": parameters travel in the browser

	ClientID     string
	ClientSecret Secret
	Basic        bool // the secret goes in the Authorization header (RFC 6749 §2.3.1), not the form

	Issuer   string // compared with iss wherever the server sends it (RFC 9207)
	SendsIss bool   // it announced that it always does: an answer without iss is not its answer

	PKCE       bool              // it knows S256 (RFC 7636)
	Params     map[string]string // further parameters of the authorization request
	ScopeParam string            // "" is "scope"; Slack's is "user_scope"
	ScopeSep   string            // "" is " "; Slack's is ","
	Resource   string            // RFC 8707: the API that tokens are for
	Shape      Shape
	Revocation Revocation
	RevokesAll bool // revoking one grant ends all that the person gave this client

	// Refusals is what this server says beside RFC 6749 §5.2.
	Refusals map[string]Verdict
}

// Shape names the form of a token answer.
type Shape int

const (
	RFC6749     Shape = iota // access_token at the top; errors may come with a 200 (GitHub)
	SlackV2User              // the user's token under authed_user, a bot's at the top
)

// Revocation names how a grant is ended.
type Revocation int

const (
	RFC7009      Revocation = iota // POST token=… as this client
	RevokeToken                    // POST token=… and nothing else (Google)
	RevokeBearer                   // POST with the token as the bearer (Slack auth.revoke)
	RevokeGitHub                   // DELETE {RevokeURL}/{client_id}/grant or /token with Basic
)

// Verdict is what a refusal means for the grant that was used.
type Verdict int

const (
	Passing    Verdict = iota // it may pass; the grant may be well
	GrantEnded                // the grant or code is over: a person has to connect again
	ClientBad                 // this client is refused: the operator has to look
	NotYet                    // RFC 8628: the person has not decided
	SlowDown                  // RFC 8628: and is asked too often
)

// standard holds the codes of RFC 6749 §5.2, RFC 8628 §3.5 and RFC 8693 §2.2.2.
var standard = map[string]Verdict{
	"invalid_grant":         GrantEnded,
	"invalid_client":        ClientBad,
	"unauthorized_client":   ClientBad,
	"invalid_request":       ClientBad,
	"invalid_scope":         ClientBad,
	"invalid_target":        ClientBad,
	"authorization_pending": NotYet,
	"slow_down":             SlowDown,
	"expired_token":         GrantEnded,
	"access_denied":         GrantEnded,
}

// Refusal is an answer that settles a request: a code that is ours to know.
type Refusal struct {
	Code    string
	Verdict Verdict
}

func (r *Refusal) Error() string { return "the token endpoint says " + r.Code }

// Unavailable is a failure that may pass: no answer, or none that makes sense.
type Unavailable struct {
	Status int
	Cause  string        // a constant of ours
	Unsent bool          // the request had not gone out in full: nothing can have happened
	Cut    bool          // the answer was cut off: it may have held tokens
	After  time.Duration // the server's Retry-After
}

func (u *Unavailable) Error() string {
	if u.Status != 0 {
		return fmt.Sprintf("%s (HTTP %d)", u.Cause, u.Status)
	}
	return u.Cause
}

// refusal sorts a server's error code. A 5xx proves nothing, whatever it says.
func (s *Server) refusal(status int, code string) error {
	verdict, known := s.Refusals[code]
	if !known {
		verdict, known = standard[code]
	}
	if !known || status >= 500 || verdict == Passing {
		return &Unavailable{Status: status, Cause: "the token endpoint failed"}
	}
	return &Refusal{code, verdict}
}

func (s *Server) scopeParam() string {
	if s.ScopeParam == "" {
		return "scope"
	}
	return s.ScopeParam
}

func (s *Server) scopeSep() string {
	if s.ScopeSep == "" {
		return " "
	}
	return s.ScopeSep
}

// Check refuses endpoints that a token must not be sent to.
func (s *Server) Check() error {
	for _, e := range []struct{ name, u string }{
		{"auth_url", s.AuthURL}, {"token_url", s.TokenURL}, {"revoke_url", s.RevokeURL}, {"device_url", s.DeviceURL}, {"par_url", s.PARURL},
	} {
		optional := !slices.Contains([]string{"auth_url", "token_url"}, e.name)
		if e.u == "" && optional {
			continue
		}
		if err := SafeURL(e.u); err != nil {
			return fmt.Errorf("%s %w", e.name, err)
		}
	}
	return nil
}

// SafeURL accepts https, and plain http on this machine.
func SafeURL(raw string) error {
	u, err := url.Parse(raw)
	local := err == nil && u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !local {
		return fmt.Errorf("%q: want an https URL (http only on this machine)", raw)
	}
	return nil
}

// NoRedirect is for http.Client.CheckRedirect: neither a token endpoint nor an
// API moves on its own, and following would carry a secret to wherever the
// answer points.
func NoRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// fields splits a scope text; GitHub writes commas where it reads spaces.
func fields(scope string) []string {
	return strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' || r == ',' })
}
