package fabric

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"selvage/configs"
)

// Action is what a change does to a resource.
type Action string

const (
	Keep    Action = "keep" // nothing, or only labels that ride along with the next functional change
	Create  Action = "create"
	Update  Action = "update"
	Delete  Action = "delete"
	Move    Action = "move"    // the same live resource under another key; fields may change along with it
	Release Action = "release" // stop managing it, untouched
	// Quarantine and Leave see to it that nothing starts the live resource by itself any more, and leave the rest of
	// it as it is.
	Quarantine Action = "quarantine" // before it is deleted; it gets another name too
	Leave      Action = "leave"      // git moved it to another fabric; it is released once that is done
	Disown     Action = "disown"     // take the mark off and stop managing it; the rest stays
)

// Sends reports an action that sends a definition to the fabric, or a part of one.
func (a Action) Sends() bool { return a == Create || a == Update || a == Move || a.Rests() }

// Rests reports an action after which nothing starts the resource by itself any more.
func (a Action) Rests() bool { return a == Quarantine || a == Leave }

// Goes reports an action that ends in the resource not being there: their number in one plan is limited.
func (a Action) Goes() bool { return a == Delete || a == Quarantine }

// Cause says where a difference comes from.
type Cause string

const (
	Commit   Cause = "commit"
	Overlay  Cause = "overlay"
	Drift    Cause = "drift"
	Prune    Cause = "prune"
	Adoption Cause = "adoption"
)

// Hindrance says what keeps a change from being carried out now.
type Hindrance string

const (
	Free     Hindrance = ""         // nothing
	Deferred Hindrance = "deferred" // it waits for a second look; the plan does not count it
	Blocked  Hindrance = "blocked"  // it waits for its reason to be mended
)

// Change is one resource's difference between live and desired.
type Change struct {
	Key    Key     `json:"key"`
	Kind   Kind    `json:"kind"`
	Name   string  `json:"name"`
	Action Action  `json:"action"`
	From   Key     `json:"from,omitempty"`   // the key that it had, for a move
	ID     string  `json:"id,omitempty"`     // of the live resource
	Fields []Field `json:"fields,omitempty"` // those that are functional
	// Labels counts the fields that only name the release; they are written along with a functional change.
	Labels    int             `json:"labels,omitempty"`
	Cause     Cause           `json:"cause,omitempty"`
	Hindrance Hindrance       `json:"hindrance,omitempty"`
	Reason    configs.Finding `json:"reason"`
	// Stands are drifted fields that stand, because people set them by hand to mean it: the resource is written with them.
	Stands []Field `json:"stands,omitempty"`
	// Restarts is set where the runs are to pick the change up at once; a Restart follows it. Restart says of one what it is
	// about.
	Restarts bool `json:"restarts,omitempty"`
	Restart  *Due `json:"restart,omitempty"`
	// Stripped lists what was taken out of the committed definition, and why.
	Stripped []configs.Finding `json:"stripped,omitempty"`
	// Overlay is what the deployment's overlay did to the committed definition, also where it is live already.
	Overlay []Field `json:"overlay,omitempty"`
	// Kept are fields that stay as they were when the resource was adopted.
	Kept []Kept `json:"kept,omitempty"`

	// Until is when a resource in quarantine is deleted; zero for any other.
	Until time.Time `json:"until,omitzero"`

	Owner   Owner  `json:"-"`
	Desired Doc    `json:"-"` // zero for a delete
	Live    Doc    `json:"-"` // zero for a create
	Mark    Mark   `json:"-"` // of the live resource; zero for a create
	Needs   []Key  `json:"-"`
	Blobs   []Blob `json:"-"`
	// Sent is what stands as sent once an action that rests is done: what was sent before, with what the action
	// changes. Desired is then what is live, with that.
	Sent Doc `json:"-"`
	// Runs says what a delete does about runs that are under way; empty: it waits for them.
	Runs configs.ActiveRuns `json:"-"`
	// Committed is the fabric id that the definition is committed for; empty where it is for none.
	Committed string `json:"-"`
	// Restless are paths at which the live resource is another one each time it is looked at, so that another value
	// is no sign that somebody edited it just now.
	Restless []string `json:"-"`
}

// Counts reports that the change makes a plan non-empty: something is to be written, now or when a
// hindrance is gone that only a person or another release can take away.
func (c Change) Counts() bool { return c.Action != Keep && c.Hindrance != Deferred }

// Digest names what the change would do to what it saw. Of the live state only the differing fields
// count: a fabric may return the rest in another order each time.
func (c Change) Digest() string {
	h := sha256.New()
	json.NewEncoder(h).Encode(struct { // writing to a hash does not fail
		Key, ID, Kind, Action, Desired string
		Fields                         []Field
		From                           string `json:",omitempty"`
		Runs                           string `json:",omitempty"`
		Restart                        string `json:",omitempty"`
	}{string(c.Key), c.ID, string(c.Kind), string(c.Action), c.Desired.Digest(), c.Fields, string(c.From), c.runs(), c.Restart.token()})
	return hex.EncodeToString(h.Sum(nil))
}

// runs is what the change does to runs that are under way; empty for nothing.
func (c Change) runs() string {
	if c.Action != Delete || c.Runs == configs.RunsWait {
		return ""
	}
	return string(c.Runs)
}

// Step is a portion of work that is done, and fails, as one.
type Step struct {
	ID      string   // unique in its plan: "create jobs/daily_revenue"
	Changes []Change // whose documents hold no unresolved Ref when Do sees them
	Blobs   []Blob   // uploads, for a step that uploads
	After   []string // ids of steps that must be done before
	Receipt string   // from the step's Outcome, for Settled
}
