package configs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is written is what is read, whatever stands in it.
func TestOverlaySnippet(t *testing.T) {
	odd := "a: b # \"c\" 'd' ${env:X} {e} [f] \t \u2028 é \\ %"
	want := Overlay{
		JobClusters: []ClusterOverlay{{Key: `odd\[1\]_*`, Merge: map[string]any{"num_workers": json.Number("3"), "spark_conf": map[string]any{"spark.x.y": odd, "off": nil}}}},
		Patch: []Patch{
			{Jobs: "jobs/daily", Merge: map[string]any{"max_concurrent_runs": json.Number("9"), "schedule": nil, "tags": map[string]any{"by": "1.0"}}},
			{Jobs: "jobs/a b", Tasks: []TaskPatch{{Key: "clean", Merge: map[string]any{"max_retries": json.Number("5"), "empty": "", "yes": "yes", "num": "1e3",
				"libraries": []any{map[string]any{"pypi": map[string]any{"package": "a==1"}}, []any{}, true, "~", "null", "0x1f"}}}}},
		},
	}
	text := OverlaySnippet(want)
	got, err := ParseOverlay("patch.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-written +read\n%s\n%s", diff, text)
	}
	if _, err := ParseOverlay("patch.yaml", []byte("patch: {jobs/x: {name: y}}\n")); err == nil || !strings.Contains(err.Error(), "patch.yaml:1:18: ") {
		t.Errorf("a name in a patch: %v", err)
	}
	both := got.Over(Overlay{ConfigInstance: "prod", Patch: []Patch{{Jobs: "jobs/*", Merge: map[string]any{"max_concurrent_runs": json.Number("1")}}}, Inherited: []string{"config_instance"}})
	if both.ConfigInstance != "prod" || len(both.Patch) != 3 || both.Patch[0].Jobs != "jobs/*" || !both.Inherits("config_instance") {
		t.Errorf("laid over another: %+v", both)
	}
}
