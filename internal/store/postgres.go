package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PostgresOptions change how a database is opened; the zero value shares it.
type PostgresOptions struct {
	// Exclusive refuses a database that another process has opened so, with a
	// *LockedError. The claim is an advisory lock of one session. Every later
	// transaction asks the server whether that session is still there, and
	// fails if it is not.
	Exclusive bool
}

const (
	answerTimeout = 15 * time.Second     // longer than statement_timeout: then the network is gone
	retries       = 5                    // of an Update that lost to another
	backoff       = 5 * time.Millisecond // before the first of them, at most
	pageRows      = 256                  // what Scan holds at a time: so many rows,
	pageBytes     = 4 << 20              // or so many bytes and one row
	maxKey        = 2600                 // what an entry of a btree index takes
)

const (
	beginView = "begin isolation level repeatable read read only"

	// Updates hold lockWriters to their end, shared or alone. The lock comes
	// before the snapshot, so it is taken by the session first and then handed
	// to the transaction.
	beginBeside = "begin; select pg_advisory_lock_shared(%[1]d); commit; begin isolation level serializable; select pg_advisory_xact_lock_shared(%[1]d), pg_advisory_unlock_shared(%[1]d)"
	beginAlone  = "begin; select pg_advisory_lock(%[1]d); commit; begin isolation level serializable; select pg_advisory_xact_lock(%[1]d), pg_advisory_unlock(%[1]d)"

	getRow    = "select value from deputy_rows where key = $1"
	putRow    = "insert into deputy_rows values ($1, $2) on conflict (key) do update set value = excluded.value"
	deleteRow = "delete from deputy_rows where key = $1"

	// scanPage cuts a page off where it grows large, after its first row at
	// the earliest.
	scanPage = `select key, value from (
		select key, value, sum(octet_length(value)) over (order by key) - octet_length(value) as before
		from (select key, value from deputy_rows where key >= $1 and ($2::bytea is null or key < $2) order by key limit $3) page
	) sized where before < $4 order by key`
)

type postgres struct {
	pool   *pgxpool.Pool
	owner  *pgx.Conn // holds the lock of an exclusive store
	fence  string    // SQL that runs with each begin of an exclusive store, and fails without the lock
	where  string    // host and port
	hide   []string  // what no error text may contain
	closed atomic.Bool
}

// OpenPostgres opens the PostgreSQL database behind url, and makes the table
// if it is not there. The URL holds a password: no error repeats it.
//
// Session locks and timeouts are the connection's own, so the URL leads to the
// server itself and not to a proxy that shares connections out by transaction.
func OpenPostgres(url string, o PostgresOptions) (_ Store, err error) {
	config, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	c := config.ConnConfig
	s := &postgres{where: net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), hide: []string{url, c.Password}}
	ctx, cancel := patience()
	defer cancel()
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, s.plain(err)
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.makeTable(ctx); err != nil {
		return nil, s.plain(err)
	}
	if o.Exclusive {
		if err := s.claim(ctx, c.Copy()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *postgres) Close() error {
	s.closed.Store(true)
	s.pool.Close()
	if s.owner == nil {
		return nil
	}
	ctx, cancel := patience()
	defer cancel()
	return s.owner.Close(ctx)
}

// View is not run again: a snapshot that only reads conflicts with nobody.
func (s *postgres) View(fn func(Tx) error) error {
	_, err := s.run(beginView, false, fn)
	return err
}

// Update tries beside others first, and alone once it lost to one of them.
// Nearly all updates meet at the end of the audit log: without that, one could
// go on losing for as long as there are others.
func (s *postgres) Update(fn func(Tx) error) error {
	lost, err := s.run(beginBeside, true, fn)
	for n := 0; lost && n < retries; n++ {
		time.Sleep(rand.N(backoff << n))
		lost, err = s.run(beginAlone, true, fn)
	}
	if lost {
		return fmt.Errorf("store: PostgreSQL at %s: others wrote the same rows first, %d times in a row; nothing was changed: try again", s.where, retries+1)
	}
	return err
}

// run runs fn in one transaction. It lost if another's commit came between:
// then nothing has happened, and it may be run again.
func (s *postgres) run(begin string, writable bool, fn func(Tx) error) (lost bool, err error) {
	if s.closed.Load() {
		return false, ErrClosed
	}
	ctx, cancel := patience()
	defer cancel()
	if writable {
		begin = fmt.Sprintf(begin, int64(lockWriters))
	}
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin + s.fence})
	if err != nil {
		return isLost(err), s.plain(err)
	}
	t := &postgresTx{store: s, tx: tx, writable: writable}
	defer func() {
		ctx, cancel := patience()
		defer cancel()
		tx.Rollback(ctx) // does nothing after a commit
	}()
	err = fn(t)
	if t.failed != nil && !errors.Is(err, t.failed) {
		err = t.failed // whatever fn made of it, it did not know
	}
	if err != nil {
		return t.lost, err
	}
	if err := t.do(tx.Commit); err != nil && !t.lost && writable {
		return false, fmt.Errorf("%w; this was the commit, so it may have been written all the same", err)
	}
	return t.lost, t.failed
}

// patience is for one exchange with the server.
func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), answerTimeout)
}

type postgresTx struct {
	store    *postgres
	tx       pgx.Tx
	writable bool

	// The first failure ends the transaction, even if fn goes on.
	failed error
	lost   bool
}

// do has one exchange with the server, unless one failed before.
func (t *postgresTx) do(exchange func(context.Context) error) error {
	if t.failed == nil {
		ctx, cancel := patience()
		defer cancel()
		if err := exchange(ctx); err != nil {
			t.failed, t.lost = t.store.plain(err), isLost(err)
		}
	}
	return t.failed
}

func (t *postgresTx) Get(key []byte) (value []byte, err error) {
	found := true
	err = t.do(func(ctx context.Context) error {
		err := t.tx.QueryRow(ctx, getRow, some(key)).Scan(&value)
		if errors.Is(err, pgx.ErrNoRows) {
			found, err = false, nil
		}
		return err
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return value, err
}

func (t *postgresTx) Put(key, value []byte) error {
	if len(key) > maxKey {
		return fmt.Errorf("store: a key of %d bytes: PostgreSQL orders keys of up to %d", len(key), maxKey)
	}
	return t.write(putRow, some(key), some(value))
}

func (t *postgresTx) Delete(key []byte) error { return t.write(deleteRow, some(key)) }

func (t *postgresTx) write(sql string, args ...any) error {
	if !t.writable {
		return ErrReadOnly
	}
	return t.do(func(ctx context.Context) error {
		_, err := t.tx.Exec(ctx, sql, args...)
		return err
	})
}

func (t *postgresTx) Scan(from, to []byte, fn func(key, value []byte) error) error {
	type row struct{ Key, Value []byte }
	for {
		var page []row
		size := 0
		err := t.do(func(ctx context.Context) error {
			rows, err := t.tx.Query(ctx, scanPage, some(from), to, pageRows, pageBytes)
			if err == nil {
				page, err = pgx.CollectRows(rows, pgx.RowToStructByPos[row])
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := fn(r.Key, r.Value); errors.Is(err, ErrStop) {
				return nil
			} else if err != nil {
				return err
			}
			size += len(r.Value)
		}
		if len(page) < pageRows && size < pageBytes {
			return nil
		}
		from = append(page[len(page)-1].Key, 0) // the next key there can be
	}
}

// some makes nil the empty value it means: to PostgreSQL it would be NULL.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
