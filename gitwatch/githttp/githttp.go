// Package githttp serves git repositories over smart HTTP, with git's own http-backend behind it: a real
// remote for the demo and for tests, on loopback. It is no forge: whoever reaches it may read and
// push, unless RequireBasic stands before it.
package githttp

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// maxPush bounds the body of a request, in bytes.
const maxPush = 1 << 30

// Handler serves every repository below the folder root under its path there, for fetching and
// pushing. It needs git, and answers every request with the reason if there is none.
func Handler(root string) http.Handler {
	root, err := filepath.Abs(root)
	if err != nil {
		return unavailable(err)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return unavailable(fmt.Errorf("serve git over HTTP: git is needed on this machine: %w", err))
	}
	out, err := exec.Command(git, "--exec-path").Output()
	if err != nil {
		return unavailable(fmt.Errorf("ask git where its programs are: %w", err))
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return unavailable(fmt.Errorf("serve git over HTTP: %w", err))
	}
	return &handler{root: root, backend: backend}
}

func unavailable(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	})
}

type handler struct{ root, backend string }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// CGI has no chunked bodies, which git sends when it pushes more than a megabyte.
	if r.ContentLength < 0 {
		body, err := spool(r.Body)
		if err != nil {
			http.Error(w, "read the request: "+err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		defer body.Close()
		st, err := body.Stat()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength, r.TransferEncoding = body, st.Size(), nil
	}
	backend := &cgi.Handler{
		Path: h.backend,
		Dir:  h.root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + h.root,
			"GIT_HTTP_EXPORT_ALL=1",
			"GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"),
			"HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true",
			"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
		},
		Stderr: io.Discard,
		Logger: log.New(io.Discard, "", 0), // it would tell of every client that hangs up
	}
	backend.ServeHTTP(w, r)
}

// spool copies a body into a file that is already deleted.
func spool(body io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "githttp-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(body, maxPush+1))
	if err == nil && n > maxPush {
		err = fmt.Errorf("it has more than %d bytes", maxPush)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// RequireBasic lets only requests with this user name and password through.
func RequireBasic(h http.Handler, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, ok := r.BasicAuth()
		same := subtle.ConstantTimeCompare([]byte(u), []byte(user)) & subtle.ConstantTimeCompare([]byte(p), []byte(password))
		if !ok || same != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Counter counts the requests that go through it to another handler.
type Counter struct {
	next                          http.Handler
	total, lists, fetches, pushes atomic.Int64
}

// Count puts a Counter before a handler.
func Count(next http.Handler) *Counter { return &Counter{next: next} }

func (c *Counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.total.Add(1)
	switch {
	case strings.HasSuffix(r.URL.Path, "/info/refs") && r.URL.Query().Get("service") == "git-upload-pack":
		c.lists.Add(1)
	case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
		c.fetches.Add(1)
	case strings.HasSuffix(r.URL.Path, "/git-receive-pack"):
		c.pushes.Add(1)
	}
	c.next.ServeHTTP(w, r)
}

// Total is the number of all requests.
func (c *Counter) Total() int64 { return c.total.Load() }

// Lists is the number of requests that listed refs in order to fetch.
func (c *Counter) Lists() int64 { return c.lists.Load() }

// Fetches is the number of requests for a pack.
func (c *Counter) Fetches() int64 { return c.fetches.Load() }

// Pushes is the number of packs that were pushed.
func (c *Counter) Pushes() int64 { return c.pushes.Load() }
