package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deputy/internal/config"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestEmptyFileIsComplete(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n"} {
		c, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(config.Default(), c); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestExampleParsesToItself(t *testing.T) {
	c := config.Default()
	c.Providers = map[string]config.Provider{"google": {ClientID: "id", ClientSecret: "env:GOOGLE_SECRET"}, "github": {APIURL: "https://ghe.example.com/api/v3"}}
	c.Tools.Exclude = []string{"gmail_send_message"}
	c.Approvals.Expires = time.Hour
	c.Approvals.Rules = []config.Rule{
		{Name: "outside", When: `args.to.exists(a, domain(a) != "example.com")`, Need: "ask+stepup", Reason: "mail leaves the company"},
		{Name: "regex", When: `args.body.matches("\\d{4}\n") && 'x' != "\u00e9"`, Need: "deny"},
	}
	c.Store = "postgres:env:DEPUTY_POSTGRES_URL"
	c.Login = config.Login{
		Issuer: "https://idp.example", ClientID: "deputy", ClientSecret: "env:OIDC", Scopes: []string{"email"}, Allow: []string{"sub:1", "email:a@b.example", "email_domain:b.example"},
		GitHub: config.LoginGitHub{ClientID: "x", ClientSecret: "env:HUB", Allow: []string{"sub:7"}},
	}
	c.Approvals.Presence = "always"
	got, err := config.Parse([]byte(config.Example(c)))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, config.Example(c))
	}
	if diff := cmp.Diff(c, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestBadFilesSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"listen: 127.0.0.1:1\nlisten_on: x\n", "[2:1] unknown field \"listen_on\""},
		{"approvals:\n  chanels: [page]\n", "[2:3] unknown field \"chanels\""},
		{"providers: {google: {client_secret: hunter2}}", "by reference"},
		{"providers: {gogle: {client_id: x}}", "google"},
		{"approvals: {defaults: {publishes: allow}}", "approvals.defaults.publishes"},
		{"approvals: {channels: [fax]}", "fax"},
		{"approvals:\n  rules:\n    - name: x\n      wen: taint\n", "[4:7] unknown field \"wen\""},
		{"approvals: {rules: [taint]}", "[1:21]"},
		{"approvals: {rules: [{name: x, need: [ask]}]}", "[1:37]"},
		{"approvals: {expires: 1s}", "1m to 168h"},
		{"approvals: {expires: soon}", "soon"},
		{"public_url: http://deputy.example.com", "want https"},
		{"public_url: https://deputy.example.com/x", "nothing after it"},
		{"store: mysql", "want bolt, or postgres:REF"},
		{"store: \"\"", "want bolt"},
		{"store: postgres", "want bolt"},
		{"store: \"postgres:\"", "want bolt"},
		{"store: postgres://u:hunter2@127.0.0.1/d", "by reference"},
		{"store: {postgres: \"postgres://u:hunter2@127.0.0.1/d\"}", "by reference"},
		{"store: {postgres: env:A, bolt: hunter2}", "want bolt"},
		{"store: {mysql: env:A}", "want bolt"},
		{"store: {postgres: {url: hunter2}}", "want bolt"},
		{"store: [bolt]", "want bolt"},
		{"listen: [1, 2]", "[1:9]"},
		{"login: {client_id: x}", "login.issuer is missing"},
		{"login: {issuer: https://idp.example}", "login.client_id is missing"},
		{"login: {issuer: http://idp.example, client_id: x}", "login.issuer: want https"},
		{"login: {issuer: \"https://hunter2@idp.example\", client_id: x}", "login.issuer: want https"},
		{"login: {issuer: https://github.com, client_id: x}", "login.github"},
		{"login: {issuer: https://idp.example, client_id: x, client_secret: hunter2}", "by reference"},
		{"login: {issuer: https://idp.example, client_id: x, scopes: [offline_access]}", "keeps no token"},
		{"login: {issuer: https://idp.example, client_id: x, allow: [anna]}", "want sub:ID"},
		{"login: {issuer: https://idp.example, client_id: x, allow: [\"email_domain:*\"]}", "want sub:ID"},
		{"login: {issuer: https://idp.example, client_id: x, allow: [\"email_domain:a@b\"]}", "want sub:ID"},
		{"login: {issuer: https://idp.example, client_id: x, allow: [\"email:example.com\"]}", "want sub:ID"},
		{"login: {github: {client_secret: env:X}}", "login.github: client_id is missing"},
		{"login: {github: {client_id: x}}", "login.github: client_secret is missing"},
		{"login: {github: {client_id: x, client_secret: env:X, allow: [\"email:a@b\"]}}", "vouches for no address"},
		{"login: {github: {client_id: x, client_secret: env:X, api_url: https://ghe.example}}", "go together"},
		{"login: {github: {client_id: x, client_secret: env:X, api_url: http://ghe.example, auth_url: https://a, token_url: https://a}}", "want https"},
		{"login: {alow: [x]}", "unknown field"},
		{"approvals: {presence: sometimes}", "never, stepup or always"},
		{"approvals: {presence: always, channels: [client]}", "takes page"},
		{"home: a\nhome: b\n", "home"},
		{"{", ""},
	} {
		_, err := config.Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") && strings.Contains(c.text, "hunter2") {
			t.Errorf("a secret is repeated: %v", err)
		}
	}
}

func TestStoreForms(t *testing.T) {
	for text, want := range map[string]config.Secret{
		"store: bolt":                      "",
		"store: postgres:env:URL":          "env:URL",
		"store: \"postgres: env:URL\"":     "env:URL",
		"store: {postgres: env:URL}":       "env:URL",
		"store:\n  postgres: env:URL\n":    "env:URL",
		"store: postgres:file:/a b/url":    "file:/a b/url",
		"store: postgres:keyring:postgres": "keyring:postgres",
	} {
		c, err := config.Parse([]byte(text))
		got, is := c.Store.Postgres()
		if err != nil || is && got != want || is != (want != "") {
			t.Errorf("%q: %q, %v", text, c.Store, err)
		}
	}
}

func TestSecretsAreReadWhenNeeded(t *testing.T) {
	t.Setenv("A_SECRET", "s3cret")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("fromfile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[config.Secret]string{"": "", "env:A_SECRET": "s3cret", config.Secret("file:" + file): "fromfile"} {
		if got, err := ref.Read(); err != nil || got != want {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	if _, err := config.Secret("env:NOT_SET_ANYWHERE").Read(); err == nil {
		t.Error("a missing variable is an empty secret")
	}
}
