package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/configs"
)

// Sighting is one fresh and complete read of the refs of a remote. What a sighting lacks was not there
// at that moment; a read that failed gives an error and no sighting. It is not changed after it was made.
type Sighting struct {
	// Number grows with every sighting of a repository, also from one run of the program to the
	// next as long as the clock isn't set back: it is the time of the reading in microseconds, or one
	// more than the last.
	Number int64
	At     time.Time
	Refs   []Ref             // branches and tags, by name
	Head   string            // full name of the default branch, as the remote says; empty where it doesn't
	Odd    []configs.Finding // refs that were dropped
	// Fetched is the size of the pack that this poll had to fetch, in bytes; 0 if the mirror
	// held all that is followed.
	Fetched int64
}

// Lookup is the object that a ref named at the time of the sighting, by the full name of the ref.
func (s *Sighting) Lookup(name string) (object string, ok bool) {
	i := sort.Search(len(s.Refs), func(i int) bool { return s.Refs[i].Name >= name })
	if i < len(s.Refs) && s.Refs[i].Name == name {
		return s.Refs[i].Object, true
	}
	return "", false
}

// Follow says which refs a deployment takes its releases from: a branch, or the tags that match a glob.
type Follow struct {
	Branch string // name of a branch, without refs/heads/
	// Tag is a glob over tag names without refs/tags/: "HelloSelvage/*". A star doesn't match a
	// slash, two do; "{a,b}" and "[0-9]" work as in a shell.
	Tag   string
	Order Order // of tags; the default is Semver
}

// Order says which of several tags is the newest.
type Order string

const (
	// Semver orders by the version after the last slash of the tag: 1.10.0 comes after 1.9.0, and
	// 2.0.0-rc.1 before 2.0.0. See Candidates.
	Semver Order = "semver"
	// Tagged orders by the date in the tag; for a lightweight tag, by that of its commit. Whoever
	// makes a tag chooses its date.
	Tagged Order = "tagged"
)

func (f Follow) String() string {
	if f.Branch != "" {
		return "branch " + f.Branch
	}
	return "tags " + f.Tag
}

// Check tells whether a Follow makes sense.
func (f Follow) Check() error {
	switch {
	case (f.Branch == "") == (f.Tag == ""):
		return errors.New("follow needs either a branch or a tag pattern")
	case f.Branch != "" && oddRefName("refs/heads/"+f.Branch) != "":
		return fmt.Errorf("follow branch %q: the name %s", printable(f.Branch, 120), oddRefName("refs/heads/"+f.Branch))
	case f.Branch != "" && f.Order != "":
		return fmt.Errorf("follow branch %s: only tags have an order", f.Branch)
	case f.Tag != "" && !doublestar.ValidatePattern(f.Tag):
		return fmt.Errorf("follow tags %q: the pattern is malformed", printable(f.Tag, 120))
	case f.Order != "" && f.Order != Semver && f.Order != Tagged:
		return fmt.Errorf("follow tags %s: the order %q is neither semver nor tagged", f.Tag, printable(string(f.Order), 40))
	}
	return nil
}

// matches tells whether f follows the ref of that full name.
func (f Follow) matches(ref string) bool {
	if f.Branch != "" {
		return ref == "refs/heads/"+f.Branch
	}
	name, ok := strings.CutPrefix(ref, "refs/tags/")
	return ok && doublestar.MatchUnvalidated(f.Tag, name)
}

// Poll reads the refs of the remote with one list-refs request, and fetches if a followed one is new or
// has moved compared with what the mirror holds. Candidates and Resolve answer from what it saw. After
// an error they answer from the sighting before.
//
// A ref that nobody follows is seen but not fetched: to resolve it, poll with a Follow that names it.
func (r *Repository) Poll(ctx context.Context, follows []Follow) (*Sighting, error) {
	for _, f := range follows {
		if err := f.Check(); err != nil {
			return nil, err
		}
	}
	select {
	case r.polling <- struct{}{}:
		defer func() { <-r.polling }()
	case <-ctx.Done():
		return nil, fmt.Errorf("poll %s: %w", r.address, context.Cause(ctx))
	}
	s, err := r.poll(ctx, follows)
	if err != nil {
		return nil, fmt.Errorf("poll %s: %w", r.address, err)
	}
	return s, nil
}

func (r *Repository) poll(ctx context.Context, follows []Follow) (*Sighting, error) {
	remote := newRemote(r.address, r.auth(), r.limits)
	adv, err := r.list(ctx, remote)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	held, err := r.loadHeld()
	if err != nil {
		return nil, err
	}
	var moved []Ref
	for _, ref := range adv.refs {
		if held[ref.Name] == ref.Object {
			continue
		}
		for _, f := range follows {
			if f.matches(ref.Name) {
				moved = append(moved, ref)
				break
			}
		}
	}
	s := &Sighting{At: at, Refs: adv.refs, Odd: adv.odd, Head: adv.head()}
	if len(moved) > 0 {
		if s.Fetched, err = r.fetch(ctx, remote.at(), adv.capabilities, moved); err != nil {
			return nil, err
		}
		if _, err := r.loadHeld(); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Number = at.UnixMicro()
	if r.last != nil {
		s.Number = max(s.Number, r.last.Number+1)
	}
	r.last = s
	return s, nil
}

func (r *Repository) list(ctx context.Context, remote remote) (*advertisement, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.options.ListTimeout,
		fmt.Errorf("no complete answer within %v: %w", r.options.ListTimeout, context.DeadlineExceeded))
	defer cancel()
	adv, err := remote.list(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return adv, err
}

// Last is the sighting of the latest successful poll of this process, or nil.
func (r *Repository) Last() *Sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
