package authserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"deputy/authz"
)

// browser is one person's, or nobody's.
type browser struct {
	o    *office
	http *http.Client
}

func (o *office) browser(user string) *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{o, &http.Client{Transport: o, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if user != "" {
		b.signIn(user, "")
	}
	return b
}

func (b *browser) signIn(user, acr string) {
	b.o.mu.Lock()
	defer b.o.mu.Unlock()
	id := rand(16)
	b.o.sessions[id] = authz.Principal{User: user, Agent: "browser", Session: "s-" + id, AuthTime: time.Now(), ACR: acr}
	u, _ := url.Parse(issuer)
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: id, Path: "/"}})
}

// page is an answer, read.
type page struct {
	*http.Response
	text string
}

func (b *browser) do(r *http.Request, header ...string) page {
	b.o.Helper()
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.o.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.o.Fatal(err)
	}
	return page{resp, string(body)}
}

func (b *browser) get(path string, header ...string) page {
	b.o.Helper()
	r, err := http.NewRequest("GET", issuer+path, nil)
	if err != nil {
		b.o.Fatal(err)
	}
	return b.do(r, header...)
}

func (b *browser) post(path string, form url.Values, header ...string) page {
	b.o.Helper()
	r, err := http.NewRequest("POST", issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.o.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r, append([]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, header...)...)
}

// to is where an answer leads, which has to be prefix.
func (p page) to(t testing.TB, prefix string) url.Values {
	t.Helper()
	at := p.Header.Get("Location")
	if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(at, prefix) {
		t.Fatalf("%d to %q, want 303 to %s\n%s", p.StatusCode, at, prefix, p.text)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

var handleField = regexp.MustCompile(`name="handle" value="([^"]+)"`)

// handle is what the consent form on a page holds.
func (p page) handle(t testing.TB) string {
	t.Helper()
	m := handleField.FindStringSubmatch(p.text)
	if p.StatusCode != http.StatusOK || m == nil {
		t.Fatalf("%d: no consent is asked:\n%s", p.StatusCode, p.text)
	}
	return html.UnescapeString(m[1])
}

// wish is a request for a code, as a client would write it.
func wish(change ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {site}, "state": {"st&te=1"}, "scope": {"gmail.read"}, "resource": {resource},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == "-" {
			q.Del(change[i])
		} else {
			q.Set(change[i], change[i+1])
		}
	}
	return q
}

// code has the browser's person allow a wish.
func (b *browser) code(change ...string) string {
	b.o.Helper()
	q := wish(change...)
	p := b.get("/oauth/authorize?" + q.Encode())
	if p.StatusCode == http.StatusOK {
		p = b.post("/oauth/authorize", url.Values{"handle": {p.handle(b.o)}, "decision": {"allow"}})
	}
	code := p.to(b.o, q.Get("redirect_uri")).Get("code")
	if code == "" {
		b.o.Fatalf("no code: %s", p.Header.Get("Location"))
	}
	return code
}
