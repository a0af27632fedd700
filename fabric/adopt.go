package fabric

import (
	"encoding/json"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
)

// Adopter is a Fabric whose resources another tool may have put there before Selvage came. All its methods are pure.
type Adopter interface {
	// Traces are what a live object says of where it came from, each once. A placeholder that nobody filled says nothing.
	Traces(o Object) []Trace
	// Before says of each committed job, by its key, what the previous tool made of it.
	Before(jobs []artifacts.Job, b Binding) map[Key]Before
	// Kept are the fields of a live resource that stay as they are when it is adopted: whether it is paused, and
	// what the previous tool left to the fabric.
	Kept(r Resource, before Before, live Doc) []Kept
	// Patch is the part of an overlay that makes the job come to what is live at the paths, and why it can't
	// for some of them.
	Patch(k Key, before Before, live Doc, paths []string) (configs.Overlay, map[string]string)
}

// TraceKind says how a live object says where it came from.
type TraceKind string

const (
	TraceJob     TraceKind = "job"     // it names its project and the job there
	TraceRelease TraceKind = "release" // it names the release
	TraceFile    TraceKind = "file"    // it names a file in the previous tool's store
)

// Trace is one thing that a live object says about where it came from.
type Trace struct {
	Kind    TraceKind
	Project string // the authoring tool's id; empty for a release
	Key     Key    // of the job in that project; of a TraceJob
	Version string // of the release; empty for a TraceJob
	File    string // below the folder of the release: "pipeline/a-1.0-py3-none-any.whl"; of a TraceFile
}

// Before is a committed job as the previous tool wrote it to the fabric.
type Before struct {
	// Doc is the definition with its placeholders filled and nothing else done to it; zero where it can't be read.
	Doc Doc
	// Labels are the paths in Doc at which a placeholder stands: whatever was filled in there is no edit.
	Labels map[string]Label
	// Raw is Doc before the placeholders were filled.
	Raw Doc
	// Stripped are the paths in Doc that isolation takes out or sets.
	Stripped map[string]bool
	// Files are those of the job's own components, as a TraceFile has them, each once, sorted.
	Files []string
	// Projects are the ids of the project that are written out in it.
	Projects []string
	// Clusters are the keys by which an overlay reaches its clusters.
	Clusters []string
}

// Kept is a field that stays as it was when its resource was adopted, for as long as desired says what it said then.
type Kept struct {
	Path  string          `json:"path"` // object keys joined by dots; there is no list on the way
	Value json.RawMessage `json:"value"`
	Over  json.RawMessage `json:"over,omitempty"` // what desired said; nil where it said nothing
}

// Keep returns the document with the fields that are kept, and those of them that still are: one goes once the
// document no longer says what it said when the field was kept.
func (d Doc) Keep(kept []Kept) (Doc, []Kept) {
	if len(kept) == 0 || d.IsZero() {
		return d, nil
	}
	root := d.Object()
	var still []Kept
	for _, k := range kept {
		keys := strings.Split(k.Path, ".")
		now := d.At(keys...)
		if now == nil && len(k.Over) > 0 || now != nil && canonical(now) != string(k.Over) {
			continue
		}
		value, err := ParseDoc([]byte(`{"v":` + string(k.Value) + `}`))
		if err != nil {
			continue
		}
		at := root
		for _, key := range keys[:len(keys)-1] {
			inner, ok := at[key].(map[string]any)
			if !ok {
				at = nil
				break
			}
			at = inner
		}
		if at == nil {
			continue
		}
		at[keys[len(keys)-1]] = value.Object()["v"]
		still = append(still, k)
	}
	return NewDoc(root), still
}

// Covers reports that a path, something above it or something below it, is in the set.
func Covers(set map[string]bool, path string) bool { return covers(set, path) }

// Spelled is a value of a document as canonical JSON.
func Spelled(v any) json.RawMessage { return json.RawMessage(canonical(v)) }

