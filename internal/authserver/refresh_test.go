package authserver_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/authserver"
	"deputy/internal/store"
)

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
