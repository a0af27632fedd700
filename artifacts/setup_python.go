package artifacts

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// importedName is one name that a script imports from setuptools; Name is "" for the module itself.
type importedName struct{ Name, As string }

// unsupported are Python's statements that Starlark lacks, so that a message can name them.
var unsupported = map[string]string{
	"class": "defines a class", "try": "uses try", "with": "uses with", "raise": "raises an exception",
	"del": "uses del", "global": "uses global", "nonlocal": "uses nonlocal", "assert": "uses assert",
	"async": "uses async", "await": "uses await", "yield": "uses yield",
}

// translatePython turns a setup.py into Starlark without changing the number of any line: imports
// become `pass` and are returned, the prefix of u"..." goes, and "a" "b" becomes ("a" + "b").
// What can't be translated is a *refusal that names its line; syntax errors are left to the parser.
func translatePython(source []byte) (string, []importedName, error) {
	source = bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(source) {
		return "", nil, &refusal{Text: "is not UTF-8 text", Next: "save it as UTF-8"}
	}
	if i := bytes.IndexByte(source, 0); i >= 0 {
		return "", nil, &refusal{Line: 1 + bytes.Count(source[:i], []byte("\n")), Text: "holds a NUL character", Next: "remove it"}
	}
	t := translator{src: strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(source)), line: 1, atStart: true}
	if err := t.run(); err != nil {
		return "", nil, err
	}
	return strings.Join(t.out, ""), t.imports, nil
}

// translator walks over a script once. It knows strings, comments, brackets and where statements
// begin, and copies everything else.
type translator struct {
	src     string
	pos     int
	line    int
	depth   int  // open brackets
	atStart bool // nothing but white space since the statement began
	imports []importedName
	out     []string

	// literals are the indexes in out of the string literals written since anything but white
	// space: more than one are adjacent, and are one string in Python.
	literals []int
}

func (t *translator) rest() string { return t.src[t.pos:] }

func (t *translator) emit(n int) {
	t.out = append(t.out, t.src[t.pos:t.pos+n])
	t.pos += n
}

func (t *translator) refuse(text, next string) error {
	return &refusal{Line: t.line, Text: text, Next: next}
}

func (t *translator) run() error {
	for t.pos < len(t.src) {
		var err error
		switch c := t.src[t.pos]; {
		case c == '\n':
			if t.depth == 0 {
				t.joinLiterals()
				t.atStart = true
			}
			t.emit(1)
			t.line++
		case strings.HasPrefix(t.rest(), "\\\n"):
			t.emit(2)
			t.line++
		case c == ' ' || c == '\t':
			t.emit(1)
		case c == '\f':
			t.out = append(t.out, " ")
			t.pos++
		case c == '#':
			t.pos += lineLength(t.rest())
		case c == '"' || c == '\'':
			err = t.literal("")
		case isWord(t.rest()):
			err = t.word()
		default:
			err = t.punctuation(c)
		}
		if err != nil {
			return err
		}
	}
	t.joinLiterals()
	return nil
}

// word copies a name, keyword or number, or the string literal that it is the prefix of.
func (t *translator) word() error {
	n := wordLength(t.rest())
	word := t.rest()[:n]
	if next := t.rest()[n:]; n <= 2 && next != "" && (next[0] == '"' || next[0] == '\'') && strings.Trim(word, "rRbBuUfF") == "" {
		return t.literal(strings.ToLower(word))
	}
	t.joinLiterals()
	start := t.atStart && t.depth == 0
	t.atStart = false
	if start {
		if what, known := unsupported[word]; known {
			return t.refuse(what, "which setup.py can't do here; write plain values as the authoring tool does")
		}
		if word == "import" || word == "from" {
			return t.importStatement()
		}
	}
	t.emit(n)
	return nil
}

func (t *translator) punctuation(c byte) error {
	t.joinLiterals()
	if c == '@' && t.atStart && t.depth == 0 {
		return t.refuse("uses a decorator", "which setup.py can't do here")
	}
	switch c {
	case '(', '[', '{':
		t.depth++
	case ')', ']', '}':
		t.depth = max(0, t.depth-1)
	}
	t.atStart = c == ';' && t.depth == 0
	_, width := utf8.DecodeRuneInString(t.rest())
	t.emit(width)
	return nil
}

