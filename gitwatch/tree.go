package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"

	"selvage/configs"
)

// ErrNotFollowed is returned for a symlink or submodule that is opened, or that a path leads through.
// Both are listed and can be looked at with Stat.
var ErrNotFollowed = errors.New("symlinks and submodules are not followed")

// ErrOddName is returned for a path that leads to an entry with an odd name. It is hidden from
// listings, but it is there: it must not look as if it had been deleted.
var ErrOddName = errors.New("the entry has an odd name and is not read")

// Tree is the read-only file tree of a commit, read from the objects of the mirror: it implements
// fs.FS, fs.ReadDirFS, fs.ReadFileFS and fs.StatFS. There is no way out of it.
//
// Names that no honest file has (control characters, "..", backslashes, ".git") are hidden and told by
// Odd. Symlinks are entries with fs.ModeSymlink, submodules with fs.ModeIrregular; opening either is an error.
// Limits are LimitErrors. A missing object is ErrMissingObject; fs.ErrNotExist means that the
// commit truly has no such file. Modification times are zero.
//
// Its methods may be called concurrently.
type Tree struct {
	store  *store
	finder *finder
	limits Limits
	commit string

	mu      sync.Mutex
	folders map[string]*folder         // by path, as far as looked at
	decoded map[plumbing.Hash][]entry  // by object: the same folder may be in many places
	counted int                        // entries of folders
	total   int64                      // bytes of files read
	odd     map[string]configs.Finding // by subject
}

// entry is a file or folder of a Tree.
type entry struct {
	name string
	mode fs.FileMode
	id   plumbing.Hash
	odd  string // what is odd about its name
}

type folder struct {
	id      plumbing.Hash
	entries []entry // sorted by name, without the odd ones
	byName  map[string]entry
}

// Tree opens the file tree of a commit that the mirror holds, by its full id.
func (r *Repository) Tree(ctx context.Context, commit string) (*Tree, error) {
	c, err := r.commit(ctx, commit)
	if err != nil {
		return nil, fmt.Errorf("read the tree of %s: %w", printable(commit, 60), err)
	}
	t := &Tree{
		store: r.store, finder: r.finder, limits: r.limits, commit: commit,
		folders: map[string]*folder{}, decoded: map[plumbing.Hash][]entry{}, odd: map[string]configs.Finding{},
	}
	if _, err := t.addFolder(".", c.TreeHash); err != nil {
		return nil, fmt.Errorf("read the tree of %s: %w", commit, err)
	}
	return t, nil
}

// Commit is the id of the commit whose tree this is.
func (t *Tree) Commit() string { return t.commit }

// Odd tells which entries are hidden because of their names, and where names differ only in case, as far
// as the tree was looked at.
func (t *Tree) Odd() []configs.Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	findings := make([]configs.Finding, 0, len(t.odd))
	for _, f := range t.odd {
		findings = append(findings, f)
	}
	sort.Slice(findings, func(i, j int) bool { return findings[i].Subject < findings[j].Subject })
	return findings
}

// Digest names the content of a folder or file: "git-sha1:" and the id of its tree or blob. Equal
// digests mean equal content, names and modes, at any commit. "." is the whole tree.
func (t *Tree) Digest(name string) (string, error) {
	e, err := t.lookup("digest", name)
	if err != nil {
		return "", err
	}
	if e.mode&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		return "", &fs.PathError{Op: "digest", Path: name, Err: ErrNotFollowed}
	}
	return "git-sha1:" + e.id.String(), nil
}

