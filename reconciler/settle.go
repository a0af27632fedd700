package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

func settlingSteps(steps []fabric.Step) []settling {
	var list []settling
	for _, s := range steps {
		if len(s.Changes) == 0 {
			continue // an upload settles with the job that needs it
		}
		w := settling{ID: s.ID, Receipt: s.Receipt}
		for _, c := range s.Changes {
			w.Kind = c.Kind
			w.Keys, w.IDs, w.Actions = append(w.Keys, c.Key), append(w.IDs, c.ID), append(w.Actions, c.Action)
		}
		list = append(list, w)
	}
	return list
}

func (w settling) step(deployment string) fabric.Step {
	s := fabric.Step{ID: w.ID, Receipt: w.Receipt}
	for i, k := range w.Keys {
		c := fabric.Change{Key: k, Kind: w.Kind, ID: at(w.IDs, i), Owner: fabric.Owner{Deployment: deployment, Key: k}}
		if i < len(w.Actions) {
			c.Action = w.Actions[i]
		}
		s.Changes = append(s.Changes, c)
	}
	return s
}

// settle goes on with a release that the fabric was taking in when the last round ended. It holds no
// worker: a fabric that needs longer is asked again later.
func (rd *round) settle(ctx context.Context) error {
	if rd.known.Phase != Settling || rd.ask.Dry {
		return nil
	}
	rd.target = rd.known.Target
	rd.out.Revision = rd.target
	var steps []fabric.Step
	for _, w := range rd.known.Steps {
		steps = append(steps, w.step(rd.name))
	}
	if pending, err := rd.unsettled(ctx, steps); err != nil || pending {
		return err
	}
	// What was touched is compared with desired in the rest of the round; what it reads back is kept
	// there too.
	rd.settled = steps
	return nil
}

// unsettled asks the fabric about each step. While one is pending the round is over, and what waits is
// written down; after the time limit it has failed.
func (rd *round) unsettled(ctx context.Context, steps []fabric.Step) (bool, error) {
	place := rd.Fabrics[rd.d.Fabric.Name]
	var again time.Time
	for _, s := range steps {
		if len(s.Changes) == 0 {
			continue
		}
		state, at, err := place.Settled(ctx, s)
		switch {
		case state == fabric.Failed:
			rd.out.Result = configs.Found(configs.FabricRefused, rd.name, fmt.Sprintf("%s: %s", s.ID, message(err)))
			return true, rd.ended(ctx, Failing)
		case err != nil:
			if werr := rd.wait(ctx, steps); werr != nil {
				return true, werr
			}
			return true, rd.fail(configs.FabricUnreachable, err)
		case state == fabric.Unsettled && (again.IsZero() || at.Before(again)):
			again = at
		}
	}
	if again.IsZero() {
		return false, nil
	}
	if !rd.known.Deadline.IsZero() && rd.at.After(rd.known.Deadline) {
		rd.out.Result = configs.Found(configs.FabricRefused, rd.name, fmt.Sprintf("not taken in within %s", settleLimit))
		return true, rd.ended(ctx, Failing)
	}
	if err := rd.wait(ctx, steps); err != nil {
		return true, err
	}
	rd.out.Phase, rd.out.Again = Settling, again
	rd.out.Result = configs.Found(configs.StillSettling, rd.name, "")
	return true, errOver
}

// wait writes down what the fabric is taking in, unless it stands there already.
func (rd *round) wait(ctx context.Context, steps []fabric.Step) error {
	if rd.known.Phase == Settling {
		return nil
	}
	return rd.reach(ctx, Settling, settlingSteps(steps))
}

// verify looks at what was touched, keeps what the fabric says of it, and notes the fields that are
// still different (law 5).
func (rd *round) verify(ctx context.Context, touched []fabric.Change) error {
	touched = slices.DeleteFunc(touched, func(c fabric.Change) bool { return c.Action == fabric.Restart })
	if len(touched) == 0 {
		return nil
	}
	written := rd.rereading(touched)
	if len(touched) > lookedAtSingly {
		err := written.during(ctx, func(seen func(fabric.Object)) error {
			return rd.lookBy(ctx, time.Now().Add(1), fabric.Scope{Seen: seen})
		})
		if err != nil {
			return err
		}
		found, err := rd.readListed(ctx, written)
		if err != nil {
			return err
		}
		return rd.takeIn(ctx, touched, found)
	}
	look, err := rd.readNow(ctx, liveOf(touched))
	if err != nil {
		return err
	}
	found, err := written.all(look)
	if err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	return rd.takeIn(ctx, touched, found)
}

