package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler"
)

// The deployments of the story, and what the sample project consists of.
const (
	development = "hello@development"
	production  = "hello@production"
)

var (
	helloPipelines = []string{"ingest_orders", "clean_orders", "revenue_by_day", "customer_report"}
	helloJobs      = []string{"jobs/daily_revenue", "jobs/customer_report", "jobs/month_end"}
)

// story is the demo as it unfolds: what people do, by git and by commands, and what the ledger says to it.
type story struct {
	*teller
	site *demoSite
	plan string // digest of the plan that waits for a person
}

// chapters are told in this order. Each ends when the ledger says what the chapter is about, or fails.
func (st *story) chapters() []func(context.Context) error {
	return []func(context.Context) error{
		st.mainReachesDevelopment, st.tagShowsItsPlan, st.personApproves, st.onlyTheDifference, st.driftIsPutRight, st.movedTagIsRefused,
	}
}

// everything is what a first apply writes.
func everything(deployment string) []write {
	var ws []write
	for _, p := range helloPipelines {
		ws = append(ws, write{deployment, fabric.OpUpload, p})
	}
	for _, j := range helloJobs {
		ws = append(ws, write{deployment, fabric.OpCreate, j})
	}
	return ws
}

func (st *story) mainReachesDevelopment(ctx context.Context) error {
	st.chapter("1. main reaches development",
		"A developer pushes main. Selvage notices, builds the wheels and plans; the first apply to any place needs a person.",
		everything(development)...)
	err := st.did(ctx, []string{"add", "."}, []string{"commit", "-q", "-m", "daily revenue of a small shop"}, []string{"push", "origin", "main"})
	if err != nil {
		return err
	}
	plan, err := st.until(ctx, "the first plan of "+development, firstPlan(development))
	if err != nil {
		return err
	}
	return st.approve(ctx, development, plan.Plan)
}

func (st *story) tagShowsItsPlan(ctx context.Context) error {
	st.chapter("2. A release tag shows its plan for production",
		"The tag HelloSelvage/1.0.0 is pushed. Production plans the same commit, and writes nothing yet.")
	err := st.did(ctx, []string{"tag", "-a", "-m", "release 1.0.0", "HelloSelvage/1.0.0"}, []string{"push", "origin", "HelloSelvage/1.0.0"})
	if err != nil {
		return err
	}
	plan, err := st.until(ctx, "the first plan of "+production, firstPlan(production))
	if err != nil {
		return err
	}
	st.plan = plan.Plan
	return st.quiet(ctx, pollInterval/2)
}

func (st *story) personApproves(ctx context.Context) error {
	st.chapter("3. A person approves the first apply",
		"Who has read the plan names it by its digest. The wheels are the bytes that development got.",
		everything(production)...)
	if err := st.approve(ctx, production, st.plan); err != nil {
		return err
	}
	// The paths hold the digests of the files.
	if dev, prod := st.site.places["development"].Files(), st.site.places["production"].Files(); !maps.Equal(dev, prod) {
		return fmt.Errorf("the wheels on production are not those on development: %v, %v", prod, dev)
	}
	return nil
}

func (st *story) onlyTheDifference(ctx context.Context) error {
	var writes []write
	for _, d := range []string{development, production} {
		writes = append(writes, write{d, fabric.OpUpload, "clean_orders"}, write{d, fabric.OpUpdate, "jobs/daily_revenue"},
			write{d, fabric.OpDelete, "jobs/customer_report"})
	}
	st.chapter("4. 1.1.0 changes one pipeline and drops a job: only those change",
		"Nobody needs to approve again. A job that git dropped is deleted once two looks, a poll apart, agree that it is gone.",
		writes...)
	if err := st.edit("pipelines/clean_orders/code/clean_orders/graph/OnlyPaid.py", `startswith("TEST-")`, `rlike("^(TEST|DEMO)-")`); err != nil {
		return err
	}
	if err := st.dropJob("customer_report"); err != nil {
		return err
	}
	err := st.did(ctx, []string{"commit", "-q", "-a", "-m", "clean_orders: leave out demo customers; drop the customer report"},
		[]string{"diff", "--stat", "HEAD~1"}, []string{"tag", "-a", "-m", "release 1.1.0", "HelloSelvage/1.1.0"},
		[]string{"push", "origin", "main", "HelloSelvage/1.1.0"})
	if err != nil {
		return err
	}
	deferred := map[string]bool{}
	_, err = st.until(ctx, "the plans of 1.1.0", func(ev reconciler.Event) bool {
		if ev.Kind == "plan" && ev.Counts.Deferred == 1 && ev.Counts.Update == 1 {
			deferred[ev.Deployment] = true
		}
		return len(deferred) == 2
	})
	if err != nil {
		return err
	}
	return st.settled(ctx, development, production)
}

