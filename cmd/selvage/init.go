package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/gitwatch"
)

func (a *app) initCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented selvage.yaml",
		Long: `Writes a commented configuration to start from. With --from it looks into the repository and fills in the projects, the
fabric ids of their jobs and their release tags. It overwrites nothing, and what it writes deploys nothing: every
deployment only observes.`,
		Example: "  selvage init --from https://git.example.com/data/hello.git",
		GroupID: host,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file := a.file
			if file == "" {
				file = "selvage.yaml"
			}
			if _, err := os.Lstat(file); err == nil {
				return overwrite(file)
			}
			var found configs.StarterData
			if from != "" {
				var err error
				if found, err = survey(cmd.Context(), from); err != nil {
					return err
				}
			}
			return a.writeStarter(file, found)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the repository `GIT_URL` to look into")
	return cmd
}

func overwrite(file string) error {
	return hinted("name another file with --config FILE, or move that one away", "%s is there already, and is not overwritten", file)
}

func (a *app) writeStarter(file string, found configs.StarterData) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return overwrite(file)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.Write(configs.Starter(found))
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(file)
		return fmt.Errorf("write the configuration: %w", err)
	}
	text := "wrote " + file
	for i, p := range found.Projects {
		text += map[bool]string{true: ", with ", false: " and "}[i == 0] + "project " + visible(p.Name)
	}
	return a.print(text + "\nnext: put in the address of each workspace, store its token as a credential, then: selvage doctor\n")
}

// survey looks into a repository for what a configuration names.
func survey(ctx context.Context, url string) (found configs.StarterData, err error) {
	found.Git = url
	dir, err := os.MkdirTemp("", "selvage-init-")
	if err != nil {
		return found, err
	}
	defer os.RemoveAll(dir)
	unreadable := func(err error) error {
		return &failure{fmt.Errorf("read %s: %w", url, err), "see that git ls-remote reads it from here; one that needs a login: clone it, and give --from file:///path/of/the/clone"}
	}
	repo, err := gitwatch.Open(gitwatch.Options{Dir: dir, URL: url})
	if err != nil {
		return found, unreadable(err)
	}
	defer repo.Close()
	seen, err := repo.Poll(ctx, nil)
	if err != nil {
		return found, unreadable(err)
	}
	branch := defaultBranch(seen.Refs)
	if branch == "" {
		return found, hinted("push something to it first", "%s has no branch", repo.URL())
	}
	if _, err := repo.Poll(ctx, []gitwatch.Follow{{Branch: branch}}); err != nil {
		return found, unreadable(err)
	}
	head, err := repo.Resolve(ctx, "refs/heads/"+branch)
	if err != nil {
		return found, unreadable(err)
	}
	tree, err := repo.Tree(ctx, head.Commit)
	if err != nil {
		return found, unreadable(err)
	}
	roots, err := artifacts.FindProjects(tree)
	if err != nil {
		return found, unreadable(err)
	}
	if len(roots) == 0 {
		return found, hinted("give a repository that the authoring tool writes to", "branch %s of %s holds no project: there is no %s in it", branch, repo.URL(), artifacts.ProjectFile)
	}
	for _, root := range roots {
		p := configs.StarterProject{Name: root, Path: root}
		if project, _, err := artifacts.ReadProject(tree, root); err == nil {
			p.Name, p.FabricIDs, p.TagPrefix = project.Name, fabricIDs(project), tagPrefix(seen.Refs, project.Name)
		}
		found.Projects = append(found.Projects, p)
	}
	return found, nil
}

// defaultBranch is main, master, or the first there is.
func defaultBranch(refs []gitwatch.Ref) string {
	var branches []string
	for _, r := range refs {
		if name, ok := strings.CutPrefix(r.Name, "refs/heads/"); ok {
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

// fabricIDs are those that the project's jobs are committed for, in the order of the jobs.
func fabricIDs(p *artifacts.Project) []string {
	var ids []string
	for _, j := range p.Jobs {
		id := j.FabricUID
		if id == "" {
			id = j.FabricID
		}
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// tagPrefix is the folder of a project's release tags: the one of its name, or else the only one there is.
func tagPrefix(refs []gitwatch.Ref, project string) string {
	var prefixes []string
	for _, r := range refs {
		tag, ok := strings.CutPrefix(r.Name, "refs/tags/")
		if i := strings.LastIndex(tag, "/"); ok && i > 0 && !slices.Contains(prefixes, tag[:i]) {
			prefixes = append(prefixes, tag[:i])
		}
	}
	if slices.Contains(prefixes, project) || len(prefixes) != 1 {
		return project // the authoring tool names tags so; the first release will
	}
	return prefixes[0]
}
