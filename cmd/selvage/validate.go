package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
)

// check is what validate came to.
type check struct {
	Valid    bool             `json:"valid"`
	Config   string           `json:"config,omitempty"` // path
	Problems configs.Problems `json:"problems,omitempty"`
	// Deployments are what a configuration without problems comes to, by name.
	Deployments []deploymentCheck `json:"deployments,omitempty"`
	Projects    []projectCheck    `json:"projects,omitempty"`
	From        *survey           `json:"from,omitempty"` // what a repository holds

	isolation []string            // of the configuration, if one was read
	as        *configs.Deployment // whose jobs the project's are checked as; nil for nobody's
}

// projectCheck is what building a project in a folder came to.
type projectCheck struct {
	Path      string            `json:"path"` // of the folder with pbt_project.yml
	Name      string            `json:"name,omitempty"`
	Jobs      int               `json:"jobs"`
	Pipelines int               `json:"pipelines"`
	Wheels    int               `json:"wheels"`
	Error     string            `json:"error,omitempty"` // why it can't be released at all
	Findings  []configs.Finding `json:"findings,omitempty"`
	Contents  *surveyedProject  `json:"contents,omitempty"`
}

func (a *app) validateCommand() *cobra.Command {
	var project, from, deployment string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration, or a project folder",
		Long: `Checks the configuration, with the files that it includes, and lists what each deployment comes to. With
--project it reads the projects below a folder instead and builds them, as a release of that content would be
read and built: fit for a check of pull requests. With --deployment too it takes the jobs that this deployment selects, with
its overlay and the guardrails of its fabric. With --from it reads a repository instead and lists its projects, their
jobs and pipelines, and which project each release tag belongs to; it builds nothing. (Give --config too to check
that as well.) Nothing is written but a temporary folder.

Exit status: 0 all is well, 1 it is not.`,
		Example: "  selvage validate\n  selvage validate --project . --output json\n  selvage validate --project . --deployment hello@production\n  selvage validate --from https://git.example.com/data/hello.git",
		GroupID: host,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := check{Valid: true}
			if deployment != "" && project == "" {
				return hinted("name its folder with --project DIR", "--deployment %s is about a project folder", deployment)
			}
			if project == "" && from == "" || a.file != "" || deployment != "" {
				if err := a.validateConfig(&c, deployment); err != nil {
					return err
				}
			}
			if project != "" {
				if err := validateProjects(cmd.Context(), project, &c); err != nil {
					return err
				}
			}
			if from != "" {
				var err error
				if c.From, err = surveyRepository(cmd.Context(), from); err != nil {
					return err
				}
				c.Valid = c.Valid && c.From.faults() == 0
			}
			var err error
			if a.asJSON() {
				err = a.printJSON(c)
			} else {
				err = a.print(a.screen.check(c))
			}
			if err == nil && !c.Valid {
				err = status(1)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "check the projects below the folder `DIR`")
	cmd.Flags().StringVar(&deployment, "deployment", "", "check the project's jobs as those of this `DEPLOYMENT`")
	cmd.Flags().StringVar(&from, "from", "", "list what the repository `GIT_URL` holds")
	return a.printsData(cmd)
}

func (a *app) validateConfig(c *check, deployment string) error {
	file, err := a.configFile()
	if err != nil {
		return err
	}
	c.Config = file
	loaded, err := configs.Load(file, configs.Options{Credentials: a.credentials})
	if err == nil {
		c.Deployments, c.isolation = deploymentsOf(loaded), loaded.Isolation
		if deployment != "" {
			var ok bool
			if c.as, ok = loaded.Deployment(deployment); !ok {
				return hinted("selvage validate lists the deployments", "unknown deployment %q", deployment)
			}
		}
		return nil
	}
	c.Valid = false
	if !errors.As(err, &c.Problems) {
		return err
	}
	return nil
}

