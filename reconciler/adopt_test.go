package reconciler

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
	"selvage/reconciler/adoption"
)

// hamlet is an estate of one project with jobs a, b and c, live as of its release 1.0.0.
func hamlet(t *testing.T, bubble bool) *estate {
	site := newSite
	if bubble {
		site = newBubbleSite
	}
	e := newEstate(t, site(t, emulator.Options{}), 1)
	e.mode = "apply"
	jobs := []oldJob{{"a", "a", "load", true}, {"b", "b", "load", false}, {"c", "c", "load", false}}
	e.project("p01", jobs)
	e.commit("p01/1.0.0")
	for _, j := range jobs {
		e.deploy("p01", j, "1.0.0")
	}
	e.configure()
	return e
}

const hamletDeployment = "p01@production"

// accepts has the proposal accepted as it is.
func (e *estate) accepts(q AdoptRequest) Takeover {
	e.t.Helper()
	seen, err := e.adopt(q)
	if err != nil {
		e.t.Fatal(err)
	}
	q.Accept = seen.Digest
	done, err := e.adopt(q)
	if err != nil {
		e.t.Fatal(err)
	}
	return done
}

// applies approves the plan that there is.
func (e *estate) applies(revision string) Decision {
	e.t.Helper()
	p, err := e.Plan(e.t.Context(), hamletDeployment, revision)
	if err != nil {
		e.t.Fatal(err)
	}
	d, err := e.Apply(e.t.Context(), ApplyRequest{Deployment: hamletDeployment, Revision: revision, Plan: p.Plan.Digest, By: "lead"})
	if err != nil {
		e.t.Fatal(err)
	}
	return d
}

// looks polls and reconciles once, as the daemon does.
func (e *estate) looks() (Decision, error) {
	d, _ := e.Config.Deployment(hamletDeployment)
	if _, err := e.Repositories["p01"].Poll(context.Background(), []gitwatch.Follow{follow(d)}); err != nil {
		e.t.Fatal(err)
	}
	e.sighted(context.Background(), e.Setup, d)
	return e.Reconciler.reconcile(context.Background(), hamletDeployment, ask{})
}

func (e *estate) edit(job, patch string) {
	e.t.Helper()
	if err := e.workspace.PatchJob(e.live["p01 jobs/"+job], []byte(patch)); err != nil {
		e.t.Fatal(err)
	}
}

// reasons are what the changes of a plan say, by key.
func reasons(p Plan) map[fabric.Key]string {
	m := map[fabric.Key]string{}
	for _, c := range p.Changes {
		m[c.Key] = strings.Join(strings.Fields(string(c.Action)+" "+string(c.Hindrance)+" "+string(c.Reason.Code)), " ")
	}
	return m
}

// Whatever becomes of a request of the first apply or of a disown, each job goes on as the one that it was.
func TestAdoptionAndFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		if f.fault.Status == 429 || f.fault.Status == 503 {
			continue // these leave no doubt
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for k := range 3 {
				synctest.Test(t, func(t *testing.T) { adoptionFault(t, f.fault, k, f.kill) })
			}
		})
	}
}

func adoptionFault(t *testing.T, fault emulator.Fault, k int, kill bool) {
	e := hamlet(t, true)
	e.open()
	before := e.jobs(t)
	e.accepts(AdoptRequest{})
	strike := func(pattern string) {
		fault.Pattern, fault.Offset, fault.Times = pattern, k, 1
		if kill {
			fault.Hook = func() { e.log.Close() }
		}
		e.workspace.Fault(fault)
	}
	mend := func() {
		e.workspace.ClearFaults()
		if kill {
			e.Reconciler.Close()
			e.place.Close()
			e.log.Close()
			if k%2 == 0 {
				os.Remove(filepath.Join(e.dir, "state", "selvage.db"))
			}
			e.open()
		}
	}
	p, err := e.Plan(t.Context(), hamletDeployment, "")
	if err != nil {
		t.Fatal(err)
	}
	strike("POST /api/2.2/jobs/reset")
	e.Apply(t.Context(), ApplyRequest{Deployment: hamletDeployment, Plan: p.Plan.Digest, By: "lead"}) // may fail: that is the point
	mend()
	var d Decision
	for range 40 {
		if d, _ = e.looks(); d.Phase == Sound && d.Plan.Digest == "" {
			break
		}
		time.Sleep(max(time.Until(d.Again), time.Second))
	}
	e.verified(d)
	if diff := cmp.Diff(before, e.jobs(t)); diff != "" {
		t.Fatalf("reset %d: the jobs are others:\n%s", k, diff)
	}
	strike("POST /api/2.2/jobs/update")
	_, err = e.Disown(t.Context(), DisownRequest{Deployment: hamletDeployment, By: "lead"})
	mend()
	for range 5 {
		if err == nil {
			break
		}
		time.Sleep(time.Minute)
		_, err = e.Disown(t.Context(), DisownRequest{Deployment: hamletDeployment, By: "lead"})
	}
	if err != nil {
		t.Fatalf("update %d: disown: %v", k, err)
	}
	for _, j := range e.workspace.Jobs() {
		if strings.Contains(string(j.Settings), "elvage-") || strings.Contains(string(j.Settings), "Managed by") {
			t.Errorf("update %d: job %d still says that it is ours: %s", k, j.ID, j.Settings)
		}
	}
	if diff := cmp.Diff(before, e.jobs(t)); diff != "" || len(e.log.OpenIntents()) > 0 {
		t.Errorf("update %d: handing back changed the jobs: %v\n%s", k, e.log.OpenIntents(), diff)
	}
	e.shut()
	e.sound()
}

