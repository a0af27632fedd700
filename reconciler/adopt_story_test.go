package reconciler

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/reconciler/adoption"
)

// An estate is projects in one repository, and what the previous tool has made of them in a workspace.
type estate struct {
	*site
	names    []string // of the projects
	overlays map[string]string
	mode     string
	live     map[string]int64 // by project and key
}

// oldJob is a committed job as the authoring tool writes it.
type oldJob struct {
	name, folder, pipeline string
	paused                 bool
}

func (j oldJob) file() string {
	whl := "dbfs:/FileStore/prophecy/artifacts/saas/app/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/" + j.pipeline + "-1.0-py3-none-any.whl"
	return fmt.Sprintf(`{
  "fabric_id" : "4004",
  "components" : [ { "PipelineComponent" : { "path" : %[1]q, "nodeName" : %[2]q, "id" : "a$$b", "language" : "python", "pipelineId" : "pipelines/%[2]s" } } ],
  "request" : {
    "format" : "MULTI_TASK",
    "name" : %[3]q,
    "job_clusters" : [ {
      "job_cluster_key" : "%[4]s_default_small",
      "new_cluster" : {
        "spark_version" : "15.4.x-scala2.12", "node_type_id" : "m5d.large", "num_workers" : 2,
        "spark_conf" : {
          "spark.prophecy.metadata.job.uri" : "__PROJECT_ID_PLACEHOLDER__/jobs/%[4]s",
          "spark.prophecy.metadata.job.branch" : "__PROJECT_RELEASE_VERSION_PLACEHOLDER__",
          "spark.prophecy.metadata.url" : "__PROPHECY_URL_PLACEHOLDER__",
          "spark.prophecy.execution.service.url" : "__PROPHECY_URL_PLACEHOLDER__/execution/eventws",
          "prophecy.packages.path" : "{\"pipelines/%[2]s\":\"%[1]s\"}"
        }
      }
    } ],
    "email_notifications" : { },
    "tasks" : [ {
      "task_key" : %[2]q,
      "job_cluster_key" : "%[4]s_default_small",
      "python_wheel_task" : { "package_name" : %[2]q, "entry_point" : "main", "parameters" : [ "-i", "default", "-O", "{}" ] },
      "libraries" : [ { "pypi" : { "package" : "prophecy-libs==2.1.16" } }, { "whl" : %[1]q } ],
      "max_retries" : 0, "email_notifications" : { }
    } ],
    "max_concurrent_runs" : 1,
    "schedule" : { "quartz_cron_expression" : "0 0 5 * * ?", "timezone_id" : "UTC", "pause_status" : %[5]q }
  },
  "cluster_mode" : { "clusterMode" : "Single" }
}
`, whl, j.pipeline, j.name, j.folder, map[bool]string{true: "PAUSED", false: "UNPAUSED"}[j.paused])
}

// deployedBefore is what the previous tool sends for a committed file: the placeholders are replaced in its text.
func deployedBefore(t *testing.T, file, project, version string) []byte {
	t.Helper()
	text := strings.NewReplacer("__PROJECT_ID_PLACEHOLDER__", project, "__PROJECT_RELEASE_VERSION_PLACEHOLDER__", version,
		"__PROPHECY_URL_PLACEHOLDER__", "", "__PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__", "x/"+version).Replace(file)
	var committed struct {
		Request json.RawMessage `json:"request"`
	}
	if err := json.Unmarshal([]byte(text), &committed); err != nil {
		t.Fatal(err)
	}
	return committed.Request
}

func newEstate(t *testing.T, s *site, projects int) *estate {
	e := &estate{site: s, overlays: map[string]string{}, mode: "observe", live: map[string]int64{}}
	if err := os.RemoveAll(filepath.Join(e.work, "hello")); err != nil {
		t.Fatal(err)
	}
	e.git(e.work, "rm", "-rq", "--ignore-unmatch", ".")
	entries, err := os.ReadDir(e.work)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range entries {
		if x.Name() != ".git" {
			os.RemoveAll(filepath.Join(e.work, x.Name()))
		}
	}
	for i := range projects {
		e.names = append(e.names, fmt.Sprintf("p%02d", i+1))
	}
	return e
}

func (e *estate) projectID(name string) string { return "10" + strings.TrimPrefix(name, "p") }

