package fabrictest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// Run checks what every fabric promises over places that h makes, one for each test.
func Run(t *testing.T, h Harness) {
	for _, tt := range []struct {
		name string
		body func(*world)
	}{
		{"an empty fabric is complete and empty", emptyFabric},
		{"observing changes nothing", observingChangesNothing},
		{"looking at some proves nothing of the rest", lookingAtSome},
		{"a fabric that can't be read is unknown", blindFabric},
		{"render is pure", renderIsPure},
		{"what can't be rendered is unknown", notRenderable},
		{"what is not selected is let go of", notSelected},
		{"steps hold each change once, in order", stepsHoldEachChange},
		{"no drift after a deploy", noDrift},
		{"references are resolved in order", references},
		{"only what the release changed is written", onlyWhatChanged},
		{"an edit by hand is drift in that field", editIsDrift},
		{"an edit between the look and the write is not overwritten", editBeforeTheWrite},
		{"a resource says who wrote it last", whoWrote},
		{"labels ride along", labelsRideAlong},
		{"what the release drops is deleted", dropped},
		{"deleting what is gone is done", deletingTheGone},
		{"updating what is gone makes nothing", updatingTheGone},
		{"what is gone is made anew", goneIsMadeAnew},
		{"what moves to another key stays the same resource", movesInPlace},
		{"what is gone can't move", theGoneCantMove},
		{"a resource of the same name is not ours", foreignName},
		{"a copied mark is nobody's", copiedMark},
		{"nothing is sent without an intent", noIntentNoRequest},
		{"every crash after a request is recovered from", crashAfterRequest},
		{"every lost response is recovered from", lostResponse},
		{"every broken request is recovered from", brokenRequest},
		{"a busy fabric is tried again", busyFabric},
		{"another process can ask whether a step has settled", receiptSurvives},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			body := func(t *testing.T) {
				p := h.New(t)
				w := &world{TB: t, Place: p, f: p.Open(t), binding: p.Binding(), book: NewBook(p.Binding().Deployment)}
				w.another = func() *world {
					p := h.New(t)
					return &world{TB: t, Place: p, f: p.Open(t), binding: p.Binding(), book: NewBook(p.Binding().Deployment)}
				}
				tt.body(w)
				for _, wrong := range w.book.Wrong() {
					t.Errorf("journal: %s", wrong)
				}
			}
			if h.In != nil {
				h.In(t, body)
			} else {
				body(t)
			}
		})
	}
}

// world is one test's place with what a process and a ledger know of it.
type world struct {
	testing.TB
	Place
	f       fabric.Fabric
	binding fabric.Binding
	book    *Book
	another func() *world
}

// restart is a new process with the same ledger.
func (w *world) restart() { w.f = w.Open(w.TB) }

func (w *world) observe(s fabric.Scope) *fabric.Live {
	w.Helper()
	live, err := w.f.Observe(w.Context(), s)
	if err != nil {
		w.Fatalf("observe: %v", err)
	}
	if w.binding.Root == "" {
		w.binding.Root = live.Root
	}
	return live
}

func (w *world) render(r *artifacts.Release) *fabric.Desired {
	w.Helper()
	w.observe(fabric.Scope{}) // for the root
	d, _, err := w.f.Render(r, w.binding)
	if err != nil {
		w.Fatalf("render: %v", err)
	}
	return d
}

func (w *world) deploy(r *artifacts.Release) Report {
	w.Helper()
	report, err := Deploy(w.Context(), w.f, r, w.binding, w.book)
	if err != nil {
		w.Fatalf("deploy: %v", err)
	}
	return report
}

func (w *world) plan(r *artifacts.Release) []fabric.Change {
	w.Helper()
	changes, err := Plan(w.Context(), w.f, r, w.binding, w.book)
	if err != nil {
		w.Fatalf("plan: %v", err)
	}
	return changes
}

