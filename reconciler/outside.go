package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// outside holds a change back whose resource can't do without something that others put on the fabric, and that
// is not there, that is there twice under one name, or of which nobody knows yet whether it is. It also has asked
// for what a resource refers to by name, whatever becomes of the resource: its id decides what that is.
func (b *planner) outside(c *fabric.Change, p *Plan) {
	r, presence := b.Desired.Lookup(c.Key)
	if presence != fabric.Present {
		return
	}
	sends := c.Hindrance == fabric.Free && c.Action.Sends()
	var missing, unseen, nameless, doubled []string
	for _, t := range r.Outside {
		seen, answered := b.sight(r.Kind, t)
		if t.Kind != fabric.NamedJob && (sends || t.Kind.Named() && !answered) && !slices.Contains(p.Asks, t) {
			p.Asks = append(p.Asks, t)
		}
		switch {
		case !sends:
		case t.Kind.Named() && seen.Presence == fabric.Present && seen.Count > 1:
			doubled = append(doubled, fmt.Sprintf("%s, and %d bear that name", refers(b.Rules(r.Kind), r.Doc, t), seen.Count))
		case seen.Presence == fabric.Unknown, t.Kind.Named() && seen.Presence == fabric.Present && seen.ID == "":
			unseen = append(unseen, t.String())
		case seen.Presence == fabric.Present:
		case t.Kind.Named():
			nameless = append(nameless, refers(b.Rules(r.Kind), r.Doc, t))
		default:
			missing = append(missing, t.String())
		}
	}
	for _, hindered := range []struct {
		code configs.Code
		by   []string
	}{
		{configs.ReferenceMissing, nameless}, {configs.ReferenceAmbiguous, doubled},
		{configs.OutsideMissing, missing}, {configs.NotSeen, unseen},
	} {
		if len(hindered.by) > 0 {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(hindered.code, string(c.Key), some(hindered.by))
			return
		}
	}
}

// refers says where a document refers to something by name: tasks[x].sql_task.warehouse_id refers to SQL warehouse "BI".
func refers(rules *fabric.Rules, d fabric.Doc, t fabric.Outside) string {
	var at []string
	fabric.WalkRefs(rules, d, func(path string, r fabric.Ref) {
		if r == t.Ref() {
			at = append(at, path)
		}
	})
	slices.Sort(at)
	if len(at) == 0 {
		return t.String()
	}
	return fmt.Sprintf("%s refers to %s", some(at), t)
}

// sight is what is known of something that others put there, and whether anybody looked. A resource of kind may
// refer to another one of its kind that is not of its release.
func (b *planner) sight(kind fabric.Kind, t fabric.Outside) (seen fabric.Sight, answered bool) {
	if t.Kind != fabric.NamedJob {
		seen, answered = b.Outside[t]
		return seen, answered
	}
	if !b.Live.Complete {
		return fabric.Sight{}, true
	}
	var ids []string
	for _, o := range b.Live.Named(kind, t.Name) {
		if !b.leaves(o) {
			ids = append(ids, o.ID)
		}
	}
	return fabric.Alone(ids), true
}

// leaves reports a live resource of this deployment that its release no longer holds: nothing should refer to it.
func (b *planner) leaves(o fabric.Object) bool {
	for k := range b.Owned {
		if !o.Mark.Owns(b.Installation, b.owner(k)) {
			continue
		}
		_, presence := b.Desired.Lookup(k)
		return presence == fabric.Absent && !b.Desired.Unselected(k)
	}
	return false
}

// id is what is known of the id that a reference of a resource of kind stands for.
func (b *planner) id(kind fabric.Kind, r fabric.Ref) (any, bool) {
	if id, ok := b.ids[r]; ok {
		return id, true
	}
	t, named := r.Outside()
	if !named {
		return nil, false
	}
	seen, _ := b.sight(kind, t)
	if t.Kind == fabric.NamedJob && seen.ID != "" {
		return json.Number(seen.ID), true
	}
	return seen.ID, seen.ID != ""
}

// some are the first three of what may be many.
func some(names []string) string {
	if len(names) > 3 {
		names = append(names[:3:3], fmt.Sprintf("and %d more", len(names)-3))
	}
	return strings.Join(names, ", ")
}

// askOutside has the fabric look for the things that the plan depends on and that this round has not asked about. It
// reports whether that taught us anything. A plan that writes nothing asks nothing but for ids that are not known.
func (rd *round) askOutside(ctx context.Context, p Plan) (bool, error) {
	var open []fabric.Outside
	for _, t := range p.Asks {
		if _, asked := rd.outside[t]; !asked {
			open = append(open, t)
		}
	}
	if len(open) == 0 {
		return false, nil
	}
	place := rd.d.Fabric.Name
	at := time.Now()
	seen, err := rd.Fabrics[place].Outside(ctx, open)
	if err != nil {
		return false, rd.fail(configs.FabricUnreachable, fmt.Errorf("fabric %s: look for what others put there: %w", place, err))
	}
	if rd.outside == nil {
		rd.outside = map[fabric.Outside]fabric.Sight{}
	}
	for _, t := range open {
		rd.outside[t] = rd.looks[place].names.learn(t, seen[t], at) // Unknown where it does not say
	}
	return true, nil
}

// sights are what this round knows of things that others put there: what it asked about, and ids that some round
// on the same fabric asked for a while ago.
func (rd *round) sights() map[fabric.Outside]fabric.Sight {
	all := rd.looks[rd.d.Fabric.Name].names.since(time.Now().Add(-namesLast))
	maps.Copy(all, rd.outside)
	return all
}

// namesLast is how long an id that was found by its name is believed. A round that writes nothing looks again only
// then, so that it costs no request in between; before anything is written that depends on it, it is looked for anew.
const namesLast = 10 * time.Minute

// names are the ids of the things of one fabric that go by a name. The zero value knows none.
type names struct {
	mu   sync.Mutex
	seen map[fabric.Outside]named
}

type named struct {
	id string
	at time.Time // when the look for it began
}

// since are those that were looked for after a moment.
func (n *names) since(notBefore time.Time) map[fabric.Outside]fabric.Sight {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[fabric.Outside]fabric.Sight, len(n.seen))
	for t, s := range n.seen {
		if s.at.After(notBefore) {
			all[t] = fabric.Alone([]string{s.id})
		}
	}
	return all
}

// learn takes in what a look came to that began at a moment, and returns it. One that could not tell keeps the last
// id that was known: by it what is live is compared, and nothing is written.
func (n *names) learn(t fabric.Outside, s fabric.Sight, at time.Time) fabric.Sight {
	if !t.Kind.Named() {
		return s
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case s.Presence == fabric.Unknown:
		s.ID = n.seen[t].id
	case s.ID == "":
		delete(n.seen, t)
	case !at.Before(n.seen[t].at):
		if n.seen == nil {
			n.seen = map[fabric.Outside]named{}
		}
		n.seen[t] = named{s.ID, at}
	}
	return s
}
