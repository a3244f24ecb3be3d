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
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Config is the whole file. The zero file is complete: every key has a
// default that is safe.
type Config struct {
	Home      string              `yaml:"home" doc:"store, audit log and keys (made with mode 0700)"`
	Store     Store               `yaml:"store" doc:"bolt: one file in home; postgres:env:NAME (or file:PATH, keyring:NAME): the PostgreSQL database whose URL is there, for one home; either way one process"`
	Key       string              `yaml:"key" doc:"the key-encryption key: keyring:NAME, file:PATH, env:NAME, or passphrase (asked for, or $DEPUTY_PASSPHRASE); none found: refuse to start"`
	Listen    string              `yaml:"listen" doc:"where serve listens"`
	TLS       TLS                 `yaml:"tls" doc:"serve https itself; empty: plain http, for this machine or a proxy on it"`
	Proxies   []string            `yaml:"behind_proxy" doc:"reverse proxies that end TLS, by address or network: their X-Forwarded-For is believed"`
	PublicURL string              `yaml:"public_url" doc:"redirects and links are built from this alone, never from Host"`
	Access    Access              `yaml:"access" doc:"whose tokens open /mcp, besides the bearer in keys/bearer"`
	OAuth     OAuth               `yaml:"oauth" doc:"deputy's own authorization server; off where access names an issuer"`
	Login     Login               `yaml:"login" doc:"who may sign in over HTTP, beside passkeys and one-time codes"`
	User      string              `yaml:"user" doc:"the person this home belongs to; empty: the operating system's user"`
	Providers map[string]Provider `yaml:"providers" doc:"OAuth clients: google, slack, github, and any of your own"`
	Exchange  Exchange            `yaml:"exchange" doc:"tokens for your own back ends (RFC 8693); off without clients"`
	Tools     Tools               `yaml:"tools" doc:"which tools there are"`
	Authz     Authz               `yaml:"authz" doc:"who may see and do what"`
	Approvals Approvals           `yaml:"approvals" doc:"when a person is asked, and where"`
}

// TLS is a certificate and its key.
type TLS struct {
	Cert string `yaml:"cert" doc:"PEM file, with what it takes to reach the root; read anew when it changes"`
	Key  string `yaml:"key" doc:"PEM file"`
}

// Provider is one OAuth client, and where the provider is if not at home. A
// name that is not google, slack or github declares a provider of one's own.
type Provider struct {
	Type         string   `yaml:"type" doc:"a provider of your own: oidc, oauth2, exchange, id-jag or key; empty for google, slack and github"`
	Title        string   `yaml:"title" doc:"as a person reads it; empty: the name"`
	ClientID     string   `yaml:"client_id" doc:"from the provider's developer console"`
	ClientSecret Secret   `yaml:"client_secret" doc:"file:PATH, env:NAME or keyring:NAME; empty: a public client (PKCE)"`
	App          bool     `yaml:"app" doc:"github: the client is a GitHub App, whose tokens are narrowed to one repository for each request"`
	Issuer       string   `yaml:"issuer" doc:"of your own: its metadata names the endpoints (RFC 8414, OpenID Connect Discovery)"`
	Scopes       []string `yaml:"scopes" doc:"of your own: what is asked"`
	Resource     string   `yaml:"resource" doc:"of your own: the API that tokens are for (RFC 8707)"`
	NoPKCE       bool     `yaml:"no_pkce" doc:"of your own: the server does not know PKCE S256, and the client has a secret"`
	Identity     Identity `yaml:"identity" doc:"oauth2: where the API says whose account it is"`
	From         string   `yaml:"from" doc:"exchange, id-jag: the provider whose account the tokens are traded from (RFC 8693)"`
	Audience     string   `yaml:"audience" doc:"exchange, id-jag: whom the traded token is for; for id-jag the issuer behind token_url"`
	Key          Secret   `yaml:"key" doc:"type key: a static key, by reference"`
	KeyHeader    string   `yaml:"key_header" doc:"type key: the header it goes in; empty: Authorization, as a bearer"`
	APIURL       string   `yaml:"api_url" doc:"tests, GitHub Enterprise, proxies; required for your own"`
	AuthURL      string   `yaml:"auth_url"`
	TokenURL     string   `yaml:"token_url"`
	RevokeURL    string   `yaml:"revoke_url"`
	DeviceURL    string   `yaml:"device_url"`
}

