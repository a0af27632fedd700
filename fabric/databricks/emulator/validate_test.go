package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// job is settings with one good task, and more fields.
func settingsWith(fields string) string {
	return `{"name":"x","job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"15.4.x","num_workers":0}}],` +
		`"tasks":[{"task_key":"a","job_cluster_key":"c","python_wheel_task":{"package_name":"p","entry_point":"main"}}]` + fields + `}`
}

func tasksWith(tasks string) string { return `{"name":"x","tasks":[` + tasks + `]}` }

func numbered(n int, format string) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(format, i))
	}
	return strings.Join(parts, ",")
}

func TestRejected(t *testing.T) {
	notebook := `"notebook_task":{"notebook_path":"/n"}`
	for _, tt := range []struct {
		name, body, code, message string
		profile                   Profile
	}{
		{"empty", ``, "MALFORMED_REQUEST", "Could not parse", ""},
		{"cut", `{"name":"x"`, "MALFORMED_REQUEST", "unexpected EOF", ""},
		{"two values", `{} {}`, "MALFORMED_REQUEST", "more than one value", ""},
		{"a list", `[]`, "MALFORMED_REQUEST", "expected an object", ""},
		{"wrong type", `{"name":7}`, "MALFORMED_REQUEST", "name is not a valid string", ""},
		{"fraction", `{"timeout_seconds":1.5}`, "MALFORMED_REQUEST", "timeout_seconds is not a valid integer", ""},
		{"task no object", `{"tasks":["a"]}`, "MALFORMED_REQUEST", "tasks is not a list of objects", ""},
		{"long name", `{"name":"` + strings.Repeat("é", 2049) + `"}`, "INVALID_PARAMETER_VALUE", "4098 bytes long; at most 4096", ""},
		{"long description", `{"description":"` + strings.Repeat("é", 27_701) + `"}`, "INVALID_PARAMETER_VALUE", "over 27700 characters", ""},
		{"runs", `{"max_concurrent_runs":1001}`, "INVALID_PARAMETER_VALUE", "between 0 and 1000", ""},
		{"26 tags", `{"tags":{` + numbered(26, `"t%d":"v"`) + `}}`, "INVALID_PARAMETER_VALUE", "at most 25 tags", ""},
		{"tag AWS", `{"tags":{"a":"b;c"}}`, "INVALID_PARAMETER_VALUE", "AWS does not allow", AWS},
		{"tag key AWS", `{"tags":{"` + strings.Repeat("k", 128) + `":"v"}}`, "INVALID_PARAMETER_VALUE", "too long", AWS},
		{"tag Azure", `{"tags":{"a?":"b"}}`, "INVALID_PARAMETER_VALUE", "AZURE does not allow", Azure},
		{"tag GCP", `{"tags":{"a":"b c"}}`, "INVALID_PARAMETER_VALUE", "GCP does not allow", GCP},
		{"tag value GCP", `{"tags":{"a":"` + strings.Repeat("v", 64) + `"}}`, "INVALID_PARAMETER_VALUE", "too long", GCP},
		{"tag not Latin-1", `{"tags":{"a":"日"}}`, "INVALID_PARAMETER_VALUE", "outside Latin-1", AWS},
		{"1001 tasks", tasksWith(numbered(1001, `{"task_key":"t%d",`+notebook+`}`)), "INVALID_PARAMETER_VALUE", "at most 1000 tasks", ""},
		{"no key", tasksWith(`{` + notebook + `}`), "INVALID_PARAMETER_VALUE", "no task_key", ""},
		{"same key", tasksWith(`{"task_key":"a",` + notebook + `},{"task_key":"a",` + notebook + `}`), "INVALID_PARAMETER_VALUE", `Duplicate task_key "a"`, ""},
		{"bad key", tasksWith(`{"task_key":"a b",` + notebook + `}`), "INVALID_PARAMETER_VALUE", `task_key "a b"`, ""},
		{"depends", tasksWith(`{"task_key":"a","depends_on":[{"task_key":"z"}],` + notebook + `}`), "INVALID_PARAMETER_VALUE", `depends on task "z"`, ""},
		{"circle", tasksWith(`{"task_key":"a","depends_on":[{"task_key":"b"}],` + notebook + `},{"task_key":"b","depends_on":[{"task_key":"a"}],` + notebook + `}`), "INVALID_PARAMETER_VALUE", "form a circle", ""},
		{"cluster key", tasksWith(`{"task_key":"a","job_cluster_key":"z",` + notebook + `}`), "INVALID_PARAMETER_VALUE", `job cluster "z"`, ""},
		{"environment key", tasksWith(`{"task_key":"a","environment_key":"z",` + notebook + `}`), "INVALID_PARAMETER_VALUE", `environment "z"`, ""},
		{"two computes", tasksWith(`{"task_key":"a","existing_cluster_id":"z","new_cluster":{"spark_version":"1"},` + notebook + `}`), "INVALID_PARAMETER_VALUE", "more than one of", ""},
		{"nothing to do", tasksWith(`{"task_key":"a"}`), "INVALID_PARAMETER_VALUE", "says 0", ""},
		{"two things", tasksWith(`{"task_key":"a","run_job_task":{"job_id":1},` + notebook + `}`), "INVALID_PARAMETER_VALUE", "says 2: notebook_task, run_job_task", ""},
		{"missing job", tasksWith(`{"task_key":"a","run_job_task":{"job_id":12}}`), "INVALID_PARAMETER_VALUE", "Job 12 does not exist.", ""},
		{"library", tasksWith(`{"task_key":"a","libraries":[{"wheel":"/x"}],` + notebook + `}`), "INVALID_PARAMETER_VALUE", "library 0", ""},
		{"for each", tasksWith(`{"task_key":"a","for_each_task":{"inputs":"[]","concurrency":101,"task":{"task_key":"b",` + notebook + `}}}`), "INVALID_PARAMETER_VALUE", "between 1 and 100", ""},
		{"sizes", `{"job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","num_workers":1,"autoscale":{"min_workers":1}}}]}`, "INVALID_PARAMETER_VALUE", "only one of autoscale", ""},
		{"shared libraries", `{"job_clusters":[{"job_cluster_key":"c","libraries":[],"new_cluster":{"spark_version":"1"}}]}`, "INVALID_PARAMETER_VALUE", "shared job cluster", ""},
		{"conf", `{"job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_version":"1","spark_conf":{"a":1}}}]}`, "MALFORMED_REQUEST", "spark_conf.a is not a string", ""},
		{"cron", settingsWith(`,"schedule":{"quartz_cron_expression":"0 5 * * *","timezone_id":"UTC"}`), "INVALID_PARAMETER_VALUE", "6 or 7 fields", ""},
		{"schedule and continuous", settingsWith(`,"continuous":{},"schedule":{"quartz_cron_expression":"0 0 5 * * ?","timezone_id":"UTC"}`), "INVALID_PARAMETER_VALUE", "only one of schedule", ""},
		{"webhooks", settingsWith(`,"webhook_notifications":{"on_failure":[{"id":"1"},{"id":"2"},{"id":"3"},{"id":"4"}]}`), "INVALID_PARAMETER_VALUE", "at most 3", ""},
		{"git", settingsWith(`,"git_source":{"git_url":"https://x"}`), "INVALID_PARAMETER_VALUE", "git_provider", ""},
		{"run as", settingsWith(`,"run_as":{"user_name":"a","group_name":"b"}`), "INVALID_PARAMETER_VALUE", "exactly one", ""},
		{"parameters", settingsWith(`,"parameters":[{"name":"a b","default":"1"}]`), "INVALID_PARAMETER_VALUE", "may only hold", ""},
		{"output only", settingsWith(`,"created_time":1`), "INVALID_PARAMETER_VALUE", "created_time is not part", ""},
		{"two owners", `{"access_control_list":[{"user_name":"a","permission_level":"IS_OWNER"},{"user_name":"b","permission_level":"IS_OWNER"}]}`, "INVALID_PARAMETER_VALUE", "exactly one owner", ""},
		{"no entry", `{"access_control_list":[7]}`, "MALFORMED_REQUEST", "access_control_list", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, url := serve(t, Options{Profile: tt.profile})
			status, code, body := request(t, w, "POST", url+"/api/2.2/jobs/create", tt.body)
			if status != 400 || code != tt.code || !strings.Contains(body, tt.message) && !strings.Contains(body, quoted(tt.message)) {
				t.Errorf("%d %s, want 400 %s with %q", status, body, tt.code, tt.message)
			}
			if v := w.Violations(); len(v) != 1 || !strings.Contains(v[0], "POST /api/2.2/jobs/create: 400") {
				t.Errorf("violations = %q", v)
			}
			if len(w.Jobs()) != 0 {
				t.Error("a job was made")
			}
		})
	}
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return strings.Trim(string(text), `"`)
}

