package reconciler

import (
	"fmt"
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/configs"
	"selvage/fabric"
)

// protected reports a key that is kept when the release no longer holds it.
func (b *planner) protected(k fabric.Key) bool {
	return slices.ContainsFunc(b.Protect, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, string(k)) })
}

// kept is what becomes of a protected resource that the release no longer holds. No sighting of its absence counts:
// should the protection end, by a slip of the hand too, two are needed from then on.
func kept(c fabric.Change, o Owning) fabric.Change {
	particulars := ""
	if !o.Quarantined.IsZero() {
		particulars = "it was paused and renamed before, and stays so"
	}
	c.Action, c.Cause, c.Reason = fabric.Keep, "", configs.Found(configs.Protected, string(c.Key), particulars)
	return c
}

// quarantine is the change of a resource that goes, before it is deleted: it is paused and gets another name. Its
// name says since when the release lacks it.
func (b *planner) quarantine(c fabric.Change, o Owning, since time.Time) fabric.Change {
	rules := b.Rules(o.Kind)
	name := fmt.Sprintf("removed %s by selvage: %s", since.UTC().Format("2006-01-02 15:04Z"), o.Name)
	b.rest(&c, rules, o, name)
	return b.refused(c, o)
}

// rest puts into a change what pauses the resource, under another name unless that is empty.
func (b *planner) rest(c *fabric.Change, rules *fabric.Rules, o Owning, name string) {
	c.Desired = rules.Rest(c.Live, o.Sent, name)
	if !o.Sent.IsZero() {
		c.Sent = rules.Rest(o.Sent, o.Sent, name)
	}
	c.Fields, _ = fabric.Compare(fabric.Comparison{Rules: rules, Desired: c.Desired, Live: c.Live, Sent: c.Desired})
	for i := range c.Fields {
		c.Fields[i].Cause = c.Cause
	}
}

// edited says how what is in quarantine differs from what was put there; empty where it does not.
func (b *planner) edited(live fabric.Object, o Owning) string {
	if o.Sent.IsZero() {
		return "what it was then is not known"
	}
	fields, _ := fabric.Compare(fabric.Comparison{Rules: b.Rules(o.Kind), Desired: o.Sent, Live: live.Doc, Sent: o.Sent, Read: o.Read})
	if len(fields) == 0 {
		return ""
	}
	return paths(fields)
}

// ends is when a resource in quarantine may be deleted.
func (b *planner) ends(o Owning) time.Time { return o.Quarantined.Add(b.Prune.Quarantine) }

// over reports that a quarantine is over for the refs and for the fabric, as they were last seen.
func (b *planner) over(end time.Time) bool { return !b.Sighting.Before(end) && !b.Live.At.Before(end) }

// underWay holds deletions back for runs that are under way, and where nobody knows whether there are any.
func (b *planner) underWay(p *Plan) {
	for i, c := range p.Changes {
		if c.Action != fabric.Delete || c.Hindrance != fabric.Free || c.Runs != configs.RunsWait {
			continue
		}
		p.Runs = append(p.Runs, c.Key)
		switch n, known := b.Active[c.Key]; {
		case !known:
			p.Changes[i].Hindrance, p.Changes[i].Reason = fabric.Blocked, configs.Found(configs.NotSeen, string(c.Key), "nobody knows whether runs of it are under way")
		case n > 0:
			p.Changes[i].Hindrance, p.Changes[i].Reason = fabric.Deferred, configs.Found(configs.ActiveRunsFound, string(c.Key), number(n, "run"))
		}
	}
}

func number(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
