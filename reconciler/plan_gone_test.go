package reconciler

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// atRest is how the small fabric of these tests is paused: what starts a job is its every.
func atRest(live, _ fabric.Doc, name string) fabric.Doc {
	o := live.Object()
	if o["every"] != nil {
		o["paused"] = true
	}
	if name != "" {
		o["name"] = name
	}
	return fabric.NewDoc(o)
}

// gone has a be ours, and the release lack it, as was seen a minute ago.
func (w *world) gone(t testing.TB, json string) fabric.Object {
	o := w.own(t, "a", "1", json)
	w.live(o)
	w.Absences["a"] = Absence{noon.Add(-time.Minute), noon.Add(-time.Minute)}
	return o
}

// quarantined has a be in quarantine since some time, as it was put there but for what now says.
func (w *world) quarantined(t testing.TB, ago time.Duration, now string) {
	const was = `{"every":"day","paused":true,"name":"removed 2026-11-22 12:00Z by selvage: a"}`
	w.Prune.Quarantine = 24 * time.Hour
	o := w.own(t, "a", "1", was)
	if now != "" {
		o = w.object(t, "a", "1", now)
	}
	w.live(o)
	a := w.Owned["a"]
	a.Quarantined = noon.Add(-ago)
	w.Owned["a"] = a
	w.Absences["a"] = Absence{noon.Add(-ago - time.Hour), noon.Add(-ago - time.Hour)}
}

func TestNewPlanProtect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		setup func(t *testing.T, w *world)
		want  []string
		empty bool
		again []fabric.Key // whose absence no longer counts
	}{
		{"a job that git still has", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":2}`)
			w.live(w.own(t, "a", "1", `{"x":1}`))
		}, []string{"update a commit changed"}, false, nil},
		{"a job that git lacks", func(t *testing.T, w *world) { w.live(w.own(t, "a", "1", `{}`)) }, []string{"keep a protected"}, true, nil},
		{"one whose absence was seen before", func(t *testing.T, w *world) { w.gone(t, `{}`) }, []string{"keep a protected"}, true, []fabric.Key{"a"}},
		{"with a quarantine", func(t *testing.T, w *world) { w.gone(t, `{}`); w.Prune.Quarantine = time.Hour }, []string{"keep a protected"}, true, []fabric.Key{"a"}},
		{"one that is in quarantine already", func(t *testing.T, w *world) { w.quarantined(t, 48*time.Hour, "") }, []string{"keep a protected"}, true, []fabric.Key{"a"}},
		{"one that half a listing lacks", func(t *testing.T, w *world) {
			w.gone(t, `{}`)
			w.Live = fabric.NewLive(noon, false, "", nil, nil)
		}, []string{"delete a prune blocked not_seen"}, false, []fabric.Key{"a"}},
		{"one that somebody deleted", func(t *testing.T, w *world) {
			w.own(t, "a", "1", `{}`)
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
		}, []string{"release a prune released"}, false, nil},
		{"one that goes on under another key", func(t *testing.T, w *world) { w.gone(t, `{}`); w.want(t, "b", `{}`); w.move("a", "b") },
			[]string{"move a>b commit moved"}, false, nil},
		{"one that the configuration leaves out", func(t *testing.T, w *world) { w.gone(t, `{}`); w.Desired.Unselect("a") }, []string{"release a released"}, false, nil},
		{"it is none of the budget's", func(t *testing.T, w *world) {
			w.gone(t, `{}`)
			w.Protect, w.Prune.Max = []string{"b*"}, 1
			w.live(w.own(t, "a", "1", `{}`), w.own(t, "b", "2", `{}`), w.own(t, "bc", "3", `{}`))
		}, []string{"delete a prune pruned", "keep b protected", "keep bc protected"}, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.Protect = []string{"a"}
			tt.setup(t, w)
			w.check(t, tt.want, tt.empty)
			if diff := cmp.Diff(tt.again, NewPlan(w.PlanInput).Uncounted); diff != "" {
				t.Errorf("whose absence no longer counts (-want +got):\n%s", diff)
			}
		})
	}
}

