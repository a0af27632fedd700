package databricks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

const (
	// lookedFor is how many jobs that a list lacks are looked for by their ids after it.
	lookedFor = 25
	// A list may lack so many of the jobs that were there, or this part of them, before it is taken for half a list.
	mayVanish     = 10
	mayVanishPart = 20 // percent
	// agreeAfter is the least time between two lists that count as two, where the caller does not say.
	agreeAfter = time.Minute
)

// listing is one list of jobs: their ids, each with whether it carries a mark of this installation.
type listing struct {
	at   time.Time
	ours map[string]bool
}

// expectations are what a list should hold. They are kept in memory alone: after a start, what the ledger owns
// is expected, and nothing else.
type expectations struct {
	known   listing         // the last one that was believed
	doubted *listing        // one that lacked too much; agreed on or not
	removed map[string]bool // by ourselves
	gone    map[string]bool // the workspace said of them that they do not exist; ids are not given out twice
}

// completed is what a list comes to once it is held against what should be in it.
type completed struct {
	found []fabric.Object // that the list lacks and the workspace has
	gone  []string        // that the workspace said do not exist
	doubt configs.Finding // why the list proves nothing absent; zero if it does
}

// expected holds a list against the last one and against what is owned, and looks for what it lacks, a bounded number.
// A list that shows half of the jobs and says that this is all looks just like one after somebody deleted the other
// half. So it is believed when it lacks little, when the workspace says of each that it does not exist, or when
// another list, a poll later, lacks the same.
func (w *Workspace) expected(ctx context.Context, now listing, s fabric.Scope) (completed, error) {
	owned := map[string]bool{}
	for _, o := range s.Owned {
		if o.Kind == Job && o.ID != "" {
			owned[o.ID] = true
		}
	}
	w.mu.Lock()
	x := &w.expect
	should := maps.Clone(x.known.ours)
	if should == nil {
		should = map[string]bool{}
	}
	for id := range x.removed {
		delete(should, id)
	}
	for id := range owned { // what we removed and still own is in doubt
		should[id] = true
	}
	for id := range now.ours {
		delete(x.gone, id)
	}
	var out completed
	for id := range x.gone {
		if owned[id] {
			out.gone = append(out.gone, id)
		}
		delete(should, id)
	}
	w.mu.Unlock()

	lacks := lacking(should, now.ours)
	tooMany := lacks.beyond(should)
	ask := slices.DeleteFunc(slices.Sorted(maps.Keys(lacks)), func(id string) bool { return !owned[id] })
	if tooMany {
		ask = append(ask, slices.DeleteFunc(slices.Sorted(maps.Keys(lacks)), func(id string) bool { return owned[id] })...)
	}
	ask = ask[:min(len(ask), lookedFor)]
	var asked []fabric.Owned
	for _, id := range ask {
		asked = append(asked, fabric.Owned{Kind: Job, ID: id})
	}
	found, gone, err := w.byID(ctx, asked)
	if err != nil {
		return completed{}, err
	}
	out.found, out.gone = found, append(out.gone, gone...)
	for _, id := range gone {
		delete(lacks, id)
	}
	slices.Sort(out.gone)

	w.mu.Lock()
	defer w.mu.Unlock()
	if x.gone == nil {
		x.gone = map[string]bool{}
	}
	for _, id := range gone {
		if owned[id] {
			x.gone[id] = true
		}
	}
	switch tooMany = lacks.beyond(should); {
	case len(found) > 0:
		out.doubt = configs.Found(configs.ListShort, w.name, fmt.Sprintf("job %s is there and not in the list of %d", found[0].ID, len(now.ours)))
		return out, nil
	case tooMany && !x.agree(now, s.Apart):
		out.doubt = configs.Found(configs.ListShort, w.name, fmt.Sprintf("%d of %d jobs are not in the list of %d", len(lacks), len(should), len(now.ours)))
		return out, nil
	}
	x.known = now
	if tooMany { // and what it lacks may stay out of sight: later lists need not be doubted anew
		x.doubted.ours = now.ours
	} else {
		x.doubted = nil
	}
	maps.DeleteFunc(x.removed, func(id string, _ bool) bool { return !now.ours[id] })
	maps.DeleteFunc(x.gone, func(id string, _ bool) bool { return !owned[id] })
	return out, nil
}

// vanished are ids of jobs that are not where they should be, each with whether it is ours.
type vanished map[string]bool

func lacking(should, there map[string]bool) vanished {
	v := vanished{}
	for id, ours := range should {
		if _, ok := there[id]; !ok {
			v[id] = ours
		}
	}
	return v
}

// beyond reports more than may vanish between two lists, of all jobs or of ours.
func (v vanished) beyond(should map[string]bool) bool {
	count := func(m map[string]bool) (all, ours int) {
		for _, mine := range m {
			if all++; mine {
				ours++
			}
		}
		return all, ours
	}
	all, ours := count(should)
	awayAll, awayOurs := count(v)
	most := func(n int) int { return max(mayVanish, mayVanishPart*n/100) }
	return awayAll > most(all) || awayOurs > most(ours)
}

// agree reports that a list lacks what an earlier one lacked, and no more than may vanish besides. One that
// lacks more begins a new doubt.
func (x *expectations) agree(now listing, apart time.Duration) bool {
	if apart <= 0 {
		apart = agreeAfter
	}
	if d := x.doubted; d != nil && !lacking(d.ours, now.ours).beyond(d.ours) {
		return now.at.Sub(d.at) >= apart
	}
	x.doubted = &now
	return false
}

// removedJob notes that a job was deleted by us, so that no list is expected to hold it.
func (w *Workspace) removedJob(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.expect.removed == nil {
		w.expect.removed = map[string]bool{}
	}
	w.expect.removed[id] = true
}
