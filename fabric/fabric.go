// Package fabric holds what Selvage knows about every place that jobs run: a Databricks
// workspace, an Airflow instance. It defines the words that the other rooms use about such a place
// (resource, desired, live, change, step, mark), the three-way diff, and the Fabric interface that each
// adapter below this folder implements. The conformance suite in fabrictest says what an adapter
// promises; every adapter runs it.
//
// The flow through a Fabric is one way:
//
//	Observe -> Live          what is there, and what could not be seen
//	Render  -> Desired       what the release means here; pure
//	Compare -> Changes       desired against live and what was last applied; pure
//	Steps   -> []Step        in which portions it can be done; pure
//	Do      -> Outcome       one step, journalled before the first byte leaves
//	Settled -> State         has the fabric taken it in?
//
// Three cases shaped it. Jobs that refer to each other by ids that do not exist yet: a Doc holds a
// Ref until the step before has given the id. A folder of DAGs that is parsed minutes later: Do
// returns at once with a Receipt, and Settled is asked again, by a loop that holds no worker. A git
// bundle that takes all changes as one commit: Steps may put any number of changes into one Step, an
// Outcome has one Result for each, and one intent stands for all of them. Between the commit and the
// parsing an intent that was carried out shows in no object; Live.Pending says so.
package fabric

import (
	"context"
	"time"

	"selvage/artifacts"
	"selvage/configs"
)

// Fabric is one execution environment. Its methods are safe for concurrent use, except that no two
// steps that touch the same resource run at once.
type Fabric interface {
	// Observe looks at the fabric once. An error means that nothing was learnt; a Live that is not
	// Complete proves nothing absent. It changes nothing.
	Observe(ctx context.Context, s Scope) (*Live, error)

	// Render says what the release means on this fabric. It is pure: no I/O, the same bytes for the
	// same input. A job that it can't carry over is Unknown in Desired, with a finding.
	Render(r *artifacts.Release, b Binding) (*Desired, []configs.Finding, error)

	// Outside looks whether things that others put there are there, and for those that go by a name
	// under which id; what it could not find out is Unknown. It changes nothing. An error means that
	// nothing was learnt.
	Outside(ctx context.Context, things []Outside) (map[Outside]Sight, error)

	// Active counts the runs that are under way of live resources of a kind, by their ids. One that it could not
	// find out about is not in the result. It changes nothing. An error means that nothing was learnt.
	Active(ctx context.Context, k Kind, ids []string) (map[string]int, error)

	// Rules are the comparing rules for a kind; never nil.
	Rules(k Kind) *Rules

	// Steps divides changes into steps. It is pure. Each change is in exactly one step, and
	// Step.After orders them. A Ref in a change never points at another change of the same step: a
	// fabric that batches names its resources itself, so that Render leaves no Ref between them.
	Steps(changes []Change) []Step

	// Do carries out one step whose references are resolved. Each request that changes the fabric is
	// sent once, after Journal.Begin returned, with the context that it returned.
	Do(ctx context.Context, s Step, j Journal) Outcome

	// Settled says whether the fabric has taken in a step that was done, and if not, when to ask
	// again. Of the step it needs ID, Receipt and what of the changes is JSON: another process may ask.
	Settled(ctx context.Context, s Step) (State, time.Time, error)
}

// Scope tells Observe what matters to the caller.
type Scope struct {
	// Owned are the resources that the ledger says are ours. One that a complete listing lacks is
	// looked at by its id, so that only the fabric's own "does not exist" makes it absent. Of many that are
	// lacking, some may be left to later looks.
	Owned []Owned
	// Apart is the least time between two looks that count as two; zero for the fabric's own.
	Apart time.Duration
	// Only limits the look to these; the Live is then not Complete. Used to look at what was
	// just touched without listing everything.
	Only []Owned
	// All has the definitions of objects read that carry no mark, and of which only Owned are read otherwise.
	All bool
	// Compare has resources of Owned whose Accord is not known read on their own too, some with each look, and compared
	// with what the listing says of them.
	Compare bool
	// Seen, where it is not nil, may be told of resources of Owned while the look goes on, as soon as each was read, by one
	// goroutine at a time. What the look returns in the end may say otherwise of them, and counts.
	Seen func(Object)
}

// Owned is a resource that the ledger says is ours.
type Owned struct {
	Owner
	Kind   Kind
	ID     string
	Accord Accord
}

// Accord says whether a listing and the resource itself, read on its own, say the same of it. A fabric that has only
// one way to read leaves it at Untold.
type Accord string

const (
	Untold  Accord = ""        // nobody has compared them so far
	Agrees  Accord = "agrees"  // they did when the resource was seen first
	Differs Accord = "differs" // they do not, and the resource itself is believed
)

// Binding is everything besides the release that decides what it means on a fabric.
type Binding struct {
	Installation string
	Deployment   string
	// Tag and Version are what the placeholders of those names become. They only label: nothing
	// that Selvage deploys differs in function by them.
	Tag, Version string
	// ProjectID and ProphecyURL fill the other two placeholders; empty where not configured.
	ProjectID, ProphecyURL string
	// FabricIDs select the jobs committed for this fabric, when Jobs is empty.
	FabricIDs []string
	// Jobs are globs over job keys ("jobs/daily_*") that select instead.
	Jobs []string
	// Root is the folder that artifacts are uploaded to, as Live.Root gave it.
	Root string
	// Sources is the folder of what can't lie there, as Live.Sources gave it.
	Sources string `json:",omitempty"`
	Overlay configs.Overlay
	// Isolation are patterns over the hosts that no job may call, but those whose key matches Allow.
	Isolation []string
	Allow     []string
	// ManagedBy is how a resource says to people on the fabric that it is ours, one of the words of configs; empty
	// where it does not.
	ManagedBy string
	// Guardrails limit what jobs may say; nil for none. Deployer is the principal that writes there, as Live.Principal
	// gave it; it counts only beside Guardrails.
	Guardrails *configs.Guardrails `json:",omitzero"`
	Deployer   string              `json:",omitzero"`
}

// State is how far a fabric has come with a step.
type State int

const (
	Unsettled State = iota // ask again
	Settled                // taken in
	Failed                 // will not be taken in; the error says why
)
