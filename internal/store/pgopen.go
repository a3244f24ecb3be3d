package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	poolSize       = 8               // pool_max_conns in the URL says otherwise
	connectTimeout = 5 * time.Second // connect_timeout in the URL says otherwise
	lockPatience   = time.Second     // the server learns of a killed process a moment later
)

// Advisory locks belong to a database, so these are the same in all of them.
const (
	lockSchema  = 0x6465707574790001 + iota // while the table is made
	lockOwner                               // held by the session of an exclusive store
	lockBusy                                // shared by its transactions, while they run
	lockWriters                             // held by every Update
)

// parsePostgres reads the URL and sets what it leaves open.
func parsePostgres(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil || !strings.Contains(url, "://") {
		return nil, errors.New("store: the PostgreSQL URL cannot be read: want postgres://USER:PASSWORD@HOST:PORT/DATABASE, with what is not a letter or digit in the password percent-encoded")
	}
	c := config.ConnConfig
	hosts := []string{c.Host}
	for _, other := range c.Fallbacks {
		hosts = append(hosts, other.Host)
	}
	for _, host := range hosts {
		if !thisMachine(host) && !strings.Contains(url, "sslmode=") && os.Getenv("PGSSLMODE") == "" {
			return nil, fmt.Errorf("store: PostgreSQL at %s is on another machine, and the URL does not say how to be sure of it: add ?sslmode=verify-full", host)
		}
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = poolSize
	}
	if !strings.Contains(url, "connect_timeout=") {
		c.ConnectTimeout = connectTimeout
	}
	host, _ := os.Hostname()
	for k, v := range map[string]string{
		"application_name":                    fmt.Sprintf("deputy, process %d on %.24s", os.Getpid(), host),
		"statement_timeout":                   "10s",
		"idle_in_transaction_session_timeout": "5min", // a Scan may feed a pager
		"synchronous_commit":                  "on",   // Update promises it
		// What a machine that went away has locked is free after two minutes.
		"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "20", "tcp_keepalives_count": "3",
		// Every query is by key. A sequential scan would only be chosen for a
		// small table, and reads all of it for the purposes of SERIALIZABLE.
		"enable_seqscan": "off",
	} {
		if c.RuntimeParams[k] == "" {
			c.RuntimeParams[k] = v
		}
	}
	return config, nil
}

func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasPrefix(host, "/") || ip != nil && ip.IsLoopback()
}

// makeTable looks first: the table may have been made by somebody who may, for
// a user who may not.
func (s *postgres) makeTable(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// "if not exists" alone fails when two create at once.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(lockSchema)); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, "select to_regclass('deputy_rows') is not null").Scan(&there); err != nil || there {
			return err
		}
		_, err := tx.Exec(ctx, "create table deputy_rows (key bytea primary key, value bytea not null)")
		return err
	})
}

const heldLocks = ` from pg_locks l where locktype = 'advisory' and objsubid = 1 and granted
	and database = (select oid from pg_database where datname = current_database())
	and classid::bigint << 32 | objid::bigint in `

// claim takes the lock in a session that does nothing else.
func (s *postgres) claim(ctx context.Context, c *pgx.ConnConfig) (err error) {
	c.RuntimeParams["idle_session_timeout"] = "0"
	if s.owner, err = pgx.ConnectConfig(ctx, c); err != nil {
		return s.plain(err)
	}
	var got bool
	var pid int64
	for until := time.Now().Add(lockPatience); ; time.Sleep(lockPatience / 10) {
		if err := s.owner.QueryRow(ctx, "select pg_try_advisory_lock($1), pg_backend_pid()", int64(lockOwner)).Scan(&got, &pid); err != nil {
			return s.plain(err)
		}
		if got {
			break
		}
		if time.Now().After(until) {
			return s.locked(ctx)
		}
	}
	// What the last owner began it may still finish: once its session is gone
	// it begins nothing more.
	if _, err := s.owner.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(lockBusy)); err != nil {
		return s.plain(err)
	}
	// Process ids come again, so the session has a second lock that only it
	// knows of. Where the two are not there, the fence divides by zero.
	own := rand.Int64()
	if _, err := s.owner.Exec(ctx, "select pg_advisory_lock($1)", own); err != nil {
		return s.plain(err)
	}
	s.fence = fmt.Sprintf("; select pg_advisory_xact_lock_shared(%d); select 1 / (count(*) / 2)%s(%d, %d) and pid = %d", int64(lockBusy), heldLocks, int64(lockOwner), own, pid)
	return nil
}

func (s *postgres) locked(ctx context.Context) error {
	locked := &LockedError{Path: "in PostgreSQL at " + s.where}
	var name string
	var pid int
	err := s.owner.QueryRow(ctx, "select l.pid, coalesce((select application_name from pg_stat_activity a where a.pid = l.pid), '')"+heldLocks+"($1)", int64(lockOwner)).Scan(&pid, &name)
	if err == nil {
		locked.Holder = fmt.Sprintf("%q (PostgreSQL session %d)", name, pid)
	}
	return locked
}
