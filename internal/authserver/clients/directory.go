package clients

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"deputy/internal/fetch"
	"deputy/internal/store"
)

// Bounds on documents that are fetched and kept.
const (
	keepLeast   = 5 * time.Minute
	keepMost    = 24 * time.Hour
	keepFailure = 30 * time.Second // before an address is asked again
	keepStale   = 24 * time.Hour   // past its time, while its host does not answer
	keepCount   = 256
	fetchAtOnce = 8
)

// Bounds on registrations.
const (
	dynamicPrefix = "dcr_"
	dynamicCount  = 1000
	dynamicLife   = 90 * 24 * time.Hour // since the last use
	dynamicUnused = time.Hour
)

// ErrFull says that no more registrations are taken for now.
var ErrFull = errors.New("clients: too many registrations")

// Directory finds clients. Make one with NewDirectory.
type Directory struct {
	known   map[string]Client
	fetch   fetch.Client
	store   store.Store
	dynamic store.Table[registration]
	open    bool // clients may register themselves

	flight singleflight.Group
	gate   *semaphore.Weighted

	mu    sync.Mutex
	cache map[string]entry
}

type entry struct {
	client       Client
	err          error
	until, stale time.Time
}

type registration struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Redirects []string  `json:"redirects"`
	Grants    []string  `json:"grants"`
	Made      time.Time `json:"made"`
	Used      time.Time `json:"used,omitzero"`
}

// NewDirectory returns a directory of the operator's clients and of those with
// a document; with open, of those that register themselves as well.
func NewDirectory(s store.Store, sealer store.Sealer, f fetch.Client, operators []Client, open bool) (*Directory, error) {
	d := &Directory{
		known: map[string]Client{}, fetch: f, store: s, open: open,
		dynamic: store.Table[registration]{Name: "authserver/client", Sealer: sealer},
		gate:    semaphore.NewWeighted(fetchAtOnce), cache: map[string]entry{},
	}
	for _, c := range operators {
		if len(c.Grants) == 0 {
			c.Grants = []string{CodeGrant, RefreshGrant}
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		if _, twice := d.known[c.ID]; twice {
			return nil, errors.New("client " + c.ID + " is there twice")
		}
		c.Kind, c.Host = Operator, ""
		d.known[c.ID] = c
	}
	return d, nil
}

// Find returns the client of an id, or ErrUnknown. Before it fetches something it
// asks may.
func (d *Directory) Find(ctx context.Context, id string, may func() error) (Client, error) {
	if c, ok := d.known[id]; ok {
		return c, nil
	}
	switch {
	case isAddress(id):
		return d.published(ctx, id, may)
	case d.open && strings.HasPrefix(id, dynamicPrefix):
		return d.registered(id)
	}
	return Client{}, ErrUnknown
}

func (d *Directory) published(ctx context.Context, id string, may func() error) (Client, error) {
	now := time.Now()
	d.mu.Lock()
	e, known := d.cache[id]
	d.mu.Unlock()
	if known && now.Before(e.until) {
		return e.client, e.err
	}
	if err := may(); err != nil {
		return Client{}, err
	}
	got := d.flight.DoChan(id, func() (any, error) {
		// Whoever asked first may have gone; others wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetch.Timeout)
		defer cancel()
		return d.read(ctx, id), nil
	})
	select {
	case r := <-got:
		e := r.Val.(entry)
		return e.client, e.err
	case <-ctx.Done():
		return Client{}, ctx.Err()
	}
}

// read fetches a document and keeps what came of it.
func (d *Directory) read(ctx context.Context, id string) entry {
	var e entry
	var doc fetch.Document
	if e.err = d.gate.Acquire(ctx, 1); e.err == nil {
		doc, e.err = d.fetch.Document(ctx, id)
		d.gate.Release(1)
	}
	answered := e.err == nil
	if answered {
		e.client, e.err = published(id, doc.Body)
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.err == nil {
		e.until = now.Add(min(max(doc.MaxAge, keepLeast), keepMost))
		e.stale = e.until.Add(keepStale)
	} else {
		old := d.cache[id]
		e = entry{err: ErrUnknown, until: now.Add(keepFailure)}
		if !answered && old.err == nil && now.Before(old.stale) {
			// A host that is down does not sign its users out.
			e = entry{client: old.client, until: e.until, stale: old.stale}
		}
	}
	d.put(id, e)
	return e
}

// put makes room by forgetting what lives shortest.
func (d *Directory) put(id string, e entry) {
	if _, there := d.cache[id]; !there && len(d.cache) >= keepCount {
		first := ""
		for other, o := range d.cache {
			if first == "" || o.until.Before(d.cache[first].until) {
				first = other
			}
		}
		delete(d.cache, first)
	}
	d.cache[id] = e
}

// Register takes a client's own metadata (RFC 7591 §3.1). It becomes a public
// client.
func (d *Directory) Register(body []byte) (Client, error) {
	c, _, err := decode(body)
	if err != nil {
		return Client{}, err
	}
	var raw [16]byte
	rand.Read(raw[:])
	c.ID, c.Kind = dynamicPrefix+base64.RawURLEncoding.EncodeToString(raw[:]), Dynamic
	row := registration{ID: c.ID, Name: c.Name, Redirects: c.Redirects, Grants: c.Grants, Made: time.Now().UTC()}
	return c, d.store.Update(func(tx store.Tx) error {
		n := 0
		if err := d.dynamic.All(tx, func(registration) error { n++; return nil }); err != nil {
			return err
		}
		if n >= dynamicCount {
			return ErrFull
		}
		return d.dynamic.Put(tx, row, row.ID)
	})
}

func (d *Directory) registered(id string) (Client, error) {
	var row registration
	err := d.store.View(func(tx store.Tx) (err error) { row, err = d.dynamic.Get(tx, id); return err })
	if errors.Is(err, store.ErrNotFound) || err == nil && row.over(time.Now()) {
		return Client{}, ErrUnknown
	}
	return Client{ID: row.ID, Name: row.Name, Redirects: row.Redirects, Grants: row.Grants, Kind: Dynamic}, err
}

func (r registration) over(now time.Time) bool {
	if r.Used.IsZero() {
		return now.Sub(r.Made) > dynamicUnused
	}
	return now.Sub(r.Used) > dynamicLife
}

// Used notes, inside tx, that a client was given something, which keeps its
// registration.
func (d *Directory) Used(tx store.Tx, c Client) error {
	if c.Kind != Dynamic {
		return nil
	}
	row, err := d.dynamic.Get(tx, c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	row.Used = time.Now().UTC()
	return d.dynamic.Put(tx, row, row.ID)
}

// Sweep forgets registrations that nobody uses.
func (d *Directory) Sweep(tx store.Tx) error {
	now := time.Now()
	return d.dynamic.DeleteIf(tx, func(r registration) bool { return r.over(now) })
}
