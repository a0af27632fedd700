package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/gitwatch"
	"selvage/reconciler/ledger"
)

// subscriptions finds the releases of other projects that the jobs of one release name pipelines of.
type subscriptions struct {
	rd      *round
	asked   bool
	missing bool  // one is not there yet: it is looked for again
	git     error // of a repository that could not be read
}

// find is artifacts.Source.Subscribed.
func (s *subscriptions) find(ctx context.Context, want artifacts.Subscription) (artifacts.Source, error) {
	s.asked = true
	src, err := s.rd.subscribed(ctx, want)
	switch {
	case errors.Is(err, artifacts.ErrNotReleased):
		s.missing = true
	case err != nil && !errors.Is(err, artifacts.ErrNotWatched):
		s.git = err
	}
	return src, err
}

// notReleased is an error about what a repository holds, as opposed to one of reading it.
func notReleased(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), artifacts.ErrNotReleased)
}

// subscribed finds the release that a subscription names. It reads the remote only where the mirror lacks the
// tag. It returns artifacts.ErrNotWatched where the configuration has no such project, artifacts.ErrNotReleased
// where the repository was read and lacks it; any other error says that nobody knows.
func (rd *round) subscribed(ctx context.Context, want artifacts.Subscription) (artifacts.Source, error) {
	p, err := watched(rd.Config, want)
	if err != nil {
		return artifacts.Source{}, err
	}
	repo := rd.Repositories[p.Name]
	v, err := rd.released(ctx, repo, p, want)
	if err != nil {
		return artifacts.Source{}, err
	}
	if err := rd.firstSeen(ctx, repo, v); err != nil {
		return artifacts.Source{}, err
	}
	tree, err := repo.Tree(ctx, v.Commit)
	var limit *gitwatch.LimitError
	switch {
	case errors.As(err, &limit):
		return artifacts.Source{}, notReleased("%s: %v", v.Name, err)
	case err != nil:
		return artifacts.Source{}, fmt.Errorf("%s: %w", v.Name, err)
	}
	root, err := projectRoot(tree, p.Path)
	switch {
	case errors.Is(err, gitwatch.ErrMissingObject) || ctx.Err() != nil:
		return artifacts.Source{}, fmt.Errorf("%s: %w", v.Name, err)
	case err != nil:
		return artifacts.Source{}, notReleased("%s: %v", v.Name, err)
	case want.SubPath != "" && cleanFolder(want.SubPath) != cleanFolder(root):
		return artifacts.Source{}, notReleased("%s holds its project in %s, not in %s", v.Name, root, want.SubPath)
	}
	return artifacts.Source{Tree: tree, Project: p.Name, Root: root, Commit: v.Commit, Isolation: rd.Config.Isolation}, nil
}

// watched is the project of the configuration that a subscription names: by its id, by its repository and folder, or
// by both, which then agree.
func watched(c *configs.Config, want artifacts.Subscription) (*configs.Project, error) {
	var byID, byGit []*configs.Project
	known := false // somebody has that id
	for _, name := range slices.Sorted(maps.Keys(c.Projects)) {
		p := c.Projects[name]
		id := want.ProjectID != "" && p.ProphecyID == want.ProjectID
		known = known || id
		git := want.Git != "" && sameRepository(p.Git, want.Git) && (want.SubPath == "" || p.Path == "" || cleanFolder(p.Path) == cleanFolder(want.SubPath))
		switch {
		case id && (git || want.Git == ""):
			byID = append(byID, p)
		case git && (want.ProjectID == "" || p.ProphecyID == ""):
			byGit = append(byGit, p)
		}
	}
	found := byID
	if !known {
		found = byGit
	}
	if len(found) == 0 {
		return nil, artifacts.ErrNotWatched
	}
	for _, p := range found[1:] { // the same project twice is one; two of one repository are not
		if !sameRepository(p.Git, found[0].Git) || cleanFolder(p.Path) != cleanFolder(found[0].Path) {
			return nil, notReleased("the projects %s and %s of the configuration both fit it: set prophecy_id of both", found[0].Name, p.Name)
		}
	}
	return found[0], nil
}

// sameRepository reports that two addresses lead to one repository, whatever they reach it over.
func sameRepository(a, b string) bool {
	name := repositoryName(a)
	return name != "" && name == repositoryName(b)
}

// repositoryName is host and path of an address, without what does not tell repositories apart; empty for what is
// no address.
func repositoryName(address string) string {
	var host, at string
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil {
			return ""
		}
		host, at = strings.ToLower(u.Host), u.Path
		if port := u.Port(); port == map[string]string{"https": "443", "ssh": "22", "http": "80"}[u.Scheme] {
			host = strings.TrimSuffix(host, ":"+port)
		}
	} else if before, after, ok := strings.Cut(address, ":"); ok && !strings.Contains(before, "/") { // user@host:path
		host, at = strings.ToLower(before[strings.LastIndex(before, "@")+1:]), after
	}
	if at = strings.TrimSuffix(strings.Trim(at, "/"), ".git"); at == "" {
		return ""
	}
	return host + "/" + at
}

