package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/reconciler/ledger"
)

// noSync makes tests fast where durability is not what they look at.
func noSync(*os.File) error { return nil }

// clock ticks a second with each look.
func clock() func() time.Time {
	t := time.Date(2025, 11, 20, 14, 2, 10, 0, time.UTC)
	return func() time.Time {
		t = t.Add(time.Second)
		return t
	}
}

func open(t testing.TB, dir string, o ledger.Options) *ledger.Log {
	t.Helper()
	if o.Writer == "" {
		o.Writer = "inst-1/daemon"
	}
	l, err := ledger.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func add(t testing.TB, l *ledger.Log, es ...ledger.Entry) []ledger.Entry {
	t.Helper()
	out, err := l.Append(t.Context(), es...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func collect(t testing.TB, seq iter.Seq2[ledger.Entry, error]) []ledger.Entry {
	t.Helper()
	var es []ledger.Entry
	for e, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	return es
}

func note(text string) ledger.Entry { return ledger.Entry{Kind: "note", Text: text} }

func closeLog(t testing.TB, l *ledger.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAppendReadsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "ledger")
	l := open(t, dir, ledger.Options{Now: clock()})
	written := add(t, l, ledger.Entry{
		Seq: 99, Epoch: 99, Writer: "somebody else", Prev: "x", // the log's to set
		Kind: "release", Deployment: "hello@production", Fabric: "production", Code: "release_found",
		Text: "Hello/1.0.0 <a&b> \u202eis\u007f \x1b[31m 4 pipelines\nand more \U000e0041", By: "dev1@shop.example",
		Data: json.RawMessage("{ \"job\": 9007199254740993,\n\"x\": [1.10, \"\u009b<\u2028\"]}"),
	})
	written = append(written, add(t, l, note("one"), note("two"))...)

	got := collect(t, ledger.Read(dir, 1))
	if diff := cmp.Diff(written, got); diff != "" {
		t.Errorf("Append returned and Read yields different entries (-returned +read):\n%s", diff)
	}
	if diff := cmp.Diff(got[1:], collect(t, l.Entries(2))); diff != "" {
		t.Errorf("Entries(2) is not the rest of Read (-want +got):\n%s", diff)
	}
	e := got[0]
	if e.Seq != 2 || e.Epoch != 1 || e.Writer != "inst-1/daemon" || !e.Time.Equal(time.Date(2025, 11, 20, 14, 2, 12, 0, time.UTC)) {
		t.Errorf("the log did not set seq, epoch, writer and time: %+v", e)
	}

	b, err := os.ReadFile(filepath.Join(dir, "000000000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("want 4 lines, one per entry, got %d:\n%s", len(lines), b)
	}
	want := `{"seq":2,"time":"2025-11-20T14:02:12Z","writer":"inst-1/daemon","epoch":1,"kind":"release",` +
		`"deployment":"hello@production","fabric":"production","code":"release_found",` +
		`"text":"Hello/1.0.0 <a&b> \u202eis\u007f \u001b[31m 4 pipelines\nand more \udb40\udc41","by":"dev1@shop.example",` +
		`"data":{"job":9007199254740993,"x":[1.10,"\u009b<\u2028"]},"prev":"` + e.Prev + `"}`
	if diff := cmp.Diff(want, lines[1]); diff != "" {
		t.Errorf("line 2 (-want +got):\n%s", diff)
	}
	st, err := os.Stat(filepath.Join(dir, "000000000001.jsonl"))
	if err != nil || st.Mode().Perm()&^0o640 != 0 {
		t.Errorf("the segment has mode %v (%v), want at most 0640", st.Mode(), err)
	}
}

func TestNumbersEpochsAndPrevGoOnAcrossSegmentsAndOpenings(t *testing.T) {
	dir := t.TempDir()
	for epoch := 1; epoch <= 3; epoch++ {
		l := open(t, dir, ledger.Options{SegmentBytes: 1500, Sync: noSync})
		for i := range 10 {
			add(t, l, note(fmt.Sprint(i)), note("adjacent"))
		}
		closeLog(t, l)
	}
	es := collect(t, ledger.Read(dir, 0))
	if len(es) != 3*21 {
		t.Fatalf("%d entries, want %d", len(es), 3*21)
	}
	for i, e := range es {
		if e.Seq != uint64(i+1) || e.Epoch != uint64(i/21+1) || (e.Kind == ledger.KindOpen) != (i%21 == 0) {
			t.Errorf("entry %d: seq %d, epoch %d, kind %s", i, e.Seq, e.Epoch, e.Kind)
		}
	}
	files := segmentFiles(t, dir)
	if len(files) < 5 {
		t.Fatalf("want several segments, got %v", files)
	}
	r, err := ledger.Verify(dir)
	if err != nil || r.Entries != 63 || r.Segments != len(files) || r.Torn != 0 || !r.First.Equal(es[0].Time) || !r.Last.Equal(es[62].Time) {
		t.Errorf("Verify: %+v, %v", r, err)
	}
	for after := range uint64(70) {
		want := max(0, 63-int(after))
		if got := collect(t, ledger.Read(dir, after)); len(got) != want || want > 0 && got[0].Seq != after+1 {
			t.Fatalf("Read(after %d) yields %d entries, want %d", after, len(got), want)
		}
	}
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCallStaysInOneSegment(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{SegmentBytes: 1000, Sync: noSync})
	add(t, l, note("small"))
	call := make([]ledger.Entry, 20)
	for i := range call {
		call[i] = note(fmt.Sprintf("part %d of one call", i))
	}
	add(t, l, call...)
	b, err := os.ReadFile(filepath.Join(dir, "000000000003.jsonl"))
	if err != nil || strings.Count(string(b), "part ") != 20 {
		t.Errorf("the call does not stand alone in segment 3 (%v):\n%s", err, b)
	}
}

func TestAppendRefuses(t *testing.T) {
	intent := func(nonce string) ledger.Entry {
		return ledger.Entry{Kind: ledger.KindIntent, Intent: nonce, Text: "create job"}
	}
	outcome := func(nonce string) ledger.Entry {
		return ledger.Entry{Kind: ledger.KindOutcome, Intent: nonce, Text: "done"}
	}
	for _, tt := range []struct {
		name string
		es   []ledger.Entry
		want string
	}{
		{"open", []ledger.Entry{{Kind: "open", Text: "x"}}, `kind "open" is written by the log itself`},
		{"no kind", []ledger.Entry{{Text: "x"}}, `kind "": want 1 to 32 lower case letters`},
		{"odd kind", []ledger.Entry{{Kind: "a b"}}, `kind "a b"`},
		{"text", []ledger.Entry{note("a\xffb")}, `text is not valid UTF-8: "a\xffb"`},
		{"by", []ledger.Entry{{Kind: "note", By: "\xc0"}}, `by is not valid UTF-8`},
		{"data", []ledger.Entry{{Kind: "note", Data: json.RawMessage(`{"a":}`)}}, `data: invalid character '}'`},
		{"two data", []ledger.Entry{{Kind: "note", Data: json.RawMessage(`{} {}`)}}, `data: invalid character '{'`},
		{"data bytes", []ledger.Entry{{Kind: "note", Data: json.RawMessage("\"\xff\"")}}, `data is not valid UTF-8`},
		{"huge data", []ledger.Entry{{Kind: "note", Data: json.RawMessage(`"` + strings.Repeat("x", ledger.MaxLine) + `"`)}}, "store the document elsewhere and log its digest"},
		{"huge text", []ledger.Entry{note(strings.Repeat("\x00", ledger.MaxLine/6))}, "store the document elsewhere and log its digest"},
		{"intent without nonce", []ledger.Entry{{Kind: "intent"}}, "kind intent without the nonce of an intent"},
		{"outcome without nonce", []ledger.Entry{{Kind: "outcome"}}, "kind outcome without the nonce of an intent"},
		{"nonce that grep would not find", []ledger.Entry{intent(`a"b`)}, `nonce "a\"b": want`},
		{"open twice", []ledger.Entry{intent("taken")}, "intent taken is open already"},
		{"open twice in a call", []ledger.Entry{intent("n1"), intent("n1")}, "intent n1 is open already"},
		{"close unknown", []ledger.Entry{outcome("n2")}, "outcome of intent n2, which is not open"},
		{"close twice", []ledger.Entry{outcome("taken"), outcome("taken")}, "outcome of intent taken, which is not open"},
		{"one bad of two", []ledger.Entry{note("good"), outcome("n3")}, "n3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, ledger.Options{Sync: noSync})
			add(t, l, intent("taken"))
			before := readFile(t, segmentFiles(t, dir)[0])
			_, err := l.Append(t.Context(), tt.es...)
			if !errors.Is(err, ledger.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if after := readFile(t, segmentFiles(t, dir)[0]); after != before {
				t.Errorf("a refused call wrote to the file:\n%s", after)
			}
			if es := add(t, l, note("next"), outcome("taken")); es[0].Seq != 3 {
				t.Errorf("the next entry is #%d, want #3", es[0].Seq)
			}
			if _, err := ledger.Verify(dir); err != nil {
				t.Error(err)
			}
		})
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestIntents(t *testing.T) {
	dir := t.TempDir()
	nonces := func(l *ledger.Log) string {
		var b []string
		for _, e := range l.OpenIntents() {
			b = append(b, e.Intent)
		}
		return strings.Join(b, " ")
	}
	o := ledger.Options{SegmentBytes: 800, Sync: noSync}
	l := open(t, dir, o)
	for i := range 12 {
		n := fmt.Sprintf("n%02d", i)
		add(t, l, ledger.Entry{Kind: ledger.KindIntent, Intent: n, Deployment: "hello@qa", Text: "create job", Data: json.RawMessage(`{"i":1}`)})
		// What the emulator does before it lets a request pass.
		if err := exec.Command("sh", "-c", `grep -q "$0" "$1"/*.jsonl`, n, dir).Run(); err != nil {
			t.Errorf("grep does not find the nonce of an appended intent: %v", err)
		}
		if i != 3 && i != 7 {
			add(t, l, ledger.Entry{Kind: ledger.KindOutcome, Intent: n, Text: "done"})
		}
	}
	add(t, l, ledger.Entry{Kind: "note", Intent: "n03", Text: "mentions an intent, closes nothing"})
	want := l.OpenIntents()
	if got := nonces(l); got != "n03 n07" {
		t.Fatalf("open intents: %s, want n03 n07", got)
	}
	closeLog(t, l)

	// They survive openings, also when all that happened since is in later segments.
	for range 3 {
		l = open(t, dir, o)
		if diff := cmp.Diff(want, l.OpenIntents()); diff != "" {
			t.Errorf("open intents after opening again (-want +got):\n%s", diff)
		}
		for range 5 {
			add(t, l, note("later"))
		}
		closeLog(t, l)
	}
	l = open(t, dir, o)
	add(t, l, ledger.Entry{Kind: ledger.KindOutcome, Intent: "n03", Text: "found by looking"})
	closeLog(t, l)
	l = open(t, dir, o)
	if got := nonces(l); got != "n07" {
		t.Errorf("open intents: %q, want n07", got)
	}
	add(t, l, ledger.Entry{Kind: ledger.KindOutcome, Intent: "n07", Text: "found by looking"})
	closeLog(t, l)
	if l = open(t, dir, o); nonces(l) != "" {
		t.Errorf("open intents: %q, want none", nonces(l))
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	times := []time.Duration{0, time.Hour, -time.Hour, 2 * time.Hour}
	dir := t.TempDir()
	i := 0
	o := ledger.Options{Sync: noSync, Now: func() time.Time { i++; return now.Add(times[i-1]) }}
	l := open(t, dir, o)
	add(t, l, note("an hour on"))
	closeLog(t, l)
	l = open(t, dir, o) // the clock was set back meanwhile
	add(t, l, note("on again"))
	var got []time.Duration
	for _, e := range collect(t, ledger.Read(dir, 0)) {
		got = append(got, e.Time.Sub(now))
	}
	if diff := cmp.Diff([]time.Duration{0, time.Hour, time.Hour, 2 * time.Hour}, got); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}

func TestConcurrentAppendsShareAnFsync(t *testing.T) {
	dir := t.TempDir()
	var syncs atomic.Int64
	l := open(t, dir, ledger.Options{SegmentBytes: 20_000, Sync: func(f *os.File) error {
		syncs.Add(1)
		time.Sleep(time.Millisecond) // a disk, so that calls meet
		return f.Sync()
	}})
	const writers, calls = 16, 20
	opened := syncs.Load()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range calls {
				nonce := fmt.Sprintf("w%d-%d", w, i)
				es, err := l.Append(t.Context(),
					ledger.Entry{Kind: ledger.KindIntent, Intent: nonce, Text: "one"},
					ledger.Entry{Kind: ledger.KindOutcome, Intent: nonce, Text: "two"})
				if err != nil || es[1].Seq != es[0].Seq+1 {
					t.Errorf("Append: %v, %v", es, err)
					return
				}
				if head, _ := l.Head(); head < es[1].Seq {
					t.Errorf("entry #%d is acknowledged, but the head is #%d", es[1].Seq, head)
				}
				l.OpenIntents()
			}
		})
	}
	wg.Wait()
	r, err := ledger.Verify(dir)
	if err != nil || r.Entries != 1+2*writers*calls {
		t.Errorf("Verify: %+v, %v", r, err)
	}
	if seq, hash := l.Head(); int(seq) != r.Entries || hash != r.Head {
		t.Errorf("Head is #%d %s, Verify says #%d %s", seq, hash, r.Entries, r.Head)
	}
	if n := syncs.Load() - opened; n > writers*calls/2 {
		t.Errorf("%d fsyncs for %d calls: they were not shared", n, writers*calls)
	}
	if left := l.OpenIntents(); len(left) != 0 {
		t.Errorf("intents left open: %v", left)
	}
}

func TestDoneContextWritesNothing(t *testing.T) {
	dir := t.TempDir()
	reached, release := make(chan struct{}), make(chan struct{})
	var slow atomic.Bool
	l := open(t, dir, ledger.Options{Sync: func(*os.File) error {
		if slow.CompareAndSwap(true, false) {
			close(reached)
			<-release
		}
		return nil
	}})
	slow.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() { add(t, l, note("is being written")) })
	<-reached
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, err := l.Append(ctx, note("gave up in the queue")); !errors.Is(err, context.Canceled) {
			t.Errorf("Append with a context that ended while it waited: %v", err)
		}
	})
	time.Sleep(10 * time.Millisecond) // it may queue or not: both must hold
	cancel()
	close(release)
	wg.Wait()
	if es := collect(t, ledger.Read(dir, 1)); len(es) != 1 || es[0].Text != "is being written" {
		t.Errorf("entries: %v", es)
	}
}

func TestOpenNeedsAWriter(t *testing.T) {
	for _, w := range []string{"", "\xff"} {
		if _, err := ledger.Open(t.TempDir(), ledger.Options{Writer: w}); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("writer %q: %v", w, err)
		}
	}
}
