package authserver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/authserver/clients"
)

// request is an authorization request that may be answered: read, and found to
// be one that this client may make.
type request struct {
	Client    string    `json:"client"`
	Redirect  string    `json:"redirect"`
	State     string    `json:"state,omitempty"`
	Scopes    []string  `json:"scopes"`
	Resource  string    `json:"resource"`
	Challenge string    `json:"challenge"`
	Prompt    []string  `json:"prompt,omitempty"`
	MaxAge    int       `json:"max_age,omitempty"` // seconds; 0: any
	ACR       []string  `json:"acr,omitempty"`
	Since     time.Time `json:"since,omitzero"` // a sign-in from before does not count
}

const (
	maxQuery = 8 << 10
	maxState = 2 << 10

	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
)

// read judges a request of a client whose redirect URI is known to be its own.
// What it finds wrong, the client may be told there.
func (s *Server) read(form url.Values, client clients.Client) (request, error) {
	q := request{Client: client.ID, Redirect: form.Get("redirect_uri"), State: form.Get("state")}
	if len(q.State) > maxState {
		q.State = ""
		return q, refuse(invalidRequest, "state is longer than 2 KiB")
	}
	if err := noDoubles(form); err != nil {
		return q, err
	}
	switch {
	case !client.May(clients.CodeGrant):
		return q, refuse(unauthorizedClient, "the client is not registered for authorization codes")
	case form.Has("request"):
		return q, refuse(unsupportedRequest, "request objects are not taken")
	case form.Get("response_type") == "":
		return q, refuse(invalidRequest, "response_type is missing")
	case form.Get("response_type") != "code":
		return q, refuse(unsupportedAnswer, "response_type: want code")
	case form.Has("response_mode") && form.Get("response_mode") != "query":
		return q, refuse(invalidRequest, "response_mode: want query")
	case form.Get("code_challenge") == "":
		return q, refuse(invalidRequest, "code_challenge is missing: PKCE is required (RFC 7636)")
	case form.Get("code_challenge_method") != "S256":
		return q, refuse(invalidRequest, "code_challenge_method: want S256")
	case !isChallenge(form.Get("code_challenge")):
		return q, refuse(invalidRequest, "code_challenge is not a SHA-256 in base64url")
	}
	q.Challenge = form.Get("code_challenge")
	var err error
	if q.Resource, err = s.resourceOf(form["resource"]); err != nil {
		return q, err
	}
	if q.Scopes, err = s.scopesOf(form.Get("scope")); err != nil {
		return q, err
	}
	return q, q.readSignIn(form, s.c.ACRValues)
}

// readSignIn reads what the client asks of the sign-in (OpenID Connect Core
// §3.1.2.1, RFC 9470 §4).
func (q *request) readSignIn(form url.Values, known []string) error {
	q.Prompt = strings.Fields(form.Get("prompt"))
	for _, p := range q.Prompt {
		if p != promptNone && p != promptLogin && p != promptConsent || p == promptNone && len(q.Prompt) > 1 {
			return refuse(invalidRequest, "prompt: want none, or login, or consent, or the latter two")
		}
	}
	if form.Has("max_age") {
		n, err := strconv.Atoi(form.Get("max_age"))
		if err != nil || n < 0 || n > 1<<30 {
			return refuse(invalidRequest, "max_age: want seconds")
		}
		if q.MaxAge = n; n == 0 && !q.wants(promptNone) {
			q.Prompt = append(q.Prompt, promptLogin)
		} else if n == 0 {
			q.MaxAge = 1
		}
	}
	asked := strings.Fields(form.Get("acr_values"))
	for _, acr := range asked {
		if slices.Contains(known, acr) {
			q.ACR = append(q.ACR, acr)
		}
	}
	if len(asked) > 0 && len(q.ACR) == 0 {
		return refuse(unmet, "nobody can sign in as acr_values asks: see acr_values_supported")
	}
	return nil
}

func (q request) wants(prompt string) bool { return slices.Contains(q.Prompt, prompt) }

// lacks says what the person's sign-in lacks, if anything.
func (q request) lacks(c authz.Caller, meets func(authz.Caller, string) bool) (n Need, lacking bool) {
	switch {
	case !q.Since.IsZero() && c.AuthTime().Before(q.Since):
		n.MaxAge, lacking = time.Second, true
	case q.MaxAge > 0 && time.Since(c.AuthTime()) > time.Duration(q.MaxAge)*time.Second:
		n.MaxAge, lacking = time.Duration(q.MaxAge)*time.Second, true
	}
	if len(q.ACR) > 0 && !slices.ContainsFunc(q.ACR, func(acr string) bool { return meets(c, acr) }) {
		n.ACR, lacking = q.ACR[0], true
	}
	return n, lacking
}

func isChallenge(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == 32 && len(s) == 43
}

// Handles are sealed notes that a browser carries: a request on its way through
// sign-in, and a question that one person in one session is being asked.
const handleLife = 10 * time.Minute

var (
	resumeAD  = []byte("authserver/resume")
	consentAD = []byte("authserver/consent")
	deviceAD  = []byte("authserver/device")
)

// handle is what a consent form holds. It is bound to who is asked, and where.
type handle struct {
	Request request   `json:"request,omitzero"`
	Device  string    `json:"device,omitempty"` // hash of a device_code
	User    string    `json:"user,omitempty"`
	Session string    `json:"session,omitempty"`
	Expires time.Time `json:"expires"`
}

var errHandle = errors.New("authserver: no such request")

func (s *Server) seal(ad []byte, h handle) (string, error) {
	h.Expires = time.Now().Add(handleLife)
	plain, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	sealed, err := s.c.Sealer.Seal(ad, plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (s *Server) unseal(ad []byte, text string) (h handle, err error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return h, errHandle
	}
	plain, err := s.c.Sealer.Open(ad, sealed)
	if err != nil || json.Unmarshal(plain, &h) != nil || time.Now().After(h.Expires) {
		return handle{}, errHandle
	}
	return h, nil
}

// asked opens a form's handle for the person who was asked, in the session in
// which it was. For anybody else there is no such thing (T20).
func (s *Server) asked(ad []byte, text string, c authz.Caller) (handle, error) {
	h, err := s.unseal(ad, text)
	if err == nil && (h.User != c.User() || h.Session != c.Session()) {
		err = errHandle
	}
	return h, err
}
