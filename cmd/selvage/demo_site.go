package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch/githttp"
	"selvage/testdata"
)

// demoSite is everything that the demo needs of the world: two emulated workspaces, a git remote, a clone of it
// to work in, and the files of an installation, all on loopback and below one temporary folder.
type demoSite struct {
	dir    string // everything below it goes when the demo ends
	work   string // the clone
	remote string // URL of the git remote
	self   string // our own program, under its own name
	places map[string]*demoPlace

	closers []func() error
	daemon  *exec.Cmd
	log     *os.File      // what the daemon prints
	ended   chan struct{} // closed when the daemon has ended; then how says how
	how     error
}

// demoPlace is one emulated workspace.
type demoPlace struct {
	*emulator.Workspace
	url    string
	person string // token of a person who edits jobs by hand
	byHand int    // requests that such a person made and that changed something
}

// openDemoSite starts the servers and writes the files. close ends and removes what was begun, also
// after an error.
func openDemoSite(ctx context.Context, mode configs.Mode) (*demoSite, error) {
	s := &demoSite{places: map[string]*demoPlace{}, ended: make(chan struct{})}
	if _, err := exec.LookPath("git"); err != nil {
		return s, errors.New("the demo needs git on this machine, and there is none in PATH: install it (apt install git) and try again")
	}
	program, err := os.Executable()
	if err != nil {
		return s, fmt.Errorf("find our own program: %w", err)
	}
	if s.dir, err = os.MkdirTemp("", "selvage-demo-"); err != nil {
		return s, fmt.Errorf("make a folder for the demo: %w", err)
	}
	s.closers = append(s.closers, func() error { return os.RemoveAll(s.dir) })
	s.work, s.self = filepath.Join(s.dir, "hello"), filepath.Join(s.dir, "selvage")
	if err := os.Symlink(program, s.self); err != nil { // for people who want to try commands too
		return s, fmt.Errorf("link our own program: %w", err)
	}
	for i, name := range []string{"development", "production"} {
		if err := s.openPlace(name, int64(i)); err != nil {
			return s, err
		}
	}
	if err := s.openRemote(ctx); err != nil {
		return s, err
	}
	return s, s.writeConfig(mode)
}

// openPlace starts an emulated workspace, and keeps the token that selvage has for it as a credential. Of two
// seeds, no job has the same id.
func (s *demoSite) openPlace(name string, seed int64) error {
	token, person := "demo-token-"+name, "demo-token-of-a-person-"+name
	w := emulator.New(emulator.Options{Seed: seed, Token: token, User: "selvage@shop.example", Users: map[string]string{person: "someone@shop.example"}})
	url, stop, err := w.Start()
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { stop(); return nil })
	s.places[name] = &demoPlace{Workspace: w, url: url, person: person}
	return s.write(filepath.Join("credentials", name+"_token"), token+"\n", 0o600)
}

// openRemote serves an empty repository over HTTP, and clones it with the sample project in the work tree.
func (s *demoSite) openRemote(ctx context.Context) error {
	root := filepath.Join(s.dir, "remotes")
	if err := os.Mkdir(root, 0o700); err != nil {
		return fmt.Errorf("make a folder for the git remote: %w", err)
	}
	if _, err := s.git(ctx, root, "init", "-q", "--bare", "-b", "main", "hello.git"); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the git remote: %w", err)
	}
	server := &http.Server{Handler: githttp.Handler(root), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(l)
	}()
	s.closers = append(s.closers, func() error { defer func() { <-served }(); return server.Close() })
	s.remote = "http://" + l.Addr().String() + "/hello.git"
	if err := s.remoteAnswers(ctx); err != nil {
		return err
	}
	// The settings stay in the clone, where a person may go on: a proxy does not see our loopback.
	if _, err := s.git(ctx, s.dir, "clone", "-q", "-c", "http.proxy=", "-c", "user.name=Mira", "-c", "user.email=mira@shop.example", s.remote, s.work); err != nil {
		return err
	}
	hello, err := fs.Sub(testdata.Hello, "hello")
	if err == nil {
		err = os.CopyFS(s.work, hello)
	}
	if err != nil {
		return fmt.Errorf("write the sample project: %w", err)
	}
	_, err = s.git(ctx, s.work, "symbolic-ref", "HEAD", "refs/heads/main")
	return err
}

