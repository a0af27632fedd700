package artifacts

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"selvage/configs"
)

// jobReference is a run_job_task that names a job of the project.
type jobReference struct{ from, field, to string }

// references checks that every job that another one runs is in the project, and that no chain of
// them leads back to its start: none of such jobs could be created first.
//
// What is neither the key of a job of the project nor its name names one on the fabric, unless it looks like a key.
func (r *reader) references() {
	jobs, named := map[string]*Job{}, map[string][]string{}
	for i := range r.project.Jobs {
		j := &r.project.Jobs[i]
		jobs[j.Key] = j
		named[j.Name] = append(named[j.Name], j.Key)
	}
	for i, ref := range r.runs {
		if keys := named[ref.to]; jobs[ref.to] == nil && len(keys) == 1 {
			r.runs[i].to = keys[0]
		}
	}
	for _, j := range jobs {
		for i, to := range j.Runs {
			if keys := named[to]; jobs[to] == nil && len(keys) == 1 {
				j.Runs[i] = keys[0]
			}
		}
		slices.Sort(j.Runs)
		j.Runs = slices.Compact(j.Runs)
	}
	circle := circles(jobs)
	for _, ref := range r.runs {
		j := jobs[ref.from]
		switch {
		case len(named[ref.to]) > 1 && jobs[ref.to] == nil:
			j.block(configs.ReferenceAmbiguous, ref.field, fmt.Sprintf("%q is the name of %d jobs of this project; write the key of one", shorten(ref.to), len(named[ref.to])))
		case jobs[ref.to] == nil && strings.HasPrefix(ref.to, "jobs/"):
			j.block(configs.ReferenceMissing, ref.field, fmt.Sprintf("%q is no job of this project", shorten(ref.to)))
		case jobs[ref.to] == nil: // on the fabric
		case circle[ref.to] == circle[ref.from]:
			j.block(configs.ReferenceCycle, ref.field, fmt.Sprintf("%s runs %s in the end, so neither can come first", ref.to, ref.from))
		}
	}
}

// circles gives each job a number, the same for two jobs that run each other in the end. These are
// the strongly connected components of Runs (R. Tarjan, 1972); time is linear in the references.
func circles(jobs map[string]*Job) map[string]int {
	circle, order, low := map[string]int{}, map[string]int{}, map[string]int{}
	var open []string
	var enter func(key string)
	enter = func(key string) {
		order[key] = len(order) + 1
		low[key] = order[key]
		open = append(open, key)
		for _, next := range jobs[key].Runs {
			switch {
			case jobs[next] == nil:
			case order[next] == 0:
				enter(next)
				low[key] = min(low[key], low[next])
			case circle[next] == 0:
				low[key] = min(low[key], order[next])
			}
		}
		for low[key] == order[key] && circle[key] == 0 {
			last := open[len(open)-1]
			open = open[:len(open)-1]
			circle[last] = order[key]
		}
	}
	for _, key := range slices.Sorted(maps.Keys(jobs)) {
		if order[key] == 0 {
			enter(key)
		}
	}
	return circle
}

// fieldPath is where a value stands in a document. It is made into a text only when there is something to
// say about it: keys may be long, and many values stand below one.
type fieldPath struct {
	parent *fieldPath
	key    string // in an object
	list   bool   // in a list, at index
	index  int
}

func (p *fieldPath) String() string {
	var parts []string
	for ; p != nil; p = p.parent {
		if p.list {
			parts = append(parts, fmt.Sprintf("[%d]", p.index))
			continue
		}
		parts = append(parts, "."+shorten(p.key))
	}
	const most = 20 // levels; tasks and libraries stand in the sixth
	parts = parts[max(0, len(parts)-most):]
	slices.Reverse(parts)
	return strings.TrimPrefix(strings.Join(parts, ""), ".")
}

// shape is where it stands below the request, as configs.RefKind takes it; the keys above do not count.
func (p *fieldPath) shape() string {
	var parts []string
	for ; p != nil && p.key != "request" && p.key != "request.CreateNewJobRequest"; p = p.parent {
		if p.list {
			parts = append(parts, "[]")
			continue
		}
		parts = append(parts, "."+shorten(p.key))
	}
	slices.Reverse(parts)
	return strings.TrimPrefix(strings.Join(parts, ""), ".")
}

// visit calls see for v and everything in it, in a fixed order.
func visit(v any, at *fieldPath, see func(at *fieldPath, v any)) {
	see(at, v)
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			visit(v[key], &fieldPath{parent: at, key: key}, see)
		}
	case []any:
		for i, item := range v {
			visit(item, &fieldPath{parent: at, list: true, index: i}, see)
		}
	}
}
