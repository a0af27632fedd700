package gitwatch

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// finder looks for the files of one name in whole trees, without making a Tree of them: a repository of
// 500 projects has more entries than a Tree lists. It reads each folder object once, for all commits, and
// keeps of it no more than where such files lie below. What it reads at a time is bounded by Limits.MaxScanned.
type finder struct {
	store  *store
	limits Limits

	mu    sync.Mutex
	known map[string]*lookedThrough // by the name looked for
}

// lookedThrough is what is known about folder objects. Facts about objects are never outdated.
type lookedThrough struct {
	barren  map[plumbing.Hash]uint16 // hold no such file, with how many levels of folders they have
	bearing map[plumbing.Hash]bearing
}

type bearing struct {
	levels uint16
	paths  []string // of the files, from the folder
}

// maxLookedThrough is how many folders a finder remembers. A barren one takes some 40 bytes.
const maxLookedThrough = 1_000_000

func newFinder(s *store, l Limits) *finder {
	return &finder{store: s, limits: l, known: map[string]*lookedThrough{}}
}

// search is one look through a tree; the finder is locked meanwhile.
type search struct {
	*finder
	*lookedThrough
	ctx     context.Context
	base    string
	subject string
	scanned int // entries of folders that were read
}

// look runs do with the finder locked: who asks the same a moment later finds the answer.
func (f *finder) look(ctx context.Context, base, subject string, do func(*search) ([]string, error)) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known[base]
	if k == nil || len(k.barren) > maxLookedThrough {
		k = &lookedThrough{barren: map[plumbing.Hash]uint16{}, bearing: map[plumbing.Hash]bearing{}}
		f.known[base] = k
	}
	paths, err := do(&search{finder: f, lookedThrough: k, ctx: ctx, base: base, subject: subject})
	if err != nil {
		return nil, fmt.Errorf("look for %s in %s: %w", base, subject, err)
	}
	paths = slices.Clone(paths)
	slices.Sort(paths)
	for _, p := range paths {
		if len(p) > f.limits.MaxPath {
			return nil, fmt.Errorf("look for %s in %s: %w", base, subject, &LimitError{Limit: "MaxPath", Allowed: int64(f.limits.MaxPath), Subject: "a path"})
		}
	}
	return paths, nil
}

// find gives the paths of the files below a folder, which is so many levels deep.
func (s *search) find(id plumbing.Hash, depth int) (bearing, error) {
	levels, known := s.barren[id]
	found := bearing{levels: levels}
	if !known {
		found, known = s.bearing[id]
	}
	if !known {
		var err error
		if found, err = s.lookThrough(id, depth); err != nil {
			return bearing{}, err
		}
		if len(found.paths) == 0 {
			s.barren[id] = found.levels
		} else {
			s.bearing[id] = found
		}
	}
	return found, s.deep(depth + int(found.levels))
}

func (s *search) lookThrough(id plumbing.Hash, depth int) (bearing, error) {
	if err := s.deep(depth); err != nil { // before a tree that is too deep fills the stack
		return bearing{}, err
	}
	entries, err := s.folder(id)
	if err != nil {
		return bearing{}, err
	}
	var found bearing
	for _, e := range entries {
		switch {
		case s.wanted(e):
			found.paths = append(found.paths, e.name)
		case e.mode.IsDir() && e.odd == "":
			below, err := s.find(e.id, depth+1)
			if err != nil {
				return bearing{}, err
			}
			found.levels = max(found.levels, below.levels+1)
			for _, p := range below.paths {
				found.paths = append(found.paths, e.name+"/"+p)
			}
			if len(found.paths) > s.limits.MaxFiles { // few objects can make many paths
				return bearing{}, &LimitError{Limit: "MaxFiles", Allowed: int64(s.limits.MaxFiles), Subject: "the number of files of that name"}
			}
		}
	}
	return found, nil
}

func (s *search) wanted(e entry) bool { return e.name == s.base && e.mode.IsRegular() && e.odd == "" }

