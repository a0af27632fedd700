package configs

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// meta are the characters that make a name a pattern.
const meta = `*?[{\`

// chosen are the things that a deployment names by one of two keys: one thing, or a list of names and
// patterns. What is itself wrong is left out.
func chosen[T any](m *mapping, one, many string, among map[string]*T) []*T {
	l := m.l
	v, list := m.values[many]
	switch {
	case m.has(one) && list:
		l.bad(v.key, "keep one of them", "%s has both %s and %s", m.path, one, many)
		return nil
	case !list:
		m.need("add it: a deployment needs project, fabric and follow", one)
		if found := lookup(m, one, among); found != nil {
			return []*T{found}
		}
		return nil
	}
	elements, _ := l.list(v, false)
	written, names := map[string]bool{}, map[string]bool{}
	for _, v := range elements {
		t, ok := l.text(v, false)
		if !ok {
			continue
		}
		if written[t.text] {
			l.bad(t.at, "keep one of them", "%s stands twice in the list", t.path)
		}
		written[t.text] = true
		if !strings.ContainsAny(t.text, meta) {
			find(l, t, one, among)
			names[t.text] = true
			continue
		}
		if !l.pattern(t.value, t.text) {
			continue
		}
		matched := match(sortedNames(l, one, among), t.text)
		if len(matched) == 0 && among != nil {
			l.bad(t.at, "mend the pattern, or remove it", "%s: %s matches no %s", t.path, t.quoted(), one)
		}
		for _, name := range matched {
			names[name] = true
		}
	}
	out := make([]*T, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if found := among[name]; found != nil {
			out = append(out, found)
		}
	}
	return out
}

// match are the names that a valid pattern matches, of a sorted list.
func match(names []string, pattern string) (matched []string) {
	prefix := pattern
	if i := strings.IndexAny(pattern, meta); i >= 0 {
		prefix = pattern[:i]
	}
	for _, name := range names[sort.SearchStrings(names, prefix):] {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		if doublestar.MatchUnvalidated(pattern, name) {
			matched = append(matched, name)
		}
	}
	return matched
}

// sortedNames are the names of all things of a kind that a name may stand for, also of those that are
// themselves wrong.
func sortedNames[T any](l *loader, kind string, among map[string]*T) []string {
	names, ok := l.names[kind]
	if !ok {
		names = slices.Sorted(maps.Keys(among))
		names = slices.DeleteFunc(names, func(name string) bool { return !namePattern.MatchString(name) })
		l.names[kind] = names
	}
	return names
}

// lookup looks up the thing that a key names. It is nil when the name dangles, and when what it names
// is itself wrong.
func lookup[T any](m *mapping, key string, among map[string]*T) *T {
	t, ok := m.text(key)
	if !ok {
		return nil
	}
	return find(m.l, t, key, among)
}

// find is lookup for a text; kind is the key that names one such thing.
func find[T any](l *loader, t text, kind string, among map[string]*T) *T {
	found, ok := among[t.text]
	if !ok && among != nil && !l.full() {
		names := sortedNames(l, kind, among)
		next := "add it to the file"
		switch near := nearest(t.raw, names); {
		case near != "":
			next = "did you mean " + near + "?"
		case len(names) > 0 && len(names) <= 10:
			next = "write one of " + strings.Join(names, ", ") + ", or add it to the file"
		}
		l.bad(t.at, next, "%s: there is no %s %s", t.path, kind, t.quoted())
	}
	return found
}

func (l *loader) oneOf(t text, words ...string) string {
	if !slices.Contains(words, t.text) {
		l.bad(t.at, "write "+strings.Join(words, " or "), "%s: %s is not one of %s", t.path, t.quoted(), strings.Join(words, ", "))
	}
	return t.text
}