// TestErrors are answers that a careful client meets too: none is a violation unless it says so.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name, method, path, body string
		o                        Options
		status                   int
		code, message            string
		violation                bool
	}{
		{name: "get missing", method: "GET", path: "/api/2.2/jobs/get?job_id=12", status: 400, code: "INVALID_PARAMETER_VALUE", message: "Job 12 does not exist."},
		{name: "reset missing", method: "POST", path: "/api/2.2/jobs/reset", body: `{"job_id":12,"new_settings":{}}`, status: 400, code: "INVALID_PARAMETER_VALUE", message: "Job 12 does not exist."},
		{name: "reset missing 404", method: "POST", path: "/api/2.2/jobs/reset", body: `{"job_id":12,"new_settings":{}}`, o: Options{Unverified: Unverified{MissingIs404: true}}, status: 404, code: "RESOURCE_DOES_NOT_EXIST"},
		{name: "delete missing", method: "POST", path: "/api/2.1/jobs/delete", body: `{"job_id":12}`, status: 400, code: "INVALID_PARAMETER_VALUE"},
		{name: "id as text", method: "POST", path: "/api/2.2/jobs/delete", body: `{"job_id":"9007199254740993"}`, status: 400, message: "Job 9007199254740993 does not exist."},
		{name: "no id", method: "GET", path: "/api/2.2/jobs/get", status: 400, message: "Missing required field: job_id", violation: true},
		{name: "huge id", method: "GET", path: "/api/2.2/jobs/get?job_id=99999999999999999999", status: 400, code: "MALFORMED_REQUEST", violation: true},
		{name: "unknown field", method: "POST", path: "/api/2.2/jobs/reset", body: `{"job_id":1,"settings":{}}`, status: 400, code: "MALFORMED_REQUEST", message: "job_id, new_settings", violation: true},
		{name: "unknown field, lenient", method: "POST", path: "/api/2.2/jobs/reset", body: `{"job_id":1,"settings":{}}`, o: Options{Lenient: true}, status: 400, message: "Job 1 does not exist."},
		{name: "no endpoint", method: "POST", path: "/api/2.2/jobs/nope", status: 404, code: "ENDPOINT_NOT_FOUND", violation: true},
		{name: "old version", method: "GET", path: "/api/2.0/jobs/list", status: 404, code: "ENDPOINT_NOT_FOUND", violation: true},
		{name: "wrong method", method: "GET", path: "/api/2.2/jobs/create", status: 404, code: "ENDPOINT_NOT_FOUND", violation: true},
		{name: "limit 0", method: "GET", path: "/api/2.2/jobs/list?limit=0", status: 400, code: "INVALID_PARAMETER_VALUE", violation: true},
		{name: "limit 101", method: "GET", path: "/api/2.2/jobs/list?limit=101", status: 400, violation: true},
		{name: "page token", method: "GET", path: "/api/2.2/jobs/list?page_token=xyz", status: 400, violation: true},
		{name: "preview", method: "POST", path: "/api/2.2/jobs/create", body: `{"triggers":[]}`, status: 404, code: "FEATURE_DISABLED"},
		{name: "no path", method: "GET", path: "/api/2.0/workspace/get-status?path=/Shared/none", status: 404, code: "RESOURCE_DOES_NOT_EXIST"},
		{name: "odd path", method: "GET", path: "/api/2.0/workspace/get-status?path=/Shared/../x", status: 400, violation: true},
		{name: "no volume path", method: "PUT", path: "/api/2.0/fs/files/tmp/x", status: 400, violation: true},
		{name: "wrong token", method: "GET", path: "/api/2.2/jobs/list", o: Options{Token: "other"}, status: 401, code: "UNAUTHENTICATED"},
		{name: "wrong token 403", method: "GET", path: "/api/2.2/jobs/list", o: Options{Token: "other", Unverified: Unverified{BadTokenIs403: true}}, status: 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, url := serve(t, tt.o)
			status, code, body := request(t, w, tt.method, url+tt.path, tt.body, "Authorization", "Bearer emulator-token")
			if status != tt.status || tt.code != "" && code != tt.code || !strings.Contains(body, tt.message) {
				t.Errorf("%d %s, want %d %s %q", status, body, tt.status, tt.code, tt.message)
			}
			if v := w.Violations(); (len(v) > 0) != tt.violation {
				t.Errorf("violations = %q", v)
			}
		})
	}
}

