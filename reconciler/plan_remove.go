package reconciler

import (
	"cmp"
	"fmt"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// remove decides on an owned resource that the release no longer holds.
func (b *planner) remove(c fabric.Change, o Owning, p *Plan) fabric.Change {
	c.Action, c.Cause = fabric.Delete, fabric.Prune
	c.Reason = configs.Found(configs.Pruned, string(c.Key), "")
	protected := b.protected(c.Key)
	if _, sighted := b.Absences[c.Key]; sighted && protected {
		p.Uncounted = append(p.Uncounted, c.Key)
	}
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
	if protected {
		return kept(c, o)
	}
	c.Live, c.Mark, c.Runs = obj.Doc, obj.Mark, cmp.Or(b.Prune.ActiveRuns, configs.RunsWait)
	if o.unmarked() && obj.Mark == (fabric.Mark{}) {
		f := configs.Found(configs.AdoptedUnmarked, string(c.Key), fmt.Sprintf("%s %s", o.Kind, o.ID))
		f.Next = strings.Replace(f.Next, "KEY", string(c.Key), 1)
		c.Hindrance, c.Reason = fabric.Blocked, f
		return c
	}
	if b.Partial {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.ReleasePartial, string(c.Key), "")
		return c
	}
	first, sighted := b.Absences[c.Key]
	if !sighted {
		p.Absent = append(p.Absent, c.Key)
	}
	fenced := b.Prune.Quarantine > 0 && b.Rules(o.Kind).Rest != nil
	if !o.Quarantined.IsZero() {
		if how := b.edited(obj, o); how != "" {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.QuarantineEdited, string(c.Key), how)
			return c
		}
		if end := b.ends(o); fenced && !b.over(end) {
			c.Until = end
			c.Hindrance, c.Reason = fabric.Deferred, configs.Found(configs.InQuarantine, string(c.Key), "until "+end.UTC().Format("2006-01-02 15:04:05Z"))
			return c
		}
	} else if fenced {
		c.Action = fabric.Quarantine
	}
	if !sighted || !b.Live.Complete || b.Sighting.Sub(first.Sighting) < b.Apart || !b.Sighting.After(first.Sighting) || b.Live.At.Sub(first.Listing) < b.Apart || !b.Live.At.After(first.Listing) {
		c.Hindrance, c.Reason = fabric.Deferred, configs.Found(configs.AbsentOnce, string(c.Key), "")
		return c
	}
	if c.Action == fabric.Quarantine {
		return b.quarantine(c, o, first.Sighting)
	}
	return b.refused(c, o)
}

// budget blocks all deletions where there are more than the policy allows, and all quarantines likewise. Each job
// that goes through a quarantine is counted twice, once at each end: a release that lacks too much stops no more jobs
// than the budget, and no plan deletes more than it. The two are not added up, so that what is due goes when it is due;
// what only waits in quarantine is not counted.
func (b *planner) budget(p *Plan) {
	allowed := Allowed(b.Prune, p.Owned)
	for _, action := range []fabric.Action{fabric.Delete, fabric.Quarantine} {
		var counted []int
		for i, c := range p.Changes {
			if c.Action == action && c.Hindrance != fabric.Blocked && c.Until.IsZero() {
				counted = append(counted, i)
			}
		}
		if len(counted) <= allowed {
			continue
		}
		what := "deletions"
		if action == fabric.Quarantine {
			what = "jobs to put into quarantine"
		}
		for _, i := range counted {
			p.Changes[i].Hindrance = fabric.Blocked
			p.Changes[i].Reason = configs.Found(configs.OverBudget, string(p.Changes[i].Key), fmt.Sprintf("%d %s of %d owned, %d allowed", len(counted), what, p.Owned, allowed))
		}
	}
}

// Allowed is how many of the owned resources one plan may delete.
func Allowed(p configs.Prune, owned int) int {
	return min(p.Max, max(1, p.Percent*owned/100))
}
