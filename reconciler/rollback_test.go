package reconciler

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric/databricks/emulator"
)

// What a person approved and the fabric could not take at once is gone on with: rounds that nobody asks for do not
// turn back to the release that is still called live.
func TestApprovedRollbackGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.commit("HelloSelvage/1.0.0")
		s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.replace("jobs/month_end/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		time.Sleep(time.Minute)
		s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/reset", Offset: 1, Times: 1, Status: 503})
		d := s.approve("HelloSelvage/1.0.0")
		if d.Phase != Failing {
			t.Fatalf("%s: %s", d.Phase, d.Result.Text)
		}
		time.Sleep(time.Until(d.Again))
		for range 2 {
			if d = s.round(); d.Revision.Version != "1.0.0" {
				t.Fatalf("a round that nobody asked for is at %s: %s", d.Revision, d.Result.Text)
			}
		}
		s.verified(d)
		s.shut()
		s.sound()
	})
}

// An approval of a plan that is under way does not cover what the configuration says since.
func TestApprovalEndsWithTheConfiguration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.workspace.Fault(emulator.Fault{Pattern: "POST *", Times: -1, Status: 503})
		if d := s.approve(""); d.Phase != Failing {
			t.Fatalf("%s: %s", d.Phase, d.Result.Text)
		}
		s.shut()
		s.workspace.ClearFaults()
		s.yaml = replaced(t, s.yaml, "tags: {env: prod}", "tags: {env: other}")
		s.open()
		time.Sleep(time.Second)
		d := s.round()
		if len(s.names()) != 0 {
			t.Errorf("a plan that nobody saw was applied: %s, %s, live %v", d.Phase, d.Result.Text, s.names())
		}
		s.verified(s.approve(""))
		s.shut()
		s.sound()
	})
}

func replaced(t *testing.T, in, old, new string) string {
	t.Helper()
	if !strings.Contains(in, old) {
		t.Fatalf("%q does not hold %q", in, old)
	}
	return strings.Replace(in, old, new, 1)
}

// A person who suspends a deployment while it is being applied keeps the rest from being sent, and the rest of
// what was approved goes on after that.
func TestSuspendWhileApplying(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.workspace.Fault(emulator.Fault{Pattern: "POST *", Hook: func() {
			if err := s.Suspend(context.Background(), Suspension{Target: deployment, By: "oncall"}); err != nil {
				t.Error(err)
			}
		}, Times: 1, Delay: time.Second, After: true})
		s.approve("")
		s.workspace.ResetJournal()
		s.round()
		if n := s.workspace.Count("POST *"); n != 0 || len(s.names()) == 3 {
			t.Errorf("%d requests that change something while suspended, live %v", n, s.names())
		}
		if err := s.Resume(t.Context(), deployment, "oncall"); err != nil {
			t.Fatal(err)
		}
		s.converges()
		s.shut()
		s.sound()
	})
}

// A person's command reads the refs between two polls. What it sees is no newer release that stops the very round
// that applies it.
func TestPersonReadsRefsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		time.Sleep(time.Second)
		s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		if _, err := s.Plan(t.Context(), deployment, ""); err != nil {
			t.Fatal(err)
		}
		d, _ := s.Config.Deployment(deployment)
		decision, err := s.reconcile(t.Context(), d, ask{}) // woken by time, before the next poll
		if err != nil {
			t.Fatal(err)
		}
		s.verified(decision)
		s.shut()
		s.sound()
	})
}
