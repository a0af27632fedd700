package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// Kinds of ledger entries. What each holds in its data is the type named beside it.
const (
	kindTag        ledger.Kind = "tag"      // tagSeen: a tag was seen first, moved, or its move was accepted
	kindRelease    ledger.Kind = "release"  // Revision: a release was built for a deployment
	kindPlan       ledger.Kind = "plan"     // planMade
	kindApprove    ledger.Kind = "approve"  // approval
	kindIntent     ledger.Kind = "intent"   // intentMade
	kindOutcome    ledger.Kind = "outcome"  // outcomeSeen
	kindPhase      ledger.Kind = "phase"    // phaseReached
	kindRead       ledger.Kind = "read"     // readBack: what the fabric says right after an apply
	kindAbsent     ledger.Kind = "absent"   // absence
	kindRelinquish ledger.Kind = "released" // keysOf: no longer managed, untouched
	kindTake       ledger.Kind = "taken"    // keysOf: managed again
	kindSuspend    ledger.Kind = "suspend"  // suspension
	kindResume     ledger.Kind = "resume"
	kindDecide     ledger.Kind = "decide" // configs.Finding: the answer of a reconcile, when it changed
	kindStart      ledger.Kind = "start"  // the daemon began, with which configuration
	kindStop       ledger.Kind = "stop"
)

// Applied is what the ledger says of one resource of ours.
type Applied struct {
	Kind    fabric.Kind `json:"kind"`
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	Nonce   string      `json:"nonce"` // of the intent that created it
	Sent    string      `json:"sent"`  // digest of the document in the private store
	Read    string      `json:"read,omitempty"`
	Release string      `json:"release"`
	Version string      `json:"version"`
	// Refused is the digest of the change that the fabric refused last, and Why what it said.
	Refused string `json:"refused,omitempty"`
	Why     string `json:"why,omitempty"`
}

type tagSeen struct {
	Repository string `json:"repository"`
	Ref        string `json:"ref"`
	Object     string `json:"object"`
	Commit     string `json:"commit"`
	// Moved is the object that the tag points at now; set while the alarm stands.
	Moved string `json:"moved,omitempty"`
}

type planMade struct {
	Digest   string    `json:"digest"`
	Revision Revision  `json:"revision"`
	Counts   Counts    `json:"counts"`
	Verdicts []Verdict `json:"verdicts"`
	// Changes are the first hundred that count or wait; Document is the digest of the whole plan.
	Changes  []fabric.Change `json:"changes"`
	Document string          `json:"document"`
}

type approval struct {
	Plan     string   `json:"plan"` // digest
	Revision Revision `json:"revision"`
	// PassedOver are commits of newer candidates that the person chose not to take.
	PassedOver []string `json:"passed_over,omitempty"`
}

type intentMade struct {
	Op      fabric.Op       `json:"op"`
	Kind    fabric.Kind     `json:"kind"`
	Keys    []fabric.Key    `json:"keys,omitempty"`
	Names   []string        `json:"names,omitempty"`
	Actions []fabric.Action `json:"actions,omitempty"` // one per key
	ID      string          `json:"id,omitempty"`
	Sent    []string        `json:"sent,omitempty"`    // digests, one per key
	Changes []string        `json:"changes,omitempty"` // digests, one per key
	Release string          `json:"release"`
	Version string          `json:"version"`
}

func (i intentMade) action(n int) fabric.Action {
	if n < len(i.Actions) {
		return i.Actions[n]
	}
	return fabric.Keep
}

type outcomeSeen struct {
	Results []resultSeen `json:"results"` // one per key of the intent
}

type resultSeen struct {
	Key    fabric.Key `json:"key,omitempty"`
	Status string     `json:"status"`
	ID     string     `json:"id,omitempty"`
	Error  string     `json:"error,omitempty"`
}

type phaseReached struct {
	Phase    Phase    `json:"phase"`
	Revision Revision `json:"revision"`
	Plan     string   `json:"plan,omitempty"`
	// Steps are those that the fabric is taking in.
	Steps    []settling      `json:"steps,omitempty"`
	Deadline time.Time       `json:"deadline,omitzero"`
	Result   configs.Finding `json:"result"`
}