func TestHidden(t *testing.T) {
	w, url := serve(t, Options{Users: map[string]string{"guest": "guest@selvage.example"}})
	id := create(t, w, url, settingsWith(""))
	w.HideJob(id, "guest@selvage.example")
	w.HideJob(77, "") // not there, and forbidden all the same
	get := fmt.Sprintf("%s/api/2.2/jobs/get?job_id=%d", url, id)
	if status, code, _ := request(t, w, "GET", get, "", "Authorization", "Bearer guest"); status != 403 || code != "PERMISSION_DENIED" {
		t.Errorf("hidden: %d %s", status, code)
	}
	if status, _, _ := request(t, w, "GET", get, ""); status != 200 {
		t.Errorf("the other user: %d", status)
	}
	if status, code, _ := request(t, w, "GET", url+"/api/2.2/jobs/get?job_id=77", ""); status != 403 || code != "PERMISSION_DENIED" {
		t.Errorf("forbidden before missing: %d %s", status, code)
	}
	if _, _, body := request(t, w, "GET", url+"/api/2.2/jobs/list", "", "Authorization", "Bearer guest"); body != `{"has_more":false}` {
		t.Errorf("list of the guest = %s", body)
	}
	w.ShowJob(id)
	if status, _, _ := request(t, w, "GET", get, "", "Authorization", "Bearer guest"); status != 200 {
		t.Errorf("shown again: %d", status)
	}
	clean(t, w)
}

