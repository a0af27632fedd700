package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"selvage/configs"
)

// sourced is a project with one job whose tasks are given.
func sourced(tasks string, files fstest.MapFS) memTree {
	t := memTree{files: fstest.MapFS{
		"pbt_project.yml":                 {Data: []byte("name: Shop\nversion: 1\nlanguage: python\npipelines: {}\njobs: {jobs/x: {name: x, fabricUID: '1', scheduler: {Databricks: {}}}}\n")},
		"jobs/x/code/databricks-job.json": {Data: []byte(`{"request": {"name": "x", "tasks": [` + tasks + `]}}`)},
	}}
	for name, f := range files {
		t.files[name] = f
	}
	return t
}

func plainFile(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }

// TestSourceLimits: what is too large, too many, too deep, or not a file of its own blocks the job, and nothing else.
func TestSourceLimits(t *testing.T) {
	const script, dbt = `{"spark_python_task": {"python_file": "x.py"}}`, `{"dbt_task": {"project_directory": "dbt"}}`
	large := strings.Repeat("#", maxSource)
	many := func(n int) fstest.MapFS {
		files := fstest.MapFS{"dbt/dbt_project.yml": plainFile("name: x")}
		for i := range n - 1 {
			files[fmt.Sprintf("dbt/models/m%d.sql", i)] = plainFile("select 1")
		}
		return files
	}
	halves := fstest.MapFS{}
	var tasks []string
	for i := range 8 {
		halves[fmt.Sprintf("x%d.py", i)] = plainFile(large)
		tasks = append(tasks, fmt.Sprintf(`{"spark_python_task": {"python_file": "x%d.py"}}`, i))
	}
	lots := fstest.MapFS{}
	var names []string
	for i := range maxSources + 1 {
		lots[fmt.Sprintf("x%d.py", i)] = plainFile("1")
		names = append(names, fmt.Sprintf(`{"spark_python_task": {"python_file": "x%d.py"}}`, i))
	}
	for _, tt := range []struct {
		name, tasks string
		files       fstest.MapFS
		want        string // of the first reason; empty where there is none
	}{
		{"as large as may be", script, fstest.MapFS{"x.py": plainFile(large)}, ""},
		{"too large", script, fstest.MapFS{"x.py": plainFile(large + "#")}, "x.py: too large: more than 10240 KiB"},
		{"too large together", strings.Join(tasks, ","), halves, "the files that the jobs of the project name have more than 64 MiB; expected less"},
		{"too many", strings.Join(names, ","), lots, "the jobs of the project name more than 2000 files; expected less"},
		{"a link", script, fstest.MapFS{"x.py": {Data: []byte("y.py"), Mode: fs.ModeSymlink}, "y.py": plainFile("1")}, "x.py: not a file or folder of its own here"},
		{"through a link", `{"spark_python_task": {"python_file": "to/x.py"}}`, fstest.MapFS{"to": {Data: []byte("in"), Mode: fs.ModeSymlink}, "in/x.py": plainFile("1")}, "to: not a file or folder of its own here"},
		{"a submodule", script, fstest.MapFS{"x.py": {Mode: fs.ModeIrregular}}, "x.py: not a file or folder of its own here"},
		{"a folder", dbt, many(maxFolderFiles), ""},
		{"too many in a folder", dbt, many(maxFolderFiles + 1), "dbt has more than 1000 files; expected less"},
		{"too deep", dbt, fstest.MapFS{"dbt/dbt_project.yml": plainFile("1"), "dbt/" + strings.Repeat("a/", maxFolderDepth) + "x": plainFile("1")}, "dbt has more than 12 levels of folders; expected less"},
		{"a link in a folder", dbt, fstest.MapFS{"dbt/dbt_project.yml": plainFile("1"), "dbt/x": {Data: []byte("/etc"), Mode: fs.ModeSymlink}}, ""},
		{"an odd name in a folder", dbt, fstest.MapFS{"dbt/dbt_project.yml": plainFile("1"), "dbt/a\nb": plainFile("1")}, `"dbt/a\nb"; expected a plain name`},
		{"out of the project", `{"notebook_task": {"notebook_path": "a/../../x"}}`, nil, `"a/../../x" leads out of the folder of the project`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, findings, err := ReadProject(sourced(tt.tasks, tt.files), ".")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range p.Jobs[0].Blocked {
				if f.Code != configs.FileMissing || f.Next == "" {
					t.Errorf("%s: %s", f.Code, f.Text)
				}
				if got == "" {
					got = strings.TrimPrefix(f.Text, f.Code.Sentence()+": ")
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q: %v", got, tt.want, findings)
			}
			if tt.name == "a link in a folder" && len(p.Folders[0].Files) != 1 {
				t.Errorf("%+v", p.Folders)
			}
		})
	}
}

