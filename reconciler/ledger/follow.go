package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fsnotify/fsnotify"
)

// followEvery is how often Follow looks although nothing was announced: some file systems (network mounts) announce
// nothing, and the number of watches of a machine is limited.
const followEvery = time.Second

// Follow calls fn for each entry of the log in dir with a number above after: those that are there, and then those that
// arrive, until ctx is done or fn returns an error. Either is what Follow returns. A folder that has no segment yet is
// waited for; one that is not there is an error.
//
// fn is called from the caller's goroutine, and may be slow: nothing waits for it.
func Follow(ctx context.Context, dir string, after uint64, fn func(Entry) error) error {
	// The watch begins before the first look, so that nothing falls between the two.
	var events chan fsnotify.Event
	var faults chan error
	if w, err := fsnotify.NewWatcher(); err == nil {
		defer w.Close()
		if w.Add(dir) == nil {
			events, faults = w.Events, w.Errors
		}
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()

	var c *cursor
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for {
		if c == nil {
			var err error
			if c, err = newCursor(dir, after); err != nil && !errors.Is(err, ErrNoLog) {
				return err
			}
		}
		if c != nil {
			if err := c.drain(ctx, after, fn); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-events:
		case <-faults: // at worst events were lost: look
		case <-tick.C:
		}
	}
}

// drain calls fn for every entry that is there now.
func (c *cursor) drain(ctx context.Context, after uint64, fn func(Entry) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := c.next()
		switch {
		case errors.Is(err, io.EOF):
			more, err := c.refresh()
			if err != nil {
				return fmt.Errorf("follow: %w", err)
			}
			if !more {
				return nil
			}
		case err != nil:
			return err
		case e.Seq > after:
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}
