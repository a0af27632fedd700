package reconciler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// Kinds of the entries about what people set by hand to mean it. Their data is pausesSeen.
const (
	kindPaused   ledger.Kind = "paused"   // a pause by hand was seen: it stands
	kindUnpaused ledger.Kind = "unpaused" // it stands no longer: git or the workspace changed the field, or a person lifted it
)

// Pause is a field of a live resource that people set by hand to mean it, as jobs are paused. While it stands, the
// resource is written with it. What is paused when it is adopted is kept by fabric.Kept instead, until a person lifts that too.
type Pause struct {
	Key  fabric.Key `json:"key"`
	Path string     `json:"path"` // as fabric.Compare prints it
	// Desired is what git wanted there when the pause was seen, as canonical JSON; empty for nothing. Of one that is over
	// it is what git wanted when live last agreed with it.
	Desired string     `json:"desired,omitempty"`
	State   PauseState `json:"state"`
	Since   time.Time  `json:"since,omitzero"`
	By      string     `json:"by,omitempty"` // who lifted it
}

// PauseState is how a pause is.
type PauseState string

const (
	PauseStands PauseState = "stands"
	PauseLifted PauseState = "lifted" // a person said resume: it is put right like other drift, with heal off too
	// PauseOver: git says something else of the field, or somebody unpaused the resource. Until the resource is written
	// again, what was last sent does not tell what git wants of the field, and Desired does.
	PauseOver PauseState = "over"
)

// pausesSeen is the data of kindPaused and kindUnpaused.
type pausesSeen struct {
	Pauses []Pause `json:"pauses"`
}

// pausesOf finds the fields that were set by hand to mean it where desired wants something else: what stands from now on.
func pausesOf(rules *fabric.Rules, k fabric.Key, desired, live fabric.Doc, now time.Time) []Pause {
	lives := map[string]fabric.Standing{}
	for _, s := range rules.Stand(live) {
		lives[s.Path] = s
	}
	var found []Pause
	for _, d := range rules.Stand(desired) {
		if l := lives[d.Path]; bytes.Equal(l.Value, d.Means) && !bytes.Equal(d.Value, d.Means) {
			found = append(found, Pause{Key: k, Path: d.Path, Desired: string(d.Value), State: PauseStands, Since: now})
		}
	}
	return found
}

// withPauses puts into a document the values of the pauses that stand, where it still wants of the field what it wanted then.
func withPauses(rules *fabric.Rules, desired fabric.Doc, pauses map[string]Pause) fabric.Doc {
	values := map[string]json.RawMessage{}
	if len(pauses) > 0 {
		for _, d := range rules.Stand(desired) {
			if p, ok := pauses[d.Path]; ok && p.State == PauseStands && p.wanted(rules, desired, d) {
				values[d.Path] = d.Means
			}
		}
	}
	return rules.With(desired, values)
}

// wanted reports that a document wants of the field what git wanted when the pause was noted.
func (p Pause) wanted(rules *fabric.Rules, desired fabric.Doc, field fabric.Standing) bool {
	then := rules.With(desired, map[string]json.RawMessage{p.Path: json.RawMessage(p.Desired)})
	for _, s := range rules.Stand(then) {
		if s.Path == p.Path {
			return bytes.Equal(s.Bare, field.Bare)
		}
	}
	return false
}

// asked is a document that was sent, or read back, as it would be without pauses: with what git wanted of the fields.
// Comparing with that takes no pause for a wish of git's, nor for what the fabric made of one.
func asked(rules *fabric.Rules, sent, desired fabric.Doc, pauses map[string]Pause) fabric.Doc {
	if len(pauses) == 0 {
		return sent
	}
	wants := map[string]fabric.Standing{}
	for _, d := range rules.Stand(desired) {
		wants[d.Path] = d
	}
	values := map[string]json.RawMessage{}
	for path, p := range pauses {
		values[path] = json.RawMessage(p.Desired)
		if d, ok := wants[path]; ok && p.wanted(rules, desired, d) {
			values[path] = d.Value // in its spelling of today
		}
	}
	return rules.With(sent, values)
}

// pausedAs is the key under which the pauses of a change's resource are noted: of one that moves, its old key.
func pausedAs(c *fabric.Change) fabric.Key {
	if c.From != "" {
		return c.From
	}
	return c.Key
}

