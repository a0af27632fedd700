package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/gitwatch"
)

// A repository may hold many projects, and a tag belongs to the repository: which project it releases has to
// be found out before a deployment takes it.

// ownerKey is a question about a repository that has one answer for ever.
type ownerKey struct {
	repository string // its address
	commit     string
	tag        string // empty: which project does the commit hold?
}

// owner is what is known about a tag.
type owner struct {
	artifacts.Owned
	ambiguous *artifacts.Ambiguous
	none      bool // the commit holds no project, or several where only one would do
}

// owners remember which projects tags release. What they know depends on no configuration.
type owners struct {
	claims artifacts.Owners

	mu    sync.Mutex
	known map[ownerKey]owner
}

const maxOwners = 50_000

// know answers from memory, or finds out and remembers it. Errors are not remembered.
func (o *owners) know(k ownerKey, find func() (owner, error)) (owner, error) {
	o.mu.Lock()
	known, ok := o.known[k]
	o.mu.Unlock()
	if ok {
		return known, nil
	}
	found, err := find()
	if err != nil {
		return owner{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil || len(o.known) >= maxOwners {
		o.known = map[ownerKey]owner{}
	}
	o.known[k] = found
	return found, nil
}

// released says which project a tag releases.
func (o *owners) released(ctx context.Context, t *tenant, c gitwatch.Revision) (owner, error) {
	return o.know(ownerKey{t.url, c.Commit, c.Name}, func() (found owner, err error) {
		touched, err := t.repo.Touched(ctx, c.Commit, artifacts.ProjectFile)
		if err != nil {
			return owner{}, err
		}
		tree, err := t.repo.Tree(ctx, c.Commit)
		if err != nil {
			return owner{}, err
		}
		found.Owned, err = o.claims.Owner(tree, c.Name, touched)
		switch {
		case errors.As(err, &found.ambiguous):
		case errors.Is(err, artifacts.ErrNotProject):
			found.none = true
		case err != nil:
			return owner{}, err
		}
		return found, nil
	})
}

// only says which project a commit holds, if it is one.
func (o *owners) only(ctx context.Context, t *tenant, commit string) (owner, error) {
	return o.know(ownerKey{t.url, commit, ""}, func() (owner, error) {
		tree, err := t.repo.Tree(ctx, commit)
		if err != nil {
			return owner{}, err
		}
		roots, err := artifacts.FindProjects(tree)
		if err != nil || len(roots) != 1 {
			return owner{none: true}, err
		}
		return owner{Owned: artifacts.Owned{Path: roots[0], Rule: artifacts.ByOnly}}, nil
	})
}

// tenant is a project of the configuration in its repository.
type tenant struct {
	*configs.Project
	repo *gitwatch.Repository
	*shared
}

// shared is a repository with the projects of the configuration that it holds.
type shared struct {
	url      string
	projects []*configs.Project          // by name
	byPath   map[string]*configs.Project // those that say where they are

	mu    sync.Mutex
	given map[string]string // by tag: the project that tags: in the configuration gives it to; empty: none
}

// tenants finds out which projects share a repository. They are those of one configuration.
func tenants(c *configs.Config, repositories map[string]*gitwatch.Repository) map[string]*tenant {
	byURL, byProject := map[string]*shared{}, map[string]*tenant{}
	for _, name := range slices.Sorted(maps.Keys(c.Projects)) {
		p, url := c.Projects[name], repositories[name].URL()
		if byURL[url] == nil {
			byURL[url] = &shared{url: url, byPath: map[string]*configs.Project{}}
		}
		s := byURL[url]
		s.projects = append(s.projects, p)
		if p.Path != "" {
			s.byPath[path.Clean(p.Path)] = p
		}
		byProject[name] = &tenant{p, repositories[name], s}
	}
	return byProject
}

// givenTo is the project that the configuration gives a tag to; empty where it gives it to none.
func (s *shared) givenTo(tag string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, known := s.given[tag]
	if known {
		return name
	}
	for _, p := range s.projects {
		if slices.ContainsFunc(p.Tags, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, tag) }) {
			name = p.Name
			break
		}
	}
	if s.given == nil || len(s.given) >= maxOwners {
		s.given = map[string]string{}
	}
	s.given[tag] = name
	return name
}

// standing is what a candidate is to a deployment: one that it may take, or a finding that says why not.
type standing struct {
	rule   artifacts.Rule  // that says so; empty where there was no question
	reason configs.Finding // zero: it may be taken
}

