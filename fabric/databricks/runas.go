package databricks

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"selvage/fabric"
)

// applicationID is the name of a service principal; a user's is an e-mail address.
var applicationID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// returned are the settings to send for an update. Where the definition no longer says whom the job runs as, they
// name the principal that logs in, whom a new job runs as too: a reset without run_as would keep the old one for ever.
func (w *Workspace) returned(ctx context.Context, c fabric.Change) (fabric.Doc, error) {
	dropped := slices.ContainsFunc(c.Fields, func(f fabric.Field) bool { return f.Path == "run_as" || strings.HasPrefix(f.Path, "run_as.") })
	if !dropped || c.Desired.At("run_as") != nil {
		return c.Desired, nil
	}
	me, err := w.whoAmI(ctx)
	if err != nil {
		return fabric.Doc{}, err
	}
	kind := "user_name"
	if applicationID.MatchString(me) {
		kind = "service_principal_name"
	}
	settings := c.Desired.Object()
	settings["run_as"] = map[string]any{kind: me}
	return fabric.NewDoc(settings), nil
}
