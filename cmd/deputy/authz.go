package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/authz/fga"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/tools"
)

type authzFlags struct {
	file, until, condition, context, account, agent string
	dryRun                                          bool
}

func authzFlagSet(f *flag.FlagSet, inv *invocation) {
	fl := &inv.authzFlags
	f.StringVar(&fl.file, "file", "", "with write, delete: all tuples of `FILE` (.yaml, .json, .jsonl, .csv), or none of them")
	f.StringVar(&fl.until, "until", "", "with write: it holds until `TIME`, as 2026-12-04T18:00:00Z")
	f.StringVar(&fl.condition, "condition", "", "with write: it holds on the model's condition `NAME`")
	f.StringVar(&fl.context, "context", "", "with --condition: what the tuple binds of it, as `JSON`")
	f.StringVar(&fl.account, "account", "", "with check, explain: the object is in `ACCOUNT`; default: any that it can be in")
	f.StringVar(&fl.agent, "agent", "", "with explain: whether it is kept from the agent `NAME`, too")
	f.BoolVar(&fl.dryRun, "dry-run", false, "with model set: only say what would change")
}

// args are the flags again, for the owner of the home.
func (fl authzFlags) args() (out []string) {
	for _, f := range []struct{ name, value string }{
		{"file", fl.file}, {"until", fl.until}, {"condition", fl.condition}, {"context", fl.context}, {"account", fl.account}, {"agent", fl.agent},
	} {
		if f.value != "" {
			out = append(out, "--"+f.name+"="+f.value)
		}
	}
	if fl.dryRun {
		out = append(out, "--dry-run")
	}
	return out
}

const authzUsage = "want check, explain, write or delete USER RELATION OBJECT, write or delete --file FILE, list [OBJECT], model [list | show ID | set FILE] or test FILE…"

// authzHere tests where it was called; the rest is the owner's, who reads files
// by their whole path.
func authzHere(inv *invocation) error {
	if len(inv.args) == 0 {
		return usage(authzUsage)
	}
	if inv.args[0] == "test" {
		return inv.testStores(inv.args[1:])
	}
	var err error
	if f := &inv.authzFlags.file; *f != "" {
		if *f, err = filepath.Abs(*f); err != nil {
			return err
		}
	}
	if a := inv.args; len(a) == 3 && a[0] == "model" && a[1] == "set" && a[2] != "builtin" {
		if a[2], err = filepath.Abs(a[2]); err != nil {
			return err
		}
	}
	return inOwner(inv, "authz", append(inv.authzFlags.args(), inv.args...), authzCommand)
}

func authzCommand(inv *invocation) error {
	verb, rest := inv.args[0], inv.args[1:]
	switch verb {
	case "model":
		return inv.modelCommand(rest)
	case "list":
		if len(rest) > 1 {
			return usage("authz list wants one OBJECT at most, or a type")
		}
		return inv.listTuples(rest)
	case "check", "explain", "write", "delete":
		if inv.authzFlags.file != "" && len(rest) == 0 && (verb == "write" || verb == "delete") {
			return inv.changeFromFile(verb)
		}
		t, err := inv.tuple(verb, rest)
		if err != nil {
			return err
		}
		switch verb {
		case "check":
			return inv.check(t)
		case "explain":
			return inv.explain(t)
		}
		return inv.changeRule(verb, t)
	}
	return usage("there is no authz %q: %s", verb, authzUsage)
}

// tuple reads USER RELATION OBJECT and, for write, a condition.
func (inv *invocation) tuple(verb string, words []string) (authz.Tuple, error) {
	if len(words) != 3 {
		return authz.Tuple{}, usage("authz %s wants USER RELATION OBJECT, as in: deputy authz %s 'user:*' hidden gmail_label:anna@example.com/Payroll", verb, verb)
	}
	t, err := authz.ParseTuple(words[0], words[1], words[2])
	if err != nil {
		return t, usage("%v", err)
	}
	t.Object = inv.app.guard.Catalog().Spell(t.Object)
	fl := inv.authzFlags
	switch {
	case fl.until != "" && fl.condition != "":
		return t, usage("--until is a condition itself: want one of them")
	case fl.until != "":
		if _, err := time.Parse(time.RFC3339, fl.until); err != nil {
			return t, usage("--until %q: want a time as 2026-12-04T18:00:00Z", fl.until)
		}
		t.Condition = &authz.Condition{Name: "until", Context: map[string]any{"end": fl.until}}
	case fl.condition != "":
		t.Condition = &authz.Condition{Name: fl.condition}
		if fl.context != "" && json.Unmarshal([]byte(fl.context), &t.Condition.Context) != nil {
			return t, usage("--context %s: want a JSON object", fl.context)
		}
	}
	return t, nil
}

