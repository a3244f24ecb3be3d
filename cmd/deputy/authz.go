package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

func authzCommand(inv *invocation) error {
	if len(inv.args) == 0 {
		return usage("want check, write, delete, list or model")
	}
	verb, rest := inv.args[0], inv.args[1:]
	engine := inv.app.engine
	switch verb {
	case "model":
		fmt.Fprint(inv.out, engine.Model())
		return nil
	case "list":
		filter := authz.Tuple{}
		if len(rest) > 0 {
			filter.Object = authz.Object(rest[0])
		}
		all, err := engine.Read(inv.ctx, filter)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, t := range all {
			rows = append(rows, []string{t.User, t.Relation, string(t.Object)})
		}
		return inv.list(map[string]any{"tuples": slices.Concat([]authz.Tuple{}, all)}, "USER RELATION OBJECT", rows)
	case "check", "write", "delete":
		if len(rest) != 3 {
			return usage("authz %s wants USER RELATION OBJECT, as in: deputy authz %s 'user:*' hidden gmail_label:anna@example.com/Payroll", verb, verb)
		}
		t, err := authz.ParseTuple(rest[0], rest[1], rest[2])
		if err != nil {
			return usage("%v", err)
		}
		t.Object = inv.app.guard.Catalog().Spell(t.Object)
		return inv.relate(verb, t)
	}
	return usage("there is no authz %q: want check, write, delete, list or model", verb)
}

func (inv *invocation) relate(verb string, t authz.Tuple) error {
	if verb != "check" {
		return inv.changeRule(verb, t)
	}
	yes, err := inv.app.engine.Check(inv.ctx, t, nil)
	if err != nil {
		return err
	}
	if inv.global.json {
		return inv.printJSON(map[string]any{"tuple": t, "allowed": yes})
	}
	fmt.Fprintln(inv.out, map[bool]string{true: "yes", false: "no"}[yes])
	return nil
}

// changeRule writes or deletes one relationship, with its line in the log. The
// line comes first: a rule without one is worse than a line without a rule.
func (inv *invocation) changeRule(verb string, t authz.Tuple) error {
	if t.Object.Type() == "tool" && verb == "write" && !inv.app.guard.Catalog().Has(strings.TrimPrefix(string(t.Object), "tool:")) {
		return usage("there is no tool %q: deputy tools lists them", strings.TrimPrefix(string(t.Object), "tool:"))
	}
	me, err := inv.me()
	if err != nil {
		return err
	}
	log := func(outcome string) error {
		return inv.app.store.Update(func(tx store.Tx) error {
			return inv.app.audit.Append(tx, audit.Line{Event: "rule", User: me.User(), Agent: me.Agent(), Outcome: outcome})
		})
	}
	if err := log(verb + " " + t.String()); err != nil {
		return err
	}
	writes, deletes := []authz.Tuple{t}, []authz.Tuple(nil)
	if verb == "delete" {
		writes, deletes = deletes, writes
	}
	if err := inv.app.engine.Write(inv.ctx, writes, deletes); err != nil {
		return errors.Join(err, log("not done: "+verb+" "+t.String()))
	}
	return nil
}
