// Package githubfake is a small GitHub that lives in memory: the OAuth pages, the token
// management calls of an app, and the part of the REST API that deputy's tools use. Unit tests
// and `deputy demo` talk to it over HTTP exactly as they would talk to the real one, so what is
// proven here is proven about requests on the wire and not about mocked calls.
//
//	/login/oauth/authorize, /login/oauth/access_token   oauth.go, tokens.go  code, PKCE, rotation
//	/applications/{client_id}/...                       applications.go      check, narrow, revoke
//	/user, /repos/...                                   api.go               bearer, scopes, 404 not 403
//	                                                    repos.go, contents.go, issues.go, comments.go
//	world.go                                            the people, repositories and issues it starts with
//
// It keeps state: a created issue can be read back, a refreshed token kills the old pair. It
// also keeps a record of all that was asked of it and of all that really happened, and the two
// may differ: a reply that was lost (see Fault) is a write that did happen.
//
// Where GitHub is lenient and leniency would hide a mistake, the fake is strict, and says so at
// the place. All methods may be called at any time from any goroutine.
package githubfake

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The client of a Fake whose Config names none.
const (
	DefaultClientID     = "Iv1.githubfake"
	DefaultClientSecret = "githubfake-secret"
)

// maxBody is above anything GitHub accepts in an issue, so that its own limits are what a test meets.
const maxBody = 4 << 20

// Config says how the app is registered. The zero value works.
type Config struct {
	// ClientID and ClientSecret name the app; empty means DefaultClientID and DefaultClientSecret.
	ClientID, ClientSecret string
	// RedirectURI is the registered callback, compared exactly. Empty allows any http URI on a
	// loopback host, because tests listen on a port they do not know beforehand.
	RedirectURI string
	// TokenLifetime is how long an access token lives; 0 means 8 hours. Negative makes this an
	// OAuth app of the old kind: its tokens never expire and come without a refresh token.
	TokenLifetime time.Duration
	// Now is the clock; nil means time.Now. It must not call the Fake.
	Now func() time.Time
}

// Fake is the GitHub in memory. Make one with New.
type Fake struct {
	cfg Config

	mu     sync.Mutex // guards all below; handlers run with it held
	world  *world
	nextID int64
	used   int       // requests counted against the rate limit since reset
	reset  time.Time // when the rate limit window ends

	denied  bool
	codes   map[string]*code
	access  map[string]*token // by access token, dead ones removed
	refresh map[string]*token // by refresh token, dead ones removed
	raw     map[string]string // token inside the download_url of a private file, by repository and path
	issued  []string

	apiDoor, tokenDoor, appDoor door
	created                     []Created
}

// New returns a Fake that holds the demo world and has issued no token yet.
func New(cfg Config) *Fake {
	if cfg.ClientID == "" {
		cfg.ClientID = DefaultClientID
	}
	if cfg.ClientSecret == "" {
		cfg.ClientSecret = DefaultClientSecret
	}
	if cfg.TokenLifetime == 0 {
		cfg.TokenLifetime = 8 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Fake{
		cfg:     cfg,
		nextID:  3_900_000_001,
		codes:   map[string]*code{},
		access:  map[string]*token{},
		refresh: map[string]*token{},
		raw:     map[string]string{},
	}
	f.world = newWorld(f.now())
	f.apiDoor.handle = f.api
	f.tokenDoor.handle = f.tokenEndpoint
	f.appDoor.handle = f.applications
	return f
}

// ServeHTTP serves the OAuth pages and the API on one host.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			message(http.StatusRequestEntityTooLarge, "Payload too large").write(w, false)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	switch path := r.URL.Path; {
	case path == "/login/oauth/authorize":
		f.mu.Lock()
		out := f.authorize(r)
		f.mu.Unlock()
		out.write(w, false)
	case path == "/login/oauth/access_token":
		f.serve(w, r, body, &f.tokenDoor)
	case strings.HasPrefix(path, "/applications/"):
		f.serve(w, r, body, &f.appDoor)
	default:
		f.serve(w, r, body, &f.apiDoor)
	}
}

// now has whole seconds, as all times in GitHub's answers.
func (f *Fake) now() time.Time { return f.cfg.Now().UTC().Truncate(time.Second) }

// id hands out the next identifier; all new things share one row of numbers.
func (f *Fake) id() int64 {
	f.nextID++
	return f.nextID - 1
}
