package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"deputy/authz"
	"deputy/vault"
)

// accounts lists what is connected, or names one account. A star marks the one
// that is taken where none is named.
func accounts(inv *invocation) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	if len(inv.args) > 0 {
		return inv.changeAccount()
	}
	all, err := inv.app.vault.Accounts(inv.ctx, me)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, a := range all {
		name := a.Alias
		if a.Default {
			name += "*"
		}
		since := "-"
		if !a.Since.IsZero() {
			since = a.Since.Local().Format("2006-01-02 15:04")
		}
		rows = append(rows, []string{a.ID, a.State, since, name, strings.Join(a.Scopes, " ")})
	}
	if len(rows) == 0 && !inv.global.json {
		fmt.Fprintln(inv.err, "deputy: nothing is connected yet: deputy connect google (or slack, github)")
	}
	return inv.list(map[string]any{"accounts": slices.Concat([]vault.Account{}, all)}, "ACCOUNT STATE SINCE NAME SCOPES", rows)
}

// changeAccount is what accounts does with words after it.
func (inv *invocation) changeAccount() error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	switch a := inv.args; {
	case a[0] == "default" && len(a) == 2:
		err = inv.app.vault.Name(inv.ctx, me, a[1], "", true)
	case a[0] == "name" && len(a) == 3:
		err = inv.app.vault.Name(inv.ctx, me, a[1], a[2], false)
	case a[0] == "shares" && len(a) == 1:
		return inv.listShares(me)
	case a[0] == "share" && len(a) >= 3:
		err = inv.share(me, a[1], a[2], a[3:])
	case a[0] == "unshare" && len(a) == 3:
		if err = inv.app.vault.Unshare(inv.ctx, me, a[2], a[1]); errors.Is(err, vault.ErrNoAccount) {
			return fmt.Errorf("%s is not shared with %s: deputy accounts shares lists what is", a[1], a[2])
		}
	default:
		return usage("deputy accounts [default ACCOUNT | name ACCOUNT NAME | shares | share ACCOUNT CLIENT [SCOPE…] | unshare ACCOUNT CLIENT]")
	}
	switch {
	case errors.Is(err, vault.ErrNoAccount):
		return noAccount(inv.args[1])
	case errors.Is(err, vault.ErrNameTaken):
		return fmt.Errorf("another account has the name %q, or it is no name: choose one without spaces", inv.args[2])
	}
	return err
}

// share lets a back end of the operator's have an account's tokens, for the
// named scopes or all it has.
func (inv *invocation) share(me authz.Caller, account, client string, scopes []string) error {
	if _, known := inv.app.config.Exchange.Clients[client]; !known {
		return fmt.Errorf("there is no back end %q: exchange.clients in the configuration names them", client)
	}
	all, err := inv.app.vault.Accounts(inv.ctx, me)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(a vault.Account) bool { return a.ID == account })
	if i < 0 {
		return noAccount(account)
	}
	if len(scopes) == 0 {
		scopes = all[i].Scopes
	}
	if err := inv.app.vault.Share(inv.ctx, me, client, account, scopes); err != nil {
		return err
	}
	fmt.Fprintf(inv.out, "%s may have tokens of %s for: %s\n", client, account, strings.Join(scopes, " "))
	return nil
}

func (inv *invocation) listShares(me authz.Caller) error {
	all, err := inv.app.vault.Shares(inv.ctx, me)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, s := range all {
		rows = append(rows, []string{s.Account, s.Client, s.Since.Local().Format("2006-01-02 15:04"), strings.Join(s.Scopes, " ")})
	}
	return inv.list(map[string]any{"shares": slices.Concat([]vault.Share{}, all)}, "ACCOUNT CLIENT SINCE SCOPES", rows)
}

func noAccount(name string) error {
	return fmt.Errorf("no account %q is connected: deputy accounts lists them", name)
}

