// Package reconciler is the loop that makes fabrics run what git says. It chooses a release for each
// deployment, plans what has to change, judges the plan by gates, and has the fabric carry it out; what it decides
// and why, it writes into the ledger, beside it in the folder ledger.
//
// The loop is level-triggered: a deployment is a key in a queue, woken by a poll, by time or by a
// person, and a round looks at everything anew. What outlives a round is the ledger; the state that rounds
// read (tags seen, what we own, phases) is what its entries add up to.
//
// Begin with New, then Run; a person's commands come in through the methods Status, Plan, Apply, Why,
// Suspend and Resume, from a daemon's control socket or from a process that holds the state alone.
package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
)

// Options are what a Reconciler works with from beginning to end. All are required but Log.
type Options struct {
	Installation string // id of this installation: part of every mark
	Ledger       *ledger.Log
	Database     string           // path of the derived database
	Documents    *artifacts.Store // exact documents, by digest; private
	Builder      *artifacts.Builder
	Log          *zap.Logger
}

// Reconciler keeps the deployments of the configuration in force.
type Reconciler struct {
	Options
	queue     *queue
	documents documents
	owners    owners

	// reloading is held while the setup is exchanged, and before mu. It guards watcher, and writing setup.
	reloading sync.Mutex
	watcher   *gitwatch.Watcher // of Run; nil before it

	mu      sync.Mutex      // guards what follows
	setup   *Setup          // in force
	refused configs.Finding // why the configuration on disk is not in force; zero if it is
	life    context.Context // of Run; what people ask for ends with it too
	state   *state
	// folded is the number of the last entry in state; the condition is signalled when it grows.
	folded   uint64
	grown    *sync.Cond
	unfolded map[uint64]ledger.Entry
	broken   error // why the ledger can't be written
	last     map[string]Decision
	newest   map[string]newest // by deployment
	wrote    map[string]time.Time
	tries    map[string]int     // failures in a row, for back-off
	backOff  map[string]backOff // by deployment
	unread   map[string]error   // why the last poll of a mirror failed, by its folder
	rendered map[string]rendering
	releases map[string]made // by project and commit
}

// New reads what the ledger adds up to and returns a Reconciler that has not begun. It works by s until another setup
// is loaded.
func New(ctx context.Context, o Options, s *Setup) (*Reconciler, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	r := &Reconciler{
		Options: o, setup: s, state: newState(&table{path: o.Database}),
		documents: documents{store: o.Documents, cache: map[string]fabric.Doc{}},
		unfolded:  map[uint64]ledger.Entry{}, last: map[string]Decision{}, newest: map[string]newest{}, backOff: map[string]backOff{},
		wrote: map[string]time.Time{}, tries: map[string]int{}, unread: map[string]error{}, rendered: map[string]rendering{}, releases: map[string]made{},
	}
	r.grown = sync.NewCond(&r.mu)
	r.queue = newQueue()
	s.prepare(nil)
	if err := r.state.rebuild(ctx, o.Ledger); err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	r.folded, _ = o.Ledger.Head()
	return r, nil
}

// Close writes the derived database. The ledger stays open: its opener closes it.
func (r *Reconciler) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.table.close()
}

// whileRunning is ctx, ended also by the end of Run.
func (r *Reconciler) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	r.mu.Lock()
	life := r.life
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	if life == nil {
		return ctx, cancel
	}
	detach := context.AfterFunc(life, cancel)
	return ctx, func() { detach(); cancel() }
}

// workers is how many deployments are reconciled at once. Waiting holds none of them.
const workers = 8

// Run reconciles until ctx ends. Then it sends nothing more, gives what is in flight a moment to
// finish, and returns; what did not finish is left as an open intent.
func (r *Reconciler) Run(ctx context.Context) error {
	watcher, err := r.begin(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { watcher.Run(ctx) })
	for range workers {
		wg.Go(func() {
			for {
				name, ok := r.queue.next(ctx)
				if !ok {
					return
				}
				r.queue.done(name, r.serve(ctx, name))
				tend()
			}
		})
	}
	wg.Wait()
	r.queue.stop()
	_, err = r.record(context.WithoutCancel(ctx), ledger.Entry{Kind: kindStop, Text: "stopped"})
	return err
}

