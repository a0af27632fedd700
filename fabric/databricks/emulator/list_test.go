package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// page is one page of jobs/list.
type page struct {
	Jobs []struct {
		ID       int64          `json:"job_id"`
		HasMore  bool           `json:"has_more"`
		Settings map[string]any `json:"settings"`
	} `json:"jobs"`
	HasMore bool   `json:"has_more"`
	Next    string `json:"next_page_token"`
}

func list(t testing.TB, w *Workspace, url, query string) page {
	t.Helper()
	status, _, body := request(t, w, "GET", url+"/api/2.2/jobs/list?"+query, "")
	var p page
	if err := json.Unmarshal([]byte(body), &p); err != nil || status != 200 {
		t.Fatalf("list: %d %s", status, body)
	}
	return p
}

// names lists all jobs in pages of 2; between the first and the second page it calls meanwhile.
func names(t *testing.T, w *Workspace, url string, meanwhile func()) []string {
	t.Helper()
	var out []string
	for query := "limit=2"; ; {
		p := list(t, w, url, query)
		for _, j := range p.Jobs {
			out = append(out, j.Settings["name"].(string))
		}
		if meanwhile != nil {
			meanwhile()
			meanwhile = nil
		}
		if p.Next == "" {
			return out
		}
		query = "limit=2&page_token=" + p.Next
	}
}

func five(t *testing.T, o Options) (*Workspace, string, []int64) {
	w, url := serve(t, o)
	var ids []int64
	for i := range 5 {
		ids = append(ids, create(t, w, url, fmt.Sprintf(`{"name":"j%d"}`, i)))
	}
	return w, url, ids
}

func TestListPages(t *testing.T) {
	for _, tt := range []struct {
		name      string
		u         Unverified
		meanwhile func(w *Workspace, ids []int64)
		want      string
	}{
		{"quiet", Unverified{}, nil, "j4 j3 j2 j1 j0"},
		{"quiet, by offset", Unverified{ListByOffset: true}, nil, "j4 j3 j2 j1 j0"},
		{"deleted", Unverified{}, func(w *Workspace, ids []int64) { _ = w.DeleteJob(ids[3]) }, "j4 j3 j2 j1 j0"},
		{"deleted, by offset", Unverified{ListByOffset: true}, func(w *Workspace, ids []int64) { _ = w.DeleteJob(ids[3]) }, "j4 j3 j1 j0"},
		{"created", Unverified{}, func(w *Workspace, ids []int64) { _, _ = w.CreateJob([]byte(`{"name":"new"}`)) }, "j4 j3 j2 j1 j0"},
		{"created, by offset", Unverified{ListByOffset: true}, func(w *Workspace, ids []int64) { _, _ = w.CreateJob([]byte(`{"name":"new"}`)) }, "j4 j3 j3 j2 j1 j0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, url, ids := five(t, Options{Unverified: tt.u})
			var meanwhile func()
			if tt.meanwhile != nil {
				meanwhile = func() { tt.meanwhile(w, ids) }
			}
			if got := strings.Join(names(t, w, url, meanwhile), " "); got != tt.want {
				t.Errorf("listed %s, want %s", got, tt.want)
			}
			clean(t, w)
		})
	}
}

func TestListFilters(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	w, url, _ := five(t, Options{Now: func() time.Time { return now }, Unverified: Unverified{ListLag: time.Minute}})
	if p := list(t, w, url, ""); len(p.Jobs) != 0 {
		t.Errorf("listed %d jobs before the lag was over", len(p.Jobs))
	}
	now = now.Add(time.Minute)
	create(t, w, url, `{"name":"J2","tasks":[{"task_key":"a","notebook_task":{"notebook_path":"/n"}}]}`)
	now = now.Add(time.Minute)
	p := list(t, w, url, "name=j2")
	if len(p.Jobs) != 2 || p.Jobs[0].Settings["name"] != "J2" || p.Jobs[0].Settings["tasks"] != nil {
		t.Errorf("by name: %+v", p)
	}
	if p := list(t, w, url, "name=j"); len(p.Jobs) != 0 {
		t.Errorf("the filter is not exact: %+v", p)
	}
	for range 20 {
		create(t, w, url, `{}`)
	}
	now = now.Add(time.Minute)
	if p := list(t, w, url, ""); len(p.Jobs) != 20 || !p.HasMore {
		t.Errorf("default page: %d jobs, more %v", len(p.Jobs), p.HasMore)
	}
}

