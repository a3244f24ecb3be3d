package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"
)

// One process owns a home. A command started elsewhere is run by that process:
// it is sent as words over HOME/deputy.sock, and what it prints comes back.
// So every command is written once, against an open app.

const maxSocketPath = 100 // the system's limit is 104 to 108 bytes

func (a *app) socketPath() string { return filepath.Join(a.config.Home, "deputy.sock") }

// listenSocket makes the socket for this user alone. The caller holds the
// store's lock, so a socket that is there is a dead process's, unless that one
// keeps this home's rows in another store.
func listenSocket(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("home: the path of %s is longer than the system allows a socket: choose a shorter --home", path)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("home: %s is not a socket: remove it", path)
		}
		if ownerRuns(context.Background(), path) {
			return nil, fmt.Errorf("home: another deputy listens on %s, with another store: stop it first, or choose another --home", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return peerListener{ln}, nil
}

// peerListener closes connections of other users before a byte is read.
type peerListener struct{ net.Listener }

func (l peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if peerIsOurs(peerUID(conn)) {
			return conn, nil
		}
		conn.Close()
	}
}

// peerIsOurs: where the system does not say who connects, the folder's mode is
// what keeps others out.
func peerIsOurs(uid int, known bool) bool { return !known || uid == os.Getuid() }

// order is a command on its way to the owner; frame is one piece of what comes
// back: output, errors, at last the exit code.
type order struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
	JSON bool     `json:"json"`

	Watched bool `json:"watched,omitempty"` // a person sees its errors

	// Input is what the caller's process found for the command; it may be
	// secret.
	Input string `json:"input,omitempty"`
}

type frame struct {
	Out  string `json:"out,omitempty"`
	Data []byte `json:"data,omitempty"` // output that is no text
	Err  string `json:"err,omitempty"`
	Code *int   `json:"code,omitempty"`
}

// remoteError is a failure the owner has already put into words.
type remoteError struct{ code int }

func (e *remoteError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func (a *app) socketHandler(streams context.Context) http.Handler {
	mux := http.NewServeMux()
	a.attachRoutes(mux, streams)
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&o); err != nil {
			http.Error(w, "bad order", http.StatusBadRequest)
			return
		}
		reply := &reply{enc: json.NewEncoder(w), flush: http.NewResponseController(w).Flush}
		code := a.carryOut(r.Context(), o, stdio{strings.NewReader(""), reply.stream(false), reply.stream(true)})
		reply.write(frame{Code: &code})
	})
	return mux
}

func (a *app) carryOut(ctx context.Context, o order, io stdio) int {
	for _, c := range commands() {
		if c.name == o.Name && c.run != nil {
			inv, err := parse(ctx, c, globals{json: o.JSON}, o.Args, io)
			if err == nil && inv != nil {
				inv.app, inv.input, inv.watched = a, o.Input, o.Watched
				err = c.run(inv)
			}
			return report(io.err, c, err)
		}
	}
	fmt.Fprintf(io.err, "deputy: the running deputy has no command %q: it is of another version; stop it first\n", o.Name)
	return exitFailed
}

type reply struct {
	mu    sync.Mutex
	enc   *json.Encoder
	flush func() error
}

func (r *reply) write(f frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.enc.Encode(f), r.flush())
}

func (r *reply) stream(isErr bool) io.Writer { return replyWriter{r, isErr} }

type replyWriter struct {
	r     *reply
	isErr bool
}

func (w replyWriter) Write(p []byte) (int, error) {
	f := frame{Out: string(p)}
	if w.isErr {
		f = frame{Err: string(p)}
	} else if !utf8.Valid(p) {
		f = frame{Data: p}
	}
	return len(p), w.r.write(f)
}

// askOwner has the owner of the home run the command, if there is one.
func askOwner(inv *invocation, name string, args []string) (done bool, err error) {
	c, err := loadConfig(inv.global)
	if err != nil {
		return false, err
	}
	client := socketClient(filepath.Join(c.Home, "deputy.sock"))
	defer client.CloseIdleConnections()
	body, err := json.Marshal(order{name, args, inv.global.json, inv.watched, inv.input})
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(inv.ctx, http.MethodPost, "http://deputy/run", strings.NewReader(string(body)))
	if err != nil {
		return false, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return false, nil // nobody there: the store's lock has the last word
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var f frame
		if err := dec.Decode(&f); err != nil {
			if inv.ctx.Err() != nil {
				return true, errors.New("stopped")
			}
			return true, errors.New("the running deputy broke off: see its log")
		}
		_, err := inv.out.Write(append(f.Data, f.Out...))
		if err != nil {
			return true, fmt.Errorf("the output cannot be written: %w", err)
		}
		io.WriteString(inv.err, f.Err)
		if f.Code != nil {
			if *f.Code != exitDone {
				return true, &remoteError{*f.Code}
			}
			return true, nil
		}
	}
}

// withApp opens the home for one command, when nobody else has it.
func withApp(inv *invocation, fn func(*invocation) error) error {
	c, err := loadConfig(inv.global)
	if err != nil {
		return err
	}
	if inv.app, err = openHome(c, inv); err != nil {
		return err
	}
	return errors.Join(fn(inv), inv.app.close())
}
