package main

import (
	"net/http"
	"net/url"
	"strings"
)

// slack speaks for slack.com: the Web API under /api/, which answers 200 to
// nearly everything and says in the body what went wrong.
type slack struct{}

func (slack) issues(path string) bool { return path == "/api/oauth.v2.access" }

func (slack) open(path string) bool {
	return !strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/api/oauth.")
}

// slackReads end the names of Web API methods that change nothing.
var slackReads = []string{
	".list", ".info", ".history", ".replies", ".members", ".get", ".test", ".context",
	".getPermalink", ".getPresence", ".lookupByEmail", ".conversations", ".messages", ".identity",
}

func (slack) writes(c *call) bool {
	if (slack{}).open(c.path) {
		// Uploads and incoming webhooks live outside the Web API.
		return c.method == http.MethodPost && !strings.HasPrefix(c.path, "/oauth/") && !strings.HasPrefix(c.path, "/api/")
	}
	for _, end := range slackReads {
		if strings.HasSuffix(c.path, end) {
			return false
		}
	}
	return true
}

// whoami is left out: at Slack each token is revoked for itself.
func (slack) whoami() (path, field string) { return "", "" }

// credential finds the token where Slack also takes it: in the form.
func (slack) credential(c *call) {
	if t := c.form.Get("token"); t != "" && c.bearer == "" {
		c.bearer = t
	}
}

func (slack) answer(g *Gate, w http.ResponseWriter, c *call) bool {
	if !strings.HasPrefix(c.path, "/api/") {
		return false
	}
	slack{}.credential(c)
	if c.path != "/api/auth.revoke" {
		return false
	}
	if _, ok := g.tokens.live(c.bearer); !ok {
		g.provider.refuse(w, c.bearer == "")
		return true
	}
	test := c.form.Get("test") + c.r.URL.Query().Get("test")
	if test == "1" || test == "true" {
		reply(w, http.StatusOK, map[string]bool{"ok": true, "revoked": false})
		return true
	}
	g.tokens.kill(c.bearer)
	reply(w, http.StatusOK, map[string]bool{"ok": true, "revoked": true})
	return true
}

func (slack) adapt(c *call) {
	if !strings.HasPrefix(c.path, "/api/") {
		return
	}
	// Slack takes every method by GET as well; the emulator knows most of
	// them by POST only.
	if c.method == http.MethodGet {
		f := c.r.URL.Query()
		f.Del("token")
		c.r.Method, c.r.URL.RawQuery = http.MethodPost, ""
		c.sendForm(f)
	}
	if c.form.Get("token") != "" {
		f := url.Values{}
		for k, v := range c.form {
			if k != "token" {
				f[k] = v
			}
		}
		c.sendForm(f)
	}
	if c.bearer != "" {
		c.r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
}

func (slack) refuse(w http.ResponseWriter, missing bool) {
	word := "invalid_auth"
	if missing {
		word = "not_authed"
	}
	reply(w, http.StatusOK, map[string]any{"ok": false, "error": word})
}

func (slack) fail(w http.ResponseWriter, status int) {
	word := "internal_error"
	switch status {
	case http.StatusTooManyRequests:
		word = "ratelimited"
	case http.StatusServiceUnavailable:
		word = "service_unavailable"
	}
	reply(w, status, map[string]any{"ok": false, "error": word})
}
