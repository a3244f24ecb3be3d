//go:build postgres

package vault_test

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"deputy/internal/store"

	"github.com/jackc/pgx/v5"
)

func init() { roles["stormer"] = stormer }

// stormer is one of several processes on one database: it lets its callers
// loose when it is told to, and says how many failed.
func stormer() int {
	s, err := store.OpenPostgres(os.Getenv("DEPUTY_POSTGRES_URL"), store.PostgresOptions{})
	if err != nil {
		child{}.Fatal(err)
	}
	defer s.Close()
	d := sit(child{}, os.Getenv("VAULT_TEST_HOME"), s, true, strictProvider(os.Getenv("VAULT_TEST_ISSUER")))
	var wg sync.WaitGroup
	failed := make(chan error, stormCallers)
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	for n := range stormCallers {
		c := d.caller(child{}, fmt.Sprintf("user-%d", n%stormGrants))
		wg.Go(func() {
			if err := d.read(c); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		fmt.Fprintln(os.Stderr, "a caller in the storm:", err)
		return 1
	}
	return 0
}

// T31 with processes that share nothing but a database: four of them, two
// hundred callers each, fifty grants that are due.
func TestPostgresStorm(t *testing.T) {
	s := newStrict(t, false)
	own := ownSchema(t)
	db, err := store.OpenPostgres(own, store.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	dir := t.TempDir()
	d := sit(t, dir, db, true, s.provider())
	for n := range stormGrants {
		d.connect(t, fmt.Sprintf("user-%d", n))
	}
	time.Sleep(time.Second)
	s.latency = 200 * time.Millisecond
	var all []*exec.Cmd
	var goes []io.Writer
	for range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "VAULT_TEST_ROLE=stormer", "VAULT_TEST_HOME="+dir, "VAULT_TEST_ISSUER="+s.URL, "DEPUTY_POSTGRES_URL="+own)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !bufio.NewScanner(out).Scan() {
			t.Fatal("a process did not start")
		}
		all, goes = append(all, cmd), append(goes, in)
	}
	began := time.Now()
	for _, in := range goes {
		io.WriteString(in, "go\n")
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a process: %v", err)
		}
	}
	t.Logf("4 processes, 800 callers, 50 grants: %d refreshes, %d reuses, %v", s.asked, s.reused, time.Since(began).Round(time.Millisecond))
	if s.asked != stormGrants || s.reused != 0 {
		t.Errorf("want %d and 0", stormGrants)
	}
	for n := range stormGrants {
		if err := d.read(d.caller(t, fmt.Sprintf("user-%d", n))); err != nil {
			t.Errorf("grant %d is lost: %v", n, err)
		}
	}
}

// ownSchema is a URL under which nobody else's rows are.
func ownSchema(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(os.Getenv("DEPUTY_POSTGRES_URL"))
	if err != nil || u.Host == "" {
		t.Fatal("DEPUTY_POSTGRES_URL is not set: run internal/thirdparty/postgres.sh go test -tags postgres ./vault")
	}
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create schema storm"); err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", "storm")
	u.RawQuery = q.Encode()
	return u.String()
}
