package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"selvage/reconciler"
)

const aTarget = "a deployment (project@fabric) or a fabric"

func (a *app) suspendCommand() *cobra.Command {
	var until, reason string
	cmd := &cobra.Command{
		Use:     "suspend TARGET",
		Short:   "Keep everything from being written to a deployment or a fabric",
		Long:    "Keeps everything from being written to TARGET, " + aTarget + ", until a time or until someone resumes it. What runs goes on running.",
		Example: "  selvage suspend hello@production --until 'Fri 18:00' --reason 'quarter close'\n  selvage suspend production --until 2h",
		GroupID: act,
		Args:    oneArgument(aTarget),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := reconciler.Suspension{Target: args[0], Why: reason}
			if until != "" {
				var err error
				if s.Until, err = parseFuture(until, a.screen.now, a.screen.zone); err != nil {
					return err
				}
			}
			o, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer o.close()
			s.By = o.by
			if err := o.Suspend(cmd.Context(), s); err != nil {
				return err
			}
			end := "until someone resumes it: selvage resume " + s.Target
			if !s.Until.IsZero() {
				end = "until " + a.screen.clock(s.Until)
			}
			return a.print(fmt.Sprintf("Nothing is written to %s %s\n", s.Target, end))
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "end by itself at this `TIME`: 2h, 3d, 18:00, Fri 18:00, 2026-11-27 18:00")
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for the log and for everyone who asks")
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume TARGET [JOB]",
		Short: "End a suspension, or the pause by hand of a job",
		Long: `Ends the suspension of TARGET, ` + aTarget + `.

With JOB, the key of one, it ends that somebody paused that job by hand in the workspace: the job gets the pause that git
says, also where drift is not put right by itself.`,
		Example: "  selvage resume hello@production\n  selvage resume hello@production jobs/daily_revenue",
		GroupID: act,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return oneArgument(aTarget+", and perhaps a job")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer o.close()
			if len(args) == 2 {
				if err := o.ResumeJob(cmd.Context(), args[0], args[1], o.by); err != nil {
					return err
				}
				return a.print(fmt.Sprintf("The pause by hand of %s is lifted: it gets what git says at the next look.\n", args[1]))
			}
			if err := o.Resume(cmd.Context(), args[0], o.by); err != nil {
				if strings.Contains(err.Error(), "is not suspended") {
					return &failure{err, "selvage status says what holds it"}
				}
				return err
			}
			return a.print(args[0] + " is resumed.\n")
		},
	}
}
