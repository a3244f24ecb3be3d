package approvals_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

var ctx = context.Background()

// clear is a Sealer that hides nothing; sealing has its own tests.
type clear struct{}

func (clear) Seal(_, p []byte) ([]byte, error) { return p, nil }
func (clear) Open(_, c []byte) ([]byte, error) { return c, nil }

type desk struct {
	*approvals.Ledger
	store store.Store
	door  *authz.Door
	gone  atomic.Bool
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{store: store.NewMemory()}
	d.door = authz.NewDoor(func(context.Context, authz.Principal) error {
		if d.gone.Load() {
			return authz.ErrNobody
		}
		return nil
	})
	d.reopen(t)
	return d
}

func (d *desk) reopen(t *testing.T) {
	t.Helper()
	d.reopenWith(t, approvals.PresenceStepUp, nil)
}

func (d *desk) reopenWith(t *testing.T, p approvals.Presence, strong func(authz.Caller) bool) {
	t.Helper()
	l, err := approvals.Open(approvals.Config{
		Store: d.store, Sealer: clear{}, Audit: &audit.Log{}, Door: d.door, Channels: []string{"page", "client"}, Max: 5,
		Presence: p, Strong: strong,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Ledger = l
}

func (d *desk) caller(t *testing.T, user, agent string) authz.Caller {
	t.Helper()
	c, err := d.door.Caller(ctx, authz.Principal{User: user, Agent: agent, Session: "s", AuthTime: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (d *desk) mail(t *testing.T, text string) approvals.Action {
	return approvals.Action{
		Caller: d.caller(t, "anna", "claude"), Provider: "google", Account: "google/anna", Tool: "gmail_send_message",
		Request: approvals.Request{Method: "POST", Path: "/send", ContentType: "application/json", Body: []byte(text)}, PolicyVersion: "1",
		Title: "Send a mail", Preview: approvals.Preview{Body: text}, Need: approvals.ByPerson,
	}
}

func (d *desk) ask(t *testing.T, a approvals.Action) approvals.Item {
	t.Helper()
	i, err := d.Ask(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (d *desk) decide(t *testing.T, id string, yes bool) {
	t.Helper()
	if _, err := d.Decide(ctx, id, d.caller(t, "anna", "browser"), approvals.Decision{Approve: yes, Channel: "page", Reason: "because"}); err != nil {
		t.Fatal(err)
	}
}

func (d *desk) state(t *testing.T, id string) approvals.State {
	t.Helper()
	i, err := d.Get(ctx, d.caller(t, "anna", "claude"), id)
	if err != nil {
		t.Fatal(err)
	}
	return i.State
}

func TestAYesIsSpentOnceForExactlyTheseBytes(t *testing.T) {
	d := newDesk(t)
	a := d.mail(t, "at ten")
	i := d.ask(t, a)
	if _, _, err := d.Redeem(ctx, i.ID); !errors.Is(err, approvals.ErrSpent) {
		t.Fatalf("a permit before the yes: %v", err)
	}
	d.decide(t, i.ID, true)
	permit, action, err := d.Redeem(ctx, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	other := action.Clone()
	other.Request.Body[0] ^= 1
	if err := permit.Spend(other); !errors.Is(err, approvals.ErrDigest) {
		t.Fatalf("other bytes: %v, want ErrDigest", err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			p, act, err := d.Redeem(ctx, i.ID)
			if err == nil {
				err = p.Spend(act)
			}
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, approvals.ErrSpent) {
				t.Errorf("Spend: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 spent it", won.Load())
	}
	if err := permit.Spend(action); !errors.Is(err, approvals.ErrSpent) {
		t.Errorf("after that: %v", err)
	}
}

func TestTheZeroPermitPermitsNothing(t *testing.T) {
	if err := (approvals.Permit{}).Spend(approvals.Action{}); !errors.Is(err, approvals.ErrSpent) {
		t.Errorf("Spend: %v", err)
	}
}

// TestEveryFieldIsBound flips each part of an approved action.
func TestEveryFieldIsBound(t *testing.T) {
	d := newDesk(t)
	base := d.mail(t, "hello")
	base.Key = "k"
	for name, change := range map[string]func(*approvals.Action){
		"user":         func(a *approvals.Action) { a.Caller = d.caller(t, "bo", "claude") },
		"agent":        func(a *approvals.Action) { a.Caller = d.caller(t, "anna", "cursor") },
		"provider":     func(a *approvals.Action) { a.Provider = "slack" },
		"account":      func(a *approvals.Action) { a.Account = "google/other" },
		"tool":         func(a *approvals.Action) { a.Tool = "gmail_reply" },
		"key":          func(a *approvals.Action) { a.Key = "l" },
		"method":       func(a *approvals.Action) { a.Request.Method = "PUT" },
		"path":         func(a *approvals.Action) { a.Request.Path = "/send2" },
		"content type": func(a *approvals.Action) { a.Request.ContentType = "text/plain" },
		"body":         func(a *approvals.Action) { a.Request.Body = []byte("hellp") },
		"policy":       func(a *approvals.Action) { a.PolicyVersion = "2" },
		"moved border": func(a *approvals.Action) { a.Account, a.Tool = a.Account+"g", a.Tool[1:] },
	} {
		changed := base.Clone()
		change(&changed)
		if changed.Digest() == base.Digest() {
			t.Errorf("%s is not bound", name)
		}
	}
	same := base.Clone()
	same.Title, same.Preview, same.Need = "x", approvals.Preview{}, approvals.ByRule
	if same.Digest() != base.Digest() {
		t.Error("the digest covers what is derived")
	}
}

func TestIdenticalQuestionsJoin(t *testing.T) {
	d := newDesk(t)
	a := d.mail(t, "at ten")
	first := d.ask(t, a)
	if again := d.ask(t, a); again.ID != first.ID {
		t.Error("the same question was asked twice")
	}
	if other := d.ask(t, d.mail(t, "at eleven")); other.ID == first.ID {
		t.Error("another question joined")
	}
	d.decide(t, first.ID, false)
	if again := d.ask(t, a); again.ID != first.ID || again.State != approvals.Denied {
		t.Errorf("a no was asked again at once: %+v", again)
	}
}

func TestADoneActionIsReplayedThenAskedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		keyed := d.mail(t, "keyed")
		keyed.Key = "k1"
		plain := d.mail(t, "plain")
		for _, a := range []approvals.Action{plain, keyed} {
			i := d.ask(t, a)
			d.decide(t, i.ID, true)
			p, act, err := d.Redeem(ctx, i.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(p.Spend(act), d.Finish(i.ID, []byte(`{"id":1}`), "", "")); err != nil {
				t.Fatal(err)
			}
			if again := d.ask(t, a); again.ID != i.ID || again.State != approvals.Done {
				t.Errorf("a lost reply is asked for again: %+v", again)
			}
		}
		time.Sleep(11 * time.Minute)
		if again := d.ask(t, plain); again.State != approvals.Pending {
			t.Errorf("later, the same mail is not a new question: %s", again.State)
		}
		if again := d.ask(t, keyed); again.State != approvals.Done {
			t.Errorf("with its key it is: %s", again.State)
		}
		other := d.mail(t, "something else")
		other.Key = "k1"
		if _, err := d.Ask(ctx, other); !errors.Is(err, approvals.ErrKeyUsed) {
			t.Errorf("a used key for other content: %v", err)
		}
	})
}

func TestANewerQuestionWithTheSameKeySupersedes(t *testing.T) {
	d := newDesk(t)
	a, b := d.mail(t, "at ten"), d.mail(t, "at eleven")
	a.Key, b.Key = "k", "k"
	first := d.ask(t, a)
	second := d.ask(t, b)
	if s := d.state(t, first.ID); s != approvals.Superseded {
		t.Errorf("the first is %s", s)
	}
	if s := d.state(t, second.ID); s != approvals.Pending {
		t.Errorf("the second is %s", s)
	}
}

func TestSilenceIsNo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		i := d.ask(t, d.mail(t, "x"))
		start := time.Now()
		got, err := d.Wait(ctx, d.caller(t, "anna", "claude"), i.ID)
		if err != nil || got.State != approvals.Expired {
			t.Fatalf("Wait: %s, %v", got.State, err)
		}
		if d := time.Since(start); d != 15*time.Minute {
			t.Errorf("it took %v", d)
		}
		_, err = d.Decide(ctx, i.ID, d.caller(t, "anna", "browser"), approvals.Decision{Approve: true, Channel: "page"})
		if !errors.Is(err, approvals.ErrDecided) {
			t.Errorf("a yes after the end: %v", err)
		}
	})
}

func TestWaitWakesAtTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		i := d.ask(t, d.mail(t, "x"))
		go func() { time.Sleep(time.Minute); d.decide(t, i.ID, false) }()
		start := time.Now()
		got, err := d.Wait(ctx, d.caller(t, "anna", "claude"), i.ID)
		if err != nil || got.State != approvals.Denied || time.Since(start) != time.Minute {
			t.Errorf("Wait: %s, %v after %v", got.State, err, time.Since(start))
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		j := d.ask(t, d.mail(t, "y"))
		if got, err := d.Wait(short, d.caller(t, "anna", "claude"), j.ID); err != nil || got.State != approvals.Pending {
			t.Errorf("a short wait: %s, %v", got.State, err)
		}
	})
}

func TestOnlyItsPersonDecidesOnceOnAKnownChannel(t *testing.T) { // T20, T23, T25
	d := newDesk(t)
	i := d.ask(t, d.mail(t, "x"))
	yes := approvals.Decision{Approve: true, Channel: "page"}
	if _, err := d.Decide(ctx, i.ID, d.caller(t, "bo", "browser"), yes); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("another person: %v", err)
	}
	if _, err := d.Get(ctx, d.caller(t, "bo", "claude"), i.ID); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("another person reads: %v", err)
	}
	if _, err := d.Decide(ctx, i.ID, authz.Caller{}, yes); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := d.Decide(ctx, "apr_guess", d.caller(t, "anna", "browser"), yes); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("a guessed id: %v", err)
	}
	if _, err := d.Decide(ctx, i.ID, d.caller(t, "anna", "cli"), approvals.Decision{Approve: true, Channel: "cli"}); !errors.Is(err, approvals.ErrChannel) {
		t.Errorf("a channel that is off: %v", err)
	}
	d.decide(t, i.ID, true)
	if _, err := d.Decide(ctx, i.ID, d.caller(t, "anna", "browser"), approvals.Decision{Channel: "page"}); !errors.Is(err, approvals.ErrDecided) {
		t.Errorf("a second decision: %v", err)
	}
	if _, _, err := d.Outcome(ctx, d.caller(t, "anna", "other-agent"), i.ID); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("another agent collects: %v", err)
	}
}

