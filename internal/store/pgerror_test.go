package store

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestOnlyALostRaceIsRunAgain(t *testing.T) {
	for code, want := range map[string]bool{
		"40001": true, "40P01": true,
		"40002": false, "40003": false, "08006": false, "57P01": false, "57014": false, "55P03": false, "23505": false, "": false,
	} {
		err := fmt.Errorf("tx: %w", &pgconn.PgError{Code: code})
		if got := isLost(err); got != want {
			t.Errorf("%q: %v, want %v", code, got, want)
		}
	}
	if isLost(nil) || isLost(errors.New("SQLSTATE 40001")) {
		t.Error("what PostgreSQL did not say is taken for a lost race")
	}
}

// TestStoreErrorsHoldNoSecret covers what fails before a server is asked;
// TestPostgresErrorsHoldNoSecret the rest.
func TestStoreErrorsHoldNoSecret(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, c := range []struct{ url, want string }{
		{"", "cannot be read"},
		{"host=127.0.0.1 password=" + secret, "cannot be read"},
		{"postgres://u:" + secret + "%zz@127.0.0.1/d", "percent-encoded"},
		{"postgres://u:" + secret + "/" + secret + "@127.0.0.1/d", "cannot be read"},
		{"postgres://u:" + secret + "@127.0.0.1:port/d", "cannot be read"},
		{"postgres://u:" + secret + "@127.0.0.1/d?sslmode=" + secret, "cannot be read"},
		{"postgres://u:" + secret + "@127.0.0.1/d?pool_max_conns=" + secret, "cannot be read"},
		{"postgres://u:" + secret + "@db.example.com/d", "sslmode=verify-full"},
		{"postgres://u:" + secret + "@127.0.0.1,db.example.com/d", "PostgreSQL at db.example.com is on another machine"},
		{"postgres://u:" + secret + "@127.0.0.1:1/d", "127.0.0.1:1: connection refused: check"},
		{"postgres://u:" + secret + "@no-such-host.invalid/d?sslmode=disable", "no-such-host.invalid:5432: "},
	} {
		s, err := OpenPostgres(c.url, PostgresOptions{})
		if err == nil {
			s.Close()
			t.Errorf("%s opens", c.url)
			continue
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) || c.url != "" && strings.Contains(text, c.url) {
			t.Errorf("%s: the secret is in %s", c.url, text)
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		}
	}
	s := &postgres{where: "h:1", hide: []string{"postgres://u:" + secret + "@h:1", secret, ""}}
	for _, err := range []error{
		s.plain(&pgconn.PgError{Code: "28P01", Message: "no " + secret}),
		s.plain(fmt.Errorf("dial: %w", errors.New("no "+secret))),
		s.plain(errors.Join(errors.New("postgres://u:"+secret+"@h:1"), errors.New("b"))),
	} {
		if strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "…: check") && !strings.Contains(err.Error(), "… (SQLSTATE 28P01): check") {
			t.Errorf("%v", err)
		}
	}
}

// TestConnectTimeout: something that listens and says nothing.
func TestConnectTimeout(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	began := time.Now()
	_, err = OpenPostgres(fmt.Sprintf("postgres://u:p@%s/d?sslmode=disable&connect_timeout=1", ln.Addr()), PostgresOptions{})
	if err == nil || !strings.Contains(err.Error(), "no answer in time: check") || time.Since(began) > 4*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
