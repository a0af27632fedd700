package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"selvage/testdata"
)

// memTree is a Tree in memory. Nothing goes around broken, and symlinks are not followed.
type memTree struct {
	files  fstest.MapFS
	broken map[string]error // by name: what opening it returns
}

func (t memTree) Open(name string) (fs.File, error) {
	if err := t.broken[name]; err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if _, err := t.Stat(name); err != nil {
		return nil, err
	}
	if info, err := t.files.Lstat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errSymlink}
	}
	return t.files.Open(name)
}

var errSymlink = errors.New("symlinks are not followed")

// Stat looks at an entry itself, and through no symlink, as a tree of git does.
func (t memTree) Stat(name string) (fs.FileInfo, error) {
	for at := name; at != "."; at = path.Dir(at) {
		if err := t.broken[at]; err != nil {
			return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
		}
		if f := t.files[at]; f != nil && at != name && f.Mode&fs.ModeSymlink != 0 {
			return nil, &fs.PathError{Op: "stat", Path: name, Err: errSymlink}
		}
	}
	return t.files.Lstat(name)
}

func (t memTree) Digest(dir string) (string, error) {
	if _, err := fs.Stat(t, dir); err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range t.names() {
		if dir == "." || strings.HasPrefix(name, dir+"/") {
			fmt.Fprintf(h, "%s %o %x\n", relative(dir, name), t.files[name].Mode, sha256.Sum256(t.files[name].Data))
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (t memTree) names() []string {
	var names []string
	for name := range t.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// with returns a copy in which name has another content; none removes it.
func (t memTree) with(name string, content ...string) memTree {
	files := fstest.MapFS{}
	for k, v := range t.files {
		files[k] = v
	}
	delete(files, name)
	if len(content) > 0 {
		files[name] = &fstest.MapFile{Data: []byte(strings.Join(content, "")), Mode: 0o644}
	}
	return memTree{files: files, broken: t.broken}
}

// failing returns a copy in which opening name fails.
func (t memTree) failing(name string, err error) memTree {
	t.broken = map[string]error{name: err}
	return t
}

// helloTree is the sample project, in the folder root of its repository.
func helloTree(t testing.TB, root string) memTree {
	t.Helper()
	tree := memTree{files: fstest.MapFS{}}
	err := fs.WalkDir(testdata.Hello, "hello", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := testdata.Hello.ReadFile(name)
		tree.files[path.Join(root, relative("hello", name))] = &fstest.MapFile{Data: b, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestFindProjects(t *testing.T) {
	yml := &fstest.MapFile{Data: []byte("name: x\n")}
	tree := memTree{files: fstest.MapFS{
		"pbt_project.yml":               yml,
		"README.md":                     {},
		"outer/pbt_project.yml":         yml,
		"outer/inner/pbt_project.yml":   yml,
		"Outer/pbt_project.yml":         yml,
		"deep/er/still/pbt_project.yml": yml,
		"folder/pbt_project.yml/x":      {},
		"link/pbt_project.yml":          {Mode: fs.ModeSymlink, Data: []byte("../pbt_project.yml")},
		"other/PBT_PROJECT.YML":         yml,
	}}
	got, err := FindProjects(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".", "Outer", "deep/er/still", "outer", "outer/inner"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
	if got, err := FindProjects(memTree{files: fstest.MapFS{"README.md": {}}}); len(got) != 0 || err != nil {
		t.Errorf("no project: %q, %v", got, err)
	}
}

// An object that git has lost is an error, never a folder without projects.
func TestFindProjectsUnknown(t *testing.T) {
	lost := errors.New("object not found")
	for _, name := range []string{".", "jobs", "pipelines/clean_orders/code"} {
		if got, err := FindProjects(helloTree(t, ".").failing(name, lost)); !errors.Is(err, lost) {
			t.Errorf("with %s lost: %q, %v", name, got, err)
		}
	}
}
