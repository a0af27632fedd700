package gitwatch

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const yml = "pbt_project.yml"

// walked are the files called base that a walk through the tree finds.
func walked(t *testing.T, tree *Tree, base string) []string {
	t.Helper()
	var paths []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == base && d.Type().IsRegular() {
			paths = append(paths, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

// Find and Touched say what walking and comparing all files say, over a random history.
func TestFindAndTouched(t *testing.T) {
	o := newOrigin(t)
	r := rand.New(rand.NewPCG(5, 6))
	folders := []string{"", "a/", "A/", "a/b/", "a/b/c/", "pbt_project.yml.d/", "deep/er/still/", "a/pbt_project.yml/"}
	var commits []string
	for i := range 25 {
		files := map[string]string{}
		for range 1 + r.IntN(3) {
			folder := folders[r.IntN(len(folders))]
			files[folder+[]string{yml, "README.md", "PBT_project.yml"}[r.IntN(3)]] = fmt.Sprint(r.IntN(3), i%4)
		}
		if _, file := files["a/"+yml]; file { // a folder in one commit, a file in another, never both in one
			delete(files, "a/pbt_project.yml/"+yml)
		}
		commits = append(commits, o.commit("main", files))
	}
	url, _ := o.serve()
	repo := openAt(t, url)
	poll(t, repo, followMain)
	contents := func(commit string) map[string]string {
		tree, err := repo.Tree(t.Context(), commit)
		if err != nil {
			t.Fatal(err)
		}
		want := walked(t, tree, yml)
		got, err := tree.Find(yml)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s: Find (-want +got):\n%s", commit, d)
		}
		all := map[string]string{}
		for _, name := range got {
			content, err := tree.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(content)
		}
		return all
	}
	touched := 0
	before := map[string]string{}
	for _, id := range commits {
		after := contents(id)
		var want []string
		for name, content := range after {
			if old, ok := before[name]; !ok || old != content {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		got, err := repo.Touched(t.Context(), id, yml)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", id, d)
		}
		touched += len(got)
		before = after
	}
	if touched < 15 {
		t.Errorf("the history touches only %d project files", touched)
	}
}

func TestTouchedByEveryKindOfCommit(t *testing.T) {
	o := newOrigin(t)
	root := o.commit("main", map[string]string{"a/" + yml: "1", "b/" + yml: "1", "b/x": "1"})
	release := o.commit("main", map[string]string{"a/" + yml: "2"})
	o.git("branch", "side", root)
	side := o.commit("side", map[string]string{"b/" + yml: "2", "c/d/" + yml: "1"})
	// The merge brings in what the side branch did; a merge the other way brings in what main did.
	tree := o.git("merge-tree", "--write-tree", "main", "side")
	merge := o.git("commit-tree", tree, "-p", release, "-p", side, "-m", "merge")
	back := o.git("commit-tree", tree, "-p", side, "-p", release, "-m", "merge")
	removal := git(t, o.dir, "", "commit-tree", o.git("rev-parse", root+":a"), "-p", merge, "-m", "only a is left, at the root")
	o.git("update-ref", "refs/heads/main", merge)
	o.git("update-ref", "refs/heads/side", back)
	o.git("update-ref", "refs/heads/gone", removal)
	o.tag("Shop/1.0.0", side)
	o.git("update-ref", "refs/tags/Shop/light", release)
	url, _ := o.serve()
	r := openAt(t, url)
	poll(t, r, followMain, Follow{Branch: "side"}, Follow{Branch: "gone"}, followTags)
	for name, test := range map[string]struct {
		commit string
		want   []string
	}{
		"a root":                {root, []string{"a/" + yml, "b/" + yml}},
		"a release":             {release, []string{"a/" + yml}},
		"a side branch":         {side, []string{"b/" + yml, "c/d/" + yml}},
		"a merge":               {merge, []string{"b/" + yml, "c/d/" + yml}},
		"a merge the other way": {back, []string{"a/" + yml}},
		"moved to the root":     {removal, []string{yml}},
	} {
		got, err := r.Touched(t.Context(), test.commit, yml)
		if d := cmp.Diff(test.want, got); d != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", name, d, err)
		}
	}
	for tag, want := range map[string]string{"Shop/1.0.0": side, "Shop/light": release} {
		if rev, err := r.Resolve(t.Context(), tag); err != nil || rev.Commit != want {
			t.Errorf("%s leads to %s, %v", tag, rev.Commit, err)
		}
	}
	if got, err := r.Touched(t.Context(), strings.Repeat("b", 40), yml); !errors.Is(err, ErrMissingObject) {
		t.Errorf("a commit that is not there: %v, %v", got, err)
	}
}

// Odd entries are no projects, and symlinks and submodules aren't followed.
func TestFindPassesOver(t *testing.T) {
	o := newOrigin(t)
	blob := git(t, o.dir, "x", "hash-object", "-w", "--stdin")
	file := fmt.Sprintf("100644 blob %s\t%s\n", blob, yml)
	folder := git(t, o.dir, file, "mktree")
	link := git(t, o.dir, fmt.Sprintf("120000 blob %s\t%s\n", blob, yml), "mktree")
	sub := git(t, o.dir, fmt.Sprintf("160000 commit %s\t%s\n", strings.Repeat("a", 40), yml), "mktree")
	top := git(t, o.dir, fmt.Sprintf("040000 tree %s\tbell\x07\x00040000 tree %s\tfine\x00040000 tree %s\tlink\x00040000 tree %s\tsub\x00", folder, folder, link, sub), "mktree", "-z")
	id := o.git("commit-tree", top, "-m", "odd")
	o.git("update-ref", "refs/heads/main", id)
	r := openAt(t, "file://"+o.dir)
	poll(t, r, followMain)
	tree, err := r.Tree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.Find(yml)
	touched, err2 := r.Touched(t.Context(), id, yml)
	if want := []string{"fine/" + yml}; err != nil || err2 != nil || !slices.Equal(got, want) || !slices.Equal(touched, want) {
		t.Errorf("%q %v, %q %v", got, err, touched, err2)
	}

	// A link that becomes the file with its text was no project before.
	before := o.git("commit-tree", git(t, o.dir, fmt.Sprintf("040000 tree %s\ta\n", link), "mktree"), "-m", "a link")
	after := o.git("commit-tree", git(t, o.dir, fmt.Sprintf("040000 tree %s\ta\n", folder), "mktree"), "-p", before, "-m", "a file")
	o.git("update-ref", "refs/heads/main", after)
	poll(t, r, followMain)
	if touched, err := r.Touched(t.Context(), after, yml); err != nil || !slices.Equal(touched, []string{"a/" + yml}) {
		t.Errorf("%q, %v", touched, err)
	}
}

// bomb makes a commit whose tree has width to the power of depth paths, out of depth objects.
func (o *origin) bomb(file string, width, depth int, parents ...string) string {
	o.Helper()
	blob := git(o, o.dir, fmt.Sprint(len(parents)), "hash-object", "-w", "--stdin")
	id, kind, name := blob, "100644 blob", file
	for range depth {
		var in strings.Builder
		for i := range width {
			fmt.Fprintf(&in, "%s %s\t%s\n", kind, id, name)
			if kind == "100644 blob" {
				break
			}
			name = fmt.Sprintf("d%d", i+1)
		}
		id, kind, name = git(o, o.dir, in.String(), "mktree"), "040000 tree", "d0"
	}
	args := []string{"commit-tree", id, "-m", "bomb"}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	return o.git(args...)
}

func TestFindLimits(t *testing.T) {
	o := newOrigin(t)
	first := o.bomb(yml, 10, 9)
	second := o.bomb(yml, 10, 9, first)
	dud := o.bomb("README.md", 10, 9, o.bomb("README.md", 10, 9))
	small := o.commit("small", map[string]string{"a/b/c/d/" + yml: "1", "a/x": "1", "a/y": "1"})
	smaller := o.commit("small", map[string]string{"a/b/c/d/" + yml: "2"})
	o.git("update-ref", "refs/heads/main", second)
	o.git("update-ref", "refs/heads/dud", dud)
	r := func(change func(*Limits)) *Repository {
		r := openAt(t, "file://"+o.dir, func(o *Options) { change(&o.Limits) })
		poll(t, r, followMain, Follow{Branch: "small"}, Follow{Branch: "dud"})
		return r
	}
	for _, test := range []struct {
		limit   string
		change  func(*Limits)
		commits []string
	}{
		{"MaxFiles", func(*Limits) {}, []string{first, second}},
		{"MaxScanned", func(l *Limits) { l.MaxScanned = 4 }, []string{small, smaller}},
		{"MaxDepth", func(l *Limits) { l.MaxDepth = 3 }, []string{small, smaller}},
		{"MaxPath", func(l *Limits) { l.MaxPath = 12 }, []string{small, smaller}},
	} {
		repo := r(test.change)
		for _, commit := range test.commits {
			for range 2 { // an answer that a limit cut short is not remembered
				var limit *LimitError
				if got, err := repo.Touched(t.Context(), commit, yml); !errors.As(err, &limit) || limit.Limit != test.limit {
					t.Errorf("%s: touched %d, %v", test.limit, len(got), err)
				}
				tree, err := repo.Tree(t.Context(), commit)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := tree.Find(yml); !errors.As(err, &limit) || limit.Limit != test.limit {
					t.Errorf("%s: found %d, %v", test.limit, len(got), err)
				}
			}
		}
	}
	// Billions of paths without such a file are the few folders that they lead through.
	if got, err := r(func(l *Limits) { l.MaxScanned = 200 }).Touched(t.Context(), dud, yml); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	// What is deep in one place may be shallow enough in another.
	repo := r(func(l *Limits) { l.MaxDepth = 5 })
	if got, err := repo.Touched(t.Context(), small, yml); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	repo.limits.MaxDepth = 3
	repo.finder.limits.MaxDepth = 3
	var limit *LimitError
	if got, err := repo.Touched(t.Context(), small, yml); !errors.As(err, &limit) {
		t.Errorf("from memory: %v, %v", got, err)
	}
}

// What the mirror has lost is never absent from the tree.
func TestFindInADamagedMirror(t *testing.T) {
	o := newOrigin(t)
	first := o.commit("main", map[string]string{"a/" + yml: "1", "dir/x": "1"})
	id := o.commit("main", map[string]string{"dir/" + yml: "1"})
	for _, lost := range []string{id + ":dir", first} {
		r := openAt(t, "file://"+o.dir)
		poll(t, r, followMain)
		r.Close()
		loseObject(t, r.Dir(), o.git("rev-parse", lost))
		if got, err := r.Touched(t.Context(), id, yml); !errors.Is(err, ErrMissingObject) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: %v, %v", lost, got, err)
		}
	}
}

// BenchmarkFind looks for 500 projects of 200 files each: at first, and after a commit that changes one
// project. A Tree refuses to list that many entries.
func BenchmarkFind(b *testing.B) {
	o := newOrigin(b)
	files := map[string]string{}
	for p := range 500 {
		root := fmt.Sprintf("team%02d/project%03d", p%20, p)
		files[path.Join(root, yml)] = fmt.Sprintf("name: P%d\nversion: 1.0.%d\n", p, p)
		for i := range 199 {
			files[path.Join(root, fmt.Sprintf("pipelines/p%d/code/graph/g%d.py", i%10, i))] = fmt.Sprintf("# %d\n", i*p)
		}
	}
	base := o.commit("main", files)
	next := o.commit("main", map[string]string{"team00/project000/pipelines/p1/code/graph/g1.py": "# new\n"})
	r := openAt(b, "file://"+o.dir)
	poll(b, r, followMain)
	find := func(commit string) {
		tree, err := r.Tree(b.Context(), commit)
		if err != nil {
			b.Fatal(err)
		}
		if paths, err := tree.Find(yml); err != nil || len(paths) != 500 {
			b.Fatal(len(paths), err)
		}
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			clear(r.finder.known)
			find(base)
		}
		b.ReportMetric(float64(len(r.finder.known[yml].barren)), "folders")
	})
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			clear(r.finder.known)
			find(base)
			b.StartTimer()
			find(next)
		}
	})
	b.Run("touched", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Touched(b.Context(), next, yml); err != nil {
				b.Fatal(err)
			}
		}
	})
}
