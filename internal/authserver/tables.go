package authserver

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
)

// tables are all rows of this package, sealed: whoever writes to the store
// alone makes no grant.
type tables struct {
	pushed      store.Table[pushed]     // by hash of the request_uri
	codes       store.Table[code]       // by hash of the code
	devices     store.Table[device]     // by hash of the device_code
	userCodes   store.Table[userCode]   // by hash of the user_code
	grants      store.Table[grant]      // by id
	byClient    store.Table[string]     // user, client, grant: its id
	permissions store.Table[permission] // by user and client
	spent       store.Table[time.Time]  // by issuer and jti: until when
	secrets     store.Table[[]byte]     // by purpose
}

func newTables(s store.Sealer) tables {
	return tables{
		pushed:      store.Table[pushed]{Name: "authserver/pushed", Sealer: s},
		codes:       store.Table[code]{Name: "authserver/code", Sealer: s},
		devices:     store.Table[device]{Name: "authserver/device", Sealer: s},
		userCodes:   store.Table[userCode]{Name: "authserver/usercode", Sealer: s},
		grants:      store.Table[grant]{Name: "authserver/grant", Sealer: s},
		byClient:    store.Table[string]{Name: "authserver/byclient", Sealer: s},
		permissions: store.Table[permission]{Name: "authserver/permission", Sealer: s},
		spent:       store.Table[time.Time]{Name: "authserver/spent", Sealer: s},
		secrets:     store.Table[[]byte]{Name: "authserver/secret", Sealer: s},
	}
}

// maxPending bounds requests, codes and devices that wait for somebody.
const maxPending = 1000

// full reports whether a table holds as many rows as may wait at once.
func full[T any](tx store.Tx, t store.Table[T]) (bool, error) {
	n := 0
	from, to := store.Prefix([]byte(t.Name + "\x00"))
	err := tx.Scan(from, to, func(_, _ []byte) error {
		if n++; n >= maxPending {
			return store.ErrStop
		}
		return nil
	})
	return n >= maxPending, err
}

// change is one transaction with the grants that it ends, which are forgotten
// once it is committed.
type change struct {
	store.Tx
	s     *Server
	ended []string
}

// change runs fn in a transaction. fn may run more than once.
func (s *Server) change(fn func(*change) error) error {
	var c *change
	err := s.c.Store.Update(func(tx store.Tx) error {
		c = &change{Tx: tx, s: s}
		return fn(c)
	})
	if err == nil {
		s.live.forget(c.ended)
	}
	return err
}

// note writes a line into the log, in the commit of what it is about.
func (c *change) note(l audit.Line) error { return c.s.c.Audit.Append(c, l) }

// secret is 256 random bits as text.
func secret() string {
	var raw [32]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// hashed is how a secret is stored: with 256 random bits, a plain hash is enough.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
