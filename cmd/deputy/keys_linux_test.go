package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what a person types goes into keyboard, and
// what is shown, the echo among it, comes out of it.
func terminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	fd := int(keyboard.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return keyboard, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// TestABackupIsNotForATerminal: the bytes would only upset it.
func TestABackupIsNotForATerminal(t *testing.T) {
	_, tty := terminal(t)
	_, recipient := newIdentity(t)
	h := newSealedHome(t, 1)
	var errs bytes.Buffer
	code := run(t.Context(), []string{"--config", h.config, "keys", "export", "--to", recipient}, stdio{nil, tty, &errs})
	if code != exitUsage || !strings.Contains(errs.String(), "not for a terminal") {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

// TestAPassphraseIsNotShown while it is typed; an interrupt ends the question
// and the terminal shows again what is typed.
func TestAPassphraseIsNotShown(t *testing.T) {
	keyboard, tty := terminal(t)
	dir := home(t)
	config := writeFile(t, filepath.Join(dir, "deputy.yaml"), "key: passphrase\n")
	asked := func(interrupt bool) *process {
		p := start(t, tty, nil, nil, "--config", config, "--home", filepath.Join(dir, "h"), "accounts")
		for i := 0; !strings.Contains(p.stderr.String(), "New passphrase: "); i++ {
			if i == 1000 {
				t.Fatalf("it does not ask: %s", p.stderr)
			}
			time.Sleep(5 * time.Millisecond)
		}
		for echoes(t, tty) { // the prompt comes just before the silence
			time.Sleep(time.Millisecond)
		}
		if !interrupt {
			fmt.Fprint(keyboard, "correct horse battery\ncorrect horse battery\n")
		} else {
			p.cmd.Process.Signal(os.Interrupt)
		}
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			t.Fatalf("it does not end: %s", p.stderr)
		}
		return p
	}
	if p := asked(true); p.cmd.ProcessState.ExitCode() != exitFailed || !echoes(t, tty) {
		t.Errorf("interrupted: exit %d: %s", p.cmd.ProcessState.ExitCode(), p.stderr)
	}
	if p := asked(false); p.cmd.ProcessState.ExitCode() != exitDone {
		t.Errorf("exit %d: %s", p.cmd.ProcessState.ExitCode(), p.stderr)
	}
	if !echoes(t, tty) {
		t.Fatal("the terminal was not given back as it was")
	}
	fmt.Fprint(keyboard, "shown\n")
	shown := make([]byte, 4096)
	n, err := keyboard.Read(shown)
	if err != nil || strings.Contains(string(shown[:n]), "horse") || !strings.Contains(string(shown[:n]), "shown") {
		t.Errorf("the terminal showed %q, %v", shown[:n], err)
	}
}
