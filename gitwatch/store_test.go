package gitwatch

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
)

// Readers go on while git repacks, prunes and fetches into the same mirror.
func TestReadingWhileGitRepacks(t *testing.T) {
	o := newOrigin(t)
	files := map[string]string{}
	for i := range 200 {
		files["dir"+string(rune('a'+i%20))+"/f"+string(rune('a'+i/20))] = strings.Repeat("line\n", i)
	}
	id := o.commit("main", files)
	r := openAt(t, "file://"+o.dir)
	poll(t, r, followMain)

	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				tree, err := r.Tree(t.Context(), id)
				if err == nil {
					err = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
						if err == nil && !e.IsDir() {
							_, err = tree.ReadFile(name)
						}
						return err
					})
				}
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 4 {
		o.commit("main", map[string]string{"new": strings.Repeat("x", i+1)})
		git(t, r.Dir(), "", "-c", "fetch.unpackLimit=1", "fetch", "-q", o.dir, "+refs/heads/*:refs/heads/*")
		git(t, r.Dir(), "", "repack", "-q", "-a", "-d", "-F", "--depth=5")
		git(t, r.Dir(), "", "pack-refs", "--all")
		git(t, r.Dir(), "", "gc", "-q", "--prune=now")
	}
	close(done)
	readers.Wait()

	// What git fetched behind our back is found without opening the repository anew.
	head := o.git("rev-parse", "main")
	if _, err := r.Tree(t.Context(), head); err != nil {
		t.Error(err)
	}
	if rev, err := r.Resolve(t.Context(), head); err != nil || rev.Commit != head {
		t.Errorf("%v, %v", rev, err)
	}
}

func TestAncestor(t *testing.T) {
	o := newOrigin(t)
	line := o.history(300)
	o.git("branch", "side", line[100])
	side := o.commit("side", map[string]string{"s": "1"})
	merge := git(t, o.dir, "", "commit-tree", "-m", "merge", "-p", line[299], "-p", side, side+"^{tree}")
	o.git("update-ref", "refs/heads/main", merge)
	root := git(t, o.dir, "", "commit-tree", "-m", "another root", side+"^{tree}")
	o.git("update-ref", "refs/heads/root", root)
	r := openAt(t, "file://"+o.dir)
	poll(t, r, followMain, Follow{Branch: "root"})

	tests := []struct {
		name         string
		older, newer string
		want         bool
	}{
		{"itself", line[5], line[5], true},
		{"parent", line[298], line[299], true},
		{"from the first", line[0], merge, true},
		{"through the second parent", side, merge, true},
		{"the other way round", line[299], line[0], false},
		{"side by side", side, line[299], false},
		{"nothing in common", root, merge, false},
	}
	for range 2 { // the second time it is remembered
		for _, test := range tests {
			if got, err := r.Ancestor(t.Context(), test.older, test.newer); err != nil || got != test.want {
				t.Errorf("%s: %v, %v", test.name, got, err)
			}
		}
	}
	for _, bad := range [][2]string{{strings.Repeat("b", 40), merge}, {merge, strings.Repeat("b", 40)}} {
		if _, err := r.Ancestor(t.Context(), bad[0], bad[1]); !errors.Is(err, ErrMissingObject) {
			t.Errorf("missing commit: %v", err)
		}
	}
	for _, bad := range [][2]string{{"main", merge}, {"", merge}, {o.git("rev-parse", merge+"^{tree}"), merge}} {
		if _, err := r.Ancestor(t.Context(), bad[0], bad[1]); err == nil {
			t.Errorf("%q is taken for a commit", bad[0])
		}
	}
	short := openAt(t, "file://"+o.dir, func(o *Options) { o.Limits.MaxCommits = 50 })
	poll(t, short, followMain)
	var limit *LimitError
	if _, err := short.Ancestor(t.Context(), line[0], merge); !errors.As(err, &limit) || limit.Limit != "MaxCommits" {
		t.Errorf("past the limit: %v", err)
	}
}

// A hole in the history must not turn into "is not an ancestor".
func TestAncestorWithAHole(t *testing.T) {
	o := newOrigin(t)
	line := o.history(10)
	r := openAt(t, "file://"+o.dir)
	poll(t, r, followMain)
	r.Close()
	loseObject(t, r.Dir(), line[5])
	if ok, err := r.Ancestor(t.Context(), line[0], line[9]); ok || !errors.Is(err, ErrMissingObject) {
		t.Errorf("%v, %v", ok, err)
	}
	if ok, err := r.Ancestor(t.Context(), line[7], line[9]); !ok || err != nil {
		t.Errorf("above the hole: %v, %v", ok, err)
	}
}
