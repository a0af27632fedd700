package reconciler

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// judge takes the plan through the gates, writes down what is new about it, and ends the round
// unless there is something to do that may be done.
func (rd *round) judge(ctx context.Context) error {
	rd.mu.Lock()
	s, suspended := rd.state.suspended(rd.name, rd.at)
	rd.mu.Unlock()
	p := rd.out.Plan
	rd.facts = Facts{
		Deployment: rd.name, Mode: rd.d.Mode, Ever: rd.known.Ever, Descends: rd.descends, Moved: rd.moved,
		Approved: rd.approved(p), ApprovedBy: rd.known.ApprovedBy, Disowned: rd.known.Disowned, Unapproved: rd.known.Unapproved,
	}
	for _, f := range rd.renderings {
		if f.Code == configs.OverlayNoHit && f.Subject == rd.name {
			rd.facts.Idle = append(rd.facts.Idle, f)
		}
	}
	if suspended {
		rd.facts.Suspension = &s
	}
	if err := rd.approve(ctx, p); err != nil {
		return err
	}
	rd.out.Verdicts = Gates(p, rd.facts, rd.at)
	if err := rd.moveHold(ctx); err != nil {
		return err
	}
	if err := rd.writePlan(ctx); err != nil {
		return err
	}
	if rd.ask.Dry {
		rd.out.Result = rd.summary()
		return errOver
	}
	switch {
	case p.Digest == "" && (rd.d.Mode != configs.Apply || p.Owned == 0 && !rd.known.Ever):
		rd.out.Result = rd.summary() // nothing was ever applied, so that nothing can be verified
		return rd.ended(ctx, Planned)
	case p.Digest == "":
		return rd.sound(ctx)
	case !open(rd.out.Verdicts):
		rd.out.Result = rd.summary()
		if rd.known.underWay() && rd.known.Target.Commit == rd.target.Commit {
			return rd.ended(ctx, rd.known.Phase) // held up, and still not at its end
		}
		return rd.ended(ctx, Planned)
	case len(p.Free()) == 0:
		rd.out.Result = rd.summary()
		phase := Planned
		if rd.known.Phase == Failing {
			phase = Failing
		}
		rd.whole = !p.Open()
		return rd.ended(ctx, phase)
	}
	return rd.backingOff()
}

// approved reports that a person has approved this plan, or this revision with this configuration,
// whose apply is not at its end yet.
func (rd *round) approved(p Plan) bool {
	if rd.known.Approved == "" || p.Digest == "" || rd.known.ApprovedRevision.Commit != rd.target.Commit {
		return false
	}
	underWay := rd.known.underWay() && rd.known.Target.Commit == rd.target.Commit && rd.known.ApprovedBinding == rd.binding
	return rd.known.Approved == p.Digest || underWay
}

// approve writes down that a person approves the plan, if that is what was asked, and the plan is
// still the one that the person saw.
func (rd *round) approve(ctx context.Context, p Plan) error {
	if rd.ask.Plan == "" || rd.ask.Dry {
		return nil
	}
	if p.Digest == "" {
		return nil
	}
	if !strings.HasPrefix(p.Digest, rd.ask.Plan) {
		return rd.fail(configs.PlanChanged, fmt.Errorf("it is %.6s now, not %s", p.Digest, rd.ask.Plan))
	}
	if rd.d.Mode != configs.Apply {
		return rd.fail(configs.Observing, errors.New("no plan can be approved"))
	}
	a := approval{Plan: p.Digest, Revision: rd.target, Binding: rd.binding, PassedOver: rd.passed}
	entries := []ledger.Entry{{Kind: kindApprove, Deployment: rd.name, Code: string(configs.Approved), By: rd.ask.By,
		Text: fmt.Sprintf("%s approved plan %.6s of %s: %s", rd.ask.By, p.Digest, rd.target, p.Counts), Data: encode(a)}}
	if rd.moved != nil {
		t := tagSeen{Repository: rd.Repositories[rd.d.Project.Name].URL(), Ref: rd.target.Ref, Object: rd.target.Object, Commit: rd.target.Commit}
		entries = append(entries, ledger.Entry{Kind: kindTag, Deployment: rd.name, By: rd.ask.By, Text: fmt.Sprintf("%s accepted that %s is %s now", rd.ask.By, rd.target.Name, short(rd.target.Commit)), Data: encode(t)})
	}
	if _, err := rd.record(ctx, entries...); err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	rd.facts.Approved, rd.facts.ApprovedBy = true, rd.ask.By
	return nil
}

