package artifacts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var toolHosts = []string{"*.prophecy.io"}

// TestCalls: each text is one line, found or not.
func TestCalls(t *testing.T) {
	for _, c := range []struct {
		language, text string
		want           string // the host; "" for none
	}{
		// URLs
		{"", "see https://app.prophecy.io/x", "app.prophecy.io"},
		{"", "wss://execution.dp.app.prophecy.io/eventws", "execution.dp.app.prophecy.io"},
		{"", "HTTPS://APP.Prophecy.IO", "APP.Prophecy.IO"},
		{"", "jdbc:postgresql://db.prophecy.io:5432/x", "db.prophecy.io"},
		{"", "jdbc:oracle:thin:@//db.prophecy.io:1521/x", "db.prophecy.io"},
		{"", "jdbc:oracle:thin:@db.prophecy.io:1521:x", "db.prophecy.io"},
		{"", "mongodb+srv://u:p@a.example.com,b.prophecy.io/x", "b.prophecy.io"},
		{"", "git+https://github.example.com/x and ssh://git@git.prophecy.io/x", "git.prophecy.io"},
		{"", "https://user:pa$s@app.prophecy.io/", "app.prophecy.io"},
		{"", "https://app.example.com@app.prophecy.io/", "app.prophecy.io"},
		{"", "src=//app.prophecy.io/x.js", "app.prophecy.io"},
		{"", "https://app.prophecy.io.", "app.prophecy.io"},
		{"", "https://app.prophecy.io./x", "app.prophecy.io"},
		{"", "https://prophecy.io?x", "prophecy.io"},
		{"", "https:/app.prophecy.io", "app.prophecy.io"},
		{"", `https:\\app.prophecy.io\x`, "app.prophecy.io"},
		{"", "https:///app.prophecy.io", "app.prophecy.io"},
		{"", "https:app.prophecy.io/x", "app.prophecy.io"},
		{"", "https://x.example.com/?next=https://app.prophecy.io/x", "app.prophecy.io"},
		{"", "https://x.example.com/?next=https%3A%2F%2Fapp.prophecy.io%2Fx", "app.prophecy.io"},
		// a front that is filled in later
		{"python", `x = f"https://{env}.prophecy.io/x"`, "prophecy.io"},
		{"python", `x = f"https://{os.environ['E']}-app.prophecy.io/x"`, "-app.prophecy.io"},
		{"python", `x = "https://%s.prophecy.io/x" % env`, "s.prophecy.io"},
		{"python", `x = "https://%(env)s.prophecy.io/x" % x`, "s.prophecy.io"},
		{"python", `x = "https://" + env + ".prophecy.io/x"`, "prophecy.io"},
		{"scala", `s"https://$env.prophecy.io"`, "env.prophecy.io"},
		{"scala", `s"https://${c.env}.prophecy.io"`, "prophecy.io"},
		{"", "https://<env>.prophecy.io", "prophecy.io"},
		// escapes
		{"json", `{"u": "https:\/\/app.prophecy.io\/x"}`, "app.prophecy.io"},
		{"json", `{"u": "{\"u\":\"https:\\\/\\\/app.prophecy.io\\\/x\"}"}`, "app.prophecy.io"},
		{"json", `{"u": "{\"host\":\"app.prophecy.io\"}"}`, "app.prophecy.io"},
		{"json", `{"u": "https://app\u002eprophecy.io"}`, `app\u002eprophecy.io`},
		{"json", `{"u": "https:\u002f\u002fapp.prophecy.io"}`, "app.prophecy.io"},
		{"json", `{"u": "https://\u0061pp.prophecy.io"}`, `\u0061pp.prophecy.io`},
		{"python", `x = "https://app\x2eprophecy.io"`, `app\x2eprophecy.io`},
		{"python", "x = 'https://app.\\\nprophecy.io'", "app.prophecy.io"},
		{"python", `x = "x\nhttps://app.prophecy.io"`, "app.prophecy.io"},
		{"", "https://app%2eprophecy%2Eio/", "app%2eprophecy%2Eio"},
		{"", "https://app.prophecy。io/", "app.prophecy。io"},
		{"", "https://app.ｐrophecy.io/", "app.ｐrophecy.io"},
		{"", "https://app.pro\u00adphecy.io/", "app.pro\u00adphecy.io"},
		{"", "https://%ef%bd%81pp.prophecy.io/", "%ef%bd%81pp.prophecy.io"},
		// a port
		{"", "connect to app.prophecy.io:443, then", "app.prophecy.io"},
		{"", "app.prophecy.io:443/x", "app.prophecy.io"},
		{"", "prophecy.io:443.", "prophecy.io"},
		{"", "prophecy.io:2.12", ""},
		{"", "prophecy.io:99999", ""},
		{"", "prophecy.io: x", ""},
		{"", "/registry/prophecy.io:443", ""},
		// a whole string
		{"", "app.prophecy.io", "app.prophecy.io"},
		{"", " app.prophecy.io.\n", "app.prophecy.io"},
		{"", `run --host "app.prophecy.io"`, "app.prophecy.io"},
		{"", `run --host app.prophecy.io`, ""},
		{"python", `connect('app.prophecy.io', 443)`, "app.prophecy.io"},
		{"python", `connect(r"""app.prophecy.io""")`, "app.prophecy.io"},
		{"python", `connect("the app.prophecy.io host")`, ""},
		{"scala", `val host = "app.prophecy.io"`, "app.prophecy.io"},
		{"sql", "OPTIONS (host 'app.prophecy.io')", "app.prophecy.io"},
		{"json", `{"host": "app.prophecy.io"}`, "app.prophecy.io"},
		{"yaml", "host: app.prophecy.io", "app.prophecy.io"},
		{"yaml", "host: app.prophecy.io # ours", "app.prophecy.io"},
		{"yaml", "- app.prophecy.io", "app.prophecy.io"},
		{"yaml", "host: !!str app.prophecy.io", "app.prophecy.io"},
		{"yaml", "hosts: [a.example.com, app.prophecy.io]", "app.prophecy.io"},
		{"yaml", "{host: app.prophecy.io, port: 443}", "app.prophecy.io"},
		{"yaml", "host: 'app.prophecy.io'", "app.prophecy.io"},
		{"yaml", "text: the app.prophecy.io host", ""},
		{"hocon", "host = app.prophecy.io", "app.prophecy.io"},
		{"hocon", "host : \"app.prophecy.io\"", "app.prophecy.io"},
		{"hocon", "hosts = [a.example.com, app.prophecy.io]", "app.prophecy.io"},
		{"hocon", "app.prophecy.io = x", ""},
		{"hocon", "x { app.prophecy.io : x }", ""},
		// what is none
		{"", "io.prophecy:prophecy-libs_2.12:3.4.0-8.0.1", ""},
		{"", "io.prophecy.pipelines", ""},
		{"", "support@prophecy.io", ""},
		{"", "mailto:support@prophecy.io", ""},
		{"", "https://x.example.com/?mail=support@prophecy.io", ""},
		{"", "https://x.example.com?mail=support@prophecy.io", ""},
		{"", "https://x.example.com/#support@prophecy.io", ""},
		{"", "git+https://x.example.com/a@prophecy.io", ""},
		{"", "https://x.example.com/prophecy.io/x", ""},
		{"", "s3://bucket//prophecy.io/x", ""},
		{"", "https://x.example.com//prophecy.io/x", ""},
		{"", "file:///prophecy.io/x", ""},
		{"", "dbfs:/prophecy.io/x", ""},
		{"", "https://x.example.com?h=prophecy.io", ""},
		{"", "https://notprophecy.io", ""},
		{"", "https://prophecy.io.example.com", ""},
		{"", "https://prophecy.io-x.example.com", ""},
		{"", "https://prophecy.iox", ""},
		{"", "https://app.prophecy.io_x", ""},
		{"", "https://prophecy。ioo", ""},
		{"", "../prophecy.io/x", ""},
		{"", "C:/x/prophecy.io", ""},
		{"", "https://prоphecy.io", ""}, // another letter o
		{"python", "import prophecy.io", ""},
		{"python", "from prophecy.utils import *; x = app.prophecy.io", ""},
		{"python", "x = a//app.prophecy.io", ""},
		{"python", "x[app.prophecy.io:443]", ""},
		{"python", `importlib.import_module("prophecy.config")`, ""},
		{"scala", "import io.prophecy.libs._; val x = app.prophecy.io", ""},
		// comments
		{"python", `url = "https://app.prophecy.io"  # x`, "app.prophecy.io"},
		{"python", `# see https://docs.prophecy.io`, ""},
		{"python", `url = "#"  # https://docs.prophecy.io`, ""},
		{"python", `url = "# https://app.prophecy.io"`, "app.prophecy.io"},
		{"python", `url = 'it"s # ' + "https://app.prophecy.io"`, "app.prophecy.io"},
		{"python", `url = "\"" # "https://docs.prophecy.io"`, ""},
		{"python", `url = r"\" # "https://docs.prophecy.io"`, ""},
		{"python", "x = '''\n# https://app.prophecy.io\n'''", "app.prophecy.io"},
		{"python", "# MAGIC %sh curl https://app.prophecy.io", "app.prophecy.io"},
		{"python", "def f():\n    \"\"\"See https://docs.prophecy.io\"\"\"\n", ""},
		{"python", "'https://docs.prophecy.io' # x\n", ""},
		{"python", "x = 1; 'https://docs.prophecy.io'", ""},
		{"python", "x = f(\n'https://app.prophecy.io'\n)", "app.prophecy.io"},
		{"python", "x = \\\n'https://app.prophecy.io'\n", "app.prophecy.io"},
		{"python", "x = [\n'''https://app.prophecy.io''',\n]", "app.prophecy.io"},
		{"python", "'https://app.prophecy.io'.split()", "app.prophecy.io"},
		{"python", "x = 'a\n'https://app.prophecy.io'.split()", "app.prophecy.io"},
		{"scala", `val u = "https://app.prophecy.io" // x`, "app.prophecy.io"},
		{"scala", `// see https://docs.prophecy.io`, ""},
		{"scala", `val u = "//" // "https://docs.prophecy.io"`, ""},
		{"scala", `val u = "/*"; val v = "https://app.prophecy.io" /* x */`, "app.prophecy.io"},
		{"scala", `/* /* x */ "https://docs.prophecy.io" */`, ""},
		{"scala", `/* x */ val u = "https://app.prophecy.io"`, "app.prophecy.io"},
		{"scala", `val c = '"'; val u = "https://app.prophecy.io" // "`, "app.prophecy.io"},
		{"scala", `val c = '\''; val s = 'sym; val u = "https://app.prophecy.io"`, "app.prophecy.io"},
		{"scala", `val c = '"' // "https://docs.prophecy.io"`, ""},
		{"scala", `val u = """\""" // "https://docs.prophecy.io"`, ""},
		{"scala", "// MAGIC %sh curl https://app.prophecy.io", "app.prophecy.io"},
		{"sql", "select 'https://app.prophecy.io' -- x", "app.prophecy.io"},
		{"sql", "-- see https://docs.prophecy.io", ""},
		{"sql", "select '--', 'https://app.prophecy.io'", "app.prophecy.io"},
		{"sql", "select 'it''s', 1 -- 'https://docs.prophecy.io'", ""},
		{"sql", "/* https://docs.prophecy.io */", ""},
		{"sql", "/* /* x */ copy into https://app.prophecy.io", "app.prophecy.io"},
		{"sql", "-- MAGIC %sh curl https://app.prophecy.io", "app.prophecy.io"},
		{"yaml", "url: https://app.prophecy.io # x", "app.prophecy.io"},
		{"yaml", "# see https://docs.prophecy.io", ""},
		{"yaml", "x: 1 # https://docs.prophecy.io", ""},
		{"yaml", "x: https://x.example.com/#https://app.prophecy.io", "app.prophecy.io"},
		{"yaml", "x: '# https://app.prophecy.io'", "app.prophecy.io"},
		{"yaml", "x: don't # https://docs.prophecy.io '", ""},
		{"yaml", "x: 'it''s' # https://docs.prophecy.io", ""},
		{"yaml", "x: \"a\\\" # https://app.prophecy.io\"", "app.prophecy.io"},
		{"yaml", "x: 'a\n  # https://app.prophecy.io'", "app.prophecy.io"},
		{"yaml", "run: |\n  # https://app.prophecy.io\ny: 1", "app.prophecy.io"},
		{"yaml", "- run: >-\n    x\n\n    # https://app.prophecy.io", "app.prophecy.io"},
		{"yaml", "- run: |\n    x\n  y: 1 # https://docs.prophecy.io", ""},
		{"yaml", "- |\n x\n- 1 # https://docs.prophecy.io", ""},
		{"yaml", "x: {a: 'b', c: d} # https://docs.prophecy.io", ""},
		{"hocon", "u = \"https://app.prophecy.io\" # x", "app.prophecy.io"},
		{"hocon", "u = https://app.prophecy.io", "app.prophecy.io"},
		{"hocon", "# see https://docs.prophecy.io", ""},
		{"hocon", "u = 1 // https://docs.prophecy.io", ""},
		{"hocon", "u = \"#\", v = \"https://app.prophecy.io\"", "app.prophecy.io"},
		{"hocon", "u = \"\"\"\\\"\"\" // \"https://docs.prophecy.io\"", ""},
		{"json", `{"u": "// https://app.prophecy.io"}`, "app.prophecy.io"},
	} {
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		var got []string
		for _, call := range Calls(c.language, c.text, toolHosts) {
			got = append(got, call.Host)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", c.language, c.text, diff)
		}
	}
}

