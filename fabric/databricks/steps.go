package databricks

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"

	"selvage/fabric"
)

// Steps makes one step for each change and one for each artifact to upload: artifacts before the jobs
// that name them, jobs before those that refer to them and before their access lists, deletions after everything else.
func (w *Workspace) Steps(changes []fabric.Change) []fabric.Step {
	var steps []fabric.Step
	uploads := map[string]string{} // path -> step
	named := map[string]bool{}     // steps that upload
	creates := map[fabric.Key]string{}
	sent := map[fabric.Key]string{} // jobs, to their steps
	var before []string             // what deletions wait for
	for _, c := range changes {
		if c.Action == fabric.Create {
			creates[c.Key] = stepID(c)
		}
		if !c.Action.Sends() {
			continue
		}
		if c.Kind == Job {
			sent[c.Key] = stepID(c)
		}
		for _, b := range c.Blobs {
			if _, ok := uploads[b.Path]; ok {
				continue
			}
			id := uploadID(b.Path)
			if named[id] { // the same bytes in two places
				id = "upload " + b.Path
			}
			named[id] = true
			uploads[b.Path] = id
			steps = append(steps, fabric.Step{ID: id, Blobs: []fabric.Blob{b}})
			before = append(before, id)
		}
	}
	var deletes []fabric.Change
	for _, c := range changes {
		if c.Action == fabric.Delete {
			deletes = append(deletes, c)
			continue
		}
		s := fabric.Step{ID: stepID(c), Changes: []fabric.Change{c}}
		if of, attached := c.Key.AttachedTo(c.Kind); attached && sent[of] != "" {
			s.After = append(s.After, sent[of])
		}
		if c.Action.Sends() {
			for _, b := range c.Blobs {
				s.After = append(s.After, uploads[b.Path])
			}
			for _, k := range c.Needs {
				if id, ok := creates[k]; ok && id != s.ID && !slices.Contains(s.After, id) {
					s.After = append(s.After, id)
				}
			}
		}
		steps = append(steps, s)
		before = append(before, s.ID)
	}
	return append(steps, deletions(deletes, before)...)
}

// digestFolder is a folder that is named by what it holds, and what lies in it: of two with one file in common each
// has its own.
var digestFolder = regexp.MustCompile(`/([0-9a-f]{12})[0-9a-f]{52}(/.*)$`)

func uploadID(p string) string {
	if m := digestFolder.FindStringSubmatch(p); m != nil {
		return "upload " + m[1] + m[2]
	}
	folder := path.Base(path.Dir(p))
	return "upload " + folder[:min(12, len(folder))] + "/" + path.Base(p)
}

func stepID(c fabric.Change) string { return string(c.Action) + " " + string(c.Key) }

// deletions orders them so that a job that runs another one goes before it. Live jobs may refer to
// each other in a circle; some order is as good as any other there.
func deletions(changes []fabric.Change, before []string) []fabric.Step {
	byID := map[string]fabric.Change{}
	for _, c := range changes {
		byID[c.ID] = c
	}
	const visiting, visited = 1, 2
	state := map[string]int{}
	after := map[string][]string{} // id -> steps
	var visit func(c fabric.Change)
	visit = func(c fabric.Change) {
		state[c.ID] = visiting
		for _, id := range runs(c.Live) {
			target, ok := byID[id]
			if !ok || state[id] == visiting {
				continue
			}
			after[id] = append(after[id], stepID(c))
			if state[id] == 0 {
				visit(target)
			}
		}
		state[c.ID] = visited
	}
	for _, c := range changes {
		if state[c.ID] == 0 {
			visit(c)
		}
	}
	var steps []fabric.Step
	for _, c := range changes {
		steps = append(steps, fabric.Step{ID: stepID(c), Changes: []fabric.Change{c}, After: append(slices.Clone(before), after[c.ID]...)})
	}
	return steps
}

// runs are the ids of the jobs that a live job runs, each once.
func runs(d fabric.Doc) []string {
	var ids []string
	for _, t := range tasksOf(nil, d.Object()) {
		run, _ := t.settings["run_job_task"].(map[string]any)
		if id, ok := run["job_id"].(json.Number); ok && !slices.Contains(ids, id.String()) {
			ids = append(ids, id.String())
		}
	}
	return ids
}