func TestStepUpTakesAFreshSignIn(t *testing.T) { // T44
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		a := d.mail(t, "x")
		a.Need = approvals.ByFreshPerson
		i := d.ask(t, a)
		signedIn := d.caller(t, "anna", "browser")
		if _, err := d.Decide(ctx, i.ID, signedIn, approvals.Decision{Approve: true, Channel: "client"}); !errors.Is(err, approvals.ErrStepUp) {
			t.Errorf("in the client: %v", err)
		}
		time.Sleep(6 * time.Minute)
		if _, err := d.Decide(ctx, i.ID, signedIn, approvals.Decision{Approve: true, Channel: "page"}); !errors.Is(err, approvals.ErrStepUp) {
			t.Errorf("with an old sign-in: %v", err)
		}
		d.decide(t, i.ID, true) // a fresh one
	})
}

// TestPresence: when a fresh proof is asked, and that a weak one is none.
func TestPresence(t *testing.T) { // T44
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		yes := func(i approvals.Item, channel string, age time.Duration, acr string) error {
			c, err := d.door.Caller(ctx, authz.Principal{User: "anna", Agent: "browser", AuthTime: time.Now().Add(-age), ACR: acr})
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Decide(ctx, i.ID, c, approvals.Decision{Approve: true, Channel: channel})
			return err
		}
		strong := func(c authz.Caller) bool { return c.ACR() == "passkey" }
		for n, c := range []struct {
			presence approvals.Presence
			need     approvals.Need
			channel  string
			age      time.Duration
			acr      string
			want     error
		}{
			{approvals.PresenceStepUp, approvals.ByPerson, "client", time.Hour, "code", nil},
			{approvals.PresenceStepUp, approvals.ByFreshPerson, "page", time.Minute, "passkey", nil},
			{approvals.PresenceStepUp, approvals.ByFreshPerson, "page", time.Minute, "code", approvals.ErrStepUp},
			{approvals.PresenceStepUp, approvals.ByFreshPerson, "page", 6 * time.Minute, "passkey", approvals.ErrStepUp},
			{approvals.PresenceStepUp, approvals.ByFreshPerson, "client", 0, "passkey", approvals.ErrStepUp},
			{approvals.PresenceNever, approvals.ByFreshPerson, "client", time.Hour, "code", nil},
			{approvals.PresenceAlways, approvals.ByPerson, "page", time.Hour, "passkey", approvals.ErrStepUp},
			{approvals.PresenceAlways, approvals.ByPerson, "client", 0, "passkey", approvals.ErrStepUp},
			{approvals.PresenceAlways, approvals.ByPerson, "page", 0, "passkey", nil},
		} {
			d.reopenWith(t, c.presence, strong)
			a := d.mail(t, fmt.Sprint("mail ", n))
			a.Need = c.need
			i := d.ask(t, a)
			if err := yes(i, c.channel, c.age, c.acr); !errors.Is(err, c.want) {
				t.Errorf("%d: %v, want %v", n, err, c.want)
			}
			if c.want != nil { // a no takes no proof
				if _, err := d.Decide(ctx, i.ID, d.caller(t, "anna", "browser"), approvals.Decision{Channel: c.channel}); err != nil {
					t.Errorf("%d: saying no: %v", n, err)
				}
			}
		}
	})
}