// cleanFolder is a folder of a repository; "." is its root.
func cleanFolder(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// released is the revision of the tag that a subscription names.
func (rd *round) released(ctx context.Context, repo *gitwatch.Repository, p *configs.Project, want artifacts.Subscription) (gitwatch.Revision, error) {
	tag := want.Tag
	if tag == "" {
		if want.Version == "" {
			return gitwatch.Revision{}, notReleased("the subscription names neither tag nor version")
		}
		var err error
		if tag, err = rd.versionTag(ctx, repo, p, want.Version); err != nil {
			return gitwatch.Revision{}, err
		}
	}
	v, err := repo.Resolve(ctx, "refs/tags/"+tag)
	if errors.Is(err, gitwatch.ErrUnknownRevision) && !strings.ContainsAny(tag, `*?[\`) { // which no ref has in its name
		follow := gitwatch.Follow{Tag: strings.NewReplacer("{", `\{`, "}", `\}`).Replace(tag)}
		if _, err := repo.Poll(ctx, append(rd.followsOf(repo), follow)); err != nil {
			return gitwatch.Revision{}, err
		}
		v, err = repo.Resolve(ctx, "refs/tags/"+tag)
	}
	switch {
	case errors.Is(err, gitwatch.ErrUnknownRevision):
		return gitwatch.Revision{}, notReleased("%s has no tag %q", repo.URL(), tag)
	case err != nil && !errors.Is(err, gitwatch.ErrMissingObject) && ctx.Err() == nil: // it leads to no commit
		return gitwatch.Revision{}, notReleased("%s: %v", repo.URL(), err)
	}
	return v, err
}

// versionTag is the one tag of a project that ends in a version.
func (rd *round) versionTag(ctx context.Context, repo *gitwatch.Repository, p *configs.Project, version string) (string, error) {
	seen := func(s *gitwatch.Sighting) (tags []string) {
		for _, ref := range s.Refs {
			name, isTag := strings.CutPrefix(ref.Name, "refs/tags/")
			if !isTag || path.Base(name) != version {
				continue
			}
			if len(p.Tags) == 0 || slices.ContainsFunc(p.Tags, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, name) }) {
				tags = append(tags, name)
			}
		}
		return tags
	}
	var tags []string
	if last := repo.Last(); last != nil {
		tags = seen(last)
	}
	if len(tags) == 0 {
		last, err := repo.Poll(ctx, rd.followsOf(repo))
		if err != nil {
			return "", err
		}
		tags = seen(last)
	}
	switch len(tags) {
	case 0:
		return "", notReleased("%s has no tag of project %s that ends in %q", repo.URL(), p.Name, version)
	case 1:
		return tags[0], nil
	}
	return "", notReleased("%s has several tags that end in %q (%s): name one in the subscription, or set tags: of project %s", repo.URL(), version, some(tags), p.Name)
}

// followsOf is what the deployments that share a mirror follow: a poll for anything else must not lose it.
func (rd *round) followsOf(repo *gitwatch.Repository) []gitwatch.Follow {
	var follows []gitwatch.Follow
	for _, d := range rd.Config.Deployments {
		if rd.Repositories[d.Project.Name].Dir() == repo.Dir() {
			follows = append(follows, follow(d))
		}
	}
	return follows
}

// firstSeen writes down a tag that is seen for the first time. One that was moved since is no release: the code of a
// job would change with it under the same commit.
func (rd *round) firstSeen(ctx context.Context, repo *gitwatch.Repository, v gitwatch.Revision) error {
	rd.mu.Lock()
	seen, known := rd.state.tags[tagKey(repo.URL(), v.Ref)]
	rd.mu.Unlock()
	switch {
	case known && seen.Object != v.Object:
		f := configs.Found(configs.TagMoved, v.Name, fmt.Sprintf("%s was %s and is %s now", v.Name, short(seen.Commit), short(v.Commit)))
		f.Next = "find out who moved it, and have the other project released under a new tag"
		rd.note(f)
		return notReleased("%s", f.Text)
	case known || rd.ask.Dry:
		return nil
	}
	t := tagSeen{Repository: repo.URL(), Ref: v.Ref, Object: v.Object, Commit: v.Commit}
	_, err := rd.record(ctx, ledger.Entry{Kind: kindTag, Text: fmt.Sprintf("%s of %s is %s, first seen", v.Name, repo.URL(), short(v.Commit)), Data: encode(t)})
	return err
}
