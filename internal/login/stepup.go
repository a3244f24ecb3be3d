package login

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/login/passkey"
	"deputy/internal/login/upstream"
	"deputy/internal/pages"
)

// errOther says that somebody else's proof came where one person's was asked.
var errOther = errors.New("login: another person than the one who is signed in")

// FreshNeed is what confirming something takes of a person: a proof of the last
// five minutes, and by passkey where one is enrolled. So a program that can make
// one-time codes on the person's machine confirms nothing.
func (l *Login) FreshNeed(user string) (Need, error) {
	n := Need{MaxAge: Fresh}
	if l.Profiles == nil {
		return n, nil
	}
	row, err := l.Profiles.Get(user)
	if row.has(l.Passkeys) {
		n.ACR = ACRPasskey
	}
	return n, err
}

// Strong reports whether a caller has proved itself as strongly as FreshNeed
// asks, at whatever time. A profile that cannot be read is a no.
func (l *Login) Strong(c authz.Caller) bool {
	n, err := l.FreshNeed(c.User())
	return err == nil && n.suits(c.ACR())
}

// StepUp asks the person again, and leads back to the page that needs it. The
// caller judges anew then: nothing in a link says that somebody has been asked.
func (l *Login) StepUp(w http.ResponseWriter, r *http.Request, n Need) {
	next := r.URL.RequestURI()
	if r.Method != http.MethodGet {
		next = r.URL.Path // the page whose form it was
	}
	if _, ok := l.Person(r); !ok {
		l.Ask(w, r)
		return
	}
	seeOther(w, r, againURL(next, n))
}

func againURL(next string, n Need) string {
	q := url.Values{"next": {next}}
	if n.MaxAge > 0 {
		q.Set("max_age", strconv.Itoa(int(n.MaxAge.Seconds())))
	}
	if n.ACR != "" {
		q.Set("acr", n.ACR)
	}
	return "/signin/again?" + q.Encode()
}

// needOf reads what a step-up was asked for. Whoever changes it in the address
// gets another page, and no more.
func needOf(r *http.Request) Need {
	n := Need{ACR: r.FormValue("acr")}
	if s, err := strconv.Atoi(r.FormValue("max_age")); err == nil && s > 0 && s < 1<<30 {
		n.MaxAge = time.Duration(s) * time.Second
	}
	return n
}

func (l *Login) stepUpPage(w http.ResponseWriter, r *http.Request) {
	l.renderStepUp(w, r, http.StatusOK, "")
}

func (l *Login) renderStepUp(w http.ResponseWriter, r *http.Request, status int, complaint string) {
	c, _, ok := l.person(r)
	if !ok {
		l.Ask(w, r)
		return
	}
	row, err := l.profileOf(c.User())
	if err != nil {
		l.fail(w, r, err)
		return
	}
	n, next := needOf(r), local(r.FormValue("next"))
	data := struct {
		User, Next, MaxAge, ACR, Complaint string
		Passkey, Code                      bool
		Ways                               []way
	}{
		User: c.User(), Next: next, MaxAge: r.FormValue("max_age"), ACR: n.ACR, Complaint: complaint,
		Passkey: row.has(l.Passkeys) && n.suits(ACRPasskey), Code: n.suits(ACRCode),
	}
	for _, p := range l.Accounts {
		mine := slices.ContainsFunc(row.Identities, func(i Identity) bool { return i.Issuer == p.Issuer() })
		if mine && p.Proves() && (n.suits(ACRAccount) || !strings.HasPrefix(n.ACR, ownACR)) {
			to, _ := strings.CutPrefix(againURL(next, n), "/signin/again?")
			data.Ways = append(data.Ways, way{p.Name(), p.Title(), "/signin/" + p.Name() + "?again=1&" + to})
		}
	}
	stepUpPage.Render(w, r, status, "stepup.title", data)
}

// ownACR begins the acr values that are deputy's own to give.
const ownACR = "urn:deputy:"

