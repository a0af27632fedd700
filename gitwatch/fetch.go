package gitwatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// ChildArg is the hidden argument with which this program runs ChildMain.
const ChildArg = "internal-fetch"

// fetchRequest is what the child reads from its standard input: credentials stand in no
// argument and no environment, where other processes could see them.
type fetchRequest struct {
	Dir          string `json:"dir"`
	URL          string `json:"url"`
	Username     string `json:"username,omitempty"`
	Password     string `json:"password,omitempty"`
	SSHKey       string `json:"ssh_key,omitempty"`
	KnownHosts   string `json:"known_hosts,omitempty"`
	Capabilities string `json:"capabilities"`
	Refs         []Ref  `json:"refs"` // to be held afterwards
	MaxPack      int64  `json:"max_pack"`
	Memory       int64  `json:"memory"`
}

// fetchResult is what the child prints.
type fetchResult struct {
	Bytes int64       `json:"bytes"` // size of the pack
	Error string      `json:"error,omitempty"`
	Kind  string      `json:"kind,omitempty"`
	Limit *LimitError `json:"limit,omitempty"`
}

// Kinds of errors that keep their meaning on the way from the child to us.
var errorKinds = map[string]error{
	"denied":         ErrDenied,
	"no_repository":  ErrNoRepository,
	"missing_object": ErrMissingObject,
}

// kindError is an error of the child with its text as it was there.
type kindError struct {
	text string
	kind error
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

func (r fetchResult) err() error {
	switch {
	case r.Limit != nil:
		return r.Limit
	case r.Error == "":
		return nil
	}
	return &kindError{text: r.Error, kind: errorKinds[r.Kind]}
}

// fetch lets a child bring refs into the mirror, and gives the size of the pack it took. The child is
// killed, with whatever it started, when the context ends, when its time is over, or when we die; the
// mirror then holds what it held before.
func (r *Repository) fetch(ctx context.Context, from address, capabilities string, refs []Ref) (int64, error) {
	if err := initMirror(r.options.Dir); err != nil { // somebody may have deleted it to have it made anew
		return 0, fmt.Errorf("prepare the mirror: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.options.FetchTimeout,
		fmt.Errorf("the fetch did not end within %v: %w", r.options.FetchTimeout, context.DeadlineExceeded))
	defer cancel()
	auth := r.auth()
	input, err := json.Marshal(fetchRequest{
		Dir: r.options.Dir, URL: from.String(),
		Username: auth.Username, Password: auth.Password,
		SSHKey: auth.SSHKey, KnownHosts: auth.KnownHosts,
		Capabilities: capabilities, Refs: refs,
		MaxPack: r.limits.MaxPack, Memory: r.options.FetchMemory,
	})
	if err != nil {
		return 0, err
	}
	var stdout bytes.Buffer
	stderr := &tail{}
	cmd := exec.CommandContext(ctx, r.options.Child[0], r.options.Child[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, stderr
	cmd.Dir = "/"
	cmd.Env = childEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err = runLocked(cmd)
	r.store.close() // it knows the packs of before
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var result fetchResult
	if jerr := json.Unmarshal(stdout.Bytes(), &result); jerr != nil {
		return 0, fmt.Errorf("the fetching child ended without a result: %w", errors.Join(err, said(stderr)))
	}
	return result.Bytes, result.err()
}

// runLocked runs cmd from one thread: the kernel sends the signal of Pdeathsig when the thread
// that started the child ends, not the process.
func runLocked(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

// said is the beginning of what a child that died wrote to its standard error.
func said(stderr *tail) error {
	if text := printable(stderr.String(), 300); text != "" {
		return errors.New(text)
	}
	return nil
}

// childEnv is all of our environment that a fetch may use: where git is, for file addresses, the
// proxies and certificates for https, and settings of the race detector and of coverage in tests.
func childEnv() []string {
	var env []string
	for _, name := range []string{
		"PATH", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "GORACE", "GOCOVERDIR",
	} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}
