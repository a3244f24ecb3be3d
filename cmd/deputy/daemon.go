package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"deputy/authz"
	"deputy/internal/config"
	"deputy/internal/server"
	"deputy/internal/store"

	"golang.org/x/mod/semver"
)

// One process owns a home, and several assistants are open at once: so stdio is
// a front-end. It attaches to whoever owns the home, a serve or a daemon; if
// nobody does it starts a daemon. The store's lock is the election: of several
// that are started at once one gets it, and the others end.

const (
	sessionHeader = "Deputy-Session"
	startLimit    = 10 * time.Second // for a daemon to come up
)

// attached counts the front-ends that are there, so that a daemon knows when
// nobody is.
type attached struct {
	mu    sync.Mutex
	count int
	since time.Time // when the last one left
}

func (a *attached) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count += n
	a.since = time.Now()
}

// idle is how long nobody has been there.
func (a *attached) idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count > 0 {
		return 0
	}
	return time.Since(a.since)
}

// hello is what an owner says of itself.
type hello struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Daemon  bool   `json:"daemon"` // it may be asked to make room
}

// attachRoutes are the socket's doors for front-ends. Whoever reaches the
// socket is the home's own system user. What is held open ends with streams.
func (a *app) attachRoutes(mux *http.ServeMux, streams context.Context) {
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(hello{version, os.Getpid(), a.drain != nil})
	})
	mux.HandleFunc("POST /attach", func(w http.ResponseWriter, r *http.Request) {
		a.front.add(1)
		defer a.front.add(-1)
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done(): // it went
		case <-streams.Done():
		}
	})
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, _ *http.Request) {
		if a.drain == nil {
			http.Error(w, "deputy serve does not make room for another: stop it yourself", http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		a.drain()
	})
	mux.Handle("/mcp", ending(streams, a.server.HTTP(server.Door{
		Identify: func(r *http.Request) (authz.Caller, error) {
			session := r.Header.Get(sessionHeader)
			if session == "" || len(session) > 64 {
				return authz.Caller{}, authz.ErrNobody
			}
			return a.login.Local(r.Context(), a.owner, "stdio", "stdio-"+session)
		},
		Refuse: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "deputy: a front-end names its session", http.StatusUnauthorized)
		},
	})))
}

type daemonFlags struct{ idle time.Duration }

func daemonFlagSet(f *flag.FlagSet, inv *invocation) {
	f.DurationVar(&inv.daemonFlags.idle, "idle", 30*time.Minute, "end when nobody was attached for this long")
}

// daemon owns a home for front-ends until nobody has needed it for a while. It
// says "ready" when it can be reached.
func daemon(inv *invocation) error {
	c, err := loadConfig(inv.global)
	if err != nil {
		return err
	}
	a, err := openHome(c, inv)
	var locked *store.LockedError
	if errors.As(err, &locked) {
		fmt.Fprintln(inv.out, "held") // somebody was faster
		return nil
	}
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(inv.ctx)
	defer end()
	a.drain = end
	a.front.add(0)
	h, err := a.listen()
	if err != nil {
		return errors.Join(err, a.close())
	}
	if _, err := a.bearerFile(); err != nil {
		return errors.Join(err, h.stop(), a.close())
	}
	fmt.Fprintln(inv.out, "ready")
	for tick := time.NewTicker(min(inv.daemonFlags.idle/4+time.Millisecond, time.Minute)); ctx.Err() == nil; {
		select {
		case <-tick.C:
			if a.front.idle() >= inv.daemonFlags.idle {
				end()
			}
		case <-ctx.Done():
		}
	}
	return errors.Join(h.stop(), a.close())
}

// attach is stdio as a front-end.
func attach(inv *invocation, c config.Config) error {
	path := filepath.Join(c.Home, "deputy.sock")
	client := socketClient(path)
	if err := owned(inv, c, client); err != nil {
		return err
	}
	// The attachment is one request that lasts as long as this process.
	ctx, cancel := context.WithCancel(inv.ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://deputy/attach", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the running deputy does not let anybody attach: it is of another version: stop it first")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the running deputy does not let anybody attach (HTTP %d): it is of another version: stop it first", resp.StatusCode)
	}
	var raw [8]byte
	rand.Read(raw[:])
	b := &bridge{http: client, url: "http://deputy/mcp", session: hex.EncodeToString(raw[:]), choice: inv.choice, out: inv.out}
	return b.run(ctx, inv.in)
}

// owned returns when somebody owns the home who is no older than this binary.
func owned(inv *invocation, c config.Config, client *http.Client) error {
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); {
		who, err := greet(inv.ctx, client)
		if err == nil && !(who.Daemon && semver.Compare("v"+version, "v"+who.Version) > 0) {
			return nil
		}
		if err == nil { // an older daemon finishes what it does and goes
			if resp, err := client.Post("http://deputy/drain", "", nil); err == nil {
				resp.Body.Close()
			}
		} else if err := spawn(inv, c); err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-inv.ctx.Done():
			return inv.ctx.Err()
		}
	}
	return errors.New("nobody owns the home and no daemon came up: deputy doctor says more, or use stdio --no-daemon")
}

func greet(ctx context.Context, client *http.Client) (who hello, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://deputy/hello", nil)
	if err != nil {
		return who, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return who, err
	}
	defer resp.Body.Close()
	// An owner that does not know the question is one all the same; attaching
	// says what is wrong with it.
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&who)
	return who, nil
}

// spawn starts a daemon for the home and returns when it is ready, or when
// another has the home. What stops it is this front-end's own error.
func spawn(inv *invocation, c config.Config) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"--home", c.Home}
	if inv.global.config != "" {
		args = append(args, "--config", inv.global.config)
	}
	log, err := daemonLog(c)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, append(args, "daemon")...)
	cmd.Args[0] = os.Args[0]
	cmd.Stderr = log // a file: the daemon outlives this process
	detach(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("no daemon can be started: %w: use stdio --no-daemon", err)
	}
	said := make([]byte, 16)
	if n, _ := out.Read(said); n > 0 { // ready, or held by somebody faster
		go cmd.Wait() // collects it if it ends before this process does
		return nil
	}
	cmd.Wait()
	if words, err := os.ReadFile(log.Name()); err == nil && len(words) > 0 {
		return errors.New(strings.TrimPrefix(strings.TrimSpace(string(words[:min(len(words), 4<<10)])), "deputy: "))
	}
	return errors.New("the daemon ended before it was ready: use stdio --no-daemon")
}

// daemonLog is where a home's daemon writes what its operator should know. It
// begins anew with each daemon.
func daemonLog(c config.Config) (*os.File, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no place for the daemon's log: %w: use stdio --no-daemon", err)
	}
	dir := filepath.Join(cache, "deputy")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("no place for the daemon's log: %w: use stdio --no-daemon", err)
	}
	sum := sha256.Sum256([]byte(c.Home))
	return os.OpenFile(filepath.Join(dir, "daemon-"+hex.EncodeToString(sum[:4])+".log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
}

// socketClient speaks HTTP over a home's socket.
func socketClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	}}}
}
