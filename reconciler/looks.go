package reconciler

import (
	"context"
	"errors"
	"sync"
	"time"

	"selvage/fabric"
)

// looks shares one look at a fabric among the deployments there: whoever can do with one that began after
// a moment gets the last one, or the one that is under way, or takes a new one.
type looks struct {
	mu   sync.Mutex
	last *fabric.Live
	busy *look

	names names // of what others put there
}

type look struct {
	began time.Time
	done  chan struct{}
	live  *fabric.Live
	err   error
}

// since returns a look that began no earlier than notBefore.
func (l *looks) since(ctx context.Context, notBefore time.Time, observe func(context.Context) (*fabric.Live, error)) (*fabric.Live, error) {
	for {
		l.mu.Lock()
		if l.last != nil && !l.last.At.Before(notBefore) {
			defer l.mu.Unlock()
			return l.last, nil
		}
		b := l.busy
		if b == nil {
			b = &look{began: time.Now(), done: make(chan struct{})}
			l.busy = b
			l.mu.Unlock()
			l.take(ctx, b, observe)
			return b.live, b.err
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-b.done:
		}
		// An error of a look that somebody else took, perhaps with a context that ended, is not ours
		// unless the look would have done for us.
		if b.err != nil && !b.began.Before(notBefore) && ctx.Err() == nil && !errors.Is(b.err, context.Canceled) {
			return nil, b.err
		}
	}
}

// take takes a look, and ends it for all who wait for it, also if observe panics.
func (l *looks) take(ctx context.Context, b *look, observe func(context.Context) (*fabric.Live, error)) {
	b.err = errors.New("the look was not ended")
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if b.err == nil {
			l.last = b.live
		}
		l.busy = nil
		close(b.done)
	}()
	b.live, b.err = observe(ctx)
}
