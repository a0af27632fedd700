package fabric

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Field is one differing field.
type Field struct {
	// Path addresses it: object keys joined by dots, list elements and keys with dots in brackets:
	// tasks[clean].libraries[whl clean_orders], job_clusters[small].new_cluster.spark_conf[spark.sql.shuffle.partitions].
	// No two fields of a document share one.
	Path string `json:"path"`
	// Old is live, New is desired, as canonical JSON; nil where the field is absent. What looks
	// like a secret is redacted.
	Old   json.RawMessage `json:"old,omitempty"`
	New   json.RawMessage `json:"new,omitempty"`
	Cause Cause           `json:"cause"`
}

// Comparison is one resource's three-way diff. Sent and Read are what was last sent and what was
// read back right after; zero where nothing is known.
type Comparison struct {
	Rules    *Rules
	Desired  Doc
	Live     Doc
	Sent     Doc
	Read     Doc
	Labels   map[string]Label // paths whose value names the release
	Overlaid map[string]bool  // paths that the overlay set
	// Unstable are paths that were different right after our last write. What differs there, or below, is none of
	// the fields as long as desired is what was sent (law 5).
	Unstable []string
}

// Label is a regular expression over canonical JSON: a live value that it matches differs from the
// desired one in the name of the release and in nothing else. The rest of such a value counts: a
// parameter list that holds the version still differs when another parameter does.
type Label string

func (l Label) covers(live any) bool {
	ok, err := regexp.MatchString("^(?s:"+string(l)+")$", canonical(live))
	return ok && err == nil // a label that is no expression covers nothing: the difference counts
}

// Compare returns the functional fields in which live differs from desired, sorted by path, and the
// number of differing fields that only label the release. It is pure, and linear in the documents.
//
// A difference that was there right after our last write, and that neither side has touched since,
// is the fabric's own spelling of what we asked for, and none.
func Compare(c Comparison) (fields []Field, labels int) {
	if c.Rules.Implied != nil {
		c.Live, c.Read = c.Rules.Implied(c.Desired, c.Live), c.Rules.Implied(c.Desired, c.Read)
	}
	desired := c.Desired.Unpacked()
	if origin := desired.Origin(); origin != "" && origin == c.Sent.Origin() {
		c.Sent = desired // decoded once
	}
	c.Sent, c.Read = c.Sent.Unpacked(), c.Read.Unpacked()
	w := walk{Comparison: c}
	w.object(place{}, desired.content(), c.Live.content(), c.Sent.content(), c.Read.content())
	slices.SortFunc(w.fields, func(a, b Field) int { return strings.Compare(a.Path, b.Path) })
	return w.fields, w.labels
}

// Fields are told apart down to this depth and to paths of this many bytes. What lies deeper, which
// no service's documents do, is compared as one value: else the paths and shapes of a hostile
// document would cost the square of its size.
const (
	deepest     = 64
	longestPath = 512
)

type walk struct {
	Comparison
	fields []Field
	labels int
}

// place is where a value stands.
type place struct {
	path, shape string
	object, key string // shape of the object that holds it, and its key there
	depth       int
	injected    bool // a policy may add fields here
	secret      bool // a name on the way here is that of a secret
}

// member is the place of an object's key.
func (at place) member(key string) place {
	return place{path: joinPath(at.path, key), shape: join(at.shape, key), object: at.shape, key: key,
		depth: at.depth + 1, injected: at.injected, secret: at.secret || sensitive(key)}
}

// element is the place of a list's element; name is as it stands in a path.
func (at place) element(name string) place {
	return place{path: at.path + "[" + name + "]", shape: at.shape + "[]", object: at.shape, key: "[]",
		depth: at.depth + 1, injected: at.injected, secret: at.secret}
}

// object compares two objects, or one with its absence.
func (w *walk) object(at place, d, l, s, r map[string]any) {
	if field, ok := w.Rules.Injected[at.shape]; ok {
		_, unresolved := d[field].(Ref)
		if policy, _ := d[field].(string); policy != "" || unresolved {
			at.injected = true
		}
	}
	if names, ok := w.Rules.Renamed[at.shape]; ok {
		l, s, r = alsoNamed(names, d, l), alsoNamed(names, d, s), alsoNamed(names, d, r)
	}
	pair := secretPair(d) || secretPair(l)
	compare := func(k string) {
		if scalarSame(d[k], l[k]) {
			return
		}
		m := at.member(k)
		m.secret = m.secret || pair && pairValue(k)
		w.value(m, d[k], l[k], s[k], r[k])
	}
	for k := range d {
		compare(k)
	}
	for k := range l {
		if _, both := d[k]; !both {
			compare(k)
		}
	}
	if len(w.Rules.WriteOnly) == 0 {
		return
	}
	for k := range s { // a field that is never read back and no longer desired is in neither
		if d[k] == nil && l[k] == nil && w.Rules.WriteOnly[join(at.shape, k)] {
			compare(k)
		}
	}
}

func (w *walk) value(at place, d, l, s, r any) {
	switch {
	case w.Rules.OutputOnly[at.shape]:
		return
	case w.Rules.WriteOnly[at.shape]:
		if !w.Sent.IsZero() && !w.equal(at, d, s) {
			w.add(at, s, d, s)
		}
		return
	case d == nil && s == nil && at.injected:
		return
	case d == nil && (empty(l) || w.fills(at, l, s)), l == nil && (empty(d) || w.omits(at, d)):
		return
	}
	if at.depth < deepest && len(at.path) < longestPath {
		dm, dObject := d.(map[string]any)
		lm, lObject := l.(map[string]any)
		if (dObject || d == nil) && (lObject || l == nil) {
			sm, _ := s.(map[string]any)
			rm, _ := r.(map[string]any)
			w.object(at, dm, lm, sm, rm)
			return
		}
		dl, dList := d.([]any)
		ll, lList := l.([]any)
		if (dList || d == nil) && (lList || l == nil) {
			sl, _ := s.([]any)
			rl, _ := r.([]any)
			w.list(at, dl, ll, sl, rl)
			return
		}
	}
	w.leaf(at, d, l, s, r)
}

