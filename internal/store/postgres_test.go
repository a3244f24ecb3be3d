//go:build postgres

package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deputy/internal/store"
	"deputy/internal/store/storetest"

	"github.com/jackc/pgx/v5"
)

// These tests need a server: internal/thirdparty/postgres.sh starts one.

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store { return openPostgres(t, dir, false) }, true)
}

func TestPostgresExclusive(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store { return openPostgres(t, dir, true) }, true)
}

func TestPostgresIsMadeByManyAtOnce(t *testing.T) {
	at := schema(t, t.TempDir())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := store.OpenPostgres(at, store.PostgresOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
}

// TestPostgresTwoProcessesSpendOnce: each of fifty rows is spent by one of a
// hundred, fifty in each of two processes, and every spending is counted.
func TestPostgresTwoProcessesSpendOnce(t *testing.T) {
	dir := t.TempDir()
	a, b := openPostgres(t, dir, false), openPostgres(t, dir, false)
	defer a.Close()
	defer b.Close()
	errSpent := errors.New("spent")
	var wins [50]atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		for _, s := range []store.Store{a, b} {
			wg.Go(func() {
				// All begin at the same row, so that they meet.
				for n := range 50 {
					row := (n + i%2) % 50
					key := fmt.Appendf(nil, "permit %d", row)
					err := s.Update(func(tx store.Tx) error {
						if _, err := tx.Get(key); !errors.Is(err, store.ErrNotFound) {
							return errors.Join(errSpent, err)
						}
						return errors.Join(tx.Put(key, []byte("spent")), count(tx))
					})
					if err == nil {
						wins[row].Add(1)
					} else if !errors.Is(err, errSpent) {
						t.Errorf("Update: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	for row := range wins {
		if n := wins[row].Load(); n != 1 {
			t.Errorf("row %d was spent %d times", row, n)
		}
	}
	expect(t, a, "count", strings.Repeat("1", 50))
}

// TestPostgresManyWritersLoseNothing is the audit log's case: everybody writes
// the same row.
func TestPostgresManyWritersLoseNothing(t *testing.T) {
	dir := t.TempDir()
	a, b := openPostgres(t, dir, false), openPostgres(t, dir, false)
	defer a.Close()
	defer b.Close()
	var wg sync.WaitGroup
	var runs atomic.Int32
	for range 25 {
		for _, s := range []store.Store{a, b} {
			wg.Go(func() {
				for range 8 {
					if err := s.Update(func(tx store.Tx) error { runs.Add(1); return count(tx) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	expect(t, a, "count", strings.Repeat("1", 400))
	t.Logf("400 updates took %d runs", runs.Load())
}

func count(tx store.Tx) error {
	v, err := tx.Get([]byte("count"))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return tx.Put([]byte("count"), append(v, '1'))
}

// TestPostgresRunsAgainWhatLost: another's commit falls between the reading and
// the writing of an Update.
func TestPostgresRunsAgainWhatLost(t *testing.T) {
	dir := t.TempDir()
	a, b := openPostgres(t, dir, false), openPostgres(t, dir, false)
	defer a.Close()
	defer b.Close()
	get := func(tx store.Tx, key string) string { v, _ := tx.Get([]byte(key)); return string(v) }
	for _, c := range []struct {
		name          string
		between, then func(tx store.Tx, read string) error
		reads, want   string // of x, y
	}{
		{"same row", func(tx store.Tx, _ string) error { return tx.Put([]byte("x"), []byte("b")) },
			func(tx store.Tx, read string) error { return tx.Put([]byte("x"), []byte(read+"a")) }, "x", "ba,"},
		{"write skew", func(tx store.Tx, _ string) error { return tx.Put([]byte("x"), []byte("b"+get(tx, "y"))) },
			func(tx store.Tx, read string) error { return tx.Put([]byte("y"), []byte(read+"a")) }, "x", "b,ba"},
		{"failure swallowed", func(tx store.Tx, _ string) error { return tx.Put([]byte("x"), []byte("b")) },
			func(tx store.Tx, read string) error { _ = tx.Put([]byte("x"), []byte(read+"a")); return nil }, "x", "ba,"},
		{"failure disguised", func(tx store.Tx, _ string) error { return tx.Put([]byte("x"), []byte("b")) },
			func(tx store.Tx, read string) error {
				if tx.Put([]byte("x"), []byte(read+"a")) != nil {
					return errors.New("denied")
				}
				return nil
			}, "x", "ba,"},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, a.Update(func(tx store.Tx) error {
				return errors.Join(tx.Delete([]byte("x")), tx.Delete([]byte("y")))
			}))
			runs := 0
			check(t, a.Update(func(tx store.Tx) error {
				runs++
				read := get(tx, c.reads)
				if runs == 1 {
					check(t, b.Update(func(tx store.Tx) error { return c.between(tx, "") }))
				}
				return c.then(tx, read)
			}))
			check(t, b.View(func(tx store.Tx) error {
				if got := get(tx, "x") + "," + get(tx, "y"); got != c.want || runs != 2 {
					t.Errorf("%q after %d runs, want %q after 2", got, runs, c.want)
				}
				return nil
			}))
		})
	}
}

func TestPostgresGivesUp(t *testing.T) {
	dir := t.TempDir()
	s := openPostgres(t, dir, false)
	defer s.Close()
	runs := 0
	err := s.Update(func(tx store.Tx) error {
		runs++
		tx.Get([]byte("k"))
		// No deputy does this: it waits for one that is alone.
		admin(t, fmt.Sprintf("insert into %s.deputy_rows values ('k', 'b') on conflict (key) do update set value = 'b'", schemaName(dir)))
		return tx.Put([]byte("k"), []byte("a"))
	})
	if err == nil || !strings.Contains(err.Error(), "nothing was changed: try again") || runs < 5 || runs > 20 {
		t.Errorf("%v after %d runs", err, runs)
	}
	expect(t, s, "k", "b")
}

// TestPostgresConnectionLoss: whatever was under way fails, once, and the next
// transaction has another connection.
func TestPostgresConnectionLoss(t *testing.T) {
	dir := t.TempDir()
	s := openPostgres(t, dir, false)
	defer s.Close()
	for name, fn := range map[string]func(tx store.Tx, cut func()) error{
		"before a write":  func(tx store.Tx, cut func()) error { cut(); return tx.Put([]byte("k"), []byte("v")) },
		"at the commit":   func(tx store.Tx, cut func()) error { defer cut(); return tx.Put([]byte("k"), []byte("v")) },
		"and not noticed": func(tx store.Tx, cut func()) error { cut(); _ = tx.Put([]byte("k"), []byte("v")); return nil },
		"in a scan": func(tx store.Tx, cut func()) error {
			cut()
			return tx.Scan(nil, nil, func(_, _ []byte) error { return nil })
		},
	} {
		runs := 0
		err := s.Update(func(tx store.Tx) error {
			runs++
			return fn(tx, func() { endSessions(t, "") })
		})
		if err == nil || runs != 1 || strings.Contains(err.Error(), "may have been written") != (name == "at the commit") {
			t.Errorf("%s: %v after %d runs", name, err, runs)
		}
		noSecret(t, err)
	}
	// Idle connections are looked after for as long as they have been idle a
	// second; before that one transaction may find out.
	time.Sleep(1100 * time.Millisecond)
	check(t, s.View(func(tx store.Tx) error {
		if _, err := tx.Get([]byte("k")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a lost transaction left something: %v", err)
		}
		return nil
	}))
}

// TestPostgresStatementTimeout: a row that somebody else keeps is not waited
// for without end, and the wait is not a lost race.
func TestPostgresStatementTimeout(t *testing.T) {
	dir := t.TempDir()
	holder := openPostgres(t, dir, false)
	defer holder.Close()
	s, err := store.OpenPostgres(schema(t, dir)+"&statement_timeout=200ms", store.PostgresOptions{})
	check(t, err)
	defer s.Close()
	put := func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) }
	check(t, holder.Update(func(tx store.Tx) error {
		check(t, put(tx))
		runs := 0
		err := s.Update(func(tx store.Tx) error { runs++; return put(tx) })
		if err == nil || !strings.Contains(err.Error(), "statement_timeout") || runs != 1 {
			t.Errorf("%v after %d runs", err, runs)
		}
		return nil
	}))
	check(t, s.Update(put))
}

func TestPostgresErrorsHoldNoSecret(t *testing.T) {
	good, err := url.Parse(schema(t, t.TempDir()))
	check(t, err)
	const wrong = "wr0ngWr0ng"
	for want, change := range map[string]func(*url.URL){
		"28P01": func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), wrong) },
		"28":    func(u *url.URL) { u.User = url.UserPassword("nobody-"+wrong, wrong) },
		"3D000": func(u *url.URL) { u.Path = "/nowhere" },
		"check that the server runs": func(u *url.URL) {
			u.Host = "127.0.0.1:1"
		},
		"refused TLS": func(u *url.URL) { q := u.Query(); q.Set("sslmode", "require"); u.RawQuery = q.Encode() },
	} {
		u := *good
		change(&u)
		s, err := store.OpenPostgres(u.String(), store.PostgresOptions{Exclusive: true})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), "nobody-"+wrong, ""), wrong) {
			t.Errorf("the password is in %v", err)
		}
		noSecret(t, err)
	}
}

// TestPostgresTakesATableMadeByAnother: a user without the right to make one.
func TestPostgresTakesATableMadeByAnother(t *testing.T) {
	dir := t.TempDir()
	openPostgres(t, dir, false).Close()
	name := schemaName(dir)
	admin(t, fmt.Sprintf(`create role r_%[1]s login password 'pw'; grant usage on schema %[1]s to r_%[1]s; revoke create on schema %[1]s from public`, name))
	u, err := url.Parse(schema(t, dir))
	check(t, err)
	u.User = url.UserPassword("r_"+name, "pw")
	s, err := store.OpenPostgres(u.String(), store.PostgresOptions{})
	check(t, err)
	defer s.Close()
	err = s.View(func(tx store.Tx) error { _, err := tx.Get([]byte("k")); return err })
	if err == nil || !strings.Contains(err.Error(), "42501): grant") {
		t.Errorf("without a right to read: %v", err)
	}
	admin(t, fmt.Sprintf(`grant select, insert, update, delete on %[1]s.deputy_rows to r_%[1]s`, name))
	check(t, s.Update(func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) }))
	expect(t, s, "k", "v")
}

