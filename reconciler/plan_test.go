package reconciler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
)

const (
	inst = "inst0001"
	dep  = "hello@production"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rules = &fabric.Rules{Keys: map[string]string{"tasks": "task_key"}, Rest: atRest}
)

// world is a small fabric and what a release says about it.
type world struct{ PlanInput }

func newWorld() *world {
	return &world{PlanInput{
		Installation: inst, Deployment: dep, Desired: fabric.NewDesired(), Rules: func(fabric.Kind) *fabric.Rules { return rules },
		Owned: map[fabric.Key]Owning{}, Formerly: map[fabric.Key]Owning{}, Absences: map[fabric.Key]Absence{}, Open: map[fabric.Key]bool{},
		Sighting: noon, Apart: time.Minute, Prune: configs.Prune{Max: 5, Percent: 20, ActiveRuns: configs.RunsIgnore}, Heal: true,
		Live: fabric.NewLive(noon, true, "/root", nil, nil),
	}}
}

func doc(t testing.TB, s string) fabric.Doc {
	t.Helper()
	d, err := fabric.ParseDoc([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) want(t testing.TB, k fabric.Key, json string) {
	w.Desired.Add(fabric.Resource{Key: k, Kind: "job", Name: string(k), Doc: doc(t, json)})
}

func (w *world) live(objects ...fabric.Object) {
	w.Live = fabric.NewLive(noon, true, "/root", objects, nil)
}

func (w *world) own(t testing.TB, k fabric.Key, id, json string) fabric.Object {
	d := doc(t, json)
	w.Owned[k] = Owning{Applied{Kind: "job", ID: id, Name: string(k), Nonce: "n" + id}, d, d}
	return w.object(t, k, id, json)
}

func (w *world) object(t testing.TB, k fabric.Key, id, json string) fabric.Object {
	return fabric.Object{ID: id, Kind: "job", Name: string(k), Managed: true, Doc: doc(t, json),
		Mark: fabric.MarkOf(inst, fabric.Owner{Deployment: dep, Key: k}, "n"+id)}
}

// adopt is a live resource without a mark that a person accepted.
func (w *world) adopt(t testing.TB, k fabric.Key, id, json string) fabric.Object {
	w.Owned[k] = Owning{Applied: Applied{Kind: "job", ID: id, Name: string(k), Adopted: true}, Read: doc(t, json)}
	return fabric.Object{ID: id, Kind: "job", Name: string(k), Doc: doc(t, json)}
}

// lines says a plan in few words.
func lines(p Plan) []string {
	var s []string
	for _, c := range p.Changes {
		l := fmt.Sprintf("%s %s", c.Action, c.Key)
		if c.From != "" {
			l = fmt.Sprintf("%s %s>%s", c.Action, c.From, c.Key)
		}
		if c.Cause != "" {
			l += " " + string(c.Cause)
		}
		if c.Hindrance != "" {
			l += " " + string(c.Hindrance)
		}
		s = append(s, l+" "+string(c.Reason.Code))
	}
	return s
}

func TestNewPlan(t *testing.T) {
	t.Parallel()
	foreign := fabric.Object{ID: "7", Kind: "job", Name: "a"}
	tests := []struct {
		name  string
		setup func(t *testing.T, w *world)
		want  []string
		empty bool
	}{
		{"nothing", func(*testing.T, *world) {}, nil, true},
		{"a new job", func(t *testing.T, w *world) { w.want(t, "a", `{"x":1}`) }, []string{"create a commit changed"}, false},
		{"a job as it should be", func(t *testing.T, w *world) { w.want(t, "a", `{"x":1}`); w.live(w.own(t, "a", "1", `{"x":1}`)) }, []string{"keep a up_to_date"}, true},
		{"git changed a job", func(t *testing.T, w *world) { w.want(t, "a", `{"x":2}`); w.live(w.own(t, "a", "1", `{"x":1}`)) }, []string{"update a commit changed"}, false},
		{"somebody changed a job", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.own(t, "a", "1", `{"x":1}`)
			w.live(w.object(t, "a", "1", `{"x":3}`))
		}, []string{"update a drift drifted"}, false},
		{"drift with heal off", func(t *testing.T, w *world) {
			w.Heal = false
			w.want(t, "a", `{"x":1}`)
			w.own(t, "a", "1", `{"x":1}`)
			w.live(w.object(t, "a", "1", `{"x":3}`))
		}, []string{"update a drift blocked heal_off"}, false},
		{"drift with heal off, and a person", func(t *testing.T, w *world) {
			w.Heal, w.Force = false, true
			w.want(t, "a", `{"x":1}`)
			w.own(t, "a", "1", `{"x":1}`)
			w.live(w.object(t, "a", "1", `{"x":3}`))
		}, []string{"update a drift drifted"}, false},
		{"a foreign job has the name", func(t *testing.T, w *world) { w.want(t, "a", `{}`); w.live(foreign) }, []string{"create a commit blocked name_taken"}, false},
		{"a job that is renamed takes no name of a foreign job", func(t *testing.T, w *world) {
			w.want(t, "a", `{"name":"a"}`)
			o := w.own(t, "a", "1", `{"name":"b"}`)
			o.Name = "b"
			w.live(o, foreign)
		}, []string{"update a commit blocked name_taken"}, false},
		{"a foreign job of its name does not disturb a job that has it", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":2}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), foreign)
		}, []string{"update a commit changed"}, false},
		{"the mark was taken off", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.own(t, "a", "7", `{"x":1}`)
			w.live(foreign)
		}, []string{"update a blocked mark_missing"}, false},
		{"our mark on a job that the ledger does not know", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.live(w.object(t, "a", "9", `{"x":1}`))
		}, []string{"update a blocked mark_unproven"}, false},
		{"a copy of ours is nobody's", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), w.object(t, "a", "2", `{"x":1}`))
		}, []string{"keep a up_to_date"}, true},
		{"an owned job that the listing lacks is unknown", func(t *testing.T, w *world) { w.want(t, "a", `{"x":1}`); w.own(t, "a", "1", `{"x":1}`) },
			[]string{"update a blocked not_seen"}, false},
		{"an owned job that the fabric says is gone", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.own(t, "a", "1", `{"x":1}`)
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
		}, []string{"create a drift drifted"}, false},
		{"nothing is created from half a listing", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.Live = fabric.NewLive(noon, false, "", nil, nil)
		}, []string{"update a blocked not_seen"}, false},
		{"nothing is created where there may be more than we see", func(t *testing.T, w *world) {
			w.Unseen = "we are no admin"
			w.want(t, "a", `{"x":1}`)
			w.want(t, "b", `{"x":2}`)
			w.live(w.own(t, "b", "1", `{"x":1}`), w.own(t, "c", "2", `{}`))
			w.Absences["c"] = Absence{noon.Add(-time.Minute), noon.Add(-time.Minute)}
		}, []string{"create a commit blocked not_all_seen", "update b commit changed", "delete c prune pruned"}, false},
		{"a name that is seen says more", func(t *testing.T, w *world) {
			w.Unseen = "we are no admin"
			w.want(t, "a", `{}`)
			w.live(foreign)
		}, []string{"create a commit blocked name_taken"}, false},
		{"a job that can't be rendered stays", func(t *testing.T, w *world) {
			w.Desired.Block("a", configs.Found(configs.ArtifactMissing, "a", ""))
			w.live(w.own(t, "a", "1", `{"x":1}`))
		}, []string{"keep a blocked artifact_missing"}, true},
		{"absent once", func(t *testing.T, w *world) { w.live(w.own(t, "a", "1", `{}`)) }, []string{"delete a prune deferred absent_once"}, true},
		{"absent twice, a poll apart", func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{}`))
			w.Absences["a"] = Absence{noon.Add(-time.Minute), noon.Add(-time.Minute)}
		}, []string{"delete a prune pruned"}, false},
		{"absent twice, too soon", func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{}`))
			w.Absences["a"] = Absence{noon.Add(-time.Second), noon.Add(-time.Minute)}
		}, []string{"delete a prune deferred absent_once"}, true},
		{"absent twice, in one listing", func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{}`))
			w.Absences["a"] = Absence{noon.Add(-time.Minute), noon}
		}, []string{"delete a prune deferred absent_once"}, true},
		{"absent twice, half a listing", func(t *testing.T, w *world) {
			w.Live = fabric.NewLive(noon, false, "", []fabric.Object{w.own(t, "a", "1", `{}`)}, nil)
			w.Absences["a"] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
		}, []string{"delete a prune deferred absent_once"}, true},
		{"absent, and deleted by somebody", func(t *testing.T, w *world) {
			w.own(t, "a", "1", `{}`)
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
		}, []string{"release a prune released"}, false},
		{"left out by the configuration", func(t *testing.T, w *world) {
			w.Desired.Unselect("a")
			w.live(w.own(t, "a", "1", `{}`))
		}, []string{"release a released"}, false},
		{"covered by the configuration again", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`))
			w.Formerly["a"] = w.Owned["a"]
			delete(w.Owned, "a")
		}, []string{"keep a up_to_date"}, true},
		{"adopted, and not marked yet", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.live(w.adopt(t, "a", "7", `{"x":1}`))
		}, []string{"update a adoption adopted"}, false},
		{"adopted, and edited since", func(t *testing.T, w *world) {
			w.Force = true
			w.want(t, "a", `{"x":1}`)
			o := w.adopt(t, "a", "7", `{"x":1}`)
			o.Doc = doc(t, `{"x":2}`)
			w.live(o)
		}, []string{"update a adoption blocked adopted_edited"}, false},
		{"adopted, and edited since to what is wanted", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":2}`)
			o := w.adopt(t, "a", "7", `{"x":1}`)
			o.Doc = doc(t, `{"x":2}`)
			w.live(o)
		}, []string{"update a adoption adopted"}, false},
		{"adopted, and marked by somebody else since", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			o := w.adopt(t, "a", "7", `{"x":1}`)
			o.Managed, o.Mark = true, fabric.MarkOf("another", fabric.Owner{Deployment: dep, Key: "a"}, "n")
			w.live(o)
		}, []string{"update a blocked adopted_marked"}, false},
		{"adopted, and not read", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			o := w.adopt(t, "a", "7", `{"x":1}`)
			o.Doc = fabric.Doc{}
			w.live(o)
		}, []string{"update a blocked not_seen"}, false},
		{"adopted, and no longer in the release", func(t *testing.T, w *world) {
			w.live(w.adopt(t, "a", "7", `{"x":1}`))
			w.Absences["a"] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
		}, []string{"delete a prune blocked adopted_unmarked"}, false},
		{"adopted, and gone", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.adopt(t, "a", "7", `{"x":1}`)
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"7"})
		}, []string{"create a drift blocked adopted_heal_off"}, false},
		{"handed back", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.Handed = map[fabric.Key]bool{"a": true}
		}, []string{"keep a blocked disowned"}, true},
		{"an intent is open", func(t *testing.T, w *world) { w.want(t, "a", `{}`); w.Open["a"] = true }, []string{"create a commit blocked intent_open"}, false},
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

