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

// maxFile is the largest selvage.yaml that is read, in bytes.
const maxFile = 1 << 20

// Options says where Load finds what the file refers to.
type Options struct {
	// Credentials is the folder of ${credential:NAME}; empty: $CREDENTIALS_DIRECTORY, which systemd
	// sets.
	Credentials string
	// Getenv looks up ${env:NAME}, STATE_DIRECTORY and CREDENTIALS_DIRECTORY; nil: os.Getenv.
	Getenv func(string) string
}

// Load reads and checks the configuration at path. It reads credentials and the environment and
// nothing else: no network, no key file, no state. Any error is Problems.
func Load(path string, o Options) (*Config, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Credentials == "" {
		o.Credentials = o.Getenv("CREDENTIALS_DIRECTORY")
	}
	l := &loader{file: path, options: o, credentials: map[string]credential{}}
	text, ok := l.read()
	if !ok {
		return nil, l.finish()
	}
	l.lines = strings.Split(text, "\n")
	root, ok := l.parse(text)
	if !ok {
		return nil, l.finish()
	}
	c := l.config(root)
	if len(l.problems) > 0 {
		return nil, l.finish()
	}
	c.Digest = digest(c)
	return c, nil
}

// loader is one run of Load: the file, what was found wrong, and what was looked up.
type loader struct {
	file        string
	options     Options
	lines       []string
	hidden      map[int]int // line -> first column that is not shown
	problems    Problems
	credentials map[string]credential
}

// maxProblems bounds the memory that a hopeless file takes.
const maxProblems = 200

// bad records a mistake at a place; the zero place is the whole file.
func (l *loader) bad(p place, next, format string, args ...any) {
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, Problem{File: l.file, Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...), Next: next})
	}
}

// finish sorts the problems and gives each its source line, now that everything to be hidden is known.
func (l *loader) finish() error {
	l.problems.sort()
	last := 0
	for _, p := range l.problems {
		last = max(last, p.Line)
	}
	shown := maskLines(l.lines[:min(last, len(l.lines))])
	for line, column := range l.hidden {
		if line < 1 || line > len(shown) {
			continue
		}
		// The line may be masked already, and shorter then.
		if text := []rune(shown[line-1]); column-1 < len(text) {
			shown[line-1] = string(text[:column-1]) + masked
		}
	}
	for i, p := range l.problems {
		if p.Line >= 1 && p.Line <= len(shown) {
			l.problems[i].Source = printable(strings.TrimRight(shown[p.Line-1], " \t"))
		}
	}
	return l.problems
}

// read returns the text of the file, with LF line ends and without a byte order mark.
func (l *loader) read() (string, bool) {
	data, err := readRegular(l.file, maxFile)
	var tooLarge *tooLargeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.unreadable(err, "there is no such file", "write one with: selvage init, or name another with --config")
		return "", false
	case errors.As(err, &tooLarge):
		l.unreadable(err, "the file is larger than 1 MiB", "check that this is the right file")
		return "", false
	case err != nil:
		l.unreadable(err, "the file can't be read: "+reason(err), "check its owner and mode, and those of its folders")
		return "", false
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	text := string(data)
	if strings.TrimSpace(text) == "" {
		l.unreadable(nil, "the file is empty", "write one with: selvage init")
		return "", false
	}
	line, column := 1, 1
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			l.bad(place{line, column}, "save the file as UTF-8", "this is not UTF-8")
		case r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			l.bad(place{line, column}, "remove it", "a control character (%U)", r)
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		if len(l.problems) > 0 {
			l.lines = strings.Split(strings.ToValidUTF8(text, "\uFFFD"), "\n")
			return "", false
		}
	}
	return text, true
}

func (l *loader) unreadable(cause error, message, next string) {
	l.problems = append(l.problems, Problem{File: l.file, Message: message, Next: next, cause: cause})
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
	return l.resolve(t.text)
}

// resolve makes a path absolute: relative ones start at the folder of the configuration file.
func (l *loader) resolve(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.file), path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}
