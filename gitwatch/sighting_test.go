package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"selvage/gitwatch/githttp"
)

func TestPollFetchesOnlyWhatMoved(t *testing.T) {
	o := newOrigin(t)
	first := o.commit("main", map[string]string{"a": "1"})
	url, requests := o.serve()
	r := openAt(t, url)

	steps := []struct {
		name    string
		change  func()
		fetches int64
		child   bool // whether there is anything for the child to do
	}{
		{"first look", func() {}, 1, true},
		{"idle", func() {}, 1, false},
		{"branch moved", func() { o.commit("main", map[string]string{"a": "2"}) }, 2, true},
		{"tag on what is held: the tag object is new", func() { o.tag("Shop/1.0.0", first) }, 3, true},
		{"lightweight tag on what is held", func() { o.git("update-ref", "refs/tags/Shop/light", first) }, 3, true},
		{"nobody follows that branch", func() { o.commit("feature", map[string]string{"b": "1"}) }, 3, false},
		{"nobody follows that tag", func() { o.tag("Other/1.0.0", first) }, 3, false},
		{"a followed tag is deleted", func() { o.git("update-ref", "-d", "refs/tags/Shop/1.0.0") }, 3, false},
		{"idle again", func() {}, 3, false},
	}
	child := r.options.Child
	var last *Sighting
	for i, step := range steps {
		step.change()
		if r.options.Child = child; !step.child {
			r.options.Child = []string{"/nonexistent/selvage"}
		}
		s := poll(t, r, followMain, followTags)
		if got := requests.Lists(); got != int64(i+1) {
			t.Errorf("%s: %d list-refs requests after %d polls", step.name, got, i+1)
		}
		if got := requests.Fetches(); got != step.fetches {
			t.Errorf("%s: %d fetches, want %d", step.name, got, step.fetches)
		}
		if last != nil && (s.Number <= last.Number || s.At.Before(last.At)) {
			t.Errorf("%s: sighting %d at %v after %d at %v", step.name, s.Number, s.At, last.Number, last.At)
		}
		last = s
	}
	if _, there := last.Lookup("refs/tags/Shop/1.0.0"); there {
		t.Error("the deleted tag is still sighted")
	}
	if got, there := last.Lookup("refs/heads/main"); !there || got != o.git("rev-parse", "main") {
		t.Errorf("main is sighted at %q, %v", got, there)
	}
	if entries, err := os.ReadDir(filepath.Join(r.Dir(), "refs", "heads")); err != nil || len(entries) > 0 {
		t.Errorf("loose refs in the mirror: %v, %v", entries, err)
	}
	git(t, r.Dir(), "", "fsck", "--strict", "--connectivity-only")
}

func TestMovedRefsKeepTheirOldObjects(t *testing.T) {
	o := newOrigin(t)
	base := o.commit("main", map[string]string{"a": "1", "big": noise(1 << 20)})
	tagged := o.commit("main", map[string]string{"a": "2"})
	oldTag := o.tag("Shop/1.0.0", tagged)
	url, _ := o.serve()
	r := openAt(t, url)
	poll(t, r, followMain, followTags)

	// The branch is thrown back and goes elsewhere, and the tag goes with it.
	o.git("update-ref", "refs/heads/main", base)
	other := o.commit("main", map[string]string{"a": "3"})
	newTag := o.tag("Shop/1.0.0", other)
	o.git("reflog", "expire", "--all", "--expire=now")
	o.git("gc", "-q", "--prune=now")
	if s := poll(t, r, followMain, followTags); s.Fetched == 0 || s.Fetched > 100<<10 {
		t.Errorf("%d bytes were fetched: what lies below the old position is held already", s.Fetched)
	}

	for _, rev := range []string{"main", "Shop/1.0.0"} {
		got, err := r.Resolve(t.Context(), rev)
		if err != nil || got.Commit != other {
			t.Errorf("%s is at %s, %v; want %s", rev, got.Commit, err, other)
		}
	}
	if got, _ := r.Resolve(t.Context(), "Shop/1.0.0"); got.Object != newTag {
		t.Errorf("the tag's object is %s, want %s", got.Object, newTag)
	}
	// An operator's garbage collection must not take what was once deployed.
	git(t, r.Dir(), "", "gc", "-q", "--prune=now")
	for _, id := range []string{tagged, oldTag} {
		if got, err := r.Resolve(t.Context(), id); err != nil || got.Commit != tagged {
			t.Errorf("what %s was leads to %q, %v", id, got.Commit, err)
		}
	}
	if ok, err := r.Ancestor(t.Context(), tagged, other); ok || err != nil {
		t.Errorf("the new release descends from the old one: %v, %v", ok, err)
	}
	if ok, err := r.Ancestor(t.Context(), base, other); !ok || err != nil {
		t.Errorf("the new release descends from the base: %v, %v", ok, err)
	}
}

