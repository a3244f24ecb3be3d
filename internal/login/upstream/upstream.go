// Package upstream lets people sign in with an account they have elsewhere: at
// an OpenID provider (OpenID Connect Core 1.0, authorization code flow) or at
// GitHub, which speaks OAuth 2.0 and says who it is in an API.
//
// What comes back is an issuer and a subject, and nothing else identifies
// anybody: an e-mail address is a label, and at most says who may make a
// profile. One Attempt ties request and answer together: state, nonce and PKCE
// verifier (RFC 7636, S256) are new for each, and the caller keeps it bound to
// one browser and uses it once.
package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"deputy/internal/fetch"

	"golang.org/x/oauth2"
)

// Sentinels of this package. None of them repeats what a server said.
var (
	ErrState   = errors.New("upstream: the answer does not belong to this attempt")
	ErrMixedUp = errors.New("upstream: the answer came from another issuer than the one asked")
	ErrRefused = errors.New("upstream: the provider did not let the person in")
	ErrToken   = errors.New("upstream: the provider's ID token is not good")
	ErrNotNow  = errors.New("upstream: the provider does not show a fresh enough sign-in")
	ErrWeak    = errors.New("upstream: the provider did not sign the person in as strongly as asked")
	ErrSilent  = errors.New("upstream: the provider cannot be reached or gave no proper answer")
)

// Config is one provider as its operator sets it.
type Config struct {
	Name, Title      string // in paths, as "oidc"; as a person reads it
	Issuer, ClientID string
	Secret           func() (string, error) // nil or empty: a public client
	Redirect         string
	Scopes           []string // beyond openid

	// GitHub: its endpoints, if not github.com's.
	AuthURL, TokenURL, APIURL string
}

// Wish is what one attempt asks beyond who it is.
type Wish struct {
	Fresh  bool          // sign in again, also where a session is open (prompt=login)
	MaxAge time.Duration // the sign-in is no older; 0: it does not matter
	ACR    string        // how strong, in the provider's words (acr_values)
}

// Attempt is one request under way. It holds secrets: the caller seals it.
type Attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Wish     Wish      `json:"wish"`
	Begun    time.Time `json:"begun"`
}

// Account is who came back.
type Account struct {
	Issuer, Subject string
	Label           string // for a person's eyes: an address, a login
	Email           string // only if the issuer says that it is verified
	AuthTime        time.Time
	ACR             string // in the provider's words; empty if it says nothing
}

// Provider is one place where people can sign in.
type Provider interface {
	Name() string
	Title() string
	Issuer() string

	// Proves reports whether it can show a fresh sign-in.
	Proves() bool

	// Ready reports whether people can be sent there now.
	Ready(ctx context.Context) error

	// Begin returns where to send the browser.
	Begin(ctx context.Context, w Wish) (to string, a Attempt, err error)

	// Finish judges what the browser brought back.
	Finish(ctx context.Context, a Attempt, answer url.Values) (Account, error)
}

func newAttempt(w Wish) Attempt {
	return Attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Wish: w, Begun: time.Now()}
}

// judge looks at an answer before its code is used: state, issuer (RFC 9207),
// error, in this order, so that a stranger's answer says nothing.
func judge(a Attempt, answer url.Values, issuer string, mustName bool) (code string, err error) {
	if a.State == "" || answer.Get("state") != a.State || len(answer["state"]) != 1 || len(answer["code"]) > 1 {
		return "", ErrState
	}
	if iss := answer.Get("iss"); iss != issuer && (iss != "" || mustName) {
		return "", ErrMixedUp
	}
	if answer.Get("error") != "" || answer.Get("code") == "" {
		return "", ErrRefused
	}
	return answer.Get("code"), nil
}

// exchange trades the code for tokens. The library's error carries the answer's
// body, and with it perhaps a token, so it goes no further.
func exchange(ctx context.Context, client *http.Client, c *oauth2.Config, a Attempt, code string) (*oauth2.Token, error) {
	t, err := c.Exchange(context.WithValue(ctx, oauth2.HTTPClient, client), code, oauth2.VerifierOption(a.Verifier))
	if err == nil {
		return t, nil
	}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response != nil && refused.Response.StatusCode < 500 {
		return nil, ErrRefused
	}
	return nil, ErrSilent
}

// client speaks to hosts that the operator named as it is told, and to any
// other, which a document named, on the public internet alone. No answer is
// longer than fetch.MaxBytes, no redirect is followed.
func client(named ...string) *http.Client {
	open := http.DefaultTransport.(*http.Transport).Clone()
	open.MaxResponseHeaderBytes = 16 << 10
	via := &transport{named: map[string]bool{}, open: open, safe: fetch.Transport()}
	for _, text := range named {
		if u, err := url.Parse(text); err == nil {
			via.named[u.Host] = true
		}
	}
	return &http.Client{
		Transport: via, Timeout: 2 * fetch.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type transport struct {
	named      map[string]bool
	open, safe http.RoundTripper
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	via := t.safe
	if t.named[r.URL.Host] {
		via = t.open
	} else if r.URL.Scheme != "https" {
		return nil, fetch.ErrRefused
	}
	resp, err := via.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, fetch.MaxBytes)
	}
	return resp, err
}

func (c Config) secret() (string, error) {
	if c.Secret == nil {
		return "", nil
	}
	return c.Secret()
}

// style: the secret goes into the header, which all servers must take (RFC 6749
// §2.3.1), but for one that offers the form alone. A public client names itself
// in the form.
func style(secret string, methods []string) oauth2.AuthStyle {
	if secret == "" || slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}
