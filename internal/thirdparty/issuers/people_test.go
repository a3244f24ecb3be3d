package issuers

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"deputy/authz"
	"deputy/internal/login"
	"deputy/internal/login/upstream"
	"deputy/internal/seal"
	"deputy/internal/store"
)

// TestSignInAtPanva: a person signs in at oidc-provider, comes back as the same
// one, and steps up there, which that server takes a new sign-in for.
func TestSignInAtPanva(t *testing.T) {
	t.Parallel()
	issuer, err := panvaIssuer()
	if err != nil {
		t.Fatal(err)
	}
	public, err := url.Parse(publicURL)
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	rand.Read(key)
	kek, err := seal.NewKEK(key)
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	s := store.NewMemory()
	people := &login.Profiles{Store: s, Sealer: box, Owner: "owner"}
	door := &login.Login{
		Store: s, Door: authz.NewDoor(people.MayEnter), Public: public, Sealer: box, Profiles: people,
		Accounts: []login.Accounts{{Allow: upstream.Allow{"sub:anna"}, Provider: upstream.OIDC(upstream.Config{
			Name: "oidc", Title: "panva", Issuer: issuer, ClientID: "door", Secret: func() (string, error) { return "door-secret", nil },
			Redirect: publicURL + "/signin/oidc/callback", Scopes: []string{"email"},
		})}},
	}
	mux := http.NewServeMux()
	door.Routes(mux)
	cookies := map[string]string{}
	request := func(path string) *http.Request {
		r := httptest.NewRequest("GET", path, nil)
		for name, value := range cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		return r
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, request(path))
		for _, c := range w.Result().Cookies() {
			if c.MaxAge < 0 {
				delete(cookies, c.Name)
			} else {
				cookies[c.Name] = c.Value
			}
		}
		return w
	}
	there := newBrowser(t)
	visit := func(from, user string) *httptest.ResponseRecorder {
		t.Helper()
		begun := get(from)
		if begun.Code != http.StatusFound {
			t.Fatalf("%s: %d %s", from, begun.Code, begun.Body)
		}
		back, page := there.open(begun.Header().Get("Location"), map[string]string{"user": user})
		if back == nil {
			t.Fatalf("no way back: %s", page)
		}
		return get(back.RequestURI())
	}

	if w := visit("/signin/oidc?next=/approvals", "anna"); w.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	first, ok := door.Person(request("/"))
	if !ok || !strings.HasPrefix(first.User(), "oidc-anna") && first.User() != "anna@example.test" {
		t.Fatalf("%+v", first)
	}
	again := "/signin/oidc?again=1&max_age=60&next=/approvals"
	need := login.Need{MaxAge: time.Minute}
	if w := visit(again, "anna"); w.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	second, ok := door.Person(request("/"))
	if !ok || second.User() != first.User() || second.Session() == first.Session() || !need.Met(second) {
		t.Errorf("%+v, then %+v", first, second)
	}
	if w := visit(again, "bo"); w.Code != http.StatusForbidden {
		t.Errorf("as somebody else: %d %s", w.Code, w.Body)
	}
}
