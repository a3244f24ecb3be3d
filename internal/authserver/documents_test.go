package authserver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"deputy/internal/authserver"
	"deputy/internal/fetch"
)

const published = "https://client.example/oauth/client.json"

func document(change ...string) string {
	d := map[string]string{
		"client_id": `"` + published + `"`, "client_name": `"Client"`, "redirect_uris": `["https://client.example/cb"]`,
		"grant_types": `["authorization_code","refresh_token"]`, "token_endpoint_auth_method": `"none"`,
	}
	for i := 0; i < len(change); i += 2 {
		if d[change[i]] = change[i+1]; change[i+1] == "-" {
			delete(d, change[i])
		}
	}
	var members []string
	for k, v := range d {
		members = append(members, `"`+k+`":`+v)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func ask(o *office, b *browser, change ...string) page {
	o.Helper()
	return b.get("/oauth/authorize?" + wish(append([]string{"client_id", published, "redirect_uri", "https://client.example/cb"}, change...)...).Encode())
}

// TestDocuments: a document is about its own address, or about nobody.
func TestDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		good     bool
	}{
		"good":                   {document(), true},
		"members nobody knows":   {document("x", `{"y":[1]}`, "logo_uri", `"http://169.254.169.254/"`), true},
		"another id":             {document("client_id", `"https://client.example/other"`), false},
		"an id in other letters": {document("client_id", `"https://CLIENT.example/oauth/client.json"`), false},
		"an id with a slash":     {document("client_id", `"`+published+`/"`), false},
		"no id":                  {document("client_id", "-"), false},
		"no redirects":           {document("redirect_uris", "-"), false},
		"another redirect":       {document("redirect_uris", `["https://client.example/other"]`), false},
		"a script":               {document("redirect_uris", `["https://client.example/cb","javascript:alert(1)"]`), false},
		"plain http":             {document("redirect_uris", `["https://client.example/cb","http://client.example/cb"]`), false},
		"a wildcard":             {document("redirect_uris", `["https://client.example/cb","https://*.example/cb"]`), false},
		"too many":               {document("redirect_uris", `["https://client.example/cb"`+strings.Repeat(`,"https://client.example/x"`, 40)+`]`), false},
		"a shared secret":        {document("client_secret", `"x"`), false},
		"a secret method":        {document("token_endpoint_auth_method", `"client_secret_post"`), false},
		"implicit":               {document("response_types", `["token"]`), false},
		"not its grant":          {document("grant_types", `["client_credentials"]`), false},
		"numbers":                {document("redirect_uris", `[1]`), false},
		"a list":                 {`[]`, false},
		"half":                   {`{"client_id":"`, false},
		"nothing":                {``, false},
		"bytes":                  {"\xff\xfe", false},
	} {
		o := newOffice(t)
		o.publish(published, c.document)
		p := ask(o, o.browser("anna"))
		if asked := p.StatusCode == 200 && handleField.MatchString(p.text); asked != c.good {
			t.Errorf("%s: %d", name, p.StatusCode)
		}
		if at := p.Header.Get("Location"); at != "" && !strings.HasPrefix(at, "https://client.example/cb?error=unauthorized_client") {
			t.Errorf("%s: leads to %q", name, at)
		}
	}
	// Without grant_types it is the code alone (RFC 7591 §2).
	o := newOffice(t)
	o.publish(published, document("grant_types", "-"))
	at := []string{"client_id", published, "redirect_uri", "https://client.example/cb"}
	if s := o.redeem(o.browser("anna").code(at...), at...); s.Status != 200 || s.Refresh != "" {
		t.Errorf("%s", s.raw)
	}
}

// TestAddressesThatAreNoClients: nothing is fetched from them.
func TestAddressesThatAreNoClients(t *testing.T) {
	o := newOffice(t)
	reached := false
	any := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
	for _, h := range []string{"client.example", "client.example:8443", "169.254.169.254", "localhost"} {
		o.hosts[h] = any
	}
	for _, id := range []string{
		"https://client.example", "https://client.example/", "http://client.example/x", "https://u:p@client.example/x", "https://client.example/x#y",
		"https://client.example/x?y", "https://client.example/x?", "https://client.example/../x", "https://client.example/./x", "https://client.example/%2e%2e/x",
		"https://client.example:8443/x", "https://CLIENT.example/x", "HTTPS://client.example/x", "https:///x", "https://client.example/ x", "https://client.example/x\n",
		"file:///etc/passwd", "gopher://client.example/x", "//client.example/x", "https://client.example/" + strings.Repeat("x", 2000),
	} {
		if p := ask(o, o.browser("anna"), "client_id", id); p.StatusCode != 400 {
			t.Errorf("%q: %d", id, p.StatusCode)
		}
	}
	if reached {
		t.Error("something was fetched")
	}
}

