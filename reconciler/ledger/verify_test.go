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

// threeSegments makes a log whose middle segment is the one that tests damage.
func threeSegments(t testing.TB) (dir string, files []string, lines []string) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, dir, ledger.Options{SegmentBytes: 1000, Sync: noSync, Now: clock()})
	for i := range 11 {
		add(t, l, note(fmt.Sprint("n", i)))
	}
	closeLog(t, l)
	files = segmentFiles(t, dir)
	if len(files) != 3 {
		t.Fatalf("segments: %v", files)
	}
	lines = strings.SplitAfter(readFile(t, files[1]), "\n")
	lines = lines[:len(lines)-1]
	if len(lines) < 4 {
		t.Fatalf("the middle segment has %d lines", len(lines))
	}
	return dir, files, lines
}

func TestVerifySaysWhere(t *testing.T) {
	_, _, sample := threeSegments(t)
	n := len(sample) // lines of the middle segment, whose first entry is #first
	swap := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	// change edits one line of the middle segment.
	change := func(i int, f func(string) string) func([]string) []string {
		return func(l []string) []string { l[i] = f(l[i]); return l }
	}
	for _, tt := range []struct {
		name   string
		damage func([]string) []string
		line   int // of the middle segment, from 1; or of the first, if negative
		reason string
	}{
		{"letter of the text", change(2, swap(`"n`, `"m`)), 3, "the line was changed: its hash is not the prev of entry #"},
		{"in the first line", change(0, swap(`"n`, `"m`)), 1, "the line was changed"},
		{"in the last line of a segment", change(n-1, swap(`"n`, `"m`)), n, "its hash is not the prev of entry #"},
		{"digit of the time", change(2, swap(`2025-11-20T14:02`, `2025-11-20T14:03`)), 4, "is before 2025-11-20T14:03"},
		{"time into the past", change(2, swap(`2025-11`, `2024-11`)), 3, "its time 2024-11-20"},
		{"writer", change(2, swap("inst-1", "inst-2")), 3, "the line was changed"},
		{"number", change(2, swap(`{"seq":`, `{"seq":1`)), 3, "lines were removed, added or swapped"},
		{"epoch", change(2, swap(`"epoch":1`, `"epoch":2`)), 3, "its epoch is 2 in the middle of epoch 1"},
		{"kind", change(2, swap(`"kind":"note"`, `"kind":"open"`)), 3, "it opens epoch 1 after epoch 1"},
		{"kind to no word", change(2, swap(`"kind":"note"`, `"kind":"N"`)), 3, "kind or prev is missing or malformed"},
		{"prev", change(2, swap(`"prev":"`, `"prev":"0`)), 3, "malformed"},
		{"digit of prev", change(2, func(s string) string {
			i := len(s) - 5
			return s[:i] + string(rune(s[i]^1)) + s[i+1:]
		}), 3, "malformed|the line was changed: its prev is not the hash of entry #"},
		{"brace", change(2, swap("{", "[")), 3, "the line can't be read"},
		{"quote", change(2, swap(`"`, `'`)), 3, "the line can't be read"},
		{"space added", change(2, swap(`,`, `, `)), 3, "the line was changed"},
		{"carriage return", change(2, swap("\n", "\r\n")), 3, "the line was changed"},
		{"a key twice", change(2, swap(`"text"`, `"text":"real","text"`)), 3, "the line was changed"},
		{"an unknown key", change(2, swap(`"text"`, `"note":1,"text"`)), 3, "the line was changed"},
		{"control byte", change(2, swap(`"n`, "\"\x1b")), 3, "the line can't be read"},
		{"NUL", change(2, swap(`"n`, "\"\x00")), 3, "the line can't be read"},
		{"high byte", change(2, swap(`"n`, "\"\xff")), 3, "not valid UTF-8"},
		{"newline for a comma", change(2, swap(`,`, "\n")), 3, "the line can't be read"},
		{"newline deleted", change(2, swap("\n", "")), 3, "the line can't be read"},
		{"byte deleted", change(2, swap("note", "not")), 3, "the line was changed"},
		{"line cut", change(2, func(s string) string { return s[:20] + "\n" }), 3, "the line can't be read"},
		{"empty line", change(2, func(s string) string { return "\n" + s }), 3, "the line can't be read"},
		{"null", change(2, func(string) string { return "null\n" }), 3, "not an entry"},
		{"huge line", change(2, func(s string) string { return strings.Repeat(" ", ledger.MaxLine) + s }), 3, "longer than 1048576 bytes"},
		{"line deleted", func(l []string) []string { return append(l[:2], l[3:]...) }, 3, "lines were removed, added or swapped"},
		{"line doubled", func(l []string) []string { return append(l[:3], l[2:]...) }, 4, "lines were removed, added or swapped"},
		{"lines swapped", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, 2, "lines were removed, added or swapped"},
		{"line forged and added", func(l []string) []string {
			return append(l[:2:2], append([]string{strings.Replace(l[2], `"n`, `"m`, 1)}, l[2:]...)...)
		}, 4, "lines were removed, added or swapped"},
		{"segment cut after a line", func(l []string) []string { return l[:2] }, 3, "this file was cut short, or the file behind it was removed"},
		{"segment cut in a line", func(l []string) []string { l[n-1] = l[n-1][:30]; return l }, n, "cut off: it has no newline, and the log goes on behind it"},
		{"segment emptied", func(l []string) []string { return nil }, 1, "are missing ahead of"},
		{"segment gone", nil, -1, "the file behind it was removed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, files, lines := threeSegments(t)
			want := ledger.Broken{File: files[1], Line: tt.line}
			if tt.damage == nil {
				remove(t, files[1])
				want.File, want.Line = files[0], strings.Count(readFile(t, files[0]), "\n")+1
			} else if err := os.WriteFile(files[1], []byte(strings.Join(tt.damage(lines), "")), 0o640); err != nil {
				t.Fatal(err)
			}
			r, err := ledger.Verify(dir)
			var b *ledger.Broken
			if !errors.As(err, &b) || !errors.Is(err, ledger.ErrBroken) {
				t.Fatalf("Verify: %+v, %v", r, err)
			}
			if b.File != want.File || b.Line != want.Line {
				t.Errorf("it is found in %s line %d, want %s line %d: %s", b.File, b.Line, want.File, want.Line, b.Reason)
			}
			matched := false
			for _, reason := range strings.Split(tt.reason, "|") {
				matched = matched || strings.Contains(b.Reason, reason)
			}
			if !matched {
				t.Errorf("reason %q, want %q", b.Reason, tt.reason)
			}
			for _, part := range []string{filepath.Base(want.File), fmt.Sprintf("line %d (entry #%d)", want.Line, b.Seq), "Copy the folder away"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message lacks %q: %v", part, err)
				}
			}
			// A reader meets it too, and does not take what it got for all there is.
			var last error
			for _, last = range ledger.Read(dir, 0) {
			}
			if !errors.Is(last, ledger.ErrBroken) {
				t.Errorf("Read ends with %v", last)
			}
		})
	}
}

