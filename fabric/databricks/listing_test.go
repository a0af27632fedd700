package databricks

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// fleet fills a workspace with foreign jobs, the oldest, and with ours, and returns ours as the ledger owns them.
func fleet(t *testing.T, r *rig, foreign, ours int) []fabric.Owned {
	t.Helper()
	for i := range foreign {
		if _, err := r.e.CreateJob([]byte(settings(fmt.Sprint("foreign ", i), 1))); err != nil {
			t.Fatal(err)
		}
	}
	var all []fabric.Owned
	for i := range ours {
		key := fmt.Sprintf("jobs/j%03d", i)
		c := creation(t, key, key)
		o := r.w.Do(t.Context(), step(c), r.journal)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		all = append(all, fabric.Owned{Owner: c.Owner, Kind: Job, ID: o.Results[0].ID})
	}
	return all
}

// presences counts what a look says of what is owned.
func presences(l *fabric.Live, owned []fabric.Owned) map[fabric.Presence]int {
	n := map[fabric.Presence]int{}
	for _, o := range owned {
		_, p, _ := l.Lookup(installation, Job, o.Owner, o.ID)
		n[p]++
	}
	return n
}

func remove(t *testing.T, r *rig, owned []fabric.Owned) {
	t.Helper()
	for _, o := range owned {
		n, err := strconv.ParseInt(o.ID, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.e.DeleteJob(n); err != nil {
			t.Fatal(err)
		}
	}
}

// TestListLies: a list that lacks jobs is not believed, whether the daemon has seen a better one or has only
// the ledger to go by, and asks for a bounded number of jobs by their ids. Nothing that is there is ever absent.
func TestListLies(t *testing.T) {
	for name, trouble := range map[string]emulator.ListTrouble{
		"a page comes twice":         {Repeat: 1},
		"a page is empty":            {Drop: 2},
		"it ends after a page":       {Truncate: 1},
		"it lacks nearly the budget": {Lacks: 9},
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, seen before: %v", name, before), func(t *testing.T) {
				inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
					owned := fleet(t, r, 100, 150)
					s := fabric.Scope{Owned: owned, Apart: time.Second}
					if before {
						if live, err := r.w.Observe(t.Context(), s); err != nil || !live.Complete {
							t.Fatal(err)
						}
					} else {
						r.open(t, "http://emulator", Options{Transport: r.w.base})
						defer r.w.Close()
					}
					r.e.TroubleList(trouble)
					for range 5 { // however often it says so: what is asked for by id is there
						r.e.ResetJournal()
						live, err := r.w.Observe(t.Context(), s)
						if trouble.Repeat > 0 {
							if err == nil || !strings.Contains(err.Error(), "100 of the 100 jobs of a page were on earlier ones") {
								t.Fatalf("got %v", err)
							}
							continue
						}
						if err != nil {
							t.Fatal(err)
						}
						n := presences(live, owned)
						if n[fabric.Absent] > 0 || live.Complete || live.Doubt.Code != configs.ListShort || live.Doubt.Subject != "test" {
							t.Fatalf("%v, complete %v, %+v", n, live.Complete, live.Doubt)
						}
						if gets := r.e.Count("GET " + getPath); gets == 0 || gets > lookedFor {
							t.Errorf("%d jobs were asked for by their ids", gets)
						}
						_, p, why := live.Lookup(installation, Job, fabric.Owner{Deployment: "shop@test", Key: "jobs/new"}, "")
						if p != fabric.Unknown || why.Code != configs.NotSeen {
							t.Errorf("a job that was never seen is %s", p)
						}
						time.Sleep(10 * time.Second)
					}
					r.e.TroubleList(emulator.ListTrouble{})
					live, err := r.w.Observe(t.Context(), s)
					if err != nil || !live.Complete || live.Doubt.Code != "" || presences(live, owned)[fabric.Present] != len(owned) {
						t.Errorf("afterwards: complete %v, %v, %v", live.Complete, presences(live, owned), err)
					}
				})
			})
		}
	}
}

