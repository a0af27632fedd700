package reconciler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
)

// The list never shows a field that every job has. More jobs than are looked at singly are made, and a process is started
// anew, with and without the derived database: nothing of that is drift, nothing is unstable, and the ledger says what differs.
func TestListsThatDifferForMany(t *testing.T) {
	t.Parallel()
	for _, omits := range []string{"", "job_clusters"} {
		t.Run("omits "+omits, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const jobs = 2*lookedAtSingly + 10
				s := newBubbleSite(t, emulator.Options{Unverified: emulator.Unverified{ListOmits: omits, ListOmitsDefaults: true, ListsReordered: true}}).many(jobs, nil)
				s.round()
				s.verified(s.approve(""))
				if made := s.workspace.Count("POST /api/2.2/jobs/create"); made != jobs {
					t.Fatalf("%d jobs were made", made)
				}
				s.workspace.ResetJournal()
				rounds := 0
				for ; s.untold() > 0 && rounds < 10; rounds++ {
					time.Sleep(time.Hour)
					s.verified(s.round())
				}
				if rounds == 10 {
					t.Errorf("%d jobs were not compared in %d rounds", s.untold(), rounds)
				}
				differ := 0
				for _, e := range s.entries(kindAccord) {
					if e.Code == string(configs.ListDiffers) {
						differ++
						if !strings.Contains(e.Text, "the list says something else of jobs/job_00") {
							t.Errorf("it says %q", e.Text)
						}
					}
				}
				if (differ > 0) != (omits != "") {
					t.Errorf("%d entries say that the list differs", differ)
				}
				for _, anew := range []bool{false, true} {
					s.again(anew)
					for range 2 {
						time.Sleep(time.Hour)
						s.verified(s.round())
					}
				}
				for _, e := range s.entries(kindRead) {
					if e.Code != "" {
						t.Errorf("read back: %s", e.Text)
					}
				}
				if n := s.workspace.Count("POST *"); n != 0 {
					t.Errorf("%d requests that change something", n)
				}
				s.shut()
				s.sound()
			})
		})
	}
}

// A job that was never compared with the list drifts by the list alone: before anybody is told so, it is read.
func TestUntoldDriftIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const jobs = 12 * lookedAtSingly // so many that not all are compared at once
		s := newBubbleSite(t, emulator.Options{}).many(jobs, nil)
		s.round()
		s.verified(s.approve(""))
		time.Sleep(time.Hour)
		s.patch("job_0299", `{"timeout_seconds": 77}`)
		s.workspace.ResetJournal()
		d, err := s.Plan(t.Context(), deployment, "")
		if err != nil || len(d.Plan.Drift()) != 1 || s.workspace.Count("GET /api/2.2/jobs/get") != 1 {
			t.Errorf("%v: %d drifted, %d jobs read", err, len(d.Plan.Drift()), s.workspace.Count("GET /api/2.2/jobs/get"))
		}
		if n := len(s.entries(kindAccord)); n != 0 {
			t.Errorf("a plan writes %d entries", n)
		}
		s.shut()
		s.sound()
	})
}

// The list shows each job as it was for some time after a write. A release of more jobs than are looked at singly, and drift
// that is put right, take one reset of each job, and nothing is told that the jobs themselves do not say.
func TestListsThatAreStale(t *testing.T) {
	t.Parallel()
	for _, stale := range []time.Duration{5 * time.Second, time.Minute, 3 * time.Hour} {
		t.Run(stale.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const jobs = lookedAtSingly + 5
				s := newBubbleSite(t, emulator.Options{Unverified: emulator.Unverified{ListStale: stale}}).many(jobs, nil)
				s.round()
				s.verified(s.approve(""))
				for s.untold() > 0 {
					time.Sleep(time.Hour)
					s.verified(s.round())
				}
				s.workspace.ResetJournal()
				for i := range jobs {
					s.replace(fmt.Sprintf("jobs/job_%04d/code/databricks-job.json", i), `"max_concurrent_runs" : 1`, `"max_concurrent_runs" : 2`)
				}
				s.commit("HelloSelvage/1.1.0")
				time.Sleep(time.Hour)
				s.verified(s.round())
				s.patch("job_0007", `{"timeout_seconds": 77}`)
				for range 8 {
					time.Sleep(time.Hour)
					s.verified(s.round())
				}
				if n := s.workspace.Count(resets); n != jobs+1 || s.setting("job_0007", "timeout_seconds") != "0" {
					t.Errorf("%d resets, timeout %s", n, s.setting("job_0007", "timeout_seconds"))
				}
				for _, e := range s.entries(kindRead) {
					if e.Code != "" {
						t.Errorf("read back: %s", e.Text)
					}
				}
				s.shut()
				s.sound()
			})
		})
	}
}

// A job is in quarantine while the list shows it as it was before, and the daemon is started anew: nobody edited it there, and it goes when it is due.
func TestQuarantineAndStaleLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{Unverified: emulator.Unverified{ListStale: 10 * time.Minute}})
		s.yaml = strings.Replace(s.yaml, "percent: 100}", "percent: 100, quarantine: 10m}", 1)
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		s.verified(s.approve(""))
		time.Sleep(time.Hour)
		s.drop("customer_report")
		s.commit("HelloSelvage/1.1.0")
		fenced := 0
		anew := false
		for range 20 {
			time.Sleep(time.Minute)
			if !anew && slices.ContainsFunc(s.names(), func(name string) bool { return strings.HasPrefix(name, "removed ") }) {
				anew = true
				s.again(false) // and what was read of the job on its own is forgotten
			}
			d := s.round()
			for _, c := range d.Plan.Changes {
				switch c.Reason.Code {
				case configs.QuarantineEdited:
					t.Errorf("%s", c.Reason.Text)
				case configs.InQuarantine:
					fenced++
				}
			}
		}
		if fenced < 5 || len(s.names()) != 2 {
			t.Errorf("%d rounds in quarantine, then live: %v", fenced, s.names())
		}
		s.shut()
		s.sound()
	})
}
