package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"selvage/configs"
)

// Each file of testdata/projects is a repository with one oddity, and what is said of it.
func TestReadProjectOddities(t *testing.T) {
	files, err := filepath.Glob("testdata/projects/*.txtar")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tree := memTree{files: fstest.MapFS{}}
			want := "\x00"
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				tree.files[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
			}
			got := describe(ReadProject(tree, "."))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// describe prints what ReadProject returned, for people.
func describe(p *Project, findings []configs.Finding, err error) string {
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "project %q version %q language %q\n", p.Name, p.Version, p.Language)
	for _, x := range p.Pipelines {
		state := "can be built"
		if x.Tree == "" {
			state = "can't be built"
		}
		fmt.Fprintf(&b, "%s (%s, %s, configurations %q): %s\n", x.Key, x.Name, x.Language, x.Instances, state)
	}
	for _, j := range p.Jobs {
		enabled := "never enabled"
		if j.Enabled != nil {
			enabled = fmt.Sprintf("enabled %v", *j.Enabled)
		}
		state := "can be deployed"
		if len(j.Blocked) > 0 {
			state = fmt.Sprintf("left out, %d reasons", len(j.Blocked))
		}
		fmt.Fprintf(&b, "%s (%q, fabric %q, %s) pipelines %q runs %q: %s\n", j.Key, j.Name, j.FabricUID, enabled, j.Pipelines, j.Runs, state)
		for _, c := range j.Components {
			switch {
			case c.Subscribed != nil:
				fmt.Fprintf(&b, "    subscribes to %s (%+v)\n", c.Subscribed.Key(), *c.Subscribed)
			case c.Kind == DBTComponent:
				fmt.Fprintf(&b, "    %s %s: %d bytes at %s, profile of %d bytes at %s, secret %s/%s\n", c.Kind, c.NodeName, len(c.Content), c.Path, len(c.ProfileContent), c.ProfilePath, j.SecretScope, c.SecretKey)
			case c.Kind != PipelineComponent:
				fmt.Fprintf(&b, "    %s %s: %d bytes at %q\n", c.Kind, c.NodeName, len(c.Content), c.Path)
			}
		}
	}
	for _, c := range p.Configurations {
		state := fmt.Sprintf("%d bytes", len(c.Content))
		if c.Blocked != nil {
			state = "not known"
		}
		fmt.Fprintf(&b, "%s of %s in %s: %s\n", c.Name, c.Owner, c.File, state)
	}
	for _, f := range p.Files {
		fmt.Fprintf(&b, "file %s, %d bytes, notebook %q\n", f.Path, f.Size, f.Notebook)
	}
	for _, d := range p.Folders {
		fmt.Fprintf(&b, "folder %s\n", d.Path)
		for _, f := range d.Files {
			fmt.Fprintf(&b, "    %s, %d bytes, notebook %q\n", f.Path, f.Size, f.Notebook)
		}
	}
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s\n    at %s\n    %s\n", f.Level(), f.Code, f.Subject, f.Text)
	}
	return b.String()
}

func TestReadProjectHello(t *testing.T) {
	for _, root := range []string{".", "data/hello"} {
		p, findings, err := ReadProject(helloTree(t, root), root)
		if err != nil {
			t.Fatal(err)
		}
		if len(findings) > 0 {
			t.Errorf("in %s: findings %v", root, findings)
		}
		got := describe(p, nil, nil)
		want := `project "HelloSelvage" version "1.0.0" language "python"
pipelines/clean_orders (clean_orders, python, configurations ["default" "dev" "prod"]): can be built
pipelines/customer_report (customer_report, python, configurations ["default" "dev" "prod"]): can be built
pipelines/ingest_orders (ingest_orders, python, configurations ["default" "dev" "prod"]): can be built
pipelines/revenue_by_day (revenue_by_day, python, configurations ["default" "dev" "prod"]): can be built
jobs/customer_report ("customer_report", fabric "1174", enabled false) pipelines ["pipelines/customer_report"] runs []: can be deployed
jobs/daily_revenue ("daily_revenue", fabric "1174", enabled false) pipelines ["pipelines/clean_orders" "pipelines/ingest_orders" "pipelines/revenue_by_day"] runs []: can be deployed
jobs/month_end ("month_end", fabric "1174", never enabled) pipelines ["pipelines/customer_report"] runs ["jobs/daily_revenue"]: can be deployed
`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in %s (-want +got):\n%s", root, diff)
		}
	}
}