func (s *search) deep(depth int) error {
	if depth > s.limits.MaxDepth {
		return &LimitError{Limit: "MaxDepth", Allowed: int64(s.limits.MaxDepth), Subject: "the tree"}
	}
	return nil
}

// folder reads a folder object on the account of this search.
func (s *search) folder(id plumbing.Hash) ([]entry, error) {
	entries, err := s.store.folder(s.ctx, id)
	if err != nil {
		return nil, err
	}
	if s.scanned += len(entries); s.scanned > s.limits.MaxScanned {
		return nil, &LimitError{Limit: "MaxScanned", Allowed: int64(s.limits.MaxScanned), Subject: "the number of entries looked at"}
	}
	return entries, nil
}

// Find gives the paths of all regular files called base, sorted. Unlike a walk it does not count towards
// MaxFiles, and folders that earlier commits had too cost nothing.
func (t *Tree) Find(base string) ([]string, error) {
	t.mu.Lock()
	root := t.folders["."].id
	t.mu.Unlock()
	return t.finder.look(context.Background(), base, "the tree of "+t.commit, func(s *search) ([]string, error) {
		found, err := s.find(root, 0)
		return found.paths, err
	})
}

// Touched gives the paths of the regular files called base that a commit added or changed, compared with its
// first parent; of a commit without parents, all of them. It reads the folders that differ and no others.
func (r *Repository) Touched(ctx context.Context, commit, base string) ([]string, error) {
	c, err := r.commit(ctx, commit)
	if err != nil {
		return nil, fmt.Errorf("what did %s change: %w", printable(commit, 60), err)
	}
	var before plumbing.Hash // zero: there was nothing
	if len(c.ParentHashes) > 0 {
		parent, err := r.commit(ctx, c.ParentHashes[0].String())
		if err != nil {
			return nil, fmt.Errorf("what did %s change: %w", commit, err)
		}
		before = parent.TreeHash
	}
	return r.finder.look(ctx, base, "what "+commit+" changed", func(s *search) ([]string, error) {
		d := difference{search: s, seen: map[[2]plumbing.Hash][]string{}}
		return d.between(before, c.TreeHash, 0)
	})
}

// difference compares two trees.
type difference struct {
	*search
	seen map[[2]plumbing.Hash][]string // pairs of folders may be met on many paths
}

// between gives the paths that are new or changed in a folder that was another one before.
func (d *difference) between(before, after plumbing.Hash, depth int) ([]string, error) {
	switch {
	case before == after:
		return nil, nil
	case before.IsZero():
		found, err := d.find(after, depth)
		return found.paths, err
	}
	pair := [2]plumbing.Hash{before, after}
	if paths, ok := d.seen[pair]; ok {
		return paths, nil
	}
	if err := d.deep(depth); err != nil {
		return nil, err
	}
	was, err := d.folder(before)
	if err != nil {
		return nil, err
	}
	is, err := d.folder(after)
	if err != nil {
		return nil, err
	}
	old := make(map[string]entry, len(was))
	for _, e := range was {
		old[e.name] = e
	}
	var paths []string
	for _, e := range is {
		earlier := old[e.name]
		switch {
		case d.wanted(e):
			if !d.wanted(earlier) || earlier.id != e.id {
				paths = append(paths, e.name)
			}
		case e.mode.IsDir() && e.odd == "":
			var from plumbing.Hash
			if earlier.mode.IsDir() {
				from = earlier.id
			}
			below, err := d.between(from, e.id, depth+1)
			if err != nil {
				return nil, err
			}
			for _, p := range below {
				paths = append(paths, e.name+"/"+p)
			}
			if len(paths) > d.limits.MaxFiles {
				return nil, &LimitError{Limit: "MaxFiles", Allowed: int64(d.limits.MaxFiles), Subject: "the number of files of that name"}
			}
		}
	}
	d.seen[pair] = paths
	return paths, nil
}
