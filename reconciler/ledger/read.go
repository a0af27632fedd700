package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Read yields the entries of the log in dir with a number above after, in order, up to what is there when it comes to
// the end. It needs no lock: an unfinished last line is simply not there yet. An error is yielded once, at the end:
// a [*Broken] where a line does not follow the one before it, [ErrNoLog] for a folder without a log.
func Read(dir string, after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c, err := newCursor(dir, after)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer c.Close()
		for {
			e, err := c.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if e.Seq > after && !yield(e, nil) {
				return
			}
		}
	}
}

// A chain is a place between two lines: what the next one has to follow.
type chain struct {
	seq   uint64 // of the last entry; 0 at the beginning
	hash  string // of its line; empty where reading began in the middle, then the first line is believed
	epoch uint64
	time  time.Time
}

// follows says why e can't come next, or nothing. Whether e.Prev fits is the caller's to see.
func (c chain) follows(e Entry) string {
	known := c.hash != ""
	switch {
	case e.Seq != c.seq+1:
		return fmt.Sprintf("it holds entry #%d where #%d belongs: lines were removed, added or swapped", e.Seq, c.seq+1)
	case known && e.Time.Before(c.time):
		return fmt.Sprintf("its time %s is before %s of the entry ahead", e.Time.Format(time.RFC3339Nano), c.time.Format(time.RFC3339Nano))
	case known && e.Kind == KindOpen && e.Epoch != c.epoch+1:
		return fmt.Sprintf("it opens epoch %d after epoch %d", e.Epoch, c.epoch)
	case known && e.Kind != KindOpen && e.Epoch != c.epoch:
		return fmt.Sprintf("its epoch is %d in the middle of epoch %d", e.Epoch, c.epoch)
	}
	return ""
}

// A cursor walks over the segments and checks the chain on the way.
type cursor struct {
	dir    string
	segs   []segment
	index  int // of the segment being read
	lines  *lines
	at     chain
	before place // of the last good line
}

type place struct {
	file string
	line int
}

// newCursor stands ahead of the segment that holds the entry behind after.
func newCursor(dir string, after uint64) (*cursor, error) {
	segs, err := segments(dir)
	if err != nil {
		return nil, err
	}
	if len(segs) == 0 {
		return nil, fmt.Errorf("%w: %s holds no segment file such as %s: is it the ledger folder of the daemon's state?", ErrNoLog, dir, segmentAt(dir, 1).name())
	}
	if segs[0].first > 1 && after+1 < segs[0].first {
		return nil, headless(segs[0], after+1)
	}
	i := holding(segs, after+1)
	at := chain{seq: segs[i].first - 1}
	if at.seq == 0 {
		at.hash = start
	}
	return cursorAt(dir, segs, i, at)
}

// cursorAt stands at the beginning of segs[i], where the chain is at.
func cursorAt(dir string, segs []segment, i int, at chain) (*cursor, error) {
	l, err := openLines(segs[i].path)
	if err != nil {
		return nil, fmt.Errorf("read the reconcile log: %w", err)
	}
	c := &cursor{dir: dir, segs: segs, index: i, lines: l, at: at}
	if i > 0 {
		c.before = place{file: segs[i-1].path}
	}
	return c, nil
}

// next returns the next entry. At the end of the log it is io.EOF; lines.rest then counts the bytes of an unfinished
// line, and next may be called again when there could be more.
func (c *cursor) next() (Entry, error) {
	for {
		line, err := c.lines.next()
		last := c.index == len(c.segs)-1
		switch {
		case err == nil:
			return c.step(line)
		case errors.Is(err, errLong):
			return Entry{}, c.broken(err.Error())
		case last && (errors.Is(err, io.EOF) || errors.Is(err, errUnfinished)):
			return Entry{}, io.EOF
		case errors.Is(err, errUnfinished):
			return Entry{}, &Broken{File: c.segs[c.index].path, Line: c.lines.number + 1, Seq: c.at.seq + 1, Reason: err.Error() + ", and the log goes on behind it"}
		case !errors.Is(err, io.EOF):
			return Entry{}, fmt.Errorf("read the reconcile log: %w", err)
		}
		following := c.segs[c.index+1]
		if following.first != c.at.seq+1 {
			return Entry{}, missing(c.segs[c.index], c.lines.number+1, c.at.seq+1, following)
		}
		l, err := openLines(following.path)
		if err != nil {
			return Entry{}, fmt.Errorf("read the reconcile log: %w", err)
		}
		c.lines.Close()
		c.lines, c.index = l, c.index+1
	}
}