// The definition is kept byte by byte: what is reviewed is what is rendered.
func TestReadProjectKeepsBytes(t *testing.T) {
	tree := helloTree(t, ".")
	p, _, err := ReadProject(tree, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range p.Jobs {
		if string(j.Raw) != string(tree.files[j.File].Data) || j.Digest != hexDigest(j.Raw) {
			t.Errorf("%s: Raw is not %s, or Digest not its digest", j.Key, j.File)
		}
	}
}

// What could not be read is unknown. No job and no pipeline disappears because of it.
func TestReadProjectUnknown(t *testing.T) {
	lost := errors.New("object not found")
	for _, name := range []string{
		"pbt_project.yml", "jobs", "pipelines", "jobs/daily_revenue",
		"jobs/daily_revenue/code/databricks-job.json",
		"pipelines/clean_orders/code",
		"pipelines/clean_orders/code/configs/resources/config",
	} {
		if p, _, err := ReadProject(helloTree(t, ".").failing(name, lost), "."); !errors.Is(err, lost) {
			t.Errorf("with %s lost: %+v, %v", name, p, err)
		}
	}
}

func TestReadProjectRoots(t *testing.T) {
	tree := helloTree(t, "prophecy")
	for root, want := range map[string]string{
		"":            "not a project: pbt_project.yml is not in this commit; name the folder that holds it with path",
		"nowhere":     "not a project: nowhere/pbt_project.yml is not in this commit; name the folder that holds it with path",
		"../prophecy": `not a project: "../prophecy" is not a folder of the repository; give the folder of pbt_project.yml relative to its root`,
		"/prophecy":   `not a project: "/prophecy" is not a folder of the repository; give the folder of pbt_project.yml relative to its root`,
	} {
		_, _, err := ReadProject(tree, root)
		if !errors.Is(err, ErrNotProject) || err.Error() != want {
			t.Errorf("root %q: %v", root, err)
		}
	}
	if p, _, err := ReadProject(tree, "./prophecy/"); err != nil || p.Path != "prophecy" {
		t.Errorf("./prophecy/: %+v, %v", p, err)
	}
}

// What stands where a file belongs may also be huge, a folder or a symlink.
func TestReadProjectOddFiles(t *testing.T) {
	const job = "jobs/daily_revenue/code/databricks-job.json"
	blocked := func(tree memTree) string {
		p, _, err := ReadProject(tree, ".")
		if err != nil {
			return "error: " + err.Error()
		}
		for _, j := range p.Jobs {
			if j.Key == "jobs/daily_revenue" && len(j.Blocked) == 1 {
				return j.Blocked[0].Text
			}
		}
		return "not blocked"
	}
	const broken = "the job's definition can't be understood: its live job stays as it is: "
	tree := helloTree(t, ".")
	link := func(name string) memTree {
		linked := tree
		for _, file := range tree.names() {
			if file == name || strings.HasPrefix(file, name+"/") {
				linked = linked.with(file)
			}
		}
		linked = linked.with(name, "../../../../etc/passwd")
		linked.files[name].Mode = fs.ModeSymlink | 0o777
		return linked
	}
	for _, c := range []struct {
		name, want string
		tree       memTree
	}{
		{"huge job", broken + job + ": too large: more than 8192 KiB", tree.with(job, strings.Repeat(" ", maxJob+1))},
		{"folder for a job", broken + job + ": not a file or folder of its own here", tree.with(job).with(job+"/x", "x")},
		{"symlink for a job", broken + job + ": not a file or folder of its own here", link(job)},
		{"symlink for its folder", broken + "jobs/daily_revenue: not a file or folder of its own here", link("jobs/daily_revenue")},
		{"symlink for all jobs", broken + "jobs: not a file or folder of its own here", link("jobs")},
		{"file for its folder", broken + "jobs/daily_revenue/code: not a file or folder of its own here", tree.with(job).with("jobs/daily_revenue/code", "x").with("jobs/daily_revenue/code/prophecy-job.json")},
		{"symlink for a pipeline", "the job names a pipeline that is not there: its live job stays as it is: pipelines/clean_orders/code/setup.py is not in this commit", link("pipelines/clean_orders/code")},
		{"symlink for a setup.py", "the job names a pipeline that is not there: its live job stays as it is: pipelines/clean_orders/code/setup.py is not in this commit", link("pipelines/clean_orders/code/setup.py")},
		{"symlink for configurations", "not blocked", link("pipelines/clean_orders/code/configs/resources/config")},
		{"symlink for the yml", "error: read pbt_project.yml: pbt_project.yml: not a file or folder of its own here", link(ProjectFile)},
		{"bytes", broken + "line 2, column 3: not UTF-8", tree.with(job, "{\n \"\xff\": 1}")},
		{"cut off", broken + "line 1, column 14: the file ends too early", tree.with(job, `{"request": {`)},
		{"merge conflict", broken + "line 2: a merge conflict that nobody resolved", tree.with(job, "{\n<<<<<<< HEAD\n}")},
		{"deep", broken + "line 1, column 10001: invalid character '[' exceeded max depth", tree.with(job, strings.Repeat("[", 20000))},
		{"huge yml", "error: read pbt_project.yml: pbt_project.yml: too large: more than 2048 KiB", tree.with(ProjectFile, strings.Repeat("#", maxYML+1))},
		{"deep yml", "error: pbt_project.yml:1: nested deeper than 100; mend the file in git and push again", tree.with(ProjectFile, "a: "+strings.Repeat("[", 101))},
		{"row of dashes", "error: pbt_project.yml:1: nested deeper than 100; mend the file in git and push again", tree.with(ProjectFile, strings.Repeat("- ", 101))},
		{"many keys", "error: pbt_project.yml:3002: more than 3000 keys in one mapping; mend the file in git and push again", tree.with(ProjectFile, "jobs:\n", manyKeys(3001))},
		{"many large mappings", "error: pbt_project.yml:7415: too many large mappings; mend the file in git and push again", tree.with(ProjectFile, "a:\n", manyKeys(3000), "b:\n", manyKeys(3000), "c:\n", manyKeys(3000))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := blocked(c.tree); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A definition made to say as much as possible is answered in a few sentences, and soon: places are
// written out only for what is said.
func TestReadProjectManyFaults(t *testing.T) {
	const job = "jobs/daily_revenue/code/databricks-job.json"
	library := `"/prophecy/artifacts/x.whl",`
	profile := strings.Repeat("- token: {{ 'x' }}\\n", maxProfile/20)
	for name, definition := range map[string]string{
		"profiles":   `{"components": [` + strings.Repeat(`{"DBTComponent": {"content": "", "path": "/a/b", "profilePath": "/a/c", "profileContent": "p:\n`+profile+`"}},`, 64) + `7], "request": {"name": "x"}}`,
		"components": `{"components": [` + strings.Repeat("7,", 1<<16) + `7], "request": {"name": "x"}}`,
		"long key":   `{"request": {"name": "x", "` + strings.Repeat("k", 1<<20) + `": [` + strings.Repeat(library, 1<<14) + `7]}}`,
		"deep keys":  `{"request": {"name": "x", "a": ` + strings.Repeat(`{"`+strings.Repeat("k", 100)+`": `, 9000) + `1` + strings.Repeat("}", 9000) + `}}`,
		"references": `{"request": {"name": "x", "tasks": [` + strings.Repeat(`{"run_job_task": {"job_id": {"job": "jobs/daily_revenue"}}},`, 1<<12) + `7]}}`,
	} {
		p, findings, err := ReadProject(helloTree(t, ".").with(job, definition), ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range p.Jobs {
			if len(j.Blocked) > maxReasons {
				t.Errorf("%s: %d reasons", name, len(j.Blocked))
			}
			if len(j.Blocked) == maxReasons && !strings.HasSuffix(j.Blocked[maxReasons-1].Text, "; there is more, mend these first") {
				t.Errorf("%s: the last reason does not say that there are more: %s", name, j.Blocked[maxReasons-1].Text)
			}
		}
		for _, f := range findings {
			if len(f.Text)+len(f.Subject) > 4000 {
				t.Errorf("%s: a finding of %d bytes", name, len(f.Text)+len(f.Subject))
			}
		}
		if name != "deep keys" && len(findings) != maxReasons {
			t.Errorf("%s: %d findings", name, len(findings))
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  jobs/j%d: {}\n", i)
	}
	return b.String()
}

// Whatever the two files hold, reading them ends, and a job that was there is still there.
func FuzzReadProject(f *testing.F) {
	hello := helloTree(f, ".")
	const job = "jobs/daily_revenue/code/databricks-job.json"
	f.Add(hello.files[ProjectFile].Data, hello.files[job].Data)
	f.Add([]byte("name: x\njobs:\n  jobs/daily_revenue: {scheduler: {Databricks: {}}}\n"), []byte(`{"request": {"name": "a", "tasks": [{"run_job_task": {"job_id": {"job": "jobs/daily_revenue"}}}]}}`))
	f.Add([]byte("jobs: {? [a]: b}\n"), []byte(`{"components": [{"PipelineComponent": {"path": 1}}, null, {"x": {}}]}`))
	f.Add([]byte("a: &a [*a]\n<<: *a\n"), []byte(`{"fabric_id": 1e400}`))
	f.Add([]byte("- - - - a\n--- !!map\n..."), []byte("\xff{"))
	f.Add([]byte("pipelineConfigurations: {pipelineConfigurations/a: {basePipeline: 7/pipelines/x, configurations: {pipelineConfigurations/a/b: {name: b}}}}\njobs: {jobs/daily_revenue: {scheduler: Databricks}}\n"),
		[]byte(`{"components": [{"DLTPipelineComponent": {}}, {"PipelineComponent": {"id": "7/pipelines/x", "path": "/a/b/x-1-py3-none-any.whl", "releaseVersion": 1}}], "request": {"CreateNewJobRequest": {"name": "a"}}}`))
	f.Add([]byte("language: scala\npipelines: {pipelines/clean_orders: }\njobs: {jobs/daily_revenue: {scheduler: {Databricks: }}}\n"),
		[]byte(`{"secret_scope": "s", "components": [{"DBTComponent": {"path": "dbfs:/a/b.py", "content": "x", "profilePath": "dbfs:/a/p.yml", "profileContent": "token: {{ T }}", "secretKey": "k"}}, {"ScriptComponent": {"path": "dbfs:/a//b.py", "content": "x"}}], "request": {"name": "a"}}`))
	f.Fuzz(func(t *testing.T, yml, definition []byte) {
		tree := hello.with(ProjectFile, string(yml)).with(job, string(definition))
		p, findings, err := ReadProject(tree, ".")
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line: %q", err)
			}
			return
		}
		blocked := 0
		var daily *Job
		for i := range p.Jobs {
			blocked += len(p.Jobs[i].Blocked)
			if p.Jobs[i].Key == "jobs/daily_revenue" {
				daily = &p.Jobs[i]
			}
		}
		if daily == nil {
			t.Fatal("jobs/daily_revenue has a definition and is not among the jobs")
		}
		if len(daily.Blocked) == 0 && (daily.Name == "" || daily.Digest != hexDigest(definition)) {
			t.Errorf("jobs/daily_revenue can be deployed as %q, %s", daily.Name, daily.Digest)
		}
		for _, c := range daily.Components {
			if len(daily.Blocked) > 0 || c.Kind == DLTComponent {
				continue
			}
			if !fullPath(c.Path) || strings.Contains(c.Path, "/../") {
				t.Errorf("a %s at %q can be deployed", c.Kind, c.Path)
			}
			if c.Subscribed != nil && (c.Subscribed.Version == "" || c.Subscribed.Pipeline == "") {
				t.Errorf("subscribes to %+v", c.Subscribed)
			}
		}
		for _, c := range p.Configurations {
			if (c.Content == nil) == (c.Blocked == nil) || strings.ContainsAny(c.Name, "/\n") {
				t.Errorf("configuration %+v", c)
			}
		}
		if blocked > len(findings) {
			t.Errorf("%d reasons, %d findings", blocked, len(findings))
		}
	})
}
