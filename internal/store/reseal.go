package store

import (
	"context"
	"errors"
)

// Keys is a Sealer whose keys have numbers, so that what an old one sealed can
// be found.
type Keys interface {
	Sealer

	// Primary is the key that Seal uses now.
	Primary() uint32

	// KeyOf says which key sealed value; a plain value has none.
	KeyOf(value []byte) (id uint32, sealed bool)
}

// resealBatch rows are sealed anew in one transaction: enough that the disk is
// not asked for each, few enough that a writer hardly waits.
const resealBatch = 100

// Reseal seals every row that an older key sealed with the primary one, while
// others read and write. It returns how many rows it sealed, and how many did
// not open and were left as they are.
//
// A row is opened and sealed in one transaction, so a change by someone else is
// neither lost nor undone. Passes are made until one finds nothing: a writer
// may have sealed with the old key what it puts behind the first pass. Cut
// short, it leaves rows under either key, both of which open, and the next
// Reseal goes on.
func Reseal(ctx context.Context, s Store, keys Keys) (resealed, closed int, err error) {
	for {
		n, left, err := resealPass(ctx, s, keys)
		resealed += n
		if err != nil || n == 0 {
			return resealed, left, err
		}
	}
}

func resealPass(ctx context.Context, s Store, keys Keys) (resealed, closed int, err error) {
	for from := []byte(nil); ; {
		if err := ctx.Err(); err != nil {
			return resealed, closed, err
		}
		batch, err := stale(s, keys, from)
		if err != nil || len(batch) == 0 {
			return resealed, closed, err
		}
		n, left := 0, 0
		err = s.Update(func(tx Tx) error {
			n, left = 0, 0 // a back end may run this twice
			for _, key := range batch {
				opened, done, err := reseal(tx, keys, key)
				if err != nil {
					return err
				}
				if !opened {
					left++
				}
				if done {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return resealed, closed, err
		}
		resealed, closed = resealed+n, closed+left
		from = append(batch[len(batch)-1], 0) // the key right after
	}
}

// stale collects the next rows, at or behind from, that the primary key did
// not seal.
func stale(s Store, keys Keys, from []byte) (batch [][]byte, err error) {
	err = s.View(func(tx Tx) error {
		batch = nil
		return tx.Scan(from, nil, func(key, value []byte) error {
			if id, sealed := keys.KeyOf(value); sealed && id != keys.Primary() {
				batch = append(batch, append([]byte(nil), key...))
			}
			if len(batch) == resealBatch {
				return ErrStop
			}
			return nil
		})
	})
	return batch, err
}

// reseal seals one row anew, unless it went or was written since.
func reseal(tx Tx, keys Keys, key []byte) (opened, done bool, err error) {
	value, err := tx.Get(key)
	if errors.Is(err, ErrNotFound) {
		return true, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if id, sealed := keys.KeyOf(value); !sealed || id == keys.Primary() {
		return true, false, nil
	}
	plain, err := keys.Open(key, value)
	if err != nil {
		return false, false, nil // damaged: whoever reads it is told
	}
	if value, err = keys.Seal(key, plain); err != nil {
		return false, false, err
	}
	return true, true, tx.Put(key, value)
}

// SealedRows counts the rows that each key seals.
func SealedRows(s Store, keys Keys) (rows map[uint32]int, err error) {
	err = s.View(func(tx Tx) error {
		rows = map[uint32]int{}
		return tx.Scan(nil, nil, func(_, value []byte) error {
			if id, sealed := keys.KeyOf(value); sealed {
				rows[id]++
			}
			return nil
		})
	})
	return rows, err
}
