package configs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// declared are the codes of codes.go, by the name of their constant.
func declared(t *testing.T) map[string]Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Code{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" {
			s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all[spec.Names[0].Name] = Code(s)
		}
		return true
	})
	return all
}

func TestEveryCodeHasItsSentence(t *testing.T) {
	seen := map[Code]string{}
	for name, c := range declared(t) {
		m, ok := codes[c]
		if !ok || m.sentence == "" {
			t.Errorf("%s (%s) has no sentence", name, c)
		}
		if !regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(string(c)) {
			t.Errorf("%s: %q is not snake_case", name, c)
		}
		if other, twice := seen[c]; twice {
			t.Errorf("%s and %s are one code, %s", name, other, c)
		}
		seen[c] = name
		if m.level >= Block && m.next == "" && c != NotRendered {
			t.Errorf("%s blocks and does not say what to do next", c)
		}
	}
	if len(seen) != len(Codes()) {
		t.Errorf("%d constants, %d codes with a meaning", len(seen), len(Codes()))
	}
}

// A code that no room finds any more goes.
func TestEveryCodeIsFound(t *testing.T) {
	var source strings.Builder
	for _, room := range []string{"artifacts", "gitwatch", "fabric", "reconciler", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			source.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range declared(t) {
		if !strings.Contains(source.String(), "configs."+name) {
			t.Errorf("%s is found by no room", name)
		}
	}
}
