package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/adoption"
	"selvage/reconciler/ledger"
)

// accept writes down what a person accepts: one entry for each deployment, all of them or none. Its digest names
// what was looked at just now, so that it is what the person has seen.
func (r *Reconciler) accept(ctx context.Context, q AdoptRequest, t Takeover) (Takeover, error) {
	switch {
	case t.Digest == "":
		return t, errors.New("there is nothing to accept")
	case !strings.HasPrefix(t.Digest, q.Accept):
		return t, fmt.Errorf("the proposal is %.6s now, not %s: look at it again", t.Digest, q.Accept)
	}
	var entries []ledger.Entry
	for _, a := range t.Deployments {
		if a.Digest == "" {
			continue
		}
		if n := a.Waiting(); n > 0 {
			return t, fmt.Errorf("%s: %d edits would be lost: keep them in the overlay, or give them up", a.Deployment, n)
		}
		e, err := r.acceptance(q.By, a)
		if err != nil {
			return t, err
		}
		entries = append(entries, e)
	}
	if _, err := r.record(ctx, entries...); err != nil {
		return t, err
	}
	r.flush()
	r.mu.Lock()
	for _, a := range t.Deployments { // a look from before read nothing of what is ours now
		r.wrote[a.Deployment] = time.Now().Add(1)
	}
	r.mu.Unlock()
	t.Accepted = true
	return t, nil
}

// acceptance is the entry of one deployment. What people read of the live jobs is in the private store.
func (r *Reconciler) acceptance(by string, a Adoption) (ledger.Entry, error) {
	document, err := fabric.ParseDoc(encode(a))
	if err != nil {
		return ledger.Entry{}, err
	}
	data := adopted{Proposal: a.Digest, Baseline: a.Baseline, Held: a.held, Made: a.made}
	if data.Document, err = r.documents.keepAside(document); err != nil {
		return ledger.Entry{}, err
	}
	var keys []fabric.Key
	for _, m := range a.Free() {
		p := adoptedPair{Key: m.Key, Kind: m.Kind, ID: m.ID, Name: m.Name, Version: m.Version, Kept: m.Kept, Evidence: m.Evidence}
		if p.Read, err = r.documents.put(a.documents[m.Key]); err != nil {
			return ledger.Entry{}, err
		}
		data.Pairs = append(data.Pairs, p)
		keys = append(keys, m.Key)
		for _, d := range m.Differs {
			if d.Class == adoption.Edited && d.GivenUp {
				data.GivenUp = append(data.GivenUp, adoptedField{m.Key, d.Path})
			}
		}
	}
	f := configs.Found(configs.Adopted, a.Deployment, "")
	text := fmt.Sprintf("%s accepted proposal %.6s: %d live jobs are taken over (%s)", by, a.Digest, len(keys), joinKeys(keys))
	if a.held {
		text += fmt.Sprintf("; held at %s", a.Baseline)
	}
	if n := len(data.GivenUp); n > 0 {
		text += fmt.Sprintf("; %d edits are given up", n)
	}
	e := ledger.Entry{Kind: kindAdopt, Deployment: a.Deployment, Code: string(f.Code), By: by, Text: text, Data: encode(data)}
	if len(e.Data) > shownBytes { // evidence and edits stand in the document
		data.GivenUp = nil
		for i := range data.Pairs {
			data.Pairs[i].Evidence = nil
		}
		e.Data = encode(data)
	}
	return e, nil
}

// DisownRequest asks to hand jobs back.
type DisownRequest struct {
	Deployment string       `json:"deployment"`
	Keys       []fabric.Key `json:"keys,omitempty"` // empty: all of the deployment
	Why        string       `json:"why,omitempty"`
	By         string       `json:"by"`
}

// Handover is what came of a disown.
type Handover struct {
	Deployment string            `json:"deployment"`
	Whole      bool              `json:"whole"`
	Keys       []fabric.Key      `json:"keys"`           // that are ours no longer
	Left       []configs.Finding `json:"left,omitempty"` // that still are, each with why
}

// Disown implements Operator.
func (r *Reconciler) Disown(ctx context.Context, q DisownRequest) (h Handover, err error) {
	ctx, stop := r.whileRunning(ctx)
	defer stop()
	if err := r.configured(q.Deployment); err != nil {
		return h, err
	}
	if q.By == "" {
		return h, errors.New("nobody asked: handing back needs to know who does")
	}
	if err := r.queue.hold(ctx, q.Deployment); err != nil {
		return h, err
	}
	s := r.use()
	defer r.leave(s)
	d, err := s.deployment(q.Deployment)
	rd := &round{Reconciler: r, Setup: s, d: d, name: q.Deployment, ask: ask{By: q.By}, at: time.Now(), descends: true}
	defer func() { r.queue.done(q.Deployment, rd.out.Again) }()
	if err != nil {
		return h, err
	}
	return rd.disown(ctx, q)
}

