package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"selvage/configs"
	"selvage/fabric"
)

const (
	runsPath   = "/api/2.2/jobs/runs/list"
	cancelPath = "/api/2.2/jobs/runs/cancel"

	runsPage     = 24  // the page of the API says "less than 25"
	maxRunsPages = 200 // a job has at most 1,000 runs at once, besides those in its queue
)

// activeRun is a run that is under way.
type activeRun struct {
	id     string
	start  int64 // milliseconds since 1970
	ending bool  // it was told to end
}

// active are the runs of a job that are under way, queued ones among them.
func (w *Workspace) active(ctx context.Context, job string) ([]activeRun, error) {
	query := map[string]any{"job_id": job, "active_only": true, "limit": runsPage}
	var runs []activeRun
	seen, tokens := map[string]bool{}, map[string]bool{}
	for range maxRunsPages {
		var page struct {
			Runs []struct {
				ID    json.Number `json:"run_id"`
				Job   json.Number `json:"job_id"`
				Start int64       `json:"start_time"`
				State struct {
					Cycle string `json:"life_cycle_state"`
				} `json:"state"`
				Status struct {
					State string `json:"state"`
				} `json:"status"`
			} `json:"runs"`
			HasMore bool   `json:"has_more"`
			Next    string `json:"next_page_token"`
		}
		err := w.get(ctx, runsPath, query, &page)
		var e *CallError
		switch {
		case errors.As(err, &e) && e.missing(): // nor is there a run of it
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("list the runs of job %s: %w", job, err)
		}
		for _, r := range page.Runs {
			id := r.ID.String()
			if r.Job.String() != job || seen[id] { // another job's is none of our business
				continue
			}
			if err := validID(id); err != nil {
				return nil, fmt.Errorf("list the runs of job %s: %w", job, err)
			}
			seen[id] = true
			runs = append(runs, activeRun{id: id, start: r.Start, ending: r.State.Cycle == "TERMINATING" || r.Status.State == "TERMINATING"})
		}
		switch {
		case page.Next == "" && page.HasMore:
			return nil, fmt.Errorf("list the runs of job %s: the workspace says that there are more after %d, and not where", job, len(runs))
		case page.Next == "":
			return runs, nil
		case tokens[page.Next]:
			return nil, fmt.Errorf("list the runs of job %s: the workspace gives the same page twice", job)
		}
		tokens[page.Next] = true
		query["page_token"] = page.Next
	}
	return nil, fmt.Errorf("list the runs of job %s: no end after %d pages", job, maxRunsPages)
}

// Active implements fabric.Fabric.
func (w *Workspace) Active(ctx context.Context, k fabric.Kind, ids []string) (map[string]int, error) {
	var mu sync.Mutex // guards counts
	counts := make(map[string]int, len(ids))
	if k != Job {
		for _, id := range ids {
			counts[id] = 0 // nothing else runs
		}
		return counts, nil
	}
	g, lookCtx := errgroup.WithContext(ctx)
	g.SetLimit(looksAtOnce)
	for _, id := range ids {
		g.Go(func() error {
			runs, err := w.active(lookCtx, id)
			var busy *fabric.Busy
			switch {
			case errors.As(err, &busy) || lookCtx.Err() != nil:
				return err
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				counts[id] = len(runs)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return counts, ctx.Err()
}

// idle sees to it, as the change says, that no run of a job is under way. The result has an error where one is, or
// where nobody knows.
func (w *Workspace) idle(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	if c.Runs == configs.RunsIgnore {
		return fabric.Result{}
	}
	told := map[string]bool{}
	var runs []activeRun
	var said error // why a run could not be told to end
	for _, pause := range looks {
		err := sleep(ctx, pause)
		if err == nil {
			runs, err = w.active(ctx, c.ID)
		}
		switch {
		case forbidden(err):
			return held(c, configs.Found(configs.NotSeen, string(c.Key), err.Error()))
		case err != nil:
			return fabric.Result{ID: c.ID, Status: fabric.Later, Err: err}
		case len(runs) == 0:
			return fabric.Result{}
		case c.Runs != configs.RunsCancel:
			return held(c, configs.Found(configs.ActiveRunsFound, string(c.Key), underWay(runs)))
		}
		for _, run := range runs {
			if run.ending || told[run.id] {
				continue
			}
			r := w.cancel(ctx, c, run.id, j)
			var e *CallError
			switch {
			case r.Err == nil:
				told[run.id] = true
			case errors.As(r.Err, &e) && again(r.Err).IsZero():
				said = e
			default: // no request may be sent now
				return fabric.Result{ID: c.ID, Status: fabric.Later, Err: r.Err}
			}
		}
	}
	particulars := underWay(runs) + ", told to end"
	if said != nil {
		particulars += "; " + said.Error()
	}
	return held(c, configs.Found(configs.ActiveRunsFound, string(c.Key), particulars))
}

// cancel tells one run to end, which it does some time later.
func (w *Workspace) cancel(ctx context.Context, c fabric.Change, run string, j fabric.Journal) fabric.Result {
	return w.perform(ctx, mutation{
		class: runStarts, // which the service counts cancels with
		intent: fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpCancel, ID: c.ID,
			Text: fmt.Sprintf("cancel run %s of job %s (%s), before the job is deleted", run, c.ID, c.Key)},
		send: func(ctx context.Context) (string, error) {
			_, err := w.post(ctx, cancelPath, map[string]any{"run_id": json.Number(run)})
			return c.ID, err
		},
		look: func(ctx context.Context) (string, bool, error) {
			runs, err := w.active(ctx, c.ID)
			under := slices.ContainsFunc(runs, func(r activeRun) bool { return r.id == run && !r.ending })
			return c.ID, err == nil && !under, err
		},
		repeatable: true,
	}, j)
}

// forbidden reports an answer by which the workspace keeps to itself what it was asked about.
func forbidden(err error) bool {
	var e *CallError
	return errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusUnauthorized && !e.passing()
}

// underWay names runs: how many, and the first of them.
func underWay(runs []activeRun) string {
	var ids []string
	for i, r := range runs {
		if i == 3 {
			ids = append(ids, "...")
			break
		}
		ids = append(ids, r.id)
	}
	if len(runs) == 1 {
		return "run " + ids[0]
	}
	return fmt.Sprintf("%d runs (%s)", len(runs), strings.Join(ids, ", "))
}