// PatchOf returns the JSON merge patch (RFC 7386) that makes base hold what live holds at the wanted paths. It tells
// the elements of lists whose shape is in named apart by their names, as members of an object; any other list it gives as a
// whole. like says that a value of live is one of base in the fabric's spelling: base's stands in the patch then. unsaid are the
// paths of elements of named lists that came or went: no such patch says that.
func PatchOf(r *Rules, base, live Doc, wanted, named map[string]bool, like func(base, live any) bool) (patch map[string]any, unsaid []string) {
	p := patcher{Rules: r, wanted: wanted, named: named, like: like}
	patch = p.object(place{}, base.content(), live.content())
	return patch, p.unsaid
}

type patcher struct {
	*Rules
	wanted, named map[string]bool
	like          func(base, live any) bool
	unsaid        []string
}

func (p *patcher) object(at place, base, live map[string]any) map[string]any {
	out := map[string]any{}
	each := func(k string) {
		m := at.member(k)
		if m.depth > deepest || !covers(p.wanted, m.path) || p.like(base[k], live[k]) {
			return
		}
		bm, bObject := base[k].(map[string]any)
		lm, lObject := live[k].(map[string]any)
		bl, bList := base[k].([]any)
		ll, lList := live[k].([]any)
		switch {
		case p.named[m.shape] && (bList || base[k] == nil) && (lList || live[k] == nil):
			if inner := p.elements(m, bl, ll); len(inner) > 0 {
				out[k] = inner
			}
		case live[k] == nil:
			out[k] = nil
		case lObject && (bObject || base[k] == nil):
			if inner := p.object(m, bm, lm); len(inner) > 0 {
				out[k] = inner
			}
		case bList && lList:
			out[k] = p.spelled(m.shape, bl, ll)
		default:
			out[k] = clone(live[k])
		}
	}
	for k := range base {
		each(k)
	}
	for k := range live {
		if _, both := base[k]; !both {
			each(k)
		}
	}
	return out
}

// elements are the patches of the elements of a list, by their names.
func (p *patcher) elements(at place, base, live []any) map[string]any {
	byName := func(list []any) map[string]any {
		m := map[string]any{}
		for _, e := range list {
			if name, ok := p.elementKey(at.shape, e); ok {
				m[name] = e
			}
		}
		return m
	}
	b, l := byName(base), byName(live)
	out := map[string]any{}
	each := func(name string) {
		el := at.element(pathName(name))
		bm, bObject := b[name].(map[string]any)
		lm, lObject := l[name].(map[string]any)
		switch {
		case !covers(p.wanted, el.path):
		case !bObject || !lObject:
			p.unsaid = append(p.unsaid, el.path)
		default:
			if inner := p.object(el, bm, lm); len(inner) > 0 {
				out[name] = inner
			}
		}
	}
	for name := range b {
		each(name)
	}
	for name := range l {
		if _, both := b[name]; !both {
			each(name)
		}
	}
	return out
}

// spelled is the live list, with base's own spelling of what both hold.
func (p *patcher) spelled(shape string, base, live []any) []any {
	names, _ := p.keyed(shape, base)
	out := make([]any, len(live))
	for i, e := range live {
		out[i] = clone(e)
		if name, ok := p.elementKey(shape, e); ok {
			if b, ok := names[pathName(name)]; ok {
				out[i] = p.restored(b, e)
			}
			continue
		}
		if len(base) == len(live) {
			out[i] = p.restored(base[i], e)
			continue
		}
		for _, b := range base {
			if p.like(b, e) {
				out[i] = clone(b)
				break
			}
		}
	}
	return out
}

// restored is a live value with base's spelling of those parts that are the same.
func (p *patcher) restored(base, live any) any {
	if p.like(base, live) {
		return clone(base)
	}
	switch l := live.(type) {
	case map[string]any:
		b, _ := base.(map[string]any)
		m := make(map[string]any, len(l))
		for k, v := range l {
			m[k] = p.restored(b[k], v)
		}
		return m
	case []any:
		b, _ := base.([]any)
		s := make([]any, len(l))
		for i, v := range l {
			s[i] = p.restored(elementAt(b, i), v)
		}
		return s
	}
	return live
}
