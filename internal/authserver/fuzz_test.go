package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// fuzzed sends a request as it came and judges what holds for all: no crash, no
// failure of ours, and nobody is led anywhere but back to where they registered.
func fuzzed(t *testing.T, o *office, method, path, query, body, auth string) {
	r, err := http.NewRequest(method, issuer+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = query
	r.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	r.Header["Authorization"] = []string{auth}
	r.AddCookie(&http.Cookie{Name: "session", Value: "fuzz"})
	resp, err := o.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 500 && resp.StatusCode != 503 {
		t.Fatalf("%d", resp.StatusCode)
	}
	if said := read(resp); resp.StatusCode == 503 && !strings.Contains(said.raw, "too many") {
		t.Fatalf("a failure of ours: %s", said.raw)
	}
	at := resp.Header.Get("Location")
	if at == "" {
		return
	}
	for _, c := range o.config.Clients {
		for _, u := range c.Redirects {
			if strings.HasPrefix(at, u+"?") || strings.HasPrefix(at, u+"&") {
				return
			}
		}
	}
	if u, err := url.Parse(at); err == nil && (strings.HasPrefix(at, "/oauth/authorize?resume=") || u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "::1" || u.Hostname() == "localhost")) {
		return
	}
	t.Fatalf("leads to %q", at)
}

func fuzzOffice(f *testing.F) *office {
	o, _ := company(f)
	o.browser("anna")
	for _, p := range o.sessions {
		o.sessions["fuzz"] = p
	}
	return o
}

func FuzzAuthorize(f *testing.F) {
	o := fuzzOffice(f)
	f.Add(wish().Encode())
	f.Add(wish("client_id", "desk", "redirect_uri", "http://127.0.0.1:1/callback", "prompt", "login").Encode())
	f.Add(wish("redirect_uri", "https://app.example@evil.example/callback").Encode())
	f.Add("client_id=app&request_uri=urn:ietf:params:oauth:request_uri:x")
	f.Add("resume=AAAA")
	f.Add("client_id=app&client_id=desk&redirect_uri=%zz;x=y&max_age=-1")
	f.Fuzz(func(t *testing.T, query string) {
		o.TB = t
		o.start() // with fresh limits
		fuzzed(t, o, "GET", "/oauth/authorize", query, "", "")
	})
}

func FuzzPush(f *testing.F) {
	o := fuzzOffice(f)
	f.Add(wish().Encode(), "")
	f.Add(wish("client_id", "-").Encode(), "Basic YmFja2VuZDpzM2NyZXQlMkYlMkIrJTI1")
	f.Add("%", "Basic !")
	f.Fuzz(func(t *testing.T, body, auth string) {
		o.TB = t
		o.start()
		fuzzed(t, o, "POST", "/oauth/par", "", body, auth)
	})
}

func FuzzToken(f *testing.F) {
	o := fuzzOffice(f)
	f.Add("grant_type=authorization_code&code=x&client_id=app&code_verifier="+verifier, "")
	f.Add("grant_type=refresh_token&refresh_token=dpr_"+strings.Repeat("A", 80)+"&client_id=app", "")
	f.Add("grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=x&client_id=tv", "")
	f.Add("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c", "Basic YmFja2VuZDpzM2NyZXQlMkYlMkIrJTI1")
	f.Fuzz(func(t *testing.T, body, auth string) {
		o.TB = t
		o.start()
		for _, path := range []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/device"} {
			fuzzed(t, o, "POST", path, "", body, auth)
		}
	})
}

// FuzzAssertion: claims of any shape, rightly signed, crash nothing; and nobody
// gets a token who is not the one person that is known.
func FuzzAssertion(f *testing.F) {
	o, p := company(f)
	f.Add(`{"iss":"https://idp.example","sub":"u-1","aud":"https://deputy.example","client_id":"backend","jti":"1","exp":1e12,"iat":1e12,"resource":"x"}`)
	f.Add(`{"iss":["https://idp.example"],"aud":{},"exp":"x"}`)
	f.Add(`{"iss":"https://idp.example","exp":1e309,"act":[]}`)
	f.Fuzz(func(t *testing.T, claims string) {
		o.TB = t
		o.start()
		if s := o.bring(p.signText(t, "oauth-id-jag+jwt", "k1", []byte(claims))); s.Status >= 500 {
			t.Fatalf("%d %s", s.Status, s.raw)
		} else if s.Status == 200 {
			if a, err := o.server.Verify(t.Context(), s.Access); err != nil || a.User != "anna" || a.Client != "backend" || a.Resource != resource {
				t.Fatalf("%+v %v", a, err)
			}
		}
	})
}
