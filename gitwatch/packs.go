package gitwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Every fetch adds a pack, and each pack makes finding an object a little slower. Past maxPacks the small
// ones, together at most mergeBytes, become one; large packs are never rewritten.
const (
	maxPacks   = 40
	mergeBytes = 64 << 20
)

// incomingDir is where a pack is written and checked before it becomes part of the mirror. What is found
// there at the beginning of a fetch is the rest of one that was killed.
func incomingDir(dir string) string { return filepath.Join(dir, "incoming") }

func packDir(dir string) string { return filepath.Join(dir, "objects", "pack") }

// removeLeftovers deletes what a killed fetch left behind: a half-written pack, and an index that was moved
// into the mirror before its pack could follow. Git itself never has an index without its pack,
// so that a repack by hand is not disturbed.
func removeLeftovers(dir string) error {
	if err := os.RemoveAll(incomingDir(dir)); err != nil {
		return err
	}
	indexes, err := filepath.Glob(filepath.Join(packDir(dir), "pack-*.idx"))
	if err != nil {
		return err
	}
	for _, index := range indexes {
		_, err := os.Stat(strings.TrimSuffix(index, ".idx") + ".pack")
		if errors.Is(err, os.ErrNotExist) {
			err = os.Remove(index)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// addPack lets write fill a pack, checks and indexes it, and moves it into the mirror, durably.
func addPack(dir string, write func(*filesystem.Storage) error) error {
	incoming := incomingDir(dir)
	if err := os.MkdirAll(packDir(incoming), 0o750); err != nil {
		return err
	}
	s := storage(incoming)
	if err := errors.Join(write(s), s.ObjectStorage.Close()); err != nil {
		return errors.Join(err, os.RemoveAll(incoming))
	}
	packs, err := s.ObjectPacks()
	if err != nil {
		return err
	}
	for _, p := range packs {
		// The index first: go-git looks for packs and then wants their index.
		for _, ext := range []string{".idx", ".pack"} {
			name := "pack-" + p.String() + ext
			if err := moveDurably(filepath.Join(packDir(incoming), name), filepath.Join(packDir(dir), name)); err != nil {
				return fmt.Errorf("keep a pack: %w", err)
			}
		}
	}
	if err := syncDir(packDir(dir)); err != nil {
		return fmt.Errorf("keep a pack: %w", err)
	}
	return os.RemoveAll(incoming)
}

func moveDurably(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// receivePack takes what wants reach into the mirror as one pack, and gives its size in bytes.
func receivePack(ctx context.Context, req fetchRequest, wants, haves []string) (size int64, err error) {
	a, err := parseAddress(req.URL)
	if err != nil {
		return 0, err
	}
	auth := Auth{Username: req.Username, Password: req.Password, SSHKey: req.SSHKey, KnownHosts: req.KnownHosts}
	stream, err := newRemote(a, auth, Limits{}.withDefaults()).pack(ctx, req.Capabilities, wants, haves)
	if err != nil {
		return 0, err
	}
	in := capped(stream, req.MaxPack, "MaxPack", "the pack from "+a.String())
	err = addPack(req.Dir, func(s *filesystem.Storage) error {
		err := packfile.UpdateObjectStorage(s, in)
		var limit *LimitError
		if err == nil || errors.As(err, &limit) {
			return err
		}
		return fmt.Errorf("receive a pack: %s", printable(err.Error(), 300))
	})
	_ = stream.Close() // the pack's own checksum has told whether all of it came
	return req.MaxPack - in.left, err
}

// mergePacks makes one pack of the small ones, if there are too many. It keeps every object, also those
// that no ref reaches any more.
func mergePacks(dir string) error {
	small, err := smallPacks(dir)
	if err != nil || len(small) < 2 {
		return err
	}
	s := storage(dir)
	defer s.ObjectStorage.Close()
	var ids []plumbing.Hash
	seen := map[plumbing.Hash]bool{}
	for _, p := range small {
		if err := eachObject(dir, p, func(id plumbing.Hash) {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}); err != nil {
			return fmt.Errorf("merge small packs: %w", err)
		}
	}
	var merged plumbing.Hash
	err = addPack(dir, func(to *filesystem.Storage) error {
		w, err := to.PackfileWriter()
		if err != nil {
			return err
		}
		merged, err = packfile.NewEncoder(w, s, false).Encode(ids, 10)
		return errors.Join(err, w.Close())
	})
	if err != nil {
		return fmt.Errorf("merge small packs: %w", err)
	}
	for _, p := range small {
		if p == merged.String() {
			continue
		}
		for _, ext := range []string{".pack", ".idx", ".rev", ".bitmap"} {
			err := os.Remove(filepath.Join(packDir(dir), "pack-"+p+ext))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove a merged pack: %w", err)
			}
		}
	}
	return nil
}

// smallPacks names the packs to merge by their checksum; none as long as there are few packs.
func smallPacks(dir string) ([]string, error) {
	entries, err := os.ReadDir(packDir(dir))
	if err != nil {
		return nil, err
	}
	type pack struct {
		name string
		size int64
	}
	var packs []pack
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".pack")
		if _, err := os.Stat(filepath.Join(packDir(dir), base+".keep")); !ok || err == nil {
			continue
		}
		st, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		packs = append(packs, pack{strings.TrimPrefix(base, "pack-"), st.Size()})
	}
	if len(packs) <= maxPacks {
		return nil, nil
	}
	slices.SortFunc(packs, func(a, b pack) int {
		return cmp.Or(cmp.Compare(a.size, b.size), strings.Compare(a.name, b.name))
	})
	var names []string
	var total int64
	for _, p := range packs {
		if total += p.size; total > mergeBytes {
			break
		}
		names = append(names, p.name)
	}
	return names, nil
}

func eachObject(dir, pack string, found func(plumbing.Hash)) error {
	f, err := os.Open(filepath.Join(packDir(dir), "pack-"+pack+".idx"))
	if err != nil {
		return err
	}
	defer f.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(index); err != nil {
		return err
	}
	entries, err := index.Entries()
	if err != nil {
		return err
	}
	defer entries.Close()
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		found(e.Hash)
	}
}
