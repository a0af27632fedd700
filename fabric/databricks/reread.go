package databricks

import (
	"context"
	"errors"
	"fmt"

	"selvage/fabric"
)

// unchanged reads the job of a change once more, right before it is written or deleted: somebody may have edited it since
// the plan's look. It costs one request (one for each further hundred tasks). The error is
//
//   - nil: it is what the plan saw, mark and definition, whatever the order of its lists;
//   - a *fabric.Changed: it is not, or it is gone (Gone);
//   - anything else: it could not be read, which says nothing.
//
// With an error, nothing may be sent and no intent be opened; the result is Later.
func (w *Workspace) unchanged(ctx context.Context, c fabric.Change) error {
	j, err := w.whole(ctx, c.ID)
	var e *CallError
	switch {
	case errors.As(err, &e) && e.missing():
		return &fabric.Changed{Gone: true}
	case err != nil:
		return err
	}
	d, err := fabric.ParseDoc(j.Settings)
	if err != nil {
		return fmt.Errorf("read job %s: %w", c.ID, err)
	}
	settings := d.Object()
	tags, _ := settings["tags"].(map[string]any)
	mark, _ := markOf(tags)
	return c.Unchanged(jobRules, mark, unmarked(settings))
}