// settling is what of a step outlives the process.
type settling struct {
	ID      string          `json:"id"`
	Kind    fabric.Kind     `json:"kind"`
	Keys    []fabric.Key    `json:"keys"`
	IDs     []string        `json:"ids"`
	Actions []fabric.Action `json:"actions"`
	Receipt string          `json:"receipt,omitempty"`
}

type readBack struct {
	Read map[fabric.Key]string `json:"read"` // digests
	// Unstable are fields that were still different.
	Unstable map[fabric.Key][]fabric.Field `json:"unstable,omitempty"`
}

// Absence is the first sighting of a resource's absence from the release.
type Absence struct {
	Sighting time.Time `json:"sighting"` // of the refs
	Listing  time.Time `json:"listing"`  // of the fabric
}

type absent struct {
	Absence
	Keys []fabric.Key `json:"keys"`           // absent for the first time
	Back []fabric.Key `json:"back,omitempty"` // in the release again
}

type keysOf struct {
	Keys []fabric.Key `json:"keys"`
}

// Suspension keeps everything from being written to a deployment or a fabric.
type Suspension struct {
	Target string    `json:"target"` // deployment (project@fabric) or fabric
	Until  time.Time `json:"until,omitzero"`
	By     string    `json:"by"`
	Why    string    `json:"why,omitempty"`
	Since  time.Time `json:"since"`
}

// Deployed is what is known of a deployment as a whole.
type Deployed struct {
	Ever             bool            `json:"ever"`   // something was written once
	Live             Revision        `json:"live"`   // what was applied last, as a whole
	Target           Revision        `json:"target"` // what is being reconciled
	Phase            Phase           `json:"phase"`
	Since            time.Time       `json:"since"` // of the phase
	LiveSince        time.Time       `json:"live_since,omitzero"`
	Plan             string          `json:"plan"` // digest of the last plan written down
	PlanSeq          uint64          `json:"plan_seq"`
	Verdicts         string          `json:"verdicts"` // what the verdicts were, in short
	Result           configs.Finding `json:"result"`
	Approved         string          `json:"approved"` // digest of the plan that a person approved last
	ApprovedRevision Revision        `json:"approved_revision"`
	ApprovedBy       string          `json:"approved_by"`
	PassedOver       []string        `json:"passed_over,omitempty"`
	Steps            []settling      `json:"steps,omitempty"`
	Deadline         time.Time       `json:"deadline,omitzero"`
}

// openIntent is an intent without an outcome.
type openIntent struct {
	intentMade
	Nonce string    `json:"nonce"`
	At    time.Time `json:"at"`
}

// state is what the ledger's entries add up to. It is changed by fold alone, so that it can be
// rebuilt from the ledger at any time; table keeps it on disk so that a start need not read everything.
type state struct {
	deployed    map[string]Deployed
	applied     map[string]map[fabric.Key]Applied
	formerly    map[string]map[fabric.Key]Applied // released, or deleted by others
	absences    map[string]map[fabric.Key]Absence
	intents     map[string]map[string]openIntent
	tags        map[string]tagSeen // repository NUL ref
	suspensions map[string]Suspension
	table       *table
}

func newState(t *table) *state {
	return &state{
		deployed: map[string]Deployed{}, applied: map[string]map[fabric.Key]Applied{}, formerly: map[string]map[fabric.Key]Applied{},
		absences: map[string]map[fabric.Key]Absence{}, intents: map[string]map[string]openIntent{},
		tags: map[string]tagSeen{}, suspensions: map[string]Suspension{}, table: t,
	}
}

func tagKey(repository, ref string) string { return repository + "\x00" + ref }