// TestGuests: who is no admin sees what an access list grants, by name or by a group, and changes what it may manage.
func TestGuests(t *testing.T) {
	w, url := serve(t, Options{Users: map[string]string{"guest": "guest@selvage.example"}, Guests: map[string][]string{"guest@selvage.example": {"viewers"}}})
	settings := func(access string) string {
		return strings.TrimSuffix(settingsWith(""), "}") + `,"access_control_list":[` + access + `]}`
	}
	hidden := create(t, w, url, settingsWith(""))
	viewed := create(t, w, url, settings(`{"group_name":"viewers","permission_level":"CAN_VIEW"},{"user_name":"deployer@selvage.example","permission_level":"IS_OWNER"}`))
	managed := create(t, w, url, settings(`{"user_name":"guest@selvage.example","permission_level":"CAN_MANAGE"},{"user_name":"deployer@selvage.example","permission_level":"IS_OWNER"}`))
	for _, tt := range []struct {
		id          int64
		get, delete int
	}{{hidden, 403, 403}, {viewed, 200, 403}, {managed, 200, 200}} {
		if status, _, _ := request(t, w, "GET", fmt.Sprintf("%s/api/2.2/jobs/get?job_id=%d", url, tt.id), "", "Authorization", "Bearer guest"); status != tt.get {
			t.Errorf("get: %d, want %d", status, tt.get)
		}
		_, _, list := request(t, w, "GET", url+"/api/2.2/jobs/list", "", "Authorization", "Bearer guest")
		if shown := strings.Contains(list, fmt.Sprint(tt.id)); shown != (tt.get == 200) {
			t.Errorf("listed %v, get %d", shown, tt.get)
		}
		if status, _, _ := request(t, w, "POST", url+"/api/2.2/jobs/delete", fmt.Sprintf(`{"job_id":%d}`, tt.id), "Authorization", "Bearer guest"); status != tt.delete {
			t.Errorf("delete: %d, want %d", status, tt.delete)
		}
	}
	for token, want := range map[string]string{"guest": `["users","viewers"]`, "emulator-token": `["admins","users"]`} {
		_, _, body := request(t, w, "GET", url+"/api/2.0/preview/scim/v2/Me", "", "Authorization", "Bearer "+token)
		var me struct{ Groups []struct{ Display string } }
		if err := json.Unmarshal([]byte(body), &me); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, g := range me.Groups {
			names = append(names, g.Display)
		}
		if got, _ := json.Marshal(names); string(got) != want {
			t.Errorf("groups of %s: %s", token, got)
		}
	}
	clean(t, w)
}

