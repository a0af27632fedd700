package reconciler

import (
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// Kinds of ledger entries. What each holds in its data is the type named beside it.
const (
	kindTag        ledger.Kind = "tag"       // tagSeen: a tag was seen first, moved, or its move was accepted
	kindRelease    ledger.Kind = "release"   // Revision: a release was built for a deployment
	kindPlan       ledger.Kind = "plan"      // planMade
	kindApprove    ledger.Kind = "approve"   // approval
	kindIntent     ledger.Kind = "intent"    // intentMade
	kindOutcome    ledger.Kind = "outcome"   // outcomeSeen
	kindPhase      ledger.Kind = "phase"     // phaseReached
	kindRead       ledger.Kind = "read"      // readBack: what the fabric says right after an apply
	kindAbsent     ledger.Kind = "absent"    // absence
	kindRelinquish ledger.Kind = "released"  // keysOf: no longer managed, untouched
	kindTake       ledger.Kind = "taken"     // keysOf: managed again
	kindCommitted  ledger.Kind = "committed" // committedFor: which fabrics definitions are for
	kindAccord     ledger.Kind = "accord"    // accordsSeen: whether a listing and the resources themselves say the same
	kindSuspend    ledger.Kind = "suspend"   // suspension
	kindResume     ledger.Kind = "resume"
	kindDecide     ledger.Kind = "decide" // configs.Finding: the answer of a reconcile, when it changed
	kindStart      ledger.Kind = "start"  // the daemon began, with which configuration
	kindReload     ledger.Kind = "reload" // reloaded, or the configs.Finding why the configuration on disk is refused
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
	// Committed is the fabric id that the definition was committed for when it was seen last; empty for none, and
	// where nobody wrote it down.
	Committed string `json:"committed,omitempty"`
	// Quarantined is when it was paused and renamed, to be deleted later; zero for what runs.
	Quarantined time.Time `json:"quarantined,omitzero"`
	// Adopted: another tool made it, and a person had us take it over. Until we have sent something (Sent), it carries no
	// mark of ours, and Read is what the person accepted.
	Adopted bool          `json:"adopted,omitempty"`
	Kept    []fabric.Kept `json:"kept,omitempty"`
	// Wrote is the nonce of the intent that wrote it last, which the resource itself says too, but for what is attached.
	Wrote string `json:"wrote,omitempty"`
	// Accord is whether the fabric's listing and the resource itself, read on its own, say the same.
	Accord   fabric.Accord     `json:"accord,omitempty"`
	Healed   map[string]Healed `json:"healed,omitempty"` // fields that were put right lately, by path
	Unstable *Unstable         `json:"unstable,omitempty"`
	Restart  *DueRestart       `json:"restart,omitempty"`
}

// shows reports that a live resource is as we wrote it last, or as others edited that.
func (a Applied) shows(o fabric.Object) bool { return a.Wrote != "" && a.Wrote == o.Wrote }

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
	// Notes are the first hundred of the plan's; NotesDigest names all of them.
	Notes       []configs.Finding `json:"notes,omitempty"`
	NotesDigest string            `json:"notes_digest,omitempty"`
}

type approval struct {
	Plan     string   `json:"plan"` // digest
	Revision Revision `json:"revision"`
	// Binding is the digest of what the configuration said of the deployment.
	Binding string `json:"binding,omitempty"`
	// PassedOver are commits of newer candidates that the person chose not to take.
	PassedOver []string `json:"passed_over,omitempty"`
}