// fold takes one entry in. Entries come in the ledger's order, each once.
func (s *state) fold(e ledger.Entry) error {
	var err error
	read := func(v any) bool {
		if err == nil && len(e.Data) > 0 {
			err = json.Unmarshal(e.Data, v)
		}
		return err == nil
	}
	dep := e.Deployment
	switch e.Kind {
	case kindTag:
		var t tagSeen
		if read(&t) {
			s.tags[tagKey(t.Repository, t.Ref)] = t
			s.table.put("tag", "", tagKey(t.Repository, t.Ref), t)
		}
	case kindPlan:
		var p planMade
		if read(&p) {
			d := s.deployed[dep]
			d.Plan, d.PlanSeq, d.Verdicts = p.Digest, e.Seq, verdictLine(p.Verdicts)
			s.deploy(dep, d)
		}
	case kindApprove:
		var a approval
		if read(&a) {
			d := s.deployed[dep]
			d.Approved, d.ApprovedRevision, d.ApprovedBy, d.PassedOver = a.Plan, a.Revision, e.By, a.PassedOver
			s.deploy(dep, d)
		}
	case kindPhase:
		var p phaseReached
		if read(&p) {
			d := s.deployed[dep]
			if d.Phase != p.Phase || d.Target.Commit != p.Revision.Commit {
				d.Since = e.Time
			}
			d.Phase, d.Target, d.Steps, d.Deadline, d.Result = p.Phase, p.Revision, p.Steps, p.Deadline, p.Result
			if p.Phase == Sound || p.Phase == Wavering {
				if d.Live.Commit != p.Revision.Commit {
					d.LiveSince = e.Time
				}
				d.Live = p.Revision
			}
			s.deploy(dep, d)
		}
	case kindDecide:
		d := s.deployed[dep]
		if read(&d.Result) {
			s.deploy(dep, d)
		}
	case kindIntent:
		var i intentMade
		if read(&i) {
			set(s.intents, dep, e.Intent, openIntent{i, e.Intent, e.Time})
			s.table.put("intent", dep, e.Intent, openIntent{i, e.Intent, e.Time})
		}
	case kindOutcome:
		var o outcomeSeen
		if read(&o) {
			s.outcome(dep, e.Intent, o)
		}
	case kindRead:
		var r readBack
		if read(&r) {
			for k, digest := range r.Read {
				if a, ok := s.applied[dep][k]; ok {
					a.Read = digest
					s.apply(dep, k, a)
				}
			}
		}
	case kindAbsent:
		var a absent
		if read(&a) {
			for _, k := range a.Keys {
				set(s.absences, dep, k, a.Absence)
				s.table.put("absence", dep, string(k), a.Absence)
			}
			for _, k := range a.Back {
				delete(s.absences[dep], k)
				s.table.drop("absence", dep, string(k))
			}
		}
	case kindRelinquish:
		var r keysOf
		if read(&r) {
			for _, k := range r.Keys {
				s.relinquish(dep, k)
			}
		}
	case kindTake:
		var r keysOf
		if read(&r) {
			for _, k := range r.Keys {
				if a, ok := s.formerly[dep][k]; ok {
					delete(s.formerly[dep], k)
					s.table.drop("formerly", dep, string(k))
					s.apply(dep, k, a)
				}
			}
		}
	case kindSuspend:
		var p Suspension
		if read(&p) {
			s.suspensions[p.Target] = p
			s.table.put("suspension", "", p.Target, p)
		}
	case kindResume:
		var p Suspension
		if read(&p) {
			delete(s.suspensions, p.Target)
			s.table.drop("suspension", "", p.Target)
		}
	}
	if err != nil {
		return fmt.Errorf("ledger entry #%d (%s) is not of the form that this version of selvage writes: %w", e.Seq, e.Kind, err)
	}
	s.table.cursor(e.Seq)
	return nil
}

