package vault

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/store"
)

// far is a provider in this process: time is the test's, so no network.
type far struct {
	asked  atomic.Int32 // token requests
	answer func(n int32, r *http.Request) (status int, header http.Header, body string)
}

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	status, header, body := 200, http.Header{}, "{}"
	if strings.HasSuffix(r.URL.Path, "/token") {
		if status, header, body = f.answer(f.asked.Add(1), r); status == 0 {
			<-r.Context().Done() // never
			return nil, r.Context().Err()
		}
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

const newTokens = `{"access_token":"new","refresh_token":"next","expires_in":3600,"scope":"read"}`

// T33: what a token endpoint may answer, what it means for the grant, and that
// nothing is asked twice blindly.
func TestWhatATokenEndpointMaySay(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		state  string
		kind   Kind // of the failure; "" is that a person has to connect again
	}{
		"definitive":            {400, nil, `{"error":"invalid_grant"}`, reconnect, ""},
		"never":                 {0, nil, "", inDoubt, Upstream},
		"500":                   {500, nil, `oops`, inDoubt, Upstream},
		"500 with a code":       {500, nil, `{"error":"invalid_grant"}`, inDoubt, Upstream},
		"502 page":              {502, nil, `<html>`, inDoubt, Upstream},
		"429":                   {429, http.Header{"Retry-After": {"30"}}, `{}`, active, RateLimited},
		"503 with a time":       {503, http.Header{"Retry-After": {"7"}}, ``, active, RateLimited},
		"200 with an error":     {200, nil, `{"error":"server_error"}`, active, Upstream},
		"200 and no token":      {200, nil, `{}`, active, Upstream},
		"HTML":                  {200, nil, `<html>`, active, Upstream},
		"cut off":               {200, nil, `{"access_token":"new","refr`, inDoubt, Upstream},
		"a redirect":            {302, http.Header{"Location": {"https://evil.example/"}}, ``, active, Upstream},
		"the client is refused": {401, nil, `{"error":"invalid_client"}`, active, Upstream},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &far{answer: func(int32, *http.Request) (int, http.Header, string) { return c.status, c.header, c.body }}
			v, l := settle(t, Config{Store: store.NewMemory(), Transport: f}, time.Minute)
			time.Sleep(2 * time.Minute) // the token is over
			_, err := l.Read(t.Context(), "/thing")
			var fault *Fault
			var missing *NotConnectedError
			switch {
			case c.kind == "" && (!errors.As(err, &missing) || !missing.Dead):
				t.Errorf("%s: %v, want a connection that ended", name, err)
			case c.kind != "" && (!errors.As(err, &fault) || fault.Kind != c.kind):
				t.Errorf("%s: %v, want %s", name, err, c.kind)
			}
			if got, _ := v.load("anna", "p/anna"); got.State != c.state {
				t.Errorf("%s: the grant is %s, want %s", name, got.State, c.state)
			}
			if n := f.asked.Load(); n != 1 {
				t.Errorf("%s: asked %d times", name, n)
			}
			if strings.Contains(err.Error(), "aaaa") {
				t.Errorf("%s: the token is in %v", name, err)
			}
			// When it is well again, so is a grant that did not end.
			f.answer = func(int32, *http.Request) (int, http.Header, string) { return 200, nil, newTokens }
			time.Sleep(time.Minute)
			if _, err := l.Read(t.Context(), "/thing"); (err == nil) != (c.state != reconnect) {
				t.Errorf("%s: afterwards: %v", name, err)
			}
		})
	}
}

// While a token works, a token endpoint that does not is nobody's trouble, and
// it is left alone between tries.
func TestATokenIsUsedWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{answer: func(int32, *http.Request) (int, http.Header, string) { return 503, nil, "" }}
		_, l := settle(t, Config{Store: store.NewMemory(), Transport: f}, time.Hour)
		time.Sleep(55 * time.Minute) // due, and still good
		for range 100 {
			if _, err := l.Read(t.Context(), "/thing"); err != nil {
				t.Fatal(err)
			}
		}
		if n := f.asked.Load(); n != 1 {
			t.Errorf("asked %d times in an instant", n)
		}
	})
}

