package authz

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"slices"
	"sync"

	"deputy/authz/fga"
)

//go:embed model.fga
var builtinText string

// Model is an authorization model: its text in the OpenFGA language or its
// JSON, and the same ready for evaluation.
type Model struct {
	text     string
	version  string
	compiled *fga.Model
}

// ParseModel reads and checks a model.
func ParseModel(text string) (Model, error) {
	m, err := fga.ParseModel(text)
	return Model{text, versionOf(text), m}, err
}

var builtin = sync.OnceValue(func() Model {
	m, err := ParseModel(builtinText)
	if err != nil {
		panic(err) // a test reads it
	}
	return m
})

// Builtin is the model deputy ships.
func Builtin() Model { return builtin() }

// String is the model's text.
func (m Model) String() string { return m.text }

// place leaves out the facts that another model than the built-in one has no
// word for: they say nothing in it. One that it has the words for and no place
// is kept, and is an error: it may be what forbids something.
func (m Model) place(facts Facts) Facts {
	if m.text == builtinText {
		return facts
	}
	return slices.DeleteFunc(slices.Clone(facts), func(t Tuple) bool {
		return !m.compiled.Lookup(t.Object.Type(), t.Relation) || !m.compiled.Has(Object(t.User).Type())
	})
}

// Version names a model by its text.
func (m Model) Version() string { return m.version }

func versionOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
