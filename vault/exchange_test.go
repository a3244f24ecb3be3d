package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"deputy/authz"
	"deputy/vault"
)

const (
	grantRFC8693   = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantFederated = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	typeAccess     = "urn:ietf:params:oauth:token-type:access_token"
	typeFederated  = "http://auth0.com/oauth/token-type/federated-connection-access-token"
)

// backEnd is an operator's own program at the token endpoint.
type backEnd struct {
	x vault.Exchange
	t *testing.T
}

func (b backEnd) ask(form map[string]string) (int, map[string]any) {
	b.t.Helper()
	v := url.Values{}
	for name, value := range form {
		if value != "" {
			v.Set(name, value)
		}
	}
	r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if form["client_secret"] == "" {
		r.SetBasicAuth("crm", "crm-secret")
	}
	w := httptest.NewRecorder()
	b.x.ServeHTTP(w, r)
	if w.Header().Get("Cache-Control") != "no-store" {
		b.t.Error("the answer may be cached")
	}
	var said map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
		b.t.Errorf("%s", w.Body)
	}
	return w.Code, said
}

func with(base map[string]string, changes ...string) map[string]string {
	out := map[string]string{}
	for k, v := range base {
		out[k] = v
	}
	for i := 0; i < len(changes); i += 2 {
		out[changes[i]] = changes[i+1]
	}
	return out
}

func TestExchange(t *testing.T) {
	o := newOP(t)
	p := o.company()
	p.Several = true
	b := o.bank(p)
	account := o.must(b, vault.Wish{Provider: "corp", Scopes: []string{"read", "send"}})
	back := backEnd{t: t, x: vault.Exchange{
		Vault: b.Vault,
		Clients: map[string]vault.ExchangeClient{
			"crm":   {Secret: vault.NewSecret("crm-secret"), Providers: []string{"corp"}},
			"other": {Secret: vault.NewSecret("other-secret")},
			"empty": {Providers: []string{"corp"}},
		},
		Subject: func(_ context.Context, token string) (authz.Caller, error) {
			if token != "annas-token-for-deputy" {
				return authz.Caller{}, errors.New("no")
			}
			return b.me, nil
		},
	}}
	base := map[string]string{
		"grant_type": grantRFC8693, "subject_token": "annas-token-for-deputy", "subject_token_type": typeAccess, "audience": "corp", "scope": "read",
	}
	if status, said := back.ask(base); status != 400 || said["error"] != "access_denied" {
		t.Errorf("without consent: %d %v", status, said)
	}
	if err := b.Share(ctx, b.me, "crm", account.ID, []string{"openid", "read"}); err != nil {
		t.Fatal(err)
	}
	provider := ""
	for name, tok := range o.tokens {
		if tok.kind == "access" {
			provider = name
		}
	}
	for name, c := range map[string]struct {
		form   map[string]string
		status int
		code   string
	}{
		"wrong secret":                  {with(base, "client_id", "crm", "client_secret", "x"), 401, "invalid_client"},
		"unknown client":                {with(base, "client_id", "nobody", "client_secret", "crm-secret"), 401, "invalid_client"},
		"a client without a secret":     {with(base, "client_id", "empty", "client_secret", " "), 401, "invalid_client"},
		"a client for nothing":          {with(base, "client_id", "other", "client_secret", "other-secret"), 400, "invalid_target"},
		"another's consent":             {with(base, "scope", "read send"), 400, "access_denied"},
		"T10: a provider's own token":   {with(base, "subject_token", provider), 400, "invalid_request"},
		"no subject":                    {with(base, "subject_token", ""), 400, "invalid_request"},
		"T14: an ID token":              {with(base, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), 400, "invalid_request"},
		"an actor":                      {with(base, "actor_token", "x"), 400, "invalid_request"},
		"a refresh token wanted":        {with(base, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), 400, "invalid_request"},
		"no such provider":              {with(base, "audience", "nowhere"), 400, "invalid_target"},
		"no such account":               {with(base, "audience", "corp/other"), 401, "invalid_target"},
		"another grant":                 {with(base, "grant_type", "password"), 400, "unsupported_grant_type"},
		"a resource that is not an API": {with(base, "audience", "", "resource", o.URL), 400, "invalid_target"},
	} {
		status, said := back.ask(c.form)
		if status != c.status || said["error"] != c.code || said["access_token"] != nil {
			t.Errorf("%s: %d %v", name, status, said)
		}
	}
	for name, form := range map[string]map[string]string{
		"by audience":        base,
		"by account":         with(base, "audience", account.ID),
		"by resource":        with(base, "audience", "", "resource", o.URL+"/api"),
		"secret in the form": with(base, "client_id", "crm", "client_secret", "crm-secret"),
		"federated":          {"grant_type": grantFederated, "subject_token": "annas-token-for-deputy", "subject_token_type": typeAccess, "connection": "corp", "login_hint": "anna@example.com", "requested_token_type": typeFederated},
	} {
		status, said := back.ask(form)
		token, _ := said["access_token"].(string)
		issued := typeAccess
		if name == "federated" {
			issued = typeFederated
		}
		if status != 200 || o.tokens[token].subject != "anna" || said["issued_token_type"] != issued || said["token_type"] != "Bearer" || said["refresh_token"] != nil || said["expires_in"] == nil {
			t.Errorf("%s: %d %v", name, status, said)
		}
	}
	if got := strings.Count(b.log(), `"event":"exchange","user":"anna","agent":"crm"`); got != 5 {
		t.Errorf("%d exchanges in the log: %s", got, b.log())
	}
	if strings.Contains(b.log(), "canary") {
		t.Error("a token is in the log")
	}
	// What a person stops or takes back ends at once.
	if err := b.Freeze(ctx, b.me, vault.Freeze{Kind: "user", Name: "anna"}); err != nil {
		t.Fatal(err)
	}
	if status, said := back.ask(base); status != 400 || said["error"] != "access_denied" {
		t.Errorf("frozen: %d %v", status, said)
	}
	b.Thaw(ctx, b.me, vault.Freeze{Kind: "user", Name: "anna"})
	if err := b.Unshare(ctx, b.me, "crm", account.ID); err != nil {
		t.Fatal(err)
	}
	if status, said := back.ask(base); status != 400 || said["error"] != "access_denied" {
		t.Errorf("taken back: %d %v", status, said)
	}
	if err := b.Share(ctx, b.person("bo", "s"), "crm", account.ID, nil); !errors.Is(err, vault.ErrNoAccount) {
		t.Errorf("bo shares anna's account: %v", err)
	}
	r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader(url.Values{"grant_type": {grantRFC8693, "x"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if back.x.ServeHTTP(w, r); w.Code != http.StatusBadRequest {
		t.Errorf("a parameter twice: %d", w.Code)
	}
}
