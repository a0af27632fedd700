package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"selvage/configs"
)

func (a *app) initCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented selvage.yaml",
		Long: `Writes a commented configuration to start from. With --from it looks into the repository, lists what is there, and fills
in the projects, the fabric ids of their jobs and their release tags. It overwrites nothing, and what it writes deploys
nothing: every deployment only observes.`,
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
				v, err := surveyRepository(cmd.Context(), from)
				if err != nil {
					return err
				}
				if err := a.print(a.screen.survey(v) + "\n"); err != nil {
					return err
				}
				found = v.starter(from)
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
	if n := len(found.Projects); n > 3 {
		text += fmt.Sprintf(", with %d projects", n)
	} else {
		for i, p := range found.Projects {
			text += map[bool]string{true: ", with ", false: " and "}[i == 0] + "project " + visible(p.Name)
		}
	}
	return a.print(text + "\nnext: put in the address of each workspace, store its token as a credential, then: selvage doctor\n")
}

// starter is what of a survey a configuration names.
func (v *survey) starter(git string) configs.StarterData {
	found := configs.StarterData{Git: git}
	for _, p := range v.Projects {
		s := configs.StarterProject{Name: cmp.Or(p.Name, p.Path), Path: p.Path, TagPrefix: p.prefix}
		if p.prefixed == guessed {
			s.TagPrefix = p.Name // the authoring tool names tags so; the first release will
		}
		if n := v.unclear[s.TagPrefix]; n > 0 && p.prefixed == certain && len(v.decided[p.prefix]) == 1 {
			s.OwnTags = true
		} else {
			s.Unclear = n
		}
		for _, j := range p.Jobs {
			switch {
			case j.Blocked != "" && j.Scheduler != "" && j.Scheduler != "Databricks":
				s.Left = append(s.Left, configs.StarterJob{Key: j.Key, Scheduler: j.Scheduler})
			case j.FabricID != "" && !slices.Contains(s.FabricIDs, j.FabricID):
				s.FabricIDs = append(s.FabricIDs, j.FabricID)
			}
		}
		found.Projects = append(found.Projects, s)
	}
	return found
}