// project writes a project with these jobs, which run one pipeline each of two.
func (e *estate) project(name string, jobs []oldJob) {
	e.t.Helper()
	write := func(file, text string) {
		file = filepath.Join(e.work, name, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			e.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
	p := shopPipeline{name: "load", module: "load", code: "return '" + name + "'"}
	yml := "name: " + name + "\nversion: 1.0.0\nlanguage: python\npipelines:\n  pipelines/load: {name: load, language: python}\njobs:\n"
	for _, j := range jobs {
		yml += fmt.Sprintf("  jobs/%s: {name: %q, fabricUID: 4004, scheduler: {Databricks: {}}, enabled: true}\n", j.folder, j.name)
		write("jobs/"+j.folder+"/code/databricks-job.json", j.file())
	}
	write("pbt_project.yml", yml)
	code := "pipelines/load/code/"
	write(code+"setup.py", p.setup())
	write(code+".prophecy/workflow.latest.json", "{ }\n")
	write(code+"load/__init__.py", "")
	write(code+"load/pipeline.py", "def main():\n    "+p.code+"\n")
	write(code+"configs/resources/config/__init__.py", "")
	write(code+"configs/resources/config/default.json", "{ }\n")
}

// deploy makes a live job as the previous tool does.
func (e *estate) deploy(project string, j oldJob, version string) {
	e.t.Helper()
	id, err := e.workspace.CreateJob(deployedBefore(e.t.(*testing.T), j.file(), e.projectID(project), version))
	if err != nil {
		e.t.Fatal(err)
	}
	e.live[project+" jobs/"+j.folder] = id
}

// configure writes the configuration with what is known of the overlays.
func (e *estate) configure() {
	var b strings.Builder
	b.WriteString(`
state: %[1]s/state
fabrics:
  production:
    databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}
    prophecy_ids: [4004]
projects:
`)
	for _, name := range e.names {
		fmt.Fprintf(&b, "  %s: {git: \"file://%%[3]s\", path: %s, prophecy_id: %s, tags: [\"%s/*\"], poll: 1s}\n", name, name, e.projectID(name), name)
	}
	b.WriteString("deployments:\n")
	for _, name := range e.names {
		fmt.Fprintf(&b, "  - project: %s\n    fabric: production\n    mode: %s\n    follow: {tag: \"%s/*\"}\n", name, e.mode, name)
		if o := e.overlays[name]; o != "" {
			b.WriteString("    overlay:\n      " + strings.ReplaceAll(strings.TrimSpace(strings.ReplaceAll(o, "%", "%%")), "\n", "\n      ") + "\n")
		}
	}
	e.yaml = b.String()
}

// functional is what a live job does, without what says where it came from: paths of artifacts, marks, the line in the
// description, and addresses of the authoring tool.
func functional(t *testing.T, settings []byte) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(settings, &m); err != nil {
		t.Fatal(err)
	}
	var clean func(v any) any
	clean = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				switch {
				case strings.HasPrefix(k, "selvage-"), strings.HasSuffix(k, "service.url"), strings.HasSuffix(k, "metadata.url"), strings.HasSuffix(k, "metrics.disabled"), k == "prophecy.packages.path":
					delete(v, k)
				case k == "whl":
					v[k] = path.Base(e.(string))
				case k == "description":
					if text, _, _ := strings.Cut(e.(string), "Managed by Selvage"); strings.TrimSpace(text) == "" {
						delete(v, k)
					} else {
						v[k] = strings.TrimSpace(text)
					}
				default:
					if c := clean(e); c == nil {
						delete(v, k)
					} else {
						v[k] = c
					}
				}
			}
			if len(v) == 0 {
				return nil
			}
		case []any:
			ordered := true
			for i, e := range v {
				v[i] = clean(e)
				_, text := e.(string)
				ordered = ordered && text
			}
			if !ordered {
				slices.SortFunc(v, func(a, b any) int { return strings.Compare(string(encode(a)), string(encode(b))) })
			}
		}
		return v
	}
	if q, ok := m["queue"].(map[string]any); ok && q["enabled"] == false {
		delete(m, "queue") // off is off
	}
	b, err := json.MarshalIndent(clean(m), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (e *estate) jobs(t *testing.T) map[int64]string {
	all := map[int64]string{}
	for _, j := range e.workspace.Jobs() {
		all[j.ID] = functional(t, j.Settings)
	}
	return all
}

// adopt asks for all projects.
func (e *estate) adopt(q AdoptRequest) (Takeover, error) {
	q.Deployments, q.By = []string{"*@production"}, "lead@shop.example"
	return e.Adopt(e.t.Context(), q)
}

// 40 projects and 300 live jobs that another tool deployed, a dozen of them edited by hand, three names twice, one job
// deleted and one renamed in the workspace: they are observed, taken over, and applied for the first time.
func TestDayOne(t *testing.T) {
	t.Parallel()
	const projects, committed = 40, 301
	e := newEstate(t, newSite(t, emulator.Options{}), projects)
	jobs := map[string][]oldJob{}
	n := 0
	for i, name := range e.names {
		for k := range 8 {
			if k == 7 && i >= committed-projects*7 {
				break
			}
			j := oldJob{folder: fmt.Sprintf("job_%d", k), name: fmt.Sprintf("%s job %d", name, k), pipeline: "load", paused: k%2 == 0}
			if i < 6 && k == 0 {
				j.name = fmt.Sprintf("nightly %d", i/2) // in two projects each
			}
			jobs[name] = append(jobs[name], j)
			n++
		}
		e.project(name, jobs[name])
	}
	if n != committed {
		t.Fatalf("%d jobs", n)
	}
	e.git(e.work, "add", "-A")
	e.git(e.work, "commit", "-q", "-m", "all")
	args := []string{"push", "-q", "origin", "main"}
	for _, name := range e.names {
		e.git(e.work, "tag", "-a", "-m", "x", name+"/1.0.0")
		args = append(args, name+"/1.0.0")
	}
	e.git(e.work, args...)
	for _, name := range e.names {
		for _, j := range jobs[name] {
			e.deploy(name, j, "1.0.0")
		}
	}
	if _, err := e.workspace.CreateJob([]byte(`{"name": "somebody's own", "tasks": [{"task_key": "a", "notebook_task": {"notebook_path": "/Shared/a"}}]}`)); err != nil {
		t.Fatal(err)
	}
	gone := e.live["p40 jobs/job_6"]
	if err := e.workspace.DeleteJob(gone); err != nil {
		t.Fatal(err)
	}
	delete(e.live, "p40 jobs/job_6")
	edit := func(job, patch string) {
		t.Helper()
		if err := e.workspace.PatchJob(e.live[job], []byte(patch)); err != nil {
			t.Fatal(err)
		}
	}
	edit("p39 jobs/job_0", `{"name": "renamed by hand"}`)
	edits := map[string]string{
		"p01 jobs/job_1": `{"max_concurrent_runs": 4}`,
		"p01 jobs/job_2": `{"schedule": {"quartz_cron_expression": "0 30 6 * * ?"}}`,
		"p02 jobs/job_1": `{"tasks": [{"task_key": "load", "max_retries": 3}]}`,
		"p03 jobs/job_1": `{"email_notifications": {"on_failure": ["oncall@shop.example"]}}`,
		"p04 jobs/job_1": `{"job_clusters": [{"job_cluster_key": "job_1_default_small", "new_cluster": {"num_workers": 7}}]}`,
		"p05 jobs/job_1": `{"job_clusters": [{"job_cluster_key": "job_1_default_small", "new_cluster": {"spark_conf": {"spark.sql.shuffle.partitions": "64"}}}]}`,
		"p06 jobs/job_1": `{"timeout_seconds": 3600}`,
		"p07 jobs/job_1": `{"tags": {"cost_center": "sales"}}`,
		"p08 jobs/job_1": `{"description": "asks Mira first"}`,
		"p09 jobs/job_1": `{"tasks": [{"task_key": "load", "libraries": [{"pypi": {"package": "prophecy-libs==2.1.20"}}, {"whl": "dbfs:/FileStore/prophecy/artifacts/saas/app/1009/1.0.0/pipeline/load-1.0-py3-none-any.whl"}]}]}`,
		"p10 jobs/job_1": `{"tasks": [{"task_key": "load", "python_wheel_task": {"package_name": "load", "entry_point": "main", "parameters": ["-i", "default", "-O", "{\"day\": 1}"]}}]}`,
		"p11 jobs/job_1": `{"schedule": null}`,
	}
	for job, patch := range edits {
		edit(job, patch)
	}
	edit("p12 jobs/job_1", `{"schedule": {"pause_status": "PAUSED"}}`) // no edit: whether it is paused stays
	edit("p12 jobs/job_2", `{"schedule": {"pause_status": "UNPAUSED"}}`)
	before := e.jobs(t)

	// Observe: every job is taken, and nothing is written.
	e.configure()
	e.open()
	e.workspace.ResetJournal()
	seen, err := e.adopt(AdoptRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if n, single := len(e.workspace.Requests()), e.workspace.Count("GET /api/2.2/jobs/get"); n-single > 6 || single != 300 {
		t.Errorf("a proposal for 40 deployments took %d requests, and %d for single jobs", n-single, single)
	}
	if got, want := seen.Count().String(), "300 matched, 0 duplicates, 1 not live"; got != want {
		t.Fatalf("%s, want %s\n%+v", got, want, seen.Deployments[0].Unclear)
	}
	got := map[string]string{}
	for _, a := range seen.Deployments {
		project, _, _ := strings.Cut(a.Deployment, "@")
		for _, m := range a.Matched {
			key := project + " " + string(m.Key)
			if want := fmt.Sprint(e.live[key]); m.ID != want || m.Version != "1.0.0" || m.Evidence[0].Kind != adoption.JobURI.String() || m.Blocked.Code != "" {
				t.Errorf("%s is %s, want %s; %+v", key, m.ID, want, m)
			}
			for _, d := range m.Differs {
				if d.Class != adoption.Paths && d.Class != adoption.Stripped {
					got[key] += fmt.Sprintf("%s %s %s; ", d.Class, d.Path, d.Cant)
				}
			}
		}
		if a.Baseline.Name != project+"/1.0.0" {
			t.Errorf("%s: baseline %s", a.Deployment, a.Baseline)
		}
	}
	for job := range edits {
		if !strings.HasPrefix(got[job], "edited ") {
			t.Errorf("%s was edited, and is found to be: %q", job, got[job])
		}
		delete(got, job)
	}
	if diff := cmp.Diff(map[string]string{"p39 jobs/job_0": "edited name an overlay renames no job; "}, got); diff != "" {
		t.Errorf("other differences:\n%s", diff)
	}

	// The edits go into the overlays; the other name is given up, since git says how a job is called.
	for _, a := range seen.Deployments {
		project, _, _ := strings.Cut(a.Deployment, "@")
		e.overlays[project] = a.Patch
	}
	if _, err := e.adopt(AdoptRequest{Accept: seen.Digest}); err == nil || !strings.Contains(err.Error(), "edits would be lost") {
		t.Errorf("accepted with edits that nobody has decided about: %v", err)
	}
	e.shut()
	e.mode = "apply"
	e.configure()
	e.open()
	if seen, err = e.adopt(AdoptRequest{GiveUp: []string{"all"}}); err != nil {
		t.Fatal(err)
	}
	givenUp := 0
	for _, a := range seen.Deployments {
		for _, m := range a.Matched {
			for _, d := range m.Differs {
				if d.GivenUp {
					givenUp++
				}
			}
		}
	}
	if givenUp != 1 {
		t.Errorf("with the overlays, %d edits are left to be given up, want the name", givenUp)
	}
	if _, err := e.adopt(AdoptRequest{GiveUp: []string{"all"}, Accept: "000000"}); err == nil || !strings.Contains(err.Error(), "look at it again") {
		t.Errorf("another proposal was accepted: %v", err)
	}
	done, err := e.adopt(AdoptRequest{GiveUp: []string{"all"}, Accept: seen.Digest[:6]})
	if err != nil || !done.Accepted || len(e.ofKind(kindAdopt, 0)) != projects {
		t.Fatalf("accept: %v", err)
	}
	if n := e.workspace.Count("POST *"); n != 0 {
		t.Errorf("%d requests changed something before a plan was approved", n)
	}

	// The first apply, by a person.
	for _, name := range e.names {
		dep := name + "@production"
		p, err := e.Plan(t.Context(), dep, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Plan.Changes {
			if c.Action != fabric.Create && (c.Cause != fabric.Adoption || c.Hindrance != fabric.Free) {
				t.Errorf("%s: %s %s %s %s", dep, c.Action, c.Key, c.Cause, c.Reason.Text)
			}
		}
		d, err := e.Apply(t.Context(), ApplyRequest{Deployment: dep, Plan: p.Plan.Digest, By: "lead@shop.example"})
		if err != nil || d.Phase != Sound || d.Plan.Digest != "" {
			t.Fatalf("%s: %v, %s, %s: %s %v %v", dep, err, d.Phase, d.Plan.Counts, d.Result.Text, lines(d.Plan), d.Findings)
		}
	}
	if c, r, x := e.workspace.Count("POST /api/2.2/jobs/create"), e.workspace.Count("POST /api/2.2/jobs/reset"), e.workspace.Count("POST /api/2.2/jobs/delete"); c != 1 || r != 300 || x != 0 {
		t.Errorf("%d creates, %d resets, %d deletes", c, r, x)
	}
	after := e.jobs(t)
	renamed := e.live["p39 jobs/job_0"]
	before[renamed] = strings.ReplaceAll(before[renamed], "renamed by hand", "p39 job 0")
	made := 0
	for id := range maps.Keys(after) {
		if _, was := before[id]; !was {
			made++
			delete(after, id)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" || made != 1 {
		t.Errorf("%d made; what the jobs do has changed:\n%s", made, diff)
	}
	for _, name := range e.names[:12] {
		d, err := e.Plan(t.Context(), name+"@production", "")
		if err != nil || d.Plan.Digest != "" || d.Plan.Counts.Blocked > 0 {
			t.Errorf("%s: a second plan: %v %v", name, err, lines(d.Plan))
		}
	}

	// Drift of what was adopted is shown, and not put right, until somebody says so.
	edit("p20 jobs/job_1", `{"max_concurrent_runs": 9}`)
	d, err := e.Plan(t.Context(), "p20@production", "")
	if err != nil || d.Plan.Counts.Blocked != 1 || !slices.ContainsFunc(d.Plan.Changes, func(c fabric.Change) bool { return c.Reason.Code == configs.AdoptedHealOff }) {
		t.Errorf("drift: %v %v", err, lines(d.Plan))
	}
	e.shut()
	e.sound()
}
