package fabrictest

import (
	"fmt"
	"slices"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

func stepsHoldEachChange(w *world) {
	w.deploy(w.Release(w, one("kept"), one("changed"), one("dropped"), one("was"), Spec{Key: "jobs/dropped2", Name: "dropped2", Runs: []string{"jobs/dropped"}}))
	changed := one("changed")
	changed.Text = "second"
	changed.Runs = []string{"jobs/c"}
	is := one("was")
	is.Key = "jobs/is"
	w.book.Move("jobs/was", "jobs/is")
	next := w.Release(w, append(chain(), one("kept"), changed, is)...)
	var changes []fabric.Change
	for _, c := range w.plan(next) {
		if c.Counts() {
			changes = append(changes, c)
		}
	}
	if len(changes) != 7 {
		w.Fatalf("%d changes, want 3 creates, 1 update, 1 move, 2 deletes", len(changes))
	}
	steps := w.f.Steps(changes)
	byID := map[string]fabric.Step{}
	of := map[fabric.Key]string{}
	for _, s := range steps {
		if _, twice := byID[s.ID]; twice || s.ID == "" {
			w.Errorf("step id %q is empty or not unique", s.ID)
		}
		byID[s.ID] = s
		for _, c := range s.Changes {
			if in, twice := of[c.Key]; twice {
				w.Errorf("%s is in the steps %q and %q", c.Key, in, s.ID)
			}
			of[c.Key] = s.ID
		}
	}
	for _, c := range changes {
		if of[c.Key] == "" {
			w.Errorf("%s is in no step", c.Key)
		}
	}
	before := map[string]map[string]bool{} // all that must be done before a step
	var visit func(id string, path []string) map[string]bool
	visit = func(id string, path []string) map[string]bool {
		if slices.Contains(path, id) {
			w.Fatalf("steps wait for each other: %v", append(path, id))
		}
		if all, ok := before[id]; ok {
			return all
		}
		all := map[string]bool{}
		for _, a := range byID[id].After {
			if _, ok := byID[a]; !ok {
				w.Errorf("step %q waits for %q, which is not there", id, a)
			}
			all[a] = true
			for b := range visit(a, append(path, id)) {
				all[b] = true
			}
		}
		before[id] = all
		return all
	}
	for _, s := range steps {
		visit(s.ID, nil)
	}
	for _, c := range changes {
		for _, other := range changes {
			switch mine, theirs := of[c.Key], of[other.Key]; {
			case c.Action == fabric.Delete && other.Action != fabric.Delete && mine != theirs && !before[mine][theirs]:
				w.Errorf("%s is deleted before %s is %sd", c.Key, other.Key, other.Action)
			case slices.Contains(c.Desired.Refs(), fabric.Ref{Kind: other.Kind, Key: other.Key}) && !before[mine][theirs]:
				w.Errorf("%s refers to %s, whose step is not before its own", c.Key, other.Key)
			}
		}
	}
	text := func(steps []fabric.Step) string {
		var b strings.Builder
		for _, s := range steps {
			fmt.Fprintf(&b, "%s after %v\n", s.ID, s.After)
		}
		return b.String()
	}
	if first, again := text(steps), text(w.f.Steps(changes)); first != again {
		w.Errorf("not the same steps twice:\n%s\n%s", first, again)
	}
	w.deploy(next)
	w.converged(next, "jobs/a", "jobs/b", "jobs/c", "jobs/changed", "jobs/is", "jobs/kept")
}

func noDrift(w *world) {
	long := strings.Repeat("long ", 100)
	many := []Spec{}
	for i := range 30 {
		many = append(many, one(fmt.Sprintf("many_%02d", i)))
	}
	for _, shape := range []struct {
		name  string
		specs []Spec
	}{
		{"one", []Spec{one("a")}},
		{"empty text", []Spec{{Key: "jobs/a", Name: "a"}}},
		{"odd text", []Spec{{Key: "jobs/a", Name: "a", Text: "quote \" back \\ <&> é 日本 \u2028 ${x} {{y}}"}}},
		{"long text", []Spec{{Key: "jobs/a", Name: "a", Text: long}}},
		{"odd keys", []Spec{{Key: "jobs/a.b", Name: "a.b"}, {Key: "jobs/a_b", Name: "a_b"}, {Key: "jobs/A_B", Name: "A_B"}}},
		{"chain", chain()},
		{"diamond", []Spec{{Key: "jobs/top", Name: "top", Runs: []string{"jobs/left", "jobs/right"}}, {Key: "jobs/left", Name: "left", Runs: []string{"jobs/end"}},
			{Key: "jobs/right", Name: "right", Runs: []string{"jobs/end"}}, {Key: "jobs/end", Name: "end"}}},
		{"thirty", many},
	} {
		place := w.another()
		r := place.Release(place, shape.specs...)
		report := place.deploy(r)
		var keys []string
		for _, s := range shape.specs {
			keys = append(keys, s.Key)
		}
		for _, c := range report.Changes {
			if c.Action != fabric.Create {
				w.Errorf("%s: %s of %s on an empty fabric: %s", shape.name, c.Action, c.Key, c.Reason.Text)
			}
		}
		place.converged(r, keys...)
		place.restart()
		place.converged(r, keys...)
		if w.Failed() {
			w.Fatalf("in the shape %s", shape.name)
		}
	}
}

func references(w *world) {
	r := w.Release(w, chain()...)
	w.deploy(r)
	w.converged(r, chainKeys...)
	live := w.observe(fabric.Scope{Owned: w.book.Owned()})
	for _, k := range chainKeys {
		if obj, _, _ := w.lookup(live, k); len(obj.Doc.Refs()) > 0 {
			w.Errorf("%s shows a reference that is not resolved", k)
		}
		if refs := w.book.Known(fabric.Key(k)).Sent.Refs(); len(refs) > 0 {
			w.Errorf("%s was sent with references: %v", k, refs)
		}
	}
	// The middle one is made anew: what refers to it follows.
	w.Delete(w, w.id("jobs/b"))
	for range 2 { // a new id is known only when it is there
		w.deploy(r)
	}
	w.converged(r, chainKeys...)
}

func onlyWhatChanged(w *world) {
	w.deploy(w.Release(w, one("a"), one("b"), one("c")))
	other := map[string]string{"jobs/a": w.id("jobs/a"), "jobs/b": w.id("jobs/b"), "jobs/c": w.id("jobs/c")}
	b := one("b")
	b.Text = "second"
	next := w.Release(w, one("a"), b, one("c"))
	for _, c := range w.plan(next) {
		switch {
		case c.Key != "jobs/b" && (c.Action != fabric.Keep || len(c.Fields) > 0):
			w.Errorf("%s did not change, and its change is: %s %s", c.Key, c.Action, fieldsText(c.Fields))
		case c.Key == "jobs/b" && (c.Action != fabric.Update || len(c.Fields) != 1 || c.Fields[0].Cause != fabric.Commit):
			w.Errorf("the change of jobs/b is: %s %s", c.Action, fieldsText(c.Fields))
		}
	}
	begun := len(w.book.Intents())
	before, _, _ := w.lookup(w.observe(fabric.Scope{Owned: w.book.Owned()}), "jobs/b")
	w.deploy(next)
	if after, _, _ := w.lookup(w.observe(fabric.Scope{Owned: w.book.Owned()}), "jobs/b"); after.Mark != before.Mark || after.Mark.Nonce == "" {
		w.Errorf("an update changed the mark from %+v to %+v", before.Mark, after.Mark)
	}
	for _, i := range w.book.Intents()[begun:] {
		if len(i.Keys) != 1 || i.Keys[0] != "jobs/b" {
			w.Errorf("intent %q is about %v", i.Text, i.Keys)
		}
	}
	w.converged(next, "jobs/a", "jobs/b", "jobs/c")
	for k, id := range other {
		if w.id(k) != id {
			w.Errorf("%s has the id %s and had %s", k, w.id(k), id)
		}
	}
}

func editIsDrift(w *world) {
	r := w.Release(w, one("a"), one("b"))
	w.deploy(r)
	w.converged(r, "jobs/a", "jobs/b")
	id := w.id("jobs/a")
	for range 2 {
		path := w.Edit(w, id)
		for _, c := range w.plan(r) {
			switch {
			case c.Key == "jobs/b" && (c.Action != fabric.Keep || len(c.Fields) > 0):
				w.Errorf("nobody edited jobs/b: %s %s", c.Action, fieldsText(c.Fields))
			case c.Key == "jobs/a" && (c.Action != fabric.Update || len(c.Fields) != 1 || c.Fields[0].Path != path || c.Fields[0].Cause != fabric.Drift):
				w.Errorf("%s of jobs/a was edited, and its change is: %s %s", path, c.Action, fieldsText(c.Fields))
			}
		}
		w.deploy(r)
		w.converged(r, "jobs/a", "jobs/b")
		if w.id("jobs/a") != id {
			w.Errorf("putting it right gave it the id %s instead of %s", w.id("jobs/a"), id)
		}
		w.restart()
	}
}

// whoWrote: the nonce of the last intent stands on a resource, whatever else it was about, and an edit by hand leaves it there.
func whoWrote(w *world) {
	says := func(when, key string) {
		w.Helper()
		obj, p, why := w.lookup(w.observe(fabric.Scope{Owned: w.book.Owned()}), key)
		if p != fabric.Present {
			w.Fatalf("%s: %s is %s: %s", when, key, p, why.Text)
		}
		var last string
		for _, i := range w.book.Intents() {
			if slices.Contains(i.Keys, fabric.Key(key)) {
				last = i.Nonce
			}
		}
		if obj.Wrote != last || last == "" {
			w.Errorf("%s: %s says that %q wrote it last, and %q did", when, key, obj.Wrote, last)
		}
	}
	r := w.Release(w, one("a"), one("b"))
	w.deploy(r)
	says("made", "jobs/a")
	says("made", "jobs/b")
	w.Edit(w, w.id("jobs/a"))
	says("edited by hand", "jobs/a")
	w.deploy(r)
	says("put right", "jobs/a")
	says("not touched", "jobs/b")
	w.book.Move("jobs/a", "jobs/c")
	w.deploy(w.Release(w, Spec{Key: "jobs/c", Name: "a", Text: "first"}, one("b")))
	says("moved", "jobs/c")
}

func labelsRideAlong(w *world) {
	r := w.Release(w, one("a"), one("b"))
	w.binding.Tag, w.binding.Version = "hello/1.0.0", "1.0.0"
	w.deploy(r)
	w.converged(r, "jobs/a", "jobs/b")
	w.binding.Tag, w.binding.Version = "hello/1.1.0", "1.1.0"
	labelled := false
	for _, c := range w.plan(r) {
		labelled = labelled || c.Labels > 0
		if c.Action != fabric.Keep || len(c.Fields) > 0 {
			w.Errorf("another tag alone means: %s %s %s", c.Action, c.Key, fieldsText(c.Fields))
		}
	}
	before := w.Requests()
	w.deploy(r)
	if n := w.Requests() - before; n != 0 {
		w.Errorf("another tag alone sent %d requests", n)
	}
	b := one("b")
	b.Text = "second"
	next := w.Release(w, one("a"), b)
	w.deploy(next)
	for _, c := range w.plan(next) {
		if want := labelled && c.Key == "jobs/a"; c.Action != fabric.Keep || c.Labels > 0 != want {
			w.Errorf("after the next functional change of jobs/b: %s %s, %d labels differ, want any: %v", c.Action, c.Key, c.Labels, want)
		}
	}
}

func dropped(w *world) {
	w.deploy(w.Release(w, one("a"), one("b"), Spec{Key: "jobs/c", Name: "c", Runs: []string{"jobs/b"}}))
	known := w.book.Known("jobs/b")
	r := w.Release(w, one("a"))
	for _, c := range w.plan(r) {
		if want := map[fabric.Key]fabric.Action{"jobs/a": fabric.Keep, "jobs/b": fabric.Delete, "jobs/c": fabric.Delete}[c.Key]; c.Action != want {
			w.Errorf("%s: %s, want %s", c.Key, c.Action, want)
		}
	}
	w.deploy(r)
	w.converged(r, "jobs/a")
	live := w.observe(fabric.Scope{Owned: []fabric.Owned{known.Owned}})
	if _, p, why := live.Lookup(w.binding.Installation, known.Kind, known.Owner, known.ID); p != fabric.Absent {
		w.Errorf("what was deleted is %s: %s", p, why.Text)
	}
	again := w.Release(w, one("a"), one("b"))
	w.deploy(again)
	w.converged(again, "jobs/a", "jobs/b")
}

func deletingTheGone(w *world) {
	w.deploy(w.Release(w, one("a"), one("b")))
	r := w.Release(w, one("a"))
	var deletes []fabric.Change
	for _, c := range w.plan(r) {
		if c.Action == fabric.Delete {
			deletes = append(deletes, c)
			w.book.planned(c)
		}
	}
	w.Delete(w, w.id("jobs/b"))
	for _, s := range w.f.Steps(deletes) {
		if o := w.f.Do(w.Context(), s, w.book); o.Status != fabric.Done || len(o.Results) != 1 || o.Results[0].Status != fabric.Done {
			w.Errorf("step %s: %s %v %v", s.ID, o.Status, o.Err, o.Results)
		} else if err := Await(w.Context(), w.f, fabric.Step{ID: s.ID, Changes: s.Changes, Receipt: o.Receipt}); err != nil {
			w.Errorf("step %s: %v", s.ID, err)
		}
	}
	w.converged(r, "jobs/a")
}

func updatingTheGone(w *world) {
	w.deploy(w.Release(w, one("a"), one("b")))
	b := one("b")
	b.Text = "second"
	r := w.Release(w, one("a"), b)
	var updates []fabric.Change
	for _, c := range w.plan(r) {
		if c.Action == fabric.Update {
			updates = append(updates, c)
			w.book.planned(c)
		}
	}
	w.Delete(w, w.id("jobs/b"))
	for _, s := range w.f.Steps(updates) {
		// A step that only uploads may find its artifact there.
		if o := w.f.Do(w.Context(), s, w.book); len(s.Changes) > 0 && (o.Status == fabric.Done || o.Err == nil) {
			w.Errorf("step %s: %s, though what it updates is gone", s.ID, o.Status)
		}
	}
	w.deploy(r)
	w.converged(r, "jobs/a", "jobs/b")
}

func goneIsMadeAnew(w *world) {
	r := w.Release(w, one("a"), one("b"))
	w.deploy(r)
	w.Delete(w, w.id("jobs/b"))
	for _, c := range w.plan(r) {
		if want := map[fabric.Key]fabric.Action{"jobs/a": fabric.Keep, "jobs/b": fabric.Create}[c.Key]; c.Action != want {
			w.Errorf("%s: %s, want %s (%s)", c.Key, c.Action, want, c.Reason.Text)
		}
	}
	w.deploy(r)
	w.converged(r, "jobs/a", "jobs/b")
}

// moved is a release in which the job of another key is the one that was jobs/was, and one that runs it.
func (w *world) moved(key, name, text string) *artifacts.Release {
	return w.Release(w, Spec{Key: key, Name: name, Text: text}, Spec{Key: "jobs/caller", Name: "caller", Runs: []string{key}})
}

func movesInPlace(w *world) {
	w.deploy(w.moved("jobs/was", "same", "first"))
	id := w.id("jobs/was")
	nonce := w.mark("jobs/was").Nonce
	for _, m := range []struct{ from, to, name, text string }{
		{"jobs/was", "jobs/is", "same", "first"},
		{"jobs/is", "elsewhere/is", "same", "second"},
		{"elsewhere/is", "jobs/was", "same", "second"}, // and back
	} {
		kind := w.book.Known(fabric.Key(m.from)).Kind
		w.elsewhere("before it moved, under its new key", kind, m.to, id)
		w.book.Move(fabric.Key(m.from), fabric.Key(m.to))
		r := w.moved(m.to, m.name, m.text)
		n := 0
		for _, c := range w.plan(r) {
			if c.Action != fabric.Move {
				continue
			}
			if n++; c.Key != fabric.Key(m.to) || c.From != fabric.Key(m.from) || c.ID != id {
				w.Errorf("%s to %s: moves %s to %s, id %s", m.from, m.to, c.From, c.Key, c.ID)
			}
		}
		if n != 1 {
			w.Errorf("%s to %s: %d moves", m.from, m.to, n)
		}
		w.deploy(r)
		w.converged(r, "jobs/caller", m.to)
		if now := w.id(m.to); now != id {
			w.Errorf("%s to %s gave it the id %s instead of %s", m.from, m.to, now, id)
		}
		if mark := w.mark(m.to); mark.Nonce != nonce || mark.Key != fabric.Slug(m.to) {
			w.Errorf("%s to %s: the mark is %+v, the nonce was %s", m.from, m.to, mark, nonce)
		}
		w.elsewhere("after it moved, under its old key", kind, m.from, id)
		w.restart()
	}
}

// elsewhere checks that a resource is not taken for that of another key than its own.
func (w *world) elsewhere(when string, kind fabric.Kind, key, id string) {
	w.Helper()
	o := fabric.Owner{Deployment: w.binding.Deployment, Key: fabric.Key(key)}
	live := w.observe(fabric.Scope{Owned: w.book.Owned()})
	if _, p, why := live.Lookup(w.binding.Installation, kind, o, id); p != fabric.Unknown || why.Code != configs.MarkMissing {
		w.Errorf("%s %s, it is %s: %s", when, key, p, why.Text)
	}
	if _, p, why := live.Lookup(w.binding.Installation, kind, o, ""); p != fabric.Absent {
		w.Errorf("%s %s, something is %s: %s", when, key, p, why.Text)
	}
}

// mark is that of a key's live resource.
func (w *world) mark(key string) fabric.Mark {
	w.Helper()
	obj, p, why := w.lookup(w.observe(fabric.Scope{Owned: w.book.Owned()}), key)
	if p != fabric.Present {
		w.Fatalf("%s is %s: %s", key, p, why.Text)
	}
	return obj.Mark
}

func theGoneCantMove(w *world) {
	w.deploy(w.Release(w, one("was"), one("b")))
	is := one("was")
	is.Key = "jobs/is"
	r := w.Release(w, is, one("b"))
	w.book.Move("jobs/was", "jobs/is")
	var moves []fabric.Change
	for _, c := range w.plan(r) {
		if c.Action == fabric.Move {
			moves = append(moves, c)
			w.book.planned(c)
		}
	}
	if len(moves) != 1 {
		w.Fatalf("%d moves", len(moves))
	}
	w.Delete(w, w.id("jobs/was"))
	for _, s := range w.f.Steps(moves) {
		if o := w.f.Do(w.Context(), s, w.book); len(s.Changes) > 0 && (o.Status == fabric.Done || o.Err == nil) {
			w.Errorf("step %s: %s, though what it moves is gone", s.ID, o.Status)
		}
	}
	w.deploy(r)
	w.converged(r, "jobs/b", "jobs/is")
}

func foreignName(w *world) {
	id := w.Plant(w, "b")
	before := w.state()
	r := w.Release(w, one("b"))
	for _, c := range w.plan(r) {
		if c.Action != fabric.Create || c.Hindrance != fabric.Blocked || c.Reason.Code != configs.NameTaken {
			w.Errorf("%s: %s %s %s", c.Key, c.Action, c.Hindrance, c.Reason.Code)
		}
	}
	w.deploy(r)
	if n := w.Requests(); n != 0 {
		w.Errorf("%d requests beside a resource of the same name", n)
	}
	if after := w.state(); after != before {
		w.Errorf("the resource of the same name was touched:\n%s\n%s", before, after)
	}
	w.Delete(w, id)
	w.deploy(r)
	w.converged(r, "jobs/b")
}

func copiedMark(w *world) {
	r := w.Release(w, one("a"), one("b"))
	w.deploy(r)
	original := w.book.Known("jobs/a")
	copied := w.Copy(w, original.ID)
	live := w.observe(fabric.Scope{Owned: w.book.Owned()})
	if obj, p, why := w.lookup(live, "jobs/a"); p != fabric.Present || obj.ID != original.ID {
		w.Errorf("beside its copy the original %s is %s with the id %s: %s", original.ID, p, obj.ID, why.Text)
	}
	if obj, p, why := live.Lookup(w.binding.Installation, original.Kind, original.Owner, ""); p != fabric.Unknown || why.Code != configs.MarkCopied {
		w.Errorf("without an id, one of two is %s: %s %s", p, obj.ID, why.Code)
	}
	w.deploy(w.Release(w, one("b"))) // the original goes, and the copy is nobody's
	live = w.observe(fabric.Scope{Owned: []fabric.Owned{original.Owned}})
	if _, p, why := live.Lookup(w.binding.Installation, original.Kind, original.Owner, original.ID); p != fabric.Absent {
		w.Errorf("the original was dropped and is %s: %s", p, why.Text)
	}
	if !slices.ContainsFunc(live.Objects(), func(o fabric.Object) bool { return o.ID == copied }) {
		w.Error("the copy was deleted too")
	}
}