type intentMade struct {
	Op      fabric.Op       `json:"op"`
	Kind    fabric.Kind     `json:"kind"`
	Keys    []fabric.Key    `json:"keys,omitempty"`
	Names   []string        `json:"names,omitempty"`
	Actions []fabric.Action `json:"actions,omitempty"` // one per key
	From    []fabric.Key    `json:"from,omitempty"`    // the keys that moved resources had; empty or one per key
	ID      string          `json:"id,omitempty"`
	Sent    []string        `json:"sent,omitempty"`    // digests, one per key
	Changes []string        `json:"changes,omitempty"` // digests, one per key
	// Read are digests of what will be read back, where an action leaves most of what is live as it is; empty or one per
	// key. Committed are the fabric ids of the definitions likewise.
	Read      []string `json:"read,omitempty"`
	Committed []string `json:"committed,omitempty"`
	// Drift are the fields that drifted and are put right, with the digests of what to, of each key; the first of them.
	Drift map[fabric.Key]map[string]string `json:"drift,omitempty"`
	// Restarts are the keys whose runs are to pick the change up; Runs those that a restart cancels.
	Restarts []fabric.Key `json:"restarts,omitempty"`
	Runs     []string     `json:"runs,omitempty"`
	// Paths are the files that an upload puts on the fabric and a collect removes from there.
	Paths []string `json:"paths,omitempty"`
	// Kept is what is still kept of adopted resources with this request.
	Kept    map[fabric.Key][]fabric.Kept `json:"kept,omitempty"`
	Release string                       `json:"release"`
	Version string                       `json:"version"`
}

// note keeps of a change what its outcome has to be remembered by.
func (i *intentMade) note(c fabric.Change) {
	if drift := driftOf(c); len(drift) > 0 {
		if i.Drift == nil {
			i.Drift = map[fabric.Key]map[string]string{}
		}
		i.Drift[c.Key] = drift
	}
	if c.Restarts {
		i.Restarts = append(i.Restarts, c.Key)
	}
}

func (i intentMade) action(n int) fabric.Action {
	if n < len(i.Actions) {
		return i.Actions[n]
	}
	return fabric.Keep
}

// from is the key that the n-th resource has until then: another one where the intent moves it.
func (i intentMade) from(n int) fabric.Key {
	if i.action(n) == fabric.Move && n < len(i.From) {
		return i.From[n]
	}
	return i.Keys[n]
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
	// Live: nothing of the revision is left to be written but what is blocked.
	Live bool `json:"live,omitempty"`
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
	// Paths are those of Unstable, of each key in bounds: an empty one stands for all of it.
	Paths map[fabric.Key][]string `json:"paths,omitempty"`
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

type committedFor struct {
	IDs map[fabric.Key]string `json:"ids"` // fabric ids by key
}

type accordsSeen struct {
	Accords map[fabric.Key]fabric.Accord `json:"accords"`
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
	Notes            string          `json:"notes,omitempty"` // digest of the plan's notes
	Judged           string          `json:"judged"`          // what counts and verdicts were, in short
	Result           configs.Finding `json:"result"`
	Approved         string          `json:"approved"` // digest of the plan that a person approved last
	ApprovedRevision Revision        `json:"approved_revision"`
	ApprovedBy       string          `json:"approved_by"`
	ApprovedBinding  string          `json:"approved_binding,omitempty"` // digest of the configuration that it was approved with
	PassedOver       []string        `json:"passed_over,omitempty"`
	Steps            []settling      `json:"steps,omitempty"`
	Deadline         time.Time       `json:"deadline,omitzero"`
	Hold             *Holding        `json:"hold,omitempty"`
	Disowned         *Disownment     `json:"disowned,omitempty"` // all of it was handed back
	// Unapproved: nobody has approved a plan since jobs were adopted.
	Unapproved bool `json:"unapproved,omitempty"`
}

// underWay reports that what a person approved is not at its end yet.
func (d Deployed) underWay() bool {
	return d.Approved != "" && d.ApprovedRevision.Commit == d.Target.Commit && d.Live.Commit != d.Target.Commit &&
		(d.Phase == Applying || d.Phase == Settling || d.Phase == Failing)
}

// openIntent is an intent without an outcome.
type openIntent struct {
	intentMade
	Nonce string    `json:"nonce"`
	At    time.Time `json:"at"`
}
