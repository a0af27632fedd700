package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// job is a job as stored. It is never changed: an edit puts a new one in its place, so that a
// snapshot is a copy of the maps, and what is rendered stays valid.
type job struct {
	id         int64
	seq        int64 // order of creation; lists run from high to low
	generation int64 // counts the writes; the orders of lists depend on it
	creator    string
	created    time.Time
	settings   map[string]any // as read back, see canonical
	access     []grantee
	accessWas  []grantee // until accessAt
	accessAt   time.Time // from when on everybody sees access
	was        *job      // as lists show it until shownAt; nil for as it is
	shownAt    time.Time

	listed, expanded []byte // rendered for jobs/list; nil until asked for, guarded by Workspace.mu
}

// state is all that a snapshot keeps.
type state struct {
	jobs    map[int64]*job
	order   []*job         // by seq
	deleted map[int64]*job // former jobs, by id
	seq     int64
	runs    map[int64]*run
	runKeys map[string]int64 // idempotency token to run id
	tree    map[string]*node // workspace files and folders, by path without /Workspace
	volumes map[string]*node // by path with /Volumes
	dbfs    map[string]*node // by path without dbfs:

	secrets   map[string]map[string]int64 // by scope and key: when it was set
	pipelines map[string]bool             // by id
	things    []thing                     // in the order of their making; never changed in place
}

func newState(o Options) state {
	s := state{jobs: map[int64]*job{}, deleted: map[int64]*job{}, runs: map[int64]*run{},
		runKeys: map[string]int64{}, tree: map[string]*node{}, volumes: map[string]*node{},
		dbfs: map[string]*node{}, secrets: map[string]map[string]int64{}, pipelines: map[string]bool{}}
	users := append(slices.Collect(maps.Values(o.Users)), o.User, o.ClientID)
	for _, user := range users {
		if user != "" {
			s.addFolders("/Users/"+user, o.Now())
		}
	}
	s.addFolders("/Shared", o.Now())
	return s
}

func (s *state) clone() state {
	c := *s
	c.jobs, c.deleted, c.order = maps.Clone(s.jobs), maps.Clone(s.deleted), slices.Clone(s.order)
	c.runs, c.runKeys = maps.Clone(s.runs), maps.Clone(s.runKeys)
	c.tree, c.volumes, c.dbfs = maps.Clone(s.tree), maps.Clone(s.volumes), maps.Clone(s.dbfs)
	c.secrets, c.pipelines = maps.Clone(s.secrets), maps.Clone(s.pipelines)
	return c
}

// put stores j in place of the job with its id, or as a new one.
func (s *state) put(j *job) {
	s.jobs[j.id] = j
	i, found := slices.BinarySearchFunc(s.order, j.seq, func(o *job, seq int64) int { return int(o.seq - seq) })
	if found {
		s.order[i] = j
		return
	}
	s.order = slices.Insert(s.order, i, j)
}

func (s *state) remove(j *job) {
	delete(s.jobs, j.id)
	s.deleted[j.id] = j
	s.order = slices.DeleteFunc(s.order, func(o *job) bool { return o.id == j.id })
}

// newID is a 63-bit id that no float64 holds.
func (w *Workspace) newID() int64 {
	for {
		id := 1<<60 + w.rng.Int64N(1<<60) | 1
		if w.state.jobs[id] == nil && w.state.deleted[id] == nil && w.state.runs[id] == nil {
			return id
		}
	}
}

// createJob is POST jobs/create.
func (w *Workspace) createJob(c *call) (answer, *failure) {
	settings, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	access, f := grantees(settings["access_control_list"], false)
	if f != nil {
		return answer{}, f
	}
	delete(settings, "access_control_list")
	j, f := w.addJob(settings, c.user, access, c.now)
	if f != nil {
		return answer{}, f
	}
	return ok(map[string]any{"job_id": j.id})
}

