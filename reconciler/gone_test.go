package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
)

// look is one round of each deployment, in another process if the one before was killed.
func (s *site) look(k int, kill *bool) map[string]Decision {
	s.t.Helper()
	out := map[string]Decision{}
	for _, d := range s.Config.Deployments {
		if _, err := s.Repositories["hello"].Poll(context.Background(), []gitwatch.Follow{follow(d)}); err != nil {
			s.t.Fatal(err)
		}
		s.sighted(context.Background(), s.Setup, d)
		decision, _ := s.reconcile(context.Background(), d, ask{}) // may fail: that is the point
		out[d.Name()] = decision
		if decision.Result.Code == configs.LedgerFailed && *kill {
			*kill = false
			s.workspace.ClearFaults()
			s.Reconciler.Close()
			s.place.Close()
			s.log.Close()
			if k%2 == 0 {
				os.Remove(filepath.Join(s.dir, "state", "selvage.db"))
			}
			s.open()
			return s.look(k, kill)
		}
	}
	return out
}

// until looks every second until something holds, at most for an hour.
func (s *site) until(k int, kill *bool, holds func() bool) {
	s.t.Helper()
	var out map[string]Decision
	for range 3600 {
		if out = s.look(k, kill); holds() {
			return
		}
		time.Sleep(time.Second)
	}
	for name, d := range out {
		s.t.Logf("%s: %s, %s, %v", name, d.Phase, d.Result.Text, lines(d.Plan))
	}
	s.t.Fatalf("it does not come to that: %v", s.names())
}

// still looks every so often for a while, in which something holds all the time.
func (s *site) still(k int, kill *bool, every, during time.Duration, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(every) {
		if s.look(k, kill); !holds() {
			s.t.Fatalf("no longer: %v", s.names())
		}
	}
}

// drop takes a job out of the project.
func (s *site) drop(job string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.work, "jobs", job)); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.work, "pbt_project.yml")
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	var kept []string
	dropping := false
	for line := range strings.Lines(string(b)) {
		switch {
		case strings.TrimSpace(line) == "jobs/"+job+":":
			dropping = true
			continue
		case dropping && (strings.HasPrefix(line, "    ") || strings.TrimSpace(line) == ""):
			continue
		}
		dropping = false
		kept = append(kept, line)
	}
	if err := os.WriteFile(file, []byte(strings.Join(kept, "")), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// standingJob is what these tests look at of a job in the workspace.
type standingJob struct {
	ID         int64
	Name       string
	Deployment string // of its mark
	Runs       bool   // by its schedule
}

func (s *site) standing() []standingJob {
	s.t.Helper()
	var list []standingJob
	for _, j := range s.workspace.Jobs() {
		var settings struct {
			Tags     map[string]string `json:"tags"`
			Schedule struct {
				Status string `json:"pause_status"`
			} `json:"schedule"`
		}
		if err := json.Unmarshal(j.Settings, &settings); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, standingJob{j.ID, j.Name, settings.Tags["selvage-deployment"], settings.Schedule.Status == "UNPAUSED"})
	}
	return list
}

// In each case one request of a removal with a quarantine goes wrong in one way. The job is paused and renamed, stays
// so for its time, and is deleted once; the others stay.
func TestEveryFaultAtEveryRequestOfAQuarantine(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tried := 0
			for k, more := 0, true; more; k++ {
				synctest.Test(t, func(t *testing.T) { more = quarantineFaultAt(t, f.fault, k, f.kill) })
				if more {
					tried++
				}
			}
			if t.Logf("%d positions tried", tried); tried < 2 {
				t.Error("want the quarantine and the deletion")
			}
		})
	}
}

