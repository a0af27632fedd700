package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxLine is the largest line, in bytes with its newline. Exact documents lie elsewhere; the log names them by digest.
const MaxLine = 1 << 20

// start is the prev of the first entry.
const start = "0000000000000000000000000000000000000000000000000000000000000000"

// appendLine adds the line of e, with its newline, to b.
func appendLine(b []byte, e Entry) ([]byte, error) {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return b, fmt.Errorf("%w: kind %s: %w", ErrInvalid, e.Kind, err)
	}
	safe := escapeUnseen(line.Bytes())
	if len(safe) > MaxLine {
		return b, fmt.Errorf("%w: kind %s: %w", ErrInvalid, e.Kind, tooLong(len(safe)))
	}
	return append(b, safe...), nil
}

func tooLong(n int) error {
	return fmt.Errorf("it takes %d bytes, a line at most %d: store the document elsewhere and log its digest", n, MaxLine)
}

// escapeUnseen writes as \u what a terminal or an eye would not show as it is: DEL, C1 controls, marks that reorder
// or hide text. The encoder already escapes what is below a space. b is JSON without space between tokens (and perhaps
// one newline at the end), so such characters stand in strings only. Without any of them, b itself is returned.
func escapeUnseen(b []byte) []byte {
	var out []byte
	kept := 0 // b[:kept] is in out
	for i := 0; i < len(b); {
		if b[i] < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if unseen(r) {
			out = append(out, b[kept:i]...)
			if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
				out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			kept = i + n
		}
		i += n
	}
	if kept == 0 {
		return b
	}
	return append(out, b[kept:]...)
}

func unseen(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// parseLine reads one line, without its newline.
func parseLine(line []byte) (Entry, error) {
	var e Entry
	if !utf8.Valid(line) {
		return e, errors.New("not valid UTF-8")
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, err
	}
	e.Time = e.Time.UTC()
	if sum, err := hex.DecodeString(e.Prev); err != nil || len(sum) != sha256.Size || e.Seq == 0 || e.Epoch == 0 || !e.Kind.valid() {
		return Entry{}, errors.New("not an entry: seq, epoch, kind or prev is missing or malformed")
	}
	return e, nil
}

// hashLine gives the prev of the entry that follows line, which is without its newline.
func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// lines reads the lines of one segment. Each call of next continues behind the last whole line, so that it can be
// asked again when the file has grown.
//
// Another process may cut a torn end off and write an entry in its place, while we read: what was read before the cut and
// what is read after it are no line together.
type lines struct {
	f      *os.File
	src    source
	br     *bufio.Reader
	buf    []byte
	again  []byte // what a line is when it is read again
	number int    // of the line that next returned last, from 1
	begin  int64  // offset of that line
	end    int64  // offset behind it, where the next one begins
	rest   int64  // bytes behind end that are no whole line, after errUnfinished
}

// source notes how a file was read.
type source struct {
	io.Reader
	reads int
	short bool // the last one came to the end of the file
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.reads, s.short = s.reads+1, n < len(p)
	return n, err
}

var (
	errUnfinished = errors.New("the line is cut off: it has no newline")
	errLong       = fmt.Errorf("the line is longer than %d bytes", MaxLine)
)

func openLines(path string) (*lines, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &lines{f: f, src: source{Reader: f}}
	l.br = bufio.NewReaderSize(&l.src, 64<<10)
	return l, nil
}

// next returns the next line without its newline, valid until the next call. At the end of the file the error is io.EOF, or
// errUnfinished behind a whole line; errLong stands for a whole line that is too long and has been passed over.
func (l *lines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	var n int64
	reads := l.src.reads
	for {
		part, err := l.br.ReadSlice('\n')
		n += int64(len(part))
		if n <= MaxLine {
			l.buf = append(l.buf, part...)
		}
		switch {
		case err == nil:
			// The end of the file is where it may be cut, and what one read leaves out another one may have seen anew.
			if l.src.reads != reads || l.src.short {
				if stands, err := l.stands(n); err != nil {
					return nil, err
				} else if !stands {
					return nil, l.unfinished(n)
				}
			}
			l.number++
			l.begin, l.end = l.end, l.end+n
			if n > MaxLine {
				return nil, errLong
			}
			return l.buf[:n-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case !errors.Is(err, io.EOF):
			return nil, err
		case n == 0:
			return nil, io.EOF
		default:
			return nil, l.unfinished(n)
		}
	}
}

// unfinished goes back to the end of the last whole line, behind which there are n bytes.
func (l *lines) unfinished(n int64) error {
	l.rest = n
	if _, err := l.f.Seek(l.end, io.SeekStart); err != nil {
		return err
	}
	l.br.Reset(&l.src)
	return errUnfinished
}

// stands reports whether the n bytes behind the last line are still those that were just read. Of a line that is too long, they
// are not compared.
func (l *lines) stands(n int64) (bool, error) {
	if n > MaxLine {
		return true, nil
	}
	l.again = slices.Grow(l.again[:0], int(n))[:n]
	_, err := l.f.ReadAt(l.again, l.end)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return err == nil && bytes.Equal(l.again, l.buf), nil
}

func (l *lines) Close() error { return l.f.Close() }
