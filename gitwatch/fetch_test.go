package gitwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"selvage/gitwatch/githttp"
)

// stalling serves an origin, but stops in the middle of every pack while it is told to.
type stalling struct {
	next    http.Handler
	stall   bool
	reached chan struct{} // gets a value when a pack has stopped
}

func (s *stalling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.stall && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
		w = &stallingWriter{ResponseWriter: w, left: 64 << 10, stop: func() {
			s.reached <- struct{}{}
			<-r.Context().Done()
		}}
	}
	s.next.ServeHTTP(w, r)
}

type stallingWriter struct {
	http.ResponseWriter
	left int
	stop func()
}

func (w *stallingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		w.ResponseWriter.(http.Flusher).Flush()
		w.stop()
		return 0, io.ErrClosedPipe
	}
	return w.ResponseWriter.Write(p)
}

// noise is content that doesn't compress.
func noise(n int) string {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b)
	return string(b)
}

func TestKilledFetchLeavesTheMirrorUsable(t *testing.T) {
	o := newOrigin(t)
	first := o.commit("main", map[string]string{"a": "1"})
	server := &stalling{next: githttp.Handler(o.root), reached: make(chan struct{}, 1)}
	r := openAt(t, o.listen(server)+"/shop.git", func(o *Options) { o.Auth = Auth{Username: "ci", Password: canary} })
	poll(t, r, followMain)

	second := o.commit("main", map[string]string{"big": noise(1 << 20)})
	server.stall = true
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := r.Poll(ctx, []Follow{followMain})
		result <- err
	}()
	<-server.reached
	pids := children(t)
	if len(pids) != 1 {
		t.Errorf("%d fetching children", len(pids))
	}
	killed := time.Now()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(killed); took > 4*time.Second { // what is not killed is left alone after five
		t.Errorf("it took %v to kill the child", took)
	}
	if pids := children(t); len(pids) != 0 {
		t.Errorf("the child is still there: %v", pids)
	}
	left, err := filepath.Glob(filepath.Join(r.Dir(), "incoming", "objects", "pack", "tmp_pack_*"))
	if err != nil || len(left) != 1 {
		t.Errorf("the kill came too late or too soon: %v, %v", left, err)
	}
	if rev, err := r.Resolve(t.Context(), "main"); err != nil || rev.Commit != first {
		t.Errorf("main is at %s, %v", rev.Commit, err)
	}
	if _, err := r.Tree(t.Context(), first); err != nil {
		t.Error(err)
	}

	// The index of a pack that never followed, as a kill between two renames leaves it.
	stray := filepath.Join(packDir(r.Dir()), "pack-"+strings.Repeat("a", 40)+".idx")
	if err := os.WriteFile(stray, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	// And that pack, which never got there.
	lost := filepath.Join(packDir(incomingDir(r.Dir())), "pack-"+strings.Repeat("a", 40)+".pack")
	if err := os.WriteFile(lost, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.stall = false
	poll(t, r, followMain)
	if rev, err := r.Resolve(t.Context(), "main"); err != nil || rev.Commit != second {
		t.Errorf("main is at %s, %v", rev.Commit, err)
	}
	for _, leftover := range []string{stray, incomingDir(r.Dir())} {
		if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", leftover, err)
		}
	}
	git(t, r.Dir(), "", "fsck", "--strict")
}

// children are the ids of our fetching child processes, read from /proc.
func children(t *testing.T) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		end := bytes.LastIndexByte(text, ')')
		fields := strings.Fields(string(text[end+1:])) // state, parent, ...
		cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
		if err != nil || fields[1] != fmt.Sprint(os.Getpid()) || fields[0] == "Z" {
			continue
		}
		if strings.Contains(string(cmdline), ChildArg) {
			environ, err := os.ReadFile(filepath.Join(filepath.Dir(stat), "environ"))
			if err != nil || strings.Contains(string(cmdline)+string(environ), canary) {
				t.Errorf("credentials are in the arguments or the environment of the child, or it can't be told: %v", err)
			}
			pids = append(pids, filepath.Base(filepath.Dir(stat)))
		}
	}
	return pids
}

func TestFetchDeadline(t *testing.T) {
	o := newOrigin(t)
	o.commit("main", map[string]string{"big": noise(1 << 20)})
	server := &stalling{next: githttp.Handler(o.root), stall: true, reached: make(chan struct{}, 1)}
	r := openAt(t, o.listen(server)+"/shop.git", func(o *Options) { o.FetchTimeout = time.Second })
	if _, err := r.Poll(t.Context(), []Follow{followMain}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "within 1s") {
		t.Errorf("error %v", err)
	}
}

func TestFetchLimits(t *testing.T) {
	o := newOrigin(t)
	o.commit("main", map[string]string{"big": noise(1 << 20)})
	url, _ := o.serve()
	tests := []struct {
		limit  string
		change func(*Options)
	}{
		{"MaxPack", func(o *Options) { o.Limits.MaxPack = 100 << 10 }},
		{"FetchMemory", func(o *Options) { o.FetchMemory = 1 << 20 }},
	}
	for _, test := range tests {
		t.Run(test.limit, func(t *testing.T) {
			url := url
			if test.limit == "FetchMemory" { // give the child time to be looked at
				server := &stalling{next: githttp.Handler(o.root), stall: true, reached: make(chan struct{}, 1)}
				url = o.listen(server) + "/shop.git"
			}
			r := openAt(t, url, test.change)
			var limit *LimitError
			if _, err := r.Poll(t.Context(), []Follow{followMain}); !errors.As(err, &limit) || limit.Limit != test.limit {
				t.Errorf("error %v", err)
			}
			if _, err := r.Resolve(t.Context(), "main"); !errors.Is(err, ErrUnknownRevision) {
				t.Errorf("main after a fetch that failed: %v", err)
			}
		})
	}
}

