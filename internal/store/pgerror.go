package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrLockLost is returned by a store whose claim to the database is gone:
// another process may own it by now.
var ErrLockLost = errors.New("store: the PostgreSQL session that kept this database for this process has ended: start deputy again")

// isLost reports the two ways in which PostgreSQL says that another transaction
// was first: serialization_failure and deadlock_detected. Both say that nothing
// has happened; after any other error, trying again could do a thing twice.
func isLost(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// todo says what to do about an error, by SQLSTATE or class.
var todo = map[string]string{
	"28":    "check the user and the password in the URL, and pg_hba.conf",
	"3D000": "make the database (createdb), or check its name in the URL",
	"42501": "grant this user the use of the table deputy_rows, or the right to make it",
	"25006": "this server only reads: connect to the primary",
	"53100": "make room on the server's disk",
	"53300": "raise max_connections, or lower pool_max_conns in the URL",
	"57014": "the server took longer than statement_timeout: see what it is busy with, and try again",
	"57P":   "the server is starting or stopping: try again",
	"25P03": "this took longer than idle_in_transaction_session_timeout: try again",
}

// plain puts an error of pgx into words of our own. Its own words and values
// hold parts of the URL, so nothing of it is kept but the server's message or
// the innermost cause, and neither with a secret in it.
func (s *postgres) plain(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if pg.Code == "22012" { // only the fence divides
			return ErrLockLost
		}
		hint := "see the server's log"
		for _, code := range []string{pg.Code, pg.Code[:min(3, len(pg.Code))], pg.Code[:min(2, len(pg.Code))]} {
			if h, ok := todo[code]; ok {
				hint = h
				break
			}
		}
		return s.say("%s (SQLSTATE %s): %s", pg.Message, pg.Code, hint)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return s.say("no answer in time: check that the server runs, and that it is not overloaded")
	}
	return s.say("%v: check that the server runs, and the URL", innermost(err))
}

func (s *postgres) say(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	for _, secret := range s.hide {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return fmt.Errorf("store: PostgreSQL at %s: %s", s.where, text)
}

func innermost(err error) error {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if e.Unwrap() == nil {
				return err
			}
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			if len(e.Unwrap()) == 0 {
				return err
			}
			err = e.Unwrap()[0]
		default:
			return err
		}
	}
}
