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
	report func(name string, s *Sighting, err error)
	slots  chan struct{}
	ended  sync.WaitGroup // a count for each repository that is polled

	mu      sync.Mutex // guards what follows
	watched map[string]*watched
	life    context.Context // of Run; nil before it, and once it ends
}

// watched is one repository of a Watcher.
type watched struct {
	hint    chan struct{} // holds at most one hint: more say nothing new
	changed chan struct{} // holds a token when watch was exchanged
	stop    context.CancelFunc

	mu    sync.Mutex // guards what follows
	watch Watch
}

// NewWatcher makes a Watcher. It calls report after every poll, from one goroutine per repository; a
// report that takes its time delays the next poll of that repository alone.
func NewWatcher(report func(name string, s *Sighting, err error), watches ...Watch) *Watcher {
	w := &Watcher{report: report, watched: map[string]*watched{}, slots: make(chan struct{}, maxPolling)}
	w.Set(watches...)
	return w
}

// Set makes these the repositories that are polled. One that is polled already goes on: its next poll is where the
// interval puts it, counted from the last. A new one is polled at once; of one that is left out, a poll under way is cut
// off, and none is reported any more but one whose report has begun.
func (w *Watcher) Set(watches ...Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := map[string]bool{}
	for _, watch := range watches {
		wanted[watch.Name] = true
		if one := w.watched[watch.Name]; one != nil {
			one.exchange(watch)
			continue
		}
		one := &watched{hint: make(chan struct{}, 1), changed: make(chan struct{}, 1), stop: func() {}, watch: watch}
		w.watched[watch.Name] = one
		w.begin(one)
	}
	for name, one := range w.watched {
		if !wanted[name] {
			one.stop()
			delete(w.watched, name)
		}
	}
}

// begin polls one of the repositories, once Run does. The caller holds mu.
func (w *Watcher) begin(one *watched) {
	if w.life == nil {
		return
	}
	var ctx context.Context
	ctx, one.stop = context.WithCancel(w.life)
	w.ended.Go(func() { w.poll(ctx, one) })
}

// Run polls until the context ends, beginning at once, and returns when no poll is running any more.
func (w *Watcher) Run(ctx context.Context) {
	w.mu.Lock()
	w.life = ctx
	for _, one := range w.watched {
		w.begin(one)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.life = nil // nothing begins any more
	w.mu.Unlock()
	w.ended.Wait()
}

// Hint asks for a poll of a repository now; a webhook says no more than that. Hints that come before the poll has
// begun are one. It tells whether there is a repository of that name.
func (w *Watcher) Hint(name string) bool {
	w.mu.Lock()
	one := w.watched[name]
	w.mu.Unlock()
	if one != nil {
		token(one.hint)
	}
	return one != nil
}

// token puts a token into a channel that holds one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (o *watched) exchange(watch Watch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watch.Interval != watch.Interval {
		token(o.changed)
	}
	o.watch = watch
}

func (o *watched) now() Watch {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.watch
}

func (w *Watcher) poll(ctx context.Context, one *watched) {
	failures := 0
	for {
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case <-one.hint: // what it asks for begins now
		default:
		}
		watch := one.now()
		s, err := watch.Poll(ctx)
		<-w.slots
		if ctx.Err() != nil {
			return
		}
		if failures++; err == nil {
			failures = 0
		}
		w.report(watch.Name, s, err)
		if !one.pause(ctx, failures) {
			return
		}
	}
}

// pause waits for the next poll, or for a hint, but at least for hintGap. It tells whether to go on.
func (o *watched) pause(ctx context.Context, failures int) bool {
	from := time.Now()
	for {
		d := jitter(backedOff(or(o.now().Interval, defaultInterval), failures))
		rest := time.NewTimer(time.Until(from.Add(min(d, hintGap))))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ctx.Done():
			return false
		}
		rest.Reset(time.Until(from.Add(d)))
		select {
		case <-rest.C:
			return true
		case <-o.hint:
			return true
		case <-o.changed: // the interval: reckon anew
		case <-ctx.Done():
			return false
		}
	}
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
