package vault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
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
	p.accountRoutes(mux)
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
			p.complain(w, r, err)
			return
		}
		wish = t.Wish
	} else {
		wish.Scopes = p.Scopes(wish.Provider)
	}
	if err := p.Vault.addUp(c, &wish); err != nil {
		p.complain(w, r, err)
		return
	}
	to, err := p.Vault.Begin(r.Context(), c, wish)
	if err != nil {
		p.complain(w, r, err)
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
		p.complain(w, r, ErrNotStarter)
		return
	}
	done, err := p.Vault.Finish(r.Context(), c, r.PathValue("provider"), r.URL.Query())
	if err != nil {
		p.complain(w, r, err)
		return
	}
	text := "connect.is"
	if len(done.Missing) > 0 {
		text = "connect.partly"
	}
	pages.Message(w, r, http.StatusOK, "connect.done", text, done.Name)
}

// complain is the one table from errors to what a person reads. Nothing the
// provider or the link said is repeated.
func (p Page) complain(w http.ResponseWriter, r *http.Request, err error) {
	var no *oauth.Refusal
	if known := slices.IndexFunc(complaints, func(c complaint) bool { return errors.Is(err, c.err) }); known >= 0 {
		pages.Message(w, r, complaints[known].status, "connect.not", complaints[known].text)
	} else if errors.As(err, &no) {
		pages.Message(w, r, http.StatusBadGateway, "connect.not", "connect.exchange", no.Code)
	} else {
		pages.Message(w, r, http.StatusBadGateway, "connect.not", "connect.unfinished")
	}
}

type complaint struct {
	err    error
	status int
	text   string
}

var complaints = []complaint{
	{ErrState, http.StatusBadRequest, "connect.state"},
	{ErrNotStarter, http.StatusForbidden, "connect.not_starter"},
	{ErrMixedUp, http.StatusBadRequest, "connect.mixed_up"},
	{ErrRefused, http.StatusForbidden, "connect.refused"},
	{ErrOtherAccount, http.StatusConflict, "connect.other"},
	{ErrNameTaken, http.StatusConflict, "connect.name"},
	{ErrFrozen, http.StatusForbidden, "connect.frozen"},
	{ErrUnconfigured, http.StatusNotFound, "connect.unconfigured"},
	{ErrNoAccount, http.StatusNotFound, "connect.none"},
}
