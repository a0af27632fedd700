package artifacts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"selvage/configs"
)

const (
	// evalWall is how long one script may take. A generated one takes a millisecond.
	evalWall = 5 * time.Second
	// evalStart is how long a child may take to start on a busy machine.
	evalStart = 30 * time.Second
	// maxTreeNames bounds the names of a pipeline's files together, in bytes.
	maxTreeNames = 4 << 20
)

// setupResult is what became of one script: a Setup, or a finding that says why there is none.
type setupResult struct {
	Setup   Setup
	Problem *configs.Finding // nil if Setup is valid
}

// EvalChild is the command line of the child that a program starts from itself.
func EvalChild() []string { return []string{"/proc/self/exe", EvalChildArg} }

// evaluateSetups evaluates the scripts of a release, in order, in one child process with hard limits
// on memory, time and everything else (see confine). Result i belongs to script i. A script that
// exhausts a limit costs the child its life and nobody else: the next script gets a new one.
//
// An error means that evaluating as such does not work, or that ctx ended; it says nothing about
// the scripts.
func evaluateSetups(ctx context.Context, child []string, scripts []setupScript) ([]setupResult, error) {
	e := evaluator{command: child, wall: evalWall}
	defer e.stop()
	results := make([]setupResult, len(scripts))
	for i, s := range scripts {
		r, err := e.evaluate(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("evaluate %s: %w", s.path(), err)
		}
		results[i] = r
	}
	return results, nil
}

// evaluator owns the child, if one runs.
type evaluator struct {
	command []string
	wall    time.Duration
	child   *evalChild
	used    bool // the running child has evaluated a script before
}

func (e *evaluator) stop() {
	if e.child != nil {
		e.child.kill()
		e.child = nil
	}
}

func (e *evaluator) evaluate(ctx context.Context, s setupScript) (setupResult, error) {
	if r := oversized(s); r != nil {
		return problem(configs.SetupUnbounded, s, r), nil
	}
	for {
		if e.child == nil {
			child, err := startEvalChild(ctx, e.command)
			if err != nil {
				return setupResult{}, err
			}
			e.child, e.used = child, false
		}
		reply, err := e.child.ask(evalRequest{Source: s.Source, Files: s.Files}, e.wall)
		if err == nil {
			e.used = true
			if reply.Refusal != nil {
				return problem(configs.SetupRefused, s, reply.Refusal), nil
			}
			return setupResult{Setup: *reply.Setup}, nil
		}
		e.stop()
		if ctx.Err() != nil {
			return setupResult{}, ctx.Err()
		}
		if e.used && !errors.Is(err, os.ErrDeadlineExceeded) {
			// What earlier scripts left behind may be to blame: only a death in a child of its own counts.
			continue
		}
		return problem(configs.SetupUnbounded, s, causeOfDeath(err, e.wall)), nil
	}
}

// oversized refuses what is too large to be a generated setup.py before it is sent anywhere.
func oversized(s setupScript) *refusal {
	if len(s.Source) > maxSetupSource {
		return &refusal{Text: fmt.Sprintf("has %d bytes; at most %d are read", len(s.Source), maxSetupSource), Next: "move texts and data out of it"}
	}
	names := 0
	for _, f := range s.Files {
		names += len(f) + 1
	}
	if names > maxTreeNames {
		return &refusal{Text: fmt.Sprintf("stands among %d files, whose names are too much to evaluate", len(s.Files)), Next: "move data out of the pipeline's folder"}
	}
	return nil
}

func causeOfDeath(err error, wall time.Duration) *refusal {
	const next = "write plain values as the authoring tool does"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &refusal{Text: fmt.Sprintf("did not end within %s", wall), Next: next}
	}
	if errors.Is(err, errReply) {
		return &refusal{Text: "was answered with something that is no answer", Next: next}
	}
	return &refusal{Text: fmt.Sprintf("needs more than %d MiB of memory or %d s of processor time", evalMemory>>20, evalSeconds), Next: next}
}

func problem(code configs.Code, s setupScript, r *refusal) setupResult {
	particulars := s.path() + " " + clip(r.Text)
	if r.Line > 0 {
		particulars = fmt.Sprintf("%s line %d %s", s.path(), r.Line, clip(r.Text))
	}
	f := configs.Found(code, s.path(), particulars)
	if r.Next != "" {
		f.Next = clip(r.Next)
	}
	return setupResult{Problem: &f}
}

// errReply is returned by ask when the child answers with anything but a whole reply.
var errReply = errors.New("not a reply")

// evalChild is a running child. It is used by one goroutine.
type evalChild struct {
	command *exec.Cmd
	in      *os.File // its stdin
	out     *os.File // its stdout
	replies *bufio.Reader
}

// startEvalChild starts a child and waits for its greeting, which says that its limits hold. It
// inherits nothing: no environment, no open file but two pipes, and it dies with us, or with ctx.
func startEvalChild(ctx context.Context, argv []string) (c *evalChild, err error) {
	if len(argv) == 0 {
		return nil, errors.New("start the evaluating process: no command given")
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start the evaluating process %s: %w", strings.Join(argv, " "), err)
		}
	}()
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		childIn.Close()
		in.Close()
		return nil, err
	}
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env = []string{}
	command.Dir = "/"
	command.Stdin, command.Stdout = childIn, childOut
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = command.Start()
	childIn.Close()
	childOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	c = &evalChild{command: command, in: in, out: out, replies: bufio.NewReaderSize(out, 64<<10)}
	if err := out.SetReadDeadline(time.Now().Add(evalStart)); err != nil {
		c.kill()
		return nil, err
	}
	greeting, err := readLine(c.replies, 1<<10)
	if err == nil && !bytes.Equal(greeting, evalGreeting) {
		err = fmt.Errorf("it answered %q; expected %q", greeting, evalGreeting)
	}
	if err != nil {
		c.kill()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

// kill ends the child and waits for it. There is nothing in it worth an orderly end.
func (c *evalChild) kill() {
	_ = c.command.Process.Kill()
	_ = c.command.Wait() // "signal: killed" is what was asked for
	c.in.Close()
	c.out.Close()
}

// ask sends a request and waits for the reply. After an error the child must be killed: what it
// writes later would be taken for the answer to something else.
func (c *evalChild) ask(request evalRequest, wall time.Duration) (evalReply, error) {
	line, err := json.Marshal(request)
	if err != nil {
		return evalReply{}, err
	}
	deadline := time.Now().Add(wall)
	if err := c.in.SetWriteDeadline(deadline); err != nil {
		return evalReply{}, err
	}
	if err := c.out.SetReadDeadline(deadline); err != nil {
		return evalReply{}, err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return evalReply{}, err
	}
	line, err = readLine(c.replies, maxEvalReply)
	if err != nil {
		return evalReply{}, err
	}
	return parseReply(line)
}

// parseReply reads what a child wrote, which after a hostile script may be anything.
func parseReply(line []byte) (evalReply, error) {
	var reply evalReply
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&reply); err != nil {
		return evalReply{}, fmt.Errorf("%w: %w", errReply, err)
	}
	if _, err := decoder.Token(); err != io.EOF || (reply.Setup == nil) == (reply.Refusal == nil) {
		return evalReply{}, errReply
	}
	return reply, nil
}

// readLine reads up to and with the next line feed, at most limit bytes.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > limit:
			return nil, fmt.Errorf("%w: longer than %d bytes", errReply, limit)
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
