package databricks

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

var update = flag.Bool("update", false, "write what Render makes into testdata/render")

const (
	cleanSum  = "41ce07aa00000000000000000000000000000000000000000000000000000001"
	reportSum = "9d0211bb00000000000000000000000000000000000000000000000000000002"
)

// releaseOf makes a release of job definitions by their keys. Two pipelines are built, one is not.
func releaseOf(t *testing.T, definitions map[string]string) *artifacts.Release {
	t.Helper()
	r := &artifacts.Release{Project: "shop", Pipelines: []artifacts.Pipeline{
		{Key: "pipelines/clean_orders", Language: "python", Instances: []string{"default", "prod"},
			Artifact: &artifacts.Artifact{SHA256: cleanSum, Name: "clean_orders-1.0-py3-none-any.whl", Size: 7, Kind: "wheel"}},
		{Key: "pipelines/report", Language: "python", Instances: []string{"default"},
			Artifact: &artifacts.Artifact{SHA256: reportSum, Name: "report-1.0-py3-none-any.whl", Size: 8, Kind: "wheel"}},
		{Key: "pipelines/unbuilt", Language: "python"},
	}}
	for _, key := range slices.Sorted(maps.Keys(definitions)) {
		j := artifacts.Job{Key: key, File: key + "/code/databricks-job.json", Raw: []byte(definitions[key]), Scheduler: "Databricks"}
		var file struct {
			FabricID    string `json:"fabric_id"`
			SecretScope string `json:"secret_scope"`
			Components  []map[string]struct {
				Path, NodeName, ID, PipelineID, Language, ReleaseVersion, ConfigPath     string
				Content, ProfilePath, ProfileContent, SecretKey, ComponentFilesDirectory string
			}
			Request struct{ Name string }
		}
		_ = json.Unmarshal(j.Raw, &file) // some are broken on purpose
		j.FabricID, j.Name, j.SecretScope = file.FabricID, file.Request.Name, file.SecretScope
		for _, c := range file.Components {
			for kind, f := range c {
				made := artifacts.Component{Kind: kind, Path: f.Path, NodeName: f.NodeName, ID: f.ID, PipelineID: f.PipelineID, Language: f.Language,
					ReleaseVersion: f.ReleaseVersion, ConfigPath: f.ConfigPath, Content: f.Content, ProfilePath: f.ProfilePath,
					ProfileContent: f.ProfileContent, SecretKey: f.SecretKey, FilesDirectory: f.ComponentFilesDirectory}
				if id, pipeline, ok := strings.Cut(f.PipelineID, "/pipelines/"); ok {
					made.Subscribed = &artifacts.Subscription{ProjectID: id, Version: f.ReleaseVersion, Pipeline: "pipelines/" + pipeline}
				}
				j.Components = append(j.Components, made)
			}
		}
		r.Jobs = append(r.Jobs, j)
	}
	return r
}

func binding() fabric.Binding {
	return fabric.Binding{Installation: installation, Deployment: "shop@test", Tag: "Shop/1.2.0", Version: "1.2.0",
		FabricIDs: []string{"17"}, Root: "/Workspace/Users/me/.selvage/artifacts", Isolation: []string{"*.prophecy.io"}}
}

func render(t *testing.T, r *artifacts.Release, b fabric.Binding) (*fabric.Desired, []configs.Finding) {
	t.Helper()
	d, findings, err := (&Workspace{}).Render(r, b)
	if err != nil {
		t.Fatal(err)
	}
	return d, findings
}

