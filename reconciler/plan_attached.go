package reconciler

import (
	"cmp"
	"slices"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// What is attached to a resource, as its access list is to a job, carries no mark: it is ours where the other one is,
// and goes along with it, without a request, when that is deleted, released or moved. It is never deleted by itself,
// and no budget counts it. Fabrics read it in turns, so that a look may lack it, or give it as it was a while ago.

// goesAlong takes out of the keys those of what is attached to something that the release does not hold, or that can't
// be rendered: what is decided about that one is decided about both.
func (b *planner) goesAlong(keys map[fabric.Key]bool) {
	for k := range keys {
		kind := b.Owned[k].Kind
		if r, p := b.Desired.Lookup(k); p == fabric.Present {
			kind = r.Kind
		}
		if to, attached := k.AttachedTo(kind); attached {
			if _, p := b.Desired.Lookup(to); p != fabric.Present {
				delete(keys, k)
			}
		}
	}
}

// alone counts what is owned and stands for itself.
func alone[V interface{ kind() fabric.Kind }](owned map[fabric.Key]V) int {
	n := 0
	for k, o := range owned {
		if _, attached := k.AttachedTo(o.kind()); !attached {
			n++
		}
	}
	return n
}

func (a Applied) kind() fabric.Kind { return a.Kind }

// attached decides on what is attached to a resource, whose change the plan has already.
func (b *planner) attached(c fabric.Change, r fabric.Resource, to fabric.Key, wanted bool, p *Plan) fabric.Change {
	other := fabric.Change{Hindrance: fabric.Blocked, Reason: configs.Found(configs.NotSeen, string(to), "")}
	if i, ok := slices.BinarySearchFunc(p.Changes, to, func(c fabric.Change, k fabric.Key) int { return cmp.Compare(c.Key, k) }); ok {
		other = p.Changes[i]
	}
	if !wanted { // the definition says nothing of it any more
		p.Released = append(p.Released, c.Key)
		c.Action, c.Reason = fabric.Release, configs.Found(configs.Released, string(c.Key), "the definition has none any more")
		return c
	}
	o, owned := b.owning(c, other)
	b.wanted(&c, r)
	c.ID = other.ID
	switch {
	case other.Action == fabric.Create:
		c.Action, c.Cause, c.ID = fabric.Create, other.Cause, ""
		c.Hindrance, c.Reason = other.Hindrance, other.Reason
		if c.Hindrance != fabric.Free {
			return c
		}
		return b.refused(c, o)
	case other.Live.IsZero(): // whose the other one is, is not known
		c.Action, c.Hindrance, c.Reason = fabric.Update, fabric.Blocked, other.Reason
		return c
	}
	obj, seen, _ := b.Live.Lookup(b.Installation, c.Kind, c.Owner, other.ID)
	spared := !owned && b.Owned[to].Adopted
	switch {
	case spared && (b.Owned[to].unmarked() || seen != fabric.Present && !obj.Unread):
		return b.spare(c, to, p)
	case seen == fabric.Present:
	case owned && !obj.Unread && o.Applied.Sent == c.Desired.Digest():
		c.Reason = configs.Found(configs.AccessInTurn, string(c.Key), "not read yet")
		return c
	default:
		if !obj.Unread {
			p.Reads = append(p.Reads, fabric.Owned{Owner: c.Owner, Kind: c.Kind, ID: other.ID})
		}
		c.Action, c.Hindrance = fabric.Update, fabric.Blocked
		c.Reason = configs.Found(configs.NotSeen, string(c.Key), "what is live can't be read")
		return c
	}
	b.differ(&c, r, obj, o)
	b.calm(c)
	switch {
	case len(c.Fields) > 0:
	case owned:
		c.Reason = configs.Found(configs.UpToDate, string(c.Key), "")
		return c
	case o.ID != "": // it was released, and nobody touched it since
		c.Reason = configs.Found(configs.UpToDate, string(c.Key), "")
		if _, was := b.Formerly[c.Key]; was {
			p.Taken = append(p.Taken, c.Key)
		}
		return c
	default: // nothing will be sent: that we look after it from now on has to be written down
		c.Action, c.Cause = fabric.Update, fabric.Commit
		c.Reason = configs.Found(configs.Changed, string(c.Key), "what is live is as declared, and is looked after from now on")
		return b.refused(c, o)
	}
	c.Action, c.Cause = fabric.Update, cause(c.Fields)
	c.Reason = configs.Found(configs.Changed, string(c.Key), "")
	if c.Cause == fabric.Drift || spared {
		c.Reason = configs.Found(configs.Drifted, string(c.Key), paths(c.Fields))
		if why := b.unhealed(); why != "" {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(why, string(c.Key), paths(c.Fields))
			return c
		}
		if c = b.contested(c, o); c.Hindrance != fabric.Free {
			return c
		}
	}
	return b.refused(c, o)
}

// owning is what the ledger says of what is attached to another resource, of which other is the change. It holds
// for the live resource that it was written to, and for no other.
func (b *planner) owning(c, other fabric.Change) (Owning, bool) {
	keys := []fabric.Key{c.Key}
	if other.Action == fabric.Move {
		keys = append(keys, fabric.Attach(other.From, c.Kind))
	}
	var why Applied
	for _, k := range keys {
		if o, owned := b.Owned[k]; owned && o.ID == other.ID {
			return o, true
		}
		if o := b.Formerly[k]; o.ID != "" && o.ID == other.ID {
			return o, false
		} else if o.ID == "" { // the fabric refused what was sent first
			why = Applied{Refused: cmp.Or(why.Refused, o.Refused), Why: cmp.Or(why.Why, o.Why)}
		}
	}
	return Owning{Applied: why}, false
}

// readAt is when what a change is about was read, if it is attached to something and the release wants it.
func readAt(live *fabric.Live, installation string, c fabric.Change) (at time.Time, attached bool) {
	if _, attached = c.Key.AttachedTo(c.Kind); !attached || c.ID == "" || c.Desired.IsZero() {
		return time.Time{}, false
	}
	o, seen, _ := live.Lookup(installation, c.Kind, c.Owner, c.ID)
	if seen == fabric.Present {
		at = o.Read
	}
	return at, true
}