// A refusal holds just the change back that was refused.
func TestNewPlanRefused(t *testing.T) {
	w := newWorld()
	w.want(t, "a", `{"x":2}`)
	w.live(w.own(t, "a", "1", `{"x":1}`))
	o := w.Owned["a"]
	o.Refused, o.Why = NewPlan(w.PlanInput).Changes[0].Digest(), "no such node type"
	w.Owned["a"] = o
	p := NewPlan(w.PlanInput)
	if got := lines(p); got[0] != "update a commit blocked fabric_refused" {
		t.Errorf("the refused change: %s", got)
	}
	w.want(t, "a", `{"x":3}`)
	if got := lines(NewPlan(w.PlanInput)); got[0] != "update a commit changed" {
		t.Errorf("another change: %s", got)
	}
}

func TestNewPlanReferences(t *testing.T) {
	w := newWorld()
	w.Desired.Add(fabric.Resource{Key: "b", Kind: "job", Name: "b", Needs: []fabric.Key{"a"},
		Doc: fabric.NewDoc(map[string]any{"job_id": fabric.Ref{Kind: "job", Key: "a"}})})
	w.want(t, "a", `{"x":1}`)
	p := NewPlan(w.PlanInput)
	if diff := cmp.Diff([]string{"create a commit changed", "create b commit changed"}, lines(p)); diff != "" {
		t.Error(diff)
	}
	w.live(w.own(t, "a", "9007199254740993", `{"x":1}`), w.own(t, "b", "2", `{"job_id":9007199254740993}`))
	if p := NewPlan(w.PlanInput); p.Digest != "" {
		t.Errorf("a known id that is right is a change: %v", lines(p))
	}
	w.live(w.own(t, "a", "9007199254740993", `{"x":1}`), w.own(t, "b", "2", `{"job_id":9007199254740992}`))
	if p := NewPlan(w.PlanInput); p.Counts.Update != 1 {
		t.Errorf("an id that differs in its last digit is no change: %v", lines(p))
	}
}

