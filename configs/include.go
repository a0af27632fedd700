package configs

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxIncluded bounds the files of one configuration.
const maxIncluded = 1000

// include reads the files that the first one includes. It is false when one of them can't be read: what
// refers to its names would seem to dangle.
func (l *loader) include(m *mapping) ([]*mapping, bool) {
	v, ok := m.values["include"]
	if !ok {
		return nil, true
	}
	list, whole := l.list(v, false)
	for _, v := range list {
		t, ok := l.text(v, false)
		whole = whole && ok && l.files(t)
	}
	var tops []*mapping
	for _, s := range l.sources[1:] {
		top, ok := l.open(s)
		if !ok {
			whole = false
			continue
		}
		if m, ok := l.mapping(top, &includedScope); ok {
			tops = append(tops, m)
		} else {
			whole = false
		}
	}
	return tops, whole
}

// files adds the files that a pattern matches to the sources, sorted by name. Names that begin with a dot are
// what editors and mounts leave beside a file; they match only a pattern that says the dot.
func (l *loader) files(t text) bool {
	fail := func(next, message string) bool {
		l.bad(t.at, next, "%s: %s %s", t.path, t.quoted(), message)
		return false
	}
	switch {
	case path.IsAbs(t.text) || slices.Contains(strings.Split(t.text, "/"), ".."):
		return fail("write it from the folder of this file, as in conf.d/*.yaml", "leads out of the folder of the file")
	case strings.Contains(t.text, "**") || strings.Contains(t.text, `\`):
		return fail("write a pattern for each folder, as in conf.d/*.yaml", "holds ** or a backslash")
	case !isPattern(t.text) || path.Clean(t.text) != t.text:
		return fail("write it as conf.d/*.yaml or teams.yaml", "is not a pattern over files")
	}
	dir := filepath.Dir(l.sources[0].file)
	matches, err := doublestar.Glob(os.DirFS(dir), t.text, doublestar.WithFailOnIOErrors(), doublestar.WithNoHidden())
	if err != nil {
		return fail("check the owner and mode of the folders", "can't be looked up: "+reason(err))
	}
	if len(matches) == 0 {
		return fail("mend the pattern, or remove it", "matches no file")
	}
	slices.Sort(matches)
	for _, name := range matches {
		file := filepath.Join(dir, filepath.FromSlash(name))
		for _, s := range l.sources {
			if s.file == file || s.rank == 0 && same(s.file, file) {
				if s.rank == 0 {
					return fail("keep the other files in a folder of their own, as in conf.d/*.yaml", "matches the file itself")
				}
				return fail("keep one of the two patterns", "matches "+quoted(name)+", which is included already")
			}
		}
		if len(l.sources) > maxIncluded {
			return fail("put several of them into one file", "matches too many files")
		}
		l.sources = append(l.sources, &source{file: file, rank: len(l.sources)})
	}
	return true
}

// same reports two names of one file.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
