package reconciler

import (
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