// converged fails the test unless the fabric is what the release means, with one live resource for
// each key and no request left to send.
func (w *world) converged(r *artifacts.Release, keys ...string) {
	w.Helper()
	for _, c := range w.plan(r) {
		if c.Action != fabric.Keep || c.Hindrance != fabric.Free || len(c.Fields) > 0 || c.Labels > 0 {
			w.Errorf("%s is not converged: %s %s %s", c.Key, c.Action, c.Reason.Text, fieldsText(c.Fields))
		}
	}
	live := w.observe(fabric.Scope{Owned: w.book.Owned()})
	managed := 0
	for _, o := range live.Objects() {
		if o.Managed {
			managed++
		}
	}
	if managed != len(keys) || len(w.book.Owned()) != len(keys) {
		w.Errorf("%d live resources carry a mark and %d are in the book, want %d", managed, len(w.book.Owned()), len(keys))
	}
	for _, k := range keys {
		if _, p, why := w.lookup(live, k); p != fabric.Present {
			w.Errorf("%s is %s: %s", k, p, why.Text)
		}
	}
	if open := w.book.Open(); len(open) > 0 {
		w.Errorf("%d intents are open, the first: %s", len(open), open[0].Text)
	}
	before := w.Requests()
	w.deploy(r)
	if n := w.Requests() - before; n > 0 {
		w.Errorf("%d requests to deploy what is there", n)
	}
}

func (w *world) lookup(live *fabric.Live, key string) (fabric.Object, fabric.Presence, configs.Finding) {
	known := w.book.Known(fabric.Key(key))
	kind := known.Kind
	if kind == "" {
		for _, o := range live.Objects() {
			kind = o.Kind
		}
	}
	return live.Lookup(w.binding.Installation, kind, fabric.Owner{Deployment: w.binding.Deployment, Key: fabric.Key(key)}, known.ID)
}

// id is that of a key's live resource.
func (w *world) id(key string) string {
	w.Helper()
	known := w.book.Known(fabric.Key(key))
	if known.ID == "" {
		w.Fatalf("%s has no id", key)
	}
	return known.ID
}

// state is all that shows, as text.
func (w *world) state() string {
	w.Helper()
	var b strings.Builder
	for _, o := range w.observe(fabric.Scope{}).Objects() {
		fmt.Fprintf(&b, "%s %s %q %+v %s\n", o.Kind, o.ID, o.Name, o.Mark, o.Doc.Canonical())
	}
	return b.String()
}

