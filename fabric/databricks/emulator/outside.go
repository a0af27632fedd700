package emulator

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

// What people put into a workspace that no request of ours makes: secrets, pipelines of Delta Live Tables, and
// files of the old file system, DBFS. Of a secret there is no value here.

// SetSecret puts a secret into a scope, which it makes. An empty key makes the scope alone.
func (w *Workspace) SetSecret(scope, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := maps.Clone(w.state.secrets[scope])
	if keys == nil {
		keys = map[string]int64{}
	}
	if key != "" {
		keys[key] = w.o.Now().UnixMilli()
	}
	w.state.secrets[scope] = keys
}

// SetPipeline makes a pipeline of Delta Live Tables with that id.
func (w *Workspace) SetPipeline(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.pipelines[id] = true
}

// SetFile puts a file below /Volumes, /Workspace or dbfs:/, with its folders.
func (w *Workspace) SetFile(name string, content []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Now()
	n := &node{kind: file, body: content, created: now, modified: now}
	switch {
	case path.Clean(name) != name && !strings.HasPrefix(name, "dbfs:/"):
		return fmt.Errorf("put a file by hand: %q is not a clean path", name)
	case strings.HasPrefix(name, "/Volumes/") && strings.Count(name, "/") > 4:
		if f := w.volumeFolders(&call{now: now}, path.Dir(name)); f != nil {
			return fmt.Errorf("put a file by hand: %s", f.message)
		}
		w.state.volumes[name] = n
	case strings.HasPrefix(name, "/Workspace/"):
		p := workspacePath(name)
		n.id = w.rng.Int64N(1 << 52)
		w.state.addFolders(path.Dir(p), now)
		w.state.tree[p] = n
	case strings.HasPrefix(name, "dbfs:/"):
		w.state.dbfs[path.Clean(strings.TrimPrefix(name, "dbfs:"))] = n
	default:
		return fmt.Errorf("put a file by hand: %q is not below /Volumes, /Workspace or dbfs:/", name)
	}
	return nil
}

// listSecrets is GET secrets/list: the keys of a scope, without values.
func (w *Workspace) listSecrets(c *call) (answer, *failure) {
	scope := c.param("scope")
	if scope == "" {
		return answer{}, invalid("Missing required field: scope")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, found := w.state.secrets[scope]
	if !found {
		return answer{}, refused(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Scope %s does not exist!", scope)
	}
	if len(keys) == 0 {
		return ok(map[string]any{}) // an empty list is left out
	}
	list := []any{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		list = append(list, map[string]any{"key": key, "last_updated_timestamp": keys[key]})
	}
	return ok(map[string]any{"secrets": list})
}

// getPipeline is GET pipelines/ID.
func (w *Workspace) getPipeline(c *call) (answer, *failure) {
	id := strings.TrimPrefix(c.path, "/api/2.0/pipelines/")
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.state.pipelines[id]:
		return ok(map[string]any{"pipeline_id": id, "name": "pipeline " + id, "state": "IDLE", "creator_user_name": byHand,
			"spec": map[string]any{"id": id, "name": "pipeline " + id, "continuous": false}})
	case w.o.Unverified.PipelineMissingIs403:
		return answer{}, refused(http.StatusForbidden, "PERMISSION_DENIED", "User %s does not have View permissions on pipeline %s.", c.user, id)
	}
	return answer{}, refused(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "The specified pipeline %s was not found.", id)
}

// dbfsStatus is GET dbfs/get-status, of a file or of a folder that holds some.
func (w *Workspace) dbfsStatus(c *call) (answer, *failure) {
	p := c.param("path")
	if !strings.HasPrefix(p, "/") {
		return answer{}, invalid("Path must be absolute: %s", p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.state.dbfs[path.Clean(p)]; n != nil {
		return ok(map[string]any{"path": p, "is_dir": false, "file_size": len(n.body), "modification_time": n.modified.UnixMilli()})
	}
	if len(under(w.state.dbfs, path.Clean(p))) > 0 {
		return ok(map[string]any{"path": p, "is_dir": true, "file_size": 0})
	}
	return answer{}, refused(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "No file or directory exists on path %s.", p)
}
