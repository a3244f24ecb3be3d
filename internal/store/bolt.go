package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// LockedError says that another process has the store open. bbolt locks the
// whole file, and PostgreSQL keeps an advisory lock, so exactly one process
// owns a home.
type LockedError struct {
	Path   string
	PID    int    // the holder, 0 if the system does not say
	Holder string // the holder in words, where it is not of this system
}

func (e *LockedError) Error() string {
	holder := "another process"
	switch {
	case e.Holder != "":
		holder = e.Holder
	case e.PID != 0:
		holder = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("store %s is in use by %s", e.Path, holder)
}

var boltBucket = []byte("deputy")

// OpenBolt opens or creates the bbolt file at path, or fails with a
// *LockedError if another process has it open.
func OpenBolt(path string) (Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 100 * time.Millisecond})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, &LockedError{Path: path, PID: flockHolder(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), db.Close())
	}
	return &boltStore{db}, nil
}

type boltStore struct{ db *bolt.DB }

func (s *boltStore) View(fn func(Tx) error) error {
	return s.db.View(func(tx *bolt.Tx) error { return fn(boltTx{tx.Bucket(boltBucket)}) })
}

func (s *boltStore) Update(fn func(Tx) error) error {
	return s.db.Update(func(tx *bolt.Tx) error { return fn(boltTx{tx.Bucket(boltBucket)}) })
}

func (s *boltStore) Close() error { return s.db.Close() }

type boltTx struct{ b *bolt.Bucket }

func (t boltTx) Get(key []byte) ([]byte, error) {
	v := t.b.Get(key)
	if v == nil {
		return nil, ErrNotFound
	}
	return v, nil
}

func (t boltTx) Put(key, value []byte) error {
	if !t.b.Writable() {
		return ErrReadOnly
	}
	// bbolt keeps the slice until commit; the contract says we copy. A nil
	// value would read as not there.
	return t.b.Put(key, append([]byte{}, value...))
}

func (t boltTx) Delete(key []byte) error {
	if !t.b.Writable() {
		return ErrReadOnly
	}
	return t.b.Delete(key)
}

func (t boltTx) Scan(from, to []byte, fn func(key, value []byte) error) error {
	c := t.b.Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if to != nil && bytes.Compare(k, to) >= 0 {
			break
		}
		if err := fn(k, v); err != nil {
			if errors.Is(err, ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// flockHolder asks Linux who holds the lock on path; 0 where it cannot tell.
func flockHolder(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	return findLock(locks, inode(info))
}

// findLock reads the format of /proc/locks (proc_locks(5)):
// "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF".
func findLock(r io.Reader, ino uint64) int {
	if ino == 0 {
		return 0
	}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 6 {
			continue
		}
		if !strings.HasSuffix(f[5], ":"+strconv.FormatUint(ino, 10)) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil {
			return pid
		}
	}
	return 0
}
