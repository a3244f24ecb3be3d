package authserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/authserver"
	"deputy/internal/store"
)

// TestACodeIsGoodOnce (T15): its second use fails and ends what came of the
// first.
func TestACodeIsGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		anna := o.browser("anna")
		code := anna.code()
		first := o.redeem(code)
		bystander := o.redeem(anna.code())
		if !o.valid(first.Access) {
			t.Fatal("the first use gives nothing")
		}
		if second := o.redeem(code); second.Error != "invalid_grant" || second.Access != "" {
			t.Errorf("the second use: %s", second.raw)
		}
		if o.valid(first.Access) {
			t.Error("the access token lives on")
		}
		if s := o.refresh(first.Refresh); s.Error != "invalid_grant" {
			t.Errorf("the refresh token lives on: %s", s.raw)
		}
		if !o.valid(bystander.Access) {
			t.Error("another authorization ended with it")
		}
		if got := o.lines("reuse"); len(got) != 1 || got[0].Channel != "code" || got[0].User != "anna" || got[0].Agent != "app" {
			t.Errorf("the log says %+v", got)
		}
		late := anna.code()
		time.Sleep(61 * time.Second)
		if s := o.redeem(late); s.Error != "invalid_grant" {
			t.Errorf("after a minute: %s", s.raw)
		}
	})
}

// TestACodeIsForItsClient, its way back, its verifier and its resource. One wrong
// try spends it.
func TestACodeIsForItsClient(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	for name, c := range map[string]struct {
		want   string
		change []string
	}{
		"another client":       {"invalid_grant", []string{"client_id", "rival"}},
		"another way back":     {"invalid_grant", []string{"redirect_uri", "https://app.example/other?x=1"}},
		"no verifier":          {"invalid_grant", []string{"code_verifier", "-"}},
		"an empty verifier":    {"invalid_grant", []string{"code_verifier", ""}},
		"another verifier":     {"invalid_grant", []string{"code_verifier", strings.Repeat("a", 43)}},
		"the challenge itself": {"invalid_grant", []string{"code_verifier", wish().Get("code_challenge")}},
		"a longer verifier":    {"invalid_grant", []string{"code_verifier", verifier + "x"}},
		"another resource":     {"invalid_target", []string{"resource", issuer + "/other"}},
	} {
		code := anna.code()
		if s := o.redeem(code, c.change...); s.Error != c.want || s.Access != "" || strings.Contains(s.raw, code) {
			t.Errorf("%s: %s", name, s.raw)
		}
		if s := o.redeem(code); s.Error != "invalid_grant" {
			t.Errorf("%s, then the right way: %s", name, s.raw)
		}
	}
	if s := o.redeem(anna.code(), "redirect_uri", "-", "resource", "-"); s.Status != 200 { // OAuth 2.1 §4.1.3
		t.Errorf("without redirect_uri: %s", s.raw)
	}
	for name, s := range map[string]said{
		"no client":         o.redeem(anna.code(), "client_id", "-"),
		"unknown client":    o.redeem(anna.code(), "client_id", "nobody"),
		"a secret too many": o.redeem(anna.code(), "client_secret", "x"),
		"no secret":         o.redeem(anna.code(), "client_id", "backend"),
		"a wrong secret":    o.redeem(anna.code(), "client_id", "backend", "client_secret", "x"),
		"assertion":         o.redeem(anna.code(), "client_assertion", "eyJ"),
	} {
		if s.Error != "invalid_client" || s.Status != 401 {
			t.Errorf("%s: %d %s", name, s.Status, s.raw)
		}
	}
	for name, s := range map[string]said{
		"password":        o.call("/oauth/token", form("grant_type", "password", "client_id", "app")),
		"client":          o.call("/oauth/token", form("grant_type", "client_credentials", "client_id", "app")),
		"exchange, off":   o.call("/oauth/token", form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "app")),
		"assertions, off": o.call("/oauth/token", form("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id", "app")),
	} {
		if s.Error != "unsupported_grant_type" {
			t.Errorf("%s: %s", name, s.raw)
		}
	}
	if s := o.call("/oauth/token", form("grant_type", "urn:ietf:params:oauth:grant-type:device_code", "client_id", "app")); s.Error != "unauthorized_client" {
		t.Errorf("a grant type that is not the client's: %s", s.raw)
	}
	twice := form("grant_type", "refresh_token", "client_id", "app")
	twice.Add("client_id", "rival")
	if s := o.call("/oauth/token", twice); s.Error != "invalid_request" {
		t.Errorf("twice: %s", s.raw)
	}
	if s := o.call("/oauth/token?grant_type=refresh_token&client_id=app", form()); s.Error != "invalid_request" {
		t.Errorf("in the address: %s", s.raw)
	}
	if s := o.call("/oauth/token", form("grant_type", "x"), "Content-Type", "application/json"); s.Error != "invalid_request" {
		t.Errorf("not a form: %s", s.raw)
	}
	if s := o.call("/oauth/token", form("grant_type", strings.Repeat("x", 70_000))); s.Error != "invalid_request" {
		t.Errorf("too long: %s", s.raw)
	}
}

