package reconciler

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
)

// rename gives a job of the work tree another key and name, wherever they stand.
func (s *site) rename(old, now string) {
	s.t.Helper()
	if err := os.Rename(filepath.Join(s.work, "jobs", old), filepath.Join(s.work, "jobs", now)); err != nil {
		s.t.Fatal(err)
	}
	s.inProject(func(text string) string { return strings.ReplaceAll(text, old, now) })
}

// inProject edits the project's file and those of its jobs.
func (s *site) inProject(edit func(string) string) {
	s.t.Helper()
	err := fs.WalkDir(os.DirFS(s.work), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name != "pbt_project.yml" && !strings.HasPrefix(name, "jobs/") {
			return err
		}
		file := filepath.Join(s.work, name)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(file, []byte(edit(string(text))), 0o644)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// ids are those of what a deployment owns, as the ledger says.
func (s *site) ownedIDs(deployment string) map[fabric.Key]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := map[fabric.Key]string{}
	for k, a := range s.state.applied[deployment] {
		ids[k] = a.ID
	}
	return ids
}

// In each case one request of a move goes wrong in one way. The next rounds converge: the live job is the same, under
// its new key, nothing is there twice, and what runs it runs it still.
func TestEveryFaultAtEveryRequestOfAMove(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tried := 0
			for k, more := 0, true; more; k++ {
				synctest.Test(t, func(t *testing.T) {
					more = moveFaultAt(t, f.fault, k, f.kill)
				})
				if more {
					tried++
				}
			}
			if t.Logf("%d positions tried", tried); tried < 3 {
				t.Error("want the upload, the move, and the job that runs what moves")
			}
		})
	}
}

