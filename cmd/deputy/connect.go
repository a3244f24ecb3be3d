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
	"deputy/internal/config"
	"deputy/vault"
)

type connectFlags struct {
	tools, account string
	device         bool
}

func connectFlagSet(f *flag.FlagSet, inv *invocation) {
	f.StringVar(&inv.connectFlags.tools, "for", "", "only what these `TOOLS` need, separated by commas")
	f.StringVar(&inv.connectFlags.account, "account", "", "a `NAME` for the account, or the connected account that must come back")
	f.BoolVar(&inv.connectFlags.device, "device", false, "by a code to type on another screen, where the provider has it")
}

// connect leads a person to the provider's consent, and says what became of it.
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
	wish := vault.Wish{Provider: provider, Account: inv.connectFlags.account}
	if inv.connectFlags.tools != "" || slices.Contains(config.Builtin, provider) {
		var names []string
		if inv.connectFlags.tools != "" {
			names = strings.Split(inv.connectFlags.tools, ",")
		}
		var err error
		if wish.Scopes, err = inv.app.guard.Catalog().Scopes(provider, names...); err != nil {
			return usage("%v", err)
		}
	}
	me, err := inv.me()
	if err != nil {
		return err
	}
	if inv.connectFlags.device {
		return inv.connectByCode(me, wish)
	}
	return inv.connectInBrowser(me, wish)
}

// connectByCode shows the code here, and only here, and waits.
func (inv *invocation) connectByCode(me authz.Caller, wish vault.Wish) error {
	d, err := inv.app.vault.BeginDevice(inv.ctx, me, wish)
	if err != nil {
		return connectError(inv, wish, err)
	}
	fmt.Fprintf(inv.err, "Open %s and type the code %s (until %s).\n", d.URL, d.UserCode, d.Expires.Local().Format("15:04"))
	done, err := d.Finish(inv.ctx)
	if err != nil {
		return connectError(inv, wish, err)
	}
	return inv.sayConnected(done.Account)
}

// linkLife is how long a sign-in link works, with time to consent.
const linkLife = 15 * time.Minute

// connectInBrowser prints a link that signs the browser in and leads to the
// provider, opens it, and waits for the account to appear.
func (inv *invocation) connectInBrowser(me authz.Caller, wish vault.Wish) error {
	if err := inv.app.vault.Connectable(me, wish.Provider); err != nil {
		return connectError(inv, wish, err)
	}
	want, err := inv.app.vault.ConnectURL(me, wish)
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
	before, err := inv.app.vault.Accounts(inv.ctx, me)
	if err != nil {
		return err
	}
	fmt.Fprintf(inv.err, "Open this link (it works once, for ten minutes):\n%s\n", link)
	openBrowser(link)
	for until := time.Now().Add(linkLife); time.Now().Before(until); time.Sleep(300 * time.Millisecond) {
		now, _ := inv.app.vault.Accounts(inv.ctx, me)
		for _, a := range now {
			old := slices.IndexFunc(before, func(b vault.Account) bool { return b.ID == a.ID })
			if a.Provider == wish.Provider && (old < 0 || !before[old].Connected.Equal(a.Connected)) {
				return inv.sayConnected(a)
			}
		}
		if inv.ctx.Err() != nil {
			break
		}
	}
	if inv.ctx.Err() != nil {
		return errors.New("stopped before the account was connected")
	}
	return fmt.Errorf("%w: nobody connected the account before the link ran out: run it again for a new one", errRefused)
}

func (inv *invocation) sayConnected(a vault.Account) error {
	if inv.global.json {
		return inv.printJSON(a)
	}
	fmt.Fprintf(inv.out, "%s is connected\n", a.ID)
	return nil
}

// connectError says what a person can do about it.
func connectError(inv *invocation, w vault.Wish, err error) error {
	switch {
	case errors.Is(err, vault.ErrNoDevice):
		return fmt.Errorf("%s has no device flow here: leave --device out", inv.app.vault.Title(w.Provider))
	case errors.Is(err, vault.ErrRefused):
		return fmt.Errorf("%w: consent was refused, or the code ran out", errRefused)
	case errors.Is(err, vault.ErrOtherAccount):
		return fmt.Errorf("another account than %s was signed in to: nothing was changed: connect it under a name of its own", w.Account)
	case errors.Is(err, vault.ErrFrozen):
		return fmt.Errorf("%w: it is frozen: deputy freeze lists what is", errRefused)
	case errors.Is(err, vault.ErrUnconfigured):
		return fmt.Errorf("%s has no client: set client_id under providers.%s in the configuration", inv.app.vault.Title(w.Provider), w.Provider)
	}
	return err
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