// summary is the answer of a round that writes nothing.
func (rd *round) summary() configs.Finding {
	p := rd.out.Plan
	if w := waiting(rd.out.Verdicts); len(w) > 0 && p.Digest != "" {
		f := w[0].Reason
		f.Subject = rd.name
		f.Text = fmt.Sprintf("plan %.6s (%s): %s", p.Digest, p.Counts, f.Text)
		return f
	}
	for _, c := range p.Changes {
		if c.Hindrance == fabric.Blocked {
			f := c.Reason
			if n := p.Counts.Blocked; n > 1 {
				f.Text = fmt.Sprintf("%s, and %d more blocked", f.Text, n-1)
			}
			return f
		}
	}
	switch {
	case p.Digest != "":
		return configs.Found(configs.Changed, rd.name, p.Counts.String())
	case len(p.Changes) == 0:
		return configs.Found(configs.NothingSelected, rd.name, "")
	}
	return configs.Found(configs.UpToDate, rd.name, "")
}

// writePlan writes the plan into the ledger if it, or what the gates say of it, is new, and with it
// what was seen for the first time of absences and of the configuration's reach.
func (rd *round) writePlan(ctx context.Context) error {
	if rd.ask.Dry {
		return nil
	}
	p := rd.out.Plan
	entries := rd.goneEntries(p)
	if len(p.Released) > 0 {
		f := configs.Found(configs.Released, rd.name, joinKeys(p.Released))
		entries = append(entries, ledger.Entry{Kind: kindRelinquish, Deployment: rd.name, Code: string(f.Code), Text: f.Text, Data: encode(keysOf{p.Released})})
	}
	if len(p.Taken) > 0 {
		entries = append(entries, ledger.Entry{Kind: kindTake, Deployment: rd.name, Text: "managed again: " + joinKeys(p.Taken), Data: encode(keysOf{p.Taken})})
	}
	entries = append(append(entries, rd.pausesEntries(p)...), rd.contestEntries(p)...)
	changed := (p.Digest != "" || p.Counts.Deferred > 0) && (p.Digest != rd.known.Plan || judged(p.Counts, rd.out.Verdicts) != rd.known.Judged)
	if changed || notesDigest(p.Notes) != rd.known.Notes {
		e, err := rd.planEntry(p)
		if err != nil {
			return rd.fail(configs.LedgerFailed, err)
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := rd.record(ctx, entries...); err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	if len(p.Released) > 0 && left(p.Changes) {
		rd.wakeSiblings()
	}
	return nil
}

// So much of a plan stands in the ledger itself, whose entries have a limit; the private store has all.
const (
	shownChanges = 100
	shownBytes   = 512 << 10
	shownNotes   = 100
)

// notesOf are the findings of rendering that a reader of the ledger must find there: what was decided about a
// job and stands in none of its changes. A job that is not selected has nothing decided about it.
func notesOf(rendered []configs.Finding) []configs.Finding {
	var notes []configs.Finding
	for _, f := range rendered {
		if f.Level() == configs.Note && f.Code != configs.JobUnselected && f.Code != configs.Stripped {
			notes = append(notes, f)
		}
	}
	return notes
}

// notesDigest names notes, to see whether they changed; empty for none.
func notesDigest(notes []configs.Finding) string {
	if len(notes) == 0 {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(encode(notes)))
}

func (rd *round) planEntry(p Plan) (ledger.Entry, error) {
	document, err := fabric.ParseDoc(encode(p))
	if err != nil {
		return ledger.Entry{}, err
	}
	digest, err := rd.documents.keepAside(document)
	if err != nil {
		return ledger.Entry{}, err
	}
	m := planMade{Digest: p.Digest, Revision: rd.target, Counts: p.Counts, Verdicts: rd.out.Verdicts, Document: digest, Notes: p.Notes, NotesDigest: notesDigest(p.Notes)}
	if len(m.Notes) > shownNotes {
		m.Notes = m.Notes[:shownNotes]
	}
	size := 0
	for _, c := range p.Changes {
		if c.Action == fabric.Keep && c.Hindrance == fabric.Free {
			continue
		}
		if size += len(encode(c)); size > shownBytes || len(m.Changes) == shownChanges {
			break
		}
		m.Changes = append(m.Changes, c)
	}
	text := fmt.Sprintf("plan %.6s of %s: %s", p.Digest, rd.target, p.Counts)
	if p.Digest == "" {
		text = fmt.Sprintf("plan of %s: %s", rd.target, p.Counts)
	}
	if w := waiting(rd.out.Verdicts); len(w) > 0 {
		var gates []string
		for _, v := range w {
			gates = append(gates, v.Gate)
		}
		text += "; waits for " + strings.Join(gates, ", ")
	}
	for i, f := range m.Notes {
		if i == 3 {
			text += fmt.Sprintf("; and %d more notes", len(p.Notes)-i)
			break
		}
		text += fmt.Sprintf("; %s: %s", f.Subject, f.Text)
	}
	return ledger.Entry{Kind: kindPlan, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Text: text, Data: encode(m)}, nil
}

// sound ends a round that found nothing to write.
func (rd *round) sound(ctx context.Context) error {
	rd.mu.Lock()
	delete(rd.tries, rd.name)
	rd.mu.Unlock()
	if err := rd.lapse(ctx); err != nil {
		return err
	}
	rd.out.Result = rd.summary()
	if rd.known.Live.Commit == rd.target.Commit && rd.known.Live.Ref == rd.target.Ref && (rd.known.Phase == Sound || rd.known.Phase == Wavering) {
		rd.out.Phase = rd.known.Phase
		return errOver
	}
	if rd.wavers() {
		return rd.ended(ctx, Wavering)
	}
	return rd.ended(ctx, Sound)
}

// ended ends the round in a phase, which is written down if it is another one than before.
func (rd *round) ended(ctx context.Context, p Phase) error {
	rd.out.Phase = p
	if rd.known.Phase != p || rd.whole && rd.known.Live.Commit != rd.target.Commit || rd.known.Target.Commit != rd.target.Commit || rd.known.Target.Ref != rd.target.Ref {
		if err := rd.reach(ctx, p, nil); err != nil {
			return err
		}
	}
	return errOver
}

// reach writes down that the deployment comes to a phase.
func (rd *round) reach(ctx context.Context, p Phase, steps []settling) error {
	if rd.ask.Dry {
		return nil
	}
	rd.out.Phase = p
	reached := phaseReached{Phase: p, Revision: rd.target, Plan: rd.out.Plan.Digest, Live: rd.whole || p == Sound || p == Wavering, Steps: steps, Result: rd.out.Result}
	if p == Settling {
		reached.Deadline = time.Now().Add(settleLimit)
	}
	text := fmt.Sprintf("%s: %s", p, rd.target)
	if rd.out.Result.Text != "" && (p == Failing || p == Wavering) {
		text += ": " + rd.out.Result.Text
	}
	_, err := rd.record(ctx, ledger.Entry{Kind: kindPhase, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Code: string(rd.out.Result.Code), Text: text, Data: encode(reached)})
	if err != nil {
		return rd.fail(configs.LedgerFailed, err)
	}
	rd.mu.Lock()
	rd.known = rd.state.deployed[rd.name]
	rd.mu.Unlock()
	return nil
}

// decided writes the answer of the round down if it is another one than before.
func (rd *round) decided(ctx context.Context) error {
	f := rd.out.Result
	if f.Code == "" || f.Code == rd.known.Result.Code && f.Text == rd.known.Result.Text {
		return nil
	}
	if f.Code == configs.UpToDate && rd.known.Result.Code == configs.Verified {
		return nil // the same, found out without writing
	}
	if f.Code == rd.known.Result.Code && (f.Code == configs.GitUnreachable || f.Code == configs.FabricUnreachable || f.Code == configs.BackingOff) {
		return nil // the words of a network error change each time
	}
	_, err := rd.record(ctx, ledger.Entry{Kind: kindDecide, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Code: string(f.Code), Text: f.Text, Data: encode(f)})
	return err
}
