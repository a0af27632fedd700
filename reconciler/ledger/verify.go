package ledger

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Broken says where a log is not what was written to it. It is [ErrBroken].
type Broken struct {
	File   string // path of the segment file
	Line   int    // from 1; 0 where the file as a whole is meant
	Seq    uint64 // of the entry that should be there
	Reason string
}

func (b *Broken) Error() string {
	where := b.File
	if b.Line > 0 {
		where = fmt.Sprintf("%s line %d", b.File, b.Line)
	}
	return fmt.Sprintf("%v: %s (entry #%d): %s. Copy the folder away as evidence, then restore it from a backup that passes \"selvage log verify\"; until then nothing is written to it and nothing is applied",
		ErrBroken, where, b.Seq, b.Reason)
}

// Unwrap returns [ErrBroken].
func (b *Broken) Unwrap() error { return ErrBroken }

// A Known is an entry that somebody remembers from outside the log: its number and the SHA-256 of its line, in hex.
type Known struct {
	Seq  uint64
	Hash string
}

// A Report is what [Verify] saw.
type Report struct {
	Entries  int // also the number of the last entry
	Segments int
	First    time.Time // of the first entry; zero without one
	Last     time.Time
	Head     string // SHA-256 of the last line, in hex: keep it elsewhere and give it to a later Verify as [Known]
	// Torn counts the bytes of an unfinished last line: an entry that is being written right now, or that a crash cut
	// off and the next [Open] will set aside. It was never acknowledged.
	Torn int64
}

// Verify reads the whole log in dir, without a lock, and checks that every line is an entry and follows the one
// before by number, hash, time and epoch; and that the log holds each known entry. Without a known entry, lines that
// were removed from the end, and a change of the last line, can't be seen.
//
// The error is a [*Broken] for the first thing that is wrong; then the report covers what comes before it.
func Verify(dir string, known ...Known) (Report, error) {
	var r Report
	c, err := newCursor(dir, 0)
	if err != nil {
		return r, err
	}
	defer c.Close()
	want := make(map[uint64]string, len(known))
	for _, k := range known {
		if k.Seq == 0 {
			return r, errors.New("a hash is given for entry #0: entries count from 1")
		}
		hash := strings.ToLower(k.Hash)
		if h, ok := want[k.Seq]; ok && h != hash {
			return r, fmt.Errorf("two different hashes are given for entry #%d: %s and %s", k.Seq, h, hash)
		}
		want[k.Seq] = hash
	}
	for {
		e, err := c.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r, err
		}
		if r.Entries == 0 {
			r.First = e.Time
		}
		r.Entries, r.Last, r.Head, r.Segments = r.Entries+1, e.Time, c.at.hash, c.index+1
		if h, ok := want[e.Seq]; ok && h != r.Head {
			return r, c.broken(fmt.Sprintf("its hash is %s, but it is known as %s: this line, or one before it, was rewritten together with all lines after it", r.Head, h))
		}
	}
	r.Segments, r.Torn = len(c.segs), c.lines.rest
	for _, k := range known {
		if k.Seq > c.at.seq {
			return r, &Broken{File: c.segs[c.index].path, Line: c.lines.number + 1, Seq: c.at.seq + 1,
				Reason: fmt.Sprintf("the log ends with entry #%d, but entry #%d is known: lines were removed from the end", c.at.seq, k.Seq)}
		}
	}
	return r, nil
}