func TestFastForwardLeavesNoKeptRefs(t *testing.T) {
	o := newOrigin(t)
	url, _ := o.serve()
	r := openAt(t, url)
	for i := range 3 {
		o.commit("main", map[string]string{"a": fmt.Sprint(i)})
		poll(t, r, followMain)
	}
	held, _, err := readHeld(r.Dir())
	if err != nil || len(held) != 1 {
		t.Errorf("the mirror holds %v, %v; want main alone", held, err)
	}
}

func TestEmptyRepositoryIsSeenAsEmpty(t *testing.T) {
	o := newOrigin(t)
	url, _ := o.serve()
	r := openAt(t, url)
	if s := poll(t, r, followMain); len(s.Refs) != 0 {
		t.Errorf("refs of an empty repository: %v", s.Refs)
	}
	revisions, findings, err := r.Candidates(t.Context(), followMain)
	if err != nil || len(revisions) > 0 || len(findings) != 1 {
		t.Errorf("candidates: %v, %v, %v; want one finding", revisions, findings, err)
	}
}

func TestMirrorIsMadeAnewAfterItWasDeleted(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	url, _ := o.serve()
	r := openAt(t, url)
	poll(t, r, followMain)
	if err := os.RemoveAll(r.Dir()); err != nil {
		t.Fatal(err)
	}
	poll(t, r, followMain)
	if _, err := r.Tree(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// canary is a password; no output may hold it.
const canary = "canary-5ecret"

func TestPollErrors(t *testing.T) {
	o := newOrigin(t)
	o.commit("main", map[string]string{"a": "1"})
	plain := githttp.Handler(o.root)
	answer := func(status int, contentType, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	const adv = "application/x-git-upload-pack-advertisement"
	head := "001e# service=git-upload-pack\n0000"
	id := strings.Repeat("a", 40)
	line := func(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }
	tests := []struct {
		name    string
		handler http.Handler
		is      error
		says    string
	}{
		{"wrong password", githttp.RequireBasic(plain, "ci", "another"), ErrDenied, "401"},
		{"forbidden", answer(403, "text/plain", canary), ErrDenied, "403"},
		{"no repository", http.NotFoundHandler(), ErrNoRepository, "404"},
		{"server error", answer(500, "text/plain", canary), nil, "the server answers 500"},
		{"login page", answer(200, "text/html", "<html>"+canary), nil, "does not speak git"},
		{"empty answer", answer(200, adv, ""), nil, "unexpected EOF"},
		{"half a list", answer(200, adv, head+line(id+" refs/heads/main\x00ofs-delta\n")), nil, "unexpected EOF"},
		{"half a line", answer(200, adv, head+"00ff"+id), nil, "unexpected EOF"},
		{"an error line", answer(200, adv, line("ERR go\x1b away\n")), nil, "the remote says: go  away"},
		{"not a list", answer(200, adv, head+line("hello\x00\n")+"0000"), nil, "not an object id"},
		{"zero id", answer(200, adv, head+line(strings.Repeat("0", 40)+" refs/heads/main\x00\n")+"0000"), nil, "not an object id"},
		{"twice", answer(200, adv, head+line(id+" refs/heads/m\x00\n")+line(id+" refs/heads/m\n")+"0000"), nil, "listed twice"},
		{"shallow", answer(200, adv, head+line(id+" refs/heads/m\x00\n")+line("shallow "+id+"\n")+"0000"), nil, "shallow"},
		{"circle", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
		}), nil, "in circles"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := openAt(t, o.listen(test.handler)+"/shop.git", func(o *Options) {
				o.Auth = Auth{Username: "ci", Password: canary}
			})
			s, err := r.Poll(t.Context(), []Follow{followMain})
			if err == nil || s != nil {
				t.Fatalf("sighting %v, error %v", s, err)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "shop.git") {
				t.Errorf("%q does not say %q and which repository", err, test.says)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, r.options, r.options.Auth), canary) {
				t.Errorf("the password is in %v", err)
			}
			if _, _, err := r.Candidates(t.Context(), followMain); !errors.Is(err, ErrNotSeen) {
				t.Errorf("candidates after a failed poll: %v", err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		s := httptest.NewServer(plain)
		s.Close()
		r := openAt(t, s.URL+"/shop.git")
		if _, err := r.Poll(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("error %v", err)
		}
	})
}

func TestFailedPollKeepsTheLastSighting(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	git := githttp.Handler(o.root)
	broken := false
	url := o.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		git.ServeHTTP(w, r)
	})) + "/shop.git"
	r := openAt(t, url)
	before := poll(t, r, followMain)
	broken = true
	if _, err := r.Poll(t.Context(), []Follow{followMain}); err == nil {
		t.Fatal("no error")
	}
	revisions, _, err := r.Candidates(t.Context(), followMain)
	if err != nil || len(revisions) != 1 || revisions[0].Commit != id || r.Last() != before {
		t.Errorf("candidates %v, %v", revisions, err)
	}
}

