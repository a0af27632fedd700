package databricks

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/databricks/databricks-sdk-go/httpclient"
	"golang.org/x/sync/errgroup"

	"selvage/fabric"
)

const (
	dbfsStatusPath = "/api/2.0/dbfs/get-status"
	secretsPath    = "/api/2.0/secrets/list"
	pipelinesPath  = "/api/2.0/pipelines/"

	// looksAtOnce is how many things are looked for at a time; the pace of the host holds besides.
	looksAtOnce = 8
)

// Outside looks for things that others put into the workspace: files by their status, secrets by
// the list of their scope's keys, never by their value, DLT pipelines by their id, and what goes by its name in
// the list of its kind.
//
// What the workspace says does not exist is Absent. Anything else that it answers, a 403 among it, leaves
// Unknown: it may be there and not be ours to see.
func (w *Workspace) Outside(ctx context.Context, things []fabric.Outside) (map[fabric.Outside]fabric.Sight, error) {
	var mu sync.Mutex // guards seen
	seen := make(map[fabric.Outside]fabric.Sight, len(things))
	scopes := map[string][]fabric.Outside{}
	names := map[fabric.OutsideKind][]fabric.Outside{}
	g, lookCtx := errgroup.WithContext(ctx)
	g.SetLimit(looksAtOnce)
	look := func(of []fabric.Outside, what func(context.Context) (map[fabric.Outside]fabric.Sight, error)) {
		g.Go(func() error {
			found, err := what(lookCtx)
			var busy *fabric.Busy
			if errors.As(err, &busy) || lookCtx.Err() != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, t := range of {
				if err == nil {
					seen[t] = found[t] // Unknown where it does not say
				}
			}
			return nil
		})
	}
	one := func(t fabric.Outside, what func(context.Context, string) (bool, error)) {
		look([]fabric.Outside{t}, func(ctx context.Context) (map[fabric.Outside]fabric.Sight, error) {
			there, err := what(ctx, t.Name)
			return map[fabric.Outside]fabric.Sight{t: sightOf(there)}, err
		})
	}
	asked := map[fabric.Outside]bool{}
	for _, t := range things {
		if asked[t] {
			continue
		}
		asked[t] = true
		mu.Lock()
		seen[t] = fabric.Sight{}
		mu.Unlock()
		switch t.Kind {
		case fabric.OutsideFile:
			one(t, w.fileThere)
		case fabric.OutsidePipeline:
			one(t, w.pipelineThere)
		case fabric.OutsideSecret:
			scope, _, _ := strings.Cut(t.Name, "/")
			scopes[scope] = append(scopes[scope], t)
		default:
			if _, listed := registers[t.Kind]; listed {
				names[t.Kind] = append(names[t.Kind], t)
			}
		}
	}
	for scope, of := range scopes {
		look(of, func(ctx context.Context) (map[fabric.Outside]fabric.Sight, error) {
			return w.secretsThere(ctx, scope, of)
		})
	}
	for kind, of := range names {
		look(of, func(ctx context.Context) (map[fabric.Outside]fabric.Sight, error) { return w.named(ctx, kind, of) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return seen, ctx.Err()
}

// sightOf is the sight of a thing that goes by no name.
func sightOf(there bool) fabric.Sight {
	if there {
		return fabric.Sight{Presence: fabric.Present}
	}
	return fabric.Sight{Presence: fabric.Absent}
}

// fileThere looks for a file of a volume, of the workspace, or below dbfs:/. What is there and is a folder is
// not the file.
func (w *Workspace) fileThere(ctx context.Context, p string) (bool, error) {
	var err error
	is := true
	switch {
	case strings.HasPrefix(p, "/Volumes/"):
		// The answer to HEAD has no body, so that its status is all there is. A folder is none of its files.
		_, err = w.read(ctx, call{method: http.MethodHead, path: filesPath + httpclient.EncodeMultiSegmentPathParameter(p)})
		var e *CallError
		if errors.As(err, &e) && e.Status == http.StatusNotFound {
			return false, nil
		}
		return err == nil, err
	case strings.HasPrefix(p, "/Workspace/"):
		var status struct {
			Type string `json:"object_type"`
		}
		err = w.get(ctx, statusPath, map[string]any{"path": p}, &status)
		is = status.Type != "DIRECTORY" && status.Type != "REPO"
	case strings.HasPrefix(p, "dbfs:/"):
		var status struct {
			Folder bool `json:"is_dir"`
		}
		err = w.get(ctx, dbfsStatusPath, map[string]any{"path": strings.TrimPrefix(p, "dbfs:")}, &status)
		is = !status.Folder
	default:
		return false, errors.New("the path is not below /Volumes, /Workspace or dbfs:/")
	}
	var e *CallError
	if errors.As(err, &e) && e.missing() {
		return false, nil
	}
	return err == nil && is, err
}

// secretsThere looks which of the secrets, all of one scope, are there, by the names of its keys. A scope that
// is not there has none.
func (w *Workspace) secretsThere(ctx context.Context, scope string, of []fabric.Outside) (map[fabric.Outside]fabric.Sight, error) {
	type secret struct {
		Key string `json:"key"`
	}
	var list struct {
		Secrets []secret `json:"secrets"`
	}
	err := w.get(ctx, secretsPath, map[string]any{"scope": scope}, &list)
	var e *CallError
	if err != nil && !(errors.As(err, &e) && e.missing()) {
		return nil, err
	}
	there := map[fabric.Outside]fabric.Sight{}
	for _, t := range of {
		_, key, _ := strings.Cut(t.Name, "/")
		there[t] = sightOf(slices.Contains(list.Secrets, secret{key}))
	}
	return there, nil
}

// pipelineID is what ids of pipelines look like. Nothing else goes into the path of a request.
var pipelineID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func (w *Workspace) pipelineThere(ctx context.Context, id string) (bool, error) {
	if !pipelineID.MatchString(id) {
		return false, nil // no pipeline has such an id
	}
	err := w.get(ctx, pipelinesPath+url.PathEscape(id), nil, &struct{}{})
	var e *CallError
	if errors.As(err, &e) && e.missing() {
		return false, nil
	}
	return err == nil, err
}
