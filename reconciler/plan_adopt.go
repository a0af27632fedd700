package reconciler

import (
	"fmt"

	"selvage/configs"
	"selvage/fabric"
)

// found finds what is owned on the fabric, as Live.Lookup does. What was adopted carries no mark before the first
// write to it: then the id that a person accepted is what proves it ours, and any mark on it that it is not.
func found(live *fabric.Live, installation string, kind fabric.Kind, owner fabric.Owner, a Applied) (fabric.Object, fabric.Presence, configs.Finding) {
	obj, seen, why := live.Lookup(installation, kind, owner, a.ID)
	switch {
	case !a.unmarked() || why.Code != configs.MarkMissing:
	case obj.Managed:
		why = configs.Found(configs.AdoptedMarked, string(owner.Key), fmt.Sprintf("%s %s", kind, obj.ID))
	case obj.Unread || obj.Doc.IsZero():
		why = configs.Found(configs.NotSeen, string(owner.Key), fmt.Sprintf("%s %s is there and can't be read in full", kind, obj.ID))
	default:
		return obj, fabric.Present, configs.Finding{}
	}
	return obj, seen, why
}

// adopt decides on a live resource that a person accepted and that carries no mark yet: it gets one, with the
// definition that the person has seen. What was edited since then would be lost, which nobody has seen.
func (b *planner) adopt(c fabric.Change, r fabric.Resource, o Owning) fabric.Change {
	c.Action, c.Cause = fabric.Update, fabric.Adoption
	c.Reason = configs.Found(configs.Adopted, string(c.Key), "")
	for i, f := range c.Fields {
		if f.Cause != fabric.Overlay {
			c.Fields[i].Cause = fabric.Adoption
		}
	}
	if o.Read.IsZero() {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.AdoptedEdited, string(c.Key), "what was accepted is no longer in the store")
		return c
	}
	since, _ := fabric.Compare(fabric.Comparison{Rules: b.Rules(r.Kind), Desired: o.Read, Live: c.Live})
	edited := map[string]bool{}
	for _, f := range since {
		edited[f.Path] = true
	}
	var lost []fabric.Field
	for _, f := range c.Fields {
		if fabric.Covers(edited, f.Path) {
			lost = append(lost, f)
		}
	}
	if len(lost) > 0 {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.AdoptedEdited, string(c.Key), paths(lost))
		return c
	}
	return b.refused(c, o)
}

// adopting counts the changes of a plan that are the first to a live resource that was taken over.
func adopting(p Plan) int {
	n := 0
	for _, c := range p.Changes {
		if c.Cause == fabric.Adoption && c.Hindrance == fabric.Free {
			n++
		}
	}
	return n
}

// adopted reports that a live resource without a mark is ours all the same.
func (b *planner) adopted(id string) bool { return b.takenOver().unmarked[id] }

// takeovers are the resources that other tools made.
type takeovers struct {
	some     bool
	unmarked map[string]bool // ids of those that do not carry our mark yet
}

// takenOver finds them once: a plan asks for each of its changes.
func (b *planner) takenOver() *takeovers {
	if b.others == nil {
		b.others = &takeovers{unmarked: map[string]bool{}}
		for _, o := range b.Owned {
			b.others.some = b.others.some || o.Adopted
			if o.unmarked() {
				b.others.unmarked[o.ID] = true
			}
		}
	}
	return b.others
}

// unhealed is why drift is not put right; empty where it is. What another tool made is healed only where a policy
// says so itself.
func (b *planner) unhealed() configs.Code {
	switch {
	case b.Force:
	case !b.Heal:
		return configs.HealOff
	case !b.HealSaid && b.takenOver().some:
		return configs.AdoptedHealOff
	}
	return ""
}

// spare leaves alone what is attached to a resource that was taken over: its first apply does not touch it. After that it is
// looked at, and what differs is drift of what another tool or a person set.
func (b *planner) spare(c fabric.Change, to fabric.Key, p *Plan) fabric.Change {
	if b.Owned[to].unmarked() {
		c.Desired = fabric.Doc{} // what is live need not be read
		c.Reason = configs.Found(configs.Adopted, string(c.Key), "it stays as it is")
		return c
	}
	p.Reads = append(p.Reads, fabric.Owned{Owner: c.Owner, Kind: c.Kind, ID: c.ID})
	c.Reason = configs.Found(configs.AccessInTurn, string(c.Key), "not read yet")
	return c
}