// addJob checks, completes and stores a new job. The caller holds the lock, and settings is its to give away.
func (w *Workspace) addJob(settings map[string]any, creator string, access []grantee, now time.Time) (*job, *failure) {
	if f := w.validate(settings); f != nil {
		return nil, f
	}
	w.state.seq++
	j := &job{id: w.newID(), seq: w.state.seq, creator: creator, created: now, access: ownedBy(creator, access)}
	var f *failure
	if j.settings, f = w.canonical(settings, nil, j); f != nil {
		return nil, f
	}
	w.state.put(j)
	w.edited(j, now)
	return j, nil
}

// resetJob is POST jobs/reset: the settings are replaced.
func (w *Workspace) resetJob(c *call) (answer, *failure) {
	return w.changeJob(c, []string{"job_id", "new_settings"}, func(j *job, body map[string]any) (map[string]any, *failure) {
		settings, isObject := body["new_settings"].(map[string]any)
		if !isObject {
			return nil, invalid("Missing required field: new_settings")
		}
		if settings["run_as"] == nil && j.settings["run_as"] != nil {
			settings["run_as"] = deepCopy(j.settings["run_as"])
		}
		if w.o.Unverified.QueueKept && settings["queue"] == nil && j.settings["queue"] != nil {
			settings["queue"] = deepCopy(j.settings["queue"])
		}
		return settings, nil
	})
}

// updateJob is POST jobs/update: top-level fields are replaced, elements of keyed lists too, and the rest stays.
func (w *Workspace) updateJob(c *call) (answer, *failure) {
	return w.changeJob(c, []string{"job_id", "new_settings", "fields_to_remove"},
		func(j *job, body map[string]any) (map[string]any, *failure) {
			settings := deepCopy(j.settings).(map[string]any)
			if body["new_settings"] != nil {
				patch, isObject := body["new_settings"].(map[string]any)
				if !isObject {
					return nil, malformed("new_settings is not an object")
				}
				for field, v := range patch {
					settings[field] = replaceElements(field, settings[field], v)
				}
			}
			remove, f := texts(body["fields_to_remove"], "fields_to_remove")
			if f != nil {
				return nil, f
			}
			for _, path := range remove {
				removeField(settings, path)
			}
			return settings, nil
		})
}

// changeJob is what reset and update share: find the job, compute its settings, check, complete, store.
func (w *Workspace) changeJob(c *call, fields []string, compute func(*job, map[string]any) (map[string]any, *failure)) (answer, *failure) {
	body, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	if f := w.closed(body, fields); f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.find(c, body["job_id"], true)
	if f != nil {
		return answer{}, f
	}
	settings, f := compute(j, body)
	if f != nil {
		return answer{}, f
	}
	if f := w.replaceSettings(j, settings); f != nil {
		return answer{}, f
	}
	return ok(map[string]any{})
}

// replaceSettings checks, completes and stores settings for a job that is there. The caller holds the lock.
func (w *Workspace) replaceSettings(j *job, settings map[string]any) *failure {
	if f := w.validate(settings); f != nil {
		return f
	}
	changed := &job{id: j.id, seq: j.seq, generation: j.generation, creator: j.creator, created: j.created, access: j.access, accessWas: j.accessWas, accessAt: j.accessAt}
	var f *failure
	again := deepCopy(settings).(map[string]any)
	if changed.settings, f = w.canonical(settings, j.settings, changed); f != nil {
		return f
	}
	if w.o.Unverified.ResetReorders || !reflect.DeepEqual(changed.settings, j.settings) {
		changed.generation++ // new orders, as nothing promises the old ones
		if changed.settings, f = w.canonical(again, j.settings, changed); f != nil {
			return f
		}
	}
	if runsOn(j.settings) { // what began until now began with the old settings
		w.runOn(j, w.o.Now())
	}
	if lag := w.o.Unverified.ListStale; lag > 0 {
		before := *j.inLists(w.o.Now())
		before.was = nil
		changed.was, changed.shownAt = &before, w.o.Now().Add(lag)
	}
	w.state.put(changed)
	w.edited(changed, w.o.Now())
	return nil
}

// inLists is the job as lists show it.
func (j *job) inLists(now time.Time) *job {
	if j.was != nil && now.Before(j.shownAt) {
		return j.was
	}
	return j
}

