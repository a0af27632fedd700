package reconciler

import (
	"encoding/json"
	"fmt"
	"strings"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// Event is a ledger entry with what its data says, for those outside who tell of it. Of the fields below
// the entry, only those of its kind are set.
type Event struct {
	ledger.Entry
	Revision Revision          // tag, release, plan, approve, phase, adopt, hold; of a tag, as it was first seen
	Plan     string            // plan, approve: the digest
	Counts   Counts            // plan
	Verdicts []Verdict         // plan
	Changes  []fabric.Change   // plan: the first hundred of those that are more than kept
	Notes    []configs.Finding // plan: the first hundred of those that no change tells
	Op       fabric.Op         // intent
	Keys     []fabric.Key      // intent, outcome, absent, released, taken, adopt, disown
	ID       string            // intent: the live resource
	Done     bool              // outcome: all of it was done
	Phase    Phase             // phase
}

// Describe reads the data of an entry. An entry of a kind that it does not know is returned as it is; data of
// another form than this version writes is an error.
func Describe(e ledger.Entry) (Event, error) {
	ev := Event{Entry: e}
	var err error
	read := func(v any) {
		if len(e.Data) > 0 {
			err = json.Unmarshal(e.Data, v)
		}
	}
	switch e.Kind {
	case kindTag:
		var t tagSeen
		read(&t)
		ev.Revision = Revision{Ref: t.Ref, Name: strings.TrimPrefix(t.Ref, "refs/tags/"), Object: t.Object, Commit: t.Commit}
	case kindRelease:
		read(&ev.Revision)
	case kindPlan:
		var p planMade
		read(&p)
		ev.Plan, ev.Revision, ev.Counts, ev.Verdicts, ev.Changes, ev.Notes = p.Digest, p.Revision, p.Counts, p.Verdicts, p.Changes, p.Notes
	case kindApprove:
		var a approval
		read(&a)
		ev.Plan, ev.Revision = a.Plan, a.Revision
	case kindIntent:
		var i intentMade
		read(&i)
		ev.Op, ev.Keys, ev.ID = i.Op, i.Keys, i.ID
	case kindOutcome:
		var o outcomeSeen
		read(&o)
		ev.Done = len(o.Results) > 0
		for _, r := range o.Results {
			ev.Done = ev.Done && r.Status == fabric.Done.String()
			if r.Key != "" {
				ev.Keys = append(ev.Keys, r.Key)
			}
		}
	case kindAbsent:
		var a absent
		read(&a)
		ev.Keys = a.Keys
	case kindRelinquish, kindTake:
		var k keysOf
		read(&k)
		ev.Keys = k.Keys
	case kindAdopt:
		var a adopted
		read(&a)
		ev.Revision = a.Baseline
		for _, p := range a.Pairs {
			ev.Keys = append(ev.Keys, p.Key)
		}
	case kindDisown:
		var d Disownment
		read(&d)
		ev.Keys = d.Keys
	case kindHold:
		var h Holding
		read(&h)
		ev.Revision = h.Revision
	case kindPhase:
		var p phaseReached
		read(&p)
		ev.Phase, ev.Revision = p.Phase, p.Revision
	}
	if err != nil {
		return ev, fmt.Errorf("ledger entry #%d (%s) is not of the form that this version of selvage writes: %w", e.Seq, e.Kind, err)
	}
	return ev, nil
}
