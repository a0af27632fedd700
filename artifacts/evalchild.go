package artifacts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// EvalChildArg is the only argument of a re-executed binary that evaluates setup.py files. A program
// that builds wheels calls EvalChildMain before anything else when it finds it.
const EvalChildArg = "internal-eval"

// What one child may use, whatever the script does. A plain release needs 10 MiB and some
// milliseconds.
const (
	evalMemory  = 128 << 20 // bytes of writable memory beyond what the process starts with
	evalSeconds = 60        // processor seconds of the whole child; a single script has evalWall
	evalStack   = 64 << 20  // bytes of one goroutine's stack
)

// The limits of a message. Requests come from our own process, replies from one that ran hostile code.
const (
	maxEvalRequest = 32 << 20
	maxEvalReply   = 4 << 20
)

// evalGreeting is the first line a child writes, once its limits hold.
var evalGreeting = []byte(EvalChildArg + " " + BuilderVersion + "\n")

// evalRequest asks for one script; requests and replies are JSON values, one to a line, in turns.
type evalRequest struct {
	Source []byte
	Files  []string
}

// evalReply is either a Setup or the reason why there is none.
type evalReply struct {
	Setup   *Setup   `json:",omitempty"`
	Refusal *refusal `json:",omitempty"`
}

// EvalChildMain is the whole life of the child: it confines itself, greets, and answers requests from
// stdin on stdout until stdin ends. It returns the exit status.
//
// It is the child that sets the limits, not the parent by prlimit(2): the memory limit counts from
// what the Go runtime has already mapped, which only the started process knows, and no byte
// of a script has been read by then.
func EvalChildMain(stdin io.Reader, stdout io.Writer) int {
	if err := confine(); err != nil {
		fmt.Fprintln(stdout, "confine the evaluation:", err)
		return 1
	}
	if _, err := stdout.Write(evalGreeting); err != nil {
		return 1
	}
	if err := serveEvaluations(stdin, stdout); err != nil {
		return 1
	}
	return 0
}

// confine gives up what evaluating needs not, for good. RLIMIT_AS is no use: the Go runtime reserves
// gigabytes of address space that it never touches, and the race detector terabytes. RLIMIT_DATA
// counts private writable pages only, at the moment they are mapped, so a bomb dies of its first
// allocation beyond it.
func confine() error {
	used, err := mappedData()
	if err != nil {
		return err
	}
	if err := closeInherited(); err != nil {
		return err
	}
	debug.SetMaxStack(evalStack)
	for _, l := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"memory", unix.RLIMIT_DATA, used + evalMemory},
		{"processor time", unix.RLIMIT_CPU, evalSeconds},
		{"core size", unix.RLIMIT_CORE, 0},
		{"file size", unix.RLIMIT_FSIZE, 0},
		{"open files", unix.RLIMIT_NOFILE, 0}, // those already open stay: stdin, stdout, stderr
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	return nil
}

// closeInherited closes the files that our parent's parents left open and that are not ours: an
// *os.File of Go closes itself on exec, what a shell or a supervisor handed down does not. The
// runtime's own stay, which are its event queue and the CPU quota of its control group.
func closeInherited() error {
	const dir = "/proc/self/fd"
	open, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range open {
		fd, err := strconv.Atoi(f.Name())
		if err != nil || fd <= 2 {
			continue
		}
		target, err := os.Readlink(dir + "/" + f.Name())
		if err != nil || strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/") {
			continue // an error: it was the one that listed the folder
		}
		if err := unix.Close(fd); err != nil {
			return fmt.Errorf("close inherited file %d: %w", fd, err)
		}
	}
	return nil
}

// mappedData is the writable private memory of this process in bytes: VmData of proc(5).
func mappedData() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmData:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmData")
}

// serveEvaluations answers requests until in ends.
func serveEvaluations(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxEvalRequest)
	for lines.Scan() {
		reply, err := json.Marshal(answer(lines.Bytes()))
		if err != nil {
			return err
		}
		if len(reply) >= maxEvalReply {
			reply, err = json.Marshal(evalReply{Refusal: &refusal{
				Text: fmt.Sprintf("asks for more than fits into %d MiB", maxEvalReply>>20), Next: "make its lists and texts shorter",
			}})
			if err != nil {
				return err
			}
		}
		if _, err := out.Write(append(reply, '\n')); err != nil {
			return err
		}
	}
	return lines.Err()
}

// answer evaluates one request. A panic of the interpreter is the script's fault, not ours.
func answer(line []byte) (reply evalReply) {
	defer func() {
		if p := recover(); p != nil {
			reply = evalReply{Refusal: &refusal{Text: "broke the evaluation: " + clip(fmt.Sprint(p)), Next: "write plain values as the authoring tool does"}}
		}
	}()
	var request evalRequest
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return evalReply{Refusal: &refusal{Text: "did not arrive whole: " + clip(err.Error())}}
	}
	setup, err := evaluateSetup(request.Source, request.Files)
	if err != nil {
		var r *refusal
		if !errors.As(err, &r) {
			r = &refusal{Text: clip(err.Error())}
		}
		return evalReply{Refusal: r}
	}
	return evalReply{Setup: setup}
}
