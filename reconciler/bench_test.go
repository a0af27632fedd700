package reconciler

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"selvage/fabric/databricks/emulator"
)

// benchSite is a site whose project has n jobs of three tasks each, over one pipeline.
func benchSite(b *testing.B, n int, list func(i int) string) *site {
	return newSite(b, emulator.Options{}).many(n, list)
}

// many has the project hold n jobs, each with the entries of an access list if there is one, and opens the site.
func (s *site) many(n int, list func(i int) string) *site {
	b := s.t
	if list == nil {
		list = func(int) string { return "" }
	}
	s.yaml = strings.Replace(s.yaml, "poll: 1s", "poll: 1h", 1)
	for _, dir := range []string{"jobs"} {
		if err := os.RemoveAll(filepath.Join(s.work, dir)); err != nil {
			b.Fatal(err)
		}
	}
	yml, err := os.ReadFile(filepath.Join(s.work, "pbt_project.yml"))
	if err != nil {
		b.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(yml), "\njobs:\n")
	if !ok {
		b.Fatal("pbt_project.yml has no jobs")
	}
	var tail []string
	for line := range strings.Lines(rest) {
		if len(tail) > 0 || !strings.HasPrefix(line, " ") {
			tail = append(tail, line)
		}
	}
	var jobs strings.Builder
	jobs.WriteString("\njobs:\n")
	for i := range n {
		fmt.Fprintf(&jobs, "  jobs/job_%04d:\n    name: job_%04d\n    fabricUID: 4004\n    scheduler:\n      Databricks: {}\n    pipelines:\n      - pipelines/clean_orders\n    enabled: true\n", i, i)
		dir := filepath.Join(s.work, "jobs", fmt.Sprintf("job_%04d", i), "code")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "databricks-job.json"), benchJob(i, list(i)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.work, "pbt_project.yml"), []byte(head+jobs.String()+strings.Join(tail, "")), 0o644); err != nil {
		b.Fatal(err)
	}
	s.commit("HelloSelvage/1.0.0")
	s.open()
	return s
}

func benchJob(i int, list string) []byte {
	const wheel = "/Volumes/shop/prophecy/artifacts/prophecy/artifacts/saas/app/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/clean_orders-1.0-py3-none-any.whl"
	task := func(key, after string) string {
		depends := ""
		if after != "" {
			depends = fmt.Sprintf(`"depends_on" : [ { "task_key" : %q } ],`, after)
		}
		return fmt.Sprintf(`{ "task_key" : %q, %s "job_cluster_key" : "small",
      "python_wheel_task" : { "package_name" : "clean_orders", "entry_point" : "main", "parameters" : [ "-i", "default", "-O", "{}" ] },
      "libraries" : [ { "maven" : { "coordinates" : "io.prophecy:prophecy-libs_2.12:3.3.0-9.2.0" } }, { "pypi" : { "package" : "prophecy-libs==2.1.16" } }, { "whl" : %q } ],
      "max_retries" : 0, "email_notifications" : { } }`, key, depends, wheel)
	}
	return fmt.Appendf(nil, `{ "fabric_id" : "4004",
  "components" : [ { "PipelineComponent" : { "path" : %q, "nodeName" : "clean", "id" : "a$$b", "language" : "python", "pipelineId" : "pipelines/clean_orders" } } ],
  "request" : { "format" : "MULTI_TASK", "name" : "job_%04d", "max_concurrent_runs" : 1, "email_notifications" : { }, "access_control_list" : [ %s ],
    "job_clusters" : [ { "job_cluster_key" : "small", "new_cluster" : { "spark_version" : "12.2.x-scala2.12", "node_type_id" : "i3.xlarge", "num_workers" : 1,
      "spark_conf" : { "spark.prophecy.metadata.job.branch" : "__PROJECT_RELEASE_VERSION_PLACEHOLDER__", "spark.prophecy.metadata.job.uri" : "__PROJECT_ID_PLACEHOLDER__/jobs/job_%04d" } } } ],
    "schedule" : { "quartz_cron_expression" : "0 0 5 * * ?", "timezone_id" : "UTC", "pause_status" : "PAUSED" },
    "tasks" : [ %s, %s, %s ] } }`, wheel, i, list, i, task("extract", ""), task("clean", "extract"), task("load", "clean"))
}

// A thousand jobs of three tasks, converged: what does finding that out cost? Workspace and git remote
// are served by this process, too. The vendor's bundles read each job by itself.
func BenchmarkReconcileNoop(b *testing.B) {
	for name, list := range map[string]func(int) string{"jobs=1000": nil, "jobs=1000,lists=1000": benchList} {
		b.Run(name, func(b *testing.B) {
			s := benchSite(b, 1000, list)
			s.round()
			if d := s.approveBench(b); d.Phase != Sound {
				b.Fatalf("%s: %s", d.Phase, d.Result.Text)
			}
			d, _ := s.Config.Deployment(deployment)
			s.workspace.ResetJournal()
			b.ResetTimer()
			for b.Loop() {
				s.mu.Lock()
				s.wrote[deployment] = time.Now() // no look from before
				s.mu.Unlock()
				if out, err := s.reconcile(b.Context(), d, ask{}); err != nil || out.Plan.Digest != "" || out.Phase != Sound {
					b.Fatalf("%s %s: %v", out.Phase, out.Result.Text, err)
				}
			}
			b.ReportMetric(float64(len(s.workspace.Requests()))/float64(b.N), "requests/op")
			b.ReportMetric(bundlesRequests[list != nil], "requests-of-bundles")
			b.StopTimer()
			s.shut()
		})
	}
}

func (s *site) approveBench(b *testing.B) Decision {
	p, err := s.Plan(b.Context(), deployment, "")
	if err != nil {
		b.Fatal(err)
	}
	d, err := s.Apply(b.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"})
	if err != nil {
		b.Fatal(err)
	}
	return d
}
