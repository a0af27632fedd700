package reconciler

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
	"selvage/reconciler/ledger"
)

func (s *site) finds(d Decision, code configs.Code) {
	s.t.Helper()
	for _, f := range d.Findings {
		if f.Code == code {
			return
		}
	}
	s.t.Fatalf("no finding %s among %v; %s", code, d.Findings, d.Result.Text)
}

// A release that does not descend from the live one waits for a person; once a person took it, what was newer
// then is passed over, and what comes later is not.
func TestNotADescendant(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.commit("HelloSelvage/1.1.0")
	s.open()
	s.round()
	s.verified(s.approve(""))

	// 1.2.0 branches off 1.0.0.
	s.git(s.work, "checkout", "-q", "-b", "hotfix", "HelloSelvage/1.0.0")
	s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
	s.git(s.work, "commit", "-q", "-am", "hotfix")
	s.git(s.work, "tag", "-a", "-m", "x", "HelloSelvage/1.2.0")
	s.git(s.work, "push", "-q", "origin", "HelloSelvage/1.2.0")
	d := s.round()
	s.finds(d, configs.NotDescendant)
	s.verified(d) // what is live stays sound
	if n := s.workspace.Count("POST /api/2.2/jobs/reset"); n != 0 {
		t.Fatalf("%d resets without a person", n)
	}
	d = s.approve("HelloSelvage/1.2.0")
	if s.verified(d); d.Revision.Version != "1.2.0" {
		t.Errorf("applied %s", d.Revision)
	}
	s.verified(s.round())

	// Back to 1.0.0 by a person: 1.2.0 and 1.1.0 are not taken again, 1.3.0 is.
	if d = s.approve("HelloSelvage/1.0.0"); d.Revision.Version != "1.0.0" {
		t.Errorf("applied %s", d.Revision)
	}
	for range 3 {
		if d = s.round(); d.Revision.Version != "1.0.0" {
			t.Fatalf("went on to %s by itself", d.Revision)
		}
	}
	s.finds(d, configs.TagSkipped)
	s.commit("HelloSelvage/1.3.0")
	if d = s.round(); d.Revision.Version != "1.3.0" {
		t.Errorf("1.3.0 is not taken: at %s, %s, %v", d.Revision, d.Result.Text, d.Findings)
	}
	s.shut()
	s.sound()
}

// A moved tag deploys nothing until a person takes it as it is now.
func TestMovedTagIsAccepted(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
	s.git(s.work, "commit", "-q", "-am", "quietly")
	s.git(s.work, "tag", "-f", "-a", "-m", "x", "HelloSelvage/1.0.0")
	s.git(s.work, "push", "-q", "-f", "origin", "HelloSelvage/1.0.0")
	for range 2 {
		d := s.round()
		s.finds(d, configs.TagMoved)
		s.verified(d)
	}
	d, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Revision: "HelloSelvage/1.0.0", By: "lead"})
	if err != nil || !slices.ContainsFunc(d.Verdicts, func(v Verdict) bool { return v.State == Stop && v.Reason.Code == configs.TagMoved }) {
		t.Fatalf("asked for without approving: %v, %v", d.Verdicts, err)
	}
	s.verified(s.approve("HelloSelvage/1.0.0"))
	d = s.round()
	s.verified(d)
	if slices.ContainsFunc(d.Findings, func(f configs.Finding) bool { return f.Code == configs.TagMoved }) {
		t.Error("the alarm stands after a person accepted the tag")
	}
	if n := s.workspace.Count("POST /api/2.2/jobs/reset"); n != 1 {
		t.Errorf("%d resets, want the one that the person approved", n)
	}
	s.shut()
	s.sound()
}

// An approval is of one plan: when that changed meanwhile, nothing is written.
func TestApprovalIsOfOnePlan(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	p, err := s.Plan(t.Context(), deployment, "")
	if err != nil {
		t.Fatal(err)
	}
	s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
	s.commit("HelloSelvage/1.1.0")
	for _, plan := range []string{p.Plan.Digest, "123", "000000"} {
		if _, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: plan, By: "lead"}); err == nil {
			t.Errorf("plan %q was applied", plan)
		}
	}
	if _, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest}); err == nil {
		t.Error("nobody asked, and it was applied")
	}
	if len(s.names()) != 0 {
		t.Errorf("live: %v", s.names())
	}
	s.shut()
	s.sound()
}

