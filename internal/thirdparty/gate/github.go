package main

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// github speaks for github.com's OAuth pages and api.github.com.
type github struct{}

func (github) issues(path string) bool { return path == "/login/oauth/access_token" }

// open: GitHub serves public data to anybody, and the emulator knows which
// data that is.
func (github) open(string) bool { return true }

func (github) writes(c *call) bool {
	return c.method != http.MethodGet && c.method != http.MethodHead && c.method != http.MethodOptions &&
		!strings.HasPrefix(c.path, "/login/") && !strings.HasPrefix(c.path, "/settings/")
}

func (github) whoami() (path, field string) { return "/user", "login" }

func (github) adapt(*call) {}

// answer serves /applications/{client_id}/token and …/grant, by which an
// OAuth app checks and ends its own tokens. They take the app's own id and
// secret, not a user's token.
func (github) answer(g *Gate, w http.ResponseWriter, c *call) bool {
	rest, ok := strings.CutPrefix(c.path, "/applications/")
	if !ok {
		return false
	}
	app, what, _ := strings.Cut(rest, "/")
	id, secret, _ := c.r.BasicAuth()
	want, known := g.config.Clients[app]
	if !known || id != app || subtle.ConstantTimeCompare([]byte(secret), []byte(want)) != 1 {
		githubError(w, http.StatusNotFound, "Not Found")
		return true
	}
	var in struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(c.body, &in); err != nil || in.Token == "" {
		githubError(w, http.StatusUnprocessableEntity, "Validation Failed")
		return true
	}
	rec, ok := g.tokens.find(in.Token)
	if !ok || rec.dead || !strings.HasPrefix(rec.grant, app+" ") {
		githubError(w, http.StatusNotFound, "Not Found")
		return true
	}
	switch c.method + " " + what {
	case "DELETE token":
		g.tokens.kill(in.Token)
		w.WriteHeader(http.StatusNoContent)
	case "DELETE grant":
		g.tokens.killGrant(in.Token)
		w.WriteHeader(http.StatusNoContent)
	case "POST token":
		reply(w, http.StatusOK, map[string]any{
			"token": in.Token, "scopes": rec.scopes, "app": map[string]string{"client_id": app},
			"user": map[string]string{"login": strings.TrimPrefix(rec.grant, app+" ")},
		})
	default:
		githubError(w, http.StatusNotFound, "Not Found")
	}
	return true
}

func (github) refuse(w http.ResponseWriter, _ bool) {
	githubError(w, http.StatusUnauthorized, "Bad credentials")
}

func (github) fail(w http.ResponseWriter, status int) {
	message := http.StatusText(status)
	if status == http.StatusTooManyRequests || status == http.StatusForbidden {
		message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	}
	githubError(w, status, message)
}

// githubError writes GitHub's error body.
func githubError(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	})
}