func (l *Login) stepUpWithCode(w http.ResponseWriter, r *http.Request) {
	c, ok := l.Person(r)
	if !ok {
		l.Ask(w, r)
		return
	}
	p, err := l.codeProof(strings.TrimSpace(r.FormValue("code")))
	if err == nil && p.User != c.User() {
		err = ErrDenied
	}
	if err == nil {
		err = l.begin(w, r, p, "stepup")
	}
	if err != nil {
		l.renderStepUp(w, r, http.StatusUnauthorized, "signin.bad_code")
		return
	}
	seeOther(w, r, local(r.FormValue("next")))
}

// askOwnPasskey hands the script what to ask the person's own passkeys.
func (l *Login) askOwnPasskey(w http.ResponseWriter, r *http.Request) {
	c, s, ok := l.person(r)
	if !ok || l.Passkeys == nil {
		l.errJSON(w, r, ErrDenied)
		return
	}
	row, err := l.profileOf(c.User())
	if err != nil || !row.has(l.Passkeys) {
		l.errJSON(w, r, errors.Join(err, ErrDenied))
		return
	}
	options, challenge, err := l.Passkeys.AskOwner(row.owner(), nil)
	if err == nil {
		challenge.AllowedCredentialIDs = nil // its own keys are looked up again
		err = l.put(w, attempt{For: stepUp, With: "passkey", Session: s.ID, User: c.User(), Passkey: &challenge}, passkey.Life)
	}
	if err != nil {
		l.errJSON(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, options)
}

func (l *Login) stepUpWithPasskey(w http.ResponseWriter, r *http.Request) {
	a, err := l.take(w, r, "passkey")
	if err == nil && a.For != stepUp {
		err = errElsewhere
	}
	if err == nil {
		_, err = l.sameSession(r, a)
	}
	var p proof
	if err == nil {
		p, err = l.answered(a, r.FormValue("answer"))
	}
	if err == nil {
		err = l.begin(w, r, p, "stepup")
	}
	if err != nil {
		status, key := explain(err)
		l.renderStepUp(w, r, status, key)
		return
	}
	seeOther(w, r, local(r.FormValue("next")))
}

// wishOf turns a need into what the provider is asked.
func wishOf(n Need) upstream.Wish {
	w := upstream.Wish{Fresh: true, MaxAge: n.MaxAge}
	if !strings.HasPrefix(n.ACR, ownACR) {
		w.ACR = n.ACR
	}
	return w
}

func (l *Login) profileOf(user string) (Profile, error) {
	if l.Profiles == nil {
		return Profile{User: user}, nil
	}
	return l.Profiles.Get(user)
}

// mayManage reports whether a session may change how its person signs in: with a
// fresh proof, by passkey where there is one, or by recovery code where that one
// is lost. An account that never says when somebody signed in counts from the
// session's begin, as long as nothing better is enrolled.
func (l *Login) mayManage(s session, row Profile) bool {
	strong := !row.has(l.Passkeys) || s.ACR == ACRPasskey || s.ACR == ACRRecovery
	at := s.AuthTime
	if at.IsZero() && !row.has(l.Passkeys) {
		at = s.Made
	}
	return strong && time.Since(at) <= Fresh
}

// manage lets a request through that changes how its person signs in, or leads
// to a step-up and back to the profile.
func (l *Login) manage(w http.ResponseWriter, r *http.Request) (session, Profile, bool) {
	_, s, ok := l.person(r)
	if !ok || l.Profiles == nil {
		l.Ask(w, r)
		return s, Profile{}, false
	}
	row, err := l.Profiles.Get(s.User)
	if err != nil {
		l.fail(w, r, err)
		return s, row, false
	}
	if !l.mayManage(s, row) {
		need, _ := l.FreshNeed(s.User)
		to := againURL("/profile", need)
		if r.Header.Get("Accept") == "application/json" {
			body, _ := json.Marshal(map[string]string{"again": to, "error": pages.Text(r, "stepup.title")})
			writeJSON(w, http.StatusUnauthorized, body)
		} else {
			seeOther(w, r, to)
		}
		return s, row, false
	}
	return s, row, true
}
