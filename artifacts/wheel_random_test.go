package artifacts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// randomTree makes a pipeline's code folder from a seed: the same seed gives the same tree. It takes every
// shape of setup.py and of folders that the authoring tool has generated over the years, and what people
// make of them by hand: odd names, patterns, versions and requirements, right ones and wrong ones.
func randomTree(seed uint64) wheelTree {
	g := &treeMaker{Rand: rand.New(rand.NewPCG(seed, 0x5e1fa6e)), files: map[string][]byte{}, modes: map[string]uint32{}}
	g.wild = g.maybe(25)
	g.folders()
	script := g.script()
	if g.maybe(3) {
		script = strings.ReplaceAll(script, "\n", "\r\n")
	}
	if g.maybe(3) {
		script = "\ufeff" + script
	}
	g.files["setup.py"] = []byte(script)

	tree := wheelTree{name: fmt.Sprintf("seed%d", seed), archive: &txtar.Archive{}, modes: g.modes}
	for _, name := range sortedKeys(g.files) {
		tree.archive.Files = append(tree.archive.Files, txtar.File{Name: name, Data: g.files[name]})
	}
	return tree
}

type treeMaker struct {
	*rand.Rand
	files    map[string][]byte
	modes    map[string]uint32 // where it is not 0644
	packages []string          // folders of packages at the top
	code     string            // folder of the packages: "" or "src/"
	wild     bool              // mistakes are made
}

// maybe is true in so many cases out of a hundred.
func (g *treeMaker) maybe(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *treeMaker, from ...T) T { return from[g.IntN(len(from))] }

// some picks up to n items, in any order and perhaps one twice.
func some[T any](g *treeMaker, n int, from ...T) []T {
	var list []T
	if len(from) == 0 {
		return nil
	}
	for range g.IntN(n + 1) {
		list = append(list, pick(g, from...))
	}
	return list
}

func (g *treeMaker) file(name string, content string) {
	// A name can't be both a file and a folder.
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, taken := g.files[dir]; taken {
			return
		}
	}
	for other := range g.files {
		if strings.HasPrefix(other, name+"/") {
			return
		}
	}
	g.files[name] = []byte(content)
	if g.maybe(10) {
		g.modes[name] = pick(g, uint32(0o755), 0o600, 0o444, 0o777)
	}
}

func (g *treeMaker) content() string {
	switch g.IntN(20) {
	case 0, 1, 2:
		return ""
	case 3:
		return "\n\n\n"
	case 4:
		return "größe = '日本語 🎉'\r\n# ende ohne Zeilenende"
	case 5:
		return "\xff\xfe\x00binary\x80"
	case 6:
		return "\ufeffx = 1\n"
	case 7:
		if g.maybe(20) {
			var b bytes.Buffer
			for i := range 2000 + g.IntN(20_000) {
				fmt.Fprintf(&b, "line %d %d\n", i, g.Uint32())
			}
			return b.String()
		}
	}
	return fmt.Sprintf("x = %d\n", g.IntN(1000))
}

var (
	packagePool  = []string{"raw_bronze", "job", "orders", "Orders", "größe", "日本", "p1", "_private", "gold_customer_orders", "graph", "a"}
	folderPool   = []string{"graph", "config", "udfs", "data", "sub_graph", "Reformat_1", "Zusätze", "x.y", "with space", "da-sh", ".hidden", "1st", "__pycache__", "ez_setup", "[a]"}
	fileNamePool = []string{
		"pipeline.py", "Config.py", "ConfigStore.py", "UDFs.py", "größe.py", "ＦＵＬＬ.py", "e\u0301.py", "a,b.txt", `a"b.txt`, "a b.txt", "it's.csv", "x.json", "y.JSON", "z.conf", ".dot.json",
		".py", "noext", "py.typed", "stub.pyi", "module.PY", "x.pyc", "a[1].json", "x*.txt", "q?.txt", "-.py", "+x.sql", "setup.py", "data.csv", "日本.json", "🎉.txt", "a~", "LICENSE", "x;y.txt", "#x.txt", "%41.txt", "=.txt",
	}
	patternPool = []string{
		"*", "*.json", "*.py", "*.conf", "*.txt", "*.csv", "**/*.json", "**/*", "**", "data/*", "data/**", "*/*", "*/*.txt", "[a-m]*", "[!a]*", "?.*", "graph/x.json", ".*", ".dot*", "missing/*",
		"./*.json", "data//*", "data/", "gr*", "*.PY", "[[]*", "a[[]1].json", "[", "*[", "日*", "x.json", "graph/**/*.txt", "**/data/*", ".hidden/*", "*\u0301*", "[🎉]*", "*.[jc]*", "graph/../*.json", "x;y.txt", "+*", "a,b.txt",
	}
)