// moveFaultAt strikes at the k-th request of a release that moves a job; false if there were no more than k.
func moveFaultAt(t *testing.T, fault emulator.Fault, k int, kill bool) bool {
	s := newBubbleSite(t, emulator.Options{})
	s.moved = map[string]string{"jobs/daily_revenue": "jobs/revenue_of_the_day"}
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	before := s.ownedIDs(deployment)
	s.rename("daily_revenue", "revenue_of_the_day")
	s.replace("pipelines/clean_orders/code/clean_orders/pipeline.py", "import", "# tidier\nimport")
	s.replace("jobs/month_end/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
	s.commit("HelloSelvage/1.1.0")
	s.strike(fault, k, kill)
	d, err := s.try() // may fail: that is the point
	t.Logf("request %d: %s: %s, %v", k, d.Phase, d.Result.Text, err)
	posts := s.workspace.Count("POST *")
	s.recover(k, kill)
	want := maps.Clone(before)
	want["jobs/revenue_of_the_day"] = want["jobs/daily_revenue"]
	delete(want, "jobs/daily_revenue")
	if diff := cmp.Diff(want, s.ownedIDs(deployment)); diff != "" {
		t.Errorf("what is owned (-want +got):\n%s", diff)
	}
	for _, pattern := range []string{"POST /api/2.2/jobs/create", "POST /api/2.2/jobs/delete"} {
		if n := s.workspace.Count(pattern); n != 0 {
			t.Errorf("%d requests %s", n, pattern)
		}
	}
	if !slices.Contains(s.names(), "revenue_of_the_day") {
		t.Errorf("live: %v", s.names())
	}
	s.shut()
	s.sound()
	return k < posts
}

// Another display name of the same key is an update: the live job is the same.
func TestRenamedDisplayName(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	before := s.ownedIDs(deployment)
	s.replace("jobs/daily_revenue/code/databricks-job.json", `"name" : "daily_revenue"`, `"name" : "Revenue of the day"`)
	s.commit("HelloSelvage/1.1.0")
	s.workspace.ResetJournal()
	s.verified(s.round())
	if diff := cmp.Diff(before, s.ownedIDs(deployment)); diff != "" || !slices.Contains(s.names(), "Revenue of the day") || s.workspace.Count("POST *") != 1 {
		t.Errorf("%d requests, live %v\n%s", s.workspace.Count("POST *"), s.names(), diff)
	}
	s.shut()
	s.sound()
}

const twoPlaces = `
state: %[1]s/state
fabrics:
  development:
    databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}
    prophecy_ids: [1174]
  production:
    databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}
    prophecy_ids: [4004]
policies:
  p: {prune: {max: 5, percent: 100}, heal: true}
projects:
  hello: {git: "file://%[3]s", prophecy_id: 3224, poll: 1s}
deployments:
  - {project: hello, fabric: development, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}, jobs: ["DEVELOPMENT"]}
  - {project: hello, fabric: production, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}, jobs: ["PRODUCTION", "jobs/month_end"], overlay: {tags: {env: prod}}}
`

// A project that holds a copy of a job for each environment goes over to one job for all, whichever comes first: the
// configuration that says what moves, or the release. The live jobs stay the same. Then it goes back.
func TestOneJobForAllEnvironments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		configurationFirst bool
	}{{"at once", false}, {"configuration first", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, emulator.Options{})
			configured := func(development, production string) string {
				return strings.NewReplacer("DEVELOPMENT", development, "PRODUCTION", production).Replace(twoPlaces)
			}
			perEnvironment, forAll := configured("jobs/nightly_development", "jobs/nightly_production"), configured("jobs/nightly", "jobs/nightly")
			names := []string{"hello@development", "hello@production"}
			rounds := func(phase string) map[string]Decision {
				t.Helper()
				d, _ := s.Config.Deployment(names[0])
				if _, err := s.Repositories["hello"].Poll(t.Context(), []gitwatch.Follow{follow(d)}); err != nil {
					t.Fatal(err)
				}
				out := map[string]Decision{}
				for _, name := range names {
					d, _ := s.Config.Deployment(name)
					decision, err := s.reconcile(t.Context(), d, ask{})
					if err != nil {
						t.Fatalf("%s: %s: %v", phase, name, err)
					}
					out[name] = decision
				}
				return out
			}
			verified := func(phase string) {
				t.Helper()
				for range 2 {
					for name, d := range rounds(phase) {
						if d.Phase != Sound || d.Plan.Digest != "" || !d.Plan.Empty() {
							t.Fatalf("%s: %s: %s, %s, %s\n%v\n%v", phase, name, d.Phase, d.Plan.Counts, d.Result.Text, lines(d.Plan), d.Findings)
						}
					}
				}
			}
			untouched := func(phase string) {
				t.Helper()
				for _, pattern := range []string{"POST /api/2.2/jobs/create", "POST /api/2.2/jobs/delete"} {
					if n := s.workspace.Count(pattern); n != 0 {
						t.Fatalf("%s: %d requests %s", phase, n, pattern)
					}
				}
				if live := s.names(); len(live) != 3 {
					t.Fatalf("%s: live %v", phase, live)
				}
			}

			// One copy for each environment, and a job that runs the one in production.
			s.yaml = perEnvironment
			if err := os.RemoveAll(filepath.Join(s.work, "jobs/customer_report")); err != nil {
				t.Fatal(err)
			}
			dropJob(t, filepath.Join(s.work, "pbt_project.yml"), "jobs/customer_report")
			s.rename("daily_revenue", "nightly_production")
			if err := os.CopyFS(filepath.Join(s.work, "jobs/nightly_development"), os.DirFS(filepath.Join(s.work, "jobs/nightly_production"))); err != nil {
				t.Fatal(err)
			}
			s.replace("jobs/nightly_development/code/databricks-job.json", "nightly_production", "nightly_development")
			listJob(t, filepath.Join(s.work, "pbt_project.yml"), "jobs/nightly_production", "jobs/nightly_development")
			s.commit("HelloSelvage/1.0.0")
			s.open()
			rounds("first plan")
			for _, name := range names {
				p, err := s.Plan(t.Context(), name, "")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Apply(t.Context(), ApplyRequest{Deployment: name, Plan: p.Plan.Digest, By: "lead"}); err != nil {
					t.Fatal(err)
				}
			}
			verified("per environment")
			development, production := s.ownedIDs(names[0]), s.ownedIDs(names[1])
			s.workspace.ResetJournal()

			// One job for all.
			s.shut()
			s.yaml, s.moved = forAll, map[string]string{"jobs/nightly_development": "jobs/nightly", "jobs/nightly_production": "jobs/nightly"}
			if tt.configurationFirst {
				s.open()
				out := rounds("configuration alone")
				if d := out[names[0]]; d.Plan.Counts.Release != 1 || s.workspace.Count("POST *") != 0 {
					t.Fatalf("configuration alone: %s, %d requests\n%v", d.Plan.Counts, s.workspace.Count("POST *"), lines(d.Plan))
				}
				rounds("configuration alone, again")
				if n := s.workspace.Count("POST *"); n != 0 {
					t.Fatalf("configuration alone: %d requests", n)
				}
				s.shut()
			}
			s.rename("nightly_production", "nightly")
			if err := os.RemoveAll(filepath.Join(s.work, "jobs/nightly_development")); err != nil {
				t.Fatal(err)
			}
			dropJob(t, filepath.Join(s.work, "pbt_project.yml"), "jobs/nightly_development")
			s.commit("HelloSelvage/2.0.0")
			s.open()
			rounds("the move")
			verified("one for all")
			untouched("one for all")
			want := map[fabric.Key]string{"jobs/nightly": production["jobs/nightly_production"], "jobs/month_end": production["jobs/month_end"]}
			if diff := cmp.Diff(want, s.ownedIDs(names[1])); diff != "" {
				t.Errorf("production (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[fabric.Key]string{"jobs/nightly": development["jobs/nightly_development"]}, s.ownedIDs(names[0])); diff != "" {
				t.Errorf("development (-want +got):\n%s", diff)
			}
			for _, name := range names {
				s.mu.Lock()
				if n := len(s.state.formerly[name]) + len(s.state.absences[name]); n != 0 {
					t.Errorf("%s: %d keys are left over: %v, %v", name, n, s.state.formerly[name], s.state.absences[name])
				}
				s.mu.Unlock()
			}

			// And production goes back.
			s.shut()
			s.yaml, s.moved = configured("jobs/nightly_production", "jobs/nightly_production"), map[string]string{"jobs/nightly": "jobs/nightly_production"}
			s.rename("nightly", "nightly_production")
			s.commit("HelloSelvage/3.0.0")
			if err := os.Remove(filepath.Join(s.dir, "state", "selvage.db")); err != nil { // the ledger alone says the same
				t.Fatal(err)
			}
			s.open()
			rounds("back")
			verified("back")
			untouched("back")
			if diff := cmp.Diff(production, s.ownedIDs(names[1])); diff != "" {
				t.Errorf("production after going back (-want +got):\n%s", diff)
			}
			s.shut()
			s.sound()
		})
	}
}