func TestPasswordReachesTheChild(t *testing.T) {
	o := newOrigin(t)
	o.commit("main", map[string]string{"a": "1"})
	url := o.listen(githttp.RequireBasic(githttp.Handler(o.root), "ci", canary)) + "/shop.git"
	r := openAt(t, url, func(o *Options) { o.Auth = Auth{Username: "ci", Password: canary} })
	if s := poll(t, r, followMain); s.Fetched == 0 {
		t.Error("nothing was fetched")
	}
}

func TestRedirects(t *testing.T) {
	o := newOrigin(t)
	o.commit("main", map[string]string{"a": "1"})
	served := githttp.Count(githttp.Handler(o.root))
	elsewhere := o.listen(served)
	authorized := 0
	url := o.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok {
			authorized++
		}
		switch {
		case strings.HasPrefix(r.URL.Path, "/renamed/"):
			http.Redirect(w, r, strings.Replace(r.URL.String(), "/renamed/", "/shop.git/", 1), http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, "/gone/"):
			http.Redirect(w, r, elsewhere+"/shop.git/info/refs?service=git-upload-pack", http.StatusMovedPermanently)
		default:
			githttp.Handler(o.root).ServeHTTP(w, r)
		}
	}))
	auth := func(o *Options) { o.Auth = Auth{Username: "ci", Password: canary} }

	t.Run("same host", func(t *testing.T) {
		r := openAt(t, url+"/renamed", auth)
		poll(t, r, followMain)
		if rev, err := r.Resolve(t.Context(), "main"); err != nil || rev.Commit == "" {
			t.Errorf("%v, %v", rev, err)
		}
		if authorized != 3 { // the list, where it led to, and the pack
			t.Errorf("%d requests with credentials, want 3", authorized)
		}
	})
	t.Run("other host", func(t *testing.T) {
		r := openAt(t, url+"/gone", auth)
		_, err := r.Poll(t.Context(), []Follow{followMain})
		if err == nil || !strings.Contains(err.Error(), elsewhere+"/shop.git") || !strings.Contains(err.Error(), "configure that address") {
			t.Errorf("error %v", err)
		}
		if served.Total() != 0 {
			t.Errorf("%d requests reached a host that nobody configured", served.Total())
		}
	})
}

