package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch/githttp"
	"selvage/reconciler"
	"selvage/testdata"
)

// TestMain lets the test binary be selvage itself, for the stories, and selvage's own child processes.
func TestMain(m *testing.M) {
	if status, ok := child(os.Args); ok {
		os.Exit(status)
	}
	// Stories wait more than they compute: for polls a second apart, and for back-off.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"selvage": func() { os.Exit(command(os.Args[1:])) },
	})
}

var update = flag.Bool("update", false, "rewrite the golden files, and what stories compare with")

// TestStories runs testdata/stories/*.txtar, one story each, with real git remotes over HTTP and emulated
// workspaces in this process. What stories may use beside testscript's own commands:
//
//	site [new]                makes most of what follows in one line: workspaces production and development, remotes hello
//	                          (with the tag HelloSelvage/1.0.0) and other, selvage.yaml with the deployments
//	                          hello@production (following tags) and other@development (following main), both applied
//	                          unless new
//	workspace NAME            starts an emulated workspace; sets $NAME_URL and $NAME_TOKEN (NAME in upper case). It
//	                          refuses a changing request whose intent is not in the ledger in $WORK/state
//	remote NAME [empty]       makes a git remote, and a clone of it in $WORK/NAME with the sample project, or nothing;
//	                          sets $NAME_GIT
//	push NAME [TAG]           commits what is in the clone and pushes it, with an annotated tag if one is given; sets
//	                          $NAME_COMMIT to its first seven digits
//	git NAME ARGS             runs git in the clone
//	replace FILE OLD NEW      replaces text that must be in the file
//	daemon [ARGS]             starts selvage run and waits until it can be asked; its log is $WORK/daemon.log.
//	                          It is stopped at the end, if the story does not
//	stopdaemon [-kill]        stops it with SIGTERM, and checks that it ends with status 0 (with !: that it does
//	                          not); or kills it
//	notify                    plays systemd: what the daemon tells it is in $WORK/notified
//	until REGEXP selvage ARGS runs selvage again and again until its output matches, for 30 s at most
//	terminal ANSWER ARGS      runs selvage ARGS at a terminal of its own, types ANSWER and return, and prints what the
//	                          terminal showed; with !, the command must end with another status than 0
//	plandigest VAR ARGS       sets VAR to the digest of what selvage plan ARGS shows
//	livejobs WORKSPACE        prints the names of the live jobs, a line each
//	livejob WORKSPACE NAME    prints the settings of a live job as JSON
//	editjob WORKSPACE NAME P  changes a live job by hand with the merge patch P
//	makejob WORKSPACE JSON    makes a job by hand
//	requests WORKSPACE PATTERN [N]  checks the number of requests like "POST *", or prints it
//	forget WORKSPACE          forgets the requests so far
//	fault WORKSPACE JSON      declares a fault; fault WORKSPACE clear ends all
//	tmpfs DIR SIZE            mounts a small disk; remount DIR ro|rw; fill DIR leaves no byte on it
//
// A story ends with a look at what the workspaces saw: a request that the real service would reject fails it.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/stories",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			s := &scene{dir: env.WorkDir, places: map[string]*emulator.Workspace{}}
			env.Values[sceneKey{}] = s
			env.Vars = append(env.Vars, "HOME="+env.WorkDir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "TZ=UTC",
				"GORACE=atexit_sleep_ms=0", // each selvage of a story would sleep a second at its exit under -race
				"GIT_AUTHOR_NAME=Dev", "GIT_AUTHOR_EMAIL=dev1@shop.example", "GIT_COMMITTER_NAME=Dev", "GIT_COMMITTER_EMAIL=dev1@shop.example")
			remotes := filepath.Join(env.WorkDir, "remotes")
			if err := os.Mkdir(remotes, 0o755); err != nil {
				return err
			}
			server := httptest.NewServer(githttp.Handler(remotes))
			s.git = server.URL
			env.Defer(server.Close)
			env.Defer(func() {
				for name, w := range s.places {
					for _, v := range w.Violations() {
						t.Errorf("%s: the workspace %s saw: %s", filepath.Base(env.WorkDir), name, v)
					}
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"site":       cmdSite,
			"workspace":  cmdWorkspace,
			"remote":     cmdRemote,
			"push":       cmdPush,
			"git":        cmdGit,
			"replace":    cmdReplace,
			"daemon":     cmdDaemon,
			"stopdaemon": cmdStopDaemon,
			"notify":     cmdNotify,
			"until":      cmdUntil,
			"terminal":   cmdTerminal,
			"plandigest": cmdPlanDigest,
			"livejobs":   cmdLiveJobs,
			"livejob":    cmdLiveJob,
			"editjob":    cmdEditJob,
			"makejob":    cmdMakeJob,
			"requests":   cmdRequests,
			"forget":     cmdForget,
			"fault":      cmdFault,
			"tmpfs":      cmdTmpfs,
			"remount":    cmdRemount,
			"fill":       cmdFill,
		},
	})
}

