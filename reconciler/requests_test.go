package reconciler

import (
	"fmt"
	"strings"
	"testing"

	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
)

// What a converged deployment of 1,000 jobs with permissions costs, and what one changed job of it costs more. The
// vendor's bundles read each job by itself, and its permissions, and the job again: 3,020 requests.
func TestRequestsOfAThousandJobs(t *testing.T) {
	t.Parallel()
	const noop, change = 12, 3 // the most
	f := newFleet(t, fleetOf{projects: 1, jobs: 1000, lists: true}, emulator.Options{})
	f.applyAll()
	f.emulated.resetJournal()
	if rounds := f.compareAll(); rounds > 11 || f.emulated.count("GET /api/2.2/jobs/get") != 1000 { // what it has to learn once
		t.Errorf("to compare each job with the list takes %d rounds and %d requests", rounds, f.emulated.count("GET /api/2.2/jobs/get"))
	}
	f.emulated.resetJournal()
	f.noop()
	idle := f.emulated.count("*")
	if idle > noop {
		t.Errorf("a round that finds nothing to do makes %d requests, more than %d", idle, noop)
	}

	f.replace("p00/jobs/job_0500/code/databricks-job.json", `"max_concurrent_runs" : 1`, `"max_concurrent_runs" : 2`)
	f.commit("")
	if _, err := f.Repositories["p00"].Poll(t.Context(), []gitwatch.Follow{follow(f.Config.Deployments[0])}); err != nil {
		t.Fatal(err)
	}
	f.emulated.resetJournal()
	d := f.round()[0]
	f.verified(d)
	if !strings.Contains(d.Result.Text, "1 changed") || f.emulated.count("POST *") != 1 {
		t.Errorf("%s, %d requests that change something", d.Result.Text, f.emulated.count("POST *"))
	}
	changed := f.emulated.count("*")
	if changed > idle+change {
		t.Errorf("a round that changes one job makes %d requests, more than %d and %d", changed, idle, change)
	}
	report(t, fmt.Sprintf("requests of a fabric with 1000 jobs: %d to find nothing to do, %d more to change one; the vendor's bundles: about 1020, with permissions 3020", idle, changed-idle))
	f.close()
}

// The deployments of a fabric share one look: a round of all of them makes one listing, of two pages here.
func TestOneListingARound(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOf{projects: 6, jobs: 20, lists: true}, emulator.Options{})
	f.applyAll()
	f.compareAll()
	for range 3 {
		f.emulated.resetJournal()
		f.noop()
		if list, all := f.emulated.count("GET /api/2.2/jobs/list"), f.emulated.count("*"); list != 2 || all > list+2 {
			t.Errorf("a round of %d deployments makes %d requests for lists of jobs, and %d in all", len(f.names), list, all)
		}
	}
	f.close()
}
