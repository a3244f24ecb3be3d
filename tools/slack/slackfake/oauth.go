package slackfake

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const codeLifetime = 10 * time.Minute

// code is an authorization waiting to be collected.
type code struct {
	bot, user   []string // scopes asked for; a kind without any gets no token
	redirectURI string   // as sent with the authorization; empty if none was
	challenge   string   // PKCE, S256; empty if none
	expires     time.Time
	used        bool
}

// Deny makes the consent page refuse from now on: the callback gets error=access_denied.
func (f *Fake) Deny() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denied = true
}

// authorize is the consent page. The person is always Anna and presses Allow at once.
//
// A wrong client or redirect URI is answered with a page and never with a redirect: whoever sent
// it may not be who they say. A wrong anything else goes back to the callback as an error.
func (f *Fake) authorize(r *http.Request) reply {
	if r.Method != http.MethodGet {
		return page(http.StatusMethodNotAllowed, "use GET")
	}
	q := r.URL.Query()
	if q.Get("client_id") != f.cfg.ClientID {
		return page(http.StatusBadRequest, "invalid_client_id")
	}
	to, valid := f.callback(q.Get("redirect_uri"))
	if !valid {
		return page(http.StatusBadRequest, "bad_redirect_uri")
	}
	back := func(key, value string) reply {
		u := *to
		v := u.Query()
		v.Set(key, value)
		if q.Has("state") {
			v.Set("state", q.Get("state"))
		}
		u.RawQuery = v.Encode()
		return redirect(u.String())
	}
	c := &code{redirectURI: q.Get("redirect_uri"), expires: f.now().Add(codeLifetime)}
	if r.URL.Path == "/oauth/v2_user/authorize" {
		// There are no bot scopes here, and OAuth libraries know only "scope".
		c.user = append(scopeList(q.Get("user_scope")), scopeList(q.Get("scope"))...)
	} else {
		c.bot, c.user = scopeList(q.Get("scope")), scopeList(q.Get("user_scope"))
	}
	if len(c.bot)+len(c.user) == 0 {
		return back("error", "invalid_scope")
	}
	if c.challenge = q.Get("code_challenge"); c.challenge != "" && q.Get("code_challenge_method") != "S256" {
		return back("error", "invalid_request")
	}
	if f.denied {
		return back("error", "access_denied")
	}
	name := random()
	f.codes[name] = c
	return back("code", name)
}

// callback is where the answer goes, and whether it may go there.
func (f *Fake) callback(uri string) (*url.URL, bool) {
	if uri == "" {
		uri = f.cfg.RedirectURI // Slack uses the registered one
	}
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return nil, false
	}
	if f.cfg.RedirectURI != "" {
		// Slack also allows paths below the registered URI; exact is what deputy needs.
		return u, uri == f.cfg.RedirectURI
	}
	ip := net.ParseIP(u.Hostname())
	return u, u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// tokenEndpoint serves oauth.v2.access and oauth.v2.user.access: a code or a refresh token in,
// tokens out.
//
// One authorization of Slack may yield two tokens, a bot's and a user's. The bot's stands at the
// top level, the user's under authed_user, and each only if scopes of its kind were asked for. So
// an answer to a user-only request has no access_token at the top, and one to a request for both
// has there a token that is not the user's. (See also Config.UserTokenOnTop.)
func (f *Fake) tokenEndpoint(r *http.Request, body []byte) reply {
	if r.Method != http.MethodPost {
		return fail("invalid_request_method") // stricter than Slack: a GET would put secrets into a URL
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return fail("invalid_post_type")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return fail("invalid_form_data")
	}
	authenticated, refused := f.client(r, form)
	if refused != "" {
		return fail(refused)
	}
	userOnly := r.URL.Path == "/api/oauth.v2.user.access"
	switch form.Get("grant_type") {
	case "", "authorization_code":
		return f.exchange(form, authenticated, userOnly)
	case "refresh_token":
		return f.rotate(form.Get("refresh_token"), authenticated)
	}
	return fail("invalid_grant_type")
}

// client names the refusal, if any. Without a secret the client is public; whether that may be
// depends on how the code or the token was obtained.
func (f *Fake) client(r *http.Request, form url.Values) (authenticated bool, refused string) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if u, p, basic := r.BasicAuth(); basic {
		id, _ = url.QueryUnescape(u) // RFC 6749 2.3.1 encodes both before joining them
		secret, _ = url.QueryUnescape(p)
	}
	switch {
	case id != f.cfg.ClientID:
		return false, "invalid_client_id"
	case secret == "":
		return false, ""
	case subtle.ConstantTimeCompare([]byte(secret), []byte(f.cfg.ClientSecret)) != 1:
		return false, "bad_client_secret"
	}
	return true, ""
}

func (f *Fake) exchange(form url.Values, authenticated, userOnly bool) reply {
	c := f.codes[form.Get("code")]
	switch {
	case c == nil || !f.now().Before(c.expires):
		return fail("invalid_code")
	case c.used:
		return fail("code_already_used")
	case !authenticated && c.challenge == "":
		return fail("bad_client_secret")
	}
	c.used = true // also by an attempt that fails below: nobody gets to guess a verifier
	switch {
	case form.Get("redirect_uri") != c.redirectURI:
		return fail("bad_redirect_uri")
	case c.challenge != "" && challengeOf(form.Get("code_verifier")) != c.challenge:
		return fail("invalid_code") // Slack's reference names no word of its own for this
	case userOnly && len(c.bot) > 0:
		return fail("oauth_authorization_url_mismatch")
	}
	answer := f.installation()
	user := object{"id": Anna}
	if len(c.user) > 0 {
		t := f.issue(Anna, "user", c.user, !authenticated)
		if userOnly && f.cfg.UserTokenOnTop {
			t.describe(answer)
			delete(answer, "scope")
			user["scope"] = t.scope()
		} else {
			t.describe(user)
		}
	}
	if len(c.bot) > 0 {
		f.issue(Bot, "bot", c.bot, !authenticated).describe(answer)
		answer["bot_user_id"] = Bot
	}
	answer["authed_user"] = user
	return ok(answer)
}

// installation is what every token answer says about where the app is installed.
func (f *Fake) installation() object {
	return object{
		"app_id":                appID,
		"team":                  object{"id": Team, "name": teamName},
		"enterprise":            nil,
		"is_enterprise_install": false,
	}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// scopeList takes commas, as Slack writes, and spaces, as OAuth libraries do.
func scopeList(s string) []string {
	list := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(list)
	return slices.Compact(list)
}
