package fabric

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"selvage/configs"
)

// Intent is what a fabric is about to do with one request, or, for an upload, with one file.
type Intent struct {
	Nonce string // NewNonce; for a create it is in the mark too
	Op    Op
	Keys  []Key    // the resources it concerns; empty for an upload and a cancel
	ID    string   // of the live resource; empty for a create, and for a commit, whose keys name what it touches
	Sent  []Doc    // one per key, as sent without the mark, zero for one that is deleted; empty for an upload and a delete
	Paths []string // of the files that it puts somewhere or removes, for an upload and a collect
	Runs  []string // that a restart cancels
	Text  string   // for people: "reset job 8812 (jobs/daily_revenue)"
}

// Op is what a request does.
type Op string

const (
	OpUpload  Op = "upload"
	OpCollect Op = "collect" // removes artifacts that nothing names; it concerns no resource
	OpCreate  Op = "create"
	OpUpdate  Op = "update" // a move too: Keys holds the key that the resource has after it
	OpDelete  Op = "delete"
	OpCancel  Op = "cancel" // of a run, whose resource ID names; without keys, for nothing about what is owned changes
	OpCommit  Op = "commit" // creates, updates, moves and deletes of several resources at once, all or none
)

// Journal is where a fabric writes down what it is about to do, before it does it (law 2).
type Journal interface {
	// Begin returns after the intent is durable, with a context that lets the fabric's transport
	// send what the intent names. On error nothing may be sent.
	Begin(ctx context.Context, i Intent) (context.Context, error)
	// End writes the outcome of the intent: one result for each of its keys (one for an upload), all
	// at once. A doubtful outcome is not written: the intent stays open until somebody has looked.
	End(ctx context.Context, nonce string, rs ...Result) error
}

// Permit is the right to send the requests of one durable intent.
type Permit struct {
	Nonce string
	once  bool
	used  atomic.Bool
	still func() error
}

type permitKey struct{}

// WithPermit returns a context that carries the right to send the intent's requests: one request
// for a create, an update, a delete or a commit; any number for an upload, a collect and a restart, which may be repeated safely.
//
// still, where it is not nil, is asked before each of them whether it may still be sent: a request may
// have waited for its turn while a newer release arrived.
func WithPermit(ctx context.Context, i Intent, still func() error) context.Context {
	return context.WithValue(ctx, permitKey{}, &Permit{Nonce: i.Nonce, once: i.Op != OpUpload && i.Op != OpCollect && i.Op != OpRestart, still: still})
}

var (
	// ErrNoIntent is returned by a transport for a changing request without a permit.
	ErrNoIntent = errors.New("refused to send: the request changes the fabric and no intent is written in the ledger")
	// ErrSpent is returned by a transport for a second request under a permit for one.
	ErrSpent = errors.New("refused to send: the intent's one request was sent before")
)

// UsePermit takes the permit out of the context for one request.
func UsePermit(ctx context.Context) (nonce string, err error) {
	p, _ := ctx.Value(permitKey{}).(*Permit)
	if p == nil {
		return "", ErrNoIntent
	}
	if p.still != nil {
		if err := p.still(); err != nil {
			return "", err
		}
	}
	if p.used.Swap(true) && p.once {
		return "", ErrSpent
	}
	return p.Nonce, nil
}

// Busy is the error of an Observe, or of anything else, that a fabric did not let through now: it asked
// to be left alone. Whoever gets it comes back then, and waits nowhere meanwhile.
type Busy struct{ Until time.Time }

func (b *Busy) Error() string {
	return "the fabric asked to be left alone until " + b.Until.UTC().Format(time.RFC3339)
}

// Outcome is what became of a step.
type Outcome struct {
	Results []Result // one per change of the step, in its order; none for an upload step that was done
	// Receipt is what Settled needs to know of this step later, perhaps in another process.
	Receipt string
	// Err is set when the step was not done as a whole; its status says what to do next.
	Err    error
	Status Status
	Again  time.Time // with Later: not before; zero for the caller's back-off
}

// Result is what became of one change.
type Result struct {
	Key    Key
	ID     string // of the live resource
	Nonce  string // of the intent
	Status Status
	Err    error
	// Held is set with Later where nothing went wrong: the fabric found a reason why the change has to wait. It is
	// planned anew, and counts as no failure.
	Held configs.Finding
}

// Status says what the loop should do next.
type Status int

const (
	Doubtful Status = iota // it may or may not have happened: look before anything else
	Done                   // it happened
	Refused                // the fabric said no, and will again until desired, live or rights change
	Later                  // it did not happen; try again later
)

func (s Status) String() string { return [...]string{"doubtful", "done", "refused", "later"}[s] }
