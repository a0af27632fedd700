package databricks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"selvage/artifacts"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

// TestConformance runs the suite of every fabric over emulated workspaces of each cloud, with the
// artifacts in workspace files and in a volume. The last one lives by the least pleasant of the answers that
// nobody has verified.
func TestConformance(t *testing.T) {
	for _, tt := range []struct {
		name string
		root string // of the artifacts; empty for the folder of who logs in
		e    emulator.Options
	}{
		{name: "AWS", e: emulator.Options{Profile: emulator.AWS}},
		{name: "Azure", e: emulator.Options{Profile: emulator.Azure}, root: "/Volumes/main/selvage/artifacts"},
		{name: "GCP", e: emulator.Options{Profile: emulator.GCP, Unverified: emulator.Unverified{
			ListOmitsDefaults: true, ListByOffset: true, TasksAsSent: true, ListsReordered: true, ResetReorders: true, JobClustersBare: true,
			QueueHidesDisabled: true, QueueKept: true, MissingIs404: true, RetryAfter: true, EmptyBlocksDropped: true, EmailsLowered: true,
			EmailFlagEchoed: true, EmptyTagsEchoed: true, RetriesEchoed: true, DeltaPreview: true, ExistsIs400: true, BudgetPolicy: "b"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fabrictest.Run(t, fabrictest.Harness{
				New: func(t *testing.T) fabrictest.Place { return newPlace(t, tt.e, tt.root) },
				In:  synctest.Test,
			})
		})
	}
}

// place is an emulated workspace behind pipes, with hands.
type place struct {
	*emulator.Workspace
	host  string
	root  string
	store *artifacts.Store
	base  *http.Transport
	open  *Workspace // the adapter of the process that lives now

	mu       sync.Mutex
	requests int                      // that change something
	faults   map[int]fabrictest.Fault // by the number of the request that they break
	edits    int
}

// places numbers them: a host of its own for each, since the pace of requests is kept by host.
var places atomic.Int64

func newPlace(t *testing.T, o emulator.Options, root string) *place {
	o.Token = token
	store, err := artifacts.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := emulator.NewPipeListener()
	p := &place{Workspace: emulator.New(o), host: fmt.Sprintf("http://emulator-%d", places.Add(1)), root: root, store: store,
		base: &http.Transport{DialContext: l.DialContext}, faults: map[int]fabrictest.Fault{}}
	srv := &http.Server{Handler: p}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // always ErrServerClosed
	}()
	t.Cleanup(func() {
		_ = srv.Close() // nobody reads from it any more
		<-served
		for _, v := range p.Violations() {
			t.Errorf("the real API would reject: %s", v)
		}
		for _, q := range p.Workspace.Requests() {
			if changes(q.Method) && q.Intent == "" {
				t.Errorf("%s %s came without an intent", q.Method, q.Path)
			}
		}
	})
	return p
}

// ServeHTTP counts what changes the workspace, and arms the emulator's own fault for the request
// whose turn it is.
func (p *place) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if changes(r.Method) {
		p.mu.Lock()
		p.requests++
		f := p.faults[p.requests]
		p.mu.Unlock()
		fault := emulator.Fault{Pattern: r.Method + " " + r.URL.Path}
		switch f {
		case fabrictest.LoseResponse:
			fault.After, fault.Close = true, true
		case fabrictest.FailBefore:
			fault.Close = true
		case fabrictest.Busy:
			fault.Status = http.StatusTooManyRequests
		}
		if f != fabrictest.None {
			p.Workspace.ClearFaults()
			p.Workspace.Fault(fault)
		}
	}
	p.Workspace.ServeHTTP(rw, r)
}

func (p *place) Fault(f fabrictest.Fault, k int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f {
	case fabrictest.None:
		p.faults = map[int]fabrictest.Fault{}
		p.Workspace.ClearFaults()
	case fabrictest.Blind:
		for _, method := range []string{"GET", "HEAD"} {
			p.Workspace.Fault(emulator.Fault{Pattern: method + " *", Status: http.StatusServiceUnavailable, Times: -1})
		}
	default:
		p.faults[p.requests+k] = f
	}
}

func (p *place) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Open ends the process that was there before.
func (p *place) Open(t testing.TB) fabric.Fabric {
	if p.open != nil {
		p.open.Close()
	}
	w, err := New(Options{Name: "conformance", Config: pat(p.host, token), Root: p.root, Installation: installation, Blobs: p.store, Transport: p.base})
	if err != nil {
		t.Fatal(err)
	}
	p.open = w
	t.Cleanup(w.Close)
	return w
}

func (p *place) Binding() fabric.Binding {
	return fabric.Binding{Installation: installation, Deployment: "shop@conformance", Tag: "Shop/1.2.0", Version: "1.2.0", ProjectID: "3224", FabricIDs: []string{"17"}}
}

// committedWheel is where the authoring tool would put the wheel of a pipeline.
func committedWheel(pipeline string) string {
	return "dbfs:/FileStore/prophecy/artifacts/saas/app/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/" + pipeline + "-1.0-py3-none-any.whl"
}

