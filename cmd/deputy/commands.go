package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/tools"
	"deputy/vault"
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

func accounts(inv *invocation) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	all, err := inv.app.vault.Accounts(inv.ctx, me)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{a.ID, a.State, a.Since.Local().Format("2006-01-02 15:04"), strings.Join(a.Scopes, " ")})
	}
	if len(rows) == 0 && !inv.global.json {
		fmt.Fprintln(inv.err, "deputy: nothing is connected yet: deputy connect google (or slack, github)")
	}
	return inv.list(map[string]any{"accounts": slices.Concat([]vault.Account{}, all)}, "ACCOUNT STATE SINCE SCOPES", rows)
}

func disconnect(inv *invocation) error {
	if len(inv.args) != 1 {
		return usage("name one account; deputy accounts lists them")
	}
	me, err := inv.me()
	if err != nil {
		return err
	}
	report, err := inv.app.vault.Disconnect(inv.ctx, me, inv.args[0])
	if errors.Is(err, vault.ErrNoAccount) {
		return fmt.Errorf("no account %q is connected: deputy accounts lists them", inv.args[0])
	}
	if err != nil {
		return err
	}
	if inv.global.json {
		return inv.printJSON(report)
	}
	what := "revoked at the provider and forgotten"
	if !report.Revoked {
		what = "forgotten"
	}
	fmt.Fprintf(inv.out, "%s: %s\n  scopes it had: %s\n  connected since: %s\n  note: %s\n",
		report.ID, what, strings.Join(report.Scopes, " "), report.Since.Local().Format("2006-01-02 15:04"), report.Note)
	return nil
}

type connectFlags struct{ tools string }

func connectFlagSet(f *flag.FlagSet, inv *invocation) {
	f.StringVar(&inv.connectFlags.tools, "for", "", "only what these `TOOLS` need, separated by commas")
}

// connect prints a link that signs the browser in and leads to the provider,
// opens it, and waits for the account to appear.
func connect(inv *invocation) error {
	if len(inv.args) != 1 {
		return usage("name one provider: %s", strings.Join(inv.app.vault.Providers(), ", "))
	}
	provider := inv.args[0]
	if provider == "gmail" { // what people say
		provider = "google"
	}
	if !slices.Contains(inv.app.vault.Providers(), provider) {
		return usage("there is no provider %q: %s", provider, strings.Join(inv.app.vault.Providers(), ", "))
	}
	var names []string
	if inv.connectFlags.tools != "" {
		names = strings.Split(inv.connectFlags.tools, ",")
	}
	scopes, err := inv.app.guard.Catalog().Scopes(provider, names...)
	if err != nil {
		return usage("%v", err)
	}
	me, err := inv.me()
	if err != nil {
		return err
	}
	want, err := inv.app.vault.ConnectURL(me, provider, scopes)
	if err != nil {
		return err
	}
	if !inv.app.listening { // this command does until it is done
		h, err := inv.app.listen()
		if err != nil {
			return err
		}
		defer h.stop()
	}
	link, err := inv.app.login.SignInURL(inv.app.owner, strings.TrimPrefix(want, inv.app.config.PublicURL))
	if err != nil {
		return err
	}
	before := inv.connections(me, provider)
	fmt.Fprintf(inv.err, "Open this link (it works once, for ten minutes):\n%s\n", link)
	openBrowser(link)
	for range time.Tick(300 * time.Millisecond) {
		if now := inv.connections(me, provider); now != before {
			fmt.Fprintf(inv.out, "%s is connected\n", inv.app.vault.Title(provider))
			return nil
		}
		if inv.ctx.Err() != nil {
			break
		}
	}
	return errors.New("stopped before the account was connected")
}

// connections is a fingerprint that changes when an account is connected anew.
func (inv *invocation) connections(me authz.Caller, provider string) string {
	all, _ := inv.app.vault.Accounts(inv.ctx, me)
	var b strings.Builder
	for _, a := range all {
		if a.Provider == provider {
			fmt.Fprintf(&b, "%s %s %v %v;", a.ID, a.State, a.Scopes, a.Connected)
		}
	}
	return b.String()
}

// openBrowser tries; the link is printed anyway.
func openBrowser(link string) {
	name, args := "xdg-open", []string{link}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", link}
	}
	if path, err := exec.LookPath(name); err == nil {
		cmd := exec.Command(path, args...)
		if cmd.Start() == nil {
			go cmd.Wait()
		}
	}
}

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
		return fmt.Errorf("%w: %s was already decided; nothing changed", errRefused, id)
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
	}
	var all []entry
	var rows [][]string
	listings := inv.app.guard.Catalog().All()
	for i, s := range inv.app.guard.Catalog().Specs() {
		if len(inv.args) > 0 && inv.args[0] != s.Name {
			continue
		}
		e := entry{listings[i], s.Effect.String(), slices.Concat([]string{}, s.Scopes), inv.app.guard.Allowed(inv.ctx, me, s.Name)}
		all = append(all, e)
		rows = append(rows, []string{s.Name, e.Effect, map[bool]string{true: "yes", false: "barred"}[e.Allowed], s.Title})
	}
	if len(inv.args) > 0 && len(all) == 0 {
		return fmt.Errorf("there is no tool %q: deputy tools lists them", inv.args[0])
	}
	if len(inv.args) > 0 && !inv.global.json {
		fmt.Fprintf(inv.out, "%s: %s\n%s\n  scopes: %s\n  input: %s\n", all[0].Name, all[0].Title, all[0].Description, strings.Join(all[0].Scopes, " "), all[0].Input)
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
