// Package gitwatch answers two questions about a git repository: which refs are there, and what do
// they point at? It never has a work tree.
//
// Open gives a Repository: one bare mirror on disk with the full history of the refs that
// deployments follow, shared by all of them. Poll reads the refs of the remote with a single
// request and fetches only when a followed one is new or has moved; its Sighting is the fresh read
// that the laws of deleting count. Candidates orders what a deployment may choose from, Resolve
// finds one revision by name, Ancestor compares two, Touched tells which files of a name a commit
// changed, and Tree is the read-only file tree of a commit. A Watcher polls many repositories.
//
// Everything that comes from a remote is hostile: it is bounded in time, bytes and count, odd names
// are dropped with a finding before they reach the disk, and whatever is missing is an error and
// never an empty answer.
//
// # The mirror
//
// A mirror is an ordinary bare repository, so that an operator may look into it, repack it or
// collect its garbage with git. Its refs stand in packed-refs alone: one file, replaced in one step,
// where a ref named a/b and one named a don't collide. Old positions of refs that were moved by force or
// deleted stay under refs/selvage/kept, so that what was once deployed can be read again. A folder
// that is lost or damaged is made anew by the next poll once it is deleted.
package gitwatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Errors that callers tell apart with errors.Is. All others are worth another try later.
var (
	// ErrDenied is returned by Poll when the remote refuses our credentials, or when they are missing.
	ErrDenied = errors.New("access denied")
	// ErrNoRepository is returned by Poll when the remote says that there is no such repository,
	// which many servers also say to those who may not see it.
	ErrNoRepository = errors.New("no such repository")
	// ErrNotSeen is returned by Candidates before the first successful Poll of this process.
	ErrNotSeen = errors.New("the remote has not been read yet")
	// ErrUnknownRevision is returned by Resolve for a name or commit that the mirror does not hold.
	ErrUnknownRevision = errors.New("unknown revision")
	// ErrMissingObject is returned wherever the mirror lacks an object that it should hold. It is
	// never fs.ErrNotExist: a damaged mirror doesn't mean that a file was deleted.
	ErrMissingObject = errors.New("git object is missing from the mirror")
)

// LimitError says that content exceeded a limit. It is permanent for the commit or the remote it names.
type LimitError struct {
	Limit   string // the limit's name, as in Limits: "MaxFileSize"
	Allowed int64
	Subject string // what exceeded it: a path, a commit, an address
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s exceeds the limit %s of %d", e.Subject, e.Limit, e.Allowed)
}

// Limits bounds what is read from a repository. A zero field takes the default.
type Limits struct {
	MaxFileSize int64 // bytes of one file; 64 MiB
	MaxFiles    int   // entries of all folders looked at through one Tree; 50,000
	MaxScanned  int   // entries of the different folders that one Find or Touched looks at; 2,000,000
	MaxDepth    int   // path elements; 64
	MaxPath     int   // bytes of a path; 1,024
	MaxTotal    int64 // bytes of file content read through one Tree, repeated reads counted again; 512 MiB
	MaxRefs     int   // refs of a remote; 200,000
	MaxPack     int64 // bytes of one fetch; 8 GiB
	MaxCommits  int   // commits that Ancestor looks at; 2,000,000
}

func (l Limits) withDefaults() Limits {
	return Limits{
		MaxFileSize: or(l.MaxFileSize, 64<<20),
		MaxFiles:    or(l.MaxFiles, 50_000),
		MaxScanned:  or(l.MaxScanned, 2_000_000),
		MaxDepth:    or(l.MaxDepth, 64),
		MaxPath:     or(l.MaxPath, 1024),
		MaxTotal:    or(l.MaxTotal, 512<<20),
		MaxRefs:     or(l.MaxRefs, 200_000),
		MaxPack:     or(l.MaxPack, 8<<30),
		MaxCommits:  or(l.MaxCommits, 2_000_000),
	}
}

// or is the first of two values that is positive.
func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Options say where a repository is and how it is read.
type Options struct {
	Dir    string // folder of the mirror; made if it isn't there
	URL    string // https, ssh (or user@host:path), file; http on loopback only
	Auth   Auth
	Limits Limits

	ListTimeout  time.Duration // for reading the refs; 30 s
	FetchTimeout time.Duration // for one fetch; 30 min
	FetchMemory  int64         // bytes that the fetching child may occupy; 2 GiB

	// Child is the command that runs ChildMain in another process; default this program with the
	// argument ChildArg. It fetches there, so that memory and time of a hostile or huge pack are bounded.
	Child []string
}

// Repository is one mirror and its remote. Its methods may be called concurrently; polls of one
// repository run one after the other.
type Repository struct {
	options Options // mu guards its Auth; the rest never changes
	address address
	limits  Limits
	store   *store
	finder  *finder

	polling chan struct{} // holds one token: Poll is exclusive, and waiting for it ends with the context

	mu        sync.Mutex
	last      *Sighting // of the latest successful poll; nil before it
	held      heldRefs  // as of the last look at packed-refs
	heldStamp fileStamp // of the packed-refs that held was read from
	ancestry  map[[2]string]bool
	tags      map[string]target // what annotated tags and commits are, by object id; immutable facts
}

// Open prepares the mirror in o.Dir for the remote o.URL, without talking to it.
func Open(o Options) (*Repository, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	if err := a.accepts(o.Auth); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("a repository needs a folder for its mirror")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if len(o.Child) == 0 {
		o.Child = []string{"/proc/self/exe", ChildArg}
	}
	o.ListTimeout = or(o.ListTimeout, 30*time.Second)
	o.FetchTimeout = or(o.FetchTimeout, 30*time.Minute)
	o.FetchMemory = or(o.FetchMemory, 2<<30)
	if err := initMirror(o.Dir); err != nil {
		return nil, fmt.Errorf("prepare the mirror of %s: %w", a, err)
	}
	r := &Repository{
		options:  o,
		address:  a,
		limits:   o.Limits.withDefaults(),
		store:    newStore(o.Dir),
		polling:  make(chan struct{}, 1),
		ancestry: map[[2]string]bool{},
		tags:     map[string]target{},
	}
	r.finder = newFinder(r.store, r.limits)
	if _, err := r.loadHeld(); err != nil {
		return nil, err
	}
	return r, nil
}

// URL is the address of the remote, fit for printing: a password never stands in it.
func (r *Repository) URL() string { return r.address.String() }

// Dir is the folder of the mirror.
func (r *Repository) Dir() string { return r.options.Dir }

// Close releases the files that reading keeps open. The repository may still be used; it opens them again.
func (r *Repository) Close() error {
	r.store.close()
	return nil
}

// initMirror makes the files that git and go-git expect of a bare repository. What is there stays.
func initMirror(dir string) error {
	for _, d := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			return err
		}
	}
	files := map[string]string{
		"HEAD":   "ref: refs/heads/main\n",
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n",
	}
	for name, content := range files {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(content)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
