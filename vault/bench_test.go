package vault

import (
	"context"
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
	dir := b.TempDir()
	kek, err := seal.NewKEK(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	box, err := seal.Open(dir, kek)
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	door := authz.NewDoor(func(context.Context, authz.Principal) error { return nil })
	log := &audit.Log{Key: box.Key("audit")}
	ledger, err := approvals.Open(approvals.Config{Store: s, Sealer: box, Audit: log, Door: door, Channels: []string{"page"}})
	if err != nil {
		b.Fatal(err)
	}
	v, err := Open(Config{Store: s, Sealer: box, Audit: log, Ledger: ledger, PublicURL: "http://localhost", Providers: []Provider{{
		Name: "p", APIURL: "https://p.example", OAuth: Server{AuthURL: "https://p.example/a", TokenURL: "https://p.example/t", ClientID: "id"},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	me, err := door.Caller(context.Background(), authz.Principal{User: "anna", Agent: "claude"})
	if err != nil {
		b.Fatal(err)
	}
	r := connection{Account: Account{ID: "p/anna", Provider: "p", Name: "anna", Since: time.Now()}, User: "anna", Subject: "1"}
	g := grant{ID: newID(), Scopes: []string{"read"}, Given: time.Now()}
	long := strings.Repeat("a", 1000) // a token of the size providers make
	if _, err := v.keep(&r, &g, Wish{Provider: "p"}, oauth.Tokens{Access: oauth.Hide(long), Refresh: oauth.Hide(long), Lifetime: time.Hour}); err != nil {
		b.Fatal(err)
	}
	l, err := v.Lease(context.Background(), me, "p", []string{"read"}, "")
	if err != nil {
		b.Fatal(err)
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