// TestDocumentsAreKept as long as they say, within bounds; what fails is not
// asked again at once, and a host that is down signs nobody out.
func TestDocumentsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		var fetched atomic.Int32
		age, broken := "max-age=600", false
		o.hosts["client.example"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fetched.Add(1)
			if broken {
				w.WriteHeader(500)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", age)
			io.WriteString(w, document())
		})
		anna := o.browser("anna")
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() { ask(o, anna) })
		}
		wait.Wait()
		count := func(want int32, when string) {
			t.Helper()
			if got := fetched.Load(); got != want {
				t.Errorf("%s: fetched %d times, want %d", when, got, want)
			}
		}
		count(1, "twenty at once")
		time.Sleep(599 * time.Second)
		ask(o, anna)
		count(1, "before its time")
		age = "no-store"
		time.Sleep(2 * time.Second)
		ask(o, anna)
		count(2, "after its time")
		time.Sleep(4 * time.Minute)
		ask(o, anna)
		count(2, "no-store, and five minutes all the same")
		age = "max-age=31536000"
		time.Sleep(2 * time.Minute)
		ask(o, anna)
		time.Sleep(25 * time.Hour)
		at := []string{"client_id", published, "redirect_uri", "https://client.example/cb"}
		token := o.redeem(anna.code(at...), at...)
		count(4, "a year, and a day all the same")
		broken = true
		time.Sleep(25 * time.Hour)
		if s := o.refresh(token.Refresh, "client_id", published); s.Status != 200 {
			t.Errorf("while its host is down: %s", s.raw)
		}
		o.refresh("x", "client_id", published)
		count(5, "a failure is not tried again at once")
		time.Sleep(25 * time.Hour)
		if p := ask(o, anna); p.StatusCode != 400 {
			t.Errorf("down for two days: %d", p.StatusCode)
		}
	})
}

// TestManyAddressesCostLittle: one address has us fetch only so much.
func TestManyAddressesCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		var fetched atomic.Int32
		o.hosts["client.example"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) })
		for i := range 100 {
			ask(o, o.browser(""), "client_id", fmt.Sprintf("https://client.example/%d", i))
		}
		if n := fetched.Load(); n > 31 {
			t.Errorf("%d documents were fetched", n)
		}
	})
}

// TestHostileDocuments (T22): ten megabytes, a bomb, a trickle, a hundred thousand
// brackets, a redirect inside: cut at 64 KiB, 5 s and 32 levels, over a real
// connection, with flat memory.
func TestHostileDocuments(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(bytes.Repeat([]byte(" "), 10<<20))
	z.Close()
	var sent atomic.Int64
	host := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/large":
			for range 10 << 20 / 4096 {
				n, err := w.Write(bytes.Repeat([]byte(" "), 4096))
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		case "/slow":
			for r.Context().Err() == nil {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		case "/deep":
			io.WriteString(w, strings.Repeat("[", 60_000))
		case "/deeper":
			io.WriteString(w, `{"x":`+strings.Repeat(`{"x":`, 100_000)+strings.Repeat("}", 100_001))
		case "/redirect":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		case "/html":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, document())
		}
	}))
	defer host.Close()
	via := fetch.Transport()
	via.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, host.Listener.Addr().String())
	}
	via.TLSClientConfig = &tls.Config{RootCAs: host.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
	o := newOffice(t, func(c *authserver.Config) { c.Fetch = fetch.Client{Via: via} })
	anna := o.browser("anna")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, path := range []string{"large", "bomb", "deep", "deeper", "redirect", "html", "slow"} {
		begun := time.Now()
		p := ask(o, anna, "client_id", "https://client.example/"+path)
		if p.StatusCode != 400 || strings.Contains(p.text, "[[") {
			t.Errorf("%s: %d", path, p.StatusCode)
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("%s took %v", path, took)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes stay", grown)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > 24<<20 {
		t.Errorf("%d bytes were allocated on the way", total)
	}
	if sent.Load() > 4<<20 {
		t.Errorf("%d bytes were taken from it", sent.Load())
	}
	// The transport that is used outside tests dials no address of ours.
	inside := newOffice(t, func(c *authserver.Config) { c.Fetch = fetch.Client{} })
	for _, id := range []string{"https://127.0.0.1/x", "https://localhost/x", "https://169.254.169.254/x", "https://[::1]/x"} {
		if p := ask(inside, inside.browser("anna"), "client_id", id); p.StatusCode != 400 {
			t.Errorf("%s: %d", id, p.StatusCode)
		}
	}
}
