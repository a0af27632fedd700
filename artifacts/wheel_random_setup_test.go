package artifacts

import (
	"fmt"
	"slices"
	"strings"
)

// arguments are those of setup(), in the order of the authoring tool.
func (g *treeMaker) arguments(packages string) []string {
	var list []string
	add := func(percent int, keyword string, value func() string) {
		if g.maybe(percent) {
			list = append(list, keyword+pick(g, " = ", "=")+value())
		}
	}
	text := func(from ...string) func() string {
		return func() string { return g.quote(pick(g, from...)) }
	}
	always := 100
	add(always, "name", func() string { return g.quote(g.name()) })
	add(95, "version", g.version)
	add(always, "packages", func() string { return packages })
	add(99, "package_dir", g.packageDir)
	add(95, "package_data", g.packageData)
	add(5, "exclude_package_data", g.packageData)
	add(2, "include_package_data", func() string { return pick(g, "True", "False") })
	var modules []string
	for _, f := range []string{"main", "module", "other/module", "missing"} {
		if _, there := g.files[g.code+f+".py"]; there || g.wild {
			modules = append(modules, strings.ReplaceAll(f, "/", "."))
		}
	}
	add(5, "py_modules", func() string { return g.list(some(g, 2, modules...)) })
	add(85, "description", text("workflow", "", "Umsätze des Ladens “täglich” 日本", "first\nsecond", " leading", "trailing ", "a: b", "\nx", "x\n\ny\n"))
	add(85, "install_requires", g.requirements)
	add(85, "entry_points", g.entryPoints)
	add(90, "data_files", g.dataFiles)
	add(85, "extras_require", g.extras)
	add(15, "long_description", text("", "one line", "Title\n=====\n\n    code\n\ttab\nend", "crlf\r\nline\r\n", "\nleading", "  indented\n  twice", "From here on\nFrom: x", "日本語 🎉\n", "a\n\n\n", "\n", ".", "Name: x\nVersion: 2"))
	add(10, "long_description_content_type", text("text/markdown", "text/x-rst; charset=UTF-8", ""))
	add(10, "url", text("https://example.com/größe", "", "UNKNOWN"))
	add(5, "download_url", text("https://example.com/x.zip"))
	add(10, "author", text("Jürgen Ünal", "A, B", "", " x "))
	add(10, "author_email", text("a@example.com", "Ü <u@example.com>, b@example.com"))
	add(5, "maintainer", text("M", ""))
	add(5, "maintainer_email", text("m@example.com"))
	add(10, "license", text("MIT", "eigene Lizenz\nzweite Zeile", "", "a\n\n  b\n", "UNKNOWN"))
	add(5, "license_files", func() string {
		return g.list(some(g, 3, "LICENSE", "LICENS*", "**/MIT.txt", "missing", "LICENSES/*", "NOTICE.md", "*"))
	})
	add(2, "license_file", text("LICENSE", "NOTICE.md", "missing"))
	add(10, "classifiers", func() string {
		return g.list(some(g, 3, "Programming Language :: Python", "License :: OSI Approved", "Größe :: x"))
	})
	add(10, "keywords", func() string {
		return pick(g, g.list(some(g, 3, "one", "two words", "größe")), g.quote("a, b ,c"), "''")
	})
	add(5, "platforms", func() string { return pick(g, g.list(some(g, 2, "linux", "any")), g.quote("linux, any")) })
	add(5, "project_urls", func() string {
		return "{" + g.quote("Docs") + ": " + g.quote("https://docs.example.com/ü") + ", 'Bugs': 'https://bugs.example.com'}"
	})
	add(10, "python_requires", text(">=3.7", ">=3.7, <4", "", "~=3.7", ">= 3.7,!=3.8.*", "==3.*", ">=3.7,", "<4,>=3"))
	if g.wild {
		add(5, "python_requires", text("3.7", "python>3", "==3.x", "~=3"))
	}
	add(10, "zip_safe", func() string { return pick(g, "True", "False", "None") })
	add(3, "test_suite", text("tests"))
	add(3, "tests_require", func() string { return "['pytest']" })
	return list
}

