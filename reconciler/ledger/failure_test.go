package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"selvage/reconciler/ledger"
)

func TestFailurePoisons(t *testing.T) {
	cause := syscall.ENOSPC
	dir := t.TempDir()
	var fail atomic.Bool
	l := open(t, dir, ledger.Options{Sync: func(*os.File) error {
		if fail.Load() {
			return &os.PathError{Op: "sync", Path: "x", Err: cause}
		}
		return nil
	}})
	add(t, l, note("acknowledged"))
	head, hash := l.Head()
	fail.Store(true)
	_, err := l.Append(t.Context(), ledger.Entry{Kind: ledger.KindIntent, Intent: "doubtful", Text: "x"})
	want := "the reconcile log can't be written: " + dir + ": sync x: no space left on device. Nothing is applied without it: free space on its disk, then start again"
	if !errors.Is(err, ledger.ErrFailed) || !errors.Is(err, cause) || err.Error() != want {
		t.Errorf("error\n%v, want\n%s", err, want)
	}
	fail.Store(false)
	for range 2 {
		if _, err := l.Append(t.Context(), note("too late")); !errors.Is(err, ledger.ErrFailed) || !errors.Is(err, cause) {
			t.Errorf("Append after the disk has recovered: %v, want the first failure for ever", err)
		}
	}
	if s, h := l.Head(); s != head || h != hash {
		t.Errorf("the head moved to #%d with a failed fsync", s)
	}
	if open := l.OpenIntents(); len(open) != 0 {
		t.Errorf("an intent that is not durable is open: %v", open)
	}
	closeLog(t, l)
	if _, err := l.Append(t.Context(), note("x")); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}

	// The doubtful intent may have reached the disk. Here it has: it counts, and is resolved by looking.
	l = open(t, dir, ledger.Options{Sync: noSync})
	if open := l.OpenIntents(); len(open) != 1 || open[0].Intent != "doubtful" {
		t.Errorf("open intents after opening again: %v", open)
	}
	if _, err := ledger.Verify(dir); err != nil {
		t.Error(err)
	}
}

func TestFailedSyncWhileOpeningWritesNoEpoch(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{})
	add(t, l, note("x"))
	closeLog(t, l)
	before := readFile(t, segmentFiles(t, dir)[0])
	_, err := ledger.Open(dir, ledger.Options{Writer: "w", Sync: func(f *os.File) error { return syscall.EIO }})
	if !errors.Is(err, ledger.ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Errorf("Open on a disk that does not sync: %v", err)
	}
	if after := readFile(t, segmentFiles(t, dir)[0]); after != before {
		t.Errorf("it wrote:\n%s", after)
	}
	open(t, dir, ledger.Options{}) // and left no lock behind
}

// What an fsync failed on may be clean in memory and missing on the disk: opening writes it again before it syncs.
func TestOpenWritesTheTailAgain(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, ledger.Options{Sync: noSync})
	add(t, l, note("x"))
	closeLog(t, l)
	file := segmentFiles(t, dir)[0]
	before := readFile(t, file)
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	syncs := 0
	open(t, dir, ledger.Options{Sync: func(f *os.File) error {
		if syncs++; syncs == 1 {
			st, err := f.Stat()
			if err != nil || f.Name() != file || time.Since(st.ModTime()) > time.Minute || readFile(t, file) != before {
				t.Errorf("the first sync is of %s (%v), written %v: want the segment, just written, with the same bytes", f.Name(), err, st.ModTime())
			}
		}
		return nil
	}})
}

// asNobody runs f with the file permissions of a user who owns nothing, also where the tests run as root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		f()
	}()
	<-done
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	closeLog(t, open(t, dir, ledger.Options{}))
	for p := dir; len(p) > len(os.TempDir()); p = filepath.Dir(p) { // TempDir is closed to others
		if err := os.Chmod(p, 0o555); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(p, 0o755)
	}
	for name, err := range map[string]error{"lock": os.Chmod(filepath.Join(dir, "lock"), 0o666), "segment": os.Chmod(segmentFiles(t, dir)[0], 0o444)} {
		if err != nil {
			t.Fatal(name, err)
		}
	}
	asNobody(t, func() {
		for _, d := range []string{dir, filepath.Join(dir, "new")} {
			_, err := ledger.Open(d, ledger.Options{Writer: "w"})
			if !errors.Is(err, ledger.ErrFailed) || !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "let the user that selvage runs as write to the folder") {
				t.Errorf("Open(%s): %v", d, err)
			}
		}
	})
}