// TestConfidentialClients prove themselves by Basic or in the form, not both.
func TestConfidentialClients(t *testing.T) {
	o := newOffice(t)
	anna := o.browser("anna")
	back := []string{"client_id", "backend", "redirect_uri", "https://backend.example/cb"}
	basic := func(id, secret string) []string {
		r, _ := http.NewRequest("POST", issuer, nil)
		r.SetBasicAuth(id, secret)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	f := func(change ...string) map[string][]string {
		return form(append([]string{"grant_type", "authorization_code", "code", anna.code(back...), "code_verifier", verifier}, change...)...)
	}
	if s := o.call("/oauth/token", f(), basic("backend", "s3cret%2F%2B+%25")...); s.Status != 200 {
		t.Errorf("Basic: %s", s.raw)
	}
	if s := o.call("/oauth/token", f("client_id", "backend", "client_secret", "s3cret/+ %")); s.Status != 200 {
		t.Errorf("in the form: %s", s.raw)
	}
	if s := o.call("/oauth/token", f("client_secret", "s3cret/+ %"), basic("backend", "s3cret%2F%2B+%25")...); s.Error != "invalid_request" {
		t.Errorf("both: %s", s.raw)
	}
	if s := o.call("/oauth/token", f("client_id", "app"), basic("backend", "s3cret%2F%2B+%25")...); s.Error != "invalid_request" {
		t.Errorf("two names: %s", s.raw)
	}
	if s := o.call("/oauth/token", f(), basic("backend", "wrong")...); s.Error != "invalid_client" || s.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("wrong: %s", s.raw)
	}
}

// TestARetryGetsTheSameSuccessor and a theft ends the family (T16, both halves).
func TestARetryGetsTheSameSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		first := o.tokens("anna")
		time.Sleep(time.Minute)
		second := o.refresh(first.Refresh)
		time.Sleep(time.Second)
		o.start() // also after a crash
		retry := o.refresh(first.Refresh)
		if retry.Status != 200 || retry.Refresh != second.Refresh || !o.valid(retry.Access) {
			t.Fatalf("a retry after a second: %s", retry.raw)
		}
		if got := o.lines("reuse"); len(got) != 0 {
			t.Errorf("a retry is no theft: %+v", got)
		}
		time.Sleep(59 * time.Second)
		theft := o.refresh(first.Refresh)
		if theft.Error != "invalid_grant" || theft.Refresh != "" {
			t.Errorf("after a minute: %s", theft.raw)
		}
		for name, dead := range map[string]bool{
			"the successor":     o.refresh(second.Refresh).Error == "invalid_grant",
			"its access token":  !o.valid(second.Access),
			"the retry's token": !o.valid(retry.Access),
		} {
			if !dead {
				t.Errorf("%s lives on", name)
			}
		}
		if got := o.lines("reuse"); len(got) != 1 || got[0].Channel != "refresh" || got[0].User != "anna" {
			t.Errorf("the log says %+v", got)
		}
		if !strings.Contains(o.logged.String(), "used refresh token") || strings.Contains(o.logged.String(), "dpr_") {
			t.Errorf("the alert is %q", o.logged.String())
		}
	})
}

