package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

const (
	// concurrency is how many steps of one deployment are under way at once: twice as many as a fabric sends
	// requests, so that it has the next one while the ledger is written for the last. A fabric's own rate limit
	// is the adapter's business.
	concurrency = 16
	// stopGrace is how long what was sent may take to be answered once the daemon stops.
	stopGrace = 20 * time.Second
	// settleLimit is how long a fabric may take to take a step in.
	settleLimit = 30 * time.Minute
	// lookedAtSingly is the number of touched resources up to which they are looked at one by one
	// after an apply, instead of by a listing.
	lookedAtSingly = 25
)

// act carries out what is free of the plan, looks, and says what came of it.
func (rd *round) act(ctx context.Context) error {
	if rd.live.At.Before(rd.at) && needsAll(rd.out.Plan) { // a shared look is good enough to find out, not to write by
		if err := rd.lookSince(ctx, rd.at); err != nil {
			return err
		}
		before := rd.out.Plan.Digest
		if err := rd.compare(ctx); err != nil {
			return err
		}
		if rd.out.Plan.Digest != before {
			return rd.judgeAgain(ctx)
		}
	}
	if err := rd.reach(ctx, Applying, nil); err != nil {
		return err
	}
	done, tally := rd.carryOut(ctx)
	rd.mu.Lock()
	rd.wrote[rd.name] = time.Now().Add(1) // a look that began in this very instant did not see it
	rd.mu.Unlock()
	if left(touched(done)) {
		rd.wakeSiblings()
	}
	if len(done) > 0 {
		if pending, err := rd.unsettled(ctx, done); err != nil || pending {
			return err
		}
		if err := rd.verify(ctx, touched(done)); err != nil {
			return err
		}
	}
	return rd.conclude(ctx, tally)
}

// needsAll reports that a plan has something to carry out for which the whole fabric has to be seen as it is now. What is only
// changed is read once more by itself, right before it is written.
func needsAll(p Plan) bool {
	return slices.ContainsFunc(p.Free(), func(c fabric.Change) bool { return c.Action == fabric.Create || c.Action.Goes() })
}

// judgeAgain goes on with a plan that changed while the round ran.
func (rd *round) judgeAgain(ctx context.Context) error {
	if err := rd.judge(ctx); err != nil {
		return err
	}
	return rd.act(ctx)
}

// tally is what came of the steps.
type tally struct {
	done, refused, later, doubtful int
	again                          time.Time // the latest that a fabric asked to wait for
	first                          error     // of those that were not done
	held                           []fabric.Result
	fatal                          error // the ledger, a newer release, or the end of the daemon
}

func (t *tally) add(s fabric.Status, again time.Time, err error) {
	switch s {
	case fabric.Done:
		t.done++
		return
	case fabric.Refused:
		t.refused++
	case fabric.Later:
		t.later++
	default:
		t.doubtful++
	}
	if again.After(t.again) {
		t.again = again
	}
	if t.first == nil {
		t.first = err
	}
}

