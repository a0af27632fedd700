package databricks

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"

	"selvage/fabric"
)

// disown takes off a job what says that it is ours, and leaves everything else of it as it is: the request names
// those settings alone, as they are a moment before, and the service replaces them as a whole.
func (w *Workspace) disown(ctx context.Context, c fabric.Change, j fabric.Journal) fabric.Result {
	if err := validID(c.ID); err != nil {
		return fabric.Result{ID: c.ID, Status: fabric.Refused, Err: err}
	}
	now, err := w.job(ctx, c.ID)
	if err != nil {
		return fabric.Result{ID: c.ID, Status: fabric.Later, Err: err}
	}
	settings, remove := handedBack(now.Doc)
	body := map[string]any{"job_id": json.Number(c.ID)}
	if len(settings) > 0 {
		body["new_settings"] = settings
	}
	if len(remove) > 0 {
		body["fields_to_remove"] = remove
	}
	return w.perform(ctx, mutation{
		class: jobChanges,
		intent: fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpUpdate, Keys: []fabric.Key{c.Key}, ID: c.ID,
			Text: fmt.Sprintf("take the mark off job %s (%s)", c.ID, c.Key)},
		send: func(ctx context.Context) (string, error) {
			_, err := w.post(ctx, updatePath, body)
			return c.ID, err
		},
		look: func(ctx context.Context) (string, bool, error) {
			o, err := w.job(ctx, c.ID)
			return c.ID, err == nil && !o.Managed, err
		},
	}, j)
}

var (
	// managedEnd is our line at the end of a description.
	managedEnd = regexp.MustCompile(`(?:^|\n\n)` + regexp.QuoteMeta(managedStart) + ` \([^\n]*\)[^\n]*$`)
	// digestName is the name of a folder of ours.
	digestName = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// handedBack is what to put in and what to remove so that a job no longer says that it is ours. d is without the mark.
func handedBack(d fabric.Doc) (settings map[string]any, remove []any) {
	settings = map[string]any{}
	if tags, _ := d.At("tags").(map[string]any); len(tags) > 0 {
		settings["tags"] = tags
	} else {
		remove = append(remove, "tags")
	}
	if text, _ := d.At("description").(string); managedEnd.MatchString(text) {
		if text = managedEnd.ReplaceAllString(text, ""); text != "" {
			settings["description"] = text
		} else {
			remove = append(remove, "description")
		}
	}
	file, _ := d.At("deployment", "metadata_file_path").(string)
	if path.Base(file) == "metadata.json" && digestName.MatchString(path.Base(path.Dir(file))) && strings.EqualFold(fmt.Sprint(d.At("edit_mode")), "UI_LOCKED") {
		settings["edit_mode"] = "EDITABLE"
		remove = append(remove, "deployment")
	}
	return settings, remove
}
