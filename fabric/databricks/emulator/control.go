package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// controlRoot is where the emulator is controlled over HTTP, without a token. Whoever reaches the
// port owns the workspace: it is a toy of loopback.
//
//	GET    /__emulator/requests             the journal       DELETE forgets it
//	GET    /__emulator/count?pattern=P      {"count": N}
//	GET    /__emulator/violations
//	GET    /__emulator/jobs                 all jobs, newest first
//	POST   /__emulator/jobs                 create by hand: the body is settings
//	GET    /__emulator/jobs/ID              one job
//	PATCH  /__emulator/jobs/ID              edit by hand: the body is a merge patch of settings, see PatchJob
//	DELETE /__emulator/jobs/ID              delete by hand
//	POST   /__emulator/jobs/ID/hide?user=U  forbid a user, or everybody
//	GET    /__emulator/jobs/ID/access       its direct permissions
//	PUT    /__emulator/jobs/ID/access       set them by hand: the body is as for the API's PUT
//	GET    /__emulator/files                paths and sizes
//	POST   /__emulator/files?path=PATH      a file by hand: the body is what it holds
//	POST   /__emulator/secrets/SCOPE/KEY    a secret by hand, without a value
//	POST   /__emulator/pipelines/ID         a pipeline of Delta Live Tables by hand
//	POST   /__emulator/things/KIND?name=N   a warehouse, policy, pool, cluster, destination or pipeline by hand
//	GET    /__emulator/things               all of them       PATCH, DELETE and POST /hide, with an id: see thingCommand
//	POST   /__emulator/faults               a Fault       DELETE clears them
//	POST   /__emulator/snapshot/NAME
//	POST   /__emulator/restore/NAME
const controlRoot = "/__emulator/"

// Job is a job as the workspace holds it.
type Job struct {
	ID       int64           `json:"job_id"`
	Name     string          `json:"name"`
	Creator  string          `json:"creator_user_name"`
	Created  time.Time       `json:"created"`
	Settings json.RawMessage `json:"settings"` // as read back, all elements
}

func (j *job) export() Job {
	settings, _ := marshal(j.settings) // what came out of a decoder always encodes
	return Job{ID: j.id, Name: textField(j.settings, "name"), Creator: j.creator, Created: j.created, Settings: settings}
}

// Jobs are all jobs, newest first, hidden ones too.
func (w *Workspace) Jobs() []Job {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Job, 0, len(w.state.order))
	for _, j := range slices.Backward(w.state.order) {
		out = append(out, j.export())
	}
	return out
}

// Job is one job; false where it is not there.
func (w *Workspace) Job(id int64) (Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.state.jobs[id]
	if j == nil {
		return Job{}, false
	}
	return j.export(), true
}

// byHand is who makes the changes that go past the API.
const byHand = "someone@selvage.example"

// ErrNoJob is returned for the id of a job that is not there.
type ErrNoJob int64

func (e ErrNoJob) Error() string { return fmt.Sprintf("job %d does not exist", int64(e)) }

// CreateJob makes a job by hand: settings is the JSON object of its settings. It fails where the real
// service would.
func (w *Workspace) CreateJob(settings []byte) (int64, error) {
	object, f := decode(settings, jsonLimit)
	if f != nil {
		return 0, fmt.Errorf("create job by hand: %s", f.message)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.addJob(object, byHand, nil, w.o.Now())
	if f != nil {
		return 0, fmt.Errorf("create job by hand: %s", f.message)
	}
	return j.id, nil
}

// EditJob changes a job's settings by hand, as someone does in the workspace's pages. edit gets a
// copy of the settings as read back, and must not call the workspace. It fails where the real service would.
func (w *Workspace) EditJob(id int64, edit func(settings map[string]any)) error {
	return w.edit(id, func(old map[string]any) map[string]any {
		settings := deepCopy(old).(map[string]any)
		edit(settings)
		return settings
	})
}

// PatchJob is EditJob with a JSON merge patch (RFC 7396) of the settings. Elements of tasks,
// job_clusters, parameters and environments are merged by their names:
// {"tasks": [{"task_key": "clean", "max_retries": 5}]} changes one field of one task.
func (w *Workspace) PatchJob(id int64, patch []byte) error {
	// Not decode: null means "remove" here.
	var changes map[string]any
	dec := json.NewDecoder(bytes.NewReader(patch))
	dec.UseNumber()
	if err := dec.Decode(&changes); err != nil {
		return fmt.Errorf("read patch of job %d: %w", id, err)
	}
	return w.edit(id, func(old map[string]any) map[string]any {
		return mergePatch("", old, changes).(map[string]any)
	})
}

func (w *Workspace) edit(id int64, compute func(map[string]any) map[string]any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.state.jobs[id]
	if j == nil {
		return ErrNoJob(id)
	}
	// Through JSON and back, so that numbers of any Go type become what a request would bring.
	text, err := marshal(compute(j.settings))
	if err != nil {
		return fmt.Errorf("edit job %d by hand: %w", id, err)
	}
	settings, f := decode(text, jsonLimit)
	if f == nil {
		f = w.replaceSettings(j, settings)
	}
	if f != nil {
		return fmt.Errorf("edit job %d by hand: %s", id, f.message)
	}
	return nil
}

// DeleteJob deletes a job by hand.
func (w *Workspace) DeleteJob(id int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.state.jobs[id]
	if j == nil {
		return ErrNoJob(id)
	}
	w.dropJob(j)
	return nil
}

// RunJob starts a run of a job by hand.
func (w *Workspace) RunJob(id int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.state.jobs[id]
	if j == nil {
		return ErrNoJob(id)
	}
	w.addRun(j, byHand, w.o.Now())
	return nil
}

// Runs is how many runs a job has had.
func (w *Workspace) Runs(id int64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, r := range w.state.runs {
		if r.job == id {
			n++
		}
	}
	return n
}

// HideJob takes the permission to see a job, there or not, from a user ("" is everybody). The API
// then answers 403 for it, and jobs/list leaves it out.
func (w *Workspace) HideJob(id int64, user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hidden[id] == nil {
		w.hidden[id] = map[string]bool{}
	}
	w.hidden[id][user] = true
}

// ShowJob undoes every HideJob for a job.
func (w *Workspace) ShowJob(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.hidden, id)
}

