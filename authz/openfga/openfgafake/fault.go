package openfgafake

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Fault is a way for a server to fail, or to lie.
type Fault string

const (
	Down        Fault = "the connection is closed, before anything is done"
	Slow        Fault = "no answer comes for as long as the caller waits"
	Refusing    Fault = "429"
	Unavailable Fault = "503"
	Failing     Fault = "500, with OpenFGA's code"
	Forbidden   Fault = "403"
	Cut         Fault = "done, and the answer is cut off"
	Missing     Fault = "done, but one question of a batch has no answer"
	Doubled     Fault = "done, but one question of a batch has two answers"
	Foreign     Fault = "done, but a question that was not asked is answered, and one that was is not"
	Empty       Fault = "done, but the answers are neither yes nor no"
	NoJSON      Fault = "a page for people"
	OtherJSON   Fault = "JSON of another shape"
	Huge        Fault = "done, and the answer does not end"
	Redirect    Fault = "307 to another address"
)

type faults struct {
	current Fault
	times   int
	header  http.Header
}

// Break makes the next requests fail, as many as times says, or all if it is
// negative. The header is added to what is answered.
func (s *Server) Break(f Fault, times int, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults{f, times, header}
}

func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.Path)
		f := s.faults
		if f.times == 0 {
			f.current = ""
		} else {
			s.faults.times--
		}
		s.mu.Unlock()
		for k, v := range f.header {
			if f.current != "" {
				w.Header()[k] = v
			}
		}
		fail(f.current, next, w, r)
	})
}

func fail(f Fault, next http.Handler, w http.ResponseWriter, r *http.Request) {
	switch f {
	case "":
		next.ServeHTTP(w, r)
	case Down:
		panic(http.ErrAbortHandler)
	case Slow:
		_, _ = new(bytes.Buffer).ReadFrom(r.Body) // or the end of the caller's patience is not seen
		<-r.Context().Done()
	case Refusing:
		refuse(w, http.StatusTooManyRequests, "rate_limit_exceeded", "too many requests")
	case Unavailable:
		http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
	case Failing:
		refuse(w, http.StatusInternalServerError, "internal_error", "Internal Server Error")
	case Forbidden:
		refuse(w, http.StatusForbidden, "forbidden", "the principal is not authorized to perform the action: "+r.Header.Get("Authorization"))
	case NoJSON:
		_, _ = w.Write([]byte("<html><body>Welcome!</body></html>"))
	case OtherJSON:
		_, _ = w.Write([]byte(`{"result":[{"allowed":true}],"allowed":"yes","tuples":3,"tree":[],"users":true,"changes":{},"authorization_models":{"id":1},"object":"doc:1"}`))
	case Redirect:
		http.Redirect(w, r, "http://127.0.0.1:9/elsewhere", http.StatusTemporaryRedirect)
	default:
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		w.Header().Set("Content-Type", "application/json")
		lie(f, w, answer.Body.Bytes())
	}
}

// lie changes an answer on its way.
func lie(f Fault, w http.ResponseWriter, answer []byte) {
	switch f {
	case Cut:
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(answer[:len(answer)/2])
		panic(http.ErrAbortHandler)
	case Huge:
		_, _ = w.Write(answer[:len(answer)-1])
		_, _ = w.Write([]byte(`,"more":"` + strings.Repeat("x", 5<<20) + `"}`))
		return
	}
	var in struct{ Result map[string]json.RawMessage }
	if json.Unmarshal(answer, &in) != nil || len(in.Result) == 0 {
		_, _ = w.Write(answer)
		return
	}
	text, first := "", true
	for id, result := range in.Result {
		if first { // any of them
			first = false
			switch f {
			case Missing:
				continue
			case Doubled:
				text += `,"` + id + `":{"allowed":true}`
			case Foreign:
				id = "x" + id
			case Empty:
				result = json.RawMessage(`{}`)
			}
		}
		text += `,"` + id + `":` + string(result)
	}
	_, _ = w.Write([]byte(`{"result":{` + strings.TrimPrefix(text, ",") + `}}`))
}
