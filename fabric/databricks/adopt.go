package databricks

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// What the previous deploy tool leaves in the jobs that it writes, and what it makes of committed ones: it fills
// the placeholders and sends the request as it is, with paths in its own store.

var _ fabric.Adopter = (*Workspace)(nil)

// mostTraces bounds what one job is asked about.
const mostTraces = 500

// Traces reads the metadata in spark_conf and the paths in the tool's store, wherever they stand.
func (w *Workspace) Traces(o fabric.Object) []fabric.Trace {
	var found []fabric.Trace
	seen := map[fabric.Trace]bool{}
	add := func(t fabric.Trace) {
		if !seen[t] && len(found) < mostTraces {
			seen[t] = true
			found = append(found, t)
		}
	}
	fabric.WalkStrings(jobRules, o.Doc, func(path, s string) {
		switch {
		case strings.HasSuffix(path, "metadata.job.uri]"):
			if project, key, ok := strings.Cut(s, "/"); ok && project != "" && strings.HasPrefix(key, "jobs/") && !placeholder.MatchString(s) {
				add(fabric.Trace{Kind: fabric.TraceJob, Project: project, Key: fabric.Key(key)})
			}
		case strings.HasSuffix(path, "metadata.job.branch]"):
			if s != "" && !placeholder.MatchString(s) {
				add(fabric.Trace{Kind: fabric.TraceRelease, Version: s})
			}
		}
		for _, t := range storedIn(s) {
			if !placeholder.MatchString(t.Project + t.Version + t.File) {
				add(t)
			}
		}
	})
	return found
}

// storePath is how every path in the tool's store goes on: BASE/prophecy/artifacts/CUSTOMER/CONTROL_PLANE/PROJECT/VERSION/...
const storePath = "prophecy/artifacts/"

// pathEnd ends a path within a text.
const pathEnd = "\"'\\,; \t\n)]}"

// storedIn are the files of the tool's store that a text names: a path, several, or JSON that holds some.
func storedIn(s string) []fabric.Trace {
	if !strings.Contains(s, "prophecy") {
		return nil
	}
	s = strings.ReplaceAll(s, `\/`, "/")
	var found []fabric.Trace
	for len(found) < mostTraces {
		_, after, ok := strings.Cut(s, storePath)
		if !ok {
			break
		}
		s = after
		rest := after
		if i := strings.IndexAny(rest, pathEnd); i >= 0 {
			rest = rest[:i]
		}
		if strings.Contains(rest, storePath) { // a volume may be named like the store
			continue
		}
		parts := strings.SplitN(rest, "/", 5)
		if len(parts) == 5 && parts[2] != "" && parts[3] != "" && parts[4] != "" {
			found = append(found, fabric.Trace{Kind: fabric.TraceFile, Project: parts[2], Version: parts[3], File: parts[4]})
		}
	}
	return found
}

// Before fills the placeholders of each job.
func (w *Workspace) Before(jobs []artifacts.Job, b fabric.Binding) map[fabric.Key]fabric.Before {
	n := &rendering{Binding: b, placeholders: newPlaceholders(b)}
	all := make(map[fabric.Key]fabric.Before, len(jobs))
	for i := range jobs {
		all[fabric.Key(jobs[i].Key)] = n.before(&jobs[i])
	}
	return all
}

func (n *rendering) before(j *artifacts.Job) fabric.Before {
	var out fabric.Before
	projects := map[string]bool{}
	for _, c := range j.Components {
		if c.Subscribed != nil {
			continue
		}
		for _, t := range storedIn(c.Path) {
			if !placeholder.MatchString(t.File) && !slices.Contains(out.Files, t.File) {
				out.Files = append(out.Files, t.File)
			}
			if !placeholder.MatchString(t.Project) {
				projects[t.Project] = true
			}
		}
	}
	slices.Sort(out.Files)
	d := &draft{Resource: fabric.Resource{Key: fabric.Key(j.Key), Kind: Job, Name: j.Name}, job: j}
	if d.read(); d.blocked != nil {
		out.Projects = slices.Sorted(maps.Keys(projects))
		return out
	}
	n.leaveOut(d)
	delete(d.request, "access_control_list") // no read of a job gives it back
	queued := d.request["queue"] != nil
	d.explicit() // numbers in spark_conf come back as text
	if !queued {
		delete(d.request, "queue")
	}
	for _, c := range clustersOf(d.at, d.request) {
		out.Clusters = append(out.Clusters, c.key)
	}
	out.Raw = fabric.NewDoc(fabric.NewDoc(d.request).Object())
	filled := substitute(d.at, d.request, func(_ *spot, s string) string {
		s, _ = put(n.placeholders.usable, s)
		return s
	})
	out.Doc = fabric.NewDoc(filled.(map[string]any))
	out.Labels = map[string]fabric.Label{}
	fabric.WalkStrings(jobRules, out.Raw, func(path, s string) {
		if strings.Contains(s, "_PLACEHOLDER__") {
			out.Labels[path] = fabric.Label(asFilled(s))
		}
		if strings.HasSuffix(path, "metadata.job.uri]") {
			if project, _, ok := strings.Cut(s, "/"); ok && !placeholder.MatchString(project) {
				projects[project] = true
			}
		}
	})
	n.strip(d)
	out.Stripped = map[string]bool{}
	fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: fabric.NewDoc(d.request), Live: out.Raw})
	for _, f := range fields {
		out.Stripped[f.Path] = true
	}
	out.Projects = slices.Sorted(maps.Keys(projects))
	return out
}

