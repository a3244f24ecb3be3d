package main

import (
	"net/http"
	"slices"
	"strings"
)

// google speaks for accounts.google.com, oauth2.googleapis.com and
// gmail.googleapis.com, which the emulator serves from one address.
type google struct{}

func (google) issues(path string) bool { return path == "/token" || path == "/oauth2/token" }

func (google) open(path string) bool {
	return !strings.HasPrefix(path, "/gmail/") && !strings.HasPrefix(path, "/upload/gmail/") &&
		!strings.HasPrefix(path, "/drive/") && !strings.HasPrefix(path, "/calendar/") && path != "/oauth2/v2/userinfo"
}

func (google) writes(c *call) bool {
	return c.method != http.MethodGet && c.method != http.MethodHead && c.method != http.MethodOptions && !google{}.open(c.path)
}

func (google) whoami() (path, field string) { return "/oauth2/v2/userinfo", "email" }

func (google) adapt(c *call) {
	if c.path == "/token" {
		c.r.URL.Path = "/oauth2/token"
	}
	// Google takes client credentials in the header as well; the emulator
	// takes them in the body only.
	if id, secret, ok := c.r.BasicAuth(); ok && (google{}).issues(c.path) && c.form != nil {
		c.form.Set("client_id", id)
		c.form.Set("client_secret", secret)
		c.r.Header.Del("Authorization")
		c.sendForm(c.form)
	}
}

func (google) answer(g *Gate, w http.ResponseWriter, c *call) bool {
	switch {
	case c.method == http.MethodPost && (c.path == "/revoke" || c.path == "/oauth2/revoke"):
		g.revokeGoogle(w, c)
		return true
	case c.method == http.MethodPost && (google{}).issues(c.path) && c.form.Get("grant_type") == "refresh_token":
		// A refresh token that was revoked stays known to the emulator when
		// one of its access tokens was what the client sent in.
		if rec, ok := g.tokens.find(c.form.Get("refresh_token")); ok && rec.dead {
			reply(w, http.StatusBadRequest, map[string]string{
				"error": "invalid_grant", "error_description": "Token has been expired or revoked.",
			})
			return true
		}
	case c.method == http.MethodGet && profilePath(c.path) != "":
		g.profile(w, c)
		return true
	}
	return false
}

// revokeGoogle ends the whole grant, whichever of its tokens came in: at
// Google one user's consent to one client is one thing.
func (g *Gate) revokeGoogle(w http.ResponseWriter, c *call) {
	value := c.form.Get("token")
	if value == "" {
		value = c.r.URL.Query().Get("token")
	}
	rec, ok := g.tokens.find(value)
	if !ok || rec.dead {
		reply(w, http.StatusBadRequest, map[string]string{
			"error": "invalid_token", "error_description": "Token expired or revoked",
		})
		return
	}
	g.tokens.killGrant(value)
	reply(w, http.StatusOK, map[string]any{})
}

// profilePath returns the user part of a users.getProfile path.
func profilePath(path string) string {
	rest, ok := strings.CutPrefix(path, "/gmail/v1/users/")
	user, ok2 := strings.CutSuffix(rest, "/profile")
	if !ok || !ok2 || strings.Contains(user, "/") {
		return ""
	}
	return user
}

// profile answers users.getProfile, which the emulator has not.
func (g *Gate) profile(w http.ResponseWriter, c *call) {
	scopes, ok := g.tokens.live(c.bearer)
	if c.bearer == "" || !ok {
		g.provider.refuse(w, c.bearer == "")
		return
	}
	c.scopes = scopes
	if !g.config.AnyScope && !mayUseGmail(c) {
		googleError(w, http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions", "Request had insufficient authentication scopes.")
		return
	}
	mail := g.owner(c.bearer)
	if user := profilePath(c.path); mail == "" || user != "me" && user != mail {
		googleError(w, http.StatusForbidden, "PERMISSION_DENIED", "forbidden", "Delegation denied for "+mail)
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"emailAddress": mail, "messagesTotal": 0, "threadsTotal": 0, "historyId": "1",
	})
}

func (google) refuse(w http.ResponseWriter, missing bool) {
	challenge := `Bearer realm="https://accounts.google.com/", error="invalid_token"`
	text := "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."
	if missing {
		challenge = `Bearer realm="https://accounts.google.com/"`
		text = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential."
	}
	w.Header().Set("WWW-Authenticate", challenge)
	googleError(w, http.StatusUnauthorized, "UNAUTHENTICATED", "authError", text)
}

func (google) fail(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusTooManyRequests:
		googleError(w, status, "RESOURCE_EXHAUSTED", "rateLimitExceeded", "Too many concurrent requests for user")
	case http.StatusServiceUnavailable:
		googleError(w, status, "UNAVAILABLE", "backendError", "The service is currently unavailable.")
	default:
		googleError(w, status, "UNKNOWN", "backendError", http.StatusText(status))
	}
}

// googleError writes Google's error envelope.
func googleError(w http.ResponseWriter, code int, status, reason, message string) {
	reply(w, code, map[string]any{"error": map[string]any{
		"code": code, "message": message, "status": status,
		"errors": []map[string]string{{"message": message, "domain": "global", "reason": reason}},
	}})
}

const (
	gmailAll  = "https://mail.google.com/"
	gmailBase = "https://www.googleapis.com/auth/gmail."
)

// mayUseGmail checks the token's scopes against Gmail's reference. The
// emulator checks none: there, a token for reading can send.
func mayUseGmail(c *call) bool {
	if len(c.scopes) == 0 || !strings.Contains(c.path, "/gmail/v1/users/") || slices.Contains(c.scopes, gmailAll) {
		return true
	}
	return slices.ContainsFunc(gmailScopes(c.method, c.path), func(s string) bool { return slices.Contains(c.scopes, gmailBase+s) })
}

// gmailScopes lists the scopes of which any one allows the method. Permanent
// deletion has none besides the full one.
func gmailScopes(method, path string) []string {
	_, rest, _ := strings.Cut(path, "/gmail/v1/users/")
	_, rest, _ = strings.Cut(rest, "/") // the user
	area, verb, _ := strings.Cut(rest, "/")
	read := method == http.MethodGet
	switch {
	case area == "profile":
		return []string{"readonly", "modify", "compose", "metadata"}
	case area == "messages" && verb == "send":
		return []string{"send", "compose", "modify"}
	case area == "drafts" && read:
		return []string{"readonly", "compose", "modify"}
	case area == "drafts":
		return []string{"compose", "modify"}
	case area == "labels" && read:
		return []string{"readonly", "labels", "modify", "metadata"}
	case area == "labels":
		return []string{"labels", "modify"}
	case area == "settings":
		return []string{"readonly", "modify", "settings.basic"}
	case read:
		return []string{"readonly", "modify", "metadata"}
	case area == "messages" && (verb == "" || verb == "import"):
		return []string{"insert", "modify"}
	case method == http.MethodDelete || verb == "batchDelete":
		return nil
	}
	return []string{"modify"}
}
