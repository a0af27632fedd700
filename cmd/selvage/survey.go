package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/gitwatch"
)

// survey is what a repository or a folder holds that a configuration can name.
type survey struct {
	Git      string            `json:"git,omitempty"`    // empty for a folder
	Branch   string            `json:"branch,omitempty"` // that was looked at: the default one
	Commit   string            `json:"commit,omitempty"`
	Projects []surveyedProject `json:"projects"`
	Fabrics  []surveyedFabric  `json:"fabrics,omitempty"`
	Tags     int               `json:"tags"` // all there are
	// Others are tags of which it is not clear which project they release, and those that release none of
	// Projects: the newest maxTagsShown of OtherTags.
	Others    []surveyedTag `json:"other_tags,omitempty"`
	OtherTags int           `json:"other_tag_count,omitempty"`
	// Unread are the oldest tags, beyond maxTagsRead.
	Unread int `json:"tags_not_looked_at,omitempty"`

	repo *gitwatch.Repository
	// unclear counts the ambiguous tags, and decided the projects of the others, by what precedes the last slash.
	unclear map[string]int
	decided map[string]map[string]bool
}

// surveyedProject is one pbt_project.yml.
type surveyedProject struct {
	Path      string            `json:"path"`
	Name      string            `json:"name,omitempty"`
	Version   string            `json:"version,omitempty"`
	Language  string            `json:"language,omitempty"`
	Pipelines []string          `json:"pipelines,omitempty"` // names
	Jobs      []surveyedJob     `json:"jobs,omitempty"`
	Tags      []surveyedTag     `json:"tags,omitempty"` // the newest maxTagsShown of TagCount
	TagCount  int               `json:"tag_count,omitempty"`
	Error     string            `json:"error,omitempty"` // why it can't be read
	Findings  []configs.Finding `json:"findings,omitempty"`

	prefix   string // of its release tags
	prefixed rank   // how well that is known
}

// surveyedJob is a job, committed or only listed.
type surveyedJob struct {
	Key       string `json:"key"`
	Name      string `json:"name,omitempty"`
	FabricID  string `json:"fabric_id,omitempty"`
	Scheduler string `json:"scheduler,omitempty"`
	Enabled   bool   `json:"enabled"`
	Blocked   string `json:"blocked,omitempty"` // why it can't be deployed
}

// surveyedFabric is a fabric id that jobs are committed for.
type surveyedFabric struct {
	ID   string `json:"id"`
	Jobs int    `json:"jobs"`
}

// surveyedTag is a tag with the project that it releases.
type surveyedTag struct {
	Name   string         `json:"name"`
	Commit string         `json:"commit"`
	Tagged time.Time      `json:"tagged"`
	Rule   artifacts.Rule `json:"rule,omitempty"` // that says which project
	Why    string         `json:"why,omitempty"`  // why it is among the others
}

const (
	maxTagsShown = 20
	maxTagsRead  = 10_000 // a tag costs some 2 ms
)

// surveyRepository looks at the default branch of a repository and at all its tags.
func surveyRepository(ctx context.Context, url string) (*survey, error) {
	dir, err := os.MkdirTemp("", "selvage-survey-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	unreadable := func(err error) error {
		return &failure{fmt.Errorf("read %s: %w", url, err), "see that git ls-remote reads it from here; one that needs a login: clone it, and give --from file:///path/of/the/clone"}
	}
	repo, err := gitwatch.Open(gitwatch.Options{Dir: dir, URL: url})
	if err != nil {
		return nil, unreadable(err)
	}
	defer repo.Close()
	seen, err := repo.Poll(ctx, nil)
	if err != nil {
		return nil, unreadable(err)
	}
	branch := defaultBranch(seen)
	if branch == "" {
		return nil, hinted("push something to it first", "%s has no branch", repo.URL())
	}
	if _, err := repo.Poll(ctx, []gitwatch.Follow{{Branch: branch}, {Tag: "**"}}); err != nil {
		return nil, unreadable(err)
	}
	head, err := repo.Resolve(ctx, "refs/heads/"+branch)
	if err != nil {
		return nil, unreadable(err)
	}
	v := &survey{Git: repo.URL(), Branch: branch, Commit: head.Commit, repo: repo}
	// Each project gets a tree of its own: the limits of one are for one project.
	open := func() (artifacts.Tree, error) { return repo.Tree(ctx, head.Commit) }
	if err := v.projects(open); err != nil {
		return nil, unreadable(err)
	}
	if len(v.Projects) == 0 {
		return nil, hinted("give a repository that the authoring tool writes to", "branch %s of %s holds no project: there is no %s in it", branch, repo.URL(), artifacts.ProjectFile)
	}
	if err := v.tags(ctx); err != nil {
		return nil, unreadable(err)
	}
	return v, nil
}

// defaultBranch is the one that the remote names, or main, master, or the first there is.
func defaultBranch(seen *gitwatch.Sighting) string {
	const heads = "refs/heads/"
	if seen.Head != "" {
		return strings.TrimPrefix(seen.Head, heads)
	}
	var branches []string
	for _, r := range seen.Refs {
		if name, ok := strings.CutPrefix(r.Name, heads); ok {
			branches = append(branches, name)
		}
	}
	for _, name := range []string{"main", "master"} {
		if slices.Contains(branches, name) {
			return name
		}
	}
	if len(branches) == 0 {
		return ""
	}
	return branches[0]
}

