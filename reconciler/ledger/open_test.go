package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"selvage/reconciler/ledger"
)

// crashed makes a log whose acknowledged entries fill the first n bytes of the last segment, before one more call.
func crashed(t *testing.T) (dir string, segment string, content []byte, n int, acknowledged int) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, dir, ledger.Options{SegmentBytes: 1200, Sync: noSync, Now: clock()})
	for i := range 6 {
		add(t, l, note(fmt.Sprint("acknowledged ", i)))
	}
	files := segmentFiles(t, dir)
	segment = files[len(files)-1]
	n = len(readFile(t, segment))
	seq, _ := l.Head()
	add(t, l, note("first of the last write, héllo"), note("second"))
	closeLog(t, l)
	content = []byte(readFile(t, segment))
	if len(files) != 2 || len(content) == n {
		t.Fatalf("the log is not as the test needs it: %v, %d bytes of %d acknowledged", files, n, len(content))
	}
	return dir, filepath.Base(segment), content, n, int(seq)
}

func TestCrashAtEveryByteOfTheLastWrite(t *testing.T) {
	dir, segment, content, n, acknowledged := crashed(t)
	for _, kind := range []string{"shorter", "zeros"} {
		step := map[string]int{"shorter": 1, "zeros": 7}[kind]
		for p := n; p <= len(content); p += step {
			after := append([]byte(nil), content[:p]...)
			if kind == "zeros" { // the size reached the disk, the blocks did not
				after = append(after, make([]byte, len(content)-p)...)
			}
			work := t.TempDir()
			if err := os.Link(filepath.Join(dir, "000000000001.jsonl"), filepath.Join(work, "000000000001.jsonl")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(work, segment), after, 0o640); err != nil {
				t.Fatal(err)
			}
			whole := bytes.Count(after[n:], []byte("\n"))
			torn := after[bytes.LastIndexByte(after, '\n')+1:]

			// Readers do not wait for the repair.
			if got := collect(t, ledger.Read(work, 0)); len(got) != acknowledged+whole {
				t.Fatalf("%s at %d: Read yields %d entries, want %d", kind, p, len(got), acknowledged+whole)
			}
			if r, err := ledger.Verify(work); err != nil || r.Torn != int64(len(torn)) {
				t.Fatalf("%s at %d: Verify before opening: %+v, %v, want %d torn bytes", kind, p, r, err, len(torn))
			}

			l := open(t, work, ledger.Options{Sync: noSync})
			add(t, l, note("after the crash"))
			closeLog(t, l)
			got := collect(t, ledger.Read(work, 0))
			if len(got) != acknowledged+whole+2 || got[len(got)-2].Epoch != 2 {
				t.Fatalf("%s at %d: %d entries after opening, want %d", kind, p, len(got), acknowledged+whole+2)
			}
			name := fmt.Sprintf("%s.torn-%d", segment, acknowledged+whole+1)
			kept, err := os.ReadFile(filepath.Join(work, name))
			told := strings.Contains(got[len(got)-2].Text, "an unfinished entry was cut off the end and is kept in "+name)
			if len(torn) == 0 && (err == nil || strings.Contains(got[len(got)-2].Text, "unfinished")) {
				t.Fatalf("%s at %d: nothing was torn, but %s was set aside: %s", kind, p, name, got[len(got)-2].Text)
			}
			if len(torn) > 0 && (!bytes.Equal(kept, torn) || !told) {
				t.Fatalf("%s at %d: torn bytes %q are kept as %q (%v), told by %q", kind, p, torn, kept, err, got[len(got)-2].Text)
			}
			if _, err := ledger.Verify(work); err != nil {
				t.Fatalf("%s at %d: %v", kind, p, err)
			}
		}
	}
}

