package reconciler

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// A release of 20 jobs on top of one of 12: a new wheel, nine creates, ten resets, a move and a deletion, with references
// between jobs that are there and jobs that are to be made.
const (
	firstJobs  = 12
	secondJobs = 20
)

// matrixSite is the site at the moment when the second release is built and nothing of it is written yet.
type matrixSite struct {
	dir       string
	remote    string
	yaml      string
	workspace *emulator.Workspace
	at        time.Time         // on the bubble's clock
	ids       map[string]string // of the live jobs, by name
	releases  map[string]made   // that were read: reading them again, hundreds of times, would show nothing
}

const matrixYAML = `
state: %[1]s/state
fabrics:
  production:
    databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}
    prophecy_ids: [4004]
policies:
  p: {prune: {max: 5, percent: 100}, heal: true}
projects:
  hello: {git: "file://%[3]s", path: p00, prophecy_id: 3224, poll: 1s}
deployments:
  - {project: hello, fabric: production, mode: apply, policy: p, follow: {branch: main}, jobs: ["jobs/*"]}
`

// secondKey is the key of the n-th job of the second release: the eleventh of the first one has another key there, and
// the twelfth is gone.
func secondKey(n int) string {
	switch {
	case n < firstJobs-2:
		return fmt.Sprintf("job_%04d", n)
	case n == firstJobs-2:
		return "moved"
	}
	return fmt.Sprintf("job_%04d", n+1)
}

// runs are the jobs that run another one, by name, in the second release.
var runs = map[string]string{"job_0001": "job_0000", "job_0002": "job_0015", "job_0013": "job_0012", "job_0014": "job_0013", "moved": "job_0016", "job_0017": "moved"}

// matrixJobs writes the project with jobs of these keys.
func (s *site) matrixJobs(keys []string, runs map[string]string, value string) {
	s.t.Helper()
	check := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	dir := filepath.Join(s.work, "p00")
	check(os.RemoveAll(filepath.Join(dir, "jobs")))
	var yml strings.Builder
	yml.WriteString("name: Matrix\nversion: 1.0.0\nlanguage: python\nbuildSystem: ''\npipelines:\n  pipelines/clean_orders:\n    name: clean_orders\n    mode: batch\n    language: python\njobs:\n")
	for _, key := range keys {
		fmt.Fprintf(&yml, "  jobs/%[1]s:\n    name: %[1]s\n    fabricUID: 4004\n    scheduler:\n      Databricks: {}\n    pipelines:\n      - pipelines/clean_orders\n    enabled: true\n", key)
		const wheel = "/Volumes/shop/prophecy/artifacts/prophecy/artifacts/saas/app/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/clean_orders-1.0-py3-none-any.whl"
		after := ""
		if other := runs[key]; other != "" {
			after = fmt.Sprintf(`, { "task_key" : "then", "depends_on" : [ { "task_key" : "clean" } ], "run_job_task" : { "job_id" : { "job" : "jobs/%s" } } }`, other)
		}
		text := fmt.Sprintf(`{ "fabric_id" : "4004",
  "components" : [ { "PipelineComponent" : { "path" : %q, "nodeName" : "clean", "id" : "a$$b", "language" : "python", "pipelineId" : "pipelines/clean_orders" } } ],
  "request" : { "format" : "MULTI_TASK", "name" : %q, "max_concurrent_runs" : %s,
    "tasks" : [ { "task_key" : "clean", "existing_cluster_id" : "1120-shop",
      "python_wheel_task" : { "package_name" : "clean_orders", "entry_point" : "main" }, "libraries" : [ { "whl" : %q } ] }%s ] } }`, wheel, key, value, wheel, after)
		code := filepath.Join(dir, "jobs", key, "code")
		check(os.MkdirAll(code, 0o755))
		check(os.WriteFile(filepath.Join(code, "databricks-job.json"), []byte(text), 0o644))
	}
	check(os.WriteFile(filepath.Join(dir, "pbt_project.yml"), []byte(yml.String()), 0o644))
}

