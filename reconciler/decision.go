package reconciler

import (
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// Phase is how far a deployment has come with its release. It is kept in the ledger.
type Phase string

const (
	Idle     Phase = ""         // nothing was ever decided
	Resolved Phase = "resolved" // a revision was chosen
	Built    Phase = "built"    // its release is in the store
	Planned  Phase = "planned"  // the plan is known, and waits for its gates if it is not empty
	Applying Phase = "applying" // steps are under way
	Settling Phase = "settling" // steps are done, and the fabric is taking them in
	Sound    Phase = "verified" // looking again agreed
	Failing  Phase = "failed"   // a step was refused or could not be sent
	Wavering Phase = "unstable" // a field is still different after it was written
)

// Decision is what a reconcile came to, as a value: what was looked at, what was decided about each
// part, and what happens next.
type Decision struct {
	Deployment string            `json:"deployment"`
	At         time.Time         `json:"at"`
	Revision   Revision          `json:"revision"` // the one that was reconciled
	Phase      Phase             `json:"phase"`
	Result     configs.Finding   `json:"result"` // the answer in one sentence
	Verdicts   []Verdict         `json:"verdicts,omitempty"`
	Findings   []configs.Finding `json:"findings,omitempty"`
	Plan       Plan              `json:"plan"`
	// Seen is whose the jobs on the fabric are; nil if it was not looked at.
	Seen *fabric.Census `json:"seen,omitempty"`
	// Again is when the deployment is looked at next without anybody asking; zero for the next poll.
	Again time.Time `json:"again,omitzero"`
}

// Revision is a ref with the commit it pointed at when it was read, and the release that commit
// became.
type Revision struct {
	Ref     string    `json:"ref,omitempty"`     // refs/tags/HelloSelvage/1.0.0
	Name    string    `json:"name,omitempty"`    // HelloSelvage/1.0.0
	Version string    `json:"version,omitempty"` // 1.0.0; of a branch its name
	Object  string    `json:"object,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	By      string    `json:"by,omitempty"` // tagger, as the tag claims
	When    time.Time `json:"when,omitzero"`
	Release string    `json:"release,omitempty"` // digest
}

// IsZero reports that there is no revision.
func (r Revision) IsZero() bool { return r.Commit == "" }

func (r Revision) String() string {
	short := r.Commit
	if len(short) > 7 {
		short = short[:7]
	}
	if r.Name == "" {
		return short
	}
	return r.Name + " " + short
}