// shownAs is a Desired and its findings as a person may read them.
func shownAs(t *testing.T, r *artifacts.Release, d *fabric.Desired, findings []configs.Finding) string {
	t.Helper()
	var b strings.Builder
	var keys []fabric.Key
	for _, j := range r.Jobs {
		k := fabric.Key(j.Key)
		keys = append(keys, k)
		if _, presence := d.Lookup(fabric.Attach(k, Permissions)); presence == fabric.Present {
			keys = append(keys, fabric.Attach(k, Permissions))
		}
	}
	for _, k := range keys {
		res, presence := d.Lookup(k)
		switch presence {
		case fabric.Unknown:
			why, _ := d.Why(k)
			fmt.Fprintf(&b, "%s blocked: %s: %s: %s\n", k, why.Code, why.Subject, why.Text)
			continue
		case fabric.Absent:
			fmt.Fprintf(&b, "%s unselected: %v\n", k, d.Unselected(k))
			continue
		}
		fmt.Fprintf(&b, "%s is %s %q\n", k, res.Kind, res.Name)
		var indented bytes.Buffer
		if err := json.Indent(&indented, res.Doc.Canonical(), "", "  "); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", indented.String())
		for _, n := range res.Needs {
			fmt.Fprintf(&b, "needs %s\n", n)
		}
		for _, blob := range res.Blobs {
			fmt.Fprintf(&b, "blob %s\n", strings.TrimSuffix(blob.Path+" "+blob.Notebook, " "))
			for line := range strings.Lines(string(blob.Content)) {
				fmt.Fprintf(&b, "  | %s\n", strings.TrimSuffix(line, "\n"))
			}
		}
		for _, o := range res.Outside {
			fmt.Fprintf(&b, "outside %s %s\n", o.Kind, o.Name)
		}
		for _, p := range slices.Sorted(maps.Keys(res.Labels)) {
			fmt.Fprintf(&b, "label %s %s\n", p, res.Labels[p])
		}
		for _, f := range res.Overlay {
			if !res.Overlaid[f.Path] || f.Cause != fabric.Overlay {
				t.Errorf("%s: the overlay did %+v, and Overlaid does not say so", k, f)
			}
			fmt.Fprintf(&b, "overlaid %s: %s -> %s\n", f.Path, or(f.Old), or(f.New))
		}
		if len(res.Overlay) != len(res.Overlaid) {
			t.Errorf("%s: %d fields are overlaid, %d paths", k, len(res.Overlay), len(res.Overlaid))
		}
		for _, f := range res.Stripped {
			fmt.Fprintf(&b, "stripped %s\n", f.Text)
		}
	}
	for _, f := range findings {
		fmt.Fprintf(&b, "finding %s: %s: %s\n", f.Code, f.Subject, f.Text)
	}
	return b.String()
}

func or(v json.RawMessage) string {
	if v == nil {
		return "-"
	}
	return string(v)
}

