// Package house keeps the shape of the whole: who may import whom, and what
// may not be written anywhere. See docs/design.md.
package house

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// line is the import line: each package with the packages of ours it may
// import. What is not here may not exist.
var line = map[string][]string{
	"internal/store":              {},
	"internal/pages":              {},
	"internal/config":             {},
	"internal/seal":               {},
	"internal/audit":              {"internal/store"},
	"internal/backup":             {"internal/seal", "internal/store"},
	"authz/fga":                   {"internal/store"},
	"authz/fga/fgatest":           {"authz/fga"},
	"authz":                       {"authz/fga", "internal/store"},
	"authz/storefile":             {"authz", "authz/fga", "internal/store"},
	"authz/openfga":               {"authz/fga"},
	"approvals":                   {"authz", "internal/audit", "internal/pages", "internal/store"},
	"approvals/rules":             {"approvals", "authz"},
	"vault/internal/oauth":        {},
	"internal/fetch":              {},
	"internal/access":             {},
	"vault":                       {"vault/internal/oauth", "internal/fetch", "approvals", "authz", "internal/audit", "internal/pages", "internal/store"},
	"tools":                       {"approvals", "approvals/rules", "authz", "internal/audit", "internal/store", "vault"},
	"tools/gmail":                 {"approvals", "authz", "tools", "vault"},
	"tools/slack":                 {"approvals", "authz", "tools", "vault"},
	"tools/github":                {"approvals", "authz", "tools", "vault"},
	"internal/login/passkey":      {},
	"internal/login/upstream":     {"internal/fetch"},
	"internal/login":              {"authz", "internal/audit", "internal/login/passkey", "internal/login/upstream", "internal/pages", "internal/store"},
	"internal/authserver/signing": {"internal/fetch", "internal/store"},
	"internal/authserver/clients": {"authz", "internal/fetch", "internal/store"},
	"internal/authserver":         {"internal/authserver/clients", "internal/authserver/signing", "authz", "internal/audit", "internal/fetch", "internal/pages", "internal/store"},
	"internal/server":             {"approvals", "authz", "internal/store", "tools", "vault"},
	"cmd/deputy":                  nil, // the wiring imports everything
	"internal/store/storetest":    {"internal/store"},

	// test doubles and tests' own programs
	"tools/toolstest":           {"approvals", "authz", "internal/audit", "internal/seal", "internal/store", "tools", "vault"},
	"authz/openfga/openfgafake": {"authz/fga", "authz/openfga", "internal/store"},
	"tools/gmail/gmailfake":     {},
	"tools/slack/slackfake":     {},
	"tools/github/githubfake":   {},
	"internal/server/fixture":   {"internal/server", "internal/store"},
	"internal/thirdparty/gate":  {},
	"internal/house":            {},
}

// keeps names packages that alone may import something.
var keeps = map[string][]string{
	"github.com/mark3labs/mcp-go/":     {"internal/server", "internal/server/fixture"},
	"code.dny.dev/ssrf":                {"internal/fetch"},
	"go.etcd.io/bbolt":                 {"internal/store"},
	"github.com/jackc/pgx/":            {"internal/store"},
	"github.com/tink-crypto/":          {"internal/seal"},
	"github.com/openfga/":              {"authz/fga", "authz/fga/fgatest", "authz/openfga", "authz/openfga/openfgafake"},
	"github.com/google/cel-go/":        {"authz/fga", "approvals/rules"},
	"github.com/goccy/go-yaml":         {"internal/config"},
	"go.yaml.in/yaml/":                 {"authz/storefile"},
	"github.com/zalando/go-keyring":    {"internal/seal", "internal/config"},
	"github.com/google/jsonschema-go/": {"tools", "approvals/rules"},
	"golang.org/x/crypto/":             {"internal/seal"},
	"filippo.io/age/":                  {"internal/backup"},
	"github.com/go-webauthn/":          {"internal/login/passkey"},
	"github.com/go-jose/":              {"internal/authserver/signing", "internal/authserver", "internal/access"},
	"golang.org/x/oauth2/":             {"internal/login/upstream"},
	"golang.org/x/term/":               {"cmd/deputy"},
	"golang.org/x/sys/":                {"cmd/deputy"},
}

