// Command selvage deploys data pipelines from git into production networks: a daemon, and the commands
// that people ask it with.
//
// Nothing is decided here. A command reads flags, asks the daemon over its control socket or opens the
// state itself, and shows the answer.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"selvage/artifacts"
	"selvage/gitwatch"
)

func main() {
	if status, ok := child(os.Args); ok {
		os.Exit(status)
	}
	os.Exit(command(os.Args[1:]))
}

// child is the program where it re-executes itself, confined, to fetch from git or to evaluate a setup.py:
// no part of the command line that people see.
func child(args []string) (status int, ok bool) {
	if len(args) != 2 {
		return 0, false
	}
	switch args[1] {
	case gitwatch.ChildArg:
		return gitwatch.ChildMain(os.Stdin, os.Stdout, os.Stderr), true
	case artifacts.EvalChildArg:
		return artifacts.EvalChildMain(os.Stdin, os.Stdout), true
	}
	return 0, false
}

// command runs one command line and returns its exit status. The first SIGINT or SIGTERM ends it in good
// order, the second at once.
func command(args []string) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		stop()
		s := <-signals
		os.Exit(128 + int(s.(syscall.Signal)))
	}()
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	root := a.root()
	root.SetArgs(args)
	return a.report(root.ExecuteContext(ctx))
}
