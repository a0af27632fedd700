package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"selvage/fabric"
)

const (
	createPath = "/api/2.2/jobs/create"
	resetPath  = "/api/2.2/jobs/reset"
	deletePath = "/api/2.2/jobs/delete"
)

// looks are the pauses before each look for what a doubtful request did: some seconds in all, for a
// service whose lists may lag behind.
var looks = []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// Do carries out one step: an upload, one job's create, reset (for an update and a move) or delete, or the access
// list of one.
func (w *Workspace) Do(ctx context.Context, s fabric.Step, j fabric.Journal) fabric.Outcome {
	o := fabric.Outcome{Status: fabric.Done}
	add := func(r fabric.Result) {
		if r.Status != fabric.Done && o.Err == nil {
			o.Status, o.Err = r.Status, r.Err
		}
		if until := again(r.Err); r.Status == fabric.Later && until.After(o.Again) {
			o.Again = until
		}
	}
	for _, b := range s.Blobs {
		add(w.upload(ctx, b, j))
	}
	for _, c := range s.Changes {
		r := w.change(ctx, c, j)
		o.Results = append(o.Results, r)
		add(r)
	}
	return o
}

func (w *Workspace) change(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	var r fabric.Result
	switch {
	case c.Kind == Permissions:
		r = w.permit(ctx, c, j)
	case c.Action == fabric.Create:
		r = w.create(ctx, c, j)
	case c.Action == fabric.Update, c.Action == fabric.Move: // a move is a reset whose mark has another key
		r = w.reset(ctx, c, j)
	case c.Action == fabric.Quarantine, c.Action == fabric.Leave:
		r = w.rest(ctx, c, j)
	case c.Action == fabric.Delete:
		r = w.remove(ctx, c, j)
	case c.Action == fabric.Disown:
		r = w.disown(ctx, c, j)
	case c.Action == fabric.Restart:
		r = w.restart(ctx, c, j)
	default: // nothing is written for it
		r = fabric.Result{ID: c.ID, Status: fabric.Done}
	}
	r.Key = c.Key // also where nothing came to be written
	if r.Err != nil {
		r.Err = fmt.Errorf("%s %s on fabric %s: %w", c.Action, c.Key, w.name, r.Err)
	}
	return r
}

// mutation is one intent with the requests it stands for.
type mutation struct {
	intent fabric.Intent
	class  class // of the request, so that no intent is written while such requests are held
	// before looks whether it may still be done; nil where nothing can have come in between. With an error no intent is
	// written.
	before func(context.Context) error
	// send makes the request, or the requests of an upload, and returns the resource's id.
	send func(context.Context) (id string, err error)
	// look says whether what was sent is in effect; nil where that need not be known.
	look func(context.Context) (id string, ok bool, err error)
	// repeatable is set where doing it twice does no harm, so that doubt need not be settled first.
	repeatable bool
}

// perform writes the intent, sends, and where the outcome is doubtful looks.
func (w *Workspace) perform(ctx context.Context, m mutation, j fabric.Journal) fabric.Result {
	r := fabric.Result{Nonce: m.intent.Nonce, ID: m.intent.ID}
	if len(m.intent.Keys) == 1 {
		r.Key = m.intent.Keys[0]
	}
	if err := w.pace.busy(m.class); err != nil {
		r.Status, r.Err = fabric.Later, err
		return r
	}
	if m.before != nil {
		if err := m.before(ctx); err != nil {
			r.Status, r.Err = fabric.Later, err
			return r
		}
	}
	permitted, err := j.Begin(ctx, m.intent)
	if err != nil {
		r.Status, r.Err = fabric.Later, fmt.Errorf("write down the intent: %w", err)
		return r
	}
	id, err := m.send(permitted)
	if err == nil {
		r.ID, r.Status = id, fabric.Done
	} else {
		r.Err, r.Status = err, meaning(err)
	}
	if r.Status == fabric.Doubtful {
		id, ok := w.lookFor(ctx, m.look)
		switch {
		case ok:
			r.ID, r.Status, r.Err = id, fabric.Done, nil
		case m.repeatable:
			r.Status = fabric.Later
		default:
			return r
		}
	}
	// The outcome is known and must be written down even when nobody waits for it any more.
	if err := j.End(context.WithoutCancel(ctx), m.intent.Nonce, r); err != nil {
		r.Status, r.Err = fabric.Doubtful, errors.Join(r.Err, fmt.Errorf("write down the outcome: %w", err))
	}
	return r
}

// meaning is what the error of a changing request says about it.
func meaning(err error) fabric.Status {
	var e *CallError
	switch {
	case errors.Is(err, errBlob):
		return fabric.Later // the next build mends the store
	case errors.As(err, &e):
		return e.status()
	}
	return fabric.Doubtful
}

func (w *Workspace) lookFor(ctx context.Context, look func(context.Context) (string, bool, error)) (string, bool) {
	for _, pause := range looks {
		if look == nil || sleep(ctx, pause) != nil {
			return "", false
		}
		if id, ok, err := look(ctx); err == nil && ok {
			return id, true
		}
	}
	return "", false
}

func (w *Workspace) post(ctx context.Context, path string, body map[string]any) (answer, error) {
	return w.send(ctx, call{method: http.MethodPost, path: path, body: fabric.NewDoc(body).Canonical()})
}

