package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// agentsCommand lists the programs that may act for the home's owner, or takes
// that back.
func agentsCommand(inv *invocation) error {
	if inv.app.auth == nil {
		return errors.New("access.issuer in the configuration lets programs in: take it back there")
	}
	me, err := inv.me()
	if err != nil {
		return err
	}
	switch {
	case len(inv.args) == 2 && inv.args[0] == "revoke":
		all, err := inv.app.auth.Grants(inv.ctx, me.User())
		if err != nil {
			return err
		}
		for _, g := range all {
			if g.Client == inv.args[1] {
				return inv.app.auth.Revoke(inv.ctx, me.User(), g.Client, me.User())
			}
		}
		return fmt.Errorf("there is no agent %q: deputy agents lists them", inv.args[1])
	case len(inv.args) > 1 || len(inv.args) == 1 && inv.args[0] != "list":
		return usage("want list or revoke CLIENT")
	}
	all, err := inv.app.auth.Grants(inv.ctx, me.User())
	if err != nil {
		return err
	}
	var rows [][]string
	for _, g := range all {
		known := g.Host
		if known == "" {
			known = string(g.Kind)
		}
		rows = append(rows, []string{g.Client, known, strings.Join(g.Scopes, " "), g.First.Format(time.DateOnly), g.Last.Format(time.DateTime)})
	}
	return inv.list(map[string]any{"agents": all}, "CLIENT KNOWN-BY SCOPES SINCE LAST", rows)
}
