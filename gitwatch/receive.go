package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// runFetch brings the refs of req into the mirror. Objects come first, and are durable before the refs
// are replaced in one step: killed at any moment, it leaves a mirror that holds what it held before.
func runFetch(ctx context.Context, req fetchRequest) (int64, error) {
	unlock, err := lockMirror(req.Dir)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := removeLeftovers(req.Dir); err != nil {
		return 0, fmt.Errorf("clean up the mirror: %w", err)
	}
	held, _, err := readHeld(req.Dir)
	if err != nil {
		return 0, err
	}
	s := storage(req.Dir)
	defer s.ObjectStorage.Close()
	for _, ref := range req.Refs {
		if oddRefName(ref.Name) != "" || !isObjectID(ref.Object) {
			return 0, fmt.Errorf("the request names an odd ref: %q", printable(ref.Name, 120))
		}
	}
	objects := namedObjects(req.Refs)
	var wants []string
	for _, id := range objects {
		switch err := s.HasEncodedObject(plumbing.NewHash(id)); {
		case errors.Is(err, plumbing.ErrObjectNotFound):
			wants = append(wants, id)
		case err != nil:
			return 0, fmt.Errorf("look for %s in the mirror: %w", id, err)
		}
	}
	var size int64
	if len(wants) > 0 {
		if size, err = receivePack(ctx, req, wants, haves(s, held)); err != nil {
			return size, err
		}
		s.Reindex()
	}
	for _, id := range objects {
		if err := checkReceived(s, plumbing.NewHash(id)); err != nil {
			return size, fmt.Errorf("the remote sent an incomplete pack for %s: %w", id, err)
		}
	}
	for _, ref := range req.Refs {
		if old := held[ref.Name]; old != "" && old != ref.Object && !reaches(s, ref.Object, old) {
			held[keptPrefix+old] = old
		}
		held[ref.Name] = ref.Object
	}
	if err := writeHeld(req.Dir, held); err != nil {
		return size, err
	}
	return size, mergePacks(req.Dir)
}

// lockMirror makes this the only fetch into a mirror. The lock ends with the process, however that ends.
func lockMirror(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "fetch.lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock the mirror: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process is fetching into %s: %w", dir, err), f.Close())
	}
	return func() { f.Close() }, nil
}

// maxHaves bounds how many commits we tell the remote that we have.
const maxHaves = 1024

// namedObjects are the objects that refs name, each once.
func namedObjects(refs []Ref) []string {
	ids := make([]string, len(refs))
	for i, ref := range refs {
		ids[i] = ref.Object
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// haves are commits that a remote probably knows: where branches point, then tags from the last by name,
// and the newest history below branches, for when a branch was moved by force and its old
// position is gone there.
func haves(s *filesystem.Storage, held heldRefs) []string {
	var ids []string
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] && len(ids) < maxHaves {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	var branches, others []Ref
	for name, id := range held {
		if strings.HasPrefix(name, "refs/heads/") {
			branches = append(branches, Ref{name, id})
		} else {
			others = append(others, Ref{name, id})
		}
	}
	slices.SortFunc(others, func(a, b Ref) int { return strings.Compare(b.Name, a.Name) })
	refs := append(branches, others...)
	var below commitQueue
	for i, ref := range refs[:min(len(refs), maxHaves-256)] {
		c, err := peel(s, plumbing.NewHash(ref.Object))
		if err != nil {
			continue // a tag of something else, or one that is damaged: we just don't claim to have it
		}
		if i < len(branches) {
			below.push(c)
		}
		add(c.Hash.String())
	}
	for walked := 0; below.Len() > 0 && walked < 256; walked++ {
		c := below.pop()
		add(c.Hash.String())
		for _, p := range c.ParentHashes {
			if seen[p.String()] {
				continue
			}
			if parent, err := object.GetCommit(s, p); err == nil {
				below.push(parent)
			}
		}
	}
	return ids
}

// checkReceived looks whether the ends of what was asked for are there: the commit, its folder and
// its parents. What lies deeper shows when it is read.
func checkReceived(s *filesystem.Storage, id plumbing.Hash) error {
	c, err := peel(s, id)
	var other *notCommit
	if errors.As(err, &other) {
		return nil // a tag of a folder or file, which Candidates passes over
	}
	if err != nil {
		return err
	}
	for _, h := range append([]plumbing.Hash{c.TreeHash}, c.ParentHashes...) {
		if err := s.HasEncodedObject(h); err != nil {
			return fmt.Errorf("%s: %w", h, err)
		}
	}
	return nil
}

// peel follows tags to a commit.
func peel(s *filesystem.Storage, id plumbing.Hash) (*object.Commit, error) {
	for range maxTagDepth {
		o, err := s.EncodedObject(plumbing.AnyObject, id)
		if err != nil {
			return nil, err
		}
		switch o.Type() {
		case plumbing.CommitObject:
			return object.DecodeCommit(s, o)
		case plumbing.TagObject:
			tag, err := object.DecodeTag(s, o)
			if err != nil {
				return nil, err
			}
			id = tag.Target
		default:
			return nil, &notCommit{kind: o.Type().String()}
		}
	}
	return nil, &notCommit{kind: "tag of a tag of a tag"}
}

// reaches tells whether old is so soon found among the ancestors of the commit new that it needs no ref
// of its own to stay. When in doubt, it does.
func reaches(s *filesystem.Storage, newer, old string) bool {
	start, err := object.GetCommit(s, plumbing.NewHash(newer))
	if err != nil {
		return false
	}
	var queue commitQueue
	queue.push(start)
	seen := map[plumbing.Hash]bool{start.Hash: true}
	for walked := 0; queue.Len() > 0 && walked < 2000; walked++ {
		c := queue.pop()
		if c.Hash.String() == old {
			return true
		}
		for _, p := range c.ParentHashes {
			if seen[p] {
				continue
			}
			seen[p] = true
			parent, err := object.GetCommit(s, p)
			if err != nil {
				return false
			}
			queue.push(parent)
		}
	}
	return false
}
