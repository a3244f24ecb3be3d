// Package config reads deputy.yaml: one file, strict, with secrets by
// reference. A key it does not know stops the start and names the line.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Config is the whole file. The zero file is complete: every key has a
// default that is safe.
type Config struct {
	Home      string              `yaml:"home" doc:"store, audit log and keys (made with mode 0700)"`
	Store     string              `yaml:"store" doc:"bolt: one file in home, one process"`
	Key       string              `yaml:"key" doc:"the key-encryption key: keyring:NAME, file:PATH, env:NAME, or passphrase (asked for, or $DEPUTY_PASSPHRASE); none found: refuse to start"`
	Listen    string              `yaml:"listen" doc:"where serve listens"`
	PublicURL string              `yaml:"public_url" doc:"redirects and links are built from this alone, never from Host"`
	User      string              `yaml:"user" doc:"the person this home belongs to; empty: the operating system's user"`
	Providers map[string]Provider `yaml:"providers" doc:"OAuth clients: google, slack, github"`
	Tools     Tools               `yaml:"tools" doc:"which tools there are"`
	Authz     Authz               `yaml:"authz" doc:"who may see and do what"`
	Approvals Approvals           `yaml:"approvals" doc:"when a person is asked, and where"`
}

// Provider is one OAuth client, and where the provider is if not at home.
type Provider struct {
	ClientID     string `yaml:"client_id" doc:"from the provider's developer console"`
	ClientSecret Secret `yaml:"client_secret" doc:"file:PATH, env:NAME or keyring:NAME"`
	APIURL       string `yaml:"api_url" doc:"tests, GitHub Enterprise, proxies"`
	AuthURL      string `yaml:"auth_url"`
	TokenURL     string `yaml:"token_url"`
	RevokeURL    string `yaml:"revoke_url"`
}

// Tools narrows the catalogue.
type Tools struct {
	Toolsets []string `yaml:"toolsets" doc:"gmail, slack, github"`
	ReadOnly bool     `yaml:"read_only" doc:"no tool that writes"`
	Exclude  []string `yaml:"exclude" doc:"tools to leave out, by name"`
}

// Authz chooses the model.
type Authz struct {
	Model   string `yaml:"model" doc:"builtin, or the path of an OpenFGA model (DSL, schema 1.1)"`
	Backend string `yaml:"backend" doc:"embedded: decided in this process"`
}

// Approvals says when and where a person is asked.
type Approvals struct {
	Defaults Defaults      `yaml:"defaults" doc:"allow, ask or ask+stepup, by what a tool does; never less than the tool's own floor"`
	Rules    []string      `yaml:"rules" doc:"none yet"`
	Presence string        `yaml:"presence" doc:"stepup: ask+stepup takes a sign-in of the last five minutes"`
	Channels []string      `yaml:"channels" doc:"where decisions are taken: client (elicitation), page, cli"`
	Expires  time.Duration `yaml:"expires" doc:"an unanswered request is a no after this long; 1m to 168h"`
}

// Defaults by effect.
type Defaults struct {
	Drafts    string `yaml:"drafts" doc:"changes in the user's own space that can be undone"`
	Publishes string `yaml:"publishes" doc:"others see it; ask at least"`
	Destroys  string `yaml:"destroys" doc:"cannot be undone; ask at least"`
}

// Default is the configuration of an empty file.
func Default() Config {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	return Config{
		Home: filepath.Join(data, "deputy"), Store: "bolt", Key: "keyring:deputy",
		Listen: "127.0.0.1:8787", PublicURL: "http://localhost:8787",
		Tools: Tools{Toolsets: []string{"gmail", "slack", "github"}},
		Authz: Authz{Model: "builtin", Backend: "embedded"},
		Approvals: Approvals{
			Defaults: Defaults{"allow", "ask", "ask+stepup"}, Rules: []string{}, Presence: "stepup",
			Channels: []string{"client", "page"}, Expires: 15 * time.Minute,
		},
	}
}

// Path finds the file: explicit, else $DEPUTY_CONFIG, else the system's
// configuration folder. The last may be missing, the others may not.
func Path(explicit string) (path string, mustExist bool) {
	if explicit != "" {
		return explicit, true
	}
	if env := os.Getenv("DEPUTY_CONFIG"); env != "" {
		return env, true
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", false
	}
	return filepath.Join(dir, "deputy", "deputy.yaml"), false
}

// Load reads the file at path over the defaults and checks it.
func Load(path string, mustExist bool) (Config, error) {
	c := Default()
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !mustExist {
		return c, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	if c, err = Parse(data); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse reads a file's text over the defaults and checks it.
func Parse(data []byte) (Config, error) {
	c := Default()
	if emptyDocument(data) {
		return c, nil
	}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&c); err != nil {
		// Without the source: the lines around a mistake may be secrets.
		return Config{}, errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	return c, c.check()
}

// emptyDocument: comments alone are a file, and it says nothing.
func emptyDocument(data []byte) bool {
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// ProviderNames are the providers this build knows.
var ProviderNames = []string{"github", "google", "slack"}

func (c *Config) check() error {
	if rest, ok := strings.CutPrefix(c.Home, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("home: %w", err)
		}
		c.Home = filepath.Join(home, rest)
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("public_url: %q: want scheme://host[:port] and nothing after it", c.PublicURL)
	}
	if u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) {
		return fmt.Errorf("public_url: %q: plain http is for this machine alone; want https", c.PublicURL)
	}
	if c.Store != "bolt" {
		return fmt.Errorf("store: %q: want bolt", c.Store)
	}
	if c.Authz.Backend != "embedded" {
		return fmt.Errorf("authz.backend: %q: want embedded, the only one there is yet", c.Authz.Backend)
	}
	if len(c.Approvals.Rules) > 0 {
		return errors.New("approvals.rules: there are no rules yet: leave it empty")
	}
	if c.Approvals.Presence != "stepup" {
		return fmt.Errorf("approvals.presence: %q: want stepup, the only one there is yet", c.Approvals.Presence)
	}
	if c.Home == "" || c.Listen == "" || c.Authz.Model == "" {
		return errors.New("home, listen and authz.model cannot be empty")
	}
	for name := range c.Providers {
		if !slices.Contains(ProviderNames, name) {
			return fmt.Errorf("providers: %q: want one of %s", name, strings.Join(ProviderNames, ", "))
		}
	}
	for key, v := range map[string]struct {
		value string
		may   []string
	}{
		"drafts":    {c.Approvals.Defaults.Drafts, []string{"allow", "ask", "ask+stepup"}},
		"publishes": {c.Approvals.Defaults.Publishes, []string{"ask", "ask+stepup"}},
		"destroys":  {c.Approvals.Defaults.Destroys, []string{"ask", "ask+stepup"}},
	} {
		if !slices.Contains(v.may, v.value) {
			return fmt.Errorf("approvals.defaults.%s: %q: want one of %s", key, v.value, strings.Join(v.may, ", "))
		}
	}
	for _, ch := range c.Approvals.Channels {
		if !slices.Contains([]string{"client", "page", "cli"}, ch) {
			return fmt.Errorf("approvals.channels: %q: want client, page or cli", ch)
		}
	}
	if c.Approvals.Expires < time.Minute || c.Approvals.Expires > 168*time.Hour {
		return fmt.Errorf("approvals.expires: %v: want 1m to 168h", c.Approvals.Expires)
	}
	return nil
}
