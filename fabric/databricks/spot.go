package databricks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// spot is where a value stands in a file of a repository. It is made into a text only when there is
// something to say about it: keys may be long, and many values stand below one. nil is the whole file.
type spot struct {
	above *spot
	key   string // in an object
	index int    // in a list; -1 in an object
}

func (s *spot) member(key string) *spot { return &spot{s, key, -1} }

func (s *spot) element(i int) *spot { return &spot{s, "", i} }

// spotOf is the spot of a field that a room before this one named: "request.CreateNewJobRequest".
func spotOf(field string) *spot {
	var s *spot
	for _, key := range strings.Split(field, ".") {
		s = s.member(key)
	}
	return s
}

const (
	mostLevels = 20  // of a spot that is written out; libraries stand in the sixth
	mostOfKey  = 120 // bytes of a key that is written out
)

// String is the field as people know it: "request.tasks[2].libraries[0].whl". Of a spot that lies deeper
// than any setting the last levels are shown.
func (s *spot) String() string {
	var parts []string
	for ; s != nil && len(parts) < mostLevels; s = s.above {
		if s.index >= 0 {
			parts = append(parts, fmt.Sprintf("[%d]", s.index))
			continue
		}
		parts = append(parts, "."+shorten(s.key, mostOfKey))
	}
	slices.Reverse(parts)
	return strings.TrimPrefix(strings.Join(parts, ""), ".")
}

// steps is the way to the spot, from the top of the file.
func (s *spot) steps() []*spot {
	var way []*spot
	for ; s != nil; s = s.above {
		way = append(way, s)
	}
	slices.Reverse(way)
	return way
}

// in is what stands there in a decoded file; nil where nothing does.
func (s *spot) in(v any) any {
	for _, step := range s.steps() {
		switch c := v.(type) {
		case map[string]any:
			if step.index >= 0 {
				return nil
			}
			v = c[step.key]
		case []any:
			if step.index < 0 || step.index >= len(c) {
				return nil
			}
			v = c[step.index]
		default:
			return nil
		}
	}
	return v
}

// walk calls see for each string in v, and replaces the string by what it returns. Keys of objects are
// not touched.
func walk(at *spot, v any, see func(at *spot, s string) string) any {
	switch v := v.(type) {
	case string:
		return see(at, v)
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			v[k] = walk(at.member(k), v[k], see)
		}
	case []any:
		for i, e := range v {
			v[i] = walk(at.element(i), e, see)
		}
	}
	return v
}

// shorten keeps a quotation from a repository to a length that fits a sentence.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// task is a task of a job, and where it stands.
type task struct {
	at       *spot // "request.tasks[2]"
	settings map[string]any
}

func (t task) key() string {
	key, _ := t.settings["task_key"].(string)
	return key
}

// tasksOf are all tasks of a request, which stands at at; those inside a for_each_task come after it.
func tasksOf(at *spot, request map[string]any) []task {
	var found []task
	list, _ := request["tasks"].([]any)
	for i, e := range list {
		t, _ := e.(map[string]any)
		here := at.member("tasks").element(i)
		for t != nil {
			found = append(found, task{here, t})
			loop, _ := t["for_each_task"].(map[string]any)
			t, _ = loop["task"].(map[string]any)
			here = here.member("for_each_task").member("task")
		}
	}
	return found
}

// cluster is one new_cluster, where it stands, and what people know it by.
type cluster struct {
	at       *spot
	kind     string // "cluster" of the job, or "task" whose own it is
	key      string
	settings map[string]any
}

func (c cluster) name() string { return c.kind + " " + c.key }

func clustersOf(at *spot, request map[string]any) []cluster {
	var found []cluster
	add := func(at *spot, owner map[string]any, kind, field string) {
		if c, ok := owner["new_cluster"].(map[string]any); ok {
			key, _ := owner[field].(string)
			found = append(found, cluster{at.member("new_cluster"), kind, key, c})
		}
	}
	list, _ := request["job_clusters"].([]any)
	for i, e := range list {
		c, _ := e.(map[string]any)
		add(at.member("job_clusters").element(i), c, "cluster", "job_cluster_key")
	}
	for _, t := range tasksOf(at, request) {
		add(t.at, t.settings, "task", "task_key")
	}
	return found
}
