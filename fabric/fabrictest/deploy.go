package fabrictest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// Report is what one Deploy did.
type Report struct {
	Changes  []fabric.Change // all, also those that change nothing
	Steps    []fabric.Step   // those that were tried, in that order, with their receipts
	Outcomes []fabric.Outcome
}

// Deploy brings a fabric to what the release means on it: observe, render, compare, steps, do, settle,
// and look again. It is the loop without gates, budgets and patience. book stands for the ledger
// and outlives the process. The error joins those of the steps that were not done.
func Deploy(ctx context.Context, f fabric.Fabric, r *artifacts.Release, b fabric.Binding, book *Book) (Report, error) {
	var report Report
	changes, err := Plan(ctx, f, r, b, book)
	if err != nil {
		return report, err
	}
	report.Changes = changes
	var todo []fabric.Change
	for _, c := range changes {
		if c.Counts() && c.Hindrance == fabric.Free {
			todo = append(todo, c)
			book.planned(c)
		}
	}
	waiting := f.Steps(todo)
	done := map[string]bool{}
	var errs []error
	for {
		i := slices.IndexFunc(waiting, func(s fabric.Step) bool {
			return !slices.ContainsFunc(s.After, func(id string) bool { return !done[id] })
		})
		if i < 0 {
			break // what is left waits for a step that was not done
		}
		step := waiting[i]
		waiting = slices.Delete(slices.Clone(waiting), i, i+1)
		step.Changes = slices.Clone(step.Changes)
		for i, c := range step.Changes {
			step.Changes[i].Desired = c.Desired.Resolve(book.resolve)
		}
		o := f.Do(ctx, step, book)
		step.Receipt = o.Receipt
		report.Steps = append(report.Steps, step)
		report.Outcomes = append(report.Outcomes, o)
		if o.Status != fabric.Done {
			errs = append(errs, fmt.Errorf("step %s: %s: %w", step.ID, o.Status, o.Err))
			continue
		}
		done[step.ID] = true
	}
	for _, s := range waiting {
		errs = append(errs, fmt.Errorf("step %s: not begun, because a step before it was not done", s.ID))
	}
	for i, s := range report.Steps {
		if report.Outcomes[i].Status == fabric.Done {
			if err := Await(ctx, f, s); err != nil {
				errs = append(errs, fmt.Errorf("step %s: %w", s.ID, err))
			}
		}
	}
	if err := readBack(ctx, f, b, book, todo); err != nil {
		errs = append(errs, err)
	}
	return report, errors.Join(errs...)
}

// Plan says what Deploy would do, and first finds out what became of intents that were left open.
func Plan(ctx context.Context, f fabric.Fabric, r *artifacts.Release, b fabric.Binding, book *Book) ([]fabric.Change, error) {
	live, err := f.Observe(ctx, fabric.Scope{Owned: book.Owned()})
	for err == nil && book.pending(live) != nil {
		if err := Await(ctx, f, *book.pending(live)); err != nil {
			return nil, err
		}
		live, err = f.Observe(ctx, fabric.Scope{Owned: book.Owned()})
	}
	if err != nil {
		return nil, err
	}
	if err := book.settleOpen(live, b.Installation); err != nil {
		return nil, err
	}
	if b.Root == "" {
		b.Root = live.Root
	}
	desired, _, err := f.Render(r, b)
	if err != nil {
		return nil, err
	}
	var changes []fabric.Change
	for _, k := range desired.Keys() {
		changes = append(changes, want(f, live, desired, b, book, k))
	}
	moves := map[fabric.Key]bool{}
	for _, c := range changes {
		moves[c.From] = true
	}
	for _, o := range book.Owned() {
		if _, p := desired.Lookup(o.Key); p == fabric.Absent && !moves[o.Key] {
			changes = append(changes, drop(live, desired, b, book, o))
		}
	}
	return changes, nil
}

