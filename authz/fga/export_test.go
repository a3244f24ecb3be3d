package fga

import "deputy/internal/store"

// Seed puts tuples into a store past every check, for what a large store costs
// to open.
func Seed(s store.Store, name string, tuples []Tuple) error {
	for len(tuples) > 0 {
		n := min(len(tuples), 100_000)
		err := s.Update(func(tx store.Tx) error {
			for _, t := range tuples[:n] {
				if err := (rows{name}).put(tx, t); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		tuples = tuples[n:]
	}
	return nil
}
