package databricks

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// The overlay is laid over the committed definition in this order, and what comes later has the last word:
//
//	config_instance, parameters, libraries, notifications, run_as, schedule, tags    each in all jobs
//	job_clusters    in the order of the file: of two patterns that match a cluster the later one wins
//	patch           in the order of the file: of each entry first the job, then its tasks
//
// Nothing in it reaches what says that a job is ours: tags of that name are left out again, and the marks are
// set when the job is sent. What it says is treated like what is committed: placeholders are filled, committed
// paths are replaced, and addresses of the authoring tool are taken out or block the job.

// hits is what the overlay found to change, or to leave as it wants it, in the whole deployment.
type hits struct {
	jobs   int             // that it was laid over
	unread int             // selected jobs that could not be read
	parts  map[string]bool // by what selvage.yaml calls them
}

// The names of the parts of an overlay in findings.
func clusterPart(key string) string { return fmt.Sprintf("job_clusters: %q", key) }

func parameterPart(name string) string { return fmt.Sprintf("parameters: %q", name) }

func patchPart(jobs string) string { return fmt.Sprintf("patch: %q", jobs) }

func taskPart(jobs, task string) string { return fmt.Sprintf("patch: %q: tasks: %q", jobs, task) }

// overlay lays the deployment's overlay over the job.
func (n *rendering) overlay(d *draft) {
	o := n.Overlay
	if !overlays(o) {
		return
	}
	n.hits.jobs++
	before := fabric.NewDoc(d.request).Object()
	if o.ConfigInstance != "" {
		n.instances(d)
	}
	n.parameters(d)
	n.libraries(d)
	n.notifications(d)
	switch {
	case o.RunAs.User != "":
		d.request["run_as"] = map[string]any{"user_name": o.RunAs.User}
	case o.RunAs.ServicePrincipal != "":
		d.request["run_as"] = map[string]any{"service_principal_name": o.RunAs.ServicePrincipal}
	}
	n.schedule(d)
	if len(o.Tags) > 0 {
		tags, _ := d.request["tags"].(map[string]any)
		if tags == nil {
			tags = map[string]any{}
			d.request["tags"] = tags
		}
		for name, value := range o.Tags {
			tags[name] = value
		}
	}
	n.clusters(d)
	n.patch(d)
	n.leaveOut(d) // what a patch brought back
	fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: fabric.NewDoc(d.request), Live: fabric.NewDoc(before)})
	d.Overlaid = map[string]bool{}
	for _, f := range fields {
		f.Cause = fabric.Overlay
		d.Overlay = append(d.Overlay, f)
		d.Overlaid[f.Path] = true
	}
}

// overlays reports an overlay that changes anything.
func overlays(o configs.Overlay) bool {
	return o.ConfigInstance != "" || o.Schedule == "enabled" || o.Schedule == "paused" || len(o.Tags) > 0 || len(o.JobClusters) > 0 ||
		len(o.Parameters) > 0 || o.Libraries != configs.Libraries{} || o.Notifications != nil || o.RunAs != configs.RunAs{} || len(o.Patch) > 0
}

// instances replaces the value of each -i among the parameters of a pipeline's task, and the file that follows -f
// by the one of that name, where the project has it for the same pipeline.
func (n *rendering) instances(d *draft) {
	want := n.Overlay.ConfigInstance
	tasks := tasksOf(d.at, d.request)
	runs := d.pipelineTasks(tasks)
	for i, t := range tasks {
		c := runs[i]
		for _, a := range argumentsOf(t) {
			from, isPath := newCommitted(a.value)
			switch {
			case a.flag == instanceFlag && c != nil:
				if p := n.pipelineOf(c); p != nil && len(p.Instances) > 0 && !slices.Contains(p.Instances, want) {
					d.block(configs.InstanceMissing, a.at.above, fmt.Sprintf("%s has no %s", p.Key, want))
					continue
				}
				a.list[a.i] = want
			case a.flag == fileFlag && isPath && strings.HasSuffix(a.value, ".json") && n.find(n.configured(from, c), want) != nil:
				a.list[a.i] = strings.TrimSuffix(a.value, path.Base(a.value)) + want + ".json"
			default:
				continue
			}
			n.hits.parts["config_instance"] = true
		}
	}
}

// pipelineOf is the pipeline of a component; nil where the release does not hold it.
func (n *rendering) pipelineOf(c *artifacts.Component) *artifacts.Pipeline {
	if c.Subscribed != nil {
		return n.subscribed[c.Subscribed.Key()]
	}
	if c.PipelineID == "" {
		return n.pipelines[c.ID]
	}
	return n.pipelines[c.PipelineID]
}

// parameters sets parameters of the job, named parameters of its tasks, and what follows a flag.
func (n *rendering) parameters(d *draft) {
	for _, name := range slices.Sorted(maps.Keys(n.Overlay.Parameters)) {
		value := n.Overlay.Parameters[name]
		hit := false
		list, _ := d.request["parameters"].([]any)
		for _, e := range list {
			if p, ok := e.(map[string]any); ok && p["name"] == name {
				p["default"], hit = value, true
			}
		}
		for _, t := range tasksOf(d.at, d.request) {
			for _, in := range [][2]string{{"python_wheel_task", "named_parameters"}, {"notebook_task", "base_parameters"},
				{"sql_task", "parameters"}, {"run_job_task", "job_parameters"}} {
				runs, _ := t.settings[in[0]].(map[string]any)
				named, _ := runs[in[1]].(map[string]any)
				if _, ok := named[name]; ok {
					named[name], hit = value, true
				}
			}
			for _, a := range argumentsOf(t) {
				if a.flag == name && strings.HasPrefix(name, "-") {
					a.list[a.i], hit = value, true
				}
			}
		}
		if hit {
			n.hits.parts[parameterPart(name)] = true
		}
	}
}

