package authserver_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/authserver"
	"deputy/internal/store"
)

// TestRevokeIsAtOnce: whoever ends a grant ends each of its tokens.
func TestRevokeIsAtOnce(t *testing.T) {
	o := newOffice(t)
	ctx := t.Context()
	for name, end := range map[string]func(said) error{
		"the person":           func(said) error { return o.server.Revoke(ctx, "anna", "app", "anna") },
		"everything":           func(said) error { return o.server.RevokeAll(ctx, "anna", "operator") },
		"by the refresh token": func(s said) error { return ok(o.call("/oauth/revoke", form("client_id", "app", "token", s.Refresh))) },
		"by the access token": func(s said) error {
			return ok(o.call("/oauth/revoke", form("client_id", "app", "token", s.Access, "token_type_hint", "refresh_token")))
		},
	} {
		a, b, bo := o.tokens("anna"), o.tokens("anna"), o.tokens("bo")
		both := name == "the person" || name == "everything"
		if !o.valid(a.Access) || !o.valid(b.Access) {
			t.Fatal("not valid before")
		}
		if s := o.call("/oauth/revoke", form("client_id", "rival", "token", a.Refresh)); s.Error != "invalid_grant" || !o.valid(a.Access) {
			t.Errorf("%s: another client: %s", name, s.raw)
		}
		if err := end(a); err != nil {
			t.Fatal(err)
		}
		if o.valid(a.Access) || o.refresh(a.Refresh).Error != "invalid_grant" || o.valid(b.Access) == both || !o.valid(bo.Access) {
			t.Errorf("%s: not exactly what was meant", name)
		}
		o.server.RevokeAll(ctx, "anna", "test")
	}
	for _, none := range []string{"x", "dpr_x", "eyJ"} {
		if err := ok(o.call("/oauth/revoke", form("client_id", "app", "token", none))); err != nil {
			t.Errorf("%q: %v", none, err)
		}
	}
	if s := o.call("/oauth/revoke", form("client_id", "app")); s.Error != "invalid_request" {
		t.Errorf("no token: %s", s.raw)
	}
	if got := o.lines("revoke"); len(got) < 4 || got[0].User != "anna" {
		t.Errorf("%+v", got)
	}
	// A code that waits when the person takes it back gives nothing.
	code := o.browser("anna").code()
	if err := o.server.Revoke(ctx, "anna", "app", "anna"); err != nil {
		t.Fatal(err)
	}
	if s := o.redeem(code); s.Error != "invalid_grant" {
		t.Errorf("a code from before: %s", s.raw)
	}
}

func ok(s said) error {
	if s.Status != 200 {
		return fmt.Errorf("%d %s", s.Status, s.raw)
	}
	return nil
}

// TestRevokeRacesVerify: once Revoke has returned, no Verify says yes, whatever
// was read meanwhile.
func TestRevokeRacesVerify(t *testing.T) {
	o := newOffice(t)
	for range 50 {
		token := o.tokens("anna").Access
		stop := make(chan struct{})
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						o.server.Verify(t.Context(), token)
					}
				}
			})
		}
		if err := o.server.Revoke(t.Context(), "anna", "app", "anna"); err != nil {
			t.Fatal(err)
		}
		if o.valid(token) {
			t.Error("valid after Revoke returned")
		}
		close(stop)
		wait.Wait()
		if o.valid(token) {
			t.Error("valid again later")
		}
	}
}

// late is a store that lets something happen after a read, before its reader
// goes on.
type late struct {
	store.Store
	then func()
}

func (l *late) View(fn func(store.Tx) error) error {
	err := l.Store.View(fn)
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return err
}

// TestAnOldReadIsNotRemembered: a grant that was read before it ended, by someone
// who goes on only afterwards, is not taken for a live one later.
func TestAnOldReadIsNotRemembered(t *testing.T) {
	l := &late{Store: store.NewMemory()}
	o := newOffice(t, func(c *authserver.Config) { c.Store = l })
	token := o.tokens("anna").Access
	o.start() // nothing is remembered
	l.then = func() {
		if err := o.server.Revoke(t.Context(), "anna", "app", "anna"); err != nil {
			t.Error(err)
		}
	}
	o.server.Verify(t.Context(), token)
	if l.then != nil {
		t.Fatal("nothing was read")
	}
	if o.valid(token) {
		t.Error("valid after Revoke returned")
	}
}

// TestWhoIsGoneGetsNothing: no code, refresh or device turns into a token for a
// person who may not act any more.
func TestWhoIsGoneGetsNothing(t *testing.T) {
	o := newOffice(t)
	had := o.tokens("anna")
	code := o.browser("anna").code()
	o.gone["anna"] = true
	for _, s := range []said{o.redeem(code), o.refresh(had.Refresh)} {
		if s.Error != "invalid_grant" || s.Access != "" {
			t.Errorf("%s", s.raw)
		}
	}
	o.gone["anna"] = false
	if s := o.refresh(had.Refresh); s.Status != 200 {
		t.Errorf("back again: %s", s.raw)
	}
}

