package issuers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"deputy/vault"
)

// What both servers are put through.

// device connects by code. decide is what the person does in a browser.
func (b *bank) device(user string, yes bool, decide func(*vault.Device, *browser)) {
	b.t.Helper()
	d, err := b.vaults[0].BeginDevice(ctx, b.caller(user), b.wish())
	if err != nil {
		b.t.Fatal(err)
	}
	if d.UserCode == "" || d.URL == "" || time.Until(d.Expires) < time.Minute {
		b.t.Errorf("device: %+v", d)
	}
	decide(d, newBrowser(b.t))
	done, err := d.Finish(ctx)
	if !yes {
		if !errors.Is(err, vault.ErrRefused) {
			b.t.Errorf("after a no: %+v, %v", done, err)
		}
		if _, err := b.read(b.vaults[0], b.caller(user)); err == nil {
			b.t.Error("a no connected something")
		}
		return
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if done.ID != b.server.name+"/"+user {
		b.t.Errorf("connected %+v", done)
	}
	b.mustRead(user)
	b.refreshes(0)
}

// anotherAccount connects one, and then signs in to another where that one, or
// an alias of it, was asked for: nothing may change.
func (b *bank) anotherAccount() {
	b.t.Helper()
	first := b.connect("anna")
	me := b.caller("anna")
	if err := b.vaults[0].Name(ctx, me, first.ID, "work", false); err != nil {
		b.t.Fatal(err)
	}
	for _, account := range []string{first.ID, "work"} {
		w := b.wish()
		w.Account = account
		_, err := b.finish(me, b.answer(b.begin(me, w), "mallory"))
		if !errors.Is(err, vault.ErrOtherAccount) {
			b.t.Errorf("asked for %s and signed in as another: %v", account, err)
		}
		if _, err := b.finish(me, b.answer(b.begin(me, w), "anna")); err != nil {
			b.t.Errorf("asked for %s and signed in as that: %v", account, err)
		}
	}
	all, err := b.vaults[0].Accounts(ctx, me)
	if err != nil || len(all) != 1 || all[0].ID != first.ID {
		b.t.Errorf("accounts %+v, %v", all, err)
	}
	b.mustRead("anna")
}

// lateRefresh lets something happen while the answer to a refresh is on its
// way. The tokens of that answer must not outlive it.
func (b *bank) lateRefresh(meanwhile func(vault.Connected), works bool) {
	b.t.Helper()
	done := b.connect("anna")
	b.mustRead("anna")
	b.api.refuseAll()
	held, letGo := make(chan struct{}), make(chan struct{})
	b.tap.refreshed = func() error {
		close(held)
		<-letGo
		return nil
	}
	late := make(chan error)
	me := b.caller("anna")
	go func() {
		_, err := b.read(b.vaults[0], me)
		late <- err
	}()
	<-held
	meanwhile(done)
	close(letGo)
	if err := <-late; (err == nil) != works {
		b.t.Errorf("the read that refreshed: %v", err)
	}
	b.tap.refreshed = nil
	refreshed := b.refreshes(1)
	if works {
		b.mustRead("anna")
		b.refreshes(1)
	}
	b.deadToken(field(b.t, refreshed[0].answer, "access_token"))
	b.deadRefresh(field(b.t, refreshed[0].answer, "refresh_token"))
}

// T30: what a refresh brings after a disconnect is ended at the server.
func (b *bank) disconnectDuringRefresh() {
	b.t.Helper()
	b.lateRefresh(func(c vault.Connected) {
		if _, err := b.vaults[0].Disconnect(ctx, b.caller("anna"), c.ID); err != nil {
			b.t.Error(err)
		}
	}, false)
	if all, err := b.vaults[0].Accounts(ctx, b.caller("anna")); err != nil || len(all) != 0 {
		b.t.Errorf("accounts %+v, %v", all, err)
	}
}

// A person who connects again during a refresh wins, and the server does not
// take the end of the late tokens for the end of the new ones.
func (b *bank) connectDuringRefresh() {
	b.t.Helper()
	b.lateRefresh(func(vault.Connected) { b.connect("anna") }, true)
}

// lostAnswer loses the answer to a refresh that the server carried out: the
// grant is in doubt, is tried once more, and is then known to be over. Nobody
// is told so before.
func (b *bank) lostAnswer() {
	b.t.Helper()
	b.connect("anna")
	b.mustRead("anna")
	b.api.refuseAll()
	b.tap.refreshed = func() error { return errors.New("the line broke") }
	var f *vault.Fault
	if _, err := b.read(b.vaults[0], b.caller("anna")); !errors.As(err, &f) || f.Kind != vault.Upstream {
		b.t.Errorf("read while the answer is lost: %v", err)
	}
	if all, _ := b.vaults[0].Accounts(ctx, b.caller("anna")); len(all) != 1 || all[0].State != "in_doubt" {
		b.t.Errorf("accounts after a lost answer: %+v", all)
	}
	b.tap.refreshed = nil
	time.Sleep(2100 * time.Millisecond) // the vault leaves a failed grant alone for two seconds
	var dead *vault.NotConnectedError
	for range 3 {
		if _, err := b.read(b.vaults[0], b.caller("anna")); !errors.As(err, &dead) || !dead.Dead {
			b.t.Errorf("read after the answer was lost: %v", err)
		}
	}
	if n := len(b.tap.asked("refresh_token")); n != 2 {
		b.t.Errorf("%d refreshes, want the lost one and one more", n)
	}
	b.connect("anna")
	b.mustRead("anna")
}

// deadToken checks that the server does not vouch for an access token.
func (b *bank) deadToken(access string) {
	b.t.Helper()
	at := metadata(b.t, b.server.issuer)["introspection_endpoint"].(string)
	var got token
	if err := json.Unmarshal(introspect(b.t, at, b.server, access), &got); err != nil || got.Active {
		b.t.Errorf("an access token lives on: %+v, %v", got, err)
	}
}

// deadRefresh checks that the server gives nothing for a refresh token.
func (b *bank) deadRefresh(refresh string) {
	b.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
	if status, body := b.post("token_endpoint", form); status != http.StatusBadRequest || field(b.t, body, "error") != "invalid_grant" {
		b.t.Errorf("a refresh token lives on: HTTP %d %s", status, body)
	}
}

// nothingWorks checks that the server takes no token it ever gave.
func (b *bank) nothingWorks(refreshes []sent) {
	b.t.Helper()
	for access := range b.api.seen {
		b.deadToken(access)
	}
	for _, s := range refreshes {
		b.deadRefresh(s.form.Get("refresh_token"))
		b.deadRefresh(field(b.t, s.answer, "refresh_token"))
	}
}

// weather is two storms: one on tokens that have expired, one on tokens that
// the API refuses before their time. Each grant is refreshed once in each.
func (b *bank) weather() {
	b.t.Helper()
	users := []string{"anna", "bo", "cleo", "dov"}
	for _, u := range users {
		b.connect(u)
	}
	expire()
	b.storm(users, 50)
	b.refreshes(4)
	b.api.refuseAll()
	b.storm(users, 50)
	b.refreshes(8)
	for _, u := range users {
		b.mustRead(u)
	}
	b.refreshes(8)
}

// field reads a string of a JSON answer.
func field(t *testing.T, answer []byte, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(answer, &m); err != nil {
		t.Fatal(err)
	}
	s, _ := m[name].(string)
	return s
}