func TestFetchThatFails(t *testing.T) {
	o := newOrigin(t)
	o.commit("main", map[string]string{"a": "1"})
	served := githttp.Handler(o.root)
	tests := []struct {
		name   string
		change func(*Options)
		answer http.HandlerFunc
		is     error
		says   string
	}{
		{"child that is not there", func(o *Options) { o.Child = []string{"/nonexistent/selvage"} }, nil, os.ErrNotExist, "without a result"},
		{"child that dies", func(o *Options) { o.Child = []string{"/bin/sh", "-c", "echo it broke >&2; exit 3"} }, nil, nil, "exit status 3\nit broke"},
		{"child that says nothing", func(o *Options) { o.Child = []string{"/bin/true"} }, nil, nil, "without a result"},
		{"access lost in between", nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, ErrDenied, "403"},
		{"redirected to another host", nil, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.9:1/shop.git", http.StatusTemporaryRedirect)
		}, nil, "redirects a fetch"},
		{"not a pack", nil, packAnswer("0008NAK\nhello"), nil, "receive a pack"},
		{"broken pack", nil, packAnswer("0008NAK\n0015\x01PACK\x00\x00\x00\x02\x00\x00\x00\x010000"), nil, "receive a pack"},
		{"no pack", nil, packAnswer("0008NAK\n0000"), nil, "receive a pack"},
		{"refused", nil, packAnswer("0020ERR upload-pack: not our ref"), nil, "not our ref"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url := o.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.answer != nil && r.Method == http.MethodPost {
					test.answer(w, r)
					return
				}
				served.ServeHTTP(w, r)
			})) + "/shop.git"
			if test.change == nil {
				test.change = func(*Options) {}
			}
			r := openAt(t, url, test.change)
			_, err := r.Poll(t.Context(), []Follow{followMain})
			if err == nil || !strings.Contains(err.Error(), test.says) || (test.is != nil && !errors.Is(err, test.is)) {
				t.Errorf("error %v", err)
			}
			if held, _, err := readHeld(r.Dir()); err != nil || len(held) > 0 {
				t.Errorf("the mirror holds %v, %v", held, err)
			}
		})
	}
}

func packAnswer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		fmt.Fprint(w, body)
	}
}

func TestChildRefusesWhatItDoesNotKnow(t *testing.T) {
	var out, errs bytes.Buffer
	status := ChildMain(strings.NewReader(`{"password":"`+canary+`","other":1}`), &out, &errs)
	if status == 0 || out.Len() > 0 || errs.Len() == 0 || strings.Contains(errs.String(), canary) {
		t.Errorf("status %d, output %q, errors %q", status, out.String(), errs.String())
	}
}

func TestTwoFetchesIntoOneMirror(t *testing.T) {
	o := newOrigin(t)
	o.commit("main", map[string]string{"a": "1"})
	url, _ := o.serve()
	r := openAt(t, url)
	unlock, err := lockMirror(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Poll(t.Context(), []Follow{followMain}); err == nil || !strings.Contains(err.Error(), "another process is fetching") {
		t.Errorf("error %v", err)
	}
	unlock()
	poll(t, r, followMain)
}

func TestSmallPacksAreMerged(t *testing.T) {
	o := newOrigin(t)
	dir := filepath.Join(t.TempDir(), "mirror.git")
	if err := initMirror(dir); err != nil {
		t.Fatal(err)
	}
	commits := o.history(maxPacks + 5)
	for i, id := range commits {
		args := []string{"rev-list", "--objects", id}
		if i > 0 {
			args = append(args, "^"+commits[i-1])
		}
		git(t, o.dir, o.git(args...)+"\n", "pack-objects", "-q", filepath.Join(packDir(dir), "pack"))
		if i == maxPacks-1 {
			if err := mergePacks(dir); err != nil || packs(t, dir) != maxPacks {
				t.Errorf("%d packs, %v: merged before there were too many", packs(t, dir), err)
			}
		}
	}
	kept := packs(t, dir) - 1
	entries, err := filepath.Glob(filepath.Join(packDir(dir), "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(entries[0], ".pack")+".keep", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := newStore(dir) // knows the packs of before
	defer open.close()
	if _, _, err := open.read(t.Context(), commits[0], 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := mergePacks(dir); err != nil {
		t.Fatal(err)
	}
	if n := packs(t, dir); n != 2 {
		t.Errorf("%d packs of %d are left, want the kept one and the merged one", n, kept+1)
	}
	for _, id := range commits {
		if _, _, err := open.read(t.Context(), id, 1<<20); err != nil {
			t.Error(err)
		}
	}
	// No ref reaches any of it: that must not matter.
	git(t, dir, "", "fsck", "--strict", commits[len(commits)-1])
}

func packs(t testing.TB, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(packDir(dir), "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