// disconnect ends an account and says what that ended.
func disconnect(inv *invocation) error {
	if len(inv.args) != 1 {
		return usage("name one account; deputy accounts lists them")
	}
	me, err := inv.me()
	if err != nil {
		return err
	}
	r, err := inv.app.vault.Disconnect(inv.ctx, me, inv.args[0])
	if errors.Is(err, vault.ErrNoAccount) {
		return noAccount(inv.args[0])
	}
	if err != nil {
		return err
	}
	if inv.global.json {
		return inv.printJSON(r)
	}
	what := "revoked at the provider and forgotten"
	if !r.Revoked {
		what = "forgotten"
	}
	fmt.Fprintf(inv.out, "%s: %s\n  connected since: %s\n", r.ID, what, r.Since.Local().Format("2006-01-02 15:04"))
	for _, g := range r.Grants {
		ended := "ended at the provider"
		if !g.Revoked {
			ended = "not confirmed by the provider"
		}
		fmt.Fprintf(inv.out, "  grant of %s: %s, %d tokens so far, %s\n", g.Given.Local().Format("2006-01-02 15:04"), strings.Join(g.Scopes, " "), g.Tokens, ended)
	}
	if len(r.Calls) == 0 {
		fmt.Fprintf(inv.out, "  calls with it: none\n")
	} else {
		var calls []string
		for _, tool := range slices.Sorted(maps.Keys(r.Calls)) {
			calls = append(calls, fmt.Sprintf("%s %d", tool, r.Calls[tool]))
		}
		fmt.Fprintf(inv.out, "  calls with it: %s; the last %s\n", strings.Join(calls, ", "), r.LastCall.Local().Format("2006-01-02 15:04"))
	}
	fmt.Fprintf(inv.out, "  note: %s\n", r.Note)
	return nil
}

func freezeFlagSet(f *flag.FlagSet, inv *invocation) {
	f.StringVar(&inv.reason, "reason", "", "a `NOTE` for whoever thaws it")
}

// freeze stops what is named; without a name it lists what is stopped.
func freeze(inv *invocation) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	if len(inv.args) == 0 {
		return inv.listFrozen()
	}
	f, err := inv.frozenName()
	if err != nil {
		return err
	}
	f.Reason = inv.reason
	if err := inv.app.vault.Freeze(inv.ctx, me, f); err != nil {
		return err
	}
	fmt.Fprintf(inv.out, "%s is frozen: nothing is read or sent until: deputy thaw %s\n", describe(f), inv.args[0])
	return nil
}

// thaw lets it go on.
func thaw(inv *invocation) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	f, err := inv.frozenName()
	if err != nil {
		return err
	}
	all, err := inv.app.vault.FrozenNow()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(o vault.Freeze) bool { return o.Kind == f.Kind && o.Name == f.Name }) {
		return fmt.Errorf("%s is not frozen: deputy freeze lists what is", describe(f))
	}
	if err := inv.app.vault.Thaw(inv.ctx, me, f); err != nil {
		return err
	}
	fmt.Fprintf(inv.out, "%s goes on\n", describe(f))
	return nil
}

func (inv *invocation) listFrozen() error {
	all, err := inv.app.vault.FrozenNow()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, f := range all {
		rows = append(rows, []string{describe(f), f.Since.Local().Format("2006-01-02 15:04"), f.By, f.Reason})
	}
	if len(rows) == 0 && !inv.global.json {
		fmt.Fprintln(inv.err, "deputy: nothing is frozen")
	}
	return inv.list(map[string]any{"frozen": slices.Concat([]vault.Freeze{}, all)}, "WHAT SINCE BY REASON", rows)
}

// frozenName reads all, PROVIDER, PROVIDER/ACCOUNT, agent:NAME or [user:]NAME.
func (inv *invocation) frozenName() (vault.Freeze, error) {
	if len(inv.args) != 1 || inv.args[0] == "" {
		return vault.Freeze{}, usage("name one of: all, a user, an account, a provider, agent:NAME")
	}
	name := inv.args[0]
	kind, rest, marked := strings.Cut(name, ":")
	provider, _, account := strings.Cut(name, "/")
	known := slices.Contains(inv.app.vault.Providers(), provider)
	switch {
	case name == "all":
		return vault.Freeze{Kind: "all"}, nil
	case marked && rest != "" && slices.Contains(vault.FreezeKinds[1:], kind):
		return vault.Freeze{Kind: kind, Name: rest}, nil
	case account && known:
		return vault.Freeze{Kind: "account", Name: name}, nil
	case known:
		return vault.Freeze{Kind: "provider", Name: name}, nil
	case name == inv.app.owner:
		return vault.Freeze{Kind: "user", Name: name}, nil
	}
	return vault.Freeze{}, usage("%q is no user, account or provider here: deputy accounts lists accounts; an agent is agent:NAME", name)
}

func describe(f vault.Freeze) string {
	if f.Kind == "all" {
		return "everything"
	}
	return f.Kind + " " + f.Name
}
