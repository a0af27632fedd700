package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
	"selvage/testdata"
)

// TestMain lets the test binary be the child processes that fetch and that evaluate setup.py files.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case gitwatch.ChildArg:
			os.Exit(gitwatch.ChildMain(os.Stdin, os.Stdout, os.Stderr))
		case artifacts.EvalChildArg:
			os.Exit(artifacts.EvalChildMain(os.Stdin, os.Stdout))
		case emulateArg:
			os.Exit(emulateMain())
		}
	}
	os.Exit(m.Run())
}

// site is a repository with the sample project, a workspace, and the files of an installation
// between them. A reconciler is started on it, and may be crashed and started again.
type site struct {
	t         testing.TB
	dir       string
	remote    string // bare repository
	work      string // its work tree
	yaml      string
	workspace *emulator.Workspace
	url       string
	transport http.RoundTripper        // to the workspace; nil for TCP
	places    map[string]fabric.Fabric // in place of the workspace, by fabric
	moved     map[string]string        // of all deployments, beside what the file says
	token     string                   // that selvage has; empty for the right one

	*Reconciler
	*Setup // that it began with
	log    *ledger.Log
	place  *databricks.Workspace
	guard  sync.Once
}

const standardYAML = `
state: %[1]s/state
fabrics:
  production:
    databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}
    prophecy_ids: [4004]
policies:
  p: {prune: {max: 5, percent: 100}, heal: true}
projects:
  hello: {git: "file://%[3]s", prophecy_id: 3224, poll: 1s}
deployments:
  - project: hello
    fabric: production
    mode: apply
    policy: p
    follow: {tag: "HelloSelvage/*"}
    jobs: ["jobs/*"]
    overlay: {config_instance: prod, schedule: enabled, tags: {env: prod}}
`

// bubbles counts the sites in bubbles.
var bubbles atomic.Int32

// newBubbleSite is newSite inside a synctest bubble: the workspace is reached over pipes, for a socket would
// keep the clock from moving.
func newBubbleSite(t testing.TB, o emulator.Options) *site {
	t.Helper()
	return prepareSite(t, o).pipes()
}

// pipes has the workspace reached over pipes.
func (s *site) pipes() *site {
	l := emulator.NewPipeListener()
	s.t.Cleanup(s.workspace.Serve(l))
	// Fabrics of one host share their pace, and bubbles must share nothing.
	s.url, s.transport = fmt.Sprintf("http://127.0.0.1:%d", bubbles.Add(1)), &http.Transport{DialContext: l.DialContext}
	return s
}

func newSite(t testing.TB, o emulator.Options) *site {
	t.Helper()
	s := prepareSite(t, o)
	url, stop, err := s.workspace.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	s.url = url
	return s
}

func prepareSite(t testing.TB, o emulator.Options) *site {
	t.Helper()
	s := bareSite(t, o)
	s.remote, s.work = filepath.Join(s.dir, "remote.git"), filepath.Join(s.dir, "work")
	s.git(s.dir, "init", "-q", "--bare", "-b", "main", "--template=", s.remote)
	s.git(s.dir, "init", "-q", "-b", "main", "--template=", s.work)
	s.git(s.work, "remote", "add", "origin", s.remote)
	hello, err := fs.Sub(testdata.Hello, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.work, hello); err != nil {
		t.Fatal(err)
	}
	return s
}

// bareSite is a site without a repository.
func bareSite(t testing.TB, o emulator.Options) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), yaml: standardYAML}
	o.Token = "canary-token-1"
	o.IntentLog = filepath.Join(s.dir, "state", "ledger")
	s.workspace = emulator.New(o)
	return s
}

