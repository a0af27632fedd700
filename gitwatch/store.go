package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strconv"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxMetaObject bounds a commit, tag or folder, in bytes. A folder of 50,000 entries has about 3 MB.
const maxMetaObject = 32 << 20

// store reads objects of a mirror that other processes fetch into, repack and prune.
//
// An open go-git storage knows the packs of the moment it was opened: a later pack gives "object not
// found", and a repacked one "packfile not found" although every object is still there. Opening
// it again recovers from both, so that is what store does, once, before it believes an error.
// go-git's storage isn't safe for concurrent use; the mutex makes it so.
type store struct {
	dir string

	mu   sync.Mutex
	open *filesystem.Storage // nil until needed
}

func newStore(dir string) *store { return &store{dir: dir} }

// storage opens what packs are in dir now. Its few open files are closed by Close.
func storage(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(4*cache.MiByte),
		filesystem.Options{MaxOpenDescriptors: 4})
}

func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked()
}

func (s *store) closeLocked() {
	if s.open != nil {
		_ = s.open.ObjectStorage.Close() // files open for reading have nothing to lose
		s.open = nil
	}
}

// read gives the kind and content of an object, whose id is checked against the content. It returns
// ErrMissingObject if the mirror doesn't hold it, and a LimitError if it has more than max bytes.
func (s *store) read(ctx context.Context, id string, max int64) (kind plumbing.ObjectType, content []byte, err error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if !isObjectID(id) {
		return 0, nil, fmt.Errorf("%q is not an object id", printable(id, 60))
	}
	err = s.with(id, func(open *filesystem.Storage) (err error) {
		kind, content, err = readObject(open, plumbing.NewHash(id), max)
		return err
	})
	return kind, content, err
}

// size is the number of bytes of an object.
func (s *store) size(id plumbing.Hash) (size int64, err error) {
	err = s.with(id.String(), func(open *filesystem.Storage) (err error) {
		size, err = open.EncodedObjectSize(id)
		return err
	})
	return size, err
}

// with does something with one object, and does it again with a storage opened anew if that failed.
func (s *store) with(id string, do func(*filesystem.Storage) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = storage(s.dir)
	}
	err := do(s.open)
	var limit *LimitError
	if err == nil || errors.As(err, &limit) {
		return err
	}
	s.closeLocked()
	s.open = storage(s.dir)
	if err = do(s.open); err == nil || errors.As(err, &limit) {
		return err
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("%w: %s in %s; delete that folder, and the next poll makes it anew", ErrMissingObject, id, s.dir)
	}
	return fmt.Errorf("read git object %s in %s: %w", id, s.dir, err)
}

func readObject(s *filesystem.Storage, id plumbing.Hash, max int64) (plumbing.ObjectType, []byte, error) {
	// The size first: reading is what a huge object must not get to.
	size, err := s.EncodedObjectSize(id)
	if err != nil {
		return 0, nil, err
	}
	if size > max {
		return 0, nil, &LimitError{Limit: "MaxFileSize", Allowed: max, Subject: "git object " + id.String()}
	}
	obj, err := s.EncodedObject(plumbing.AnyObject, id)
	if err != nil {
		return 0, nil, err
	}
	r, err := obj.Reader()
	if err != nil {
		return 0, nil, err
	}
	content := make([]byte, obj.Size())
	_, err = io.ReadFull(r, content)
	if err := errors.Join(err, r.Close()); err != nil {
		return 0, nil, err
	}
	if got := plumbing.ComputeHash(obj.Type(), content); got != id {
		return 0, nil, fmt.Errorf("its content has the id %s: the mirror is damaged; delete the folder, and the next poll makes it anew", got)
	}
	return obj.Type(), content, nil
}

// folder reads a tree object, sorted by name. An object that isn't one, or that lists one name twice, is an error:
// there is no telling which of two files of one name people have reviewed.
func (s *store) folder(ctx context.Context, id plumbing.Hash) ([]entry, error) {
	kind, content, err := s.read(ctx, id.String(), maxMetaObject)
	if err != nil {
		return nil, err
	}
	if kind != plumbing.TreeObject {
		return nil, fmt.Errorf("git object %s is a %s where a folder should be", id, kind)
	}
	var tree object.Tree
	if err := tree.Decode(memory(kind, content)); err != nil {
		return nil, fmt.Errorf("read folder %s: %w", id, err)
	}
	entries := make([]entry, len(tree.Entries))
	for i, e := range tree.Entries {
		entries[i] = entry{name: e.Name, id: e.Hash, odd: oddFileName(e.Name)}
		switch e.Mode {
		case filemode.Dir:
			entries[i].mode = fs.ModeDir | 0o555
		case filemode.Regular, filemode.Deprecated:
			entries[i].mode = 0o444
		case filemode.Executable:
			entries[i].mode = 0o555
		case filemode.Symlink:
			entries[i].mode = fs.ModeSymlink | 0o777
		case filemode.Submodule:
			entries[i].mode = fs.ModeIrregular
		default:
			return nil, fmt.Errorf("folder %s: %s has the unknown mode %s", id, strconv.Quote(printable(e.Name, 120)), e.Mode)
		}
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].name < entries[j].name })
	for i := 1; i < len(entries); i++ {
		if entries[i].name == entries[i-1].name {
			return nil, fmt.Errorf("folder %s lists %s twice", id, strconv.Quote(printable(entries[i].name, 120)))
		}
	}
	return entries, nil
}

// memory makes an object that go-git's decoders take.
func memory(kind plumbing.ObjectType, content []byte) *plumbing.MemoryObject {
	o := &plumbing.MemoryObject{}
	o.SetType(kind)
	_, _ = o.Write(content) // appends to a slice, and can't fail
	return o
}
