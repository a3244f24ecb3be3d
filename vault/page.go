package vault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"deputy/authz"
	"deputy/internal/pages"
	"deputy/vault/internal/oauth"
)

// Page connects accounts in a browser. Scopes gives the scopes a person is
// asked for who comes without a ticket.
type Page struct {
	Vault  *Vault
	Who    func(*http.Request) (authz.Caller, bool)
	SignIn http.HandlerFunc
	Scopes func(provider string) []string
}

// Routes adds /connect/{provider} and its callback to mux.
func (p Page) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /connect/{provider}", p.begin)
	mux.HandleFunc("GET /connect/{provider}/callback", p.finish)
}

// ticket is a sealed wish to connect: a link that says what to ask for and
// gives nobody the right to do it. Only its user, signed in, can follow it.
type ticket struct {
	Wish
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
}

var ticketAD = []byte("vault/ticket")

// ConnectURL is a link that leads the caller's user to the provider's consent.
// It works for an hour.
func (v *Vault) ConnectURL(c authz.Caller, w Wish) (string, error) {
	t, err := json.Marshal(ticket{w, c.User(), time.Now().Add(time.Hour)})
	if err != nil {
		return "", err
	}
	sealed, err := v.c.Sealer.Seal(ticketAD, t)
	if err != nil {
		return "", err
	}
	return v.c.PublicURL + "/connect/" + url.PathEscape(w.Provider) + "?want=" + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Connectable reports whether a provider can be connected at all: ErrUnconfigured
// says that its client is missing, or that it needs none.
func (v *Vault) Connectable(c authz.Caller, provider string) error {
	_, err := v.ready(c, &Wish{Provider: provider})
	return err
}

func (v *Vault) openTicket(text string) (t ticket, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return t, ErrState
	}
	plain, err := v.c.Sealer.Open(ticketAD, sealed)
	if err != nil {
		return t, ErrState
	}
	if err := json.Unmarshal(plain, &t); err != nil || time.Now().After(t.Expires) {
		return t, ErrState
	}
	return t, nil
}

func (p Page) begin(w http.ResponseWriter, r *http.Request) {
	c, ok := p.Who(r)
	if !ok {
		p.SignIn(w, r)
		return
	}
	wish := Wish{Provider: r.PathValue("provider")}
	if want := r.URL.Query().Get("want"); want != "" {
		t, err := p.Vault.openTicket(want)
		if err == nil && t.Provider != wish.Provider {
			err = ErrState
		}
		if err == nil && t.User != c.User() {
			err = ErrNotStarter
		}
		if err != nil {
			p.complain(w, err)
			return
		}
		wish = t.Wish
	} else {
		wish.Scopes = p.Scopes(wish.Provider)
	}
	if err := p.Vault.addUp(c, &wish); err != nil {
		p.complain(w, err)
		return
	}
	to, err := p.Vault.Begin(r.Context(), c, wish)
	if err != nil {
		p.complain(w, err)
		return
	}
	pages.Headers(w.Header())
	http.Redirect(w, r, to, http.StatusFound)
}

// addUp asks for what an account has as well, where a new grant replaces the
// old: asking for more must not lose what is there.
func (v *Vault) addUp(c authz.Caller, w *Wish) error {
	if p := v.routes[w.Provider]; p == nil || p.Several {
		return nil
	}
	return v.each(c, func(r connection) {
		if r.Provider == w.Provider && (w.Account == "" || w.Account == r.ID || w.Account == r.Alias) {
			w.Scopes = set(w.Scopes, r.Scopes)
		}
	})
}

func (p Page) finish(w http.ResponseWriter, r *http.Request) {
	c, ok := p.Who(r)
	if !ok {
		p.complain(w, ErrNotStarter)
		return
	}
	done, err := p.Vault.Finish(r.Context(), c, r.PathValue("provider"), r.URL.Query())
	if err != nil {
		p.complain(w, err)
		return
	}
	text := done.Name + " is connected. You can close this page."
	if len(done.Missing) > 0 {
		text = done.Name + " is connected, but not everything was ticked: tools that need the rest will ask again."
	}
	pages.Message(w, http.StatusOK, "Connected", text)
}

// complain is the one table from errors to what a person reads. Nothing the
// provider or the link said is repeated.
func (p Page) complain(w http.ResponseWriter, err error) {
	status, text := http.StatusBadGateway, "The provider did not finish the connection. Nothing was stored; try again."
	var no *oauth.Refusal
	switch {
	case errors.Is(err, ErrState):
		status, text = http.StatusBadRequest, "This link was used, changed or is too old. Start the connection again."
	case errors.Is(err, ErrNotStarter):
		status, text = http.StatusForbidden, "This connection was started by another person or in another browser. Nothing was stored."
	case errors.Is(err, ErrMixedUp):
		status, text = http.StatusBadRequest, "The answer came from another provider than the one asked. Nothing was stored."
	case errors.Is(err, ErrRefused):
		status, text = http.StatusForbidden, "The provider's consent was refused. Nothing was stored."
	case errors.Is(err, ErrOtherAccount):
		status, text = http.StatusConflict, "You signed in to a different account than the one to connect. Nothing was changed. To add it, connect it under a name of its own."
	case errors.Is(err, ErrNameTaken):
		status, text = http.StatusConflict, "The name is taken, or is none. Nothing was changed."
	case errors.Is(err, ErrFrozen):
		status, text = http.StatusForbidden, "This is frozen. Nothing was stored; thaw it first."
	case errors.Is(err, ErrUnconfigured):
		status, text = http.StatusNotFound, "The operator has not set a client_id for this provider (providers in deputy.yaml)."
	case errors.Is(err, ErrNoAccount):
		status, text = http.StatusNotFound, "There is no such provider."
	case errors.As(err, &no):
		status, text = http.StatusBadGateway, "The provider refused the exchange ("+no.Code+"). Nothing was stored."
	}
	pages.Message(w, status, "Not connected", text)
}
