package emulator

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// run is a simulated run of a job. Its state is not stored but computed from the time.
type run struct {
	id, job, number int64
	seq             int64
	name, creator   string
	start           time.Time
	tasks           []taskRun
	canceled        time.Time      // when it was told to end; zero: it was not
	endless         bool           // of a continuous job: it ends by being cancelled alone
	skipped         bool           // it never began, because as many as may run at once did
	settings        map[string]any // of the job when the run began
}

type taskRun struct {
	id      int64
	key     string
	problem string // why it fails; empty: it succeeds
	skipped bool   // because of a task that it depends on
}

// runNow is POST jobs/run-now. A run whose libraries are all there succeeds after Options.RunTime.
func (w *Workspace) runNow(c *call) (answer, *failure) {
	body, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	key := textField(body, "idempotency_token")
	if len(key) > 64 {
		return answer{}, invalid("idempotency_token is over 64 characters long")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.find(c, body["job_id"], false)
	if f != nil {
		return answer{}, f
	}
	if id, used := w.state.runKeys[key]; used && key != "" {
		r := w.state.runs[id]
		if r == nil {
			return answer{}, invalid("The run of idempotency token %q was deleted", key)
		}
		return ok(map[string]any{"run_id": r.id, "number_in_job": r.id})
	}
	most, _ := number(j.settings["max_concurrent_runs"], "max_concurrent_runs")
	queue, _ := j.settings["queue"].(map[string]any)
	full := int64(len(w.active(j.id, c.now))) >= most && queue["enabled"] != true
	r := w.addRun(j, c.user, c.now)
	r.skipped = full
	if key != "" {
		w.state.runKeys[key] = r.id
	}
	return ok(map[string]any{"run_id": r.id, "number_in_job": r.number})
}

// ActiveRuns are the runs of a job that have not ended.
func (w *Workspace) ActiveRuns(id int64) []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []int64
	w.advance(w.o.Now())
	for _, r := range w.active(id, w.o.Now()) {
		ids = append(ids, r.id)
	}
	slices.Sort(ids)
	return ids
}

// addRun starts a run of a job.
func (w *Workspace) addRun(j *job, user string, now time.Time) *run {
	w.state.seq++
	r := &run{id: w.newID(), job: j.id, seq: w.state.seq, name: textField(j.settings, "name"), creator: user, start: now, settings: j.settings}
	r.number = r.id // the service sets both to the same
	r.tasks = w.plan(j)
	w.state.runs[r.id] = r
	return r
}

// plan decides the fate of every task when the run starts: it needs its libraries, and what it
// depends on to succeed. Tasks are in no particular order, so it goes round until nothing changes.
func (w *Workspace) plan(j *job) []taskRun {
	tasks := objects(j.settings["tasks"])
	runs := make([]taskRun, len(tasks))
	failed := map[string]bool{}
	for i, t := range tasks {
		runs[i] = taskRun{id: w.newID(), key: textField(t, "task_key"), problem: w.missingLibrary(j, t)}
		failed[runs[i].key] = runs[i].problem != ""
	}
	for changed := true; changed; {
		changed = false
		for i, t := range tasks {
			if failed[runs[i].key] || t["run_if"] != "ALL_SUCCESS" {
				continue
			}
			for _, d := range objects(t["depends_on"]) {
				if failed[textField(d, "task_key")] {
					runs[i].problem, runs[i].skipped = "Upstream task "+textField(d, "task_key")+" failed.", true
					failed[runs[i].key], changed = true, true
					break
				}
			}
		}
	}
	return runs
}

// missingLibrary is why the libraries of a task can't be installed, or "".
func (w *Workspace) missingLibrary(j *job, t map[string]any) string {
	var paths []string
	collect := func(libraries any) {
		for _, l := range objects(libraries) {
			for _, kind := range []string{"whl", "jar", "requirements"} {
				paths = append(paths, textField(l, kind))
			}
		}
	}
	collect(t["libraries"])
	if inner := innerTask(t); inner != nil {
		collect(inner["libraries"])
	}
	for _, e := range objects(j.settings["environments"]) {
		spec, _ := e["spec"].(map[string]any)
		for _, field := range []string{"dependencies", "java_dependencies"} {
			list, _ := spec[field].([]any)
			for _, d := range list {
				if path, isText := d.(string); isText && textField(e, "environment_key") == textField(t, "environment_key") {
					paths = append(paths, strings.TrimPrefix(path, "-r "))
				}
			}
		}
	}
	for _, path := range paths {
		file, _, _ := strings.Cut(path, "[") // pip's extras
		var there bool
		switch {
		case strings.HasPrefix(file, "/Workspace/"):
			there = w.state.tree[workspacePath(file)] != nil
		case strings.HasPrefix(file, "/Volumes/"), strings.HasPrefix(file, "dbfs:/Volumes/"):
			there = w.state.volumes[strings.TrimPrefix(file, "dbfs:")] != nil
		default:
			continue // a package index, object storage, DBFS: not ours to know
		}
		if !there {
			return fmt.Sprintf("Library installation failed for library due to user error for %s. "+
				"Error message: file not found: No such file or directory.", path)
		}
	}
	return ""
}

// ended is when the run ends, or ended: in its time, or some time after it was told to.
func (w *Workspace) ended(r *run) time.Time {
	end := r.start.Add(w.o.RunTime)
	switch {
	case r.skipped:
		return r.start
	case r.endless:
		end = r.start.AddDate(1000, 0, 0)
	}
	if told := r.canceled.Add(w.o.EndTime); !r.canceled.IsZero() && told.Before(end) {
		return told
	}
	return end
}

