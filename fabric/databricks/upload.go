package databricks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/databricks/databricks-sdk-go/httpclient"

	"selvage/fabric"
)

const (
	importPath      = "/api/2.0/workspace/import"
	mkdirsPath      = "/api/2.0/workspace/mkdirs"
	statusPath      = "/api/2.0/workspace/get-status"
	filesPath       = "/api/2.0/fs/files"
	directoriesPath = "/api/2.0/fs/directories"

	// maxJSONImport is the largest file, in bytes, that is imported as base64 in JSON: the API takes
	// requests of 10 MB there, and base64 makes four bytes of three. Larger ones go as a form.
	maxJSONImport = 7 << 20
)

// errBlob is a stored artifact that can't be sent. The workspace did not get it whole.
var errBlob = errors.New("read the artifact")

// upload puts one artifact where the jobs will look for it. What is there with the right size is
// never sent again: its path holds its digest, and the API gives none to compare.
func (w *Workspace) upload(ctx context.Context, b fabric.Blob, j fabric.Journal) fabric.Result {
	r := w.put(ctx, b, j)
	if r.Err != nil {
		r.Err = fmt.Errorf("upload %s to fabric %s: %w", b.Path, w.name, r.Err)
	}
	return r
}

func (w *Workspace) put(ctx context.Context, b fabric.Blob, j fabric.Journal) fabric.Result {
	if !strings.HasPrefix(b.Path, "/Workspace/") && !strings.HasPrefix(b.Path, "/Volumes/") || path.Clean(b.Path) != b.Path {
		return fabric.Result{Status: fabric.Refused, Err: errors.New("the path is not below /Workspace or /Volumes")}
	}
	if b.Notebook != "" && strings.HasPrefix(b.Path, "/Volumes/") {
		return fabric.Result{Status: fabric.Refused, Err: errors.New("a volume holds no notebooks")}
	}
	if w.known(b) {
		return fabric.Result{Status: fabric.Done}
	}
	size, there, err := w.stat(ctx, b)
	switch {
	case err != nil:
		status := meaning(err)
		if status == fabric.Doubtful { // nothing was written, so there is no doubt
			status = fabric.Later
		}
		return fabric.Result{Status: status, Err: err}
	case there && (size == b.Size || size < 0):
		w.remember(b)
		return fabric.Result{Status: fabric.Done}
	}
	r := w.perform(ctx, mutation{
		class: uploads(b.Path),
		intent: fabric.Intent{Nonce: fabric.NewNonce(), Op: fabric.OpUpload, Paths: []string{b.Path},
			Text: fmt.Sprintf("upload %s (%d bytes) to %s", b.Name, b.Size, b.Path)},
		send: func(ctx context.Context) (string, error) { return b.Path, w.transfer(ctx, b, there) },
		look: func(ctx context.Context) (string, bool, error) {
			size, there, err := w.stat(ctx, b)
			return b.Path, there && (size == b.Size || b.Notebook != ""), err
		},
		repeatable: true,
	}, j)
	if r.Status == fabric.Done {
		w.remember(b)
	}
	return r
}

func (w *Workspace) known(b fabric.Blob) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	size, ok := w.uploaded[b.Path]
	return ok && size == b.Size
}

func (w *Workspace) remember(b fabric.Blob) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uploaded[b.Path] = b.Size
}