// TestRenderGolden renders the definitions of each file in testdata/render: jobs by their key, the binding, what
// else the release holds, and "configuration OWNER NAME".
func TestRenderGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			story, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b := binding()
			definitions := map[string]string{}
			var more artifacts.Release
			want := -1
			for i, f := range story.Files {
				name, rest, _ := strings.Cut(f.Name, " ")
				switch name {
				case "release":
					if err := json.Unmarshal(f.Data, &more); err != nil {
						t.Fatal(err)
					}
				case "configuration":
					owner, instance, _ := strings.Cut(rest, " ")
					more.Configurations = append(more.Configurations, artifacts.Configuration{Owner: owner, Name: instance, File: owner + "/" + instance + ".json", Content: f.Data})
				case "binding":
					dec := json.NewDecoder(bytes.NewReader(f.Data))
					dec.UseNumber()
					dec.DisallowUnknownFields()
					if err := dec.Decode(&b); err != nil {
						t.Fatal(err)
					}
				case "want":
					want = i
				default:
					definitions[f.Name] = string(f.Data)
				}
			}
			r := releaseOf(t, definitions)
			r.Pipelines = append(r.Pipelines, more.Pipelines...)
			r.Subscribed, r.Configurations, r.Files, r.Folders = more.Subscribed, more.Configurations, more.Files, more.Folders
			before := fmt.Sprintf("%+v", r)
			d, findings := render(t, r, b)
			got := shownAs(t, r, d, findings)
			if again, f := render(t, r, b); shownAs(t, r, again, f) != got {
				t.Error("the second time it is different")
			}
			if fmt.Sprintf("%+v", r) != before {
				t.Error("the release was changed")
			}
			if *update {
				if want < 0 {
					story.Files = append(story.Files, txtar.File{Name: "want"})
					want = len(story.Files) - 1
				}
				story.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(story), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(story.Files[want].Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func job(request string) string {
	return `{"fabric_id":"17","components":[
	{"PipelineComponent":{"nodeName":"clean","id":"a$$b","pipelineId":"pipelines/clean_orders","path":"dbfs:/FileStore/prophecy/artifacts/saas/app/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/clean_orders-1.0-py3-none-any.whl"}},
	{"PipelineComponent":{"nodeName":"raw","id":"pipelines/unbuilt","path":"dbfs:/FileStore/prophecy/artifacts/saas/app/1/2/pipeline/unbuilt-1.0-py3-none-any.whl"}}],
	"request":` + request + `}`
}

func TestRenderBlocks(t *testing.T) {
	with := func(change func(*fabric.Binding)) fabric.Binding {
		b := binding()
		change(&b)
		return b
	}
	for name, tt := range map[string]struct {
		request string
		binding fabric.Binding
		want    string
	}{
		"project id":        {`{"name":"x","tasks":[{"spark_python_task":{"python_file":"/a/__PROJECT_ID_PLACEHOLDER__/b.py"}}]}`, binding(), "placeholder_left: jobs/x/code/databricks-job.json: request.tasks[0].spark_python_task.python_file: a placeholder has no value: __PROJECT_ID_PLACEHOLDER__"},
		"in a key":          {`{"name":"x","tags":{"__OTHER_PLACEHOLDER__":"v"}}`, binding(), "placeholder_left: jobs/x/code/databricks-job.json: request.tags.__OTHER_PLACEHOLDER__: a placeholder has no value: __OTHER_PLACEHOLDER__"},
		"url elsewhere":     {`{"name":"x","description":"__PROPHECY_URL_PLACEHOLDER__"}`, binding(), "placeholder_left: jobs/x/code/databricks-job.json: request.description: a placeholder has no value: __PROPHECY_URL_PLACEHOLDER__"},
		"hostile version":   {`{"name":"x","description":"__PROJECT_RELEASE_VERSION_PLACEHOLDER__"}`, with(func(b *fabric.Binding) { b.Version = `1"}` }), `placeholder_unsafe: jobs/x/code/databricks-job.json: request.description: the value of a placeholder holds a character that does not belong into a path: __PROJECT_RELEASE_VERSION_PLACEHOLDER__: "1\"}"`},
		"climbing version":  {`{"name":"x","description":"__PROJECT_RELEASE_VERSION_PLACEHOLDER__"}`, with(func(b *fabric.Binding) { b.Version = `a/../b` }), `placeholder_unsafe: jobs/x/code/databricks-job.json: request.description: the value of a placeholder holds a character that does not belong into a path: __PROJECT_RELEASE_VERSION_PLACEHOLDER__: "a/../b"`},
		"unbuilt":           {`{"name":"x","tasks":[{"libraries":[{"whl":"dbfs:/FileStore/prophecy/artifacts/saas/app/1/2/pipeline/unbuilt-1.0-py3-none-any.whl"}]}]}`, binding(), "artifact_missing: jobs/x/code/databricks-job.json: request.tasks[0].libraries[0].whl: the definition names an artifact that the release does not hold: unbuilt-1.0-py3-none-any.whl of pipelines/unbuilt"},
		"another project's": {`{"name":"x","tasks":[{"libraries":[{"jar":"dbfs:/FileStore/prophecy/artifacts/saas/app/1767/0.1/pipeline/first.jar"}]}]}`, binding(), `artifact_missing: jobs/x/code/databricks-job.json: request.tasks[0].libraries[0].jar: the definition names an artifact that the release does not hold: "dbfs:/FileStore/prophecy/artifacts/saas/app/1767/0.1/pipeline/first.jar" is the path of no component of the job`},
		"the tool's git":    {`{"name":"x","git_source":{"git_url":"https://git.prophecy.io/x.git"}}`, binding(), "calls_authoring_tool: jobs/x/code/databricks-job.json: request.git_source.git_url: the definition names the authoring tool's own address, so that the running job would call it"},
		"instance":          {`{"name":"x","tasks":[{"task_key":"clean","python_wheel_task":{"parameters":["-i","default"]}}]}`, with(func(b *fabric.Binding) { b.Overlay.ConfigInstance = "qa" }), "instance_missing: jobs/x/code/databricks-job.json: request.tasks[0].python_wheel_task.parameters: a pipeline of the job has no configuration of that name: pipelines/clean_orders has no qa"},
		"unknown job":       {`{"name":"x","tasks":[{"run_job_task":{"job_id":{"job":"jobs/y"}}}]}`, binding(), `reference_missing: jobs/x/code/databricks-job.json: request.tasks[0].run_job_task.job_id: the definition or the overlay refers to something that is not there: "jobs/y" is no job of this project`},
		"itself":            {`{"name":"x","tasks":[{"for_each_task":{"task":{"run_job_task":{"job_id":{"job":"x"}}}}}]}`, binding(), "reference_cycle: jobs/x/code/databricks-job.json: jobs refer to each other in a circle: jobs/x needs jobs/x"},
		"an odd reference":  {`{"name":"x","tasks":[{"run_job_task":{"job_id":{"jobs":"jobs/x"}}}]}`, binding(), `reference_broken: jobs/x/code/databricks-job.json: request.tasks[0].run_job_task.job_id: what stands in place of an id is no reference: "jobs" is no kind of reference; expected an id, or {job: NAME}`},
		"no object":         {`[]`, binding(), "job_broken: jobs/x/code/databricks-job.json: request: the job's definition can't be understood: its live job stays as it is: expected an object"},
		"broken":            {`{`, binding(), "job_broken: jobs/x/code/databricks-job.json: the job's definition can't be understood: its live job stays as it is: unexpected EOF"},
		"too many tags":     {`{"name":"x","tags":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":"","j":"","k":"","l":"","m":"","n":"","o":"","p":"","q":"","r":"","s":"","t":"","u":""}}`, with(func(b *fabric.Binding) { b.Overlay.Tags = map[string]string{"v": ""} }), "too_many_tags: jobs/x/code/databricks-job.json: request.tags: the job has more tags than the workspace takes: 22, and 20 are the most beside the 5 of selvage"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.binding.Jobs = []string{"**"}
			definition := job(tt.request)
			if tt.request == "{" {
				definition = "{"
			}
			d, _ := render(t, releaseOf(t, map[string]string{"jobs/x": definition}), tt.binding)
			why, blocked := d.Why("jobs/x")
			if got := fmt.Sprintf("%s: %s: %s", why.Code, why.Subject, why.Text); !blocked || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestRenderChains: what needs a job that will not be there is not there either.
func TestRenderChains(t *testing.T) {
	needs := func(id string, jobs ...string) string {
		var tasks []string
		for _, j := range jobs {
			tasks = append(tasks, `{"run_job_task":{"job_id":{"job":"`+j+`"}}}`)
		}
		return `{"fabric_id":"` + id + `","request":{"name":"n` + id + `","tasks":[` + strings.Join(tasks, ",") + `]}}`
	}
	r := releaseOf(t, map[string]string{
		"jobs/a": needs("17", "jobs/b"), "jobs/b": needs("17", "jobs/c"), "jobs/c": needs("17", "jobs/a"), "jobs/d": needs("17", "jobs/a"),
		"jobs/elsewhere": needs("99"), "jobs/f": needs("17", "jobs/g"), "jobs/g": needs("17", "jobs/elsewhere"),
		"jobs/h": needs("17", "jobs/i"), "jobs/i": needs("17"), "jobs/twice": needs("17", "n17"),
	})
	r.Jobs[8].Blocked = nil
	d, findings := render(t, r, binding())
	got := map[fabric.Key]configs.Code{}
	for _, j := range r.Jobs {
		why, _ := d.Why(fabric.Key(j.Key))
		got[fabric.Key(j.Key)] = why.Code
	}
	want := map[fabric.Key]configs.Code{
		"jobs/a": configs.ReferenceCycle, "jobs/b": configs.ReferenceCycle, "jobs/c": configs.ReferenceCycle, "jobs/d": configs.ReferenceBlocked,
		"jobs/elsewhere": "", "jobs/f": configs.ReferenceBlocked, "jobs/g": configs.ReferenceUnselected, "jobs/h": "", "jobs/i": "", "jobs/twice": configs.ReferenceAmbiguous,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !d.Unselected("jobs/elsewhere") || len(findings) != 1 || findings[0].Code != configs.JobUnselected || !strings.Contains(findings[0].Text, "99") {
		t.Errorf("findings %+v", findings)
	}
	if why, _ := d.Why("jobs/f"); !strings.Contains(why.Text, "can't be deployed: jobs/g") {
		t.Errorf("jobs/f: %s", why.Text)
	}
}

func TestRenderSelects(t *testing.T) {
	r := releaseOf(t, map[string]string{"jobs/daily_a": job(`{"name":"a"}`), "jobs/daily_b": job(`{"name":"b"}`), "jobs/c": job(`{"name":"c"}`)})
	r.Jobs[0].FabricUID, r.Jobs[0].FabricID = "17", "99" // jobs/c: the project decides
	r.Jobs[1].FabricUID = "99"
	r.Jobs[2].FabricID = ""
	for _, tt := range []struct {
		globs []string
		want  []fabric.Key
	}{
		{nil, []fabric.Key{"jobs/c"}},
		{[]string{"jobs/daily_*"}, []fabric.Key{"jobs/daily_a", "jobs/daily_b"}},
		{[]string{"jobs/x", "**"}, []fabric.Key{"jobs/c", "jobs/daily_a", "jobs/daily_b"}},
	} {
		b := binding()
		b.Jobs = tt.globs
		d, findings := render(t, r, b)
		if diff := cmp.Diff(tt.want, d.Keys()); diff != "" || len(findings) != 3-len(tt.want) {
			t.Errorf("%v: %s %+v", tt.globs, diff, findings)
		}
	}
	b := binding()
	b.Jobs = []string{"jobs/["}
	if _, _, err := (&Workspace{}).Render(r, b); err == nil {
		t.Error("a broken pattern is accepted")
	}
	b = binding()
	b.Root = ""
	if _, _, err := (&Workspace{}).Render(r, b); err == nil {
		t.Error("no folder of artifacts is accepted")
	}
}

func TestOverlayWithoutHits(t *testing.T) {
	b := binding()
	b.Overlay = configs.Overlay{ConfigInstance: "prod", Schedule: "enabled"}
	r := releaseOf(t, map[string]string{"jobs/x": job(`{"name":"x","tasks":[{"task_key":"other","python_wheel_task":{"parameters":["-i","default"]}}]}`)})
	_, findings := render(t, r, b)
	if len(findings) != 2 || findings[0].Code != configs.OverlayNoHit || findings[1].Code != configs.OverlayNoHit {
		t.Errorf("%+v", findings)
	}
	r.Jobs = append(r.Jobs, artifacts.Job{Key: "jobs/y", FabricID: "17", Blocked: []configs.Finding{configs.Found(configs.JobBroken, "f", "")}})
	if _, findings := render(t, r, b); len(findings) != 0 {
		t.Errorf("a job that can't be read may have had it: %+v", findings)
	}
}

// TestLabels: a new version alone writes nothing; anything else in the same value does.
func TestLabels(t *testing.T) {
	r := releaseOf(t, map[string]string{"jobs/x": job(`{"name":"x","description":"release __PROJECT_RELEASE_VERSION_PLACEHOLDER__ of the shop",
		"tasks":[{"task_key":"a","python_wheel_task":{"parameters":["--tag","__PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__","--days","7"]}},
			{"task_key":"b","new_cluster":{"spark_conf":{"spark.prophecy.metadata.job.branch":"__PROJECT_RELEASE_VERSION_PLACEHOLDER__"}}}]}`)})
	d, _ := render(t, r, binding())
	now, _ := d.Lookup("jobs/x")
	b := binding()
	b.Version, b.Tag = "1.1.0-rc.1", "Shop/1.1.0-rc.1"
	d, _ = render(t, r, b)
	before, _ := d.Lookup("jobs/x")
	fields, labels := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: now.Doc, Live: before.Doc, Labels: now.Labels})
	if len(fields) != 0 || labels != 3 {
		t.Errorf("%d labels, and %v", labels, fields)
	}
	for _, change := range [][2]string{{`"7"`, `"8"`}, {"of the shop", "of another shop"}, {"release 1.1.0", "version 1.1.0"}} {
		edited := doc(t, strings.Replace(string(before.Doc.Canonical()), change[0], change[1], 1))
		if fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: now.Doc, Live: edited, Labels: now.Labels}); len(fields) != 1 {
			t.Errorf("%s: %v", change, fields)
		}
	}
}

// TestLabelsInSecrets: a field whose name is that of a secret, or whose value holds one, is shown
// redacted, and still is a label where it names the release.
func TestLabelsInSecrets(t *testing.T) {
	r := releaseOf(t, map[string]string{"jobs/x": job(`{"name":"x",
		"tasks":[{"task_key":"a","python_wheel_task":{"parameters":["--api-token","app-__PROJECT_RELEASE_VERSION_PLACEHOLDER__","password=hunter2;of=__PROJECT_RELEASE_VERSION_PLACEHOLDER__"]}},
			{"task_key":"b","new_cluster":{"spark_env_vars":{"RELEASE_TOKEN":"<t>\u0007 __PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__","PASSWORD":"hunter2"}}}]}`)})
	d, _ := render(t, r, binding())
	now, _ := d.Lookup("jobs/x")
	b := binding()
	b.Version, b.Tag = "1.3.0", "Shop/1.3.0"
	d, _ = render(t, r, b)
	before, _ := d.Lookup("jobs/x")
	fields, labels := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: now.Doc, Live: before.Doc, Labels: now.Labels})
	if len(fields) != 0 || labels != 3 {
		t.Errorf("%d labels, and %s", labels, fieldPaths(fields))
	}
	for _, change := range [][2]string{{`"app-`, `"web-`}, {"password=hunter2", "password=hunter3"}, {`"PASSWORD":"hunter2"`, `"PASSWORD":"hunter3"`}, {"<t>", "<u>"}} {
		text := string(before.Doc.Canonical())
		edited := doc(t, strings.Replace(text, change[0], change[1], 1))
		if fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: now.Doc, Live: edited, Labels: now.Labels}); len(fields) != 1 {
			t.Errorf("%s: %s", change, fieldPaths(fields))
		}
	}
}