func (w *Workspace) create(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	if err := sendable(c); err != nil {
		return fabric.Result{Status: fabric.Refused, Err: err}
	}
	nonce := fabric.NewNonce()
	return w.perform(ctx, mutation{
		class: jobCreates,
		intent: fabric.Intent{Nonce: nonce, Op: fabric.OpCreate, Keys: []fabric.Key{c.Key}, Sent: []fabric.Doc{c.Desired},
			Text: fmt.Sprintf("create job %q (%s)", c.Name, c.Key)},
		send: func(ctx context.Context) (string, error) {
			a, err := w.post(ctx, createPath, marked(c.Desired, fabric.MarkOf(w.installation, c.Owner, nonce), nonce))
			if err != nil {
				return "", err
			}
			var created struct {
				ID json.Number `json:"job_id"`
			}
			if err := json.Unmarshal(a.body, &created); err != nil || created.ID == "" {
				return "", fmt.Errorf("POST %s: the answer names no job", createPath)
			}
			return created.ID.String(), nil
		},
		look: func(ctx context.Context) (string, bool, error) { return w.byNonce(ctx, c.Desired, nonce) },
	}, j)
}

// byNonce finds the job that a create made. Where somebody copied it by hand since, mark and all,
// nothing says which is the original: ids have no order. It finds none then, and the intent stays open.
func (w *Workspace) byNonce(ctx context.Context, d fabric.Doc, nonce string) (id string, ok bool, err error) {
	name, _ := d.At("name").(string)
	jobs, err := w.list(ctx, map[string]any{"name": name}, passOver)
	if err != nil {
		return "", false, err
	}
	for _, l := range jobs {
		o, err := w.object(l, false)
		switch {
		case err != nil:
			return "", false, err
		case o.Mark.Nonce != nonce:
		case ok:
			return "", false, fmt.Errorf("jobs %s and %s both carry the nonce %s", id, o.ID, nonce)
		default:
			id, ok = o.ID, true
		}
	}
	return id, ok, nil
}

func (w *Workspace) reset(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	err := sendable(c)
	if err == nil {
		err = validID(c.ID)
	}
	if err != nil {
		return fabric.Result{ID: c.ID, Status: fabric.Refused, Err: err}
	}
	nonce := fabric.NewNonce()
	text := fmt.Sprintf("reset job %s (%s)", c.ID, c.Key)
	if c.Action == fabric.Move {
		text = fmt.Sprintf("reset job %s (%s, which was %s)", c.ID, c.Key, c.From)
	}
	sent, err := w.returned(ctx, c)
	if err != nil {
		return fabric.Result{ID: c.ID, Status: fabric.Later, Err: err}
	}
	mark := fabric.MarkOf(w.installation, c.Owner, c.Mark.Nonce)
	if mark.Nonce == "" { // it carried no mark before
		mark.Nonce = nonce
	}
	return w.perform(ctx, mutation{
		class:  jobChanges,
		intent: fabric.Intent{Nonce: nonce, Op: fabric.OpUpdate, Keys: []fabric.Key{c.Key}, ID: c.ID, Sent: []fabric.Doc{c.Desired}, Text: text},
		before: func(ctx context.Context) error { return w.unchanged(ctx, c) },
		send: func(ctx context.Context) (string, error) {
			_, err := w.post(ctx, resetPath, map[string]any{"job_id": json.Number(c.ID), "new_settings": marked(sent, mark, nonce)})
			return c.ID, err
		},
		look: func(ctx context.Context) (string, bool, error) {
			o, err := w.job(ctx, c.ID)
			return c.ID, err == nil && o.Wrote == nonce, err
		},
	}, j)
}

func (w *Workspace) remove(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	if err := validID(c.ID); err != nil {
		return fabric.Result{ID: c.ID, Status: fabric.Refused, Err: err}
	}
	if gone, r := w.removable(ctx, c, j); gone || r.Err != nil {
		return r
	}
	w.removedJob(c.ID) // also where its outcome stays in doubt
	var e *CallError
	return w.perform(ctx, mutation{
		class: jobChanges,
		intent: fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpDelete, Keys: []fabric.Key{c.Key}, ID: c.ID,
			Text: fmt.Sprintf("delete job %s (%s)", c.ID, c.Key)},
		send: func(ctx context.Context) (string, error) {
			_, err := w.post(ctx, deletePath, map[string]any{"job_id": json.Number(c.ID)})
			if errors.As(err, &e) && e.missing() {
				err = nil
			}
			return c.ID, err
		},
		look: func(ctx context.Context) (string, bool, error) {
			_, err := w.job(ctx, c.ID)
			if errors.As(err, &e) && e.missing() {
				return c.ID, true, nil
			}
			return c.ID, false, err
		},
	}, j)
}

// sendable reports a definition that is not ready to be sent.
func sendable(c fabric.Change) error {
	if c.Desired.IsZero() {
		return errors.New("there is nothing to send")
	}
	if refs := c.Desired.Refs(); len(refs) > 0 {
		return fmt.Errorf("the id of %s is not known", refs[0].Key)
	}
	return nil
}

func validID(id string) error {
	if n, err := strconv.ParseInt(id, 10, 64); err != nil || n <= 0 {
		return fmt.Errorf("%q is no job id", id)
	}
	return nil
}