// While the release holds a job under both keys, nothing is made; once the old one is gone from it the live job moves.
func TestMoveWaitsForTheOldKeyToGo(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.moved = map[string]string{"jobs/customer_report": "jobs/report"}
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	before := s.ownedIDs(deployment)
	if err := os.CopyFS(filepath.Join(s.work, "jobs/report"), os.DirFS(filepath.Join(s.work, "jobs/customer_report"))); err != nil {
		t.Fatal(err)
	}
	s.replace("jobs/report/code/databricks-job.json", `"name" : "customer_report"`, `"name" : "report"`)
	listJob(t, filepath.Join(s.work, "pbt_project.yml"), "jobs/customer_report", "jobs/report")
	s.commit("HelloSelvage/1.1.0")
	s.workspace.ResetJournal()
	d := s.round()
	if d.Result.Code != configs.MoveUnclear || s.workspace.Count("POST /api/2.2/jobs/create") != 0 {
		t.Fatalf("both keys: %s, %d creates\n%v", d.Result.Text, s.workspace.Count("POST /api/2.2/jobs/create"), lines(d.Plan))
	}
	if err := os.RemoveAll(filepath.Join(s.work, "jobs/customer_report")); err != nil {
		t.Fatal(err)
	}
	dropJob(t, filepath.Join(s.work, "pbt_project.yml"), "jobs/customer_report")
	s.commit("HelloSelvage/1.2.0")
	s.verified(s.round())
	if after := s.ownedIDs(deployment); after["jobs/report"] != before["jobs/customer_report"] || len(after) != 3 || len(s.names()) != 3 {
		t.Errorf("before %v, after %v, live %v", before, after, s.names())
	}
	s.shut()
	s.sound()
}

// listJob lists another job in a pbt_project.yml, just as one that stands there.
func listJob(t *testing.T, file, like, key string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out, entry strings.Builder
	within := false
	for line := range strings.Lines(string(b)) {
		switch {
		case strings.TrimSpace(line) == like+":":
			within = true
		case within && !strings.HasPrefix(line, "    "):
			within = false
			out.WriteString(strings.ReplaceAll(entry.String(), strings.TrimPrefix(like, "jobs/"), strings.TrimPrefix(key, "jobs/")))
		}
		if out.WriteString(line); within {
			entry.WriteString(line)
		}
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
