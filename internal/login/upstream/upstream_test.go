package upstream

import (
	"net/url"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// FuzzWayBack: whatever a browser brings, a code goes on only with this
// attempt's state and no other issuer's name.
func FuzzWayBack(f *testing.F) {
	for _, s := range []string{"state=S&code=c&iss=https://idp", "state=S&code=c", "state=s&code=c", "code=c", "state=S&state=S&code=c", "state=S&code=c&code=d", "state=S&error=x&code=c", "%zz", "state=S&code=c&iss=https://evil"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, _ := url.ParseQuery(query)
		for _, must := range []bool{true, false} {
			code, err := judge(Attempt{State: "S"}, q, "https://idp", must)
			if err != nil {
				if code != "" {
					t.Errorf("%q: a refused code goes on", query)
				}
				continue
			}
			iss := q.Get("iss")
			if q.Get("state") != "S" || code == "" || q.Get("error") != "" || iss != "https://idp" && (must || iss != "") {
				t.Errorf("%q: %q goes on", query, code)
			}
		}
		if code, err := judge(Attempt{}, q, "https://idp", false); err == nil {
			t.Errorf("%q: without an attempt %q goes on", query, code)
		}
	})
}

// TestWishes holds answers against what was asked, to the second.
func TestWishes(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		wish Wish
		who  Account
		want error
	}{
		{Wish{}, Account{}, nil},
		{Wish{MaxAge: time.Minute}, Account{}, ErrNotNow},
		{Wish{MaxAge: time.Minute}, Account{AuthTime: now.Add(-time.Minute)}, nil},
		{Wish{MaxAge: time.Minute}, Account{AuthTime: now.Add(-time.Minute - leeway - time.Second)}, ErrNotNow},
		{Wish{ACR: "a b"}, Account{ACR: "b"}, nil},
		{Wish{ACR: "a b"}, Account{ACR: "a b"}, ErrWeak},
		{Wish{ACR: "a"}, Account{}, ErrWeak},
	} {
		if err := c.wish.met(c.who); err != c.want {
			t.Errorf("%+v, %+v: %v", c.wish, c.who, err)
		}
	}
}

// TestClientStyle: the header unless the server takes the form alone (RFC 6749
// §2.3.1); a public client has nothing to put there.
func TestClientStyle(t *testing.T) {
	for _, c := range []struct {
		secret  string
		methods []string
		want    oauth2.AuthStyle
	}{
		{"s", nil, oauth2.AuthStyleInHeader},
		{"s", []string{"client_secret_basic", "client_secret_post"}, oauth2.AuthStyleInHeader},
		{"s", []string{"client_secret_post", "client_secret_basic"}, oauth2.AuthStyleInHeader},
		{"s", []string{"client_secret_post"}, oauth2.AuthStyleInParams},
		{"s", []string{"client_secret_post", "private_key_jwt"}, oauth2.AuthStyleInParams},
		{"", []string{"client_secret_basic"}, oauth2.AuthStyleInParams},
	} {
		if got := style(c.secret, c.methods); got != c.want {
			t.Errorf("%q %v: %v", c.secret, c.methods, got)
		}
	}
}
