package artifacts

import (
	"os"
	"testing"
)

// TestMain lets the test binary be the child that evaluates setup.py files, as the program does.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == EvalChildArg {
		os.Exit(EvalChildMain(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}
