package slack

import (
	"bytes"
	"encoding/json"
	"errors"

	"deputy/approvals"
)

const jsonType = "application/json; charset=utf-8"

// body is what a write sends. It says itself whether it is one that deputy
// sends, and what a person is shown of it.
type body interface {
	check() error
	preview(team string) approvals.Preview
}

// request is a write in the one form in which deputy sends it.
func request(path string, b any) approvals.Request {
	return approvals.Request{Method: "POST", Path: path, ContentType: jsonType, Body: encode(b)}
}

// bodies reads each write's body.
var bodies = map[string]func([]byte) (body, bool){
	postPath:     reading[posting],
	schedulePath: reading[scheduling],
	updatePath:   reading[update],
	deletePath:   reading[deletion],
	reactPath:    reading[reaction],
	openPath:     reading[opening],
	createPath:   reading[creation],
}

// reading encodes again what it read, which is the strictest reading: it leaves
// no room for a further field, a repeated one, a switched-on one, or anything
// after the end.
func reading[B body](data []byte) (body, bool) {
	var b B
	if json.Unmarshal(data, &b) != nil || !bytes.Equal(encode(b), data) {
		return nil, false
	}
	return b, b.check() == nil
}

var errNotOurs = errors.New("slack: the request is not in the one form deputy sends")

// render reads a write back from the bytes that would be sent. Bytes that are
// not exactly what a tool encodes are not shown and not sent.
//
// Channels and people are named by their ids alone: their names are not in the
// bytes, and may be others by the time of the yes.
func render(account string, r approvals.Request) (approvals.Preview, error) {
	team, user := whose(account)
	read := bodies[r.Path]
	if team == "" || user == "" || read == nil || r.Method != "POST" || r.ContentType != jsonType {
		return approvals.Preview{}, errNotOurs
	}
	b, ok := read(r.Body)
	if !ok {
		return approvals.Preview{}, errNotOurs
	}
	return b.preview(team), nil
}
