package reconciler

import (
	"maps"
	"slices"

	"selvage/configs"
	"selvage/fabric"
)

// moves are the resources that go on under another key, as the configuration says. What was applied under the
// old key is what proves them ours: a name never does (law 11).
type moves struct {
	to       map[fabric.Key]moving          // by the key that they have now
	left     map[fabric.Key]bool            // owned keys that such a change speaks for
	released map[fabric.Key]bool            // owned keys that became one which the deployment does not select
	renamed  map[fabric.Key]fabric.Key      // of those, the keys that they became
	unclear  map[fabric.Key]configs.Finding // keys of which nothing may be made, since it may be there under an older one
}

// moving is one live resource that goes on under another key.
type moving struct {
	from  fabric.Key
	was   Owning
	taken bool // it was released before, and is managed again
	live  fabric.Object
	seen  fabric.Presence // Present or Unknown; what is gone can't move
	why   configs.Finding
}

// findMoves finds out what becomes of each key that the configuration says was another one.
func (b *planner) findMoves() {
	b.moves = moves{to: map[fabric.Key]moving{}, left: map[fabric.Key]bool{}, released: map[fabric.Key]bool{}, renamed: map[fabric.Key]fabric.Key{}, unclear: map[fabric.Key]configs.Finding{}}
	for _, old := range slices.Sorted(maps.Keys(b.Moved)) {
		was, owned := b.Owned[old]
		if !owned {
			was = b.Formerly[old]
		}
		if !owned && was.ID == "" && !b.Open[old] {
			continue // never ours: there is nothing that could move
		}
		k, ok := b.becomes(old)
		if !ok {
			continue
		}
		_, still := b.Desired.Lookup(old)
		r, wanted := b.Desired.Lookup(k)
		switch {
		case !owned && b.Open[old]: // it may be about to come into being
			b.unclear[k] = configs.Found(configs.IntentOpen, string(k), "of "+string(old))
		case still != fabric.Absent:
			if owned || b.there(old) == fabric.Present {
				b.unclear[k] = configs.Found(configs.MoveUnclear, string(k), "of "+string(old))
			}
		case wanted == fabric.Absent: // the deployment does not select what it is now
			b.released[old], b.renamed[old] = owned, k
		case wanted == fabric.Unknown:
			if owned { // what is live stays, under whichever key
				b.to[k], b.left[old] = moving{from: old, was: was}, true
			}
		case r.Kind == was.Kind:
			b.findMove(old, k, was, owned)
		}
	}
}

// becomes is the key that an old one leads to in the end: the first on the way that the release holds. There is
// none where the way leads to a resource of its own, or to nothing that the release holds.
func (b *planner) becomes(old fabric.Key) (fabric.Key, bool) {
	passed := map[fabric.Key]bool{old: true}
	k, more := b.Moved[old]
	for more && !passed[k] {
		passed[k] = true
		if _, owned := b.Owned[k]; owned {
			return "", false // it was moved before, or is another one
		}
		if _, claimed := b.to[k]; claimed {
			return "", false
		}
		switch b.there(k) {
		case fabric.Present:
			return "", false
		case fabric.Unknown:
			b.unclear[k] = configs.Found(configs.NotSeen, string(k), "the listing is not complete")
		}
		if _, p := b.Desired.Lookup(k); p != fabric.Absent || b.Desired.Unselected(k) {
			return k, true
		}
		k, more = b.Moved[k]
	}
	return "", false
}

// there says whether the resource that was released under a key is still there and ours. What a complete listing
// lacks is not; nor is what no longer carries our mark.
func (b *planner) there(k fabric.Key) fabric.Presence {
	f := b.Formerly[k]
	if f.ID == "" {
		return fabric.Absent
	}
	_, seen, why := b.lookup(f.Kind, b.owner(k), f)
	if seen == fabric.Unknown && (b.Live.Complete || why.Code == configs.MarkMissing) {
		return fabric.Absent
	}
	return seen
}

func (b *planner) findMove(old, k fabric.Key, was Owning, owned bool) {
	m := moving{from: old, was: was, taken: !owned}
	m.live, m.seen, m.why = b.lookup(was.Kind, b.owner(old), was)
	if m.why.Code == configs.MarkMissing { // a request that was given up on may have come through after all
		if live, seen, _ := b.lookup(was.Kind, b.owner(k), was); seen == fabric.Present {
			m.live, m.seen, m.why = live, seen, configs.Finding{}
		}
	}
	if m.seen == fabric.Absent || m.taken && m.seen != fabric.Present {
		return // gone: what is wanted is made anew
	}
	b.to[k], b.left[old] = m, true
}

// move updates a live resource in place, with the mark of its new key.
func (b *planner) move(c fabric.Change, r fabric.Resource, m moving, p *Plan) fabric.Change {
	c.Action, c.Cause, c.From, c.ID = fabric.Move, fabric.Commit, m.from, m.was.ID
	c.Reason = configs.Found(configs.Moved, string(c.Key), "it was "+string(m.from))
	b.wanted(&c, r)
	if m.seen != fabric.Present {
		c.Hindrance, c.Reason = fabric.Blocked, m.why
		return c
	}
	if m.taken {
		p.Taken = append(p.Taken, m.from)
	}
	b.differ(&c, r, m.live, m.was)
	c.Restarts = len(c.Fields) > 0 && b.restarts(c)
	why, unclear := b.unclear[c.Key]
	other, seen, copied := b.lookup(r.Kind, c.Owner, Owning{})
	switch {
	case unclear:
		c.Hindrance, c.Reason = fabric.Blocked, why
	case b.Partial && !b.Desired.Unselected(m.from): // it may be in git under its old key all the same
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.ReleasePartial, string(m.from), "")
	case b.Open[m.from]:
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.IntentOpen, string(m.from), "")
	case m.live.Mark.Owns(b.Installation, c.Owner): // ours is the one that carries the mark already
	case seen == fabric.Present:
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.MarkUnproven, string(c.Key), string(r.Kind)+" "+other.ID)
	case copied.Code == configs.MarkCopied:
		c.Hindrance, c.Reason = fabric.Blocked, copied
	}
	if c.Hindrance != fabric.Free {
		return c
	}
	return b.ready(c, r, m.live, m.was)
}
