package vault

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// Exchange is a token endpoint for the operator's own back ends (RFC 8693):
// with a person's token for deputy, and that person's consent for just this
// client and account, a back end gets the provider's token. It is the one place
// where a token leaves the vault, and it leaves in the answer alone.
//
// It is off without clients. A client has a secret; there are no public ones.
type Exchange struct {
	Vault   *Vault
	Clients map[string]ExchangeClient

	// Subject tells whose token for deputy it is. A provider's token, or one
	// for another audience, is nobody's.
	Subject func(ctx context.Context, token string) (authz.Caller, error)
}

// ExchangeClient is one back end.
type ExchangeClient struct {
	Secret    Secret
	Providers []string // whose tokens it may have at most
}

// What the SDKs of federated token vaults send instead of RFC 8693's names.
const (
	federatedGrant = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	federatedType  = "http://auth0.com/oauth/token-type/federated-connection-access-token"
)

// ExchangeGrants are the grant types that an Exchange answers.
var ExchangeGrants = []string{oauth.ExchangeGrant, federatedGrant}

// connectionNames are what those SDKs call providers.
var connectionNames = map[string]string{"google-oauth2": "google", "sign-in-with-slack": "slack"}

// exchangeError is an answer of RFC 6749 §5.2 and RFC 8693 §2.2.2. Its words
// are ours.
type exchangeError struct {
	status      int
	code, words string
	consent     string // where the person can mend it
}

func (e *exchangeError) Error() string { return e.code + ": " + e.words }

func bad(code, words string) *exchangeError {
	return &exchangeError{status: http.StatusBadRequest, code: code, words: words}
}

