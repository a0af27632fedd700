package databricks

import (
	"fmt"
	"testing"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// wide is a job with something of everything.
const wide = `{"name":"wide","format":"MULTI_TASK","queue":{"enabled":true},"tags":{"team":"sales"},"timeout_seconds":3600,
"parameters":[{"name":"b","default":"1"},{"name":"a","default":"2"}],
"environments":[{"environment_key":"e","spec":{"client":"1","dependencies":["requests==2"]}}],
"email_notifications":{"on_failure":["b@example.com","a@example.com"]},
"webhook_notifications":{"on_failure":[{"id":"x"},{"id":"y"},{"id":"z"}]},
"schedule":{"quartz_cron_expression":"0 0 5 * * ?","timezone_id":"UTC"},
"job_clusters":[{"job_cluster_key":"small","new_cluster":{"spark_version":"15.4.x-scala2.12","node_type_id":"i3.xlarge","num_workers":2,"aws_attributes":{"zone_id":"auto"},"spark_conf":{"a.b":"c"}}},
 {"job_cluster_key":"other","new_cluster":{"spark_version":"15.4.x-scala2.12","node_type_id":"i3.xlarge","autoscale":{"min_workers":1,"max_workers":3}}}],
"tasks":[
 {"task_key":"z","job_cluster_key":"small","python_wheel_task":{"package_name":"p","entry_point":"main","parameters":["-i","default"]},"libraries":[{"whl":"/Workspace/x/p-1.0-py3-none-any.whl"},{"pypi":{"package":"requests==2"}},{"maven":{"coordinates":"a:b:1"}}]},
 {"task_key":"m","depends_on":[{"task_key":"z"},{"task_key":"c"}],"job_cluster_key":"other","notebook_task":{"notebook_path":"/Workspace/n"},"max_retries":2},
 {"task_key":"c","new_cluster":{"spark_version":"15.4.x-scala2.12","node_type_id":"i3.xlarge","num_workers":0},"spark_jar_task":{"main_class_name":"M"},"libraries":[{"jar":"/Volumes/a/b/c/m.jar"}]},
 {"task_key":"a","for_each_task":{"inputs":"[1,2]","concurrency":2,"task":{"task_key":"inner","job_cluster_key":"small","spark_python_task":{"python_file":"/Workspace/x.py"}}}}]}`

// TestNoDrift: what the workspace gives back right after a create and after a reset does not differ from
// what was sent, whichever of the unverified ways it has.
func TestNoDrift(t *testing.T) {
	switches := map[string]emulator.Unverified{
		"none": {}, "list omits defaults": {ListOmitsDefaults: true}, "tasks as sent": {TasksAsSent: true}, "lists reordered": {ListsReordered: true},
		"reset reorders": {ResetReorders: true}, "job clusters bare": {JobClustersBare: true}, "empty blocks dropped": {EmptyBlocksDropped: true},
		"email flag": {EmailFlagEchoed: true}, "empty tags": {EmptyTagsEchoed: true}, "retries": {RetriesEchoed: true}, "delta preview": {DeltaPreview: true},
		"queue hides disabled": {QueueHidesDisabled: true}, "budget": {BudgetPolicy: "b"},
	}
	for name, un := range switches {
		for _, profile := range []emulator.Profile{emulator.AWS, emulator.Azure, emulator.GCP} {
			t.Run(fmt.Sprint(name, "/", profile), func(t *testing.T) {
				r := overTCP(t, emulator.Options{Unverified: un, Profile: profile}, Options{})
				c := creation(t, "jobs/wide", "wide")
				c.Desired = doc(t, wide)
				o := r.w.Do(t.Context(), step(c), r.journal)
				if o.Err != nil {
					t.Fatal(o.Err)
				}
				for range 2 {
					obj := r.object(t, o.Results[0].ID)
					fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: c.Desired, Live: obj.Doc})
					for _, f := range fields {
						t.Errorf("%s: %s -> %s", f.Path, f.Old, f.New)
					}
					c.Action, c.ID, c.Mark, c.Live = fabric.Update, obj.ID, obj.Mark, obj.Doc
					if o := r.w.Do(t.Context(), step(c), r.journal); o.Err != nil {
						t.Fatal(o.Err)
					}
				}
			})
		}
	}
}

// BenchmarkObserve reads a workspace full of our own jobs.
func BenchmarkObserve(b *testing.B) {
	for _, jobs := range []int{1000} {
		b.Run(fmt.Sprintf("jobs=%d", jobs), func(b *testing.B) {
			e := emulator.New(emulator.Options{Token: token})
			url, stop, err := e.Start()
			if err != nil {
				b.Fatal(err)
			}
			defer stop()
			w, err := New(Options{Name: "bench", Config: pat(url, token), Installation: installation})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			for i := range jobs {
				name := fmt.Sprintf("job %d", i)
				d, err := fabric.ParseDoc([]byte(settings(name, 3)))
				if err != nil {
					b.Fatal(err)
				}
				m := fabric.MarkOf(installation, fabric.Owner{Deployment: "shop@bench", Key: fabric.Key(name)}, "n")
				if _, err := e.CreateJob(fabric.NewDoc(marked(d, m, "n")).Canonical()); err != nil {
					b.Fatal(err)
				}
			}
			e.ResetJournal()
			n := 0
			for b.Loop() {
				live, err := w.Observe(b.Context(), fabric.Scope{})
				if err != nil || len(live.Objects()) != jobs {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(e.Count("*"))/float64(n), "requests/op")
		})
	}
}
