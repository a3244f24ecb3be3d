package vault

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/seal"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// home is a vault over a real file with one connected account, and a lease.
func home(b *testing.B) (*Vault, *Lease) {
	b.Helper()
	s, err := store.OpenBolt(filepath.Join(b.TempDir(), "deputy.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return settle(b, Config{Store: s}, time.Hour)
}

// settle opens a vault with one connected account whose token lasts so long,
// and a lease of it.
func settle(t testing.TB, c Config, life time.Duration) (*Vault, *Lease) {
	t.Helper()
	kek, err := seal.NewKEK(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.Open(t.TempDir(), kek)
	if err != nil {
		t.Fatal(err)
	}
	door := authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	c.Sealer, c.Audit, c.PublicURL = box, &audit.Log{Key: box.Key("audit")}, "http://localhost"
	c.Ledger, err = approvals.Open(approvals.Config{Store: c.Store, Sealer: box, Audit: c.Audit, Door: door, Channels: []string{"page"}})
	if err != nil {
		t.Fatal(err)
	}
	c.Providers = []Provider{{
		Name: "p", APIURL: "https://p.example", OAuth: Server{AuthURL: "https://p.example/a", TokenURL: "https://p.example/token", ClientID: "id"},
		Reads: []string{"GET /thing"}, Fault: func(status int, _ []byte) Kind {
			if status == http.StatusUnauthorized {
				return Reconnect
			}
			return ""
		},
	}}
	v, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	me, err := door.Caller(context.Background(), authz.Principal{User: "anna", Agent: "claude"})
	if err != nil {
		t.Fatal(err)
	}
	r := connection{Account: Account{ID: "p/anna", Provider: "p", Name: "anna", Since: time.Now()}, User: "anna", Subject: "1"}
	g := grant{ID: newID(), Scopes: []string{"read"}, Given: time.Now()}
	long := strings.Repeat("a", 1000) // of the size providers make
	if _, err := v.keep(&r, &g, Wish{Provider: "p"}, oauth.Tokens{Access: oauth.Hide(long), Refresh: oauth.Hide(long), Lifetime: life}); err != nil {
		t.Fatal(err)
	}
	l, err := v.Lease(context.Background(), me, "p", []string{"read"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return v, l
}

// A token for the next request: what every call to a provider pays.
func BenchmarkTokenHot(b *testing.B) {
	v, l := home(b)
	for b.Loop() {
		if _, err := v.fresh(context.Background(), l, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// The same when nothing of it has been read before.
func BenchmarkTokenCold(b *testing.B) {
	v, l := home(b)
	for b.Loop() {
		v.rows.Memo.Forget()
		v.tokens.Memo.Forget()
		if _, err := v.fresh(context.Background(), l, nil); err != nil {
			b.Fatal(err)
		}
	}
}