// view is a run as runs/get and runs/list show it at a time. The first quarter it is pending.
func (w *Workspace) view(r *run, now time.Time, tasks bool) map[string]any {
	end := w.ended(r)
	v := map[string]any{"run_id": r.id, "job_id": r.job, "number_in_job": r.number, "original_attempt_run_id": r.id,
		"run_name": r.name, "creator_user_name": r.creator, "start_time": r.start.UnixMilli(),
		"trigger": "ONE_TIME", "run_type": "JOB_RUN", "setup_duration": 0, "execution_duration": 0, "cleanup_duration": 0,
		"end_time": 0, "run_page_url": fmt.Sprintf("http://emulator/jobs/%d/runs/%d", r.job, r.id)}
	live := ""
	switch {
	case !now.Before(end):
		v["end_time"] = end.UnixMilli()
		v["run_duration"] = end.Sub(r.start).Milliseconds()
	case !r.canceled.IsZero():
		live = "TERMINATING"
	case now.Sub(r.start) < w.o.RunTime/4:
		live = "PENDING"
	default:
		live = "RUNNING"
	}
	problem := ""
	var list []any
	for _, t := range r.tasks {
		if problem == "" && !t.skipped {
			problem = t.problem
		}
		one := map[string]any{"run_id": t.id, "task_key": t.key, "attempt_number": 0, "start_time": r.start.UnixMilli()}
		maps.Copy(one, r.condition(live, t.problem, t.skipped))
		list = append(list, one)
	}
	maps.Copy(v, r.condition(live, problem, false))
	if tasks {
		v["tasks"] = list
	}
	return v
}

// condition is state and status, old and new words for the same. live is "" when the run has ended.
func (r *run) condition(live, problem string, skipped bool) map[string]any {
	if live != "" {
		return map[string]any{"state": map[string]any{"life_cycle_state": live, "state_message": ""}, "status": map[string]any{"state": live}}
	}
	cycle, result, code, kind := "TERMINATED", "SUCCESS", "SUCCESS", "SUCCESS"
	switch {
	case r.skipped:
		cycle, result, code, kind, problem = "SKIPPED", "", "MAX_CONCURRENT_RUNS_EXCEEDED", "CLIENT_ERROR", "Too many runs at once."
	case !r.canceled.IsZero():
		result, code, kind, problem = "CANCELED", "USER_CANCELED", "SUCCESS", "Run cancelled."
	case skipped:
		result, code, kind = "UPSTREAM_FAILED", "RUN_EXECUTION_ERROR", "CLIENT_ERROR"
	case problem != "":
		cycle, result, code, kind = "INTERNAL_ERROR", "FAILED", "LIBRARY_INSTALLATION_ERROR", "CLIENT_ERROR"
	}
	return map[string]any{
		"state": map[string]any{"life_cycle_state": cycle, "result_state": result, "state_message": problem,
			"user_cancelled_or_timedout": !r.canceled.IsZero()},
		"status": map[string]any{"state": "TERMINATED", "termination_details": map[string]any{"code": code, "type": kind, "message": problem}},
	}
}

// findRun is a run that the caller may see. The caller holds the lock.
func (w *Workspace) findRun(c *call, id any) (*run, *failure) {
	n, f := number(id, "run_id")
	if f != nil {
		return nil, f
	}
	r := w.state.runs[n]
	if r == nil {
		return nil, refused(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Run %d does not exist.", n)
	}
	if _, f := w.find(c, r.job, false); f != nil {
		return nil, f
	}
	return r, nil
}

// getRun is GET jobs/runs/get. A run shows all its tasks on one page.
func (w *Workspace) getRun(c *call) (answer, *failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(c.now)
	r, f := w.findRun(c, textOrNil(c.param("run_id")))
	if f != nil {
		return answer{}, f
	}
	return ok(w.view(r, c.now, true))
}

// cancelRun is POST jobs/runs/cancel. A run that has ended stays as it was.
func (w *Workspace) cancelRun(c *call) (answer, *failure) {
	body, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(c.now)
	r, f := w.findRun(c, body["run_id"])
	if f != nil {
		return answer{}, f
	}
	w.cancel(r, c.now)
	return ok(map[string]any{})
}

// listRuns is GET jobs/runs/list, newest first.
func (w *Workspace) listRuns(c *call) (answer, *failure) {
	limit, f := limitParam(c, 20, 25)
	if f != nil {
		return answer{}, f
	}
	active, completed := c.param("active_only") == "true", c.param("completed_only") == "true"
	if active && completed {
		return answer{}, invalid("Only one of active_only and completed_only may be true")
	}
	before := 1 << 62
	if token := c.param("page_token"); token != "" {
		fields, f := openToken(token, "runs", 1)
		if f != nil {
			return answer{}, f
		}
		before = fields[0]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(c.now)
	var of int64
	if text := c.param("job_id"); text != "" {
		j, f := w.find(c, text, false)
		if f != nil {
			return answer{}, f
		}
		of = j.id
	}
	runs := slices.SortedFunc(maps.Values(w.state.runs), func(a, b *run) int { return cmp.Compare(b.seq, a.seq) })
	var shown []any
	answer := map[string]any{"has_more": false}
	for _, r := range runs {
		over := !c.now.Before(w.ended(r))
		if of != 0 && r.job != of || r.seq >= int64(before) || active && over || completed && !over || w.hides(r.job, c.user) {
			continue
		}
		if len(shown) == limit {
			answer["has_more"], answer["next_page_token"] = true, pageToken("runs", before)
			break
		}
		shown = append(shown, w.view(r, c.now, c.param("expand_tasks") == "true"))
		before = int(r.seq)
	}
	if shown != nil {
		answer["runs"] = shown
	}
	return ok(answer)
}