// carryOut does the steps of the plan in the order of their references, a bounded number at a time.
// It returns the steps that were done, with their results' ids in their changes.
func (rd *round) carryOut(ctx context.Context) ([]fabric.Step, tally) {
	place := rd.Fabrics[rd.d.Fabric.Name]
	free := rd.out.Plan.Free()
	j := &journal{rd: rd, stop: ctx, changes: map[fabric.Key]fabric.Change{}, digests: map[fabric.Key]string{}}
	for _, c := range free {
		j.changes[c.Key], j.digests[c.Key] = c, c.Digest()
	}
	steps := place.Steps(free)
	ids := rd.ids()

	// What is sent is sent to its end: only the grace after a stop cuts it off.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cut) })()

	type ended struct {
		n   int
		out fabric.Outcome
	}
	results := make(chan ended)
	waits := map[string]int{} // id -> index, of steps that are not done
	for i, s := range steps {
		waits[s.ID] = i
	}
	started, running, paused := make([]bool, len(steps)), 0, false
	failed := map[string]bool{}
	var t tally
	var done []fabric.Step
	for {
		for i := range steps {
			if paused || running == concurrency {
				break
			}
			if started[i] {
				continue
			}
			ready := true
			for _, id := range steps[i].After {
				if failed[id] {
					started[i], failed[steps[i].ID], ready = true, true, false
					break
				}
				if _, waiting := waits[id]; waiting {
					ready = false
				}
			}
			if !ready {
				continue
			}
			s := resolved(steps[i], ids)
			steps[i], started[i] = s, true
			if r := unresolved(s); r != "" {
				failed[s.ID] = true
				t.add(fabric.Later, time.Time{}, fmt.Errorf("%s: the id of %s is not known yet", s.ID, r))
				continue
			}
			running++
			go func() { results <- ended{i, do(work, place, s, j)} }()
		}
		if running == 0 {
			return done, t
		}
		e := <-results
		running--
		s := steps[e.n]
		if e.out.Status != fabric.Done && t.fatal == nil {
			if t.fatal = j.still(); t.fatal == nil && rd.ledgerBroken() {
				t.fatal = e.out.Err
			}
			paused = paused || t.fatal != nil
		}
		whole := e.out.Status == fabric.Done
		for n, r := range e.out.Results {
			if r.Held.Code != "" {
				t.held = append(t.held, r)
				continue
			}
			if n < len(s.Changes) && rd.between.edited(s.Changes[n], r.Err) {
				whole = false
				continue
			}
			t.add(r.Status, e.out.Again, r.Err)
			if r.Status != fabric.Done {
				whole = false
				continue
			}
			if r.ID != "" && n < len(s.Changes) {
				s.Changes[n].ID = r.ID
				ids[fabric.Ref{Kind: s.Changes[n].Kind, Key: r.Key}] = json.Number(r.ID)
			}
		}
		if len(e.out.Results) == 0 && !whole {
			t.add(e.out.Status, e.out.Again, e.out.Err)
		}
		if t.later > 0 && t.fatal == nil {
			paused = true // the fabric wants to be left alone, or can't be reached
		}
		if !whole {
			failed[s.ID] = true
			continue
		}
		delete(waits, s.ID)
		s.Receipt = e.out.Receipt
		done = append(done, s)
	}
}

// do carries a step out. After a mistake of our own in it nobody knows what was sent: looking will tell.
func do(ctx context.Context, place fabric.Fabric, s fabric.Step, j fabric.Journal) (out fabric.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			out = fabric.Outcome{Status: fabric.Doubtful, Err: fmt.Errorf("%s: %s", s.ID, configs.Found(configs.OwnMistake, s.ID, fmt.Sprint(p)).Text)}
		}
	}()
	return place.Do(ctx, s, j)
}

func (rd *round) ledgerBroken() bool {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return rd.broken != nil
}

// ids are those of what we own, for references to it.
func (rd *round) ids() map[fabric.Ref]any {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	ids := map[fabric.Ref]any{}
	for k, a := range rd.state.applied[rd.name] {
		ids[fabric.Ref{Kind: a.Kind, Key: k}] = json.Number(a.ID)
	}
	for _, c := range rd.out.Plan.Changes {
		if c.Action == fabric.Move && c.ID != "" { // others refer to it by the key that it is about to have
			ids[fabric.Ref{Kind: c.Kind, Key: c.Key}] = json.Number(c.ID)
		}
	}
	return ids
}

// resolved puts the ids that are known by now into a step's documents.
func resolved(s fabric.Step, ids map[fabric.Ref]any) fabric.Step {
	s.Changes = slices.Clone(s.Changes)
	within := map[fabric.Ref]bool{} // a step that does several changes at once sees to references among them
	for _, c := range s.Changes {
		within[fabric.Ref{Kind: c.Kind, Key: c.Key}] = len(s.Changes) > 1
	}
	for i, c := range s.Changes {
		s.Changes[i].Desired = c.Desired.Resolve(func(r fabric.Ref) (any, bool) {
			id, ok := ids[r]
			return id, ok && !(within[r] && c.Action == fabric.Create)
		})
	}
	return s
}