// lookup finds the entry of a path.
func (t *Tree) lookup(op, name string) (entry, error) {
	e, err := t.walk(name)
	if err != nil {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return e, nil
}

func (t *Tree) walk(name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, fs.ErrInvalid
	}
	if len(name) > t.limits.MaxPath {
		return entry{}, &LimitError{Limit: "MaxPath", Allowed: int64(t.limits.MaxPath), Subject: "the path"}
	}
	if name != "." && strings.Count(name, "/")+1 > t.limits.MaxDepth {
		return entry{}, &LimitError{Limit: "MaxDepth", Allowed: int64(t.limits.MaxDepth), Subject: "the path"}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.folders["."]
	here := entry{name: ".", mode: fs.ModeDir | 0o555, id: at.id}
	if name == "." {
		return here, nil
	}
	done := 0
	for part := range strings.SplitSeq(name, "/") {
		if done > 0 {
			if here.mode&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
				return entry{}, ErrNotFollowed
			}
			if !here.mode.IsDir() {
				return entry{}, fs.ErrNotExist
			}
			var err error
			if at, err = t.addFolder(name[:done-1], here.id); err != nil {
				return entry{}, err
			}
		}
		var ok bool
		if here, ok = at.byName[part]; !ok {
			return entry{}, fs.ErrNotExist
		}
		if here.odd != "" {
			return entry{}, ErrOddName
		}
		done += len(part) + 1
	}
	return here, nil
}

// folder gives the listing of a folder that lookup has found.
func (t *Tree) folder(name string, id plumbing.Hash) (*folder, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addFolder(name, id)
}

// addFolder reads the folder at a path, once. Each path counts towards MaxFiles, also if many
// paths share one object: that is how a tree of a few objects becomes one of billions of files. The caller
// holds the lock.
func (t *Tree) addFolder(name string, id plumbing.Hash) (*folder, error) {
	if f := t.folders[name]; f != nil {
		return f, nil
	}
	entries, ok := t.decoded[id]
	if !ok {
		var err error
		if entries, err = t.store.folder(context.Background(), id); err != nil {
			return nil, err
		}
		t.decoded[id] = entries
	}
	if t.counted+len(entries) > t.limits.MaxFiles {
		return nil, &LimitError{Limit: "MaxFiles", Allowed: int64(t.limits.MaxFiles), Subject: "the number of entries of the tree of " + t.commit}
	}
	t.counted += len(entries)
	f := &folder{id: id, byName: make(map[string]entry, len(entries))}
	folded := map[string]string{}
	for _, e := range entries {
		subject := path.Join(name, e.name)
		f.byName[e.name] = e
		if e.odd != "" {
			subject = strconv.Quote(name + "/" + printable(e.name, 120))
			t.odd[subject] = configs.Found(configs.FileOdd, subject, "its name "+e.odd)
			continue
		}
		if other, taken := folded[foldCase(e.name)]; taken {
			t.odd[subject] = configs.Found(configs.FileCase, subject, other+" and "+e.name)
		}
		folded[foldCase(e.name)] = e.name
		f.entries = append(f.entries, e)
	}
	t.folders[name] = f
	return f, nil
}

// read gives the content of a file within the limits.
func (t *Tree) read(name string, id plumbing.Hash) ([]byte, error) {
	kind, content, err := t.store.read(context.Background(), id.String(), t.limits.MaxFileSize)
	var limit *LimitError
	if errors.As(err, &limit) {
		return nil, &LimitError{Limit: limit.Limit, Allowed: limit.Allowed, Subject: "the file"}
	}
	if err != nil {
		return nil, err
	}
	if kind != plumbing.BlobObject {
		return nil, fmt.Errorf("git object %s is a %s where a file should be", id, kind)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total+int64(len(content)) > t.limits.MaxTotal {
		return nil, &LimitError{Limit: "MaxTotal", Allowed: t.limits.MaxTotal, Subject: "with " + name + ", what was read of the tree of " + t.commit}
	}
	t.total += int64(len(content))
	return content, nil
}

// oddFileName says what is odd about the name of a file or folder, or "".
func oddFileName(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "would lead somewhere else"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsFunc(name, deceptive):
		return "holds a control character"
	case strings.ContainsAny(name, "/\\"):
		return "holds a slash or backslash"
	case strings.EqualFold(name, ".git") || strings.EqualFold(name, "git~1"):
		return "is the one of git's own folder"
	case len(name) > 255:
		return "is longer than 255 bytes"
	}
	return ""
}

func foldCase(name string) string {
	return strings.Map(func(c rune) rune { return unicode.ToLower(unicode.ToUpper(c)) }, name)
}