// Over many random worlds: nothing is deleted that is not marked, owned, absent twice and within budget, or that goes
// on under another key; nothing unknown is written; nothing is made beside what it is a new key of; nothing is sent
// before what others put there was seen; and each owned resource has one change.
func TestNewPlanProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	deletes, moves, held := 0, 0, 0
	for range 20_000 {
		w := newWorld()
		w.Prune = configs.Prune{Max: rnd.IntN(4), Percent: rnd.IntN(101), ActiveRuns: configs.RunsIgnore}
		w.Heal = rnd.IntN(2) == 0
		var objects []fabric.Object
		var gone []string
		marked, sighted := map[fabric.Key]bool{}, map[fabric.Key]bool{}
		keys := rnd.Perm(6)
		for i := range rnd.IntN(4) { // no two lead to one
			w.move(fabric.Key(rune('a'+i)), fabric.Key(rune('a'+keys[i])))
		}
		thing := fabric.Outside{Kind: fabric.OutsideFile, Name: "/x"}
		w.Outside = map[fabric.Outside]fabric.Sight{thing: {Presence: fabric.Presence(rnd.IntN(3))}, warehouse: {Presence: fabric.Presence(rnd.IntN(3)), ID: []string{"", "w1"}[rnd.IntN(2)], Count: rnd.IntN(3)}}
		for i := range 6 {
			k := fabric.Key(rune('a' + i))
			id := fmt.Sprint(i + 1)
			if rnd.IntN(3) > 0 {
				o := w.own(t, k, id, `{"x":1}`)
				switch rnd.IntN(6) {
				case 0:
					gone = append(gone, id)
				case 1:
					if rnd.IntN(2) == 0 {
						w.Formerly[k] = w.Owned[k]
						delete(w.Owned, k)
						objects, marked[k] = append(objects, o), true
					}
				case 2:
					o.Mark, o.Managed = fabric.Mark{}, false
					objects = append(objects, o)
				default:
					objects, marked[k] = append(objects, o), true
				}
			}
			switch rnd.IntN(4) {
			case 0:
				r := fabric.Resource{Key: k, Kind: "job", Name: string(k), Doc: doc(t, fmt.Sprintf(`{"x":%d}`, rnd.IntN(2)))}
				switch rnd.IntN(4) {
				case 0:
					r.Outside = []fabric.Outside{thing}
				case 1:
					r = refersTo(k, fmt.Sprint(rnd.IntN(2)), warehouse)
				}
				w.Desired.Add(r)
			case 1:
				w.Desired.Block(k, configs.Found(configs.ArtifactMissing, string(k), ""))
			case 2:
				if rnd.IntN(4) == 0 {
					w.Desired.Unselect(k)
				}
			}
			if rnd.IntN(2) == 0 {
				ago := time.Duration(rnd.IntN(3)) * time.Minute
				w.Absences[k] = Absence{noon.Add(-ago), noon.Add(-ago)}
				sighted[k] = ago >= time.Minute
			}
		}
		complete := rnd.IntN(3) > 0
		w.Live = fabric.NewLive(noon, complete, "", objects, gone)
		p := NewPlan(w.PlanInput)
		n := 0
		about, ids := map[fabric.Key]int{}, map[string]int{}
		for _, c := range p.Changes {
			about[c.Key]++
			if c.From != "" {
				about[c.From]++
			}
			if c.ID != "" {
				ids[c.ID]++
			}
		}
		for k := range w.Owned {
			if about[k] != 1 {
				t.Fatalf("%d changes are about %s: %v, moved %v", about[k], k, lines(p), w.Moved)
			}
		}
		for id, n := range ids {
			if n > 1 {
				t.Fatalf("%d changes are about the live resource %s: %v, moved %v", n, id, lines(p), w.Moved)
			}
		}
		for _, c := range p.Free() {
			if r, _ := w.Desired.Lookup(c.Key); c.Action != fabric.Delete && len(r.Outside) > 0 {
				if held++; w.Outside[r.Outside[0]].Presence != fabric.Present || w.Outside[r.Outside[0]].Count > 1 && r.Outside[0].Kind.Named() {
					t.Fatalf("%s %s though what it needs is %v", c.Action, c.Key, w.Outside[r.Outside[0]])
				}
				if refs := c.Desired.Refs(); len(refs) > 0 {
					t.Fatalf("%s %s without knowing %v", c.Action, c.Key, refs)
				}
			}
			switch c.Action {
			case fabric.Delete:
				n++
				if k, moved := w.Moved[c.Key]; moved && k != c.Key {
					_, owned := w.Owned[k]
					_, formerly := w.Formerly[k]
					_, presence := w.Desired.Lookup(k)
					if !owned && !formerly && (presence != fabric.Absent || w.Desired.Unselected(k)) {
						t.Fatalf("deletes %s, which is %s now", c.Key, k)
					}
				}
				_, presence := w.Desired.Lookup(c.Key)
				if !marked[c.Key] || !sighted[c.Key] || !complete || presence != fabric.Absent || w.Desired.Unselected(c.Key) {
					t.Fatalf("deletes %s: marked %v, sighted twice %v, complete %v, desired %v", c.Key, marked[c.Key], sighted[c.Key], complete, presence)
				}
			case fabric.Update:
				if !marked[c.Key] {
					t.Fatalf("updates %s, which does not carry our mark", c.Key)
				}
			case fabric.Move:
				moves++
				_, owned := w.Owned[c.Key]
				was, ours := w.Owned[c.From]
				if !ours {
					was = w.Formerly[c.From]
				}
				if _, presence := w.Desired.Lookup(c.From); owned || was.ID == "" || was.ID != c.ID || ours && !marked[c.From] || presence != fabric.Absent {
					t.Fatalf("moves %s to %s: owned %v, id %s, was %s, marked %v, desired %v", c.From, c.Key, owned, c.ID, was.ID, marked[c.From], presence)
				}
			case fabric.Create:
				if !complete {
					t.Fatalf("creates %s on half a listing", c.Key)
				}
				for old, k := range w.Moved {
					_, ours := w.Owned[old]
					if _, owned := w.Owned[k]; k == c.Key && old != k && ours && !owned && !slices.Contains(gone, w.Owned[old].ID) {
						t.Fatalf("creates %s beside %s, which it was: %v", k, old, lines(p))
					}
				}
			}
		}
		if n > Allowed(w.Prune, len(w.Owned)) {
			t.Fatalf("deletes %d of %d, allowed %d", n, len(w.Owned), Allowed(w.Prune, len(w.Owned)))
		}
		deletes += n
	}
	t.Logf("20000 worlds, %d deletions, %d moves and %d changes that need something, none of them wrong", deletes, moves, held)
	if deletes == 0 || moves == 0 || held == 0 {
		t.Error("no world did: the test tests nothing")
	}
}
