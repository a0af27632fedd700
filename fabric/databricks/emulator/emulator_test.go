package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/service/compute"
	"github.com/databricks/databricks-sdk-go/service/files"
	"github.com/databricks/databricks-sdk-go/service/iam"
	"github.com/databricks/databricks-sdk-go/service/jobs"
	"github.com/databricks/databricks-sdk-go/service/workspace"
	"github.com/google/go-cmp/cmp"
)

// serve starts a workspace on loopback and fails the test on violations, unless it expects some.
func serve(t *testing.T, o Options) (*Workspace, string) {
	t.Helper()
	w := New(o)
	url, stop, err := w.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return w, url
}

func clean(t *testing.T, w *Workspace) {
	t.Helper()
	for _, v := range w.Violations() {
		t.Errorf("violation: %s", v)
	}
}

// sdk is the vendor's client with nothing of this machine in its configuration.
func sdk(t *testing.T, cfg *config.Config) *databricks.WorkspaceClient {
	t.Helper()
	cfg.Loaders = []config.Loader{config.ConfigAttributes}
	cfg.RateLimitPerSecond = 100_000
	if cfg.HTTPTransport == nil {
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		cfg.HTTPTransport = tr
	}
	c, err := databricks.NewWorkspaceClient((*databricks.Config)(cfg))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tokenClient(t *testing.T, url string) *databricks.WorkspaceClient {
	return sdk(t, &config.Config{Host: url, Token: "emulator-token", AuthType: "pat"})
}

func wheelTask(key, whl string, on ...string) jobs.Task {
	task := jobs.Task{TaskKey: key, JobClusterKey: "small",
		PythonWheelTask: &jobs.PythonWheelTask{PackageName: key, EntryPoint: "main"},
		Libraries:       []compute.Library{{Whl: whl}}}
	for _, k := range on {
		task.DependsOn = append(task.DependsOn, jobs.TaskDependency{TaskKey: k})
	}
	return task
}

func smallCluster() []jobs.JobCluster {
	return []jobs.JobCluster{{JobClusterKey: "small", NewCluster: &compute.ClusterSpec{
		SparkVersion: "15.4.x-scala2.12", NodeTypeId: "i3.xlarge", NumWorkers: 1}}}
}

func TestSDKJobs(t *testing.T) {
	w, url := serve(t, Options{})
	c, ctx := tokenClient(t, url), t.Context()

	create := jobs.CreateJob{Name: "daily", JobClusters: smallCluster(), Tags: map[string]string{"env": "prod"}}
	for i := range 230 {
		create.Tasks = append(create.Tasks, wheelTask(fmt.Sprintf("t%03d", 229-i), "/Workspace/Shared/x.whl"))
	}
	made, err := c.Jobs.Create(ctx, create)
	if err != nil {
		t.Fatal(err)
	}
	if made.JobId <= 1<<53 || int64(float64(made.JobId)) == made.JobId {
		t.Errorf("job id %d fits a float64", made.JobId)
	}
	got, err := c.Jobs.Get(ctx, jobs.GetJobRequest{JobId: made.JobId})
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]string, len(got.Settings.Tasks))
	for i, task := range got.Settings.Tasks {
		keys[i] = task.TaskKey
	}
	if len(keys) != 230 || !slices.IsSorted(keys) {
		t.Errorf("get returned %d tasks, sorted: %v", len(keys), slices.IsSorted(keys))
	}
	if n := w.Count("GET /api/2.2/jobs/get"); n != 3 {
		t.Errorf("230 tasks were read with %d requests, want 3", n)
	}
	if len(got.Settings.JobClusters) != 1 || got.Settings.JobClusters[0].NewCluster.AwsAttributes == nil {
		t.Errorf("job clusters %+v", got.Settings.JobClusters)
	}

	if err := c.Jobs.Reset(ctx, jobs.ResetJob{JobId: made.JobId, NewSettings: jobs.JobSettings{
		Name: "daily2", JobClusters: smallCluster(), Tasks: []jobs.Task{wheelTask("a", "/Workspace/Shared/x.whl"), wheelTask("b", "/Workspace/Shared/x.whl", "a")}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Jobs.Update(ctx, jobs.UpdateJob{JobId: made.JobId, FieldsToRemove: []string{"tasks/b"},
		NewSettings: &jobs.JobSettings{MaxConcurrentRuns: 3, Tasks: []jobs.Task{wheelTask("c", "/Workspace/Shared/x.whl", "a")}}}); err != nil {
		t.Fatal(err)
	}
	all, err := c.Jobs.ListAll(ctx, jobs.ListJobsRequest{ExpandTasks: true, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].JobId != made.JobId || all[0].Settings.Name != "daily2" || all[0].Settings.MaxConcurrentRuns != 3 ||
		len(all[0].Settings.Tasks) != 2 || all[0].Settings.Tasks[1].TaskKey != "c" {
		t.Errorf("list = %+v", all)
	}
	if err := c.Jobs.DeleteByJobId(ctx, made.JobId); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Jobs.GetByJobId(ctx, made.JobId); !errors.Is(err, apierr.ErrResourceDoesNotExist) {
		t.Errorf("get of a deleted job: %v", err)
	}
	clean(t, w)
}

func TestSDKFiles(t *testing.T) {
	w, url := serve(t, Options{Volumes: []string{"main.selvage.artifacts"}})
	c, ctx := tokenClient(t, url), t.Context()

	me, err := c.CurrentUser.Me(ctx, iam.MeRequest{})
	if err != nil || me.UserName != "deployer@selvage.example" {
		t.Fatalf("me = %+v, %v", me, err)
	}
	dir := "/Workspace/Users/" + me.UserName + "/selvage/ab12"
	name := dir + "/hello-1.0-py3-none-any.whl"
	upload := func() error {
		return c.Workspace.Upload(ctx, name, strings.NewReader("wheel"), workspace.UploadFormat(workspace.ImportFormatAuto))
	}
	if err := upload(); !errors.Is(err, apierr.ErrResourceDoesNotExist) {
		t.Errorf("upload without the folder: %v", err)
	}
	if err := c.Workspace.MkdirsByPath(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if err := upload(); err != nil {
		t.Fatal(err)
	}
	if err := upload(); !errors.Is(err, apierr.ErrResourceAlreadyExists) {
		t.Errorf("second upload without overwrite: %v", err)
	}
	status, err := c.Workspace.GetStatusByPath(ctx, name)
	if err != nil || status.Size != 5 || status.ObjectType != workspace.ObjectTypeFile {
		t.Errorf("status = %+v, %v", status, err)
	}
	text, err := c.Workspace.ReadFile(ctx, name)
	if err != nil || string(text) != "wheel" {
		t.Errorf("read %q, %v", text, err)
	}
	if list, err := c.Workspace.RecursiveList(ctx, "/Users/"+me.UserName); err != nil || len(list) != 1 {
		t.Errorf("list = %+v, %v", list, err)
	}
	small := workspace.Import{Path: name, Format: workspace.ImportFormatRaw, Overwrite: true, Content: "eHk="}
	if err := c.Workspace.Import(ctx, small); err != nil {
		t.Error(err)
	}
	clean(t, w)
	big := `{"path":"` + name + `","format":"RAW","overwrite":true,"content":"` + strings.Repeat("AAAA", importLimit/3+1) + `"}`
	if status, code, _ := request(t, w, "POST", url+"/api/2.0/workspace/import", big); status != 400 || code != "MAX_NOTEBOOK_SIZE_EXCEEDED" || len(w.Violations()) != 1 {
		t.Errorf("import of more than 10 MiB as JSON: %d %s, violations %q", status, code, w.Violations())
	}
	if err := c.Workspace.WriteFile(ctx, name, bytes.Repeat([]byte("x"), importLimit+1)); err != nil {
		t.Errorf("the same as multipart: %v", err)
	}
	if err := c.Workspace.Delete(ctx, workspace.Delete{Path: dir}); err == nil {
		t.Error("deleted a folder that is not empty")
	}

	path := "/Volumes/main/selvage/artifacts/ab 12/hello%2B.whl"
	put := files.UploadRequest{FilePath: path, Contents: io.NopCloser(strings.NewReader("bytes"))}
	if err := c.Files.Upload(ctx, put); err != nil {
		t.Fatal(err)
	}
	put.Contents = io.NopCloser(strings.NewReader("bytes"))
	if err := c.Files.Upload(ctx, put); !errors.Is(err, apierr.ErrAlreadyExists) {
		t.Errorf("second upload without overwrite: %v", err)
	}
	head, err := c.Files.GetMetadata(ctx, files.GetMetadataRequest{FilePath: path})
	if err != nil || head.ContentLength != 5 || head.LastModified == "" {
		t.Errorf("metadata = %+v, %v", head, err)
	}
	down, err := c.Files.DownloadByFilePath(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(down.Contents); err != nil || string(text) != "bytes" {
		t.Errorf("downloaded %q, %v", text, err)
	}
	if entries, err := c.Files.ListDirectoryContentsAll(ctx, files.ListDirectoryContentsRequest{DirectoryPath: "/Volumes/main/selvage/artifacts"}); err != nil || len(entries) != 1 || !entries[0].IsDirectory {
		t.Errorf("entries = %+v, %v", entries, err)
	}
	if err := c.Files.DeleteDirectory(ctx, files.DeleteDirectoryRequest{DirectoryPath: "/Volumes/main/selvage/artifacts/ab 12"}); err == nil {
		t.Error("deleted a folder that is not empty")
	}
	if err := c.Files.DeleteByFilePath(ctx, path); err != nil {
		t.Error(err)
	}
	if _, err := c.Files.GetMetadata(ctx, files.GetMetadataRequest{FilePath: path}); !errors.Is(err, apierr.ErrNotFound) {
		t.Errorf("metadata of a deleted file: %v", err)
	}
	if err := c.Files.CreateDirectory(ctx, files.CreateDirectoryRequest{DirectoryPath: "/Volumes/main/other/v/x"}); !errors.Is(err, apierr.ErrNotFound) {
		t.Errorf("folder in a volume that is not there: %v", err)
	}
}

func TestSDKOAuth(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	w, url := serve(t, Options{ClientID: "8f1c-sp", ClientSecret: "s3cret", Now: func() time.Time { return now }})
	c := sdk(t, &config.Config{Host: url, ClientID: "8f1c-sp", ClientSecret: "s3cret", AuthType: "oauth-m2m"})
	me, err := c.CurrentUser.Me(t.Context(), iam.MeRequest{})
	if err != nil || me.UserName != "8f1c-sp" {
		t.Fatalf("me = %+v, %v", me, err)
	}
	now = now.Add(2 * tokenLife) // the client's clock did not move: it sends the old token
	if _, err := c.CurrentUser.Me(t.Context(), iam.MeRequest{}); !errors.Is(err, apierr.ErrUnauthenticated) {
		t.Errorf("a token that has ended: %v", err)
	}
	bad := sdk(t, &config.Config{Host: url, ClientID: "8f1c-sp", ClientSecret: "wrong", AuthType: "oauth-m2m"})
	if _, err := bad.CurrentUser.Me(t.Context(), iam.MeRequest{}); err == nil {
		t.Error("a wrong secret was accepted")
	}
	clean(t, w)
}

func TestSDKRuns(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	w, url := serve(t, Options{RunTime: time.Minute, Now: func() time.Time { return now }})
	c, ctx := tokenClient(t, url), t.Context()
	if err := c.Workspace.WriteFile(ctx, "/Shared/there.whl", []byte("x")); err != nil {
		t.Fatal(err)
	}
	made, err := c.Jobs.Create(ctx, jobs.CreateJob{JobClusters: smallCluster(), Tasks: []jobs.Task{
		wheelTask("a", "/Workspace/Shared/there.whl"), wheelTask("b", "/Workspace/Shared/gone.whl"), wheelTask("c", "/Workspace/Shared/there.whl", "b")}})
	if err != nil {
		t.Fatal(err)
	}
	start := func(token string) int64 {
		t.Helper()
		r, err := c.Jobs.RunNow(ctx, jobs.RunNow{JobId: made.JobId, IdempotencyToken: token})
		if err != nil {
			t.Fatal(err)
		}
		return r.RunId
	}
	id := start("once")
	if again := start("once"); again != id {
		t.Errorf("the same idempotency token started run %d after %d", again, id)
	}
	states := func(id int64) []string {
		t.Helper()
		r, err := c.Jobs.GetRun(ctx, jobs.GetRunRequest{RunId: id})
		if err != nil {
			t.Fatal(err)
		}
		out := []string{fmt.Sprint(r.State.LifeCycleState, " ", r.State.ResultState)}
		for _, task := range r.Tasks {
			out = append(out, fmt.Sprint(task.TaskKey, " ", task.State.ResultState))
		}
		return out
	}
	if got := states(id)[0]; got != "PENDING " {
		t.Errorf("at the start: %s", got)
	}
	now = now.Add(30 * time.Second)
	if got := states(id)[0]; got != "RUNNING " {
		t.Errorf("after 30 s: %s", got)
	}
	canceled := start("two")
	if _, err := c.Jobs.CancelRun(ctx, jobs.CancelRun{RunId: canceled}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(30 * time.Second)
	if diff := cmp.Diff([]string{"INTERNAL_ERROR FAILED", "a SUCCESS", "b FAILED", "c UPSTREAM_FAILED"}, states(id)); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	if got := states(canceled)[0]; got != "TERMINATED CANCELED" {
		t.Errorf("canceled: %s", got)
	}
	runs, err := c.Jobs.ListRunsAll(ctx, jobs.ListRunsRequest{JobId: made.JobId, CompletedOnly: true, Limit: 1})
	if err != nil || len(runs) != 2 || runs[0].RunId != canceled {
		t.Errorf("runs = %+v, %v", runs, err)
	}
	if err := c.Jobs.DeleteByJobId(ctx, made.JobId); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Jobs.GetRun(ctx, jobs.GetRunRequest{RunId: id}); !errors.Is(err, apierr.ErrResourceDoesNotExist) {
		t.Errorf("a run of a deleted job: %v", err)
	}
	clean(t, w)
}

func TestSDKPermissions(t *testing.T) {
	w, url := serve(t, Options{})
	c, ctx := tokenClient(t, url), t.Context()
	made, err := c.Jobs.Create(ctx, jobs.CreateJob{AccessControlList: []jobs.JobAccessControlRequest{{GroupName: "users", PermissionLevel: "CAN_VIEW"}}})
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(made.JobId)
	direct := func(p *jobs.JobPermissions) map[string]string {
		out := map[string]string{}
		for _, e := range p.AccessControlList {
			for _, a := range e.AllPermissions {
				if !a.Inherited {
					out[e.UserName+e.GroupName] = string(a.PermissionLevel)
				}
			}
		}
		return out
	}
	p, err := c.Jobs.GetPermissionsByJobId(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"users": "CAN_VIEW", "deployer@selvage.example": "IS_OWNER"}, direct(p)); diff != "" {
		t.Errorf("after create (-want +got):\n%s", diff)
	}
	if _, err := c.Jobs.UpdatePermissions(ctx, jobs.JobPermissionsRequest{JobId: id, AccessControlList: []jobs.JobAccessControlRequest{{GroupName: "users", PermissionLevel: "CAN_MANAGE_RUN"}}}); err != nil {
		t.Fatal(err)
	}
	p, err = c.Jobs.SetPermissions(ctx, jobs.JobPermissionsRequest{JobId: id, AccessControlList: []jobs.JobAccessControlRequest{{UserName: "lead@shop.example", PermissionLevel: "IS_OWNER"}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"lead@shop.example": "IS_OWNER"}, direct(p)); diff != "" {
		t.Errorf("after set (-want +got):\n%s", diff)
	}
	clean(t, w)
	if _, err := c.Jobs.SetPermissions(ctx, jobs.JobPermissionsRequest{JobId: id}); err == nil || len(w.Violations()) != 1 {
		t.Errorf("permissions without an owner: %v, violations %q", err, w.Violations())
	}
}

// request sends raw bytes with the token and gives status, error code and body.
func request(t testing.TB, w *Workspace, method, url, body string, header ...string) (int, string, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.o.Token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, "", err.Error()
	}
	var e struct {
		Code string `json:"error_code"`
	}
	if res.StatusCode >= 400 {
		_ = json.Unmarshal(text, &e) // a fault's body may be anything
	}
	return res.StatusCode, e.Code, string(text)
}

// create makes a job through the API and returns its id.
func create(t testing.TB, w *Workspace, url, settings string) int64 {
	t.Helper()
	status, _, body := request(t, w, "POST", url+"/api/2.2/jobs/create", settings)
	var made struct {
		ID int64 `json:"job_id"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != 200 {
		t.Fatalf("create: %d %s", status, body)
	}
	return made.ID
}
