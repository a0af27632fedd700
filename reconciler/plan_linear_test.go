package reconciler

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// fullWorld has n resources in every state that a plan tells apart: as it should be, changed in git, drifted, new,
// gone from git, under another key, and referring to another.
func fullWorld(t testing.TB, n int) *world {
	w := newWorld()
	w.Prune = configs.Prune{Max: n, Percent: 100, ActiveRuns: configs.RunsIgnore}
	w.Moved = map[fabric.Key]fabric.Key{}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	var objects []fabric.Object
	// Documents are immutable, and making them is no part of a plan: all resources share two.
	sent := doc(t, `{"name":"x","tasks":[{"task_key":"a","n":1},{"task_key":"b","depends_on":["a"]}]}`)
	other := doc(t, `{"name":"x","tasks":[{"task_key":"a","n":2},{"task_key":"c"}]}`)
	for i := range n {
		k := fabric.Key(fmt.Sprintf("jobs/job_%06d", i))
		id := fmt.Sprint(i + 1)
		want := func(k fabric.Key, d fabric.Doc) {
			w.Desired.Add(fabric.Resource{Key: k, Kind: "job", Name: string(k), Doc: d})
		}
		own := func(live fabric.Doc) {
			w.Owned[k] = Owning{Applied{Kind: "job", ID: id, Name: string(k), Nonce: "n" + id}, sent, sent}
			objects = append(objects, fabric.Object{ID: id, Kind: "job", Name: string(k), Managed: true, Doc: live,
				Mark: fabric.MarkOf(inst, fabric.Owner{Deployment: dep, Key: k}, "n"+id)})
		}
		switch rng.IntN(8) {
		case 0, 1, 2: // as it should be
			want(k, sent)
			own(sent)
		case 3: // changed in git
			want(k, other)
			own(sent)
		case 4: // drifted
			want(k, sent)
			own(other)
		case 5: // new, and runs another one
			want(k, fabric.NewDoc(map[string]any{"name": "x", "runs": fabric.Ref{Kind: "job", Key: fabric.Key(fmt.Sprintf("jobs/job_%06d", rng.IntN(n)))}}))
		case 6: // gone from git
			own(sent)
			w.Absences[k] = Absence{noon.Add(-time.Hour), noon.Add(-time.Hour)}
		case 7: // under another key now
			want(k+"_now", sent)
			own(sent)
			w.Moved[k] = k + "_now"
		}
	}
	w.live(objects...)
	return w
}

// A plan costs in proportion to its resources. Work is counted as what it allocates; the times are printed.
func TestPlanIsLinear(t *testing.T) {
	sizes := []int{10, 100, 1000, 10_000, 100_000}
	var each []float64
	line := ""
	for _, n := range sizes {
		w := fullWorld(t, n)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begin := time.Now()
		p := NewPlan(w.PlanInput)
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		if len(p.Changes) != n || n > 100 && (p.Counts.Create == 0 || p.Counts.Update == 0 || p.Counts.Delete+p.Counts.Blocked == 0 || p.Counts.Move == 0) {
			t.Fatalf("%d resources: %d changes, %+v", n, len(p.Changes), p.Counts)
		}
		each = append(each, float64(after.TotalAlloc-before.TotalAlloc)/float64(n))
		line += fmt.Sprintf("; %d: %.1f KB and %.0f µs each", n, each[len(each)-1]/1000, float64(took.Microseconds())/float64(n))
	}
	for i := 3; i < len(sizes); i++ { // small plans have a part that does not grow
		if each[i] > 1.3*each[2] {
			t.Errorf("%d resources cost %.0f bytes each, and 1000 cost %.0f", sizes[i], each[i], each[2])
		}
	}
	report(t, fmt.Sprintf("a plan of n resources%s", line))
}