func (st *story) driftIsPutRight(ctx context.Context) error {
	st.chapter("5. Someone edits a live job by hand",
		"Past git, straight in the production workspace. Selvage shows each field that drifted and puts it right.",
		write{production, fabric.OpUpdate, "jobs/daily_revenue"})
	if err := st.editByHand(ctx, st.site.places["production"]); err != nil {
		return err
	}
	_, err := st.until(ctx, "a plan for the drift", func(ev reconciler.Event) bool {
		if ev.Kind != "plan" || ev.Deployment != production || len(ev.Changes) != 1 || ev.Changes[0].Cause != fabric.Drift {
			return false
		}
		var paths []string
		for _, f := range ev.Changes[0].Fields {
			paths = append(paths, f.Path)
		}
		return strings.Join(paths, " ") == "max_concurrent_runs schedule.quartz_cron_expression"
	})
	if err != nil {
		return err
	}
	return st.settled(ctx, production)
}

func (st *story) movedTagIsRefused(ctx context.Context) error {
	st.chapter("6. The tag is moved",
		"Somebody forces HelloSelvage/1.1.0 to another commit. That is an alarm, and nothing of it is deployed.")
	st.alarm = configs.TagMoved
	if err := st.did(ctx, []string{"checkout", "-q", "--detach"}); err != nil { // main stays as it is
		return err
	}
	if err := st.edit("pipelines/revenue_by_day/code/revenue_by_day/pipeline.py", "import", "# nobody reviewed this\nimport"); err != nil {
		return err
	}
	err := st.did(ctx, []string{"commit", "-q", "-a", "-m", "nobody reviewed this"},
		[]string{"tag", "--force", "-a", "-m", "release 1.1.0", "HelloSelvage/1.1.0"}, []string{"push", "--force", "origin", "HelloSelvage/1.1.0"})
	if err != nil {
		return err
	}
	_, err = st.until(ctx, "the alarm", func(ev reconciler.Event) bool {
		return ev.Code == string(configs.TagMoved) && ev.Deployment == production
	})
	if err != nil {
		return err
	}
	if err := st.quiet(ctx, 2*pollInterval); err != nil {
		return err
	}
	_, err = st.git(ctx, "checkout", "-q", "main") // for the person who goes on from here
	return err
}

// pollInterval is poll: of the demo's selvage.yaml.
const pollInterval = time.Second

// firstPlan is the plan of a deployment that creates everything and waits for a person.
func firstPlan(deployment string) func(reconciler.Event) bool {
	return func(ev reconciler.Event) bool {
		return ev.Kind == "plan" && ev.Deployment == deployment && ev.Counts.Create == len(helloJobs) && len(ev.Verdicts) > 0
	}
}

// approve runs the command by which a person approves a plan, and tells what the daemon does meanwhile.
func (st *story) approve(ctx context.Context, deployment, plan string) error {
	ctx, cancel := context.WithCancel(ctx)
	r := st.start(ctx, "apply", deployment, "--plan", short(plan, 6))
	st.aside = r
	defer func() {
		cancel()
		<-r.done
		st.aside = nil
	}()
	if err := st.settled(ctx, deployment); err != nil {
		return err
	}
	if err := r.wait(ctx); err != nil {
		return err
	}
	out := strings.TrimSpace(string(r.out)) // the ledger's lines, which were told, and then the answer
	st.output(out[strings.LastIndex(out, "\n")+1:])
	return nil
}

// sound compares what the workspaces saw with what the ledger holds: no request that changes anything without
// its intent, and none that the real service would reject.
func (st *story) sound() error {
	for name, p := range st.site.places {
		past := 0
		for _, r := range p.Requests() {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				continue
			}
			if _, written := st.intents[r.Intent]; !written {
				past++
			}
		}
		if past != p.byHand {
			return fmt.Errorf("the workspace %s saw %d requests that change it without an intent in the ledger, and %d were made by hand", name, past, p.byHand)
		}
		if v := p.Violations(); len(v) > 0 {
			return errors.New("the workspace " + name + " saw a request that the real one would reject: " + v[0])
		}
	}
	return nil
}
