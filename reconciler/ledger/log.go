package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A Log is the reconcile log, open for writing. Its methods may be called concurrently. It starts no goroutine.
type Log struct {
	dir    string
	writer string
	epoch  uint64
	limit  int64 // bytes at which a new segment begins
	now    func() time.Time
	sync   func(*os.File) error
	lock   *os.File

	// turn is held by the one call that writes, and guards what the file is like.
	turn   sync.Mutex
	file   *os.File
	seg    segment
	size   int64 // bytes in file
	broken error // why nothing can be written any more; wraps ErrFailed or ErrClosed

	// mu guards what the other methods look at, and is never held during I/O. To hold both, take turn first.
	mu      sync.Mutex
	pending *batch           // calls that wait for their turn together; nil when none does
	head    chain            // the last durable entry
	intents map[string]Entry // the durable intents without an outcome, by nonce
}

// A batch is calls of Append that share one fsync. The call that begins it writes it.
type batch struct {
	calls []*call
	done  chan struct{} // closed when each call has its result
}

type call struct {
	ctx     context.Context
	entries []Entry // as given, then as written
	err     error
}

// Append adds entries to the log, next to each other and in order, and returns them as they were written. When it returns without an
// error they are on disk. Calls that come while another one waits for the disk are written together with one fsync.
//
// An intent whose nonce is open already, and an outcome whose nonce is not open, are [ErrInvalid]; one invalid entry
// refuses the whole call. A ctx that is done before the call's turn comes ends it with nothing written; after that
// Append waits for the disk, so that only [ErrFailed] leaves open whether the entries are in the log.
func (l *Log) Append(ctx context.Context, entries ...Entry) ([]Entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	c := &call{ctx: ctx, entries: make([]Entry, len(entries))}
	for i, e := range entries {
		var err error
		if c.entries[i], err = e.normal(); err != nil {
			return nil, err
		}
	}

	l.mu.Lock()
	b := l.pending
	leads := b == nil
	if leads {
		b = &batch{done: make(chan struct{})}
		l.pending = b
	}
	b.calls = append(b.calls, c)
	l.mu.Unlock()

	if leads {
		l.turn.Lock()
		l.mu.Lock()
		l.pending = nil
		l.mu.Unlock()
		l.write(b.calls)
		l.turn.Unlock()
		close(b.done)
	} else {
		<-b.done
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.entries, nil
}

// write gives each call its result. The caller holds turn.
func (l *Log) write(calls []*call) {
	if l.broken != nil {
		for _, c := range calls {
			c.err = l.broken
		}
		return
	}
	d := draft{head: l.head, changed: make(map[string]*Entry)}
	var good []*call
	err := func() error {
		for _, c := range calls {
			if c.err = c.ctx.Err(); c.err != nil {
				continue
			}
			from := len(d.bytes)
			if c.err = l.add(&d, c.entries); c.err != nil {
				continue
			}
			good = append(good, c)
			if l.size+int64(from) > 0 && l.size+int64(len(d.bytes)) > l.limit {
				// The call begins a new segment. What comes before it has to be durable first: a segment with a successor
				// is taken for complete.
				if err := l.flush(d.bytes[:from]); err != nil {
					return err
				}
				if err := l.begin(c.entries[0].Seq); err != nil {
					return err
				}
				d.bytes = slices.Delete(d.bytes, 0, from)
			}
		}
		return l.flush(d.bytes)
	}()
	if err != nil {
		l.broken = l.failure(err)
		for _, c := range calls {
			if c.err == nil {
				c.err = l.broken
			}
		}
		return
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = d.head
	for nonce, e := range d.changed {
		if e == nil {
			delete(l.intents, nonce)
		} else {
			l.intents[nonce] = *e
		}
	}
}

// A draft is lines that are not written yet, and what the log will be like behind them.
type draft struct {
	bytes   []byte
	head    chain
	changed map[string]*Entry // nonces that were opened, or closed: nil
}

// add completes the entries of one call and adds their lines to d. After an error, d is as before.
func (l *Log) add(d *draft, entries []Entry) error {
	from, head := len(d.bytes), d.head
	changed := make(map[string]*Entry)
	isOpen := func(nonce string) bool {
		for _, m := range []map[string]*Entry{changed, d.changed} {
			if e, ok := m[nonce]; ok {
				return e != nil
			}
		}
		_, ok := l.intents[nonce] // changed by write alone, which holds turn
		return ok
	}
	err := func() error {
		for i := range entries {
			e := &entries[i]
			switch open := e.Intent != "" && isOpen(e.Intent); {
			case e.Kind == KindIntent && open:
				return fmt.Errorf("%w: intent %s is open already", ErrInvalid, e.Intent)
			case e.Kind == KindOutcome && !open:
				return fmt.Errorf("%w: outcome of intent %s, which is not open", ErrInvalid, e.Intent)
			}
			if err := l.complete(d, e); err != nil {
				return err
			}
			switch e.Kind {
			case KindIntent:
				opened := *e
				opened.Data = slices.Clone(e.Data) // the one in entries goes to the caller
				changed[e.Intent] = &opened
			case KindOutcome:
				changed[e.Intent] = nil
			}
		}
		return nil
	}()
	if err != nil {
		d.bytes, d.head = d.bytes[:from], head
		return err
	}
	for nonce, e := range changed {
		d.changed[nonce] = e
	}
	return nil
}

// complete gives e its place behind d.head and adds its line.
func (l *Log) complete(d *draft, e *Entry) error {
	e.Seq, e.Writer, e.Epoch, e.Prev = d.head.seq+1, l.writer, l.epoch, d.head.hash
	e.Time = l.now().UTC().Round(0)
	if e.Time.Before(d.head.time) {
		e.Time = d.head.time
	}
	from := len(d.bytes)
	var err error
	if d.bytes, err = appendLine(d.bytes, *e); err != nil {
		return err
	}
	line := d.bytes[from : len(d.bytes)-1]
	d.head = chain{seq: e.Seq, hash: hashLine(line), epoch: e.Epoch, time: e.Time}
	return nil
}

// flush makes b durable at the end of the file.
func (l *Log) flush(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := l.file.WriteAt(b, l.size); err != nil {
		return err
	}
	l.size += int64(len(b))
	return l.sync(l.file)
}

// begin makes a new segment the one that is written to.
func (l *Log) begin(first uint64) error {
	seg := segmentAt(l.dir, first)
	f, err := os.OpenFile(seg.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			f.Close()
			return err
		}
	}
	l.file, l.seg, l.size = f, seg, 0
	return l.syncFolder(l.dir)
}

// syncFolder makes the names in dir durable.
func (l *Log) syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return l.sync(d)
}

