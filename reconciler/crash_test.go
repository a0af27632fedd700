package reconciler

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/fabric/databricks/emulator"
)

// faults are the ways in which a request goes wrong.
var faults = sampled([]struct {
	name  string
	fault emulator.Fault
	kill  bool // the ledger is shut while the request is in flight, as by a kill of the daemon
}{
	{name: "503 before the handler", fault: emulator.Fault{Status: 503}},
	{name: "500 after the handler", fault: emulator.Fault{Status: 500, After: true}},
	{name: "no answer, not handled", fault: emulator.Fault{Reset: true}},
	{name: "no answer, handled", fault: emulator.Fault{Reset: true, After: true}},
	{name: "429", fault: emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}},
	{name: "killed", kill: true},
	{name: "killed, and the answer lost", fault: emulator.Fault{Reset: true, After: true}, kill: true},
	{name: "killed, and the request lost", fault: emulator.Fault{Reset: true}, kill: true},
})

// sampled is each stride-th of a list.
func sampled[T any](all []T) (some []T) {
	for i := stride - 1; i < len(all); i += stride {
		some = append(some, all[i])
	}
	return some
}

// In each case one request of a first apply goes wrong in one way. The next rounds converge, no job is
// there twice, none is missing, and the plan is empty then.
func TestEveryFaultAtEveryRequest(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tried := 0
			for k, more := 0, true; more; k++ {
				synctest.Test(t, func(t *testing.T) {
					more = faultAt(t, f.fault, k, f.kill)
				})
				if more {
					tried++
				}
			}
			t.Logf("%d positions tried", tried)
		})
	}
}

// faultAt strikes at the k-th request of a first apply; false if there were no more than k.
func faultAt(t *testing.T, fault emulator.Fault, k int, kill bool) bool {
	s := newBubbleSite(t, emulator.Options{})
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	p, err := s.Plan(t.Context(), deployment, "")
	if err != nil {
		t.Fatal(err)
	}
	s.strike(fault, k, kill)
	applied, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"}) // may fail: that is the point
	t.Logf("request %d: %s: %s, %v", k, applied.Phase, applied.Result.Text, err)
	posts := s.workspace.Count("POST *")
	s.recover(k, kill)
	s.shut()
	s.sound()
	return k < posts
}

// strike breaks the k-th request from now that changes something.
func (s *site) strike(fault emulator.Fault, k int, kill bool) {
	fault.Pattern, fault.Offset, fault.Times = "POST *", k, 1
	if kill {
		fault.Hook = func() { s.log.Close() }
	}
	s.workspace.Fault(fault)
	s.workspace.ResetJournal()
}

// recover goes on after a fault, in another process if the first was killed, until nothing is left to do.
func (s *site) recover(k int, kill bool) {
	s.t.Helper()
	s.workspace.ClearFaults()
	if kill {
		s.Reconciler.Close()
		s.place.Close()
		s.log.Close()
		if k%2 == 0 { // the derived database may be lost along with it
			os.Remove(filepath.Join(s.dir, "state", "selvage.db"))
		}
		s.open()
	}
	s.converges()
}

// converges reconciles until nothing is left to do, and checks that the three jobs are there once.
func (s *site) converges() {
	s.t.Helper()
	var d Decision
	for range 40 {
		d, _ = s.try()
		if d.Phase == Sound && d.Plan.Digest == "" {
			break
		}
		time.Sleep(time.Until(d.Again))
		time.Sleep(time.Second)
	}
	s.verified(d)
	if got := strings.Join(s.names(), " "); len(s.names()) != 3 {
		s.t.Fatalf("live: %s", got)
	}
	if open := s.log.OpenIntents(); len(open) > 0 {
		s.t.Errorf("open intents: %s", fmt.Sprint(open))
	}
}