func unresolved(s fabric.Step) fabric.Key {
	if len(s.Changes) != 1 {
		return ""
	}
	for _, r := range s.Changes[0].Desired.Refs() {
		return r.Key
	}
	return ""
}

func touched(steps []fabric.Step) []fabric.Change {
	var cs []fabric.Change
	for _, s := range steps {
		cs = append(cs, s.Changes...)
	}
	return cs
}

// conclude says what came of an apply, from a plan made after looking again.
func (rd *round) conclude(ctx context.Context, t tally) error {
	rd.hold(t.held)
	rd.out.Plan = NewPlan(rd.planInput())
	switch {
	case errors.Is(t.fatal, errSuperseded):
		rd.out.Again = rd.at
		return rd.over(configs.NewerArrived, rd.target.String())
	case errors.Is(t.fatal, errSuspended):
		rd.out.Again = rd.at // the gates say it
		return rd.over(configs.Suspended, rd.name)
	case errors.Is(t.fatal, errReconfigured):
		rd.out.Again = rd.at
		return rd.over(configs.ConfigChanged, rd.name)
	case errors.Is(t.fatal, errStopping):
		return context.Canceled
	case t.fatal != nil:
		return rd.fail(configs.LedgerFailed, t.fatal)
	case t.doubtful > 0:
		rd.out.Again = time.Now().Add(intentGrace)
		rd.leaveAlone(rd.out.Again, message(t.first))
		rd.out.Result = configs.Found(configs.IntentOpen, rd.name, message(t.first))
		return rd.ended(ctx, Failing)
	case t.later > 0:
		rd.out.Again = rd.leaveAlone(t.again, message(t.first))
		rd.out.Result = configs.Found(configs.BackingOff, rd.name, message(t.first))
		return rd.ended(ctx, Failing)
	case len(rd.between.keys) > 0 && t.refused == 0:
		return rd.goOn(ctx, t)
	case t.refused > 0:
		rd.out.Result = configs.Found(configs.FabricRefused, rd.name, message(t.first))
		if err := rd.reach(ctx, Failing, nil); err != nil {
			return err
		}
		if rd.ask.By != "" {
			return fmt.Errorf("%s: the fabric refused: %s", rd.name, message(t.first))
		}
		return errOver
	case restarting(rd.out.Plan) && rd.went < goesOn:
		return rd.goOn(ctx, t)
	case len(t.held) > 0:
		rd.out.Result = t.held[0].Held
		rd.out.Again = rd.leaveAlone(t.again, rd.out.Result.Text)
		rd.mu.Lock()
		b := rd.backOff[rd.name]
		b.held = rd.out.Result
		rd.backOff[rd.name] = b
		rd.mu.Unlock()
		return rd.ended(ctx, Applying)
	case rd.out.Plan.Digest != "":
		// Something is left that was not free, or that changed meanwhile: the next round sees to it.
		rd.out.Result = rd.summary()
		if rd.whole = len(rd.out.Plan.Free()) == 0; !rd.whole {
			rd.out.Again = rd.leaveAlone(time.Time{}, rd.out.Result.Text)
			return rd.ended(ctx, Applying)
		}
		return rd.ended(ctx, Planned)
	}
	rd.mu.Lock()
	delete(rd.tries, rd.name)
	rd.mu.Unlock()
	if rd.wavers() {
		rd.out.Result = configs.Found(configs.Unstable, rd.name, "")
		return rd.ended(ctx, Wavering)
	}
	rd.out.Result = configs.Found(configs.Verified, rd.name, fmt.Sprintf("%d changed", rd.done+t.done))
	return rd.ended(ctx, Sound)
}

// hold notes what the fabric found a reason to hold back.
func (rd *round) hold(rs []fabric.Result) {
	for _, r := range rs {
		if rd.held == nil {
			rd.held = map[fabric.Key]configs.Finding{}
		}
		rd.held[r.Key] = r.Held
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
