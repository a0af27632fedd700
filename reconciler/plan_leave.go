package reconciler

import (
	"fmt"
	"slices"

	"selvage/configs"
	"selvage/fabric"
)

// leaves reports that git moved a job away from a fabric with these ids: it is committed for another one than when it
// was written last. Where the configuration changed instead, or the job says no fabric at all, git moved nothing.
func leaves(ids []string, was, now string) bool {
	return was != "" && now != "" && slices.Contains(ids, was) && !slices.Contains(ids, now)
}

// committed is the fabric id that a key which the deployment does not select is committed for, by the key that it
// has now: its own where the release still holds it.
func (b *planner) committed(k fabric.Key) string {
	if now, moved := b.renamed[k]; moved && !b.Desired.Unselected(k) {
		k = now
	}
	return b.Desired.Committed(k)
}

// leave decides on an owned resource that git moved to another fabric. It is paused and then released; where nothing
// starts it by itself it is released at once.
func (b *planner) leave(c fabric.Change, o Owning, p *Plan) fabric.Change {
	c.Action, c.Cause = fabric.Leave, fabric.Commit
	c.Reason = configs.Found(configs.LeftFabric, string(c.Key), "it is committed for fabric "+b.committed(c.Key))
	obj, seen, why := b.lookup(o.Kind, c.Owner, o)
	if seen == fabric.Unknown {
		c.Hindrance, c.Reason = fabric.Blocked, why
		return c
	}
	if rules := b.Rules(o.Kind); seen == fabric.Present && rules.Rest != nil {
		c.Live, c.Mark = obj.Doc, obj.Mark
		b.rest(&c, rules, o, "")
	}
	if len(c.Fields) == 0 {
		c.Action, c.Desired, c.Sent = fabric.Release, fabric.Doc{}, fabric.Doc{}
		p.Released = append(p.Released, c.Key)
		return c
	}
	return b.refused(c, o)
}

// Elsewhere is another deployment of the project that still has a job on its fabric which git moved away from there.
type Elsewhere struct {
	Deployment string
	// Why it did not pause the job yet, in a few words; empty where nothing keeps it from it.
	Why string
}

// elsewhere holds a change back that would have a job start here before it is paused where it was.
func (b *planner) elsewhere(c *fabric.Change) {
	other, still := b.Elsewhere[c.Key]
	if !still || c.Hindrance != fabric.Free || !c.Action.Sends() || c.Action.Rests() {
		return
	}
	rules := b.Rules(c.Kind)
	if rules.Rest == nil || b.rests(rules, c.Desired) {
		return // nothing starts it here either
	}
	if c.Action != fabric.Create && !b.rests(rules, c.Live) {
		return // it runs here already
	}
	particulars := fmt.Sprintf("%s still has it on its fabric", other.Deployment)
	if other.Why != "" {
		particulars += ", because " + other.Why
	}
	c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.StillElsewhere, string(c.Key), particulars)
	c.Reason.Next = fmt.Sprintf("selvage apply %s; or pause the job there by hand, and hand it back if it stays there: selvage disown %s --job %s", other.Deployment, other.Deployment, c.Key)
}

// rests reports that nothing starts by itself what a document defines.
func (b *planner) rests(rules *fabric.Rules, d fabric.Doc) bool {
	fields, _ := fabric.Compare(fabric.Comparison{Rules: rules, Desired: rules.Rest(d, d, ""), Live: d})
	return len(fields) == 0
}

// recommit notes the fabric id of a job that the deployment selects, where the ledger has another one or none: by it
// a later round tells a job that git moves from one that the configuration leaves out. What was released and may be
// taken back counts too, and so does what was sent and nobody knows of yet whether it is live.
func (b *planner) recommit(r fabric.Resource, p *Plan) {
	o, known := b.Owned[r.Key]
	if !known {
		o = b.Formerly[r.Key]
	}
	was, there := o.Committed, o.ID != ""
	if id, open := b.Opened[r.Key]; open {
		was, there = id, true
	}
	if !there || r.Committed == "" || r.Committed == was {
		return
	}
	if p.Recommitted == nil {
		p.Recommitted = map[fabric.Key]string{}
	}
	p.Recommitted[r.Key] = r.Committed
}