// However many find a token over at once, a refresh that fails is tried once.
func TestManyCallersFailOnce(t *testing.T) { // T33
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			f := &far{answer: func(int32, *http.Request) (int, http.Header, string) { return 500, nil, "" }}
			_, l := settle(t, Config{Store: store.NewMemory(), Transport: f}, time.Minute)
			time.Sleep(2 * time.Minute)
			for range 50 {
				go l.Read(t.Context(), "/thing")
			}
			synctest.Wait()
			if n := f.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// T35: without a place to keep new tokens none are asked for; those that work
// go on working.
func TestNoRefreshOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{answer: func(int32, *http.Request) (int, http.Header, string) { return 200, nil, newTokens }}
		disk := &full{Store: store.NewMemory()}
		_, l := settle(t, Config{Store: disk, Transport: f}, time.Hour)
		disk.is.Store(true)
		time.Sleep(55 * time.Minute)
		if _, err := l.Read(t.Context(), "/thing"); err != nil {
			t.Errorf("a token that works: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if _, err := l.Read(t.Context(), "/thing"); err == nil || !strings.Contains(err.Error(), "the store cannot be written") {
			t.Errorf("a token that is over: %v", err)
		}
		if n := f.asked.Load(); n != 0 {
			t.Errorf("%d refreshes with nowhere to keep them", n)
		}
		disk.is.Store(false)
		time.Sleep(time.Minute)
		if _, err := l.Read(t.Context(), "/thing"); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
}

type full struct {
	store.Store
	is atomic.Bool
}

func (f *full) Update(fn func(store.Tx) error) error {
	if f.is.Load() {
		return errors.New("no space left on device")
	}
	return f.Store.Update(fn)
}

// T36: how old a lease is, each process measures for itself. One that says it
// is an hour old, or from tomorrow, because a clock jumped, is not taken over
// before it was seen for half a minute; then it is, and the grant is in doubt.
func TestAClockThatJumpsStealsNoLease(t *testing.T) {
	for name, since := range map[string]time.Duration{"an hour old": -time.Hour, "from tomorrow": 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f := &far{answer: func(int32, *http.Request) (int, http.Header, string) { return 200, nil, newTokens }}
			v, l := settle(t, Config{Store: store.NewMemory(), Shared: true, Transport: f}, time.Minute)
			var id string
			err := v.c.Store.Update(func(tx store.Tx) error {
				c, err := v.rows.Get(tx, "anna", "p/anna")
				if err != nil {
					return err
				}
				c = c.clone()
				c.Grants[0].Work = &work{"another process", time.Now().Add(since)}
				id = c.Grants[0].ID
				return v.put(tx, c)
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			began := time.Now()
			go l.Read(context.Background(), "/thing")
			time.Sleep(leaseLimit - time.Second)
			if f.asked.Load() != 0 {
				t.Errorf("%s: taken over after %v", name, time.Since(began))
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if n := f.asked.Load(); n != 1 {
				t.Errorf("%s: %d refreshes once it was dead", name, n)
			}
			now, err := v.open("anna", "p/anna", id)
			if err != nil || now.grant.State != active || now.grant.Gen != 2 {
				t.Errorf("%s: %+v, %v", name, now.grant, err)
			}
		})
	}
}

// T32: a refusal does not end a grant while somebody else is refreshing it:
// they may have used the token up a moment ago, and not kept the next one yet.
func TestARefusalWaitsForWhoeverIsRefreshing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := settle(t, Config{Store: store.NewMemory(), Shared: true, Transport: &far{}}, time.Minute)
		c, err := v.load("anna", "p/anna")
		if err != nil {
			t.Fatal(err)
		}
		was := c.Grants[0]
		hold := func(w *work) {
			err := v.c.Store.Update(func(tx store.Tx) error {
				c, err := v.rows.Get(tx, "anna", "p/anna")
				if err != nil {
					return err
				}
				c = c.clone()
				c.Grants[0].Work = w
				return v.put(tx, c)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		hold(&work{"the winner", time.Now()})
		v.bury("the loser", &c, &was, "invalid_grant")
		if got, _ := v.load("anna", "p/anna"); got.State != active {
			t.Errorf("the loser ended the winner's grant: %s", got.State)
		}
		hold(nil)
		v.bury("the loser", &c, &was, "invalid_grant")
		if got, _ := v.load("anna", "p/anna"); got.State != reconnect {
			t.Errorf("with nobody at it: %s", got.State)
		}
	})
}

// T30: what comes of a refresh that a person did not wait for is thrown away,
// and ended at the provider.
func TestDisconnectDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := ""
		f := &far{}
		f.answer = func(_ int32, r *http.Request) (int, http.Header, string) {
			time.Sleep(5 * time.Second)
			return 200, nil, newTokens
		}
		v, l := settle(t, Config{Store: store.NewMemory(), Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/revoke" {
				body, _ := io.ReadAll(r.Body)
				revoked += string(body) + "\n"
			}
			return f.RoundTrip(r)
		})}, time.Minute)
		v.routes["p"].OAuth.RevokeURL = "https://p.example/revoke"
		time.Sleep(2 * time.Minute)
		done := make(chan error)
		go func() { _, err := l.Read(t.Context(), "/thing"); done <- err }()
		time.Sleep(time.Second)
		if _, err := v.Disconnect(t.Context(), l.caller, "p/anna"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, ErrNoAccount) {
			t.Errorf("the read: %v", err)
		}
		if !strings.Contains(revoked, "token=next") {
			t.Errorf("the new token lives on: %s", revoked)
		}
		if _, err := v.load("anna", "p/anna"); !errors.Is(err, ErrNoAccount) {
			t.Errorf("it is back: %v", err)
		}
	})
}

