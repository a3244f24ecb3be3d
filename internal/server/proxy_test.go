package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhoIsBehindAProxy(t *testing.T) {
	proxies, err := Proxies([]string{"127.0.0.1", "10.0.0.0/8", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ peer, header, want string }{
		"a stranger's word":     {"203.0.113.9:5", "198.51.100.1", "203.0.113.9:5"},
		"nothing said":          {"127.0.0.1:5", "", "127.0.0.1:5"},
		"one hop":               {"127.0.0.1:5", "198.51.100.1", "198.51.100.1:0"},
		"two proxies":           {"127.0.0.1:5", "198.51.100.1, 10.1.2.3", "198.51.100.1:0"},
		"a client that lies":    {"127.0.0.1:5", "192.0.2.1, 198.51.100.1", "198.51.100.1:0"},
		"nonsense before":       {"127.0.0.1:5", "unknown, 10.1.2.3", "10.1.2.3:0"},
		"nonsense":              {"127.0.0.1:5", "<script>", "127.0.0.1:5"},
		"the newer protocol":    {"[::1]:5", "2001:db8::7", "[2001:db8::7]:0"},
		"mapped into the newer": {"[::ffff:10.0.0.1]:5", "198.51.100.1", "198.51.100.1:0"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.header != "" {
			r.Header.Set("X-Forwarded-For", c.header)
		}
		got := ""
		Behind(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for _, bad := range []string{"", "localhost", "10.0.0.0/33", "1.2.3"} {
		if _, err := Proxies([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