// check compares a plan with its lines, and makes it twice.
func (w *world) check(t testing.TB, want []string, empty bool) {
	t.Helper()
	p := NewPlan(w.PlanInput)
	if diff := cmp.Diff(want, lines(p)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if p.Empty() != empty {
		t.Errorf("Empty() = %v, want %v", p.Empty(), empty)
	}
	if again := NewPlan(w.PlanInput); again.Digest != p.Digest || cmp.Diff(lines(again), lines(p)) != "" {
		t.Error("the same input gave another plan")
	}
}

// A pattern that is taken away, by a slip of the hand too, deletes nothing in the same breath.
func TestProtectionEnds(t *testing.T) {
	s := newState(&table{})
	w := newWorld()
	w.live(w.own(t, "a", "1", `{}`))
	step := func(protect bool, minute int, want string) {
		t.Helper()
		w.Protect = nil
		if protect {
			w.Protect = []string{"a"}
		}
		w.Sighting = noon.Add(time.Duration(minute) * time.Minute)
		w.Live = fabric.NewLive(w.Sighting, true, "", w.Live.Objects(), nil)
		p := NewPlan(w.PlanInput)
		if got := lines(p)[0]; got != want {
			t.Fatalf("minute %d: %s, want %s", minute, got, want)
		}
		rd := &round{Reconciler: &Reconciler{}, name: dep, sighting: w.Sighting, live: w.Live}
		for _, e := range rd.goneEntries(p) {
			if err := s.fold(e); err != nil {
				t.Fatal(err)
			}
		}
		w.Absences = s.absences[dep]
	}
	step(false, 0, "delete a prune deferred absent_once")
	step(true, 1, "keep a protected")
	step(true, 5, "keep a protected")
	step(false, 6, "delete a prune deferred absent_once")
	step(false, 7, "delete a prune pruned")
}

func TestNewPlanQuarantine(t *testing.T) {
	t.Parallel()
	quarantine := func(w *world) { w.Prune.Quarantine = 24 * time.Hour }
	edited := `{"every":"hour","paused":true,"name":"removed 2026-11-22 12:00Z by selvage: a"}`
	tests := []struct {
		name  string
		setup func(t *testing.T, w *world)
		want  []string
		empty bool
	}{
		{"absent once", func(t *testing.T, w *world) { quarantine(w); w.live(w.own(t, "a", "1", `{}`)) }, []string{"quarantine a prune deferred absent_once"}, true},
		{"absent twice", func(t *testing.T, w *world) { quarantine(w); w.gone(t, `{"every":"day"}`) }, []string{"quarantine a prune pruned"}, false},
		{"nothing starts it", func(t *testing.T, w *world) { quarantine(w); w.gone(t, `{}`) }, []string{"quarantine a prune pruned"}, false},
		{"a kind that can't be paused", func(t *testing.T, w *world) {
			quarantine(w)
			w.gone(t, `{}`)
			w.Rules = func(fabric.Kind) *fabric.Rules { return &fabric.Rules{} }
		}, []string{"delete a prune pruned"}, false},
		{"more than the budget", func(t *testing.T, w *world) {
			quarantine(w)
			o := w.gone(t, `{}`)
			w.live(o, w.own(t, "b", "2", `{}`))
			w.Absences["b"] = w.Absences["a"]
			w.Prune.Percent = 50
		}, []string{"quarantine a prune blocked over_budget", "quarantine b prune blocked over_budget"}, false},
		{"what is due and what is new are two budgets", func(t *testing.T, w *world) {
			w.quarantined(t, 25*time.Hour, "")
			w.live(append(w.Live.Objects(), w.own(t, "b", "2", `{}`))...)
			w.Absences["b"] = Absence{noon.Add(-time.Minute), noon.Add(-time.Minute)}
			w.Prune.Percent = 50
		}, []string{"delete a prune pruned", "quarantine b prune pruned"}, false},
		{"what waits in quarantine is none of the budget's", func(t *testing.T, w *world) {
			w.quarantined(t, time.Hour, "")
			w.live(append(w.Live.Objects(), w.own(t, "b", "2", `{}`))...)
			w.Absences["b"] = Absence{noon.Add(-time.Minute), noon.Add(-time.Minute)}
			w.Prune.Percent = 50
		}, []string{"delete a prune deferred in_quarantine", "quarantine b prune pruned"}, false},
		{"in quarantine", func(t *testing.T, w *world) { w.quarantined(t, 23*time.Hour, "") }, []string{"delete a prune deferred in_quarantine"}, true},
		{"due", func(t *testing.T, w *world) { w.quarantined(t, 24*time.Hour, "") }, []string{"delete a prune pruned"}, false},
		{"due, and the refs were not read since", func(t *testing.T, w *world) {
			w.quarantined(t, 24*time.Hour, "")
			w.Sighting = noon.Add(-time.Second)
		}, []string{"delete a prune deferred in_quarantine"}, true},
		{"due, and half a listing", func(t *testing.T, w *world) {
			w.quarantined(t, 25*time.Hour, "")
			w.Live = fabric.NewLive(noon, false, "", w.Live.Objects(), nil)
		}, []string{"delete a prune deferred absent_once"}, true},
		{"due, and half a release", func(t *testing.T, w *world) { w.quarantined(t, 25*time.Hour, ""); w.Partial = true }, []string{"delete a prune blocked release_partial"}, false},
		{"due, and nobody saw it absent since it came back once", func(t *testing.T, w *world) {
			w.quarantined(t, 25*time.Hour, "")
			w.Absences = nil
		}, []string{"delete a prune deferred absent_once"}, true},
		{"the policy has no quarantine any more", func(t *testing.T, w *world) {
			w.quarantined(t, time.Hour, "")
			w.Prune.Quarantine = 0
		}, []string{"delete a prune pruned"}, false},
		{"somebody changed it", func(t *testing.T, w *world) { w.quarantined(t, 25*time.Hour, edited) }, []string{"delete a prune blocked quarantine_edited"}, false},
		{"somebody changed it, and wants an apply", func(t *testing.T, w *world) { w.quarantined(t, 25*time.Hour, edited); w.Force = true },
			[]string{"delete a prune blocked quarantine_edited"}, false},
		{"somebody started it again", func(t *testing.T, w *world) {
			w.quarantined(t, 25*time.Hour, strings.Replace(edited, "true", "false", 1))
		}, []string{"delete a prune blocked quarantine_edited"}, false},
		{"it was changed by hand before, and not since", func(t *testing.T, w *world) {
			w.quarantined(t, 25*time.Hour, edited)
			o := w.Owned["a"]
			o.Read = doc(t, edited)
			w.Owned["a"] = o
		}, []string{"delete a prune pruned"}, false},
		{"what it was is not known", func(t *testing.T, w *world) {
			w.quarantined(t, 25*time.Hour, "")
			o := w.Owned["a"]
			o.Sent, o.Read = fabric.Doc{}, fabric.Doc{}
			w.Owned["a"] = o
		}, []string{"delete a prune blocked quarantine_edited"}, false},
		{"git has it again", func(t *testing.T, w *world) {
			w.quarantined(t, time.Hour, "")
			w.Heal = false
			w.want(t, "a", `{"every":"day","name":"a"}`)
		}, []string{"update a commit changed"}, false},
		{"git has it again under another key", func(t *testing.T, w *world) {
			w.quarantined(t, time.Hour, "")
			w.want(t, "b", `{"every":"day","name":"b"}`)
			w.move("a", "b")
		}, []string{"move a>b commit moved"}, false},
		{"somebody deleted it", func(t *testing.T, w *world) {
			w.quarantined(t, time.Hour, "")
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
		}, []string{"release a prune released"}, false},
		{"the mark was taken off", func(t *testing.T, w *world) {
			w.quarantined(t, 25*time.Hour, "")
			w.live(fabric.Object{ID: "1", Kind: "job", Name: "a"})
		}, []string{"delete a prune blocked mark_missing"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.Prune.Percent = 100
			tt.setup(t, w)
			w.check(t, tt.want, tt.empty)
		})
	}
}

// What a quarantine writes: the live definition, paused and under a name that says since when, drift by hand and all.
func TestNewPlanQuarantineWrites(t *testing.T) {
	w := newWorld()
	w.Prune.Quarantine, w.Prune.Percent = time.Hour, 100
	w.gone(t, `{"every":"day","name":"a","x":1}`)
	w.live(w.object(t, "a", "1", `{"every":"day","name":"a","x":2}`))
	c := NewPlan(w.PlanInput).Changes[0]
	const name = "removed 2026-11-23 11:59Z by selvage: a"
	if got, want := string(c.Desired.Canonical()), `{"every":"day","name":"`+name+`","paused":true,"x":2}`; got != want {
		t.Errorf("live becomes %s, want %s", got, want)
	}
	if got, want := string(c.Sent.Canonical()), `{"every":"day","name":"`+name+`","paused":true,"x":1}`; got != want {
		t.Errorf("it stands as sent: %s, want %s", got, want)
	}
	var changed []string
	for _, f := range c.Fields {
		changed = append(changed, f.Path+" "+string(f.Cause))
	}
	if diff := cmp.Diff([]string{"name prune", "paused prune"}, changed); diff != "" || c.Name != "a" {
		t.Errorf("%s of %q", diff, c.Name)
	}
	w.live(fabric.Object{ID: "1", Kind: "job", Name: name, Managed: true, Mark: c.Mark, Doc: c.Desired}) // it was done, and nobody knows
	if again := NewPlan(w.PlanInput).Changes[0]; again.Action != fabric.Quarantine || again.Desired.Digest() != c.Desired.Digest() {
		t.Errorf("done once more it is %s: %s", again.Action, again.Desired.Canonical())
	}
}

func TestNewPlanActiveRuns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy configs.ActiveRuns
		known  bool
		runs   int
		want   string
		asked  bool
	}{
		{"nobody asked yet", configs.RunsWait, false, 0, "delete a prune blocked not_seen", true},
		{"the policy says nothing", "", false, 0, "delete a prune blocked not_seen", true},
		{"none", configs.RunsWait, true, 0, "delete a prune pruned", true},
		{"some", configs.RunsWait, true, 2, "delete a prune deferred active_runs", true},
		{"to be canceled", configs.RunsCancel, false, 0, "delete a prune pruned", false},
		{"to be ignored", configs.RunsIgnore, false, 0, "delete a prune pruned", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.Prune.ActiveRuns = tt.policy
			w.gone(t, `{}`)
			if tt.known {
				w.Active = map[fabric.Key]int{"a": tt.runs}
			}
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff([]string{tt.want}, lines(p)); diff != "" || (len(p.Runs) == 1) != tt.asked {
				t.Errorf("asks about %v\n%s", p.Runs, diff)
			}
		})
	}
	w := newWorld()
	w.Prune.ActiveRuns = configs.RunsWait
	w.live(w.own(t, "a", "1", `{}`))
	if p := NewPlan(w.PlanInput); len(p.Runs) != 0 {
		t.Errorf("absent once: asks about the runs of %v", p.Runs)
	}
	waits, cancels := fabric.Change{Action: fabric.Delete, Runs: configs.RunsWait}, fabric.Change{Action: fabric.Delete, Runs: configs.RunsCancel}
	if waits.Digest() == cancels.Digest() || waits.Digest() != (fabric.Change{Action: fabric.Delete}).Digest() {
		t.Error("a person who approves a deletion does not approve that it cancels runs")
	}
}

