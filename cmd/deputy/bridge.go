package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"deputy/internal/server"
	"deputy/tools"
)

// bridge is one client's stdin and stdout on the one side and the MCP endpoint
// of the home's owner on the other. It carries messages and understands only
// what HTTP wants repeated in headers; every front-end is a session of its own.
type bridge struct {
	http    *http.Client
	url     string
	session string // which front-end this is, for the owner
	choice  tools.Choice

	mu       sync.Mutex // one message is one line
	out      io.Writer
	mcp      string // Mcp-Session-Id of revisions that have sessions
	protocol string // what was negotiated in them
	posts    sync.WaitGroup
}

// maxMessage bounds one line, as the door bounds one request.
const maxMessage = 4 << 20

// envelope is what a bridge reads of a message.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name string `json:"name"`
		URI  string `json:"uri"`
		Meta struct {
			Protocol string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
	Result struct {
		Protocol string `json:"protocolVersion"`
	} `json:"result"`
}

// run carries messages until in ends, then waits for answers under way.
func (b *bridge) run(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxMessage)
	for lines.Scan() {
		line := bytes.Clone(bytes.TrimSpace(lines.Bytes()))
		if len(line) == 0 {
			continue
		}
		var e envelope
		if err := json.Unmarshal(line, &e); err != nil {
			b.fail(nil, -32700, "the message is not JSON")
			continue
		}
		// What comes before a session, and what is not answered, keeps its place.
		if e.Method == "initialize" || e.ID == nil {
			b.post(ctx, line, e)
			if e.Method == "notifications/initialized" {
				go b.listen(ctx)
			}
			continue
		}
		b.posts.Go(func() { b.post(ctx, line, e) })
	}
	b.posts.Wait()
	b.leave()
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("a message is longer than %d bytes", maxMessage)
	}
	return nil
}

// post sends one message and writes what comes back.
func (b *bridge) post(ctx context.Context, line []byte, e envelope) {
	resp, err := b.do(ctx, http.MethodPost, bytes.NewReader(line), e)
	if err != nil {
		b.fail(e.ID, -32603, "the running deputy does not answer: see its log, or start the client again")
		return
	}
	defer resp.Body.Close()
	if e.Method == "initialize" {
		b.mu.Lock()
		b.mcp = resp.Header.Get("Mcp-Session-Id")
		b.mu.Unlock()
	}
	switch {
	case resp.StatusCode == http.StatusAccepted, resp.StatusCode == http.StatusNoContent:
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"):
		b.events(resp.Body)
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json"):
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
		if err != nil || !json.Valid(body) {
			b.fail(e.ID, -32603, "the running deputy broke off")
			return
		}
		b.write(body)
	default:
		words, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		b.fail(e.ID, -32603, fmt.Sprintf("the running deputy refused the message (HTTP %d): %s", resp.StatusCode, bytes.TrimSpace(words)))
	}
}

// listen carries what the server says by itself, in revisions that have it.
func (b *bridge) listen(ctx context.Context) {
	resp, err := b.do(ctx, http.MethodGet, nil, envelope{})
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		b.events(resp.Body)
	}
}

// leave ends the session.
func (b *bridge) leave() {
	if b.mcp == "" {
		return
	}
	if resp, err := b.do(context.Background(), http.MethodDelete, nil, envelope{}); err == nil {
		resp.Body.Close()
	}
}

func (b *bridge) do(ctx context.Context, method string, body io.Reader, e envelope) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, b.url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodGet {
		req.Header.Set("Accept", "text/event-stream")
	}
	req.Header.Set(sessionHeader, b.session)
	server.SetChoice(req.Header, b.choice)
	b.mu.Lock()
	session, protocol := b.mcp, b.protocol
	b.mu.Unlock()
	if v := e.Params.Meta.Protocol; v != "" {
		// Revisions without sessions want method and name in headers as well.
		protocol, session = v, ""
		req.Header.Set("Mcp-Method", e.Method)
		if name := e.Params.Name + e.Params.URI; name != "" {
			req.Header.Set("Mcp-Name", name)
		}
	}
	for header, v := range map[string]string{"Mcp-Session-Id": session, "Mcp-Protocol-Version": protocol} {
		if v != "" && e.Method != "initialize" {
			req.Header.Set(header, v)
		}
	}
	return b.http.Do(req)
}

// events writes the data of server-sent events, a message each.
func (b *bridge) events(body io.Reader) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), 64<<20)
	var data []byte
	for lines.Scan() {
		switch line := lines.Bytes(); {
		case bytes.HasPrefix(line, []byte("data:")):
			data = append(data, bytes.TrimPrefix(line[len("data:"):], []byte(" "))...)
		case len(line) == 0 && len(data) > 0:
			b.write(data)
			data = nil
		}
	}
}

// write puts one message on one line.
func (b *bridge) write(message []byte) {
	var line bytes.Buffer
	if json.Compact(&line, message) != nil {
		return // no message
	}
	line.WriteByte('\n')
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.protocol == "" {
		var e envelope
		if json.Unmarshal(message, &e) == nil {
			b.protocol = e.Result.Protocol
		}
	}
	b.out.Write(line.Bytes())
}

func (b *bridge) fail(id json.RawMessage, code int, words string) {
	if id == nil {
		if code != -32700 {
			return // a notification is not answered
		}
		id = json.RawMessage("null")
	}
	message, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": "deputy: " + words}})
	b.write(message)
}