// TestLabelsOfTwins: of two elements of one name, whose order depends on the release, neither takes
// the label of the other.
func TestLabelsOfTwins(t *testing.T) {
	const twins = `{"name":"x","tasks":[{"task_key":"a","libraries":[{"jar":"s3://lib/m/a.jar"},{"jar":"s3://lib/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/a.jar"}]}]}`
	r := releaseOf(t, map[string]string{"jobs/x": job(twins)})
	for _, version := range []string{"1.0", "z1.0"} { // before m, and after it
		b := binding()
		b.Version = version
		d, _ := render(t, r, b)
		res, _ := d.Lookup("jobs/x")
		edited := doc(t, strings.Replace(string(res.Doc.Canonical()), "/m/", "/n/", 1))
		if fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: res.Doc, Live: edited, Labels: res.Labels}); len(fields) != 1 {
			t.Errorf("version %s, the other jar replaced: %s, labels %v", version, fieldPaths(fields), res.Labels)
		}
	}
}

func fieldPaths(fields []fabric.Field) string {
	var paths []string
	for _, f := range fields {
		paths = append(paths, f.Path)
	}
	return strings.Join(paths, ", ")
}

func TestMentions(t *testing.T) {
	const committedPath = "dbfs:/Volumes/main/shop//prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl"
	for s, want := range map[string]string{
		committedPath: "NEW",
		"/Volumes/main/shop/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl":                      "NEW",
		"/dbfs/Volumes/main/shop/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl[extra]":          "NEW[extra]",
		"//dbfs//Volumes/main/shop/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__///p.whl":             "NEW",
		`{"a":"dbfs:\/Volumes\/main\/shop\/prophecy\/artifacts\/x\/__PROJECT_ID_PLACEHOLDER__\/p.whl"}`: `{"a":"NEW"}`,
		"x=" + committedPath + ",y=" + committedPath + ";":                                              "x=NEW,y=NEW;",
		committedPath + "2": committedPath + "2",
		"/more" + strings.TrimPrefix(committedPath, "dbfs:"):                                  "/more" + strings.TrimPrefix(committedPath, "dbfs:"),
		"s3://bucket/Volumes/main/shop/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl": "s3://bucket/Volumes/main/shop/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl",
		"Volumes/main/shop/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl":             "Volumes/main/shop/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl",
		"/Volumes/main/other/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl":           "/Volumes/main/other/prophecy/artifacts/x/__PROJECT_ID_PLACEHOLDER__/p.whl",
		"p.whl": "p.whl", "/p.whl": "/p.whl", "": "",
	} {
		c, ok := newCommitted(committedPath)
		if !ok {
			t.Fatal("not a path")
		}
		if got := replaced(c, s, "NEW"); got != want {
			t.Errorf("%s\n got %s\nwant %s", s, got, want)
		}
	}
}