// A live job of the same name is nobody's to overwrite; the other jobs go on, and so does the next release.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	taken, err := s.workspace.CreateJob([]byte(`{"name":"customer_report","max_concurrent_runs":1}`))
	if err != nil {
		t.Fatal(err)
	}
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	d := s.approve("")
	if d.Plan.Counts.Blocked != 1 || len(s.names()) != 3 {
		t.Fatalf("%s, live %v, %s", d.Plan.Counts, s.names(), d.Result.Text)
	}
	st, err := s.Status(t.Context(), deployment)
	if err != nil || st[0].Live.Version != "1.0.0" || st[0].Owned != 2 || st[0].Result.Code != configs.NameTaken {
		t.Errorf("%+v, %v", st, err)
	}
	if err := s.workspace.DeleteJob(taken); err != nil {
		t.Fatal(err)
	}
	s.verified(s.round())
	if got := strings.Join(s.names(), " "); len(s.names()) != 3 {
		t.Errorf("live: %s", got)
	}
	s.shut()
	s.sound()
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	for _, target := range []string{deployment, "production"} {
		s := newSite(t, emulator.Options{})
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		if err := s.Suspend(t.Context(), Suspension{Target: target, By: "oncall", Why: "quarter close"}); err != nil {
			t.Fatal(err)
		}
		s.shut()
		s.open() // it outlives the process
		s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		d := s.round()
		if d.Result.Code != configs.Suspended || s.workspace.Count("POST /api/2.2/jobs/reset") != 0 {
			t.Errorf("%s: %s", target, d.Result.Text)
		}
		p, _ := s.Plan(t.Context(), deployment, "")
		if d, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"}); err != nil || d.Result.Code != configs.Suspended {
			t.Errorf("%s: a person applied in spite of it: %s, %v", target, d.Result.Text, err)
		}
		if err := s.Resume(t.Context(), target, "oncall"); err != nil {
			t.Fatal(err)
		}
		s.verified(s.round())
		if err := s.Resume(t.Context(), target, "oncall"); err == nil {
			t.Error("resumed twice")
		}
		if err := s.Suspend(t.Context(), Suspension{Target: "nothing", By: "oncall"}); err == nil {
			t.Error("suspended nothing")
		}
		until := time.Now().Add(time.Hour)
		if err := s.Suspend(t.Context(), Suspension{Target: target, By: "oncall", Until: until}); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		_, now := s.state.suspended(deployment, until.Add(-1))
		_, then := s.state.suspended(deployment, until)
		s.mu.Unlock()
		if !now || then {
			t.Errorf("suspended before its end: %v, after: %v", now, then)
		}
		s.shut()
		s.sound()
	}
}

// Once the ledger can't be written nothing is sent, and the answer says so.
func TestNoLedgerNoApply(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	p, err := s.Plan(t.Context(), deployment, "")
	if err != nil {
		t.Fatal(err)
	}
	s.log.Close()
	if _, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"}); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("apply: %v", err)
	}
	if n := s.workspace.Count("POST *"); n != 0 {
		t.Errorf("%d requests that change something", n)
	}
	s.Reconciler.Close()
	s.place.Close()
	s.sound()
}

// The derived database of another ledger, or one that is no database, is made anew.
func TestDatabaseIsDerived(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	s.shut()
	file := filepath.Join(s.dir, "state", "selvage.db")
	for _, damage := range []func() error{
		func() error { return os.WriteFile(file, []byte("not a database"), 0o640) },
		func() error { return os.WriteFile(file, nil, 0o640) },
		func() error { return os.Truncate(file, 5000) },
	} {
		for _, suffix := range []string{"-wal", "-shm"} {
			os.Remove(file + suffix)
		}
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		s.open()
		s.verified(s.round())
		if st, _ := s.Status(t.Context(), deployment); st[0].Owned != 3 || st[0].Live.Version != "1.0.0" {
			t.Errorf("after the damage: %+v", st)
		}
		s.shut()
	}
	if n := len(s.names()); n != 3 {
		t.Errorf("%d jobs live", n)
	}
	s.sound()
}

// A newer tag on the commit that is live becomes the release that is live, with nothing written.
func TestSameCommitNewerTag(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0-rc.1")
	s.open()
	s.round()
	s.verified(s.approve(""))
	s.workspace.ResetJournal()
	s.git(s.work, "tag", "-a", "-m", "x", "HelloSelvage/1.0.0")
	s.git(s.work, "push", "-q", "origin", "HelloSelvage/1.0.0")
	for range 2 {
		d := s.round()
		if s.verified(d); d.Revision.Version != "1.0.0" {
			t.Errorf("live is %s", d.Revision)
		}
	}
	if st, _ := s.Status(t.Context(), deployment); st[0].Live.Version != "1.0.0" || s.workspace.Count("POST *") != 0 {
		t.Errorf("live %s, %d requests that change something", st[0].Live, s.workspace.Count("POST *"))
	}
	s.shut()
	s.sound()
}
