package emulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// node is a file or folder, of the workspace or of a volume. It is never changed, only replaced.
type node struct {
	id                int64
	kind              string // DIRECTORY, FILE or NOTEBOOK
	language          string // of a notebook
	body              []byte
	created, modified time.Time
}

const (
	folder   = "DIRECTORY"
	file     = "FILE"
	notebook = "NOTEBOOK"
)

// importLimit is the size of a file in a JSON import, in bytes, before base64.
const importLimit = 10 << 20

// workspacePath is a path as the tree knows it: /Workspace/Users/x and /Users/x are the same. It is
// "" for a path that is not absolute and clean.
func workspacePath(p string) string {
	p = strings.TrimSuffix(strings.TrimPrefix(p, "/Workspace"), "/")
	if p == "" {
		return "/"
	}
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p {
		return ""
	}
	return p
}

// addFolders makes a folder and those above it.
func (s *state) addFolders(p string, now time.Time) {
	for p != "/" && p != "." && s.tree[p] == nil {
		s.tree[p] = &node{id: int64(hash(p) >> 2), kind: folder, created: now, modified: now}
		p = path.Dir(p)
	}
}

// at is the node of a path of the tree; the root is always there.
func (s *state) at(p string) *node {
	if p == "/" {
		return &node{kind: folder}
	}
	return s.tree[p]
}

func missingPath(p string) *failure {
	return refused(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Path (%s) doesn't exist.", p)
}

// namedPath reads and checks the path of a request.
func namedPath(raw string) (string, *failure) {
	if raw == "" {
		return "", invalid("Missing required field: path")
	}
	p := workspacePath(raw)
	if p == "" {
		return "", invalid("Path (%s) is not an absolute, clean path", raw)
	}
	return p, nil
}

// upload is an import, however it was sent.
type upload struct {
	path, format, language string
	overwrite              bool
	body                   []byte
}

// importFile is POST workspace/import, as JSON with base64 or as a multipart form.
func (w *Workspace) importFile(c *call) (answer, *failure) {
	kind, parameters, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	var u upload
	var f *failure
	if err == nil && kind == "multipart/form-data" {
		u, f = w.formUpload(c.body, parameters["boundary"])
	} else {
		u, f = jsonUpload(c.body)
	}
	if f != nil {
		return answer{}, f
	}
	p, f := namedPath(u.path)
	if f != nil {
		return answer{}, f
	}
	n, p, f := u.node(p)
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if parent := w.state.at(path.Dir(p)); parent == nil {
		return answer{}, missingPath(path.Dir(p))
	} else if parent.kind != folder {
		return answer{}, invalid("Path (%s) is not a folder", path.Dir(p))
	}
	n.id, n.created, n.modified = w.rng.Int64N(1<<52), c.now, c.now
	if have := w.state.at(p); have != nil {
		if have.kind == folder || !u.overwrite {
			status := http.StatusConflict
			if have.kind == notebook || w.o.Unverified.ExistsIs400 {
				status = http.StatusBadRequest
			}
			return answer{}, refused(status, "RESOURCE_ALREADY_EXISTS", "Path (%s) already exists.", p)
		}
		n.id, n.created = have.id, have.created
	}
	w.state.tree[p] = n
	return ok(map[string]any{})
}

func jsonUpload(body []byte) (upload, *failure) {
	o, f := decode(body, importLimit*4/3+1<<16)
	if f != nil {
		return upload{}, f
	}
	content, err := base64.StdEncoding.DecodeString(textField(o, "content"))
	if err != nil {
		return upload{}, malformed("content is not base64: %v", err)
	}
	if len(content) > importLimit {
		return upload{}, &failure{http.StatusBadRequest, "MAX_NOTEBOOK_SIZE_EXCEEDED",
			fmt.Sprintf("File size imported is (%d bytes), exceeded max size (%d bytes)", len(content), importLimit), true}
	}
	return upload{path: textField(o, "path"), format: textField(o, "format"), language: textField(o, "language"),
		overwrite: o["overwrite"] == true, body: content}, nil
}

func (w *Workspace) formUpload(body []byte, boundary string) (upload, *failure) {
	var u upload
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return u, malformed("Could not parse multipart form: %v", err)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return u, malformed("Could not parse multipart form: %v", err)
		}
		switch part.FormName() {
		case "path":
			u.path = string(value)
		case "format":
			u.format = string(value)
		case "language":
			u.language = string(value)
		case "overwrite":
			u.overwrite = string(value) == "true"
		case "content":
			u.body = value
		}
	}
	if int64(len(u.body)) > w.o.Unverified.MultipartLimit {
		return u, &failure{http.StatusRequestEntityTooLarge, "MAX_REQUEST_SIZE_EXCEEDED",
			fmt.Sprintf("File size imported is (%d bytes), exceeded max size (%d bytes)", len(u.body), w.o.Unverified.MultipartLimit), true}
	}
	return u, nil
}

// notebookHeads are the first lines that make a source file a notebook.
var notebookHeads = map[string][2]string{
	".py":    {"# Databricks notebook source", "PYTHON"},
	".scala": {"// Databricks notebook source", "SCALA"},
	".sql":   {"-- Databricks notebook source", "SQL"},
	".r":     {"# Databricks notebook source", "R"},
}

