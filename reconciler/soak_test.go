package reconciler

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric/databricks/emulator"
	"selvage/reconciler/ledger"
)

// longest is what an hour may write of twelve attempts, one every five minutes.
const longest = 150

// What fails all day long is tried again all day long, and does not fill the ledger: once
// the back-off is at its longest, an hour writes few entries.
func TestFailingForADay(t *testing.T) {
	t.Parallel()
	for n, tt := range []struct {
		name    string
		hinder  func(*site)
		entries int // allowed in an hour
	}{
		{"unreachable workspace", func(s *site) { s.workspace.Fault(emulator.Fault{Pattern: "* *", Times: -1, Reset: true}) }, 0},
		{"every listing fails", func(s *site) {
			s.workspace.Fault(emulator.Fault{Pattern: "GET *", Times: -1, Status: 503})
		}, 0},
		{"unreachable git", func(s *site) {
			if err := os.Rename(s.remote, s.remote+".away"); err != nil {
				s.t.Fatal(err)
			}
		}, 0},
		{"refused", func(s *site) {
			s.workspace.Fault(emulator.Fault{Pattern: "POST *", Times: -1, Status: 400})
		}, 0},
		{"429 without a time", func(s *site) {
			s.workspace.Fault(emulator.Fault{Pattern: "POST *", Times: -1, Status: 429})
		}, longest},
		{"429 with a short time", func(s *site) {
			s.workspace.Fault(emulator.Fault{Pattern: "POST *", Times: -1, Status: 429, Header: map[string]string{"Retry-After": "1"}})
		}, longest},
		{"503", func(s *site) { s.workspace.Fault(emulator.Fault{Pattern: "POST *", Times: -1, Status: 503}) }, longest},
		{"no answer, not handled", func(s *site) {
			s.workspace.Fault(emulator.Fault{Pattern: "POST *", Times: -1, Reset: true})
		}, longest},
		{"creates without an answer, not handled", func(s *site) {
			s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/create", Times: -1, Reset: true})
		}, longest},
		{"updates without an answer, not handled", func(s *site) {
			s.workspace.Fault(emulator.Fault{Pattern: "POST /api/2.2/jobs/reset", Times: -1, Reset: true})
		}, longest},
	} {
		if n%stride != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newBubbleSite(t, emulator.Options{})
				s.yaml = strings.Replace(s.yaml, "poll: 1s", "poll: 30s", 1)
				s.commit("HelloSelvage/1.0.0")
				s.open()
				s.round()
				s.verified(s.approve(""))
				// A new release that changes two jobs and one, that was deleted, is to be created.
				s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
				s.replace("jobs/month_end/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 1`)
				s.commit("HelloSelvage/1.1.0")
				if err := s.workspace.DeleteJob(s.workspace.Jobs()[0].ID); err != nil {
					t.Fatal(err)
				}
				tt.hinder(s)
				stop := s.run()
				time.Sleep(2 * time.Hour)
				before, _ := s.log.Head()
				time.Sleep(4 * time.Hour)
				after, _ := s.log.Head()
				kinds := map[ledger.Kind]int{}
				for e, err := range s.log.Entries(before) {
					if err != nil {
						t.Fatal(err)
					}
					kinds[e.Kind]++
				}
				if n := int(after-before) / 4; n > tt.entries {
					t.Errorf("an hour writes %d entries, %v in four", n, kinds)
				}
				stop()
				s.shut()
				s.sound()
			})
		})
	}
}
