package databricks

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// stream is a job with a run that does not end, and the change that restarts it after an update.
func (r *rig) stream(t *testing.T, kind string) (fabric.Change, int64) {
	t.Helper()
	r.create(t, "jobs/stream", "stream")
	id := r.e.Jobs()[0].ID
	edit := func(patch string) {
		t.Helper()
		if err := r.e.PatchJob(id, []byte(patch)); err != nil {
			t.Fatal(err)
		}
	}
	switch kind {
	case "continuous":
		edit(`{"continuous":{}}`)
	case "paused":
		edit(`{"continuous":{"pause_status":"UNPAUSED"}}`)
		edit(`{"continuous":{"pause_status":"PAUSED"}}`)
	case "running":
		if err := r.e.RunJob(id); err != nil {
			t.Fatal(err)
		}
	case "full": // no further run fits in beside the active one
		edit(`{"queue":{"enabled":false}}`)
		if err := r.e.RunJob(id); err != nil {
			t.Fatal(err)
		}
	case "many":
		for range 60 {
			if err := r.e.RunJob(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(time.Minute)
	edit(`{"description":"new"}`)
	time.Sleep(time.Second)
	return r.restart(t, id, &fabric.Due{Token: "token-1", Before: time.Now()}), id
}

func (r *rig) restart(t *testing.T, id int64, due *fabric.Due) fabric.Change {
	t.Helper()
	obj := r.object(t, strconv.FormatInt(id, 10))
	c := creation(t, "jobs/stream", "stream")
	c.Action, c.ID, c.Mark, c.Live, c.Restart = fabric.Restart, obj.ID, obj.Mark, obj.Doc, due
	return c
}

// runs are counted by whether they are active and by which definition they have.
func (r *rig) runs(id int64) string {
	var all []string
	for _, run := range r.e.JobRuns(id) {
		s := "old"
		if strings.Contains(string(run.Settings), `"description":"new"`) {
			s = "new"
		}
		switch {
		case run.Active:
			s = "active " + s
		case run.Skipped:
			s = "skipped " + s
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

func TestRestart(t *testing.T) {
	for _, tt := range []struct{ kind, runs, text string }{
		{"continuous", "active new, old", "cancel run "},
		{"running", "active new, old", ", and start one"},
		{"full", "active new, old", ", and start one"},
		{"many", "active new, old", "cancel 60 runs, and start one"},
		{"idle", "", "no run is active"},
		{"paused", "active old", "it is paused"}, // what a person let go on goes on
	} {
		for _, takes := range []time.Duration{0, 5 * time.Second} {
			t.Run(fmt.Sprintf("%s, cancelling takes %s", tt.kind, takes), func(t *testing.T) {
				inBubble(t, emulator.Options{RunTime: 10_000 * time.Hour, EndTime: takes}, Options{}, func(t *testing.T, r *rig) {
					c, id := r.stream(t, tt.kind)
					r.journal.intents, r.journal.results = nil, nil
					o := r.w.Do(t.Context(), step(c), r.journal)
					time.Sleep(takes)
					if got := r.runs(id); o.Status != fabric.Done || got != tt.runs {
						t.Errorf("%+v; runs: %s", o, got)
					}
					if len(r.journal.intents) != 1 || r.journal.intents[0].Op != fabric.OpRestart || !strings.Contains(r.journal.intents[0].Text, tt.text) || len(r.journal.open) != 0 {
						t.Errorf("intents %+v, open %d", r.journal.intents, len(r.journal.open))
					}
					// Again, as after a crash behind the last request: nothing is ended or started twice.
					before := len(r.e.JobRuns(id))
					again := r.restart(t, id, &fabric.Due{Token: "token-1", Before: c.Restart.Before, Runs: r.journal.intents[0].Runs, Owed: len(r.journal.intents[0].Runs) > 0})
					if o := r.w.Do(t.Context(), step(again), r.journal); o.Status != fabric.Done || len(r.e.JobRuns(id)) != before || r.runs(id) != tt.runs {
						t.Errorf("again: %+v; %d runs, were %d: %s", o, len(r.e.JobRuns(id)), before, r.runs(id))
					}
				})
			})
		}
	}
}

// TestRestartInDoubt breaks each request of a restart; the next attempts, which know what the ledger would, come to one new run
// and no old one, and no run is started twice.
func TestRestartInDoubt(t *testing.T) {
	for _, kind := range []string{"continuous", "running", "full"} {
		for _, f := range []emulator.Fault{{After: true, Close: true}, {Close: true}, {Status: 503}, {Status: 429}, {After: true, Status: 500}} {
			for _, path := range []string{"GET " + getPath, "GET " + runsPath, "POST " + cancelPath, "POST " + runNowPath} {
				t.Run(fmt.Sprintf("%s/%+v/%s", kind, f, path), func(t *testing.T) {
					inBubble(t, emulator.Options{RunTime: 10_000 * time.Hour}, Options{}, func(t *testing.T, r *rig) {
						c, id := r.stream(t, kind)
						fault := f
						fault.Pattern, fault.Times = path, 5
						r.e.Fault(fault)
						due := *c.Restart
						for range 10 {
							r.journal.intents = nil
							o := r.w.Do(t.Context(), step(r.withDue(c, due)), r.journal)
							for _, i := range r.journal.intents {
								if len(due.Runs) == 0 {
									due.Runs = i.Runs
								}
								due.Owed = due.Owed || len(i.Runs) > 0
							}
							if len(r.journal.open) != 0 {
								t.Fatalf("%s: an intent stays open", o.Status)
							}
							if o.Status == fabric.Done {
								break
							}
							if o.Status != fabric.Later {
								t.Fatalf("%s: %v", o.Status, o.Err)
							}
							time.Sleep(10 * time.Minute)
						}
						if got := r.runs(id); got != "active new, old" || len(r.e.JobRuns(id)) != 2 {
							t.Errorf("%d runs: %s", len(r.e.JobRuns(id)), got)
						}
					})
				})
			}
		}
	}
}

func (r *rig) withDue(c fabric.Change, due fabric.Due) fabric.Change {
	c.Restart = &due
	return c
}

// TestRestartOwed: runs were cancelled for an update, and before another was started a newer update came. The run that is missing is
// started with the newest definition.
func TestRestartOwed(t *testing.T) {
	inBubble(t, emulator.Options{RunTime: 10_000 * time.Hour}, Options{}, func(t *testing.T, r *rig) {
		_, id := r.stream(t, "idle")
		c := r.restart(t, id, &fabric.Due{Token: "token-2", Before: time.Now(), Owed: true})
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Done || r.runs(id) != "active new" {
			t.Errorf("%+v; runs: %s", o, r.runs(id))
		}
	})
}

// TestRestartStartsOnce: the answer to run-now is lost, and the run that it started is over before the next attempt; or somebody
// starts a run by hand after the update.
func TestRestartStartsOnce(t *testing.T) {
	inBubble(t, emulator.Options{RunTime: time.Hour}, Options{}, func(t *testing.T, r *rig) {
		c, id := r.stream(t, "running")
		r.e.Fault(emulator.Fault{Pattern: "POST " + runNowPath, After: true, Close: true})
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Later {
			t.Fatalf("%+v", o)
		}
		time.Sleep(2 * time.Hour)
		again := r.withDue(c, fabric.Due{Token: c.Restart.Token, Before: c.Restart.Before, Runs: r.journal.intents[len(r.journal.intents)-1].Runs, Owed: true})
		if o := r.w.Do(t.Context(), step(again), r.journal); o.Status != fabric.Done || len(r.e.JobRuns(id)) != 2 {
			t.Errorf("%+v after %d runs, want the one that was cancelled and one more", o, len(r.e.JobRuns(id)))
		}
	})
	inBubble(t, emulator.Options{RunTime: 10_000 * time.Hour}, Options{}, func(t *testing.T, r *rig) {
		c, id := r.stream(t, "running")
		if err := r.e.RunJob(id); err != nil {
			t.Fatal(err)
		}
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Done || r.runs(id) != "active new, old" || len(r.e.JobRuns(id)) != 2 {
			t.Errorf("%+v; %d runs: %s", o, len(r.e.JobRuns(id)), r.runs(id))
		}
	})
}

func TestRestartRefused(t *testing.T) {
	inBubble(t, emulator.Options{RunTime: 10_000 * time.Hour}, Options{}, func(t *testing.T, r *rig) {
		c, id := r.stream(t, "continuous")
		r.e.Fault(emulator.Fault{Pattern: "POST " + cancelPath, Status: http.StatusForbidden})
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Refused || r.runs(id) != "active old" || len(r.journal.open) != 0 {
			t.Errorf("%+v; runs: %s", o, r.runs(id))
		}
		// Somebody edits the job: what runs there now is for another plan to decide.
		c = r.restart(t, id, c.Restart)
		if err := r.e.PatchJob(id, []byte(`{"continuous":{"pause_status":"PAUSED"}}`)); err != nil {
			t.Fatal(err)
		}
		intents := len(r.journal.intents)
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Later || len(r.journal.intents) != intents || r.runs(id) != "active old" {
			t.Errorf("%+v; runs: %s", o, r.runs(id))
		}
		for _, due := range []*fabric.Due{nil, {Before: time.Now()}} {
			c.Restart = due
			if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Refused {
				t.Errorf("without a token: %+v", o)
			}
		}
	})
}

// TestOddRuns: a list of runs that says odd things ends no run.
func TestOddRuns(t *testing.T) {
	for _, body := range []string{`{"runs":[{"job_id":JOB,"run_id":-1,"start_time":1}]}`, `{"runs":[{"job_id":JOB,"start_time":1}]}`, `{"runs":7}`, `{`} {
		inBubble(t, emulator.Options{RunTime: time.Hour}, Options{}, func(t *testing.T, r *rig) {
			c, id := r.stream(t, "running")
			r.e.Fault(emulator.Fault{Pattern: "GET " + runsPath, Status: 200, Body: strings.ReplaceAll(body, "JOB", c.ID), Times: -1})
			if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Later || r.runs(id) != "active old" {
				t.Errorf("%s: %+v; runs: %s", body, o, r.runs(id))
			}
		})
	}
}
