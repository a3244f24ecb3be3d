package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"deputy/internal/audit"
	"deputy/internal/store"
)

// built compiles a program as it ships.
func built(b *testing.B, pkg string) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "program")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return bin
}

// firstAnswer is the time from exec to the answer to initialize.
func firstAnswer(b *testing.B, env []string, bin string, args ...string) time.Duration {
	b.Helper()
	began := time.Now()
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), env...)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	io.WriteString(in, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"b","version":"1"}}}`+"\n")
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	in.Close()
	io.Copy(io.Discard, out)
	cmd.Wait()
	return took
}

func median(b *testing.B, took []time.Duration, name string) (ms float64) {
	slices.Sort(took)
	ms = float64(took[len(took)/2].Nanoseconds()) / 1e6
	b.ReportMetric(ms, name+"-ms-p50")
	return ms
}

// BenchmarkFirstAnswer is the time from exec to the first answer of
// "demo --stdio", with the binary as it ships, and that binary's size.
func BenchmarkFirstAnswer(b *testing.B) {
	bin := built(b, ".")
	info, err := os.Stat(bin)
	if err != nil {
		b.Fatal(err)
	}
	var worst time.Duration
	for b.Loop() {
		worst = max(worst, firstAnswer(b, nil, bin, "demo", "--stdio"))
	}
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
}

// BenchmarkStdio is what "deputy stdio" takes from exec to its first answer,
// with a daemon there (warm) and with one to start (cold), beside a server of
// mcp-go's with nothing behind it.
func BenchmarkStdio(b *testing.B) {
	bin, bare := built(b, "."), built(b, "../../internal/server/fixture")
	dir, env := desk(b)
	args := []string{"--config", filepath.Join(dir, "deputy.yaml"), "stdio"}
	var plain, warm, cold []time.Duration
	for b.Loop() {
		plain = append(plain, firstAnswer(b, env, bare, "-bare", "-stdio"))
		cold = append(cold, firstAnswer(b, env, bin, args...))
		warm = append(warm, firstAnswer(b, env, bin, args...))
		drainDaemon(dir)
	}
	median(b, plain, "bare")
	median(b, warm, "warm")
	median(b, cold, "cold")
}

// BenchmarkCall is a tool call over HTTP that asks no provider, with a token of
// deputy's own authorization server and all that is checked and written for it,
// beside the same call to a server of mcp-go's that checks nothing. The two
// lines of the log, each a commit, are also timed by themselves, and the
// comparison is given with and without them.
func BenchmarkCall(b *testing.B) {
	cmd := exec.Command(built(b, "../../internal/server/fixture"), "-bare")
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	var at string
	if _, err := fmt.Fscanf(out, "ready %s\n", &at); err != nil {
		b.Fatal(err)
	}
	bare, err := connectClient(at, "")
	if err != nil {
		b.Fatal(err)
	}
	one := func(c *client, tool string) time.Duration {
		began := time.Now()
		r, err := c.call(tool, map[string]any{})
		if err != nil || r.Result.IsError || r.Error != nil {
			b.Fatalf("%s: %v %s", tool, err, r.raw)
		}
		return time.Since(began)
	}
	for _, disk := range []string{"memory", "disk"} {
		b.Run(disk, func(b *testing.B) {
			if disk == "memory" {
				if _, err := os.Stat("/dev/shm"); err != nil {
					b.Fatal("there is no disk in memory at /dev/shm")
				}
				b.Setenv("TMPDIR", "/dev/shm")
			}
			h := newHouse(b, `oauth: {clients: {desk: {name: The desk program, redirect_uris: ["http://127.0.0.1/back"]}}}`)
			s := h.surfer()
			s.withLink("approvals", "open")
			c, err := connectClient(h.url+"/mcp", h.program("desk", "http://127.0.0.1:1/back").allow(s, "accounts github.read").Access)
			if err != nil {
				b.Fatal(err)
			}
			beside, err := store.OpenBolt(filepath.Join(home(b), "log.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer beside.Close()
			log := audit.Log{Key: make([]byte, 32)}
			line := audit.Line{Event: "call", User: "anna", Agent: "desk", Session: "s", Tool: "accounts_list", Policy: "0123456789abcdef.0123456789ab"}
			var plain, whole, logged []time.Duration
			for b.Loop() {
				plain = append(plain, one(bare, "noop"))
				whole = append(whole, one(c, "accounts_list"))
				began := time.Now()
				if err := beside.Update(func(tx store.Tx) error { return log.Append(tx, line) }); err != nil {
					b.Fatal(err)
				}
				logged = append(logged, time.Since(began))
			}
			p, w, l := median(b, plain, "bare"), median(b, whole, "deputy"), median(b, logged, "line")
			b.ReportMetric(w/p, "times")
			b.ReportMetric((w-2*l)/p, "times-unlogged")
		})
	}
}
