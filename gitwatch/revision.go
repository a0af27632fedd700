package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Revision is a ref with the commit that it points at, or a commit alone.
type Revision struct {
	Ref       string    // full name: refs/tags/HelloSelvage/1.0.0; "" for a commit given by its id
	Name      string    // what people call it: HelloSelvage/1.0.0, main, or the id of the commit
	Version   string    // of a tag, what follows the last slash: 1.0.0; "" for branches and commits
	Object    string    // the object that the ref names: for an annotated tag, the tag
	Commit    string    // the commit that it leads to
	Annotated bool      // an annotated tag, which has a tagger and a message of its own
	Tagger    string    // "Name <mail>" as the tag claims; "" unless Annotated
	Tagged    time.Time // when, as the tag claims; else the commit's committer date. UTC
	Message   string    // first line of the message of the tag, or else of the commit
}

// target is what the object of a ref leads to. It depends on the object alone, so it is never outdated.
type target struct {
	commit    string
	annotated bool
	inner     string // the name that stands in the tag itself
	tagger    string
	tagged    time.Time
	message   string
}

// notCommit is the error of a tag that leads to something else than a commit.
type notCommit struct{ kind string }

func (e *notCommit) Error() string { return "it leads to a " + e.kind + ", not to a commit" }

const (
	maxTagDepth = 8   // tags of tags; git allows any number, and more than two have no use
	maxMessage  = 200 // bytes of a message that are kept
	maxKnown    = 50_000
)

// target describes what an object leads to. It returns a notCommit error for folders and files.
func (r *Repository) target(ctx context.Context, id string) (target, error) {
	r.mu.Lock()
	t, ok := r.tags[id]
	r.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := r.readTarget(ctx, id)
	if err != nil {
		return target{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tags) >= maxKnown {
		clear(r.tags)
	}
	r.tags[id] = t
	return t, nil
}

func (r *Repository) readTarget(ctx context.Context, id string) (target, error) {
	var t target
	for range maxTagDepth {
		kind, content, err := r.store.read(ctx, id, maxMetaObject)
		if err != nil {
			return target{}, err
		}
		switch kind {
		case plumbing.CommitObject:
			c := &object.Commit{}
			if err := c.Decode(memory(kind, content)); err != nil {
				return target{}, fmt.Errorf("read commit %s: %w", id, err)
			}
			t.commit = id
			if !t.annotated {
				t.tagged, t.message = c.Committer.When.UTC(), firstLine(c.Message)
			}
			return t, nil
		case plumbing.TagObject:
			tag := &object.Tag{}
			if err := tag.Decode(memory(kind, content)); err != nil {
				return target{}, fmt.Errorf("read tag object %s: %w", id, err)
			}
			if !t.annotated { // the outermost tag is the one that was released
				t.annotated, t.inner = true, tag.Name
				t.tagger = printable(fmt.Sprintf("%s <%s>", tag.Tagger.Name, tag.Tagger.Email), maxMessage)
				t.tagged, t.message = tag.Tagger.When.UTC(), firstLine(tag.Message)
			}
			id = tag.Target.String()
		default:
			return target{}, &notCommit{kind.String()}
		}
	}
	return target{}, &notCommit{"tag of a tag of a tag"}
}

func firstLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(message, "\r\n \t"), "\n")
	return printable(line, maxMessage)
}

func (r *Repository) revision(ctx context.Context, ref Ref) (Revision, target, error) {
	t, err := r.target(ctx, ref.Object)
	if err != nil {
		return Revision{}, target{}, err
	}
	rev := Revision{
		Ref: ref.Name, Name: shortRef(ref.Name), Object: ref.Object, Commit: t.commit,
		Annotated: t.annotated, Tagger: t.tagger, Tagged: t.tagged, Message: t.message,
	}
	if strings.HasPrefix(ref.Name, "refs/tags/") {
		rev.Version = path.Base(rev.Name)
	}
	return rev, t, nil
}

// Resolve finds a revision by the name of a branch or tag, short or full, or by the full id of a commit
// or tag object. It answers from the mirror, without the network; a ref that the last sighting
// no longer lists isn't resolved by its name, but its commit still is. A name that is both a branch and a tag is
// an error that names both. It returns ErrUnknownRevision for what the mirror does not hold.
func (r *Repository) Resolve(ctx context.Context, rev string) (Revision, error) {
	held, err := r.loadHeld()
	if err != nil {
		return Revision{}, err
	}
	last := r.Last()
	names := []string{"refs/heads/" + rev, "refs/tags/" + rev}
	if strings.HasPrefix(rev, "refs/heads/") || strings.HasPrefix(rev, "refs/tags/") {
		names = []string{rev}
	}
	var found []Ref
	for _, name := range names {
		if oddRefName(name) != "" {
			continue
		}
		object, ok := held[name]
		if ok && last != nil {
			_, ok = last.Lookup(name)
		}
		if ok {
			found = append(found, Ref{name, object})
		}
	}
	if isObjectID(rev) {
		found = append(found, Ref{"", rev})
	}
	switch len(found) {
	case 0:
		return Revision{}, fmt.Errorf("%w: %q is no branch, tag or full commit id that the mirror of %s holds", ErrUnknownRevision, printable(rev, 120), r.address)
	case 1:
	default:
		return Revision{}, fmt.Errorf("%q is ambiguous: give %s", printable(rev, 120), list(found))
	}
	if found[0].Name != "" {
		revision, _, err := r.revision(ctx, found[0])
		if err != nil {
			return Revision{}, fmt.Errorf("resolve %s: %w", found[0].Name, err)
		}
		return revision, nil
	}
	t, err := r.target(ctx, rev)
	if errors.Is(err, ErrMissingObject) {
		return Revision{}, fmt.Errorf("%w: the mirror of %s has no commit %s", ErrUnknownRevision, r.address, rev)
	}
	if err != nil {
		return Revision{}, fmt.Errorf("resolve %s: %w", rev, err)
	}
	return Revision{
		Name: rev, Object: rev, Commit: t.commit, Annotated: t.annotated, Tagger: t.tagger,
		Tagged: t.tagged, Message: t.message,
	}, nil
}

func list(refs []Ref) string {
	names := make([]string, len(refs))
	for i, ref := range refs {
		if names[i] = ref.Name; ref.Name == "" {
			names[i] = "the commit by another name"
		}
	}
	return strings.Join(names, " or ")
}
