package gitwatch

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"time"
)

var (
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.ReadFileFS = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)
)

// Open opens a file or folder. The content of a file is read at once.
func (t *Tree) Open(name string) (fs.File, error) {
	e, err := t.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if e.mode.IsDir() {
		f, err := t.folder(name, e.id)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openFolder{stat: t.stat(name, e), path: name, left: t.list(name, f)}, nil
	}
	content, err := t.content(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{Reader: bytes.NewReader(content), stat: fileStat{e, int64(len(content)), nil}, path: name}, nil
}

// ReadFile gives the whole content of a file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e, err := t.lookup("read", name)
	if err != nil {
		return nil, err
	}
	content, err := t.content(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return content, nil
}

func (t *Tree) content(name string, e entry) ([]byte, error) {
	switch {
	case e.mode.IsDir():
		return nil, errIsFolder
	case !e.mode.IsRegular():
		return nil, ErrNotFollowed
	}
	return t.read(name, e.id)
}

// ReadDir lists a folder by name, without what Odd tells.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.lookup("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotFolder}
	}
	f, err := t.folder(name, e.id)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return t.list(name, f), nil
}

// Stat looks at an entry; at a symlink or submodule itself.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	s := t.stat(name, e)
	if s.err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: s.err}
	}
	return s, nil
}

var (
	errIsFolder  = errors.New("is a folder")
	errNotFolder = errors.New("is not a folder")
)

func (t *Tree) list(name string, f *folder) []fs.DirEntry {
	entries := make([]fs.DirEntry, len(f.entries))
	for i, e := range f.entries {
		entries[i] = dirEntry{e, t, path.Join(name, e.name)}
	}
	return entries
}

// stat asks git for the size of a file, which is not in the listing of its folder.
func (t *Tree) stat(name string, e entry) fileStat {
	if !e.mode.IsRegular() {
		return fileStat{entry: e}
	}
	size, err := t.store.size(e.id)
	return fileStat{e, size, err}
}

// dirEntry is an entry of a listing.
type dirEntry struct {
	entry
	tree *Tree
	path string
}

func (d dirEntry) Name() string      { return d.name }
func (d dirEntry) IsDir() bool       { return d.mode.IsDir() }
func (d dirEntry) Type() fs.FileMode { return d.mode.Type() }
func (d dirEntry) String() string    { return fs.FormatDirEntry(d) }
func (d dirEntry) Info() (fs.FileInfo, error) {
	return d.tree.Stat(d.path)
}

// fileStat describes an entry.
type fileStat struct {
	entry
	size int64
	err  error
}

func (s fileStat) Name() string       { return s.name }
func (s fileStat) Size() int64        { return s.size }
func (s fileStat) Mode() fs.FileMode  { return s.mode }
func (s fileStat) ModTime() time.Time { return time.Time{} }
func (s fileStat) IsDir() bool        { return s.mode.IsDir() }
func (s fileStat) Sys() any           { return nil }
func (s fileStat) String() string     { return fs.FormatFileInfo(s) }

// openFile is a file that was opened; bytes.Reader brings Read, Seek and ReadAt.
type openFile struct {
	*bytes.Reader
	stat fileStat
	path string
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.stat, nil }
func (f *openFile) Close() error               { return nil }

// openFolder is a folder that was opened, with the entries that ReadDir has yet to give.
type openFolder struct {
	stat fileStat
	path string
	left []fs.DirEntry
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.stat, nil }
func (f *openFolder) Close() error               { return nil }

func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.path, Err: errIsFolder}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(f.left)
	} else if len(f.left) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.left))
	entries := f.left[:n:n]
	f.left = f.left[n:]
	return entries, nil
}