// stand takes the pauses by hand out of a change's fields: they are shown, and the resource is written with them.
func (b *planner) stand(c *fabric.Change) {
	rules, known := b.Rules(c.Kind), b.Pauses[pausedAs(c)]
	if len(rules.Stands) == 0 || len(c.Fields)+len(known) == 0 {
		return
	}
	by := map[string]Pause{}
	for _, p := range pausesOf(rules, pausedAs(c), c.Desired, c.Live, b.Now) {
		by[p.Path] = p
	}
	wants := map[string]fabric.Standing{}
	for _, d := range rules.Stand(c.Desired) {
		wants[d.Path] = d
	}
	stands := map[string]Pause{}
	var fields []fabric.Field
	for _, f := range c.Fields {
		p, paused := by[f.Path]
		was, noted := known[f.Path]
		noted = noted && was.State != PauseOver
		switch {
		case !paused || noted && was.State == PauseLifted, !noted && f.Cause != fabric.Drift:
			fields = append(fields, f)
			continue
		case noted && !was.wanted(rules, c.Desired, wants[f.Path]): // git changed it
			fields = append(fields, f)
			continue
		case noted:
			p = was
		default:
			b.pauses = append(b.pauses, p)
		}
		stands[f.Path] = p
		c.Stands = append(c.Stands, f)
	}
	c.Fields = fields
	for _, path := range slices.Sorted(maps.Keys(known)) {
		was, want := known[path], wants[path]
		if _, still := stands[path]; still {
			continue
		}
		differs := slices.ContainsFunc(fields, func(f fabric.Field) bool { return f.Path == path })
		agreed := !differs && !was.wanted(rules, c.Desired, want)
		if agreed {
			was.Desired = string(want.Value)
		}
		if was.State == PauseStands || was.State == PauseLifted && !differs || agreed {
			was.State, was.Since = PauseOver, b.Now
			b.pauses = append(b.pauses, was)
		}
	}
	c.Desired = withPauses(rules, c.Desired, stands)
}

// remade gives a resource that is made anew the pauses of the one that somebody deleted: deleting it unpaused nothing.
func (b *planner) remade(c *fabric.Change) {
	if known := b.Pauses[c.Key]; len(known) > 0 {
		c.Desired = withPauses(b.Rules(c.Kind), c.Desired, known)
	}
}

// lifted reports that all that differs are pauses that a person lifted.
func (b *planner) lifted(c fabric.Change) bool {
	known := b.Pauses[pausedAs(&c)]
	return len(c.Fields) > 0 && !slices.ContainsFunc(c.Fields, func(f fabric.Field) bool { return known[f.Path].State != PauseLifted })
}

// pausedByHand says which pauses of a change stand, and how they are lifted.
func (b *planner) pausedByHand(c fabric.Change) configs.Finding {
	var parts []string
	known := b.Pauses[pausedAs(&c)]
	for _, f := range c.Stands {
		part := f.Path
		if p, ok := known[f.Path]; ok && p.State == PauseStands {
			part += " since " + p.Since.UTC().Format("2 Jan 15:04 MST")
		}
		parts = append(parts, part)
	}
	f := configs.Found(configs.PausedByHand, string(c.Key), strings.Join(parts, ", "))
	f.Next = "selvage resume DEPLOYMENT " + string(c.Key)
	return f
}

// pausesEntries are the ledger entries about the pauses that a plan found anew, or found ended.
func (rd *round) pausesEntries(p Plan) []ledger.Entry {
	var begun, ended []Pause
	for _, one := range p.Pauses {
		if one.State == PauseStands {
			begun = append(begun, one)
		} else {
			ended = append(ended, one)
		}
	}
	var entries []ledger.Entry
	if len(begun) > 0 {
		f := configs.Found(configs.PausedByHand, rd.name, pausedFields(begun))
		entries = append(entries, ledger.Entry{Kind: kindPaused, Deployment: rd.name, Fabric: rd.d.Fabric.Name, Code: string(f.Code), Text: f.Text, Data: encode(pausesSeen{begun})})
	}
	if len(ended) > 0 {
		entries = append(entries, ledger.Entry{Kind: kindUnpaused, Deployment: rd.name, Fabric: rd.d.Fabric.Name,
			Text: "the pause by hand is over: " + pausedFields(ended), Data: encode(pausesSeen{ended})})
	}
	return entries
}

