package databricks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// number is the id of a job or a run as the emulator has it.
func number(t *testing.T, id string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// change is one of a live job, as a plan has it.
func change(a fabric.Action, o fabric.Object) fabric.Change {
	return fabric.Change{Key: fabric.Key("jobs/" + o.Name), Kind: Job, Name: o.Name, ID: o.ID, Action: a, Live: o.Doc, Mark: o.Mark,
		Owner: fabric.Owner{Deployment: "shop@test", Key: fabric.Key("jobs/" + o.Name)}}
}

// posts are the changing requests since the journal was reset.
func (r *rig) posts() []string {
	var got []string
	for _, q := range r.e.Requests() {
		if q.Method == "POST" {
			got = append(got, strings.TrimPrefix(q.Path, "/api/2.2/jobs/"))
		}
	}
	return got
}

func TestPaused(t *testing.T) {
	for _, tt := range []struct{ name, live, sent, rename, want string }{
		{"nothing starts it", `{"name":"a"}`, `{}`, "", `{"name":"a"}`},
		{"a schedule", `{"name":"a","schedule":{"quartz_cron_expression":"x","pause_status":"UNPAUSED"}}`, `{}`, "b",
			`{"name":"b","schedule":{"pause_status":"PAUSED","quartz_cron_expression":"x"}}`},
		{"a trigger without a status", `{"trigger":{"file_arrival":{"url":"u"}}}`, `{}`, "", `{"trigger":{"file_arrival":{"url":"u"},"pause_status":"PAUSED"}}`},
		{"continuous", `{"continuous":{"pause_status":"UNPAUSED","task_retry_mode":"NEVER"}}`, `{}`, "", `{"continuous":{"pause_status":"PAUSED","task_retry_mode":"NEVER"}}`},
		{"several triggers", `{"triggers":[{"periodic":{}},{"file_arrival":{}}]}`, `{}`, "", `{"triggers":[{"pause_status":"PAUSED","periodic":{}},{"file_arrival":{},"pause_status":"PAUSED"}]}`},
		{"a condition that is not read back", `{"trigger":{"table_update":{"table_names":["t"]}}}`, `{"trigger":{"table_update":{"table_names":["t"],"condition":"ALL_UPDATED"}}}`, "",
			`{"trigger":{"pause_status":"PAUSED","table_update":{"condition":"ALL_UPDATED","table_names":["t"]}}}`},
		{"one among several triggers", `{"triggers":[{"table_update":{}}]}`, `{"triggers":[{"table_update":{"condition":"ANY_UPDATED"}}]}`, "",
			`{"triggers":[{"pause_status":"PAUSED","table_update":{"condition":"ANY_UPDATED"}}]}`},
		{"odd shapes", `{"schedule":{},"trigger":"x","triggers":"y","continuous":[1]}`, `{"trigger":[1]}`, "", `{"continuous":[1],"schedule":{},"trigger":"x","triggers":"y"}`},
		{"a name that gets too long", `{}`, `{}`, strings.Repeat("é", 3000), `{"name":"` + strings.Repeat("é", 2048) + `"}`},
		{"a name that is cut within a letter", `{}`, `{}`, "x" + strings.Repeat("é", 3000), `{"name":"x` + strings.Repeat("é", 2047) + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			live := doc(t, tt.live)
			if got := string(paused(live, doc(t, tt.sent), tt.rename).Canonical()); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			if string(live.Canonical()) != string(doc(t, tt.live).Canonical()) {
				t.Error("it changed what it was given")
			}
		})
	}
}

