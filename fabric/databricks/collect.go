package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/databricks/databricks-sdk-go/httpclient"

	"selvage/fabric"
)

const (
	workspaceListPath   = "/api/2.0/workspace/list"
	workspaceDeletePath = "/api/2.0/workspace/delete"
	exportPath          = "/api/2.0/workspace/export"

	// maxMentioning is the longest file that Content reads: what Render makes is shorter.
	maxMentioning = 10 << 20
	// mostEntries bounds what is listed of one folder, and deepestFolder how deep.
	mostEntries   = 100_000
	deepestFolder = 20
)

var _ fabric.Collector = (*Workspace)(nil)

var (
	folderName = regexp.MustCompile(`^[0-9a-f]{64}$`)
	digestText = regexp.MustCompile(`[0-9a-f]{64}`)
)

// entry is one thing in a folder.
type entry struct {
	path     string
	kind     string // "DIRECTORY", "FILE" or "NOTEBOOK"; whatever else the workspace has
	size     int64
	modified time.Time
}

const (
	aFolder   = "DIRECTORY"
	aFile     = "FILE"
	aNotebook = "NOTEBOOK"
)

// Roots implements fabric.Collector.
func (w *Workspace) Roots(ctx context.Context) ([]string, error) {
	root, err := w.artifactRoot(ctx)
	if err != nil {
		return nil, err
	}
	me, err := w.whoAmI(ctx)
	if err != nil {
		return nil, err
	}
	if sources := sourcesRoot(root, me); sources != "" {
		return []string{root, sources}, nil
	}
	return []string{root}, nil
}

