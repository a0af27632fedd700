package reconciler

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

// A job that needs a file of others waits for it, and nothing else does; a round that writes nothing asks nothing.
func TestNeedsWhatOthersPutThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = s.yaml[:strings.Index(s.yaml, "    overlay:")]
		memory := fabrictest.NewMemory(fabrictest.MemoryOptions{Installation: "inst0001"})
		s.places = map[string]fabric.Fabric{"production": memory}
		file := fabric.Outside{Kind: fabric.OutsideFile, Name: "/Volumes/other/x.whl"}
		s.replace("jobs/customer_report/code/databricks-job.json", `"format" : "MULTI_TASK",`, `"format" : "MULTI_TASK", "outside" : ["`+file.Name+`"],`)
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil || p.Plan.Counts.Create != 2 || p.Plan.Counts.Blocked != 1 {
			t.Fatalf("plan: %s, %v\n%v", p.Plan.Counts, err, lines(p.Plan))
		}
		for _, c := range p.Plan.Changes {
			if c.Key == "jobs/customer_report" && (c.Reason.Code != configs.OutsideMissing || !strings.Contains(c.Reason.Text, "file "+file.Name) || c.Reason.Next == "") {
				t.Errorf("%s %s: %q, next %q", c.Action, c.Key, c.Reason.Text, c.Reason.Next)
			}
		}
		asked := memory.Asked()
		d := s.approve("")
		if d.Plan.Counts.Blocked != 1 || d.Plan.Counts.Keep != 2 || d.Result.Code != configs.OutsideMissing {
			t.Fatalf("apply: %s, %s\n%v", d.Plan.Counts, d.Result.Text, lines(d.Plan))
		}
		if n := memory.Asked() - asked; n != 2 { // once by the plan that was approved, once by the apply
			t.Errorf("asked %d times", n)
		}
		time.Sleep(time.Second)
		memory.SetOutside(file, true)
		s.verified(s.round())
		asked = memory.Asked()
		time.Sleep(time.Second)
		s.verified(s.round())
		if n := memory.Asked() - asked; n != 0 {
			t.Errorf("a round that writes nothing asked about %d things", n)
		}

		// It is asked for anew before each write.
		s.replace("jobs/customer_report/code/databricks-job.json", `"MULTI_TASK",`, `"MULTI_TASK", "release" : "again",`)
		s.commit("HelloSelvage/1.1.0")
		commits := memory.Commits()
		memory.SetOutside(file, false)
		time.Sleep(time.Second)
		if d := s.round(); d.Plan.Counts.Blocked != 1 || memory.Commits() != commits {
			t.Errorf("%s, %d commits", d.Plan.Counts, memory.Commits()-commits)
		}
		s.shut()
	})
}