// A job that goes into quarantine, or leaves: what starts it is paused, and nothing else of it is touched.
func TestRest(t *testing.T) {
	for _, action := range []fabric.Action{fabric.Quarantine, fabric.Leave} {
		t.Run(string(action), func(t *testing.T) {
			r := overTCP(t, emulator.Options{Unverified: emulator.Unverified{ListsReordered: true}}, Options{})
			o := r.scheduled(t, "daily", 5)
			if err := r.e.EditJob(number(t, o.ID), func(m map[string]any) { m["timeout_seconds"] = json.Number("77") }); err != nil {
				t.Fatal(err)
			}
			o = r.only(t, o.ID)
			c := change(action, o)
			name := ""
			if action == fabric.Quarantine {
				name = "removed 2026-11-26 13:00Z by selvage: daily"
			}
			c.Desired = paused(o.Doc, fabric.Doc{}, name)
			r.e.ResetJournal()
			for i := range 2 { // the second time it is not what the plan saw
				out := r.w.Do(t.Context(), step(c), r.journal)
				if want := []fabric.Status{fabric.Done, fabric.Later}[i]; out.Status != want {
					t.Fatalf("%+v", out)
				}
				if i == 1 && out.Results[0].Held.Code != configs.LiveChanged {
					t.Errorf("held for %+v", out.Results[0].Held)
				}
			}
			if diff := cmp.Diff([]string{"update"}, r.posts()); diff != "" {
				t.Error(diff)
			}
			after := r.only(t, o.ID)
			want := o.Doc.Object()
			want["schedule"].(map[string]any)["pause_status"] = "PAUSED"
			if name != "" {
				want["name"] = name
			}
			fields, labels := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: fabric.NewDoc(want), Live: after.Doc})
			if after.Mark != o.Mark || len(fields)+labels > 0 {
				t.Errorf("it is %s with the mark %v", after.Doc.Canonical(), after.Mark)
			}
			if wrote := r.journal.intents[len(r.journal.intents)-1].Nonce; after.Wrote != wrote {
				t.Errorf("it says that %s wrote it, and %s did", after.Wrote, wrote)
			}
			if i := r.journal.intents[len(r.journal.intents)-1]; i.Op != fabric.OpUpdate || len(i.Keys) != 1 || i.ID != o.ID || len(r.journal.open) != 0 {
				t.Errorf("intent %+v, %d open", i, len(r.journal.open))
			}
		})
	}
}

// A job that was adopted and never written is paused when git moves it away, and no mark is put on it for that.
func TestLeaveOfWhatCarriesNoMark(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	o := r.scheduled(t, "daily", 5)
	if err := r.e.EditJob(number(t, o.ID), func(m map[string]any) { m["tags"] = map[string]any{"team": "shop"} }); err != nil {
		t.Fatal(err)
	}
	o = r.only(t, o.ID)
	c := change(fabric.Leave, o)
	c.Desired = paused(o.Doc, fabric.Doc{}, "")
	if out := r.w.Do(t.Context(), step(c), r.journal); out.Status != fabric.Done {
		t.Fatalf("%+v", out)
	}
	after := r.only(t, o.ID)
	if wrote := r.journal.intents[len(r.journal.intents)-1].Nonce; after.Managed || after.Wrote != wrote || after.Doc.At("schedule", "pause_status") != "PAUSED" {
		t.Errorf("managed %v, written by %s, %s", after.Managed, after.Wrote, after.Doc.Canonical())
	}
	for _, j := range r.e.Jobs() {
		if strings.Contains(string(j.Settings), tagInstallation) || strings.Contains(string(j.Settings), tagKey) {
			t.Errorf("it carries %s", j.Settings)
		}
	}
}