func TestNewPlanLeaves(t *testing.T) {
	t.Parallel()
	left := func(t *testing.T, w *world, live string) { // git moved a from fabric 4004 to fabric 1174
		w.Selects = []string{"4004", "4110"}
		w.live(w.own(t, "a", "1", live))
		o := w.Owned["a"]
		o.Committed = "4004"
		w.Owned["a"] = o
		w.Desired.UnselectFor("a", "1174")
	}
	tests := []struct {
		name  string
		setup func(t *testing.T, w *world)
		want  []string
		empty bool
	}{
		{"git moved it", func(t *testing.T, w *world) { left(t, w, `{"every":"day"}`) }, []string{"leave a commit left_fabric"}, false},
		{"git moved it, and nothing starts it", func(t *testing.T, w *world) { left(t, w, `{"x":1}`) }, []string{"release a commit left_fabric"}, false},
		{"git moved it, and it is paused", func(t *testing.T, w *world) { left(t, w, `{"every":"day","paused":true}`) }, []string{"release a commit left_fabric"}, false},
		{"the configuration has less fabric ids", func(t *testing.T, w *world) {
			left(t, w, `{"every":"day"}`)
			w.Selects = []string{"4110"}
			w.Desired.UnselectFor("a", "4004")
		}, []string{"release a released"}, false},
		{"the configuration selects by keys", func(t *testing.T, w *world) { left(t, w, `{"every":"day"}`); w.Selects = nil }, []string{"release a released"}, false},
		{"nobody wrote down what it was committed for", func(t *testing.T, w *world) {
			left(t, w, `{"every":"day"}`)
			o := w.Owned["a"]
			o.Committed = ""
			w.Owned["a"] = o
		}, []string{"release a released"}, false},
		{"the definition says no fabric any more", func(t *testing.T, w *world) { left(t, w, `{"every":"day"}`); w.Desired.Unselect("a") }, []string{"release a released"}, false},
		{"half a release knows where it is", func(t *testing.T, w *world) { left(t, w, `{"every":"day"}`); w.Partial = true }, []string{"leave a commit left_fabric"}, false},
		{"protected from deletion", func(t *testing.T, w *world) { left(t, w, `{"every":"day"}`); w.Protect = []string{"a"} }, []string{"leave a commit left_fabric"}, false},
		{"nobody knows whether it is there", func(t *testing.T, w *world) {
			left(t, w, `{"every":"day"}`)
			w.Live = fabric.NewLive(noon, true, "", nil, nil)
		}, []string{"leave a commit blocked not_seen"}, false},
		{"the mark was taken off", func(t *testing.T, w *world) {
			left(t, w, `{"every":"day"}`)
			w.live(fabric.Object{ID: "1", Kind: "job", Name: "a"})
		}, []string{"leave a commit blocked mark_missing"}, false},
		{"somebody deleted it", func(t *testing.T, w *world) {
			left(t, w, `{"every":"day"}`)
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
		}, []string{"release a commit left_fabric"}, false},
		{"an intent is open", func(t *testing.T, w *world) { left(t, w, `{"every":"day"}`); w.Open["a"] = true }, []string{"leave a commit blocked intent_open"}, false},
		{"it has another key too", func(t *testing.T, w *world) {
			left(t, w, `{"every":"day"}`)
			w.Desired = fabric.NewDesired()
			w.Desired.UnselectFor("b", "1174")
			w.move("a", "b")
		}, []string{"leave a commit left_fabric"}, false},
		{"git moved it back", func(t *testing.T, w *world) {
			left(t, w, `{"every":"day","paused":true}`)
			w.Desired = fabric.NewDesired()
			w.want(t, "a", `{"every":"day"}`)
			w.Formerly["a"] = w.Owned["a"]
			delete(w.Owned, "a")
			w.Heal = false
		}, []string{"update a commit changed"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.setup(t, w)
			w.check(t, tt.want, tt.empty)
		})
	}
}