func TestARuleApprovesAtOnce(t *testing.T) {
	d := newDesk(t)
	a := d.mail(t, "draft")
	a.Need = approvals.ByRule
	if i := d.ask(t, a); i.State != approvals.Approved || i.By != "rule" {
		t.Errorf("%+v", i)
	}
}

func TestCrashAfterSpendIsVisibleAndResolvable(t *testing.T) {
	d := newDesk(t)
	a := d.mail(t, "x")
	i := d.ask(t, a)
	d.decide(t, i.ID, true)
	p, act, err := d.Redeem(ctx, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Spend(act); err != nil {
		t.Fatal(err)
	}
	d.reopen(t) // the process died before it heard back
	got, err := d.Get(ctx, act.Caller, i.ID)
	if err != nil || got.State != approvals.Failed || got.Failure != approvals.UnknownOutcome {
		t.Fatalf("after the crash: %+v, %v", got, err)
	}
	if again := d.ask(t, a); again.ID == i.ID || again.State != approvals.Pending {
		t.Errorf("it cannot be asked again: %+v", again)
	}
}

func TestAnApprovedRequestSurvivesARestartButNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		i, j := d.ask(t, d.mail(t, "x")), d.ask(t, d.mail(t, "y"))
		d.decide(t, i.ID, true)
		resumed := func() string {
			d.reopen(t)
			ids := make(chan string, 9)
			d.OnApproved(func(id string) { ids <- id })
			if err := d.Resume(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			close(ids)
			var all []string
			for id := range ids {
				if _, _, err := d.Redeem(ctx, id); err == nil {
					all = append(all, id)
				}
			}
			return strings.Join(all, " ")
		}
		if got := resumed(); got != i.ID {
			t.Errorf("resumed %q, want %q, not %q", got, i.ID, j.ID)
		}
		time.Sleep(time.Hour)
		if got := resumed(); got != "" {
			t.Errorf("an hour later %q is still sent", got)
		}
	})
}