// Right before a deletion the job is read again. Whatever is not what the plan saw is not deleted; a 403 is no 404.
func TestRemoveReadsAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, r *rig, id string)
		held   configs.Code // empty: it is deleted, or was
		posts  int
	}{
		{"as it was", func(*testing.T, *rig, string) {}, "", 1},
		{"somebody edited it", func(t *testing.T, r *rig, id string) { r.edit(t, id, 6) }, configs.LiveChanged, 0},
		{"somebody took the mark off", func(t *testing.T, r *rig, id string) {
			if err := r.e.EditJob(number(t, id), func(m map[string]any) { delete(m, "tags") }); err != nil {
				t.Fatal(err)
			}
		}, configs.MarkMissing, 0},
		{"it can't be seen any more", func(t *testing.T, r *rig, id string) { r.e.HideJob(number(t, id), "") }, configs.NotSeen, 0},
		{"it was deleted", func(t *testing.T, r *rig, id string) {
			if err := r.e.DeleteJob(number(t, id)); err != nil {
				t.Fatal(err)
			}
		}, "", 0},
		{"a proxy says that there is no such page", func(t *testing.T, r *rig, id string) {
			r.e.Fault(emulator.Fault{Pattern: "GET /api/2.2/jobs/get", Times: -1, Status: 404, Body: "<html>no such page</html>"})
		}, configs.NotSeen, 0},
	} {
		for _, runs := range []configs.ActiveRuns{configs.RunsWait, configs.RunsCancel, configs.RunsIgnore} {
			t.Run(tt.name+", "+string(runs), func(t *testing.T) {
				r := overTCP(t, emulator.Options{}, Options{})
				c := change(fabric.Delete, r.scheduled(t, "daily", 5))
				c.Runs = runs
				tt.before(t, r, c.ID)
				r.e.ResetJournal()
				out := r.w.Do(t.Context(), step(c), r.journal)
				want := fabric.Done
				if tt.held != "" {
					want = fabric.Later
				}
				if got := out.Results[0]; out.Status != want || got.Held.Code != tt.held || got.Key != c.Key {
					t.Errorf("%s, held for %q: %v", out.Status, got.Held.Code, got.Err)
				}
				if n := len(r.posts()); n != tt.posts || len(r.journal.open) != 0 {
					t.Errorf("%d requests, %d open", n, len(r.journal.open))
				}
			})
		}
	}
}

// A delete that is answered with 403 is refused, and no word of the job being gone.
func TestRemoveForbidden(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	c := change(fabric.Delete, r.scheduled(t, "daily", 5))
	r.e.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/delete", Times: 1, Status: 403})
	if out := r.w.Do(t.Context(), step(c), r.journal); out.Status != fabric.Refused || len(r.e.Jobs()) != 1 {
		t.Errorf("%+v, %d jobs", out, len(r.e.Jobs()))
	}
}

func TestRemoveWithActiveRuns(t *testing.T) {
	for _, tt := range []struct {
		runs    configs.ActiveRuns
		ending  time.Duration // from a cancel to the end
		status  fabric.Status
		posts   []string
		text    string // of what holds it
		another bool   // after a while it is deleted
	}{
		{configs.RunsWait, 0, fabric.Later, nil, "2 runs (", true},
		{"", 0, fabric.Later, nil, "2 runs (", true},
		{configs.RunsIgnore, 0, fabric.Done, []string{"delete"}, "", false},
		{configs.RunsCancel, 0, fabric.Done, []string{"runs/cancel", "runs/cancel", "delete"}, "", false},
		{configs.RunsCancel, 5 * time.Second, fabric.Done, []string{"runs/cancel", "runs/cancel", "delete"}, "", false},
		{configs.RunsCancel, 10 * time.Minute, fabric.Later, []string{"runs/cancel", "runs/cancel"}, "told to end", true},
	} {
		t.Run(fmt.Sprintf("%s, ends in %s", tt.runs, tt.ending), func(t *testing.T) {
			inBubble(t, emulator.Options{RunTime: time.Hour, EndTime: tt.ending}, Options{}, func(t *testing.T, r *rig) {
				c := change(fabric.Delete, r.scheduled(t, "daily", 5))
				other := r.scheduled(t, "other", 5)
				c.Runs = tt.runs
				for _, id := range []string{c.ID, c.ID, other.ID} {
					if err := r.e.RunJob(number(t, id)); err != nil {
						t.Fatal(err)
					}
				}
				r.e.ResetJournal()
				out := r.w.Do(t.Context(), step(c), r.journal)
				if out.Status != tt.status {
					t.Fatalf("%+v", out)
				}
				if diff := cmp.Diff(tt.posts, r.posts()); diff != "" {
					t.Error(diff)
				}
				if h := out.Results[0].Held; tt.status == fabric.Later && (h.Code != configs.ActiveRunsFound || !strings.Contains(h.Text, tt.text)) {
					t.Errorf("held for %+v", h)
				}
				for _, i := range r.journal.intents[2:] { // after the two creates
					if i.Op == fabric.OpCancel && (len(i.Keys) != 0 || i.ID != c.ID || !strings.Contains(i.Text, "cancel run ")) {
						t.Errorf("intent %+v", i)
					}
				}
				if n := len(r.e.ActiveRuns(number(t, other.ID))); n != 1 || len(r.journal.open) != 0 {
					t.Errorf("%d runs of the other job are left, %d intents are open", n, len(r.journal.open))
				}
				if !tt.another {
					return
				}
				r.e.ResetJournal()
				if out := r.w.Do(t.Context(), step(c), r.journal); out.Status != fabric.Later || len(r.posts()) != 0 {
					t.Errorf("at once again: %s, %v", out.Status, r.posts())
				}
				time.Sleep(2 * time.Hour)
				if out := r.w.Do(t.Context(), step(c), r.journal); out.Status != fabric.Done || len(r.posts()) != 1 {
					t.Errorf("later: %+v, %v", out, r.posts())
				}
			})
		})
	}
}