// A job does not start here before it is paused where it was.
func TestNewPlanStillElsewhere(t *testing.T) {
	t.Parallel()
	const runs, rests = `{"every":"day"}`, `{"every":"day","paused":true}`
	for _, tt := range []struct {
		name  string
		setup func(t *testing.T, w *world)
		want  string
	}{
		{"it is new here", func(t *testing.T, w *world) { w.want(t, "a", runs) }, "create a commit blocked still_elsewhere"},
		{"it is new here, and nothing starts it", func(t *testing.T, w *world) { w.want(t, "a", `{}`) }, "create a commit changed"},
		{"it is new here, and paused", func(t *testing.T, w *world) { w.want(t, "a", rests) }, "create a commit changed"},
		{"it would start again", func(t *testing.T, w *world) { w.want(t, "a", runs); w.live(w.own(t, "a", "1", rests)) }, "update a commit blocked still_elsewhere"},
		{"it runs here already", func(t *testing.T, w *world) {
			w.want(t, "a", `{"every":"hour"}`)
			w.live(w.own(t, "a", "1", runs))
		}, "update a commit changed"},
		{"it comes back", func(t *testing.T, w *world) {
			w.want(t, "a", runs)
			w.live(w.own(t, "a", "1", rests))
			w.Formerly["a"] = w.Owned["a"]
			delete(w.Owned, "a")
		}, "update a commit blocked still_elsewhere"},
		{"another one", func(t *testing.T, w *world) { w.want(t, "b", runs) }, "create b commit changed"},
		{"it left from here", func(t *testing.T, w *world) {
			w.Selects = []string{"4004"}
			w.live(w.own(t, "a", "1", runs))
			o := w.Owned["a"]
			o.Committed = "4004"
			w.Owned["a"] = o
			w.Desired.UnselectFor("a", "1174")
		}, "leave a commit left_fabric"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.Elsewhere = map[fabric.Key]Elsewhere{"a": {"hello@development", "it only observes"}}
			tt.setup(t, w)
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff([]string{tt.want}, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if c := p.Changes[0]; c.Reason.Code == configs.StillElsewhere && (!strings.Contains(c.Reason.Text, "hello@development still has it on its fabric, because it only observes") || !strings.Contains(c.Reason.Next, "selvage apply hello@development")) {
				t.Errorf("it says %q, next %q", c.Reason.Text, c.Reason.Next)
			}
			w.Elsewhere = nil
			if p := NewPlan(w.PlanInput); p.Changes[0].Hindrance != fabric.Free {
				t.Errorf("once it is paused there: %v", lines(p))
			}
		})
	}
}

