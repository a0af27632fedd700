package fabric

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A field that stands is one that people may set by hand on the fabric to mean it: the pause of a job. Rules.Stands names
// them, and the value that means so.

// Standing is a field of a document that may stand.
type Standing struct {
	Path string
	// Value is what the document says, as canonical JSON; nil for nothing. Bare is the same, and nil too where the fabric
	// would fill it in by itself: two documents of one Bare ask for the same.
	Value, Bare json.RawMessage
	// Means is the value that stands when somebody sets it by hand.
	Means json.RawMessage

	holder map[string]any
	key    string // in holder
}

// Stand lists the fields of a document that may stand, sorted by path. One whose object the document lacks is not among
// them.
func (r *Rules) Stand(d Doc) []Standing { return r.standing(d.content()) }

func (r *Rules) standing(root map[string]any) []Standing {
	var found []Standing
	for shape, means := range r.Stands {
		object, key := "", shape
		if i := strings.LastIndexByte(shape, '.'); i >= 0 {
			object, key = shape[:i], shape[i+1:]
		}
		r.holders(place{}, root, object, func(at place, holder map[string]any) {
			s := Standing{Path: at.member(key).path, Means: json.RawMessage(means), holder: holder, key: key}
			if v := holder[key]; v != nil {
				s.Value = json.RawMessage(canonical(v))
				if def, ok := r.fieldDefault(object, key); !ok || def.Any || !def.accepts(v) {
					s.Bare = s.Value
				}
			}
			found = append(found, s)
		})
	}
	slices.SortFunc(found, func(a, b Standing) int { return strings.Compare(a.Path, b.Path) })
	return found
}

// holders calls fn for each object of a shape.
func (r *Rules) holders(at place, v any, shape string, fn func(place, map[string]any)) {
	rest, more := strings.CutPrefix(shape, at.shape)
	if !more {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if rest == "" {
			fn(at, v)
			return
		}
		key, _, _ := strings.Cut(strings.TrimPrefix(rest, "."), ".")
		key = strings.TrimSuffix(key, "[]")
		if v[key] != nil {
			r.holders(at.member(key), v[key], shape, fn)
		}
	case []any:
		if !strings.HasPrefix(rest, "[]") {
			return
		}
		if byName, ok := r.keyed(at.shape, v); ok {
			for _, name := range slices.Sorted(maps.Keys(byName)) {
				r.holders(at.element(name), byName[name], shape, fn)
			}
			return
		}
		for i, e := range v {
			r.holders(at.element(strconv.Itoa(i)), e, shape, fn)
		}
	}
}

// With returns the document with other values at paths that may stand; nil takes the field out. A path whose object the
// document lacks is passed over.
func (r *Rules) With(d Doc, values map[string]json.RawMessage) Doc {
	if d.IsZero() || len(values) == 0 {
		return d
	}
	root := d.Object()
	for _, s := range r.standing(root) {
		value, ok := values[s.Path]
		if !ok {
			continue
		}
		delete(s.holder, s.key)
		var v any
		if len(value) > 0 && json.Unmarshal(value, &v) == nil && v != nil {
			s.holder[s.key] = v
		}
	}
	return NewDoc(root)
}
