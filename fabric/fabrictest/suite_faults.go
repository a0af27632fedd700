package fabrictest

import (
	"slices"

	"selvage/artifacts"
	"selvage/fabric"
)

func noIntentNoRequest(w *world) {
	r := w.Release(w, one("a"), one("b"))
	w.deploy(r)
	a := one("a")
	a.Text = "second"
	next := w.Release(w, a, one("new"))
	before, requests := w.state(), w.Requests()
	w.book.Refuse(errFull)
	report, err := Deploy(w.Context(), w.f, next, w.binding, w.book)
	if err == nil {
		w.Error("a deploy whose intents can't be written succeeds")
	}
	for i, o := range report.Outcomes {
		there := len(report.Steps[i].Changes) == 0 && o.Status == fabric.Done // an artifact of an earlier deploy
		if o.Status != fabric.Later && o.Status != fabric.Refused && !there {
			w.Errorf("step %s is %s though nothing was sent", report.Steps[i].ID, o.Status)
		}
	}
	if n := w.Requests() - requests; n != 0 {
		w.Errorf("%d requests were sent without an intent", n)
	}
	if after := w.state(); after != before {
		w.Errorf("the fabric changed without an intent:\n%s\n%s", before, after)
	}
	w.book.Refuse(nil)
	w.deploy(next)
	w.converged(next, "jobs/a", "jobs/new")
}

// story is a release and its successor that creates, updates, moves and deletes, over references.
type story struct {
	first, next *artifacts.Release
	keys        []string
	moved       string // id of the resource that moves
}

func (w *world) story() story {
	gone := Spec{Key: "jobs/gone", Name: "gone"}
	first := append(chain(), gone, one("was"))
	next := chain()
	next[1].Text = "second"
	is := one("was")
	is.Key = "jobs/is"
	next = append(next, Spec{Key: "jobs/new", Name: "new", Runs: []string{"jobs/newer", "jobs/is"}}, Spec{Key: "jobs/newer", Name: "newer"}, is)
	w.book.Move("jobs/was", "jobs/is")
	return story{first: w.Release(w, first...), next: w.Release(w, next...), keys: append(slices.Clone(chainKeys), "jobs/is", "jobs/new", "jobs/newer")}
}

// begin deploys the first release.
func (w *world) begin() story {
	w.Helper()
	s := w.story()
	w.deploy(s.first)
	s.moved = w.id("jobs/was")
	return s
}

// everyRequest tells the story once for each request of it, with that request broken, and expects
// the next rounds, in new processes, to converge with one resource for each key.
func (w *world) everyRequest(f Fault) {
	calm := w.another()
	s := calm.begin()
	start := calm.Requests()
	calm.deploy(s.next)
	total := calm.Requests() - start
	if total == 0 {
		w.Fatal("the story sends no request")
	}
	for k := 1; k <= total; k++ {
		place := w.another()
		s := place.begin()
		place.Fault(f, k)
		report, _ := Deploy(place.Context(), place.f, s.next, place.binding, place.book)
		place.honest(report)
		place.Fault(None, 0)
		place.recover(s)
		for _, wrong := range place.book.Wrong() {
			w.Errorf("journal: %s", wrong)
		}
		if w.Failed() {
			w.Fatalf("after fault %d at request %d of %d", f, k, total)
		}
	}
}

// honest compares what the steps said they did with what there is.
func (w *world) honest(report Report) {
	w.Helper()
	live := w.observe(fabric.Scope{Owned: w.book.Owned()})
	for i, o := range report.Outcomes {
		s := report.Steps[i]
		if len(o.Results) != len(s.Changes) {
			w.Errorf("step %s: %d results for %d changes", s.ID, len(o.Results), len(s.Changes))
			continue
		}
		if (o.Status == fabric.Done) != (o.Err == nil) {
			w.Errorf("step %s: %s with the error %v", s.ID, o.Status, o.Err)
		}
		for n, r := range o.Results {
			if c := s.Changes[n]; r.Key != c.Key {
				w.Errorf("step %s: result %d is of %s, not of %s", s.ID, n, r.Key, c.Key)
			} else if r.Status == fabric.Done && c.Action == fabric.Create && len(live.ByNonce(r.Nonce)) == 0 && live.Pending[r.Nonce] == "" {
				w.Errorf("step %s: %s was made, it says, and nothing carries its nonce", s.ID, r.Key)
			}
		}
	}
}

// recover deploys until nothing is left to do, as the daemon would, each time in a new process.
func (w *world) recover(s story) {
	w.Helper()
	var err error
	for range 4 {
		w.restart()
		if _, err = Deploy(w.Context(), w.f, s.next, w.binding, w.book); err == nil {
			break
		}
	}
	if err != nil {
		w.Errorf("does not converge: %v", err)
		return
	}
	w.converged(s.next, s.keys...)
	if id := w.id("jobs/is"); id != s.moved {
		w.Errorf("what moved has the id %s instead of %s", id, s.moved)
	}
}

func lostResponse(w *world)  { w.everyRequest(LoseResponse) }
func brokenRequest(w *world) { w.everyRequest(FailBefore) }

func busyFabric(w *world) {
	r := w.Release(w, one("a"))
	w.Fault(Busy, 1)
	report, err := Deploy(w.Context(), w.f, r, w.binding, w.book)
	if err == nil || len(report.Outcomes) != 1 || report.Outcomes[0].Status != fabric.Later {
		w.Errorf("a busy fabric: %v, %v", report.Outcomes, err)
	}
	if open := w.book.Open(); len(open) > 0 {
		w.Errorf("it said no, and the intent is still open: %s", open[0].Text)
	}
	w.everyRequest(Busy)
}

// crashAfterRequest ends the process between a request's answer and the entry about it, for every
// request: the intent stays open, and what became of it is found by looking.
func crashAfterRequest(w *world) {
	for k := 0; ; k++ {
		place := w.another()
		s := place.begin()
		begun := len(place.book.Intents())
		place.book.CrashAfter(k)
		_, err := Deploy(place.Context(), place.f, s.next, place.binding, place.book)
		place.book.CrashAfter(-1)
		if err == nil {
			if k == 0 {
				w.Error("outcomes that can't be written do not matter")
			}
			if n := len(place.book.Intents()) - begun; n != k {
				w.Errorf("%d intents and %d ends", n, k)
			}
			return
		}
		if len(place.book.Open()) == 0 {
			w.Errorf("after %d ends: no intent is open", k)
		}
		place.recover(s)
		for _, wrong := range place.book.Wrong() {
			w.Errorf("journal: %s", wrong)
		}
		if w.Failed() {
			w.Fatalf("after a crash behind %d entries", k)
		}
	}
}