func TestCrashLeavesOtherTraces(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(content []byte, n int) []byte
		told   string
	}{
		{"the newline without the line", func(b []byte, n int) []byte { return append(b[:n], "\x00\x00\x00\n"...) }, ".torn-"},
		{"a last line with a hole", func(b []byte, n int) []byte {
			end := n + bytes.IndexByte(b[n:], '\n') + 1
			clear(b[n+10 : end-10])
			return b[:end]
		}, ".torn-"},
		{"more zeros than a line holds", func(b []byte, n int) []byte { return append(b[:n], make([]byte, 3*ledger.MaxLine)...) }, ".torn-"},
		{"more zeros than a line holds, with a newline", func(b []byte, n int) []byte {
			return append(append(b[:n], make([]byte, 3*ledger.MaxLine)...), '\n')
		}, ".torn-"},
		{"a whole line without its newline", func(b []byte, n int) []byte { return bytes.TrimSuffix(b, []byte("\n")) }, ".torn-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, segment, content, n, acknowledged := crashed(t)
			if err := os.WriteFile(filepath.Join(dir, segment), tt.damage(content, n), 0o640); err != nil {
				t.Fatal(err)
			}
			l := open(t, dir, ledger.Options{Sync: noSync})
			es := collect(t, l.Entries(0))
			if last := es[len(es)-1]; len(es) <= acknowledged || last.Kind != ledger.KindOpen || !strings.Contains(last.Text, tt.told) {
				t.Errorf("%d entries, the last one: %+v", len(es), last)
			}
			if _, err := ledger.Verify(dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// A crash between cutting and telling: the next opening tells.
func TestTornBytesAreToldOfLater(t *testing.T) {
	dir, segment, content, n, acknowledged := crashed(t)
	if err := os.WriteFile(filepath.Join(dir, segment), content[:n+9], 0o640); err != nil {
		t.Fatal(err)
	}
	calls := 0
	_, err := ledger.Open(dir, ledger.Options{Writer: "w", Sync: func(*os.File) error {
		if calls++; calls > 2 { // the torn file and its folder; then it is cut, and the power fails
			return errors.New("power cut")
		}
		return nil
	}})
	if !errors.Is(err, ledger.ErrFailed) {
		t.Fatal(err)
	}
	first := fmt.Sprintf("%s.torn-%d", segment, acknowledged+1)
	if got := readFile(t, filepath.Join(dir, first)); got != string(content[n:n+9]) {
		t.Fatalf("torn bytes %q", got)
	}
	// The next opening is torn too, within its own entry.
	f, err := os.OpenFile(filepath.Join(dir, segment), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq"`); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	l := open(t, dir, ledger.Options{Sync: noSync})
	es := collect(t, l.Entries(uint64(acknowledged)))
	want := "is kept in " + first + ", " + first + "-2"
	if len(es) != 1 || !strings.Contains(es[0].Text, want) {
		t.Errorf("entries after opening: %v, want one that says %q", es, want)
	}
}

// A crash right after a new segment was begun leaves it empty.
func TestEmptyLastSegment(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		l := open(t, dir, ledger.Options{Sync: noSync, SegmentBytes: 400})
		add(t, l, note("x"))
		seq, _ := l.Head()
		closeLog(t, l)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%012d.jsonl", seq+1)), nil, 0o640); err != nil {
			t.Fatal(err)
		}
		if r, err := ledger.Verify(dir); err != nil || r.Entries != int(seq) {
			t.Fatalf("Verify: %+v, %v", r, err)
		}
	}
	if r, err := ledger.Verify(dir); err != nil || r.Entries != 6 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}

func TestOpenRefusesABrokenLog(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, files []string)
	}{
		{"a changed byte in the last segment", func(t *testing.T, files []string) {
			edit(t, files[len(files)-1], func(s string) string { return strings.Replace(s, "text", "Text", 1) })
		}},
		{"bad JSON above the last line", func(t *testing.T, files []string) {
			edit(t, files[len(files)-1], func(s string) string { return strings.Replace(s, "{", "", 1) })
		}},
		{"the last line is JSON, but not an entry", func(t *testing.T, files []string) {
			edit(t, files[len(files)-1], func(s string) string { return s + "{}\n" })
		}},
		{"the last line has another number", func(t *testing.T, files []string) {
			edit(t, files[len(files)-1], func(s string) string {
				lines := strings.SplitAfter(s, "\n")
				return s + lines[len(lines)-2]
			})
		}},
		{"the last line of an old segment is changed", func(t *testing.T, files []string) {
			edit(t, files[1], func(s string) string { i := strings.LastIndex(s, "inst-1"); return s[:i] + "inst-2" + s[i+6:] })
		}},
		{"the last line of the first segment is changed", func(t *testing.T, files []string) {
			edit(t, files[0], func(s string) string { i := strings.LastIndex(s, "inst-1"); return s[:i] + "inst-2" + s[i+6:] })
		}},
		{"the first line of an old segment is changed", func(t *testing.T, files []string) {
			edit(t, files[1], func(s string) string { return "x" + s[1:] })
		}},
		{"an old segment is cut in a line", func(t *testing.T, files []string) {
			edit(t, files[1], func(s string) string { return s[:len(s)-5] })
		}},
		{"an old segment is cut after a line", func(t *testing.T, files []string) {
			edit(t, files[1], func(s string) string { return s[:strings.Index(s, "\n")+1] })
		}},
		{"an old segment is empty", func(t *testing.T, files []string) {
			edit(t, files[1], func(string) string { return "" })
		}},
		{"the first segment is gone", func(t *testing.T, files []string) { remove(t, files[0]) }},
		{"a middle segment is gone", func(t *testing.T, files []string) { remove(t, files[1]) }},
		{"the last segment but one is gone", func(t *testing.T, files []string) { remove(t, files[len(files)-2]) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for range 4 {
				l := open(t, dir, ledger.Options{SegmentBytes: 1000, Sync: noSync})
				for range 4 {
					add(t, l, note("x"))
				}
				closeLog(t, l)
			}
			files := segmentFiles(t, dir)
			tt.damage(t, files)
			before := snapshot(t, dir)
			l, err := ledger.Open(dir, ledger.Options{Writer: "w"})
			var b *ledger.Broken
			if !errors.As(err, &b) || !errors.Is(err, ledger.ErrBroken) || b.Reason == "" || b.Seq == 0 {
				t.Fatalf("Open: %v, %v, want a broken log", l, err)
			}
			if strings.Contains(tt.name, "gone") != strings.Contains(b.Reason, "are missing") && !strings.Contains(tt.name, "cut after") {
				t.Errorf("reason: %s", b.Reason)
			}
			if after := snapshot(t, dir); after != before {
				t.Errorf("Open wrote to a broken log:\n%s\nwas\n%s", after, before)
			}
			if _, err := ledger.Verify(dir); !errors.Is(err, ledger.ErrBroken) {
				t.Errorf("Verify finds nothing: %v", err)
			}
		})
	}
}

func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	before := readFile(t, path)
	after := change(before)
	if after == before {
		t.Fatal("the test changes nothing")
	}
	if err := os.WriteFile(path, []byte(after), 0o640); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// snapshot is all names and bytes of the log in dir, without the lock.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "0*"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "== %s\n%s", f, readFile(t, f))
	}
	return b.String()
}
