package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"selvage/fabric"
)

const runNowPath = "/api/2.2/jobs/run-now"

// restart ends the runs of a job that began before its last update. Of a continuous job that is enough: the service begins
// the next run by itself, unless the job is paused. Of another one it starts a run in their place. Where no run is
// active there is nothing to do, and the job's next run has the new definition anyway.
//
// It may be repeated at any point: a run that has ended stays so, and a run is started with the token of the update.
func (w *Workspace) restart(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	later := func(err error) fabric.Result {
		return fabric.Result{ID: c.ID, Status: fabric.Later, Err: err}
	}
	if err := validID(c.ID); err != nil {
		return fabric.Result{ID: c.ID, Status: fabric.Refused, Err: err}
	}
	if c.Restart == nil || c.Restart.Token == "" {
		return fabric.Result{ID: c.ID, Status: fabric.Refused, Err: errors.New("nothing says which runs are meant")}
	}
	if err := w.unchanged(ctx, c); err != nil { // another job may have the id, or it was paused
		return later(err)
	}
	active, err := w.active(ctx, c.ID)
	if err != nil {
		return later(err)
	}
	var old []string
	other := false // a run with the new definition is active
	for _, r := range active {
		if r.isOld(c.Restart) {
			old = append(old, r.id)
		} else {
			other = true
		}
	}
	starts := !neverEnds(c.Live) && !other && (len(old) > 0 || c.Restart.Owed)
	text := restartText(c, old, starts)
	if c.Live.At("continuous", "pause_status") == "PAUSED" { // no other run would begin
		old, text = nil, fmt.Sprintf("restart job %s (%s): it is paused, and what runs goes on", c.ID, c.Key)
	}
	intent := fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpRestart, Keys: []fabric.Key{c.Key}, ID: c.ID, Runs: old, Text: text}
	return w.perform(ctx, mutation{
		class:  runStarts,
		intent: intent,
		send: func(ctx context.Context) (string, error) {
			for _, id := range old {
				if _, err := w.post(ctx, cancelPath, map[string]any{"run_id": json.Number(id)}); err != nil && !over(err) {
					return c.ID, err
				}
			}
			if !starts {
				return c.ID, nil
			}
			if err := w.ended(ctx, c.ID, old); err != nil {
				return c.ID, err
			}
			_, err := w.post(ctx, runNowPath, map[string]any{"job_id": json.Number(c.ID), "idempotency_token": c.Restart.Token})
			return c.ID, err
		},
		repeatable: true, // where it is in doubt, the next attempt goes on
	}, j)
}

// isOld reports a run that a restart ends.
func (r activeRun) isOld(due *fabric.Due) bool {
	if len(due.Runs) > 0 {
		return slices.Contains(due.Runs, r.id)
	}
	return r.start > 0 && r.start < due.Before.UnixMilli() // nothing says so of one without a time
}

func restartText(c fabric.Change, old []string, starts bool) string {
	text := fmt.Sprintf("restart job %s (%s): ", c.ID, c.Key)
	switch {
	case len(old) > 3:
		text += fmt.Sprintf("cancel %d runs", len(old))
	case len(old) > 1:
		text += "cancel the runs " + strings.Join(old, ", ")
	case len(old) == 1:
		text += "cancel run " + old[0]
	case !starts:
		return text + "no run is active that began before the update"
	default:
		return text + "start the run that is missing"
	}
	if starts {
		text += ", and start one"
	}
	return text
}

// over reports the error of a cancel that says: the run is over.
func over(err error) bool {
	var e *CallError
	return errors.As(err, &e) && (e.missing() || e.Code == "INVALID_STATE")
}

// ended returns once none of some runs is active any more: the service takes its time to end what was cancelled, and a job
// that runs once at a time would skip a run that is started meanwhile.
func (w *Workspace) ended(ctx context.Context, id string, runs []string) error {
	for _, pause := range looks {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		active, err := w.active(ctx, id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(active, func(r activeRun) bool { return slices.Contains(runs, r.id) }) {
			return nil
		}
	}
	return fmt.Errorf("the runs that were cancelled have not ended yet: %s", strings.Join(runs, ", "))
}
