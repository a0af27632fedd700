package artifacts

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// oracle is a setuptools whose wheels ours are compared with.
type oracle struct {
	name    string
	env     string            // names a Python with the pinned versions
	pins    map[string]string // package -> version
	differs []difference      // on purpose
	refuses []refusalRule     // what only it refuses; matched against what it says
	builds  []refusalRule     // what only it builds; matched against what we say
}

// oracles are the setuptools that wheels have been built with for years and the newest one. Our wheels are
// those of the first; where the second differs by design, the table beside it says how.
var oracles = []oracle{
	{name: "setuptools 66.1.1", env: "SELVAGE_TEST_PYTHON", pins: map[string]string{"setuptools": "66.1.1", "wheel": "0.38.4"}, differs: oldDiffers, builds: oldBuilds},
	{name: "setuptools 84.2.1", env: "SELVAGE_TEST_PYTHON_NEW", pins: map[string]string{"setuptools": "84.2.1"}, differs: slices.Concat(oldDiffers, newDiffers), refuses: newRefuses, builds: newBuilds},
}

// difference is one way in which the wheels of an oracle and ours differ by design. What it names is taken out of
// both, or written in one form; everything else has to be the same.
type difference struct {
	what, why    string
	theirs, ours func(*openWheel)
}

var oldDiffers = []difference{
	{"WHEEL: Generator", "each builder names itself", setGenerator, setGenerator},
	{"RECORD: digest and size of WHEEL", "they follow from the above", hideRecorded("WHEEL"), hideRecorded("WHEEL")},
}

var newDiffers = []difference{
	{"METADATA: Metadata-Version", "2.4 instead of 2.1: only fields that we do not write are new in it", setHeader("Metadata-Version", "X"), setHeader("Metadata-Version", "X")},
	{"METADATA: empty line behind the headers", "is only there where a description follows", endHeaders, endHeaders},
	{"METADATA: Dynamic", "says which fields a later build may change; pip does not read it", dropHeader("Dynamic"), nil},
	{"METADATA: Name", "keeps underscores and doubled separators; pip takes both spellings for one name", mapHeader("Name", safeName), nil},
	{"METADATA: Requires-Dist, Provides-Extra", "the order of setup.py, the spelling of PEP 685 for extras, and another spelling of a version that is there twice; pip reads both alike", canonicalRequires, canonicalRequires},
	{"METADATA: blanks at the beginning of a value", "are kept; readers drop them", trimHeaders, nil},
	{"METADATA: line ends of the description", "are kept as they are", plainLineEnds, nil},
	{"RECORD: digest and size of METADATA", "they follow from the above", hideRecorded("METADATA"), hideRecorded("METADATA")},
	{"license files", "lie in .dist-info/licenses, under their whole paths", flatLicenses, sortFiles},
	{"*.pyi and py.typed of packages", "are packed unasked; they are for type checkers and change nothing at run time", dropTyping, dropTyping},
}

// builds is a running oracle.
type builds struct {
	oracle
	in      io.WriteCloser
	answers *bufio.Reader
}

// verdict is what became of one folder.
type verdict struct{ Wheel, Failed string }

// start runs the oracle until the test ends.
func (o oracle) start(t *testing.T) *builds {
	t.Helper()
	command := exec.Command(o.python(t), "testdata/bdist_wheel.py")
	command.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1", "PYTHONHASHSEED=0")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("%s: %v", o.name, err)
		}
	})
	b := &builds{oracle: o, in: in, answers: bufio.NewReader(out)}
	versions := map[string]string{}
	if err := b.read(&versions); err != nil || !maps.Equal(versions, o.pins) {
		t.Fatalf("%s has %v; want %v: %v", command.Path, versions, o.pins, err)
	}
	return b
}

func (b *builds) read(to any) error {
	line, err := b.answers.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	return json.Unmarshal(line, to)
}

// build runs `setup.py bdist_wheel` in a folder.
func (b *builds) build(dir string) (v verdict, err error) {
	if _, err := io.WriteString(b.in, dir+"\n"); err != nil {
		return v, err
	}
	return v, b.read(&v)
}