// takeIn writes down what was found of each resource that was touched.
func (rd *round) takeIn(ctx context.Context, touched []fabric.Change, found []reread) error {
	back := readBack{Read: map[fabric.Key]string{}, Unstable: map[fabric.Key][]fabric.Field{}, Paths: map[fabric.Key][]string{}}
	var names []string
	for i, c := range touched {
		if found[i].digest == "" {
			continue
		}
		back.Read[c.Key] = found[i].digest
		if len(found[i].fields) > 0 {
			back.Paths[c.Key] = unstablePaths(found[i].fields)
		}
		if len(found[i].news) > 0 {
			back.Unstable[c.Key] = found[i].news
			names = append(names, fmt.Sprintf("%s (%s)", c.Key, paths(found[i].news)))
		}
	}
	if len(back.Read) == 0 {
		return nil
	}
	e := ledger.Entry{Kind: kindRead, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Text: fmt.Sprintf("read back %d", len(back.Read)), Data: encode(back)}
	if len(e.Data) > shownBytes { // the fields are a convenience; the digests are not
		back.Unstable = nil
		e.Data = encode(back)
	}
	if len(e.Data) > shownBytes {
		for k := range back.Paths {
			back.Paths[k] = []string{""}
		}
		e.Data = encode(back)
	}
	if len(names) > 0 {
		rd.unstable = true
		slices.Sort(names)
		f := configs.Found(configs.Unstable, rd.name, strings.Join(names[:min(len(names), 5)], "; "))
		rd.note(f)
		e.Code, e.Text = string(f.Code), f.Text
	}
	if _, err := rd.record(ctx, e); err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	return nil
}

// intentGrace is how long after an intent a fabric may still carry its request out, or list what
// it made.
const intentGrace = 30 * time.Second

// resolve finds out what became of intents whose outcome is not known: by looking, never by guessing.
func (rd *round) resolve(ctx context.Context) error {
	if rd.ask.Dry {
		return nil
	}
	rd.mu.Lock()
	var open []openIntent
	for _, i := range rd.state.intents[rd.name] {
		open = append(open, i)
	}
	rd.mu.Unlock()
	if len(open) == 0 {
		return rd.verifySettled(ctx)
	}
	slices.SortFunc(open, func(a, b openIntent) int { return a.At.Compare(b.At) })
	if rd.live.At.Before(rd.at) {
		if err := rd.lookSince(ctx, rd.at); err != nil {
			return err
		}
	}
	if err := rd.readOpen(ctx, open); err != nil {
		return err
	}
	for _, i := range open {
		results, resolved := rd.became(i)
		if !resolved {
			again := i.At.Add(intentGrace)
			if again.Before(rd.at) {
				again = rd.at.Add(intentGrace)
			}
			if rd.out.Again.IsZero() || again.Before(rd.out.Again) {
				rd.out.Again = again
			}
			rd.note(configs.Found(configs.IntentOpen, joinKeys(i.Keys), fmt.Sprintf("%s of %s", i.Op, i.At.Format(time.TimeOnly))))
			continue
		}
		rd.note(configs.Found(configs.IntentResolved, joinKeys(i.Keys), fmt.Sprintf("%s: %s", i.Op, results[0].Status)))
		if err := rd.close(ctx, i.Nonce, results...); err != nil {
			return rd.fail(configs.LedgerFailed, err)
		}
	}
	return rd.verifySettled(ctx)
}

// verifySettled reads back what a fabric has taken in since an earlier round.
func (rd *round) verifySettled(ctx context.Context) error {
	if len(rd.settled) == 0 {
		return nil
	}
	if err := rd.render(ctx); err != nil {
		return err
	}
	return rd.verify(ctx, touched(rd.settled))
}

// errNotSeen is the outcome of a request that left no trace.
var errNotSeen = errors.New("looking found no trace of it")

