package issuers

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"deputy/vault"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const zitadelPassword = "correct horse"

// people are whoever signs in, each an admin, since the example lets only those
// exchange tokens. A name is an id too, since the example's device
// page takes the one for the other.
type people struct{}

func (people) GetUserByID(name string) *storage.User {
	return &storage.User{ID: name, Username: name, Password: zitadelPassword, Email: name + "@example.test", EmailVerified: true, IsAdmin: true}
}
func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }
func (people) ExampleClientID() string                       { return storage.ServiceUserID }

// brief is a storage that says of a grant's first token that it ends soon.
type brief struct{ *storage.Storage }

func (b brief) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, current string) (string, string, time.Time, error) {
	access, refresh, expires, err := b.Storage.CreateAccessAndRefreshTokens(ctx, r, current)
	if current == "" {
		expires = time.Now().Add(briefly)
	}
	return access, refresh, expires, err
}

// zitadel starts zitadel's server in this process.
func zitadel(t *testing.T) server { return startZitadel(t, false) }

// zitadelBrief is one whose grants' first tokens are short-lived.
func zitadelBrief(t *testing.T) server { return startZitadel(t, true) }

func startZitadel(t *testing.T, short bool) server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	// Its issuer ends in a slash, which deputy must neither add nor drop.
	issuer := "http://" + strings.Replace(s.Listener.Addr().String(), "127.0.0.1", "localhost", 1) + "/"
	kept := storage.NewStorageWithClients(people{}, map[string]*storage.Client{
		"web":    storage.WebClient("web", "web-secret", publicURL+"/connect/zitadel/callback"),
		"device": storage.DeviceClient("device", "device-secret"),
	})
	var rows exampleop.Storage = kept
	if short {
		rows = brief{kept}
	}
	s.Config.Handler = exampleop.SetupServer(issuer, rows, slog.New(slog.DiscardHandler), false)
	s.Start()
	t.Cleanup(s.Close)
	return server{
		name: "zitadel", issuer: issuer, client: "web", secret: "web-secret", apiClient: "web", apiSecret: "web-secret",
		scopes: []string{"openid", "offline_access"}, want: []string{"email", storage.CustomScope},
		person: func(user string) map[string]string {
			return map[string]string{"username": user, "password": zitadelPassword}
		},
	}
}

func TestZitadelConnectRefreshDisconnect(t *testing.T) {
	t.Parallel()
	b := open(t, zitadelBrief(t), 1)
	done := b.connect("anna")
	if done.ID != "zitadel/anna" || len(done.Missing)+len(done.Surplus) != 0 {
		t.Errorf("connected %+v", done)
	}
	code := b.tap.asked("authorization_code")
	if len(code) != 1 || code[0].form.Get("code_verifier") == "" {
		t.Errorf("token requests with a code: %v", code)
	}
	b.mustRead("anna")
	b.refreshes(0)

	expire()
	b.mustRead("anna")
	b.mustRead("anna")
	used := b.refreshes(1)
	if n := b.api.tokens(); n != 2 {
		t.Errorf("the API saw %d tokens, want the first and the next", n)
	}

	report, err := b.vaults[0].Disconnect(ctx, b.caller("anna"), done.ID)
	if err != nil || !report.Revoked {
		t.Fatalf("disconnect: %+v, %v", report, err)
	}
	b.nothingWorks(used)
}

// T31: 4 vaults, 50 callers each, 4 grants that have expired.
func TestZitadelRefreshStorm(t *testing.T) {
	t.Parallel()
	open(t, zitadelBrief(t), 4).weather()
}

// A refresh token that somebody else tries again is refused, and the grant
// lives: the forgiving half of servers.
func TestZitadelForgivesAReplay(t *testing.T) {
	t.Parallel()
	b := open(t, zitadel(t), 1)
	b.connect("anna")
	b.mustRead("anna")
	b.api.refuseAll()
	b.mustRead("anna")
	used := b.refreshes(1)
	replay := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {used[0].form.Get("refresh_token")}}
	if status, body := b.post("token_endpoint", replay); status == http.StatusOK {
		t.Errorf("a used refresh token was good: %s", body)
	}
	b.api.refuseAll()
	b.mustRead("anna")
	b.refreshes(2)
}

func TestZitadelAnotherAccountIsRefused(t *testing.T) { // T4
	t.Parallel()
	open(t, zitadel(t), 1).anotherAccount()
}

func TestZitadelDisconnectDuringRefresh(t *testing.T) { // T30
	t.Parallel()
	open(t, zitadel(t), 1).disconnectDuringRefresh()
}

func TestZitadelConnectDuringRefresh(t *testing.T) {
	t.Parallel()
	open(t, zitadel(t), 1).connectDuringRefresh()
}

func TestZitadelLostAnswer(t *testing.T) {
	t.Parallel()
	open(t, zitadel(t), 1).lostAnswer()
}

// T46: a scope that the server does not know is dropped there without a word.
func TestZitadelDropsAScope(t *testing.T) {
	t.Parallel()
	s := zitadel(t)
	s.want = []string{"email", "unheard-of"}
	b := open(t, s, 1)
	if done := b.connect("anna"); !slices.Equal(done.Missing, []string{"unheard-of"}) || slices.Contains(done.Scopes, "unheard-of") {
		t.Errorf("connected %+v", done)
	}
}

func TestZitadelDevice(t *testing.T) {
	for _, action := range []string{"allowed", "denied"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			s := zitadel(t)
			s.client, s.secret, s.apiClient, s.apiSecret = "device", "device-secret", "device", "device-secret"
			b := open(t, s, 1)
			b.device("anna", action == "allowed", func(d *vault.Device, br *browser) {
				// The page after the sign-in has buttons that are links.
				br.open(d.Complete, s.person("anna"))
				resp, err := br.c.Get(s.issuer + "device/confirm?action=" + action)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("confirm: HTTP %d", resp.StatusCode)
				}
			})
		})
	}
}

// An in-house API behind the same issuer: its tokens are traded from the
// person's (RFC 8693), kept while they last, and are not the person's own.
func TestZitadelTradesATokenForAnAPI(t *testing.T) {
	t.Parallel()
	s := zitadel(t)
	wiki := s
	wiki.name, wiki.from, wiki.want = "wiki", "zitadel", []string{"email"}
	b := open(t, s, 1, wiki)
	b.connect("anna")
	own := b.mustRead("anna")
	for range 3 {
		l, err := b.vaults[0].Lease(ctx, b.caller("anna"), "wiki", nil, "")
		if err != nil {
			t.Fatal(err)
		}
		body, err := l.Read(ctx, "/token")
		if err != nil {
			t.Fatal(err)
		}
		if l.Account().ID != "wiki/anna" || !strings.Contains(string(body), `"active":true`) || !strings.Contains(string(body), own.Subject) {
			t.Errorf("%s: %s", l.Account().ID, body)
		}
	}
	asked := b.tap.asked("urn:ietf:params:oauth:grant-type:token-exchange")
	if len(asked) != 1 || asked[0].form.Get("subject_token") == "" || asked[0].form.Get("scope") != "email" {
		t.Errorf("exchanges: %v", asked)
	}
	if n := b.api.tokens(); n != 2 {
		t.Errorf("the API saw %d tokens, want the person's and the traded one", n)
	}
}