type pkg struct {
	ImportPath   string
	Dir          string
	Imports      []string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

func packages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, "deputy/")] = p
	}
	return all
}

func TestImportLine(t *testing.T) {
	for name, p := range packages(t) {
		may, known := line[name]
		if !known {
			t.Errorf("%s has no place on the import line", name)
			continue
		}
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, "deputy/"); ok && may != nil && !slices.Contains(may, own) {
				t.Errorf("%s imports %s", name, own)
			}
			for prefix, only := range keeps {
				if strings.HasPrefix(imp+"/", prefix) && !slices.Contains(only, name) {
					t.Errorf("%s imports %s, which is for %v alone", name, imp, only)
				}
			}
		}
	}
}

// TestProvidersStaySmall: a provider package has no way to the network, the
// system or around the type system.
func TestProvidersStaySmall(t *testing.T) {
	all := packages(t)
	for _, name := range []string{"tools/gmail", "tools/slack", "tools/github"} {
		p, ok := all[name]
		if !ok {
			t.Errorf("there is no %s", name)
		}
		for _, imp := range p.Imports {
			if slices.Contains([]string{"net/http", "net", "os", "os/exec", "reflect", "unsafe", "syscall", "plugin"}, imp) {
				t.Errorf("%s imports %s", name, imp)
			}
		}
	}
}

// TestOnlyDoorsMakeCallers: authz.NewDoor is for the wiring, and Door.Caller
// for the code that checks credentials or resumes stored work.
func TestOnlyDoorsMakeCallers(t *testing.T) {
	for name, p := range packages(t) {
		for _, file := range p.GoFiles {
			ast.Inspect(parse(t, filepath.Join(p.Dir, file)), func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, _ := sel.X.(*ast.Ident)
				if x != nil && x.Name == "authz" && sel.Sel.Name == "NewDoor" && name != "cmd/deputy" && name != "tools/toolstest" {
					t.Errorf("%s/%s opens a door", name, file)
				}
				// Whatever the door is called: nothing else has a Caller of two.
				if sel.Sel.Name == "Caller" && len(call.Args) == 2 &&
					!slices.Contains([]string{"internal/login", "approvals", "tools/toolstest"}, name) {
					t.Errorf("%s/%s lets a caller in", name, file)
				}
				return true
			})
		}
	}
}

// TestEachPackageTellsItsStory in exactly one comment.
func TestEachPackageTellsItsStory(t *testing.T) {
	for name, p := range packages(t) {
		n := 0
		for _, file := range p.GoFiles {
			if parse(t, filepath.Join(p.Dir, file)).Doc != nil {
				n++
			}
		}
		if len(p.GoFiles) > 0 && n != 1 {
			t.Errorf("%s has %d package comments", name, n)
		}
	}
}

// TestNothingIsSkipped: a skipped test is a hole.
func TestNothingIsSkipped(t *testing.T) {
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "house_test.go") {
			return nil
		}
		ast.Inspect(parse(t, path), func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf" || sel.Sel.Name == "SkipNow") {
				t.Errorf("%s skips", path)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	promised = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+|[a-z_]+\\.txtar)`")
	defined  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// TestPromisesNameTheirTests: every test that docs/threat-model.md names is
// there, and every line of its table names one.
func TestPromisesNameTheirTests(t *testing.T) {
	model, err := os.ReadFile("../../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".txtar" {
			there[d.Name()] = true
		}
		if strings.HasSuffix(path, "_test.go") {
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range defined.FindAllStringSubmatch(string(src), -1) {
				there[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(model)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| **") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| promise") {
			continue
		}
		rows++
		names := promised.FindAllStringSubmatch(line, -1)
		if len(names) == 0 && !strings.Contains(line, "stories") {
			t.Errorf("no test holds: %s", line)
		}
		for _, m := range names {
			if !there[m[1]] {
				t.Errorf("there is no %s, which holds: %s", m[1], line)
			}
		}
	}
	if rows < 25 {
		t.Errorf("only %d promises were read", rows)
	}
}
