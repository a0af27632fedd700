package gitwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// streamRemote speaks to a git-upload-pack on the other end of a pipe: over ssh, or started here.
type streamRemote struct {
	address address
	limits  Limits
	open    func(ctx context.Context) (*stream, error)
}

// stream is a running git-upload-pack. It ends when its context does.
type stream struct {
	in     io.WriteCloser
	out    io.Reader
	stderr *tail
	close  func() error // ends it and waits until nothing of it is left
}

func (s *streamRemote) at() address { return s.address }

func (s *streamRemote) list(ctx context.Context) (*advertisement, error) {
	st, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	adv, err := s.advertisement(st)
	if err == nil {
		_, _ = io.WriteString(st.in, "0000") // "nothing more, thank you"; the list is complete without it
	}
	_ = st.close() // the same: a server that ends untidily after a complete list has answered
	if err != nil {
		return nil, s.explain(ctx, st, err)
	}
	return adv, nil
}

func (s *streamRemote) advertisement(st *stream) (*advertisement, error) {
	out := capped(st.out, listBytes(s.limits.MaxRefs), "MaxRefs", "the list of refs of "+s.address.String())
	return readAdvertisement(out, s.address.String(), s.limits.MaxRefs)
}

// pack lists the refs once more, which this protocol doesn't let us skip, and takes the
// capabilities of that answer.
func (s *streamRemote) pack(ctx context.Context, _ string, wants, haves []string) (io.ReadCloser, error) {
	st, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	r, err := func() (io.ReadCloser, error) {
		adv, err := s.advertisement(st)
		if err != nil {
			return nil, err
		}
		var body bytes.Buffer
		ask, err := packRequest(&body, adv.capabilities, wants, haves)
		if err != nil {
			return nil, err
		}
		if _, err := st.in.Write(body.Bytes()); err != nil {
			return nil, fmt.Errorf("ask for a pack: %w", err)
		}
		return packResponse(ask, struct {
			io.Reader
			io.Closer
		}{st.out, closer(st.close)})
	}()
	if err != nil {
		_ = st.close() // nothing was read yet that it could make untrue
		return nil, s.explain(ctx, st, err)
	}
	return r, nil
}

// explain adds what the other side wrote to its error stream, which for a missing repository is all there is.
func (s *streamRemote) explain(ctx context.Context, st *stream, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	said := printable(st.stderr.String(), 300)
	switch low := strings.ToLower(said); {
	case said == "":
		return err
	case strings.Contains(low, "does not appear to be a git repository"), strings.Contains(low, "not found"), strings.Contains(low, "no such"):
		return fmt.Errorf("%w: the remote says: %s", ErrNoRepository, said)
	case strings.Contains(low, "denied"), strings.Contains(low, "not permitted"), strings.Contains(low, "unauthorized"):
		return fmt.Errorf("%w: the remote says: %s", ErrDenied, said)
	}
	return fmt.Errorf("%w (the remote says: %s)", err, said)
}

type closer func() error

func (c closer) Close() error { return c() }

// tail keeps the first few kilobytes that are written to it, which is where programs say what is wrong.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 4096 - t.buf.Len(); room > 0 {
		t.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// fileOpener starts git-upload-pack on a repository of this machine. It runs without the
// environment and without any configuration of users or the system, except that the repository
// may belong to another user: the configuration names it.
func fileOpener(a address) func(context.Context) (*stream, error) {
	return func(ctx context.Context) (*stream, error) {
		if st, err := os.Stat(a.path); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("%w: %s is not a folder that can be read", ErrNoRepository, a.path)
		}
		git, err := exec.LookPath("git")
		if err != nil {
			return nil, fmt.Errorf("read %s: a file address needs git on this machine: %w", a, err)
		}
		cmd := exec.CommandContext(ctx, git, "upload-pack", "--strict", "--", a.path)
		if _, err := os.Stat(filepath.Join(a.path, ".git")); err == nil {
			cmd.Args[4] = filepath.Join(a.path, ".git")
		}
		cmd.Dir = "/"
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=/nonexistent",
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = 5 * time.Second
		stderr := &tail{}
		cmd.Stderr = stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return &stream{in: in, out: out, stderr: stderr, close: sync.OnceValue(func() error {
			return errors.Join(in.Close(), cmd.Wait())
		})}, nil
	}
}