// failure puts what stopped the log into one sentence with the next step. After a failed fsync the kernel may drop the data
// and report success the next time: so the file is not tried again, but looked at anew by the next Open.
func (l *Log) failure(cause error) error {
	next := "look at the disk and at the kernel's messages"
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		next = "free space on its disk"
	case errors.Is(cause, syscall.EFBIG):
		next = "raise the file size limit of the process"
	case errors.Is(cause, syscall.EROFS):
		next = "mount its file system writable"
	case errors.Is(cause, os.ErrPermission):
		next = "let the user that selvage runs as write to the folder and its files"
	case errors.Is(cause, syscall.EMFILE), errors.Is(cause, syscall.ENFILE):
		next = "raise the limit of open files"
	}
	return fmt.Errorf("%w: %s: %w. Nothing is applied without it: %s, then start again", ErrFailed, l.dir, cause, next)
}

// OpenIntents returns the durable intents that have no outcome yet, oldest first.
func (l *Log) OpenIntents() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := make([]Entry, 0, len(l.intents))
	for _, e := range l.intents {
		e.Data = slices.Clone(e.Data)
		open = append(open, e)
	}
	slices.SortFunc(open, func(a, b Entry) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	return open
}

// Entries is [Read] of the entries that are durable when the iteration begins.
func (l *Log) Entries(after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		last, _ := l.Head()
		if after >= last {
			return
		}
		for e, err := range Read(l.dir, after) {
			if !yield(e, err) || e.Seq == last {
				return
			}
		}
	}
}

// Head returns the number of the last durable entry and the SHA-256 of its line, in hex.
func (l *Log) Head() (seq uint64, hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head.seq, l.head.hash
}

// Close waits for a write that is under way and lets another process open the log. Later calls of Append are [ErrClosed], those of
// Close do nothing.
func (l *Log) Close() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if errors.Is(l.broken, ErrClosed) {
		return nil
	}
	l.broken = ErrClosed
	return errors.Join(l.file.Close(), l.lock.Close())
}