// deleteJob is POST jobs/delete. Active runs end.
func (w *Workspace) deleteJob(c *call) (answer, *failure) {
	body, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	if f := w.closed(body, []string{"job_id"}); f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.find(c, body["job_id"], true)
	if f != nil {
		return answer{}, f
	}
	w.dropJob(j)
	return ok(map[string]any{})
}

// dropJob removes a job and its runs. The caller holds the lock.
func (w *Workspace) dropJob(j *job) {
	w.state.remove(j)
	maps.DeleteFunc(w.state.runs, func(_ int64, r *run) bool { return r.job == j.id })
}

// find is the job of an id, as the caller may see it: the permission first, the existence after. The
// caller holds the lock. writing tells the calls whose answer for a missing job is unverified.
func (w *Workspace) find(c *call, id any, writing bool) (*job, *failure) {
	n, f := number(id, "job_id")
	if f != nil {
		return nil, f
	}
	denied := refused(http.StatusForbidden, "PERMISSION_DENIED",
		"User %s does not have Manage or View permissions on job %d.", c.user, n)
	if w.hides(n, c.user) || w.o.Unverified.DeletedIs403 && w.state.deleted[n] != nil {
		return nil, denied
	}
	if j := w.state.jobs[n]; j != nil {
		level := "CAN_VIEW"
		if writing {
			level = "CAN_MANAGE"
		}
		if !w.grants(j, c.user, level) {
			return nil, denied
		}
		return j, nil
	}
	if writing && w.o.Unverified.MissingIs404 {
		return nil, refused(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Job %d does not exist.", n)
	}
	return nil, refused(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Job %d does not exist.", n)
}

func (w *Workspace) hides(id int64, user string) bool {
	return w.hidden[id][""] || w.hidden[id][user]
}

// closed refuses fields that the root of a request does not have, as "settings" for "new_settings".
// The real service ignores them, and the caller never learns.
func (w *Workspace) closed(body map[string]any, fields []string) *failure {
	for field := range body {
		if !slices.Contains(fields, field) && !w.o.Lenient {
			return malformed("Unknown field %q; this request has %s", field, strings.Join(fields, ", "))
		}
	}
	return nil
}

// jsonLimit is the size of a request body in bytes.
const jsonLimit = 10 << 20

// decode reads one JSON object, numbers exact. null fields are dropped, at any depth.
func decode(body []byte, limit int) (map[string]any, *failure) {
	if len(body) > limit {
		return nil, invalid("Request body of %d bytes is over the limit of %d", len(body), limit)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, malformed("Could not parse request object: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("Could not parse request object: more than one value")
	}
	object, isObject := v.(map[string]any)
	if !isObject {
		return nil, malformed("Could not parse request object: expected an object")
	}
	dropNulls(object)
	return object, nil
}

func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			dropNulls(e)
		}
	case []any:
		for _, e := range v {
			dropNulls(e)
		}
	}
}

// number reads a 64-bit integer, sent as a number or, as protobuf allows, as text.
func number(v any, name string) (int64, *failure) {
	var text string
	switch v := v.(type) {
	case nil:
		return 0, invalid("Missing required field: %s", name)
	case json.Number:
		text = v.String()
	case string:
		text = v
	case int64:
		return v, nil
	case int:
		return int64(v), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, malformed("%s: %v is not a 64-bit integer", name, v)
	}
	return n, nil
}

// texts reads a list of strings; absent is empty.
func texts(v any, name string) ([]string, *failure) {
	if v == nil {
		return nil, nil
	}
	list, isList := v.([]any)
	if !isList {
		return nil, malformed("%s is not a list", name)
	}
	out := make([]string, len(list))
	for i, e := range list {
		s, isText := e.(string)
		if !isText {
			return nil, malformed("%s[%d] is not a string", name, i)
		}
		out[i] = s
	}
	return out, nil
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = deepCopy(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = deepCopy(e)
		}
		return c
	}
	return v
}

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// orders is the source of a job's orders, the same for the same seed, id and generation.
func (w *Workspace) orders(j *job) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(w.o.Seed), uint64(j.id)^uint64(j.generation)<<48))
}
