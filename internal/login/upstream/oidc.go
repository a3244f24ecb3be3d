package upstream

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	leeway   = 30 * time.Second // two clocks may differ by it
	metaLife = time.Hour        // metadata is read again after it
	patience = 5 * time.Second  // an issuer that did not answer is not asked again before
)

// algorithms an ID token may be signed with. None that a public key could be
// taken for a secret in, and not "none" (RFC 8725 §3.1, §3.2).
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

type oidcProvider struct {
	c    Config
	http *http.Client

	mu     sync.Mutex
	meta   *metadata
	failed time.Time
}

type metadata struct {
	read     time.Time
	oauth    oauth2.Endpoint
	verifier *oidc.IDTokenVerifier
	sendsIss bool
	methods  []string
}

// OIDC is an OpenID provider. Its metadata is read when somebody first signs in,
// so that it need not be there when deputy starts.
func OIDC(c Config) Provider { return &oidcProvider{c: c, http: client(c.Issuer)} }

func (p *oidcProvider) Name() string   { return p.c.Name }
func (p *oidcProvider) Title() string  { return p.c.Title }
func (p *oidcProvider) Issuer() string { return p.c.Issuer }
func (p *oidcProvider) Proves() bool   { return true }

func (p *oidcProvider) Ready(ctx context.Context) error {
	_, err := p.discover(ctx)
	return err
}

func (p *oidcProvider) discover(ctx context.Context) (*metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.meta != nil && time.Since(p.meta.read) < metaLife {
		return p.meta, nil
	}
	if time.Since(p.failed) < patience {
		return nil, ErrSilent
	}
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), p.http) // whoever waits next wants it too
	found, err := oidc.NewProvider(ctx, p.c.Issuer)
	if err != nil {
		p.failed = time.Now()
		return nil, ErrSilent
	}
	var more struct {
		JWKS     string   `json:"jwks_uri"`
		SendsIss bool     `json:"authorization_response_iss_parameter_supported"`
		Methods  []string `json:"token_endpoint_auth_methods_supported"`
	}
	if found.Claims(&more) != nil || !p.safe(found.Endpoint().AuthURL) || !p.safe(found.Endpoint().TokenURL) || !p.safe(more.JWKS) {
		return nil, ErrSilent
	}
	p.meta = &metadata{
		read: time.Now(), oauth: found.Endpoint(), sendsIss: more.SendsIss, methods: more.Methods,
		verifier: found.VerifierContext(ctx, &oidc.Config{ClientID: p.c.ClientID, SupportedSigningAlgs: algorithms, Now: time.Now}),
	}
	return p.meta, nil
}

// safe: an endpoint is https, or at the issuer's own host, which its operator
// may run on this machine without.
func (p *oidcProvider) safe(endpoint string) bool {
	u, err := url.Parse(endpoint)
	own, ownErr := url.Parse(p.c.Issuer)
	return err == nil && ownErr == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == own.Scheme && u.Host == own.Host)
}

func (p *oidcProvider) oauth(m *metadata) (*oauth2.Config, error) {
	secret, err := p.c.secret()
	if err != nil {
		return nil, ErrSilent
	}
	end := m.oauth
	end.AuthStyle = style(secret, m.methods)
	return &oauth2.Config{
		ClientID: p.c.ClientID, ClientSecret: secret, Endpoint: end, RedirectURL: p.c.Redirect,
		Scopes: slices.Concat([]string{oidc.ScopeOpenID}, p.c.Scopes),
	}, nil
}

func (p *oidcProvider) Begin(ctx context.Context, w Wish) (string, Attempt, error) {
	m, err := p.discover(ctx)
	if err != nil {
		return "", Attempt{}, err
	}
	c, err := p.oauth(m)
	if err != nil {
		return "", Attempt{}, err
	}
	a := newAttempt(w)
	set := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if w.Fresh {
		set = append(set, oauth2.SetAuthURLParam("prompt", "login"))
	}
	if w.MaxAge > 0 {
		set = append(set, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(w.MaxAge.Seconds()))))
	}
	if w.ACR != "" {
		set = append(set, oauth2.SetAuthURLParam("acr_values", w.ACR))
	}
	return c.AuthCodeURL(a.State, set...), a, nil
}

// claims are those of OpenID Connect Core §2 and §5.1 that are used.
type claims struct {
	Email    string          `json:"email"`
	Verified json.RawMessage `json:"email_verified"`
	Name     string          `json:"name"`
	Username string          `json:"preferred_username"`
	AuthTime json.Number     `json:"auth_time"`
	ACR      string          `json:"acr"`
	Party    string          `json:"azp"`
}

func (p *oidcProvider) Finish(ctx context.Context, a Attempt, answer url.Values) (Account, error) {
	m, err := p.discover(ctx)
	if err != nil {
		return Account{}, err
	}
	code, err := judge(a, answer, p.c.Issuer, m.sendsIss)
	if err != nil {
		return Account{}, err
	}
	c, err := p.oauth(m)
	if err != nil {
		return Account{}, err
	}
	tokens, err := exchange(ctx, p.http, c, a, code)
	if err != nil {
		return Account{}, err
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := m.verifier.Verify(ctx, raw)
	if err != nil {
		return Account{}, ErrToken
	}
	var say claims
	if token.Claims(&say) != nil || token.Subject == "" || len(token.Subject) > 255 ||
		subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) != 1 ||
		// With several audiences it must say for whom it was made (Core §3.1.3.7).
		say.Party != p.c.ClientID && (say.Party != "" || len(token.Audience) > 1) {
		return Account{}, ErrToken
	}
	who := Account{Issuer: p.c.Issuer, Subject: token.Subject, Label: token.Subject, ACR: say.ACR}
	if string(say.Verified) == "true" && plain(say.Email) {
		who.Email = strings.ToLower(say.Email)
	}
	for _, label := range []string{say.Email, say.Username, say.Name} {
		if label != "" {
			who.Label = label
			break
		}
	}
	if at, err := say.AuthTime.Int64(); err == nil && at > 0 {
		who.AuthTime = time.Unix(at, 0).UTC()
		if who.AuthTime.After(time.Now().Add(leeway)) {
			return Account{}, ErrToken
		}
	}
	return who, a.Wish.met(who)
}

// plain: an address in ASCII. Others have look-alikes that fold into each other,
// so they are labels and no more.
func plain(address string) bool {
	return strings.Count(address, "@") == 1 && !strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' })
}

// met holds an account against what was asked. A provider may ignore prompt,
// max_age and acr_values; its ID token shows it (Core §3.1.2.1, §5.5.1.1).
func (w Wish) met(who Account) error {
	if w.MaxAge > 0 && (who.AuthTime.IsZero() || time.Since(who.AuthTime) > w.MaxAge+leeway) {
		return ErrNotNow
	}
	if w.ACR != "" && !slices.Contains(strings.Fields(w.ACR), who.ACR) {
		return ErrWeak
	}
	return nil
}
