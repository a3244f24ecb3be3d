package vault

import (
	"net/http"
	"strings"
	"sync"

	"deputy/approvals"
)

// etags keeps recent answers of providers that name their versions (RFC 9110
// §8.8.3). An answer is used again only after the provider has said, to this
// same account, that it still holds: GitHub does not count such a request.
type etags struct {
	mu   sync.Mutex
	all  map[string]kept
	size int
}

type kept struct {
	etag string
	body []byte
}

const (
	maxEtags     = 8 << 20 // bytes of all bodies
	maxEtagBody  = 1 << 20
	etagOverhead = 256
)

// etagKey: an answer belongs to the user and account that got it.
func etagKey(user, account, path string) string { return user + "\x00" + account + "\x00" + path }

func (e *etags) of(user, account string, req approvals.Request) kept {
	if req.Method != http.MethodGet {
		return kept{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[etagKey(user, account, req.Path)]
}

func (e *etags) keep(user, account string, req approvals.Request, etag string, body []byte) {
	if req.Method != http.MethodGet || etag == "" || len(etag) > 256 || len(body) > maxEtagBody {
		return
	}
	key := etagKey(user, account, req.Path)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]kept{}
	}
	e.drop(key)
	e.all[key] = kept{etag, body}
	e.size += len(body) + len(key) + etagOverhead
	for other := range e.all { // in no order, which is as good as any
		if e.size <= maxEtags {
			break
		}
		if other != key {
			e.drop(other)
		}
	}
}

func (e *etags) drop(key string) {
	if k, ok := e.all[key]; ok {
		e.size -= len(k.body) + len(key) + etagOverhead
		delete(e.all, key)
	}
}

// forget drops every answer an account got.
func (e *etags) forget(user, account string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key := range e.all {
		if strings.HasPrefix(key, etagKey(user, account, "")) {
			e.drop(key)
		}
	}
}
