package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// read is the settings of a job as jobs/get shows them, numbers exact.
func read(t *testing.T, w *Workspace, url string, id int64) map[string]any {
	t.Helper()
	_, _, body := request(t, w, "GET", fmt.Sprintf("%s/api/2.2/jobs/get?job_id=%d", url, id), "")
	return parse(t, body)["settings"].(map[string]any)
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestDefaults(t *testing.T) {
	task := `"run_if":"ALL_SUCCESS","timeout_seconds":0,"email_notifications":{},"webhook_notifications":{}`
	top := `"timeout_seconds":0,"email_notifications":{},"webhook_notifications":{},"edit_mode":"EDITABLE","format":"MULTI_TASK","max_concurrent_runs":1`
	aws := `"aws_attributes":{"availability":"SPOT_WITH_FALLBACK","zone_id":"us-east-1c","first_on_demand":1,"spot_bid_price_percent":100},
		"enable_elastic_disk":false,"enable_local_disk_encryption":false,"data_security_mode":"SINGLE_USER","single_user_name":"deployer@selvage.example"`
	for _, tt := range []struct {
		name       string
		o          Options
		sent, want string
	}{
		{"nothing", Options{}, `{}`, `{"name":"Untitled","queue":{"enabled":true},` + top + `}`},
		{"nulls and unknown fields", Options{}, `{"name":"x","schedule":null,"novel":{"a":[1.50,12345678901234567890],"b":null}}`,
			`{"name":"x","queue":{"enabled":true},"novel":{"a":[1.50,12345678901234567890]},` + top + `}`},
		{"write-only", Options{}, `{"name":"x","trigger":{"table_update":{"table_names":["a"],"condition":"ALL_UPDATED"}},"access_control_list":[]}`,
			`{"name":"x","queue":{"enabled":true},"trigger":{"pause_status":"UNPAUSED","table_update":{"table_names":["a"]}},` + top + `}`},
		{"schedule", Options{}, `{"name":"x","queue":{"enabled":false},"tags":{},"schedule":{"quartz_cron_expression":"0 0 0 1/1 * ? *","timezone_id":"UTC"}}`,
			`{"name":"x","queue":{"enabled":false},"schedule":{"quartz_cron_expression":"0 0 0 1/1 * ? *","timezone_id":"UTC","pause_status":"UNPAUSED"},` + top + `}`},
		{"tasks", Options{}, `{"name":"x","git_source":{"git_url":"u","git_provider":"GITHUB"},"tasks":[
			{"task_key":"b","depends_on":[{"task_key":"a"},{"task_key":"c"}],"notebook_task":{"notebook_path":"/n"}},
			{"task_key":"c","spark_jar_task":{"main_class_name":"M"},"existing_cluster_id":"e"},
			{"task_key":"a","for_each_task":{"inputs":"[]","task":{"task_key":"i","pipeline_task":{"pipeline_id":"p"}}}}]}`,
			`{"name":"x","queue":{"enabled":true},"performance_target":"PERFORMANCE_OPTIMIZED","git_source":{"git_url":"u","git_provider":"gitHub"},` + top + `,"tasks":[
			{"task_key":"a",` + task + `,"for_each_task":{"inputs":"[]","task":{"task_key":"i","pipeline_task":{"pipeline_id":"p","full_refresh":false},` + task + `}}},
			{"task_key":"b",` + task + `,"depends_on":[{"task_key":"c"},{"task_key":"a"}],"notebook_task":{"notebook_path":"/n","source":"GIT"}},
			{"task_key":"c",` + task + `,"spark_jar_task":{"main_class_name":"M","run_as_repl":true},"existing_cluster_id":"e"}]}`},
		{"cluster AWS", Options{}, `{"name":"x","job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","node_type_id":"i3","num_workers":0,"apply_policy_default_values":true}}]}`,
			`{"name":"x","queue":{"enabled":true},` + top + `,"job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","node_type_id":"i3","driver_node_type_id":"i3","num_workers":0,` + aws + `}}]}`},
		{"cluster Azure, shared", Options{Profile: Azure}, `{"name":"x","job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","data_security_mode":"STANDARD","azure_attributes":{"availability":"SPOT_AZURE"}}}]}`,
			`{"name":"x","queue":{"enabled":true},` + top + `,"job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","data_security_mode":"USER_ISOLATION",
			"azure_attributes":{"availability":"SPOT_AZURE","first_on_demand":1,"spot_bid_max_price":-1},"enable_elastic_disk":true,"enable_local_disk_encryption":false}}]}`},
		{"cluster GCP from a pool", Options{Profile: GCP}, `{"name":"x","job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","instance_pool_id":"p","node_type_id":"n","gcp_attributes":{"google_service_account":"s","zone_id":"HA"}}}]}`,
			`{"name":"x","queue":{"enabled":true},` + top + `,"job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","instance_pool_id":"p","driver_instance_pool_id":"p",
			"gcp_attributes":{"google_service_account":"s"},"data_security_mode":"NONE"}}]}`},
		{"policy", Options{Policies: map[string]map[string]any{"9A3F": {"custom_tags": map[string]any{"cost": "42"}, "spark_version": "auto"}}, Unverified: Unverified{JobClustersBare: true}},
			`{"name":"x","job_clusters":[{"job_cluster_key":"c","new_cluster":{"policy_id":"9A3F","custom_tags":{"own":"1"}}}]}`,
			`{"name":"x","queue":{"enabled":true},` + top + `,"job_clusters":[{"job_cluster_key":"c","new_cluster":{"policy_id":"9A3F","spark_version":"auto","custom_tags":{"own":"1","cost":"42"}}}]}`},
		{"switches", Options{Unverified: Unverified{QueueHidesDisabled: true, ParentPathHidden: true, EmptyBlocksDropped: true, EmailsLowered: true, EmailFlagEchoed: true, EmptyTagsEchoed: true, EnvironmentEcho: "environment_version"}},
			`{"name":"x","queue":{"enabled":false},"parent_path":"/p","health":{},"notification_settings":{},"email_notifications":{"on_failure":["A@X.example"]},"environments":[{"environment_key":"e","spec":{"client":"2"}}]}`,
			`{"name":"x","timeout_seconds":0,"webhook_notifications":{},"edit_mode":"EDITABLE","format":"MULTI_TASK","max_concurrent_runs":1,"tags":{},
			"email_notifications":{"on_failure":["a@x.example"],"no_alert_for_skipped_runs":false},"environments":[{"environment_key":"e","spec":{"environment_version":"2"}}]}`},
		{"task switches", Options{Unverified: Unverified{TasksAsSent: true, RetriesEchoed: true, DeltaPreview: true, ListsReordered: true, RunJobUnchecked: true}},
			`{"name":"x","parameters":[{"name":"a","default":"1"},{"name":"b","default":"2"}],"tasks":[{"task_key":"b","run_job_task":{"job_id":12}},{"task_key":"a","run_job_task":{"job_id":12},"libraries":[{"whl":"/1"},{"whl":"/2"}]}]}`,
			`{"name":"x","queue":{"enabled":true},` + top + `,"parameters":[{"name":"b","default":"2"},{"name":"a","default":"1"}],"tasks":[
			{"task_key":"b",` + task + `,"run_job_task":{"job_id":12},"max_retries":0,"min_retry_interval_millis":0,"retry_on_timeout":false},
			{"task_key":"a",` + task + `,"run_job_task":{"job_id":12},"libraries":[{"whl":"/2"},{"whl":"/1"}],"max_retries":0,"min_retry_interval_millis":0,"retry_on_timeout":false}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, url := serve(t, tt.o)
			id := create(t, w, url, tt.sent)
			if diff := cmp.Diff(parse(t, tt.want), read(t, w, url, id)); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			clean(t, w)
		})
	}
}

func TestReset(t *testing.T) {
	reset := func(t *testing.T, o Options) map[string]any {
		w, url := serve(t, o)
		id := create(t, w, url, `{"name":"x","run_as":{"user_name":"r@x.example"},"queue":{"enabled":false},"parent_path":"/a","description":"d"}`)
		if status, _, body := request(t, w, "POST", url+"/api/2.2/jobs/reset", fmt.Sprintf(`{"job_id":%d,"new_settings":{"name":"y","parent_path":"/b"}}`, id)); status != 200 {
			t.Fatal(body)
		}
		clean(t, w)
		return read(t, w, url, id)
	}
	got := reset(t, Options{})
	if got["name"] != "y" || got["description"] != nil || got["parent_path"] != "/b" ||
		!cmp.Equal(got["run_as"], any(map[string]any{"user_name": "r@x.example"})) || !cmp.Equal(got["queue"], any(map[string]any{"enabled": true})) {
		t.Errorf("after reset: %v", got)
	}
	got = reset(t, Options{Unverified: Unverified{QueueKept: true, ParentPathFixed: true}})
	if got["parent_path"] != "/a" || !cmp.Equal(got["queue"], any(map[string]any{"enabled": false})) {
		t.Errorf("after reset, the other answers: %v", got)
	}
}

// TestOrders: webhooks and dependencies never come back as sent, a reset to the same keeps what is
// there, and a seed decides everything.
func TestOrders(t *testing.T) {
	sent := settingsWith(`,"webhook_notifications":{"on_failure":[{"id":"1"},{"id":"2"},{"id":"3"}]}`)
	story := func(o Options) string {
		now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
		o.Now = func() time.Time { return now }
		w, url := serve(t, o)
		var out strings.Builder
		for range 5 {
			id := create(t, w, url, sent)
			for range 2 {
				hooks := read(t, w, url, id)["webhook_notifications"]
				if cmp.Equal(hooks, parse(t, sent)["webhook_notifications"]) {
					t.Errorf("webhooks came back as sent: %v", hooks)
				}
				fmt.Fprintln(&out, id, hooks)
				request(t, w, "POST", url+"/api/2.2/jobs/reset", fmt.Sprintf(`{"job_id":%d,"new_settings":%s}`, id, sent))
			}
		}
		clean(t, w)
		return out.String()
	}
	one := story(Options{Seed: 1})
	if again := story(Options{Seed: 1}); again != one {
		t.Errorf("same seed, other answers:\n%s\n%s", one, again)
	}
	if other := story(Options{Seed: 2}); other == one {
		t.Error("another seed, same answers")
	}
	lines := strings.Split(one, "\n")
	if lines[0] != lines[1] {
		t.Errorf("a reset that changes nothing changed the order: %s, %s", lines[0], lines[1])
	}
	changed := false
	lines = strings.Split(story(Options{Seed: 1, Unverified: Unverified{ResetReorders: true}}), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		changed = changed || lines[i] != lines[i+1]
	}
	if !changed {
		t.Error("ResetReorders never changed an order")
	}
}
