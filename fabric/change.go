package fabric

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

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
)

// Sends reports an action that sends a definition to the fabric.
func (a Action) Sends() bool { return a == Create || a == Update || a == Move }

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
	// Stripped lists what was taken out of the committed definition, and why.
	Stripped []configs.Finding `json:"stripped,omitempty"`
	// Overlay is what the deployment's overlay did to the committed definition, also where it is live already.
	Overlay []Field `json:"overlay,omitempty"`

	Owner   Owner  `json:"-"`
	Desired Doc    `json:"-"` // zero for a delete
	Live    Doc    `json:"-"` // zero for a create
	Mark    Mark   `json:"-"` // of the live resource; zero for a create
	Needs   []Key  `json:"-"`
	Blobs   []Blob `json:"-"`
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
	}{string(c.Key), c.ID, string(c.Kind), string(c.Action), c.Desired.Digest(), c.Fields, string(c.From)})
	return hex.EncodeToString(h.Sum(nil))
}

// Step is a portion of work that is done, and fails, as one.
type Step struct {
	ID      string   // unique in its plan: "create jobs/daily_revenue"
	Changes []Change // whose documents hold no unresolved Ref when Do sees them
	Blobs   []Blob   // uploads, for a step that uploads
	After   []string // ids of steps that must be done before
	Receipt string   // from the step's Outcome, for Settled
}
