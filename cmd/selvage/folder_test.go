package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"selvage/artifacts"
)

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.WriteFile(filepath.Join(dir, "secret"), []byte("canary"), 0o600))
	root := filepath.Join(dir, "work")
	for name, content := range map[string]string{"a/x": "1", "a/b/y": "2", ".git/config": "canary", "c/.git/config": "canary"} {
		check(os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		check(os.WriteFile(filepath.Join(root, name), []byte(content), 0o644))
	}
	f, err := openFolder(root)
	check(err)
	defer f.Close()
	check(fstest.TestFS(f, "a/x", "a/b/y"))
	before, err := f.Digest("a")
	check(err)

	check(os.Symlink("../../secret", filepath.Join(root, "a/out")))
	check(os.Symlink("x", filepath.Join(root, "a/in")))
	check(os.Symlink("a", filepath.Join(root, "folder")))
	check(unix.Mkfifo(filepath.Join(root, "a/pipe"), 0o644))
	for _, name := range []string{"a/out", "a/in", "a/pipe", "folder/x", "../secret", "/etc/passwd", ".git/config", "c/.git/config"} {
		if b, err := fs.ReadFile(f, name); err == nil {
			t.Errorf("%s is read: %q", name, b)
		}
	}
	if info, err := f.Stat("a/in"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("a symlink is %v, %v", info, err)
	}
	if _, err := f.Stat("folder/x"); !errors.Is(err, errNotFollowed) {
		t.Errorf("behind a symlink: %v", err)
	}

	// The digest is of names and contents of files, whatever else lies there.
	after, err := f.Digest("a")
	check(err)
	if after != before {
		t.Error("symlinks and pipes change the digest")
	}
	check(os.Rename(filepath.Join(root, "a/x"), filepath.Join(root, "a/z")))
	if renamed, err := f.Digest("a"); err != nil || renamed == before {
		t.Errorf("a renamed file: %s, %v", renamed, err)
	}
	if _, err := f.Digest("nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the digest of nothing: %v", err)
	}
	if roots, err := artifacts.FindProjects(f); err != nil || len(roots) != 0 {
		t.Errorf("projects %v, %v", roots, err)
	}
}
