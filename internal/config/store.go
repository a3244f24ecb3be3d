package config

import (
	"errors"
	"strings"
)

// Store says where rows are kept: bolt, or postgres: and where the database's
// URL is. The file may also have it as a mapping.
//
//	store: bolt
//	store: postgres:env:DEPUTY_POSTGRES_URL
//	store: {postgres: env:DEPUTY_POSTGRES_URL}
type Store string

// UnmarshalYAML takes each form to the first or the second. Errors do not
// repeat the value: somebody may have put the URL itself there.
func (s *Store) UnmarshalYAML(decode func(any) error) error {
	wrong := errors.New("store: want bolt, or postgres:REF with the database's URL by reference, as env:NAME, file:PATH or keyring:NAME")
	var text string
	if decode(&text) != nil {
		var in map[string]string
		if decode(&in) != nil || len(in) != 1 || in["postgres"] == "" {
			return wrong
		}
		text = "postgres:" + in["postgres"]
	}
	if text != "bolt" {
		ref, ok := strings.CutPrefix(text, "postgres:")
		ref = strings.TrimSpace(ref)
		if !ok || ref == "" || new(Secret).UnmarshalText([]byte(ref)) != nil {
			return wrong
		}
		text = "postgres:" + ref
	}
	*s = Store(text)
	return nil
}

// Postgres is the reference to the database's URL, if that is the store.
func (s Store) Postgres() (Secret, bool) {
	ref, ok := strings.CutPrefix(string(s), "postgres:")
	return Secret(ref), ok
}