// A cancel that goes wrong deletes nothing, and leaves no intent open.
func TestCancelGoesWrong(t *testing.T) {
	for _, f := range []emulator.Fault{{Status: 403}, {Status: 429}, {Status: 500, After: true}, {Reset: true}, {Reset: true, After: true}} {
		t.Run(fmt.Sprintf("%d %v %v", f.Status, f.Reset, f.After), func(t *testing.T) {
			inBubble(t, emulator.Options{RunTime: time.Hour}, Options{}, func(t *testing.T, r *rig) {
				c := change(fabric.Delete, r.scheduled(t, "daily", 5))
				c.Runs = configs.RunsCancel
				if err := r.e.RunJob(number(t, c.ID)); err != nil {
					t.Fatal(err)
				}
				f.Pattern, f.Times = "POST /api/2.2/jobs/runs/cancel", -1
				r.e.Fault(f)
				out := r.w.Do(t.Context(), step(c), r.journal)
				active := len(r.e.ActiveRuns(number(t, c.ID)))
				switch {
				case len(r.journal.open) != 0:
					t.Errorf("%d intents are open", len(r.journal.open))
				case f.After && out.Status != fabric.Done:
					t.Errorf("it was canceled, and %+v", out)
				case !f.After && (out.Status != fabric.Later || active != 1 || len(r.e.Jobs()) != 1):
					t.Errorf("%+v, %d runs, %d jobs", out, active, len(r.e.Jobs()))
				}
				r.e.ClearFaults()
				time.Sleep(time.Hour)
				if out := r.w.Do(t.Context(), step(c), r.journal); out.Status != fabric.Done || len(r.e.Jobs()) != 0 {
					t.Errorf("afterwards: %+v", out)
				}
			})
		})
	}
}

func TestActive(t *testing.T) {
	r := overTCP(t, emulator.Options{RunTime: time.Hour}, Options{})
	busy, idle, hidden := r.scheduled(t, "busy", 1), r.scheduled(t, "idle", 2), r.scheduled(t, "hidden", 3)
	for range 30 { // more than a page
		if err := r.e.RunJob(number(t, busy.ID)); err != nil {
			t.Fatal(err)
		}
	}
	r.e.HideJob(number(t, hidden.ID), "")
	got, err := r.w.Active(t.Context(), Job, []string{busy.ID, idle.ID, hidden.ID})
	if diff := cmp.Diff(map[string]int{busy.ID: 30, idle.ID: 0}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	r.e.Fault(emulator.Fault{Pattern: "GET /api/2.2/jobs/runs/list", Times: 1, Offset: 1, Status: 404, Body: "<html>no such page</html>"})
	if got, err := r.w.Active(t.Context(), Job, []string{busy.ID}); err != nil || len(got) != 0 {
		t.Errorf("half a list of runs: %v, %v", got, err)
	}
}
