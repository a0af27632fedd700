package databricks

import (
	"strings"
	"testing"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

func most(n int) *int { return &n }

// TestGuardrails renders one job under some guardrails: the finding names job, field, value and limit.
func TestGuardrails(t *testing.T) {
	const runner = "6e1b0c7a-0000-4000-8000-000000000000"
	for _, tt := range []struct {
		name    string
		guard   configs.Guardrails
		overlay configs.Overlay
		request string   // beside its name
		want    []string // in the finding; none: the job is fine
	}{
		{"nothing is set", configs.Guardrails{}, configs.Overlay{}, `"continuous":{},"git_source":{"git_url":"x","git_provider":"gitHub"}`, nil},

		{"run_as in the list", configs.Guardrails{RunAs: []string{runner}}, configs.Overlay{}, `"run_as":{"service_principal_name":"` + runner + `"}`, nil},
		{"run_as by e-mail in capitals", configs.Guardrails{RunAs: []string{"Lead@shop.example"}}, configs.Overlay{}, `"run_as":{"user_name":"lead@SHOP.example"}`, nil},
		{"run_as by the overlay", configs.Guardrails{RunAs: []string{runner}}, configs.Overlay{RunAs: configs.RunAs{ServicePrincipal: runner}}, `"run_as":{"user_name":"dev@shop.example"}`, nil},
		{"run_as of another", configs.Guardrails{RunAs: []string{runner, "b", "c", "d", "e", "f"}}, configs.Overlay{}, `"run_as":{"user_name":"dev@shop.example"}`,
			[]string{`request.run_as.user_name`, `is "dev@shop.example"; run_as allows ` + runner + ", b, c, d, e and 1 more"}},
		{"the overlay is no way around", configs.Guardrails{RunAs: []string{runner}}, configs.Overlay{RunAs: configs.RunAs{User: "dev@shop.example"}}, `"run_as":{"service_principal_name":"` + runner + `"}`,
			[]string{`is "dev@shop.example"`}},
		{"run_as of the deployer", configs.Guardrails{RunAs: []string{runner}}, configs.Overlay{}, `"run_as":{"service_principal_name":"the-deployer"}`, []string{`is "the-deployer"`}},
		{"no run_as", configs.Guardrails{RunAs: []string{runner}}, configs.Overlay{}, ``, []string{"request.run_as", "runs as the one who deploys it, the-deployer"}},
		{"no run_as, and the deployer is named", configs.Guardrails{RunAs: []string{"the-deployer"}}, configs.Overlay{}, ``, nil},
		{"run_as of a group", configs.Guardrails{RunAs: []string{"runners"}}, configs.Overlay{}, `"run_as":{"group_name":"runners"}`, nil},
		{"an odd run_as", configs.Guardrails{RunAs: []string{runner}}, configs.Overlay{}, `"run_as":"` + runner + `"`, []string{"can't be judged"}},
		{"two run_as", configs.Guardrails{RunAs: []string{runner}}, configs.Overlay{}, `"run_as":{"service_principal_name":"` + runner + `","user_name":"x"}`, []string{"can't be judged"}},

		{"principals in the list", configs.Guardrails{Principals: []string{"devs"}}, configs.Overlay{}, `"access_control_list":[{"group_name":"devs","permission_level":"CAN_VIEW"}]`, nil},
		{"no access list", configs.Guardrails{Principals: []string{}}, configs.Overlay{}, ``, nil},
		{"principals of others", configs.Guardrails{Principals: []string{"devs"}}, configs.Overlay{}, `"access_control_list":[{"group_name":"devs"},{"user_name":"eve@x"}]`,
			[]string{`request.access_control_list[1].user_name`, `is "eve@x"; principals allows devs`}},
		{"nobody", configs.Guardrails{Principals: []string{}}, configs.Overlay{}, `"access_control_list":[{"group_name":"devs"}]`, []string{"principals allows none"}},
		{"an odd access list", configs.Guardrails{Principals: []string{}}, configs.Overlay{}, `"access_control_list":{"group_name":"devs"}`, []string{"can't be judged"}},
		{"an odd entry", configs.Guardrails{Principals: []string{"a"}}, configs.Overlay{}, `"access_control_list":[["a"]]`, []string{"can't be judged"}},

		{"a policy", configs.Guardrails{Policies: []string{"9A3F"}}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{"policy_id":"9A3F"}}]`, nil},
		{"a policy by its name", configs.Guardrails{Policies: []string{"small jobs"}}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{"policy_id":{"policy":"small jobs"}}}]`, nil},
		{"another policy by its name", configs.Guardrails{Policies: []string{"small jobs"}}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{"policy_id":{"policy":"large jobs"}}}]`, []string{`is "large jobs"`}},
		{"no cluster", configs.Guardrails{Policies: []string{"9A3F"}}, configs.Overlay{}, `"tasks":[{"task_key":"a"}]`, nil},
		{"a policy by the overlay", configs.Guardrails{Policies: []string{"9A3F"}}, configs.Overlay{JobClusters: []configs.ClusterOverlay{{Key: "*", Merge: map[string]any{"policy_id": "9A3F"}}}},
			`"job_clusters":[{"job_cluster_key":"c","new_cluster":{}}]`, nil},
		{"no policy of a task", configs.Guardrails{Policies: []string{"9A3F"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"num_workers":1}}]`,
			[]string{"request.tasks[0].new_cluster.policy_id", "is not set; policies allows 9A3F"}},
		{"another policy in a loop", configs.Guardrails{Policies: []string{"9A3F"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","for_each_task":{"task":{"task_key":"b","new_cluster":{"policy_id":"x"}}}}]`,
			[]string{"request.tasks[0].for_each_task.task.new_cluster.policy_id", `is "x"`}},

		{"a tag of the job", configs.Guardrails{Tags: []string{"cost"}}, configs.Overlay{}, `"tags":{"cost":"a"}`, nil},
		{"a tag by the overlay", configs.Guardrails{Tags: []string{"cost"}}, configs.Overlay{Tags: map[string]string{"cost": "a"}}, ``, nil},
		{"a tag of all clusters", configs.Guardrails{Tags: []string{"cost"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"custom_tags":{"cost":"a"}}}],"job_clusters":[{"job_cluster_key":"c","new_cluster":{"custom_tags":{"cost":7}}}]`, nil},
		{"a tag of one cluster", configs.Guardrails{Tags: []string{"cost"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"custom_tags":{"cost":"a"}}}],"job_clusters":[{"job_cluster_key":"c","new_cluster":{}}]`,
			[]string{"request.tags.cost", "tags asks for cost"}},
		{"an empty tag", configs.Guardrails{Tags: []string{"cost"}}, configs.Overlay{}, `"tags":{"cost":" "}`, []string{"request.tags.cost"}},
		{"no cluster and no tag", configs.Guardrails{Tags: []string{"cost"}}, configs.Overlay{}, `"tasks":[{"task_key":"a"}]`, []string{"request.tags.cost"}},

		{"few workers", configs.Guardrails{MaxWorkers: most(8)}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{"num_workers":8}}]`, nil},
		{"no workers", configs.Guardrails{MaxWorkers: most(0)}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{}}]`, nil},
		{"many workers", configs.Guardrails{MaxWorkers: most(8)}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{"num_workers":9}}]`,
			[]string{"request.job_clusters[0].new_cluster.num_workers", "is 9; max_workers allows 8"}},
		{"many workers, spelt oddly", configs.Guardrails{MaxWorkers: most(8)}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{"num_workers":9e0}}]`, []string{"is 9;"}},
		{"workers in quotes", configs.Guardrails{MaxWorkers: most(8)}, configs.Overlay{}, `"job_clusters":[{"job_cluster_key":"c","new_cluster":{"num_workers":"9"}}]`, []string{"can't be judged"}},
		{"a growing cluster in a loop", configs.Guardrails{MaxWorkers: most(8)}, configs.Overlay{}, `"tasks":[{"task_key":"a","for_each_task":{"task":{"task_key":"b","new_cluster":{"autoscale":{"min_workers":1,"max_workers":90}}}}}]`,
			[]string{"request.tasks[0].for_each_task.task.new_cluster.autoscale.max_workers", "is 90"}},
		{"a growing cluster that says no end", configs.Guardrails{MaxWorkers: most(8)}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"autoscale":{"min_workers":1}}}]`, []string{"max_workers", "can't be judged"}},

		{"forbidden git_source", configs.Guardrails{Forbid: []string{"git_source"}}, configs.Overlay{}, `"git_source":{"git_url":"x"}`, []string{"request.git_source", "forbid has git_source"}},
		{"forbidden cluster", configs.Guardrails{Forbid: []string{"existing_cluster_id"}}, configs.Overlay{}, `"git_source":{},"tasks":[{"task_key":"a","for_each_task":{"task":{"task_key":"b","existing_cluster_id":"c"}}}]`,
			[]string{"request.tasks[0].for_each_task.task.existing_cluster_id", "forbid has existing_cluster_id"}},

		{"init scripts", configs.Guardrails{InitScripts: []string{"/Volumes/main/ops", "/Workspace/ops", "s3://bucket/ops"}}, configs.Overlay{},
			`"job_clusters":[{"job_cluster_key":"c","new_cluster":{"init_scripts":[{"volumes":{"destination":"/Volumes/main/ops/a.sh"}},{"workspace":{"destination":"/ops/b.sh"}},{"workspace":{"destination":"/Workspace/ops"}},{"s3":{"destination":"s3://bucket/ops/c.sh","region":"x"}}]}}]`, nil},
		{"an init script beside", configs.Guardrails{InitScripts: []string{"/Volumes/main/ops"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"init_scripts":[{"volumes":{"destination":"/Volumes/main/opsx/a.sh"}}]}}]`,
			[]string{"request.tasks[0].new_cluster.init_scripts[0].volumes.destination", `is "/Volumes/main/opsx/a.sh"; init_scripts allows /Volumes/main/ops`}},
		{"an init script by a detour", configs.Guardrails{InitScripts: []string{"/Volumes/main/ops"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"init_scripts":[{"volumes":{"destination":"/Volumes/main/ops/../evil/a.sh"}}]}}]`, []string{"not a clean path"}},
		{"an init script of the old store", configs.Guardrails{InitScripts: []string{"/Volumes/main/ops"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"init_scripts":[{"dbfs":{"destination":"dbfs:/Volumes/main/ops/a.sh"}}]}}]`, []string{`is "dbfs:`}},
		{"no init scripts", configs.Guardrails{InitScripts: []string{}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"init_scripts":[{"s3":{"destination":"s3://x/a.sh"}}]}}]`, []string{"init_scripts allows none"}},
		{"odd init scripts", configs.Guardrails{InitScripts: []string{"/x"}}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":{"init_scripts":[{"a":{"destination":"/x"},"b":{"destination":"/y"}}]}}]`, []string{"can't be judged"}},

		{"often enough", configs.Guardrails{LeastInterval: 15 * time.Minute}, configs.Overlay{}, `"schedule":{"quartz_cron_expression":"0 0/15 * * * ?","timezone_id":"UTC"}`, nil},
		{"too often", configs.Guardrails{LeastInterval: 15 * time.Minute}, configs.Overlay{}, `"schedule":{"quartz_cron_expression":"0 0/5 * * * ?","timezone_id":"UTC","pause_status":"PAUSED"}`,
			[]string{"request.schedule.quartz_cron_expression", `is "0 0/5 * * * ?", which may run again after 5m0s; least_interval allows 15m0s`}},
		{"an odd schedule", configs.Guardrails{LeastInterval: time.Minute}, configs.Overlay{}, `"schedule":{"quartz_cron_expression":"every day"}`, []string{"can't be judged"}},
		{"an odder schedule", configs.Guardrails{LeastInterval: time.Minute}, configs.Overlay{}, `"schedule":7`, []string{"can't be judged"}},
		{"a trigger", configs.Guardrails{LeastInterval: time.Hour}, configs.Overlay{}, `"trigger":{"periodic":{"interval":1,"unit":"HOURS"}}`, nil},
		{"a trigger too often", configs.Guardrails{LeastInterval: 2 * time.Hour}, configs.Overlay{}, `"trigger":{"periodic":{"interval":1,"unit":"HOURS"}}`, []string{"request.trigger", "after 1h0m0s"}},
		{"several triggers", configs.Guardrails{LeastInterval: 2 * time.Hour}, configs.Overlay{}, `"triggers":[{"periodic":{"interval":9,"unit":"HOURS"}},{"file_arrival":{"url":"x"}}]`, []string{"request.triggers[1]", "after 0s"}},
		{"continuous", configs.Guardrails{LeastInterval: time.Minute}, configs.Overlay{}, `"continuous":{"pause_status":"PAUSED"}`, []string{"request.continuous", "never pauses"}},
		{"continuous and allowed", configs.Guardrails{LeastInterval: time.Minute, Continuous: true}, configs.Overlay{}, `"continuous":{"pause_status":"PAUSED"}`, nil},

		{"an odd cluster", configs.Guardrails{MaxWorkers: most(1)}, configs.Overlay{}, `"tasks":[{"task_key":"a","new_cluster":["num_workers",9]}]`, []string{"request.tasks[0].new_cluster", "can't be judged"}},
		{"odd tasks", configs.Guardrails{MaxWorkers: most(1)}, configs.Overlay{}, `"tasks":{"a":{"new_cluster":{"num_workers":9}}}`, []string{"request.tasks", "can't be judged"}},
		{"a job of the first version", configs.Guardrails{MaxWorkers: most(1)}, configs.Overlay{}, `"new_cluster":{"num_workers":9}`, []string{"request.new_cluster", "can't be judged"}},
		{"several", configs.Guardrails{MaxWorkers: most(1), Forbid: []string{"git_source"}, RunAs: []string{"x"}, Policies: []string{"p"}, Tags: []string{"cost"}}, configs.Overlay{},
			`"git_source":{},"tasks":[{"task_key":"a","new_cluster":{"num_workers":9}}]`, []string{": request.run_as is not set", "; request.git_source is set; forbid has git_source; request.tasks[0].new_cluster.policy_id is not set", "and 1 more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := `{"name":"guarded"`
			if tt.request != "" {
				request += "," + tt.request
			}
			b := binding()
			b.Guardrails, b.Deployer, b.Overlay = &tt.guard, "the-deployer", tt.overlay
			d, _ := render(t, releaseOf(t, map[string]string{"jobs/guarded": `{"fabric_id":"17","components":[],"request":` + request + `}}`, "jobs/other": `{"fabric_id":"17","components":[],"request":{"name":"other","run_as":{"user_name":"x"},"tags":{"cost":"c"}}}`}), b)
			why, blocked := d.Why("jobs/guarded")
			switch {
			case !blocked && len(tt.want) > 0:
				t.Fatal("nothing holds it back")
			case blocked && len(tt.want) == 0:
				t.Fatalf("%s: %s", why.Subject, why.Text)
			case blocked && why.Code != configs.Guardrail:
				t.Errorf("code %s", why.Code)
			}
			said := why.Subject + ": " + why.Text
			for _, want := range tt.want {
				if !strings.Contains(said, want) {
					t.Errorf("got  %s\nwant %q in it", said, want)
				}
			}
			if blocked && (!strings.HasPrefix(said, "jobs/guarded/code/databricks-job.json: ") || !strings.Contains(why.Text, ": request.")) {
				t.Errorf("it does not name job and field: %s", said)
			}
		})
	}
}