func TestPostgresExclusiveRefusesASecond(t *testing.T) {
	dir := t.TempDir()
	first := openPostgres(t, dir, true)
	_, err := store.OpenPostgres(schema(t, dir), store.PostgresOptions{Exclusive: true})
	var locked *store.LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second: %v, want a LockedError that names this process", err)
	}
	noSecret(t, err)
	openPostgres(t, dir, false).Close() // sharing is another thing
	check(t, first.Close())
	openPostgres(t, dir, true).Close()
	if err := first.View(func(store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestPostgresWithoutItsLockDoesNothing(t *testing.T) {
	dir := t.TempDir()
	first := openPostgres(t, dir, true)
	defer first.Close()
	check(t, first.Update(func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("1")) }))
	endOwner(t)
	refused := func(when string) {
		t.Helper()
		ran := func(store.Tx) error { t.Errorf("%s: it runs without its lock", when); return nil }
		for range 3 {
			if err := first.Update(ran); !errors.Is(err, store.ErrLockLost) {
				t.Errorf("%s: Update: %v", when, err)
			}
			if err := first.View(ran); !errors.Is(err, store.ErrLockLost) {
				t.Errorf("%s: View: %v", when, err)
			}
		}
	}
	refused("nobody has it")
	second := openPostgres(t, dir, true)
	refused("another has it")
	check(t, second.Close())
	refused("nobody has it any more")
}

