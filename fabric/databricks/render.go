package databricks

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// Render makes the settings of each selected job from its committed request. In this order it leaves
// out what does not belong there, takes out what calls the authoring tool, puts the artifacts' own paths in
// place of the committed ones, lays the overlay over it, and fills the placeholders.
//
// A committed request without queue gets {"enabled": true}: version 2.2 of the API creates jobs so,
// a run waits then instead of being skipped, and leaving it out would mean one thing on create and
// another on reset.
func (w *Workspace) Render(r *artifacts.Release, b fabric.Binding) (*fabric.Desired, []configs.Finding, error) {
	for _, glob := range b.Jobs {
		if !doublestar.ValidatePattern(glob) {
			return nil, nil, fmt.Errorf("render %s: jobs: %q is not a pattern", b.Deployment, glob)
		}
	}
	if b.Root == "" {
		return nil, nil, fmt.Errorf("render %s: the folder of the artifacts is not known before the fabric was looked at", b.Deployment)
	}
	n := &rendering{
		Binding:   b,
		desired:   fabric.NewDesired(),
		pipelines: map[string]*artifacts.Pipeline{},
		drafts:    map[fabric.Key]*draft{},
		names:     map[string][]fabric.Key{},
	}
	for i := range r.Pipelines {
		n.pipelines[r.Pipelines[i].Key] = &r.Pipelines[i]
	}
	for _, j := range r.Jobs {
		n.names[j.Name] = append(n.names[j.Name], fabric.Key(j.Key))
	}
	for i := range r.Jobs {
		n.job(&r.Jobs[i])
	}
	n.references()
	n.noHits()
	for _, k := range slices.Sorted(maps.Keys(n.drafts)) {
		d := n.drafts[k]
		switch {
		case d.unselected != "":
			n.desired.Unselect(k)
			n.found(configs.JobUnselected, string(k), d.unselected)
		case d.blocked != nil:
			n.desired.Block(k, *d.blocked)
		default:
			n.desired.Add(d.Resource)
		}
	}
	slices.SortStableFunc(n.findings, func(a, b configs.Finding) int { return strings.Compare(a.Subject, b.Subject) })
	return n.desired, n.findings, nil
}

// rendering is one call of Render.
type rendering struct {
	fabric.Binding
	desired   *fabric.Desired
	findings  []configs.Finding
	pipelines map[string]*artifacts.Pipeline
	drafts    map[fabric.Key]*draft
	names     map[string][]fabric.Key // of the jobs, to their keys
	hits      hits
}

// draft is one job on its way to a resource.
type draft struct {
	fabric.Resource
	job        *artifacts.Job
	request    map[string]any // ours to change
	unselected string         // why the deployment does not select it
	blocked    *configs.Finding
}

func (n *rendering) found(code configs.Code, subject, particulars string) {
	n.findings = append(n.findings, configs.Found(code, subject, particulars))
}

// block keeps the first reason: what follows is often its consequence.
func (d *draft) block(code configs.Code, field, particulars string) {
	if d.blocked != nil {
		return
	}
	subject := d.job.File
	if subject == "" {
		subject = d.job.Key
	}
	if field != "" {
		subject += ": " + field
	}
	f := configs.Found(code, subject, particulars)
	d.blocked = &f
}

func (n *rendering) job(j *artifacts.Job) {
	d := &draft{Resource: fabric.Resource{Key: fabric.Key(j.Key), Kind: Job, Name: j.Name}, job: j}
	n.drafts[d.Key] = d
	if d.unselected = n.unselected(j); d.unselected != "" {
		return
	}
	if d.read(); d.blocked != nil {
		n.hits.unread++
		return
	}
	n.leaveOut(d)
	n.strip(d)
	n.homeCalls(d)
	tasks := n.pipelineTasks(d)
	n.rewrite(d)
	n.overlay(d, tasks)
	d.explicit()
	n.link(d)
	n.fill(d)
}

