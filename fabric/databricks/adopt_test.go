package databricks

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

func docOf(t *testing.T, s string) fabric.Doc {
	t.Helper()
	d, err := fabric.ParseDoc([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTraces(t *testing.T) {
	inConf := func(key, value string) string {
		return `{"job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_conf":{"` + key + `":"` + value + `"}}}]}`
	}
	stored := func(project, version, file string) []fabric.Trace {
		return []fabric.Trace{{Kind: fabric.TraceFile, Project: project, Version: version, File: file}}
	}
	tests := []struct {
		name, doc string
		want      []fabric.Trace
	}{
		{"a job", inConf("spark.prophecy.metadata.job.uri", "3224/jobs/daily"), []fabric.Trace{{Kind: fabric.TraceJob, Project: "3224", Key: "jobs/daily"}}},
		{"a job without the prefix", inConf("prophecy.metadata.job.uri", "3224/jobs/daily"), []fabric.Trace{{Kind: fabric.TraceJob, Project: "3224", Key: "jobs/daily"}}},
		{"a job of a task's own cluster", `{"tasks":[{"task_key":"a","new_cluster":{"spark_conf":{"spark.prophecy.metadata.job.uri":"1/jobs/x"}}}]}`, []fabric.Trace{{Kind: fabric.TraceJob, Project: "1", Key: "jobs/x"}}},
		{"a placeholder is no evidence", inConf("spark.prophecy.metadata.job.uri", "__PROJECT_ID_PLACEHOLDER__/jobs/daily"), nil},
		{"a release", inConf("spark.prophecy.metadata.job.branch", "1.0"), []fabric.Trace{{Kind: fabric.TraceRelease, Version: "1.0"}}},
		{"a placeholder is no release", inConf("spark.prophecy.metadata.job.branch", "__PROJECT_RELEASE_VERSION_PLACEHOLDER__"), nil},
		{"something else", inConf("spark.prophecy.metadata.url", "3224/jobs/daily"), nil},
		{"a library", `{"tasks":[{"task_key":"a","libraries":[{"whl":"dbfs:/FileStore/prophecy/artifacts/saas/app/7/1.0/pipeline/a-1.0-py3-none-any.whl"}]}]}`, stored("7", "1.0", "pipeline/a-1.0-py3-none-any.whl")},
		{"a volume that is named like the store", `{"tasks":[{"task_key":"a","libraries":[{"jar":"/Volumes/c/prophecy/artifacts/prophecy/artifacts/saas/app/7/1.0/pipeline/a.jar"}]}]}`, stored("7", "1.0", "pipeline/a.jar")},
		{"two in JSON in a text", inConf("prophecy.packages.path", `{\"a\":\"dbfs:/x/prophecy/artifacts/s/a/7/1/pipeline/a.whl\",\"b\":\"dbfs:\\/x\\/prophecy\\/artifacts\\/s\\/a\\/7\\/1\\/pipeline\\/b.whl\"}`),
			append(stored("7", "1", "pipeline/a.whl"), stored("7", "1", "pipeline/b.whl")...)},
		{"a path that was never filled", `{"tasks":[{"task_key":"a","libraries":[{"whl":"dbfs:/x/prophecy/artifacts/s/a/__PROJECT_ID_PLACEHOLDER__/1/pipeline/a.whl"}]}]}`, nil},
		{"a path that is too short", `{"description":"/prophecy/artifacts/a/b and prophecy/artifacts/"}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, (&Workspace{}).Traces(fabric.Object{Doc: docOf(t, tt.doc)})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A value in which a placeholder was filled in whatever way is no edit; anything else in it is.
func TestBefore(t *testing.T) {
	raw := `{"request":{"name":"a","access_control_list":[{"user_name":"x"}],"job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_conf":{
		"x.metadata.job.uri":"523/jobs/a","spark.prophecy.metadata.url":"__PROPHECY_URL_PLACEHOLDER__","n":3}}}],
		"tasks":[{"task_key":"t","python_wheel_task":{"parameters":["-v","__PROJECT_RELEASE_VERSION_PLACEHOLDER__","-i","default"]}}]}}`
	job := artifacts.Job{Key: "jobs/a", Name: "a", Raw: []byte(raw), Components: []artifacts.Component{
		{Kind: artifacts.PipelineComponent, Path: "dbfs:/b/prophecy/artifacts/s/a/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/x.whl"},
		{Kind: artifacts.PipelineComponent, Path: "dbfs:/b/prophecy/artifacts/s/a/9/1/pipeline/y.whl", Subscribed: &artifacts.Subscription{ProjectID: "9"}},
	}}
	b := (&Workspace{}).Before([]artifacts.Job{job}, fabric.Binding{ProjectID: "523", Version: "1.1", Tag: "P/1.1"})["jobs/a"]
	if diff := cmp.Diff([]any{[]string{"pipeline/x.whl"}, []string{"523"}, []string{"c"}}, []any{b.Files, b.Projects, b.Clusters}); diff != "" {
		t.Error(diff)
	}
	live := func(url, version, instance, n string) fabric.Doc {
		return docOf(t, `{"name":"a","job_clusters":[{"job_cluster_key":"c","new_cluster":{"spark_conf":{"x.metadata.job.uri":"523/jobs/a","spark.prophecy.metadata.url":"`+url+`","n":"`+n+`"}}}],
			"tasks":[{"task_key":"t","python_wheel_task":{"parameters":["-v","`+version+`","-i","`+instance+`"]}}]}`)
	}
	for _, tt := range []struct {
		live fabric.Doc
		want []string
	}{
		{live("https://app.prophecy.io", "1.1", "default", "3"), nil},
		{live("", "0.9", "default", "3"), nil},
		{live("", "__PROJECT_RELEASE_VERSION_PLACEHOLDER__", "default", "3"), nil},
		{live("", "0.9", "prod", "4"), []string{"job_clusters[c].new_cluster.spark_conf.n", "tasks[t].python_wheel_task.parameters[3]"}},
	} {
		fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: b.Doc, Live: tt.live, Labels: b.Labels})
		var got []string
		for _, f := range fields {
			got = append(got, f.Path)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s\n%s", diff, tt.live.Canonical())
		}
	}
	if !b.Stripped["job_clusters[c].new_cluster.spark_conf[spark.prophecy.metadata.url]"] || !b.Stripped["job_clusters[c].new_cluster.spark_conf["+metricsOff+"]"] {
		t.Errorf("stripped: %v", b.Stripped)
	}
}

func TestKept(t *testing.T) {
	tests := []struct{ name, desired, live, want string }{
		{"paused by hand", `{"schedule":{"pause_status":"UNPAUSED"},"queue":{"enabled":true}}`, `{"schedule":{"pause_status":"PAUSED"},"queue":{"enabled":true}}`, `{"queue":{"enabled":true},"schedule":{"pause_status":"PAUSED"}}`},
		{"enabled by hand", `{"trigger":{"pause_status":"PAUSED"},"queue":{"enabled":true}}`, `{"trigger":{},"queue":{"enabled":true}}`, `{"queue":{"enabled":true},"trigger":{"pause_status":"UNPAUSED"}}`},
		{"not paused, and nothing said", `{"schedule":{"x":1},"queue":{"enabled":true}}`, `{"schedule":{"x":1,"pause_status":"UNPAUSED"},"queue":{"enabled":true}}`, `{"queue":{"enabled":true},"schedule":{"x":1}}`},
		{"runs are skipped", `{"queue":{"enabled":true}}`, `{"name":"a"}`, `{"queue":{"enabled":false}}`},
		{"no schedule any more", `{"schedule":{"pause_status":"UNPAUSED"},"queue":{"enabled":true}}`, `{"queue":{"enabled":true}}`, `{"queue":{"enabled":true},"schedule":{"pause_status":"UNPAUSED"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := fabric.Resource{Doc: docOf(t, tt.desired)}
			kept := (&Workspace{}).Kept(r, fabric.Before{Doc: docOf(t, `{"name":"a"}`)}, docOf(t, tt.live))
			d, still := r.Doc.Keep(kept)
			if string(d.Canonical()) != tt.want || len(still) != len(kept) {
				t.Errorf("%s, want %s; %v", d.Canonical(), tt.want, kept)
			}
			if other, still := docOf(t, `{"schedule":{"pause_status":"X"},"trigger":{"pause_status":"X"},"queue":{"enabled":false}}`).Keep(kept); len(still) != 0 {
				t.Errorf("kept although desired changed its mind: %s", other.Canonical())
			}
		})
	}
}

func TestPatch(t *testing.T) {
	raw := `{"name":"a","max_concurrent_runs":1,"schedule":{"quartz_cron_expression":"x","timezone_id":"UTC"},
		"job_clusters":[{"job_cluster_key":"c[1]","new_cluster":{"num_workers":1,"spark_conf":{"v":"__PROJECT_RELEASE_VERSION_PLACEHOLDER__"}}}],
		"tasks":[{"task_key":"t","libraries":[{"pypi":{"package":"p==1"}},{"whl":"/x/__PROJECT_ID_PLACEHOLDER__/a-1.whl"}],"max_retries":0}]}`
	live := `{"name":"b","max_concurrent_runs":2,"email_notifications":{"on_failure":["a@b"]},
		"job_clusters":[{"job_cluster_key":"c[1]","new_cluster":{"num_workers":3,"spark_conf":{"v":"1.0","w":"1"}}}],
		"tasks":[{"task_key":"t","libraries":[{"pypi":{"package":"p==2"}},{"whl":"/x/7/a-1.whl"}],"max_retries":4},{"task_key":"new"}]}`
	before := fabric.Before{Raw: docOf(t, raw)}
	o, cant := (&Workspace{}).Patch("jobs/a", before, docOf(t, live), []string{"name", "max_concurrent_runs", "email_notifications.on_failure",
		"schedule.quartz_cron_expression", "schedule.timezone_id", `job_clusters["c[1]"].new_cluster.num_workers`, `job_clusters["c[1]"].new_cluster.spark_conf.w`,
		"tasks[t].libraries[pypi p].pypi.package", "tasks[t].max_retries", "tasks[new]"})
	if diff := cmp.Diff(map[string]string{"name": "an overlay renames no job", "tasks[new]": "a task or a cluster as a whole is no patch"}, cant); diff != "" {
		t.Error(diff)
	}
	want := `job_clusters:
  "c\\[1\\]":
    "num_workers": 3
    "spark_conf": {"w": "1"}
patch:
  "jobs/a":
    "email_notifications": {"on_failure": ["a@b"]}
    "max_concurrent_runs": 2
    "schedule": null
    tasks:
      "t":
        "libraries": [{"pypi": {"package": "p==2"}}, {"whl": "/x/__PROJECT_ID_PLACEHOLDER__/a-1.whl"}]
        "max_retries": 4
`
	if diff := cmp.Diff(want, string(configs.OverlaySnippet(o))); diff != "" {
		t.Error(diff)
	}
}

func TestHandedBack(t *testing.T) {
	const line = "Managed by Selvage (deployment a@b, installation i). Change it in git, not here."
	tests := []struct{ name, live, settings, remove string }{
		{"nothing but the mark", `{}`, `{}`, `["tags"]`},
		{"tags of others stay", `{"tags":{"a":"b"}}`, `{"tags":{"a":"b"}}`, `null`},
		{"the line alone", `{"tags":{"a":"b"},"description":"` + line + `"}`, `{"tags":{"a":"b"}}`, `["description"]`},
		{"the line after a text", `{"tags":{"a":"b"},"description":"ask Mira\n\n` + line + `"}`, `{"description":"ask Mira","tags":{"a":"b"}}`, `null`},
		{"a text that only mentions it", `{"tags":{"a":"b"},"description":"` + line + `\nand more"}`, `{"tags":{"a":"b"}}`, `null`},
		{"a lock of ours", `{"tags":{"a":"b"},"edit_mode":"UI_LOCKED","deployment":{"kind":"BUNDLE","metadata_file_path":"/x/` + digestOf64 + `/metadata.json"}}`, `{"edit_mode":"EDITABLE","tags":{"a":"b"}}`, `["deployment"]`},
		{"a lock of others", `{"tags":{"a":"b"},"edit_mode":"UI_LOCKED","deployment":{"kind":"BUNDLE","metadata_file_path":"/x/state/metadata.json"}}`, `{"tags":{"a":"b"}}`, `null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			settings, remove := handedBack(docOf(t, tt.live))
			if s, r := string(fabric.Spelled(settings)), string(fabric.Spelled(anyOf(remove))); s != tt.settings || r != tt.remove {
				t.Errorf("%s %s, want %s %s", s, r, tt.settings, tt.remove)
			}
		})
	}
}

const digestOf64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func anyOf(list []any) any {
	if list == nil {
		return nil
	}
	return list
}
