package configs

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadOverlay(t *testing.T) {
	c, err := Load("testdata/good/overlay.yaml", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	d, ok := c.Deployment("hello@production")
	if !ok {
		t.Fatal("no hello@production")
	}
	number := func(s string) json.Number { return json.Number(s) }
	want := Overlay{
		ConfigInstance: "prod",
		Schedule:       "keep",
		Tags:           map[string]string{"env": "live", "team": "data"},
		JobClusters: []ClusterOverlay{
			{"*", map[string]any{"policy_id": "9A3F"}},
			{"large_*", map[string]any{"num_workers": number("8")}},
			{"*", map[string]any{
				"node_type_id":        "4f1c.xlarge",
				"num_workers":         number("12345678901234567890123"),
				"spark_conf":          map[string]any{"a.b": "${HOME}/4f1c", "c": nil},
				"enable_elastic_disk": true,
				"ssh_public_keys":     []any{},
				"aws_attributes":      map[string]any{"first_on_demand": number("-1"), "spot_bid_price_percent": number("1.50"), "ebs_volume_size": number("1e3"), "none": nil},
				"init_scripts":        []any{map[string]any{"workspace": map[string]any{"destination": "/x"}}, number("7"), "two\nlines\n"},
			}},
		},
		Parameters:    map[string]string{"region": "", "day": "7", "-O": "{}"},
		Libraries:     Libraries{PyPI: "https://pypi.example/simple", Maven: "https://maven.example/repo"},
		Notifications: map[string][]string{"on_failure": {"ops@shop.example"}, "on_success": {"a@shop.example", "b@shop.example"}},
		RunAs:         RunAs{User: "lead@shop.example"},
		Patch: []Patch{
			{Jobs: "jobs/**", Merge: map[string]any{"max_concurrent_runs": number("1")}},
			{Jobs: "jobs/daily_*", Merge: map[string]any{"max_concurrent_runs": number("2"), "tags": map[string]any{"owner": nil}}, Tasks: []TaskPatch{
				{"clean*", map[string]any{"max_retries": number("2"), "timeout_seconds": nil}},
				{"other", map[string]any{"disable_auto_optimization": true}},
			}},
			{Jobs: "jobs/one", Tasks: []TaskPatch{{"*", map[string]any{"max_retries": number("0")}}}},
		},
		Inherited: []string{"config_instance", "job_clusters.large_*", "libraries.pypi", "notifications.on_failure", "parameters.-O", "patch.jobs/**", "tags.team"},
	}
	if diff := cmp.Diff(want, d.Overlay); diff != "" {
		t.Error(diff)
	}
	if !d.Overlay.Inherits("tags.team") || d.Overlay.Inherits("tags.env") || d.Overlay.Inherits("job_clusters.*") {
		t.Errorf("%v", d.Overlay.Inherited)
	}
	if d.Policy.Name != "careful" || d.Mode != Apply || d.Follow != (Follow{Tag: "hello/*", Order: Tagged}) {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff(map[string]string{"jobs/old": "jobs/new", "jobs/older": "jobs/newer"}, d.Moved); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"jobs/x", "jobs/dbt_*"}, d.Allow); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"*.tool.example", "other.example"}, c.Isolation); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"HelloProphecy/*", "v1.0.0"}, d.Project.Tags); diff != "" {
		t.Error(diff)
	}

	d, _ = c.Deployment("hello@bare")
	if diff := cmp.Diff(Overlay{Notifications: map[string][]string{}}, d.Overlay); diff != "" {
		t.Error(diff)
	}
	if d.Policy.Name != DefaultPolicy || d.Mode != Observe || d.Follow != (Follow{Branch: "hello"}) {
		t.Errorf("%+v", d)
	}
}

// TestOver has what the defaults of a fabric must not change: themselves, and the deployment's own settings.
func TestOver(t *testing.T) {
	usual := Overlay{Tags: map[string]string{"a": "1"}, Notifications: map[string][]string{"on_start": {"x@y"}}, JobClusters: make([]ClusterOverlay, 1, 8)}
	own := Overlay{Tags: map[string]string{"b": "2"}, Notifications: map[string][]string{"on_start": {}}, JobClusters: []ClusterOverlay{{Key: "k"}}}
	both := own.over(usual)
	if diff := cmp.Diff(Overlay{Tags: map[string]string{"a": "1", "b": "2"}, Notifications: map[string][]string{},
		JobClusters: []ClusterOverlay{{}, {Key: "k"}}, Inherited: []string{"job_clusters.", "tags.a"}}, both); diff != "" {
		t.Error(diff)
	}
	both.Tags["c"], both.Notifications["on_failure"], both.JobClusters[0].Key = "3", []string{"z"}, "changed"
	if len(usual.Tags) != 1 || len(own.Tags) != 1 || len(usual.Notifications) != 1 || len(own.Notifications) != 1 || usual.JobClusters[0].Key != "" {
		t.Errorf("%v %v", usual, own)
	}
	if diff := cmp.Diff(Overlay{}, Overlay{}.over(Overlay{})); diff != "" {
		t.Error(diff)
	}
	if got := (Overlay{}).over(Overlay{Notifications: map[string][]string{}}).Notifications; got == nil || len(got) != 0 {
		t.Errorf("nobody by default became %v", got)
	}
}