// folders fills the tree: packages with gaps and data, configurations, tests, and what lies about.
func (g *treeMaker) folders() {
	if g.maybe(8) {
		g.code = "src/"
	}
	for range 1 + g.IntN(2) {
		top := pick(g, packagePool...)
		if !slices.Contains(g.packages, top) {
			g.packages = append(g.packages, top)
			g.folder(g.code+top, 0)
		}
	}
	slices.Sort(g.packages)
	if !g.wild || g.maybe(80) {
		const config = "configs/resources/config/"
		g.file(config+"default.json", "{}\n")
		for _, f := range some(g, 4, "__init__.py", "prod.json", "größe.json", "orders.conf", "x.txt", "deep/x.json", ".hidden.json", "Config.py") {
			g.file(config+f, g.content())
		}
	}
	if !g.wild || g.maybe(70) {
		g.file(".prophecy/workflow.latest.json", `{"metainfo": {}}`)
	}
	for _, f := range some(g, 6, "main.py", "__init__.py", "test/__init__.py", "test/TestSuite.py", "test/conftest.py", "test/resources/data/x.json", "README.md", "prophecy/tests/a$$1.json",
		"docs/größe.md", "MANIFEST.in", "requirements.txt", ".gitignore", "module.py", "other/module.py", "pytest.ini") {
		g.file(f, g.content())
	}
	for _, f := range some(g, 3, "LICENSE", "LICENCE.txt", "COPYING", "NOTICE.md", "AUTHORS", "LICENSE~", "LICENSES/MIT.txt", "licenses/x") {
		if g.maybe(30) {
			g.file(f, g.content())
		}
	}
	if g.maybe(5) {
		g.file("setup.cfg", pick(g, "[flake8]\nmax-line-length = 99\n", "# nothing\n", "[tool:pytest]\nx = 1\n"))
	}
	if g.maybe(5) {
		g.file("pyproject.toml", pick(g, "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n", "[tool.black]\nline-length = 99\n", "# nothing\n"))
	}
	if g.wild && g.maybe(5) {
		g.file("setup.cfg", "[options]\nzip_safe = true\n")
	}
	if g.wild && g.maybe(5) {
		g.file("pyproject.toml", "[project]\nname = \"x\"\nversion = \"1\"\n")
	}
}

func (g *treeMaker) folder(dir string, depth int) {
	if g.maybe(85 - 10*depth) {
		g.file(dir+"/__init__.py", g.content())
	}
	for range 1 + g.IntN(4) {
		g.file(dir+"/"+pick(g, fileNamePool...), g.content())
	}
	if g.wild && g.maybe(1) {
		g.file(dir+"/"+pick(g, "a\nb.py", `a\b.py`, "a\tb.json", "a\u2028b.py", "a\x7fb.py"), g.content())
	}
	for range g.IntN(4 - min(depth, 3)) {
		g.folder(dir+"/"+pick(g, slices.Concat(folderPool, folderPool[:6], folderPool[:6])...), depth+1)
	}
}

