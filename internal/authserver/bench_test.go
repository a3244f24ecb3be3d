package authserver_test

import (
	"path/filepath"
	"testing"

	"deputy/internal/authserver"
	"deputy/internal/store"
)

func BenchmarkVerify(b *testing.B) {
	o := newOffice(b)
	token := o.tokens("anna").Access
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.server.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefresh is a whole request, with its durable commit.
func BenchmarkRefresh(b *testing.B) {
	s, err := store.OpenBolt(filepath.Join(b.TempDir(), "deputy.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	o := newOffice(b, func(c *authserver.Config) { c.Store = s })
	token := o.tokens("anna").Refresh
	n := 0
	for b.Loop() {
		if n++; n%100 == 0 {
			b.StopTimer()
			o.start() // with fresh limits
			b.StartTimer()
		}
		got := o.refresh(token)
		if got.Status != 200 {
			b.Fatal(got.raw)
		}
		token = got.Refresh
	}
}
