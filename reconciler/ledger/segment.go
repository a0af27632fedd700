package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A segment is one file of the log.
type segment struct {
	path  string
	first uint64 // sequence number of its first entry
}

const segmentSuffix = ".jsonl"

func segmentAt(dir string, first uint64) segment {
	return segment{filepath.Join(dir, fmt.Sprintf("%012d%s", first, segmentSuffix)), first}
}

func (s segment) name() string { return filepath.Base(s.path) }

// segments lists the segment files of dir, oldest first. Other files are not the log's. A folder that can't be listed
// is an error, one without segments is not.
func segments(dir string) ([]segment, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the reconcile log: %w", err)
	}
	var segs []segment
	for _, n := range names {
		digits, ok := strings.CutSuffix(n.Name(), segmentSuffix)
		first, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || first == 0 || segmentAt(dir, first).name() != n.Name() {
			continue
		}
		segs = append(segs, segmentAt(dir, first))
	}
	slices.SortFunc(segs, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return segs, nil
}

// holding gives the index of the segment that holds entry seq, or would hold it once it is written. There must be
// segments, and seq must not be before the first of them.
func holding(segs []segment, seq uint64) int {
	i := len(segs) - 1
	for i > 0 && segs[i].first > seq {
		i--
	}
	return i
}

// joined checks that the segments ahead of segs[k] begin and end where their neighbours ask for it, without reading
// what lies between, and gives the place where segs[k] begins.
func joined(segs []segment, k int) (chain, error) {
	at := chain{hash: start}
	for i, s := range segs[:k+1] {
		switch {
		case s.first == at.seq+1:
		case i == 0:
			return at, headless(s, 1)
		default:
			return at, missing(segs[i-1], 0, at.seq+1, s)
		}
		if i == k {
			break
		}
		first, last, err := s.ends()
		if err != nil {
			return at, err
		}
		e, err := parseLine(first)
		switch {
		case err != nil:
			return at, &Broken{File: s.path, Line: 1, Seq: s.first, Reason: unreadable(err)}
		case e.Seq != s.first:
			return at, &Broken{File: s.path, Line: 1, Seq: s.first, Reason: fmt.Sprintf("it holds entry #%d, and not the one the file is named by", e.Seq)}
		case e.Prev != at.hash:
			return at, &Broken{File: s.path, Line: 1, Seq: s.first, Reason: fmt.Sprintf("its prev is not the hash of entry #%d: one of the two lines was changed", at.seq)}
		}
		if e, err = parseLine(last); err != nil {
			return at, &Broken{File: s.path, Seq: s.first, Reason: "its last line: " + unreadable(err)}
		}
		at = chain{seq: e.Seq, hash: hashLine(last), epoch: e.Epoch, time: e.Time}
	}
	return at, nil
}

// ends reads the first and the last line of a complete segment.
func (s segment) ends() (first, last []byte, err error) {
	l, err := openLines(s.path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the reconcile log: %w", err)
	}
	defer l.Close()
	first, err = l.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty, and it is not the last one")
		}
		return nil, nil, &Broken{File: s.path, Line: 1, Seq: s.first, Reason: err.Error()}
	}
	first = bytes.Clone(first)

	st, err := l.f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read the reconcile log: %w", err)
	}
	// Most last lines are short: look at a page before looking at as much as a line may take.
	for _, n := range []int64{4096, MaxLine + 1} {
		n = min(n, st.Size())
		b := make([]byte, n)
		if _, err := l.f.ReadAt(b, st.Size()-n); err != nil {
			return nil, nil, fmt.Errorf("read the reconcile log: %w", err)
		}
		b, ok := bytes.CutSuffix(b, []byte("\n"))
		if !ok {
			return nil, nil, &Broken{File: s.path, Seq: s.first, Reason: "its last line: " + errUnfinished.Error()}
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 || n == st.Size() {
			return first, b[i+1:], nil
		}
	}
	return nil, nil, &Broken{File: s.path, Seq: s.first, Reason: "its last line: " + errLong.Error()}
}