// TestIntrospection is for those whom the operator lets ask.
func TestIntrospection(t *testing.T) {
	o := newOffice(t)
	token := o.tokens("anna")
	ask := func(token string, as ...string) said {
		return o.call("/oauth/introspect", form(append([]string{"token", token, "client_id", "backend", "client_secret", "s3cret/+ %"}, as...)...))
	}
	if s := ask(token.Access); s.Active == nil || !*s.Active || s.Subject != "anna" || s.Scope != "gmail.read" {
		t.Errorf("%s", s.raw)
	}
	for _, none := range []string{"", "x", token.Refresh, token.Access + "x"} {
		if s := ask(none); s.Active == nil || *s.Active || strings.Contains(s.raw, "anna") {
			t.Errorf("%q: %s", none, s.raw)
		}
	}
	o.server.Revoke(t.Context(), "anna", "app", "anna")
	if s := ask(token.Access); s.Active == nil || *s.Active {
		t.Errorf("revoked: %s", s.raw)
	}
	if s := ask(token.Access, "client_id", "app", "client_secret", "-"); s.Status != 403 {
		t.Errorf("a public client: %d %s", s.Status, s.raw)
	}
}

// TestGrantsEnd by themselves: idle for thirty days, or after ninety; and Sweep
// leaves nothing behind but what is still to be known.
func TestGrantsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		const day = 24 * time.Hour
		token := o.tokens("anna").Refresh
		for d := range 4 {
			time.Sleep(25 * day)
			s := o.refresh(token)
			if over := d == 3; (s.Error == "invalid_grant") != over {
				t.Fatalf("day %d: %s", 25*(d+1), s.raw)
			} else if !over {
				token = s.Refresh
			}
		}
		idle := o.tokens("anna").Refresh
		time.Sleep(31 * day)
		if s := o.refresh(idle); s.Error != "invalid_grant" {
			t.Errorf("idle: %s", s.raw)
		}
		if err := o.server.Sweep(); err != nil {
			t.Fatal(err)
		}
		left := map[string]int{}
		o.store.View(func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(k, _ []byte) error { left[strings.Split(string(k), "\x00")[0]]++; return nil })
		})
		for _, table := range []string{"code", "grant", "byclient", "pushed", "device", "usercode", "spent"} {
			if left["authserver/"+table] != 0 {
				t.Errorf("%s: %d rows left", table, left["authserver/"+table])
			}
		}
	})
}

// TestTheStoreAndTheLogHoldNoToken: neither do errors.
func TestTheStoreAndTheLogHoldNoToken(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	code := anna.code()
	first := o.redeem(code)
	second := o.refresh(first.Refresh)
	again := o.redeem(code)
	pushed := o.call("/oauth/par", wish())
	device := o.call("/oauth/device", form("client_id", "tv", "resource", resource))
	secrets := []string{code, first.Access, first.Refresh, second.Access, second.Refresh, strings.TrimPrefix(pushed.URI, "urn:ietf:params:oauth:request_uri:"), device.Device, device.User, strings.ReplaceAll(device.User, "-", "")}
	o.store.View(func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error {
			for _, s := range secrets {
				if strings.Contains(string(k)+string(v), s) {
					t.Errorf("%q holds a secret", k)
				}
			}
			return nil
		})
	})
	for _, s := range secrets {
		if strings.Contains(o.logged.String(), s) || strings.Contains(again.raw, s) {
			t.Error("a secret is logged or said")
		}
	}
}

// TestManyGrantsOfOneClient: the oldest gives way.
func TestManyGrantsOfOneClient(t *testing.T) {
	o := newOffice(t)
	first := o.tokens("anna")
	var last said
	for range 32 {
		last = o.tokens("anna")
	}
	if o.valid(first.Access) || !o.valid(last.Access) {
		t.Error("not the oldest gave way")
	}
	if list, _ := o.server.Grants(t.Context(), "anna"); list[0].Live != 32 {
		t.Errorf("%d live", list[0].Live)
	}
}

// TestTooManyRequests: each grant type counts alone.
func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		had := o.tokens("anna")
		var slow said
		for range 300 {
			if slow = o.redeem("x"); slow.Status == 429 {
				break
			}
		}
		if slow.Status != 429 || slow.Header.Get("Retry-After") == "" {
			t.Fatalf("never slowed down: %d %s", slow.Status, slow.raw)
		}
		if s := o.refresh(had.Refresh); s.Status != 200 {
			t.Errorf("a refresh waits for codes: %s", s.raw)
		}
		time.Sleep(time.Minute)
		if s := o.redeem("x"); s.Error != "invalid_grant" {
			t.Errorf("after a minute: %s", s.raw)
		}
	})
}