// scene is what a story plays in.
type scene struct {
	dir    string
	git    string // URL of the server of git remotes
	places map[string]*emulator.Workspace
	vars   []string // names of variables that a command of ours is run with
	daemon *exec.Cmd
	ended  chan error // holds how the daemon ended
}

type sceneKey struct{}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// usage ends the story where a command of it is written wrongly.
func usage(ts *testscript.TestScript, neg bool, args []string, least, most int, form string) {
	if neg {
		ts.Fatalf("unsupported: ! %s", form)
	}
	if len(args) < least || most >= 0 && len(args) > most {
		ts.Fatalf("usage: %s", form)
	}
}

// setenv sets a variable for the rest of the story.
func (s *scene) setenv(ts *testscript.TestScript, name, value string) {
	ts.Setenv(name, value)
	s.vars = append(s.vars, name)
}

// selvage is a command line of ours in the story's folder and environment. Unlike exec it stays out of the
// story's log.
func (s *scene) selvage(ts *testscript.TestScript, args ...string) *exec.Cmd {
	path, err := exec.LookPath("selvage")
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range append([]string{"PATH", "HOME", "TMPDIR", "TZ", "GORACE", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "SELVAGE_CONFIG", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "NO_COLOR"}, s.vars...) {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

func (s *scene) place(ts *testscript.TestScript, name string) *emulator.Workspace {
	w := s.places[name]
	if w == nil {
		ts.Fatalf("there is no workspace %s", name)
	}
	return w
}

// siteYAML is the configuration of the command site.
const siteYAML = `state: state
fabrics:
  production:
    databricks: {host: "${env:PRODUCTION_URL}", token: "${env:PRODUCTION_TOKEN}"}
    prophecy_ids: [1174]
  development:
    databricks: {host: "${env:DEVELOPMENT_URL}", token: "${env:DEVELOPMENT_TOKEN}"}
    prophecy_ids: [1174]
projects:
  hello: {git: "${env:HELLO_GIT}", prophecy_id: 3224, poll: 1s}
  other: {git: "${env:OTHER_GIT}", prophecy_id: 3225, poll: 1s}
deployments:
  - {project: hello, fabric: production, mode: apply, follow: {tag: "HelloSelvage/*"}}
  - {project: other, fabric: development, mode: apply, follow: {branch: main}}
`

func cmdSite(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 0, 1, "site [new]")
	for _, name := range []string{"production", "development"} {
		cmdWorkspace(ts, false, []string{name})
	}
	for _, name := range []string{"hello", "other"} {
		cmdRemote(ts, false, []string{name})
	}
	cmdPush(ts, false, []string{"hello", "HelloSelvage/1.0.0"})
	cmdPush(ts, false, []string{"other"})
	ts.Check(os.WriteFile(ts.MkAbs("selvage.yaml"), []byte(siteYAML), 0o644))
	if len(args) == 1 {
		return
	}
	for _, name := range []string{"hello@production", "other@development"} {
		cmdPlanDigest(ts, false, []string{"PLAN", name})
		if out, err := sceneOf(ts).selvage(ts, "apply", name, "--plan", ts.Getenv("PLAN")).CombinedOutput(); err != nil {
			ts.Fatalf("apply %s: %v\n%s", name, err, out)
		}
	}
	for _, w := range sceneOf(ts).places {
		w.ResetJournal()
	}
}

func cmdWorkspace(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 1, "workspace NAME")
	s := sceneOf(ts)
	token := "canary-" + args[0] + "-token"
	w := emulator.New(emulator.Options{Token: token, IntentLog: filepath.Join(s.dir, "state", ledgerDir)})
	url, stop, err := w.Start()
	ts.Check(err)
	ts.Defer(stop)
	s.places[args[0]] = w
	s.setenv(ts, strings.ToUpper(args[0])+"_URL", url)
	s.setenv(ts, strings.ToUpper(args[0])+"_TOKEN", token)
}

