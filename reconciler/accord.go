package reconciler

import (
	"context"
	"fmt"
	"slices"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/adoption"
	"selvage/reconciler/ledger"
)

// A fabric may have two ways to read what is there: a listing of all, and each resource on its own. Where nobody has compared
// the two for a resource, no difference that only the listing shows is believed.

// mostAccords is how many resources one entry tells about; the rest is the next round's.
const mostAccords = 1000

// noteAccords writes down what was found out by comparing the listing with the deployment's resources themselves.
func (rd *round) noteAccords(ctx context.Context) error {
	if rd.ask.Dry || len(rd.live.Accords) == 0 {
		return nil
	}
	seen := accordsSeen{map[fabric.Key]fabric.Accord{}}
	var differ []string
	rd.mu.Lock()
	for k, a := range rd.state.applied[rd.name] {
		accord := rd.live.Accords[a.ID]
		if a.Kind.Attached() || accord == fabric.Untold || accord == a.Accord || len(seen.Accords) == mostAccords {
			continue
		}
		seen.Accords[k] = accord
		if accord == fabric.Differs {
			differ = append(differ, string(k))
		}
	}
	rd.mu.Unlock()
	if len(seen.Accords) == 0 {
		return nil
	}
	slices.Sort(differ)
	e := ledger.Entry{Kind: kindAccord, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Data: encode(seen),
		Text: fmt.Sprintf("%s read one by one: the list says the same", number(len(seen.Accords), "resource"))}
	if len(differ) > 0 {
		e.Code = string(configs.ListDiffers)
		e.Text = fmt.Sprintf("%s read one by one: the list says something else of %s", number(len(seen.Accords), "resource"), some(differ))
	}
	if _, err := rd.record(ctx, e); err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	return nil
}

// readUntold reads on their own the resources that somebody edited by the listing alone, where nobody has compared the two, or where
// the listing does not show what we wrote last. It reports whether it read any; of one resource it does so once in a round.
func (rd *round) readUntold(ctx context.Context, p Plan) (bool, error) {
	var untold []fabric.Change
	for _, c := range p.Changes {
		edited := c.Reason.Code == configs.QuarantineEdited ||
			slices.ContainsFunc(append(slices.Clone(c.Fields), c.Stands...), func(f fabric.Field) bool { return f.Cause == fabric.Drift })
		if !edited || c.ID == "" || c.Kind.Attached() || rd.read[c.Key] || rd.accord(c.Key, c.ID) != fabric.Untold && !rd.stale(c) {
			continue
		}
		untold = append(untold, c)
	}
	if len(untold) == 0 {
		return false, nil
	}
	_, err := rd.readNow(ctx, liveOf(untold))
	return true, err
}

// accord is what is known of a resource by now.
func (rd *round) accord(k fabric.Key, id string) fabric.Accord {
	if a := rd.live.Accords[id]; a != fabric.Untold {
		return a
	}
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return rd.state.applied[rd.name][k].Accord
}

// readNow looks at some resources on their own, and remembers for the rest of the round that it did. The look holds them and
// nothing else; what the round has seen is brought up to it.
func (rd *round) readNow(ctx context.Context, only []fabric.Owned) (*fabric.Live, error) {
	look, err := rd.Fabrics[rd.d.Fabric.Name].Observe(ctx, fabric.Scope{Only: only})
	if err != nil {
		return nil, rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: %w", rd.d.Fabric.Name, err))
	}
	rd.live = rd.live.Updated(look)
	if rd.read == nil {
		rd.read = map[fabric.Key]bool{}
	}
	for _, o := range only {
		rd.read[o.Key] = true
	}
	return look, nil
}

// liveOf are the live resources of changes, to be read on their own.
func liveOf(changes []fabric.Change) []fabric.Owned {
	only := []fabric.Owned{} // of none, nothing is read
	for _, c := range changes {
		if c.ID != "" {
			only = append(only, fabric.Owned{Owner: c.Owner, Kind: c.Kind, ID: c.ID})
		}
	}
	return only
}

// stale reports that what the round saw of a live resource is not what we wrote last, nor an edit of that. It may be as it was
// before; or somebody wrote it in our place.
func (rd *round) stale(c fabric.Change) bool {
	rd.mu.Lock()
	a := rd.state.applied[rd.name][c.Key]
	rd.mu.Unlock()
	obj, seen, _ := rd.live.Lookup(rd.Installation, c.Kind, c.Owner, a.ID)
	return a.Wrote != "" && seen == fabric.Present && !a.shows(obj)
}

// readListed is what a listing, which the round has just seen, says of what was written; and where that differs from what was
// sent, or is from before it, what the resource itself says.
func (rd *round) readListed(ctx context.Context, written *rereading) ([]reread, error) {
	found, err := written.all(rd.live)
	if err != nil {
		return nil, rd.fail(configs.LedgerFailed, err)
	}
	var again []fabric.Change
	var of []int
	for i, c := range written.touched {
		if !c.Kind.Attached() && (len(found[i].fields) > 0 || found[i].digest == "" && rd.stale(c)) {
			again, of = append(again, c), append(of, i)
		}
	}
	if len(again) == 0 {
		return found, nil
	}
	look, err := rd.readNow(ctx, liveOf(again))
	if err != nil {
		return nil, err
	}
	second, err := rd.rereading(again).all(look)
	if err != nil {
		return nil, rd.fail(configs.LedgerFailed, err)
	}
	for n, i := range of {
		found[i] = second[n]
	}
	return found, nil
}

// readMatched reads what is matched on its own: what a listing says of a job that nobody has seen before is not believed
// alone.
func (rd *round) readMatched(ctx context.Context, pairs []adoption.Pair) error {
	kinds := make(map[string]fabric.Kind, len(pairs))
	for _, o := range rd.live.Objects() {
		kinds[o.ID] = o.Kind
	}
	only := make([]fabric.Owned, 0, len(pairs))
	for _, p := range pairs {
		only = append(only, fabric.Owned{Owner: fabric.Owner{Deployment: rd.name, Key: p.Key}, Kind: kinds[p.ID], ID: p.ID})
	}
	if len(only) == 0 {
		return nil
	}
	if _, err := rd.readNow(ctx, only); err != nil {
		return err
	}
	for _, o := range rd.live.Objects() {
		delete(kinds, o.ID)
	}
	for _, o := range only {
		if kind, gone := kinds[o.ID]; gone {
			return fmt.Errorf("%s: %s %s was deleted while it was looked at: run it again", rd.name, kind, o.ID)
		}
	}
	return nil
}
