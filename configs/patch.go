package configs

import "slices"

// notPatched are settings of a job that no patch may touch, each with why and what to do instead.
var notPatched = []struct{ key, why, next string }{
	{"name", "the log and the look for other jobs of the same name go by it", "rename the job in its project"},
	{"job_id", "it says which job it is", "remove it"},
	{"run_as", "an overlay has a key of its own for it", "write run_as in the overlay"},
	{"job_clusters", "the list would be replaced as a whole", "write job_clusters in the overlay, which merges by the keys of the clusters"},
}

// patch reads what is merged into jobs and tasks, both found by patterns over their keys:
//
//	"jobs/daily_*": {max_concurrent_runs: 1, tasks: {"clean*": {max_retries: 2}}}
func (l *loader) patch(v value, o *Overlay) {
	m, ok := l.some(v)
	if !ok {
		return
	}
	for _, key := range m.order {
		child := m.values[key]
		l.jobPattern(text{value: value{path: v.path, at: child.key}, text: key, raw: key})
		if p, ok := l.jobPatch(child); ok {
			p.Jobs = key
			o.Patch = append(o.Patch, p)
		}
	}
}

func (l *loader) jobPatch(v value) (Patch, bool) {
	m, ok := l.keys(v)
	if !ok {
		return Patch{}, false
	}
	if len(m.values) == 0 && !m.flawed {
		l.bad(v.start(), "name the settings that change, or remove it", "%s changes nothing", v.path)
	}
	var p Patch
	if tasks, ok := m.take("tasks"); ok {
		p.Tasks = l.taskPatches(tasks)
	}
	for _, n := range notPatched {
		if field, ok := m.take(n.key); ok {
			l.bad(field.key, n.next, "%s can't be patched: %s", field.path, n.why)
		}
	}
	merge, ok := l.fields(m, 1)
	for _, key := range m.order {
		l.references(m.values[key], key)
	}
	l.patchedAccess(m, merge)
	if tags, given := merge["tags"]; ok && given {
		l.patchedTags(m.values["tags"], tags)
	}
	if len(merge) > 0 {
		p.Merge = merge
	}
	return p, ok
}

// take returns a value and takes its key out of the mapping.
func (m *mapping) take(key string) (value, bool) {
	v, ok := m.values[key]
	if ok {
		delete(m.values, key)
		m.order = slices.DeleteFunc(m.order, func(k string) bool { return k == key })
	}
	return v, ok
}

// patchedAccess refuses what is no access list. One replaces the committed list as a whole; null takes it away, so that
// the live one stays as it is.
func (l *loader) patchedAccess(m *mapping, merge map[string]any) {
	const key = "access_control_list"
	v, given := merge[key]
	if _, isList := v.([]any); given && v != nil && !isList {
		l.bad(m.values[key].key, "write the whole list, which replaces the committed one, or null to leave the live one as it is", "%s wants a list", m.values[key].path)
	}
}

// patchedTags refuses what would take the marks off a job.
func (l *loader) patchedTags(v value, tags any) {
	m, ok := tags.(map[string]any)
	if !ok {
		l.bad(v.key, "write the tags that change as key: value, with null for those to remove", "%s wants a mapping: a job needs its tags of selvage", v.path)
	}
	for name := range m {
		if ownTag(name) {
			l.bad(v.key, "name it otherwise", "%s: tags that begin with %s mark what selvage owns", v.path, ownTags)
			return
		}
	}
}

func (l *loader) taskPatches(v value) (patches []TaskPatch) {
	m, ok := l.some(v)
	if !ok {
		return nil
	}
	for _, key := range m.order {
		child := m.values[key]
		l.pattern(value{path: v.path, at: child.key}, key)
		merge, ok := l.merge(child)
		if !ok {
			continue
		}
		l.references(child, "tasks[]")
		each, _ := merge["for_each_task"].(map[string]any)
		inner, _ := each["task"].(map[string]any)
		for _, settings := range []map[string]any{merge, inner} {
			if _, ok := settings["task_key"]; ok {
				l.bad(child.key, "rename the task in its project", "%s: task_key can't be patched: other tasks and the patterns here go by it", child.path)
			}
		}
		patches = append(patches, TaskPatch{Key: key, Merge: merge})
	}
	return patches
}
