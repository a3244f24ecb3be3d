package clients

import (
	"net/url"
	"strings"
	"testing"

	"deputy/internal/fetch"
	"deputy/internal/store"
)

type plainSealer struct{}

func (plainSealer) Seal(_, p []byte) ([]byte, error) { return p, nil }
func (plainSealer) Open(_, c []byte) ([]byte, error) { return c, nil }

// TestOperatorsMistakes stop the start.
func TestOperatorsMistakes(t *testing.T) {
	good := Client{ID: "x", Redirects: []string{"https://a.example/"}}
	for name, list := range map[string][]Client{
		"no id":               {{Redirects: good.Redirects}},
		"an address as id":    {{ID: "https://a.example/x", Redirects: good.Redirects}},
		"a registered id":     {{ID: "dcr_x", Redirects: good.Redirects}},
		"no way back":         {{ID: "x"}},
		"twice":               {good, good},
		"a wrong way back":    {{ID: "x", Redirects: []string{"http://a.example/"}}},
		"asks without secret": {{ID: "x", Redirects: good.Redirects, Introspects: true}},
		"notes, no secret":    {{ID: "x", Grants: []string{AssertionGrant}}},
		"an unknown grant":    {{ID: "x", Grants: []string{"password"}}},
	} {
		if _, err := NewDirectory(store.NewMemory(), plainSealer{}, fetch.Client{}, list, false); err == nil {
			t.Errorf("%s starts", name)
		}
	}
	d, err := NewDirectory(store.NewMemory(), plainSealer{}, fetch.Client{}, []Client{good}, false)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := d.Find(t.Context(), "x", nil); err != nil || !c.Public() || c.Secret.Matches("") || !c.May(RefreshGrant) || c.May(DeviceGrant) {
		t.Errorf("%+v %v", c, err)
	}
}

// FuzzDocument: what is accepted is about its address and holds only addresses
// that a code may be sent to.
func FuzzDocument(f *testing.F) {
	const address = "https://a.example/x"
	f.Add([]byte(`{"client_id":"https://a.example/x","redirect_uris":["https://a.example/cb"],"client_name":"A"}`))
	f.Add([]byte(`{"client_id":"https://a.example/x","redirect_uris":["http://127.0.0.1/cb","com.a:/x"],"grant_types":["refresh_token","authorization_code"]}`))
	f.Add([]byte(`{"client_id":"https://a.example/x","redirect_uris":["http://127.0.0.1@evil.example/"]}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := published(address, body)
		if err != nil {
			return
		}
		if c.ID != address || c.Host != "a.example" || !c.Public() || c.May(AssertionGrant) || len(c.Redirects) > maxRedirects || len([]rune(c.Name)) > maxName+1 {
			t.Fatalf("%+v", c)
		}
		for _, r := range c.Redirects {
			u, err := url.Parse(r)
			if err != nil || !c.Allows(r) || u.User != nil || u.Fragment != "" ||
				u.Scheme == "http" && !strings.HasPrefix(u.Host, "127.0.0.1") && !strings.HasPrefix(u.Host, "[::1]") && !strings.HasPrefix(u.Host, "localhost") ||
				u.Scheme == "javascript" || u.Scheme == "data" || u.Scheme == "" {
				t.Fatalf("%q", r)
			}
		}
	})
}

// FuzzAllows: what is allowed differs from what was registered in a loopback
// port, or in nothing.
func FuzzAllows(f *testing.F) {
	c := Client{Redirects: []string{"https://a.example/cb", "http://127.0.0.1/cb", "http://localhost:1/"}}
	f.Add("https://a.example/cb")
	f.Add("http://127.0.0.1:99/cb")
	f.Add("http://127.0.0.1:99@evil.example/cb")
	f.Add("http://localhost:1\\@evil.example/")
	f.Fuzz(func(t *testing.T, uri string) {
		if !c.Allows(uri) || uri == c.Redirects[0] {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q: %v", uri, err)
		}
		if host := u.Hostname() + u.EscapedPath(); host != "127.0.0.1/cb" && host != "localhost/" {
			t.Fatalf("%q", uri)
		}
	})
}