func fieldsText(fields []fabric.Field) string {
	b, err := json.Marshal(fields)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func one(key string) Spec { return Spec{Key: "jobs/" + key, Name: key, Text: "first"} }

// chain is three resources of which each runs the next, in an order that is not theirs.
func chain() []Spec {
	b := Spec{Key: "jobs/b", Name: "b", Runs: []string{"jobs/c"}}
	a := Spec{Key: "jobs/a", Name: "a", Runs: []string{"jobs/b"}}
	return []Spec{b, {Key: "jobs/c", Name: "c"}, a}
}

var chainKeys = []string{"jobs/a", "jobs/b", "jobs/c"}

func emptyFabric(w *world) {
	live := w.observe(fabric.Scope{})
	if !live.Complete || len(live.Objects()) != 0 || len(live.Pending) != 0 || live.At.IsZero() {
		w.Errorf("complete %v, %d objects, %d pending, at %v", live.Complete, len(live.Objects()), len(live.Pending), live.At)
	}
	d := w.render(w.Release(w))
	if len(d.Keys()) != 0 || len(w.f.Steps(nil)) != 0 {
		w.Errorf("an empty release means %v and no change %d steps", d.Keys(), len(w.f.Steps(nil)))
	}
	w.deploy(w.Release(w))
	if n := w.Requests(); n != 0 {
		w.Errorf("%d requests were sent to do nothing", n)
	}
}

func observingChangesNothing(w *world) {
	r := w.Release(w, chain()...)
	w.deploy(r)
	before, state := w.Requests(), w.state()
	var wg sync.WaitGroup
	for range 4 { // it is safe for concurrent use
		wg.Go(func() {
			if _, err := w.f.Observe(w.Context(), fabric.Scope{Owned: w.book.Owned()}); err != nil {
				w.Errorf("observe: %v", err)
			}
		})
	}
	wg.Wait()
	w.observe(fabric.Scope{Only: w.book.Owned()})
	if n := w.Requests() - before; n != 0 {
		w.Errorf("looking sent %d changing requests", n)
	}
	if diff := cmp.Diff(state, w.state()); diff != "" {
		w.Errorf("looking changed (-before +after):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	if live, err := w.f.Observe(ctx, fabric.Scope{}); err == nil {
		w.Errorf("a look that was cut off succeeds with %d objects", len(live.Objects()))
	}
}

func lookingAtSome(w *world) {
	w.deploy(w.Release(w, one("a"), one("b")))
	known := w.book.Known("jobs/a")
	live := w.observe(fabric.Scope{Only: []fabric.Owned{known.Owned}})
	if live.Complete {
		w.Error("a look at one resource calls itself complete")
	}
	if _, p, why := w.lookup(live, "jobs/a"); p != fabric.Present {
		w.Errorf("the one is %s: %s", p, why.Text)
	}
	if _, p, _ := w.lookup(live, "jobs/b"); p == fabric.Absent {
		w.Error("one that was not looked at is absent")
	}
	if _, p, _ := live.Lookup(w.binding.Installation, known.Kind, fabric.Owner{Deployment: w.binding.Deployment, Key: "jobs/new"}, ""); p != fabric.Unknown {
		w.Errorf("one that was never made is %s in a look at another", p)
	}
	w.Delete(w, known.ID)
	if _, p, why := w.lookup(w.observe(fabric.Scope{Only: []fabric.Owned{known.Owned}}), "jobs/a"); p != fabric.Absent {
		w.Errorf("one that is gone is %s: %s", p, why.Text)
	}
}

func blindFabric(w *world) {
	r := w.Release(w, one("a"), one("b"))
	w.deploy(r)
	before := w.Requests()
	w.Fault(Blind, 0)
	live, err := w.f.Observe(w.Context(), fabric.Scope{Owned: w.book.Owned()})
	if err == nil {
		for _, k := range []string{"jobs/a", "jobs/b"} {
			if _, p, _ := w.lookup(live, k); p == fabric.Absent {
				w.Errorf("%s is absent in a fabric that can't be read", k)
			}
		}
		if _, p, _ := w.lookup(live, "jobs/new"); p == fabric.Absent {
			w.Error("what was never made is absent in a fabric that can't be read")
		}
	}
	// Neither the release's resources nor their removal may lead to a request now.
	Deploy(w.Context(), w.f, w.Release(w, one("a"), one("new")), w.binding, w.book)
	if n := w.Requests() - before; n != 0 {
		w.Errorf("%d changing requests to a fabric that can't be read", n)
	}
	w.Fault(None, 0)
	w.converged(r, "jobs/a", "jobs/b")
}

func receiptSurvives(w *world) {
	r := w.Release(w, one("a"), one("b"))
	changes := w.plan(r)
	for _, c := range changes {
		w.book.planned(c)
	}
	for _, s := range w.f.Steps(changes) {
		o := w.f.Do(w.Context(), s, w.book)
		if o.Status != fabric.Done || len(o.Results) != len(s.Changes) {
			w.Fatalf("step %s: %s, %v, %d results for %d changes", s.ID, o.Status, o.Err, len(o.Results), len(s.Changes))
		}
		again := fabric.Step{ID: s.ID, Receipt: o.Receipt}
		text, err := json.Marshal(s.Changes)
		if err == nil {
			err = json.Unmarshal(text, &again.Changes)
		}
		if err != nil {
			w.Fatalf("changes as JSON: %v", err)
		}
		w.restart()
		if err := Await(w.Context(), w.f, again); err != nil {
			w.Errorf("step %s: %v", s.ID, err)
		}
	}
	if err := readBack(w.Context(), w.f, w.binding, w.book, changes); err != nil {
		w.Fatal(err)
	}
	w.restart()
	w.converged(r, "jobs/a", "jobs/b")
}

var errFull = errors.New("no space left on device")
