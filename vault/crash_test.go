package vault_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
)

// roles are what a child process can be told to be: these tests' own binary,
// started again.
var roles = map[string]func() int{"refresher": refresher}

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv("VAULT_TEST_ROLE")]; ok {
		os.Exit(role())
	}
	os.Exit(m.Run())
}

// child is the testing.TB of a process that is no test: it dies of a failure.
type child struct{ testing.TB }

func (child) Helper()                           {}
func (child) Cleanup(func())                    {}
func (child) Fatal(args ...any)                 { fmt.Fprintln(os.Stderr, args...); os.Exit(3) }
func (child) Fatalf(format string, args ...any) { child{}.Fatal(fmt.Sprintf(format, args...)) }

// refresher refreshes one grant over and over until it is told to end.
func refresher() int {
	dir := os.Getenv("VAULT_TEST_HOME")
	file, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	if err != nil {
		child{}.Fatal(err)
	}
	d := sit(child{}, dir, file, false, strictProvider(os.Getenv("VAULT_TEST_ISSUER")))
	anna := d.caller(child{}, "anna")
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("ready")
	for ending.Err() == nil {
		_ = d.read(anna) // its token is good for one request, so each read refreshes
	}
	drain, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d.Close(drain)
	if err := file.Close(); err != nil {
		child{}.Fatal(err)
	}
	return 0
}

// start runs this binary in a role and returns when it says that it is ready.
func start(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "VAULT_TEST_ROLE="+role), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the child did not start")
	}
	return cmd
}

// times reads how often a test shall do its worst.
func times(t *testing.T, name string, few int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number", name, text)
	}
	return n
}

// aftermath opens what a killed child left behind and says what is wrong.
type aftermath struct {
	corrupt, lost, flagged int
}

// look opens the home: does every row read, does the log hold, is a grant that
// the server has moved on from flagged, and does it come back to life?
func (a *aftermath) look(t *testing.T, dir string, s *strict) (alive bool) {
	t.Helper()
	file, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	if err != nil {
		a.corrupt++
		t.Errorf("the store does not open: %v", err)
		return false
	}
	defer file.Close()
	if err := file.View(func(tx store.Tx) error { _, err := audit.Verify(tx); return err }); err != nil {
		a.corrupt++
		t.Errorf("the log: %v", err)
	}
	d := sit(t, dir, file, false, s.provider())
	anna := d.caller(t, "anna")
	all, err := d.Accounts(ctx, anna)
	if err != nil || len(all) != 1 {
		a.corrupt++
		t.Errorf("%+v, %v", all, err)
		return false
	}
	flagged := all[0].State == "in_doubt"
	alive = d.read(anna) == nil
	if !alive {
		a.lost++
		if flagged {
			a.flagged++
		} else {
			t.Errorf("a grant was lost and not flagged: %+v", all[0])
		}
		if all, err = d.Accounts(ctx, anna); err != nil || all[0].State != "reconnect" {
			t.Errorf("a lost grant is %+v, %v", all, err)
		}
	}
	return alive
}

// anew gives anna a new grant, as a person would after a lost one.
func anew(t *testing.T, dir string, s *strict) {
	t.Helper()
	file, err := store.OpenBolt(filepath.Join(dir, "deputy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sit(t, dir, file, false, s.provider()).connect(t, "anna")
}

// T34: killed in the middle of refreshes, the vault never breaks, loses only
// what no client could keep, and says so. A server with a grace window loses
// nothing. T16, from the client's side: the same refresh token twice is the same
// successor in the window and the end of the family outside.
func TestKillInRefresh(t *testing.T) {
	kills := times(t, "DEPUTY_KILLS", 10)
	for _, grace := range []bool{false, true} {
		s := newStrict(t, grace)
		s.latency, s.oneShot = 40*time.Millisecond, true
		dir := t.TempDir()
		anew(t, dir, s)
		var a aftermath
		for n := range kills {
			cmd := start(t, "refresher", "VAULT_TEST_HOME="+dir, "VAULT_TEST_ISSUER="+s.URL)
			time.Sleep(time.Duration(20+n*37%60) * time.Millisecond)
			cmd.Process.Kill()
			cmd.Wait()
			if !a.look(t, dir, s) {
				anew(t, dir, s)
			}
		}
		t.Logf("kill -9 in refresh, grace %-5v: %d kills, %d corrupt, %d grants lost, %d of them flagged, %d reuses seen by the server", grace, kills, a.corrupt, a.lost, a.flagged, s.reused)
		if a.corrupt != 0 || a.flagged != a.lost || grace && a.lost != 0 {
			t.Errorf("%+v", a)
		}
	}
}

// Told to end in the middle of a refresh, the vault lets it finish.
func TestTermInRefresh(t *testing.T) {
	terms := times(t, "DEPUTY_TERMS", 5)
	s := newStrict(t, false)
	s.latency, s.oneShot = 40*time.Millisecond, true
	dir := t.TempDir()
	anew(t, dir, s)
	var a aftermath
	for n := range terms {
		cmd := start(t, "refresher", "VAULT_TEST_HOME="+dir, "VAULT_TEST_ISSUER="+s.URL)
		time.Sleep(time.Duration(20+n*37%60) * time.Millisecond)
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("it did not end well: %v", err)
		}
		if !a.look(t, dir, s) {
			anew(t, dir, s)
		}
	}
	t.Logf("SIGTERM in refresh: %d times, %d grants lost, %d reuses", terms, a.lost, s.reused)
	if a.lost != 0 || a.corrupt != 0 || s.reused != 0 {
		t.Errorf("%+v", a)
	}
}
