package artifacts

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// plainSetup is what the authoring tool generates for a pipeline named orders.
func plainSetup() Setup {
	return Setup{
		Name:            "orders",
		Version:         "1.0",
		Packages:        []string{"orders", "prophecy_config_instances"},
		PackageDir:      map[string]string{"prophecy_config_instances": "configs/resources/config"},
		PackageData:     map[string][]string{"prophecy_config_instances": {"*.json", "*.py", "*.conf"}},
		DataFiles:       []DataFiles{{Dir: ".prophecy", Files: []string{".prophecy/workflow.latest.json"}}},
		Description:     "workflow",
		InstallRequires: []string{"prophecy-libs==1.4.11"},
		Extras:          []Extra{{"test", []string{"pytest", "pytest-html"}}},
		EntryPoints:     []EntryPoints{{"console_scripts", []string{"main = orders.pipeline:main"}}},
	}
}

func plainTree() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"setup.py":                              file("# generated\n"),
		"orders/__init__.py":                    file(""),
		"orders/pipeline.py":                    file("def main():\n    pass\n"),
		"configs/resources/config/default.json": file("{}\n"),
		".prophecy/workflow.latest.json":        file("{}\n"),
	}
}

// TestWheelBytesAreFixed pins the bytes of one wheel. If this fails after a new release of Go, whose
// compressor may pack differently, or after a change to the builder, BuilderVersion must change.
func TestWheelBytesAreFixed(t *testing.T) {
	w, err := buildWheel(plainTree(), plainSetup())
	if err != nil {
		t.Fatal(err)
	}
	const builder, want = "selvage-wheel 2", "63beb5d2eb7a0807551f9c107212bc3a468dd5a075904a62349457b3b070f9fa"
	if w.SHA256 != want || BuilderVersion != builder {
		t.Errorf("%s built %s; want %s of %s", BuilderVersion, w.SHA256, want, builder)
	}
	if w.Name != "orders-1.0-py3-none-any.whl" || w.Distribution != "orders" || w.Version != "1.0" || w.Files != 9 {
		t.Errorf("got %s, %s %s, %d files", w.Name, w.Distribution, w.Version, w.Files)
	}
	r, err := zip.NewReader(bytes.NewReader(w.Content), int64(len(w.Content)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		if f.Mode() != 0o644 || f.ModifiedDate != 33 || f.ModifiedTime != 0 || len(f.Extra) != 0 || f.Method != zip.Deflate {
			t.Errorf("%s: mode %v, time %d %d, %d extra bytes, method %d", f.Name, f.Mode(), f.ModifiedDate, f.ModifiedTime, len(f.Extra), f.Method)
		}
	}
}

// TestWheelDependsOnContentsOnly builds one tree from memory and from disk, with other modes, times
// and a link that leads outside.
func TestWheelDependsOnContentsOnly(t *testing.T) {
	want, err := buildWheel(plainTree(), plainSetup())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, f := range plainTree() {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f.Data, 0o755); err != nil {
			t.Fatal(err)
		}
		old := time.Unix(1e9, 0)
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "orders", "leak.py")); err != nil {
		t.Fatal(err)
	}
	got, err := buildWheel(os.DirFS(dir), plainSetup())
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256 != want.SHA256 {
		t.Errorf("from disk %s; from memory %s", got.SHA256, want.SHA256)
	}
}

func TestWheelRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Setup, fstest.MapFS)
		want   string
	}{
		"data file outside":       {func(s *Setup, _ fstest.MapFS) { s.DataFiles[0].Files[0] = "../../other/secret" }, "leads out of"},
		"data file absolute":      {func(s *Setup, _ fstest.MapFS) { s.DataFiles[0].Files[0] = "/etc/passwd" }, "leads out of"},
		"data folder absolute":    {func(s *Setup, _ fstest.MapFS) { s.DataFiles[0].Dir = "/etc" }, "leads out of"},
		"data folder outside":     {func(s *Setup, _ fstest.MapFS) { s.DataFiles[0].Dir = "a/../../b" }, "leads out of"},
		"package folder outside":  {func(s *Setup, _ fstest.MapFS) { s.PackageDir["orders"] = "../other" }, "leads out of"},
		"package folder absolute": {func(s *Setup, _ fstest.MapFS) { s.PackageDir[""] = "/" }, "leads out of"},
		"package with slash":      {func(s *Setup, _ fstest.MapFS) { s.Packages[0] = "orders/.." }, "is not the dotted name"},
		"package with empty part": {func(s *Setup, _ fstest.MapFS) { s.Packages[0] = "orders..x" }, "is not the dotted name"},
		"root package":            {func(s *Setup, _ fstest.MapFS) { s.Packages[0] = "" }, "is not the dotted name"},
		"pattern outside":         {func(s *Setup, _ fstest.MapFS) { s.PackageData["orders"] = []string{"x/../../*"} }, "leads out of the package"},
		"pattern absolute":        {func(s *Setup, _ fstest.MapFS) { s.PackageData[""] = []string{"/etc/*"} }, "leads out of the package"},
		"license outside":         {func(s *Setup, _ fstest.MapFS) { s.LicenseFiles = []string{"../LICENSE"} }, "leads out of"},
		"name with slash":         {func(s *Setup, _ fstest.MapFS) { s.Name = "../x" }, "can't be the name"},
		"no name":                 {func(s *Setup, _ fstest.MapFS) { s.Name = "" }, "can't be the name"},
		"long name":               {func(s *Setup, _ fstest.MapFS) { s.Name = strings.Repeat("x", 300) }, "can't be the name"},
		"version":                 {func(s *Setup, _ fstest.MapFS) { s.Version = "1.0/../../x" }, "is not a Python version"},
		"header with line break":  {func(s *Setup, _ fstest.MapFS) { s.Fields = []Field{{"Author", "a\nRequires-Dist: evil"}} }, "line break"},
		"keyword with line break": {func(s *Setup, _ fstest.MapFS) { s.Keywords = []string{"a\r\nName: b"} }, "line break"},
		"line separator":          {func(s *Setup, _ fstest.MapFS) { s.Description = "a\u2028b" }, "line break"},
		"header of its own":       {func(s *Setup, _ fstest.MapFS) { s.Fields = []Field{{"X-Evil", "a"}} }, "is no header"},
		"python_requires":         {func(s *Setup, _ fstest.MapFS) { s.Fields = []Field{{"Requires-Python", "python 3"}} }, "is no version specifier"},
		"entry point section":     {func(s *Setup, _ fstest.MapFS) { s.EntryPoints[0].Lines[0] = "[other]" }, "a list of its own"},
		"entry point group":       {func(s *Setup, _ fstest.MapFS) { s.EntryPoints[0].Group = "a]\n[b" }, "is not written as"},
		"entry point without =":   {func(s *Setup, _ fstest.MapFS) { s.EntryPoints[0].Lines[0] = "main" }, "is not written as"},
		"extra with line break":   {func(s *Setup, _ fstest.MapFS) { s.Extras[0].Name = "a]\n[b" }, "is no name of an extra"},
		"two markers":             {func(s *Setup, _ fstest.MapFS) { s.Extras = []Extra{{"a:os_name=='x'", []string{"b; os_name=='y'"}}} }, "both have a marker"},
		"requirement continued":   {func(s *Setup, _ fstest.MapFS) { s.InstallRequires = []string{`a \`} }, "continued"},
		"requirement URL":         {func(s *Setup, _ fstest.MapFS) { s.InstallRequires = []string{"a @ nowhere"} }, "URL is not one"},
		"requirement bracket":     {func(s *Setup, _ fstest.MapFS) { s.InstallRequires = []string{"a[b"} }, "not closed"},
		"deep marker":             {func(s *Setup, _ fstest.MapFS) { s.InstallRequires = []string{"a; " + strings.Repeat("(", 1e5)} }, "nests too deeply"},
		"nothing to pack":         {func(s *Setup, _ fstest.MapFS) { *s = Setup{Name: "x", Version: "1"} }, "would hold no file"},
		"two sources": {func(s *Setup, _ fstest.MapFS) {
			s.Modules = []string{"orders.pipeline"}
			s.PackageDir["orders.pipeline"] = "x"
			s.DataFiles = append(s.DataFiles, DataFiles{".prophecy", []string{"other/workflow.latest.json"}})
		}, "claim the same place"},
		"file with control":   {func(s *Setup, m fstest.MapFS) { m["orders/a\nb.py"] = &fstest.MapFile{} }, "characters in its name"},
		"file with backslash": {func(s *Setup, m fstest.MapFS) { m[`orders/a\b.py`] = &fstest.MapFile{} }, "characters in its name"},
		"setup.cfg": {func(s *Setup, m fstest.MapFS) {
			m["setup.cfg"] = &fstest.MapFile{Data: []byte("[options]\npackages = x\n")}
		}, "setup.cfg has a section [options]"},
		"setup.cfg spelled oddly": {func(s *Setup, m fstest.MapFS) {
			m["setup.cfg"] = &fstest.MapFile{Data: []byte("[metadata],\nname = x\n")}
		}, "setup.cfg has a section [metadata]"},
		"pyproject.toml": {func(s *Setup, m fstest.MapFS) { m["pyproject.toml"] = &fstest.MapFile{Data: []byte("[project]\n")} }, "pyproject.toml has a section [project]"},
		"pyproject.toml tool": {func(s *Setup, m fstest.MapFS) {
			m["pyproject.toml"] = &fstest.MapFile{Data: []byte("[tool.setuptools.packages]\n")}
		}, "has a section [tool.setuptools.packages]"},
		"pyproject.toml quoted": {func(s *Setup, m fstest.MapFS) {
			m["pyproject.toml"] = &fstest.MapFile{Data: []byte(`[tool."setuptools"]` + "\n")}
		}, "has a section"},
		"pyproject.toml inline": {func(s *Setup, m fstest.MapFS) {
			m["pyproject.toml"] = &fstest.MapFile{Data: []byte("tool.setuptools.zip-safe = true\n")}
		}, "outside of any section"},
		"included data": {func(s *Setup, m fstest.MapFS) {
			s.IncludePackageData = true
			s.DataFiles[0].Files[0] = "orders/pipeline.py"
		}, "a second time"},
		"too many patterns": {func(s *Setup, m fstest.MapFS) { manyPatterns(s, m) }, "too many files to match"},
		"too many files":    {func(s *Setup, m fstest.MapFS) { manyFiles(m) }, "more than 20000 files"},
		"license twice": {func(s *Setup, m fstest.MapFS) {
			m["LICENSE"], m["x/LICENSE"] = &fstest.MapFile{}, &fstest.MapFile{}
			s.LicenseFiles = []string{"LICENSE", "x/*"}
		}, "two files claim the place"},
		"package folder of nothing": {func(s *Setup, _ fstest.MapFS) { s.Packages = append(s.Packages, "gone") }, "package gone: its folder gone does not exist or is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			s, tree := plainSetup(), plainTree()
			tree["other/workflow.latest.json"] = &fstest.MapFile{}
			c.change(&s, tree)
			w, err := buildWheel(tree, s)
			if err == nil {
				t.Fatalf("built %s", w.Name)
			}
			var r *refusal
			if !errors.As(err, &r) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want a refusal with %q", err, c.want)
			}
			if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 400 {
				t.Errorf("not one short line: %q", err)
			}
		})
	}
}

func manyPatterns(s *Setup, m fstest.MapFS) {
	for i := range 5000 {
		m[fmt.Sprintf("orders/f%d.txt", i)] = &fstest.MapFile{}
		s.PackageData[""] = append(s.PackageData[""], strings.Repeat("*", 100)+"x")
	}
}

func manyFiles(m fstest.MapFS) {
	for i := range maxWheelFiles + 1 {
		m[fmt.Sprintf("orders/f%d.py", i)] = &fstest.MapFile{}
	}
}

// TestUnreadableTree: a tree that can't be read is not a tree that lacks something (law 1).
func TestUnreadableTree(t *testing.T) {
	for _, failing := range []string{"orders", "orders/pipeline.py", "configs/resources/config/default.json", "."} {
		_, err := buildWheel(failingFS{plainTree(), failing}, plainSetup())
		var r *refusal
		if !errors.Is(err, errDisk) || errors.As(err, &r) {
			t.Errorf("%s can't be read: got %v", failing, err)
		}
	}
}

var errDisk = errors.New("input/output error")

type failingFS struct {
	fs.FS
	name string
}

func (f failingFS) Open(name string) (fs.File, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errDisk}
	}
	return f.FS.Open(name)
}

func TestWheelTooLarge(t *testing.T) {
	tree := codeTree{fs: fstest.MapFS{"a": {Data: make([]byte, 1<<20)}}, bytes: maxWheelBytes - 1<<20}
	if _, err := tree.read("a"); err != nil {
		t.Errorf("as much as is allowed: %v", err)
	}
	if _, err := tree.read("a"); err == nil || !strings.Contains(err.Error(), "larger than 256 MiB together") {
		t.Errorf("more than is allowed: %v", err)
	}
}

func TestMatchName(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a*", "a", true}, {"a*", "a.b.c", true}, {"a*", "ba", false}, {"*", "", true}, {"", "", true}, {"", "a", false},
		{"?", "ü", true}, {"?", "", false}, {"a?c", "abc", true}, {"a?c", "ac", false}, {"*b*d", "abcbd", true},
		{"[ab]", "b", true}, {"[!ab]", "b", false}, {"[!ab]", "c", true}, {"[a-c]x", "bx", true}, {"[a-c]x", "dx", false},
		{"[]a]", "]", true}, {"[!]a]", "]", false}, {"[", "[", true}, {"[a", "[a", true}, {"[!", "[!", true}, {"[a-]", "-", true},
		{"[c-a]", "b", false}, {`\*`, "*", false}, {`\*`, `\x`, true}, {"A", "a", false}, {"a**b", "ab", true}, {"*.py", ".py", true},
	} {
		if got := matchName(c.pattern, c.name); got != c.want {
			t.Errorf("matchName(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
	// Stars don't multiply.
	if matchName(strings.Repeat("*a", 1000), strings.Repeat("a", 999)+strings.Repeat("b", 10_000)) {
		t.Error("matched")
	}
}

func TestMatchPath(t *testing.T) {
	for _, c := range []struct {
		pattern, file string
		want          bool
	}{
		{"*.json", "a.json", true}, {"*.json", "x/a.json", false}, {"*.json", ".a.json", false}, {".*.json", ".a.json", true},
		{"**/*.json", "a.json", true}, {"**/*.json", "x/y/a.json", true}, {"**/*.json", "x/.y/a.json", false}, {"**", "x/y", true},
		{"**", "x/.y", false}, {"x/**", "x/y/z", true}, {"x/**", "y/z", false}, {"x**", "x/y", false}, {"x**", "xy", true},
		{"./x/*", "x/y", true}, {"x//y", "x/y", true}, {"x/", "x", false}, {"**/.x/**/y", ".x/y", true}, {"**/.x/**/y", "a/.x/b/y", true},
	} {
		if got := matchPath(c.pattern, c.file); got != c.want {
			t.Errorf("matchPath(%q, %q) = %v", c.pattern, c.file, got)
		}
	}
}

func TestPackageFolders(t *testing.T) {
	files := []string{
		"a/__init__.py", "a/b/__init__.py", "a/c/mod.py", "a/c/d/__init__.py", "a/x.y/__init__.py", "e/f/__init__.py",
		"setup.py", "src/g/__init__.py", "srcs/h/__init__.py", "src/__init__.py",
	}
	slices.Sort(files)
	for _, c := range []struct {
		root      string
		anyFolder bool
		want      []string
	}{
		{"", false, []string{"a", "a.b", "src", "src.g"}},
		{"", true, []string{"a", "a.b", "a.c", "a.c.d", "e", "e.f", "src", "src.g", "srcs", "srcs.h"}},
		{"src", false, []string{"g"}},
		{"absent", false, nil},
		{"a", false, []string{"b"}},
		{"a", true, []string{"b", "c", "c.d"}},
	} {
		if diff := cmp.Diff(c.want, packageFolders(files, c.root, c.anyFolder)); diff != "" {
			t.Errorf("root %q, any folder %v: (-want +got)\n%s", c.root, c.anyFolder, diff)
		}
	}
}

// TestTranslatedLines: what is translated keeps its lines, whatever it looks like.
func TestTranslatedLines(t *testing.T) {
	for source, want := range map[string]string{
		"import setuptools # c\nx = 1\n":                                "pass\nx = 1\n",
		"from setuptools import (setup, # a)\n  find_packages,\n)\nx\n": "pass\n\n\nx\n",
		"from setuptools \\\n  import setup\nx\n":                       "pass\n\nx\n",
		"if 1:\n  import setuptools; x = 1\n":                           "if 1:\n  pass; x = 1\n",
		"x = ('a' # c\n 'b')\n":                                         "x = (('a' \n + 'b'))\n",
		"x = u'a' \"b\" r'c' % 1\n":                                     "x = ('a' + \"b\" + r'c') % 1\n",
		"x = 'a'\n'b'\n":                                                "x = 'a'\n'b'\n",
		"x = '''import os\nfrom a''' \n":                                "x = '''import os\nfrom a''' \n",
		"x = (1,\n import_x, from_y)\r\ny\r":                            "x = (1,\n import_x, from_y)\ny\n",
		"\ufeffx = '# no comment' # comment":                            "x = '# no comment' ",
		"x = 'a\\'b' 'c'":                                               "x = ('a\\'b' + 'c')",
		"bar = buf['x']\n":                                              "bar = buf['x']\n",
	} {
		got, _, err := translatePython([]byte(source))
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", source, got, err, want)
		}
	}
}

// BenchmarkWheel builds the wheel of a pipeline with 30 modules, its setup.py included. eval is the time
// of a setup.py in a release of 50 pipelines, the start of the child shared among them.
func BenchmarkWheel(b *testing.B) {
	tree := plainTree()
	script := setupScript{Pipeline: "pipelines/orders", Source: []byte(`from setuptools import setup, find_packages
setup(
    name = 'orders',
    version = '1.0',
    packages = find_packages(include = ('orders*', )) + ['prophecy_config_instances'],
    package_dir = {'prophecy_config_instances' : 'configs/resources/config'},
    package_data = {'prophecy_config_instances' : ['*.json', '*.py', '*.conf']},
    description = 'workflow',
    install_requires = [
'prophecy-libs==1.4.11'],
    entry_points = {
'console_scripts' : [
'main = orders.pipeline:main'], },
    data_files = [(".prophecy", [".prophecy/workflow.latest.json"])],
    extras_require = {
'test' : ['pytest', 'pytest-html', 'pytest-cov'], }
)
`)}
	tree["orders/graph/__init__.py"] = &fstest.MapFile{}
	for i := range 30 {
		var module bytes.Buffer
		for line := range 60 {
			fmt.Fprintf(&module, "    .withColumn(\"column_%d\", (col(\"amount_%d\") * lit(%d)).cast(DoubleType()))\n", line*i, line, i)
		}
		tree[fmt.Sprintf("orders/graph/Reformat_%d.py", i)] = &fstest.MapFile{Data: module.Bytes()}
	}
	for name := range tree {
		script.Files = append(script.Files, name)
	}
	slices.Sort(script.Files)
	release := slices.Repeat([]setupScript{script}, 50)

	var evaluating, building time.Duration
	var size int
	for b.Loop() {
		began := time.Now()
		results, err := evaluateSetups(b.Context(), EvalChild(), release)
		if err != nil {
			b.Fatal(err)
		}
		evaluated := time.Now()
		w, err := buildWheel(tree, results[0].Setup)
		if err != nil {
			b.Fatal(err)
		}
		evaluating += evaluated.Sub(began)
		building += time.Since(evaluated)
		size = len(w.Content)
	}
	perWheel := func(d time.Duration, each int) float64 { return d.Seconds() * 1000 / float64(b.N*each) }
	b.ReportMetric(perWheel(evaluating, len(release)), "ms/eval")
	b.ReportMetric(perWheel(building, 1), "ms/build")
	b.ReportMetric(perWheel(evaluating, len(release))+perWheel(building, 1), "ms/wheel")
	b.ReportMetric(float64(size), "bytes")
	b.ReportMetric(0, "ns/op")
}