func TestAPersonWhoIsGoneDoesNotSend(t *testing.T) { // T24
	d := newDesk(t)
	i := d.ask(t, d.mail(t, "x"))
	d.decide(t, i.ID, true)
	d.gone.Store(true)
	if _, _, err := d.Redeem(ctx, i.ID); !errors.Is(err, authz.ErrNobody) {
		t.Errorf("Redeem: %v", err)
	}
}

func TestRevokeEndsWhatIsOpen(t *testing.T) {
	d := newDesk(t)
	i, j := d.ask(t, d.mail(t, "x")), d.ask(t, d.mail(t, "y"))
	d.decide(t, i.ID, true)
	err := d.Revoke(ctx, "the account was disconnected", func(i approvals.Item) bool { return i.Account == "google/anna" })
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{i.ID, j.ID} {
		if s := d.state(t, id); s != approvals.Revoked {
			t.Errorf("%s is %s", id, s)
		}
	}
	if _, _, err := d.Redeem(ctx, i.ID); !errors.Is(err, approvals.ErrSpent) {
		t.Errorf("Redeem: %v", err)
	}
}

func TestAPersonIsNotBuried(t *testing.T) {
	d := newDesk(t)
	for n := range 5 {
		d.ask(t, d.mail(t, fmt.Sprint(n)))
	}
	if _, err := d.Ask(ctx, d.mail(t, "one more")); !errors.Is(err, approvals.ErrTooMany) {
		t.Errorf("Ask: %v", err)
	}
}

func TestSweepForgetsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		i := d.ask(t, d.mail(t, "very private text"))
		d.decide(t, i.ID, false)
		time.Sleep(25 * time.Hour)
		if err := d.Sweep(); err != nil {
			t.Fatal(err)
		}
		d.store.View(func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(k, v []byte) error {
				if !strings.HasPrefix(string(k), "audit/") && strings.Contains(string(k)+string(v), i.ID) {
					t.Errorf("left over: %q", k)
				}
				return nil
			})
		})
	})
}

func TestRevealShowsWhatIsHidden(t *testing.T) { // T26
	for in, want := range map[string]string{
		"plain\ttext\n":      "plain\ttext\n",
		"pay \u202Eevil":     "pay ‹U+202E›evil",
		"zero\u200Bwidth":    "zero‹U+200B›width",
		"tag\U000E0041":      "tag‹U+E0041›",
		"line\r\nend":        "line\nend",
		"lone\rreturn":       "lone‹U+000D›return",
		"bad \xff byte":      "bad ‹0xff› byte",
		"한국어 and 😀":          "한국어 and 😀",
		"nul\x00":            "nul‹U+0000›",
		"\u3164filler\u2800": "‹U+3164›filler‹U+2800›",
	} {
		if got, _ := approvals.Reveal(in); got != want {
			t.Errorf("Reveal(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzReveal(f *testing.F) {
	f.Add("a\u202eb\x00")
	f.Fuzz(func(t *testing.T, s string) {
		out, _ := approvals.Reveal(s)
		for _, r := range out {
			if authz.Invisible(r) {
				t.Fatalf("%q still hides %U", out, r)
			}
		}
	})
}

// Whoever waits for a question hears at once that another took its place.
func TestASupersededQuestionWakesItsWaiter(t *testing.T) {
	d := newDesk(t)
	first := d.mail(t, "at ten")
	first.Key = "k"
	asked := d.ask(t, first)
	woken := make(chan approvals.Item, 1)
	go func() {
		i, _ := d.Wait(ctx, first.Caller, asked.ID)
		woken <- i
	}()
	time.Sleep(20 * time.Millisecond)
	second := d.mail(t, "at eleven")
	second.Key = "k"
	d.ask(t, second)
	select {
	case i := <-woken:
		if i.State != approvals.Superseded {
			t.Errorf("%s", i.State)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits on")
	}
}