// ServeHTTP answers POST /oauth/token.
func (x Exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	answer, err := x.serve(r)
	if err != nil {
		var e *exchangeError
		if !errors.As(err, &e) {
			e = &exchangeError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", words: "the provider or the store failed: try again later"}
		}
		if e.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="deputy"`)
		}
		w.WriteHeader(e.status)
		said := map[string]string{"error": e.code, "error_description": e.words}
		if e.consent != "" {
			said["consent_uri"] = e.consent
		}
		json.NewEncoder(w).Encode(said)
		return
	}
	json.NewEncoder(w).Encode(answer)
}

// wish is what an exchange asks for, in whichever dialect it came.
type exchangeWish struct {
	client            string
	caller            authz.Caller
	provider, account string
	scopes            []string
	issued            string
}

func (x Exchange) serve(r *http.Request) (map[string]any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, bad("invalid_request", "the body is no form")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return nil, bad("invalid_request", "a parameter is there twice") // RFC 6749 §3.2
		}
	}
	client, err := x.client(r)
	if err != nil {
		return nil, err
	}
	wish, err := x.read(r, client)
	if err != nil {
		return nil, err
	}
	l, err := x.allowed(r.Context(), wish)
	if err != nil {
		return nil, err
	}
	return x.pay(r.Context(), wish, l)
}

// client authenticates the back end: Basic, or secret in the form.
func (x Exchange) client(r *http.Request) (string, error) {
	id, secret, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	c, known := x.Clients[id]
	given, want := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(oauth.Reveal(c.Secret)))
	if !known || c.Secret.IsZero() || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		return "", &exchangeError{status: http.StatusUnauthorized, code: "invalid_client", words: "the client is not known here, or its secret is wrong"}
	}
	return id, nil
}

func (x Exchange) read(r *http.Request, client string) (exchangeWish, error) {
	f := r.PostForm
	w := exchangeWish{client: client, scopes: strings.Fields(f.Get("scope")), issued: oauth.AccessTokenType}
	requested := f.Get("requested_token_type")
	switch f.Get("grant_type") {
	case oauth.ExchangeGrant:
		w.provider = f.Get("audience")
		if len(f["audience"]) > 1 || len(f["resource"]) > 1 {
			return w, bad("invalid_target", "name one audience")
		}
		if w.provider == "" {
			w.provider = x.Vault.providerAt(f.Get("resource"))
		}
		w.provider, w.account, _ = strings.Cut(w.provider, "/")
		if requested != "" && requested != oauth.AccessTokenType {
			return w, bad("invalid_request", "requested_token_type: only access tokens are given")
		}
	case federatedGrant:
		w.provider = f.Get("connection")
		if name, ok := connectionNames[w.provider]; ok {
			w.provider = name
		}
		w.account = f.Get("login_hint")
		if requested != "" && requested != federatedType {
			return w, bad("invalid_request", "requested_token_type: want "+federatedType)
		}
		w.issued = federatedType
	default:
		return w, bad("unsupported_grant_type", "want "+oauth.ExchangeGrant)
	}
	if t := f.Get("subject_token_type"); t != oauth.AccessTokenType {
		return w, bad("invalid_request", "subject_token_type: want "+oauth.AccessTokenType)
	}
	if f.Get("actor_token") != "" {
		return w, bad("invalid_request", "actor_token: the client itself is the actor")
	}
	caller, err := x.Subject(r.Context(), f.Get("subject_token"))
	if err != nil || caller.IsZero() {
		return w, bad("invalid_request", "subject_token: it is not a token for deputy, or it has ended")
	}
	w.caller = caller
	return w, nil
}

// providerAt is the provider whose API a resource (RFC 8707) names.
func (v *Vault) providerAt(resource string) string {
	for name, r := range v.routes {
		if resource != "" && resource == r.base.String() {
			return name
		}
	}
	return ""
}

// allowed checks client, consent and freeze, and finds the account.
func (x Exchange) allowed(ctx context.Context, w exchangeWish) (*Lease, error) {
	v := x.Vault
	route := v.routes[w.provider]
	if route == nil || !route.Key.IsZero() || route.From != "" || !slices.Contains(x.Clients[w.client].Providers, w.provider) {
		return nil, bad("invalid_target", "the client may have no token for that")
	}
	if err := v.Frozen(w.caller, w.provider, ""); err != nil {
		return nil, bad("access_denied", "a person has stopped this")
	}
	account := w.account
	if account != "" {
		account = w.provider + "/" + account
	}
	found, err := v.find(w.caller, w.provider, account)
	if errors.Is(err, ErrNoAccount) {
		found, err = v.find(w.caller, w.provider, w.account)
	}
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return nil, err
	}
	if found == nil {
		return nil, &exchangeError{status: http.StatusUnauthorized, code: "invalid_target", words: "the person has no such account connected", consent: x.connect(w, w.scopes)}
	}
	if len(w.scopes) == 0 { // as much as was consented to
		all, err := v.Shares(ctx, w.caller)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if s.Client == w.client && s.Account == found.ID {
				w.scopes = s.Scopes
			}
		}
	}
	ok, err := v.shared(w.caller, w.client, found.ID, w.scopes)
	if err != nil {
		return nil, err
	}
	if !ok || len(w.scopes) == 0 {
		return nil, bad("access_denied", "the person has not let this client have this account's tokens for these scopes: deputy accounts share")
	}
	l, err := v.Lease(ctx, w.caller, w.provider, w.scopes, found.ID)
	var missing *NotConnectedError
	switch {
	case errors.As(err, &missing):
		return nil, &exchangeError{status: http.StatusBadRequest, code: "invalid_scope", words: "the account has to be connected for this", consent: x.connect(w, missing.Missing)}
	case errors.Is(err, ErrFrozen):
		return nil, bad("access_denied", "a person has stopped this")
	}
	return l, err
}

func (x Exchange) connect(w exchangeWish, scopes []string) string {
	to, err := x.Vault.ConnectURL(w.caller, Wish{Provider: w.provider, Scopes: scopes})
	if err != nil {
		return ""
	}
	return to
}

// pay makes the answer, and writes into the log who got what, first.
func (x Exchange) pay(ctx context.Context, w exchangeWish, l *Lease) (map[string]any, error) {
	b, err := l.bearer(ctx, approvals.Request{}, "", nil)
	var missing *NotConnectedError
	if errors.As(err, &missing) {
		return nil, &exchangeError{status: http.StatusBadRequest, code: "invalid_grant", words: "the account has to be connected again", consent: x.connect(w, missing.Missing)}
	}
	if err != nil {
		return nil, err
	}
	scopes := b.from.grant.Scopes
	if b.reach == Scopes {
		scopes = set(l.need)
	}
	err = x.Vault.c.Store.Update(func(tx store.Tx) error {
		return x.Vault.c.Audit.Append(tx, audit.Line{
			Event: "exchange", User: w.caller.User(), Agent: w.client, Account: l.account.ID, Reach: string(b.reach), Outcome: strings.Join(scopes, " "),
		})
	})
	if err != nil {
		return nil, err
	}
	answer := map[string]any{
		"access_token": oauth.Reveal(b.token), "issued_token_type": w.issued, "token_type": "Bearer", "scope": strings.Join(scopes, " "),
	}
	if e := b.from.grant.Expires; !e.IsZero() {
		answer["expires_in"] = int(max(time.Until(e), 0).Seconds())
	}
	return answer, nil
}