// What happens to a live job between its acceptance and its first apply is seen.
func TestAdoptedAndThenEdited(t *testing.T) {
	e := hamlet(t, false)
	e.open()
	e.accepts(AdoptRequest{})
	e.edit("a", `{"max_concurrent_runs": 6}`)
	e.edit("b", `{"schedule": {"pause_status": "PAUSED"}}`)
	e.edit("c", `{"tags": {"selvage-installation": "other", "selvage-key": "x"}}`)
	want := map[fabric.Key]string{"jobs/a": "update blocked adopted_edited", "jobs/b": "update blocked adopted_edited", "jobs/c": "update blocked adopted_marked"}
	p, err := e.Plan(t.Context(), hamletDeployment, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, reasons(p.Plan)); diff != "" {
		t.Error(diff)
	}
	// A person who approves all the same does not overwrite it: the edit has to be decided about.
	if d, _ := e.Apply(t.Context(), ApplyRequest{Deployment: hamletDeployment, Plan: p.Plan.Digest, By: "lead"}); cmp.Diff(want, reasons(d.Plan)) != "" || e.workspace.Count("POST /api/2.2/jobs/*") != 0 {
		t.Errorf("applied: %v", reasons(d.Plan))
	}
	e.edit("c", `{"tags": null}`)
	e.accepts(AdoptRequest{GiveUp: []string{"all"}})
	e.verified(e.applies(""))
	for id, settings := range e.jobs(t) {
		if paused := strings.Contains(settings, `"PAUSED"`); paused == (id == e.live["p01 jobs/c"]) || strings.Contains(settings, `"max_concurrent_runs": 6`) {
			t.Errorf("job %d: %s", id, settings)
		}
	}

	if s := e.jobs(t)[e.live["p01 jobs/b"]]; !strings.Contains(s, `"PAUSED"`) {
		t.Errorf("b is no longer paused: %s", s)
	}

	// Whether it is paused stays for as long as git does not say otherwise.
	e.replace("p01/jobs/b/code/databricks-job.json", `"quartz_cron_expression" : "0 0 5 * * ?"`, `"quartz_cron_expression" : "0 0 6 * * ?"`)
	e.commit("p01/1.1.0")
	e.verified(e.applies("p01/1.1.0"))
	if s := e.jobs(t)[e.live["p01 jobs/b"]]; !strings.Contains(s, `"0 0 6 * * ?"`) || !strings.Contains(s, `"PAUSED"`) {
		t.Errorf("1.1.0: %s", s)
	}
	if err := e.ResumeJob(t.Context(), hamletDeployment, "b", "lead"); err != nil {
		t.Error(err)
	}
	e.looks()
	if s := e.jobs(t)[e.live["p01 jobs/b"]]; !strings.Contains(s, `"UNPAUSED"`) {
		t.Errorf("resumed: %s", s)
	}
	e.replace("p01/jobs/b/code/databricks-job.json", `"UNPAUSED"`, `"PAUSED"`)
	e.commit("p01/1.2.0")
	e.verified(e.applies("p01/1.2.0"))
	e.replace("p01/jobs/b/code/databricks-job.json", `"PAUSED"`, `"UNPAUSED"`)
	e.commit("p01/1.3.0")
	e.verified(e.applies("p01/1.3.0"))
	if s := e.jobs(t)[e.live["p01 jobs/b"]]; !strings.Contains(s, `"UNPAUSED"`) {
		t.Errorf("1.3.0: %s", s)
	}
	e.shut()
	e.sound()
}