// disown takes our mark off each job, one request each, and ends that we own it with its outcome.
func (rd *round) disown(ctx context.Context, q DisownRequest) (Handover, error) {
	h := Handover{Deployment: rd.name, Whole: len(q.Keys) == 0}
	rd.mu.Lock()
	rd.known = rd.state.deployed[rd.name]
	p, suspended := rd.state.suspended(rd.name, rd.at)
	rd.mu.Unlock()
	switch {
	case suspended:
		return h, fmt.Errorf("%s: nothing is written: %s", rd.name, suspensionFinding(p).Text)
	case rd.d.Mode != configs.Apply:
		return h, fmt.Errorf("%s only observes, and taking a mark off is a write: set mode: apply in selvage.yaml for as long as it takes", rd.name)
	}
	rd.out.Deployment = rd.name
	rd.target = rd.known.Target
	if err := rd.lookSince(ctx, rd.at.Add(1)); err != nil {
		return h, err
	}
	if err := rd.resolve(ctx); err != nil {
		return h, err
	}
	rd.mu.Lock()
	owned := map[fabric.Key]Applied{}
	for k, a := range rd.state.applied[rd.name] {
		owned[k] = a
	}
	open := map[fabric.Key]bool{}
	for _, i := range rd.state.intents[rd.name] {
		for n, k := range i.Keys {
			open[k], open[i.from(n)] = true, true
		}
	}
	rd.mu.Unlock()
	keys := q.Keys
	if h.Whole {
		keys = slices.Sorted(mapKeys(owned))
	}
	if err := rd.lookAgain(ctx, keys, owned); err != nil {
		return h, err
	}
	for _, k := range keys { // what is attached goes along
		for part := range owned {
			if to, attached := part.AttachedTo(owned[part].Kind); attached && to == k && !slices.Contains(keys, part) {
				keys = append(keys, part)
			}
		}
	}
	note := Disownment{Keys: keys, Whole: h.Whole, By: q.By, Why: q.Why, Since: rd.at.UTC()}
	var changes []fabric.Change
	for _, k := range keys {
		a, ours := owned[k]
		if !ours {
			return h, fmt.Errorf("%s does not manage %s", rd.name, k)
		}
		owner := fabric.Owner{Deployment: rd.name, Key: k}
		obj, seen, why := rd.live.Lookup(rd.Installation, a.Kind, owner, a.ID)
		switch {
		case a.Kind.Attached(): // it carries no mark of its own
			note.Free = append(note.Free, k)
		case open[k]:
			h.Left = append(h.Left, configs.Found(configs.IntentOpen, string(k), ""))
		case seen == fabric.Present:
			changes = append(changes, fabric.Change{Key: k, Kind: a.Kind, Name: a.Name, ID: a.ID, Action: fabric.Disown, Owner: owner, Live: obj.Doc, Mark: obj.Mark})
		case seen == fabric.Absent, why.Code == configs.MarkMissing: // there is no mark of ours to take off
			note.Free = append(note.Free, k)
		default:
			h.Left = append(h.Left, configs.Found(why.Code, string(k), fmt.Sprintf("%s %s", a.Kind, a.ID)))
		}
	}
	text := fmt.Sprintf("%s hands back %s", q.By, joinKeys(keys))
	if h.Whole {
		text = fmt.Sprintf("%s hands back all %d jobs of %s", q.By, len(keys), rd.name)
	}
	if q.Why != "" {
		text += ": " + q.Why
	}
	// It is written first: whatever comes of the requests, nothing else is written to these jobs from now on.
	if _, err := rd.record(ctx, ledger.Entry{Kind: kindDisown, Deployment: rd.name, Code: string(configs.Disowned), By: q.By, Text: text, Data: encode(note)}); err != nil {
		return h, err
	}
	rd.out.Plan = Plan{Changes: changes, Owned: len(owned)}
	_, t := rd.carryOut(ctx)
	rd.flush()
	rd.mu.Lock()
	rd.wrote[rd.name] = time.Now().Add(1)
	for _, k := range keys {
		if _, still := rd.state.applied[rd.name][k]; !still {
			h.Keys = append(h.Keys, k)
		}
	}
	rd.mu.Unlock()
	for _, c := range changes {
		if !slices.Contains(h.Keys, c.Key) {
			h.Left = append(h.Left, configs.Found(configs.FabricRefused, string(c.Key), message(t.first)))
		}
	}
	if n := len(h.Left); n > 0 {
		return h, fmt.Errorf("%s: %d of %d jobs are not handed back yet, %s: %s", rd.name, n, len(keys), h.Left[0].Subject, h.Left[0].Text)
	}
	return h, nil
}

// lookAgain looks at those jobs one by one that seem to carry no mark of ours: of a list that lags we would believe
// that there is nothing to take off.
func (rd *round) lookAgain(ctx context.Context, keys []fabric.Key, owned map[fabric.Key]Applied) error {
	var only []fabric.Owned
	for _, k := range keys {
		a := owned[k]
		owner := fabric.Owner{Deployment: rd.name, Key: k}
		if _, seen, _ := rd.live.Lookup(rd.Installation, a.Kind, owner, a.ID); seen != fabric.Present && a.ID != "" && !a.Kind.Attached() {
			only = append(only, fabric.Owned{Owner: owner, Kind: a.Kind, ID: a.ID})
		}
	}
	if len(only) == 0 {
		return nil
	}
	_, err := rd.readNow(ctx, only)
	return err
}
