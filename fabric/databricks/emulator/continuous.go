package emulator

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// A continuous job that is not paused always has a run: when one ends, the service begins the next, with the settings of
// that moment. That is computed when somebody looks, and before anything changes.

// advance begins the runs that began until now. The caller holds the lock.
func (w *Workspace) advance(now time.Time) {
	for _, j := range w.state.order {
		if runsOn(j.settings) {
			w.runOn(j, now)
		}
	}
}

// runsOn reports a continuous job that is not paused.
func runsOn(settings map[string]any) bool {
	c, has := settings["continuous"].(map[string]any)
	return has && c["pause_status"] != "PAUSED"
}

// runOn gives a continuous job the run that it always has. The caller holds the lock.
func (w *Workspace) runOn(j *job, now time.Time) {
	begin := now
	for _, r := range w.state.runs {
		if r.job != j.id || r.skipped {
			continue
		}
		switch end := w.ended(r); {
		case now.Before(end):
			return
		case r.endless && (begin == now || end.After(begin)):
			begin = end
		}
	}
	w.addRun(j, j.creator, begin).endless = true
}

// active are the runs of a job that have not ended.
func (w *Workspace) active(id int64, now time.Time) []*run {
	var runs []*run
	for _, r := range w.state.runs {
		if r.job == id && now.Before(w.ended(r)) {
			runs = append(runs, r)
		}
	}
	return runs
}

// cancel tells a run that is active to end. The caller holds the lock.
func (w *Workspace) cancel(r *run, now time.Time) {
	if !now.Before(w.ended(r)) || !r.canceled.IsZero() {
		return
	}
	stopped := *r
	stopped.canceled = now
	w.state.runs[r.id] = &stopped
}

// edited is what a change of a job's settings does to its runs. The caller holds the lock.
func (w *Workspace) edited(j *job, now time.Time) {
	if runsOn(j.settings) {
		w.runOn(j, now)
	} else if j.settings["continuous"] != nil && w.o.Unverified.PauseCancels {
		for _, r := range w.active(j.id, now) {
			w.cancel(r, now)
		}
	}
}

// Run is a run of a job.
type Run struct {
	ID       int64
	Start    time.Time
	Active   bool
	Skipped  bool
	Settings json.RawMessage // of the job when the run began
}

// JobRuns are the runs of a job so far, the newest first.
func (w *Workspace) JobRuns(id int64) []Run {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Now()
	w.advance(now)
	var out []Run
	for _, r := range slices.SortedFunc(maps.Values(w.state.runs), func(a, b *run) int { return cmp.Compare(b.seq, a.seq) }) {
		if r.job == id {
			settings, _ := marshal(r.settings) // what came out of a decoder always encodes
			out = append(out, Run{ID: r.id, Start: r.start, Active: now.Before(w.ended(r)), Skipped: r.skipped, Settings: settings})
		}
	}
	return out
}
