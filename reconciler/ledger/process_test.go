package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"selvage/reconciler/ledger"
)

// The test binary runs itself as another process that holds the log.
func TestMain(m *testing.M) {
	if role := os.Getenv("LEDGER_CHILD"); role != "" {
		if err := child(role, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child writes entries from several goroutines for ever, and prints the number and text of each that was acknowledged.
func child(role, dir string) error {
	if role == "limited" {
		// The kernel lets a file grow to here: the write that would pass it is cut, and then fails.
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 10_001, Max: 10_001}); err != nil {
			return err
		}
	}
	l, err := ledger.Open(dir, ledger.Options{Writer: fmt.Sprint("child ", os.Getpid()), SegmentBytes: 20_000})
	if err != nil {
		return err
	}
	fmt.Println("open")
	if role == "holder" {
		select {}
	}
	failed := make(chan error)
	var out sync.Mutex
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				es, err := l.Append(context.Background(), note(fmt.Sprintf("%d-%d", w, i)), note("second"))
				if err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Printf("%d %s\n", es[0].Seq, es[0].Text)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

func startChild(t *testing.T, role, dir string) (*exec.Cmd, *bufio.Scanner, *strings.Builder) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, dir)
	cmd.Env = append(os.Environ(), "LEDGER_CHILD="+role)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "open" {
		cmd.Wait()
		t.Fatalf("the child did not open the log: %s", stderr.String())
	}
	return cmd, lines, &stderr
}

// missed compares what a child printed with the log.
func missed(t *testing.T, dir string, acknowledged map[uint64]string) {
	t.Helper()
	for _, e := range collect(t, ledger.Read(dir, 0)) {
		if text, ok := acknowledged[e.Seq]; ok && text == e.Text {
			delete(acknowledged, e.Seq)
		}
	}
	for seq, text := range acknowledged {
		t.Errorf("entry #%d %q was acknowledged and is not in the log", seq, text)
	}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	total := 0
	for round := 1; round <= 4; round++ {
		cmd, lines, _ := startChild(t, "writer", dir)
		acknowledged := make(map[uint64]string)
		for lines.Scan() {
			var seq uint64
			var text string
			if n, err := fmt.Sscan(lines.Text(), &seq, &text); n == 2 && err == nil {
				acknowledged[seq] = text
			}
			if len(acknowledged) == 60*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		total += len(acknowledged)
		if _, err := ledger.Verify(dir); err != nil {
			t.Fatal(err)
		}
		missed(t, dir, acknowledged)
	}
	l := open(t, dir, ledger.Options{})
	if e := add(t, l, note("last"))[0]; e.Epoch != 5 || e.Seq < uint64(total) {
		t.Errorf("after four killed writers: %+v", e)
	}
	if len(segmentFiles(t, dir)) < 3 {
		t.Error("no child was killed with more than one segment behind it")
	}
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	cmd, _, _ := startChild(t, "holder", dir)
	_, err := ledger.Open(dir, ledger.Options{Writer: "second"})
	want := fmt.Sprintf("the reconcile log is in use: %s is open for writing in process %d: stop that one first, or ask the running daemon to do it", dir, cmd.Process.Pid)
	if !errors.Is(err, ledger.ErrLocked) || err.Error() != want {
		t.Errorf("Open while a process holds the log:\n%v, want\n%s", err, want)
	}
	if es := collect(t, ledger.Read(dir, 0)); len(es) != 1 {
		t.Errorf("Read beside a writer: %v", es)
	}
	cmd.Process.Kill()
	cmd.Wait()
	l := open(t, dir, ledger.Options{})
	if _, err := ledger.Open(dir, ledger.Options{Writer: "second"}); !errors.Is(err, ledger.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("Open twice in one process: %v", err)
	}
	closeLog(t, l)
	open(t, dir, ledger.Options{})
}

// A file that can't grow any further, as on a full disk: the write is cut in the middle of an entry.
func TestDiskTakesNoMore(t *testing.T) {
	dir := t.TempDir()
	cmd, lines, stderr := startChild(t, "limited", dir)
	acknowledged := make(map[uint64]string)
	for lines.Scan() {
		var seq uint64
		var text string
		if _, err := fmt.Sscan(lines.Text(), &seq, &text); err != nil {
			t.Fatal(err)
		}
		acknowledged[seq] = text
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended without an error")
	}
	if got := stderr.String(); !strings.Contains(got, "file too large. Nothing is applied without it: raise the file size limit of the process, then start again") {
		t.Errorf("the child ended with %q", got)
	}
	r, err := ledger.Verify(dir)
	if err != nil || r.Torn == 0 || len(acknowledged) < 10 {
		t.Fatalf("Verify: %+v, %v; %d acknowledged", r, err, len(acknowledged))
	}
	l := open(t, dir, ledger.Options{})
	add(t, l, note("there is room again"))
	closeLog(t, l)
	missed(t, dir, acknowledged)
	if r, err = ledger.Verify(dir); err != nil || r.Torn != 0 {
		t.Errorf("Verify after opening again: %+v, %v", r, err)
	}
}
