package main

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"deputy/authz"
)

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
