package main

import (
	"github.com/spf13/cobra"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler"
)

func (a *app) planCommand() *cobra.Command {
	var revision string
	cmd := &cobra.Command{
		Use:   "plan DEPLOYMENT",
		Short: "Show what would change, and whether it may",
		Long: `Looks at the repository and the fabric anew and shows what would change, field by field, with the cause of each
change, what holds it back, and every gate. Writes nothing.

Exit status: 0 nothing to change, 2 changes, 1 an error, or all that differs is blocked.`,
		Example: "  selvage plan hello@production\n  selvage plan hello@production --revision HelloProphecy/1.4.0",
		GroupID: look,
		Args:    oneArgument(aDeployment),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			now, err := s.Status(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			d, err := s.Plan(cmd.Context(), args[0], revision)
			if err != nil {
				return decided(d, err)
			}
			if a.asJSON() {
				err = a.printJSON(d)
			} else if planned(d) {
				err = a.print(a.screen.plan(d, now[0], revision))
			}
			if err != nil {
				return err
			}
			return planStatus(d)
		},
	}
	cmd.Flags().StringVar(&revision, "revision", "", "plan for the tag, branch or commit `REF` instead of the newest candidate")
	return a.printsData(cmd)
}

// planned reports that the round came as far as a plan.
func planned(d reconciler.Decision) bool {
	return len(d.Plan.Changes) > 0 || d.Result.Level() < configs.Wait
}

// planStatus is how the command plan ends.
func planStatus(d reconciler.Decision) error {
	switch {
	case !planned(d):
		return finding(d.Deployment, d.Result)
	case len(d.Plan.Free()) > 0 || d.Plan.Counts.Release > 0:
		return status(2)
	case d.Plan.Counts.Blocked > 0:
		return blockedOnly(d)
	}
	return nil
}

// blockedOnly is the error of a plan in which nothing may change that differs.
func blockedOnly(d reconciler.Decision) error {
	first := hindered(d.Plan, fabric.Blocked)[0]
	hint := next(first.Reason, d.Deployment)
	if hint == "" {
		hint = "selvage why " + d.Deployment
	}
	return hinted(hint, "%s: %s blocked, nothing else differs: %s: %s", d.Deployment, are(d.Plan.Counts.Blocked, "change"), first.Key, first.Reason.Text)
}

func are(n int, thing string) string {
	if n == 1 {
		return plural(n, thing) + " is"
	}
	return plural(n, thing) + " are"
}
