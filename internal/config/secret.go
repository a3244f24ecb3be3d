package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/zalando/go-keyring"
)

// Secret is a reference to a secret: file:PATH, env:NAME or keyring:NAME. The
// secret itself is never in the file, and never in a Config.
type Secret string

// UnmarshalText refuses a secret that is written out.
func (s *Secret) UnmarshalText(text []byte) error {
	kind, name, _ := strings.Cut(string(text), ":")
	switch {
	case len(text) == 0:
	case name == "" || kind != "file" && kind != "env" && kind != "keyring":
		// The value is not repeated: it may be the secret.
		return errors.New("a secret is given by reference, as file:PATH, env:NAME or keyring:NAME")
	}
	*s = Secret(text)
	return nil
}

// Read fetches the secret; an empty reference is an empty secret.
func (s Secret) Read() (string, error) {
	kind, name, _ := strings.Cut(string(s), ":")
	switch kind {
	case "":
		return "", nil
	case "file":
		data, err := os.ReadFile(name)
		return strings.TrimSpace(string(data)), err
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", name)
		}
		return v, nil
	case "keyring":
		return keyring.Get("deputy", name)
	}
	return "", fmt.Errorf("unknown kind of secret %q", kind)
}