// validateProjects builds every project below dir.
func validateProjects(ctx context.Context, dir string, c *check) error {
	tree, err := openFolder(dir)
	if err != nil {
		return &failure{fmt.Errorf("read the project: %w", err), "name its folder with --project DIR"}
	}
	defer tree.Close()
	roots, err := artifacts.FindProjects(tree)
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return hinted("name a folder that holds one", "there is no %s in %s or below", artifacts.ProjectFile, dir)
	}
	temp, err := os.MkdirTemp("", "selvage-validate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	store, err := artifacts.OpenStore(filepath.Join(temp, artifactsDir))
	if err != nil {
		return err
	}
	builder := artifacts.NewBuilder(store, filepath.Join(temp, builtDir), artifacts.EvalChild())
	isolation := c.isolation
	if len(isolation) == 0 {
		isolation = []string{configs.DefaultIsolation}
	}
	for _, root := range roots {
		contents := surveyProject(tree, root)
		p := projectCheck{Path: root, Name: contents.Name, Contents: &contents}
		release, findings, err := builder.Build(ctx, artifacts.Source{Tree: tree, Project: path.Base(root), Root: root, Commit: "the work tree", Isolation: isolation})
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.Error, c.Valid = err.Error(), false
		} else {
			p.Jobs, p.Pipelines = len(release.Jobs), len(release.Pipelines)
			for _, a := range release.Artifacts {
				if a.Kind != "file" {
					p.Wheels++
				}
			}
			more, err := rendered(release, isolation, c.as)
			if err != nil {
				return err
			}
			findings = append(findings, more...)
		}
		p.Findings = findings
		c.Valid = c.Valid && len(worthShowing(findings)) == 0
		c.Projects = append(c.Projects, p)
	}
	return nil
}

// rendered are the findings of carrying all jobs of a release over to a workspace, beside those that the release
// already has. What only a configuration can say (the project's id and the authoring tool's address) is made up, so
// that it can't be missing. With a deployment they are its jobs, as it would have them.
func rendered(r *artifacts.Release, isolation []string, as *configs.Deployment) ([]configs.Finding, error) {
	b := fabric.Binding{
		Deployment: "check", Tag: "Check/1.0.0", Version: "1.0.0", ProjectID: "1", ProphecyURL: "https://tool.invalid",
		Jobs: []string{"**"}, Root: "/Workspace/check", Isolation: isolation,
	}
	if as != nil {
		b.Deployment, b.Jobs, b.FabricIDs, b.Overlay, b.Allow = as.Name(), as.Jobs, as.Fabric.ProphecyIDs, as.Overlay, as.Allow
		b.ManagedBy, b.Guardrails = as.Fabric.Databricks.ManagedBy, as.Fabric.Guardrails
		b.ProjectID, b.ProphecyURL = cmp.Or(as.Project.ProphecyID, b.ProjectID), cmp.Or(as.Project.ProphecyURL, b.ProphecyURL)
	}
	desired, findings, err := databricks.Render(r, b)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, j := range r.Jobs {
		own[j.Key] = len(j.Blocked) > 0
	}
	for _, k := range desired.Keys() {
		if why, blocked := desired.Why(k); blocked && !own[string(k)] {
			findings = append(findings, why)
		}
	}
	return findings, nil
}

// check is what a person sees of a check.
func (s screen) check(c check) string {
	var b strings.Builder
	if c.Config != "" {
		if len(c.Problems) > 0 {
			fmt.Fprintf(&b, "%s  %s: %s\n%s\n", s.paint(red, "FAIL"), visible(c.Config), plural(len(c.Problems), "mistake"), lines(c.Problems.Error()))
		} else {
			fmt.Fprintf(&b, "%s    %s\n", s.paint(green, "ok"), visible(c.Config))
			s.deployments(&b, c.Deployments, len(c.Projects) > 0)
		}
	}
	for _, p := range c.Projects {
		what := fmt.Sprintf("project %s in %s", visible(p.Name), visible(p.Path))
		if p.Name == "" {
			what = "project in " + visible(p.Path)
		}
		bad := len(worthShowing(p.Findings))
		switch {
		case p.Error != "":
			fmt.Fprintf(&b, "%s  %s: %s\n", s.paint(red, "FAIL"), what, visible(p.Error))
		case bad > 0:
			fmt.Fprintf(&b, "%s  %s: %s\n", s.paint(red, "FAIL"), what, plural(bad, "finding"))
		default:
			fmt.Fprintf(&b, "%s    %s: %s, %s, %s built\n", s.paint(green, "ok"), what, plural(p.Jobs, "job"), plural(p.Pipelines, "pipeline"), plural(p.Wheels, "wheel"))
		}
		s.findings(&b, p.Findings, "", "      ")
		if p.Contents != nil && p.Contents.Error == "" && len(c.Projects) <= mostDetailed {
			s.surveyed(&b, *p.Contents, "      ")
		}
	}
	if c.From != nil {
		b.WriteString(s.survey(c.From) + "\n" + s.faults(c.From))
	}
	return b.String()
}
