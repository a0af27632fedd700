package reconciler

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// Plan is the ordered changes from live to desired. It is pure data.
type Plan struct {
	Changes []fabric.Change `json:"changes"` // sorted by key
	Digest  string          `json:"digest"`  // of what would be written; empty when nothing would
	Counts  Counts          `json:"counts"`
	// Owned is how many resources the deployment owns on the fabric.
	Owned int `json:"owned"`
	// Absent are keys that are absent from the release now, for the first time; Back those that were and are no longer.
	Absent []fabric.Key `json:"absent,omitempty"`
	Back   []fabric.Key `json:"back,omitempty"`
	// Uncounted are keys that were absent before and are protected now: what was seen of their absence counts no more.
	Uncounted []fabric.Key `json:"uncounted,omitempty"`
	// Recommitted are keys whose definitions are committed for another fabric id than the ledger has, with that id.
	Recommitted map[fabric.Key]string `json:"recommitted,omitempty"`
	// Released are owned keys that the configuration no longer covers; Taken are keys that it covers again.
	Released []fabric.Key `json:"released,omitempty"`
	Taken    []fabric.Key `json:"taken,omitempty"`
	// Lapsed are adopted resources of which the release says something of its own now where a field was kept, with what
	// still is, and to which nothing is to be written for it.
	Lapsed map[fabric.Key][]fabric.Kept `json:"-"`
	// Notes are what the release's rendering decided and no change tells.
	Notes []configs.Finding `json:"notes,omitempty"`
	// Pauses are those by hand that begin to stand, or are over; Contests are fields that somebody else writes too, seen for
	// the first time, or as git wants them again.
	Pauses   []Pause   `json:"pauses,omitempty"`
	Contests []Contest `json:"contests,omitempty"`
	// Asks are the things that others put on the fabric and that changes depend on which nothing else holds
	// back, and those whose ids have to be known before there can be changes; each once, in order.
	// PlanInput.Outside answers.
	Asks []fabric.Outside `json:"-"`
	// Runs are the keys of deletions that wait for runs to end and that nothing else holds back. PlanInput.Active answers.
	Runs []fabric.Key `json:"-"`
	// Reads are attached resources that no look has read so far, and that have to be read before anything can be
	// decided about them.
	Reads []fabric.Owned `json:"-"`
}

// Empty reports that nothing is to be written, now or after a hindrance is mended.
func (p Plan) Empty() bool { return p.Digest == "" && p.Counts.Release == 0 }

// Free are the changes that may be carried out now, gates willing.
func (p Plan) Free() []fabric.Change {
	var free []fabric.Change
	for _, c := range p.Changes {
		if c.Hindrance == fabric.Free && (c.Action.Sends() || c.Action == fabric.Delete || c.Action == fabric.Disown || c.Action == fabric.Restart) {
			free = append(free, c)
		}
	}
	return free
}

// Open reports that the outcome of something that was sent is not known.
func (p Plan) Open() bool {
	return slices.ContainsFunc(p.Changes, func(c fabric.Change) bool { return c.Reason.Code == configs.IntentOpen })
}

// Drift are the changes whose cause is drift alone.
func (p Plan) Drift() []fabric.Change {
	var d []fabric.Change
	for _, c := range p.Changes {
		if c.Cause == fabric.Drift {
			d = append(d, c)
		}
	}
	return d
}

// Owning is one owned resource, with the documents that the ledger names.
type Owning struct {
	Applied
	Sent, Read fabric.Doc // zero where the private store lacks them
}

// PlanInput is everything that a plan follows from.
type PlanInput struct {
	Installation string
	Deployment   string
	Desired      *fabric.Desired
	Rendered     []configs.Finding // what was found while rendering it
	Live         *fabric.Live
	Rules        func(fabric.Kind) *fabric.Rules
	Owned        map[fabric.Key]Owning
	Formerly     map[fabric.Key]Owning // released before; proven ours by id and nonce
	// Moved maps the key that a resource had to the one that it has now, as the configuration says.
	Moved    map[fabric.Key]fabric.Key
	Absences map[fabric.Key]Absence
	Open     map[fabric.Key]bool             // an intent's outcome is not known
	Opened   map[fabric.Key]string           // the fabric id that what an open intent sent is committed for
	Outside  map[fabric.Outside]fabric.Sight // what was asked about so far
	Sighting time.Time                       // when the refs were read
	Apart    time.Duration                   // least time between two sightings of an absence
	Prune    configs.Prune
	Heal     bool
	Compared *compared           // comparisons of this rendering that are known; nil for none
	HealSaid bool                // by the policy itself
	Handed   map[fabric.Key]bool // handed back by a person
	Partial  bool                // the release may lack what is in git: nothing is deleted
	// Unseen says why there may be resources that no listing shows us; empty where that is so and meant.
	Unseen  string
	Protect []string // patterns over keys that are kept when the release no longer holds them
	// Active counts the runs under way of what is to be deleted, as far as that was asked about and is known.
	Active map[fabric.Key]int
	// Selects are the fabric ids that the deployment selects jobs by; nil where it selects them by their keys.
	Selects []string
	// Elsewhere are the keys that another deployment of the project still has on the fabric that they left.
	Elsewhere map[fabric.Key]Elsewhere
	// Held are changes that the fabric found a reason to hold back since it was looked at.
	Held map[fabric.Key]configs.Finding
	// Now is when the round began.
	Now      time.Time
	Pauses   map[fabric.Key]map[string]Pause // by hand, by path
	Contests map[fabric.Key]map[string]Contest
	// Restless are paths at which a resource was another one at each look of this round.
	Restless map[fabric.Key][]string
	Restart  configs.Restart
	// Force lifts what waits for a person: a refusal before, drift with heal off.
	Force bool
}

