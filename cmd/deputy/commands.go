package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/tools"
)

// me lets the person at the terminal in: whoever can open the home or its
// socket runs as its owner's own system user.
func (inv *invocation) me() (authz.Caller, error) {
	return inv.app.login.Local(inv.ctx, inv.app.owner, "cli", "")
}

// list prints rows as a table, or as JSON when asked.
func (inv *invocation) list(asJSON any, header string, rows [][]string) error {
	if inv.global.json {
		return inv.printJSON(asJSON)
	}
	if len(rows) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(inv.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(header, " ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

func (inv *invocation) printJSON(v any) error {
	enc := json.NewEncoder(inv.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func toolsCommand(inv *invocation) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	type entry struct {
		tools.Listing
		Effect  string   `json:"effect"`
		Scopes  []string `json:"scopes"`
		Allowed bool     `json:"allowed"`
		Rules   []string `json:"rules"` // of the operator, that may match
	}
	var all []entry
	var rows [][]string
	listings := inv.app.guard.Catalog().All()
	for i, s := range inv.app.guard.Catalog().Specs() {
		if len(inv.args) > 0 && inv.args[0] != s.Name {
			continue
		}
		e := entry{listings[i], s.Effect.String(), slices.Concat([]string{}, s.Scopes), inv.app.guard.Allowed(inv.ctx, me, s.Name), ruleNames(inv.app.guard.Rules(), s.Name)}
		all = append(all, e)
		rows = append(rows, []string{s.Name, e.Effect, map[bool]string{true: "yes", false: "barred"}[e.Allowed], s.Title})
	}
	if len(inv.args) > 0 && len(all) == 0 {
		return fmt.Errorf("there is no tool %q: deputy tools lists them", inv.args[0])
	}
	if len(inv.args) > 0 && !inv.global.json {
		fmt.Fprintf(inv.out, "%s: %s\n%s\n  scopes: %s\n  input: %s\n", all[0].Name, all[0].Title, all[0].Description, strings.Join(all[0].Scopes, " "), all[0].Input)
		for _, r := range inv.app.guard.Rules().For(all[0].Name) {
			fmt.Fprintf(inv.out, "  rule %s: %s when %s\n", r.Name, r.Need, r.When)
		}
		return nil
	}
	return inv.list(map[string]any{"tools": all}, "TOOL EFFECT ALLOWED TITLE", rows)
}

func auditCommand(inv *invocation) error {
	verb := "tail"
	if len(inv.args) > 0 {
		verb = inv.args[0]
	}
	n := 20
	switch verb {
	case "verify":
		var lines uint64
		err := inv.app.store.View(func(tx store.Tx) (err error) { lines, err = audit.Verify(tx); return err })
		if err != nil {
			return err
		}
		fmt.Fprintf(inv.out, "%d lines, each follows the one before\n", lines)
		return nil
	case "export":
		n = 1 << 30
	case "tail":
	default:
		return usage("there is no audit %q: want tail, verify or export", verb)
	}
	return inv.app.store.View(func(tx store.Tx) error {
		lines, err := audit.Tail(tx, n)
		for _, l := range lines {
			fmt.Fprintf(inv.out, "%s\n", l)
		}
		return err
	})
}