// newMatrix deploys the first release and builds the second.
func newMatrix(t *testing.T) *matrixSite {
	m := &matrixSite{}
	synctest.Test(t, func(bubble *testing.T) {
		s := prepareSite(bubble, emulator.Options{})
		s.dir = t.TempDir() // outlives the bubble
		s = s.pipes()
		m.remote = filepath.Join(t.TempDir(), "remote.git")
		s.git(filepath.Dir(m.remote), "clone", "-q", "--bare", s.remote, m.remote)
		s.git(s.work, "remote", "set-url", "origin", m.remote)
		s.remote, s.yaml = m.remote, matrixYAML
		pipeline := filepath.Join(s.work, "p00", "pipelines", "clean_orders")
		if err := os.CopyFS(pipeline, os.DirFS(filepath.Join(s.work, "pipelines", "clean_orders"))); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"pbt_project.yml", "jobs", "pipelines"} {
			if err := os.RemoveAll(filepath.Join(s.work, dir)); err != nil {
				t.Fatal(err)
			}
		}
		var keys []string
		for n := range firstJobs {
			keys = append(keys, fmt.Sprintf("job_%04d", n))
		}
		s.matrixJobs(keys, map[string]string{"job_0001": "job_0000"}, "1")
		s.commit("")
		s.workspace = s.workspace.Twin(emulator.Options{Token: "canary-token-1", IntentLog: filepath.Join(s.dir, "state", "ledger")})
		s = s.pipes()
		s.moved = map[string]string{"jobs/job_0010": "jobs/moved"}
		s.open()
		s.round()
		s.verified(s.approve(""))
		keys = nil
		for n := range secondJobs {
			keys = append(keys, secondKey(n))
		}
		s.matrixJobs(keys, runs, "2")
		if err := os.WriteFile(filepath.Join(pipeline, "code", "clean_orders", "added.py"), []byte("ADDED = 1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.commit("")
		if _, err := s.Plan(bubble.Context(), deployment, ""); err != nil { // it polls, and builds
			t.Fatal(err)
		}
		m.ids = map[string]string{}
		for _, j := range s.workspace.Jobs() {
			m.ids[j.Name] = fmt.Sprint(j.ID)
		}
		m.releases = maps.Clone(s.releases)
		s.shut()
		s.sound()
		m.dir, m.yaml, m.workspace, m.at = s.dir, s.yaml, s.workspace, time.Now()
	})
	return m
}

// again is the site once more, in a bubble of its own. What never changes once it is written is shared.
func (m *matrixSite) again(t *testing.T, un emulator.Unverified) *site {
	time.Sleep(time.Until(m.at.Add(time.Second)))
	s := &site{t: t, dir: t.TempDir(), yaml: m.yaml, remote: m.remote, moved: map[string]string{"jobs/job_0010": "jobs/moved"}}
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(s.dir, strings.TrimPrefix(path, m.dir))
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case slices.ContainsFunc([]string{"/documents/", "/artifacts/", "/mirrors/"}, func(store string) bool { return strings.Contains(path, store) }):
			return os.Link(path, to)
		}
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(to, b, 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.workspace = m.workspace.Twin(emulator.Options{Token: "canary-token-1", IntentLog: filepath.Join(s.dir, "state", "ledger"), Unverified: un})
	s.pipes()
	m.open(s)
	return s
}

func (m *matrixSite) open(s *site) {
	s.t.Helper()
	s.open()
	maps.Copy(s.releases, m.releases)
}

// until reconciles until nothing is left to do; after a kill in a process of its own.
func (m *matrixSite) until(s *site, killed *atomic.Bool) {
	s.t.Helper()
	var d Decision
	for n := range 80 {
		var err error
		if n%2 == 0 { // each poll is a process; two rounds may well go by the same one
			d, err = s.try()
		} else {
			d, err = s.reconcile(s.t.Context(), s.Config.Deployments[0], ask{})
		}
		switch {
		case killed.Swap(false):
			s.Reconciler.Close()
			s.place.Close()
			s.log.Close()
			m.open(s)
			continue
		case err == nil && d.Phase == Sound && d.Plan.Digest == "" && d.Plan.Counts.Deferred == 0 && s.owned() == secondJobs:
			return
		}
		time.Sleep(max(time.Until(d.Again), time.Second))
	}
	s.t.Fatalf("it does not converge: %s, %s, %s\n%v\n%v", d.Phase, d.Result.Text, d.Plan.Counts, lines(d.Plan), d.Findings)
}

func (s *site) owned() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.state.applied[deployment])
}