func (s *site) git(dir string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev1@shop.example", "GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev1@shop.example")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits what is in the work tree and pushes it, under a tag if one is given.
func (s *site) commit(tag string) {
	s.t.Helper()
	s.git(s.work, "add", "-A")
	s.git(s.work, "commit", "-q", "--allow-empty", "-m", "work "+tag)
	if tag == "" {
		s.git(s.work, "push", "-q", "origin", "main")
		return
	}
	s.git(s.work, "tag", "-a", "-m", tag, tag)
	s.git(s.work, "push", "-q", "origin", "main", tag)
}

// replace edits a file of the work tree.
func (s *site) replace(file, old, new string) {
	s.t.Helper()
	path := filepath.Join(s.work, file)
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		s.t.Fatalf("%s does not hold %q", file, old)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, new)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// load writes and loads the configuration.
func (s *site) load() *configs.Config {
	s.t.Helper()
	file := filepath.Join(s.dir, "selvage.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, s.yaml, s.dir, s.url, s.remote), 0o644); err != nil {
		s.t.Fatal(err)
	}
	env := map[string]string{"TOKEN": cmp.Or(s.token, "canary-token-1")}
	config, err := configs.Load(file, configs.Options{Getenv: func(k string) string { return env[k] }})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range config.Deployments {
		if s.moved != nil {
			d.Moved = s.moved
		}
	}
	return config
}

// client opens a fabric of a configuration.
func (s *site) client(f *configs.Fabric) fabric.Fabric {
	s.t.Helper()
	if p := s.places[f.Name]; p != nil {
		return p
	}
	blobs, err := artifacts.OpenStore(filepath.Join(s.dir, "state", "artifacts"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.place, err = databricks.New(databricks.Options{Name: f.Name, Config: *f.Databricks, Root: f.Artifacts, Installation: "inst0001", Blobs: blobs, Transport: s.transport})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.place
}

// open starts a reconciler on the site's files.
func (s *site) open() {
	s.t.Helper()
	config := s.load()
	var err error
	check := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	// A child that another test is just starting may hold our closed lock for a moment, until its exec.
	for range 100 {
		s.log, err = ledger.Open(filepath.Join(config.State, "ledger"), ledger.Options{Writer: "test"})
		if !errors.Is(err, ledger.ErrLocked) {
			break
		}
		_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 10e6}, nil) // a bubble's clock does not wait for it
	}
	check(err)
	wheels.lend(s.t, config.State)
	blobs, err := artifacts.OpenStore(filepath.Join(config.State, "artifacts"))
	check(err)
	documents, err := artifacts.OpenStore(filepath.Join(config.State, "documents"))
	check(err)
	repos, byURL := map[string]*gitwatch.Repository{}, map[string]*gitwatch.Repository{}
	for name, p := range config.Projects {
		if byURL[p.Git] == nil {
			byURL[p.Git], err = gitwatch.Open(gitwatch.Options{Dir: filepath.Join(config.State, "mirrors", filepath.Base(p.Git)), URL: p.Git})
			check(err)
		}
		repos[name] = byURL[p.Git]
	}
	places := map[string]fabric.Fabric{}
	for name, f := range config.Fabrics {
		places[name] = s.client(f)
	}
	s.Setup = &Setup{Config: config, Repositories: repos, Fabrics: places}
	s.Reconciler, err = New(s.t.Context(), Options{
		Installation: "inst0001", Ledger: s.log, Database: filepath.Join(config.State, "selvage.db"), Documents: documents,
		Builder: artifacts.NewBuilder(blobs, filepath.Join(config.State, "built"), []string{"/proc/self/exe", artifacts.EvalChildArg}),
	}, s.Setup)
	check(err)
	s.guard.Do(func() { // a test that stops halfway would leave goroutines in its bubble, whose end then hides why
		s.t.Cleanup(func() {
			if !s.t.Failed() {
				return
			}
			s.Reconciler.Close()
			if s.log != nil {
				s.log.Close()
			}
			if s.place != nil {
				s.place.Close()
			}
		})
	})
}

// shut ends the reconciler as a stopping daemon does.
func (s *site) shut() {
	s.t.Helper()
	if err := s.Reconciler.Close(); err != nil {
		s.t.Error(err)
	}
	if err := s.log.Close(); err != nil {
		s.t.Error(err)
	}
	if s.place != nil {
		s.place.Close()
	}
}

const deployment = "hello@production"

// round polls and reconciles once, as the daemon does.
func (s *site) round() Decision {
	s.t.Helper()
	d, err := s.try()
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *site) try() (Decision, error) {
	s.t.Helper()
	d, _ := s.Config.Deployment(deployment)
	if _, err := s.Repositories["hello"].Poll(context.Background(), []gitwatch.Follow{follow(d)}); err != nil {
		s.t.Fatal(err)
	}
	s.sighted(context.Background(), s.Setup, d)
	return s.reconcile(context.Background(), d, ask{})
}

// reconcile looks once at a deployment of the setup in force.
func (s *site) reconcile(ctx context.Context, d *configs.Deployment, a ask) (Decision, error) {
	return s.Reconciler.reconcile(ctx, d.Name(), a)
}

// approve applies as a person who has seen the plan.
func (s *site) approve(revision string) Decision {
	s.t.Helper()
	p, err := s.Plan(s.t.Context(), deployment, revision)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.Apply(s.t.Context(), ApplyRequest{Deployment: deployment, Revision: revision, Plan: p.Plan.Digest, By: "lead@shop.example"})
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// verified fails the test unless the round came to the phase verified with an empty plan.
func (s *site) verified(d Decision) {
	s.t.Helper()
	if d.Phase != Sound || d.Plan.Digest != "" {
		s.t.Fatalf("phase %s, plan %s, %s\n%v\n%v", d.Phase, d.Plan.Counts, d.Result.Text, lines(d.Plan), d.Findings)
	}
}

// untold counts the jobs that were not compared with the list of jobs so far.
func (s *site) untold() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, owned := range s.state.applied {
		for _, a := range owned {
			if !a.Kind.Attached() && a.Accord == fabric.Untold {
				n++
			}
		}
	}
	return n
}

// names are those of the live jobs.
func (s *site) names() []string {
	var names []string
	for _, j := range s.workspace.Jobs() {
		names = append(names, j.Name)
	}
	return names
}

// sound fails the test if the workspace saw a request that the real one would refuse, or one
// without an intent, or if the ledger is not intact.
func (s *site) sound() {
	s.t.Helper()
	for _, v := range s.workspace.Violations() {
		s.t.Error("the workspace saw:", v)
	}
	if _, err := ledger.Verify(filepath.Join(s.dir, "state", "ledger")); err != nil {
		s.t.Error(err)
	}
}

// poll waits until the next poll is a poll apart from the last.
func (s *site) poll() { time.Sleep(time.Second) }
