package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"deputy/internal/config"
	"deputy/internal/login"
	"deputy/internal/login/passkey"
	"deputy/internal/login/upstream"
	"deputy/internal/store"
)

// signIn is the door for people, with the ways that are configured.
func (a *app) signIn(people *login.Profiles) *login.Login {
	l := &login.Login{
		Store: a.store, Door: a.door, Public: a.public, Sealer: a.box, Audit: a.audit, Profiles: people,
		Accounts: accountsElsewhere(a.config),
	}
	// Without a name there are none; the profile page and doctor say so.
	l.Passkeys, _ = passkey.New(a.public)
	return l
}

func accountsElsewhere(c config.Config) (all []login.Accounts) {
	redirect := func(name string) string { return c.PublicURL + "/signin/" + name + "/callback" }
	if in := c.Login; in.Issuer != "" {
		title := in.Title
		if u, err := url.Parse(in.Issuer); err == nil && title == "" {
			title = u.Host
		}
		all = append(all, login.Accounts{Allow: in.Allow, Provider: upstream.OIDC(upstream.Config{
			Name: "oidc", Title: title, Issuer: in.Issuer, ClientID: in.ClientID, Secret: in.ClientSecret.Read,
			Redirect: redirect("oidc"), Scopes: in.Scopes,
		})})
	}
	if in := c.Login.GitHub; in.ClientID != "" {
		all = append(all, login.Accounts{Allow: in.Allow, Provider: upstream.GitHub(upstream.Config{
			Name: "github", Title: "GitHub", ClientID: in.ClientID, Secret: in.ClientSecret.Read, Redirect: redirect("github"),
			AuthURL: in.AuthURL, TokenURL: in.TokenURL, APIURL: in.APIURL,
		})})
	}
	return all
}

// usersCommand lists the people of a home, invites one, or shuts one out.
func usersCommand(inv *invocation) error {
	me, err := inv.me()
	if err != nil {
		return err
	}
	verb, name := "list", ""
	if len(inv.args) > 0 {
		verb = inv.args[0]
	}
	if len(inv.args) > 1 {
		name = inv.args[1]
	}
	if (verb == "list") != (name == "") || len(inv.args) > 2 {
		return usage("want list, code NAME, disable NAME, enable NAME or reset NAME")
	}
	door := inv.app.login
	switch verb {
	case "list":
		return listUsers(inv)
	case "code":
		return inv.userCode(name)
	case "disable":
		err = door.Disable(me, name)
	case "enable":
		err = door.Enable(me, name)
	case "reset":
		err = door.Reset(me, name)
	default:
		return usage("there is no %q: want list, code, disable, enable or reset", verb)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("there is nobody called %q: deputy users lists them", name)
	case errors.Is(err, login.ErrOwner):
		return fmt.Errorf("%w: this home belongs to %s: to stop it all, use deputy freeze all", errRefused, name)
	}
	return err
}

// userCode prints a link that signs a person's browser in once, and makes their
// profile if there is none.
func (inv *invocation) userCode(name string) error {
	err := inv.app.login.Profiles.Add(name)
	switch {
	case errors.Is(err, login.ErrDisabled):
		return fmt.Errorf("%s is disabled: deputy users enable %s", name, name)
	case errors.Is(err, login.ErrName):
		return usage("%q: want a name of small letters, digits and . _ @ + -", name)
	case err != nil:
		return err
	}
	link, err := inv.app.login.SignInURL(name, "/profile")
	if err != nil {
		return err
	}
	if inv.global.json {
		return inv.printJSON(map[string]string{"url": link})
	}
	fmt.Fprintln(inv.out, link)
	return nil
}

func listUsers(inv *invocation) error {
	all, err := inv.app.login.Profiles.All()
	if err != nil {
		return err
	}
	type entry struct {
		User     string `json:"user"`
		State    string `json:"state"`
		Passkeys int    `json:"passkeys"`
		Accounts int    `json:"accounts"`
		Recovery int    `json:"recovery_codes"`
	}
	var list []entry
	var rows [][]string
	for _, p := range all {
		e := entry{p.User, "enabled", len(p.Passkeys), len(p.Identities), len(p.Recovery)}
		if p.User == inv.app.owner {
			e.State = "owner"
		} else if p.Disabled {
			e.State = "disabled"
		}
		list = append(list, e)
		rows = append(rows, []string{e.User, e.State, strconv.Itoa(e.Passkeys), strconv.Itoa(e.Accounts), strconv.Itoa(e.Recovery)})
	}
	return inv.list(map[string]any{"users": list}, "USER STATE PASSKEYS ACCOUNTS RECOVERY-CODES", rows)
}
