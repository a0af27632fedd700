package gitwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"selvage/configs"
)

// maxPassedOver is how many tags that are older than the newest get a finding of their own.
const maxPassedOver = 20

// Candidates lists what a deployment may choose from, newest first, as of the last sighting: the head
// of a branch, or every tag that matches. The reconciler takes the newest whose gates pass.
//
// Order semver is total, and goes by what follows the last slash of the tag:
//
//  1. Tags with a version come before those without one, the greater version first. Versions are read
//     leniently: v1.2, 22.0.0, 1.00, 1.2.3.4, 1.0.0-rc.1, 1.2.3dev0, numbers of any size. Missing parts are 0,
//     and neither leading zeros nor builds (+sha.5) count. A prerelease is a candidate, and older than its
//     release; a pattern that leaves it out is the way not to get it.
//  2. Tags of one version (1.0, 1.00, v1), and tags without any (hghj, scala-release, v3345e456), are
//     ordered by the date that the tagger wrote, the later first; a lightweight tag has that of its commit.
//  3. Tags of one date are ordered by name, the greater first, so that the order never depends on chance.
//
// Order tagged goes by 2 and 3 alone.
//
// Tags of something else than a commit and odd names are left out, and told by findings; PassedOver tells of
// the others. An empty answer without an error carries a finding that says why it is empty. It
// returns ErrNotSeen before the first successful Poll.
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
	version   version
	versioned bool
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
			c.version, c.versioned = parseVersion(rev.Version)
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
	}
	return revisions, findings, nil
}

func newestFirst(a, b candidate) int {
	var byVersion int
	switch {
	case a.versioned && b.versioned:
		byVersion = b.version.compare(a.version)
	case a.versioned:
		byVersion = -1
	case b.versioned:
		byVersion = 1
	}
	return cmp.Or(byVersion, b.Tagged.Compare(a.Tagged), strings.Compare(b.Name, a.Name))
}

// PassedOver tells which tags are older than the newest of some candidates of f, and where those stand that
// have no version to go by. The candidates are in the order of Candidates.
func PassedOver(f Follow, candidates []Revision) []configs.Finding {
	var findings []configs.Finding
	for i, c := range candidates {
		if f.Branch != "" || i > maxPassedOver {
			break
		}
		_, versioned := parseVersion(c.Version)
		switch {
		case !versioned && f.Order != Tagged:
			findings = append(findings, configs.Found(configs.TagUnparsable, c.Name,
				fmt.Sprintf("%q, number %d of %d from the newest on", printable(c.Version, 120), i+1, len(candidates))))
		case i > 0:
			findings = append(findings, configs.Found(configs.TagSkipped, c.Name, "older than "+candidates[0].Name))
		}
	}
	if more := len(candidates) - 1 - maxPassedOver; more > 0 {
		findings = append(findings, configs.Found(configs.TagSkipped, f.Tag, fmt.Sprintf("and %d more, older than %s", more, candidates[0].Name)))
	}
	return findings
}
