package databricks

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// TestReread: what somebody did to a job between the look and the reset is not overwritten, and a read that fails says
// nothing. In no case is an intent opened.
func TestReread(t *testing.T) {
	edit := func(patch string) func(*rig, int64) error {
		return func(r *rig, id int64) error { return r.e.PatchJob(id, []byte(patch)) }
	}
	status := func(status int) func(*rig, int64) error {
		return func(r *rig, _ int64) error {
			r.e.Fault(emulator.Fault{Pattern: "GET " + getPath, Status: status, Times: -1})
			return nil
		}
	}
	for _, tt := range []struct {
		name     string
		meddle   func(*rig, int64) error
		restless []string
		want     *fabric.Changed // nil: an error that is none
		done     bool
	}{
		{name: "nothing", meddle: edit(`{}`), done: true},
		{name: "a field", meddle: edit(`{"max_concurrent_runs":9}`), want: &fabric.Changed{Paths: []string{"max_concurrent_runs"}}},
		{name: "two fields", meddle: edit(`{"max_concurrent_runs":9,"description":"x"}`), want: &fabric.Changed{Paths: []string{"description", "max_concurrent_runs"}}},
		{name: "a restless field", meddle: edit(`{"max_concurrent_runs":9}`), restless: []string{"max_concurrent_runs"}, done: true},
		{name: "below a restless field", meddle: edit(`{"tags":{"team":"sales"}}`), restless: []string{"tags"}, done: true},
		{name: "beside a restless field", meddle: edit(`{"max_concurrent_runs":9}`), restless: []string{"max"}, want: &fabric.Changed{Paths: []string{"max_concurrent_runs"}}},
		{name: "its mark", meddle: edit(`{"tags":{"selvage-nonce":"x"}}`), want: &fabric.Changed{Marked: true}},
		{name: "no mark any more", meddle: edit(`{"tags":null}`), want: &fabric.Changed{Marked: true}},
		{name: "it is gone", meddle: func(r *rig, id int64) error { return r.e.DeleteJob(id) }, want: &fabric.Changed{Gone: true}},
		{name: "403", meddle: status(http.StatusForbidden)},
		{name: "500", meddle: status(http.StatusInternalServerError)},
		{name: "429", meddle: status(http.StatusTooManyRequests)},
		{name: "404 of a feature", meddle: func(r *rig, _ int64) error {
			r.e.Fault(emulator.Fault{Pattern: "GET " + getPath, Status: 404, Body: `{"error_code":"FEATURE_DISABLED","message":"off"}`, Times: -1})
			return nil
		}},
	} {
		for _, action := range []fabric.Action{fabric.Update, fabric.Move} {
			t.Run(tt.name+"/"+string(action), func(t *testing.T) {
				inBubble(t, emulator.Options{Unverified: emulator.Unverified{ListOmitsDefaults: true, ListsReordered: true}}, Options{}, func(t *testing.T, r *rig) {
					r.create(t, "jobs/daily", "daily")
					obj := r.look(t).Objects()[0] // as the list gives it
					c := creation(t, "jobs/daily", "daily")
					c.Action, c.ID, c.Mark, c.Live, c.Restless = action, obj.ID, obj.Mark, obj.Doc, tt.restless
					c.Desired = doc(t, settings("daily", 5))
					id, err := json.Number(obj.ID).Int64()
					if err != nil {
						t.Fatal(err)
					}
					if err := tt.meddle(r, id); err != nil {
						t.Fatal(err)
					}
					r.journal.intents, r.journal.results = nil, nil
					r.e.ResetJournal()
					o := r.w.Do(t.Context(), step(c), r.journal)
					if tt.done {
						if o.Status != fabric.Done || r.e.Count("POST *") != 1 || r.e.Count("GET *") != 1 {
							t.Errorf("%+v after %d reads and %d writes", o, r.e.Count("GET *"), r.e.Count("POST *"))
						}
						return
					}
					if o.Status != fabric.Later || len(r.journal.intents) != 0 || r.e.Count("POST *") != 0 {
						t.Errorf("%s, %d intents, %d requests that change something", o.Status, len(r.journal.intents), r.e.Count("POST *"))
					}
					var changed *fabric.Changed
					errors.As(o.Err, &changed)
					if diff := cmp.Diff(tt.want, changed); diff != "" {
						t.Errorf("%v: -want +got\n%s", o.Err, diff)
					}
					if errors.Is(o.Err, fabric.ErrChanged) != (tt.want != nil) {
						t.Errorf("ErrChanged: %v", o.Err)
					}
				})
			})
		}
	}
}