// remoteAnswers asks the git remote once, so that a git without its HTTP half is told of in a sentence.
func (s *demoSite) remoteAnswers(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.remote+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("reach the git remote: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
	return fmt.Errorf("the git remote answers %s: %s", resp.Status, strings.TrimSpace(string(why)))
}

const demoConfig = `# What the daemon of the demo was started with.
state: state

fabrics:
  development:
    databricks: {host: "%[1]s", token: "${credential:development_token}", requests_per_second: 100}
    prophecy_ids: [1174]
  production:
    databricks: {host: "%[2]s", token: "${credential:production_token}", requests_per_second: 100}

projects:
  hello:
    git: %[3]s
    prophecy_id: 3224
    poll: 1s

deployments:
  - project: hello
    fabric: development
    mode: %[4]s
    follow: {branch: main}
    overlay: {config_instance: dev, schedule: paused, tags: {env: dev}}
  - project: hello
    fabric: production
    mode: %[4]s
    follow: {tag: "HelloSelvage/*"}
    jobs: ["jobs/*"]
    overlay: {config_instance: prod, schedule: enabled, tags: {env: prod}}
`

func (s *demoSite) ledger() string { return filepath.Join(s.dir, "state", ledgerDir) }

func (s *demoSite) writeConfig(mode configs.Mode) error {
	if err := os.MkdirAll(s.ledger(), 0o750); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	return s.write("selvage.yaml", fmt.Sprintf(demoConfig, s.places["development"].url, s.places["production"].url, s.remote, mode), 0o600)
}

func (s *demoSite) write(name, content string, mode os.FileMode) error {
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), mode)
}

// git runs git as the developer of the story, with nothing of the machine's own settings, and returns what
// it printed.
func (s *demoSite) git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	ownGroup(cmd)
	out, err := cmd.CombinedOutput()
	text := strings.TrimRight(string(out), "\n")
	switch {
	case ctx.Err() != nil:
		return text, ctx.Err()
	case err != nil:
		return text, fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return text, nil
}

// ownGroup keeps a Ctrl-C on the terminal from a child, whose end is ours to bring about: of the child and of
// those that it started, when its context ends. Should we be killed, it is told to stop.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
}

// command is one of our own commands, as a person would run it in the demo's folder, where selvage.yaml is.
func (s *demoSite) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.self, args...)
	cmd.Dir = s.dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SELVAGE_CONFIG=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	ownGroup(cmd)
	return cmd
}

// startDaemon runs the daemon as a process of its own: selvage with these arguments.
func (s *demoSite) startDaemon(args ...string) error {
	var err error
	if s.log, err = os.Create(filepath.Join(s.dir, "daemon.log")); err != nil {
		return fmt.Errorf("make the daemon's log: %w", err)
	}
	s.daemon = s.command(context.Background(), args...)
	s.daemon.Stdout, s.daemon.Stderr = s.log, s.log
	if err := s.daemon.Start(); err != nil {
		s.daemon = nil
		return fmt.Errorf("start the daemon: %w", err)
	}
	go func() {
		defer close(s.ended)
		s.how = s.daemon.Wait()
	}()
	return nil
}

// stopDaemon asks the daemon to stop and waits; one that does not within the time limit is killed.
func (s *demoSite) stopDaemon() error {
	if s.daemon == nil {
		return nil
	}
	defer func() { s.daemon = nil }()
	const limit = 30 * time.Second
	s.daemon.Process.Signal(syscall.SIGTERM) // an error says that it has ended
	select {
	case <-s.ended:
		if s.how != nil {
			return fmt.Errorf("the daemon ended with %w%s", s.how, s.lastWords())
		}
		return nil
	case <-time.After(limit):
		s.daemon.Cancel()
		<-s.ended
		return fmt.Errorf("the daemon did not stop within %s of SIGTERM", limit)
	}
}

// lastWords is the end of what the daemon printed.
func (s *demoSite) lastWords() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "daemon.log"))
	if err != nil || len(text) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "; the last it printed:\n" + strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// close ends what runs, the daemon first, and removes the folder.
func (s *demoSite) close() error {
	err := s.stopDaemon()
	if s.log != nil {
		s.log.Close()
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	s.closers = nil
	return err
}
