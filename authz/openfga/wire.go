package openfga

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	maxAnswer  = 4 << 20         // bytes of one answer
	maxPages   = 1000            // of one list
	attempts   = 3               // of a question
	maxBackoff = 2 * time.Second // between two of them
)

// wire sends requests to one server.
type wire struct {
	base      string
	http      http.Client
	timeout   time.Duration // of one attempt
	authorize func(*http.Request)
	redact    func(string) string
}

// get, ask and write are the three kinds of requests: GET, POST that changes
// nothing, and POST that does.

func (w *wire) get(ctx context.Context, path string, query url.Values, out proto.Message) error {
	for k, v := range query {
		if v[0] == "" {
			delete(query, k)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	answer, err := w.repeat(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return w.decode(answer, out)
}

func (w *wire) ask(ctx context.Context, path string, in, out proto.Message) error {
	answer, err := w.askRaw(ctx, path, in)
	if err != nil {
		return err
	}
	return w.decode(answer, out)
}

func (w *wire) askRaw(ctx context.Context, path string, in proto.Message) ([]byte, error) {
	body, err := protojson.Marshal(in)
	if err != nil {
		return nil, invalid(err)
	}
	return w.repeat(ctx, http.MethodPost, path, body)
}

// write sends once. The outcome is known if the server was not reached or
// says in its own words that it refuses; otherwise it may have been done, and
// look says how a person finds out.
func (w *wire) write(ctx context.Context, path string, in, out proto.Message, look string) error {
	body, err := protojson.Marshal(in)
	if err != nil {
		return invalid(err)
	}
	answer, err := w.once(ctx, http.MethodPost, path, body)
	if err == nil {
		err = w.decode(answer, out)
	}
	if f := (*failure)(nil); err != nil && (!errors.As(err, &f) || !f.refused) {
		return fmt.Errorf("%w; it may have been written: %s before you write again", err, look)
	}
	return err
}

func (w *wire) decode(answer []byte, out proto.Message) error {
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(answer, out); err != nil {
		return w.odd("its answer is no %s", out.ProtoReflect().Descriptor().Name())
	}
	return nil
}

// repeat sends a question again after what may pass, within the context's
// deadline.
func (w *wire) repeat(ctx context.Context, method, path string, body []byte) (answer []byte, err error) {
	for n := 1; ; n++ {
		answer, err = w.once(ctx, method, path, body)
		var f *failure
		if err == nil || n == attempts || !errors.As(err, &f) || !f.passing {
			return answer, err
		}
		wait := min(50*time.Millisecond<<n, maxBackoff)
		wait = wait/2 + rand.N(wait/2)
		wait = max(wait, min(f.after, maxBackoff))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// once is one attempt: an answer with status 200 or 201, whole, or an error.
func (w *wire) once(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, &failure{refused: true, cause: err}
	}
	attempt, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(attempt, method, w.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, &failure{refused: true, cause: errors.New("authz.openfga.url is no address: write it as https://fga.example.com")}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if w.authorize != nil {
		w.authorize(r)
	}
	resp, err := w.http.Do(r)
	if err != nil {
		return nil, w.broken(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, w.broken(ctx, err)
	case len(answer) > maxAnswer:
		return nil, w.odd("its answer is larger than %d MiB", maxAnswer>>20)
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated:
		return nil, w.refusal(resp, answer)
	}
	return answer, nil
}

// broken says why no whole answer came.
func (w *wire) broken(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which is said already
	}
	if ctx.Err() != nil { // the caller's own
		return &failure{cause: fmt.Errorf("OpenFGA at %s has not answered: %w", w.base, ctx.Err())}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{cause: fmt.Errorf("OpenFGA at %s did not answer within %v: look at its load and at its database", w.base, w.timeout)}
	}
	f := &failure{passing: true, cause: fmt.Errorf("OpenFGA at %s cannot be reached (%s): see that it runs, and that authz.openfga.url is right", w.base, w.clean(err.Error()))}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		f.refused = true // nothing was sent
	}
	return f
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// pages calls next with each continuation token until there is none. A server
// that leads in a circle does not hold it for ever.
func pages(next func(token string) (string, error)) error {
	token := ""
	for range maxPages {
		following, err := next(token)
		if err != nil || following == "" || following == token {
			return err
		}
		token = following
	}
	return fmt.Errorf("the list goes on after %d pages: ask for less of it", maxPages)
}
