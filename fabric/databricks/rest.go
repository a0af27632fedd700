package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

const updatePath = "/api/2.2/jobs/update"

// maxName is how long the name of a job may be, in bytes.
const maxName = 4096

// starters are what starts a job by itself. Each of them has a pause_status, and triggers is a list of such.
var starters = []string{"schedule", "trigger", "continuous"}

// paused is fabric.Rules.Rest for jobs.
func paused(live, sent fabric.Doc, name string) fabric.Doc {
	settings, before := live.Object(), sent.Object()
	pause := func(starter, before any) {
		s, _ := starter.(map[string]any)
		if len(s) == 0 {
			return
		}
		s["pause_status"] = "PAUSED"
		b, _ := before.(map[string]any)
		table, _ := s["table_update"].(map[string]any)
		was, _ := b["table_update"].(map[string]any)
		if table != nil && table["condition"] == nil && was["condition"] != nil { // it is not read back
			table["condition"] = was["condition"]
		}
	}
	for _, field := range starters {
		pause(settings[field], before[field])
	}
	triggers, _ := settings["triggers"].([]any)
	were, _ := before["triggers"].([]any)
	for i, t := range triggers {
		var was any
		if len(were) == len(triggers) {
			was = were[i]
		}
		pause(t, was)
	}
	if name != "" {
		if len(name) > maxName {
			name = strings.ToValidUTF8(name[:maxName], "")
		}
		settings["name"] = name
	}
	return fabric.NewDoc(settings)
}

// rest pauses a job, and renames it where the change says so. It sends the fields that differ and the tags, which say
// that it did: the rest stays as it is, also what nobody can read back.
func (w *Workspace) rest(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	err := sendable(c)
	if err == nil {
		err = validID(c.ID)
	}
	if err != nil {
		return fabric.Result{ID: c.ID, Status: fabric.Refused, Err: err}
	}
	switch gone, r := w.reread(ctx, c); {
	case gone:
		return held(c, configs.Found(configs.LiveChanged, string(c.Key), "job "+c.ID+" was deleted"))
	case r.Err != nil:
		return r
	}
	settings, live := c.Desired.Object(), c.Live.Object()
	for field, v := range settings {
		if field != "name" && reflect.DeepEqual(v, live[field]) {
			delete(settings, field)
		}
	}
	nonce := fabric.NewNonce()
	settings["tags"] = marked(c.Desired, c.Mark, nonce)["tags"] // as a whole, as they are
	sent := c.Sent
	if sent.IsZero() {
		sent = c.Desired
	}
	text := fmt.Sprintf("pause job %s (%s), which git moved to another fabric", c.ID, c.Key)
	if c.Action == fabric.Quarantine {
		text = fmt.Sprintf("pause and rename job %s (%s), before it is deleted", c.ID, c.Key)
	}
	return w.perform(ctx, mutation{
		class:  jobChanges,
		intent: fabric.Intent{Nonce: nonce, Op: fabric.OpUpdate, Keys: []fabric.Key{c.Key}, ID: c.ID, Sent: []fabric.Doc{sent}, Text: text},
		send: func(ctx context.Context) (string, error) {
			_, err := w.post(ctx, updatePath, map[string]any{"job_id": json.Number(c.ID), "new_settings": settings})
			return c.ID, err
		},
		look: func(ctx context.Context) (string, bool, error) {
			o, err := w.job(ctx, c.ID)
			return c.ID, err == nil && o.Wrote == nonce, err
		},
	}, j)
}

// reread reads a job right before it is changed. gone: the workspace says that it is not there. The result has an
// error where nothing may be sent: nobody knows what is there, it is not ours any more, or it is not what the plan was
// made for. A 403 never means that it is gone.
func (w *Workspace) reread(ctx context.Context, c fabric.Change) (gone bool, r fabric.Result) {
	err := w.unchanged(ctx, c)
	var changed *fabric.Changed
	switch {
	case err == nil:
	case errors.As(err, &changed) && changed.Gone:
		return true, fabric.Result{}
	case changed != nil && changed.Marked:
		return false, held(c, configs.Found(configs.MarkMissing, string(c.Key), "job "+c.ID))
	case changed != nil:
		return false, held(c, configs.Found(configs.LiveChanged, string(c.Key), "job "+c.ID+": "+strings.Join(changed.Paths, ", ")))
	case forbidden(err):
		return false, held(c, configs.Found(configs.NotSeen, string(c.Key), err.Error()))
	default:
		return false, fabric.Result{ID: c.ID, Status: fabric.Later, Err: err}
	}
	return false, fabric.Result{}
}

// removable looks at a job right before it is deleted, and at its runs, which it tells to end where the change says
// so. gone: it was deleted already, and the result says that it is done. It is not deleted where the result has an error.
func (w *Workspace) removable(ctx context.Context, c fabric.Change, j fabric.Journal) (gone bool, r fabric.Result) {
	if c.Runs == configs.RunsCancel { // whose are they?
		gone, r = w.reread(ctx, c)
	}
	if !gone && r.Err == nil {
		r = w.idle(ctx, c, j)
	}
	if !gone && r.Err == nil {
		gone, r = w.reread(ctx, c)
	}
	if gone {
		r = fabric.Result{ID: c.ID, Status: fabric.Done}
	}
	return gone, r
}

// held is the result of a change that has to wait, though nothing went wrong.
func held(c fabric.Change, why configs.Finding) fabric.Result {
	return fabric.Result{Key: c.Key, ID: c.ID, Status: fabric.Later, Err: errors.New(why.Text), Held: why}
}