// leaf compares two values as a whole.
func (w *walk) leaf(at place, d, l, s, r any) {
	if w.equal(at, d, l) || !w.Sent.IsZero() && !w.Read.IsZero() && w.equal(at, d, s) && w.equal(at, l, r) {
		return
	}
	if alias, ok := w.Rules.Aliases[at.shape]; ok {
		ds, dString := d.(string)
		ls, lString := l.(string)
		if dString && lString && alias(ds, ls) {
			return
		}
	}
	w.add(at, l, d, s)
}

// fills reports that the fabric may fill in the live value where desired says nothing.
func (w *walk) fills(at place, live, sent any) bool {
	def, ok := w.Rules.fieldDefault(at.object, at.key)
	return ok && def.accepts(live) && !(def.Any && sent != nil)
}

// alsoNamed is an object with its field of two names under the name that desired has for it.
func alsoNamed(names [2]string, desired, object map[string]any) map[string]any {
	mine, other := names[0], names[1]
	if desired[mine] == nil {
		mine, other = other, mine
	}
	if desired[mine] == nil || desired[other] != nil || object[other] == nil {
		return object
	}
	renamed := maps.Clone(object)
	if object[mine] == nil {
		renamed[mine] = object[other]
	}
	if same(renamed[mine], object[other]) {
		delete(renamed, other)
	}
	return renamed
}

// omits reports that the fabric may leave out the desired value because it is the default. A
// default of any value proves nothing here: what desired asks for and live lacks is a difference.
func (w *walk) omits(at place, desired any) bool {
	def, ok := w.Rules.fieldDefault(at.object, at.key)
	return ok && !def.Any && def.accepts(desired)
}

func (w *walk) list(at place, d, l, s, r []any) {
	if w.Rules.Sets[at.shape] {
		w.leaf(at, listValue(d), listValue(l), listValue(s), listValue(r))
		return
	}
	dk, dKeyed := w.Rules.keyed(at.shape, d)
	lk, lKeyed := w.Rules.keyed(at.shape, l)
	if dKeyed && lKeyed {
		sk, _ := w.Rules.keyed(at.shape, s)
		rk, _ := w.Rules.keyed(at.shape, r)
		compare := func(name string) {
			el := at.element(name)
			switch d, l := dk[name], lk[name]; {
			case d == nil && sk[name] == nil && at.injected:
			case d == nil || l == nil: // the element as a whole came or went
				w.leaf(el, d, l, sk[name], rk[name])
			default:
				w.value(el, d, l, sk[name], rk[name])
			}
		}
		for name := range dk {
			compare(name)
		}
		for name := range lk {
			if _, both := dk[name]; !both {
				compare(name)
			}
		}
		return
	}
	if len(d) != len(l) {
		w.leaf(at, listValue(d), listValue(l), listValue(s), listValue(r))
		return
	}
	for i := range d {
		if scalarSame(d[i], l[i]) {
			continue
		}
		el := at.element(strconv.Itoa(i))
		el.secret = el.secret || i > 0 && (secretFlag(d[i-1]) || secretFlag(l[i-1]))
		w.value(el, d[i], l[i], elementAt(s, i), elementAt(r, i))
	}
}

func (w *walk) add(at place, old, new, sent any) {
	drifted := !w.Sent.IsZero() && w.equal(at, new, sent) // we sent it, and live is something else
	if label, ok := w.Labels[at.path]; ok && !drifted && label.covers(old) || w.Rules.Label != nil && w.Rules.Label(at.key) {
		w.labels++
		return
	}
	if drifted && len(w.Unstable) > 0 && Covered(w.Unstable, at.path) {
		return
	}
	cause := Commit
	switch {
	case drifted:
		cause = Drift
	case covers(w.Overlaid, at.path):
		cause = Overlay
	}
	w.fields = append(w.fields, Field{
		Path: at.path, Cause: cause,
		Old: shown(w.Rules.ordered(at.shape, old), at.secret),
		New: shown(w.Rules.ordered(at.shape, new), at.secret),
	})
}

// equal reports that two values of one place mean the same, whatever the order of lists in them
// that have none.
func (w *walk) equal(at place, a, b any) bool {
	return same(a, b) || isContainer(a) && isContainer(b) && same(w.Rules.ordered(at.shape, a), w.Rules.ordered(at.shape, b)) ||
		len(w.Rules.Folded) > 0 && same(w.Rules.folded(at.shape, a), w.Rules.folded(at.shape, b))
}

// covers reports that the overlay set the path, something above it or something below it.
func covers(set map[string]bool, path string) bool {
	for p := range set {
		if p == path || within(p, path) || within(path, p) {
			return true
		}
	}
	return false
}

func within(outer, inner string) bool {
	return strings.HasPrefix(inner, outer) && len(inner) > len(outer) && (inner[len(outer)] == '.' || inner[len(outer)] == '[')
}

// listValue keeps a list that is absent from becoming one that is empty.
func listValue(l []any) any {
	if l == nil {
		return nil
	}
	return l
}

func elementAt(l []any, i int) any {
	if i < len(l) {
		return l[i]
	}
	return nil
}
