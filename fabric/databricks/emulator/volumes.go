package emulator

import (
	"net/http"
	"path"
	"slices"
	"strings"
)

// volumePath is the path of a call below fs/files or fs/directories. It must lie in a volume that exists.
func (w *Workspace) volumePath(c *call) (string, *failure) {
	p := strings.TrimPrefix(strings.TrimPrefix(c.path, "/api/2.0/fs/files"), "/api/2.0/fs/directories")
	p = strings.TrimSuffix(p, "/")
	parts := strings.Split(p, "/") // "", Volumes, catalog, schema, volume, ...
	if len(parts) < 5 || parts[1] != "Volumes" || path.Clean(p) != p {
		return "", invalid("Invalid path: %s is not in a volume", p)
	}
	if volume := strings.Join(parts[2:5], "."); w.o.Volumes != nil && !slices.Contains(w.o.Volumes, volume) {
		return "", refused(http.StatusNotFound, "NOT_FOUND", "Volume '%s' does not exist.", volume)
	}
	return p, nil
}

// isVolume tells whether p is a volume itself, whose folder is always there.
func isVolume(p string) bool { return strings.Count(p, "/") == 4 }

// folderAt is the folder of a path, or nil.
func (s *state) folderAt(p string) *node {
	if n := s.volumes[p]; n != nil && n.kind == folder {
		return n
	}
	if isVolume(p) {
		return &node{kind: folder}
	}
	return nil
}

// putVolumeFile is PUT fs/files: the body is the file. Missing folders are made.
func (w *Workspace) putVolumeFile(c *call) (answer, *failure) {
	p, f := w.volumePath(c)
	if f != nil {
		return answer{}, f
	}
	if isVolume(p) {
		return answer{}, invalid("%s is a volume, not a file", p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.state.volumes[p]
	if have != nil && (have.kind == folder || c.param("overwrite") != "true") {
		return answer{}, refused(http.StatusConflict, "ALREADY_EXISTS", "The file being created already exists: %s", p)
	}
	if w.o.Unverified.VolumeParents && w.state.folderAt(path.Dir(p)) == nil {
		return answer{}, refused(http.StatusNotFound, "NOT_FOUND", "No such directory: %s", path.Dir(p))
	}
	if f := w.volumeFolders(c, path.Dir(p)); f != nil {
		return answer{}, f
	}
	w.state.volumes[p] = &node{kind: file, body: c.body, created: c.now, modified: c.now}
	return answer{status: http.StatusNoContent}, nil
}

// volumeFolders makes a folder and those above it. The caller holds the lock.
func (w *Workspace) volumeFolders(c *call, p string) *failure {
	for ; !isVolume(p); p = path.Dir(p) {
		n := w.state.volumes[p]
		if n != nil && n.kind != folder {
			return refused(http.StatusConflict, "ALREADY_EXISTS", "%s is a file", p)
		}
		if n == nil {
			w.state.volumes[p] = &node{kind: folder, created: c.now, modified: c.now}
		}
	}
	return nil
}

// readVolumeFile is GET and HEAD fs/files. HEAD shows size and time; there is no hash.
func (w *Workspace) readVolumeFile(c *call) (answer, *failure) {
	p, f := w.volumePath(c)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	n := w.state.volumes[p]
	w.mu.Unlock()
	if n == nil || n.kind == folder {
		return answer{}, refused(http.StatusNotFound, "NOT_FOUND", "The file being accessed is not found: %s", p)
	}
	return answer{status: http.StatusOK, body: n.body, header: map[string]string{
		"Content-Type": "application/octet-stream", "Last-Modified": n.modified.UTC().Format(http.TimeFormat)}}, nil
}

func (w *Workspace) deleteVolumeFile(c *call) (answer, *failure) {
	p, f := w.volumePath(c)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.state.volumes[p]; n == nil || n.kind == folder {
		return answer{}, refused(http.StatusNotFound, "NOT_FOUND", "The file being accessed is not found: %s", p)
	}
	delete(w.state.volumes, p)
	return answer{status: http.StatusNoContent}, nil
}

func (w *Workspace) putVolumeFolder(c *call) (answer, *failure) {
	p, f := w.volumePath(c)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.volumeFolders(c, p); f != nil {
		return answer{}, f
	}
	return answer{status: http.StatusNoContent}, nil
}

// readVolumeFolder is GET fs/directories, all entries on one page, and HEAD.
func (w *Workspace) readVolumeFolder(c *call) (answer, *failure) {
	p, f := w.volumePath(c)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.folderAt(p) == nil {
		return answer{}, refused(http.StatusNotFound, "NOT_FOUND", "No such directory: %s", p)
	}
	contents := []any{}
	for _, at := range under(w.state.volumes, p) {
		if path.Dir(at) != p {
			continue
		}
		n := w.state.volumes[at]
		entry := map[string]any{"path": at, "name": path.Base(at), "is_directory": n.kind == folder, "last_modified": n.modified.UnixMilli()}
		if n.kind == file {
			entry["file_size"] = len(n.body)
		}
		contents = append(contents, entry)
	}
	return ok(map[string]any{"contents": contents})
}

// deleteVolumeFolder deletes an empty folder.
func (w *Workspace) deleteVolumeFolder(c *call) (answer, *failure) {
	p, f := w.volumePath(c)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.folderAt(p) == nil {
		return answer{}, refused(http.StatusNotFound, "NOT_FOUND", "No such directory: %s", p)
	}
	if len(under(w.state.volumes, p)) > 0 {
		return answer{}, refused(http.StatusBadRequest, "DIRECTORY_NOT_EMPTY", "The directory is not empty: %s", p)
	}
	delete(w.state.volumes, p)
	return answer{status: http.StatusNoContent}, nil
}