// The fabric id of what is selected is written down, also where nothing is written to the fabric; a change of it that
// takes the job nowhere else is no reason to pause it later.
func TestRecommitted(t *testing.T) {
	w := newWorld()
	w.Selects = []string{"4004", "4110"}
	w.live(w.own(t, "a", "1", `{"every":"day"}`))
	w.Desired.Add(fabric.Resource{Key: "a", Kind: "job", Name: "a", Doc: doc(t, `{"every":"day"}`), Committed: "4004"})
	s := newState(&table{})
	s.apply(dep, "a", w.Owned["a"].Applied)
	look := func(committed string, selects ...string) string {
		t.Helper()
		w.Selects, w.Desired = selects, fabric.NewDesired()
		if selects[0] == committed || len(selects) > 1 {
			w.Desired.Add(fabric.Resource{Key: "a", Kind: "job", Name: "a", Doc: doc(t, `{"every":"day"}`), Committed: committed})
		} else {
			w.Desired.UnselectFor("a", committed)
		}
		p := NewPlan(w.PlanInput)
		rd := &round{Reconciler: &Reconciler{}, name: dep, sighting: w.Sighting, live: w.Live}
		for _, e := range rd.goneEntries(p) {
			if err := s.fold(e); err != nil {
				t.Fatal(err)
			}
		}
		w.Owned["a"] = Owning{s.applied[dep]["a"], w.Owned["a"].Sent, w.Owned["a"].Read}
		return lines(p)[0]
	}
	for _, step := range []struct {
		committed string
		selects   []string
		want, now string
	}{
		{"4004", []string{"4004", "4110"}, "keep a up_to_date", "4004"},
		{"4110", []string{"4004", "4110"}, "keep a up_to_date", "4110"},
		{"4110", []string{"4004"}, "release a released", "4110"}, // the configuration left it out
		{"1174", []string{"4110"}, "leave a commit left_fabric", "4110"},
	} {
		if got := look(step.committed, step.selects...); got != step.want || w.Owned["a"].Committed != step.now {
			t.Errorf("committed for %s, selected by %v: %s, written down %q", step.committed, step.selects, got, w.Owned["a"].Committed)
		}
	}
}