func (inv *invocation) listTuples(words []string) error {
	filter := authz.Tuple{}
	if len(words) > 0 {
		filter.Object = inv.app.guard.Catalog().Spell(authz.Object(words[0]))
	}
	all, err := inv.app.engine.Read(inv.ctx, filter)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, t := range all {
		condition := ""
		if t.Condition != nil {
			_, condition, _ = strings.Cut(t.String(), " with ")
		}
		rows = append(rows, []string{t.User, t.Relation, string(t.Object), condition})
	}
	return inv.list(map[string]any{"tuples": slices.Concat([]authz.Tuple{}, all)}, "USER RELATION OBJECT CONDITION", rows)
}

// known is what deputy knows by itself about an object: whose the accounts are
// and where it is.
func (inv *invocation) known(o authz.Object) (authz.Facts, error) {
	me, err := inv.me()
	if err != nil {
		return nil, err
	}
	accounts, err := inv.app.vault.Accounts(inv.ctx, me)
	if err != nil {
		return nil, err
	}
	var facts authz.Facts
	var in []authz.Object
	for _, a := range accounts {
		if inv.authzFlags.account == "" || inv.authzFlags.account == a.ID {
			account := tools.AccountObject(a.ID)
			in = append(in, account)
			facts = append(facts, account.Is("owner", authz.UserOf(me)))
		}
	}
	if inv.authzFlags.account != "" && len(in) == 0 {
		return nil, fmt.Errorf("no account %q is connected: deputy accounts lists them", inv.authzFlags.account)
	}
	return append(facts, inv.app.guard.Catalog().Known(o, in...)...), nil
}

func (inv *invocation) check(t authz.Tuple) error {
	facts, err := inv.known(t.Object)
	if err != nil {
		return err
	}
	yes, err := inv.app.engine.Check(inv.ctx, t, facts)
	if err != nil {
		return err
	}
	if inv.global.json {
		return inv.printJSON(map[string]any{"tuple": t, "allowed": yes})
	}
	fmt.Fprintln(inv.out, map[bool]string{true: "yes", false: "no"}[yes])
	return nil
}

// explain says why a question is answered as it is, and whether the object is
// kept from an agent besides.
func (inv *invocation) explain(t authz.Tuple) error {
	facts, err := inv.known(t.Object)
	if err != nil {
		return err
	}
	questions := []authz.Tuple{t}
	if name := inv.authzFlags.agent; name != "" {
		agent := authz.NewObject("agent", name)
		facts = append(facts, authz.Object(t.User).Is("agent", agent))
		questions = append(questions, t.Object.Is("withheld", agent))
		if t.Relation == "can_write" {
			questions = append(questions, t.Object.Is("read_only", agent))
		}
	}
	var all []fga.Why
	for _, q := range questions {
		why, err := inv.app.engine.Explain(inv.ctx, q, facts)
		if err != nil {
			return err
		}
		all = append(all, why)
	}
	if inv.global.json {
		return inv.printJSON(map[string]any{"tuple": t, "allowed": all[0].Allowed, "because": all[0].Steps, "agent": all[1:]})
	}
	for _, why := range all {
		fmt.Fprint(inv.out, why)
	}
	return nil
}

// changeRule writes or deletes one relationship.
func (inv *invocation) changeRule(verb string, t authz.Tuple) error {
	if t.Object.Type() == "tool" && verb == "write" && !inv.app.guard.Catalog().Has(t.Object.ID()) {
		return usage("there is no tool %q: deputy tools lists them", t.Object.ID())
	}
	return inv.logged(verb+" "+t.String(), func() error {
		if verb == "delete" {
			return inv.app.engine.Write(inv.ctx, nil, []authz.Tuple{t})
		}
		return inv.app.engine.Write(inv.ctx, []authz.Tuple{t}, nil)
	})
}

// logged changes rules, with a line in the log. The line comes first: a rule
// without one is worse than a line without a rule.
func (inv *invocation) logged(what string, change func() error) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	log := func(outcome string) error {
		return inv.app.store.Update(func(tx store.Tx) error {
			return inv.app.audit.Append(tx, audit.Line{Event: "rule", User: me.User(), Agent: me.Agent(), Outcome: outcome})
		})
	}
	if err := log(what); err != nil {
		return err
	}
	if err := change(); err != nil {
		return errors.Join(err, log("not done: "+what))
	}
	return nil
}
