//go:build postgres

package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

const onPostgres = "postgres:env:DEPUTY_POSTGRES_URL"

// TestPostgresHome is a home whose rows are in PostgreSQL: it works, survives
// kills, and belongs to one process, whatever home the next one has.
func TestPostgresHome(t *testing.T) {
	if os.Getenv("DEPUTY_POSTGRES_URL") == "" {
		t.Fatal("DEPUTY_POSTGRES_URL is not set: run internal/thirdparty/postgres.sh go test -tags postgres ./cmd/deputy")
	}
	h := newHouseOn(t, onPostgres)
	if _, err := os.Stat(filepath.Join(h.dir, "home", "deputy.db")); err == nil {
		t.Error("there is a bbolt file all the same")
	}
	refused := func(want string, args ...string) {
		t.Helper()
		out, errText, code := h.run(args...)
		if code != exitFailed || !strings.Contains(errText, want) {
			t.Errorf("%v: exit %d: %s%s", args, code, out, errText)
		}
		if strings.Contains(out+errText, "://deputy:") {
			t.Errorf("%v: the URL is in %s%s", args, out, errText)
		}
	}
	refused("stop it first", "stdio", "--no-daemon")
	refused("is in use by \"deputy, process", "--home", filepath.Join(home(t), "h"), "stdio", "--no-daemon")
	bolt := writeFile(t, filepath.Join(home(t), "deputy.yaml"), "key: env:DEPUTY_TEST_KEY\nuser: anna\nlisten: 127.0.0.1:0\n")
	refused("another deputy listens", "--config", bolt, "--home", filepath.Join(h.dir, "home"), "stdio", "--no-daemon")
	if out, errText, code := h.run("accounts"); code != 0 || !strings.Contains(out, "github/") {
		t.Errorf("accounts: exit %d: %s%s", code, out, errText)
	}
	killBetween(t, h, 25)

	read := func() bool {
		r, err := h.client.call("github_get_file_contents", map[string]any{"owner": "octo-anna", "repo": "harbor", "path": "README.md"})
		return err == nil && r.Error == nil && !r.Result.IsError
	}
	if !read() {
		t.Error("a file cannot be read")
	}
	// The session that holds the lock ends: the process says so and does
	// nothing more.
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv("DEPUTY_POSTGRES_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select pg_terminate_backend(pid, 5000) from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock'"); err != nil {
		t.Fatal(err)
	}
	refused("start deputy again", "accounts")
	if read() {
		t.Error("a call is answered without the lock")
	}
	h.proc.stop(t)
	h.start()
	if out, errText, code := h.run("audit", "verify"); code != 0 {
		t.Errorf("the log does not verify: %s%s", out, errText)
	}
}

// A backup fills an empty database, and none that has rows.
func TestPostgresBackup(t *testing.T) {
	u, err := url.Parse(os.Getenv("DEPUTY_POSTGRES_URL"))
	if err != nil || u.Host == "" {
		t.Fatal("DEPUTY_POSTGRES_URL is not set: run internal/thirdparty/postgres.sh go test -tags postgres ./cmd/deputy")
	}
	conn, err := pgx.Connect(context.Background(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "create schema backup"); err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", "backup")
	u.RawQuery = q.Encode()

	identity, recipient := newIdentity(t)
	h := newHouse(t)
	file := filepath.Join(t.TempDir(), "backup.age")
	if _, errs, code := h.run("keys", "export", "--to", recipient, file); code != exitDone {
		t.Fatal(errs)
	}
	h.proc.stop(t)
	env := append(h.env(), "DEPUTY_POSTGRES_URL="+u.String())
	config := writeFile(t, filepath.Join(home(t), "deputy.yaml"), "store: "+onPostgres+"\nkey: env:DEPUTY_TEST_KEY\nuser: anna\nlisten: 127.0.0.1:0\n")
	to := filepath.Join(home(t), "h")
	if _, errs, code := deputy(t, env, "--config", config, "--home", to, "keys", "import", "--identity", identity, file); code != exitDone {
		t.Fatal(errs)
	}
	if out, errs, code := deputy(t, env, "--config", config, "--home", to, "accounts"); code != exitDone || !strings.Contains(out, "github/octo-anna") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	again := filepath.Join(home(t), "h")
	if _, errs, code := deputy(t, env, "--config", config, "--home", again, "keys", "import", "--identity", identity, file); code != exitRefused || !strings.Contains(errs, "has rows already") || exists(again) {
		t.Errorf("into a database with rows: exit %d: %s", code, errs)
	}
}
