package fabrictest

import (
	"errors"

	"selvage/fabric"
)

// editBeforeTheWrite edits a resource by hand after it was looked at and before it is written: nothing is sent for it and no
// intent opened, and what is planned next knows of the edit.
func editBeforeTheWrite(w *world) {
	w.deploy(w.Release(w, one("a"), one("b"), one("was")))
	a, is := one("a"), one("was")
	a.Text, is.Key = "second", "jobs/is"
	w.book.Move("jobs/was", "jobs/is")
	r := w.Release(w, a, one("b"), is)
	edited := map[fabric.Key]string{}
	var changes []fabric.Change
	for _, c := range w.plan(r) {
		if c.Action.Sends() {
			changes = append(changes, c)
			w.book.planned(c)
			edited[c.Key] = w.Edit(w, c.ID)
		}
	}
	if len(changes) != 2 {
		w.Fatalf("%d changes, want an update and a move", len(changes))
	}
	state := w.state()
	for _, s := range w.f.Steps(changes) {
		before, begun := w.Requests(), len(w.book.Intents())
		o := w.f.Do(w.Context(), s, w.book)
		if len(s.Changes) == 0 {
			continue // an artifact goes there all the same
		}
		if n := w.Requests() - before; n != 0 || len(w.book.Intents()) != begun {
			w.Errorf("step %s: %d requests and %d intents over an edit that nobody has seen", s.ID, n, len(w.book.Intents())-begun)
		}
		if o.Status != fabric.Later || !errors.Is(o.Err, fabric.ErrChanged) {
			w.Errorf("step %s: %s %v, though what it writes was edited", s.ID, o.Status, o.Err)
		}
		for _, r := range o.Results {
			if r.Status != fabric.Later || r.Err == nil {
				w.Errorf("step %s: %s is %s %v", s.ID, r.Key, r.Status, r.Err)
			}
		}
	}
	if now := w.state(); now != state {
		w.Errorf("the edit was overwritten:\n%s\n%s", state, now)
	}
	for _, c := range w.plan(r) {
		path, was := edited[c.Key]
		seen := !was
		for _, f := range c.Fields {
			seen = seen || f.Path == path
		}
		if !seen {
			w.Errorf("planned anew, %s does not tell of the edit of %s: %s", c.Key, path, fieldsText(c.Fields))
		}
	}
	w.deploy(r)
	w.converged(r, "jobs/a", "jobs/b", "jobs/is")
}