// projects reads every project; open opens the tree that they are in.
func (v *survey) projects(open func() (artifacts.Tree, error)) error {
	tree, err := open()
	if err != nil {
		return err
	}
	roots, err := artifacts.FindProjects(tree)
	if err != nil {
		return err
	}
	for _, root := range roots {
		if tree, err = open(); err != nil {
			return err
		}
		v.Projects = append(v.Projects, surveyProject(tree, root))
	}
	v.fabrics()
	return nil
}

// fabrics counts the jobs of each fabric id, in the order of the projects.
func (v *survey) fabrics() {
	for _, p := range v.Projects {
		for _, j := range p.Jobs {
			if j.FabricID == "" {
				continue
			}
			i := slices.IndexFunc(v.Fabrics, func(f surveyedFabric) bool { return f.ID == j.FabricID })
			if i < 0 {
				i, v.Fabrics = len(v.Fabrics), append(v.Fabrics, surveyedFabric{ID: j.FabricID})
			}
			v.Fabrics[i].Jobs++
		}
	}
}

// faults counts the projects that can't be read, or hold what can't be deployed.
func (v *survey) faults() int {
	n := 0
	for _, p := range v.Projects {
		if p.Error != "" || len(p.Findings) > 0 {
			n++
		}
	}
	return n
}

func surveyProject(tree artifacts.Tree, root string) surveyedProject {
	p := surveyedProject{Path: root}
	read, findings, err := artifacts.ReadProject(tree, root)
	if err != nil {
		p.Error = err.Error()
		return p
	}
	p.Name, p.Version, p.Language, p.Findings = read.Name, read.Version, read.Language, worthShowing(findings)
	for _, l := range read.Pipelines {
		p.Pipelines = append(p.Pipelines, l.Name)
	}
	for _, j := range read.Jobs {
		s := surveyedJob{Key: j.Key, Name: j.Name, FabricID: cmp.Or(j.FabricUID, j.FabricID), Scheduler: j.Scheduler, Enabled: j.Enabled != nil && *j.Enabled}
		if len(j.Blocked) > 0 {
			s.Blocked = strings.TrimPrefix(j.Blocked[0].Text, j.Blocked[0].Code.Sentence()+": ")
		}
		p.Jobs = append(p.Jobs, s)
	}
	return p
}

// tags finds out which project each tag releases.
func (v *survey) tags(ctx context.Context) error {
	tags, _, err := v.repo.Candidates(ctx, gitwatch.Follow{Tag: "**", Order: gitwatch.Tagged})
	if err != nil {
		return err
	}
	v.Tags = len(tags)
	if v.Unread = max(0, len(tags)-maxTagsRead); v.Unread > 0 {
		tags = tags[:maxTagsRead]
	}
	at := map[string]int{}
	for i, p := range v.Projects {
		at[p.Path] = i
	}
	var owners artifacts.Owners
	v.unclear, v.decided = map[string]int{}, map[string]map[string]bool{}
	for _, t := range tags {
		if err := ctx.Err(); err != nil {
			return err
		}
		tag := surveyedTag{Name: t.Name, Commit: t.Commit, Tagged: t.Tagged}
		owned, err := v.owner(ctx, &owners, t)
		tag.Rule = owned.Rule
		var many *artifacts.Ambiguous
		i, here := at[owned.Path]
		switch {
		case errors.As(err, &many):
			tag.Why = "ambiguous: " + many.Projects()
			v.unclear[path.Dir(t.Name)]++
		case errors.Is(err, artifacts.ErrNotProject):
			tag.Why = "its commit holds no project"
		case err != nil:
			tag.Why = err.Error()
		case !here:
			tag.Why = fmt.Sprintf("foreign: it releases the project in %s, which branch %s does not hold", owned.Path, v.Branch)
		default:
			v.Projects[i].released(tag)
			prefix := path.Dir(t.Name)
			if v.decided[prefix] == nil {
				v.decided[prefix] = map[string]bool{}
			}
			v.decided[prefix][owned.Path] = true
			continue
		}
		if v.OtherTags++; v.OtherTags <= maxTagsShown {
			v.Others = append(v.Others, tag)
		}
	}
	return nil
}

func (v *survey) owner(ctx context.Context, owners *artifacts.Owners, t gitwatch.Revision) (artifacts.Owned, error) {
	touched, err := v.repo.Touched(ctx, t.Commit, artifacts.ProjectFile)
	if err != nil {
		return artifacts.Owned{}, err
	}
	tree, err := v.repo.Tree(ctx, t.Commit)
	if err != nil {
		return artifacts.Owned{}, err
	}
	return owners.Owner(tree, t.Name, touched)
}

// rank is how much a tag says about what the release tags of a project look like.
type rank int

const (
	guessed  rank = iota // nothing: the authoring tool begins tags with the name of the project
	bare                 // without a slash, but the project's
	prefixed             // with a slash, in a repository of one project
	certain              // with a slash, and the project's
)

// released takes in a tag of the project; tags come newest first.
func (p *surveyedProject) released(t surveyedTag) {
	if p.TagCount++; p.TagCount <= maxTagsShown {
		p.Tags = append(p.Tags, t)
	}
	r, prefix := guessed, ""
	if i := strings.LastIndexByte(t.Name, '/'); i > 0 {
		r, prefix = certain, t.Name[:i]
	}
	switch {
	case r == certain && t.Rule == artifacts.ByOnly:
		r = prefixed
	case r == guessed && t.Rule != artifacts.ByOnly:
		r = bare
	}
	if r > p.prefixed {
		p.prefix, p.prefixed = prefix, r
	}
}
