package toolstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/tools"

	"github.com/rogpeppe/go-internal/testscript"
)

// Stories runs every story in dir, each in a world of its own with anna's
// account connected. The verbs:
//
//	as USER [AGENT]        who calls from here on
//	call TOOL [NAME=VALUE] a value that is JSON is taken as such, else as a string
//	answered TEXT…         the last call answered, and its JSON holds each text
//	shown N                … with so many items
//	pending [TEXT…]        the last call waits for a person; its preview holds each text
//	approve | deny [WHY]   a person decides the last pending call; approve waits for the end
//	refused KIND [TEXT]    the last call was refused
//	unconnected [SCOPE…]   the last call needs a connection with these scopes
//	status STATUS          the last call ended so: denied, expired, failed
//	label INTEGRITY/CONFIDENTIALITY
//	sent TEXT…             some write that really happened holds all texts
//	writes N               so many writes have really happened
//	rule USER RELATION OBJECT | unrule …
//	fault STATUS           the provider answers the next request so
//	expire | revoke        access tokens are over | the user removed the app
//
// A leading ! negates answered, pending and sent.
func Stories(t *testing.T, dir string, p tools.Provider, fake func(t testing.TB) Fake) {
	commands := map[string]func(*testscript.TestScript, bool, []string){}
	for name, verb := range verbs {
		commands[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			s := ts.Value(sceneKey{}).(*scene)
			if err := verb(s, neg, args); err != nil {
				ts.Fatalf("%v\nlast outcome: %s", err, s.describe())
			}
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		Cmds:                commands,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			w := New(tb, p, fake(tb))
			s := &scene{World: w, caller: w.Caller("anna", "claude")}
			env.Values[sceneKey{}] = s
			env.Defer(func() {
				if leaks := w.Leaks(s.transcript.String() + w.Log.String()); len(leaks) > 0 {
					tb.Errorf("tokens in results or logs: %v", leaks)
				}
			})
			_, err := w.Connect(s.caller)
			return err
		},
	})
}

type sceneKey struct{}

type scene struct {
	*World
	caller     authz.Caller
	last       tools.Outcome
	waiting    approvals.Item
	transcript strings.Builder
}

func (s *scene) set(o tools.Outcome) {
	s.last = o
	s.transcript.WriteString(tools.Text(o))
	s.transcript.Write(o.Structured())
	if n, ok := o.(tools.NeedsApproval); ok {
		s.waiting = n.Item
	}
}

func (s *scene) describe() string {
	if s.last == nil {
		return "none"
	}
	if r, ok := s.last.(tools.Refusal); ok {
		return fmt.Sprintf("%s (cause: %v)", r.Structured(), r.Cause())
	}
	return fmt.Sprintf("%T %s", s.last, s.last.Structured())
}

type verb func(s *scene, neg bool, args []string) error

