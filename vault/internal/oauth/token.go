package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Tokens is a token answer, whatever its shape was.
type Tokens struct {
	Access, Refresh Secret
	IDToken         string
	IssuedType      string        // RFC 8693 §2.2.1
	Lifetime        time.Duration // 0: it does not expire
	Scopes          []string      // nil: the answer did not say
}

// maxAnswer bounds what a token endpoint can make us hold.
const maxAnswer = 1 << 20

// Ask posts to the token endpoint, once. It never retries: a lost answer may
// have rotated the refresh token. The error is a *Refusal or *Unavailable.
func Ask(ctx context.Context, c *http.Client, s *Server, form url.Values) (Tokens, error) {
	status, body, err := post(ctx, c, s, s.TokenURL, form)
	if err != nil {
		return Tokens{}, err
	}
	return s.parse(status, body)
}

// post sends a form as this client and reads the answer, bounded.
func post(ctx context.Context, c *http.Client, s *Server, to string, form url.Values) (int, []byte, error) {
	out := url.Values{"client_id": {s.ClientID}}
	for k, v := range form {
		out[k] = v
	}
	if !s.ClientSecret.IsZero() && !s.Basic {
		out.Set("client_secret", Reveal(s.ClientSecret))
	}
	req, err := http.NewRequest(http.MethodPost, to, strings.NewReader(out.Encode()))
	if err != nil {
		return 0, nil, &Unavailable{Cause: "the request cannot be built", Unsent: true}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.Basic && !s.ClientSecret.IsZero() {
		req.SetBasicAuth(url.QueryEscape(s.ClientID), url.QueryEscape(Reveal(s.ClientSecret)))
	}
	return send(ctx, c, req)
}

// send performs one request, once, and reads the answer, bounded.
func send(ctx context.Context, c *http.Client, req *http.Request) (int, []byte, error) {
	wrote := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { wrote = true },
	})
	req = req.WithContext(ctx)
	req.GetBody = nil // without it the transport cannot quietly send twice
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json") // GitHub answers with a form otherwise
	}
	resp, err := c.Do(req)
	if err != nil {
		// The error's own text holds the URL, and that may hold a code.
		return 0, nil, &Unavailable{Cause: "the authorization server did not answer", Unsent: !wrote}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return 0, nil, &Unavailable{Status: resp.StatusCode, Cause: "the authorization server's answer broke off or is too long", Cut: true}
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		u := &Unavailable{Status: resp.StatusCode, Cause: "the authorization server asks to slow down"}
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			u.After = time.Duration(min(max(n, 1), 3600)) * time.Second
		}
		return 0, nil, u
	}
	return resp.StatusCode, body, nil
}

// SendJSON performs one request and returns a successful answer's body.
func SendJSON(ctx context.Context, c *http.Client, req *http.Request) ([]byte, error) {
	status, body, err := send(ctx, c, req)
	if err == nil && status/100 != 2 {
		err = &Unavailable{Status: status, Cause: "the request was refused"}
	}
	return body, err
}

type wireTokens struct {
	OK           *bool  `json:"ok"`
	Error        string `json:"error"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	IssuedType   string `json:"issued_token_type"`
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
func (s *Server) parse(status int, body []byte) (Tokens, error) {
	var w wireTokens
	if err := json.Unmarshal(body, &w); err != nil {
		var syntax *json.SyntaxError
		cut := status/100 == 2 && errors.As(err, &syntax) && syntax.Offset == int64(len(body))
		return Tokens{}, &Unavailable{Status: status, Cause: "the token answer is not JSON", Cut: cut}
	}
	if w.Error != "" || w.OK != nil && !*w.OK {
		return Tokens{}, s.refusal(status, w.Error)
	}
	if s.Shape == SlackV2User {
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
		return Tokens{}, &Unavailable{Status: status, Cause: "the token answer has no token"}
	}
	t := Tokens{Access: Hide(w.AccessToken), Refresh: Hide(w.RefreshToken), IDToken: w.IDToken, IssuedType: w.IssuedType}
	if w.ExpiresIn > 0 {
		t.Lifetime = time.Duration(min(w.ExpiresIn, 10*365*86400)) * time.Second
	}
	if w.Scope != "" {
		t.Scopes = fields(w.Scope)
	}
	return t, nil
}

// ErrIDToken says that the ID token of an answer is not what was asked for.
var ErrIDToken = errors.New("oauth: the provider's ID token is missing or not for this client")

// Claims reads an ID token that came straight from the token endpoint over
// TLS, where its signature adds nothing (OpenID Connect Core §3.1.3.7, 6).
// Issuer, audience and lifetime are checked all the same.
func (s *Server) Claims(t Tokens) (map[string]any, error) {
	parts := strings.Split(t.IDToken, ".")
	if len(parts) != 3 {
		return nil, ErrIDToken
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, ErrIDToken
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, ErrIDToken
	}
	if s.Issuer != "" && claims["iss"] != s.Issuer {
		return nil, ErrIDToken
	}
	if !meant(claims["aud"], s.ClientID) {
		return nil, ErrIDToken
	}
	if exp, ok := claims["exp"].(float64); !ok || time.Unix(int64(exp), 0).Add(skew).Before(time.Now()) {
		return nil, ErrIDToken
	}
	return claims, nil
}

// skew is how far two clocks may differ.
const skew = time.Minute

// meant reports whether aud names us, alone or among others that azp settles.
func meant(aud any, client string) bool {
	if list, ok := aud.([]any); ok {
		if len(list) != 1 {
			return false
		}
		aud = list[0]
	}
	return aud == client
}
