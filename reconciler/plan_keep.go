package reconciler

import (
	"fmt"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// keep decides on a resource that the release holds: it is made, brought back to what it should be, or left as it is.
func (b *planner) keep(c fabric.Change, r fabric.Resource, o Owning, owned bool, p *Plan) fabric.Change {
	k := c.Key
	if m, moves := b.to[k]; moves {
		return b.move(c, r, m, p)
	}
	taken := false
	if !owned {
		if f, was := b.Formerly[k]; was && f.ID != "" {
			o, taken = f, true
		} else if was {
			o.Refused, o.Why = f.Refused, f.Why
		}
	}
	obj, seen, why := b.lookup(r.Kind, c.Owner, o)
	if taken && seen != fabric.Present { // what we once managed is gone or changed hands: begin anew
		o, taken = Owning{}, false
		obj, seen, why = b.lookup(r.Kind, c.Owner, Owning{})
	}
	b.wanted(&c, r)
	switch {
	case seen == fabric.Unknown:
		c.Hindrance, c.Reason, c.Action = fabric.Blocked, why, fabric.Update
		return c
	case seen == fabric.Absent:
		return b.create(c, r, o, owned)
	case o.ID == "":
		c.ID = obj.ID
		c.Action, c.Hindrance = fabric.Update, fabric.Blocked
		c.Reason = configs.Found(configs.MarkUnproven, string(k), fmt.Sprintf("%s %s", r.Kind, obj.ID))
		return c
	}
	b.differ(&c, r, obj, o)
	if taken {
		p.Taken = append(p.Taken, k)
	}
	if o.unmarked() && obj.Mark == (fabric.Mark{}) {
		return b.adopt(c, r, o)
	}
	if len(c.Fields) == 0 && len(c.Kept) < len(o.Kept) {
		if p.Lapsed == nil {
			p.Lapsed = map[fabric.Key][]fabric.Kept{}
		}
		p.Lapsed[k] = c.Kept
	}
	b.calm(c)
	if len(c.Fields) == 0 {
		c.Reason = configs.Found(configs.UpToDate, string(k), "")
		if c.Labels > 0 {
			c.Reason = configs.Found(configs.LabelsOnly, string(k), "")
		}
		if len(c.Stands) > 0 {
			c.Cause, c.Reason = fabric.Drift, b.pausedByHand(c)
		}
		return b.restart(c, o)
	}
	c.Restarts = b.restarts(c)
	c.Action, c.Cause = fabric.Update, cause(c.Fields)
	c.Reason = configs.Found(configs.Changed, string(k), "")
	if !o.Quarantined.IsZero() {
		c.Reason = configs.Found(configs.Changed, string(k), "it is there again, out of quarantine")
	}
	if c.Cause == fabric.Drift {
		c.Reason = configs.Found(configs.Drifted, string(k), paths(c.Fields))
		if why := b.unhealed(); why != "" && !b.lifted(c) {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(why, string(k), paths(c.Fields))
			return c
		}
		if c = b.contested(c, o); c.Hindrance != fabric.Free {
			return c
		}
	}
	return b.ready(c, r, obj, o)
}

// wanted puts into a change what the release says of its resource.
func (b *planner) wanted(c *fabric.Change, r fabric.Resource) {
	c.Stripped, c.Overlay = r.Stripped, r.Overlay
	c.Committed = r.Committed
	c.Desired, c.Needs, c.Blobs = r.Doc.Resolve(func(ref fabric.Ref) (any, bool) { return b.id(r.Kind, ref) }), r.Needs, r.Blobs
}

// differ compares a change with what is live and what was last applied.
func (b *planner) differ(c *fabric.Change, r fabric.Resource, live fabric.Object, o Owning) {
	c.ID, c.Live, c.Mark = live.ID, live.Doc, live.Mark
	rules, pauses, unstable := b.Rules(r.Kind), b.Pauses[pausedAs(c)], o.Unstable.of(o.Applied.Sent)
	c.Desired, c.Kept = c.Desired.Keep(stillPaused(rules, o, live.Doc))
	c.Fields, c.Labels = b.Compared.compare(c.Key, fabric.Comparison{
		Rules: rules, Desired: c.Desired, Live: live.Doc, Sent: asked(rules, o.Sent, c.Desired, pauses), Read: asked(rules, o.Read, c.Desired, pauses),
		Labels: r.Labels, Overlaid: r.Overlaid, Unstable: unstable,
	})
	c.Restless = append(slices.Clone(unstable), b.Restless[c.Key]...)
	b.stand(c)
}

// ready ends a change of a live resource with what may hold it back still: a new name that others bear already, or
// that the fabric said no to it before.
func (b *planner) ready(c fabric.Change, r fabric.Resource, live fabric.Object, o Owning) fabric.Change {
	if live.Name != r.Name {
		if why := b.taken(r); why != "" {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.NameTaken, string(c.Key), why)
			return c
		}
	}
	return b.refused(c, o)
}