// TestPostgresNextOwnerWaitsForTheLast: what the last owner had begun when its
// session ended is done before the next one looks.
func TestPostgresNextOwnerWaitsForTheLast(t *testing.T) {
	dir := t.TempDir()
	first := openPostgres(t, dir, true)
	defer first.Close()
	opened := make(chan store.Store, 1)
	check(t, first.Update(func(tx store.Tx) error {
		endOwner(t)
		go func() { opened <- openPostgres(t, dir, true) }()
		select {
		case s := <-opened:
			t.Error("the next owner did not wait")
			opened <- s
		case <-time.After(300 * time.Millisecond):
		}
		return tx.Put([]byte("k"), []byte("late"))
	}))
	second := <-opened
	defer second.Close()
	expect(t, second, "k", "late")
}

func BenchmarkStores(b *testing.B) {
	at := server(b)
	for name, open := range map[string]func() (store.Store, error){
		"bolt":               func() (store.Store, error) { return store.OpenBolt(b.TempDir() + "/db") },
		"postgres":           func() (store.Store, error) { return store.OpenPostgres(at, store.PostgresOptions{}) },
		"postgres-exclusive": func() (store.Store, error) { return store.OpenPostgres(at, store.PostgresOptions{Exclusive: true}) },
	} {
		s, err := open()
		if err != nil {
			b.Fatal(err)
		}
		put := func(tx store.Tx) error { return tx.Put([]byte("k"), make([]byte, 1000)) }
		b.Run("put/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := s.Update(put); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("get/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := s.View(func(tx store.Tx) error { _, err := tx.Get([]byte("k")); return err }); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("append-by-8/"+name, func(b *testing.B) {
			b.SetParallelism(4)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := s.Update(func(tx store.Tx) error {
						if _, err := tx.Get([]byte("k")); err != nil {
							return err
						}
						return put(tx)
					}); err != nil {
						b.Error(err)
					}
				}
			})
		})
		s.Close()
	}
}

