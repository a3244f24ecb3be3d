package authserver_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"deputy/internal/audit"
	"deputy/internal/authserver"
	"deputy/internal/store"
)

// said is what a machine's endpoint answers.
type said struct {
	Status  int
	Header  http.Header
	Access  string  `json:"access_token"`
	Refresh string  `json:"refresh_token"`
	Scope   string  `json:"scope"`
	Life    int     `json:"expires_in"`
	Error   string  `json:"error"`
	Words   string  `json:"error_description"`
	URI     string  `json:"request_uri"`
	Device  string  `json:"device_code"`
	User    string  `json:"user_code"`
	Verify  string  `json:"verification_uri"`
	Active  *bool   `json:"active"`
	Subject string  `json:"sub"`
	Every   float64 `json:"interval"`
	ID      string  `json:"client_id"`
	raw     string
}

func (o *office) call(path string, form url.Values, header ...string) said {
	o.Helper()
	r, err := http.NewRequest("POST", issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := o.RoundTrip(r)
	if err != nil {
		o.Fatal(err)
	}
	return read(resp)
}

func read(resp *http.Response) said {
	body, _ := io.ReadAll(resp.Body)
	s := said{Status: resp.StatusCode, Header: resp.Header, raw: string(body)}
	json.Unmarshal(body, &s)
	return s
}

// form makes a form of pairs; "-" leaves one out.
func form(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// redeem gets tokens for a code.
func (o *office) redeem(code string, change ...string) said {
	o.Helper()
	return o.call("/oauth/token", form(append([]string{
		"grant_type", "authorization_code", "code", code, "client_id", "app", "redirect_uri", site, "code_verifier", verifier, "resource", resource,
	}, change...)...))
}

func (o *office) refresh(token string, change ...string) said {
	o.Helper()
	return o.call("/oauth/token", form(append([]string{"grant_type", "refresh_token", "refresh_token", token, "client_id", "app"}, change...)...))
}

// tokens has a person allow the app, and the app get its tokens.
func (o *office) tokens(user string) said {
	o.Helper()
	t := o.redeem(o.browser(user).code())
	if t.Status != 200 || t.Access == "" || t.Refresh == "" {
		o.Fatalf("%d %s", t.Status, t.raw)
	}
	return t
}

func (o *office) valid(token string) bool {
	o.Helper()
	_, err := o.server.Verify(o.Context(), token)
	if err != nil && !errors.Is(err, authserver.ErrToken) {
		o.Fatal(err)
	}
	return err == nil
}

// lines are the audit log's, of one event.
func (o *office) lines(event string) (all []audit.Line) {
	o.Helper()
	err := o.store.View(func(tx store.Tx) error {
		return audit.Each(tx, func(raw json.RawMessage) error {
			var l audit.Line
			if err := json.Unmarshal(raw, &l); err != nil {
				return err
			}
			if l.Event == event {
				all = append(all, l)
			}
			return nil
		})
	})
	if err != nil {
		o.Fatal(err)
	}
	return all
}

func newJSON(t testing.TB, address, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func parse(p page) said {
	s := said{Status: p.StatusCode, Header: p.Header, raw: p.text}
	json.Unmarshal([]byte(p.text), &s)
	return s
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
