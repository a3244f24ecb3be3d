package main

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// T38: the socket is for its own user, in a home that others cannot enter, and
// nothing that is not a dead socket is removed for it.
func TestTheSocketIsForItsUserAlone(t *testing.T) {
	dir := home(t)
	path := filepath.Join(dir, "deputy.sock")
	ln, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	accepted := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			c.Close()
		}
		accepted <- err
	}()
	c, err := net.Dial("unix", path)
	if err != nil || <-accepted != nil {
		t.Errorf("its own user: %v", err)
	}
	if runtime.GOOS == "linux" {
		if uid, known := peerUID(c); !known || uid != os.Getuid() {
			t.Errorf("the kernel says %d, %v", uid, known)
		}
	}
	ln.Close()

	precious := writeFile(t, filepath.Join(dir, "precious"), "x")
	link := filepath.Join(dir, "link.sock")
	if err := os.Symlink(precious, link); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{precious, link} {
		if ln, err := listenSocket(at); err == nil {
			ln.Close()
			t.Errorf("%s was taken for a dead socket", at)
		}
	}
	if data, err := os.ReadFile(precious); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	_, errText, code := deputy(t, []string{"DEPUTY_TEST_KEY=" + strings.Repeat("ab", 32)}, "--config",
		writeFile(t, filepath.Join(dir, "d.yaml"), "home: "+open+"\nkey: env:DEPUTY_TEST_KEY\n"), "accounts")
	if code != exitFailed || !strings.Contains(errText, "chmod 700") {
		t.Errorf("a home that others can enter: exit %d: %s", code, errText)
	}
}

// A connection of another user is closed before a byte of it is read.
func TestAStrangersConnectionIsClosed(t *testing.T) {
	if peerIsOurs(os.Getuid()+1, true) || !peerIsOurs(os.Getuid(), true) || !peerIsOurs(-1, false) {
		t.Error("the wrong one passes")
	}
}
