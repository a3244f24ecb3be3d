package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestStories runs the whole binary. Beside testscript's own commands there are
//
//	demo                    a sandbox in a home of its own; $HOME_DIR names it
//	call TOOL [NAME=VALUE]  a tool call over HTTP; its result is stdout
//	list                    tools/list; the names are stdout
//	id                      $ID becomes the approval_id of the last result
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp("", "dpt")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(dir) })
			env.Setenv("HOME_DIR", filepath.Join(dir, "h"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
			env.Values[actKey{}] = &act{t: env.T().(testing.TB), home: filepath.Join(dir, "h")}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"demo": on(func(a *act, ts *testscript.TestScript, _ []string) error {
				_, a.info = startDemo(a.t, a.home)
				var err error
				a.client, err = connectClient(a.info.URL, a.info.Bearer)
				return err
			}),
			"call": on((*act).call),
			"list": on(func(a *act, ts *testscript.TestScript, _ []string) error {
				r, err := a.client.do("tools/list", map[string]any{})
				for _, tool := range r.Result.Tools {
					fmt.Fprintln(ts.Stdout(), tool.Name)
				}
				return err
			}),
			"id": on(func(a *act, ts *testscript.TestScript, _ []string) error {
				var s struct {
					ID string `json:"approval_id"`
				}
				if err := json.Unmarshal(a.last.Result.StructuredContent, &s); err != nil || s.ID == "" {
					return fmt.Errorf("the last result has no approval_id: %s", a.last.raw)
				}
				ts.Setenv("ID", s.ID)
				return nil
			}),
		},
	})
}

type actKey struct{}

type act struct {
	t      testing.TB
	home   string
	info   sandboxInfo
	client *client
	last   rpcReply
}

func on(fn func(*act, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if err := fn(ts.Value(actKey{}).(*act), ts, args); (err != nil) != neg {
			ts.Fatalf("%v", err)
		}
	}
}

func (a *act) call(ts *testscript.TestScript, args []string) (err error) {
	in := map[string]json.RawMessage{}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		if !json.Valid([]byte(value)) {
			quoted, _ := json.Marshal(value)
			value = string(quoted)
		}
		in[name] = json.RawMessage(value)
	}
	if a.last, err = a.client.call(args[0], in); err != nil {
		return err
	}
	fmt.Fprintln(ts.Stdout(), a.last.raw)
	return nil
}
