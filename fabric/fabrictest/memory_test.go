package fabrictest

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"selvage/artifacts"
	"selvage/fabric"
)

// memoryPlace is a Memory with hands.
type memoryPlace struct {
	*Memory
	edits int
}

func (p *memoryPlace) Open(testing.TB) fabric.Fabric { return p.Memory }

func (p *memoryPlace) Binding() fabric.Binding {
	return fabric.Binding{Installation: "inst", Deployment: "hello@orchestration", FabricIDs: []string{"7"}, Tag: "hello/1.0.0"}
}

func (p *memoryPlace) Release(t testing.TB, specs ...Spec) *artifacts.Release {
	r := &artifacts.Release{Project: "hello", Commit: "c"}
	for _, s := range specs {
		raw, err := json.Marshal(map[string]any{"request": map[string]any{
			"name": s.Name, "doc": s.Text, "runs": s.Runs, "release": "tag {tag}", "schedule": "@daily",
			"tasks": []any{map[string]any{"task_id": "a"}, map[string]any{"task_id": "b", "after": []string{"a"}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		r.Jobs = append(r.Jobs, artifacts.Job{Key: s.Key, Name: s.Name, FabricID: "7", Raw: raw})
	}
	return r
}

func (p *memoryPlace) Edit(t testing.TB, id string) string {
	p.edits++
	check(t, p.Memory.Edit(id, "doc", "by hand "+strconv.Itoa(p.edits)))
	return "doc"
}

func (p *memoryPlace) Copy(t testing.TB, id string) string {
	copied, err := p.Memory.Copy(id)
	check(t, err)
	return copied
}

func (p *memoryPlace) Delete(t testing.TB, id string) { check(t, p.Remove(id)) }

func (p *memoryPlace) Plant(_ testing.TB, name string) string {
	p.Memory.Plant(name)
	return name
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMemory(t *testing.T) {
	for _, after := range []time.Duration{0, 7 * time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			Run(t, Harness{
				New: func(*testing.T) Place {
					return &memoryPlace{Memory: NewMemory(MemoryOptions{Installation: "inst", SettleAfter: after})}
				},
				In: synctest.Test,
			})
		})
	}
}

// memoryWorld is a Memory with a book, for a test in a bubble.
func memoryWorld(t *testing.T, after time.Duration) (*memoryPlace, *Book) {
	p := &memoryPlace{Memory: NewMemory(MemoryOptions{Installation: "inst", SettleAfter: after})}
	return p, NewBook(p.Binding().Deployment)
}

func TestMemoryTakesAllAsOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, book := memoryWorld(t, 7*time.Minute)
		start := time.Now()
		if _, err := Deploy(t.Context(), p, p.Release(t, one("a"), one("b"), one("gone")), p.Binding(), book); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 7*time.Minute {
			t.Errorf("settled after %v", took)
		}
		b := one("b")
		b.Text = "second"
		if _, err := Deploy(t.Context(), p, p.Release(t, one("a"), b, one("new")), p.Binding(), book); err != nil {
			t.Fatal(err)
		}
		if p.Commits() != 2 || p.Requests() != 2 || len(book.Intents()) != 2 {
			t.Errorf("%d commits, %d requests, %d intents for two deploys", p.Commits(), p.Requests(), len(book.Intents()))
		}
		if i := book.Intents()[1]; i.Op != fabric.OpCommit || len(i.Keys) != 3 {
			t.Errorf("the second intent is a %s of %v", i.Op, i.Keys)
		}
	})
}

func TestMemoryShowsTheOldStateUntilItSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, book := memoryWorld(t, 7*time.Minute)
		r := p.Release(t, one("a"))
		changes, err := Plan(t.Context(), p, r, p.Binding(), book)
		check(t, err)
		for _, c := range changes {
			book.planned(c)
		}
		step := p.Steps(changes)[0]
		o := p.Do(t.Context(), step, book)
		step.Receipt = o.Receipt
		if o.Status != fabric.Done || o.Receipt == "" {
			t.Fatalf("%s %v, receipt %q", o.Status, o.Err, o.Receipt)
		}
		due := time.Now().Add(7 * time.Minute)
		state, again, err := p.Settled(t.Context(), step)
		if state != fabric.Unsettled || !again.Equal(due) || err != nil {
			t.Errorf("at once: %v, again in %v, %v", state, time.Until(again), err)
		}
		time.Sleep(7*time.Minute - time.Nanosecond)
		live, err := p.Observe(t.Context(), fabric.Scope{Owned: book.Owned()})
		check(t, err)
		if len(live.Objects()) != 0 || live.Pending[o.Results[0].Nonce] != o.Receipt {
			t.Errorf("before it settles: %d objects, pending %v", len(live.Objects()), live.Pending)
		}
		// Ours by the book and not shown yet: neither absent, which would make it twice, nor present.
		if _, p, why := live.Lookup("inst", DAG, fabric.Owner{Deployment: "hello@orchestration", Key: "jobs/a"}, o.Results[0].ID); p != fabric.Unknown {
			t.Errorf("before it settles: %s %s", p, why.Text)
		}
		time.Sleep(time.Nanosecond)
		if state, _, err := p.Settled(t.Context(), step); state != fabric.Settled || err != nil {
			t.Errorf("in time: %v, %v", state, err)
		}
	})
}

func TestMemoryWithoutWhatWasReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, book := memoryWorld(t, time.Minute)
		r := p.Release(t, one("a"))
		_, err := Deploy(t.Context(), p, r, p.Binding(), book)
		check(t, err)
		again := NewBook(p.Binding().Deployment) // it knows nothing, and finds the dag by its mark
		changes, err := Plan(t.Context(), p, r, p.Binding(), again)
		check(t, err)
		if c := changes[0]; c.Action != fabric.Update || len(c.Fields) != 1 || c.Fields[0].Path != "schedule" {
			t.Errorf("beside its own spelling of the schedule: %s %s", c.Action, fieldsText(c.Fields))
		}
	})
}

func TestMemoryThatCantImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, book := memoryWorld(t, time.Minute)
		r := p.Release(t, one("a"), one("b"))
		r.Jobs[1].Raw = []byte(`{"request":{"name":"b","import_error":"No module named 'clean'"}}`)
		_, err := Deploy(t.Context(), p, r, p.Binding(), book)
		if err == nil || !strings.Contains(err.Error(), "not taken in: dag b can't be imported: No module named 'clean'") {
			t.Fatalf("a dag that can't be imported: %v", err)
		}
		live, err := p.Observe(t.Context(), fabric.Scope{Owned: book.Owned()})
		check(t, err)
		if len(live.Named(DAG, "a")) != 1 || len(live.Named(DAG, "b")) != 0 {
			t.Errorf("beside it: %v", live.Objects())
		}
	})
}

func TestMemoryRefusesAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, book := memoryWorld(t, 0)
		changes, err := Plan(t.Context(), p, p.Release(t, one("a"), one("b")), p.Binding(), book)
		check(t, err)
		p.Plant(t, "b") // somebody was faster
		o := p.Do(t.Context(), p.Steps(changes)[0], book)
		if o.Status != fabric.Refused || o.Results[0].Status != fabric.Later || o.Results[1].Status != fabric.Refused {
			t.Errorf("%s: %v", o.Status, o.Results)
		}
		if p.Commits() != 0 || len(book.Open()) != 0 {
			t.Errorf("%d commits, %d open intents", p.Commits(), len(book.Open()))
		}
	})
}

func TestMemoryInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, book := memoryWorld(t, time.Minute)
		r := p.Release(t, one("a"))
		r.Jobs[0].Raw = []byte(`{"name":"a"}`) // nothing that is spelled otherwise: what was read back is not known here
		changes, err := Plan(t.Context(), p, r, p.Binding(), book)
		check(t, err)
		book.planned(changes[0])
		p.Fault(LoseResponse, 1)
		p.Fault(Blind, 0)
		if o := p.Do(t.Context(), p.Steps(changes)[0], book); o.Status != fabric.Doubtful || o.Results[0].Status != fabric.Doubtful || o.Receipt != "" {
			t.Errorf("%s: %v", o.Status, o.Results)
		}
		if len(book.Open()) != 1 {
			t.Errorf("%d open intents", len(book.Open()))
		}
		p.Fault(None, 0)
		if _, err := Deploy(t.Context(), p, r, p.Binding(), book); err != nil {
			t.Fatal(err)
		}
		if p.Commits() != 1 || len(book.Open()) != 0 || book.Known("jobs/a").ID != "a" {
			t.Errorf("%d commits, %d open intents, id %q", p.Commits(), len(book.Open()), book.Known("jobs/a").ID)
		}
	})
}
