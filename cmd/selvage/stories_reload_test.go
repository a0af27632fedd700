package main

import (
	"os"
	"regexp"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func cmdHup(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 0, 0, "hup")
	s := sceneOf(ts)
	if s.daemon == nil {
		ts.Fatalf("no daemon is running")
	}
	ts.Check(s.daemon.Process.Signal(syscall.SIGHUP))
}

func cmdUntilFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "untilfile REGEXP FILE")
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if text, err := os.ReadFile(ts.MkAbs(args[1])); err == nil && want.Match(text) {
			return
		}
	}
	ts.Fatalf("no match for %s within 30 s in %s:\n%s", args[0], args[1], ts.ReadFile(args[1]))
}
