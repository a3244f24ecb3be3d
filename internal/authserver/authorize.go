package authserver

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/authserver/clients"
	"deputy/internal/pages"
)

// authorize answers GET /oauth/authorize. Other sites lead here; nothing is
// given without a click on our own page, or one that was made earlier.
//
// A request that must not be read twice (a pushed one), or that notes when it
// came (prompt=login), goes on under an address of its own, sealed.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if err := s.limits.fromAddress(r, "authorize"); err != nil {
		pages.Message(w, r, http.StatusTooManyRequests, "oauth.title", "oauth.busy")
		return
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > 2*maxQuery {
		pages.Message(w, r, http.StatusBadRequest, "oauth.title", "oauth.malformed")
		return
	}
	if form.Has("resume") {
		h, err := s.unseal(resumeAD, form.Get("resume"))
		if err != nil {
			pages.Message(w, r, http.StatusNotFound, "oauth.title", "oauth.over")
			return
		}
		if client, ok := s.front(w, r, h.Request.Client, h.Request.Redirect); ok {
			s.next(w, r, h.Request, client)
		}
		return
	}
	s.begin(w, r, form)
}

// front finds the client of a request in the browser. Before its redirect URI is
// known to be the client's, no error may be sent there: it is a page.
func (s *Server) front(w http.ResponseWriter, r *http.Request, id, redirect string) (clients.Client, bool) {
	client, err := s.find(r, id)
	var f *fault
	switch {
	case err == nil && client.Allows(redirect):
		return client, true
	case err == nil:
		pages.Message(w, r, http.StatusBadRequest, "oauth.title", "oauth.redirect")
	case errors.Is(err, errClient):
		pages.Message(w, r, http.StatusBadRequest, "oauth.title", "oauth.client")
	case errors.As(err, &f):
		pages.Message(w, r, f.status, "oauth.title", "oauth.busy")
	default:
		s.log.Error("authserver", "error", err)
		pages.Message(w, r, http.StatusServiceUnavailable, "oauth.title", "oauth.broken")
	}
	return clients.Client{}, false
}

// begin reads a request that has just come in.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, form url.Values) {
	for _, name := range []string{"client_id", "redirect_uri", "request_uri"} {
		if len(form[name]) > 1 {
			pages.Message(w, r, http.StatusBadRequest, "oauth.title", "oauth.malformed")
			return
		}
	}
	if len(r.URL.RawQuery) > maxQuery {
		pages.Message(w, r, http.StatusBadRequest, "oauth.title", "oauth.malformed")
		return
	}
	if form.Has("request_uri") {
		q, err := s.take(form.Get("request_uri"), form.Get("client_id"))
		if err != nil {
			pages.Message(w, r, http.StatusNotFound, "oauth.title", "oauth.over")
			return
		}
		s.resume(w, r, q)
		return
	}
	client, ok := s.front(w, r, form.Get("client_id"), form.Get("redirect_uri"))
	if !ok {
		return
	}
	q, err := s.read(form, client)
	switch {
	case err != nil:
		s.back(w, r, q, err)
	case q.wants(promptLogin):
		s.resume(w, r, q)
	default:
		s.next(w, r, q, client)
	}
}

// resume leads on to the request's own address.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, q request) {
	if q.wants(promptLogin) {
		q.Since = time.Now().UTC().Truncate(time.Second)
	}
	h, err := s.seal(resumeAD, handle{Request: q})
	if err != nil {
		s.back(w, r, q, err)
		return
	}
	seeOther(w, "/oauth/authorize?resume="+h)
}