// FuzzCreate feeds any bytes to create, reset and update. What is taken must read back as JSON, and a reset
// to what was read back must be taken too.
func FuzzCreate(f *testing.F) {
	f.Add([]byte(settingsWith(`,"tags":{"a":"b"},"webhook_notifications":{"on_start":[{"id":"1"},{"id":"2"}]}`)))
	f.Add([]byte(`{"tasks":[{"task_key":"a","for_each_task":{"task":{"task_key":"b","notebook_task":{"notebook_path":"/x"}}}}]}`))
	f.Add([]byte(`{"email_notifications":{"on_start":[1,null,"A"]},"environments":[{"environment_key":"e","spec":null}],"schedule":null}`))
	f.Add([]byte(`{"job_clusters":[{"job_cluster_key":"c","new_cluster":{"instance_pool_id":1,"policy_id":"p","aws_attributes":7,"workload_type":{"clients":3}}}]}`))
	f.Add([]byte(`{"trigger":{"table_update":{"condition":"ANY_UPDATED"}},"git_source":{"git_url":"u","git_provider":"GITHUB"},"x":1e400}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := New(Options{Lenient: true, Policies: map[string]map[string]any{"p": {"spark_conf": map[string]any{"a": "b"}}},
			Unverified: Unverified{ListsReordered: true, EmailsLowered: true, EnvironmentEcho: "client", ListOmitsDefaults: true, DeltaPreview: true}})
		c := &call{body: body, user: "u", query: map[string][]string{"expand_tasks": {"true"}}}
		if _, failure := w.createJob(c); failure != nil {
			if failure.status >= 500 {
				t.Fatalf("create: %+v", failure)
			}
			return
		}
		j := w.Jobs()[0]
		if list, failure := w.listJobs(c); failure != nil || !json.Valid(list.body) {
			t.Fatalf("list: %v %s", failure, list.body)
		}
		for _, format := range []string{`{"job_id":%d,"new_settings":%s}`, `{"job_id":"%d","new_settings":%s,"fields_to_remove":["tags","tasks/a"]}`} {
			c.body = fmt.Appendf(nil, format, j.ID, j.Settings)
			change := w.resetJob
			if strings.Contains(format, "remove") {
				change = w.updateJob
			}
			if _, failure := change(c); failure != nil && !strings.Contains(failure.message, "depends on task") {
				t.Fatalf("settings as read back were refused: %+v\n%s", failure, j.Settings)
			}
		}
	})
}
