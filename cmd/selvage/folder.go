package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// folder is a folder of this machine as the tree of a commit, for checks of a work tree: there is no way out
// of it, symlinks are not followed, and git's own files are not there. It implements artifacts.Tree.
type folder struct {
	root  *os.Root
	files fs.FS
}

// mostEntries bounds how many entries of a folder tree are looked at.
const mostEntries = 50_000

func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root: root, files: root.FS()}, nil
}

func (f *folder) Close() error { return f.root.Close() }

var errNotFollowed = errors.New("symlinks are not followed")

// plain checks that no element of the way to a name is a symlink or git's own.
func (f *folder) plain(op, name string) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	for i, c := range name + "/" {
		if c != '/' {
			continue
		}
		at := name[:i]
		if path.Base(at) == ".git" {
			return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		info, err := f.root.Lstat(at)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return &fs.PathError{Op: op, Path: at, Err: errNotFollowed}
		}
	}
	return nil
}

// Open opens a file or folder.
func (f *folder) Open(name string) (fs.File, error) {
	if err := f.plain("open", name); err != nil {
		return nil, err
	}
	if info, err := f.root.Lstat(name); err != nil {
		return nil, err
	} else if !info.IsDir() && !info.Mode().IsRegular() { // a pipe would block
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	file, err := f.files.Open(name)
	if dir, ok := file.(fs.ReadDirFile); ok && err == nil {
		return withoutGit{dir}, nil
	}
	return file, err
}

// withoutGit is an open file or folder that does not list git's own.
type withoutGit struct{ fs.ReadDirFile }

// ReadDir lists up to n entries, or all if n is not above 0.
func (d withoutGit) ReadDir(n int) ([]fs.DirEntry, error) {
	for {
		entries, err := d.ReadDirFile.ReadDir(n)
		entries = slices.DeleteFunc(entries, gitsOwn)
		if n <= 0 || len(entries) > 0 || err != nil {
			return entries, err
		}
	}
}

func gitsOwn(e fs.DirEntry) bool { return e.Name() == ".git" }

// Stat looks at an entry; at a symlink itself.
func (f *folder) Stat(name string) (fs.FileInfo, error) {
	if parent := path.Dir(name); parent != "." {
		if err := f.plain("stat", parent); err != nil {
			return nil, err
		}
	}
	return f.root.Lstat(name)
}

// ReadDir lists a folder by name, without git's own.
func (f *folder) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.plain("readdir", name); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(f.files, name)
	return slices.DeleteFunc(entries, gitsOwn), err
}

// Digest is the SHA-256 over the names and contents of the regular files below dir.
func (f *folder) Digest(dir string) (string, error) {
	h := sha256.New()
	n := 0
	err := fs.WalkDir(f, dir, func(name string, d fs.DirEntry, err error) error {
		if n++; err == nil && n > mostEntries {
			err = fmt.Errorf("%s holds more than %d entries", dir, mostEntries)
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		file, err := f.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		content := sha256.New()
		size, err := io.Copy(content, file)
		fmt.Fprintf(h, "%q %d %x\n", strings.TrimPrefix(name, dir), size, content.Sum(nil))
		return err
	})
	if err != nil {
		return "", err
	}
	return "folder-sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