func (s standing) own() bool { return s.reason.Code == "" }

// stands finds out whether a tag releases a project. An error means that nobody knows. A commit without any
// project is nobody else's: the deployment takes it, to say what is wrong with it.
func (o *owners) stands(ctx context.Context, t *tenant, c gitwatch.Revision) (standing, error) {
	foreign := func(format string, args ...any) (standing, error) {
		return standing{reason: configs.Found(configs.TagForeign, c.Name, fmt.Sprintf(format, args...))}, nil
	}
	switch given := t.givenTo(c.Name); {
	case given == t.Name:
		return standing{rule: artifacts.ByTags}, nil
	case given != "":
		return foreign("tags: of project %s names it", given)
	case len(t.Tags) > 0:
		return foreign("tags: of project %s does not name it", t.Name)
	}
	var found owner
	var err error
	if t.Path == "" {
		found, err = o.only(ctx, t, c.Commit)
	} else {
		found, err = o.released(ctx, t, c)
	}
	switch {
	case err != nil:
		return standing{}, err
	case found.none:
		return standing{}, nil
	case found.ambiguous != nil:
		return standing{reason: configs.Found(configs.TagAmbiguous, c.Name, found.ambiguous.Projects())}, nil
	case t.Path != "" && path.Clean(t.Path) == found.Path:
		return standing{rule: found.Rule}, nil
	}
	if other := t.byPath[found.Path]; other != nil {
		return foreign("it releases %s, %s", other.Name, folder(found.Path))
	}
	if t.Path == "" {
		return standing{rule: found.Rule}, nil
	}
	return foreign("it releases the one %s", folder(found.Path))
}

func folder(root string) string {
	if root == "." {
		return "at the root of the repository"
	}
	return "in " + root
}

// sieve goes through the candidates of a deployment, newest first, as far as it is asked to: finding out whose
// a tag is costs reads of the mirror.
type sieve struct {
	owners *owners
	tenant *tenant
	follow gitwatch.Follow

	moved map[string]*configs.Finding // by ref: tags with an alarm are handed out, whosever they are now
	left  []gitwatch.Revision         // not looked at yet
	own   []gitwatch.Revision
	rules []artifacts.Rule // one for each of own

	foreign   int
	ambiguous []configs.Finding
	findings  []configs.Finding // at most maxForeign of each kind
}

const maxForeign = 20

// sieve begins at the newest of the candidates that a deployment of the project follows.
func (o *owners) sieve(t *tenant, f gitwatch.Follow, candidates []gitwatch.Revision) *sieve {
	return &sieve{owners: o, tenant: t, follow: f, left: candidates}
}

// at gives the n-th newest candidate that releases the project; false where there are fewer. After an error it
// gives the same error again, for the candidate that it is about.
func (s *sieve) at(ctx context.Context, n int) (gitwatch.Revision, bool, error) {
	for n >= len(s.own) {
		if len(s.left) == 0 {
			return gitwatch.Revision{}, false, nil
		}
		c := s.left[0]
		var st standing
		var err error
		if s.follow.Tag != "" && s.moved[c.Ref] == nil { // a branch belongs to whoever follows it
			st, err = s.owners.stands(ctx, s.tenant, c)
		}
		if err != nil {
			return gitwatch.Revision{}, false, fmt.Errorf("%s: which project the tag releases is not known: %w", revision(c), err)
		}
		s.left = s.left[1:]
		switch {
		case st.own():
			s.own, s.rules = append(s.own, c), append(s.rules, st.rule)
		case st.reason.Code == configs.TagForeign:
			if s.foreign++; s.foreign <= maxForeign {
				s.findings = append(s.findings, st.reason)
			}
		default:
			if s.ambiguous = append(s.ambiguous, st.reason); len(s.ambiguous) <= maxForeign {
				s.findings = append(s.findings, st.reason)
			}
		}
	}
	return s.own[n], true, nil
}

// told is what the sieve found, with counts of what it does not list.
func (s *sieve) told() []configs.Finding {
	all := slices.Clone(s.findings)
	for _, more := range []struct {
		code configs.Code
		n    int
	}{{configs.TagForeign, s.foreign}, {configs.TagAmbiguous, len(s.ambiguous)}} {
		if more.n > maxForeign {
			all = append(all, configs.Found(more.code, s.follow.Tag, fmt.Sprintf("and %d more", more.n-maxForeign)))
		}
	}
	return append(all, gitwatch.PassedOver(s.follow, slices.Concat(s.own, s.left))...)
}