// next asks for what is still lacking, in this order: a person, a proof, a yes.
func (s *Server) next(w http.ResponseWriter, r *http.Request, q request, client clients.Client) {
	silent := q.wants(promptNone)
	who, ok := s.c.People.Person(r)
	if !ok {
		if silent {
			s.back(w, r, q, refuse(loginRequired, "nobody is signed in"))
			return
		}
		s.c.People.Ask(w, r)
		return
	}
	if need, lacking := q.lacks(who, s.c.People.Meets); lacking {
		switch {
		case silent && need.ACR != "":
			s.back(w, r, q, refuse(unmet, "the person's sign-in is weaker than asked"))
		case silent:
			s.back(w, r, q, refuse(loginRequired, "the person's sign-in is older than asked"))
		default:
			s.c.People.StepUp(w, r, need)
		}
		return
	}
	covered, err := s.covered(who.User(), q, client)
	switch {
	case err != nil:
		s.back(w, r, q, err)
	case covered && !q.wants(promptConsent):
		s.give(w, r, q, client, who, false)
	case silent:
		s.back(w, r, q, refuse(consentRequired, "the person has not allowed this yet"))
	default:
		s.ask(w, r, q, client, who)
	}
}

// decide takes the consent form.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	who, ok := s.c.People.Person(r)
	if !ok {
		pages.Message(w, r, http.StatusUnauthorized, "oauth.title", "oauth.over")
		return
	}
	h, err := s.asked(consentAD, r.PostFormValue("handle"), who)
	if err != nil {
		pages.Message(w, r, http.StatusNotFound, "oauth.title", "oauth.over")
		return
	}
	client, ok := s.front(w, r, h.Request.Client, h.Request.Redirect)
	if !ok {
		return
	}
	switch r.PostFormValue("decision") {
	case "allow":
		s.give(w, r, h.Request, client, who, true)
	case "deny":
		if err = s.refused(who, client); err == nil {
			err = refuse(accessDenied, "the person said no")
		}
		s.back(w, r, h.Request, err)
	default:
		pages.Message(w, r, http.StatusBadRequest, "oauth.title", "oauth.undecided")
	}
}

// give makes the code, with the consent it rests on if that is new, in one
// transaction, and leads back to the client with it.
func (s *Server) give(w http.ResponseWriter, r *http.Request, q request, client clients.Client, who authz.Caller, consented bool) {
	var text string
	err := s.change(func(c *change) (err error) {
		if consented {
			if err := c.consent(who, q, client); err != nil {
				return err
			}
		}
		text, err = c.newCode(q, who)
		return err
	})
	if err != nil {
		s.back(w, r, q, err)
		return
	}
	s.lead(w, r, q, url.Values{"code": {text}})
}

// back leads back to the client with an error (RFC 6749 §4.1.2.1).
func (s *Server) back(w http.ResponseWriter, r *http.Request, q request, err error) {
	f := s.faultOf(err)
	s.lead(w, r, q, url.Values{"error": {f.code}, "error_description": {f.words}})
}

// lead sends the browser back to the client. Every answer says who it is from
// (RFC 9207), and every one is a redirect a client can follow: except after one
// of our own forms, whose page lets the browser go nowhere else (form-action);
// there it is a page that leads on.
func (s *Server) lead(w http.ResponseWriter, r *http.Request, q request, say url.Values) {
	if q.State != "" {
		say.Set("state", q.State)
	}
	say.Set("iss", s.issuer)
	sep := "?"
	if strings.Contains(q.Redirect, "?") {
		sep = "&"
	}
	to := q.Redirect + sep + say.Encode()
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "same-origin" && strings.HasPrefix(to, "http") {
		pages.Leave(w, r, to)
		return
	}
	seeOther(w, to)
}

func seeOther(w http.ResponseWriter, to string) {
	pages.Headers(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// leadsTo is where the consent form may lead: back to the client, and from there
// to wherever the client goes on over https, since browsers hold the form's page
// to account for the whole way.
func leadsTo(redirect string) []string {
	u, err := url.Parse(redirect)
	if err != nil || u.Scheme == "https" {
		return []string{"https:"}
	}
	if u.Scheme != "http" {
		return []string{u.Scheme + ":", "https:"}
	}
	if strings.HasPrefix(u.Host, "[") { // no place for IPv6 in a source expression (CSP 3 §2.3.1)
		return []string{"http:", "https:"}
	}
	return []string{"http://" + u.Host, "https:"}
}

// scopesTitled pairs scopes with what they allow.
func (s *Server) scopesTitled(names []string) (out []Scope) {
	for _, k := range s.c.Scopes {
		if slices.Contains(names, k.Name) {
			out = append(out, k)
		}
	}
	return out
}
