package fabric

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// drawn makes random documents of the shapes that testRules know, and of none.
type drawn struct{ *rand.Rand }

func newDrawn(seed uint64) drawn { return drawn{rand.New(rand.NewPCG(seed, 42))} }

func (g drawn) doc() map[string]any {
	m := map[string]any{}
	for _, k := range []string{"timeout_seconds", "queue", "run_as", "acl", "job_id", "provider", "emails", "args", "tags", "a.b", "", "x]y", "spark.metadata.job.branch"} {
		if g.IntN(3) == 0 {
			m[k] = g.value(3)
		}
	}
	if g.IntN(2) == 0 {
		m["emails"] = g.list(func() any { return g.scalar() })
	}
	if g.IntN(3) > 0 {
		m["tasks"] = g.list(func() any {
			t := map[string]any{"task_key": g.name(), "n": g.value(2)}
			if g.IntN(2) == 0 {
				t["depends_on"] = g.list(func() any { return map[string]any{"task_key": g.name()} })
			}
			if g.IntN(2) == 0 {
				t["libraries"] = g.list(func() any { return map[string]any{"whl": "/x/" + g.name()} })
			}
			if g.IntN(2) == 0 {
				t["new_cluster"] = map[string]any{"policy_id": g.value(0), "conf": g.value(2)}
			}
			return t
		})
	}
	return m
}

func (g drawn) name() string { return string(rune('a' + g.IntN(5))) }

func (g drawn) list(element func() any) []any {
	l := make([]any, g.IntN(6))
	for i := range l {
		l[i] = element()
	}
	return l
}

func (g drawn) scalar() any {
	switch g.IntN(6) {
	case 0:
		return g.IntN(2) == 0
	case 1:
		return nil
	case 2:
		return json.Number(fmt.Sprintf("%d.%de%d", g.IntN(100), g.IntN(1000), g.IntN(40)-20))
	case 3:
		return json.Number(strconv.FormatUint(g.Uint64(), 10))
	}
	return g.name()
}

func (g drawn) value(depth int) any {
	if depth > 0 {
		switch g.IntN(4) {
		case 0:
			return g.list(func() any { return g.value(depth - 1) })
		case 1:
			m := map[string]any{}
			for range g.IntN(4) {
				m[g.name()] = g.value(depth - 1)
			}
			return m
		}
	}
	return g.scalar()
}

// shuffled returns v with every list that has no order, by testRules, in a random one.
func (g drawn) shuffled(shape string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = g.shuffled(join(shape, k), e)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = g.shuffled(shape+"[]", e)
		}
		if testRules.Keys[shape] != "" || testRules.KeyFuncs[shape] != nil || testRules.Sets[shape] {
			g.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		}
		return s
	}
	return v
}

func compact(fields []Field) string {
	b, _ := json.Marshal(fields)
	return string(b)
}

func TestCompareProperties(t *testing.T) {
	for seed := range uint64(300) {
		g := newDrawn(seed)
		x, y := NewDoc(g.doc()), NewDoc(g.doc())
		sent, read := Doc{}, Doc{}
		if g.IntN(2) == 0 {
			sent, read = NewDoc(g.doc()), NewDoc(g.doc())
		}
		if f, n := Compare(Comparison{Rules: testRules, Desired: x, Live: x}); len(f) != 0 || n != 0 {
			t.Fatalf("seed %d: a document differs from itself: %s", seed, compact(f))
		}
		if f, _ := Compare(Comparison{Rules: testRules, Desired: x, Live: y, Sent: x, Read: y}); len(f) != 0 {
			t.Fatalf("seed %d: the spelling of a converged fabric is a difference: %s", seed, compact(f))
		}
		bare := &Rules{Keys: testRules.Keys, KeyFuncs: testRules.KeyFuncs, Sets: testRules.Sets}
		there, _ := Compare(Comparison{Rules: bare, Desired: x, Live: y})
		back, _ := Compare(Comparison{Rules: bare, Desired: y, Live: x})
		if len(there) != len(back) {
			t.Fatalf("seed %d: %s one way, %s the other", seed, compact(there), compact(back))
		}
		for i := range there {
			if there[i].Path != back[i].Path || string(there[i].Old) != string(back[i].New) || string(there[i].New) != string(back[i].Old) {
				t.Fatalf("seed %d: %s one way, %s the other", seed, compact(there), compact(back))
			}
			if i > 0 && there[i].Path == there[i-1].Path {
				t.Fatalf("seed %d: two fields at %s", seed, there[i].Path)
			}
		}
		c := Comparison{Rules: testRules, Desired: x, Live: y, Sent: sent, Read: read}
		first, labels := Compare(c)
		want := compact(first)
		for range 5 {
			c := c
			c.Desired = NewDoc(g.shuffled("", x.Object()).(map[string]any))
			c.Live = NewDoc(g.shuffled("", y.Object()).(map[string]any))
			if !sent.IsZero() {
				c.Sent = NewDoc(g.shuffled("", sent.Object()).(map[string]any))
				c.Read = NewDoc(g.shuffled("", read.Object()).(map[string]any))
			}
			again, n := Compare(c)
			if got := compact(again); got != want || n != labels {
				t.Fatalf("seed %d: order matters:\n%s\n%s", seed, want, got)
			}
		}
	}
}