// asFilled matches the canonical JSON of a text whatever was put in for its placeholders.
func asFilled(s string) string {
	return placeholder.ReplaceAllString(regexp.QuoteMeta(spelled(s)), `[^"\\]*`)
}

// likeCommitted reports that a live value is a committed one in which placeholders were filled.
func likeCommitted(committed, live any) bool {
	switch c := committed.(type) {
	case string:
		l, ok := live.(string)
		if !ok || c == l || !strings.Contains(c, "_PLACEHOLDER__") {
			return ok && c == l
		}
		match, err := regexp.MatchString("^(?s:"+asFilled(c)+")$", spelled(l))
		return match && err == nil
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok || len(c) != len(l) {
			return false
		}
		for k, v := range c {
			if w, both := l[k]; !both || !likeCommitted(v, w) {
				return false
			}
		}
		return true
	case []any:
		l, ok := live.([]any)
		if !ok || len(c) != len(l) {
			return false
		}
		for i, v := range c {
			if !likeCommitted(v, l[i]) {
				return false
			}
		}
		return true
	}
	return string(fabric.Spelled(committed)) == string(fabric.Spelled(live))
}

// Kept keeps whether a schedule, a trigger or a continuous job is paused, and whether runs queue where the committed
// job says nothing of it: the tool left that to the workspace, and a job that we make has them queue.
func (w *Workspace) Kept(r fabric.Resource, before fabric.Before, live fabric.Doc) []fabric.Kept {
	var kept []fabric.Kept
	for _, by := range []string{"continuous", "schedule", "trigger"} {
		d, scheduled := r.Doc.At(by).(map[string]any)
		l, alsoLive := live.At(by).(map[string]any)
		if !scheduled || !alsoLive {
			continue
		}
		is, wanted := l["pause_status"], d["pause_status"]
		if is == nil {
			is = "UNPAUSED"
		}
		if is == wanted || wanted == nil && is == "UNPAUSED" {
			continue
		}
		k := fabric.Kept{Path: by + ".pause_status", Value: fabric.Spelled(is)}
		if wanted != nil {
			k.Over = fabric.Spelled(wanted)
		}
		kept = append(kept, k)
	}
	queued := func(d fabric.Doc) bool { on, _ := d.At("queue", "enabled").(bool); return on }
	if before.Doc.At("queue") == nil && queued(r.Doc) && !queued(live) && !r.Overlaid["queue"] && !r.Overlaid["queue.enabled"] {
		kept = append(kept, fabric.Kept{Path: "queue", Value: json.RawMessage(`{"enabled":false}`), Over: fabric.Spelled(r.Doc.At("queue"))})
	}
	return kept
}

// byName are the lists whose elements an overlay reaches by their keys.
var byName = map[string]bool{"tasks": true, "job_clusters": true}

// unpatched are the settings that the overlay of a deployment can't give a single job, each with why.
var unpatched = map[string]string{
	"name":   "an overlay renames no job",
	"run_as": "run_as of an overlay is for all jobs of the deployment",
}

// Patch says in an overlay what was edited: in the settings of the job and of its tasks by their keys, and in its
// clusters by theirs.
func (w *Workspace) Patch(k fabric.Key, before fabric.Before, live fabric.Doc, paths []string) (configs.Overlay, map[string]string) {
	var o configs.Overlay
	cant := map[string]string{}
	wanted := map[string]bool{}
	for _, p := range paths {
		top, _, _ := strings.Cut(p, ".")
		if why, ok := unpatched[top]; ok {
			cant[p] = why
			continue
		}
		wanted[p] = true
	}
	patch, unsaid := fabric.PatchOf(jobRules, before.Raw, live, wanted, byName, likeCommitted)
	for _, lost := range unsaid {
		for _, p := range paths {
			if fabric.Covers(map[string]bool{lost: true}, p) {
				cant[p] = "a task or a cluster as a whole is no patch"
			}
		}
	}
	of := func(list string) map[string]any {
		named, _ := patch[list].(map[string]any)
		delete(patch, list)
		return named
	}
	job := configs.Patch{Jobs: literal(string(k))}
	tasks := of("tasks")
	for _, key := range slices.Sorted(maps.Keys(tasks)) {
		job.Tasks = append(job.Tasks, configs.TaskPatch{Key: literal(key), Merge: tasks[key].(map[string]any)})
	}
	clusters := of("job_clusters")
	for _, key := range slices.Sorted(maps.Keys(clusters)) {
		if settings, ok := clusters[key].(map[string]any)["new_cluster"].(map[string]any); ok {
			o.JobClusters = append(o.JobClusters, configs.ClusterOverlay{Key: literal(key), Merge: settings})
		}
	}
	if len(patch) > 0 {
		job.Merge = patch
	}
	if job.Merge != nil || job.Tasks != nil {
		o.Patch = []configs.Patch{job}
	}
	return o, cant
}

// literal is a pattern that matches a name alone.
func literal(name string) string {
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune(`*?[]{}\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
