package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is read, in bytes.
const (
	maxFile     = 1 << 20 // of one file
	maxAllFiles = 8 << 20 // with those that it includes
)

// Options says where Load finds what the file refers to.
type Options struct {
	// Credentials is the folder of ${credential:NAME}; empty: $CREDENTIALS_DIRECTORY, which systemd
	// sets.
	Credentials string
	// Getenv looks up ${env:NAME}, STATE_DIRECTORY and CREDENTIALS_DIRECTORY; nil: os.Getenv.
	Getenv func(string) string
}

// Load reads and checks the configuration at path, with the files that it includes. It reads credentials and
// the environment and nothing else: no network, no key file, no state. Any error is Problems.
func Load(path string, o Options) (*Config, error) {
	l := newLoader(path, o)
	main, ok := l.open(l.sources[0])
	if !ok {
		return nil, l.finish()
	}
	c := l.config(main)
	if len(l.problems) > 0 {
		return nil, l.finish()
	}
	c.Digest = digest(c)
	return c, nil
}

// loader is one run of Load: its files, what was found wrong in them, and what was looked up.
type loader struct {
	options     Options
	sources     []*source // the file that Load was given, then those that it includes
	size        int       // of all files, in bytes
	tokens      int       // in all files
	problems    Problems
	credentials map[string]credential
	marks       []marks              // of the projects
	defaultsOf  map[string]value     // of fabrics by their names, as the file says them
	defaults    map[string]*settings // the same, read
	names       map[string][]string  // of projects and of fabrics, sorted, for patterns over them
}

func newLoader(path string, o Options) *loader {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Credentials == "" {
		o.Credentials = o.Getenv("CREDENTIALS_DIRECTORY")
	}
	return &loader{options: o, sources: []*source{{file: path}}, credentials: map[string]credential{},
		defaultsOf: map[string]value{}, defaults: map[string]*settings{}, names: map[string][]string{}}
}

// source is one file of a configuration.
type source struct {
	file   string // its path as it was given, or as an include found it
	rank   int    // its place in the order of reading; 0 is the file that Load was given
	lines  []string
	hidden map[int]int // line -> first column that is not shown
}

// maxProblems bounds the memory that a hopeless file takes.
const maxProblems = 200

// bad records a mistake at a place; the zero place is the whole of the first file.
func (l *loader) bad(p place, next, format string, args ...any) {
	if l.full() {
		return
	}
	if p.in == nil {
		p.in = l.sources[0]
	}
	l.problems = append(l.problems, Problem{File: p.in.file, Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...), Next: next, rank: p.in.rank})
}

// full says that no further mistake is kept, so that none needs to be looked for at length.
func (l *loader) full() bool { return len(l.problems) >= maxProblems }

// finish sorts the problems and gives each its source line, now that everything to be hidden is known.
func (l *loader) finish() error {
	l.problems.sort()
	shown := map[int][]string{}
	for _, s := range l.sources {
		last := 0
		for _, p := range l.problems {
			if p.rank == s.rank {
				last = max(last, p.Line)
			}
		}
		if last > 0 {
			shown[s.rank] = s.shown(last)
		}
	}
	for i, p := range l.problems {
		if lines := shown[p.rank]; p.Line >= 1 && p.Line <= len(lines) {
			l.problems[i].Source = printable(strings.TrimRight(lines[p.Line-1], " \t"))
		}
	}
	return l.problems
}

// shown is the file up to a line, without what is hidden and what looks like a secret.
func (s *source) shown(last int) []string {
	shown := maskLines(s.lines[:min(last, len(s.lines))])
	for line, column := range s.hidden {
		if line < 1 || line > len(shown) {
			continue
		}
		// The line may be masked already, and shorter then.
		if text := []rune(shown[line-1]); column-1 < len(text) {
			shown[line-1] = string(text[:column-1]) + masked
		}
	}
	return shown
}

// open reads and parses a file of the configuration and returns what it says.
func (l *loader) open(s *source) (value, bool) {
	text, ok := l.read(s)
	if !ok {
		return value{}, false
	}
	s.lines = strings.Split(text, "\n")
	root, ok := l.parse(s, text)
	if !ok {
		return value{}, false
	}
	path := fileScope.name
	if s.rank > 0 {
		path = includedScope.name
	}
	return value{path: path, node: root, at: placeOfNode(root, place{s, 1, 1})}, true
}

// read returns the text of a file, with LF line ends and without a byte order mark.
func (l *loader) read(s *source) (string, bool) {
	data, err := readRegular(s.file, maxFile)
	var tooLarge *tooLargeError
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.rank > 0:
		l.unreadable(s, err, "there is no such file", "mend or remove the link of that name")
		return "", false
	case errors.Is(err, fs.ErrNotExist):
		l.unreadable(s, err, "there is no such file", "write one with: selvage init, or name another with --config")
		return "", false
	case errors.As(err, &tooLarge):
		l.unreadable(s, err, "the file is larger than 1 MiB", "check that this is the right file")
		return "", false
	case err != nil:
		l.unreadable(s, err, "the file can't be read: "+reason(err), "check its owner and mode, and those of its folders")
		return "", false
	}
	if l.size += len(data); l.size > maxAllFiles {
		l.unreadable(s, nil, "with this file, the configuration is larger than 8 MiB", "split it over several installations")
		return "", false
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	text := string(data)
	if strings.TrimSpace(text) == "" {
		l.unreadable(s, nil, "the file is empty", s.fill())
		return "", false
	}
	line, column := 1, 1
	for i, r := range text {
		wrong := false
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			l.bad(place{s, line, column}, "save the file as UTF-8", "this is not UTF-8")
			wrong = true
		case r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			l.bad(place{s, line, column}, "remove it", "a control character (%U)", r)
			wrong = true
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		if wrong {
			s.lines = strings.Split(strings.ToValidUTF8(text, "\uFFFD"), "\n")
			return "", false
		}
	}
	return text, true
}

// fill is the next step for a file that says nothing.
func (s *source) fill() string {
	if s.rank > 0 {
		return "write fabrics, projects, policies or deployments into it, or remove it"
	}
	return "write one with: selvage init"
}

func (l *loader) unreadable(s *source, cause error, message, next string) {
	l.problems = append(l.problems, Problem{File: s.file, Message: message, Next: next, cause: cause, rank: s.rank})
}

// readRegular reads a regular file of at most limit bytes. A pipe or a device would block or never end.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &tooLargeError{path, limit}
	}
	return data, nil
}

type tooLargeError struct {
	path  string
	limit int64
}

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("read %s: larger than %d bytes", e.path, e.limit)
}

// reason is the last link of an error of the operating system: what happened, without the path.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// path reads a path on this machine.
func (l *loader) path(t text) string {
	if strings.ContainsFunc(t.text, unicode.IsControl) {
		l.bad(t.at, "remove it", "%s holds a control character", t.path)
	}
	return t.at.in.resolve(t.text)
}

// resolve makes a path absolute: relative ones start at the folder of the file that they stand in.
func (s *source) resolve(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(s.file), path)
	}
	return absolute(path)
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}