// TestEveryEditShows changes one scalar that no rule excuses and expects exactly that field.
func TestEveryEditShows(t *testing.T) {
	bare := &Rules{Keys: testRules.Keys, KeyFuncs: testRules.KeyFuncs}
	tried := 0
	for seed := range uint64(500) {
		g := newDrawn(seed)
		x := NewDoc(g.doc())
		var paths []string
		WalkStrings(bare, x, func(path, _ string) {
			if !strings.HasSuffix(path, "task_key") && !strings.HasSuffix(path, "whl") { // those rename their element
				paths = append(paths, path)
			}
		})
		if len(paths) == 0 || bare.twins("", x.root) { // twins are numbered by content
			continue
		}
		tried++
		path := paths[g.IntN(len(paths))]
		root := x.Object()
		edited := bare.edit(place{}, root, path)
		fields, _ := Compare(Comparison{Rules: bare, Desired: NewDoc(edited.(map[string]any)), Live: x, Sent: x, Read: x})
		if len(fields) != 1 || fields[0].Path != path || string(fields[0].New) != `"edited"` || fields[0].Cause != Commit {
			t.Fatalf("seed %d: edited %s of %s, got %s", seed, path, x.Canonical(), compact(fields))
		}
		fields, _ = Compare(Comparison{Rules: bare, Desired: x, Live: NewDoc(edited.(map[string]any)), Sent: x, Read: x})
		if len(fields) != 1 || fields[0].Path != path || string(fields[0].Old) != `"edited"` || fields[0].Cause != Drift {
			t.Fatalf("seed %d: drifted %s of %s, got %s", seed, path, x.Canonical(), compact(fields))
		}
	}
	if tried < 100 {
		t.Fatalf("only %d documents were fit to be edited", tried)
	}
}

// twins reports that two elements of a list share a name.
func (r *Rules) twins(shape string, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if r.twins(join(shape, k), e) {
				return true
			}
		}
	case []any:
		byName, _ := r.keyed(shape, v)
		for name := range byName {
			if strings.Contains(name, " #") {
				return true
			}
		}
		for _, e := range v {
			if r.twins(shape+"[]", e) {
				return true
			}
		}
	}
	return false
}

// edit replaces the string at path.
func (r *Rules) edit(at place, v any, path string) any {
	switch v := v.(type) {
	case string:
		if at.path == path {
			return "edited"
		}
	case map[string]any:
		for k, e := range v {
			v[k] = r.edit(at.member(k), e, path)
		}
	case []any:
		byName, ok := r.keyed(at.shape, v)
		for i, e := range v {
			name := strconv.Itoa(i)
			if ok {
				for n, named := range byName {
					if same(named, e) {
						name = n
					}
				}
			}
			v[i] = r.edit(at.element(name), e, path)
		}
	}
	return v
}

func TestCompareIsDeterministic(t *testing.T) {
	g := newDrawn(7)
	x, y, s, r := NewDoc(g.doc()), NewDoc(g.doc()), NewDoc(g.doc()), NewDoc(g.doc())
	c := Comparison{Rules: testRules, Desired: x, Live: y, Sent: s, Read: r, Overlaid: map[string]bool{"tags": true, "tasks[a]": true}}
	first, _ := Compare(c)
	if len(first) == 0 {
		t.Fatal("the documents do not differ, so this proves nothing")
	}
	for range 100 {
		if again, _ := Compare(c); compact(again) != compact(first) {
			t.Fatalf("not the same twice:\n%s\n%s", compact(first), compact(again))
		}
	}
}
