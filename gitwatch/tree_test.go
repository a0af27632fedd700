package gitwatch

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
)

// mktree writes a tree object from lines of "MODE ID NAME", in the raw form that takes any name.
func (o *origin) mktree(lines ...string) string {
	o.Helper()
	var raw strings.Builder
	for _, line := range lines {
		mode, rest, _ := strings.Cut(line, " ")
		id, name, _ := strings.Cut(rest, " ")
		fmt.Fprintf(&raw, "%s %s\x00", mode, name)
		for i := 0; i < len(id); i += 2 {
			var b byte
			if _, err := fmt.Sscanf(id[i:i+2], "%02x", &b); err != nil {
				o.Fatal(err)
			}
			raw.WriteByte(b)
		}
	}
	return git(o, o.dir, raw.String(), "hash-object", "-t", "tree", "-w", "--stdin", "--literally")
}

func (o *origin) blob(content string) string {
	o.Helper()
	return git(o, o.dir, content, "hash-object", "-w", "--stdin")
}

// treeOf commits a tree object to main, fetches it, and opens it.
func (o *origin) treeOf(id string, limits Limits) (*Tree, error) {
	o.Helper()
	commit := git(o, o.dir, "", "commit-tree", "-m", "change", id)
	o.git("update-ref", "refs/heads/main", commit)
	r := openAt(o, "file://"+o.dir, func(o *Options) { o.Limits = limits })
	poll(o, r, followMain)
	return r.Tree(o.Context(), commit)
}