// Files are the paths and sizes, in bytes, of all files of the workspace, of volumes and of DBFS.
func (w *Workspace) Files() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]int{}
	for p, n := range w.state.tree {
		if n.kind != folder {
			out["/Workspace"+p] = len(n.body)
		}
	}
	for p, n := range w.state.dbfs {
		out["dbfs:"+p] = len(n.body)
	}
	for p, n := range w.state.volumes {
		if n.kind != folder {
			out[p] = len(n.body)
		}
	}
	return out
}

// Snapshot keeps jobs, runs and files under a name. The journal, faults and tokens are not part of it.
func (w *Workspace) Snapshot(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshots[name] = w.state.clone()
}

// Restore goes back to a snapshot, which stays. It tells whether there is one of that name.
func (w *Workspace) Restore(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, found := w.snapshots[name]
	if found {
		w.state = s.clone()
	}
	return found
}

// control answers the paths below controlRoot.
func (w *Workspace) control(c *call) answer {
	result, err := w.command(c)
	if err != nil {
		return (&failure{status: http.StatusBadRequest, code: "EMULATOR", message: err.Error()}).answer()
	}
	ans, f := ok(result)
	if f != nil {
		return f.answer()
	}
	return ans
}

var done = map[string]any{"done": true}

func (w *Workspace) command(c *call) (any, error) {
	what, rest, _ := strings.Cut(strings.TrimPrefix(c.path, controlRoot), "/")
	switch c.method + " " + what {
	case "GET requests":
		return w.Requests(), nil
	case "DELETE requests":
		w.ResetJournal()
		return done, nil
	case "GET count":
		return map[string]any{"count": w.Count(c.param("pattern"))}, nil
	case "GET violations":
		return append([]string{}, w.Violations()...), nil
	case "GET files":
		return w.Files(), nil
	case "POST files":
		return done, w.SetFile(c.param("path"), c.body)
	case "POST secrets":
		scope, key, _ := strings.Cut(rest, "/")
		if scope == "" {
			return nil, fmt.Errorf("name the secret: /__emulator/secrets/SCOPE/KEY")
		}
		w.SetSecret(scope, key)
		return done, nil
	case "POST pipelines":
		if rest == "" {
			return nil, fmt.Errorf("name the pipeline: /__emulator/pipelines/ID")
		}
		w.SetPipeline(rest)
		return done, nil
	case "POST faults":
		var f Fault
		dec := json.NewDecoder(bytes.NewReader(c.body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			return nil, fmt.Errorf("read fault: %w", err)
		}
		w.Fault(f)
		return done, nil
	case "DELETE faults":
		w.ClearFaults()
		return done, nil
	case "POST snapshot":
		w.Snapshot(rest)
		return done, nil
	case "POST restore":
		if !w.Restore(rest) {
			return nil, fmt.Errorf("there is no snapshot %q", rest)
		}
		return done, nil
	case "POST jobs":
		if rest == "" {
			id, err := w.CreateJob(c.body)
			return map[string]any{"job_id": id}, err
		}
	case "GET jobs":
		if rest == "" {
			return w.Jobs(), nil
		}
	}
	switch what {
	case "jobs":
		return w.jobCommand(c, rest)
	case "things":
		return w.thingCommand(c, rest)
	}
	return nil, fmt.Errorf("the emulator has no control %s %s", c.method, c.path)
}

func (w *Workspace) jobCommand(c *call, rest string) (any, error) {
	text, verb := path.Split(rest)
	if text == "" {
		text, verb = verb, ""
	}
	id, err := strconv.ParseInt(strings.TrimSuffix(text, "/"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a job id", text)
	}
	switch c.method + " " + verb {
	case "GET ":
		if j, found := w.Job(id); found {
			return j, nil
		}
		return nil, ErrNoJob(id)
	case "PATCH ":
		return done, w.PatchJob(id, c.body)
	case "DELETE ":
		return done, w.DeleteJob(id)
	case "POST hide":
		w.HideJob(id, c.param("user"))
		return done, nil
	case "GET access":
		return append([]string{}, w.Access(id)...), nil
	case "PUT access":
		return done, w.SetAccess(id, c.body)
	}
	return nil, fmt.Errorf("the emulator has no control %s %s", c.method, c.path)
}