func runGit(ts *testscript.TestScript, dir string, args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	for _, name := range []string{"GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		ts.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func cmdRemote(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 2, "remote NAME [empty]")
	s := sceneOf(ts)
	name := args[0]
	bare := filepath.Join(s.dir, "remotes", name+".git")
	runGit(ts, s.dir, "init", "-q", "--bare", "-b", "main", bare)
	runGit(ts, s.dir, "clone", "-q", bare, name)
	runGit(ts, ts.MkAbs(name), "checkout", "-q", "-b", "main")
	if len(args) == 1 {
		hello, err := fs.Sub(testdata.Hello, "hello")
		ts.Check(err)
		ts.Check(os.CopyFS(ts.MkAbs(name), hello))
	}
	s.setenv(ts, strings.ToUpper(name)+"_GIT", s.git+"/"+name+".git")
}

func cmdPush(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 2, "push NAME [TAG]")
	dir := filepath.Join(sceneOf(ts).dir, args[0])
	runGit(ts, dir, "add", "-A")
	runGit(ts, dir, "commit", "-q", "--allow-empty", "-m", "work "+strings.Join(args[1:], ""))
	refs := []string{"push", "-q", "origin", "main"}
	if len(args) == 2 {
		runGit(ts, dir, "tag", "-a", "-m", args[1], args[1])
		refs = append(refs, args[1])
	}
	runGit(ts, dir, refs...)
	head := runGit(ts, dir, "rev-parse", "--short=7", "HEAD")
	ts.Setenv(strings.ToUpper(args[0])+"_COMMIT", head)
}

func cmdGit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "git NAME ARGS")
	runGit(ts, filepath.Join(sceneOf(ts).dir, args[0]), args[1:]...)
}

func cmdReplace(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 3, 3, "replace FILE OLD NEW")
	file := ts.MkAbs(args[0])
	text, err := os.ReadFile(file)
	ts.Check(err)
	if !bytes.Contains(text, []byte(args[1])) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(file, bytes.ReplaceAll(text, []byte(args[1]), []byte(args[2])), 0o644))
}

func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 0, -1, "daemon [ARGS]")
	s := sceneOf(ts)
	log, err := os.OpenFile(filepath.Join(s.dir, "daemon.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	ts.Check(err)
	defer log.Close()
	began, err := log.Seek(0, 2)
	ts.Check(err)
	cmd := s.selvage(ts, append([]string{"run"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.daemon, s.ended = cmd, ended
	ts.Defer(func() {
		if s.daemon == cmd {
			s.stop(syscall.SIGTERM)
		}
	})
	for range 400 {
		select {
		case err := <-s.ended:
			s.daemon = nil
			text, _ := os.ReadFile(log.Name())
			ts.Fatalf("the daemon ended: %v\n%s", err, text[began:])
		case <-time.After(50 * time.Millisecond):
		}
		if text, err := os.ReadFile(log.Name()); err == nil && bytes.Contains(text[began:], []byte(`"msg":"ready"`)) {
			return
		}
	}
	ts.Fatalf("the daemon was not ready after 20 s")
}

// stop ends the daemon with a signal and returns how it ended.
func (s *scene) stop(signal syscall.Signal) error {
	cmd := s.daemon
	s.daemon = nil
	cmd.Process.Signal(signal)
	select {
	case err := <-s.ended:
		return err
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		<-s.ended
		return errors.New("it did not stop within 20 s")
	}
}

func cmdStopDaemon(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 0, 1, "[!] stopdaemon [-kill]")
	s := sceneOf(ts)
	if s.daemon == nil {
		ts.Fatalf("no daemon is running")
	}
	if len(args) == 1 {
		s.stop(syscall.SIGKILL)
		return
	}
	if err := s.stop(syscall.SIGTERM); (err != nil) != neg {
		ts.Fatalf("the daemon ended: %v\n%s", err, ts.ReadFile(filepath.Join(s.dir, "daemon.log")))
	}
}

func cmdNotify(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 0, 0, "notify")
	path := ts.MkAbs("notify.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	told, err := os.Create(ts.MkAbs("notified"))
	ts.Check(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for message := make([]byte, 4096); ; {
			n, err := conn.Read(message)
			if err != nil {
				return
			}
			told.Write(append(message[:n:n], '\n'))
		}
	}()
	ts.Defer(func() { conn.Close(); <-done; told.Close() })
	ts.Setenv("NOTIFY_SOCKET", path)
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "until REGEXP COMMAND")
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if args[1] != "selvage" {
		ts.Fatalf("until runs selvage, not %s", args[1])
	}
	var out []byte
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		out, _ = sceneOf(ts).selvage(ts, args[2:]...).CombinedOutput() // what it prints says all
		if want.Match(out) {
			return
		}
	}
	ts.Fatalf("no match for %s within 30 s; last:\n%s", args[0], out)
}

func cmdTerminal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 2, -1, "[!] terminal ANSWER ARGS")
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	defer keyboard.Close()
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	ts.Check(err)
	ts.Check(unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	screen, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	cmd := sceneOf(ts).selvage(ts, args[1:]...)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	err = cmd.Start()
	screen.Close()
	ts.Check(err)
	shown := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(keyboard) // ends with EIO once nobody has the terminal any more
		shown <- text
	}()
	_, err = keyboard.WriteString(args[0] + "\n")
	ts.Check(err)
	err = cmd.Wait()
	say(ts, strings.ReplaceAll(string(<-shown), "\r\n", "\n"))
	if (err != nil) != neg {
		ts.Fatalf("selvage %s: %v", strings.Join(args[1:], " "), err)
	}
}