var verbs = map[string]verb{
	"as": func(s *scene, _ bool, args []string) error {
		args = append(args, "claude")
		s.caller = s.Caller(args[0], args[1])
		return nil
	},
	"call": func(s *scene, _ bool, args []string) error {
		in := map[string]json.RawMessage{}
		for _, a := range args[1:] {
			name, value, ok := strings.Cut(a, "=")
			if !ok {
				return fmt.Errorf("call: %q is not NAME=VALUE", a)
			}
			if !json.Valid([]byte(value)) {
				quoted, _ := json.Marshal(strings.ReplaceAll(value, `\n`, "\n"))
				value = string(quoted)
			}
			in[name] = json.RawMessage(value)
		}
		raw, _ := json.Marshal(in)
		s.set(s.Guard.Call(context.Background(), s.caller, args[0], raw))
		return nil
	},
	"answered": func(s *scene, neg bool, args []string) error {
		a, ok := s.last.(tools.Answer)
		if !ok {
			return fmt.Errorf("the call was not answered")
		}
		return holds(string(a.Structured()), neg, args)
	},
	"shown": func(s *scene, _ bool, args []string) error {
		var a struct{ Items []json.RawMessage }
		if _, ok := s.last.(tools.Answer); !ok || json.Unmarshal(s.last.Structured(), &a) != nil {
			return fmt.Errorf("the call was not answered")
		}
		return equal("items", args, strconv.Itoa(len(a.Items)))
	},
	"pending": func(s *scene, neg bool, args []string) error {
		n, ok := s.last.(tools.NeedsApproval)
		if ok == neg && len(args) == 0 || !ok && !neg {
			return fmt.Errorf("pending: %v", ok)
		}
		return holds(n.Item.Preview.Text(), neg, args)
	},
	"approve": func(s *scene, _ bool, args []string) error { return s.decide(true, "") },
	"deny":    func(s *scene, _ bool, args []string) error { return s.decide(false, strings.Join(args, " ")) },
	"refused": func(s *scene, _ bool, args []string) error {
		r, ok := s.last.(tools.Refusal)
		if !ok {
			return fmt.Errorf("the call was not refused")
		}
		if err := equal("refusal", args[:1], r.Kind); err != nil {
			return err
		}
		return holds(r.Hint, false, args[1:])
	},
	"unconnected": func(s *scene, _ bool, args []string) error {
		n, ok := s.last.(tools.NeedsConnection)
		if !ok {
			return fmt.Errorf("the call does not need a connection")
		}
		return holds(strings.Join(n.Scopes, " "), false, args)
	},
	"status": func(s *scene, _ bool, args []string) error {
		n, ok := s.last.(tools.NotDone)
		if !ok {
			return fmt.Errorf("the call has no status")
		}
		if err := equal("status", args[:1], n.Status); err != nil {
			return err
		}
		return holds(n.Reason, false, args[1:])
	},
	"label": func(s *scene, _ bool, args []string) error {
		a, ok := s.last.(tools.Answer)
		if !ok {
			return fmt.Errorf("the call was not answered")
		}
		return equal("label", args, a.Label.String())
	},
	"sent": func(s *scene, neg bool, args []string) error {
		for _, text := range s.Fake.Sent() {
			if holds(text, false, args) == nil {
				if neg {
					return fmt.Errorf("it was sent: %q", text)
				}
				return nil
			}
		}
		if neg {
			return nil
		}
		return fmt.Errorf("no write holds %q; sent: %q", args, s.Fake.Sent())
	},
	"writes": func(s *scene, _ bool, args []string) error {
		return equal("writes", args, strconv.Itoa(len(s.Fake.Sent())))
	},
	"rule":   func(s *scene, _ bool, args []string) error { return s.rule(args, true) },
	"unrule": func(s *scene, _ bool, args []string) error { return s.rule(args, false) },
	"fault": func(s *scene, _ bool, args []string) error {
		status, err := strconv.Atoi(args[0])
		s.Fake.Fail(status)
		return err
	},
	"expire": func(s *scene, _ bool, _ []string) error { s.Fake.Expire(); return nil },
	"revoke": func(s *scene, _ bool, _ []string) error { s.Fake.Revoke(); return nil },
}

func (s *scene) decide(approve bool, why string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := s.Ledger.Decide(ctx, s.waiting.ID, s.caller, approvals.Decision{Approve: approve, Channel: "page", Reason: why})
	if err != nil {
		return err
	}
	s.set(s.Guard.Wait(ctx, s.caller, s.waiting.ID, 10*time.Second))
	return nil
}

func (s *scene) rule(args []string, write bool) error {
	if len(args) != 3 {
		return fmt.Errorf("want USER RELATION OBJECT")
	}
	t, err := authz.ParseTuple(args[0], args[1], args[2])
	if err != nil {
		return err
	}
	if write {
		return s.Engine.Write(context.Background(), []authz.Tuple{t}, nil)
	}
	return s.Engine.Write(context.Background(), nil, []authz.Tuple{t})
}

func holds(text string, neg bool, wants []string) error {
	for _, w := range wants {
		if strings.Contains(text, strings.ReplaceAll(w, `\n`, "\n")) == neg {
			return fmt.Errorf("%q: found %v, in %q", w, neg, text)
		}
	}
	return nil
}

func equal(what string, args []string, got string) error {
	if len(args) != 1 || args[0] != got {
		return fmt.Errorf("%s: got %s, want %v", what, got, args)
	}
	return nil
}

// Buffer is a bytes.Buffer that goroutines may share.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*Buffer)(nil)

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