// Folders implements fabric.Collector.
func (w *Workspace) Folders(ctx context.Context, root string) (names []string, err error) {
	entries, err := w.entries(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("list %s on fabric %s: %w", root, w.name, err)
	}
	for _, e := range entries {
		if name := path.Base(e.path); e.kind == aFolder && folderName.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Files implements fabric.Collector.
func (w *Workspace) Files(ctx context.Context, root, folder string) ([]fabric.File, error) {
	if !folderName.MatchString(folder) {
		return nil, fmt.Errorf("%q is no folder of artifacts", folder)
	}
	var files []fabric.File
	var visit func(dir string, depth int) error
	visit = func(dir string, depth int) error {
		entries, err := w.entries(ctx, dir)
		if err != nil {
			return fmt.Errorf("list %s on fabric %s: %w", dir, w.name, err)
		}
		for _, e := range entries {
			f := fabric.File{Path: e.path, Size: e.size, Modified: e.modified}
			switch {
			case e.kind == aFolder && depth < deepestFolder:
				if err := visit(e.path, depth+1); err != nil {
					return err
				}
				continue
			case e.kind != aFile && e.kind != aNotebook:
				f.Odd = strings.ToLower(w.redact(e.kind))
			}
			if files = append(files, f); len(files) > mostEntries {
				return fmt.Errorf("%s on fabric %s holds more than %d files", dir, w.name, mostEntries)
			}
		}
		return nil
	}
	if err := visit(path.Join(root, folder), 1); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b fabric.File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// entries lists a folder; nothing where it is not there.
func (w *Workspace) entries(ctx context.Context, dir string) ([]entry, error) {
	var e *CallError
	if strings.HasPrefix(dir, "/Volumes/") {
		entries, err := w.volumeEntries(ctx, dir)
		if errors.As(err, &e) && e.Status == http.StatusNotFound {
			return nil, nil // the folder, or the volume: then there is nothing to remove
		}
		return entries, err
	}
	var page struct {
		Objects []struct {
			Type     string `json:"object_type"`
			Path     string `json:"path"`
			Size     *int64 `json:"size"`
			Modified int64  `json:"modified_at"`
		} `json:"objects"`
		Next string `json:"next_page_token"`
	}
	err := w.get(ctx, workspaceListPath, map[string]any{"path": dir}, &page)
	switch {
	case errors.As(err, &e) && e.missing():
		return nil, nil
	case err != nil:
		return nil, err
	case page.Next != "":
		return nil, errors.New("the workspace gives only a part of it")
	}
	var entries []entry
	for _, o := range page.Objects {
		found := entry{path: inWorkspace(o.Path), kind: o.Type, size: -1, modified: millis(o.Modified)}
		if o.Size != nil {
			found.size = *o.Size
		}
		if err := within(dir, found.path); err != nil {
			return nil, err
		}
		entries = append(entries, found)
	}
	return entries, nil
}

func (w *Workspace) volumeEntries(ctx context.Context, dir string) ([]entry, error) {
	query := map[string]any{}
	var entries []entry
	tokens := map[string]bool{}
	for range maxPages {
		var page struct {
			Contents []struct {
				Path     string `json:"path"`
				Folder   bool   `json:"is_directory"`
				Size     *int64 `json:"file_size"`
				Modified int64  `json:"last_modified"`
			} `json:"contents"`
			Next string `json:"next_page_token"`
		}
		if err := w.get(ctx, directoriesPath+httpclient.EncodeMultiSegmentPathParameter(dir), query, &page); err != nil {
			return nil, err
		}
		for _, c := range page.Contents {
			found := entry{path: strings.TrimSuffix(c.Path, "/"), kind: aFile, size: -1, modified: millis(c.Modified)}
			if c.Folder {
				found.kind = aFolder
			}
			if c.Size != nil {
				found.size = *c.Size
			}
			if err := within(dir, found.path); err != nil {
				return nil, err
			}
			entries = append(entries, found)
		}
		if page.Next == "" {
			return entries, nil
		}
		if tokens[page.Next] || len(entries) > mostEntries {
			return nil, errors.New("the list of files has no end")
		}
		tokens[page.Next] = true
		query["page_token"] = page.Next
	}
	return nil, errors.New("the list of files has no end")
}

// inWorkspace is a path as ours are: the workspace shows them without the first part.
func inWorkspace(p string) string {
	if strings.HasPrefix(p, "/Workspace/") {
		return p
	}
	return "/Workspace" + p
}

// within refuses an answer that names something outside the folder that was asked about.
func within(dir, p string) error {
	if path.Dir(p) != dir || path.Clean(p) != p {
		return fmt.Errorf("the workspace lists something else, %q", shorten(p, mostOfKey))
	}
	return nil
}

func millis(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Content implements fabric.Collector.
func (w *Workspace) Content(ctx context.Context, f fabric.File) ([]byte, error) {
	if f.Size > maxMentioning {
		return nil, fmt.Errorf("read %s on fabric %s: it has %d bytes, more than is looked at", f.Path, w.name, f.Size)
	}
	c := call{method: http.MethodGet, path: exportPath, query: map[string]any{"path": f.Path, "format": "AUTO", "direct_download": true}}
	if strings.HasPrefix(f.Path, "/Volumes/") {
		c = call{method: http.MethodGet, path: filesPath + httpclient.EncodeMultiSegmentPathParameter(f.Path)}
	}
	a, err := w.read(ctx, c)
	var e *CallError
	switch {
	case errors.As(err, &e) && (e.missing() || c.path != exportPath && e.Status == http.StatusNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s on fabric %s: %w", f.Path, w.name, err)
	}
	return a.body, nil
}

// Mentions implements fabric.Collector. It looks at the text of the definitions, so that no field is forgotten that
// may hold a path.
func (w *Workspace) Mentions(ctx context.Context, s fabric.Scope) (jobs map[string]string, unseen string, err error) {
	me, err := w.identify(ctx)
	if err != nil {
		return nil, "", err
	}
	now := listing{time.Now(), map[string]bool{}}
	all, err := w.list(ctx, map[string]any{"expand_tasks": true}, passOver)
	if err != nil {
		return nil, "", fmt.Errorf("look at fabric %s (%s): %w", w.name, w.host, err)
	}
	for _, j := range all {
		o, err := w.object(j, false)
		if err != nil {
			return nil, "", fmt.Errorf("look at fabric %s (%s): %w", w.name, w.host, err)
		}
		now.ours[o.ID] = o.Mark.Installation == w.installation && o.Managed
	}
	switch more, err := w.expected(ctx, now, s); {
	case err != nil:
		return nil, "", fmt.Errorf("look at fabric %s (%s): %w", w.name, w.host, err)
	case more.doubt.Code != "":
		return nil, "", fmt.Errorf("look at fabric %s (%s): %s", w.name, w.host, more.doubt.Text)
	}
	jobs = map[string]string{}
	for _, j := range all {
		if j.HasMore {
			if j, err = w.whole(ctx, j.ID.String()); err != nil {
				return nil, "", fmt.Errorf("look at fabric %s (%s): %w", w.name, w.host, err)
			}
		}
		var settings any // escapes in its strings hide nothing
		if err := json.Unmarshal(j.Settings, &settings); err != nil {
			return nil, "", fmt.Errorf("read job %s: %w", j.ID, err)
		}
		walk(nil, settings, func(_ *spot, s string) string {
			for _, digest := range digestText.FindAllString(s, -1) {
				if jobs[digest] == "" {
					jobs[digest] = "job " + j.ID.String()
				}
			}
			return s
		})
	}
	return jobs, me.unseen, nil
}

// Remove implements fabric.Collector.
func (w *Workspace) Remove(ctx context.Context, files []fabric.File, j fabric.Journal) fabric.Result {
	roots, err := w.Roots(ctx)
	if err != nil {
		return fabric.Result{Status: fabric.Later, Err: err}
	}
	var root string
	var paths []string
	for _, f := range files {
		i := slices.IndexFunc(roots, func(root string) bool { return strings.HasPrefix(f.Path, root+"/") })
		if i < 0 || root != "" && root != roots[i] || !isArtifact(roots[i], f) {
			return fabric.Result{Status: fabric.Refused, Err: fmt.Errorf("%s is no artifact below one of %s, the same as of the others", f.Path, strings.Join(roots, ", "))}
		}
		root = roots[i]
		paths = append(paths, f.Path)
	}
	if len(paths) == 0 {
		return fabric.Result{Status: fabric.Done}
	}
	w.Forget(paths)
	r := w.perform(ctx, mutation{
		intent: fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpCollect, Paths: paths,
			Text: fmt.Sprintf("remove %d artifacts from %s", len(paths), root)},
		class: uploads(root),
		send: func(ctx context.Context) (string, error) {
			for _, p := range paths {
				if err := w.removePath(ctx, p, false); err != nil {
					return "", err
				}
			}
			return "", w.removeEmpty(ctx, root, paths)
		},
		look: func(ctx context.Context) (string, bool, error) {
			for _, p := range paths {
				if there, err := w.there(ctx, p); err != nil || there {
					return "", false, err
				}
			}
			return "", true, nil
		},
		repeatable: true,
	}, j)
	w.Forget(paths) // an upload may have looked meanwhile
	if r.Err != nil {
		r.Err = fmt.Errorf("remove artifacts from fabric %s: %w", w.name, r.Err)
	}
	return r
}

// isArtifact reports a file in a folder of artifacts below a root.
func isArtifact(root string, f fabric.File) bool {
	folder, _, deeper := strings.Cut(strings.TrimPrefix(f.Path, root+"/"), "/")
	return deeper && folderName.MatchString(folder) && path.Clean(f.Path) == f.Path && f.Odd == ""
}

// there reports that something of that path is there, whatever it is.
func (w *Workspace) there(ctx context.Context, p string) (bool, error) {
	var err error
	var e *CallError
	volume := strings.HasPrefix(p, "/Volumes/")
	if volume {
		_, err = w.read(ctx, call{method: http.MethodHead, path: filesPath + httpclient.EncodeMultiSegmentPathParameter(p)})
	} else {
		err = w.get(ctx, statusPath, map[string]any{"path": p}, &struct{}{})
	}
	if errors.As(err, &e) && (e.missing() || volume && e.Status == http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// removeEmpty removes the folders of files that are gone, from the deepest on, as far as they are empty.
func (w *Workspace) removeEmpty(ctx context.Context, root string, paths []string) error {
	dirs := map[string]bool{}
	for _, p := range paths {
		for d := path.Dir(p); d != root && strings.HasPrefix(d, root+"/"); d = path.Dir(d) {
			dirs[d] = true
		}
	}
	var order []string
	for d := range dirs {
		order = append(order, d)
	}
	slices.SortFunc(order, func(a, b string) int { return strings.Compare(b, a) }) // what lies in a folder comes before it
	for _, d := range order {
		if err := w.removePath(ctx, d, true); err != nil {
			return err
		}
	}
	return nil
}

// removePath removes a file, or a folder that is empty. What is gone, and a folder that is not empty, is no error.
func (w *Workspace) removePath(ctx context.Context, p string, folder bool) error {
	var err error
	switch {
	case !strings.HasPrefix(p, "/Volumes/"):
		_, err = w.post(ctx, workspaceDeletePath, map[string]any{"path": p, "recursive": false})
	case folder:
		_, err = w.send(ctx, call{method: http.MethodDelete, path: directoriesPath + httpclient.EncodeMultiSegmentPathParameter(p)})
	default:
		_, err = w.send(ctx, call{method: http.MethodDelete, path: filesPath + httpclient.EncodeMultiSegmentPathParameter(p)})
	}
	var e *CallError
	switch {
	case !errors.As(err, &e):
		return err
	case e.missing() || strings.HasPrefix(p, "/Volumes/") && e.Status == http.StatusNotFound:
		return nil
	case folder && (e.Status == http.StatusBadRequest || e.Status == http.StatusConflict):
		return nil
	}
	return err
}

// Forget implements fabric.Collector.
func (w *Workspace) Forget(paths []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range paths {
		delete(w.uploaded, p)
	}
}
