package reconciler

import (
	"os"
	"path/filepath"
	"testing"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
)

// While the newest release can't be built, drift from the live one is still put right, and the answer
// is that the newest can't be built.
func TestDriftBelowABrokenRelease(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	if err := os.WriteFile(filepath.Join(s.work, "pbt_project.yml"), []byte("name: [\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.commit("HelloSelvage/1.1.0")
	if err := s.workspace.EditJob(s.workspace.Jobs()[0].ID, func(m map[string]any) { m["max_concurrent_runs"] = 7 }); err != nil {
		t.Fatal(err)
	}
	s.workspace.ResetJournal()
	for range 3 {
		d, err := s.try()
		if err == nil || d.Result.Code != configs.NotBuilt || d.Revision.Version != "1.0.0" || d.Phase != Sound {
			t.Fatalf("%s, %s: %s, %v", d.Revision, d.Phase, d.Result.Text, err)
		}
	}
	if n := s.workspace.Count("POST *"); n != 1 {
		t.Errorf("%d requests that change something, want the one reset", n)
	}
	head, _ := s.log.Head()
	s.try()
	if now, _ := s.log.Head(); now != head {
		t.Errorf("a broken release writes %d ledger entries a poll", now-head)
	}
	s.shut()
	s.sound()
}