// begin writes down that the daemon starts, releases what the configuration no longer covers, and makes the watcher of
// the mirrors.
func (r *Reconciler) begin(ctx context.Context) (*gitwatch.Watcher, error) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	c := r.setup.Config
	e := ledger.Entry{Kind: kindStart, Text: fmt.Sprintf("started with configuration %.6s and %d deployments", c.Digest, len(c.Deployments)), Data: encode(map[string]string{"configuration": c.Digest})}
	if _, err := r.record(ctx, e); err != nil {
		return nil, err
	}
	for _, name := range r.unconfigured() {
		if err := r.dismiss(ctx, name); err != nil {
			return nil, err
		}
	}
	r.watcher = gitwatch.NewWatcher(func(dir string, _ *gitwatch.Sighting, err error) { r.polled(ctx, dir, err) }, r.watches(r.setup)...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = ctx
	return r.watcher, nil
}

// unconfigured are the deployments that the ledger knows and the configuration does not.
func (r *Reconciler) unconfigured() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(r.state.deployments(), func(name string) bool {
		_, ok := r.setup.Config.Deployment(name)
		return ok
	})
}

func (r *Reconciler) relinquish(ctx context.Context, deployment string, keys []fabric.Key, why string) error {
	f := configs.Found(configs.Released, deployment, fmt.Sprintf("%s: %s", joinKeys(keys), why))
	_, err := r.record(ctx, ledger.Entry{Kind: kindRelinquish, Deployment: deployment, Code: string(f.Code), Text: f.Text, Data: encode(keysOf{keys})})
	return err
}

// serve reconciles a deployment once and says when to look again without being asked; zero for
// the next poll. One that the configuration no longer has is dismissed.
//
// A mistake of our own in one round must not stop the other deployments: it is an alarm, and the
// round is tried again later.
func (r *Reconciler) serve(ctx context.Context, name string) (again time.Time) {
	defer func() {
		if p := recover(); p != nil {
			f := configs.Found(configs.OwnMistake, name, fmt.Sprint(p))
			r.Log.Error(f.Text, zap.String("deployment", name), zap.Stack("stack"))
			r.keepDecision(Decision{Deployment: name, At: time.Now(), Result: f})
			again = time.Now().Add(5 * time.Minute)
		}
	}()
	decision, err := r.reconcile(ctx, name, ask{})
	if errors.Is(err, ErrUnknownDeployment) {
		if err = r.dismiss(ctx, name); err != nil {
			decision.Again = time.Now().Add(time.Minute)
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		r.Log.Error("reconcile", zap.String("deployment", name), zap.Error(err))
	}
	return decision.Again
}

// newest is the newest candidate of a deployment, and when the refs were read that say so.
type newest struct {
	commit   string
	sighting time.Time
}

// sighted notes the newest candidate that releases the project, so that work for an older one stops (law 9). Where
// that is not known it notes nothing: what may be another project's stops nobody.
func (r *Reconciler) sighted(ctx context.Context, s *Setup, d *configs.Deployment) {
	repo := s.Repositories[d.Project.Name]
	last := repo.Last()
	revisions, _, err := repo.Candidates(ctx, follow(d))
	if err != nil || last == nil {
		return
	}
	first, any, err := r.owners.sieve(s.tenants[d.Project.Name], follow(d), revisions).at(ctx, 0)
	if err != nil || !any {
		return
	}
	r.mu.Lock()
	r.newest[d.Name()] = newest{first.Commit, last.At}
	r.mu.Unlock()
}

func follow(d *configs.Deployment) gitwatch.Follow {
	return gitwatch.Follow{Branch: d.Follow.Branch, Tag: d.Follow.Tag, Order: gitwatch.Order(d.Follow.Order)}
}
