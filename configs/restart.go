package configs

import (
	"slices"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/goccy/go-yaml/ast"
)

// Restart says which jobs pick an update up at once: their active runs are ended, and others begin with the new definition.
// The zero value is none: a run that is active goes on to its end.
type Restart struct {
	Continuous bool     `json:"continuous,omitzero"` // all jobs that run continuously
	Jobs       []string `json:"jobs,omitzero"`       // doublestar patterns over the keys of jobs, whatever starts them
}

// Of reports that a pattern names the job of a key.
func (r Restart) Of(key string) bool {
	return slices.ContainsFunc(r.Jobs, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, key) })
}

// onChange is the only word that a restart knows.
const onChange = "on_change"

// restart reads on_change, for all continuous jobs, or a mapping from patterns over jobs to it.
func (l *loader) restart(v value) Restart {
	word := func(v value) bool {
		t, ok := l.text(v, false)
		if ok && t.text != onChange {
			l.bad(t.at, "write "+onChange+", or remove it", "%s: %s is not when jobs are restarted", t.path, t.quoted())
		}
		return ok && t.text == onChange
	}
	if _, ok := v.node.(ast.MapNode); !ok {
		return Restart{Continuous: word(v)}
	}
	m, ok := l.some(v)
	if !ok {
		return Restart{}
	}
	var r Restart
	for _, pattern := range m.order {
		child := m.values[pattern]
		key := text{value: value{path: child.path, node: child.node, at: child.key, key: child.key}, text: pattern, raw: pattern}
		if l.jobPattern(key) && word(child) {
			r.Jobs = append(r.Jobs, pattern)
		}
	}
	return r
}
