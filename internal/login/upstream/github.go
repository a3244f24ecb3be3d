package upstream

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
)

// GitHubIssuer stands for GitHub, which issues no ID tokens, among the issuers.
const GitHubIssuer = "https://github.com"

type gitHub struct {
	c    Config
	http *http.Client
}

// GitHub signs people in with their GitHub account, known by its number: a
// login can be given up and taken by somebody else. The token is used for one
// request, "GET /user", and forgotten; it has no scopes.
func GitHub(c Config) Provider {
	c.Issuer = GitHubIssuer
	for to, def := range map[*string]string{
		&c.AuthURL: "https://github.com/login/oauth/authorize", &c.TokenURL: "https://github.com/login/oauth/access_token", &c.APIURL: "https://api.github.com",
	} {
		if *to == "" {
			*to = def
		}
	}
	return &gitHub{c, client(c.TokenURL, c.APIURL)}
}

func (p *gitHub) Name() string   { return p.c.Name }
func (p *gitHub) Title() string  { return p.c.Title }
func (p *gitHub) Issuer() string { return p.c.Issuer }

// Proves: GitHub does not say when somebody signed in.
func (p *gitHub) Proves() bool { return false }

func (p *gitHub) Ready(context.Context) error { return nil }

func (p *gitHub) oauth() (*oauth2.Config, error) {
	secret, err := p.c.secret()
	if err != nil {
		return nil, ErrSilent
	}
	return &oauth2.Config{
		ClientID: p.c.ClientID, ClientSecret: secret, RedirectURL: p.c.Redirect,
		Endpoint: oauth2.Endpoint{AuthURL: p.c.AuthURL, TokenURL: p.c.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}, nil
}

func (p *gitHub) Begin(_ context.Context, w Wish) (string, Attempt, error) {
	if w.MaxAge > 0 || w.ACR != "" {
		return "", Attempt{}, ErrNotNow
	}
	c, err := p.oauth()
	if err != nil {
		return "", Attempt{}, err
	}
	a := newAttempt(w)
	return c.AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.Verifier)), a, nil
}

func (p *gitHub) Finish(ctx context.Context, a Attempt, answer url.Values) (Account, error) {
	code, err := judge(a, answer, p.c.Issuer, false)
	if err != nil {
		return Account{}, err
	}
	c, err := p.oauth()
	if err != nil {
		return Account{}, err
	}
	token, err := exchange(ctx, p.http, c, a, code)
	if err != nil {
		return Account{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.c.APIURL, "/")+"/user", nil)
	if err != nil {
		return Account{}, ErrSilent
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := p.http.Do(req)
	if err != nil {
		return Account{}, ErrSilent
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
	}
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &user) != nil || user.ID <= 0 {
		return Account{}, ErrSilent
	}
	return Account{Issuer: p.c.Issuer, Subject: strconv.FormatInt(user.ID, 10), Label: user.Login}, nil
}