// read takes the request out of the committed file.
func (d *draft) read() {
	if len(d.job.Blocked) > 0 {
		d.blocked = &d.job.Blocked[0]
		return
	}
	file, err := fabric.ParseDoc(d.job.Raw)
	if err != nil {
		d.block(configs.JobBroken, "", err.Error())
		return
	}
	request, field, err := artifacts.Request(file.Object())
	if err != nil {
		d.block(configs.JobBroken, field, err.Error())
		return
	}
	d.request = request
}

// unselected says why the deployment leaves the job out; empty where it does not.
func (n *rendering) unselected(j *artifacts.Job) string {
	if len(n.Jobs) > 0 {
		for _, glob := range n.Jobs {
			if ok, _ := doublestar.Match(glob, j.Key); ok {
				return ""
			}
		}
		return fmt.Sprintf("fabric id %s; no pattern under jobs matches its key", fabricOf(j))
	}
	if id := fabricID(j); id != "" && slices.Contains(n.FabricIDs, id) {
		return ""
	}
	return "fabric id " + fabricOf(j)
}

func fabricID(j *artifacts.Job) string {
	if j.FabricUID != "" {
		return j.FabricUID
	}
	return j.FabricID
}

func fabricOf(j *artifacts.Job) string {
	if id := fabricID(j); id != "" {
		return id
	}
	return "(none)"
}

// leaveOut removes what is not part of a job's settings, or not the definition's to say.
func (n *rendering) leaveOut(d *draft) {
	if acl, _ := d.request["access_control_list"].([]any); len(acl) > 0 {
		n.found(configs.ACLIgnored, string(d.Key), fmt.Sprintf("%d entries", len(acl)))
	}
	delete(d.request, "access_control_list")
	tags, _ := d.request["tags"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if ownTag(name) {
			delete(tags, name)
			n.found(configs.TagReserved, string(d.Key), name)
		}
	}
}

// explicit says what the service would otherwise fill in one way on create and another on reset.
func (d *draft) explicit() {
	for field, value := range map[string]any{"format": "MULTI_TASK", "queue": map[string]any{"enabled": true}} {
		if d.request[field] == nil {
			d.request[field] = value
		}
	}
	if tags, _ := d.request["tags"].(map[string]any); len(tags) > maxTags-markTags {
		d.block(configs.TooManyTags, "request.tags", fmt.Sprintf("%d, and %d are the most beside the %d of selvage", len(tags), maxTags-markTags, markTags))
	}
	for _, c := range clustersOf(d.request) {
		for _, part := range []string{"spark_conf", "spark_env_vars", "custom_tags"} {
			m, _ := c.settings[part].(map[string]any)
			for key, v := range m {
				switch v.(type) {
				case json.Number, bool:
					m[key] = fmt.Sprint(v) // the API's values are text there; committed files hold numbers too
				}
			}
		}
	}
}

// walk calls see for each string in v with the field path as it stands in the file, and replaces the
// string by what it returns. Keys of objects are not touched.
func walk(field string, v any, see func(field, s string) string) any {
	switch v := v.(type) {
	case string:
		return see(field, v)
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			v[k] = walk(field+"."+k, v[k], see)
		}
	case []any:
		for i, e := range v {
			v[i] = walk(fmt.Sprintf("%s[%d]", field, i), e, see)
		}
	}
	return v
}

// task is a task of a job, and where it stands.
type task struct {
	field    string // in the file: "request.tasks[2]"
	settings map[string]any
}

// tasks are all tasks of a request, those inside a for_each_task included.
func tasksOf(request map[string]any) []task {
	var found []task
	list, _ := request["tasks"].([]any)
	for i, e := range list {
		t, _ := e.(map[string]any)
		field := fmt.Sprintf("request.tasks[%d]", i)
		for t != nil {
			found = append(found, task{field, t})
			loop, _ := t["for_each_task"].(map[string]any)
			t, _ = loop["task"].(map[string]any)
			field += ".for_each_task.task"
		}
	}
	return found
}
