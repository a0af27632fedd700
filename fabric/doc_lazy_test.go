package fabric

import (
	"bytes"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A document that is kept as text answers everything as it does decoded.
func TestPacked(t *testing.T) {
	rules := &Rules{Keys: map[string]string{"tasks": "task_key"}}
	for _, text := range []string{`{}`, `{"a":null}`, `{"name":"x","n":9007199254740993,"f":1.5,"tasks":[{"task_key":"b","deep":{"k":["<&>",true]}},{"task_key":"a"}]}`} {
		plain, err := ParseDoc([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		packed := plain.Packed()
		if packed.IsZero() || packed.Digest() != plain.Digest() || packed.Origin() != plain.Digest() || plain.Origin() != "" {
			t.Errorf("%s: digest %s, origin %s, want %s", text, packed.Digest(), packed.Origin(), plain.Digest())
		}
		if !bytes.Equal(packed.Canonical(), plain.Canonical()) {
			t.Errorf("%s: %s", text, packed.Canonical())
		}
		if diff := cmp.Diff(plain.Object(), packed.Object()); diff != "" {
			t.Error(diff)
		}
		if packed.At("name") != plain.At("name") {
			t.Errorf("%s: name %v", text, packed.At("name"))
		}
		for _, c := range []Comparison{{Desired: packed, Live: plain}, {Desired: plain, Live: packed, Sent: packed, Read: packed}} {
			c.Rules = rules
			if fields, labels := Compare(c); len(fields)+labels > 0 {
				t.Errorf("%s differs from itself: %+v", text, fields)
			}
		}
		paths := func(d Doc) (all []string) {
			WalkStrings(rules, d, func(p, v string) { all = append(all, p+"="+v) })
			return all
		}
		if diff := cmp.Diff(paths(plain), paths(packed)); diff != "" {
			t.Error(diff)
		}
		var mu sync.Mutex
		packed.Object()["name"] = "changed" // a copy
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got := packed.Object()
				mu.Lock()
				defer mu.Unlock()
				if diff := cmp.Diff(plain.Object(), got); diff != "" {
					t.Error(diff)
				}
			})
		}
		wg.Wait()
	}
	if (Doc{}).Packed().IsZero() == false || (Doc{}).Origin() != "" {
		t.Error("no document becomes one")
	}
	ref := NewDoc(map[string]any{"job_id": Ref{Kind: "job", Key: "jobs/a"}})
	if packed := ref.Packed(); len(packed.Refs()) != 1 || packed.Origin() != "" {
		t.Error("a reference is lost")
	}
}

// What another one makes of the text is what the document is, and its origin is the text's.
func TestLazyDoc(t *testing.T) {
	decode := func(text []byte) Doc {
		d, err := ParseDoc(text)
		if err != nil {
			t.Error(err)
		}
		m := d.Object()
		delete(m, "mark")
		return NewDoc(m)
	}
	a, b := LazyDoc([]byte(`{"mark":1,"x":2}`), decode), LazyDoc([]byte(`{"x":2, "mark":1}`), decode)
	if a.Origin() == b.Origin() || a.Digest() != b.Digest() || string(a.Canonical()) != `{"x":2}` {
		t.Errorf("%s, %s", a.Canonical(), b.Canonical())
	}
	once := a.Unpacked()
	if once.Origin() != a.Origin() || once.Digest() != a.Digest() || once.Packed().Origin() != a.Digest() {
		t.Errorf("unpacked: %s", once.Canonical())
	}
	once.Object()["x"] = 3
	if once.At("x") == 3 || a.At("x") == 3 {
		t.Error("a copy is none")
	}
	if p := a.Packed(); p.Origin() != a.Digest() || p.At("mark") != nil {
		t.Errorf("packed: %s", p.Canonical())
	}
}
