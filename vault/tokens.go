package vault

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokens is a token answer, whatever its shape was.
type tokens struct {
	access, refresh token
	idToken         string
	lifetime        time.Duration // 0: it does not expire
	scopes          []string      // nil: the answer did not say
}

// refusal is an answer of the token endpoint that settles the matter: the
// grant, the code or the client is no good. Its code is one of ours.
type refusal struct{ code string }

func (r refusal) Error() string { return "the token endpoint says " + r.code }

// grantIsDead reports whether a person has to connect again. invalid_client is
// the operator's mistake and must not cost anybody a grant.
func (r refusal) grantIsDead() bool {
	switch r.code {
	case "invalid_grant", "bad_refresh_token", "invalid_refresh_token", "token_revoked", "account_inactive":
		return true
	}
	return false
}

// knownRefusals are the codes that settle a token request (RFC 6749 §5.2,
// GitHub's and Slack's own). Anything else is a failure that may pass.
var knownRefusals = map[string]bool{
	"invalid_grant": true, "invalid_client": true, "unauthorized_client": true, "invalid_scope": true, "invalid_request": true,
	"bad_refresh_token": true, "bad_verification_code": true, "incorrect_client_credentials": true, "redirect_uri_mismatch": true,
	"invalid_refresh_token": true, "invalid_code": true, "code_already_used": true, "bad_redirect_uri": true,
	"invalid_client_id": true, "bad_client_secret": true, "token_revoked": true, "account_inactive": true,
}

// ask posts to the token endpoint, once. It never retries by itself: a lost
// answer may have rotated the refresh token.
func (v *Vault) ask(ctx context.Context, p *route, form url.Values) (tokens, error) {
	form.Set("client_id", p.ClientID)
	if !p.ClientSecret.IsZero() {
		form.Set("client_secret", p.ClientSecret.v)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return tokens{}, &Fault{Provider: p.Name, Kind: Upstream, Cause: "the token request cannot be built"}
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json") // GitHub answers with a form otherwise
	resp, err := v.client.Do(req)
	if err != nil {
		return tokens{}, &Fault{Provider: p.Name, Kind: Upstream, Cause: "the token endpoint did not answer"}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return tokens{}, &Fault{Provider: p.Name, Kind: Upstream, Status: resp.StatusCode, Cause: "the token answer broke off"}
	}
	return p.parse(resp.StatusCode, body)
}

type wireTokens struct {
	OK           *bool  `json:"ok"`
	Error        string `json:"error"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token"`
	AuthedUser   struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int64  `json:"expires_in"`
		Scope        string `json:"scope"`
	} `json:"authed_user"`
}

// parse reads a token answer. Success is decided by a token being there, not
// by the status: GitHub and Slack refuse with a 200.
func (p *route) parse(status int, body []byte) (tokens, error) {
	var w wireTokens
	fault := &Fault{Provider: p.Name, Kind: Upstream, Status: status}
	if err := json.Unmarshal(body, &w); err != nil {
		fault.Cause = "the token answer is not JSON"
		return tokens{}, fault
	}
	if w.Error != "" || w.OK != nil && !*w.OK {
		if knownRefusals[w.Error] && status < 500 {
			return tokens{}, refusal{w.Error}
		}
		fault.Cause = "the token endpoint failed"
		return tokens{}, fault
	}
	if p.Shape == SlackV2User {
		switch {
		case w.AuthedUser.AccessToken != "":
			u := w.AuthedUser
			w.AccessToken, w.RefreshToken, w.ExpiresIn, w.Scope = u.AccessToken, u.RefreshToken, u.ExpiresIn, u.Scope
		case w.TokenType != "user":
			// A bot's token at the top is not this person's.
			w.AccessToken = ""
		case w.Scope == "":
			w.Scope = w.AuthedUser.Scope // oauth.v2.user.access says it there
		}
	}
	if status/100 != 2 || w.AccessToken == "" {
		fault.Cause = "the token answer has no token"
		return tokens{}, fault
	}
	t := tokens{access: token{w.AccessToken}, refresh: token{w.RefreshToken}, idToken: w.IDToken}
	if w.ExpiresIn > 0 {
		t.lifetime = time.Duration(min(w.ExpiresIn, 10*365*86400)) * time.Second
	}
	if w.Scope != "" {
		t.scopes = strings.FieldsFunc(w.Scope, func(r rune) bool { return r == ' ' || r == ',' })
	}
	return t, nil
}

// put writes the tokens into a row: a new generation.
func (t tokens) put(r *row) {
	now := time.Now()
	r.Gen++
	r.State = active
	r.Access = t.access.v
	if t.refresh.v != "" { // Google keeps the old one valid and does not repeat it
		r.Refresh = t.refresh.v
	}
	r.Expires, r.RefreshAt = time.Time{}, time.Time{}
	if t.lifetime > 0 {
		r.Expires = now.Add(t.lifetime)
		// Between 80 and 90 % of the lifetime, so that many grants made
		// together are not refreshed together.
		r.RefreshAt = now.Add(t.lifetime * time.Duration(80+rand.IntN(11)) / 100)
	}
	if t.scopes != nil {
		r.Scopes = t.scopes
	}
}

// claims reads an ID token's payload. Its signature is not checked: it came
// straight from the token endpoint over TLS (OpenID Connect Core §3.1.3.7, 6).
func (t tokens) claims() (map[string]any, error) {
	parts := strings.Split(t.idToken, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("vault: the provider sent no ID token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("vault: the ID token cannot be read")
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("vault: the ID token cannot be read")
	}
	return claims, nil
}