// literal copies a string literal that begins with its prefix.
func (t *translator) literal(prefix string) error {
	switch {
	case strings.Contains(prefix, "f"):
		return t.refuse("uses an f-string", `write "%s" % value instead`)
	case strings.Contains(prefix, "b"):
		return t.refuse("uses a bytes literal", "write a plain string instead")
	}
	begin := t.rest()
	quote := begin[len(prefix) : len(prefix)+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(begin[len(prefix):], triple) {
		quote = triple
	}
	n := len(prefix) + len(quote)
	for !strings.HasPrefix(begin[n:], quote) {
		switch {
		case n >= len(begin), len(quote) == 1 && begin[n] == '\n':
			return t.refuse("begins a string that does not end", "close it")
		case begin[n] == '\\' && n+1 < len(begin):
			n += 2
		default:
			n++
		}
	}
	n += len(quote)
	t.line += strings.Count(begin[:n], "\n")
	t.pos += n
	t.atStart = false
	text := begin[:n]
	if prefix == "u" {
		text = text[1:]
	}
	t.literals = append(t.literals, len(t.out))
	t.out = append(t.out, text)
	return nil
}

// joinLiterals makes one expression of adjacent literals. The brackets keep the meaning of
// "a" "b" % x.
func (t *translator) joinLiterals() {
	for i, at := range t.literals {
		switch {
		case len(t.literals) == 1:
		case i == 0:
			t.out[at] = "(" + t.out[at]
		case i == len(t.literals)-1:
			t.out[at] = "+ " + t.out[at] + ")"
		default:
			t.out[at] = "+ " + t.out[at]
		}
	}
	t.literals = t.literals[:0]
}

var (
	importModules = regexp.MustCompile(`^import\s+(.*)$`)
	importNames   = regexp.MustCompile(`^from\s+([\w.]+)\s+import\s*(.*)$`)
	importAs      = regexp.MustCompile(`^([\w.]+)(?:\s+as\s+(\w+))?$`)
)

// importStatement replaces an import by pass, and by as many empty lines as it had.
func (t *translator) importStatement() error {
	var statement strings.Builder
	depth, lines := 0, 0
	for t.pos < len(t.src) {
		c := t.src[t.pos]
		if (c == '\n' || c == ';') && depth == 0 {
			break
		}
		t.pos++
		switch c {
		case '#':
			t.pos += lineLength(t.rest())
			continue
		case '\\':
			if strings.HasPrefix(t.rest(), "\n") {
				continue
			}
		case '(':
			depth++
			c = ' '
		case ')':
			depth = max(0, depth-1)
			c = ' '
		case '\n':
			lines++
			c = ' '
		}
		statement.WriteByte(c)
		if n := len("\\\n"); depth == 0 && strings.HasPrefix(t.rest(), "\\\n") {
			t.pos += n
			lines++
			statement.WriteByte(' ')
		}
	}
	if err := t.bind(strings.TrimSpace(statement.String())); err != nil {
		return err
	}
	t.out = append(t.out, "pass", strings.Repeat("\n", lines))
	t.line += lines
	return nil
}

// bind notes the names that an import statement binds.
func (t *translator) bind(statement string) error {
	const next = "only setuptools can be imported here; write the values into setup.py as literals"
	if m := importModules.FindStringSubmatch(statement); m != nil {
		for _, item := range strings.Split(m[1], ",") {
			name := importAs.FindStringSubmatch(strings.TrimSpace(item))
			if name == nil || name[1] != "setuptools" {
				return t.refuse("imports "+clip(strings.TrimSpace(item)), next)
			}
			t.imports = append(t.imports, importedName{As: orElse(name[2], name[1])})
		}
		return nil
	}
	m := importNames.FindStringSubmatch(statement)
	switch {
	case m == nil:
		return t.refuse("is not understood: "+clip(statement), next)
	case m[1] == "__future__":
		return nil
	case m[1] == "distutils.core":
		return t.refuse("imports from distutils, which current Pythons no longer have", "import from setuptools")
	case m[1] != "setuptools":
		return t.refuse("imports "+clip(m[1]), next)
	}
	offered := []string{"setup", "find_packages", "find_namespace_packages"}
	for _, item := range strings.Split(strings.TrimSuffix(strings.TrimSpace(m[2]), ","), ",") {
		item = strings.TrimSpace(item)
		if item == "*" {
			for _, o := range offered {
				t.imports = append(t.imports, importedName{o, o})
			}
			continue
		}
		name := importAs.FindStringSubmatch(item)
		if name == nil || !slices.Contains(offered, name[1]) {
			return t.refuse("imports "+clip(item)+" from setuptools", "only setup, find_packages and find_namespace_packages are there")
		}
		t.imports = append(t.imports, importedName{name[1], orElse(name[2], name[1])})
	}
	return nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func lineLength(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

func isWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func wordLength(s string) int {
	n := 0
	for n < len(s) && isWord(s[n:]) {
		_, width := utf8.DecodeRuneInString(s[n:])
		n += width
	}
	return n
}