// TestASuccessorThatWasUsedEndsTheGrace: two who hold one token do not both go
// on.
func TestASuccessorThatWasUsedEndsTheGrace(t *testing.T) {
	o := newOffice(t)
	first := o.tokens("anna")
	second := o.refresh(first.Refresh)
	third := o.refresh(second.Refresh)
	if s := o.refresh(first.Refresh); s.Error != "invalid_grant" {
		t.Errorf("an old token within the grace, after its successor was used: %s", s.raw)
	}
	if o.valid(third.Access) || o.refresh(third.Refresh).Error != "invalid_grant" {
		t.Error("the family lives on")
	}
}

// TestRefreshTokensAreForTheirClient: another one's try ends nothing, and neither
// does text that nobody issued.
func TestRefreshTokensAreForTheirClient(t *testing.T) {
	o := newOffice(t)
	first := o.tokens("anna")
	flip := func(i int) string {
		b := []byte(first.Refresh)
		b[i] ^= 1
		return string(b)
	}
	for name, s := range map[string]said{
		"another client":   o.refresh(first.Refresh, "client_id", "rival"),
		"made up":          o.refresh("dpr_" + strings.Repeat("A", 80)),
		"empty":            o.refresh(""),
		"the access token": o.refresh(first.Access),
		"a changed id":     o.refresh(flip(6)),
		"a changed number": o.refresh(flip(28)),
		"a changed end":    o.refresh(flip(len(first.Refresh) - 2)),
		"padded":           o.refresh(first.Refresh + "=="),
	} {
		if s.Error != "invalid_grant" {
			t.Errorf("%s: %s", name, s.raw)
		}
	}
	if s := o.refresh(first.Refresh, "resource", issuer); s.Error != "invalid_target" {
		t.Errorf("another resource: %s", s.raw)
	}
	if s := o.refresh(first.Refresh); s.Status != 200 || !o.valid(first.Access) {
		t.Errorf("the family ended: %s", s.raw)
	}
}

// TestManyRefreshAtOnce: a hundred with one token are one rotation; whatever
// order they come in, nobody loses the family.
func TestManyRefreshAtOnce(t *testing.T) {
	for round := range 5 {
		o := newOffice(t)
		token := o.tokens("anna").Refresh
		for step := range 2 {
			answers := make([]said, 100)
			var wait sync.WaitGroup
			for i := range answers {
				wait.Go(func() { answers[i] = o.refresh(token) })
			}
			wait.Wait()
			next := answers[0].Refresh
			for _, a := range answers {
				if a.Status != 200 || a.Refresh != next || a.Refresh == token || !o.valid(a.Access) {
					t.Fatalf("round %d, step %d: %d %s", round, step, a.Status, a.raw)
				}
			}
			token = next
		}
		if got := o.lines("reuse"); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		list, err := o.server.Grants(t.Context(), "anna")
		if err != nil || len(list) != 1 || list[0].Live != 1 {
			t.Errorf("%+v %v", list, err)
		}
	}
}

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

// failing is a store that fails to commit when told to.
type failing struct {
	store.Store
	fail bool
}

func (f *failing) Update(fn func(store.Tx) error) error {
	return f.Store.Update(func(tx store.Tx) error {
		if err := fn(tx); err != nil || !f.fail {
			return err
		}
		return errors.New("the disk is full")
	})
}

// TestWhatIsNotCommittedDidNotHappen: a refresh that could not be written leaves
// the token good, and a revocation that could not be written says so.
func TestWhatIsNotCommittedDidNotHappen(t *testing.T) {
	f := &failing{Store: store.NewMemory()}
	o := newOffice(t, func(c *authserver.Config) { c.Store = f })
	had := o.tokens("anna")
	code := o.browser("anna").code()
	f.fail = true
	for _, s := range []said{o.refresh(had.Refresh), o.redeem(code)} {
		if s.Status != 503 || s.Access != "" || strings.Contains(s.raw, "disk") {
			t.Errorf("%d %s", s.Status, s.raw)
		}
	}
	if err := o.server.Revoke(t.Context(), "anna", "app", "anna"); err == nil {
		t.Error("a revocation that was not written is no revocation")
	}
	if !o.valid(had.Access) {
		t.Error("half revoked")
	}
	f.fail = false
	if s := o.refresh(had.Refresh); s.Status != 200 {
		t.Errorf("%s", s.raw)
	}
	if s := o.redeem(code); s.Status != 200 {
		t.Errorf("%s", s.raw)
	}
}