func TestListExpanded(t *testing.T) {
	var tasks []string
	for i := range 101 {
		tasks = append(tasks, fmt.Sprintf(`{"task_key":"t%03d","notebook_task":{"notebook_path":"/n"}}`, i))
	}
	for _, lean := range []bool{false, true} {
		w, url := serve(t, Options{Unverified: Unverified{ListOmitsDefaults: lean}})
		id := create(t, w, url, `{"tasks":[`+strings.Join(tasks, ",")+`]}`)
		j := list(t, w, url, "expand_tasks=true&limit=100").Jobs[0]
		shown := j.Settings["tasks"].([]any)
		if len(shown) != 100 || !j.HasMore {
			t.Errorf("%d tasks, has_more %v", len(shown), j.HasMore)
		}
		if _, has := shown[0].(map[string]any)["run_if"]; has == lean {
			t.Errorf("lean %v: task = %v", lean, shown[0])
		}
		// Change it, or the list would show what it kept.
		if err := w.PatchJob(id, []byte(`{"name":"changed"}`)); err != nil {
			t.Fatal(err)
		}
		if j := list(t, w, url, "expand_tasks=true").Jobs[0]; j.Settings["name"] != "changed" {
			t.Errorf("the list shows an old name %v", j.Settings["name"])
		}
		last := read(t, w, url+"/api/2.2/jobs/get?job_id="+fmt.Sprint(id)+"&page_token="+pageToken("get", 1, 1)+"&x=", id)
		if got := last["tasks"].([]any); len(got) != 1 {
			t.Errorf("second page of get has %d tasks", len(got))
		}
		clean(t, w)
	}
}

