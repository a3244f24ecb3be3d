package storefile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"deputy/authz"
	"deputy/authz/fga"
)

// maxText bounds a model, a module or a store file, in bytes.
const maxText = 16 << 20

// ReadModel reads a model in the OpenFGA language or its JSON, or a modular one
// by its fga.mod.
func ReadModel(path string) (authz.Model, error) {
	text, err := readText(path)
	if err == nil && filepath.Ext(path) == ".mod" {
		text, err = fga.JoinModules(text, func(name string) (string, error) {
			if !filepath.IsLocal(name) {
				return "", fmt.Errorf("%s: a module lies below its fga.mod", name)
			}
			return readText(filepath.Join(filepath.Dir(path), name))
		})
	}
	if err != nil {
		return authz.Model{}, err
	}
	m, err := authz.ParseModel(text)
	if err != nil {
		return authz.Model{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func readText(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s is larger than 16 MiB", path)
	}
	return string(text), err
}