// replaced is s with to in place of each mention.
func replaced(c committed, s, to string) string {
	return newRoutes(&route{from: c}).replace(s, func(*route) (string, bool) { return to, true })
}

func FuzzMentions(f *testing.F) {
	f.Add("dbfs:/a/b/c.whl", "x dbfs:/a//b/c.whl y")
	f.Add("/dbfs/a", "/dbfs/a/a")
	f.Add(`/a\/b`, `\/a\\/b`)
	f.Add("/c)/c", "/c)/c)/c") // two mentions that overlap
	f.Fuzz(func(t *testing.T, p, s string) {
		c, ok := newCommitted(p)
		if !ok {
			return
		}
		got := replaced(c, s, "\x00")
		_, _, mentioned := c.find(s, 0)
		if !strings.Contains(s, "\x00") && mentioned != strings.Contains(got, "\x00") {
			t.Errorf("%q in %q: %q, %v", p, s, got, mentioned)
		}
		if !mentioned && got != s {
			t.Errorf("%q changed to %q", s, got)
		}
		if again := replaced(c, got, "\x00"); again != got && !strings.Contains(s, "\x00") && !strings.Contains(p, "\x00") {
			t.Errorf("%q: %q is left in %q", s, p, got)
		}
	})
}

func FuzzRender(f *testing.F) {
	f.Add(job(`{"name":"x","tasks":[{"task_key":"clean","libraries":[{"whl":"dbfs:/a/b.whl"}],"new_cluster":{"spark_conf":{"a":"__PROPHECY_URL_PLACEHOLDER__"}}}]}`), "/a/b", "open('/a/b/p.yml')")
	f.Add(job(`{"name":1,"tasks":[1,null,{"for_each_task":{"task":[]}}],"job_clusters":{},"tags":[],"schedule":"x"}`), "/a/b", "open('/a/b/p.yml')")
	f.Add(`{"request":{"tasks":[{"run_job_task":{"job_id":{"job":"jobs/x"}}}]},"fabric_id":"17"}`, "/a/b", "open('/a/b/p.yml')")
	b := binding()
	b.Overlay = configs.Overlay{ConfigInstance: "prod", Schedule: "paused", Tags: map[string]string{"env": "prod"}}
	b.Jobs = []string{"**"}
	f.Fuzz(func(t *testing.T, definition, at, content string) {
		r := &artifacts.Release{Jobs: []artifacts.Job{{Key: "jobs/x", Raw: []byte(definition), File: "f", SecretScope: "s", Components: []artifacts.Component{
			{Kind: artifacts.PipelineComponent, Path: "dbfs:/a/b.whl", PipelineID: "pipelines/p"},
			{Kind: artifacts.ScriptComponent, Path: at, Content: content},
			{Kind: artifacts.DBTComponent, Path: at + "/c.py", Content: content, ProfilePath: at + "/p.yml", ProfileContent: content, FilesDirectory: at, SecretKey: content}}}},
			Configurations: []artifacts.Configuration{{Owner: "7/pipelines/p", Name: "c", Content: []byte(content)}, {Owner: artifacts.ProjectConfiguration, Name: "default", Content: []byte(content)}}}
		d, _, err := (&Workspace{}).Render(r, b)
		if err != nil {
			t.Fatal(err)
		}
		res, presence := d.Lookup("jobs/x")
		switch presence {
		case fabric.Present:
			if !json.Valid(res.Doc.Canonical()) || placeholder.Match(res.Doc.Canonical()) {
				t.Errorf("made %s", res.Doc.Canonical())
			}
			checkFiles(t, b, res)
			for _, blob := range res.Blobs {
				if placeholder.Match(blob.Content) {
					t.Errorf("made %s", blob.Content)
				}
			}
		case fabric.Absent:
			t.Error("a job that is committed and selected is absent")
		}
	})
}
