package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"time"

	"deputy/internal/config"
	"deputy/internal/login/passkey"
	"deputy/internal/seal"
)

func doctorFlagSet(f *flag.FlagSet, inv *invocation) {
	f.BoolVar(&inv.printConfig, "print-config", false, "print the effective configuration with its comments")
}

// doctor looks at a home from outside, so that it works when nothing else does,
// and says what to do next.
func doctor(inv *invocation) error {
	path, must := config.Path(inv.global.config)
	c, err := loadConfig(inv.global)
	if err != nil {
		return err
	}
	if inv.printConfig {
		fmt.Fprint(inv.out, config.Example(c))
		return nil
	}
	failed := false
	say := func(ok bool, what, todo string) {
		mark := "ok  "
		if !ok {
			mark, failed = "todo", true
		}
		fmt.Fprintf(inv.out, "%s  %s\n", mark, what)
		if !ok && todo != "" {
			fmt.Fprintf(inv.out, "      %s\n", todo)
		}
	}
	found := path
	if !must && !exists(path) {
		found = "none at " + path + ": defaults"
	}
	say(true, "configuration: "+found, "")
	say(true, "home: "+c.Home, "")
	running := ownerRuns(inv.ctx, filepath.Join(c.Home, "deputy.sock"))
	if running {
		say(true, "a deputy owns this home and listens on its socket", "")
	} else if !seal.Exists(filepath.Join(c.Home, "keys")) {
		say(true, "the home is new", "")
	}
	if running && c.Key == "passphrase" {
		say(true, "sealing key: passphrase, which the running deputy was given", "")
	} else if _, err := inv.kekOf(c, false); err != nil && seal.Exists(filepath.Join(c.Home, "keys")) {
		say(false, "sealing key: "+c.Key, err.Error())
	} else if err != nil {
		say(false, "sealing key: "+c.Key+" (not there yet)", err.Error())
	} else {
		say(true, "sealing key: "+c.Key, "")
	}
	if ref, ok := c.Store.Postgres(); ok {
		_, err := ref.Read()
		say(err == nil, "store: PostgreSQL, its URL in "+string(ref), fmt.Sprint("the URL cannot be read: ", err))
	}
	inv.doctorLogin(c, say)
	if ruled, err := readRules(c); err != nil {
		say(false, "approvals.rules", err.Error())
	} else if n := len(ruled.Rules()); n > 0 {
		say(true, fmt.Sprintf("approvals.rules: %d", n), "")
		for _, line := range whereRules(ruled) {
			fmt.Fprintf(inv.out, "      %s\n", line)
		}
	}
	for _, p := range providers() {
		set := c.Providers[p.Name]
		_, err := set.ClientSecret.Read()
		switch {
		case set.ClientID == "" && len(c.Providers) > 0:
			fmt.Fprintf(inv.out, "      %s is not configured\n", p.Title)
		case set.ClientID == "":
			say(false, p.Title+": no OAuth client", fmt.Sprintf("make one at the provider with the redirect URI %s/connect/%s/callback, then set providers.%s", c.PublicURL, p.Name, p.Name))
		case err != nil:
			say(false, p.Title+": the client secret cannot be read", err.Error())
		default:
			say(true, p.Title+": OAuth client "+set.ClientID, "")
			for _, note := range p.Notes {
				fmt.Fprintf(inv.out, "      %s\n", note)
			}
		}
	}
	if !running && !failed {
		a, err := open(c, inv.choice, inv.findKEK, slog.New(slog.DiscardHandler))
		if err != nil {
			say(false, "the home does not open", err.Error())
		} else {
			me, _ := a.login.Local(inv.ctx, a.owner, "cli", "")
			connected, _ := a.vault.Accounts(inv.ctx, me)
			say(len(connected) > 0, fmt.Sprintf("%d accounts connected", len(connected)), "deputy connect google (or slack, github)")
			for _, acc := range connected {
				say(acc.State == "active", acc.ID+": "+acc.State, "deputy connect "+acc.Provider)
			}
			if err := a.close(); err != nil {
				return err
			}
		}
	}
	if failed {
		return fmt.Errorf("doctor: some things are left to do: see todo above")
	}
	return nil
}

// doctorLogin looks at how people sign in.
func (inv *invocation) doctorLogin(c config.Config, say func(ok bool, what, todo string)) {
	if public, err := url.Parse(c.PublicURL); err == nil {
		_, err := passkey.New(public)
		say(err == nil, "passkeys: "+public.Hostname(), fmt.Sprint(err))
	}
	for name, secret := range map[string]config.Secret{"login": c.Login.ClientSecret, "login.github": c.Login.GitHub.ClientSecret} {
		if _, err := secret.Read(); err != nil {
			say(false, name+": the client secret cannot be read", err.Error())
		}
	}
	for _, p := range accountsElsewhere(c) {
		if err := p.Ready(inv.ctx); err != nil {
			say(false, "sign-in: "+p.Title()+" does not answer", "its metadata is read at "+p.Issuer()+"/.well-known/openid-configuration: see that login.issuer is right and reachable")
			continue
		}
		say(true, fmt.Sprintf("sign-in: %s, redirect URI %s/signin/%s/callback", p.Title(), c.PublicURL, p.Name()), "")
		if len(p.Allow) == 0 {
			fmt.Fprintf(inv.out, "      nobody new may make a profile: allow is empty; who has one may add an account\n")
		}
	}
}

func ownerRuns(ctx context.Context, path string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
