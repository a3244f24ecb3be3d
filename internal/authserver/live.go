package authserver

import (
	"errors"
	"sync"
	"time"

	"deputy/internal/store"
)

const maxLive = 16_384

// live remembers which grants live, so that a token is verified without the
// store. One process owns a home, and every end of a grant passes change, so
// what is remembered is exact: when a call that ended a grant returns, it is
// forgotten here.
type live struct {
	mu     sync.RWMutex
	grants map[string]alive
	epoch  uint64 // counts ends: a row read before one is not remembered after it
}

// alive is the part of a grant that a token has to agree with.
type alive struct {
	user, client string
	ends         time.Time
}

func (l *live) forget(ids []string) {
	if len(ids) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	for _, id := range ids {
		delete(l.grants, id)
	}
}

func (l *live) get(id string) (a alive, epoch uint64, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a, ok = l.grants[id]
	return a, l.epoch, ok
}

func (l *live) put(id string, a alive, epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return
	}
	if l.grants == nil || len(l.grants) >= maxLive {
		l.grants = map[string]alive{}
	}
	l.grants[id] = a
}

// Lives reports, by an error that is nil, that a grant has not ended.
func (s *Server) Lives(grant string) error {
	_, err := s.lives(grant)
	return err
}

// lives returns the grant behind a token while it lives.
func (s *Server) lives(id string) (alive, error) {
	now := time.Now()
	a, epoch, ok := s.live.get(id)
	if ok && now.Before(a.ends) {
		return a, nil
	}
	var g grant
	err := s.c.Store.View(func(tx store.Tx) (err error) { g, err = s.tables.grants.Get(tx, id); return err })
	if errors.Is(err, store.ErrNotFound) || err == nil && g.over(now) {
		return alive{}, ErrToken
	}
	if err != nil {
		return alive{}, err
	}
	a = alive{g.User, g.Client, g.ends()}
	s.live.put(id, a, epoch)
	return a, nil
}
