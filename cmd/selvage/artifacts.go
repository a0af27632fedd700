package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"selvage/reconciler"
)

func (a *app) artifactsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "artifacts",
		Short:   "Remove uploaded wheels, jars and scripts that nothing names any more",
		Long:    "Wheels, jars and scripts are uploaded to a folder of each fabric and stay there while a live job or a recent release names them.",
		Example: "  selvage artifacts gc production --dry-run",
		GroupID: act,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.artifactsGCCommand())
	return cmd
}

func (a *app) artifactsGCCommand() *cobra.Command {
	var all, dry, yes bool
	var keep int
	cmd := &cobra.Command{
		Use:   "gc FABRIC",
		Short: "List the artifacts of a fabric that nothing names, and remove them",
		Long: `Lists the artifacts of a fabric that no live job names, of whoever it is, and none of the last releases of any
deployment; that are older than a week; and that this installation uploaded. With --yes it removes them, and the log has
their paths before the first one goes. While anything can't be read as a whole, nothing is removed.

A release that needs one of them again puts it there again.

Exit status: 0 done, or nothing to do; 1 an error, or there is something and --yes is missing.`,
		Example: "  selvage artifacts gc production --dry-run\n  selvage artifacts gc --all --keep 20 --yes",
		Args: func(cmd *cobra.Command, args []string) error {
			if all {
				return noArguments(cmd, args)
			}
			return oneArgument("the name of one fabric, or --all")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if dry && yes {
				return hinted("give one of them", "--dry-run removes nothing, and --yes does")
			}
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			if all {
				if args, err = fabricsOf(cmd, s); err != nil {
					return err
				}
			}
			list := []reconciler.Collected{}
			files := 0
			for _, name := range args {
				c, err := s.Collect(cmd.Context(), reconciler.CollectRequest{Fabric: name, Keep: keep, Dry: !yes, By: s.by})
				if err != nil {
					return err
				}
				list = append(list, c)
				files += len(c.Files)
			}
			if a.asJSON() {
				err = a.printJSON(list)
			} else {
				err = a.print(a.screen.collected(list))
			}
			if err == nil && files > 0 && !dry && !yes {
				err = hinted("to remove them, add --yes; to list them only, --dry-run", "nothing is removed yet")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "of every fabric that has a deployment")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list them only")
	cmd.Flags().BoolVar(&yes, "yes", false, "remove them")
	cmd.Flags().IntVar(&keep, "keep", reconciler.DefaultKeep, "keep what the last `N` releases of each deployment name")
	return a.printsData(cmd)
}

// fabricsOf are the fabrics that have a deployment, sorted.
func fabricsOf(cmd *cobra.Command, s *session) ([]string, error) {
	deployments, err := s.Status(cmd.Context(), "")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range deployments {
		_, name, _ := strings.Cut(d.Deployment, "@")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// collected is what a person sees of artifacts that nothing names.
func (s screen) collected(list []reconciler.Collected) string {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s  %s\n", s.paint(bold, visible(c.Fabric)), visible(c.Root))
		t := table{gap: 2}
		bytes := int64(0)
		for _, f := range c.Files {
			bytes += max(f.Size, 0)
			t.add(cell{"-", red}, cell{text: size(f.Size)}, cell{text: s.ago(f.Modified)}, cell{text: visible(strings.TrimPrefix(f.Path, c.Root+"/"))})
		}
		t.write(&b, s, "  ", widestName)
		var kept []string
		for _, k := range []struct {
			n   int
			why string
		}{{c.Kept.Jobs, "named by live jobs"}, {c.Kept.Releases, "by kept releases"}, {c.Kept.Files, "by kept files"}, {c.Kept.Young, "younger than a week"}, {c.Kept.Foreign, "not only of this installation"}} {
			if k.n > 0 {
				kept = append(kept, fmt.Sprintf("%d %s", k.n, k.why))
			}
		}
		rest := ""
		if len(kept) > 0 {
			rest = "; kept: " + strings.Join(kept, ", ")
		}
		switch {
		case len(c.Files) == 0:
			fmt.Fprintf(&b, "  nothing to remove%s\n", rest)
		case c.Removed:
			fmt.Fprintf(&b, "  removed %s, %s%s\n", plural(len(c.Files), "file"), size(bytes), rest)
		default:
			fmt.Fprintf(&b, "  %s, %s, would go%s\n", plural(len(c.Files), "file"), size(bytes), rest)
		}
	}
	if len(list) == 0 {
		b.WriteString("No fabric has a deployment.\n")
	}
	return b.String()
}

// size is a number of bytes as a person says it.
func size(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", (n+1<<9)>>10)
	}
	return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
}
