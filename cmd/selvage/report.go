package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"selvage/configs"
	"selvage/reconciler"
	"selvage/reconciler/control"
	"selvage/reconciler/ledger"
)

// report says why a command went wrong, in one sentence and a hint of what to do, and returns the exit status.
func (a *app) report(err error) int {
	var s status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return int(s)
	}
	sentence, hint := explain(err)
	fmt.Fprintf(a.err, "selvage: %s\n", lines(sentence))
	if hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", lines(hint))
	}
	return 1
}

// explain splits an error into what went wrong and what to do about it.
func explain(err error) (sentence, hint string) {
	var f *failure
	var problems configs.Problems
	switch {
	case errors.As(err, &f):
		return err.Error(), f.next
	case errors.As(err, &problems):
		return mistakes(problems)
	case errors.Is(err, reconciler.ErrUnknownDeployment):
		return err.Error(), "selvage status lists the deployments"
	case errors.Is(err, context.Canceled):
		return "interrupted", ""
	case errors.Is(err, control.ErrNotRunning):
		return err.Error(), "start it with: selvage run"
	case errors.Is(err, ledger.ErrBroken):
		what, todo, _ := strings.Cut(err.Error(), ". Copy the folder away")
		return what, "copy the folder away" + todo
	case errors.Is(err, ledger.ErrFailed):
		what, todo, _ := strings.Cut(err.Error(), ". Nothing is applied without it: ")
		return what + ": nothing is applied without it", todo
	case errors.Is(err, syscall.ENOSPC):
		return err.Error(), "free space on that disk"
	case errors.Is(err, syscall.EROFS):
		return err.Error(), "mount that file system writable"
	case errors.Is(err, os.ErrPermission):
		return err.Error(), "run as the user whose files these are; for those of the service: sudo -u selvage selvage ..."
	}
	return err.Error(), ""
}

// mistakes shows the problems of a configuration.
func mistakes(ps configs.Problems) (sentence, hint string) {
	if len(ps) == 1 {
		hint = ps[0].Next
		p := ps[0]
		p.Next = ""
		return p.Error(), hint
	}
	return fmt.Sprintf("the configuration has %d mistakes\n%s", len(ps), ps.Error()), "mend them, then: selvage validate"
}

// decided is the error of a round as a person should read it: the decision's own words are better than those
// of the error that led to it.
func decided(d reconciler.Decision, err error) error {
	if err == nil || d.Result.Code == "" || errors.Is(err, context.Canceled) {
		return err
	}
	return finding(d.Deployment, d.Result)
}

// finding is a finding about a deployment as an error.
func finding(deployment string, f configs.Finding) error {
	text := f.Text
	if f.Subject != "" && f.Subject != deployment {
		text = f.Subject + ": " + text
	}
	return &failure{fmt.Errorf("%s: %s", deployment, strings.ReplaceAll(text, ": "+deployment+": ", ": ")), next(f, deployment)}
}

// next is what to do about a finding, with the names filled in.
func next(f configs.Finding, deployment string) string {
	n := strings.ReplaceAll(f.Next, "DEPLOYMENT", deployment)
	if f.Subject != "" && f.Subject != deployment {
		n = strings.ReplaceAll(n, "--revision TAG", "--revision "+shellWord(f.Subject))
	}
	return n
}

// shellWord is an argument as a person can paste it into a shell.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./@:+-", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
