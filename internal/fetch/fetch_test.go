package fetch_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"deputy/internal/fetch"

	"code.dny.dev/ssrf"
)

// special are the addresses that are not the public internet (the registries of
// RFC 6890, with what translates into them).
var special = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
	"192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::7f00:1", "100::1",
	"2001::1", "2001:2::1", "2001:db8::1", "2002:7f00:1::", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1",
}

// T21: none of them is dialed, whether named as it stands or by a name that
// resolves to it.
func TestSpecialAddressesAreNotDialed(t *testing.T) {
	if len(special) != 35 {
		t.Fatalf("%d addresses", len(special))
	}
	refused := 0
	for _, ip := range special {
		_, err := fetch.Transport().DialContext(t.Context(), "tcp", net.JoinHostPort(ip, "443"))
		if errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) {
			refused++
		} else {
			t.Errorf("%s: %v", ip, err)
		}
	}
	t.Logf("%d of %d refused before connect", refused, len(special))
	if _, err := fetch.Transport().DialContext(t.Context(), "tcp", "8.8.8.8:80"); !errors.Is(err, ssrf.ErrProhibitedPort) {
		t.Errorf("another port: %v", err)
	}
	// localhost resolves to what is refused: the name does not help.
	if _, err := (fetch.Client{}).JSON(t.Context(), "https://localhost/x"); !errors.Is(err, fetch.ErrRefused) {
		t.Errorf("localhost: %v", err)
	}
	// The transport has no way around the dialer.
	if fetch.Transport().Proxy != nil {
		t.Error("a proxy would dial in its place")
	}
}

func TestAddressesThatAreNotFetched(t *testing.T) {
	reached := false
	c := fetch.Client{Via: roundTrip(func(*http.Request) (*http.Response, error) { reached = true; return nil, errors.New("no") })}
	for _, address := range []string{
		"http://example.com/x", "gopher://example.com/", "file:///etc/passwd", "ftp://example.com/", "//example.com/x", "example.com", "",
		"https://", "https://user:pass@example.com/", "https://example.com:8443/", "https://example.com:80/x", "https://example.com/#x", "https://exa mple.com/", "javascript:x",
		"https://[::1", "https://\x00/",
	} {
		if _, err := c.JSON(t.Context(), address); !errors.Is(err, fetch.ErrRefused) || reached {
			t.Errorf("%q: %v, reached %v", address, err, reached)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// to sends every request to a test server, whatever its name.
func to(srv *httptest.Server) http.RoundTripper {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
}

// T21, T22: what a hostile server answers.
func TestAnswersThatAreNotTaken(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		},
		"not found": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "{}")
		},
		"no type": func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; fmt.Fprint(w, "{}") },
		"10 MB":   json(strings.Repeat(`"x",`, 2<<20)),
		"a gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			json("x")(w, nil)
		},
		"100,000 deep":    json(strings.Repeat("[", 60000)),
		"deep in objects": json(strings.Repeat(`{"a":`, 5000)),
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"a":`)
		},
	} {
		srv := httptest.NewTLSServer(answer)
		start := time.Now()
		body, err := (fetch.Client{Via: to(srv)}).JSON(t.Context(), "https://client.example/metadata.json")
		if !errors.Is(err, fetch.ErrRefused) {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
		if time.Since(start) > 2*fetch.Timeout {
			t.Errorf("%s took too long", name)
		}
		srv.Close()
	}
	srv := httptest.NewTLSServer(json(`{"a":"[[[[\"{{{{"}`))
	defer srv.Close()
	if body, err := (fetch.Client{Via: to(srv)}).JSON(t.Context(), "https://client.example/metadata.json"); err != nil || !bytes.Contains(body, []byte("a")) {
		t.Errorf("a good one: %s, %v", body, err)
	}
}

// T22: a server that sends a byte now and then is cut off.
func TestASlowAnswerIsCutOff(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // fetch.Timeout, but a test is short
	defer cancel()
	if _, err := (fetch.Client{Via: to(srv)}).JSON(ctx, "https://client.example/"); !errors.Is(err, fetch.ErrRefused) {
		t.Errorf("%v", err)
	}
}

func json(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	}
}
