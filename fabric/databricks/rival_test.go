package databricks

import (
	"encoding/json"
	"strings"
	"testing"

	"selvage/fabric"
)

func TestRival(t *testing.T) {
	field := func(path, old, new string) fabric.Field {
		return fabric.Field{Path: path, Old: json.RawMessage(old), New: json.RawMessage(new), Cause: fabric.Drift}
	}
	const clusters = `"job_clusters":[{"job_cluster_key":"small","new_cluster":{"policy_id":"9A3F"}},{"job_cluster_key":"free","new_cluster":{}}],
		"tasks":[{"task_key":"a","new_cluster":{"policy_id":"77"}}]`
	for _, tt := range []struct {
		name, live string
		drift      []fabric.Field
		who        string
		sure       bool
	}{
		{"nobody knows", `{}`, []fabric.Field{field("max_concurrent_runs", "2", "1")}, "", false},
		{"no field", `{` + clusters + `}`, nil, "", false},
		{"the tool's artifact", `{}`, []fabric.Field{field("x", "1", "2"), field("tasks[a].libraries[whl p].whl", `"dbfs:/FileStore/prophecy/artifacts/saas/app/3224/1.0/pipeline/p-1.0-py3-none-any.whl"`, `"/Workspace/Users/me/.selvage/artifacts/aa/p-1.0-py3-none-any.whl"`)}, "authoring tool", true},
		{"the tool's artifact in parameters", `{}`, []fabric.Field{field("tasks[a].spark_python_task.parameters[3]", `"/dbfs/FileStore/prophecy/artifacts/x.conf"`, `"/Volumes/x"`)}, "authoring tool", true},
		{"an artifact folder of that name is ours", `{}`, []fabric.Field{field("tasks[a].libraries[whl p].whl", `"/Volumes/main/prophecy/artifacts/aa/p.whl"`, `"/Volumes/main/prophecy/artifacts/bb/p.whl"`)}, "", false},
		{"a bundle", `{"deployment":{"kind":"BUNDLE"},"edit_mode":"UI_LOCKED"}`, []fabric.Field{field("deployment.metadata_file_path", `"/x"`, ``)}, "asset bundle", false},
		{"a lock that is not in question", `{"deployment":{"kind":"BUNDLE"},"edit_mode":"UI_LOCKED"}`, []fabric.Field{field("description", `"x"`, `"y"`)}, "", false},
		{"terraform", `{"tags":{"ManagedBy":"Terraform"}}`, []fabric.Field{field("description", `"x"`, `"y"`)}, "Terraform", false},
		{"a policy", `{` + clusters + `}`, []fabric.Field{field("job_clusters[small].new_cluster.node_type_id", `"a"`, `"b"`), field("job_clusters[small].new_cluster.spark_conf[a.b]", `"a"`, `"b"`)}, "cluster policy 9A3F", false},
		{"policies", `{` + clusters + `}`, []fabric.Field{field("job_clusters[small].new_cluster.node_type_id", `"a"`, `"b"`), field("tasks[a].new_cluster.num_workers", `1`, `2`)}, "cluster policies", false},
		{"not only a policy", `{` + clusters + `}`, []fabric.Field{field("job_clusters[small].new_cluster.node_type_id", `"a"`, `"b"`), field("job_clusters[free].new_cluster.num_workers", `1`, `2`)}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			who, sure := rival(tt.drift, doc(t, tt.live))
			if sure != tt.sure || (who == "") != (tt.who == "") || !strings.Contains(who, tt.who) {
				t.Errorf("%q, sure %v; want %q, %v", who, sure, tt.who, tt.sure)
			}
		})
	}
}
