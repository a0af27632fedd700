package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"selvage/fabric"
	"selvage/reconciler/ledger"
)

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
	handed      map[string]map[fabric.Key]handed           // handed back, until they are adopted again
	pauses      map[string]map[fabric.Key]map[string]Pause // by path
	contests    map[string]map[fabric.Key]map[string]Contest
	table       *table
}

func newState(t *table) *state {
	return &state{
		deployed: map[string]Deployed{}, applied: map[string]map[fabric.Key]Applied{}, formerly: map[string]map[fabric.Key]Applied{},
		absences: map[string]map[fabric.Key]Absence{}, intents: map[string]map[string]openIntent{},
		tags: map[string]tagSeen{}, suspensions: map[string]Suspension{}, handed: map[string]map[fabric.Key]handed{}, table: t,
		pauses: map[string]map[fabric.Key]map[string]Pause{}, contests: map[string]map[fabric.Key]map[string]Contest{},
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
			d.Plan, d.PlanSeq, d.Judged, d.Notes = p.Digest, e.Seq, judged(p.Counts, p.Verdicts), p.NotesDigest
			s.deploy(dep, d)
		}
	case kindApprove:
		var a approval
		if read(&a) {
			d := s.deployed[dep]
			d.Approved, d.ApprovedRevision, d.ApprovedBy, d.ApprovedBinding, d.PassedOver = a.Plan, a.Revision, e.By, a.Binding, a.PassedOver
			d.Unapproved = false
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
			if p.Live {
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
			s.restartBegun(dep, i)
		}
	case kindOutcome:
		var o outcomeSeen
		if read(&o) {
			s.outcome(dep, e.Intent, o, e.Time)
		}
	case kindRead:
		var r readBack
		if read(&r) {
			for k, digest := range r.Read {
				if a, ok := s.applied[dep][k]; ok {
					a.Read = digest
					a.Unstable = a.Unstable.and(a.Sent, r.Paths[k])
					s.apply(dep, k, a)
				}
			}
		}
	case kindPaused, kindUnpaused:
		var seen pausesSeen
		if read(&seen) {
			s.pausesNoted(dep, seen)
		}
	case kindContest:
		var seen contestsSeen
		if read(&seen) {
			s.contestsNoted(dep, seen)
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
				s.take(dep, k)
			}
		}
	case kindCommitted:
		var c committedFor
		if read(&c) {
			for k, id := range c.IDs {
				s.recommit(dep, k, id)
				if a, ok := s.applied[dep][k]; ok {
					a.Committed = id
					s.apply(dep, k, a)
				} else if a, ok := s.formerly[dep][k]; ok {
					a.Committed = id
					set(s.formerly, dep, k, a)
					s.table.put("formerly", dep, string(k), a)
				}
			}
		}
	case kindAccord:
		var seen accordsSeen
		if read(&seen) {
			for k, accord := range seen.Accords {
				if a, ok := s.applied[dep][k]; ok {
					a.Accord = accord
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
	case kindHold, kindUnhold, kindAdopt, kindDisown, kindLapse:
		err = s.foldAdoption(e)
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
func (s *state) outcome(dep, nonce string, o outcomeSeen, when time.Time) {
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
		from := i.from(n)
		a, owned := s.applied[dep][from]
		if from != k && !owned { // it was released while the request was under way
			a, owned = s.formerly[dep][from], false
		}
		switch {
		case r.Status == fabric.Done.String() && i.action(n) == fabric.Delete:
			s.disown(dep, k)
			s.keepPauses(dep, k, nil)
			s.keepContests(dep, k, nil)
			continue
		case i.action(n) == fabric.Restart && r.Status != fabric.Refused.String():
			if r.Status == fabric.Done.String() && owned {
				a.Restart, a.Refused, a.Why = nil, "", ""
				s.apply(dep, k, a)
			}
			continue
		case r.Status == fabric.Done.String() && i.action(n) == fabric.Disown:
			s.forget(dep, k)
			s.keepPauses(dep, k, nil)
			s.keepContests(dep, k, nil)
			continue
		case r.Status == fabric.Done.String():
			if a.unmarked() {
				a.Nonce = nonce // stands in the mark
			}
			if len(a.Kept) > 0 {
				a.Kept = i.Kept[k]
			}
			if i.action(n) == fabric.Create {
				a = Applied{Kind: i.Kind, Nonce: nonce}
			}
			if from != k { // one entry ends the one and begins the other: no reader finds both, or neither
				s.moveAttached(dep, from, k)
				s.forget(dep, from)
			}
			a.Kind = i.Kind
			if r.ID != "" {
				a.ID = r.ID
			}
			a.Name, a.Sent, a.Release, a.Version = at(i.Names, n), at(i.Sent, n), i.Release, i.Version
			a.Read, a.Refused, a.Why, a.Quarantined = at(i.Read, n), "", "", time.Time{}
			if id := at(i.Committed, n); id != "" {
				a.Committed = id
			}
			a.Wrote = nonce
			if !i.action(n).Rests() {
				a = s.healed(dep, k, a, i.Drift[k], when)
				s.pausesWritten(dep, from, k)
			}
			if slices.Contains(i.Restarts, k) {
				a = a.restartDue(nonce, when)
			}
			switch i.action(n) {
			case fabric.Quarantine:
				a.Quarantined = i.At
			case fabric.Leave: // paused and released in one entry: no reader finds it the one and not the other
				for _, part := range attached(s.applied[dep], k) {
					s.relinquish(dep, part)
				}
				s.disown(dep, k)
				a.Restart, a.Healed = nil, nil
				set(s.formerly, dep, k, a)
				s.table.put("formerly", dep, string(k), a)
				continue
			}
			delete(s.formerly[dep], k)
			s.table.drop("formerly", dep, string(k))
		case r.Status == fabric.Refused.String():
			a.Refused, a.Why = at(i.Changes, n), r.Error
			if from != k { // it goes on under its old key
				if owned {
					s.apply(dep, from, a)
				}
				continue
			}
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
	if d := s.deployed[dep]; !d.Ever && s.wrote(dep) {
		d.Ever = true
		s.deploy(dep, d)
	}
}

// recommit notes in the open intents of a key what it is committed for by now: their outcomes are older news.
func (s *state) recommit(dep string, k fabric.Key, id string) {
	for nonce, i := range s.intents[dep] {
		n := slices.Index(i.Keys, k)
		if n < 0 || at(i.Committed, n) == id {
			continue
		}
		all := make([]string, len(i.Keys))
		copy(all, i.Committed)
		all[n] = id
		i.Committed = all
		set(s.intents, dep, nonce, i)
		s.table.put("intent", dep, nonce, i)
	}
}

func (s *state) relinquish(dep string, k fabric.Key) {
	a, ok := s.applied[dep][k]
	if !ok {
		return
	}
	for _, part := range attached(s.applied[dep], k) {
		s.relinquish(dep, part)
	}
	s.disown(dep, k)
	a.Restart, a.Healed = nil, nil
	set(s.formerly, dep, k, a)
	s.table.put("formerly", dep, string(k), a)
}

// disown ends that a key is owned.
func (s *state) disown(dep string, k fabric.Key) {
	for _, part := range attached(s.applied[dep], k) {
		s.disown(dep, part)
	}
	delete(s.applied[dep], k)
	s.table.drop("applied", dep, string(k))
	delete(s.absences[dep], k)
	s.table.drop("absence", dep, string(k))
}

// forget takes everything about a key away.
func (s *state) forget(dep string, k fabric.Key) {
	s.disown(dep, k)
	delete(s.formerly[dep], k)
	s.table.drop("formerly", dep, string(k))
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
	case "handed":
		return loadNested(s.handed, dep, fabric.Key(key), value)
	case "intent":
		return loadNested(s.intents, dep, key, value)
	case "pauses":
		return loadNested(s.pauses, dep, fabric.Key(key), value)
	case "contests":
		return loadNested(s.contests, dep, fabric.Key(key), value)
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
	if head, _ := l.Head(); after > head { // it was made from another ledger
		if after, err = s.table.replace(s); err != nil {
			return err
		}
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