// outcome moves what an intent was about from open to what became of it.
func (s *state) outcome(dep, nonce string, o outcomeSeen) {
	i, open := s.intents[dep][nonce]
	if !open {
		return
	}
	results := map[fabric.Key]resultSeen{}
	for _, r := range o.Results {
		results[r.Key] = r
	}
	for n, k := range i.Keys {
		r := results[k]
		a := s.applied[dep][k]
		switch {
		case r.Status == fabric.Done.String() && i.action(n) == fabric.Delete:
			delete(s.applied[dep], k)
			s.table.drop("applied", dep, string(k))
			delete(s.absences[dep], k)
			s.table.drop("absence", dep, string(k))
			continue
		case r.Status == fabric.Done.String():
			if i.action(n) == fabric.Create {
				a = Applied{Kind: i.Kind, Nonce: nonce}
			}
			if r.ID != "" {
				a.ID = r.ID
			}
			a.Name, a.Sent, a.Release, a.Version = at(i.Names, n), at(i.Sent, n), i.Release, i.Version
			a.Read, a.Refused, a.Why = "", "", ""
			delete(s.formerly[dep], k)
			s.table.drop("formerly", dep, string(k))
		case r.Status == fabric.Refused.String():
			a.Refused, a.Why = at(i.Changes, n), r.Error
		default:
			continue
		}
		if a.ID == "" { // a create that was refused owns nothing, but is remembered
			set(s.formerly, dep, k, a)
			s.table.put("formerly", dep, string(k), a)
			continue
		}
		s.apply(dep, k, a)
	}
	delete(s.intents[dep], nonce)
	s.table.drop("intent", dep, nonce)
	if d := s.deployed[dep]; !d.Ever && len(s.applied[dep]) > 0 {
		d.Ever = true
		s.deploy(dep, d)
	}
}

func (s *state) relinquish(dep string, k fabric.Key) {
	a, ok := s.applied[dep][k]
	if !ok {
		return
	}
	delete(s.applied[dep], k)
	s.table.drop("applied", dep, string(k))
	delete(s.absences[dep], k)
	s.table.drop("absence", dep, string(k))
	set(s.formerly, dep, k, a)
	s.table.put("formerly", dep, string(k), a)
}

func (s *state) deploy(dep string, d Deployed) {
	s.deployed[dep] = d
	s.table.put("deployed", dep, "", d)
}

func (s *state) apply(dep string, k fabric.Key, a Applied) {
	set(s.applied, dep, k, a)
	s.table.put("applied", dep, string(k), a)
}

func set[K comparable, V any](m map[string]map[K]V, dep string, k K, v V) {
	if m[dep] == nil {
		m[dep] = map[K]V{}
	}
	m[dep][k] = v
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// load reads one row that put wrote before.
func (s *state) load(kind, dep, key string, value []byte) error {
	switch kind {
	case "tag":
		return loadInto(s.tags, key, value)
	case "deployed":
		return loadInto(s.deployed, dep, value)
	case "suspension":
		return loadInto(s.suspensions, key, value)
	case "applied":
		return loadNested(s.applied, dep, fabric.Key(key), value)
	case "formerly":
		return loadNested(s.formerly, dep, fabric.Key(key), value)
	case "absence":
		return loadNested(s.absences, dep, fabric.Key(key), value)
	case "intent":
		return loadNested(s.intents, dep, key, value)
	}
	return fmt.Errorf("unknown row kind %q", kind)
}

func loadInto[V any](m map[string]V, key string, value []byte) error {
	var v V
	err := json.Unmarshal(value, &v)
	m[key] = v
	return err
}

func loadNested[K comparable, V any](m map[string]map[K]V, dep string, key K, value []byte) error {
	var v V
	err := json.Unmarshal(value, &v)
	set(m, dep, key, v)
	return err
}

// deployments are all that the ledger knows of, sorted.
func (s *state) deployments() []string {
	names := map[string]bool{}
	for d := range s.deployed {
		names[d] = true
	}
	for d := range s.applied {
		names[d] = true
	}
	return slices.Sorted(mapKeys(names))
}

// suspended finds what suspends a deployment at a time: itself or its fabric.
func (s *state) suspended(dep string, now time.Time) (Suspension, bool) {
	_, place, _ := strings.Cut(dep, "@")
	for _, target := range []string{dep, place} {
		if p, ok := s.suspensions[target]; ok && (p.Until.IsZero() || now.Before(p.Until)) {
			return p, true
		}
	}
	return Suspension{}, false
}

// rebuild reads the ledger from where the table stands.
func (s *state) rebuild(ctx context.Context, l *ledger.Log) error {
	after, err := s.table.open(s)
	if err != nil {
		return err
	}
	for e, err := range l.Entries(after) {
		if err != nil {
			return err
		}
		if err := s.fold(e); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return s.table.flush()
}
