package ledger

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	at := time.Date(2025, 11, 20, 14, 2, 11, 999, time.UTC)
	for _, tt := range []struct {
		e    Entry
		want string
	}{
		{Entry{Seq: 10412, Time: at, Kind: "release", Text: "HelloProphecy/1.4.0 is a1b2c3d, 4 pipelines (1 changed), 3 jobs"},
			"14:02:11  release   HelloProphecy/1.4.0 is a1b2c3d, 4 pipelines (1 changed), 3 jobs            #10412"},
		{Entry{Seq: 10414, Time: at.Add(2 * time.Second), Kind: "plan", Text: "5c1f9e: 1 update, 1 create, 1 deferred; waits for approvals, window"},
			"14:02:13  plan      5c1f9e: 1 update, 1 create, 1 deferred; waits for approvals, window        #10414"},
		{Entry{Seq: 7, Time: at, Kind: "a_rather_long_kind", Text: strings.Repeat("é", 80)},
			"14:02:11  a_rather_long_kind " + strings.Repeat("é", 80) + "  #7"},
		{Entry{Seq: 1, Time: at, Kind: "n", Text: "a\x1b[2J\r\n\tb\u202e\u009b\x7f\xff\u200b\u2028 ü 世界 \ufffd"},
			`14:02:11  n         a\x1b[2J\r\n\tb\u202e\u009b\x7f\xff\u200b\u2028 ü 世界 ` + "\ufffd" + strings.Repeat(" ", 101-74-2) + "#1"},
	} {
		if diff := cmp.Diff(tt.want, Format(tt.e)); diff != "" {
			t.Errorf("Format (-want +got):\n%s", diff)
		}
	}
}

const sampleLine = `{"seq":2,"time":"2025-11-20T14:02:12.5Z","writer":"inst-1/daemon","epoch":1,"kind":"intent","text":"create job","intent":"n1","data":{"a":[1.0,"\u009b"]},"prev":"` + start + `"}`

// Whatever parseLine takes, appendLine writes in a form that parseLine takes for the same, and that shows no control character.
func FuzzLine(f *testing.F) {
	for _, s := range []string{sampleLine, "", "null", "{}", "[1]", "\xff", `{"seq":1}`, strings.Replace(sampleLine, "create", `\u202e\ud800<&>`, 1),
		strings.Replace(sampleLine, "Z", "+02:00", 1), strings.Replace(sampleLine, `"data":{`, `"data" : { "x":null,`, 1), strings.Replace(sampleLine, "2025", "0000", 1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseLine(line)
		Format(e)
		if err != nil {
			return
		}
		b, err := appendLine(nil, e)
		if err != nil {
			if len(line) > MaxLine/6 || !errors.Is(err, ErrInvalid) {
				return // escaped, it is too long
			}
			t.Fatalf("appendLine(%+v): %v", e, err)
		}
		if !bytes.HasSuffix(b, []byte("\n")) || bytes.Count(b, []byte("\n")) != 1 || !utf8.Valid(b) || bytes.ContainsFunc(b[:len(b)-1], unseen) {
			t.Fatalf("not one clean line: %q", b)
		}
		again, err := parseLine(b[:len(b)-1])
		if err != nil {
			t.Fatalf("parseLine(%q): %v", b, err)
		}
		c, err := appendLine(nil, again)
		if err != nil || !bytes.Equal(b, c) {
			t.Fatalf("written again it differs:\n%s%s%v", b, c, err)
		}
		e.Data, again.Data = nil, nil // may differ in space and escapes
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatalf("read again it differs (-first +again):\n%s", diff)
		}
	})
}

// mended is a file whose torn end is cut off, and written over, after the first read of it.
type mended struct {
	*os.File
	mend func()
}

func (m *mended) Read(p []byte) (int, error) {
	n, err := m.File.Read(p)
	if m.mend != nil {
		m.mend()
		m.mend = nil
	}
	return n, err
}

// A torn end that is cut off between two reads of a line does not become part of one.
func TestLinesOverACut(t *testing.T) {
	const first, second = `{"seq":1,"text":"whole"}`, `{"seq":2,"text":"written in the place of the torn one"}`
	for _, torn := range []string{
		`{"seq":1000,"time":`,     // together with the rest of the second: no JSON
		`{"seq":2,"text":"wrong `, // together with it: JSON that nobody wrote
		`{`,
		second,
	} {
		path := filepath.Join(t.TempDir(), "segment")
		if err := os.WriteFile(path, []byte(first+"\n"+torn), 0o640); err != nil {
			t.Fatal(err)
		}
		l, err := openLines(path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.src.Reader = &mended{l.f, func() {
			if err := os.Truncate(path, int64(len(first)+1)); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString(second + "\n"); err != nil {
				t.Fatal(err)
			}
		}}
		var got []string
		for range 10 {
			line, err := l.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				got = append(got, string(line))
			} else if !errors.Is(err, errUnfinished) {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{first, second}, got); diff != "" || l.number != 2 || l.end != int64(len(first)+len(second)+2) {
			t.Errorf("behind %q -want +got\n%s%d lines, %d bytes", torn, diff, l.number, l.end)
		}
	}
}

// Verify, Read and Open of a file of arbitrary bytes: they agree about what it holds, end, and never call bytes an entry that are not.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	l, err := Open(dir, Options{Writer: "w", Now: func() time.Time { return time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := l.Append(f.Context(), Entry{Kind: KindIntent, Intent: "n1", Text: "x"}, Entry{Kind: "note", Text: "y"}); err != nil {
		f.Fatal(err)
	}
	l.Close()
	good, err := os.ReadFile(segmentAt(dir, 1).path)
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range [][]byte{good, nil, good[:len(good)-1], good[:40], append(bytes.Clone(good), "{}\n"...), append(bytes.Clone(good), 0, 0, '\n'), append(bytes.Clone(good), good...), []byte("\n\n"), good[100:]} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "000000000001.jsonl")
		if err := os.WriteFile(path, b, 0o640); err != nil {
			t.Fatal(err)
		}
		r, verr := Verify(dir)
		n := 0
		var rerr error
		for _, err := range Read(dir, 0) {
			if rerr = err; err == nil {
				n++
			}
		}
		if n != r.Entries || (verr == nil) != (rerr == nil) {
			t.Fatalf("Verify: %+v, %v; Read: %d entries, %v", r, verr, n, rerr)
		}
		if verr != nil && !errors.Is(verr, ErrBroken) {
			t.Fatalf("Verify: %v", verr)
		}
		l, oerr := Open(dir, Options{Writer: "w", Sync: func(*os.File) error { return nil }})
		if oerr != nil {
			if verr == nil || !errors.Is(oerr, ErrBroken) {
				t.Fatalf("Verify: %v, but Open: %v", verr, oerr)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, b) {
				t.Fatal("Open refused the log and changed it")
			}
			return
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if after, err := Verify(dir); err != nil || after.Entries != r.Entries+1 || after.Torn != 0 {
			t.Fatalf("before Open: %+v, %v; after: %+v, %v", r, verr, after, err)
		}
	})
}
