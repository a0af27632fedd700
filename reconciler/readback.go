package reconciler

import (
	"encoding/json"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"selvage/fabric"
)

// reread is what the fabric says of one touched resource right after it was written.
type reread struct {
	digest string         // of its document; empty where it was not seen
	fields []fabric.Field // that are still different
	news   []fabric.Field // those of them that were not known to be unstable
}

// keptAtOnce is how many documents are kept at once after an apply: each waits for the disk.
const keptAtOnce = 8

// readBack keeps what a look says of each touched resource, and compares it with what was sent. Of a thousand
// that is a second's work, so that it is divided among the processors.
func (rd *round) readBack(look *fabric.Live, touched []fabric.Change) ([]reread, error) {
	rd.mu.Lock()
	applied := make(map[fabric.Key]Applied, len(touched))
	for _, c := range touched {
		if a, ok := rd.state.applied[rd.name][c.Key]; ok {
			applied[c.Key] = a
		}
	}
	rd.mu.Unlock()
	ids := rd.ids()
	found := make([]reread, len(touched))
	var g errgroup.Group
	g.SetLimit(max(keptAtOnce, runtime.GOMAXPROCS(0)))
	for i, c := range touched {
		a, owned := applied[c.Key]
		if !owned || c.Action == fabric.Delete {
			continue
		}
		obj, presence, _ := look.Lookup(rd.Installation, c.Kind, c.Owner, a.ID)
		r, wanted := rd.desired.Lookup(c.Key)
		if presence != fabric.Present || wanted != fabric.Present || c.Action.Rests() {
			continue
		}
		if !a.Kind.Attached() && !a.shows(obj) { // as it was before we wrote it, or as others wrote it since
			continue
		}
		g.Go(func() (err error) {
			live, sent := obj.Doc.Unpacked(), rd.documents.get(a.Sent)
			desired := r.Doc.Resolve(func(ref fabric.Ref) (any, bool) { id, ok := ids[ref]; return id, ok }).ResolveAs(sent)
			if o := desired.Origin(); o != "" && o == sent.Origin() {
				desired = desired.Unpacked() // one decoding for both, and no reading
				sent = desired
			}
			sent = sent.Unpacked()
			desired, _ = desired.Keep(a.Kept)
			rules := rd.Fabrics[rd.d.Fabric.Name].Rules(c.Kind)
			desired = withPauses(rules, desired, rd.paused(r.Key))
			live = unpaused(rules, desired, live)
			if found[i].digest, err = rd.documents.put(live); err != nil {
				return err
			}
			c := fabric.Comparison{Rules: rules, Live: live, Sent: sent, Desired: desired, Labels: r.Labels, Overlaid: r.Overlaid}
			fields, labels := fabric.Compare(c)
			found[i].news = a.Unstable.news(a.Sent, fields)
			if found[i].fields = fields; len(fields)+labels == 0 { // as the plan that follows will ask
				c.Read = rd.documents.get(found[i].digest)
				rd.compared.same(r.Key, c)
			}
			return nil
		})
	}
	return found, g.Wait()
}

// unpaused is what was read back without the pauses by hand in it. Somebody may pause a job right after it was written:
// such a pause stands by itself, and is no field that does not stay.
func unpaused(rules *fabric.Rules, desired, live fabric.Doc) fabric.Doc {
	var values map[string]json.RawMessage
	for _, p := range pausesOf(rules, "", desired, live, time.Time{}) {
		if values == nil {
			values = map[string]json.RawMessage{}
		}
		values[p.Path] = json.RawMessage(p.Desired)
	}
	return rules.With(live, values)
}