// name gives the names of the authoring tool's pipelines, which a person types freely.
func (g *treeMaker) name() string {
	switch g.IntN(12) {
	case 0:
		return pick(g, "farmers-markets-irs", "my pipe.v2", "FirstPipeline", "gold_customer_orders", "umsätze", "AbInitio-real_graph_raw_import", "a", "1", "0.1", "x-1.0", "UNKNOWN")
	case 1:
		if !g.wild {
			break
		}
		return pick(g, "-orders", "orders_", "日本", ".x", "x.", "a/b", "a\nb", "é", "größ", "orders!", " x ", "_x_", "a\\b", "x--y__z", "🎉")
	}
	var b strings.Builder
	for i := range 1 + g.IntN(4) {
		if i > 0 {
			b.WriteString(pick(g, "_", "_", "-", ".", " ", "--", "__", "_-", "..", "ä", "日本", "!", "/", "+", " - ", "._", "(", "&"))
		}
		b.WriteString(pick(g, "raw", "Bronze", "orders", "V2", "1", "x", "FARMERS", "0"))
	}
	return b.String()
}

// version gives versions that PEP 440 knows, in all of their spellings, and others.
func (g *treeMaker) version() string {
	switch g.IntN(12) {
	case 0, 1, 2:
		return "'1.0'"
	case 3:
		return pick(g, "1.0", "1", "0.10", "2.50", "12", "None", "1e3", "0")
	case 4:
		return g.quote(pick(g, "1.0.0-rc.1", "v3.3", "3.3.0-dev0+sha.abc", "1.00", "01.2", "22.0.0", "1.0c1", "1.0-1", "1.0-r4", "1!2.0", "0.0.0", "v22", "1.0.dev", "1.0+UBUNTU-01_x"))
	case 5:
		if !g.wild {
			break
		}
		return g.quote(pick(g, "0.0.1-SNAPSHOT", "hghj", "", "v", "1.0-", "1..0", "1.0+", "v1-release", "scala-release", "1.0+a..b", "1,0", "-1", "1.0 1", "٣.1", "1.0+ä", "1.0.*", "1.0.dev1.post1", "1.0\n2", "1.0/2", "latest"))
	}
	number := func() string { return pick(g, "0", "1", "2", "00", "01", "10", "2024", "99999999999999999999") }
	s := pick(g, "", "", "", "v", "V", " ") + pick(g, "", "", "", "", "1!", "0!", "01!") + number()
	for range g.IntN(4) {
		s += "." + number()
	}
	separator := func() string { return pick(g, "", ".", "-", "_") }
	numbered := func() string {
		if g.maybe(30) {
			return ""
		}
		return separator() + number()
	}
	if g.maybe(30) {
		s += separator() + pick(g, "a", "alpha", "b", "beta", "rc", "c", "pre", "preview", "RC", "Alpha") + numbered()
	}
	if g.maybe(20) {
		s += pick(g, "-"+number(), separator()+pick(g, "post", "rev", "r", "POST")+numbered())
	}
	if g.maybe(20) {
		s += separator() + pick(g, "dev", "DEV") + numbered()
	}
	if g.maybe(20) {
		s += "+" + pick(g, "sha", "01", "Ubuntu", "a") + pick(g, "", pick(g, ".", "-", "_")+pick(g, "abc", "007", "x1"))
	}
	return g.quote(s + pick(g, "", "", "", " ", "\n"))
}

