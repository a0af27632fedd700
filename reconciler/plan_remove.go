package reconciler

import (
	"fmt"

	"selvage/configs"
	"selvage/fabric"
)

// remove decides on an owned resource that the release no longer holds.
func (b *planner) remove(c fabric.Change, o Owning, p *Plan) fabric.Change {
	c.Action, c.Cause = fabric.Delete, fabric.Prune
	c.Reason = configs.Found(configs.Pruned, string(c.Key), "")
	obj, seen, why := b.lookup(o.Kind, c.Owner, o)
	switch seen {
	case fabric.Unknown:
		c.Hindrance, c.Reason = fabric.Blocked, why
		return c
	case fabric.Absent: // somebody deleted it already: nothing to write, and nothing to manage
		c.Action = fabric.Release
		c.Reason = configs.Found(configs.Released, string(c.Key), "it was deleted on the fabric")
		p.Released = append(p.Released, c.Key)
		return c
	}
	c.Live, c.Mark = obj.Doc, obj.Mark
	if b.Partial {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.ReleasePartial, string(c.Key), "")
		return c
	}
	first, sighted := b.Absences[c.Key]
	if !sighted {
		p.Absent = append(p.Absent, c.Key)
	}
	if !sighted || !b.Live.Complete || b.Sighting.Sub(first.Sighting) < b.Apart || !b.Sighting.After(first.Sighting) || b.Live.At.Sub(first.Listing) < b.Apart || !b.Live.At.After(first.Listing) {
		c.Hindrance, c.Reason = fabric.Deferred, configs.Found(configs.AbsentOnce, string(c.Key), "")
		return c
	}
	return b.refused(c, o)
}

// budget blocks all deletions where there are more than the policy allows.
func (b *planner) budget(p *Plan) {
	allowed := Allowed(b.Prune, p.Owned)
	n := 0
	for _, c := range p.Changes {
		if c.Action == fabric.Delete && c.Hindrance != fabric.Blocked {
			n++
		}
	}
	if n <= allowed {
		return
	}
	for i, c := range p.Changes {
		if c.Action == fabric.Delete && c.Hindrance != fabric.Blocked {
			p.Changes[i].Hindrance = fabric.Blocked
			p.Changes[i].Reason = configs.Found(configs.OverBudget, string(c.Key), fmt.Sprintf("%d deletions of %d owned, %d allowed", n, p.Owned, allowed))
		}
	}
}

// Allowed is how many of the owned resources one plan may delete.
func Allowed(p configs.Prune, owned int) int {
	return min(p.Max, max(1, p.Percent*owned/100))
}