// libraries sets the mirrors.
func (n *rendering) libraries(d *draft) {
	for kind, mirror := range map[string]string{"pypi": n.Overlay.Libraries.PyPI, "maven": n.Overlay.Libraries.Maven} {
		if mirror == "" {
			continue
		}
		for _, t := range tasksOf(d.at, d.request) {
			list, _ := t.settings["libraries"].([]any)
			for _, e := range list {
				l, _ := e.(map[string]any)
				if of, ok := l[kind].(map[string]any); ok {
					of["repo"] = mirror
					n.hits.parts["libraries: "+kind] = true
				}
			}
		}
	}
}

// notifications sends the e-mails of the job to the addresses of the overlay, and those of its tasks too, but
// for events that the committed task tells nobody of.
func (n *rendering) notifications(d *draft) {
	if n.Overlay.Notifications == nil {
		return
	}
	addresses := func(event string) []any {
		var list []any
		for _, a := range n.Overlay.Notifications[event] {
			list = append(list, a)
		}
		return list
	}
	for _, t := range tasksOf(d.at, d.request) {
		m, _ := t.settings["email_notifications"].(map[string]any)
		for event, v := range m {
			if _, isList := v.([]any); !isList {
				continue
			}
			if list := addresses(event); list != nil {
				m[event] = list
			} else {
				delete(m, event)
			}
		}
	}
	m, _ := d.request["email_notifications"].(map[string]any)
	if m == nil {
		m = map[string]any{}
		d.request["email_notifications"] = m
	}
	maps.DeleteFunc(m, func(_ string, v any) bool { _, isList := v.([]any); return isList })
	for event := range n.Overlay.Notifications {
		if list := addresses(event); list != nil {
			m[event] = list
		}
	}
}

func (n *rendering) schedule(d *draft) {
	pause := map[string]string{"enabled": "UNPAUSED", "paused": "PAUSED"}[n.Overlay.Schedule]
	for _, by := range []string{"schedule", "trigger", "continuous"} {
		if m, ok := d.request[by].(map[string]any); ok && pause != "" {
			m["pause_status"] = pause
			n.hits.parts["schedule"] = true
		}
	}
}

func (n *rendering) clusters(d *draft) {
	for _, o := range n.Overlay.JobClusters {
		for _, c := range clustersOf(d.at, d.request) {
			if ok, _ := doublestar.Match(o.Key, c.key); ok {
				merge(c.settings, o.Merge)
				n.hits.parts[clusterPart(o.Key)] = true
			}
		}
	}
}

func (n *rendering) patch(d *draft) {
	for _, p := range n.Overlay.Patch {
		if ok, _ := doublestar.Match(p.Jobs, string(d.Key)); !ok {
			continue
		}
		n.hits.parts[patchPart(p.Jobs)] = true
		merge(d.request, p.Merge)
		for _, o := range p.Tasks {
			for _, t := range tasksOf(d.at, d.request) {
				if ok, _ := doublestar.Match(o.Key, t.key()); ok {
					merge(t.settings, o.Merge)
					n.hits.parts[taskPart(p.Jobs, o.Key)] = true
				}
			}
		}
	}
}

// merge applies a JSON merge patch (RFC 7386) to an object. It keeps nothing of the patch, which other jobs get too.
func merge(into, patch map[string]any) {
	for k, v := range patch {
		change, isObject := v.(map[string]any)
		switch {
		case v == nil:
			delete(into, k)
		case isObject:
			inner, ok := into[k].(map[string]any)
			if !ok {
				inner = map[string]any{}
				into[k] = inner
			}
			merge(inner, change)
		default:
			into[k] = copied(v)
		}
	}
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copied(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = copied(e)
		}
		return list
	}
	return v
}

// noHits reports the parts of the overlay that no job of the deployment has a place for. What the fabric's
// defaults say is meant for many deployments, and need not find one in each.
func (n *rendering) noHits() {
	if n.hits.jobs == 0 || n.hits.unread > 0 {
		return
	}
	o := n.Overlay
	part := func(said bool, inherited, name, why string) {
		if said && !n.hits.parts[name] && !o.Inherits(inherited) {
			n.found(configs.OverlayNoHit, n.Deployment, name+": "+why)
		}
	}
	part(o.ConfigInstance != "", "config_instance", "config_instance", "no task of a pipeline has the parameter -i, or -f with a file of that name beside it")
	part(o.Schedule == "enabled" || o.Schedule == "paused", "schedule", "schedule", "no job has a schedule or trigger")
	part(o.Libraries.PyPI != "", "libraries.pypi", "libraries: pypi", "no task has such a library")
	part(o.Libraries.Maven != "", "libraries.maven", "libraries: maven", "no task has such a library")
	for _, name := range slices.Sorted(maps.Keys(o.Parameters)) {
		part(true, "parameters."+name, parameterPart(name), "no job or task has that parameter")
	}
	said := map[string]bool{}
	once := func(name string) bool {
		first := !said[name]
		said[name] = true
		return first
	}
	for _, c := range o.JobClusters {
		part(once(clusterPart(c.Key)), "job_clusters."+c.Key, clusterPart(c.Key), "no cluster has a key like that")
	}
	for _, p := range o.Patch {
		part(once(patchPart(p.Jobs)), "patch."+p.Jobs, patchPart(p.Jobs), "no job of the deployment has a key like that")
		for _, t := range p.Tasks {
			name := taskPart(p.Jobs, t.Key)
			part(n.hits.parts[patchPart(p.Jobs)] && once(name), "patch."+p.Jobs, name, "no task of those jobs has a key like that")
		}
	}
}
