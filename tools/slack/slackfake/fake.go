// Package slackfake is a small Slack that lives in memory: the OAuth pages, the token endpoints
// and the part of the Web API that deputy's tools use. Unit tests and `deputy demo` talk to it
// over HTTP exactly as they would talk to the real one.
//
//	/oauth/v2/authorize, /oauth/v2_user/authorize    oauth.go   consent, codes, PKCE
//	/api/oauth.v2.access, /api/oauth.v2.user.access  oauth.go, tokens.go  exchange and rotation
//	/api/auth.revoke, /api/auth.test                 tokens.go, users.go
//	/api/METHOD                                      api.go     token, scopes, then the method
//	                                                 conversations.go, history.go, chat.go, users.go,
//	                                                 search.go, files.go, open.go
//	world.go, worldmessages.go                       the team, people, channels and talk it starts with
//
// It keeps state: a posted message can be read back, a refresh kills the old pair of tokens. It
// also keeps a record of all that was asked of it and of all that was really posted, and the two
// may differ: a message whose reply was lost (see Fault) was posted.
//
// Slack answers nearly everything with status 200 and says in the body whether it worked, so does
// the fake. Where Slack is lenient and leniency would hide a mistake, the fake is strict, and says
// so at the place. All methods may be called at any time from any goroutine.
package slackfake

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
	DefaultClientID     = "4242.slackfake"
	DefaultClientSecret = "slackfake-secret"
)

// maxBody is well above 40,000 characters of four bytes each, escaped, so that Slack's own limit
// is what a test meets.
const maxBody = 4 << 20

// Config says how the app is registered. The zero value works.
type Config struct {
	// ClientID and ClientSecret name the app; empty means DefaultClientID and DefaultClientSecret.
	ClientID, ClientSecret string
	// RedirectURI is the registered callback, compared exactly. Empty allows any http URI on a
	// loopback host, because tests listen on a port they do not know beforehand.
	RedirectURI string
	// TokenLifetime is how long an access token lives; 0 means 12 hours. Negative makes this an
	// app without token rotation: its tokens never expire and come without a refresh token.
	TokenLifetime time.Duration
	// UserTokenOnTop makes oauth.v2.user.access answer in the form of Slack's reference page for
	// it: the user's token at the top level with token_type "user", and only id and scope under
	// authed_user. Otherwise it answers like oauth.v2.access, with the token under authed_user.
	UserTokenOnTop bool
	// PerMinute is how often a token may call each method in a minute, beyond which Slack answers
	// 429; 0 is no limit.
	PerMinute int
	// Now is the clock; nil means time.Now. It must not call the Fake.
	Now func() time.Time
}

// Fake is the Slack in memory. Make one with New.
type Fake struct {
	cfg Config

	mu     sync.Mutex // guards all below; handlers run with it held
	world  *world
	lastTS int64 // the newest timestamp given to a message, in microseconds

	denied  bool
	codes   map[string]*code
	access  map[string]*token // by access token, dead ones kept: Slack says why one is dead
	refresh map[string]*token // by refresh token, dead ones removed
	issued  []string

	minute time.Time // what counts is of
	counts map[string]int
	filled int // messages that Fill made
	made   int // conversations and scheduled messages, for their ids

	apiDoor, tokenDoor door
	posted             []Posted
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
		cfg.TokenLifetime = 12 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Fake{
		cfg:     cfg,
		codes:   map[string]*code{},
		access:  map[string]*token{},
		refresh: map[string]*token{},
	}
	f.world = newWorld(f.now())
	f.apiDoor.handle = f.api
	f.tokenDoor.handle = f.tokenEndpoint
	return f
}

// ServeHTTP serves the OAuth pages and the Web API on one host.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			page(http.StatusRequestEntityTooLarge, "request entity too large").write(w, false)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	switch path := r.URL.Path; {
	case path == "/oauth/v2/authorize", path == "/oauth/v2_user/authorize":
		f.mu.Lock()
		out := f.authorize(r)
		f.mu.Unlock()
		out.write(w, false)
	case path == "/api/oauth.v2.access", path == "/api/oauth.v2.user.access":
		f.serve(w, r, body, &f.tokenDoor)
	case strings.HasPrefix(path, "/api/"):
		f.serve(w, r, body, &f.apiDoor)
	default:
		page(http.StatusNotFound, "there is no such page").write(w, false)
	}
}

func (f *Fake) now() time.Time { return f.cfg.Now().UTC() }