// No single byte can be changed, added or removed anywhere without being found, given the hash of the last line.
func TestVerifyFindsAnyByte(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{SegmentBytes: 500, Sync: noSync, Now: clock()})
	for i := range 3 {
		add(t, l, ledger.Entry{Kind: "note", Text: fmt.Sprint("é", i), Data: []byte(`{"a":[1,null]}`)})
	}
	seq, hash := l.Head()
	closeLog(t, l)
	known := ledger.Known{Seq: seq, Hash: hash}
	if _, err := ledger.Verify(dir, known); err != nil {
		t.Fatal(err)
	}
	files := segmentFiles(t, dir)
	if len(files) < 2 {
		t.Fatal(files)
	}
	for _, file := range files {
		whole := []byte(readFile(t, file))
		for i := range whole {
			variants := [][]byte{
				append(bytes.Clone(whole[:i]), whole[i+1:]...),                     // removed
				append(append(bytes.Clone(whole[:i]), whole[i]), whole[i:]...),     // doubled
				append(append(bytes.Clone(whole[:i]), whole[i]^1), whole[i+1:]...), // flipped
				append(append(bytes.Clone(whole[:i]), '\n'), whole[i:]...),
				append(append(bytes.Clone(whole[:i]), ' '), whole[i:]...),
				whole[:i], // cut
			}
			for v, b := range variants {
				if bytes.Equal(b, whole) {
					continue
				}
				remove(t, file) // a file system may sync a file that is cut to nothing and filled again: slow
				if err := os.WriteFile(file, b, 0o640); err != nil {
					t.Fatal(err)
				}
				if r, err := ledger.Verify(dir, known); !errors.Is(err, ledger.ErrBroken) {
					t.Fatalf("%s byte %d, variant %d: Verify: %+v, %v", file, i, v, r, err)
				}
			}
		}
		if err := os.WriteFile(file, whole, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerifyKnown(t *testing.T) {
	dir, files, _ := threeSegments(t)
	r, err := ledger.Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	es := collect(t, ledger.Read(dir, 0))
	middle := ledger.Known{Seq: 5, Hash: es[5].Prev}
	head := ledger.Known{Seq: 12, Hash: r.Head}
	if _, err := ledger.Verify(dir, middle, head); err != nil {
		t.Fatal(err)
	}
	_, err = ledger.Verify(dir, middle, ledger.Known{Seq: 5, Hash: r.Head})
	if err == nil || errors.Is(err, ledger.ErrBroken) {
		t.Errorf("two hashes for one entry: %v", err)
	}
	if _, err := ledger.Verify(dir, ledger.Known{Hash: r.Head}); err == nil || errors.Is(err, ledger.ErrBroken) {
		t.Errorf("a hash for no entry: %v", err)
	}
	if _, err := ledger.Verify(dir, ledger.Known{Seq: 12, Hash: strings.ToUpper(r.Head)}); err != nil {
		t.Errorf("the hash in capitals: %v", err)
	}
	check := func(name string, k ledger.Known, seq uint64, reason string) {
		t.Helper()
		_, err := ledger.Verify(dir, k)
		var b *ledger.Broken
		if !errors.As(err, &b) || b.Seq != seq || !strings.Contains(b.Reason, reason) {
			t.Errorf("%s: %v, want entry #%d: %s", name, err, seq, reason)
		}
	}
	check("an old hash", ledger.Known{Seq: 5, Hash: r.Head}, 5, "rewritten together with all lines after it")

	// The end removed, as whole lines: nothing within the log tells.
	remove(t, files[2])
	if _, err := ledger.Verify(dir, middle); err != nil {
		t.Error(err)
	}
	check("a shorter log", head, 11, "the log ends with entry #10, but entry #12 is known: lines were removed from the end")
}

func TestNoLog(t *testing.T) {
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "1.jsonl"), []byte("not ours\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]error{empty: ledger.ErrNoLog, filepath.Join(empty, "absent"): os.ErrNotExist} {
		if _, err := ledger.Verify(dir); !errors.Is(err, want) {
			t.Errorf("Verify(%s): %v, want %v", dir, err, want)
		}
		n := 0
		for _, err := range ledger.Read(dir, 0) {
			if n++; !errors.Is(err, want) {
				t.Errorf("Read(%s): %v, want %v", dir, err, want)
			}
		}
		if n != 1 {
			t.Errorf("Read(%s) yields %d times, want one error", dir, n)
		}
	}
}
