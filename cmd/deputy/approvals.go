package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"

	"deputy/approvals"
)

func approvalsFlagSet(f *flag.FlagSet, inv *invocation) {
	f.StringVar(&inv.reason, "reason", "", "with deny: `TEXT` that the assistant is told")
}

func approvalsCommand(inv *invocation) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	verb, id := "list", ""
	if len(inv.args) > 0 {
		verb = inv.args[0]
	}
	if len(inv.args) > 1 {
		id = inv.args[1]
	}
	if (verb == "show" || verb == "approve" || verb == "deny") != (id != "") && verb != "open" || len(inv.args) > 2 {
		return usage("want list, show ID, approve ID, deny ID or open [ID]")
	}
	ledger := inv.app.ledger
	switch verb {
	case "list":
		items, err := ledger.List(inv.ctx, me)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, i := range items {
			rows = append(rows, []string{i.ID, string(i.State), i.MatchCode, i.Tool, i.Created.Local().Format("15:04:05"), i.Summary()})
		}
		return inv.list(map[string]any{"approvals": slices.Concat([]approvals.Item{}, items)}, "ID STATE CODE TOOL ASKED WHAT", rows)
	case "show":
		item, err := ledger.Get(inv.ctx, me, id)
		if err != nil {
			return sayApproval(id, err)
		}
		return inv.show(item)
	case "approve", "deny":
		_, err := ledger.Decide(inv.ctx, id, me, approvals.Decision{Approve: verb == "approve", Channel: "cli", Reason: inv.reason})
		if err != nil {
			return sayApproval(id, err)
		}
		item, err := ledger.Wait(inv.ctx, me, id)
		if err != nil {
			return err
		}
		return inv.show(item)
	case "open":
		next := "/approvals"
		if id != "" {
			next += "/" + id
		}
		link, err := inv.app.login.SignInURL(inv.app.owner, next)
		if err != nil {
			return err
		}
		if inv.global.json {
			return inv.printJSON(map[string]string{"url": link})
		}
		fmt.Fprintln(inv.out, link)
		return nil
	}
	return usage("there is no %q: want list, show, approve, deny or open", verb)
}

func sayApproval(id string, err error) error {
	switch {
	case errors.Is(err, approvals.ErrNotFound):
		return fmt.Errorf("there is no request %q: deputy approvals lists them", id)
	case errors.Is(err, approvals.ErrChannel):
		return fmt.Errorf("%w: decisions are not taken in a terminal here: use the page (deputy approvals open %s), or add cli to approvals.channels", errRefused, id)
	case errors.Is(err, approvals.ErrStepUp):
		return fmt.Errorf("%w: this one takes a fresh sign-in on the page: deputy approvals open %s", errRefused, id)
	case errors.Is(err, approvals.ErrDecided):
		return fmt.Errorf("%w: %s is closed: %v; nothing changed", errRefused, id, err)
	}
	return err
}

func (inv *invocation) show(i approvals.Item) error {
	if inv.global.json {
		return inv.printJSON(i)
	}
	fmt.Fprintf(inv.out, "%s  %s  %s\n%s, asked by %s with %s\n\n%s", i.ID, i.State, i.MatchCode, i.Title, i.Agent, i.Account, i.Preview.Text())
	if i.Reason != "" {
		fmt.Fprintf(inv.out, "\n%s\n", i.Reason)
	}
	return nil
}
