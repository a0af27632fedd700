package reconciler

import (
	"slices"
	"strings"
	"testing"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
	"selvage/reconciler/ledger"
)

// entries are those of a kind in the ledger.
func (s *site) entries(kind ledger.Kind) []ledger.Entry {
	s.t.Helper()
	var found []ledger.Entry
	for e, err := range s.log.Entries(0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// What rendering decided and no change tells stands in the ledger: with the plan, again when it changes although the plan
// does not, and else not again.
func TestNotesAreKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.replace("jobs/customer_report/code/databricks-job.json", `"format" : "MULTI_TASK",`, `"format" : "MULTI_TASK", "tags" : {"selvage-odd": "x"},`)
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	plans := s.entries(kindPlan)
	first := plans[0]
	ev, err := Describe(first)
	if err != nil {
		t.Fatal(err)
	}
	noted := func(ev Event) bool {
		return slices.ContainsFunc(ev.Notes, func(f configs.Finding) bool {
			return f.Code == configs.TagReserved && strings.Contains(f.Subject, "jobs/customer_report")
		})
	}
	if !noted(ev) || !strings.Contains(first.Text, "jobs/customer_report") || !strings.Contains(first.Text, "selvage-odd") {
		t.Errorf("the ledger does not tell it: %s\n%+v", first.Text, ev.Notes)
	}
	s.verified(s.round()) // it compares the jobs with the list
	head, _ := s.log.Head()
	s.verified(s.round())
	if now, _ := s.log.Head(); now != head {
		t.Errorf("what stands there already makes %d entries", now-head)
	}
	s.shut()
	s.open()
	s.verified(s.round())
	if n := len(s.entries(kindPlan)); n != len(plans) {
		t.Errorf("after a restart it is written again: %d plans, %d before", n, len(plans))
	}

	s.replace("jobs/customer_report/code/databricks-job.json", `, "tags" : {"selvage-odd": "x"},`, `,`)
	s.commit("HelloSelvage/1.1.0")
	s.verified(s.round())
	now := s.entries(kindPlan)
	last := now[len(now)-1]
	if ev, err := Describe(last); err != nil || len(now) != len(plans)+1 || noted(ev) || ev.Plan != "" {
		t.Errorf("it is gone: %d plans, %d before, %v; %s", len(now), len(plans), err, last.Text)
	}
	s.shut()
	s.sound()
}

// While a part of the overlay finds nothing to change nothing is written, and no approval lifts that.
func TestAnIdleOverlayBlocks(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	good := s.yaml
	s.yaml = strings.NewReplacer(`jobs: ["jobs/*"]`, `jobs: ["jobs/customer_report"]`, "config_instance: prod, ", "").Replace(s.yaml)
	s.replace("jobs/customer_report/code/databricks-job.json", `"schedule" : {`, `"health" : {`)
	s.commit("HelloSelvage/1.0.0")
	s.open()
	d := s.round()
	if got := verdictLine(d.Verdicts); !strings.Contains(got, "block overlay overlay_no_hit") {
		t.Fatalf("gates: %s\n%v", got, d.Findings)
	}
	for range 2 { // the second time as one who knows
		if d = s.approve(""); d.Phase != Planned || len(s.names()) != 0 || d.Result.Code != configs.OverlayNoHit || d.Result.Next == "" {
			t.Fatalf("approved: %s, %s, live %v", d.Phase, d.Result.Text, s.names())
		}
	}
	if n := s.workspace.Count("POST *"); n != 0 {
		t.Errorf("%d requests", n)
	}
	s.shut()
	s.yaml = good
	s.open()
	s.round()
	if got := verdictLine(s.round().Verdicts); strings.Contains(got, "overlay") {
		t.Errorf("mended, the gates are: %s", got)
	}
	s.shut()
}