func cmdPlanDigest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "plandigest VAR ARGS")
	cmd := sceneOf(ts).selvage(ts, append([]string{"plan", "--output", "json"}, args[1:]...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output() // 2 says that there are changes
	var d reconciler.Decision
	if err := json.Unmarshal(out, &d); err != nil || d.Plan.Digest == "" {
		ts.Fatalf("there is no plan to approve: %s%s", out, stderr.Bytes())
	}
	ts.Setenv(args[0], d.Plan.Digest[:6])
}

func cmdLiveJobs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 1, "livejobs WORKSPACE")
	var names []string
	for _, j := range sceneOf(ts).place(ts, args[0]).Jobs() {
		names = append(names, j.Name)
	}
	slices.Sort(names)
	say(ts, strings.Join(append(names, ""), "\n"))
}

// say is the output of a story's own command, for stdout and cmp.
func say(ts *testscript.TestScript, text string) {
	_, err := ts.Stdout().Write([]byte(text))
	ts.Check(err)
}

func (s *scene) job(ts *testscript.TestScript, place, name string) emulator.Job {
	for _, j := range s.place(ts, place).Jobs() {
		if j.Name == name {
			return j
		}
	}
	ts.Fatalf("there is no job %s in %s", name, place)
	panic("unreachable")
}

func cmdLiveJob(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "livejob WORKSPACE NAME")
	var b bytes.Buffer
	ts.Check(json.Indent(&b, sceneOf(ts).job(ts, args[0], args[1]).Settings, "", "  "))
	say(ts, b.String()+"\n")
}

func cmdEditJob(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 3, 3, "editjob WORKSPACE NAME PATCH")
	s := sceneOf(ts)
	ts.Check(s.place(ts, args[0]).PatchJob(s.job(ts, args[0], args[1]).ID, []byte(args[2])))
}

func cmdMakeJob(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "makejob WORKSPACE JSON")
	_, err := sceneOf(ts).place(ts, args[0]).CreateJob([]byte(args[1]))
	ts.Check(err)
}

func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 3, "requests WORKSPACE PATTERN [N]")
	n := sceneOf(ts).place(ts, args[0]).Count(args[1])
	if len(args) == 2 {
		say(ts, strconv.Itoa(n)+"\n")
		return
	}
	if want, err := strconv.Atoi(args[2]); err != nil || n != want {
		ts.Fatalf("%s saw %d requests like %q, not %s", args[0], n, args[1], args[2])
	}
}

func cmdForget(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 1, "forget WORKSPACE")
	sceneOf(ts).place(ts, args[0]).ResetJournal()
}

func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "fault WORKSPACE JSON|clear")
	w := sceneOf(ts).place(ts, args[0])
	if args[1] == "clear" {
		w.ClearFaults()
		return
	}
	var f emulator.Fault
	ts.Check(json.Unmarshal([]byte(args[1]), &f))
	w.Fault(f)
}

// cmdTmpfs mounts a disk of its own, because root writes to every folder of any other, and fills it.
func cmdTmpfs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "tmpfs DIR SIZE")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]); err != nil {
		ts.Fatalf("mount a small disk: %v (this story needs root that may mount)", err)
	}
	ts.Defer(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func cmdRemount(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "remount DIR ro|rw")
	flags := uintptr(unix.MS_REMOUNT)
	if args[1] == "ro" {
		flags |= unix.MS_RDONLY
	}
	ts.Check(unix.Mount("tmpfs", ts.MkAbs(args[0]), "tmpfs", flags, ""))
}

func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 1, "fill DIR")
	f, err := os.Create(filepath.Join(ts.MkAbs(args[0]), "filler"))
	ts.Check(err)
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			ts.Fatalf("%v", err)
		}
		block = block[:len(block)/2]
	}
}