// quarantineFaultAt strikes at the k-th request of a removal; false if there were no more than k.
func quarantineFaultAt(t *testing.T, fault emulator.Fault, k int, kill bool) bool {
	s := newBubbleSite(t, emulator.Options{})
	s.yaml = strings.Replace(s.yaml, "percent: 100}", "percent: 100, quarantine: 10m}", 1)
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	before := s.standing()
	s.drop("customer_report")
	s.commit("HelloSelvage/1.1.0")
	s.strike(fault, k, kill)
	fenced := func() bool {
		return slices.ContainsFunc(s.standing(), func(j standingJob) bool {
			return strings.HasPrefix(j.Name, "removed ") && strings.HasSuffix(j.Name, "Z by selvage: customer_report") && !j.Runs
		})
	}
	s.until(k, &kill, fenced)
	since := time.Now()
	s.still(k, &kill, 3*time.Minute, 9*time.Minute, fenced)
	s.until(k, &kill, func() bool { return len(s.names()) == 2 })
	if d := time.Since(since); d < 9*time.Minute+30*time.Second {
		t.Errorf("deleted after %s", d)
	}
	s.until(k, &kill, func() bool { return len(s.log.OpenIntents()) == 0 && len(s.ownedIDs(deployment)) == 2 })
	after := s.standing()
	for _, j := range before {
		if j.Name != "customer_report" && !slices.Contains(after, j) {
			t.Errorf("%v is not what it was: %v", j, after)
		}
	}
	posts := s.workspace.Count("POST *")
	s.shut()
	s.sound()
	return k < posts
}

// A job that comes back to git while it is in quarantine is the same job, and runs again.
func TestOutOfQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = strings.Replace(s.yaml, "percent: 100}, heal: true", "percent: 100, quarantine: 10m}, heal: false", 1)
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		before, ids := s.standing(), s.ownedIDs(deployment)
		s.drop("customer_report")
		s.commit("HelloSelvage/1.1.0")
		kill := false
		s.until(0, &kill, func() bool {
			return slices.ContainsFunc(s.names(), func(n string) bool { return strings.HasPrefix(n, "removed ") })
		})
		st, err := s.Status(t.Context(), deployment)
		if err != nil || len(st[0].Notices) != 0 && st[0].Notices[0].Code != configs.InQuarantine {
			t.Errorf("%v, %v", st, err)
		}
		d := s.look(0, &kill)[deployment]
		if st, err = s.Status(t.Context(), deployment); err != nil || len(st[0].Notices) != 1 || st[0].Notices[0].Code != configs.InQuarantine || d.Plan.Digest != "" {
			t.Errorf("%+v, %v", st, err)
		}
		s.git(s.work, "revert", "--no-edit", "HEAD")
		s.commit("HelloSelvage/1.2.0")
		s.until(0, &kill, func() bool { return slices.Contains(s.names(), "customer_report") })
		if after := s.standing(); !slices.Equal(before, after) || !maps.Equal(ids, s.ownedIDs(deployment)) {
			t.Errorf("it is %v, and was %v", after, before)
		}
		s.still(0, &kill, time.Minute, 20*time.Minute, func() bool { return len(s.names()) == 3 })
		if n := s.workspace.Count("POST /api/2.2/jobs/delete") + s.workspace.Count("POST /api/2.2/jobs/create"); n != 3 {
			t.Errorf("%d creates and deletes, want the first three", n)
		}
		s.shut()
		s.sound()
	})
}