func (g *treeMaker) packageDir() string {
	pairs := []string{"'prophecy_config_instances' : 'configs/resources/config'"}
	if g.wild && g.maybe(5) {
		pairs[0] = pick(g, "'prophecy_config_instances': './configs/resources/config/'", "'prophecy_config_instances': 'configs//resources/config'", "'prophecy_config_instances': 'configs/x/../resources/config'")
	}
	if g.code != "" {
		pairs = append(pairs, "'': 'src'")
	}
	if g.maybe(3) {
		pairs = append(pairs, g.quote(pick(g, g.packages...)+".graph")+": "+g.quote(g.code+pick(g, g.packages...)))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

func (g *treeMaker) packageData() string {
	pairs := []string{"'prophecy_config_instances' : ['*.json', '*.py', '*.conf']"}
	if g.maybe(40) {
		pairs = append(pairs, g.quote(pick(g, "", g.packages[0], pick(g, g.packages...)+".graph", "other"))+": "+g.list(some(g, 4, patternPool...)))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

func (g *treeMaker) dataFiles() string {
	const workflow = `(".prophecy", [".prophecy/workflow.latest.json"])`
	entries := []string{workflow}
	if _, there := g.files["README.md"]; there {
		entries = append(entries, some(g, 1, "('share/doc', ['README.md'])", "('', ['README.md'])", "'README.md'", "('größe', ['README.md', 'setup.py'])", "('empty', [])", "('./a//b/', ['./README.md'])",
			"['list', ('README.md',)]", "('.prophecy', ['.prophecy//workflow.latest.json'])")...)
	}
	if g.wild && g.maybe(15) {
		entries = append(entries, pick(g, "('x', ['missing.txt'])", "('x', ['docs'])", "('a/../b', ['setup.py'])", "('.prophecy', ['setup.py', 'main.py'])"))
	}
	return "[" + strings.Join(entries, ", ") + "]"
}

func (g *treeMaker) entryPoints() string {
	main := "main = " + pick(g, g.packages...) + ".pipeline:main"
	other := []string{"x=a.b:c", "y = a.b", "z = a:b.c.d [extra, more]", "größe = größe:größe", "with space = a:b", "dotted.name = a:b", "a-b = c", "sp = a : b", " lead=a:b "}
	wrong := []string{"main = a/b:c", "main", "main = ", "= a:b", "main = a b:c", "main = a:b:c", "main = a-b:c", "[x]", "main = a:b [", "# comment", "", "main = :c", "main = a:", "two = a:b # comment"}
	lines := append(some(g, 2, other...), main)
	if g.wild && g.maybe(20) {
		lines = append(lines, pick(g, wrong...))
	}
	if !g.wild || g.maybe(80) {
		slices.Sort(lines)
		lines = slices.Compact(lines)
		g.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
	}
	switch g.IntN(10) {
	case 0:
		return "{}"
	case 1:
		return g.quote("[console_scripts]\n" + strings.Join(lines, "\n") + pick(g, "", "\n", "\n\n[other.group]\na = b:c\n"))
	case 2:
		return "{" + g.quote("console_scripts") + ": " + g.quote(strings.Join(lines, "\n")) + "}"
	case 3:
		return "{" + g.quote(pick(g, "z.group", "größe", "a b", "gui_scripts")) + ": " + g.list(some(g, 1, other[:4]...)) + ", 'console_scripts': " + g.list(lines) + "}"
	}
	return "{\n'console_scripts' : [\n" + g.quote(main) + "], }"
}

// marker gives environment markers.
func (g *treeMaker) marker(depth int) string {
	variable := func() string {
		return pick(g, "python_version", "sys_platform", "os_name", "platform_machine", "implementation_name", "python_full_version", "platform_python_implementation", "extra", "platform_system",
			"os.name", "sys.platform", "python_implementation")
	}
	space := func() string { return pick(g, " ", " ", "", "  ") }
	constant := func() string {
		quote := pick(g, `"`, "'")
		return quote + pick(g, "3.8", "linux", "win32", "CPython", "x y", "posix", "3.10", "größe", "") + quote
	}
	comparison := func() string {
		operator := pick(g, "<", "<=", "==", "!=", ">", ">=", " in ", " not in ")
		if g.wild && g.maybe(10) {
			operator = pick(g, "~=", "===", " not  in ")
		}
		left, right := variable(), constant()
		if g.maybe(15) {
			left, right = right, left
		}
		if g.wild && g.maybe(4) {
			return pick(g, "platfrom == 'x'", "'a' == 'b'", "python_version", "python_version = '3'", "os_name == 'x", "(os_name == 'x'", "os_name == 'x' xor os_name == 'y'", "os_name == os_name", "", "os_name=='x')")
		}
		return left + space() + operator + space() + right
	}
	if depth > 2 || g.maybe(60) {
		return comparison()
	}
	s := g.marker(depth + 1)
	for range 1 + g.IntN(2) {
		s += " " + pick(g, "and", "or") + " " + g.marker(depth+1)
	}
	if g.maybe(50) {
		return "(" + s + ")"
	}
	return s
}

func (g *treeMaker) requirement() string {
	if g.maybe(50) {
		return pick(g, "prophecy-libs==1.4.11", "prophecy-libs==2.1.16", "pyspark", "pandas", "hvac==1.2.1", "numpy>=1.20,<2")
	}
	if g.wild && g.maybe(6) {
		return pick(g, "=1.0", "a =1.0", "a==1.0 b", "a[", "a[b", "a==", "a @", "a @ nowhere", "-a", "a-", "a;;", "a (1.0)", "a <1.0>", "a==1.0;", "größe", "a[ü]", "a >=1,,<2", "./x", "a==1.0+ä", "a>=1.0.*", "a~=1", "a<x", "a >1,", "a (>1", "a [x]]", "git+https://example.com/x", "a @ http://example.com/a b", `a \`, "a==1.0 \\")
	}
	space := func() string { return pick(g, "", "", " ") }
	s := pick(g, "prophecy_libs", "Pandas", "py.spark", "a", "x--y", "ruamel.yaml", "A1", "google-cloud_x", "a.b_c-d")
	if g.maybe(20) {
		return s
	}
	if g.maybe(20) {
		s += space() + "[" + space() + strings.Join(some(g, 3, "sql", "ML_lib", "a.b", "X", "y-z"), space()+","+space()) + space() + "]"
	}
	if g.maybe(7) {
		s += " @ " + pick(g, "https://example.com/tool-1.0.zip#sha1=abc", "git+https://example.com/x.git@v1", "file:///x/y.whl", "git+ssh://git@example.com/x.git#egg=x")
		if g.maybe(30) {
			s += " ; " + g.marker(1)
		}
		return s
	}
	var specs []string
	for range g.IntN(4) {
		version := pick(g, "1.0", "2.0", "1.4.11", "3.0.0rc1", "2024.1", "1.0.post1", "1.0.dev0", "v1.0", "1!1.0")
		operator := pick(g, "==", ">=", "<=", "<", ">", "!=", "~=")
		if operator == "==" || operator == "!=" || g.wild {
			version = pick(g, version, version, "2", "1.0+local", "1.*")
		}
		if g.wild && g.maybe(5) {
			operator = "==="
		}
		specs = append(specs, operator+space()+version)
	}
	list := strings.Join(specs, space()+","+space())
	if len(specs) > 0 && g.maybe(15) {
		list = "(" + list + ")"
	}
	s += space() + list
	if g.maybe(20) {
		s += space() + ";" + space() + g.marker(0)
	}
	return s + pick(g, "", "", "", " ", "  # why", " #x")
}

func (g *treeMaker) requirements() string {
	var list []string
	for range g.IntN(5) {
		list = append(list, g.requirement())
	}
	switch g.IntN(8) {
	case 0:
		return g.quote("\n# comment\n" + strings.Join(list, "\n  ") + "\n\n")
	case 1:
		return g.quote(strings.Join(list, "\n"))
	case 2:
		return g.list(append(list, "", "# comment", "a\nb>=1"))
	}
	return g.list(list)
}

func (g *treeMaker) extras() string {
	if g.maybe(60) {
		return "{\n'test' : ['pytest', 'pytest-html', 'pytest-cov'], }"
	}
	var pairs []string
	names := some(g, 4, "test", "Dev_Tools", "dev tools 2", "a.b-c", "x__y", "empty", ":"+g.marker(1), "old:"+g.marker(2), "größe", "UPPER", "a--b", "all")
	if g.wild {
		names = append(names, some(g, 2, "", "[x]", ":", "x:", " y ", "test")...)
	} else {
		slices.Sort(names)
		names = slices.Compact(names)
	}
	for _, name := range names {
		pairs = append(pairs, fmt.Sprintf("%s: %s", g.quote(name), pick(g, g.requirements(), "[]", "['pytest', 'ruff==0.1.*']")))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}