// Live jobs of two releases: most say which is the baseline, and what the other lacks of it is no edit.
func TestAdoptMixedReleases(t *testing.T) {
	e := hamlet(t, false)
	e.replace("p01/jobs/a/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 2`)
	e.commit("p01/1.1.0")
	e.commit("p01/1.2.0")
	text, err := os.ReadFile(filepath.Join(e.work, "p01/jobs/a/code/databricks-job.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range []string{"b", "c"} { // these went on to 1.1.0
		e.edit(job, `{"job_clusters": [{"job_cluster_key": "`+job+`_default_small", "new_cluster": {"spark_conf": {"spark.prophecy.metadata.job.branch": "1.1.0"}}}]}`)
	}
	if !strings.Contains(string(text), `"max_retries" : 2`) {
		t.Fatal("a has no change in 1.1.0")
	}
	e.open()
	seen, err := e.adopt(AdoptRequest{})
	if err != nil {
		t.Fatal(err)
	}
	a := seen.Deployments[0]
	if diff := cmp.Diff([]adoption.Version{{Version: "1.1.0", Jobs: 2}, {Version: "1.0.0", Jobs: 1}}, a.Versions); diff != "" || a.Baseline.Version != "1.1.0" {
		t.Errorf("baseline %s\n%s", a.Baseline, diff)
	}
	for _, m := range a.Matched {
		if edits, release := m.Count(adoption.Edited), m.Count(adoption.Release); edits != 0 || (release == 1) != (m.Key == "jobs/a") {
			t.Errorf("%s: %d edits, %d fields of another release: %+v", m.Key, edits, release, m.Differs)
		}
	}
	older, err := e.adopt(AdoptRequest{Baseline: "p01/1.0.0"})
	if err != nil || older.Deployments[0].Baseline.Version != "1.0.0" || older.Digest == seen.Digest {
		t.Errorf("another baseline: %v, %s", err, older.Deployments[0].Baseline)
	}
	if _, err := e.adopt(AdoptRequest{Baseline: "p01/9"}); err == nil {
		t.Error("a baseline that is not there")
	}

	// It is held there, over a restart with nothing but the ledger, and newer releases wait.
	e.accepts(AdoptRequest{})
	e.shut()
	os.Remove(filepath.Join(e.dir, "state", "selvage.db"))
	e.open()
	e.verified(e.applies(""))
	for range 2 {
		d, err := e.looks()
		if err != nil || d.Revision.Version != "1.1.0" {
			t.Fatalf("held: %v, at %s", err, d.Revision)
		}
		e.finds(d, configs.Held)
	}
	e.edit("b", `{"max_concurrent_runs": 6}`) // drift, which heal does not put right by itself here
	if d, err := e.Plan(t.Context(), hamletDeployment, ""); err != nil || reasons(d.Plan)["jobs/b"] != "update blocked adopted_heal_off" {
		t.Errorf("drift: %v %v", err, reasons(d.Plan))
	}
	e.verified(e.applies(""))

	// A person who applies another release moves the hold; who ends it gets the newest.
	e.commit("p01/1.3.0")
	if d := e.applies("p01/1.2.0"); d.Revision.Version != "1.2.0" {
		t.Errorf("applied %s", d.Revision)
	}
	if d, _ := e.looks(); d.Revision.Version != "1.2.0" || d.Phase != Sound {
		t.Errorf("held at the release that was applied: %s %s", d.Revision, d.Result.Text)
	}
	if err := e.Unhold(t.Context(), hamletDeployment, "lead"); err != nil {
		t.Fatal(err)
	}
	e.commit("p01/1.4.0")
	if d, _ := e.looks(); d.Revision.Version != "1.4.0" || d.Phase != Sound {
		t.Errorf("no longer held: %s %s", d.Revision, d.Result.Text)
	}
	if err := e.Unhold(t.Context(), hamletDeployment, "lead"); !errors.Is(err, errNotHeld) {
		t.Errorf("ended twice: %v", err)
	}
	h, err := e.Hold(t.Context(), HoldRequest{Deployment: hamletDeployment, Revision: "p01/1.0.0", By: "lead", Why: "a mistake"})
	if err != nil || h.Revision.Version != "1.0.0" {
		t.Fatalf("hold: %v %s", err, h)
	}
	if d, _ := e.looks(); d.Revision.Version != "1.0.0" || !slices.ContainsFunc(d.Verdicts, func(v Verdict) bool { return v.Gate == "descent" }) {
		t.Errorf("held at an older release, which needs a person: %s %v", d.Revision, d.Verdicts)
	}
	e.shut()
	e.sound()
}

// One job is handed back, stays away from us under whatever name, and is taken over again.
func TestDisownOne(t *testing.T) {
	e := hamlet(t, false)
	e.open()
	e.accepts(AdoptRequest{})
	e.verified(e.applies(""))
	if _, err := e.Disown(t.Context(), DisownRequest{Deployment: hamletDeployment, Keys: []fabric.Key{"jobs/x"}, By: "lead"}); err == nil {
		t.Error("a job that is not ours was handed back")
	}
	h, err := e.Disown(t.Context(), DisownRequest{Deployment: hamletDeployment, Keys: []fabric.Key{"jobs/a"}, By: "lead", Why: "sales takes it"})
	if err != nil || len(h.Keys) != 1 || h.Whole {
		t.Fatalf("%v %+v", err, h)
	}
	e.edit("a", `{"name": "another name"}`)
	e.workspace.ResetJournal()
	for range 2 {
		e.looks()
	}
	p, err := e.Plan(t.Context(), hamletDeployment, "")
	if err != nil || e.workspace.Count("POST *") != 0 {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[fabric.Key]string{"jobs/a": "keep blocked disowned", "jobs/b": "keep up_to_date", "jobs/c": "keep up_to_date"}, reasons(p.Plan)); diff != "" {
		t.Error(diff)
	}
	done := e.accepts(AdoptRequest{GiveUp: []string{"jobs/a:name"}})
	if c := done.Count(); c.Matched != 1 || c.Ours != 2 {
		t.Errorf("taken over again: %s", c)
	}
	if d, _ := e.looks(); d.Result.Code != configs.FirstApply || e.workspace.Count("POST *") != 0 {
		t.Errorf("what is taken over again waits for a person: %s", d.Result.Text)
	}
	e.verified(e.applies(""))
	if len(e.workspace.Jobs()) != 3 {
		t.Errorf("%d jobs", len(e.workspace.Jobs()))
	}
	e.shut()
	e.sound()
}

// What no overlay says, or what it would change elsewhere too, is said; the rest is kept.
func TestAdoptPatch(t *testing.T) {
	t.Parallel()
	e := newEstate(t, newSite(t, emulator.Options{}), 1)
	jobs := []oldJob{{"a", "a", "load", true}, {"b", "b", "load", false}}
	e.project("p01", jobs)
	shared := regexp.MustCompile(`[ab]_default_small`)
	for _, j := range jobs {
		file := filepath.Join(e.work, "p01/jobs", j.folder, "code/databricks-job.json")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = shared.ReplaceAll(text, []byte("Cluster_1"))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		id, err := e.workspace.CreateJob(deployedBefore(t, string(text), e.projectID("p01"), "1.0.0"))
		if err != nil {
			t.Fatal(err)
		}
		e.live["p01 jobs/"+j.folder] = id
	}
	e.commit("p01/1.0.0")
	e.edit("a", `{"job_clusters": [{"job_cluster_key": "Cluster_1", "new_cluster": {"num_workers": 9}}],
		"tasks": [{"task_key": "more", "notebook_task": {"notebook_path": "/Shared/more"}}],
		"tags": {"api_token": "canary-secret-1", "team": "sales"}, "timeout_seconds": 60}`)
	e.configure()
	e.open()
	seen, err := e.adopt(AdoptRequest{})
	if err != nil {
		t.Fatal(err)
	}
	a := seen.Deployments[0]
	got := map[string]string{}
	for _, d := range a.Matched[0].Differs {
		if d.Class == adoption.Edited {
			got[d.Path] = d.Cant
		}
	}
	want := map[string]string{
		"job_clusters[Cluster_1].new_cluster.num_workers": "jobs/b has a cluster of that key too, which the overlay would change as well",
		"tasks[more]":     "a task or a cluster as a whole is no patch",
		"tags.api_token":  "it holds a secret, which belongs into a secret scope",
		"tags.team":       "",
		"timeout_seconds": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(encode(seen)), "canary-secret") || !strings.Contains(a.Patch, `"timeout_seconds": 60`) || !strings.Contains(a.Patch, `"team": "sales"`) || strings.Contains(a.Patch, "num_workers") {
		t.Errorf("the patch:\n%s", a.Patch)
	}
	if _, err := e.adopt(AdoptRequest{GiveUp: []string{"jobs/a:no.such"}}); err == nil {
		t.Error("a field that is no edit was given up")
	}
	if _, err := e.adopt(AdoptRequest{Match: map[fabric.Key]string{"jobs/a": strconv.FormatInt(e.live["p01 jobs/a"]+1, 10)}}); err == nil {
		t.Error("a live job that is not there was chosen")
	}
	e.shut()
	e.sound()
}

// The permissions of a job that is taken over stay as they are, until somebody says that they are to be as in git.
func TestAdoptedAccess(t *testing.T) {
	e := hamlet(t, false)
	e.replace("p01/jobs/a/code/databricks-job.json", `"max_concurrent_runs" : 1`, `"max_concurrent_runs" : 1, "access_control_list" : [ { "group_name" : "ops", "permission_level" : "CAN_VIEW" } ]`)
	e.git(e.work, "commit", "-qam", "access")
	e.git(e.work, "tag", "-f", "-a", "-m", "x", "p01/1.0.0")
	e.git(e.work, "push", "-qf", "origin", "p01/1.0.0")
	e.open()
	if c := e.accepts(AdoptRequest{}).Count(); c.Matched != 3 || c.Missing != 0 {
		t.Errorf("an access list is no job: %s", c)
	}
	e.verified(e.applies(""))
	asked := func() int {
		return e.workspace.Count("PUT /api/2.0/permissions/*") + e.workspace.Count("PATCH /api/2.0/permissions/*")
	}
	for range 2 {
		e.poll()
		e.looks()
	}
	p, err := e.Plan(t.Context(), hamletDeployment, "")
	if err != nil || reasons(p.Plan)["jobs/a:permissions"] != "update blocked adopted_heal_off" || asked() != 0 {
		t.Errorf("%v, %d requests, %v", err, asked(), reasons(p.Plan))
	}
	e.shut()
	e.yaml = strings.Replace(e.yaml, "projects:\n", "policies: {healing: {heal: true}}\nprojects:\n", 1)
	e.yaml = strings.Replace(e.yaml, "    mode: apply\n", "    mode: apply\n    policy: healing\n", 1)
	e.open()
	if d, err := e.looks(); err != nil || asked() != 1 {
		t.Errorf("with heal: %v, %d requests, %v", err, asked(), reasons(d.Plan))
	}
	if _, err := e.Disown(t.Context(), DisownRequest{Deployment: hamletDeployment, By: "lead"}); err != nil {
		t.Error(err)
	}
	if s, err := e.Status(t.Context(), hamletDeployment); err != nil || s[0].Owned != 0 || s[0].State != "handed back" {
		t.Errorf("handed back: %v %+v", err, s)
	}
	e.shut()
	e.sound()
}

// TestReleaseOfALiveJob: a live job says a version, and the tag that it came from may be written a little otherwise.
func TestReleaseOfALiveJob(t *testing.T) {
	t.Parallel()
	of := func(versions ...string) (found []Revision) {
		for _, v := range versions {
			found = append(found, Revision{Name: "Shop/" + v, Version: v})
		}
		return found
	}
	for _, tt := range []struct {
		candidates []Revision
		says       adoption.Version
		want       string
	}{
		{of("1.1.0", "1.0.0"), adoption.Version{Version: "1.0.0"}, "Shop/1.0.0"},
		{of("1.1.0", "1.0.0"), adoption.Version{Version: "1.0.0", Tag: "Shop/1.1.0"}, "Shop/1.1.0"},
		{of("v1.1.0", "v1.0.0"), adoption.Version{Version: "1.0.0"}, "Shop/v1.0.0"},
		{of("1.0.0", "v1.0.0"), adoption.Version{Version: "v1.0.0"}, "Shop/v1.0.0"},
		{of("1.1.0"), adoption.Version{Version: "1.0.0"}, ""},
	} {
		if got, ok := ofVersion(tt.candidates, tt.says); got.Name != tt.want || ok != (tt.want != "") {
			t.Errorf("%+v: %q, %v", tt.says, got.Name, ok)
		}
	}
}
