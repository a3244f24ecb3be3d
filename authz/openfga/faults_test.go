package openfga_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/authz/openfga"
	"deputy/authz/openfga/openfgafake"
)

const key = "key-Zq7-of-a-store"

// question asks in its own way, and says whether anything came of it.
type question func(context.Context) (bool, error)

func questions(c *openfga.Client) map[string]question {
	q := fga.Query{User: "user:a", Relation: "viewer", Object: "doc:1"}
	return map[string]question{
		"Check": func(ctx context.Context) (bool, error) { return c.Check(ctx, q) },
		"BatchCheck": func(ctx context.Context) (any bool, err error) {
			qs := make([]fga.Query, 120)
			for i := range qs {
				qs[i] = q
			}
			for _, a := range c.BatchCheck(ctx, qs) {
				any, err = any || a.Allowed, errors.Join(err, a.Err)
			}
			return any, err
		},
		"ListObjects": func(ctx context.Context) (bool, error) {
			got, err := c.ListObjects(ctx, fga.Query{User: "user:a", Relation: "viewer", Object: "doc"}, 0)
			return len(got) > 0, err
		},
		"ListUsers": func(ctx context.Context) (bool, error) {
			got, err := c.ListUsers(ctx, q, fga.UserFilter{Type: "user"})
			return len(got) > 0, err
		},
		"Expand": func(ctx context.Context) (bool, error) {
			got, err := c.Expand(ctx, q)
			return got != nil, err
		},
		"Read": func(ctx context.Context) (bool, error) {
			got, err := c.Read(ctx, fga.Tuple{}, nil, 0)
			return len(got) > 0, err
		},
		"ReadChanges": func(ctx context.Context) (bool, error) {
			got, next, err := c.ReadChanges(ctx, "", 0, 0)
			return len(got)+int(next) > 0, err
		},
		"Models": func(ctx context.Context) (bool, error) {
			got, err := c.Models(ctx)
			return len(got) > 0 && err == nil, err
		},
		"Follow": func(ctx context.Context) (bool, error) { return c.Follow(ctx) },
	}
}

// broken is a server that can be, and a client that does not wait long for it
// if it will be slow.
func broken(t *testing.T, fault openfgafake.Fault) (*openfgafake.Server, *openfga.Client) {
	t.Helper()
	patience := 30 * time.Second
	if fault == openfgafake.Slow {
		patience = time.Second
	}
	s := served(t)
	s.Token = key
	c := openedWith(t, s, fgatest.SuiteModel, openfga.Config{Timeout: patience})
	if err := c.Write(ctx, fga.Write{Writes: fgatest.Lines("user:a viewer doc:1")}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// each runs every question at once, with a server of its own.
func each(t *testing.T, fault openfgafake.Fault, run func(s *openfgafake.Server, name string, ask question)) {
	var all sync.WaitGroup
	for name := range questions(nil) {
		s, client := broken(t, fault)
		all.Go(func() { run(s, name, questions(client)[name]) })
	}
	all.Wait()
}

// TestABrokenServerDenies: whatever the server does wrong, no question is
// answered with yes, and the error says what to do and not the token.
func TestABrokenServerDenies(t *testing.T) {
	for fault, c := range map[openfgafake.Fault]struct {
		says     string
		attempts int
		batch    bool // a lie that only a batch can tell
	}{
		openfgafake.Down:        {"see that it runs", 3, false},
		openfgafake.Slow:        {"did not answer within 1s: look at its load", 1, false},
		openfgafake.Refusing:    {"too much to do (429): try later", 3, false},
		openfgafake.Unavailable: {"is not ready (503): see that it runs", 3, false},
		openfgafake.Failing:     {"failed (500 internal_error): see its log", 1, false},
		openfgafake.Forbidden:   {"does not let deputy in (403): set authz.openfga.token", 1, false},
		openfgafake.Cut:         {"cannot be reached", 3, false},
		openfgafake.NoJSON:      {"see that authz.openfga.url leads to an OpenFGA server", 1, false},
		openfgafake.OtherJSON:   {"see that authz.openfga.url leads to an OpenFGA server", 1, false},
		openfgafake.Huge:        {"larger than 4 MiB", 1, false},
		openfgafake.Redirect:    {"answers with a redirect (307), which is not followed", 1, false},
		openfgafake.Missing:     {"answers 49 of 50 questions", 0, true},
		openfgafake.Doubled:     {"is no BatchCheckResponse", 0, true},
		openfgafake.Foreign:     {"but another, which was not asked", 0, true},
		openfgafake.Empty:       {"neither yes nor no", 0, true},
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			each(t, fault, func(s *openfgafake.Server, name string, ask question) {
				if c.batch && name != "BatchCheck" {
					return
				}
				if ok, err := ask(ctx); err != nil || !ok && name != "Follow" {
					t.Errorf("%s, before: %v, %v", name, ok, err)
				}
				s.Break(fault, -1, nil)
				before := len(s.Asked())
				ok, err := ask(ctx)
				attempts := len(s.Asked()) - before
				if ok || err == nil || fga.KindOf(err) != fga.Internal {
					t.Errorf("%s: %v, %v", name, ok, err)
					return
				}
				last := strings.Replace(c.says, "49 of 50", "19 of 20", 1) // of three requests of a batch
				if text := err.Error(); strings.Contains(text, key) || !strings.Contains(text, c.says) && !strings.Contains(text, last) {
					t.Errorf("%s: %v", name, err)
				}
				if c.attempts == 3 && (name == "ReadChanges" || name == "Models" || name == "Follow") {
					attempts = min(attempts, 3) // a GET on a connection that had ended is sent again by net/http itself
				}
				if name != "BatchCheck" && attempts != c.attempts {
					t.Errorf("%s: %d attempts, want %d", name, attempts, c.attempts)
				}
			})
		})
	}
}

