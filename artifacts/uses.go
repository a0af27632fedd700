package artifacts

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// UseKind is what a job takes a file of the repository for.
type UseKind int

const (
	UseFile         UseKind = iota // a script or a file of SQL
	UseNotebook                    // may be named without its ending
	UseFolder                      // a dbt project
	UseRequirements                // a list of packages for pip
)

// Use is a place in the settings of a job that names a file of the repository, or a folder, by its path there.
type Use struct {
	Field string // below the settings: "tasks[0].notebook_task.notebook_path"
	Kind  UseKind
	Path  string // clean, relative to the folder of the project; "." for that folder
	Why   string // what is wrong with it; empty where nothing is
	// Put puts another path in place of it.
	Put func(string)
}

// Uses finds all uses in the settings of a job, in their order, as long as they are in the form of the Jobs API. A
// path is one of the repository when it is relative and what it stands in is not read from git by the run itself.
// Everything else, as /Workspace/..., /Volumes/..., dbfs:/... and s3://..., is a path of the fabric.
func Uses(settings map[string]any) []Use {
	u := useFinder{git: settings["git_source"] != nil}
	list, _ := settings["tasks"].([]any)
	for i, e := range list {
		t, _ := e.(map[string]any)
		at := fmt.Sprintf("tasks[%d]", i)
		for t != nil {
			u.task(at, t)
			loop, _ := t["for_each_task"].(map[string]any)
			t, _ = loop["task"].(map[string]any)
			at += ".for_each_task.task"
		}
	}
	environments, _ := settings["environments"].([]any)
	for i, e := range environments {
		of, _ := e.(map[string]any)
		spec, _ := of["spec"].(map[string]any)
		dependencies, _ := spec["dependencies"].([]any)
		for k, d := range dependencies {
			text, _ := d.(string)
			option, file, ok := strings.Cut(text, " ")
			if file = strings.TrimSpace(file); !ok || option != "-r" && option != "--requirement" || u.git {
				continue
			}
			u.add(fmt.Sprintf("environments[%d].spec.dependencies[%d]", i, k), UseRequirements, file, func(p string) {
				dependencies[k] = option + " " + p
			})
		}
	}
	return u.found
}

// useFinder gathers the uses of one job.
type useFinder struct {
	git   bool // the job has a git_source
	found []Use
}

// sources are the fields of a task's parts that name files; each beside the field source, which says where from.
var sources = []struct {
	part  []string
	field string
	kind  UseKind
}{
	{[]string{"notebook_task"}, "notebook_path", UseNotebook},
	{[]string{"spark_python_task"}, "python_file", UseFile},
	{[]string{"sql_task", "file"}, "path", UseFile},
	{[]string{"dbt_task"}, "project_directory", UseFolder},
}

func (u *useFinder) task(at string, t map[string]any) {
	for _, s := range sources {
		of := t
		for _, key := range s.part {
			of, _ = of[key].(map[string]any)
		}
		text, _ := of[s.field].(string)
		if from, _ := of["source"].(string); from == "GIT" || from == "" && u.git {
			continue
		}
		u.add(at+"."+strings.Join(s.part, ".")+"."+s.field, s.kind, text, func(p string) { of[s.field] = p })
	}
	libraries, _ := t["libraries"].([]any)
	for i, e := range libraries {
		l, _ := e.(map[string]any)
		if text, ok := l["requirements"].(string); ok && !u.git {
			u.add(fmt.Sprintf("%s.libraries[%d].requirements", at, i), UseRequirements, text, func(p string) { l["requirements"] = p })
		}
	}
}

// ofFabric is the beginning of a path or an address that is not one of the repository; filled is in a path that is
// made up when the job is deployed or when it runs.
var (
	ofFabric = regexp.MustCompile(`^(?:/|\\|~|[A-Za-z][A-Za-z0-9+.-]*:)`)
	filled   = regexp.MustCompile(`_PLACEHOLDER__|\{\{|\$\{`)
)

func (u *useFinder) add(field string, kind UseKind, p string, put func(string)) {
	if p == "" || ofFabric.MatchString(p) || filled.MatchString(p) {
		return
	}
	use := Use{Field: field, Kind: kind, Path: path.Clean(p), Put: put}
	switch {
	case len(p) > maxPath || strings.ContainsAny(p, "\\") || !printable(p):
		use.Why = fmt.Sprintf("%q; expected the path of a file of the project", shorten(p))
	case use.Path == ".." || strings.HasPrefix(use.Path, "../"):
		use.Why = fmt.Sprintf("%q leads out of the folder of the project", shorten(p))
	case use.Path == "." && kind != UseFolder:
		use.Why = fmt.Sprintf("%q is the folder of the project; expected a file", shorten(p))
	}
	u.found = append(u.found, use)
}