// NewPlan compares desired, live and applied. It is pure: the same input gives the same plan, byte
// for byte.
func NewPlan(in PlanInput) Plan {
	b := planner{PlanInput: in, ids: map[fabric.Ref]any{}}
	keys := map[fabric.Key]bool{}
	for _, k := range in.Desired.Keys() {
		keys[k] = true
	}
	for k := range in.Owned {
		keys[k] = true
	}
	b.findMoves()
	for k := range b.left {
		delete(keys, k)
	}
	b.goesAlong(keys)
	sorted := slices.Sorted(mapKeys(keys))
	for _, k := range sorted {
		b.learn(k)
	}
	p := Plan{Owned: alone(in.Owned), Notes: notesOf(in.Rendered)}
	for _, k := range slices.Sorted(mapKeys(b.left)) {
		if _, sighted := in.Absences[k]; sighted { // it is not absent, only named otherwise
			p.Back = append(p.Back, k)
		}
	}
	for _, k := range sorted {
		c := b.change(k, &p)
		if c.Hindrance == fabric.Free && in.Open[k] {
			c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.IntentOpen, string(k), "")
		}
		b.elsewhere(&c)
		b.outside(&c, &p)
		if why, held := in.Held[k]; held && c.Hindrance == fabric.Free {
			c.Hindrance, c.Reason = fabric.Deferred, why
		}
		p.Changes = append(p.Changes, c)
	}
	p.Pauses, p.Contests = b.pauses, b.contests
	b.budget(&p)
	b.underWay(&p)
	count(&p)
	p.Digest = digest(p.Changes)
	return p
}

type planner struct {
	PlanInput
	ids map[fabric.Ref]any // what is known of ids before the plan runs
	moves
	pauses   []Pause // as in Plan
	contests []Contest
	others   *takeovers // nil until somebody asked
}

// learn notes the id of a live resource for those that refer to it.
func (b *planner) learn(k fabric.Key) {
	r, presence := b.Desired.Lookup(k)
	kind := r.Kind
	if m, moves := b.to[k]; moves {
		if m.seen == fabric.Present {
			b.ids[fabric.Ref{Kind: m.was.Kind, Key: k}] = json.Number(m.live.ID)
		}
		return
	}
	o, owned := b.Owned[k]
	if presence != fabric.Present {
		kind = o.Kind
	}
	if !owned {
		o = b.Formerly[k]
	}
	if obj, p, _ := b.lookup(kind, b.owner(k), o); p == fabric.Present && o.ID != "" {
		b.ids[fabric.Ref{Kind: kind, Key: k}] = json.Number(obj.ID)
	}
}

// lookup finds what is owned on the fabric; without an id, whatever carries the owner's mark.
func (b *planner) lookup(kind fabric.Kind, owner fabric.Owner, o Owning) (fabric.Object, fabric.Presence, configs.Finding) {
	return found(b.Live, b.Installation, kind, owner, o.Applied)
}

func (b *planner) owner(k fabric.Key) fabric.Owner {
	return fabric.Owner{Deployment: b.Deployment, Key: k}
}

func (b *planner) change(k fabric.Key, p *Plan) fabric.Change {
	r, presence := b.Desired.Lookup(k)
	o, owned := b.Owned[k]
	c := fabric.Change{Key: k, Kind: r.Kind, Name: r.Name, ID: o.ID, Owner: b.owner(k), Action: fabric.Keep}
	if owned && presence != fabric.Present {
		c.Kind, c.Name = o.Kind, o.Name
	}
	if b.Handed[k] {
		c.Hindrance, c.Reason = fabric.Blocked, configs.Found(configs.Disowned, string(k), "")
		return c
	}
	if to, attached := k.AttachedTo(c.Kind); attached {
		return b.attached(c, r, to, presence == fabric.Present, p)
	}
	switch {
	case presence == fabric.Unknown:
		b.back(k, p)
		why, _ := b.Desired.Why(k)
		c.Hindrance, c.Reason = fabric.Blocked, why
		if m, moves := b.to[k]; moves {
			c.From, c.Kind, c.Name, c.ID = m.from, m.was.Kind, m.was.Name, m.was.ID
		}
		return c
	case presence == fabric.Absent && (b.Desired.Unselected(k) || b.released[k]) && leaves(b.Selects, o.Committed, b.committed(k)):
		b.back(k, p)
		return b.leave(c, o, p)
	case presence == fabric.Absent && (b.Desired.Unselected(k) || b.released[k]):
		p.Released = append(p.Released, k)
		c.Action, c.Reason = fabric.Release, configs.Found(configs.Released, string(k), "")
		return c
	case presence == fabric.Absent:
		return b.remove(c, o, p)
	}
	b.back(k, p)
	b.recommit(r, p)
	return b.keep(c, r, o, owned, p)
}

// back notes that a key is in the release after all: what was seen of its absence counts no more.
func (b *planner) back(k fabric.Key, p *Plan) {
	if _, was := b.Absences[k]; was {
		p.Back = append(p.Back, k)
	}
}

// digest names what a plan would write, from the digests of its changes.
func digest(changes []fabric.Change) string {
	h := sha256.New()
	n := 0
	for _, c := range changes {
		// What is blocked counts: a person who approves a plan sees it, and approves that it is done
		// once it is no longer blocked.
		if c.Counts() && c.Action != fabric.Release {
			fmt.Fprintln(h, c.Digest())
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
