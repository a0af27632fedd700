package fabric

import (
	"encoding/json"
	"testing"

	"selvage/configs"
)

func findingFor(subject string) configs.Finding {
	return configs.Found(configs.NotRendered, subject, "")
}

func TestChangeDigest(t *testing.T) {
	base := Change{Key: "jobs/a", Kind: "job", Name: "a", Action: Update, ID: "7", Desired: mustDoc(t, `{"a":1}`),
		Fields: []Field{{Path: "a", Old: json.RawMessage("2"), New: json.RawMessage("1"), Cause: Drift}}}
	same := base
	same.Desired, same.Live, same.Reason = mustDoc(t, `{"a":1.0}`), mustDoc(t, `{"a":2,"z":1}`), configs.Finding{Text: "x"}
	if same.Digest() != base.Digest() {
		t.Error("what the change does not touch is in its digest")
	}
	for name, edit := range map[string]func(*Change){
		"key":     func(c *Change) { c.Key = "jobs/b" },
		"kind":    func(c *Change) { c.Kind = "dag" },
		"action":  func(c *Change) { c.Action = Delete },
		"id":      func(c *Change) { c.ID = "8" },
		"desired": func(c *Change) { c.Desired = mustDoc(t, `{"a":1,"b":1}`) },
		"live": func(c *Change) {
			c.Fields = []Field{{Path: "a", Old: json.RawMessage("3"), New: json.RawMessage("1"), Cause: Drift}}
		},
		"cause": func(c *Change) {
			c.Fields = []Field{{Path: "a", Old: json.RawMessage("2"), New: json.RawMessage("1"), Cause: Commit}}
		},
	} {
		c := base
		edit(&c)
		if c.Digest() == base.Digest() {
			t.Errorf("another %s gives the same digest", name)
		}
	}
}

func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		c    Change
		want bool
	}{
		{Change{Action: Keep}, false}, {Change{Action: Create}, true}, {Change{Action: Update}, true},
		{Change{Action: Delete, Hindrance: Deferred}, false}, {Change{Action: Delete}, true}, {Change{Action: Release}, true},
		{Change{Action: Create, Hindrance: Blocked}, true},
	} {
		if got := tt.c.Counts(); got != tt.want {
			t.Errorf("%s %q counts: %v", tt.c.Action, tt.c.Hindrance, got)
		}
	}
}
