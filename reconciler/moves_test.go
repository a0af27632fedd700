package reconciler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
)

// move says that the job of key old has another key.
func (w *world) move(old, now fabric.Key) {
	if w.Moved == nil {
		w.Moved = map[fabric.Key]fabric.Key{}
	}
	w.Moved[old] = now
}

func TestNewPlanMoves(t *testing.T) {
	t.Parallel()
	both := func(t *testing.T, w *world) { // a is ours and live, and b is what it is now
		w.want(t, "b", `{"x":1}`)
		w.live(w.own(t, "a", "1", `{"x":1}`))
		w.move("a", "b")
	}
	formerly := func(w *world, k fabric.Key) { w.Formerly[k] = w.Owned[k]; delete(w.Owned, k) }
	tests := []struct {
		name  string
		setup func(t *testing.T, w *world)
		want  []string
		empty bool
	}{
		{"another key alone", both, []string{"move a>b commit moved"}, false},
		{"a pattern of keys that nobody owns", func(t *testing.T, w *world) { w.want(t, "b", `{}`); w.move("a", "b") }, []string{"create b commit changed"}, false},
		{"the old one is still in the release", func(t *testing.T, w *world) { both(t, w); w.want(t, "a", `{"x":1}`) },
			[]string{"keep a up_to_date", "create b commit blocked move_unclear"}, false},
		{"the old one is in the release and can't be rendered", func(t *testing.T, w *world) {
			both(t, w)
			w.Desired.Block("a", configs.Found(configs.ArtifactMissing, "a", ""))
		}, []string{"keep a blocked artifact_missing", "create b commit blocked move_unclear"}, false},
		{"both in the release, and none was ever ours", func(t *testing.T, w *world) {
			w.want(t, "a", `{}`)
			w.want(t, "b", `{}`)
			w.move("a", "b")
		}, []string{"create a commit changed", "create b commit changed"}, false},
		{"the old one is in the release and not selected", func(t *testing.T, w *world) { both(t, w); w.Desired.Unselect("a") }, []string{"move a>b commit moved"}, false},
		{"the new one can't be rendered: what is live stays", func(t *testing.T, w *world) {
			both(t, w)
			w.Desired.Block("b", configs.Found(configs.ArtifactMissing, "b", ""))
			w.Absences["a"] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
		}, []string{"keep a>b blocked artifact_missing"}, true},
		{"the new one is not selected: what is live is released", func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":1}`))
			w.Desired.Unselect("b")
			w.move("a", "b")
			w.Absences["a"] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
		}, []string{"release a released"}, false},
		{"neither is in the release: git removed it", func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":1}`))
			w.move("a", "b")
			w.Absences["a"] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
		}, []string{"delete a prune pruned"}, false},
		{"sighted absent before the entry was written", func(t *testing.T, w *world) {
			both(t, w)
			w.Absences["a"] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
		}, []string{"move a>b commit moved"}, false},
		{"the entry is spent", func(t *testing.T, w *world) {
			w.want(t, "b", `{"x":1}`)
			w.live(w.own(t, "b", "1", `{"x":1}`))
			w.move("a", "b")
		}, []string{"keep b up_to_date"}, true},
		{"both are ours: the old one goes as any other", func(t *testing.T, w *world) {
			w.want(t, "b", `{"x":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.own(t, "b", "2", `{"x":1}`))
			w.move("a", "b")
		}, []string{"delete a prune deferred absent_once", "keep b up_to_date"}, true},
		{"the new one is ours again: it was released, and is still there", func(t *testing.T, w *world) {
			w.want(t, "b", `{"x":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.own(t, "b", "2", `{"x":1}`))
			formerly(w, "b")
			w.move("a", "b")
		}, []string{"delete a prune deferred absent_once", "keep b up_to_date"}, true},
		{"the new one was released and is gone", func(t *testing.T, w *world) {
			w.want(t, "b", `{"x":1}`)
			w.own(t, "b", "2", `{"x":1}`)
			formerly(w, "b")
			w.live(w.own(t, "a", "1", `{"x":1}`))
			w.move("a", "b")
		}, []string{"move a>b commit moved"}, false},
		{"the new one was released and half a listing lacks it", func(t *testing.T, w *world) {
			w.want(t, "b", `{"x":1}`)
			w.own(t, "b", "2", `{"x":1}`)
			formerly(w, "b")
			w.Live = fabric.NewLive(noon, false, "", []fabric.Object{w.own(t, "a", "1", `{"x":1}`)}, nil)
			w.move("a", "b")
		}, []string{"move a>b commit blocked not_seen"}, false},
		{"half a listing that holds it", func(t *testing.T, w *world) {
			w.want(t, "b", `{"x":1}`)
			w.Live = fabric.NewLive(noon, false, "", []fabric.Object{w.own(t, "a", "1", `{"x":1}`)}, nil)
			w.move("a", "b")
		}, []string{"move a>b commit moved"}, false},
		{"the old one was released, and is managed again", func(t *testing.T, w *world) { both(t, w); formerly(w, "a") }, []string{"move a>b commit moved"}, false},
		{"the old one was released and is gone", func(t *testing.T, w *world) {
			w.want(t, "b", `{"x":1}`)
			w.own(t, "a", "1", `{"x":1}`)
			formerly(w, "a")
			w.move("a", "b")
		}, []string{"create b commit changed"}, false},
		{"what is live of the old one is gone", func(t *testing.T, w *world) {
			both(t, w)
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
		}, []string{"release a prune released", "create b commit changed"}, false},
		{"nobody knows whether the old one is there", func(t *testing.T, w *world) {
			both(t, w)
			w.Live = fabric.NewLive(noon, true, "", nil, nil)
		}, []string{"move a>b commit blocked not_seen"}, false},
		{"the mark was taken off the old one", func(t *testing.T, w *world) {
			both(t, w)
			w.live(fabric.Object{ID: "1", Kind: "job", Name: "a"})
		}, []string{"move a>b commit blocked mark_missing"}, false},
		{"the mark is that of the new key already", func(t *testing.T, w *world) {
			both(t, w)
			w.live(w.object(t, "b", "1", `{"x":1}`))
		}, []string{"move a>b commit moved"}, false},
		{"another one carries the mark of the new key", func(t *testing.T, w *world) {
			both(t, w)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.object(t, "b", "2", `{"x":1}`))
		}, []string{"move a>b commit blocked mark_unproven"}, false},
		{"two carry the mark of the new key", func(t *testing.T, w *world) {
			both(t, w)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.object(t, "b", "2", `{"x":1}`), w.object(t, "b", "3", `{"x":1}`))
		}, []string{"move a>b commit blocked mark_copied"}, false},
		{"a copy of the old one is nobody's", func(t *testing.T, w *world) {
			both(t, w)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.object(t, "a", "2", `{"x":1}`))
		}, []string{"move a>b commit moved"}, false},
		{"the release may lack what is in git", func(t *testing.T, w *world) { both(t, w); w.Partial = true }, []string{"move a>b commit blocked release_partial"}, false},
		{"the release may lack something, but the old one is known", func(t *testing.T, w *world) {
			both(t, w)
			w.Partial = true
			w.Desired.Unselect("a")
		}, []string{"move a>b commit moved"}, false},
		{"an intent about the old one is open", func(t *testing.T, w *world) { both(t, w); w.Open["a"] = true }, []string{"move a>b commit blocked intent_open"}, false},
		{"an intent about the new one is open", func(t *testing.T, w *world) { both(t, w); w.Open["b"] = true }, []string{"move a>b commit blocked intent_open"}, false},
		{"the old one may just be coming into being", func(t *testing.T, w *world) {
			w.want(t, "b", `{}`)
			w.move("a", "b")
			w.Open["a"] = true
		}, []string{"create b commit blocked intent_open"}, false},
		{"drift with heal off is put right with the move", func(t *testing.T, w *world) {
			both(t, w)
			w.Heal = false
			w.live(w.object(t, "a", "1", `{"x":7}`))
		}, []string{"move a>b commit moved"}, false},
		{"two entries in a row", func(t *testing.T, w *world) {
			w.want(t, "c", `{"x":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`))
			w.move("a", "b")
			w.move("b", "c")
		}, []string{"move a>c commit moved"}, false},
		{"two entries in a row, and the second of them is ours", func(t *testing.T, w *world) {
			w.want(t, "c", `{"x":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.own(t, "b", "2", `{"x":1}`))
			w.move("a", "b")
			w.move("b", "c")
		}, []string{"delete a prune deferred absent_once", "move b>c commit moved"}, false},
		{"and back", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.live(w.own(t, "b", "1", `{"x":1}`))
			w.move("a", "b")
			w.move("b", "a")
		}, []string{"move b>a commit moved"}, false},
		{"two that changed places are both in the release", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":2}`)
			w.want(t, "b", `{"x":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.own(t, "b", "2", `{"x":2}`))
			w.move("a", "b")
			w.move("b", "a")
		}, []string{"update a commit changed", "update b commit changed"}, false},
		{"to itself", func(t *testing.T, w *world) { w.live(w.own(t, "a", "1", `{}`)); w.want(t, "a", `{}`); w.move("a", "a") }, []string{"keep a up_to_date"}, true},
		{"another kind is another thing", func(t *testing.T, w *world) {
			w.Desired.Add(fabric.Resource{Key: "b", Kind: "dag", Name: "b", Doc: doc(t, `{}`)})
			w.live(w.own(t, "a", "1", `{}`))
			w.move("a", "b")
		}, []string{"delete a prune deferred absent_once", "create b commit changed"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.setup(t, w)
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff(tt.want, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if p.Empty() != tt.empty {
				t.Errorf("Empty() = %v, want %v", p.Empty(), tt.empty)
			}
			if again := NewPlan(w.PlanInput); again.Digest != p.Digest || cmp.Diff(lines(again), lines(p)) != "" {
				t.Error("the same input gave another plan")
			}
		})
	}
}

// What a move holds: the live resource, its fields against what was applied under the old key, and the old key.
func TestNewPlanMove(t *testing.T) {
	w := newWorld()
	w.want(t, "b", `{"x":2,"y":1}`)
	w.own(t, "a", "7", `{"x":1,"y":1}`)
	w.live(w.object(t, "a", "7", `{"x":1,"y":5}`))
	w.move("a", "b")
	w.Desired.Add(fabric.Resource{Key: "c", Kind: "job", Name: "c", Needs: []fabric.Key{"b"}, Doc: fabric.NewDoc(map[string]any{"job_id": fabric.Ref{Kind: "job", Key: "b"}})})
	w.Absences["a"] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
	p := NewPlan(w.PlanInput)
	if diff := cmp.Diff([]string{"move a>b commit moved", "create c commit changed"}, lines(p)); diff != "" {
		t.Fatal(diff)
	}
	c := p.Changes[0]
	if c.ID != "7" || c.From != "a" || c.Key != "b" || c.Owner.Key != "b" || c.Mark.Nonce != "n7" {
		t.Errorf("it moves %s to %s, owner %s, id %s, nonce %s", c.From, c.Key, c.Owner.Key, c.ID, c.Mark.Nonce)
	}
	causes := map[string]fabric.Cause{}
	for _, f := range c.Fields {
		causes[f.Path] = f.Cause
	}
	if diff := cmp.Diff(map[string]fabric.Cause{"x": fabric.Commit, "y": fabric.Drift}, causes); diff != "" {
		t.Error(diff)
	}
	if refs := p.Changes[1].Desired.Refs(); len(refs) > 0 {
		t.Errorf("what refers to it by its new key does not get its id: %v", refs)
	}
	if p.Counts.Move != 1 || p.Counts.String() != "1 create, 1 move" || len(p.Free()) != 2 || len(p.Absent) != 0 {
		t.Errorf("%s, %d free, absent %v", p.Counts, len(p.Free()), p.Absent)
	}
	if diff := cmp.Diff([]fabric.Key{"a"}, p.Back); diff != "" {
		t.Errorf("its absence: %s", diff)
	}
	other := c
	other.From = "z"
	if other.Digest() == c.Digest() {
		t.Error("where it moves from does not count in the digest")
	}
	o := w.Owned["a"]
	o.Refused = c.Digest()
	w.Owned["a"] = o
	if got := lines(NewPlan(w.PlanInput)); got[0] != "move a>b commit blocked fabric_refused" {
		t.Errorf("the refused move: %s", got)
	}
}

// A release that was let go of is taken back by the move that finds it.
func TestNewPlanMoveTakesBack(t *testing.T) {
	w := newWorld()
	w.want(t, "b", `{"x":1}`)
	w.live(w.own(t, "a", "1", `{"x":1}`))
	w.Formerly["a"] = w.Owned["a"]
	delete(w.Owned, "a")
	w.move("a", "b")
	if p := NewPlan(w.PlanInput); cmp.Diff([]fabric.Key{"a"}, p.Taken) != "" || p.Counts.Move != 1 {
		t.Errorf("taken %v, %s", p.Taken, p.Counts)
	}
}

func TestNewPlanOutside(t *testing.T) {
	t.Parallel()
	file, secret := fabric.Outside{Kind: fabric.OutsideFile, Name: "/Volumes/a/x.whl"}, fabric.Outside{Kind: fabric.OutsideSecret, Name: "scope/key"}
	start := func(t *testing.T) *world {
		w := newWorld()
		w.Desired.Add(fabric.Resource{Key: "a", Kind: "job", Name: "a", Doc: doc(t, `{"x":1}`), Outside: []fabric.Outside{file, secret}})
		w.want(t, "b", `{"x":1}`)
		return w
	}
	for _, tt := range []struct {
		name  string
		setup func(*testing.T, *world)
		want  string
		asks  []fabric.Outside
	}{
		{"nobody has asked", func(*testing.T, *world) {}, "create a commit blocked not_seen", []fabric.Outside{file, secret}},
		{"all is there", func(t *testing.T, w *world) {
			w.Outside = map[fabric.Outside]fabric.Sight{file: {Presence: fabric.Present}, secret: {Presence: fabric.Present}}
		}, "create a commit changed", []fabric.Outside{file, secret}},
		{"one is missing", func(t *testing.T, w *world) {
			w.Outside = map[fabric.Outside]fabric.Sight{file: {Presence: fabric.Present}, secret: {Presence: fabric.Absent}}
		}, "create a commit blocked outside_missing", []fabric.Outside{file, secret}},
		{"one is not known", func(t *testing.T, w *world) {
			w.Outside = map[fabric.Outside]fabric.Sight{file: {Presence: fabric.Present}}
		}, "create a commit blocked not_seen", []fabric.Outside{file, secret}},
		{"an update", func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":0}`))
			w.Outside = map[fabric.Outside]fabric.Sight{file: {Presence: fabric.Absent}}
		}, "update a commit blocked outside_missing", []fabric.Outside{file, secret}},
		{"a move", func(t *testing.T, w *world) {
			w.live(w.own(t, "z", "1", `{"x":1}`))
			w.move("z", "a")
		}, "move z>a commit blocked not_seen", []fabric.Outside{file, secret}},
		{"nothing to write asks nothing", func(t *testing.T, w *world) { w.live(w.own(t, "a", "1", `{"x":1}`)) }, "keep a up_to_date", nil},
		{"what is blocked anyway asks nothing", func(t *testing.T, w *world) { w.Open["a"] = true }, "create a commit blocked intent_open", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			tt.setup(t, w)
			p := NewPlan(w.PlanInput)
			if got := lines(p)[0]; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.asks, p.Asks); diff != "" {
				t.Errorf("asks: %s", diff)
			}
			if got := lines(p)[1]; got != "create b commit changed" {
				t.Errorf("the other job: %s", got)
			}
		})
	}
}
