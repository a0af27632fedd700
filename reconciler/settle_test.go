package reconciler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

// A fabric that takes all changes as one commit and shows them eight minutes later, with the daemon
// started anew while it does.
func TestSettlesMinutesLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = strings.Replace(s.yaml, "poll: 1s", "poll: 1m", 1)
		s.yaml = s.yaml[:strings.Index(s.yaml, "    overlay:")]
		memory := fabrictest.NewMemory(fabrictest.MemoryOptions{Installation: "inst0001", SettleAfter: 8 * time.Minute})
		s.places = map[string]fabric.Fabric{"production": memory}
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil || p.Plan.Counts.Create != 3 {
			t.Fatalf("first plan: %s, %v\n%v", p.Plan.Counts, err, p.Findings)
		}
		begin := time.Now()
		d, _ := s.Config.Deployment(deployment)
		if err := s.queue.hold(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
		out, err := s.reconcile(t.Context(), d, ask{Plan: p.Plan.Digest, By: "lead"})
		if err != nil || out.Phase != Settling || out.Result.Code != configs.StillSettling {
			t.Fatalf("right after the commit: %s, %s, %v", out.Phase, out.Result.Text, err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("the worker was held for %s", took)
		}
		s.queue.done(deployment, out.Again)
		commits := memory.Commits()
		s.shut()

		s.open()
		stop := s.run()
		time.Sleep(20 * time.Minute)
		st, err := s.Status(t.Context(), deployment)
		if err != nil || st[0].Phase != Sound || st[0].Owned != 3 {
			t.Errorf("twenty minutes later: %s, %d owned, %s, %v", st[0].Phase, st[0].Owned, st[0].Result.Text, err)
		}
		if now := memory.Commits(); now != commits {
			t.Errorf("%d commits were made while one settled", now-commits)
		}
		stop()
		s.shut()
	})
}

// A fabric that takes a move in as a part of one commit and shows it eight minutes later: the resource is the same, also for a
// daemon that was started anew meanwhile.
func TestMoveSettlesMinutesLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = strings.Replace(s.yaml, "poll: 1s", "poll: 1m", 1)
		s.yaml = s.yaml[:strings.Index(s.yaml, "    overlay:")]
		s.moved = map[string]string{"jobs/daily_revenue": "jobs/revenue"}
		memory := fabrictest.NewMemory(fabrictest.MemoryOptions{Installation: "inst0001", SettleAfter: 8 * time.Minute})
		s.places = map[string]fabric.Fabric{"production": memory}
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil {
			t.Fatal(err)
		}
		if d, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"}); err != nil || d.Phase != Sound {
			t.Fatalf("first apply: %s, %s, %v", d.Phase, d.Result.Text, err)
		}
		before := s.ownedIDs(deployment)
		s.inProject(func(text string) string { return strings.ReplaceAll(text, "jobs/daily_revenue", "jobs/revenue") })
		if err := os.Rename(filepath.Join(s.work, "jobs/daily_revenue"), filepath.Join(s.work, "jobs/revenue")); err != nil {
			t.Fatal(err)
		}
		s.replace("jobs/month_end/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		commits := memory.Commits()
		if d := s.round(); d.Phase != Settling {
			t.Fatalf("the move: %s, %s\n%v", d.Phase, d.Result.Text, lines(d.Plan))
		}
		s.shut()
		s.open()
		stop := s.run()
		time.Sleep(20 * time.Minute)
		stop()
		after := s.ownedIDs(deployment)
		if now := memory.Commits() - commits; now != 1 || len(after) != 3 || after["jobs/revenue"] != before["jobs/daily_revenue"] {
			t.Errorf("%d commits, before %v, after %v", now, before, after)
		}
		st, err := s.Status(t.Context(), deployment)
		if err != nil || st[0].Phase != Sound {
			t.Errorf("twenty minutes later: %s, %s, %v", st[0].Phase, st[0].Result.Text, err)
		}
		s.shut()
	})
}