// refused holds a change back that the fabric said no to before.
func (b *planner) refused(c fabric.Change, o Owning) fabric.Change {
	if o.Refused != "" && o.Refused == c.Digest() && !b.Force {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.FabricRefused, string(c.Key), o.Why)
	}
	return c
}

func (b *planner) create(c fabric.Change, r fabric.Resource, o Owning, owned bool) fabric.Change {
	c.Action, c.Cause, c.ID = fabric.Create, fabric.Commit, ""
	c.Reason = configs.Found(configs.Changed, string(c.Key), "it is new")
	b.remade(&c)
	if why, unclear := b.unclear[c.Key]; unclear {
		c.Hindrance, c.Reason = fabric.Blocked, why
		return c
	}
	if owned {
		c.Cause = fabric.Drift
		c.Reason = configs.Found(configs.Drifted, string(c.Key), fmt.Sprintf("%s %s was deleted", r.Kind, o.ID))
		if why := b.unhealed(); why != "" {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(why, string(c.Key), fmt.Sprintf("%s %s was deleted", r.Kind, o.ID))
			return c
		}
	}
	if !b.Live.Complete {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.NotSeen, string(c.Key), "the listing is not complete")
		return c
	}
	if why := b.taken(r); why != "" {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.NameTaken, string(c.Key), why)
		return c
	}
	if b.Unseen != "" { // one of that name, or with our mark, may be there all the same
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.NotAllSeen, string(c.Key), b.Unseen)
		return c
	}
	return b.refused(c, o)
}

// cause of a change is its gravest field's: what git says, then the overlay, then drift.
func cause(fields []fabric.Field) fabric.Cause {
	for _, want := range []fabric.Cause{fabric.Commit, fabric.Overlay} {
		for _, f := range fields {
			if f.Cause == want {
				return want
			}
		}
	}
	return fabric.Drift
}

func paths(fields []fabric.Field) string {
	var names []string
	for i, f := range fields {
		if i == 3 {
			names = append(names, fmt.Sprintf("and %d more", len(fields)-3))
			break
		}
		names = append(names, f.Path)
	}
	return strings.Join(names, ", ")
}

// taken says which live resources that are not ours bear a resource's name; empty where none does.
func (b *planner) taken(r fabric.Resource) string {
	var ids []string
	marked := 0
	for _, other := range b.Live.Named(r.Kind, r.Name) {
		if other.Mark.Installation == b.Installation || b.adopted(other.ID) {
			continue
		}
		ids = append(ids, other.ID)
		if other.Managed {
			marked++
		}
	}
	slices.Sort(ids)
	switch {
	case len(ids) == 0:
		return ""
	case len(ids) == 1 && marked == 1:
		return fmt.Sprintf("%s %s is named %q, and another installation of selvage manages it", r.Kind, ids[0], r.Name)
	case len(ids) == 1:
		return fmt.Sprintf("%s %s is named %q", r.Kind, ids[0], r.Name)
	}
	return fmt.Sprintf("%ss %s are named %q", r.Kind, some(ids), r.Name)
}