// TestManyDeletedByHand: what somebody really deleted becomes absent as the workspace says so of each, some at each look;
// the list is believed when another one agrees.
func TestManyDeletedByHand(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		owned := fleet(t, r, 20, 100)
		s := fabric.Scope{Owned: owned, Apart: time.Minute}
		look := func() *fabric.Live {
			t.Helper()
			r.e.ResetJournal()
			live, err := r.w.Observe(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if gets := r.e.Count("GET " + getPath); gets > lookedFor {
				t.Errorf("%d jobs were asked for by their ids", gets)
			}
			return live
		}
		look()
		remove(t, r, owned[:20]) // a fifth, each of which can be asked for at once
		if live := look(); !live.Complete || presences(live, owned)[fabric.Absent] != 20 {
			t.Errorf("20 deleted: complete %v, %v", live.Complete, presences(live, owned))
		}
		if look(); r.e.Count("*") != 1 {
			t.Errorf("what is known to be gone is asked for again: %d requests", r.e.Count("*"))
		}
		remove(t, r, owned[20:]) // 80
		for i, want := range []struct {
			after    time.Duration
			complete bool
			absent   int
		}{{0, false, 45}, {time.Second, false, 70}, {time.Minute, true, 95}, {time.Minute, true, 100}, {0, true, 100}} {
			time.Sleep(want.after)
			live := look()
			if n := presences(live, owned); live.Complete != want.complete || n[fabric.Absent] != want.absent || n[fabric.Present] != 0 {
				t.Errorf("look %d: complete %v, %v; want %+v", i, live.Complete, n, want)
			}
		}
		if n := r.e.Count("GET " + getPath); n != 0 {
			t.Errorf("%d are asked for when all is known", n)
		}
	})
}

// TestManyHidden: a workspace that no longer shows us jobs, nor says that they do not exist, makes none absent. Its list
// is believed as to what else it lacks when another one agrees.
func TestManyHidden(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		owned := fleet(t, r, 0, 40)
		s := fabric.Scope{Owned: owned, Apart: time.Minute}
		if _, err := r.w.Observe(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for _, o := range owned[:30] {
			n, _ := strconv.ParseInt(o.ID, 10, 64)
			r.e.HideJob(n, "")
		}
		for i, complete := range []bool{false, true, true} {
			live, err := r.w.Observe(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if n := presences(live, owned); live.Complete != complete || n[fabric.Unknown] != 30 || n[fabric.Present] != 10 {
				t.Errorf("look %d: complete %v, %v", i, live.Complete, n)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestWhatWeDeleteIsNotMissed: a release that drops many jobs makes no list doubtful.
func TestWhatWeDeleteIsNotMissed(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		owned := fleet(t, r, 0, 60)
		r.look(t)
		for _, o := range owned[:50] {
			live := r.object(t, o.ID)
			c := fabric.Change{Action: fabric.Delete, Key: o.Key, Kind: Job, ID: o.ID, Owner: o.Owner, Live: live.Doc, Mark: live.Mark}
			if out := r.w.Do(t.Context(), step(c), r.journal); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		r.e.ResetJournal()
		live, err := r.w.Observe(t.Context(), fabric.Scope{Owned: owned[50:]})
		if err != nil || !live.Complete || r.e.Count("*") != 1 {
			t.Errorf("complete %v after %d requests, %v", live.Complete, r.e.Count("*"), err)
		}
		if n := len(r.w.expect.removed); n != 0 {
			t.Errorf("%d deletions are remembered for ever", n)
		}
	})
}

// TestForeignJobsVanish: half a list shows in the jobs of others too.
func TestForeignJobsVanish(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		owned := fleet(t, r, 250, 5)
		s := fabric.Scope{Owned: owned, Apart: time.Minute}
		if _, err := r.w.Observe(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		r.e.TroubleList(emulator.ListTrouble{Truncate: 1}) // all of ours, the newest, are on the first page
		live, err := r.w.Observe(t.Context(), s)
		if err != nil || live.Complete || live.Doubt.Code != configs.ListShort || presences(live, owned)[fabric.Present] != 5 {
			t.Errorf("complete %v, %+v, %v", live.Complete, live.Doubt, err)
		}
	})
}

// TestObserveForbidden: 403 is not 404, on the list and on a job.
func TestObserveForbidden(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		owned := fleet(t, r, 0, 3)
		s := fabric.Scope{Owned: owned, Apart: time.Second}
		r.e.Fault(emulator.Fault{Pattern: "GET " + listPath, Status: http.StatusForbidden, Times: -1})
		if live, err := r.w.Observe(t.Context(), s); err == nil {
			t.Errorf("403 on the list gives %d jobs", len(live.Objects()))
		}
		r.e.ClearFaults()
		remove(t, r, owned[:1])
		r.e.Fault(emulator.Fault{Pattern: "GET " + getPath, Status: http.StatusForbidden, Times: -1})
		for range 3 {
			live, err := r.w.Observe(t.Context(), s)
			if n := presences(live, owned); err != nil || n[fabric.Unknown] != 1 || n[fabric.Present] != 2 {
				t.Errorf("403 on a job: %v, %v", n, err)
			}
			time.Sleep(time.Minute)
		}
		r.e.ClearFaults()
		live, err := r.w.Observe(t.Context(), s)
		if n := presences(live, owned); err != nil || n[fabric.Absent] != 1 {
			t.Errorf("once it may be read: %v, %v", n, err)
		}
	})
}
