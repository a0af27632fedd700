package reconciler

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
)

// run starts the daemon's loop; the function it returns stops it and waits.
func (s *site) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Reconciler.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

// A day of polls, with somebody editing a job each hour, and nobody there at night.
func TestADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = strings.Replace(s.yaml, "poll: 1s", "poll: 10m", 1)
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		stop := s.run()
		time.Sleep(30 * time.Minute)
		s.workspace.ResetJournal()
		head, _ := s.log.Head()
		time.Sleep(12 * time.Hour)
		if now, _ := s.log.Head(); now != head {
			t.Errorf("a quiet night wrote %d ledger entries", now-head)
		}
		if n := len(s.workspace.Requests()); n < 60 || n > 90 {
			t.Errorf("a quiet night of 72 polls made %d requests, want one listing a poll", n)
		}
		for hour := range 12 {
			job := s.workspace.Jobs()[hour%3]
			if err := s.workspace.EditJob(job.ID, func(m map[string]any) { m["timeout_seconds"] = json.Number("77") }); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			for _, j := range s.workspace.Jobs() {
				if strings.Contains(string(j.Settings), `"timeout_seconds":77`) {
					t.Fatalf("hour %d: %s is still as somebody edited it", hour, j.Name)
				}
			}
		}
		if n := s.workspace.Count("POST /api/2.2/jobs/reset"); n != 12 {
			t.Errorf("12 edits were put right by %d resets", n)
		}
		stop()
		s.shut()
		s.sound()
	})
}

// While 1.1.0 backs off on 429, 1.2.0 arrives: nothing more of 1.1.0 is sent.
func TestNewerReleasePreempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = strings.Replace(s.yaml, "poll: 1s", "poll: 1m", 1)
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		stop := s.run()

		s.workspace.Fault(emulator.Fault{Pattern: "POST *", Times: 1, Status: 429, Header: map[string]string{"Retry-After": "290"}})
		s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.replace("jobs/month_end/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
		s.commit("HelloSelvage/1.1.0")
		time.Sleep(2 * time.Minute)
		st, err := s.Status(t.Context(), deployment)
		if err != nil || st[0].Result.Code != configs.BackingOff {
			t.Fatalf("while the workspace wants to be left alone: %+v, %v", st, err)
		}
		s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 1`, `"max_retries" : 2`)
		s.replace("jobs/month_end/code/databricks-job.json", `"max_retries" : 1`, `"max_retries" : 2`)
		s.commit("HelloSelvage/1.2.0")
		pushed := time.Now()
		time.Sleep(10 * time.Minute)
		stop()
		sent := map[string]int{}
		for e, err := range s.log.Entries(0) {
			if err != nil {
				t.Fatal(err)
			}
			var i intentMade
			if e.Kind == kindIntent && json.Unmarshal(e.Data, &i) == nil && e.Time.After(pushed) {
				sent[i.Version]++
			}
		}
		if sent["1.1.0"] != 0 || sent["1.2.0"] == 0 {
			t.Errorf("intents after 1.2.0 was pushed: %v", sent)
		}
		st, _ = s.Status(t.Context(), deployment)
		if st[0].Phase != Sound || st[0].Live.Version != "1.2.0" {
			t.Errorf("at the end: %s %s: %s", st[0].Phase, st[0].Live, st[0].Result.Text)
		}
		s.shut()
		s.sound()
	})
}

// What the configuration no longer covers is released, untouched, and taken back when it covers it again.
func TestNarrowing(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	before := s.workspace.Jobs()
	s.shut()

	whole := s.yaml
	reopen := func(yaml string) {
		s.t.Helper()
		s.yaml = yaml
		s.workspace.ResetJournal()
		s.open()
		if _, err := s.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	changed := func() int { return s.workspace.Count("POST *") + s.workspace.Count("PUT *") }
	reopen(strings.Replace(whole, `["jobs/*"]`, `["jobs/daily_*"]`, 1))
	d := s.round()
	if d.Plan.Counts.Release != 0 && changed() != 0 {
		t.Errorf("narrowing made %d requests that change something", changed())
	}
	s.round()
	if st, _ := s.Status(t.Context(), deployment); st[0].Owned != 1 {
		t.Errorf("owned after narrowing: %d, want 1", st[0].Owned)
	}
	s.shut()

	reopen(whole)
	s.verified(s.round())
	if st, _ := s.Status(t.Context(), deployment); st[0].Owned != 3 || changed() != 0 {
		t.Errorf("after widening: %d owned, %d requests that change something", st[0].Owned, changed())
	}
	s.shut()

	reopen(strings.ReplaceAll(strings.ReplaceAll(whole, "  hello:", "  other:"), "project: hello", "project: other"))
	if changed() != 0 || len(s.workspace.Jobs()) != len(before) {
		t.Errorf("removing the deployment made %d requests that change something; %d jobs live", changed(), len(s.workspace.Jobs()))
	}
	var released bool
	for e, err := range s.log.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		released = released || e.Kind == kindRelinquish && strings.Contains(e.Text, "no longer in the configuration")
	}
	if !released {
		t.Error("the ledger does not say that the deployment's jobs were released")
	}
	s.shut()
	s.sound()
	if _, err := os.Stat(filepath.Join(s.dir, "state", "selvage.db")); err != nil {
		t.Error(err)
	}
}