// A refresh that ends while the revocation is out leaves tokens behind that are
// good: they are revoked too, and the account is gone.
func TestARefreshEndsDuringADisconnect(t *testing.T) { // T30
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ended []string
		f := &far{answer: func(int32, *http.Request) (int, http.Header, string) {
			time.Sleep(2 * time.Second)
			return 200, nil, newTokens
		}}
		v, l := settle(t, Config{Store: store.NewMemory(), Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/revoke" {
				body, _ := io.ReadAll(r.Body)
				time.Sleep(3 * time.Second) // longer than the refresh takes
				mu.Lock()
				ended = append(ended, string(body))
				mu.Unlock()
			}
			return f.RoundTrip(r)
		})}, time.Minute)
		v.routes["p"].OAuth.RevokeURL = "https://p.example/revoke"
		time.Sleep(2 * time.Minute)
		go l.Read(t.Context(), "/thing")
		time.Sleep(time.Second)
		report, err := v.Disconnect(t.Context(), l.caller, "p/anna")
		if err != nil || !report.Revoked {
			t.Errorf("%+v, %v", report, err)
		}
		synctest.Wait()
		if len(ended) != 2 || !strings.Contains(ended[1], "token=next") {
			t.Errorf("revoked: %d, the last %.80q", len(ended), ended[len(ended)-1])
		}
		if _, err := v.load("anna", "p/anna"); !errors.Is(err, ErrNoAccount) {
			t.Errorf("it is still there: %v", err)
		}
	})
}

// A process that was slow, and whose lease another took over and was refused
// with, still has the tokens that are good: they are kept.
func TestTheSlowOnesTokensAreKept(t *testing.T) { // T32
	synctest.Test(t, func(t *testing.T) {
		shared := store.NewMemory()
		f := &far{}
		v, l := settle(t, Config{Store: shared, Shared: true, Transport: f}, time.Minute)
		f.answer = func(int32, *http.Request) (int, http.Header, string) {
			// While the answer is under way, somebody takes the lease and is refused.
			c, err := v.load("anna", "p/anna")
			if err != nil {
				t.Error(err)
			}
			was := c.Grants[0]
			err = v.change("anna", "p/anna", was.ID, func(_ *connection, g *grant) string {
				g.Work = &work{"the other", time.Now()}
				return " "
			}, "")
			if err != nil || !v.bury("the other", &c, &was, "invalid_grant") {
				t.Errorf("the other did not get that far: %v", err)
			}
			return 200, nil, newTokens
		}
		time.Sleep(2 * time.Minute)
		if _, err := l.Read(t.Context(), "/thing"); err != nil {
			t.Errorf("the slow one's read: %v", err)
		}
		got, err := v.load("anna", "p/anna")
		if err != nil || got.State != active || got.Grants[0].Gen != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// The provider has answered and the store does not take it, for minutes: the
// answer waits in memory, and the used refresh token is not sent again.
func TestAnAnswerWaitsForRoom(t *testing.T) { // T35
	synctest.Test(t, func(t *testing.T) {
		disk := &full{Store: store.NewMemory()}
		f := &far{answer: func(int32, *http.Request) (int, http.Header, string) {
			disk.is.Store(true) // full from the moment on when it matters
			return 200, nil, newTokens
		}}
		v, l := settle(t, Config{Store: disk, Transport: f}, time.Minute)
		time.Sleep(2 * time.Minute)
		if _, err := l.Read(t.Context(), "/thing"); err == nil {
			t.Error("read although the tokens are nowhere")
		}
		time.Sleep(10 * time.Minute)
		disk.is.Store(false)
		if _, err := l.Read(t.Context(), "/thing"); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if n := f.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		if got, _ := v.load("anna", "p/anna"); got.State != active {
			t.Errorf("the grant is %s", got.State)
		}
	})
}