// stat looks for a file, or a notebook. size is -1 where the workspace does not say; that of a notebook means
// nothing, since it is kept in a form of the workspace's own.
func (w *Workspace) stat(ctx context.Context, b fabric.Blob) (size int64, there bool, err error) {
	p := b.Path
	want := "FILE"
	if b.Notebook != "" {
		want = "NOTEBOOK"
	}
	var e *CallError
	if strings.HasPrefix(p, "/Volumes/") {
		a, err := w.read(ctx, call{method: http.MethodHead, path: filesPath + httpclient.EncodeMultiSegmentPathParameter(p)})
		if errors.As(err, &e) && e.Status == http.StatusNotFound { // the answer to HEAD has no body to say more
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		size, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
		if err != nil {
			size = -1
		}
		return size, true, nil
	}
	var status struct {
		Type string `json:"object_type"`
		Size *int64 `json:"size"`
	}
	err = w.get(ctx, statusPath, map[string]any{"path": p}, &status)
	switch {
	case errors.As(err, &e) && e.missing():
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case status.Type != want:
		return 0, false, fmt.Errorf("a %s is in its place; move it away", strings.ToLower(w.redact(status.Type)))
	case status.Size == nil, b.Notebook != "":
		return -1, true, nil
	}
	return *status.Size, true, nil
}

// transfer sends the file. overwrite replaces one of the wrong size, which can't be ours.
func (w *Workspace) transfer(ctx context.Context, b fabric.Blob, overwrite bool) error {
	f, err := w.open(b)
	if err != nil {
		return err
	}
	defer f.Close()
	if strings.HasPrefix(b.Path, "/Volumes/") { // no notebook: put refuses it
		err = w.toVolume(ctx, b, f, overwrite)
	} else {
		err = w.toWorkspace(ctx, b, f, overwrite)
	}
	var e *CallError
	switch {
	case f.err != nil:
		return f.err
	case !overwrite && errors.As(err, &e) && e.exists():
		// Somebody was faster, or an earlier attempt of ours arrived late.
		size, there, lookErr := w.stat(ctx, b)
		if lookErr == nil && there && (size == b.Size || size < 0) {
			return nil
		}
	}
	return err
}

func (w *Workspace) toVolume(ctx context.Context, b fabric.Blob, f *verified, overwrite bool) error {
	if _, err := w.send(ctx, call{method: http.MethodPut, path: directoriesPath + httpclient.EncodeMultiSegmentPathParameter(path.Dir(b.Path))}); err != nil {
		return err
	}
	_, err := w.send(ctx, call{
		method: http.MethodPut,
		path:   filesPath + httpclient.EncodeMultiSegmentPathParameter(b.Path) + "?overwrite=" + strconv.FormatBool(overwrite),
		stream: f, length: b.Size, contentType: "application/octet-stream",
	})
	return err
}

func (w *Workspace) toWorkspace(ctx context.Context, b fabric.Blob, f *verified, overwrite bool) error {
	if _, err := w.post(ctx, mkdirsPath, map[string]any{"path": path.Dir(b.Path)}); err != nil {
		return err
	}
	format, language := importAs(b)
	if b.Size <= maxJSONImport {
		content, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		body := map[string]any{"path": b.Path, "format": format, "overwrite": overwrite, "content": base64.StdEncoding.EncodeToString(content)}
		if language != "" {
			body["language"] = language
		}
		_, err = w.post(ctx, importPath, body)
		return err
	}
	var form bytes.Buffer
	mw := multipart.NewWriter(&form)
	for _, field := range [][2]string{{"path", b.Path}, {"format", format}, {"language", language}, {"overwrite", strconv.FormatBool(overwrite)}} {
		if field[1] == "" {
			continue
		}
		if err := mw.WriteField(field[0], field[1]); err != nil {
			return err
		}
	}
	if _, err := mw.CreateFormFile("content", b.Name); err != nil {
		return err
	}
	head := bytes.Clone(form.Bytes())
	if err := mw.Close(); err != nil {
		return err
	}
	tail := bytes.Clone(form.Bytes()[len(head):])
	_, err := w.send(ctx, call{
		method: http.MethodPost, path: importPath,
		stream: io.MultiReader(bytes.NewReader(head), f, bytes.NewReader(tail)), length: int64(len(head)) + b.Size + int64(len(tail)),
		contentType: mw.FormDataContentType(),
	})
	return err
}

// importAs is the format that a file is imported in, and the language of a notebook. A source that begins like a
// notebook would become one with AUTO, under another name.
func importAs(b fabric.Blob) (format, language string) {
	switch {
	case b.Notebook == "JUPYTER":
		return "JUPYTER", ""
	case b.Notebook != "":
		return "SOURCE", b.Notebook
	case strings.HasSuffix(b.Name, ".whl"), strings.HasSuffix(b.Name, ".jar"):
		return "AUTO", ""
	}
	return "RAW", ""
}

// verified reads a blob and gives its last bytes only when all of them have the digest that they
// should: a request that carries it stays incomplete otherwise, and is not carried out.
type verified struct {
	io.ReadCloser
	blob fabric.Blob
	hash hash.Hash
	left int64
	err  error // why it ended early; net/http may hand on another
}

func (w *Workspace) open(b fabric.Blob) (*verified, error) {
	var r io.ReadCloser
	if b.Content != nil {
		r = io.NopCloser(bytes.NewReader(b.Content))
	} else {
		stored, err := w.blobs.Open(b.SHA256)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBlob, err)
		}
		r = stored
	}
	return &verified{ReadCloser: r, blob: b, hash: sha256.New(), left: b.Size}, nil
}

func (v *verified) Read(p []byte) (n int, err error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err = v.ReadCloser.Read(p)
	v.hash.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if sum := hex.EncodeToString(v.hash.Sum(nil)); sum != v.blob.SHA256 {
			n, v.err = 0, fmt.Errorf("%w: it has the SHA-256 %s, not %s", errBlob, sum, v.blob.SHA256)
		}
	case err == io.EOF:
		v.err = fmt.Errorf("%w: it ends %d bytes too early", errBlob, v.left)
	case err != nil:
		v.err = fmt.Errorf("%w: %w", errBlob, err)
	}
	return n, v.err
}
