package fabric

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// joinPath is the path of an object's key.
func joinPath(path, key string) string {
	if name := pathName(key); name != key || strings.Contains(key, ".") {
		return path + "[" + name + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// longestName is how many bytes of a name stand in a path.
const longestName = 120

// pathName is a key or an element's name as it stands in a path: as it is where that is plain, quoted
// where it could be mistaken for another path or do something to a terminal, and cut and redacted
// with its digest behind it where it is huge or holds a secret. No two names share one.
func pathName(name string) string {
	if cut := scrub(name); cut != name || len(name) > longestName {
		if len(cut) > longestName {
			cut = cut[:longestName]
		}
		return strconv.Quote(cut) + digestOf(name)
	}
	if name == "" || strings.ContainsAny(name, `[]"#`) {
		return strconv.Quote(name)
	}
	for _, r := range name {
		if !strconv.IsPrint(r) {
			return strconv.Quote(name)
		}
	}
	return name
}

// digestOf tells names apart that are not written out.
func digestOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "~" + hex.EncodeToString(sum[:6])
}

// keyed turns a list into a map by the names of its elements as they stand in a path. It is false
// where no rule names them or an element has no name. Elements of one name are numbered in the
// order of their content, so that the list's own order means nothing.
func (r *Rules) keyed(shape string, list []any) (map[string]any, bool) {
	if r.Keys[shape] == "" && r.KeyFuncs[shape] == nil {
		return nil, false
	}
	byName := make(map[string]any, len(list))
	var twins map[string][]any
	for _, e := range list {
		key, ok := r.elementKey(shape, e)
		if !ok {
			return nil, false
		}
		name := pathName(key)
		first, taken := byName[name]
		if !taken {
			byName[name] = e
			continue
		}
		if twins == nil {
			twins = map[string][]any{}
		}
		if twins[name] == nil {
			twins[name] = []any{first}
		}
		twins[name] = append(twins[name], e)
	}
	for name, same := range twins {
		for i, e := range r.sorted(shape+"[]", same, deepest) {
			if i > 0 {
				byName[name+" #"+strconv.Itoa(i+1)] = e // no plain name holds a #
			} else {
				byName[name] = e
			}
		}
	}
	return byName, true
}

// ordered is a value with its sets and keyed lists in one order, for showing and for comparing as a whole.
func (r *Rules) ordered(shape string, v any) any { return r.order(shape, v, deepest) }

func (r *Rules) order(shape string, v any, levels int) any {
	if levels == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			if isContainer(e) {
				e = r.order(join(shape, k), e, levels-1)
			}
			m[k] = e
		}
		return m
	case []any:
		if r.Sets[shape] {
			return r.sorted(shape+"[]", v, levels-1)
		}
		s := make([]any, 0, len(v))
		if byName, ok := r.keyed(shape, v); ok {
			for _, name := range slices.Sorted(maps.Keys(byName)) {
				s = append(s, r.order(shape+"[]", byName[name], levels-1))
			}
			return s
		}
		for _, e := range v {
			s = append(s, r.order(shape+"[]", e, levels-1))
		}
		return s
	}
	return v
}

// folded is a value that is a string, or a list of strings, without regard to case and the order of a set. What has no such rule is
// returned as it is, where its order means something, too.
func (r *Rules) folded(shape string, v any) any {
	switch v := v.(type) {
	case string:
		if r.Folded[shape] {
			return strings.ToLower(v)
		}
	case []any:
		if !r.Folded[shape+"[]"] {
			return v
		}
		lowered := make([]any, len(v))
		for i, e := range v {
			lowered[i] = r.folded(shape+"[]", e)
		}
		return r.ordered(shape, lowered)
	}
	return v
}

// sorted returns the elements, each ordered, by their canonical text.
func (r *Rules) sorted(shape string, list []any, levels int) []any {
	type element struct {
		text string
		v    any
	}
	elements := make([]element, len(list))
	for i, e := range list {
		v := r.order(shape, e, levels)
		elements[i] = element{canonical(v), v}
	}
	slices.SortStableFunc(elements, func(a, b element) int { return strings.Compare(a.text, b.text) })
	out := make([]any, len(list))
	for i, e := range elements {
		out[i] = e.v
	}
	return out
}

// WalkStrings calls fn with the path of each string in the document, as Compare would print it. A
// string in a set has a path that Compare never prints: a set is compared as a whole, and one of its
// elements says nothing of the others.
func WalkStrings(r *Rules, d Doc, fn func(path, value string)) {
	r.walkStrings(place{}, d.content(), fn)
}

func (r *Rules) walkStrings(at place, v any, fn func(path, value string)) {
	switch v := v.(type) {
	case string:
		fn(at.path, v)
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			r.walkStrings(at.member(k), v[k], fn)
		}
	case []any:
		if byName, ok := r.keyed(at.shape, v); ok && !r.Sets[at.shape] {
			for _, name := range slices.Sorted(maps.Keys(byName)) {
				r.walkStrings(at.element(name), byName[name], fn)
			}
			return
		}
		for i, e := range v {
			r.walkStrings(at.element(strconv.Itoa(i)), e, fn)
		}
	}
}
