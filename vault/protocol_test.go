package vault_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"deputy/vault"
)

// What goes through the browser is a reference, and it works once.
func TestPushedRequests(t *testing.T) { // T7
	o := newOP(t)
	b := o.bank(o.company())
	to, err := b.Begin(ctx, b.me, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(to)
	if q := u.Query(); len(q) != 2 || q.Get("client_id") != "id" || !strings.HasPrefix(q.Get("request_uri"), "urn:") {
		t.Errorf("the browser carries %v", q)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for n, want := range []int{http.StatusFound, http.StatusBadRequest} {
		resp, err := browser.Get(to)
		if err != nil || resp.StatusCode != want {
			t.Errorf("visit %d: %v %v", n, resp.StatusCode, err)
		}
	}
	// A server that takes pushed requests is not asked the plain way when the
	// push fails.
	o.Close()
	if to, err := b.Begin(ctx, b.me, vault.Wish{Provider: "corp"}); err == nil {
		t.Errorf("without the push: %s", to)
	}
}

// An answer from another issuer, or from nobody where one was announced, is
// refused before its code is used.
func TestMixUp(t *testing.T) { // T5
	o := newOP(t)
	b := o.bank(o.company())
	for _, iss := range []string{"https://other.example", "-", o.URL + "/"} {
		o.iss = iss
		if _, err := o.connect(b, vault.Wish{Provider: "corp"}); !errors.Is(err, vault.ErrMixedUp) {
			t.Errorf("iss %q: %v", iss, err)
		}
	}
	if n := len(o.asked); n != 0 {
		t.Errorf("%d codes were spent", n)
	}
	o.iss = ""
	o.must(b, vault.Wish{Provider: "corp"})
}

func TestPKCECannotBeTalkedAway(t *testing.T) { // T6
	o := newOP(t)
	o.noS256 = true
	b := o.bank(o.company())
	if to, err := b.Begin(ctx, b.me, vault.Wish{Provider: "corp"}); err == nil || !strings.Contains(err.Error(), "S256") {
		t.Errorf("metadata without S256: %s, %v", to, err)
	}
}

// What an issuer says of itself must be of itself, and safe.
func TestMetadataOfAnother(t *testing.T) {
	for name, body := range map[string]string{
		"another issuer": `{"issuer":"https://evil.example","authorization_endpoint":"URL/a","token_endpoint":"URL/t","code_challenge_methods_supported":["S256"]}`,
		"http":           `{"issuer":"URL","authorization_endpoint":"URL/a","token_endpoint":"http://evil.example/t","code_challenge_methods_supported":["S256"]}`,
		"no endpoints":   `{"issuer":"URL","code_challenge_methods_supported":["S256"]}`,
		"HTML":           `<html>`,
		"huge":           `{"x":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		o := newOP(t)
		mux := http.NewServeMux()
		mux.HandleFunc("/.well-known/", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.ReplaceAll(body, "URL", o.URL))
		})
		o.Config.Handler = mux
		b := o.bank(o.company())
		if to, err := b.Begin(ctx, b.me, vault.Wish{Provider: "corp"}); err == nil {
			t.Errorf("%s: %s", name, to)
		}
	}
}

// An ID token says whose account it is only if it is for us, from our issuer,
// and still good.
func TestIDTokenForAnother(t *testing.T) { // T14
	for name, change := range map[string]func(map[string]any){
		"issuer":        func(c map[string]any) { c["iss"] = "https://evil.example" },
		"audience":      func(c map[string]any) { c["aud"] = "other" },
		"two audiences": func(c map[string]any) { c["aud"] = []string{"id", "other"} },
		"expired":       func(c map[string]any) { c["exp"] = time.Now().Add(-2 * time.Minute).Unix() },
		"no exp":        func(c map[string]any) { delete(c, "exp") },
		"no subject":    func(c map[string]any) { delete(c, "sub") },
		"a long name":   func(c map[string]any) { c["email"], c["sub"] = nil, strings.Repeat("x", 1000) },
	} {
		o := newOP(t)
		o.claims = change
		b := o.bank(o.company())
		if c, err := o.connect(b, vault.Wish{Provider: "corp"}); err == nil || len(b.accounts()) != 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestConnectByCode(t *testing.T) {
	o := newOP(t)
	o.approved = true
	b := o.bank(o.company())
	d, err := b.BeginDevice(ctx, b.me, vault.Wish{Provider: "corp", Scopes: []string{"read"}})
	if err != nil || d.UserCode != "ABCD-EFGH" || !strings.HasPrefix(d.URL, o.URL) {
		t.Fatalf("%+v, %v", d, err)
	}
	c, err := d.Finish(ctx)
	if err != nil || c.ID != "corp/anna@example.com" {
		t.Fatalf("%+v, %v", c, err)
	}
	o.read(b, "corp", "/me", "read")

	gone, err := b.BeginDevice(ctx, b.me, vault.Wish{Provider: "corp"})
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	clear(o.tokens)
	o.mu.Unlock()
	if _, err := gone.Finish(ctx); !errors.Is(err, vault.ErrRefused) {
		t.Errorf("the code ran out: %v", err)
	}
	none := newIssuer(t)
	nb := open(t, none)
	if _, err := nb.BeginDevice(ctx, nb.me, vault.Wish{Provider: "github"}); !errors.Is(err, vault.ErrNoDevice) {
		t.Errorf("a provider without it: %v", err)
	}
}

// A person connects the company once; the wiki's tokens are traded from that,
// and the wiki never sees the company's.
func TestTokensAreTradedForInHouseAPIs(t *testing.T) {
	for name, assertion := range map[string]bool{"RFC 8693": false, "ID-JAG": true} {
		o := newOP(t)
		wiki := o.company()
		wiki.Name, wiki.Title, wiki.Discover, wiki.From = "wiki", "Wiki", false, "corp"
		wiki.OAuth = vault.Server{TokenURL: o.URL + "/token", ClientID: "id", ClientSecret: vault.NewSecret("client-secret-canary")}
		wiki.Trade = vault.Trade{Assertion: assertion, Audience: "wiki-as", Scopes: []string{"pages.read"}}
		b := o.bank(o.company(), wiki)
		var missing *vault.NotConnectedError
		if _, err := b.Lease(ctx, b.me, "wiki", nil, ""); !errors.As(err, &missing) || missing.Provider != "corp" {
			t.Errorf("%s: not connected: %v", name, err)
		}
		o.must(b, vault.Wish{Provider: "corp"})
		want := map[bool]string{false: "exchange", true: "jag"}[assertion]
		for range 3 {
			got, l := o.read(b, "wiki", "/things/1")
			if got.via != want || got.subject != "anna" || !has(got.scopes, "pages.read") || l.Account().ID != "wiki/anna@example.com" {
				t.Errorf("%s: %+v as %s", name, got, l.Account().ID)
			}
		}
		if n := o.count("urn:ietf:params:oauth:grant-type:token-exchange"); n != 1 {
			t.Errorf("%s: %d exchanges for three reads", name, n)
		}
		// The wiki forgets its tokens: they are traded again, the grant is well.
		o.mu.Lock()
		for k, tok := range o.tokens {
			if tok.via == want {
				delete(o.tokens, k)
			}
		}
		o.mu.Unlock()
		if got, _ := o.read(b, "wiki", "/things/1"); got.via != want {
			t.Errorf("%s: %+v", name, got)
		}
		if got := b.accounts(); len(got) != 1 || got[0].State != "active" {
			t.Errorf("%s: %+v", name, got)
		}
		// What stops the company's account stops the wiki too.
		if err := b.Freeze(ctx, b.me, vault.Freeze{Kind: "provider", Name: "corp"}); err != nil {
			t.Fatal(err)
		}
		l, err := b.Lease(ctx, b.me, "wiki", nil, "")
		if err == nil {
			_, err = l.Read(ctx, "/things/1")
		}
		if !errors.Is(err, vault.ErrFrozen) {
			t.Errorf("%s: frozen: %v", name, err)
		}
	}
}

func TestARefusedTradeDoesNotEndTheGrant(t *testing.T) {
	o := newOP(t)
	wiki := o.company()
	wiki.Name, wiki.Discover, wiki.From = "wiki", false, "corp"
	wiki.OAuth = vault.Server{TokenURL: o.URL + "/token", ClientID: "id", ClientSecret: vault.NewSecret("client-secret-canary")}
	wiki.Trade = vault.Trade{Audience: "forbidden"}
	b := o.bank(o.company(), wiki)
	o.must(b, vault.Wish{Provider: "corp"})
	l, err := b.Lease(ctx, b.me, "wiki", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var f *vault.Fault
	if _, err := l.Read(ctx, "/things/1"); !errors.As(err, &f) || f.Kind != vault.Forbidden {
		t.Errorf("%v", err)
	}
	if got := b.accounts(); got[0].State != "active" {
		t.Errorf("%+v", got)
	}
	if _, err := vault.Open(vault.Config{Store: b.store, Providers: []vault.Provider{wiki}}); err == nil {
		t.Error("a provider that trades from nowhere was accepted")
	}
}

func TestNoVerbPrintsASecret(t *testing.T) { // T39
	s := vault.NewSecret("secret-canary")
	type holder struct {
		S      vault.Secret
		hidden vault.Secret // of these fmt asks no method
	}
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", holder{s, s}, "p", &s)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "h", holder{s, s}, "p", &s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%o", "%t"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, holder{s, s})
		fmt.Fprintf(&out, verb, &holder{s, s})
		fmt.Fprintf(&out, verb, []vault.Secret{s})
		fmt.Fprintf(&out, verb, map[string]vault.Secret{"k": s})
	}
	func() {
		defer func() { fmt.Fprint(&out, recover()) }()
		panic(fmt.Sprint(holder{s, s}))
	}()
	for _, leak := range []string{"canary", fmt.Sprintf("%x", "canary"), fmt.Sprintf("%X", "canary")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%s in %s", leak, out.String())
		}
	}
}

// An endpoint that only the metadata names is not reached inside the network.
func TestMetadataPointsInside(t *testing.T) { // T21
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer inside.Close()
	o := newOP(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%[1]q,"token_endpoint":%[1]q,"pushed_authorization_request_endpoint":%[2]q,"code_challenge_methods_supported":["S256"]}`, o.URL, inside.URL)
	})
	o.Config.Handler = mux
	b := o.bank(o.company())
	if _, err := b.Begin(ctx, b.me, vault.Wish{Provider: "corp"}); err == nil || reached {
		t.Errorf("%v, reached %v", err, reached)
	}
	// What the operator names is reached, wherever it is.
	p := o.company()
	p.OAuth.PARURL = inside.URL
	b = o.bank(p)
	if _, err := b.Begin(ctx, b.me, vault.Wish{Provider: "corp"}); err == nil || !reached {
		t.Errorf("named by the operator: %v, reached %v", err, reached)
	}
}