// Identity says where an API tells whose token it got.
type Identity struct {
	Path    string `yaml:"path" doc:"below api_url, as /user; empty: the account is known by the name given at connect"`
	Subject string `yaml:"subject" doc:"the JSON field that never changes"`
	Name    string `yaml:"name" doc:"the JSON field that a person recognises"`
}

// Exchange lets back ends of the operator's have tokens, each with the consent
// of the person whose account it is.
type Exchange struct {
	Clients map[string]Client `yaml:"clients" doc:"back ends by client_id"`
}

// Client is one back end.
type Client struct {
	Secret    Secret   `yaml:"secret" doc:"file:PATH, env:NAME or keyring:NAME"`
	Providers []string `yaml:"providers" doc:"whose tokens it may have, where a person shares an account with it"`
}

// Tools narrows the catalogue.
type Tools struct {
	Toolsets   []string `yaml:"toolsets" doc:"gmail, slack, github; default: what is asked for often, of each"`
	Include    []string `yaml:"include" doc:"tools to have beside those of toolsets, by name; toolsets: [] leaves these alone"`
	Exclude    []string `yaml:"exclude" doc:"tools to leave out, by name"`
	ReadOnly   bool     `yaml:"read_only" doc:"no tool that writes"`
	DraftsOnly bool     `yaml:"drafts_only" doc:"no tool that others notice: reading and drafting alone"`
}

// Authz chooses the model.
type Authz struct {
	Model   string  `yaml:"model" doc:"builtin, or the path of an OpenFGA model (DSL, schema 1.1)"`
	Backend string  `yaml:"backend" doc:"embedded: decided in this process; openfga: by a server of yours, which keeps relationships and models"`
	OpenFGA OpenFGA `yaml:"openfga" doc:"with backend: openfga"`
}

// OpenFGA is a server that decides.
type OpenFGA struct {
	URL   string `yaml:"url" doc:"of its HTTP API, as https://fga.example.com"`
	Store string `yaml:"store" doc:"its id, or its name if no other has it"`
	Token Secret `yaml:"token" doc:"a preshared key: file:PATH, env:NAME or keyring:NAME; empty: none"`
}

// Approvals says when and where a person is asked.
type Approvals struct {
	Defaults Defaults      `yaml:"defaults" doc:"allow, ask or ask+stepup, by what a tool does; never less than the tool's own floor"`
	Rules    []Rule        `yaml:"rules" doc:"what is asked beyond the defaults, by name, when, need and reason: docs/rules.md"`
	Presence string        `yaml:"presence" doc:"when approving takes a proof of the last five minutes (a passkey, where one is enrolled): never, stepup (for ask+stepup), always"`
	Channels []string      `yaml:"channels" doc:"where decisions are taken: client (elicitation), page, cli"`
	Expires  time.Duration `yaml:"expires" doc:"an unanswered request is a no after this long; 1m to 168h"`
}

