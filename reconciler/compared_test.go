package reconciler

import (
	"testing"

	"selvage/fabric"
)

// A comparison that is known is not made again, and every change of one of its documents is another one.
func TestCompared(t *testing.T) {
	text := func(s string) fabric.Doc { return doc(t, s).Packed() }
	made := 0
	rules := &fabric.Rules{Label: func(key string) bool { made++; return key == "release" }}
	a, b := text(`{"x":1,"release":"1.0"}`), text(`{"x":1,"release":"1.1"}`)
	other := text(`{"x":2,"release":"1.0"}`)
	base := fabric.Comparison{Rules: rules, Desired: b, Live: a, Sent: a, Read: a}
	m := &compared{}
	check := func(what string, k fabric.Key, c fabric.Comparison, fields, labels int, again bool) {
		t.Helper()
		made = 0
		f, l := m.compare(k, c)
		if len(f) != fields || l != labels || (made > 0) != again {
			t.Errorf("%s: %d fields, %d labels, made: %v; want %d, %d, %v", what, len(f), l, made > 0, fields, labels, again)
		}
	}
	check("first", "jobs/a", base, 0, 1, true)
	check("again", "jobs/a", base, 0, 1, false)
	check("another job", "jobs/b", base, 0, 1, true)
	for what, change := range map[string]func(*fabric.Comparison){
		"desired": func(c *fabric.Comparison) { c.Desired = other },
		"live":    func(c *fabric.Comparison) { c.Live = other },
		"sent":    func(c *fabric.Comparison) { c.Sent = other },
		"read":    func(c *fabric.Comparison) { c.Read = other },
		"no read": func(c *fabric.Comparison) { c.Read = fabric.Doc{} },
	} {
		c := base
		change(&c)
		want, labels := fabric.Compare(c)
		f, l := m.compare("jobs/a", c)
		if len(f) != len(want) || l != labels {
			t.Errorf("%s: %d fields and %d labels, want %d and %d", what, len(f), l, len(want), labels)
		}
		m.compare("jobs/a", base)
	}
	plain := base
	plain.Live = doc(t, `{"x":1,"release":"1.0"}`) // nobody knows whether it is the same
	check("decoded", "jobs/a", plain, 0, 1, true)
	check("decoded, again", "jobs/a", plain, 0, 1, true)
	var none *compared
	if f, l := none.compare("jobs/a", base); len(f) != 0 || l != 1 {
		t.Errorf("without a memory: %v, %d", f, l)
	}
}