// TestSourceUnknown: a tree that can't be read is an error of the whole, wherever that shows: what it holds is not known.
func TestSourceUnknown(t *testing.T) {
	broken := errors.New("an object is missing")
	tasks := `{"notebook_task": {"notebook_path": "n/a"}}, {"dbt_task": {"project_directory": "dbt"}}, {"spark_python_task": {"python_file": "s/x.py"}}`
	files := fstest.MapFS{"n/a.py": plainFile("# Databricks notebook source\n"), "dbt/dbt_project.yml": plainFile("1"), "dbt/m/x.sql": plainFile("1"), "s/x.py": plainFile("1")}
	if _, findings, err := ReadProject(sourced(tasks, files), "."); err != nil || len(findings) > 0 {
		t.Fatal(err, findings)
	}
	for _, at := range []string{"n", "n/a", "n/a.py", "n/a.sql", "dbt", "dbt/m", "dbt/m/x.sql", "s", "s/x.py"} {
		tree := sourced(tasks, files)
		tree.broken = map[string]error{at: broken}
		if _, _, err := ReadProject(tree, "."); !errors.Is(err, broken) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// The content of what is named is in the store, under the digest that the release says, and is the commit's.
func TestSourcesAreKept(t *testing.T) {
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tree := sourced(`{"notebook_task": {"notebook_path": "a"}}, {"dbt_task": {"project_directory": "dbt"}}`, fstest.MapFS{
		"a.py": plainFile("# Databricks notebook source\n# MAGIC %sh curl https://app.prophecy.io\n"), "dbt/dbt_project.yml": plainFile("name: x\n"), "dbt/m.sql": plainFile("select 1\n")})
	b := NewBuilder(store, t.TempDir(), nil)
	r, findings, err := b.Build(t.Context(), Source{Tree: tree, Project: "shop", Root: ".", Commit: "c", Isolation: []string{"*.prophecy.io"}})
	if err != nil || len(findings) > 0 {
		t.Fatal(err, findings)
	}
	kept := map[string]string{}
	for _, a := range r.Artifacts {
		content, err := store.Read(a.SHA256)
		if err != nil || a.Kind != "file" || int64(len(content)) != a.Size {
			t.Errorf("%+v: %v", a, err)
		}
		kept[a.Name] = string(content)
	}
	for _, name := range []string{"a.py", "dbt/dbt_project.yml", "dbt/m.sql"} {
		if kept[name[strings.LastIndexByte(name, '/')+1:]] != string(tree.files[name].Data) {
			t.Errorf("%s: %q", name, kept)
		}
	}
	if calls := r.FileAt("a", UseNotebook).Calls; len(calls) != 1 || calls[0].Line != 2 {
		t.Errorf("%v", calls)
	}
	digest := r.Folders[0].Digest
	tree.files["dbt/n.sql"], tree.files["dbt/m.sql"] = tree.files["dbt/m.sql"], plainFile("select 2\n")
	r, _, err = b.Build(t.Context(), Source{Tree: tree, Project: "shop", Root: ".", Commit: "c"})
	if err != nil || r.Folders[0].Digest == digest || len(r.Folders[0].Files) != 3 {
		t.Errorf("%v: %+v", err, r.Folders)
	}
}

func TestNotebookIn(t *testing.T) {
	const py = "# Databricks notebook source"
	for _, tt := range []struct{ name, content, want string }{
		{"a.py", py, "PYTHON"}, {"a.py", py + "\r\nx", "PYTHON"}, {"a.py", "\uFEFF" + py + "\nx", "PYTHON"}, {"a.py", py + " \nx", "PYTHON"},
		{"a.py", "\n" + py, ""}, {"a.py", py + "s\n", ""}, {"a.py", "", ""}, {"a.sql", py, ""}, {"a.sql", "-- Databricks notebook source\n", "SQL"},
		{"a.scala", "// Databricks notebook source\n", "SCALA"}, {"a.r", py, "R"}, {"a.R", py, "R"}, {"a", py, ""}, {"a.txt", py, ""},
		{"a.ipynb", `{"cells":[],"nbformat":4}`, "JUPYTER"}, {"a.ipynb", `{"cells":[]}`, ""}, {"a.ipynb", `[]`, ""}, {"a.ipynb", `{"cells":[],"nbformat":4}}`, ""},
	} {
		if got := notebookIn(tt.name, []byte(tt.content)); got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.name, tt.content, got, tt.want)
		}
	}
}
