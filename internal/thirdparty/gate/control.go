package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A Write is one request that changed something at the provider. Body holds
// the bytes exactly as they came in (base64 in JSON).
type Write struct {
	N           int    `json:"n"`
	Method      string `json:"method"`
	Path        string `json:"path"`
	Query       string `json:"query,omitempty"`
	ContentType string `json:"content_type"`
	Body        []byte `json:"body_base64"`
	Status      int    `json:"status"` // the provider's; 0 when it did not answer
}

// A journal is the list of writes, numbered from 1.
type journal struct {
	mu     sync.Mutex
	writes []Write
}

func (j *journal) add(w Write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w.N = len(j.writes) + 1
	j.writes = append(j.writes, w)
}

func (j *journal) since(n int) []Write {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Write{}, j.writes[min(max(n, 0), len(j.writes)):]...)
}

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writes = nil
}

// A fault is one failure to come.
type fault struct {
	status  int // 0 cuts the connection
	after   int // requests to let by first
	path    string
	forward bool // let the provider do it, lose the answer
}

type faults struct {
	mu    sync.Mutex
	queue []fault
}

func (f *faults) add(q ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, q...)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = nil
}

// next takes the failure meant for a request to path, if there is one.
func (f *faults) next(path string) (fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 || !strings.Contains(path, f.queue[0].path) {
		return fault{}, false
	}
	if f.queue[0].after > 0 {
		f.queue[0].after--
		return fault{}, false
	}
	first := f.queue[0]
	f.queue = f.queue[1:]
	return first, true
}

// parseFaults reads "429,503,drop" and its options from a control request.
func parseFaults(r *http.Request) ([]fault, error) {
	q := r.URL.Query()
	var after int
	if s := q.Get("after"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("after: %q is not a count", s)
		}
		after = n
	}
	var out []fault
	for s := range strings.SplitSeq(q.Get("status"), ",") {
		f := fault{path: q.Get("path"), forward: q.Get("forward") == "true"}
		if s != "drop" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 400 || n > 599 {
				return nil, fmt.Errorf("status: %q is neither 400 to 599 nor drop", s)
			}
			f.status = n
		}
		out = append(out, f)
	}
	out[0].after = after
	return out, nil
}

// control answers /__gate/….
func (g *Gate) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /__gate/writes", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("since"))
		reply(w, http.StatusOK, map[string]any{"writes": g.journal.since(n)})
	})
	mux.HandleFunc("GET /__gate/tokens", func(w http.ResponseWriter, r *http.Request) {
		seen, refused := g.tokens.all()
		reply(w, http.StatusOK, map[string]any{"tokens": seen, "refused": refused})
	})
	mux.HandleFunc("POST /__gate/expire", func(w http.ResponseWriter, r *http.Request) {
		n := g.tokens.expire(r.URL.Query().Get("token"), r.URL.Query().Get("refresh") == "true")
		reply(w, http.StatusOK, map[string]any{"expired": n})
	})
	mux.HandleFunc("POST /__gate/fault", func(w http.ResponseWriter, r *http.Request) {
		fs, err := parseFaults(r)
		if err != nil {
			reply(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			return
		}
		g.faults.add(fs...)
		reply(w, http.StatusOK, map[string]any{"faults": len(fs)})
	})
	mux.HandleFunc("POST /__gate/reset", func(w http.ResponseWriter, r *http.Request) {
		g.journal.clear()
		g.faults.clear()
		reply(w, http.StatusOK, map[string]any{"reset": true})
	})
	return mux
}

// reply writes v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
