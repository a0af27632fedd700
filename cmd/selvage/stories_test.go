package main

import (
	"bytes"
	"flag"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch/githttp"
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
//	hup                       sends the daemon SIGHUP
//	untilfile REGEXP FILE     waits until a file has such a line, for 30 s at most
//	notify                    plays systemd: what the daemon tells it is in $WORK/notified
//	until REGEXP selvage ARGS runs selvage again and again until its output matches, for 30 s at most
//	terminal ANSWER ARGS      runs selvage ARGS at a terminal of its own, types ANSWER and return, and prints what the
//	                          terminal showed; with !, the command must end with another status than 0
//	plandigest VAR ARGS       sets VAR to the digest of what selvage plan ARGS shows
//	livejobs WORKSPACE        prints the names of the live jobs, a line each
//	livejob WORKSPACE NAME    prints the settings of a live job as JSON
//	editjob WORKSPACE NAME P  changes a live job by hand with the merge patch P
//	access WORKSPACE NAME     prints who may do what with a live job, a line each
//	editaccess WORKSPACE NAME J  sets that by hand; J is a whole access_control_list
//	makejob WORKSPACE JSON [N]  makes a job by hand, or N of them, with its number in place of each #
//	thing VAR WORKSPACE KIND NAME  makes a warehouse, policy, pool, cluster, destination or pipeline by hand and sets VAR
//	                          to its id; dropthing WORKSPACE ID takes it away
//	oldtool WORKSPACE NAME PROJECT VERSION  deploys what is in the clone as the authoring tool's own tool does, with its
//	                          state file in $WORK/state.yml
//	adoptdigest VAR ARGS      sets VAR to the digest of what selvage adopt ARGS proposes
//	runjob WORKSPACE NAME     runs a live job; runs WORKSPACE NAME N checks how many runs it has had
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
			"site":        cmdSite,
			"workspace":   cmdWorkspace,
			"remote":      cmdRemote,
			"push":        cmdPush,
			"git":         cmdGit,
			"replace":     cmdReplace,
			"daemon":      cmdDaemon,
			"stopdaemon":  cmdStopDaemon,
			"hup":         cmdHup,
			"untilfile":   cmdUntilFile,
			"notify":      cmdNotify,
			"until":       cmdUntil,
			"terminal":    cmdTerminal,
			"plandigest":  cmdPlanDigest,
			"livejobs":    cmdLiveJobs,
			"livejob":     cmdLiveJob,
			"editjob":     cmdEditJob,
			"access":      cmdAccess,
			"editaccess":  cmdEditAccess,
			"makejob":     cmdMakeJob,
			"oldtool":     cmdOldTool,
			"adoptdigest": cmdAdoptDigest,
			"thing":       cmdThing,
			"dropthing":   cmdDropThing,
			"runjob":      cmdRunJob,
			"runs":        cmdRuns,
			"requests":    cmdRequests,
			"forget":      cmdForget,
			"fault":       cmdFault,
			"tmpfs":       cmdTmpfs,
			"remount":     cmdRemount,
			"fill":        cmdFill,
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
