package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// cmdTmpfs mounts a disk of its own, because root writes to every folder of any other, and fills it.
func cmdTmpfs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "tmpfs DIR SIZE")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]); err != nil {
		ts.Fatalf("mount a small disk: %v (this story needs root that may mount)", err)
	}
	ts.Defer(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func cmdRemount(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "remount DIR ro|rw")
	flags := uintptr(unix.MS_REMOUNT)
	if args[1] == "ro" {
		flags |= unix.MS_RDONLY
	}
	ts.Check(unix.Mount("tmpfs", ts.MkAbs(args[0]), "tmpfs", flags, ""))
}

func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 1, "fill DIR")
	f, err := os.Create(filepath.Join(ts.MkAbs(args[0]), "filler"))
	ts.Check(err)
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			ts.Fatalf("%v", err)
		}
		block = block[:len(block)/2]
	}
}