// script writes the setup.py.
func (g *treeMaker) script() string {
	var b strings.Builder
	for _, line := range some(g, 2, "# -*- coding: utf-8 -*-\n", "# generated; größe\n", "\n", "'''Builds the pipeline.'''\n") {
		b.WriteString(line)
	}
	setup, find := "setup", ""
	switch g.IntN(6) {
	case 0:
		b.WriteString("import setuptools\n")
		setup, find = "setuptools.setup", "setuptools."
	case 1:
		b.WriteString("from setuptools import (\n    setup,  # the call\n    find_packages, find_namespace_packages,\n)\n")
	case 2:
		b.WriteString("from setuptools import setup as make, find_packages, find_namespace_packages\n")
		setup = "make"
	default:
		b.WriteString("from setuptools import setup, find_packages, find_namespace_packages\n")
	}
	packages := g.packagesExpression(find)
	if g.maybe(40) {
		fmt.Fprintf(&b, "packages_to_include = %s\n", packages)
		packages = "packages_to_include"
	}
	if g.maybe(90) {
		packages += " + ['prophecy_config_instances']"
	}
	arguments := g.arguments(packages)
	if g.maybe(20) {
		g.Shuffle(len(arguments), func(i, k int) { arguments[i], arguments[k] = arguments[k], arguments[i] })
	}
	if g.maybe(10) {
		b.WriteString("options = dict(\n    " + strings.Join(arguments, ",\n    ") + ")\n" + setup + "(**options)\n")
		return b.String()
	}
	b.WriteString(setup + "(\n    " + strings.Join(arguments, ",\n    ") + pick(g, "", ",", ",  # end") + "\n)\n")
	return b.String()
}

func (g *treeMaker) packagesExpression(find string) string {
	top := pick(g, g.packages...)
	where := ""
	if g.code != "" {
		where = "'src'"
	}
	join := func(parts ...string) string {
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
	}
	switch g.IntN(12) {
	case 0:
		return find + "find_packages(" + where + ")"
	case 1:
		return find + "find_packages(" + join(where, "exclude = ['test.*', 'test', 'test_manual', "+g.quote(top+".graph*")+"]") + ")"
	case 2:
		return find + "find_namespace_packages(" + join(where, "include = ["+g.quote(top+"*")+", '*.graph']") + ")"
	case 3:
		var names []string
		for _, p := range g.packages {
			names = append(names, g.quote(p))
			for _, f := range some(g, 1, g.subfolders(p)...) {
				names = append(names, g.quote(p+"."+f))
			}
		}
		return "[" + strings.Join(names, ", ") + "]"
	case 4:
		return find + "find_packages(" + join(where, "include = "+g.quote(top+"*")) + ")" // a string, as people write it
	default:
		return find + "find_packages(" + join(where, "include = ("+g.quote(top+"*")+", )") + ")"
	}
}

// subfolders are the names of folders right below a package, and perhaps one that is not there.
func (g *treeMaker) subfolders(top string) []string {
	var names []string
	for _, f := range sortedKeys(g.files) {
		if rest, ok := strings.CutPrefix(f, g.code+top+"/"); ok {
			if name, _, deeper := strings.Cut(rest, "/"); deeper && !strings.Contains(name, ".") {
				names = append(names, name)
			}
		}
	}
	if g.wild {
		names = append(names, "missing")
	}
	return slices.Compact(names)
}

// quote writes a Python string literal in one of its forms.
func (g *treeMaker) quote(s string) string {
	quote := pick(g, "'", `"`)
	if strings.Contains(s, "\n") && g.maybe(60) && !strings.HasSuffix(s, `"`) && !strings.Contains(s, `"""`) && !strings.Contains(s, "\r") {
		return `"""` + strings.ReplaceAll(s, `\`, `\\`) + `"""`
	}
	r := strings.NewReplacer(`\`, `\\`, quote, `\`+quote, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	if runes := []rune(s); len(runes) > 3 && g.maybe(5) {
		half := len(runes) / 2
		return "(" + quote + r.Replace(string(runes[:half])) + quote + pick(g, " ", "\n", " + ") + quote + r.Replace(string(runes[half:])) + quote + ")"
	}
	return pick(g, "", "", "", "u") + quote + r.Replace(s) + quote
}

func (g *treeMaker) list(items []string) string {
	var quoted []string
	for _, s := range items {
		quoted = append(quoted, g.quote(s))
	}
	text := strings.Join(quoted, ", ")
	if g.maybe(20) && len(items) > 0 {
		return "(" + text + ", )"
	}
	if g.maybe(30) && len(items) > 0 {
		text += ","
	}
	return "[" + text + "]"
}
