package gitwatch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Watch is a repository that a Watcher polls.
type Watch struct {
	Name     string        // names it in Hint and in reports
	Interval time.Duration // between polls while they succeed; 1 min if zero
	Poll     func(context.Context) (*Sighting, error)
}

const (
	defaultInterval = time.Minute
	// hintGap is the least time between two polls of a repository, however many hints come: whoever can
	// send one must not be able to make us hammer a forge.
	hintGap = time.Second
	// maxPolling is how many polls run at once, so that a start with hundreds of repositories doesn't
	// open hundreds of connections. A poll that hangs is over after the ListTimeout of its repository.
	maxPolling = 16
)

// Watcher polls repositories, each at its own interval, and reports what every poll saw.
//
// Intervals are jittered by 10 % both ways, so that repositories of one forge don't fall into step and stay
// there. After an error the interval doubles with every further one, up to 15 minutes or ten
// intervals, whichever is shorter, but never below the interval.
type Watcher struct {
	watches []Watch
	report  func(name string, s *Sighting, err error)
	hints   map[string]chan struct{} // each holds at most one hint: more say nothing new
	slots   chan struct{}
}

// NewWatcher makes a Watcher. It calls report after every poll, from one goroutine per repository; a
// report that takes its time delays the next poll of that repository alone.
func NewWatcher(report func(name string, s *Sighting, err error), watches ...Watch) *Watcher {
	w := &Watcher{
		watches: watches, report: report,
		hints: make(map[string]chan struct{}, len(watches)),
		slots: make(chan struct{}, maxPolling),
	}
	for _, watch := range watches {
		w.hints[watch.Name] = make(chan struct{}, 1)
	}
	return w
}

// Run polls until the context ends, beginning at once, and returns when no poll is running any more.
func (w *Watcher) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, watch := range w.watches {
		running.Go(func() { w.watch(ctx, watch, w.hints[watch.Name]) })
	}
	running.Wait()
}

// Hint asks for a poll of a repository now; a webhook says no more than that. Hints that come before the poll has
// begun are one. It tells whether there is a repository of that name.
func (w *Watcher) Hint(name string) bool {
	hint, ok := w.hints[name]
	if ok {
		select {
		case hint <- struct{}{}:
		default:
		}
	}
	return ok
}

func (w *Watcher) watch(ctx context.Context, watch Watch, hint <-chan struct{}) {
	interval := or(watch.Interval, defaultInterval)
	failures := 0
	for {
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case <-hint: // what it asks for begins now
		default:
		}
		s, err := watch.Poll(ctx)
		<-w.slots
		if ctx.Err() != nil {
			return
		}
		if failures++; err == nil {
			failures = 0
		}
		w.report(watch.Name, s, err)
		if !pause(ctx, jitter(backedOff(interval, failures)), hint) {
			return
		}
	}
}

// pause waits for d, or for a hint, but at least for hintGap. It tells whether to go on.
func pause(ctx context.Context, d time.Duration, hint <-chan struct{}) bool {
	gap := min(d, hintGap)
	rest := time.NewTimer(gap)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
		return false
	}
	rest.Reset(d - gap)
	select {
	case <-rest.C:
	case <-hint:
	case <-ctx.Done():
		return false
	}
	return true
}

// backedOff is the interval after so many errors in a row.
func backedOff(interval time.Duration, failures int) time.Duration {
	most := max(interval, min(15*time.Minute, 10*interval))
	for ; failures > 1 && interval < most; failures-- {
		interval *= 2
	}
	return min(interval, most)
}

// jitter changes d by up to 10 % in either direction.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