// Release gives each resource a pipeline with a wheel of its own, so that each is uploaded first. The
// definitions are what the authoring tool commits, with a task for the pipeline and one for each job that it runs.
func (p *place) Release(t testing.TB, specs ...fabrictest.Spec) *artifacts.Release {
	r := &artifacts.Release{Project: "shop", Commit: "c0ffee"}
	for _, s := range specs {
		pipeline := "pipelines/" + path.Base(s.Key)
		sum, size, err := p.store.PutBytes([]byte("the wheel of " + pipeline))
		if err != nil {
			t.Fatal(err)
		}
		a := artifacts.Artifact{SHA256: sum, Name: path.Base(s.Key) + "-1.0-py3-none-any.whl", Size: size, Kind: "wheel"}
		r.Artifacts = append(r.Artifacts, a)
		r.Pipelines = append(r.Pipelines, artifacts.Pipeline{Key: pipeline, Name: path.Base(s.Key), Language: "python", Artifact: &a, Instances: []string{"default"}})
		c := artifacts.Component{Kind: artifacts.PipelineComponent, Path: committedWheel(path.Base(s.Key)), NodeName: "clean", ID: "id$$" + s.Key, PipelineID: pipeline, Language: "python"}
		r.Jobs = append(r.Jobs, artifacts.Job{Key: s.Key, Name: s.Name, FabricID: "17", Scheduler: "Databricks", File: s.Key + "/code/databricks-job.json",
			Raw: definition(t, s, c), Components: []artifacts.Component{c}, Pipelines: []string{pipeline}, Runs: s.Runs})
	}
	return r
}

// definition is the databricks-job.json of a spec.
func definition(t testing.TB, s fabrictest.Spec, c artifacts.Component) []byte {
	tasks := []any{object{
		"task_key": "clean", "job_cluster_key": "small", "run_if": "ALL_SUCCESS", "max_retries": 0, "email_notifications": object{},
		"python_wheel_task": object{"package_name": path.Base(s.Key), "entry_point": "main", "parameters": []any{"-i", "default", "--release", "__PROJECT_RELEASE_VERSION_PLACEHOLDER__"}},
		"libraries": []any{object{"maven": object{"coordinates": "io.prophecy:prophecy-libs_2.12:3.5.0-9.2.0"}},
			object{"pypi": object{"package": "prophecy-libs==2.1.16"}}, object{"whl": c.Path}},
	}}
	after := []any{object{"task_key": "clean"}}
	for i, key := range s.Runs {
		name := fmt.Sprint("run_", i)
		tasks = append(tasks, object{"task_key": name, "depends_on": after, "run_job_task": object{"job_id": object{"job": key}}})
		after = append(after[:len(after):len(after)], object{"task_key": name})
	}
	raw, err := json.MarshalIndent(object{
		"fabric_id":  "17",
		"components": []any{object{c.Kind: object{"path": c.Path, "nodeName": c.NodeName, "id": c.ID, "language": c.Language, "pipelineId": c.PipelineID}}},
		"request": object{
			"format": "MULTI_TASK", "name": s.Name, "description": s.Text, "max_concurrent_runs": 1,
			"schedule":            object{"quartz_cron_expression": "0 0 5 * * ?", "timezone_id": "Europe/Berlin"},
			"email_notifications": object{"on_failure": []any{"data@shop.example"}},
			"job_clusters": []any{object{"job_cluster_key": "small", "new_cluster": object{
				"spark_version": "15.4.x-scala2.12", "node_type_id": "m5d.large", "num_workers": 1, "data_security_mode": "SINGLE_USER",
				"spark_conf": object{
					"spark.prophecy.metadata.job.uri":            "__PROJECT_ID_PLACEHOLDER__/" + s.Key,
					"spark.prophecy.metadata.job.branch":         "__PROJECT_RELEASE_VERSION_PLACEHOLDER__",
					"spark.prophecy.metadata.url":                "__PROPHECY_URL_PLACEHOLDER__",
					"spark.prophecy.execution.service.url":       "__PROPHECY_URL_PLACEHOLDER__/execution/eventws",
					"prophecy.packages.path":                     fmt.Sprintf("{%q:%q}", c.PipelineID, c.Path),
					"spark.shop.release":                         "__PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__",
					"spark.databricks.isv.product":               "prophecy",
					"spark.prophecy.metadata.is.interactive.run": "false",
				},
			}}},
			"tasks": tasks,
		},
		"secret_scope": "prophecy_jobs_77", "is_prophecy_managed_fabric": false,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func jobID(t testing.TB, id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Edit changes, in turns, a field that the definition sets and two that it leaves to the service.
func (p *place) Edit(t testing.TB, id string) string {
	p.edits++
	edit := []struct{ field, patch string }{
		{"description", `{"description":"by hand %d"}`},
		{"tasks[clean].timeout_seconds", `{"tasks":[{"task_key":"clean","timeout_seconds":%d}]}`},
		{"timeout_seconds", `{"timeout_seconds":%d}`},
	}[p.edits%3]
	if err := p.PatchJob(jobID(t, id), fmt.Appendf(nil, edit.patch, p.edits)); err != nil {
		t.Fatal(err)
	}
	return edit.field
}

func (p *place) Copy(t testing.TB, id string) string {
	for _, j := range p.Jobs() {
		if j.ID == jobID(t, id) {
			return p.create(t, j.Settings)
		}
	}
	t.Fatalf("no job %s", id)
	return ""
}

func (p *place) Delete(t testing.TB, id string) {
	if err := p.DeleteJob(jobID(t, id)); err != nil {
		t.Fatal(err)
	}
}

func (p *place) Plant(t testing.TB, name string) string {
	return p.create(t, []byte(settings(name, 1)))
}

func (p *place) create(t testing.TB, settings []byte) string {
	id, err := p.CreateJob(settings)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatInt(id, 10)
}