// want is the change for a key that the release holds.
func want(f fabric.Fabric, live *fabric.Live, desired *fabric.Desired, b fabric.Binding, book *Book, k fabric.Key) fabric.Change {
	res, p := desired.Lookup(k)
	c := fabric.Change{Key: k, Kind: res.Kind, Name: res.Name, Action: fabric.Keep, Owner: fabric.Owner{Deployment: b.Deployment, Key: k},
		Desired: res.Doc, Needs: res.Needs, Blobs: res.Blobs, Stripped: res.Stripped, Overlay: res.Overlay}
	if p != fabric.Present {
		c.Hindrance = fabric.Blocked
		c.Reason, _ = desired.Why(k)
		return c
	}
	known := book.Known(k)
	obj, p, why := live.Lookup(b.Installation, res.Kind, c.Owner, known.ID)
	if was, moves := book.movedTo(k); moves {
		if o, there, _ := live.Lookup(b.Installation, was.Kind, was.Owner, was.ID); there == fabric.Present {
			known, obj, p, c.From = was, o, there, was.Key
		}
	}
	switch p {
	case fabric.Unknown:
		c.Hindrance, c.Reason = fabric.Blocked, why
	case fabric.Absent:
		c.Action, c.Cause = fabric.Create, fabric.Commit
		c.Reason = configs.Found(configs.Changed, string(k), "")
		if taken := live.Named(res.Kind, res.Name); len(taken) > 0 && !slices.ContainsFunc(taken, func(o fabric.Object) bool { return o.Managed }) {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.NameTaken, string(k), taken[0].ID)
		}
	case fabric.Present:
		c.ID, c.Live, c.Mark = obj.ID, obj.Doc, obj.Mark
		c.Fields, c.Labels = fabric.Compare(fabric.Comparison{Rules: f.Rules(res.Kind), Desired: res.Doc.Resolve(book.resolve), Live: obj.Doc,
			Sent: known.Sent, Read: known.Read, Labels: res.Labels, Overlaid: res.Overlaid})
		if len(c.Fields) > 0 {
			c.Action, c.Cause = fabric.Update, c.Fields[0].Cause
			c.Reason = configs.Found(configs.Changed, string(k), "")
		}
		if c.From != "" {
			c.Action, c.Cause = fabric.Move, fabric.Commit
			c.Reason = configs.Found(configs.Moved, string(k), "")
		}
	}
	return c
}

// drop is the change for a key that the release no longer holds.
func drop(live *fabric.Live, desired *fabric.Desired, b fabric.Binding, book *Book, o fabric.Owned) fabric.Change {
	c := fabric.Change{Key: o.Key, Kind: o.Kind, Name: string(o.Key), Action: fabric.Delete, ID: o.ID, Cause: fabric.Prune, Owner: o.Owner,
		Reason: configs.Found(configs.Pruned, string(o.Key), "")}
	if desired.Unselected(o.Key) {
		c.Action = fabric.Release
		return c
	}
	obj, p, why := live.Lookup(b.Installation, o.Kind, o.Owner, o.ID)
	switch p {
	case fabric.Present:
		c.Live, c.Mark = obj.Doc, obj.Mark
	case fabric.Absent:
		c.Action = fabric.Keep
		book.forget(o.Key)
	default:
		c.Action, c.Hindrance, c.Reason = fabric.Keep, fabric.Blocked, why
	}
	return c
}

// Await asks until the step has settled. It waits as the fabric says.
func Await(ctx context.Context, f fabric.Fabric, s fabric.Step) error {
	for range 1000 {
		state, again, err := f.Settled(ctx, s)
		switch {
		case state == fabric.Settled:
			return nil
		case state == fabric.Failed:
			return fmt.Errorf("not taken in: %w", err)
		case err != nil:
			return fmt.Errorf("ask whether it has settled: %w", err)
		}
		wait := time.NewTimer(max(time.Until(again), time.Millisecond))
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
	return errors.New("still not settled after 1000 questions")
}

// readBack remembers how the fabric spells what was just written.
func readBack(ctx context.Context, f fabric.Fabric, b fabric.Binding, book *Book, touched []fabric.Change) error {
	var only []fabric.Owned
	for _, c := range touched {
		if k := book.Known(c.Key); k.ID != "" {
			only = append(only, k.Owned)
		}
	}
	if len(only) == 0 {
		return nil
	}
	live, err := f.Observe(ctx, fabric.Scope{Only: only})
	if err != nil {
		return fmt.Errorf("look at what was written: %w", err)
	}
	for _, o := range only {
		if obj, p, _ := live.Lookup(b.Installation, o.Kind, o.Owner, o.ID); p == fabric.Present {
			book.read(o.Key, obj.Doc)
		}
	}
	return nil
}

// idValue is how an id stands in a document. Only a fabric that makes ids itself has references to
// resolve, and those ids are numbers.
func idValue(id string) any { return json.Number(id) }
