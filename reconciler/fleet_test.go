package reconciler

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
)

// fleet is a site of many jobs: projects p00, p01, ... of one repository, each with so many jobs of three tasks
// over one pipeline, on one fabric. Its workspace is another process.
type fleet struct {
	*site
	emulated *emulated
	names    []string // of the deployments
}

const fleetYAML = `
state: %[1]s/state
fabrics:
  production:
    databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}
    prophecy_ids: [4004]
policies:
  p: {prune: {max: 5, percent: 100}, heal: true}
projects:
PROJECTS
deployments:
  - {projects: ["*"], fabrics: [production], mode: apply, policy: p, follow: {branch: main}, jobs: ["jobs/*"], overlay: {tags: {env: prod}}}
`

// fleetOf is how large a fleet is, and whether its jobs have access lists.
type fleetOf struct {
	projects, jobs int // jobs of each project
	lists          bool
}

// newFleet makes the projects and starts the reconciler. Nothing is deployed yet.
func newFleet(t testing.TB, of fleetOf, o emulator.Options) *fleet {
	t.Helper()
	s := prepareSite(t, emulator.Options{})
	o.Token, o.IntentLog = "canary-token-1", filepath.Join(s.dir, "state", "ledger")
	f := &fleet{site: s, emulated: emulate(t, o)}
	s.url = f.emulated.url
	var yaml strings.Builder
	for i := range of.projects {
		name := fmt.Sprintf("p%02d", i)
		fmt.Fprintf(&yaml, "  %[1]s: {git: \"file://%%[3]s\", path: %[1]s, prophecy_id: %[2]d, poll: 1h}\n", name, 3000+i)
		f.names = append(f.names, name+"@production")
		f.project(name, of)
	}
	s.yaml = strings.Replace(fleetYAML, "PROJECTS", yaml.String(), 1)
	for _, dir := range []string{"pbt_project.yml", "jobs", "pipelines"} {
		if err := os.RemoveAll(filepath.Join(s.work, dir)); err != nil {
			t.Fatal(err)
		}
	}
	s.commit("")
	s.open()
	d := s.Config.Deployments[0]
	if _, err := s.Repositories["p00"].Poll(context.Background(), []gitwatch.Follow{follow(d)}); err != nil {
		t.Fatal(err)
	}
	return f
}

// project writes a project with one pipeline and its jobs into the work tree.
func (f *fleet) project(name string, of fleetOf) {
	f.t.Helper()
	check := func(err error) {
		if err != nil {
			f.t.Helper()
			f.t.Fatal(err)
		}
	}
	dir := filepath.Join(f.work, name)
	check(os.CopyFS(filepath.Join(dir, "pipelines", "clean_orders"), os.DirFS(filepath.Join(f.work, "pipelines", "clean_orders"))))
	yml, err := os.ReadFile(filepath.Join(f.work, "pbt_project.yml"))
	check(err)
	var b strings.Builder
	in := "" // the section, and within pipelines the entry, of the line
	for line := range strings.Lines(string(yml)) {
		switch {
		case !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "-"):
			in = strings.TrimSpace(line)
			if in == "jobs:" {
				b.WriteString(line)
				for i := range of.jobs {
					fmt.Fprintf(&b, "  jobs/job_%04d:\n    name: %s_job_%04d\n    fabricUID: 4004\n    scheduler:\n      Databricks: {}\n    pipelines:\n      - pipelines/clean_orders\n    enabled: true\n", i, name, i)
				}
				continue
			}
		case strings.HasPrefix(line, "  pipelines/"):
			in = strings.TrimSpace(line)
		}
		if in != "jobs:" && (!strings.HasPrefix(in, "pipelines/") || in == "pipelines/clean_orders:") {
			b.WriteString(line)
		}
	}
	check(os.WriteFile(filepath.Join(dir, "pbt_project.yml"), []byte(strings.Replace(b.String(), "HelloSelvage", name, 1)), 0o644))
	for i := range of.jobs {
		code := filepath.Join(dir, "jobs", fmt.Sprintf("job_%04d", i), "code")
		check(os.MkdirAll(code, 0o755))
		check(os.WriteFile(filepath.Join(code, "databricks-job.json"), jobText(name, i, of.lists), 0o644))
	}
}

