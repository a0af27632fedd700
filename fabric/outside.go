package fabric

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// The kinds of an Outside that go by a name, as people call them. A Ref of such a kind, with the name as its key,
// stands in a Doc for the id of the one thing there that bears it.
const (
	NamedPipeline    OutsideKind = "DLT pipeline named"
	NamedWarehouse   OutsideKind = "SQL warehouse"
	NamedPolicy      OutsideKind = "cluster policy"
	NamedPool        OutsideKind = "instance pool"
	NamedCluster     OutsideKind = "cluster"
	NamedDestination OutsideKind = "notification destination"
	// NamedJob is a resource of the fabric that is of the same kind as the one that refers to it, and not of its
	// release. No Fabric is asked about it: Live shows it.
	NamedJob OutsideKind = "live job"
)

// Named reports a kind whose things go by a name, which several may bear.
func (k OutsideKind) Named() bool {
	switch k {
	case NamedPipeline, NamedWarehouse, NamedPolicy, NamedPool, NamedCluster, NamedDestination, NamedJob:
		return true
	}
	return false
}

// Ref is what stands in a Doc for the id of t, whose kind is a named one.
func (t Outside) Ref() Ref { return Ref{Kind: Kind(t.Kind), Key: Key(t.Name)} }

// Outside is the thing that r stands for; false where that is a resource of the deployment.
func (r Ref) Outside() (Outside, bool) {
	t := Outside{Kind: OutsideKind(r.Kind), Name: string(r.Key)}
	return t, t.Kind.Named()
}

// String is the thing as in messages: file /Volumes/a/x.whl, SQL warehouse "BI".
func (t Outside) String() string {
	if t.Kind.Named() {
		return fmt.Sprintf("%s %q", t.Kind, t.Name)
	}
	return fmt.Sprintf("%s %s", t.Kind, t.Name)
}

// Sight is what a look for an Outside came to.
type Sight struct {
	Presence
	// ID is the fabric's own id of a thing that goes by its name, where exactly one is Present.
	ID string
	// Count is how many bear the name: more than one is none that can be meant.
	Count int
}

// Alone is the sight of the things that bear a name: Absent without any, and with an ID where there is one.
func Alone(ids []string) Sight {
	switch len(ids) {
	case 0:
		return Sight{Presence: Absent}
	case 1:
		return Sight{Presence: Present, ID: ids[0], Count: 1}
	}
	return Sight{Presence: Present, Count: len(ids)}
}

// WalkRefs calls fn with the path of each Ref in the document, as Compare would print it.
func WalkRefs(r *Rules, d Doc, fn func(path string, ref Ref)) { r.walkRefs(place{}, d.content(), fn) }

func (r *Rules) walkRefs(at place, v any, fn func(path string, ref Ref)) {
	switch v := v.(type) {
	case Ref:
		fn(at.path, v)
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			r.walkRefs(at.member(k), v[k], fn)
		}
	case []any:
		if byName, ok := r.keyed(at.shape, v); ok && !r.Sets[at.shape] {
			for _, name := range slices.Sorted(maps.Keys(byName)) {
				r.walkRefs(at.element(name), byName[name], fn)
			}
			return
		}
		for i, e := range v {
			r.walkRefs(at.element(strconv.Itoa(i)), e, fn)
		}
	}
}

// ResolveAs returns the document with each Ref replaced by what stands in its place in another one, which was made
// of this one by resolving it; where nothing stands there, the Ref stays.
func (d Doc) ResolveAs(sent Doc) Doc {
	if sent.IsZero() || len(d.Refs()) == 0 {
		return d
	}
	return NewDoc(resolveAs(d.content(), sent.content()).(map[string]any))
}

func resolveAs(v, sent any) any {
	switch v := v.(type) {
	case Ref:
		if sent != nil {
			return sent
		}
	case map[string]any:
		of, _ := sent.(map[string]any)
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = resolveAs(e, of[k])
		}
		return m
	case []any:
		of, _ := sent.([]any)
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = resolveAs(e, elementAt(of, i))
		}
		return s
	}
	return v
}
