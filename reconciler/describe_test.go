package reconciler

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
	"selvage/reconciler/ledger"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	v := Revision{Ref: "refs/tags/A/1.0.0", Name: "A/1.0.0", Version: "1.0.0", Commit: "c0ffee"}
	changes := []fabric.Change{{Key: "jobs/daily", Kind: "job", Action: fabric.Update, Cause: fabric.Drift,
		Fields: []fabric.Field{{Path: "max_concurrent_runs", Old: json.RawMessage("7"), New: json.RawMessage("1"), Cause: fabric.Drift}}}}
	verdicts := []Verdict{{Gate: "first apply", State: Hold}}
	for _, tc := range []struct {
		name string
		kind ledger.Kind
		data any
		want Event
	}{
		{"tag", kindTag, tagSeen{Repository: "r", Ref: "refs/tags/A/1.0.0", Object: "0b", Commit: "c0ffee", Moved: "0c"},
			Event{Revision: Revision{Ref: "refs/tags/A/1.0.0", Name: "A/1.0.0", Object: "0b", Commit: "c0ffee"}}},
		{"release", kindRelease, v, Event{Revision: v}},
		{"plan", kindPlan, planMade{Digest: "d1", Revision: v, Counts: Counts{Update: 1}, Verdicts: verdicts, Changes: changes},
			Event{Plan: "d1", Revision: v, Counts: Counts{Update: 1}, Verdicts: verdicts, Changes: changes}},
		{"approve", kindApprove, approval{Plan: "d1", Revision: v}, Event{Plan: "d1", Revision: v}},
		{"intent", kindIntent, intentMade{Op: fabric.OpUpdate, Keys: []fabric.Key{"jobs/daily"}, ID: "8812"},
			Event{Op: fabric.OpUpdate, Keys: []fabric.Key{"jobs/daily"}, ID: "8812"}},
		{"outcome", kindOutcome, outcomeSeen{[]resultSeen{{Key: "jobs/daily", Status: "done"}}}, Event{Keys: []fabric.Key{"jobs/daily"}, Done: true}},
		{"outcome, half of it done", kindOutcome, outcomeSeen{[]resultSeen{{Key: "a", Status: "done"}, {Key: "b", Status: "refused"}}}, Event{Keys: []fabric.Key{"a", "b"}}},
		{"outcome of nothing is not done", kindOutcome, outcomeSeen{}, Event{}},
		{"absent", kindAbsent, absent{Keys: []fabric.Key{"jobs/old"}}, Event{Keys: []fabric.Key{"jobs/old"}}},
		{"released", kindRelinquish, keysOf{[]fabric.Key{"jobs/old"}}, Event{Keys: []fabric.Key{"jobs/old"}}},
		{"phase", kindPhase, phaseReached{Phase: Sound, Revision: v}, Event{Phase: Sound, Revision: v}},
		{"a kind of a later version", "later", map[string]int{"x": 1}, Event{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := ledger.Entry{Seq: 3, Kind: tc.kind, Text: "said", Data: encode(tc.data)}
			tc.want.Entry = e
			got, err := Describe(e)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got, cmp.AllowUnexported(fabric.Doc{})); d != "" {
				t.Error(d)
			}
		})
	}
	if _, err := Describe(ledger.Entry{Seq: 3, Kind: kindPlan, Data: json.RawMessage(`{"changes": 7}`)}); err == nil {
		t.Error("data of another form was taken")
	}
}