// A job is made, the answer is lost, and git moves the definition before anybody knows what became of that: the outcome is
// older news than what git said since.
func TestRecommittedWhileOpen(t *testing.T) {
	w := newWorld()
	s := newState(&table{})
	fold := func(e ledger.Entry) {
		t.Helper()
		e.Deployment = dep
		if err := s.fold(e); err != nil {
			t.Fatal(err)
		}
	}
	fold(ledger.Entry{Kind: kindIntent, Intent: "n1", Data: encode(intentMade{Op: fabric.OpCreate, Kind: "job", Keys: []fabric.Key{"b", "a"}, Names: []string{"b", "a"},
		Actions: []fabric.Action{fabric.Create, fabric.Create}, Sent: []string{"", ""}, Committed: []string{"", "4004"}})})
	w.Desired.Add(fabric.Resource{Key: "a", Kind: "job", Name: "a", Doc: doc(t, `{}`), Committed: "1174"})
	w.Open["a"], w.Opened = true, map[fabric.Key]string{"a": "4004"}
	p := NewPlan(w.PlanInput)
	if p.Recommitted["a"] != "1174" {
		t.Errorf("recommitted: %v", p.Recommitted)
	}
	fold((&round{Reconciler: &Reconciler{}, name: dep, live: w.Live}).goneEntries(p)[0])
	w.Opened["a"] = s.intents[dep]["n1"].Committed[1]
	if p := NewPlan(w.PlanInput); len(p.Recommitted) != 0 {
		t.Errorf("it is written down again: %v", p.Recommitted)
	}
	fold(ledger.Entry{Kind: kindOutcome, Intent: "n1", Data: encode(outcomeSeen{Results: []resultSeen{{Key: "a", Status: "done", ID: "7"}, {Key: "b", Status: "done", ID: "8"}}})})
	if got := s.applied[dep]["a"].Committed; got != "1174" || s.applied[dep]["b"].Committed != "" {
		t.Errorf("a is committed for %q, b for %q", got, s.applied[dep]["b"].Committed)
	}
}