// TestAQuestionIsRepeated: what passes is waited for, twice.
func TestAQuestionIsRepeated(t *testing.T) {
	for _, fault := range []openfgafake.Fault{openfgafake.Down, openfgafake.Refusing, openfgafake.Unavailable, openfgafake.Cut} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			each(t, fault, func(s *openfgafake.Server, name string, ask question) {
				s.Break(fault, 2, nil)
				if ok, err := ask(ctx); err != nil || !ok && name != "Follow" {
					t.Errorf("%s: %v, %v", name, ok, err)
				}
			})
		})
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	t.Parallel()
	s, client := broken(t, openfgafake.Refusing)
	ask := questions(client)["Check"]
	s.Break(openfgafake.Refusing, 1, http.Header{"Retry-After": {"1"}})
	start := time.Now()
	if ok, err := ask(ctx); !ok || err != nil || time.Since(start) < time.Second {
		t.Errorf("asked again after %v: %v, %v", time.Since(start), ok, err)
	}
	s.Break(openfgafake.Refusing, 1, http.Header{"Retry-After": {"3000"}})
	start = time.Now()
	if ok, err := ask(ctx); !ok || err != nil || time.Since(start) > 4*time.Second {
		t.Errorf("asked again after %v: %v, %v", time.Since(start), ok, err)
	}
	// Who has no time left is told at once.
	short, cancel := context.WithTimeout(ctx, 900*time.Millisecond)
	defer cancel()
	s.Break(openfgafake.Refusing, 1, http.Header{"Retry-After": {"1"}})
	start = time.Now()
	if ok, err := ask(short); ok || err == nil || time.Since(start) > 500*time.Millisecond {
		t.Errorf("told after %v: %v, %v", time.Since(start), ok, err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if ok, err := ask(gone); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v, %v", ok, err)
	}
}

// TestAWriteIsSentOnce, and its error says what is known of it.
func TestAWriteIsSentOnce(t *testing.T) {
	const unknown = "it may have been written: look with authz list"
	for fault, known := range map[openfgafake.Fault]bool{
		openfgafake.Down: false, openfgafake.Slow: false, openfgafake.Refusing: true, openfgafake.Unavailable: false, openfgafake.Failing: false,
		openfgafake.Forbidden: true, openfgafake.Cut: false, openfgafake.NoJSON: false, openfgafake.Redirect: false, openfgafake.Huge: false,
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			s, client := broken(t, fault)
			s.Break(fault, 1, nil)
			before := len(s.Asked())
			err := client.Write(ctx, fga.Write{Writes: fgatest.Lines("user:b viewer doc:1")})
			if n := len(s.Asked()) - before; n != 1 {
				t.Errorf("sent %d times", n)
			}
			if err == nil || strings.Contains(err.Error(), unknown) == known || strings.Contains(err.Error(), key) {
				t.Error(err)
			}
			there, readErr := client.Read(ctx, fga.Tuple{User: "user:b"}, nil, 0)
			done := fault == openfgafake.Cut || fault == openfgafake.Huge
			if readErr != nil || (len(there) == 1) != done {
				t.Errorf("written: %v, %v", there, readErr)
			}
		})
	}
	s := served(t)
	hc := &http.Client{Transport: &http.Transport{}}
	client := openedWith(t, s, fgatest.SuiteModel, openfga.Config{HTTP: hc})
	s.Close()
	hc.CloseIdleConnections()
	if err := client.Write(ctx, fga.Write{Writes: fgatest.Lines("user:b viewer doc:1")}); err == nil || strings.Contains(err.Error(), unknown) || !strings.Contains(err.Error(), "see that it runs") {
		t.Errorf("nobody was reached: %v", err)
	}
	if err := client.Write(ctx, fga.Write{}); err == nil {
		t.Error("nothing to write")
	}
}

// TestTheTokenIsNotShown by what prints a Config or a Client.
func TestTheTokenIsNotShown(t *testing.T) {
	s, client := broken(t, openfgafake.Forbidden)
	c := openfga.Config{URL: s.URL, Store: "deputy", Token: key}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%v %+v", client, client), fmt.Sprintf("%+v", &c)} {
		if strings.Contains(text, key) {
			t.Error(text)
		}
	}
	c.Token = "wrong-" + key
	if _, err := openfga.Open(ctx, c); err == nil || strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "does not let deputy in (401)") {
		t.Error(err)
	}
}