// A deletion waits for runs that are under way, for hours too, and does not fill the ledger meanwhile; by the policy it
// ends them. While it waits nothing has failed.
func TestDeletionAndActiveRuns(t *testing.T) {
	for _, runs := range []configs.ActiveRuns{configs.RunsWait, configs.RunsCancel, configs.RunsIgnore} {
		t.Run(string(runs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newBubbleSite(t, emulator.Options{RunTime: 12 * time.Hour, EndTime: 40 * time.Minute})
				s.yaml = strings.Replace(strings.Replace(s.yaml, "percent: 100}", "percent: 100, active_runs: "+string(runs)+"}", 1), "poll: 1s", "poll: 5m", 1)
				s.commit("HelloSelvage/1.0.0")
				s.open()
				s.round()
				s.verified(s.approve(""))
				if err := s.workspace.RunJob(s.jobID("customer_report")); err != nil {
					t.Fatal(err)
				}
				s.drop("customer_report")
				s.commit("HelloSelvage/1.1.0")
				began := time.Now()
				stop := s.run()
				time.Sleep(20 * time.Minute)
				st, err := s.Status(t.Context(), deployment)
				if err != nil {
					t.Fatal(err)
				}
				waits := len(s.names()) == 3
				switch {
				case runs == configs.RunsIgnore && waits, runs != configs.RunsIgnore && !waits:
					t.Fatalf("live: %v", s.names())
				case runs == configs.RunsWait && (st[0].Phase != Sound || len(st[0].Notices) != 1 || !strings.Contains(st[0].Notices[0].Text, "1 run")):
					t.Errorf("%+v", st[0])
				case runs == configs.RunsCancel && (st[0].Result.Code != configs.ActiveRunsFound || s.workspace.Count("POST /api/2.2/jobs/runs/cancel") != 1):
					t.Errorf("%+v, %d cancels", st[0], s.workspace.Count("POST /api/2.2/jobs/runs/cancel"))
				}
				if runs == configs.RunsWait {
					head, _ := s.log.Head()
					time.Sleep(6 * time.Hour)
					if now, _ := s.log.Head(); now != head {
						t.Errorf("six hours of waiting wrote %d entries", now-head)
					}
				}
				for len(s.names()) == 3 && time.Since(began) < 72*time.Hour {
					time.Sleep(time.Minute)
				}
				took := time.Since(began)
				if want := map[configs.ActiveRuns]time.Duration{configs.RunsWait: 12 * time.Hour, configs.RunsCancel: 40 * time.Minute, configs.RunsIgnore: 0}[runs]; took < want || took > want+30*time.Minute {
					t.Errorf("deleted after %s, live %v", took, s.names())
				}
				stop()
				s.shut()
				s.sound()
			})
		})
	}
}

func (s *site) jobID(name string) int64 {
	s.t.Helper()
	for _, j := range s.workspace.Jobs() {
		if j.Name == name {
			return j.ID
		}
	}
	s.t.Fatalf("no job %s: %v", name, s.names())
	return 0
}

// A protected job outlives its removal from git, and a while of the pattern missing.
func TestProtectedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = strings.Replace(s.yaml, `    jobs: ["jobs/*"]`, `    jobs: ["jobs/*"]
    protect: ["jobs/customer_*"]`, 1)
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		before := s.standing()
		s.drop("customer_report")
		s.commit("HelloSelvage/1.1.0")
		kill := false
		s.still(0, &kill, time.Minute, time.Hour, func() bool { return slices.Equal(before, s.standing()) && len(s.ownedIDs(deployment)) == 3 })
		st, err := s.Status(t.Context(), deployment)
		if err != nil || len(st[0].Notices) != 1 || st[0].Notices[0].Code != configs.Protected || st[0].Phase != Sound {
			t.Errorf("%+v, %v", st, err)
		}
		with := s.yaml
		for range 3 { // the pattern goes and comes back before anybody looks twice
			s.shut()
			s.yaml = strings.Replace(with, `    protect: ["jobs/customer_*"]`+"\n", "", 1)
			s.open()
			s.look(0, &kill)
			s.shut()
			s.yaml = with
			s.open()
			time.Sleep(time.Hour)
			s.look(0, &kill)
			time.Sleep(time.Hour)
		}
		if !slices.Equal(before, s.standing()) {
			t.Fatalf("live: %v", s.names())
		}
		s.shut()
		s.yaml = strings.Replace(with, `    protect: ["jobs/customer_*"]`+"\n", "", 1)
		s.open()
		s.until(0, &kill, func() bool { return len(s.names()) == 2 })
		s.shut()
		s.sound()
	})
}

const twoFabrics = `
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
  - {project: hello, fabric: development, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}, overlay: {schedule: enabled}}
  - {project: hello, fabric: production, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}, overlay: {schedule: enabled}}
`

