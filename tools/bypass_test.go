package tools_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBypassesDoNotCompile builds programs that try to go around a seal. The
// first line of each says why the compiler refuses it.
func TestBypassesDoNotCompile(t *testing.T) {
	programs, err := filepath.Glob("testdata/bypass/*/main.go")
	if err != nil || len(programs) < 8 {
		t.Fatalf("only %d programs: %v", len(programs), err)
	}
	for _, p := range programs {
		t.Run(filepath.Base(filepath.Dir(p)), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(src), "\n")
			want, ok := strings.CutPrefix(first, "// want: ")
			if !ok {
				t.Fatalf("%s does not say what it wants", p)
			}
			out, err := exec.Command("go", "build", "-o", os.DevNull, "./"+filepath.Dir(p)).CombinedOutput()
			if err == nil {
				t.Fatalf("%s compiles: a seal is open", p)
			}
			if !strings.Contains(string(out), want) {
				t.Errorf("refused for another reason:\n%s\nwant: %s", out, want)
			}
		})
	}
}
