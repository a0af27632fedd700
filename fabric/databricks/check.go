package databricks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/databricks/databricks-sdk-go/httpclient"
)

// Check is one thing that must be so for the fabric to work.
type Check struct {
	Name string // "reach", "log in", "list jobs", SeeJobs, "read jobs", "artifacts", "clock"
	OK   bool
	Text string // what was seen
	Next string // what to do where it is not OK
	// Note: it is OK, and still worth knowing.
	Note bool
}

// SeeJobs is the name of the check whether the principal sees every job. Where it does not, nothing is created unless
// the configuration says that it need not.
const SeeJobs = "see jobs"

// maxSkew is how far the two clocks may be apart before signed tokens are refused.
const maxSkew = time.Minute

// Check looks at what the fabric needs. It writes nothing, so whether we may write to the folder of
// the artifacts shows only as far as the workspace tells who reads.
func (w *Workspace) Check(ctx context.Context) []Check {
	var checks []Check
	add := func(name string, err error, text, next string) bool {
		if err != nil {
			text = err.Error()
		} else {
			next = ""
		}
		checks = append(checks, Check{Name: name, OK: err == nil, Text: text, Next: next})
		return err == nil
	}
	me, err := w.identify(ctx)
	var e *CallError
	if errors.As(err, &e) && e.Status == 0 {
		add("reach", err, "", fmt.Sprintf("see whether this machine reaches %s, and whether host is right", w.host))
		return checks
	}
	add("reach", nil, w.host+" answers", "")
	if !add("log in", err, "as "+me.name, fmt.Sprintf("see whether the credential (%s) is right and has not expired", w.attributes["auth_type"])) {
		return checks
	}
	jobs, err := w.list(ctx, map[string]any{"expand_tasks": true}, passOver)
	if add("list jobs", err, fmt.Sprintf("%d jobs are visible", len(jobs)), "give the principal the right to use the workspace") {
		var unseen error
		if me.unseen != "" {
			unseen = errors.New(me.unseen + ": there may be jobs that it does not see, so that nothing is created")
		}
		add(SeeJobs, unseen, me.name+" is an admin of the workspace", "make it an admin; or, if the jobs of others are none of its business, say visibility: own of the fabric")
		text, differ, err := w.compareReads(ctx, jobs)
		add("read jobs", err, text, "give the principal the right to view those jobs")
		checks[len(checks)-1].Note = differ
	}

	root, err := w.artifactRoot(ctx)
	text := root
	if err == nil {
		text, err = w.probe(ctx, root)
	}
	add("artifacts", err, text, fmt.Sprintf("make the folder and give %s the right to write there, or set artifacts of the fabric", me.name))

	skew, err := w.skew(ctx)
	if err == nil && (skew > maxSkew || skew < -maxSkew) {
		err = fmt.Errorf("the workspace's clock differs from ours by %s", skew)
	}
	add("clock", err, fmt.Sprintf("within %s", maxSkew), "set this machine's clock")
	return checks
}

// probe looks at the folder of the artifacts, or at the nearest one above it that exists.
func (w *Workspace) probe(ctx context.Context, root string) (string, error) {
	volume := strings.HasPrefix(root, "/Volumes/")
	for at := root; strings.Count(at, "/") > 1; at = path.Dir(at) {
		var err error
		if volume {
			_, err = w.read(ctx, call{method: http.MethodHead, path: directoriesPath + httpclient.EncodeMultiSegmentPathParameter(at)})
		} else {
			err = w.get(ctx, statusPath, map[string]any{"path": at}, &struct{}{})
		}
		var e *CallError
		switch {
		case err == nil && at == root:
			return root + " is there", nil
		case err == nil:
			return fmt.Sprintf("%s will be made below %s", root, at), nil
		case errors.As(err, &e) && (e.missing() || volume && e.Status == http.StatusNotFound):
		default:
			return "", fmt.Errorf("look at %s: %w", at, err)
		}
	}
	return "", fmt.Errorf("neither %s nor a folder above it is there", root)
}

// skew is how far the workspace's clock is ahead of ours.
func (w *Workspace) skew(ctx context.Context) (time.Duration, error) {
	a, err := w.read(ctx, call{method: http.MethodGet, path: mePath})
	if err != nil {
		return 0, err
	}
	at, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return 0, nil // it does not say
	}
	return time.Until(at).Round(time.Second), nil
}
