package vault

import (
	"embed"
	"errors"
	"net/http"

	"deputy/internal/pages"
)

//go:embed templates
var templates embed.FS

var accountsPage = pages.Parse(templates, "templates/accounts.html")

// accountRoutes adds the list of a person's accounts, and ending one.
func (p Page) accountRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /accounts", p.accounts)
	mux.HandleFunc("POST /accounts/disconnect", p.disconnect)
}

// shownAccount is an account on the page.
type shownAccount struct {
	Account
	Title, StateKey, Tone string
	Removable             bool // a static key is the operator's to take away
}

// connectable is a provider that an account can be connected at.
type connectable struct{ Name, Title string }

func (p Page) accounts(w http.ResponseWriter, r *http.Request) {
	c, ok := p.Who(r)
	if !ok {
		p.SignIn(w, r)
		return
	}
	all, err := p.Vault.Accounts(r.Context(), c)
	if err != nil {
		p.complain(w, r, err)
		return
	}
	var data struct {
		Accounts    []shownAccount
		Connectable []connectable
	}
	for _, a := range all {
		s := shownAccount{Account: a, Title: p.Vault.Title(a.Provider), StateKey: "accounts.active", Tone: "done", Removable: p.Vault.routes[a.Provider].Key.IsZero()}
		switch a.State {
		case active:
		case inDoubt:
			s.StateKey, s.Tone = "accounts.in_doubt", "pending"
		default:
			s.StateKey, s.Tone = "accounts.reconnect", "failed"
		}
		data.Accounts = append(data.Accounts, s)
	}
	for _, name := range p.Vault.Providers() {
		if p.Vault.Connectable(c, name) == nil {
			data.Connectable = append(data.Connectable, connectable{name, p.Vault.Title(name)})
		}
	}
	accountsPage.Render(w, r, http.StatusOK, "accounts.title", data)
}

func (p Page) disconnect(w http.ResponseWriter, r *http.Request) {
	c, ok := p.Who(r)
	if !ok {
		p.SignIn(w, r)
		return
	}
	id := r.PostFormValue("account")
	report, err := p.Vault.Disconnect(r.Context(), c, id)
	switch {
	case errors.Is(err, ErrNoAccount):
		pages.Message(w, r, http.StatusNotFound, "missing.title", "accounts.gone")
	case err != nil:
		p.complain(w, r, err)
	case !report.Revoked:
		pages.Message(w, r, http.StatusOK, "accounts.ended", "accounts.ended_here", report.ID)
	default:
		pages.Message(w, r, http.StatusOK, "accounts.ended", "accounts.ended_there", report.ID)
	}
}
