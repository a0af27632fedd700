package reconciler

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"selvage/configs"
	"selvage/fabric"
)

// TestRounds goes through very many rounds of two deployments of one project, by the planner and the state as they
// are, on workspaces in memory. Git, the configuration, people's hands and faults change everything at random in
// between. An oracle that knows what really happened (judge, in rounds_oracle_test.go) says of each request whether it
// was right: nothing is deleted, paused or changed that should not be, and nothing runs in two places.
//
// SELVAGE_TEST_ROUNDS says how many rounds; `make test` wants a million of them. They go the same way each time, and another
// way with another number in SELVAGE_TEST_SEED.
func TestRounds(t *testing.T) {
	t.Parallel()
	rounds := 20_000
	if n, err := strconv.Atoi(os.Getenv("SELVAGE_TEST_ROUNDS")); err == nil && n > 0 {
		rounds = n
	}
	if testing.Short() {
		rounds = 2000
	}
	seed, _ := strconv.ParseUint(os.Getenv("SELVAGE_TEST_SEED"), 10, 32)
	const worlds = 8
	tallies := make([]simTally, worlds)
	t.Run("worlds", func(t *testing.T) {
		for i := range worlds {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				s := newSim(t, seed*worlds+uint64(i))
				for range rounds / worlds {
					s.round()
					if s.wrong != "" {
						t.Fatalf("%s\n%s", s.wrong, strings.Join(s.story, "\n"))
					}
				}
				tallies[i] = s.tally
			})
		}
	})
	var all simTally
	for _, one := range tallies {
		all.add(one)
	}
	if said := fmt.Sprintf("rounds: %s, none of it wrong", all); os.Getenv("SELVAGE_TEST_ROUNDS") != "" {
		report(t, said)
	} else {
		t.Log(said)
	}
	for what, n := range map[string]int{"deletions": all.deleted, "quarantines": all.quarantined, "restored": all.restored, "leaves": all.left, "moves": all.moved,
		"creates": all.created, "updates": all.updated, "waits for another fabric": all.elsewhere, "protected": all.protected, "over budget": all.over, "waits for runs": all.runs,
		"lost answers": all.lost, "restarts": all.restarts, "outages": all.outages, "held back right before": all.held} {
		if n == 0 && rounds >= 20_000 {
			t.Errorf("no %s: the test tests nothing of them", what)
		}
	}
}

// simTally counts what happened.
type simTally struct {
	rounds, deleted, quarantined, restored, left, moved, created, updated          int
	elsewhere, protected, over, runs, lost, restarts, outages, held, partial, hand int
}

func (a *simTally) add(b simTally) {
	for _, p := range [][2]*int{{&a.rounds, &b.rounds}, {&a.deleted, &b.deleted}, {&a.quarantined, &b.quarantined}, {&a.restored, &b.restored}, {&a.left, &b.left},
		{&a.moved, &b.moved}, {&a.created, &b.created}, {&a.updated, &b.updated}, {&a.elsewhere, &b.elsewhere}, {&a.protected, &b.protected}, {&a.over, &b.over},
		{&a.runs, &b.runs}, {&a.lost, &b.lost}, {&a.restarts, &b.restarts}, {&a.outages, &b.outages}, {&a.held, &b.held}, {&a.partial, &b.partial}, {&a.hand, &b.hand}} {
		*p[0] += *p[1]
	}
}

func (a simTally) String() string {
	return fmt.Sprintf("%d with %d changes by hand, %d outages, %d partial looks, %d lost answers and %d restarts; %d jobs created, %d updated, %d moved, %d paused to leave, %d put into quarantine, %d taken out of it, %d deleted",
		a.rounds, a.hand, a.outages, a.partial, a.lost, a.restarts, a.created, a.updated, a.moved, a.left, a.quarantined, a.restored, a.deleted)
}

// report logs a line, and adds it to the file that `make test` prints at its end.
func report(t *testing.T, line string) {
	t.Helper()
	t.Log(line)
	name := os.Getenv("SELVAGE_TEST_REPORT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}

// count notes what a plan holds back.
func (a *simTally) count(p Plan) {
	for _, c := range p.Changes {
		switch c.Reason.Code {
		case configs.StillElsewhere:
			a.elsewhere++
		case configs.Protected:
			a.protected++
		case configs.OverBudget:
			a.over++
		case configs.ActiveRunsFound:
			a.runs++
		}
	}
}

// simJob is a live job, with what only the oracle may look at.
type simJob struct {
	id     string
	doc    fabric.Doc
	mark   fabric.Mark
	wrote  string // nonce
	born   int64  // in seconds
	hidden bool   // it answers 403
	runs   int    // under way

	truth  simTruth
	origin simTruth // of a copy: what is true of its original
}

// object is what a look shows of it.
func (j *simJob) object() fabric.Object {
	name, _ := j.doc.At("name").(string)
	return fabric.Object{ID: j.id, Kind: "job", Name: name, Mark: j.mark, Managed: j.mark != fabric.Mark{}, Wrote: j.wrote, Doc: j.doc}
}

// starts reports that something starts it by itself.
func (j *simJob) starts() bool { return j.doc.At("every") != nil && j.doc.At("paused") == nil }

// simWorkspace is a workspace in memory.
type simWorkspace struct {
	jobs []*simJob
	last *fabric.Live
}

func (w *simWorkspace) find(id string) *simJob {
	for _, j := range w.jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}

func (w *simWorkspace) drop(id string) {
	for i, j := range w.jobs {
		if j.id == id {
			w.jobs = append(w.jobs[:i:i], w.jobs[i+1:]...)
			return
		}
	}
}
