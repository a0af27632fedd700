package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"selvage/configs"
	"selvage/reconciler"
)

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status [DEPLOYMENT]",
		Short:   "Show release, state, drift and next step of each deployment",
		Long:    "Shows one line for each deployment, and below them what somebody should look at now.",
		Example: "  selvage status\n  selvage status hello@production --output json",
		GroupID: look,
		Args:    atMostOneArgument(aDeployment),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			list, err := s.Status(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			running, err := s.Configuration(cmd.Context())
			if err != nil {
				return err
			}
			if a.asJSON() { // the list is for the program; whoever runs it should know all the same
				fmt.Fprint(a.err, a.screen.refused(running))
				return a.printJSON(list)
			}
			text := a.screen.refused(running) + a.screen.status(list)
			if s.alone {
				text += "\nNo daemon is running, so nothing happens by itself: selvage run\n"
			}
			return a.print(text)
		},
	}
	return a.printsData(cmd)
}

// refused says why the configuration on disk is not the one that runs, and nothing if it is.
func (s screen) refused(c reconciler.Configuration) string {
	f := c.Refused
	if f.Code == "" {
		return ""
	}
	return s.paint(red, visible(f.Text)) + "\nnext: " + visible(f.Next) + "\n\n"
}

// status is the table of deployments.
func (s screen) status(list []reconciler.Status) string {
	var b strings.Builder
	if len(list) == 0 {
		return "There are no deployments: add one to selvage.yaml.\n"
	}
	t := table{gap: 2}
	var head []cell
	for _, h := range []string{"DEPLOYMENT", "RELEASE", "STATE", "SINCE", "OWNED", "DRIFT", "NEXT"} {
		head = append(head, cell{h, faint})
	}
	t.add(head...)
	for _, d := range list {
		t.add(cell{text: d.Deployment}, cell{text: release(d)}, cell{d.State, stateColour(d)}, cell{text: s.ago(d.Since)},
			cell{text: strconv.Itoa(d.Owned)}, cell{text: drift(d.Drift)}, cell{text: visible(d.Next)})
	}
	t.write(&b, s, "", widestName)
	for _, d := range list {
		for _, f := range d.Alarms {
			fmt.Fprintf(&b, "\n%s %s: %s%s\n", s.paint(red, "alarm"), d.Deployment, visible(f.Subject+": "+f.Text), code(f))
			if n := next(f, d.Deployment); n != "" {
				b.WriteString("      next: " + visible(n) + "\n")
			}
		}
		s.notices(&b, d)
	}
	return b.String()
}

// mostNotices is how many jobs of one deployment are told of below the table.
const mostNotices = 5

// notices tells of single jobs that are kept though git lacks them, or that wait to go or to come.
func (s screen) notices(b *strings.Builder, d reconciler.Status) {
	for i, f := range d.Notices {
		if i == mostNotices {
			fmt.Fprintf(b, "      and %d more: selvage plan %s\n", len(d.Notices)-i, d.Deployment)
			return
		}
		fmt.Fprintf(b, "\n%s: %s%s\n", d.Deployment, visible(f.Subject+": "+f.Text), code(f))
		if n := next(f, d.Deployment); n != "" {
			b.WriteString("      next: " + visible(n) + "\n")
		}
	}
}

// release is what is live; before the first apply, what would be.
func release(d reconciler.Status) string {
	r := d.Live
	if r.IsZero() {
		r = d.Target
	}
	switch {
	case r.IsZero():
		return "-"
	case d.Live.IsZero():
		return "(" + visible(r.Name) + ")"
	case strings.HasPrefix(r.Ref, "refs/tags/"):
		return visible(r.Name)
	}
	return visible(r.String())
}

// drift is a number, "-" for none and "?" for not looked at.
func drift(n int) string {
	switch {
	case n < 0:
		return "?"
	case n == 0:
		return "-"
	}
	return strconv.Itoa(n)
}

func stateColour(d reconciler.Status) string {
	switch {
	case len(d.Alarms) > 0, d.Phase == reconciler.Failing, d.Result.Level() >= configs.Block:
		return red
	case d.State == string(reconciler.Sound):
		return green
	}
	return yellow
}