// Rule raises what is asked when its condition is true. What a condition may
// say depends on the tools, so it is read with them (approvals/rules).
type Rule struct {
	Name   string `yaml:"name"`
	When   string `yaml:"when"`
	Need   string `yaml:"need"`
	Reason string `yaml:"reason"`
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
		Listen: "127.0.0.1:8787", PublicURL: "http://localhost:8787", Login: Login{Scopes: []string{"email"}},
		Tools: Tools{Toolsets: []string{"gmail", "slack", "github"}},
		Authz: Authz{Model: "builtin", Backend: "embedded"},
		Approvals: Approvals{
			Defaults: Defaults{"allow", "ask", "ask+stepup"}, Rules: []Rule{}, Presence: "stepup",
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

// Builtin are the providers this build has tools for.
var Builtin = []string{"github", "google", "slack"}

var providerName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// check refuses a provider that says too little, or what has no effect.
func (p Provider) check(name string) error {
	own := !slices.Contains(Builtin, name)
	complain := func(format string, args ...any) error {
		return fmt.Errorf("providers.%s: %s", name, fmt.Sprintf(format, args...))
	}
	if !own {
		if p.Type != "" || p.Issuer != "" || len(p.Scopes) > 0 || p.Resource != "" || p.NoPKCE || p.Identity != (Identity{}) || p.From != "" || p.Audience != "" || p.Key != "" || p.KeyHeader != "" {
			return complain("type, issuer, scopes, resource, no_pkce, identity, from, audience and key are for a provider of your own: give it another name")
		}
		if p.App && name != "github" {
			return complain("app is for github")
		}
		return nil
	}
	if !providerName.MatchString(name) {
		return complain("want a name of small letters, digits and -, at most 31")
	}
	if !slices.Contains([]string{"oidc", "oauth2", "exchange", "id-jag", "key"}, p.Type) {
		return complain("want one of %s, or type: oidc, oauth2, exchange, id-jag or key for a provider of your own", strings.Join(Builtin, ", "))
	}
	if p.APIURL == "" {
		return complain("api_url is missing: it is where tokens may be sent, and nowhere else")
	}
	switch {
	case p.App:
		return complain("app is for github")
	case p.Type == "key" && (p.Key == "" || p.ClientID != "" || p.ClientSecret != ""):
		return complain("type key takes key, and no client")
	case p.Type == "key":
		return nil
	case p.Key != "":
		return complain("key goes with type: key")
	case p.ClientID == "":
		return complain("client_id is missing")
	case p.Type == "exchange" || p.Type == "id-jag":
		if p.From == "" || p.TokenURL == "" || p.Type == "id-jag" && p.Audience == "" {
			return complain("type %s needs from, token_url and, for id-jag, audience", p.Type)
		}
		return nil
	case p.From != "" || p.Audience != "":
		return complain("from and audience go with type: exchange or id-jag")
	case p.NoPKCE && p.ClientSecret == "":
		return complain("a client without a secret needs PKCE")
	case p.Type == "oidc" && p.Issuer == "":
		return complain("issuer is missing")
	case p.Type == "oidc" && p.Identity != (Identity{}):
		return complain("identity is for oauth2: with oidc the ID token says it")
	case p.Issuer == "" && (p.AuthURL == "" || p.TokenURL == ""):
		return complain("want issuer, or auth_url and token_url")
	case p.Identity.Path != "" && (p.Identity.Subject == "" || p.Identity.Name == ""):
		return complain("identity needs path, subject and name")
	}
	return nil
}

func (a Authz) check() error {
	switch {
	case a.Backend != "embedded" && a.Backend != "openfga":
		return fmt.Errorf("backend: %q: want embedded or openfga", a.Backend)
	case a.Backend == "embedded" && a.OpenFGA != (OpenFGA{}):
		return errors.New("openfga: it goes with backend: openfga")
	case a.Backend == "embedded":
		return nil
	case a.OpenFGA.URL == "" || a.OpenFGA.Store == "":
		return errors.New("openfga: url and store are needed")
	case a.Model != "builtin":
		return errors.New("model: with backend: openfga the server's store keeps the model: take model out and run deputy authz model set FILE")
	}
	return nil
}

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
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("tls: cert and key go together")
	}
	if c.TLS.Cert != "" && u.Scheme != "https" {
		return fmt.Errorf("public_url: %q: with tls it begins with https://", c.PublicURL)
	}
	if err := c.Authz.check(); err != nil {
		return fmt.Errorf("authz.%w", err)
	}
	if !slices.Contains([]string{"never", "stepup", "always"}, c.Approvals.Presence) {
		return fmt.Errorf("approvals.presence: %q: want never, stepup or always", c.Approvals.Presence)
	}
	if c.Approvals.Presence == "always" && !slices.Contains(c.Approvals.Channels, "page") {
		return errors.New("approvals.presence: always takes page among approvals.channels: a proof is given there")
	}
	if err := c.OAuth.check(); err != nil {
		return fmt.Errorf("oauth.%w", err)
	}
	if err := c.Access.check(); err != nil {
		return fmt.Errorf("access.%w", err)
	}
	if err := c.Login.check(); err != nil {
		return fmt.Errorf("login.%w", err)
	}
	if c.Home == "" || c.Listen == "" || c.Authz.Model == "" {
		return errors.New("home, listen and authz.model cannot be empty")
	}
	for name, p := range c.Providers {
		if err := p.check(name); err != nil {
			return err
		}
	}
	for name, cl := range c.Exchange.Clients {
		if name == "" || cl.Secret == "" {
			return fmt.Errorf("exchange.clients.%s: secret is missing: there are no public clients here", name)
		}
		for _, p := range cl.Providers {
			if _, own := c.Providers[p]; !own && !slices.Contains(Builtin, p) {
				return fmt.Errorf("exchange.clients.%s.providers: there is no provider %q", name, p)
			}
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