// commitFor commits customer_report for a fabric.
func (s *site) commitFor(from, to, tag string) {
	s.t.Helper()
	for _, file := range []string{"databricks-job.json", "prophecy-job.json"} {
		s.replace("jobs/customer_report/code/"+file, `"`+from+`"`, `"`+to+`"`)
	}
	file := filepath.Join(s.work, "pbt_project.yml")
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	before, its, _ := strings.Cut(string(b), "jobs/customer_report:")
	text := before + "jobs/customer_report:" + strings.Replace(its, "fabricUID: "+from, "fabricUID: "+to, 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.commit(tag)
}

// leavingSite has customer_report in production, and the other two jobs in development. Then git moves it there.
func leavingSite(t *testing.T) *site {
	s := newBubbleSite(t, emulator.Options{})
	s.yaml = twoFabrics
	s.commitFor("1174", "4004", "HelloSelvage/1.0.0")
	s.open()
	s.look(0, new(bool))
	for _, d := range s.Config.Deployments {
		p, err := s.Plan(t.Context(), d.Name(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(t.Context(), ApplyRequest{Deployment: d.Name(), Plan: p.Plan.Digest, By: "lead"}); err != nil {
			t.Fatal(err)
		}
	}
	if running := s.running("customer_report"); len(running) != 1 || !strings.HasPrefix(running[0], "hello-production-") {
		t.Fatalf("it runs for %v", running)
	}
	s.commitFor("4004", "1174", "HelloSelvage/1.1.0")
	return s
}

// running are the deployments whose job of a name is started by its schedule.
func (s *site) running(name string) []string {
	var list []string
	for _, j := range s.standing() {
		if j.Name == name && j.Runs {
			list = append(list, j.Deployment)
		}
	}
	return list
}

// In each case one request of a job's way from one fabric to another goes wrong in one way. It never runs in both
// places; in the end it runs in the new one, and the old one is paused, there, and nobody's.
func TestEveryFaultAtEveryRequestOfALeave(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tried := 0
			for k, more := 0, true; more; k++ {
				synctest.Test(t, func(t *testing.T) { more = leaveFaultAt(t, f.fault, k, f.kill) })
				if more {
					tried++
				}
			}
			if t.Logf("%d positions tried", tried); tried < 2 {
				t.Error("want the pause and the create")
			}
		})
	}
}

func leaveFaultAt(t *testing.T, fault emulator.Fault, k int, kill bool) bool {
	s := leavingSite(t)
	s.strike(fault, k, kill)
	var twice []string
	s.until(k, &kill, func() bool {
		running := s.running("customer_report")
		if len(running) > 1 {
			twice = running
		}
		return len(running) == 1 && strings.HasPrefix(running[0], "hello-development-") && len(s.log.OpenIntents()) == 0
	})
	if twice != nil {
		t.Errorf("it ran for %v at once", twice)
	}
	s.until(k, &kill, func() bool {
		return len(s.ownedIDs("hello@production")) == 0 && len(s.ownedIDs("hello@development")) == 3 && len(s.standing()) == 4
	})
	if n := s.workspace.Count("POST /api/2.2/jobs/delete"); n != 0 {
		t.Errorf("%d deletions", n)
	}
	posts := s.workspace.Count("POST *")
	s.shut()
	s.sound()
	return k < posts
}

