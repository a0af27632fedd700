package databricks_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

func TestConformance(t *testing.T) {
	fabrictest.Run(t, fabrictest.Harness{New: newPlace, In: synctest.Test})
}

// place is an emulated workspace with hands.
type place struct {
	*emulator.Workspace
	listener *emulator.PipeListener
	edits    int
}

func newPlace(t *testing.T) fabrictest.Place {
	p := &place{Workspace: emulator.New(emulator.Options{Token: "dapi-conformance"}), listener: emulator.NewPipeListener()}
	t.Cleanup(p.Serve(p.listener))
	t.Cleanup(func() {
		for _, v := range p.Violations() {
			t.Errorf("the real API would reject: %s", v)
		}
	})
	return p
}

func (p *place) Open(t testing.TB) fabric.Fabric {
	transport := &http.Transport{DialContext: p.listener.DialContext}
	w, err := databricks.New(databricks.Options{
		Name: "place", Installation: "inst", Transport: transport,
		Config: configs.Databricks{Host: "http://emulator", RequestsPerSecond: 1e6, Attributes: map[string]configs.Secret{
			"auth_type": configs.NewSecret("pat"), "token": configs.NewSecret("dapi-conformance")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func (p *place) Binding() fabric.Binding {
	return fabric.Binding{Installation: "inst", Deployment: "hello@place", FabricIDs: []string{"7"}, Tag: "hello/1.0.0", Version: "1.0.0"}
}

func (p *place) Release(t testing.TB, specs ...fabrictest.Spec) *artifacts.Release {
	r := &artifacts.Release{Project: "hello", Commit: "c"}
	for _, s := range specs {
		tasks := []any{map[string]any{"task_key": "own", "existing_cluster_id": "c", "spark_python_task": map[string]any{
			"python_file": "/Workspace/x.py", "parameters": []string{"--release", "__PROJECT_RELEASE_VERSION_PLACEHOLDER__", "--text", s.Text}}}}
		for i, key := range s.Runs {
			tasks = append(tasks, map[string]any{"task_key": "run" + strconv.Itoa(i), "run_job_task": map[string]any{"job_id": map[string]any{"job": key}}})
		}
		raw, err := json.Marshal(map[string]any{"request": map[string]any{"name": s.Name, "tasks": tasks}})
		if err != nil {
			t.Fatal(err)
		}
		r.Jobs = append(r.Jobs, artifacts.Job{Key: s.Key, Name: s.Name, FabricID: "7", Raw: raw})
	}
	return r
}

func number(t testing.TB, id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *place) Edit(t testing.TB, id string) string {
	p.edits++
	if err := p.EditJob(number(t, id), func(settings map[string]any) { settings["timeout_seconds"] = json.Number(strconv.Itoa(p.edits)) }); err != nil {
		t.Fatal(err)
	}
	return "timeout_seconds"
}

func (p *place) create(t testing.TB, settings []byte) string {
	n, err := p.CreateJob(settings)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatInt(n, 10)
}

func (p *place) Copy(t testing.TB, id string) string {
	for _, j := range p.Jobs() {
		if j.ID == number(t, id) {
			return p.create(t, j.Settings)
		}
	}
	t.Fatalf("job %s is not there", id)
	return ""
}

func (p *place) Delete(t testing.TB, id string) {
	if err := p.DeleteJob(number(t, id)); err != nil {
		t.Fatal(err)
	}
}

func (p *place) Plant(t testing.TB, name string) string {
	settings, err := json.Marshal(map[string]any{"name": name, "tasks": []any{map[string]any{"task_key": "t", "existing_cluster_id": "c", "notebook_task": map[string]any{"notebook_path": "/Workspace/n"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return p.create(t, settings)
}

func (p *place) Fault(f fabrictest.Fault, k int) {
	const changing, reading = "POST *", "GET *"
	switch f {
	case fabrictest.None:
		p.ClearFaults()
	case fabrictest.LoseResponse:
		p.Workspace.Fault(emulator.Fault{Pattern: changing, Offset: k - 1, After: true, Close: true})
	case fabrictest.FailBefore:
		p.Workspace.Fault(emulator.Fault{Pattern: changing, Offset: k - 1, Close: true})
	case fabrictest.Busy:
		p.Workspace.Fault(emulator.Fault{Pattern: changing, Offset: k - 1, Status: http.StatusTooManyRequests})
	case fabrictest.Blind:
		p.Workspace.Fault(emulator.Fault{Pattern: reading, Times: -1, Status: http.StatusInternalServerError})
	}
}

func (p *place) Requests() int { return p.Count("POST *") }
