package authserver_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"deputy/authz"
	"deputy/internal/authserver"
	"deputy/internal/login"
)

// TestBehindTheRealDoor: people sign in at deputy's own sign-in page on the way,
// and come back to what they were asked.
func TestBehindTheRealDoor(t *testing.T) {
	var door *login.Login
	o := newOffice(t, func(c *authserver.Config) {
		door = &login.Login{Store: c.Store, Door: authz.NewDoor(func(context.Context, authz.Principal) error { return nil }), Public: c.Issuer}
		c.People.Person, c.People.Ask = door.Person, door.Ask
		c.People.StepUp = func(w http.ResponseWriter, r *http.Request, n authserver.Need) {
			door.StepUp(w, r, login.Need{MaxAge: n.MaxAge, ACR: n.ACR})
		}
		c.People.Meets = func(c authz.Caller, acr string) bool { return login.Need{ACR: acr}.Met(c) }
		c.ACRValues = []string{login.ACRCode, login.ACRPasskey}
	})
	door.Routes(o.mux)
	for user, at := range map[string]string{
		"anna": "/oauth/authorize?" + wish("acr_values", login.ACRCode).Encode(),
		"bo":   "/oauth/authorize?" + url.Values{"client_id": {"app"}, "request_uri": {o.call("/oauth/par", wish("state", strings.Repeat("s", 2000))).URI}}.Encode(),
	} {
		person := o.browser("")
		p := person.get(at)
		if to := p.Header.Get("Location"); to != "" {
			p = person.get(to)
		}
		m := nextField.FindStringSubmatch(p.text)
		if p.StatusCode != 401 || m == nil {
			t.Fatalf("%s: %d %s", user, p.StatusCode, p.text)
		}
		code, err := door.Code(user)
		if err != nil {
			t.Fatal(err)
		}
		next := html.UnescapeString(m[1])
		back := person.post("/signin", form("code", code, "next", next)).Header.Get("Location")
		if back != next {
			t.Fatalf("%s: leads back to %q, not %q", user, back, next)
		}
		h := person.get(back, "Sec-Fetch-Site", "same-origin").handle(t)
		q := person.post("/oauth/authorize", form("handle", h, "decision", "allow")).to(t, site)
		s := o.redeem(q.Get("code"))
		a, err := o.server.Verify(t.Context(), s.Access)
		if err != nil || a.User != user || a.ACR != login.ACRCode || a.AuthTime.IsZero() {
			t.Errorf("%s: %+v %v", user, a, err)
		}
		// Stronger than a code: the door is asked, and leads back.
		p = person.get("/oauth/authorize?" + wish("acr_values", login.ACRPasskey).Encode())
		if to := p.Header.Get("Location"); !strings.HasPrefix(to, "/signin/again?acr=") || !strings.Contains(to, "next=%2Foauth%2Fauthorize") {
			t.Errorf("%s: step-up leads to %q", user, to)
		}
	}
}

var nextField = regexp.MustCompile(`name="next" value="([^"]+)"`)