// refresh looks for segments that were begun since the cursor was made. Whether the present one is complete has to be
// known before its last line is read: so next is asked again after refresh.
func (c *cursor) refresh() (more bool, err error) {
	segs, err := segments(c.dir)
	if err != nil {
		return false, err
	}
	for _, s := range segs {
		if s.first > c.segs[len(c.segs)-1].first {
			c.segs = append(c.segs, s)
			more = true
		}
	}
	return more, nil
}

func (c *cursor) step(line []byte) (Entry, error) {
	e, err := parseLine(line)
	if err != nil {
		return Entry{}, &Broken{File: c.segs[c.index].path, Line: c.lines.number, Seq: c.at.seq + 1, Reason: unreadable(err)}
	}
	if reason := c.at.follows(e); reason != "" {
		b := c.broken(reason)
		b.Seq = c.at.seq + 1
		return Entry{}, b
	}
	hash := hashLine(line)
	if c.at.hash != "" && e.Prev != c.at.hash {
		return Entry{}, c.parted(e, hash)
	}
	c.at = chain{seq: e.Seq, hash: hash, epoch: e.Epoch, time: e.Time}
	c.before = place{c.segs[c.index].path, c.lines.number}
	return e, nil
}

// parted says which of two lines that do not fit was changed: e, whose line has that hash, or the one before it. The line
// after e is the witness.
func (c *cursor) parted(e Entry, hash string) *Broken {
	here := &Broken{File: c.segs[c.index].path, Line: c.lines.number, Seq: e.Seq}
	if e.Seq == 1 {
		here.Reason = "it is the first entry, but its prev is not zeros: entries before it were removed, or the line was changed"
		return here
	}
	there := &Broken{File: c.before.file, Line: c.before.line, Seq: e.Seq - 1}
	witness, err := c.lines.next()
	if err != nil {
		there.Reason = fmt.Sprintf("its hash is not the prev of entry #%d: one of the two lines was changed", e.Seq)
		return there
	}
	if w, err := parseLine(bytes.Clone(witness)); err == nil && w.Prev == hash {
		there.Reason = fmt.Sprintf("the line was changed: its hash is not the prev of entry #%d", e.Seq)
		return there
	}
	here.Reason = fmt.Sprintf("the line was changed: its prev is not the hash of entry #%d, and its own hash is not the prev of the line after it", e.Seq-1)
	return here
}

// broken names the line that was read last.
func (c *cursor) broken(reason string) *Broken {
	return &Broken{File: c.segs[c.index].path, Line: c.lines.number, Seq: max(c.at.seq, 1), Reason: reason}
}

func (c *cursor) Close() error { return c.lines.Close() }

func unreadable(err error) string { return "the line can't be read: " + err.Error() }

// headless says that the log begins later than with entry seq.
func headless(s segment, seq uint64) *Broken {
	return &Broken{File: s.path, Line: 1, Seq: seq,
		Reason: fmt.Sprintf("the log begins with entry #%d: the segment files before this one are missing", s.first)}
}

// missing says that the log jumps from the end of one segment, where entry seq belongs, to another.
func missing(s segment, line int, seq uint64, following segment) *Broken {
	reason := fmt.Sprintf("entries #%d to #%d are missing ahead of %s: this file was cut short, or the file behind it was removed", seq, following.first-1, following.name())
	if following.first < seq {
		reason = fmt.Sprintf("entry #%d comes here, but %s claims to begin with #%d: a file was renamed, or lines were added", seq, following.name(), following.first)
	}
	return &Broken{File: s.path, Line: line, Seq: seq, Reason: reason}
}
