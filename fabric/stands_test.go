package fabric

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var pauses = &Rules{
	Stands:   map[string]string{"schedule.pause": `"PAUSED"`, "triggers[].pause": `"PAUSED"`, "tasks[].loop.pause": `"PAUSED"`},
	Keys:     map[string]string{"tasks": "key"},
	Defaults: map[string]Default{"schedule.pause": Value(`"UNPAUSED"`)},
}

func TestStand(t *testing.T) {
	paused, unpaused := json.RawMessage(`"PAUSED"`), json.RawMessage(`"UNPAUSED"`)
	for _, tt := range []struct {
		name, doc string
		want      []Standing
	}{
		{"nothing", `{}`, nil},
		{"no holder", `{"pause":"PAUSED","triggers":[],"schedule":"PAUSED"}`, nil},
		{"holders", `{"schedule":{"cron":"x"},"triggers":[{"pause":"PAUSED"},7,{}],"tasks":[{"key":"b","loop":{"pause":"UNPAUSED"}},{"key":"a"}]}`, []Standing{
			{Path: "schedule.pause", Means: paused}, {Path: "tasks[b].loop.pause", Value: unpaused, Bare: unpaused, Means: paused},
			{Path: "triggers[0].pause", Value: paused, Bare: paused, Means: paused}, {Path: "triggers[2].pause", Means: paused}}},
		{"a default", `{"schedule":{"pause":"UNPAUSED"}}`, []Standing{{Path: "schedule.pause", Value: unpaused, Means: paused}}},
		{"odd values", `{"schedule":{"pause":{"a":1}},"triggers":{"pause":"PAUSED"}}`, []Standing{
			{Path: "schedule.pause", Value: json.RawMessage(`{"a":1}`), Bare: json.RawMessage(`{"a":1}`), Means: paused}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ParseDoc([]byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, pauses.Stand(d), cmpopts.IgnoreUnexported(Standing{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := (&Rules{}).Stand(Doc{}); got != nil {
		t.Errorf("no document: %v", got)
	}
}

func TestWith(t *testing.T) {
	const doc = `{"id":9007199254740993,"schedule":{"cron":"x"},"tasks":[{"key":"b","loop":{"pause":"UNPAUSED"}}]}`
	d, err := ParseDoc([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	d = NewDoc(func() map[string]any { o := d.Object(); o["runs"] = Ref{Kind: "job", Key: "a"}; return o }())
	before := d.Digest()
	got := pauses.With(d, map[string]json.RawMessage{"schedule.pause": json.RawMessage(`"PAUSED"`), "tasks[b].loop.pause": nil, "triggers[0].pause": json.RawMessage(`1`)})
	if s := string(got.Canonical()); s != `{"id":9007199254740993,"runs":{"\u0024ref":{"key":"a","kind":"job"}},"schedule":{"cron":"x","pause":"PAUSED"},"tasks":[{"key":"b","loop":{}}]}` {
		t.Errorf("got %s", s)
	}
	if d.Digest() != before || len(got.Refs()) != 1 {
		t.Error("the document itself changed, or its reference was lost")
	}
	if !pauses.With(Doc{}, map[string]json.RawMessage{"schedule.pause": nil}).IsZero() {
		t.Error("no document became one")
	}
}
