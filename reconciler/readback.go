package reconciler

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
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

// rereading keeps what a look says of each touched resource, and compares it with what was sent. Of a thousand
// that is a second's work, so that it is divided among the processors, and begins while the look is still under way.
type rereading struct {
	rd      *round
	touched []fabric.Change
	applied []Applied // of each; zero where it is not owned
	ids     map[fabric.Ref]any

	mu    sync.Mutex
	early map[int]early
}

// early is what was found of a document that a look told of before it was over.
type early struct {
	origin string
	found  reread
}

func (rd *round) rereading(touched []fabric.Change) *rereading {
	b := &rereading{rd: rd, touched: touched, applied: make([]Applied, len(touched)), ids: rd.ids(), early: map[int]early{}}
	rd.mu.Lock()
	defer rd.mu.Unlock()
	for i, c := range touched {
		b.applied[i] = rd.state.applied[rd.name][c.Key]
	}
	return b
}

// during takes a look by look, which passes on what it sees, and reads back meanwhile.
func (b *rereading) during(ctx context.Context, look func(seen func(fabric.Object)) error) error {
	byID := make(map[string]int, len(b.touched))
	for i, a := range b.applied {
		if !a.Kind.Attached() && a.ID != "" {
			byID[a.ID] = i
		}
	}
	var g errgroup.Group
	slots := make(chan struct{}, max(keptAtOnce, runtime.GOMAXPROCS(0)))
	err := look(func(o fabric.Object) {
		i, ok := byID[o.ID]
		if !ok || o.Kind != b.touched[i].Kind || !b.reads(i, o) {
			return
		}
		g.Go(func() error { // and the look goes on
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return nil
			}
			if found, err := b.read(i, o); err == nil { // else it is read again
				b.mu.Lock()
				b.early[i] = early{o.Doc.Origin(), found}
				b.mu.Unlock()
			}
			return nil
		})
	})
	g.Wait()
	return err
}

// all is what a look says of each.
func (b *rereading) all(look *fabric.Live) ([]reread, error) {
	found := make([]reread, len(b.touched))
	var g errgroup.Group
	g.SetLimit(max(keptAtOnce, runtime.GOMAXPROCS(0)))
	for i, c := range b.touched {
		obj, presence, _ := look.Lookup(b.rd.Installation, c.Kind, c.Owner, b.applied[i].ID)
		if presence != fabric.Present || !b.reads(i, obj) {
			continue
		}
		if e, ok := b.early[i]; ok && e.origin != "" && e.origin == obj.Doc.Origin() {
			found[i] = e.found
			continue
		}
		g.Go(func() (err error) {
			found[i], err = b.read(i, obj)
			return err
		})
	}
	return found, g.Wait()
}

// reads reports whether there is something to read back of the i-th in an object: what was deleted or only paused is not
// compared, and what shows as it was before we wrote it, or as others wrote it since, says nothing.
func (b *rereading) reads(i int, o fabric.Object) bool {
	c, a := b.touched[i], b.applied[i]
	_, wanted := b.rd.desired.Lookup(c.Key)
	return a.ID != "" && c.Action != fabric.Delete && !c.Action.Rests() && wanted == fabric.Present && (a.Kind.Attached() || a.shows(o))
}

// read keeps the i-th as it is, and compares it.
func (b *rereading) read(i int, o fabric.Object) (found reread, err error) {
	rd, a := b.rd, b.applied[i]
	r, _ := rd.desired.Lookup(b.touched[i].Key)
	live, sent := o.Doc.Unpacked(), rd.documents.get(a.Sent)
	desired := r.Doc.Resolve(func(ref fabric.Ref) (any, bool) { id, ok := b.ids[ref]; return id, ok }).ResolveAs(sent)
	if o := desired.Origin(); o != "" && o == sent.Origin() {
		desired = desired.Unpacked() // one decoding for both, and no reading
		sent = desired
	}
	sent = sent.Unpacked()
	desired, _ = desired.Keep(a.Kept)
	rules := rd.Fabrics[rd.d.Fabric.Name].Rules(a.Kind)
	desired = withPauses(rules, desired, rd.paused(r.Key))
	live = unpaused(rules, desired, live)
	if found.digest, err = rd.documents.put(live); err != nil {
		return found, err
	}
	c := fabric.Comparison{Rules: rules, Live: live, Sent: sent, Desired: desired, Labels: r.Labels, Overlaid: r.Overlaid}
	fields, labels := fabric.Compare(c)
	found.news = a.Unstable.news(a.Sent, fields)
	if found.fields = fields; len(fields)+labels == 0 { // as the plan that follows will ask
		c.Read = rd.documents.get(found.digest)
		rd.compared.same(r.Key, c)
	}
	return found, nil
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