// exactlyOne fails the test unless each job of the second release is there once, the ledger owns it and nothing
// else carries our mark, those that were there before are the same, and nothing is left to do.
func (m *matrixSite) exactlyOne(s *site) {
	s.t.Helper()
	s.workspace.ResetJournal()
	time.Sleep(time.Minute)
	if d, err := s.try(); err != nil || d.Plan.Digest != "" || s.workspace.Count("POST *") != 0 {
		s.t.Errorf("afterwards the plan is %s, %d requests that change something: %v", d.Plan.Counts, s.workspace.Count("POST *"), err)
	}
	live := map[string]string{}
	for _, j := range s.workspace.Jobs() {
		if live[j.Name] != "" {
			s.t.Errorf("%s is there twice", j.Name)
		}
		live[j.Name] = fmt.Sprint(j.ID)
		if !strings.Contains(string(j.Settings), `"max_concurrent_runs":2`) {
			s.t.Errorf("%s is not as the release says", j.Name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	owned := s.state.applied[deployment]
	if len(live) != secondJobs || len(owned) != secondJobs {
		s.t.Errorf("%d jobs are live and %d are owned, not %d", len(live), len(owned), secondJobs)
	}
	for n := range secondJobs {
		key := secondKey(n)
		before := key
		if key == "moved" {
			before = "job_0010"
		}
		if o := owned[fabric.Key("jobs/"+key)]; live[key] == "" || o.ID != live[key] {
			s.t.Errorf("%s is job %q, and the ledger owns %q", key, live[key], o.ID)
		}
		if was := m.ids[before]; was != "" && was != live[key] {
			s.t.Errorf("%s was job %s and is %s", key, was, live[key])
		}
	}
	if open := s.log.OpenIntents(); len(open) > 0 {
		s.t.Errorf("%d intents are open", len(open))
	}
}

// Whatever goes wrong with whichever request of a release, looks included: each job is there once, none without an owner, the
// next rounds converge and nothing is left to do.
func TestExactlyOneJob(t *testing.T) {
	t.Parallel()
	m := newMatrix(t)
	requests := 0
	synctest.Test(t, func(t *testing.T) {
		s := m.again(t, emulator.Unverified{})
		m.until(s, new(atomic.Bool))
		requests = len(s.workspace.Requests())
		if creates, resets, deletes := s.workspace.Count("POST /api/2.2/jobs/create"), s.workspace.Count("POST /api/2.2/jobs/reset"), s.workspace.Count("POST /api/2.2/jobs/delete"); creates != 9 || resets != 11 || deletes != 1 || s.workspace.Count("POST */import") > 1 {
			t.Fatalf("%d creates, %d resets, %d deletes", creates, resets, deletes)
		}
		m.exactlyOne(s)
		s.shut()
		s.sound()
	})
	var tried, struck atomic.Int64
	t.Run("faults", func(t *testing.T) {
		for n, f := range []struct {
			name  string
			fault emulator.Fault
			kill  bool
			lag   time.Duration
		}{
			{name: "answer lost", fault: emulator.Fault{Reset: true, After: true}},
			{name: "500 after the handler", fault: emulator.Fault{Status: 500, After: true}},
			{name: "connection reset", fault: emulator.Fault{Reset: true}},
			{name: "storm of 429", fault: emulator.Fault{Status: http.StatusTooManyRequests, Times: 20}},
			{name: "answer lost, and lists lag", fault: emulator.Fault{Reset: true, After: true}, lag: 12 * time.Second},
			{name: "killed before the handler", fault: emulator.Fault{Reset: true}, kill: true},
			{name: "killed after the handler", fault: emulator.Fault{Reset: true, After: true}, kill: true},
		} {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				for k := range requests {
					if (k+n)%stride != 0 {
						continue
					}
					synctest.Test(t, func(t *testing.T) {
						s := m.again(t, emulator.Unverified{ListLag: f.lag})
						defer func() {
							if t.Failed() {
								t.Logf("%s at request %d", f.name, k)
							}
						}()
						var killed, hit atomic.Bool
						fault := f.fault
						fault.Pattern, fault.Offset = "*", k
						fault.Hook = func() {
							hit.Store(true)
							if f.kill {
								killed.Store(true)
								s.log.Close()
							}
						}
						s.workspace.Fault(fault)
						m.until(s, &killed)
						s.workspace.ClearFaults()
						m.exactlyOne(s)
						s.shut()
						s.sound()
						tried.Add(1)
						if hit.Load() {
							struck.Add(1)
						}
					})
					if t.Failed() {
						return
					}
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	if struck.Load() < tried.Load()*9/10 {
		t.Errorf("of %d faults only %d struck", tried.Load(), struck.Load())
	}
	if UnderRace {
		return
	}
	report(t, fmt.Sprintf("exactly one job: a release of %d jobs makes %d requests; %d positions tried, %d faults survived, no duplicate, no orphan", secondJobs, requests, tried.Load(), struck.Load()))
}
