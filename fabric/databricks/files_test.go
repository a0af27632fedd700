package databricks

import (
	"fmt"
	"strings"
	"testing"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// scriptJob is a job that runs scripts: content by the name of the file, each with a task. more is added to its components.
func scriptJob(scripts [][2]string, more ...string) string {
	var components, tasks []string
	for _, s := range scripts {
		components = append(components, fmt.Sprintf(`{"ScriptComponent":{"path":%q,"content":%q,"language":"python"}}`, "dbfs:/a/prophecy/artifacts/x/"+s[0], s[1]))
		tasks = append(tasks, fmt.Sprintf(`{"task_key":%q,"spark_python_task":{"python_file":%q}}`, s[0], "/dbfs/a/prophecy/artifacts/x/"+s[0]))
	}
	return fmt.Sprintf(`{"fabric_id":"17","components":[%s],"request":{"name":"x","tasks":[%s]}}`, strings.Join(append(components, more...), ","), strings.Join(tasks, ","))
}

func TestFilesBlock(t *testing.T) {
	const file = "jobs/x/code/databricks-job.json: "
	dbt := func(fields string) string {
		return `{"DBTComponent":{"path":"dbfs:/a/prophecy/artifacts/x/s.py","content":"x",` + fields + `}}`
	}
	wheelTask := func(parameters string) string {
		return `{"fabric_id":"17","components":[],"request":{"name":"x","tasks":[{"task_key":"c","python_wheel_task":{"package_name":"p","parameters":` + parameters + `}}]}}`
	}
	configuration := []artifacts.Configuration{{Owner: artifacts.ProjectConfiguration, Name: "default", File: "c/default.json", Content: []byte(projectIDPlaceholder)}}
	found := configs.Found(configs.ConfigurationMissing, "c/default.json", "expected UTF-8")
	unread := []artifacts.Configuration{{Owner: artifacts.ProjectConfiguration, Name: "default", File: "c/default.json", Blocked: &found},
		{Owner: "7/pipelines/p", Name: "ours", File: "c/ours.json", Blocked: &found}}
	odd := []artifacts.Configuration{{Owner: artifacts.ProjectConfiguration, Name: "default"}, {Owner: artifacts.ProjectConfiguration, Name: "a b", File: "c/a b.json"}}
	const folder = "/dbfs/FileStore/prophecy/artifacts/a/b/" + projectIDPlaceholder + "/1/configurations"
	for name, tt := range map[string]struct {
		definition     string
		configurations []artifacts.Configuration
		projectID      string
		want           string // "" where it is deployed
	}{
		"placeholder in a script": {scriptJob([][2]string{{"a.py", "x\n" + projectIDPlaceholder}}), nil, "",
			"placeholder_left: " + file + "components[0].ScriptComponent.content: a placeholder has no value: " + projectIDPlaceholder},
		"it has a value":           {scriptJob([][2]string{{"a.py", "x\n" + projectIDPlaceholder}}), nil, "7", ""},
		"value in a name":          {scriptJob([][2]string{{projectIDPlaceholder + ".py", "x"}}), nil, "", "placeholder_left: "},
		"scripts in a circle":      {scriptJob([][2]string{{"a.py", "/a/prophecy/artifacts/x/b.py"}, {"b.py", "/a/prophecy/artifacts/x/a.py"}}), nil, "", "job_broken: " + file + "request.tasks[0].spark_python_task.python_file: the job's definition can't be understood: its live job stays as it is: files of the job mention each other in a circle"},
		"a script of its own path": {scriptJob([][2]string{{"a.py", "/a/prophecy/artifacts/x/a.py"}}), nil, "", ""},
		"one after the other":      {scriptJob([][2]string{{"a.py", "/a/prophecy/artifacts/x/b.py"}, {"b.py", "/a/prophecy/artifacts/x/c.py"}, {"c.py", ""}}), nil, "", ""},
		"two contents at one path": {scriptJob([][2]string{{"a.py", "1"}}, `{"ScriptComponent":{"path":"/a//prophecy/artifacts/x/a.py","content":"2"}}`), nil, "", "job_broken: " + file + "components[1].ScriptComponent.path: the job's definition can't be understood: its live job stays as it is: two components have the same path"},
		"one content twice":        {scriptJob([][2]string{{"a.py", "1"}}, `{"ScriptComponent":{"path":"/a//prophecy/artifacts/x/a.py","content":"1"}}`), nil, "", ""},
		"a profile nobody finds":   {scriptJob([][2]string{{"s.py", "x"}}, dbt(`"profilePath":"/a/b/profiles.yml","profileContent":"y"`)), nil, "", "job_broken: " + file + "components[1].DBTComponent.profilePath: the job's definition can't be understood: its live job stays as it is: neither the script nor the job mentions the path"},
		"a profile's folder":       {scriptJob([][2]string{{"s.py", "x"}, {"t.py", "--profiles-dir /dbfs/a/b/c"}}, dbt(`"profilePath":"/a/b/c/profiles.yml","profileContent":"y"`)), nil, "", ""},
		"a folder of two profiles": {scriptJob([][2]string{{"s.py", "x"}, {"t.py", "--profiles-dir /dbfs/a/b/c"}}, dbt(`"profilePath":"/a/b/c/p1.yml","profileContent":"y"`), dbt(`"profilePath":"/a/b/c/p2.yml","profileContent":"z"`)), nil, "", "job_broken: " + file + `components[1].ScriptComponent.content: the job's definition can't be understood: its live job stays as it is: "/a/b/c" is the folder of two profiles`},
		"a secret without scope":   {scriptJob([][2]string{{"s.py", "x"}}, dbt(`"secretKey":"k"`)), nil, "", "job_broken: " + file + "secret_scope: "},
		"no such file":             {wheelTask(`["-f","` + folder + `/7/pipelines/p/gone.json"]`), configuration, "7", "instance_missing: " + file + "request.tasks[0].python_wheel_task.parameters[1]: "},
		"an unread file":           {wheelTask(`["-f","` + folder + `/7/pipelines/p/ours.json"]`), unread, "7", "configuration_missing: "},
		"no configurations":        {wheelTask(`["-pc","` + folder + `"]`), nil, "7", "instance_missing: "},
		"an unread configuration":  {wheelTask(`["-pc","` + folder + `"]`), unread, "7", "configuration_missing: " + file + "request.tasks[0].python_wheel_task.parameters[1]: "},
		"configurations":           {wheelTask(`["-pc","` + folder + `"]`), configuration, "7", ""},
		"no value in them":         {wheelTask(`["-pc","` + folder + `"]`), configuration, "", "placeholder_left: c/default.json: a placeholder has no value"},
		"a name that would change": {wheelTask(`["-pc","` + folder + `"]`), odd, "7", "job_broken: c/a b.json: "},
		"other project's":          {wheelTask(`["-pc","/dbfs/FileStore/prophecy/artifacts/a/b/8/1/configurations"]`), nil, "7", ""},
		"folders by project":       {wheelTask(`["-pj","{\"7\":\"` + folder + `\"}"]`), configuration, "7", ""},
		"odd folders by project":   {wheelTask(`["-pj","{\"7\":1}"]`), configuration, "7", "job_broken: " + file + `request.tasks[0].python_wheel_task.parameters[1]: the job's definition can't be understood: its live job stays as it is: expected {"ID OF A PROJECT": "FOLDER"}`},
		"own folder":               {wheelTask(`["-pc","/Volumes/a/b/c"]`), nil, "7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := binding()
			b.ProjectID = tt.projectID
			r := releaseOf(t, map[string]string{"jobs/x": tt.definition})
			r.Configurations = tt.configurations
			d, _ := render(t, r, b)
			why, blocked := d.Why("jobs/x")
			if got := fmt.Sprintf("%s: %s: %s", why.Code, why.Subject, why.Text); blocked != (tt.want != "") || blocked && !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestFilesChangeWithTheRelease: a script that names the release is another file then, so that the job changes
// in function; one that does not is the same.
func TestFilesChangeWithTheRelease(t *testing.T) {
	for content, same := range map[string]bool{"print(1)": true, "clone('" + tagPlaceholder + "')": false} {
		r := releaseOf(t, map[string]string{"jobs/x": scriptJob([][2]string{{"a.py", content}})})
		b := binding()
		d, _ := render(t, r, b)
		first, _ := d.Lookup("jobs/x")
		b.Version, b.Tag = "1.3.0", "Shop/1.3.0"
		d, _ = render(t, r, b)
		second, _ := d.Lookup("jobs/x")
		fields, labels := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: second.Doc, Live: first.Doc, Labels: second.Labels})
		if labels != 0 || (len(fields) == 0) != same || (first.Blobs[0].Path == second.Blobs[0].Path) != same {
			t.Errorf("%s: %d labels, %s", content, labels, fieldPaths(fields))
		}
	}
}

// TestStepsOfEqualFiles: one content in two folders is two uploads.
func TestStepsOfEqualFiles(t *testing.T) {
	one := fabric.Blob{SHA256: cleanSum, Name: "default.json", Path: "/Workspace/a/" + cleanSum + "/default.json"}
	other := fabric.Blob{SHA256: cleanSum, Name: "default.json", Path: "/Workspace/a/" + reportSum + "/default.json"}
	steps := (&Workspace{}).Steps([]fabric.Change{{Key: "jobs/a", Action: fabric.Create, Blobs: []fabric.Blob{one, other}}, {Key: "jobs/b", Action: fabric.Create, Blobs: []fabric.Blob{one}}})
	if len(steps) != 4 || steps[0].ID == steps[1].ID || len(steps[2].After) != 2 || len(steps[3].After) != 1 {
		t.Errorf("%+v", steps)
	}
}

func TestScalaOf(t *testing.T) {
	for runtime, want := range map[string]string{
		"12.2.x-scala2.12": "2.12", "15.4.x-photon-scala2.12": "2.12", "16.4.x-scala2.13": "2.13", "16.4.x-cpu-ml-scala2.12": "2.12",
		"17.3.x-scala2.13": "2.13", "17.0.x": "2.13", "16.3.x": "2.12", "16.4.x": "", "9.1.x": "2.12", "custom:mine": "", "auto:latest-lts": "", "": "",
		"18.1.x-gpu-ml": "2.13", "5.5.x-scala2.11": "2.11",
	} {
		if got := scalaOf(object{"spark_version": runtime}); got != want {
			t.Errorf("%s: %q, want %q", runtime, got, want)
		}
	}
	for name, want := range map[string]string{"a_2.12.jar": "2.12", "a_2.13-1.0.jar": "2.13", "a.jar": "", "a_2.12x.jar": "", "a-1.0.jar": "", "a_2.13.jar.jar": "2.13"} {
		if got := scalaSuffix(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestSafeName(t *testing.T) {
	for name, want := range map[string]string{
		"s--34.py": "s--34.py", "a b.py": "a_b.py", "é.py": "_.py", "..": "_..", "": "_", "a/b": "a_b", "x\n.py": "x_.py", strings.Repeat("x", 300) + ".py": strings.Repeat("x", 197) + ".py",
	} {
		if got := safeName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestOverlayInherited(t *testing.T) {
	o := configs.Overlay{ConfigInstance: "prod", Schedule: "enabled", JobClusters: []configs.ClusterOverlay{{Key: "big*", Merge: object{"x": "y"}}, {Key: "big*", Merge: object{"x": "z"}}},
		Parameters: map[string]string{"p": "1"}, Libraries: configs.Libraries{PyPI: "https://x", Maven: "https://y"},
		Patch: []configs.Patch{{Jobs: "jobs/gone", Merge: object{"a": "b"}}, {Jobs: "jobs/x", Tasks: []configs.TaskPatch{{Key: "gone"}, {Key: "gone"}}}}}
	r := releaseOf(t, map[string]string{"jobs/x": job(`{"name":"x"}`)})
	b := binding()
	b.Overlay = o
	_, findings := render(t, r, b)
	var got []string
	for _, f := range findings {
		if f.Code != configs.OverlayNoHit || f.Subject != b.Deployment || f.Level() != configs.Block {
			t.Errorf("%+v", f)
		}
		got = append(got, strings.TrimPrefix(f.Text, f.Code.Sentence()+": "))
	}
	want := []string{"config_instance: ", "schedule: ", "libraries: pypi: ", "libraries: maven: ", `parameters: "p": `, `job_clusters: "big*": `, `patch: "jobs/gone": `, `patch: "jobs/x": tasks: "gone": `}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
	b.Overlay.Inherited = []string{"config_instance", "job_clusters.big*", "libraries.maven", "libraries.pypi", "parameters.p", "patch.jobs/gone", "patch.jobs/x", "schedule"}
	if _, findings := render(t, r, b); len(findings) != 0 {
		t.Errorf("what the fabric's defaults say need not hit: %+v", findings)
	}
}
