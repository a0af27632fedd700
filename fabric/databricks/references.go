package databricks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// link puts a fabric.Ref in place of each {"job": "jobs/x"} that stands where the id of a job belongs.
func (n *rendering) link(d *draft) {
	for _, t := range tasksOf(d.at, d.request) {
		run, _ := t.settings["run_job_task"].(map[string]any)
		named, ok := run["job_id"].(map[string]any)
		if !ok {
			continue
		}
		field := t.at.member("run_job_task").member("job_id")
		name, ok := named["job"].(string)
		if !ok || len(named) != 1 {
			d.block(configs.JobBroken, field, `expected the number of a job or {"job": "jobs/NAME"}`)
			continue
		}
		key, why := n.named(name)
		if why != "" {
			d.block(configs.ReferenceMissing, field, why)
			continue
		}
		run["job_id"] = fabric.Ref{Kind: Job, Key: key}
		if !slices.Contains(d.Needs, key) {
			d.Needs = append(d.Needs, key)
		}
	}
	slices.Sort(d.Needs)
}

// named finds a job of the release by its key, or by a name that only one has.
func (n *rendering) named(name string) (key fabric.Key, why string) {
	for _, keys := range n.names {
		if slices.Contains(keys, fabric.Key(name)) {
			return fabric.Key(name), ""
		}
	}
	switch keys := n.names[name]; {
	case len(keys) == 1 && name != "":
		return keys[0], ""
	case len(keys) == 0 || name == "":
		return "", fmt.Sprintf("%q is no job of this project", name)
	default:
		return "", fmt.Sprintf("%q is the name of %d jobs; write the key of one", name, len(keys))
	}
}

// references blocks what refers in a circle, and what refers to a job that will not be there.
func (n *rendering) references() {
	keys := slices.Sorted(maps.Keys(n.drafts))
	for _, k := range keys {
		if d := n.drafts[k]; n.reaches(k) {
			d.block(configs.ReferenceCycle, nil, fmt.Sprintf("%s needs %s", k, strings.Join(texts(d.Needs), ", ")))
		}
	}
	for again := true; again; {
		again = false
		for _, k := range keys {
			d := n.drafts[k]
			for _, need := range d.Needs {
				to := n.drafts[need]
				switch {
				case d.blocked != nil:
				case to.unselected != "":
					d.block(configs.ReferenceUnselected, nil, fmt.Sprintf("%s: %s", need, to.unselected))
					again = true
				case to.blocked != nil:
					d.block(configs.ReferenceBlocked, nil, fmt.Sprintf("%s: %s", need, to.blocked.Text))
					again = true
				}
			}
		}
	}
}

// reaches reports that a job needs itself, directly or through others.
func (n *rendering) reaches(start fabric.Key) bool {
	seen := map[fabric.Key]bool{}
	next := slices.Clone(n.drafts[start].Needs)
	for len(next) > 0 {
		k := next[len(next)-1]
		next = next[:len(next)-1]
		if k == start {
			return true
		}
		if !seen[k] {
			seen[k] = true
			next = append(next, n.drafts[k].Needs...)
		}
	}
	return false
}

func texts(keys []fabric.Key) []string {
	s := make([]string, len(keys))
	for i, k := range keys {
		s[i] = string(k)
	}
	return s
}
