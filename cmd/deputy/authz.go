package main

import (
	"fmt"
	"slices"

	"deputy/authz"
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
	switch verb {
	case "write":
		return inv.app.engine.Write(inv.ctx, []authz.Tuple{t}, nil)
	case "delete":
		return inv.app.engine.Write(inv.ctx, nil, []authz.Tuple{t})
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