func pausedFields(pauses []Pause) string {
	var parts []string
	for i, p := range pauses {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("and %d more", len(pauses)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s", p.Key, p.Path))
	}
	return strings.Join(parts, ", ")
}

// pausesNoted takes the pauses of an entry into the state.
func (s *state) pausesNoted(dep string, seen pausesSeen) {
	for _, p := range seen.Pauses {
		of := maps.Clone(s.pauses[dep][p.Key])
		if of == nil {
			of = map[string]Pause{}
		}
		of[p.Path] = p
		s.keepPauses(dep, p.Key, of)
		if a := s.applied[dep][p.Key]; p.State == PauseLifted && slices.ContainsFunc(a.Kept, p.isKept) {
			a.Kept = slices.DeleteFunc(slices.Clone(a.Kept), p.isKept)
			s.apply(dep, p.Key, a)
		}
	}
}

// isKept reports that the pause is one that was kept when the resource was adopted.
func (p Pause) isKept(k fabric.Kept) bool { return k.Path == p.Path }

// standing are the pauses that stand, sorted by path, of each resource that has some: those that somebody set since, and those
// that were kept when it was adopted.
func (s *state) standing(dep string, rules func(fabric.Kind) *fabric.Rules) map[fabric.Key][]Pause {
	stand := map[fabric.Key][]Pause{}
	for k, of := range s.pauses[dep] {
		for _, path := range slices.Sorted(maps.Keys(of)) {
			if of[path].State == PauseStands {
				stand[k] = append(stand[k], of[path])
			}
		}
	}
	for k, a := range s.applied[dep] {
		for _, kept := range a.Kept {
			if means := rules(a.Kind).Stands[kept.Path]; means != "" && means == string(kept.Value) {
				stand[k] = append(stand[k], Pause{Key: k, Path: kept.Path, Desired: string(kept.Over), State: PauseStands})
			}
		}
	}
	return stand
}

// stillPaused are the fields that are kept of an adopted resource, but for pauses that somebody ended: it is as git wants
// it then, for good.
func stillPaused(rules *fabric.Rules, o Owning, live fabric.Doc) []fabric.Kept {
	if len(o.Kept) == 0 || o.unmarked() {
		return o.Kept
	}
	lives := map[string]fabric.Standing{}
	for _, s := range rules.Stand(live) {
		lives[s.Path] = s
	}
	return slices.DeleteFunc(slices.Clone(o.Kept), func(k fabric.Kept) bool {
		l, there := lives[k.Path]
		return there && bytes.Equal(k.Value, l.Means) && !bytes.Equal(l.Value, l.Means)
	})
}

// keepPauses replaces the pauses of a resource.
func (s *state) keepPauses(dep string, k fabric.Key, of map[string]Pause) {
	if len(of) == 0 {
		if _, ok := s.pauses[dep][k]; ok {
			delete(s.pauses[dep], k)
			s.table.drop("pauses", dep, string(k))
		}
		return
	}
	set(s.pauses, dep, k, of)
	s.table.put("pauses", dep, string(k), of)
}

// pausesWritten takes in that a resource was written: it was sent with the pauses that stand, and with what git wants of
// every other field. from is the key that it had before.
func (s *state) pausesWritten(dep string, from, k fabric.Key) {
	of := maps.Clone(s.pauses[dep][from])
	if len(of) == 0 {
		return
	}
	maps.DeleteFunc(of, func(_ string, p Pause) bool { return p.State != PauseStands })
	for path, p := range of {
		p.Key = k
		of[path] = p
	}
	if from != k {
		s.keepPauses(dep, from, nil)
	}
	s.keepPauses(dep, k, of)
}

// paused are the pauses of one resource.
func (rd *round) paused(k fabric.Key) map[string]Pause {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return rd.state.pauses[rd.name][k]
}

// ResumeJob lifts the pauses by hand of one job of a deployment. job is its key, with or without the folder jobs/.
func (r *Reconciler) ResumeJob(ctx context.Context, deployment, job, by string) error {
	setup := r.use()
	defer r.leave(setup)
	d, err := setup.deployment(deployment)
	if err != nil {
		return err
	}
	r.mu.Lock()
	stand := r.state.standing(deployment, setup.Fabrics[d.Fabric.Name].Rules)
	r.mu.Unlock()
	k := fabric.Key(job)
	if len(stand[k]) == 0 && !strings.Contains(job, "/") {
		k = fabric.Key("jobs/" + job)
	}
	lifted := stand[k]
	for i := range lifted {
		lifted[i].State, lifted[i].By, lifted[i].Since = PauseLifted, by, time.Now().UTC()
	}
	others := slices.Sorted(maps.Keys(stand))
	if len(lifted) == 0 {
		if len(others) == 0 {
			return fmt.Errorf("%s of %s is not paused by hand, nor is any other job of it", job, deployment)
		}
		return fmt.Errorf("%s of %s is not paused by hand; paused by hand: %s", job, deployment, joinKeys(others))
	}
	e := ledger.Entry{Kind: kindUnpaused, Deployment: deployment, By: by, Text: fmt.Sprintf("%s lifted the pause by hand of %s", by, pausedFields(lifted)), Data: encode(pausesSeen{lifted})}
	if _, err := r.record(ctx, e); err != nil {
		return err
	}
	r.flush()
	r.wakeTarget(deployment)
	return nil
}