// server is the URL of the server that the tests are given.
func server(t testing.TB) string {
	t.Helper()
	at := os.Getenv("DEPUTY_POSTGRES_URL")
	if at == "" {
		t.Fatal("DEPUTY_POSTGRES_URL is not set: run internal/thirdparty/postgres.sh go test -tags postgres ./internal/store/...")
	}
	return at
}

// schema is the URL of a place of dir's own on the server.
func schema(t testing.TB, dir string) string {
	t.Helper()
	admin(t, "create schema if not exists "+schemaName(dir))
	u, err := url.Parse(server(t))
	check(t, err)
	q := u.Query()
	q.Set("search_path", schemaName(dir))
	u.RawQuery = q.Encode()
	return u.String()
}

func schemaName(dir string) string { return fmt.Sprintf("s%x", sha256.Sum256([]byte(dir)))[:20] }

func openPostgres(t testing.TB, dir string, exclusive bool) store.Store {
	t.Helper()
	s, err := store.OpenPostgres(schema(t, dir), store.PostgresOptions{Exclusive: exclusive})
	check(t, err)
	return s
}

// admin runs SQL behind the store's back.
func admin(t testing.TB, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server(t))
	check(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	check(t, err)
}

// endSessions cuts the connections of all but its own.
func endSessions(t testing.TB, which string) {
	t.Helper()
	admin(t, "select pg_terminate_backend(pid, 5000) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend' "+which)
}

// endOwner cuts the session that holds the lock of an exclusive store.
func endOwner(t testing.TB) {
	t.Helper()
	endSessions(t, "and pid in (select pid from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and granted)")
}

func noSecret(t testing.TB, err error) {
	t.Helper()
	u, perr := url.Parse(server(t))
	check(t, perr)
	password, _ := u.User.Password()
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, password) || strings.Contains(text, "://") {
		t.Errorf("a secret is in %s", text)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, s store.Store, key, want string) {
	t.Helper()
	check(t, s.View(func(tx store.Tx) error {
		got, err := tx.Get([]byte(key))
		if string(got) != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
		return err
	}))
}