func TestTreeIsAFileSystem(t *testing.T) {
	o := newOrigin(t)
	big := noise(1 << 20)
	id := o.commit("main", map[string]string{
		"pbt_project.yml": "name: shop\n", "pipelines/clean/code/setup.py": "setup()", "pipelines/clean/code/main.py": "",
		"jobs/daily/code/databricks-job.json": "{}", "data/big": big, "prophecy/tests/p$$1.json": "[]",
	})
	r := openAt(t, "file://"+o.dir)
	poll(t, r, followMain)
	tree, err := r.Tree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(tree, "pbt_project.yml", "pipelines/clean/code/setup.py", "jobs/daily/code/databricks-job.json", "data/big", "prophecy/tests/p$$1.json"); err != nil {
		t.Error(err)
	}
	if got, err := tree.ReadFile("data/big"); err != nil || string(got) != big {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for name, want := range map[string]string{".": id + "^{tree}", "pipelines": id + ":pipelines", "pbt_project.yml": id + ":pbt_project.yml"} {
		if got, err := tree.Digest(name); err != nil || got != "git-sha1:"+o.git("rev-parse", want) {
			t.Errorf("digest of %s: %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"jobs/nightly", "pbt_project.yml/x"} {
		if _, err := tree.Digest(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("digest of %s: %v", name, err)
		}
	}
	if _, err := tree.Open("../x"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("open ../x: %v", err)
	}
	if got := tree.Odd(); len(got) > 0 {
		t.Errorf("odd: %v", got)
	}
	if _, err := tree.ReadFile("jobs"); err == nil {
		t.Error("a folder was read as a file")
	}
	if _, err := tree.ReadDir("pbt_project.yml"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was listed: %v", err)
	}
}

func TestTreeFollowsNothing(t *testing.T) {
	o := newOrigin(t)
	file := o.blob("text")
	tree, err := o.treeOf(o.mktree(
		"100644 "+file+" a",
		"120000 "+o.blob("/etc/passwd")+" link",
		"160000 "+strings.Repeat("c", 40)+" sub",
	), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tree.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name()+" "+e.Type().String())
	}
	if d := cmp.Diff([]string{"a ----------", "link L---------", "sub ?---------"}, got); d != "" {
		t.Errorf("listing (-want +got):\n%s", d)
	}
	for _, name := range []string{"link", "sub", "link/x", "sub/x"} {
		for op, do := range map[string]func() error{
			"open":   func() error { _, err := tree.Open(name); return err },
			"read":   func() error { _, err := tree.ReadFile(name); return err },
			"digest": func() error { _, err := tree.Digest(name); return err },
		} {
			if err := do(); !errors.Is(err, ErrNotFollowed) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s: %v", op, name, err)
			}
		}
	}
	if st, err := tree.Stat("link"); err != nil || st.Mode().Type() != fs.ModeSymlink {
		t.Errorf("stat link: %v, %v", st, err)
	}
}

func TestTreeWithOddNames(t *testing.T) {
	o := newOrigin(t)
	file := o.blob("text")
	inner := o.mktree("100644 "+file+" passwd", "100644 "+file+" Passwd", "100644 "+file+" PASSWD")
	odd := []string{"..", ".", ".git", ".GIT", "git~1", "a\\b", "a/b", "esc\x1b[31m", "new\nline", "bidi\u202etxt", "bad\xff", strings.Repeat("x", 256)}
	lines := []string{"100644 " + file + " plain", "40000 " + inner + " etc", "100644 " + file + " with space", "100644 " + file + " prüfung.py", "100644 " + file + " -dash"}
	for i, name := range odd {
		if i%2 == 0 {
			lines = append(lines, "40000 "+inner+" "+name)
		} else {
			lines = append(lines, "100644 "+file+" "+name)
		}
	}
	tree, err := o.treeOf(o.mktree(lines...), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	if err := fs.WalkDir(tree, ".", func(name string, _ fs.DirEntry, err error) error {
		seen = append(seen, name)
		return err
	}); err != nil {
		t.Error(err)
	}
	want := []string{".", "-dash", "etc", "etc/PASSWD", "etc/Passwd", "etc/passwd", "plain", "prüfung.py", "with space"}
	if d := cmp.Diff(want, seen); d != "" {
		t.Errorf("walk (-want +got):\n%s", d)
	}
	counts := map[configs.Code]int{}
	for _, f := range tree.Odd() {
		counts[f.Code]++
		if strings.ContainsFunc(f.Subject+f.Text, deceptive) {
			t.Errorf("%q is not fit to print", f)
		}
	}
	if counts[configs.FileOdd] != len(odd) || counts[configs.FileCase] != 2 {
		t.Errorf("findings %v: %v", counts, tree.Odd())
	}
	for _, name := range []string{".git", "a\\b", "new\nline", ".git/passwd"} {
		if _, err := tree.Open(name); !errors.Is(err, ErrOddName) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v", name, err)
		}
	}
}

func TestTreeThatMakesNoSense(t *testing.T) {
	o := newOrigin(t)
	file := o.blob("text")
	other := o.blob("other")
	empty := o.mktree()
	t.Run("one name twice", func(t *testing.T) {
		if _, err := o.treeOf(o.mktree("100644 "+file+" job", "100644 "+other+" job"), Limits{}); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a file that is a folder", func(t *testing.T) {
		tree, err := o.treeOf(o.mktree("100644 "+file+" keep", "40000 "+empty+" dir"), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := tree.ReadDir("dir"); err != nil || len(entries) > 0 {
			t.Errorf("an empty folder: %v, %v", entries, err)
		}
	})
}

func TestTreeLimits(t *testing.T) {
	o := newOrigin(t)
	file := o.blob("0123456789")
	// A bomb: ten levels of ten names that are all the same folder, ten billion files in eleven objects.
	bomb := o.mktree("100644 " + file + " f")
	for range 10 {
		var lines []string
		for i := range 10 {
			lines = append(lines, fmt.Sprintf("40000 %s d%d", bomb, i))
		}
		bomb = o.mktree(lines...)
	}
	small := o.mktree("100644 "+file+" a", "100644 "+file+" b", "40000 "+o.mktree("100644 "+file+" c")+" dir")
	deep := o.mktree("100644 " + file + " f")
	for range 5 {
		deep = o.mktree("40000 " + deep + " d")
	}
	readAll := func(tree *Tree) error {
		return fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				_, err = tree.ReadFile(name)
			}
			return err
		})
	}
	tests := []struct {
		name   string
		tree   string
		limits Limits
		want   string
	}{
		{"within", small, Limits{MaxFileSize: 10, MaxFiles: 4, MaxTotal: 30, MaxDepth: 2, MaxPath: 5}, ""},
		{"file", small, Limits{MaxFileSize: 9}, "MaxFileSize"},
		{"count", small, Limits{MaxFiles: 3}, "MaxFiles"},
		{"total", small, Limits{MaxTotal: 29}, "MaxTotal"},
		{"depth", deep, Limits{MaxDepth: 5}, "MaxDepth"},
		{"path", small, Limits{MaxPath: 4}, "MaxPath"},
		{"bomb", bomb, Limits{MaxFiles: 2000}, "MaxFiles"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree, err := o.treeOf(test.tree, test.limits)
			if err == nil {
				err = readAll(tree)
			}
			var limit *LimitError
			if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &limit) || limit.Limit != test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v looks like a missing file", err)
			}
		})
	}
}