func TestManyRefs(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	var packed strings.Builder
	packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range 20_000 {
		fmt.Fprintf(&packed, "%s refs/tags/Many/%06d\n", id, i)
	}
	if err := os.WriteFile(filepath.Join(o.dir, "packed-refs"), []byte(packed.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	url, requests := o.serve()
	r := openAt(t, url)
	if s := poll(t, r, Follow{Tag: "Many/**"}); len(s.Refs) != 20_001 {
		t.Errorf("%d refs", len(s.Refs))
	}
	revisions, findings, err := r.Candidates(t.Context(), Follow{Tag: "Many/*", Order: Tagged})
	findings = append(findings, PassedOver(Follow{Tag: "Many/*", Order: Tagged}, revisions)...)
	if err != nil || len(revisions) != 20_000 || len(findings) != maxPassedOver+1 {
		t.Errorf("%d candidates, %d findings, %v", len(revisions), len(findings), err)
	}
	poll(t, r, Follow{Tag: "Many/**"})
	if requests.Fetches() != 1 {
		t.Errorf("%d fetches", requests.Fetches())
	}
	few := openAt(t, url, func(o *Options) { o.Limits.MaxRefs = 1000 })
	var limit *LimitError
	if _, err := few.Poll(t.Context(), nil); !errors.As(err, &limit) || limit.Limit != "MaxRefs" {
		t.Errorf("past the limit: %v", err)
	}
}

func TestServerThatNeverEndsItsList(t *testing.T) {
	o := newOrigin(t)
	id := strings.Repeat("a", 40)
	url := o.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		line := id + " refs/pull/1/head\x00\n"
		for r.Context().Err() == nil {
			if _, err := fmt.Fprintf(w, "%04x%s", len(line)+4, line); err != nil {
				return
			}
			line = id + " refs/pull/1/head\n"
		}
	})) + "/shop.git"
	r := openAt(t, url, func(o *Options) { o.Limits.MaxRefs = 100 })
	var limit *LimitError
	if _, err := r.Poll(t.Context(), nil); !errors.As(err, &limit) || limit.Limit != "MaxRefs" {
		t.Errorf("error %v", err)
	}
}

func TestServerThatHangs(t *testing.T) {
	o := newOrigin(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	r := openAt(t, o.listen(hang)+"/shop.git", func(o *Options) { o.ListTimeout = 50 * time.Millisecond })
	start := time.Now()
	_, err := r.Poll(t.Context(), nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no complete answer within 50ms") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The default branch is the one that the remote names, if it is there.
func TestSightingHead(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	o.git("update-ref", "refs/heads/trunk", id)
	url, _ := o.serve()
	for _, at := range []string{url, "file://" + o.dir} {
		r := openAt(t, at)
		for head, want := range map[string]string{"refs/heads/main": "refs/heads/main", "refs/heads/trunk": "refs/heads/trunk", "refs/heads/unborn": "", "refs/tags/x": ""} {
			if err := os.WriteFile(filepath.Join(o.dir, "HEAD"), []byte("ref: "+head+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if s := poll(t, r); s.Head != want {
				t.Errorf("%s, HEAD at %s: %q", at, head, s.Head)
			}
		}
		if err := os.WriteFile(filepath.Join(o.dir, "HEAD"), []byte(id+"\n"), 0o600); err != nil { // detached
			t.Fatal(err)
		}
		if s := poll(t, r); s.Head != "" {
			t.Errorf("%s, detached: %q", at, s.Head)
		}
	}
	// What a remote says of a branch that it doesn't list is not believed.
	a := &advertisement{capabilities: "ofs-delta symref=HEAD:refs/heads/-x symref=refs/x:refs/heads/main agent=git/2", refs: []Ref{{"refs/heads/main", id}}}
	if head := a.head(); head != "" {
		t.Errorf("%q", head)
	}
}
