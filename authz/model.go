package authz

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
)

//go:embed model.fga
var builtinModel string

// BuiltinModel is the model deputy ships, in the OpenFGA language.
func BuiltinModel() string { return builtinModel }

// versionOf names a model by its text.
func versionOf(dsl string) string {
	sum := sha256.Sum256([]byte(dsl))
	return hex.EncodeToString(sum[:8])
}