// While the deployment that a job leaves does not pause it, the other one says so and waits. A person may pause the job
// by hand.
func TestStillElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		hinder     func(s *site)
		lift       func(s *site)
	}{
		{"it only observes", "because it only observes", func(s *site) {
			s.shut()
			s.yaml = strings.Replace(s.yaml, "fabric: production, mode: apply", "fabric: production, mode: observe", 1)
			s.open()
		}, func(s *site) { s.pauseByHand() }},
		{"it is suspended", "because hello@production is suspended by oncall", func(s *site) {
			if err := s.Suspend(s.t.Context(), Suspension{Target: "hello@production", By: "oncall"}); err != nil {
				s.t.Fatal(err)
			}
		}, func(s *site) {
			if err := s.Resume(s.t.Context(), "hello@production", "oncall"); err != nil {
				s.t.Fatal(err)
			}
		}},
		{"it follows other tags", "because it follows", func(s *site) {
			s.shut()
			s.yaml = strings.Replace(s.yaml, `fabric: production, mode: apply, policy: p, follow: {tag: "HelloSelvage/*"}`, `fabric: production, mode: apply, policy: p, follow: {tag: "HelloSelvage/{1.0,2}.*"}`, 1)
			s.open()
		}, func(s *site) { s.commit("HelloSelvage/2.0.0") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := leavingSite(t)
				tt.hinder(s)
				kill := false
				s.still(0, &kill, time.Minute, time.Hour, func() bool {
					running := s.running("customer_report")
					return len(running) == 1 && strings.HasPrefix(running[0], "hello-production-")
				})
				d := s.look(0, &kill)["hello@development"]
				i := slices.IndexFunc(d.Plan.Changes, func(c fabric.Change) bool { return c.Key == "jobs/customer_report" })
				if why := d.Plan.Changes[i].Reason; why.Code != configs.StillElsewhere || !strings.Contains(why.Text, "hello@production") || !strings.Contains(why.Text, tt.text) || !strings.Contains(why.Next, "selvage apply hello@production") {
					t.Errorf("%+v", why)
				}
				if st, err := s.Status(t.Context(), "hello@development"); err != nil || len(st[0].Notices) != 1 {
					t.Errorf("%+v, %v", st, err)
				}
				head, _ := s.log.Head()
				s.still(0, &kill, time.Minute, time.Hour, func() bool { return true })
				if now, _ := s.log.Head(); now != head {
					t.Errorf("an hour of waiting wrote %d entries", now-head)
				}
				tt.lift(s)
				s.until(0, &kill, func() bool {
					running := s.running("customer_report")
					return len(running) == 1 && strings.HasPrefix(running[0], "hello-development-")
				})
				s.shut()
				s.sound()
			})
		})
	}
}

// pauseByHand pauses customer_report.
func (s *site) pauseByHand() {
	s.t.Helper()
	if err := s.workspace.EditJob(s.jobID("customer_report"), func(m map[string]any) { m["schedule"].(map[string]any)["pause_status"] = "PAUSED" }); err != nil {
		s.t.Fatal(err)
	}
}

// The deployment that waits is woken once the job is paused where it was.
func TestLeavingWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := leavingSite(t)
		d, _ := s.Config.Deployment("hello@production")
		if _, err := s.Repositories["hello"].Poll(t.Context(), []gitwatch.Follow{follow(d)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.reconcile(t.Context(), d, ask{}); err != nil {
			t.Fatal(err)
		}
		s.queue.mu.Lock()
		woken := fmt.Sprint(slices.Sorted(maps.Keys(s.queue.waiting)))
		s.queue.mu.Unlock()
		if woken != "[hello@development]" || len(s.running("customer_report")) != 0 {
			t.Errorf("woken: %s; it runs for %v", woken, s.running("customer_report"))
		}
		s.shut()
		s.sound()
	})
}

// Less in the configuration pauses nothing: what it leaves out is released as it is.
func TestNarrowedConfigurationPausesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := leavingSite(t)
		s.shut()
		s.yaml = strings.Replace(s.yaml, "prophecy_ids: [4004]", "prophecy_ids: [4110]", 1)
		s.open()
		s.workspace.ResetJournal()
		d, _ := s.Config.Deployment("hello@production")
		for range 3 {
			if _, err := s.Repositories["hello"].Poll(t.Context(), []gitwatch.Follow{follow(d)}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.reconcile(t.Context(), d, ask{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := s.workspace.Count("POST *"); n != 0 || len(s.ownedIDs("hello@production")) != 0 || len(s.running("customer_report")) != 1 {
			t.Errorf("%d requests, owned %v, it runs for %v", n, s.ownedIDs("hello@production"), s.running("customer_report"))
		}
		s.shut()
		s.sound()
	})
}
