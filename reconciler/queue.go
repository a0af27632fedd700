package reconciler

import (
	"context"
	"sync"
	"time"
)

// queue holds the names of deployments that want to be looked at. A name that is woken ten times is
// served once; one that is woken while it is served is served once more after that; one name is never
// served twice at a time.
type queue struct {
	mu      sync.Mutex
	ready   []string
	waiting map[string]bool        // in ready
	running map[string]bool        // taken by next or hold
	again   map[string]bool        // woken while running
	timers  map[string]*time.Timer // of names to be woken later
	signal  chan struct{}          // holds one token when ready is not empty
	freed   map[string]chan struct{}
}

func newQueue() *queue {
	return &queue{waiting: map[string]bool{}, running: map[string]bool{}, again: map[string]bool{}, timers: map[string]*time.Timer{},
		signal: make(chan struct{}, 1), freed: map[string]chan struct{}{}}
}

// wake asks for a name to be served.
func (q *queue) wake(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeLocked(name)
}

func (q *queue) wakeLocked(name string) {
	if t := q.timers[name]; t != nil {
		t.Stop()
		delete(q.timers, name)
	}
	switch {
	case q.running[name]:
		q.again[name] = true
	case !q.waiting[name]:
		q.waiting[name] = true
		q.ready = append(q.ready, name)
		q.notify()
	}
}

func (q *queue) notify() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// next takes a name, exclusively until done; false when ctx ends.
func (q *queue) next(ctx context.Context) (string, bool) {
	for {
		q.mu.Lock()
		if ctx.Err() == nil && len(q.ready) > 0 {
			name := q.ready[0]
			q.ready = q.ready[1:]
			delete(q.waiting, name)
			q.running[name] = true
			if len(q.ready) > 0 {
				q.notify()
			}
			q.mu.Unlock()
			return name, true
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return "", false
		case <-q.signal:
		}
	}
}

// hold takes a name as next does, for somebody who asked for just this one.
func (q *queue) hold(ctx context.Context, name string) error {
	for {
		q.mu.Lock()
		if !q.running[name] {
			q.running[name] = true
			if q.waiting[name] { // whoever wanted it gets what this round finds, and a round after it
				delete(q.waiting, name)
				for i, n := range q.ready {
					if n == name {
						q.ready = append(q.ready[:i:i], q.ready[i+1:]...)
						break
					}
				}
				q.again[name] = true
			}
			q.mu.Unlock()
			return nil
		}
		c := q.freed[name]
		if c == nil {
			c = make(chan struct{})
			q.freed[name] = c
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c:
		}
	}
}

// done gives a name back. If at is not zero it is woken then, unless something wakes it before.
func (q *queue) done(name string, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.running, name)
	if c := q.freed[name]; c != nil {
		close(c)
		delete(q.freed, name)
	}
	if q.again[name] {
		delete(q.again, name)
		q.wakeLocked(name)
		return
	}
	if !at.IsZero() {
		if t := q.timers[name]; t != nil {
			t.Stop()
		}
		q.timers[name] = time.AfterFunc(time.Until(at), func() { q.wake(name) })
	}
}

// stop ends the timers.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, t := range q.timers {
		t.Stop()
		delete(q.timers, name)
	}
}
