package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// An issued answer is what the three token endpoints have in common.
type issued struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Expires int    `json:"expires_in"`
	Scope   string `json:"scope"`
	User    struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Expires int    `json:"expires_in"`
		Scope   string `json:"scope"`
	} `json:"authed_user"`
}

// learn takes the tokens out of a token endpoint's answer, and tells the
// client their true lifetime when the gate has its own.
func (g *Gate) learn(c *call, resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	if err != nil {
		return err
	}
	resp.Body.Close()
	var in issued
	if json.Unmarshal(body, &in) != nil { // GitHub can answer with a form
		f, _ := url.ParseQuery(string(body))
		in.Access, in.Refresh, in.Scope = f.Get("access_token"), f.Get("refresh_token"), f.Get("scope")
	} else if g.config.TTL > 0 && in.Expires > 0 {
		var m map[string]json.RawMessage
		if json.Unmarshal(body, &m) == nil {
			m["expires_in"] = json.RawMessage(strconv.Itoa(int(g.config.TTL / time.Second)))
			body, _ = json.Marshal(m)
		}
	}
	g.keep(c, in.Access, in.Refresh, in.Scope, in.Expires)
	g.keep(c, in.User.Access, in.User.Refresh, in.User.Scope, in.User.Expires)
	replaceBody(resp, body)
	return nil
}

func (g *Gate) keep(c *call, access, refresh, scope string, seconds int) {
	if access == "" {
		return
	}
	grant := ""
	if owner := g.owner(access); owner != "" {
		grant = clientID(c) + " " + owner
	}
	life := g.config.TTL
	if life == 0 {
		life = time.Duration(seconds) * time.Second
	}
	var expires time.Time
	if life > 0 {
		expires = g.config.Now().Add(life)
	}
	scopes := strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' || r == ',' })
	g.tokens.learn(access, token{grant: grant, scopes: scopes, expires: expires})
	if refresh != "" {
		g.tokens.learn(refresh, token{grant: grant, scopes: scopes, refresh: true})
	}
}

// clientID is the OAuth client a token request came from.
func clientID(c *call) string {
	if id, _, ok := c.r.BasicAuth(); ok {
		return id
	}
	return c.form.Get("client_id")
}

// owner asks the provider whose token this is.
func (g *Gate) owner(access string) string {
	path, field := g.provider.whoami()
	if path == "" {
		return ""
	}
	req, err := http.NewRequest(http.MethodGet, g.config.Upstream.JoinPath(path).String(), nil)
	if err != nil {
		return ""
	}
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := g.client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var m map[string]any
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&m) != nil {
		return ""
	}
	s, _ := m[field].(string)
	return s
}
