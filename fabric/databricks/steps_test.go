package databricks

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
)

func TestSteps(t *testing.T) {
	wheel := fabric.Blob{SHA256: cleanSum, Name: "clean.whl", Path: "/Workspace/a/" + cleanSum + "/clean.whl"}
	report := fabric.Blob{SHA256: reportSum, Name: "report.whl", Path: "/Workspace/a/" + reportSum + "/report.whl"}
	runsJob := func(ids ...string) fabric.Doc {
		d := `{"tasks":[`
		for i, id := range ids {
			if i > 0 {
				d += ","
			}
			d += `{"run_job_task":{"job_id":` + id + `}}`
		}
		return doc(t, d+`]}`)
	}
	changes := []fabric.Change{
		{Key: "jobs/a", Action: fabric.Create, Blobs: []fabric.Blob{wheel, report}, Needs: []fabric.Key{"jobs/b", "jobs/c", "jobs/elsewhere"}},
		{Key: "jobs/b", Action: fabric.Create, Blobs: []fabric.Blob{wheel}},
		{Key: "jobs/c", Action: fabric.Update, ID: "3"},
		{Key: "jobs/d", Action: fabric.Delete, ID: "4"},
		{Key: "jobs/e", Action: fabric.Delete, ID: "5", Live: runsJob("4", "4", "77")},
		{Key: "jobs/f", Action: fabric.Delete, ID: "6", Live: runsJob("7")},
		{Key: "jobs/g", Action: fabric.Delete, ID: "7", Live: runsJob("6", "7")},
		{Key: "jobs/h", Action: fabric.Keep},
		{Key: "jobs/i", Action: fabric.Release},
		{Key: "jobs/j", From: "jobs/k", Action: fabric.Move, ID: "9", Blobs: []fabric.Blob{wheel}, Needs: []fabric.Key{"jobs/a"}},
	}
	steps := (&Workspace{}).Steps(changes)
	var got []string
	for _, s := range steps {
		got = append(got, s.ID)
	}
	want := []string{"upload 41ce07aa0000/clean.whl", "upload 9d0211bb0000/report.whl", "create jobs/a", "create jobs/b", "update jobs/c",
		"keep jobs/h", "release jobs/i", "move jobs/j", "delete jobs/d", "delete jobs/e", "delete jobs/f", "delete jobs/g"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	after := map[string][]string{}
	for _, s := range steps {
		after[s.ID] = s.After
	}
	if diff := cmp.Diff([]string{want[0], want[1], "create jobs/b"}, after["create jobs/a"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{want[0], "create jobs/a"}, after["move jobs/j"]); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(after["delete jobs/d"], "delete jobs/e") || slices.Contains(after["delete jobs/e"], "delete jobs/d") {
		t.Errorf("the job that runs another one is not deleted first: %v", after)
	}
	// Whatever the references, there is an order in which every step comes after those that it waits for.
	done := map[string]bool{}
	for range steps {
		for _, s := range steps {
			if !slices.ContainsFunc(s.After, func(id string) bool { return !done[id] }) {
				done[s.ID] = true
			}
		}
	}
	if len(done) != len(steps) {
		t.Errorf("only %d of %d steps can ever run", len(done), len(steps))
	}
	for _, id := range want[8:] {
		for _, before := range want[:8] {
			if !slices.Contains(after[id], before) {
				t.Errorf("%s does not wait for %s", id, before)
			}
		}
	}
}

func TestLibraryNames(t *testing.T) {
	for library, want := range map[string]string{
		`{"whl":"/Workspace/a/clean_orders-1.0-py3-none-any.whl"}`:               "whl clean_orders",
		`{"whl":"/Workspace/a/clean_orders-2.0-py3-none-any.whl[extra]"}`:        "whl clean_orders",
		`{"jar":"dbfs:/x/report.jar"}`:                                           "jar report.jar",
		`{"pypi":{"package":"prophecy-libs==2.1.16"}}`:                           "pypi prophecy-libs",
		`{"pypi":{"package":" requests [socks] >=2"}}`:                           "pypi requests",
		`{"maven":{"coordinates":"io.prophecy:prophecy-libs_2.12:3.3.0-9.2.0"}}`: "maven io.prophecy:prophecy-libs_2.12",
		`{"maven":{"coordinates":"odd"}}`:                                        "maven odd",
		`{"cran":{"package":"ada"}}`:                                             "cran ada",
		`{"requirements":"/Workspace/requirements.txt"}`:                         "requirements requirements.txt",
		`{"whl":7}`:       "whl .",
		`{"new":"thing"}`: `{"new":"thing"}`,
	} {
		if got := libraryName(doc(t, library).Object()); got != want {
			t.Errorf("%s: %q, want %q", library, got, want)
		}
	}
	if got := libraryName("text"); got != `"text"` {
		t.Errorf("got %q", got)
	}
}

// TestRulesKnowTheService: what the service makes of each definition is no difference, and what a
// person makes of it is one.
func TestRulesKnowTheService(t *testing.T) {
	for _, tt := range []struct {
		desired, live string
		want          []string
	}{
		{`{"name":"a","queue":{"enabled":false}}`, `{"name":"a","format":"MULTI_TASK","max_concurrent_runs":1,"timeout_seconds":0,"email_notifications":{"no_alert_for_skipped_runs":false},"webhook_notifications":{},"edit_mode":"EDITABLE","run_as":{"user_name":"me"}}`, nil},
		{`{"queue":{"enabled":true}}`, `{}`, []string{"queue.enabled"}},
		{`{}`, `{"max_concurrent_runs":2}`, []string{"max_concurrent_runs"}},
		{`{"schedule":{"quartz_cron_expression":"x"}}`, `{"schedule":{"quartz_cron_expression":"x","pause_status":"UNPAUSED"}}`, nil},
		{`{"schedule":{"quartz_cron_expression":"x"}}`, `{"schedule":{"quartz_cron_expression":"x","pause_status":"PAUSED"}}`, []string{"schedule.pause_status"}},
		{`{"tasks":[{"task_key":"a"},{"task_key":"b","depends_on":[{"task_key":"x"},{"task_key":"y"}]}]}`,
			`{"tasks":[{"task_key":"b","depends_on":[{"task_key":"y"},{"task_key":"x"}],"run_if":"ALL_SUCCESS","timeout_seconds":0,"email_notifications":{}},{"task_key":"a","retry_on_timeout":true}]}`, nil},
		{`{"tasks":[{"task_key":"a","run_if":"ALL_DONE"}]}`, `{"tasks":[{"task_key":"a","run_if":"ALL_SUCCESS"}]}`, []string{"tasks[a].run_if"}},
		{`{"tasks":[{"task_key":"a","for_each_task":{"task":{"task_key":"i","notebook_task":{"notebook_path":"/n"}}}}]}`,
			`{"tasks":[{"task_key":"a","for_each_task":{"task":{"task_key":"i","run_if":"ALL_SUCCESS","notebook_task":{"notebook_path":"/n","source":"WORKSPACE"}}}}]}`, nil},
		{`{"tasks":[{"task_key":"a","libraries":[{"pypi":{"package":"x==1"}},{"whl":"/a/c-1.whl"}]}]}`,
			`{"tasks":[{"task_key":"a","libraries":[{"whl":"/b/c-1.whl"},{"pypi":{"package":"x==1"}}]}]}`, []string{"tasks[a].libraries[whl c].whl"}},
		{`{"email_notifications":{"on_failure":["a","b"]}}`, `{"email_notifications":{"on_failure":["b","a"]}}`, nil},
		{`{"webhook_notifications":{"on_failure":[{"id":"a"},{"id":"b"}]}}`, `{"webhook_notifications":{"on_failure":[{"id":"b"},{"id":"a"}]}}`, nil},
		{`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{"num_workers":0,"aws_attributes":{"zone_id":"z"},"data_security_mode":"DEDICATED"}}]}`,
			`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{"aws_attributes":{"zone_id":"z","availability":"SPOT"},"data_security_mode":"SINGLE_USER","enable_elastic_disk":true}}]}`, nil},
		{`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{"aws_attributes":{"zone_id":"z"}}}]}`,
			`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{"aws_attributes":{"zone_id":"y"}}}]}`, []string{"job_clusters[k].new_cluster.aws_attributes.zone_id"}},
		{`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{"policy_id":"p"}}]}`,
			`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{"policy_id":"p","custom_tags":{"cost":"1"},"spark_conf":{"a":"b"}}}]}`, nil},
		{`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{}}]}`,
			`{"job_clusters":[{"job_cluster_key":"k","new_cluster":{"spark_conf":{"a":"b"}}}]}`, []string{"job_clusters[k].new_cluster.spark_conf.a"}},
		{`{"git_source":{"git_provider":"github"}}`, `{"git_source":{"git_provider":"gitHub"}}`, nil},
		{`{"tasks":[{"task_key":"a","new_cluster":{"data_security_mode":"DATA_SECURITY_MODE_AUTO"}}]}`, `{"tasks":[{"task_key":"a","new_cluster":{"data_security_mode":"USER_ISOLATION"}}]}`, nil},
		{`{"tasks":[{"task_key":"a","new_cluster":{"data_security_mode":"USER_ISOLATION"}}]}`, `{"tasks":[{"task_key":"a","new_cluster":{"data_security_mode":"SINGLE_USER"}}]}`, []string{"tasks[a].new_cluster.data_security_mode"}},
	} {
		fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: doc(t, tt.desired), Live: doc(t, tt.live)})
		var got []string
		for _, f := range fields {
			got = append(got, f.Path)
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s\n%s\n got %v\nwant %v", tt.desired, tt.live, got, tt.want)
		}
	}
}
