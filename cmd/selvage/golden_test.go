package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
	"selvage/reconciler"
	"selvage/reconciler/ledger"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	oldWheel = "/Workspace/Users/deployer@shop.example/.selvage/artifacts/41ce07aa00000000000000000000000000000000000000000000000000000000/clean_orders-1.0-py3-none-any.whl"
	newWheel = "/Workspace/Users/deployer@shop.example/.selvage/artifacts/9d0211bb00000000000000000000000000000000000000000000000000000000/clean_orders-1.0-py3-none-any.whl"
)

func text(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

// permissions is a plan about who may do what with jobs.
func permissions() reconciler.Plan {
	field := func(who, was, is string, cause fabric.Cause) fabric.Field {
		f := fabric.Field{Path: "access_control_list[" + who + "].permission_level", New: text(is), Cause: cause}
		if was != "" {
			f.Old = text(was)
		}
		return f
	}
	set := func(job string, c fabric.Change) fabric.Change {
		c.Key, c.Kind = fabric.Attach(fabric.Key(job), fabric.Permissions), fabric.Permissions
		return c
	}
	return reconciler.Plan{Digest: "5c1f9e0d5c1f9e0d", Owned: 4, Counts: reconciler.Counts{Create: 2, Update: 2, Release: 1, Blocked: 1, Keep: 3, Drifted: 1}, Changes: []fabric.Change{
		{Key: "jobs/daily", Kind: "job", ID: "8810", Action: fabric.Keep},
		set("jobs/daily", fabric.Change{ID: "8810", Action: fabric.Update, Cause: fabric.Drift, Fields: []fabric.Field{
			field("user a@shop.example", "CAN_VIEW", "CAN_MANAGE", fabric.Commit),
			{Path: "access_control_list[group eve\x1b]", Old: json.RawMessage(`{"group_name":"eve","permission_level":"CAN_MANAGE"}`), Cause: fabric.Drift}}}),
		set("jobs/hourly", fabric.Change{ID: "8811", Action: fabric.Update, Cause: fabric.Commit}),
		{Key: "jobs/new", Kind: "job", Action: fabric.Create, Cause: fabric.Commit},
		set("jobs/new", fabric.Change{Action: fabric.Create, Cause: fabric.Commit}),
		set("jobs/shy", fabric.Change{ID: "8813", Action: fabric.Update, Hindrance: fabric.Blocked, Reason: configs.Found(configs.NotSeen, "jobs/shy:permissions", "what is live can't be read")}),
		set("jobs/weekly", fabric.Change{ID: "8814", Action: fabric.Release, Reason: configs.Found(configs.Released, "jobs/weekly:permissions", "the definition has none any more")}),
	}}
}

// decision is a plan with everything in it.
func decision() reconciler.Decision {
	stripped := []configs.Finding{
		configs.Found(configs.Stripped, "jobs/daily_revenue", "spark.prophecy.execution.service.url (spark_conf of cluster small)"),
		configs.Found(configs.Stripped, "jobs/daily_revenue", "spark.prophecy.execution.service.url (spark_conf of cluster large)"),
	}
	instance := fabric.Field{Path: "tasks[clean].python_wheel_task.parameters", Old: json.RawMessage(`["-i","default"]`), New: json.RawMessage(`["-i","prod"]`), Cause: fabric.Overlay}
	env := fabric.Field{Path: "tags.env", New: text("prod\x1b[2J"), Cause: fabric.Overlay}
	paused := fabric.Field{Path: "schedule.pause_status", Old: text("PAUSED"), New: text("UNPAUSED"), Cause: fabric.Overlay}
	return reconciler.Decision{
		Deployment: "hello@production", At: noon.Add(-2 * time.Minute), Phase: reconciler.Planned,
		Revision: reconciler.Revision{Ref: "refs/tags/HelloProphecy/1.4.0", Name: "HelloProphecy/1.4.0", Commit: "a1b2c3d4e5f6", By: "dev1 <dev1@shop.example>", When: noon.Add(-26 * time.Hour)},
		Result:   configs.Finding{Code: configs.FirstApply, Subject: "hello@production", Text: "plan 5c1f9e (2 updates): the first apply of a deployment needs a person", Next: "read the plan, then: selvage apply DEPLOYMENT"},
		Verdicts: []reconciler.Verdict{
			{Gate: "tag", State: reconciler.Stop, Reason: configs.Found(configs.TagMoved, "HelloProphecy/1.4.0", "it was 0000001")},
			{Gate: "first apply", State: reconciler.Hold, Reason: configs.Found(configs.FirstApply, "hello@production", "")},
			{Gate: "descent", State: reconciler.Pass, Reason: configs.Found(configs.Approved, "hello@production", "lead (uid 1000)")},
		},
		Findings: []configs.Finding{
			configs.Found(configs.TagMoved, "HelloProphecy/1.4.0", "it was 0000001"),
			configs.Found(configs.TagSkipped, "HelloProphecy/1.3.9", "older than HelloProphecy/1.4.0"),
			configs.Found(configs.JobBroken, "jobs/broken/code/databricks-job.json: request.tasks", "line 2, column 1: the file ends too early"),
			configs.Found(configs.FileOdd, "odd\x1b[2Jname\u202e", ""),
			configs.Found(configs.PipelineUnlisted, "pipelines/old", ""),
			configs.Found(configs.GitUnreachable, "https://git.example.com/hello.git", "dial tcp: timeout"),
		},
		Plan: reconciler.Plan{
			Digest: "5c1f9e0d5c1f9e0d", Owned: 15,
			Counts: reconciler.Counts{Create: 2, Update: 2, Move: 1, Delete: 1, Deferred: 1, Blocked: 2, Keep: 12, Labels: 3, Drifted: 1},
			Notes:  []configs.Finding{configs.Found(configs.TagReserved, "jobs/daily_revenue", "selvage-\x1b[2Jodd")},
			Changes: []fabric.Change{
				{Key: "jobs/broken", Kind: "job", ID: "7001", Action: fabric.Keep, Hindrance: fabric.Blocked, Reason: configs.Found(configs.JobBroken, "jobs/broken", "line 2, column 1: the file ends too early")},
				{Key: "jobs/daily_revenue", Kind: "job", ID: "8812", Action: fabric.Update, Cause: fabric.Commit, Stripped: stripped, Overlay: []fabric.Field{paused, env, instance}, Fields: []fabric.Field{
					{Path: "job_clusters[small].new_cluster.spark_conf[prophecy.packages.path]", Old: text(`{"clean":"` + oldWheel + `","rest":"` + strings.Repeat("x", 60) + `"}`), New: text(`{"clean":"` + newWheel + `","rest":"` + strings.Repeat("x", 60) + `"}`), Cause: fabric.Commit},
					{Path: "schedule.quartz_cron_expression", Old: text("0 0 5 * * ?"), New: text("0 0 4 * * ?"), Cause: fabric.Drift},
					{Path: "tags.env", New: text("prod"), Cause: fabric.Overlay},
					{Path: "tags.evil", Old: text("\x1b[31mred\u202e"), New: text("-"), Cause: fabric.Drift},
					{Path: "tags.version", Old: text("1.0"), New: text("true"), Cause: fabric.Commit},
					{Path: "tasks[clean].libraries[whl clean_orders].whl", Old: text(oldWheel), New: text(newWheel), Cause: fabric.Commit},
					{Path: "tasks[clean].max_retries", Old: json.RawMessage("0"), New: json.RawMessage("2"), Cause: fabric.Commit},
					{Path: "tasks[clean].notebook_task", Old: json.RawMessage(`{"notebook_path":"/Shared/a","source":"WORKSPACE"}`), Cause: fabric.Commit},
					{Path: "tasks[" + strings.Repeat("very_long_", 9) + "].description", Old: text(strings.Repeat("a", 100)), New: text(strings.Repeat("b", 100)), Cause: fabric.Commit},
				}},
				{Key: "jobs/needy", Kind: "job", Action: fabric.Create, Cause: fabric.Commit, Hindrance: fabric.Blocked, Overlay: []fabric.Field{env}, Reason: configs.Found(configs.OutsideMissing, "jobs/needy", "file /Volumes/other/x.whl, secret shop/dbt")},
				{Key: "jobs/new\x07bell", Kind: "job", Action: fabric.Create, Cause: fabric.Commit, Overlay: []fabric.Field{env}},
				{Key: "jobs/nightly", From: "jobs/nightly_production", Kind: "job", ID: "8813", Action: fabric.Move, Cause: fabric.Commit, Reason: configs.Found(configs.Moved, "jobs/nightly", "it was jobs/nightly_production"), Overlay: []fabric.Field{env}, Fields: []fabric.Field{
					{Path: "name", Old: text("nightly_production"), New: text("nightly"), Cause: fabric.Commit}}},
				{Key: "jobs/old_export", Kind: "job", ID: "7710", Action: fabric.Delete, Cause: fabric.Prune, Hindrance: fabric.Deferred, Reason: configs.Found(configs.AbsentOnce, "jobs/old_export", "")},
				{Key: "jobs/older_export", Kind: "job", ID: "7711", Action: fabric.Delete, Cause: fabric.Prune, Reason: configs.Found(configs.Pruned, "jobs/older_export", "")},
				{Key: "jobs/same", Kind: "job", ID: "1", Action: fabric.Keep, Labels: 2, Overlay: []fabric.Field{env}, Reason: configs.Found(configs.LabelsOnly, "jobs/same", "")},
				{Key: "jobs/vanished", Kind: "job", Action: fabric.Create, Cause: fabric.Drift, Reason: configs.Found(configs.Drifted, "jobs/vanished", "job 9 was deleted"), Stripped: stripped[:1]},
				{Key: "jobs/weekly_report", Kind: "job", ID: "9", Action: fabric.Update, Cause: fabric.Drift, Reason: configs.Found(configs.Drifted, "jobs/weekly_report", "max_concurrent_runs"), Fields: []fabric.Field{{Path: "max_concurrent_runs", Old: json.RawMessage("9"), New: json.RawMessage("1"), Cause: fabric.Drift}}},
			},
		},
	}
}

func live() reconciler.Status {
	return reconciler.Status{Deployment: "hello@production", Mode: configs.Apply, State: "verified", Phase: reconciler.Sound, Since: noon.Add(-11 * 24 * time.Hour), Owned: 14, Drift: 1,
		Live: reconciler.Revision{Ref: "refs/tags/HelloProphecy/1.3.2", Name: "HelloProphecy/1.3.2", Commit: "9f0e1d2c3b"}, Next: "1.4.0 needs a person"}
}

func TestGolden(t *testing.T) {
	s := screen{now: noon, zone: time.UTC}
	coloured := s
	coloured.colour = true
	bare := func(d reconciler.Decision, p reconciler.Plan) reconciler.Decision {
		d.Plan, d.Verdicts, d.Findings = p, nil, nil
		return d
	}
	small := reconciler.Plan{Digest: "abcdef0123", Counts: reconciler.Counts{Update: 1}, Changes: decision().Plan.Changes[len(decision().Plan.Changes)-1:]}
	observing := bare(decision(), small)
	observing.Verdicts = []reconciler.Verdict{{Gate: "mode", State: reconciler.Hold, Reason: configs.Found(configs.Observing, "hello@production", "")}}
	open := bare(decision(), small)
	blocked := reconciler.Plan{Digest: "77", Counts: reconciler.Counts{Blocked: 1}, Changes: []fabric.Change{
		{Key: "jobs/taken", Kind: "job", Action: fabric.Create, Hindrance: fabric.Blocked, Reason: configs.Found(configs.NameTaken, "jobs/taken", `job 5 is named "taken"`)}}}
	released := reconciler.Plan{Counts: reconciler.Counts{Release: 1}, Changes: []fabric.Change{
		{Key: "jobs/left", Kind: "job", ID: "5", Action: fabric.Release, Reason: configs.Found(configs.Released, "jobs/left", "")}}}
	pause := configs.Found(configs.PausedByHand, "jobs/daily_revenue", "schedule.pause_status since 20 Nov 14:02 UTC")
	pause.Next = "selvage resume hello@production jobs/daily_revenue"
	byHand := fabric.Field{Path: "schedule.pause_status", Old: text("PAUSED"), New: text("UNPAUSED"), Cause: fabric.Drift}
	people := reconciler.Plan{Digest: "abcdef0123", Counts: reconciler.Counts{Keep: 2, Update: 1, Restart: 1, Blocked: 1, Drifted: 2}, Changes: []fabric.Change{
		{Key: "jobs/daily_revenue", Kind: "job", ID: "8812", Action: fabric.Keep, Cause: fabric.Drift, Reason: pause, Stands: []fabric.Field{byHand}},
		{Key: "jobs/events", Kind: "job", ID: "8813", Action: fabric.Restart, Reason: configs.Found(configs.Restarted, "jobs/events", "")},
		{Key: "jobs/fought", Kind: "job", ID: "8814", Action: fabric.Update, Cause: fabric.Drift, Hindrance: fabric.Blocked,
			Reason: configs.Found(configs.OtherWriter, "jobs/fought", "max_concurrent_runs 9 where git says 1; likely: nothing says who"),
			Fields: []fabric.Field{{Path: "max_concurrent_runs", Old: json.RawMessage("9"), New: json.RawMessage("1"), Cause: fabric.Drift}}},
		{Key: "jobs/nightly", Kind: "job", ID: "8815", Action: fabric.Update, Cause: fabric.Commit, Stands: []fabric.Field{byHand},
			Fields: []fabric.Field{{Path: "timeout_seconds", Old: json.RawMessage("0"), New: json.RawMessage("60"), Cause: fabric.Commit}}},
		{Key: "jobs/same", Kind: "job", ID: "1", Action: fabric.Keep},
	}}
	paused := live()
	paused.Notices = []configs.Finding{pause}
	fine := reconciler.Decision{Deployment: "hello@qa", At: noon, Revision: decision().Revision, Phase: reconciler.Sound, Result: configs.Found(configs.UpToDate, "hello@qa", "")}
	suspension := live()
	suspension.State, suspension.Drift, suspension.Next = "suspended", -1, "suspended: until Fri 27 Nov 18:00 UTC, by oncall (uid 1001): quarter close"
	suspension.Deployment = "risk@production"
	fresh := reconciler.Status{Deployment: "hello@development", State: "observing", Since: noon.Add(-90 * time.Second), Target: reconciler.Revision{Name: "main", Ref: "refs/heads/main", Commit: "a1b2c3d4"}, Next: "the deployment only observes"}
	branch := reconciler.Status{Deployment: "hello@qa", State: "verified", Phase: reconciler.Sound, Since: noon.Add(-5 * time.Hour), Live: reconciler.Revision{Name: "main", Ref: "refs/heads/main", Commit: "a1b2c3d4"}, Owned: 3, Next: "polls every 1m0s"}
	alarmed := live()
	alarmed.Alarms = []configs.Finding{configs.Found(configs.TagMoved, "HelloProphecy/1.4.0", "it was 0000001")}

	for _, g := range []struct{ name, got string }{
		{"plan", s.plan(decision(), live(), "")},
		{"plan_colour", coloured.plan(decision(), live(), "")},
		{"plan_revision", s.plan(open, live(), "it's; rm -rf")},
		{"plan_open", s.plan(open, live(), "")},
		{"plan_observe", s.plan(observing, reconciler.Status{}, "")},
		{"plan_blocked", s.plan(bare(decision(), blocked), live(), "")},
		{"plan_people", s.plan(bare(decision(), people), paused, "")},
		{"why_people", s.why(bare(decision(), people))},
		{"status_paused", s.status([]reconciler.Status{paused})},
		{"plan_released", s.plan(bare(decision(), released), live(), "")},
		{"plan_permissions", s.plan(bare(decision(), permissions()), live(), "")},
		{"plan_nothing", s.plan(bare(decision(), reconciler.Plan{Counts: reconciler.Counts{Keep: 1}, Changes: []fabric.Change{{Key: "jobs/same", Kind: "job", Action: fabric.Keep}}}), live(), "")},
		{"plan_empty_release", s.plan(bare(decision(), reconciler.Plan{}), live(), "")},
		{"why", s.why(decision())},
		{"why_fine", s.why(fine)},
		{"status", s.status([]reconciler.Status{fresh, branch, alarmed, suspension, {Deployment: "new@production", State: "new", Drift: -1, Next: "polls every 1m0s"}})},
		{"status_colour", coloured.status([]reconciler.Status{branch, alarmed})},
		{"status_none", s.status(nil)},
		{"status_refused", s.refused(reconciler.Configuration{Refused: configs.Found(configs.ConfigRefused, "selvage.yaml", "selvage.yaml:3:1: unknown key \"fo\x1b[2J\", and 2 more mistakes")}) + s.status([]reconciler.Status{branch})},
		{"doctor", s.symptoms([]symptom{
			{About: "configuration", OK: true, Text: "selvage.yaml: 1 deployment, 1 project, 1 fabric"},
			{About: "project hello", Text: "poll https://git.example.com/hello.git: \x1b[2Jaccess denied", Next: "see that auth may read it"},
			{About: "fabric production", Check: "log in", OK: true, Text: "as deployer@shop.example"},
			{About: "fabric production", Check: "read jobs", OK: true, Note: true, Text: "of 40 of them, read one by one, the list differs in 1; the jobs themselves are believed. job 8812: schedule.quartz_cron_expression"},
		})},
		{"doctor_grants", s.grants(grants{Fabric: "production", Host: "https://prod.example.com", Principal: "4f1c0a3e-0000-4000-8000-000000000000",
			From: "the overlays of 2 deployments and 14 jobs as last sent", Grants: databricks.Grants(databricks.Needs{
				Principal: "4f1c0a3e-0000-4000-8000-000000000000", Artifacts: "/Volumes/main/selvage/artifacts/prod",
				Overlays: []configs.Overlay{{RunAs: configs.RunAs{ServicePrincipal: "6e1b0c7a-0000-4000-8000-000000000000"}, JobClusters: []configs.ClusterOverlay{{Key: "*", Merge: map[string]any{"policy_id": "9A3F"}}}}},
			})})},
		{"doctor_grants_own", s.grants(grants{Fabric: "qa", Host: "https://qa.example.com", Principal: "PRINCIPAL", Unasked: "ask who logs in: no answer", From: "the overlays of 1 deployment and 0 jobs as last sent",
			Grants: databricks.Grants(databricks.Needs{Principal: "PRINCIPAL", SeesOwn: true, Overlays: []configs.Overlay{{RunAs: configs.RunAs{User: "lead@shop.example"}}}})})},
		{"artifacts", s.collected([]reconciler.Collected{
			{Fabric: "production", Root: "/Volumes/main/selvage/artifacts", Kept: reconciler.KeptFiles{Jobs: 14, Releases: 6, Files: 1, Young: 2, Foreign: 1}, Files: []fabric.File{
				{Path: "/Volumes/main/selvage/artifacts/41ce07aa00000000000000000000000000000000000000000000000000000000/clean_orders-1.0-py3-none-any.whl", Size: 12_345, Modified: noon.Add(-30 * 24 * time.Hour)},
				{Path: "/Volumes/main/selvage/artifacts/9d0211bb00000000000000000000000000000000000000000000000000000000/\x1b[2Jodd.sh", Size: 70, Modified: noon.Add(-9 * 24 * time.Hour)},
				{Path: "/Volumes/main/selvage/artifacts/aa0211bb00000000000000000000000000000000000000000000000000000000/big.jar", Size: 20 << 20, Modified: noon.Add(-400 * 24 * time.Hour)}}},
			{Fabric: "qa", Root: "/Workspace/Users/deployer@shop.example/.selvage/artifacts", Files: []fabric.File{}, Kept: reconciler.KeptFiles{Jobs: 3}},
			{Fabric: "development", Root: "/Workspace/Users/deployer@shop.example/.selvage/artifacts", Removed: true, Files: []fabric.File{
				{Path: "/Workspace/Users/deployer@shop.example/.selvage/artifacts/41ce07aa00000000000000000000000000000000000000000000000000000000/x.whl", Size: -1, Modified: noon.Add(-8 * 24 * time.Hour)}}},
		})},
		{"validate", s.check(check{Config: "selvage.yaml", Problems: configs.Problems{{File: "selvage.yaml", Line: 3, Column: 5, Message: `unknown key "fo"`, Source: "    fo: bar", Next: "remove it"}}, Projects: []projectCheck{
			{Path: "prophecy", Name: "Hello", Jobs: 3, Pipelines: 4, Wheels: 4, Findings: []configs.Finding{configs.Found(configs.PipelineUnlisted, "pipelines/old", "")}, Contents: contents(surveyed("prophecy", "Hello"))},
			{Path: "a", Name: "Broken", Contents: &surveyedProject{Error: "read a/pbt_project.yml: lost"}, Findings: []configs.Finding{configs.Found(configs.JobBroken, "jobs/x/code/databricks-job.json", "line 2")}},
			{Path: "b", Error: "read b/pbt_project.yml: too large", Contents: &surveyedProject{Error: "read b/pbt_project.yml: too large"}},
		}})},
		{"validate_deployments", s.check(example(t))},
		{"validate_deployments_json", asJSON(t, example(t))},
		{"survey", s.survey(repository(2)) + "\n" + s.faults(repository(2))},
		{"survey_many", s.survey(repository(12))},
		{"log", logged(t, s, "")},
		{"log_of_one", logged(t, s, "hello@production")},
	} {
		t.Run(g.name, func(t *testing.T) {
			file := filepath.Join("testdata/golden", g.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(g.got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), g.got); diff != "" {
				t.Errorf("-want +got (rewrite with: go test ./cmd/selvage -run TestGolden -update)\n%s", diff)
			}
			if strings.Contains(strings.ReplaceAll(g.got, "\x1b[", ""), "\x1b") || strings.ContainsAny(g.got, "\x07\u202e") {
				t.Error("a control character came through")
			}
			if !strings.HasSuffix(g.name, "_colour") && strings.Contains(g.got, "\x1b") {
				t.Error("an escape sequence without colour")
			}
		})
	}
}

func contents(p surveyedProject) *surveyedProject { return &p }

// surveyed is a project with something of everything.
func surveyed(path, name string) surveyedProject {
	p := surveyedProject{Path: path, Name: name, Version: "1.00", Language: "python", Pipelines: []string{"clean_orders", "bell\x07"}, TagCount: 24,
		Jobs: []surveyedJob{
			{Key: "jobs/daily_revenue", Name: "daily_revenue", FabricID: "4004", Scheduler: "Databricks", Enabled: true},
			{Key: "jobs/nightly", FabricID: "16433", Scheduler: "Composer", Blocked: `"Composer"; expected Databricks`},
			{Key: "jobs/nowhere"},
		}}
	for i, rule := range []artifacts.Rule{artifacts.ByCommit, artifacts.ByVersion, artifacts.ByName, artifacts.ByOnly} {
		p.Tags = append(p.Tags, surveyedTag{Name: fmt.Sprintf("%s Display/1.%d", name, 9-i), Commit: strings.Repeat(strconv.Itoa(i), 40), Tagged: noon.Add(-time.Duration(i) * 300 * time.Hour), Rule: rule})
	}
	return p
}

// repository is a survey of n projects and a broken one.
func repository(n int) *survey {
	v := &survey{Git: "https://git.example.com/data/all.git", Branch: "main", Commit: "a1b2c3d4e5", Tags: 24*n + 25, OtherTags: 25, Unread: 3, Others: []surveyedTag{
		{Name: "v0.19.0", Commit: "a1b2c3d4e5", Tagged: noon, Why: "ambiguous: one of 2 projects: a (Hello 1.0), b (Hello 1.0)"},
		{Name: "evil\x1b[2J", Commit: "b1b2c3d4e5", Tagged: noon, Why: "foreign: it releases the project in old, which branch main does not hold"},
	}}
	for i := range n {
		v.Projects = append(v.Projects, surveyed(fmt.Sprintf("team/p%d", i), fmt.Sprintf("Hello%d", i)))
	}
	v.Projects[0].Path = "."
	v.Projects = append(v.Projects, surveyedProject{Path: "broken", Error: "broken/pbt_project.yml:3: a merge conflict that nobody resolved; mend the file in git and push again"})
	v.fabrics()
	return v
}

func logged(t *testing.T, s screen, deployment string) string {
	var b bytes.Buffer
	p := printer{app: &app{out: &b, screen: s}, deployment: deployment}
	for _, e := range []ledger.Entry{
		{Seq: 41, Time: noon.Add(-25 * time.Hour), Kind: "start", Text: "started with configuration 216702: 2 deployments"},
		{Seq: 42, Time: noon.Add(-time.Hour), Kind: "phase", Deployment: "hello@qa", Text: "verified: HelloProphecy/1.4.0 a1b2c3d"},
		{Seq: 43, Time: noon.Add(-time.Minute), Kind: "intent", Deployment: "hello@production", Text: "upload clean_orders-1.0-py3-none-any.whl (8387 bytes) to " + newWheel},
		{Seq: 44, Time: noon, Kind: "decide", Deployment: "hello@production", Text: "a tag named \x1b]0;owned\x07 was ignored"},
	} {
		if err := p.print(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// However much an overlay does, and to however many jobs, the plan says it on one screen.
func TestOverlayOnOneScreen(t *testing.T) {
	d := decision()
	d.Plan.Changes = nil
	for i := range 200 {
		c := fabric.Change{Key: fabric.Key(fmt.Sprintf("jobs/%03d", i)), Kind: "job", Action: fabric.Create}
		for n := range 60 {
			c.Overlay = append(c.Overlay, fabric.Field{Path: fmt.Sprintf("tags.%03d", n), New: text("x"), Cause: fabric.Overlay})
		}
		d.Plan.Changes = append(d.Plan.Changes, c)
	}
	var b strings.Builder
	screen{now: noon, zone: time.UTC}.overlay(&b, d.Plan)
	if n := strings.Count(b.String(), "\n"); n != mostFields+3 || !strings.Contains(b.String(), "and 20 more fields") || !strings.Contains(b.String(), "jobs/002, and 197 more") {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
}