// TestGuardrailsOfReferences: a policy that is named instead of numbered is judged by its name.
func TestGuardrailsOfReferences(t *testing.T) {
	for name, tt := range map[string]struct {
		policy any
		want   int
	}{
		"resolved later, in the list": {fabric.Ref{Kind: "policy", Key: "small jobs"}, 0},
		"resolved later, another":     {fabric.Ref{Kind: "policy", Key: "large jobs"}, 1},
		"as committed":                {map[string]any{"policy": "small jobs"}, 0},
		"odd":                         {map[string]any{"pool": "small jobs"}, 1},
	} {
		g := guarded{Guardrails: &configs.Guardrails{Policies: []string{"small jobs"}}, at: spotOf("request"),
			request: map[string]any{"tasks": []any{map[string]any{"task_key": "a", "new_cluster": map[string]any{"policy_id": tt.policy}}}}}
		if found := g.judge(); len(found) != tt.want {
			t.Errorf("%s: %d violations, want %d", name, len(found), tt.want)
		}
	}
}

// TestGuardrailsHoldOneJob: what one job may not, keeps no other back.
func TestGuardrailsHoldOneJob(t *testing.T) {
	b := binding()
	b.Guardrails = &configs.Guardrails{Forbid: []string{"git_source"}}
	d, findings := render(t, releaseOf(t, map[string]string{
		"jobs/bad":   `{"fabric_id":"17","components":[],"request":{"name":"bad","git_source":{"git_url":"x"}}}`,
		"jobs/calls": `{"fabric_id":"17","components":[],"request":{"name":"calls","tasks":[{"task_key":"a","run_job_task":{"job_id":{"job":"jobs/bad"}}}]}}`,
		"jobs/good":  `{"fabric_id":"17","components":[],"request":{"name":"good"}}`,
	}), b)
	for k, want := range map[fabric.Key]fabric.Presence{"jobs/bad": fabric.Unknown, "jobs/calls": fabric.Unknown, "jobs/good": fabric.Present} {
		if _, got := d.Lookup(k); got != want {
			t.Errorf("%s is %s, want %s", k, got, want)
		}
	}
	if why, _ := d.Why("jobs/calls"); why.Code != configs.ReferenceBlocked {
		t.Errorf("%s", why.Code)
	}
	for _, f := range findings {
		if f.Code == configs.Guardrail {
			t.Errorf("a finding of the whole deployment: %s", f.Text)
		}
	}
}
