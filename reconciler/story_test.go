package reconciler

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
)

// One deployment's life: first plan, first apply by a person, no-op, a new release that changes one
// pipeline and drops a job, drift, a moved tag, and a restart in between.
func TestLife(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{IntentLog: ""})
	s.commit("HelloSelvage/1.0.0")
	s.open()

	d := s.round()
	if d.Plan.Counts.Create != 3 || d.Result.Code != configs.FirstApply || len(s.names()) != 0 {
		t.Fatalf("first round: %s, %s, live %v\n%v\n%v", d.Plan.Counts, d.Result.Text, s.names(), lines(d.Plan), d.Findings)
	}
	s.verified(s.approve(""))
	if got := s.names(); len(got) != 3 {
		t.Fatalf("live after the first apply: %v", got)
	}
	s.verified(s.round())

	head, _ := s.log.Head()
	s.verified(s.round())
	if now, _ := s.log.Head(); now != head {
		t.Errorf("a round that found nothing wrote %d ledger entries", now-head)
	}

	s.shut()
	if err := os.Remove(filepath.Join(s.dir, "state", "selvage.db")); err != nil {
		t.Fatal(err)
	}
	s.open()
	s.verified(s.round())

	// 1.1.0 changes one pipeline and drops a job.
	s.replace("pipelines/clean_orders/code/clean_orders/pipeline.py", "import", "# tidier\nimport")
	if err := os.RemoveAll(filepath.Join(s.work, "jobs/customer_report")); err != nil {
		t.Fatal(err)
	}
	dropJob(t, filepath.Join(s.work, "pbt_project.yml"), "jobs/customer_report")
	s.commit("HelloSelvage/1.1.0")
	s.workspace.ResetJournal()
	d = s.round()
	if d.Plan.Counts.Deferred != 1 || s.workspace.Count("POST /api/2.2/jobs/reset") != 1 || len(s.names()) != 3 {
		t.Fatalf("1.1.0: %s, %d resets\n%v", d.Plan.Counts, s.workspace.Count("POST /api/2.2/jobs/reset"), lines(d.Plan))
	}
	s.poll()
	s.verified(s.round())
	if got := s.names(); len(got) != 2 || slices.Contains(got, "customer_report") {
		t.Fatalf("live after 1.1.0: %v", got)
	}

	// Drift.
	job := s.workspace.Jobs()[0]
	if err := s.workspace.EditJob(job.ID, func(m map[string]any) { m["max_concurrent_runs"] = 7 }); err != nil {
		t.Fatal(err)
	}
	d = s.round()
	s.verified(d)
	s.verified(s.round())

	// A moved tag.
	s.git(s.work, "tag", "-f", "-a", "-m", "again", "HelloSelvage/1.1.0", "HEAD~1")
	s.git(s.work, "push", "-q", "-f", "origin", "HelloSelvage/1.1.0")
	s.workspace.ResetJournal()
	d = s.round()
	if !slices.ContainsFunc(d.Findings, func(f configs.Finding) bool { return f.Code == configs.TagMoved }) {
		t.Errorf("no alarm for the moved tag: %v", d.Findings)
	}
	if n := s.workspace.Count("POST *"); n != 0 {
		t.Errorf("the moved tag made %d requests that change something", n)
	}
	s.shut()
	s.sound()
}

// dropJob takes one entry out of the jobs of a pbt_project.yml.
func dropJob(t *testing.T, file, key string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	dropping := false
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == key+":" {
			dropping = true
			continue
		}
		if dropping && strings.HasPrefix(line, "    ") {
			continue
		}
		dropping = false
		kept = append(kept, line)
	}
	if err := os.WriteFile(file, []byte(strings.Join(kept, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}