// became says what became of each key of an open intent, and whether that can be said.
func (rd *round) became(i openIntent) ([]fabric.Result, bool) {
	if i.Op == fabric.OpRestart { // the next one goes on where this one ended
		return []fabric.Result{{Key: i.Keys[0], Nonce: i.Nonce, ID: i.ID, Status: fabric.Later, Err: errNotSeen}}, true
	}
	if i.Op == fabric.OpUpload || i.Op == fabric.OpCancel {
		return []fabric.Result{{Nonce: i.Nonce, Status: fabric.Later, Err: errNotSeen}}, true // the next one looks for itself
	}
	if _, pending := rd.live.Pending[i.Nonce]; pending {
		return nil, false // carried out, and not to be seen yet
	}
	late := rd.live.At.Sub(i.At) < intentGrace
	var results []fabric.Result
	for n, k := range i.Keys {
		if i.Kind.Attached() {
			r, known := rd.becameAttached(i, n)
			if !known {
				return nil, false
			}
			results = append(results, r)
			continue
		}
		r := fabric.Result{Key: k, Nonce: i.Nonce, ID: i.ID}
		owner := fabric.Owner{Deployment: rd.name, Key: k}
		a := rd.ownedOf(i, n)
		switch i.action(n) {
		case fabric.Disown:
			_, there, why := rd.live.Lookup(rd.Installation, i.Kind, owner, a.ID)
			r.ID = a.ID
			switch {
			case there == fabric.Absent, why.Code == configs.MarkMissing:
				r.Status = fabric.Done
			case late || there == fabric.Unknown:
				return nil, false
			default: // it carries our mark
				r.Status, r.Err = fabric.Later, errNotSeen
			}
		case fabric.Move:
			r.ID = a.ID
			_, now, _ := rd.live.Lookup(rd.Installation, i.Kind, owner, a.ID)
			_, before, _ := found(rd.live, rd.Installation, i.Kind, fabric.Owner{Deployment: rd.name, Key: i.from(n)}, a)
			switch {
			case a.ID == "":
				return nil, false
			case now == fabric.Present: // the mark goes with the definition, in one request
				r.Status = fabric.Done
			case late || before == fabric.Unknown:
				return nil, false
			default: // it carries the mark of its old key, or is gone
				r.Status, r.Err = fabric.Later, errNotSeen
			}
		case fabric.Create:
			var mine []fabric.Object
			for _, o := range rd.live.ByNonce(i.Nonce) {
				if o.Mark.Owns(rd.Installation, owner) {
					mine = append(mine, o)
				}
			}
			switch {
			case len(mine) == 1 && rd.live.Complete: // else it may be a copy of one that was not seen
				r.ID, r.Status = mine[0].ID, fabric.Done
			case len(mine) > 1: // somebody copied it before we knew its id: a person has to say which is which
				rd.note(configs.Found(configs.MarkCopied, string(k), fmt.Sprintf("%s %s and %s", i.Kind, mine[0].ID, mine[1].ID)))
				return nil, false
			case late || !rd.live.Complete:
				return nil, false
			default:
				r.Status, r.Err = fabric.Later, errNotSeen
			}
		default:
			obj, presence, _ := found(rd.live, rd.Installation, i.Kind, owner, a)
			r.ID = a.ID
			switch {
			case presence == fabric.Unknown:
				return nil, false
			case i.action(n) == fabric.Delete && presence == fabric.Absent:
				r.Status = fabric.Done
			case (i.action(n) == fabric.Update || i.action(n).Rests()) && presence == fabric.Present && obj.Wrote == i.Nonce:
				r.Status = fabric.Done // whatever else it says: what does not stay was written all the same
			case late:
				return nil, false
			default:
				r.Status, r.Err = fabric.Later, errNotSeen
			}
		}
		results = append(results, r)
	}
	return results, true
}

// ownedOf is what the ledger says of the n-th resource of an intent as it was before.
func (rd *round) ownedOf(i openIntent, n int) Applied {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	k := i.from(n)
	a, owned := rd.state.applied[rd.name][k]
	if !owned && k != i.Keys[n] {
		a = rd.state.formerly[rd.name][k]
	}
	if a.ID == "" {
		a.ID = i.ID
	}
	return a
}
