package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Options say how [Open] opens a log.
type Options struct {
	// Writer names this installation and process in each entry. It must not be empty.
	Writer string
	// SegmentBytes is the size from which on a new segment file is begun; 8 MiB if not above 0.
	SegmentBytes int64
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Sync makes a file or folder durable; (*os.File).Sync if nil. Tests let it fail.
	Sync func(*os.File) error
}

// opening is the Data of an entry of KindOpen.
type opening struct {
	// Since is the number of the oldest intent that is open at this moment; 0 if none is. Who wants to know the open
	// intents reads from there on, and needs nothing older.
	Since uint64 `json:"open_intents_since,omitempty"`
	// Torn names the files with bytes that were cut off the end of the log, since the last entry.
	Torn []string `json:"torn,omitempty"`
}

// Open takes the log in dir for writing, and makes the folder if there is none. It appends an entry of [KindOpen],
// which begins a new epoch.
//
// What a crash left of the entries it cut off, which nobody was told are written, is moved to a file beside the
// segment, named <segment>.torn-<seq>, and the entry says so. Any other damage is [ErrBroken], and nothing is written.
// All segments are checked where they join, but read through only as far back as the last time the log was opened
// or the oldest open intent, whichever is older; [Verify] reads all.
//
// A log that was lost looks like a new one: then the first Head has the number 1.
func Open(dir string, o Options) (_ *Log, err error) {
	if o.Writer == "" || !utf8.ValidString(o.Writer) {
		return nil, fmt.Errorf("open the reconcile log: %w: writer %q: want a name in UTF-8", ErrInvalid, o.Writer)
	}
	l := &Log{dir: dir, writer: o.Writer, limit: o.SegmentBytes, now: o.Now, sync: o.Sync, intents: make(map[string]Entry)}
	if l.limit <= 0 {
		l.limit = 8 << 20
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.sync == nil {
		l.sync = (*os.File).Sync
	}
	defer func() {
		if err == nil {
			return
		}
		for _, f := range []*os.File{l.file, l.lock} {
			if f != nil {
				f.Close()
			}
		}
		if !errors.Is(err, ErrBroken) && !errors.Is(err, ErrLocked) && !errors.Is(err, ErrInvalid) {
			err = l.failure(err)
		}
	}()
	if err := l.makeFolder(); err != nil {
		return nil, err
	}
	if l.lock, err = takeLock(dir); err != nil {
		return nil, err
	}
	torn, err := l.recover()
	if err != nil {
		return nil, err
	}
	if err := l.open(torn); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) makeFolder() error {
	if _, err := os.Stat(l.dir); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o750); err != nil {
		return err
	}
	return l.syncFolder(filepath.Dir(l.dir))
}