func TestCallsPatterns(t *testing.T) {
	const text = "https://app.prophecy.io https://prophecy.io https://x.example.com https://localhost:8 https://bücher.example"
	for _, c := range []struct {
		patterns []string
		want     string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"*."}, ""},
		{[]string{"*.prophecy.io"}, "app.prophecy.io prophecy.io"},
		{[]string{"*.Prophecy.IO."}, "app.prophecy.io prophecy.io"},
		{[]string{"prophecy.io"}, "prophecy.io"},
		{[]string{"app.prophecy.io", "x.example.com"}, "app.prophecy.io x.example.com"},
		{[]string{"localhost"}, "localhost"},
		{[]string{"*.io"}, "app.prophecy.io prophecy.io"},
		{[]string{"bücher.example"}, "bücher.example"},
		{[]string{"xn--bcher-kva.example"}, "bücher.example"},
	} {
		var got []string
		for _, call := range Calls("", text, c.patterns) {
			got = append(got, call.Host)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.patterns, diff)
		}
	}
}

func TestCallsLines(t *testing.T) {
	got := Calls("python", "# one\r\na = 'https://a.prophecy.io'; b = 'b.prophecy.io'\n\nc = '''\nhttps://c.prophecy.io\n'''", toolHosts)
	want := []Call{{2, "a.prophecy.io"}, {2, "b.prophecy.io"}, {5, "c.prophecy.io"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var callLanguages = []string{"", "python", "scala", "sql", "yaml", "hocon", "json"}

// TestCallsBounded: texts that would take minutes if anything in them was looked at again and again.
func TestCallsBounded(t *testing.T) {
	const size = 1 << 16
	for _, piece := range []string{
		"prophecy.io ", "x@prophecy.io,", "//prophecy.io ", "/", "\\", "}", "}}}}}}}}.prophecy.io ", "{", " ", "\n", "'", `"`, `"""`, "/*", "/* */",
		"prophecy.io", "https://", ".", "%2f", `\u002f`, "\\\n", "a:", "- ", "- |\n", "|\n ", "[", "x: [", "\xff", "ü", "\u00ad", "#", "# MAGIC ", "r'", "(",
		"'prophecy.io' ", "@", ",", ":443", "prophecy.io:", "a.", "xn--",
		strings.Repeat("ü", 700) + " ", strings.Repeat("ü.", 400) + " ", strings.Repeat("%c3%bc", 250) + " ", strings.Repeat("xn--x.", 250) + " ",
	} {
		text := strings.Repeat(piece, size/len(piece))
		for _, language := range callLanguages {
			for _, text := range []string{text, strings.Repeat(" ", size) + text, text + "prophecy.io:443"} {
				if n := len(Calls(language, text, toolHosts)); n > maxCalls {
					t.Errorf("%s %q: %d calls", language, piece, n)
				}
			}
		}
	}
	if n := len(Calls("", strings.Repeat("https://prophecy.io ", 2*maxCalls), toolHosts)); n != maxCalls {
		t.Errorf("%d calls; want %d", n, maxCalls)
	}
}

func FuzzCalls(f *testing.F) {
	for _, text := range []string{
		`url = f"https://{env}.prophecy.io:443/x"  # x`, `{"u": "https:\/\/app.prophecy.io\/x"}`, "x: |\n  # app.prophecy.io\n- 'a': [b, {c: d}]",
		`val u = s"""//${x}.prophecy.io""" /* /* */ */ // 'x'`, "h = app.prophecy.io // x\n", "select 'it''s' -- x", "https%3A%2F%2Fapp%2eprophecy。io",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, language := range callLanguages {
			calls := Calls(language, text, toolHosts)
			lines := strings.Split(text, "\n")
			last := 0
			for _, c := range calls {
				if c.Line < max(1, last) || c.Line > len(lines) {
					t.Fatalf("%s: line %d of %d after %d", language, c.Line, len(lines), last)
				}
				last = c.Line
				if begin := c.Host[:min(2, len(c.Host))]; !strings.Contains(lines[c.Line-1], begin) {
					t.Fatalf("%s: %q is not in line %q", language, c.Host, lines[c.Line-1])
				}
				if strings.ContainsAny(c.Host, " \n\"'/") {
					t.Fatalf("%s: %q is no host", language, c.Host)
				}
			}
			if more := Calls(language, text, []string{"*.prophecy.io", "*.io"}); len(more) < len(calls) {
				t.Fatalf("%s: fewer calls with one more pattern", language)
			}
			spansInOrder(t, language, text)
		}
	})
}

// spansInOrder checks what Calls relies on: spans lie in the text, one behind the other.
func spansInOrder(t *testing.T, language, text string) {
	at := 0
	spansOf(language)(text, func(s span) bool {
		if s.from < at || s.to < s.from || s.to > len(text) {
			t.Fatalf("%s: span %d to %d of %d after %d", language, s.from, s.to, len(text), at)
		}
		at = s.to
		return true
	})
}

func BenchmarkCalls(b *testing.B) {
	for _, language := range callLanguages {
		var text strings.Builder
		for i := 0; text.Len() < 1<<20; i++ {
			fmt.Fprintf(&text, "    .withColumn(\"column_%d\", (col(\"amount_%d\") * lit(%d)).cast(DoubleType()))  # https://www.example.com/%d\n", i, i, i, i)
		}
		b.Run("language="+orElse(language, "none"), func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				Calls(language, text.String(), toolHosts)
			}
		})
	}
}