// jobText is a committed job of three tasks, with or without an access list.
func jobText(project string, i int, list bool) []byte {
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
	access := ""
	if list {
		access = `"access_control_list" : [ { "group_name" : "data", "permission_level" : "CAN_MANAGE_RUN" } ],`
	}
	return fmt.Appendf(nil, `{ "fabric_id" : "4004",
  "components" : [ { "PipelineComponent" : { "path" : %q, "nodeName" : "clean", "id" : "a$$b", "language" : "python", "pipelineId" : "pipelines/clean_orders" } } ],
  "request" : { "format" : "MULTI_TASK", "name" : "%s_job_%04d", "max_concurrent_runs" : 1, "email_notifications" : { },
    %s
    "job_clusters" : [ { "job_cluster_key" : "small", "new_cluster" : { "spark_version" : "12.2.x-scala2.12", "node_type_id" : "i3.xlarge", "num_workers" : 1,
      "spark_conf" : { "spark.prophecy.metadata.job.branch" : "__PROJECT_RELEASE_VERSION_PLACEHOLDER__", "spark.prophecy.metadata.job.uri" : "__PROJECT_ID_PLACEHOLDER__/jobs/job_%04d" } } } ],
    "schedule" : { "quartz_cron_expression" : "0 0 5 * * ?", "timezone_id" : "UTC", "pause_status" : "PAUSED" },
    "tasks" : [ %s, %s, %s ] } }`, wheel, project, i, access, i, task("extract", ""), task("clean", "extract"), task("load", "clean"))
}

// applyAll approves and applies all deployments for the first time, as many at once as the daemon does, and
// returns how long that took. The plans are made before: a person reads them first.
func (f *fleet) applyAll() time.Duration {
	f.t.Helper()
	plans := make([]string, len(f.names))
	for i, name := range f.names {
		d, err := f.Plan(f.t.Context(), name, "")
		if err != nil {
			f.t.Fatal(err)
		}
		plans[i] = d.Plan.Digest
	}
	begin := time.Now()
	var g errgroup.Group
	g.SetLimit(workers)
	for i, name := range f.names {
		g.Go(func() error {
			d, err := f.Apply(f.t.Context(), ApplyRequest{Deployment: name, Plan: plans[i], By: "lead"})
			if err == nil && (d.Phase != Sound || d.Plan.Digest != "") {
				err = fmt.Errorf("%s: %s: %s", name, d.Phase, d.Result.Text)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		f.t.Fatal(err)
	}
	return time.Since(begin)
}

// round reconciles all deployments as the daemon does after a poll, by looks of their own.
func (f *fleet) round() []Decision {
	f.t.Helper()
	out := make([]Decision, len(f.names))
	f.each(func(i int, d Decision) error { out[i] = d; return nil })
	return out
}

func (f *fleet) each(see func(int, Decision) error) {
	f.t.Helper()
	f.mu.Lock()
	for _, name := range f.names {
		f.wrote[name] = time.Now() // no look from before
	}
	f.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(workers)
	for i, name := range f.names {
		g.Go(func() error {
			d, err := f.Reconciler.reconcile(f.t.Context(), name, ask{})
			tend()
			if err != nil {
				return err
			}
			return see(i, d)
		})
	}
	if err := g.Wait(); err != nil {
		f.t.Fatal(err)
	}
}

// noop fails the test unless a round found nothing to do.
func (f *fleet) noop() {
	f.t.Helper()
	f.each(func(_ int, d Decision) error {
		if d.Phase != Sound || d.Plan.Digest != "" {
			return fmt.Errorf("%s: %s: %s", d.Deployment, d.Phase, d.Result.Text)
		}
		return nil
	})
}

// compareAll goes through rounds until each job was compared with the list, as happens once in a job's life.
func (f *fleet) compareAll() (rounds int) {
	f.t.Helper()
	for ; f.untold() > 0; rounds++ {
		if rounds == 100 {
			f.t.Fatalf("%d jobs are not compared after %d rounds", f.untold(), rounds)
		}
		f.noop()
	}
	return rounds
}

// close ends it as a stopping daemon does, and looks at what the workspace saw.
func (f *fleet) close() {
	f.t.Helper()
	f.shut()
	for _, v := range f.emulated.violations() {
		f.t.Error("the workspace saw:", v)
	}
}