// python is that of the environment, or one of a virtual environment that is made once under the
// user's cache folder.
func (o oracle) python(t *testing.T) string {
	t.Helper()
	if python := os.Getenv(o.env); python != "" {
		return python
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	install := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}
	name := "selvage-test-venv"
	for _, p := range slices.Sorted(maps.Keys(o.pins)) {
		install = append(install, p+"=="+o.pins[p])
		name += "-" + o.pins[p]
	}
	venv := filepath.Join(cache, name)
	python, complete := filepath.Join(venv, "bin", "python"), filepath.Join(venv, "complete")
	if _, err := os.Stat(complete); err != nil {
		for _, argv := range [][]string{{"python3", "-m", "venv", "--clear", venv}, append([]string{python}, install...)} {
			if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
			}
		}
		if err := os.WriteFile(complete, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return python
}

// openWheel is a wheel's name and its files in their order.
type openWheel struct {
	Name  string
	Files []namedText
}

type namedText struct{ Name, Text string }

// unpack opens a wheel and checks its RECORD.
func unpack(name string, content []byte) (*openWheel, error) {
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	w := &openWheel{Name: name}
	for _, f := range r.File {
		text, err := readZipped(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		w.Files = append(w.Files, namedText{f.Name, string(text)})
	}
	return w, w.checkRecord()
}

func (w *openWheel) checkRecord() error {
	rows, err := csv.NewReader(strings.NewReader(w.file("RECORD").Text)).ReadAll()
	if err != nil || len(rows) != len(w.Files) {
		return fmt.Errorf("RECORD has %d rows for %d files: %v", len(rows), len(w.Files), err)
	}
	for i, f := range w.Files {
		sum := sha256.Sum256([]byte(f.Text))
		want := []string{f.Name, "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]), strconv.Itoa(len(f.Text))}
		if strings.HasSuffix(f.Name, ".dist-info/RECORD") {
			want = []string{f.Name, "", ""}
		}
		if !slices.Equal(rows[i], want) {
			return fmt.Errorf("RECORD row %d is %q; want %q", i, rows[i], want)
		}
	}
	return nil
}

// file is a file of .dist-info.
func (w *openWheel) file(base string) *namedText {
	for i, f := range w.Files {
		if dir := path.Dir(f.Name); path.Base(f.Name) == base && strings.HasSuffix(dir, ".dist-info") && !strings.Contains(dir, "/") {
			return &w.Files[i]
		}
	}
	return &namedText{}
}

// headers splits METADATA into its headers and what follows them.
func (w *openWheel) headers() (headers []string, rest string) {
	head, rest, ended := strings.Cut(w.file("METADATA").Text, "\n\n")
	if !ended {
		head = strings.TrimSuffix(head, "\n")
	}
	return strings.Split(head, "\n"), rest
}

func (w *openWheel) setHeaders(headers []string, rest string) {
	w.file("METADATA").Text = strings.Join(headers, "\n") + "\n\n" + rest
}

func mapHeader(name string, value func(string) string) func(*openWheel) {
	return func(w *openWheel) {
		headers, rest := w.headers()
		for i, h := range headers {
			if v, ok := strings.CutPrefix(h, name+": "); ok {
				headers[i] = name + ": " + value(v)
			}
		}
		w.setHeaders(headers, rest)
	}
}

func trimHeaders(w *openWheel) {
	headers, rest := w.headers()
	for i, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok && name[0] != ' ' {
			headers[i] = name + ": " + strings.TrimLeft(value, " ")
		}
	}
	w.setHeaders(headers, rest)
}

func endHeaders(w *openWheel) { w.setHeaders(w.headers()) }

func setHeader(name, value string) func(*openWheel) {
	return mapHeader(name, func(string) string { return value })
}

func dropHeader(name string) func(*openWheel) {
	return func(w *openWheel) {
		headers, rest := w.headers()
		w.setHeaders(slices.DeleteFunc(headers, func(h string) bool { return strings.HasPrefix(h, name+": ") }), rest)
	}
}

var generatorLine = regexp.MustCompile(`(?m)^Generator: .*$`)

func setGenerator(w *openWheel) {
	f := w.file("WHEEL")
	f.Text = generatorLine.ReplaceAllString(f.Text, "Generator: X")
}

// hideRecorded takes what RECORD says of a file of .dist-info out.
func hideRecorded(base string) func(*openWheel) {
	line := regexp.MustCompile(`(?m)^([^/\n]*\.dist-info/` + base + `),sha256=.*$`)
	return func(w *openWheel) {
		f := w.file("RECORD")
		f.Text = line.ReplaceAllString(f.Text, "$1,X")
	}
}

func plainLineEnds(w *openWheel) {
	f := w.file("METADATA")
	f.Text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(f.Text)
}

// canonicalRequires writes the requirements in one form, sorted and each once.
func canonicalRequires(w *openWheel) {
	headers, rest := w.headers()
	var requires, others []string
	for _, h := range headers {
		if v, ok := strings.CutPrefix(h, "Requires-Dist: "); ok {
			h = "Requires-Dist: " + canonicalRequirement(v)
		}
		if v, ok := strings.CutPrefix(h, "Provides-Extra: "); ok {
			h = "Provides-Extra: " + canonicalExtra(v)
		}
		if strings.HasPrefix(h, "Requires-Dist: ") || strings.HasPrefix(h, "Provides-Extra: ") {
			requires = append(requires, h)
		} else {
			others = append(others, h)
		}
	}
	slices.Sort(requires)
	w.setHeaders(slices.Concat(others, slices.Compact(requires)), rest)
}

var (
	bracketed    = regexp.MustCompile(`^([^;(]*) \((.*?)\)( ;.*)?$`) // name (==1.0) ; marker
	extraName    = regexp.MustCompile(`[^a-z0-9]+`)
	extraCompare = regexp.MustCompile(`extra (?:` + markerOperators + `) "[^"]*"|"[^"]*" (?:` + markerOperators + `) extra`)
)

const markerOperators = "===|==|!=|<=|>=|<|>|~=|in|not in"

func canonicalExtra(s string) string {
	return strings.Trim(extraName.ReplaceAllString(strings.ToLower(s), "-"), "-")
}

// canonicalRequirement reads a requirement and writes it again.
func canonicalRequirement(s string) string {
	s = bracketed.ReplaceAllString(s, "$1 $2$3")
	if !strings.Contains(s, "@") { // === ends at a blank
		s = strings.NewReplacer(",", " ,", ";", " ;").Replace(s)
	}
	r, err := parseRequirement(s)
	if err != nil {
		return s + " (" + err.Error() + ")"
	}
	for i, e := range r.extras {
		r.extras[i] = canonicalExtra(e)
	}
	for i, spec := range r.specs {
		operator := spec[:len(spec)-len(strings.TrimLeft(spec, "=<>!~"))]
		r.specs[i] = operator + comparedVersion(spec[len(operator):])
	}
	slices.Sort(r.specs)
	slices.Sort(r.extras)
	marker := extraCompare.ReplaceAllStringFunc(r.marker, func(m string) string {
		at, end := strings.IndexByte(m, '"'), strings.LastIndexByte(m, '"')
		return m[:at+1] + canonicalExtra(m[at+1:end]) + m[end:]
	})
	return fmt.Sprintf("%s %q %q %s; %s", strings.ToLower(safeName(r.name)), r.extras, r.specs, r.url, marker)
}

var licenseFolder = regexp.MustCompile(`(?m)^([^/\n]*\.dist-info/)licenses/(?:[^,\n]*/)?`)

func flatLicenses(w *openWheel) {
	for i, f := range w.Files {
		w.Files[i].Name = licenseFolder.ReplaceAllString(f.Name, "$1")
	}
	f := w.file("RECORD")
	f.Text = licenseFolder.ReplaceAllString(f.Text, "$1")
	sortFiles(w)
}

// sortFiles puts the files into one order.
func sortFiles(w *openWheel) {
	slices.SortFunc(w.Files, func(a, b namedText) int { return strings.Compare(a.Name, b.Name) })
	f := w.file("RECORD")
	rows := strings.Split(f.Text, "\n")
	slices.Sort(rows)
	f.Text = strings.Join(rows, "\n")
}

func dropTyping(w *openWheel) {
	typing := func(name string) bool { return strings.HasSuffix(name, ".pyi") || path.Base(name) == "py.typed" }
	w.Files = slices.DeleteFunc(w.Files, func(f namedText) bool { return typing(f.Name) })
	f := w.file("RECORD")
	f.Text = strings.Join(slices.DeleteFunc(strings.Split(f.Text, "\n"), func(row string) bool {
		name, _, _ := strings.Cut(row, ",sha256=")
		return typing(strings.Trim(name, `"`))
	}), "\n")
}
