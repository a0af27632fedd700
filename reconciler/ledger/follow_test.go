package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"selvage/reconciler/ledger"
)

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const n = 150
	var got []ledger.Entry
	done := make(chan error, 1)
	reached := errors.New("all are there")
	go func() { // before there is a log
		done <- ledger.Follow(ctx, dir, 2, func(e ledger.Entry) error {
			if got = append(got, e); e.Text == "last" {
				return reached
			}
			return nil
		})
	}()
	for range 3 { // over openings and segments
		l := open(t, dir, ledger.Options{SegmentBytes: 3000, Sync: noSync})
		for i := range n / 3 {
			add(t, l, note(fmt.Sprint(i)))
		}
		closeLog(t, l)
		// A crash, whose traces the follower sees before and after they are cut off.
		files := segmentFiles(t, dir)
		f, err := os.OpenFile(files[len(files)-1], os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"seq":1000,"time":`); err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	l := open(t, dir, ledger.Options{Sync: noSync})
	add(t, l, note("last"))
	if err := <-done; !errors.Is(err, reached) {
		t.Fatalf("Follow: %v after %d entries", err, len(got))
	}
	for i, e := range got {
		if e.Seq != uint64(i+3) {
			t.Fatalf("entry %d has number %d", i, e.Seq)
		}
	}
	if len(got) != n+4+1-2 {
		t.Errorf("%d entries", len(got))
	}

	// An end without an entry: the context, and a log that breaks.
	short, stop := context.WithCancel(ctx)
	if err := ledger.Follow(short, dir, 0, func(ledger.Entry) error { stop(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Follow with a context that is done: %v", err)
	}
	if err := ledger.Follow(ctx, dir+"/absent", 0, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Follow of no folder: %v", err)
	}
	edit(t, segmentFiles(t, dir)[1], func(s string) string { return s[1:] })
	if err := ledger.Follow(ctx, dir, 0, func(ledger.Entry) error { return nil }); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("Follow of a broken log: %v", err)
	}
}

// Entries are announced: each of these is written when the one before was seen, and without an announcement would be seen
// a second later.
func TestFollowDoesNotWaitToLook(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{Sync: noSync})
	seen := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for range seen {
			time.Sleep(20 * time.Millisecond) // by then it waits
			add(t, l, note("next"))
		}
	})
	enough := errors.New("enough")
	begun := time.Now()
	err := ledger.Follow(t.Context(), dir, 0, func(e ledger.Entry) error {
		if e.Seq == 7 {
			return enough
		}
		seen <- struct{}{}
		return nil
	})
	close(seen)
	wg.Wait()
	if took := time.Since(begun); !errors.Is(err, enough) || took > 4*time.Second {
		t.Errorf("Follow: %v, six entries took %v", err, took)
	}
}
