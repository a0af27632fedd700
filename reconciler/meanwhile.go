package reconciler

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// goesOn is how often one round goes on with another plan after it has written: because somebody edited between the look
// and the write, or for the restarts that updates left to do. What is left then is the next round's.
const goesOn = 3

// between is what a round learns about resources that were edited between its look and its writes.
type between struct {
	keys  map[fabric.Key]fabric.Change  // of the last attempt
	moved map[fabric.Key]map[string]int // how often a path was another one at the second look
}

// edited notes a result that says so; false for any other.
func (e *between) edited(c fabric.Change, err error) bool {
	if !errors.Is(err, fabric.ErrChanged) {
		return false
	}
	if e.keys == nil {
		e.keys = map[fabric.Key]fabric.Change{}
	}
	if e.moved == nil { // the attempts of a round add up
		e.moved = map[fabric.Key]map[string]int{}
	}
	e.keys[c.Key] = c
	var what *fabric.Changed
	if errors.As(err, &what) {
		if e.moved[c.Key] == nil {
			e.moved[c.Key] = map[string]int{}
		}
		for _, path := range what.Paths {
			e.moved[c.Key][path]++
		}
	}
	return true
}

// restless are the paths at which a resource was another one each time: nobody edits that fast.
func (e *between) restless() map[fabric.Key][]string {
	all := map[fabric.Key][]string{}
	for k, paths := range e.moved {
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			if paths[path] > 1 {
				all[k] = append(all[k], path)
			}
		}
	}
	return all
}

// goOn makes another plan in the same round, from a newer look at what was edited, and carries that out. What the person
// approved whose word began the round is under way by now.
func (rd *round) goOn(ctx context.Context, t tally) error {
	rd.done += t.done
	edited := rd.between.keys
	rd.between.keys = nil
	if rd.went == goesOn {
		rd.out.Result = rd.summary()
		if len(edited) > 0 {
			rd.out.Result = configs.Found(configs.EditedMeanwhile, rd.name, joinKeys(slices.Sorted(maps.Keys(edited))))
		}
		return rd.ended(ctx, Applying)
	}
	rd.went++
	if len(edited) > 0 {
		var only []fabric.Owned
		for _, k := range slices.Sorted(maps.Keys(edited)) {
			c := edited[k]
			only = append(only, fabric.Owned{Owner: c.Owner, Kind: c.Kind, ID: c.ID})
			rd.note(configs.Found(configs.EditedMeanwhile, string(k), ""))
		}
		if err := rd.lookAnew(ctx, only); err != nil {
			return err
		}
		if err := rd.compare(ctx); err != nil {
			return err
		}
	}
	if rd.out.Plan.Digest == "" {
		return rd.conclude(ctx, tally{})
	}
	rd.ask.Plan = ""
	return rd.judgeAgain(ctx)
}

// lookAnew looks at some resources anew: at each on its own, or, where there are many, at all there are.
func (rd *round) lookAnew(ctx context.Context, only []fabric.Owned) error {
	if len(only) > lookedAtSingly {
		return rd.lookSince(ctx, time.Now())
	}
	_, err := rd.readNow(ctx, only)
	return err
}

// restarting reports that a plan has restarts to do.
func restarting(p Plan) bool {
	return slices.ContainsFunc(p.Free(), func(c fabric.Change) bool { return c.Action == fabric.Restart })
}