// node is what an import makes, and where: AUTO turns a source file with a notebook's first line
// into a notebook, and takes the extension off.
func (u upload) node(p string) (*node, string, *failure) {
	switch u.format {
	case "AUTO":
		ext := path.Ext(p)
		head, source := notebookHeads[strings.ToLower(ext)]
		if source && bytes.HasPrefix(u.body, []byte(head[0])) {
			return &node{kind: notebook, language: head[1], body: u.body}, strings.TrimSuffix(p, ext), nil
		}
		return &node{kind: file, body: u.body}, p, nil
	case "RAW":
		return &node{kind: file, body: u.body}, p, nil
	case "JUPYTER":
		var doc map[string]any
		if json.Unmarshal(u.body, &doc) != nil || doc["cells"] == nil {
			return nil, "", invalid("The content of %s is no notebook of Jupyter", p)
		}
		return &node{kind: notebook, language: "PYTHON", body: u.body}, p, nil
	case "", "SOURCE":
		if u.language == "" {
			return nil, "", invalid("The language of %s is missing; format SOURCE makes a notebook", p)
		}
		return &node{kind: notebook, language: u.language, body: u.body}, p, nil
	}
	return nil, "", refused(http.StatusNotImplemented, "NOT_IMPLEMENTED", "The emulator does not import format %s", u.format)
}

// makeFolders is POST workspace/mkdirs: with all parents, and without complaint when they are there.
func (w *Workspace) makeFolders(c *call) (answer, *failure) {
	body, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	p, f := namedPath(textField(body, "path"))
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for at := p; at != "/"; at = path.Dir(at) {
		if n := w.state.tree[at]; n != nil && n.kind != folder {
			return answer{}, refused(http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", "Path (%s) already exists and is no folder.", at)
		}
	}
	w.state.addFolders(p, c.now)
	return ok(map[string]any{})
}

// deletePath is POST workspace/delete.
func (w *Workspace) deletePath(c *call) (answer, *failure) {
	body, f := decode(c.body, jsonLimit)
	if f != nil {
		return answer{}, f
	}
	p, f := namedPath(textField(body, "path"))
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.tree[p] == nil {
		return answer{}, missingPath(p)
	}
	below := under(w.state.tree, p)
	if len(below) > 0 && body["recursive"] != true {
		return answer{}, refused(http.StatusBadRequest, "DIRECTORY_NOT_EMPTY", "Folder (%s) is not empty", p)
	}
	for _, gone := range append(below, p) {
		delete(w.state.tree, gone)
	}
	return ok(map[string]any{})
}

// under are the paths below a path, in order.
func under(tree map[string]*node, p string) []string {
	var out []string
	for at := range tree {
		if strings.HasPrefix(at, strings.TrimSuffix(p, "/")+"/") {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return out
}

func (w *Workspace) viewNode(n *node, p string) map[string]any {
	v := map[string]any{"object_type": n.kind, "path": p, "object_id": n.id, "resource_id": fmt.Sprint(n.id)}
	if n.kind == file {
		v["size"] = len(n.body)
	}
	if n.kind == notebook {
		v["language"] = n.language
		if w.o.Unverified.NotebookSizes {
			v["size"] = len(n.body) + 100 // of a form of its own
		}
	}
	if n.kind != folder {
		v["created_at"], v["modified_at"] = n.created.UnixMilli(), n.modified.UnixMilli()
	}
	return v
}

// pathStatus is GET workspace/get-status.
func (w *Workspace) pathStatus(c *call) (answer, *failure) {
	p, f := namedPath(c.param("path"))
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.state.at(p)
	if n == nil {
		return answer{}, missingPath(p)
	}
	return ok(w.viewNode(n, p))
}

// listPath is GET workspace/list: what is directly in a folder, or a file by itself.
func (w *Workspace) listPath(c *call) (answer, *failure) {
	p, f := namedPath(c.param("path"))
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.state.at(p)
	if n == nil {
		return answer{}, missingPath(p)
	}
	if n.kind != folder {
		return ok(map[string]any{"objects": []any{w.viewNode(n, p)}})
	}
	var list []any
	for _, at := range under(w.state.tree, p) {
		if path.Dir(at) == p {
			list = append(list, w.viewNode(w.state.tree[at], at))
		}
	}
	if list == nil {
		return ok(map[string]any{}) // an empty folder has no "objects"
	}
	return ok(map[string]any{"objects": list})
}

// exportFile is GET workspace/export.
func (w *Workspace) exportFile(c *call) (answer, *failure) {
	p, f := namedPath(c.param("path"))
	if f != nil {
		return answer{}, f
	}
	w.mu.Lock()
	n := w.state.at(p)
	w.mu.Unlock()
	switch {
	case n == nil:
		return answer{}, missingPath(p)
	case n.kind == folder:
		return answer{}, invalid("Folder (%s) can't be exported by the emulator", p)
	case len(n.body) > importLimit:
		return answer{}, refused(http.StatusBadRequest, "MAX_NOTEBOOK_SIZE_EXCEEDED", "%s is over %d bytes", p, importLimit)
	case c.param("direct_download") == "true":
		return answer{status: http.StatusOK, body: n.body, header: map[string]string{"Content-Type": "application/octet-stream"}}, nil
	}
	return ok(map[string]any{"content": base64.StdEncoding.EncodeToString(n.body), "file_type": strings.TrimPrefix(path.Ext(p), ".")})
}