func TestByHand(t *testing.T) {
	w, url := serve(t, Options{})
	id := create(t, w, url, settingsWith(`,"description":"d"`))
	if err := w.PatchJob(id, []byte(`{"description":null,"tasks":[{"task_key":"a","max_retries":12345678901},{"task_key":"b","notebook_task":{"notebook_path":"/n"}}]}`)); err == nil {
		t.Error("an edit that the service refuses was taken")
	}
	if err := w.PatchJob(id, []byte(`{"description":null,"tasks":[{"task_key":"a","max_retries":5},{"task_key":"b","notebook_task":{"notebook_path":"/n"}}]}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.EditJob(id, func(s map[string]any) { s["max_concurrent_runs"] = 7 }); err != nil {
		t.Fatal(err)
	}
	got := read(t, w, url, id)
	tasks := objects(got["tasks"])
	if got["description"] != nil || got["max_concurrent_runs"] != json.Number("7") || len(tasks) != 2 ||
		tasks[0]["max_retries"] != json.Number("5") || tasks[0]["python_wheel_task"] == nil {
		t.Errorf("after the edits: %v", got)
	}
	hand, err := w.CreateJob([]byte(settingsWith("")))
	if err != nil {
		t.Fatal(err)
	}
	w.Snapshot("two")
	if err := w.DeleteJob(hand); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteJob(hand); err != ErrNoJob(hand) {
		t.Errorf("second delete: %v", err)
	}
	if !w.Restore("two") || w.Restore("none") {
		t.Error("restore")
	}
	ids := []int64{}
	for _, j := range w.Jobs() {
		ids = append(ids, j.ID)
	}
	if !slices.Equal(ids, []int64{hand, id}) || w.Jobs()[0].Creator != byHand || w.Jobs()[1].Name != "x" {
		t.Errorf("after restore: %+v", w.Jobs())
	}
	clean(t, w)
}

func TestControl(t *testing.T) {
	w, url := serve(t, Options{})
	root := url + "/__emulator/"
	_, _, body := request(t, w, "POST", root+"jobs", `{"name":"hand"}`)
	id := parse(t, body)["job_id"].(json.Number).String()
	request(t, w, "PATCH", root+"jobs/"+id, `{"name":"edited"}`)
	if _, _, body := request(t, w, "GET", root+"jobs/"+id, ""); parse(t, body)["name"] != "edited" {
		t.Errorf("job = %s", body)
	}
	request(t, w, "POST", root+"faults", `{"pattern":"GET /api/2.2/jobs/list","status":503}`)
	if status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/list", ""); status != 503 {
		t.Errorf("fault over HTTP: %d", status)
	}
	if _, _, body := request(t, w, "GET", root+"count?pattern=GET+/api/2.2/jobs/*", ""); body != `{"count":1}` {
		t.Errorf("count = %s", body)
	}
	request(t, w, "POST", root+"snapshot/s", "")
	request(t, w, "DELETE", root+"jobs/"+id, "")
	if _, _, body := request(t, w, "GET", root+"jobs", ""); body != `[]` {
		t.Errorf("jobs = %s", body)
	}
	request(t, w, "POST", root+"restore/s", "")
	request(t, w, "POST", root+"jobs/"+id+"/hide", "")
	if status, _, _ := request(t, w, "GET", url+"/api/2.2/jobs/get?job_id="+id, ""); status != 403 {
		t.Errorf("hidden over HTTP: %d", status)
	}
	request(t, w, "DELETE", root+"requests", "")
	if _, _, body := request(t, w, "GET", root+"requests", ""); body != `[]` {
		t.Errorf("requests = %s", body)
	}
	for _, bad := range []string{"GET jobs/x", "GET jobs/1", "POST restore/none", "GET nothing", "PUT jobs"} {
		method, path, _ := strings.Cut(bad, " ")
		if status, _, body := request(t, w, method, root+path, ""); status != 400 {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	if status, _, _ := request(t, w, "POST", root+"faults", `{"patern":"*"}`); status != 400 {
		t.Errorf("misspelt fault: %d", status)
	}
	if diff := cmp.Diff([]string(nil), w.Violations()); diff != "" {
		t.Error(diff)
	}
}

func thousand(t testing.TB) (*Workspace, string) {
	w := New(Options{})
	url, stop, err := w.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for i := range 1000 {
		var tasks []string
		for _, key := range []string{"load", "clean", "write"} {
			tasks = append(tasks, fmt.Sprintf(`{"task_key":%q,"job_cluster_key":"c","max_retries":1,"python_wheel_task":{"package_name":%q,"entry_point":"main","parameters":["-i","default","-O","{}"]},`+
				`"libraries":[{"maven":{"coordinates":"io.prophecy:prophecy-libs_2.12:3.3.0-9.2.0"}},{"whl":"/Workspace/Shared/%s-1.0-py3-none-any.whl"}]}`, key, key, key))
		}
		if _, err := w.CreateJob(fmt.Appendf(nil, `{"name":"job%d","job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"15.4.x","node_type_id":"i3.xlarge","num_workers":1}}],"tasks":[%s]}`,
			i, strings.Join(tasks, ","))); err != nil {
			t.Fatal(err)
		}
	}
	return w, url
}

func TestListThousand(t *testing.T) {
	w, url := thousand(t)
	seen := map[int64]bool{}
	for query := "expand_tasks=true&limit=100"; ; {
		p := list(t, w, url, query)
		for _, j := range p.Jobs {
			seen[j.ID] = true
		}
		if p.Next == "" {
			break
		}
		query = "expand_tasks=true&limit=100&page_token=" + p.Next
	}
	if n := w.Count("GET /api/2.2/jobs/list"); n != 10 || len(seen) != 1000 {
		t.Errorf("%d jobs in %d pages", len(seen), n)
	}
}

// BenchmarkList1000 is what the emulator itself costs when 1,000 jobs of three tasks are read.
func BenchmarkList1000(b *testing.B) {
	w, url := thousand(b)
	b.Cleanup(http.DefaultClient.CloseIdleConnections)
	size := 0
	for b.Loop() {
		size = 0
		for query := "expand_tasks=true&limit=100"; ; {
			_, _, body := request(b, w, "GET", url+"/api/2.2/jobs/list?"+query, "")
			size += len(body)
			_, token, more := strings.Cut(body, `"next_page_token":"`)
			if !more {
				break
			}
			token, _, _ = strings.Cut(token, `"`)
			query = "expand_tasks=true&limit=100&page_token=" + token
		}
	}
	b.ReportMetric(float64(size)/1e6, "MB/op")
}
