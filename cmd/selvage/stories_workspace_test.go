package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"selvage/fabric/databricks/emulator"
)

func cmdWorkspace(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, 1, "workspace NAME")
	s := sceneOf(ts)
	token := "canary-" + args[0] + "-token"
	const guest = "guest@shop.example" // is no admin
	w := emulator.New(emulator.Options{Token: token, Users: map[string]string{token + "-of-guest": guest}, Guests: map[string][]string{guest: {"users"}},
		IntentLog: filepath.Join(s.dir, "state", ledgerDir)})
	url, stop, err := w.Start()
	ts.Check(err)
	ts.Defer(stop)
	s.places[args[0]] = w
	s.setenv(ts, strings.ToUpper(args[0])+"_URL", url)
	s.setenv(ts, strings.ToUpper(args[0])+"_TOKEN", token)
	s.setenv(ts, strings.ToUpper(args[0])+"_GUEST", token+"-of-guest")
}

func (s *scene) place(ts *testscript.TestScript, name string) *emulator.Workspace {
	w := s.places[name]
	if w == nil {
		ts.Fatalf("there is no workspace %s", name)
	}
	return w
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

func cmdAccess(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "access WORKSPACE NAME")
	s := sceneOf(ts)
	say(ts, strings.Join(append(s.place(ts, args[0]).Access(s.job(ts, args[0], args[1]).ID), ""), "\n"))
}

func cmdEditAccess(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 3, 3, "editaccess WORKSPACE NAME LIST")
	s := sceneOf(ts)
	ts.Check(s.place(ts, args[0]).SetAccess(s.job(ts, args[0], args[1]).ID, []byte(`{"access_control_list":`+args[2]+`}`)))
}

func cmdMakeJob(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 3, "makejob WORKSPACE JSON [N]")
	n := 1
	if len(args) == 3 {
		var err error
		n, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	for i := range n {
		_, err := sceneOf(ts).place(ts, args[0]).CreateJob([]byte(strings.ReplaceAll(args[1], "#", strconv.Itoa(i+1))))
		ts.Check(err)
	}
}

func cmdThing(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 4, 4, "thing VAR WORKSPACE KIND NAME")
	id, err := sceneOf(ts).place(ts, args[1]).SetThing(args[2], args[3])
	ts.Check(err)
	ts.Setenv(args[0], id)
}

func cmdDropThing(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "dropthing WORKSPACE ID")
	if !sceneOf(ts).place(ts, args[0]).DropThing(args[1]) {
		ts.Fatalf("there is no %s in %s", args[1], args[0])
	}
}

func cmdRunJob(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, 2, "runjob WORKSPACE NAME")
	s := sceneOf(ts)
	ts.Check(s.place(ts, args[0]).RunJob(s.job(ts, args[0], args[1]).ID))
}

func cmdRuns(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 3, 3, "runs WORKSPACE NAME N")
	s := sceneOf(ts)
	n := s.place(ts, args[0]).Runs(s.job(ts, args[0], args[1]).ID)
	if want, err := strconv.Atoi(args[2]); err != nil || n != want {
		ts.Fatalf("job %s of %s has %d runs, not %s", args[1], args[0], n, args[2])
	}
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