// recover finds the end of the log, sets aside what a crash tore off, and makes sure of the rest. It returns the names of the
// files with torn bytes that no entry has told of.
func (l *Log) recover() (torn []string, err error) {
	segs, err := segments(l.dir)
	if err != nil {
		return nil, err
	}
	if len(segs) == 0 {
		l.head.hash = start
		return nil, l.begin(1)
	}
	from, err := readFrom(segs)
	if err != nil {
		return nil, err
	}
	// Ahead of the segment where reading begins, only the joints are looked at.
	i := holding(segs, from)
	at, err := joined(segs, i)
	if err != nil {
		return nil, err
	}
	c, err := cursorAt(l.dir, segs, i, at)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var sure int64 // offset in the last segment up to which an earlier Open made sure
	for {
		e, err := c.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if c.tornLine(err) {
			c.lines.rest, c.lines.end = c.lines.end-c.lines.begin, c.lines.begin
			break
		}
		if err != nil {
			return nil, err
		}
		switch e.Kind {
		case KindOpen:
			if c.index == len(segs)-1 {
				sure = c.lines.begin
			}
		case KindIntent:
			l.intents[e.Intent] = e
		case KindOutcome:
			delete(l.intents, e.Intent)
		}
	}
	l.head, l.epoch = c.at, c.at.epoch
	l.seg, l.size = segs[len(segs)-1], c.lines.end
	if l.file, err = os.OpenFile(l.seg.path, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if c.lines.rest > 0 {
		if err := l.cut(c.lines.rest); err != nil {
			return nil, err
		}
	}
	if err := l.rewrite(sure, l.size); err != nil {
		return nil, err
	}
	// A crash between the cut and the entry that tells of it leaves the file: then it is told of now.
	return l.tornFiles()
}

// readFrom gives the number of the entry from which on all is to be read: the last opening, or the oldest intent that was
// open at that moment. Damage on the way is left to the cursor.
func readFrom(segs []segment) (uint64, error) {
	for i := len(segs) - 1; i >= 0; i-- {
		l, err := openLines(segs[i].path)
		if err != nil {
			return 0, err
		}
		var last *Entry
		for {
			line, err := l.next()
			if errors.Is(err, io.EOF) || errors.Is(err, errUnfinished) {
				break
			}
			if err != nil && !errors.Is(err, errLong) {
				l.Close()
				return 0, err
			}
			if !bytes.Contains(line, []byte(`"kind":"open"`)) {
				continue
			}
			if e, err := parseLine(line); err == nil && e.Kind == KindOpen {
				last = &e
			}
		}
		l.Close()
		if last == nil {
			continue
		}
		from := last.Seq
		var o opening
		if err := json.Unmarshal(last.Data, &o); err == nil && o.Since > 0 && o.Since < from {
			from = o.Since
		}
		return max(from, segs[0].first), nil
	}
	return segs[0].first, nil
}

// tornLine reports whether err is about the very last line of the log being no JSON: blocks of a write may reach the
// disk in any order, and the newline of an entry without its middle.
func (c *cursor) tornLine(err error) bool {
	var b *Broken
	if !errors.As(err, &b) || b.Line != c.lines.number || b.File != c.segs[len(c.segs)-1].path {
		return false
	}
	line := make([]byte, min(c.lines.end-c.lines.begin, MaxLine+1))
	if _, err := c.lines.f.ReadAt(line, c.lines.begin); err != nil || json.Valid(line) {
		return false
	}
	_, err = c.lines.next()
	return errors.Is(err, io.EOF)
}

// cut moves the n bytes behind the last entry into a file of their own.
func (l *Log) cut(n int64) error {
	var f *os.File
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s.torn-%d", l.seg.path, l.head.seq+1)
		if i > 1 {
			name = fmt.Sprintf("%s-%d", name, i)
		}
		var err error
		if f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640); err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	defer f.Close()
	if _, err := io.Copy(f, io.NewSectionReader(l.file, l.size, n)); err != nil {
		return err
	}
	if err := l.sync(f); err != nil {
		return err
	}
	if err := l.syncFolder(l.dir); err != nil {
		return err
	}
	return l.file.Truncate(l.size)
}

// tornFiles names the files with torn bytes that stood where the next entry will be.
func (l *Log) tornFiles() ([]string, error) {
	names, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var torn []string
	for _, n := range names {
		_, seq, ok := strings.Cut(n.Name(), segmentSuffix+".torn-")
		if seq, _, _ = strings.Cut(seq, "-"); ok && seq == fmt.Sprint(l.head.seq+1) {
			torn = append(torn, n.Name())
		}
	}
	return torn, nil
}

// rewrite writes the bytes of the file over themselves and syncs. After an fsync that failed, the kernel may hold pages
// that it takes for written and that never reached the disk: they read well, and are gone after a power cut, with
// durable entries behind them. Writing makes them dirty again. It is done from the last opening on, since that opening
// made sure of what is before it; earlier segments were synced before they got a successor.
func (l *Log) rewrite(from, to int64) error {
	b := make([]byte, 64<<10)
	for from < to {
		n := min(int64(len(b)), to-from)
		if _, err := l.file.ReadAt(b[:n], from); err != nil {
			return err
		}
		if _, err := l.file.WriteAt(b[:n], from); err != nil {
			return err
		}
		from += n
	}
	if err := l.sync(l.file); err != nil {
		return err
	}
	return l.syncFolder(l.dir)
}

// open begins the new epoch with its entry.
func (l *Log) open(torn []string) error {
	l.epoch++
	text := []string{fmt.Sprintf("opened for writing, epoch %d", l.epoch)}
	if len(torn) > 0 {
		text = append(text, "an unfinished entry was cut off the end and is kept in "+strings.Join(torn, ", "))
	}
	o := opening{Torn: torn}
	if open := l.OpenIntents(); len(open) > 0 {
		o.Since = open[0].Seq
		text = append(text, fmt.Sprintf("intents without outcome: %d", len(open)))
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	e := Entry{Kind: KindOpen, Text: strings.Join(text, "; "), Data: data}
	d := draft{head: l.head}
	if err := l.complete(&d, &e); err != nil {
		return err
	}
	if err := l.flush(slices.Clip(d.bytes)); err != nil {
		return err
	}
	l.head = d.head
	return nil
}
