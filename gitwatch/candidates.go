package gitwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"selvage/configs"
)

// maxPassedOver is how many tags that are older than the newest get a finding of their own.
const maxPassedOver = 20

// Candidates lists what a deployment may choose from, newest first, as of the last sighting: the head
// of a branch, or every tag that matches. The reconciler takes the newest whose gates pass.
//
// Versions of order semver are read leniently: v1.2, 22.0.0, 1.0. Prereleases are
// candidates, and older than their release; a pattern that leaves them out is the way not to get them. Two tags
// of one version are ordered by their date, then by name, so that the order never depends on chance.
//
// What is passed over is told by findings: older tags, tags without a version, tags of
// something else than a commit, odd names. An empty answer without an error carries a finding that says why
// it is empty. It returns ErrNotSeen before the first successful Poll.
func (r *Repository) Candidates(ctx context.Context, f Follow) ([]Revision, []configs.Finding, error) {
	if err := f.Check(); err != nil {
		return nil, nil, err
	}
	last := r.Last()
	if last == nil {
		return nil, nil, fmt.Errorf("%s of %s: %w", f, r.address, ErrNotSeen)
	}
	held, err := r.loadHeld()
	if err != nil {
		return nil, nil, err
	}
	if f.Branch != "" {
		return r.branchCandidates(ctx, f, last, held)
	}
	return r.tagCandidates(ctx, f, last, held)
}

func (r *Repository) branchCandidates(ctx context.Context, f Follow, last *Sighting, held heldRefs) ([]Revision, []configs.Finding, error) {
	name := "refs/heads/" + f.Branch
	object, ok := last.Lookup(name)
	if !ok {
		return nil, []configs.Finding{configs.Found(configs.RefMissing, f.Branch, "there is no branch of this name at "+r.address.String())}, nil
	}
	if held[name] != object {
		return nil, nil, notFetched(name, object)
	}
	rev, _, err := r.revision(ctx, Ref{name, object})
	if err != nil {
		return nil, nil, fmt.Errorf("read branch %s: %w", f.Branch, err)
	}
	return []Revision{rev}, nil, nil
}

// notFetched is the error of a ref that was seen, but that no Follow of the last poll matched.
func notFetched(name, object string) error {
	return fmt.Errorf("%w: %s is at %s, which was not fetched: poll with this ref among those followed", ErrMissingObject, name, object)
}

// candidate is a revision with what it is ordered by.
type candidate struct {
	Revision
	version *semver.Version
}

func (r *Repository) tagCandidates(ctx context.Context, f Follow, last *Sighting, held heldRefs) ([]Revision, []configs.Finding, error) {
	var candidates []candidate
	findings := slices.Clone(last.Odd)
	matched := 0
	for _, ref := range last.Refs {
		if !f.matches(ref.Name) {
			continue
		}
		matched++
		if held[ref.Name] != ref.Object {
			return nil, nil, notFetched(ref.Name, ref.Object)
		}
		rev, t, err := r.revision(ctx, ref)
		var other *notCommit
		if errors.As(err, &other) {
			findings = append(findings, configs.Found(configs.TagNotCommit, shortRef(ref.Name), other.Error()))
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read tag %s: %w", shortRef(ref.Name), err)
		}
		if t.annotated && t.inner != rev.Name {
			findings = append(findings, configs.Found(configs.TagRenamed, rev.Name, fmt.Sprintf("the tag object says %q", printable(t.inner, 120))))
		}
		c := candidate{Revision: rev}
		if f.Order != Tagged {
			if c.version, err = semver.NewVersion(rev.Version); err != nil {
				findings = append(findings, configs.Found(configs.TagUnparsable, rev.Name, fmt.Sprintf("%q", printable(rev.Version, 120))))
				continue
			}
		}
		candidates = append(candidates, c)
	}
	if matched == 0 {
		findings = append(findings, configs.Found(configs.RefMissing, f.Tag, "no tag of "+r.address.String()+" matches"))
	}
	slices.SortFunc(candidates, newestFirst)
	revisions := make([]Revision, len(candidates))
	for i, c := range candidates {
		revisions[i] = c.Revision
		if i > 0 && i <= maxPassedOver {
			findings = append(findings, configs.Found(configs.TagSkipped, c.Name, "older than "+candidates[0].Name))
		}
	}
	if more := len(candidates) - 1 - maxPassedOver; more > 0 {
		findings = append(findings, configs.Found(configs.TagSkipped, f.Tag, fmt.Sprintf("and %d more, older than %s", more, candidates[0].Name)))
	}
	return revisions, findings, nil
}

func newestFirst(a, b candidate) int {
	var byVersion int
	if a.version != nil && b.version != nil {
		byVersion = b.version.Compare(a.version)
	}
	return cmp.Or(byVersion, b.Tagged.Compare(a.Tagged), strings.Compare(b.Name, a.Name))
}
