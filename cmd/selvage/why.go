package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler"
)

func (a *app) whyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why DEPLOYMENT",
		Short: "Explain the last decision: what was skipped or blocked, and what lifts it",
		Long: `Shows the decision of the last reconcile: the answer, every gate, what is blocked or waits and what lifts it,
what was skipped, and which tags were passed over.`,
		Example: "  selvage why hello@production",
		GroupID: look,
		Args:    oneArgument(aDeployment),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			d, err := s.Why(cmd.Context(), args[0])
			if err != nil && d.Result.Code == "" {
				return err
			}
			if a.asJSON() {
				return a.printJSON(d)
			}
			return a.print(a.screen.why(d))
		},
	}
	return a.printsData(cmd)
}

// why is what a person sees of a decision.
func (s screen) why(d reconciler.Decision) string {
	var b strings.Builder
	t := table{gap: 2}
	t.add(cell{d.Deployment, bold}, cell{text: visible(d.Revision.String())}, cell{"decided " + s.clock(d.At), faint})
	t.write(&b, s, "", widestName)
	word, colour := levelWord(d.Result.Level())
	if d.Result.Code == configs.Changed {
		word, colour = "changes", yellow
	}
	b.WriteString("\n  " + s.paint(colour, word) + "  " + visible(d.Result.Text) + code(d.Result) + "\n")
	if n := next(d.Result, d.Deployment); n != "" {
		b.WriteString(strings.Repeat(" ", len(word)+4) + "next: " + visible(n) + "\n")
	}
	s.gates(&b, d, "\n  gates\n")
	s.held(&b, d, fabric.Blocked, "\n  blocked\n")
	s.held(&b, d, fabric.Deferred, "\n  deferred\n")
	if drift := d.Plan.Drift(); len(drift) > 0 {
		b.WriteString("\n  drift\n")
		for _, c := range drift {
			fmt.Fprintf(&b, "    %s: %s\n", visible(string(c.Key)), visible(c.Reason.Text))
			if n := next(c.Reason, d.Deployment); n != "" && c.Hindrance == fabric.Free {
				fmt.Fprintf(&b, "      next: %s\n", visible(n))
			}
		}
	}
	for _, group := range groups {
		var list []configs.Finding
		for _, f := range elsewhere(d.Findings, d.Plan) {
			if group.holds(f) {
				list = append(list, f)
			}
		}
		if len(list) > 0 {
			b.WriteString("\n  " + group.heading + "\n")
			s.findings(&b, list, d.Deployment, "    ")
		}
	}
	return b.String()
}

// held lists the changes that something holds back; where a finding says in which file and field the reason
// lies, by that.
func (s screen) held(b *strings.Builder, d reconciler.Decision, h fabric.Hindrance, heading string) {
	for i, c := range hindered(d.Plan, h) {
		if i == 0 {
			b.WriteString(heading)
		}
		about := string(c.Key)
		for _, f := range d.Findings {
			if f.Text == c.Reason.Text && strings.HasPrefix(f.Subject, about) {
				about = f.Subject
			}
		}
		fmt.Fprintf(b, "    %s: %s%s\n", visible(about), visible(c.Reason.Text), code(c.Reason))
		if n := next(c.Reason, d.Deployment); n != "" {
			fmt.Fprintf(b, "      next: %s\n", visible(n))
		}
	}
}

// findings lists findings: what each is about, what it says, and what to do.
func (s screen) findings(b *strings.Builder, list []configs.Finding, deployment, indent string) {
	for _, f := range list {
		line := visible(f.Text)
		if f.Subject != "" && f.Subject != deployment {
			line = visible(f.Subject) + ": " + line
		}
		b.WriteString(indent + line + code(f) + "\n")
		if n := next(f, deployment); n != "" {
			b.WriteString(indent + "  next: " + visible(n) + "\n")
		}
	}
}

// code is the stable name of a decision, as a person can quote and grep for it.
func code(f configs.Finding) string {
	if f.Code == "" {
		return ""
	}
	return "  [" + string(f.Code) + "]"
}

// groups are the kinds of findings in the order in which they are shown. Each finding is in one.
var groups = []struct {
	heading string
	holds   func(configs.Finding) bool
}{
	{"alarms", atLevel(configs.Alarm)},
	{"blocked in the release", atLevel(configs.Block)},
	{"skipped", atLevel(configs.Skip)},
	{"waits", func(f configs.Finding) bool { return f.Level() == configs.Wait && !passedOver(f) }},
	{"tags passed over", passedOver},
	{"notes", func(f configs.Finding) bool { return f.Level() == configs.Note && !passedOver(f) }},
}

func atLevel(l configs.Level) func(configs.Finding) bool {
	return func(f configs.Finding) bool { return f.Level() == l }
}

// passedOver are findings about tags that were not chosen.
func passedOver(f configs.Finding) bool {
	switch f.Code {
	case configs.TagSkipped, configs.TagForeign, configs.TagUnparsable, configs.TagNotCommit, configs.TagRenamed, configs.RefOdd, configs.NotDescendant:
		return true
	}
	return false
}

// worthShowing are the findings that belong beside a plan: what keeps something back. Why shows all.
func worthShowing(fs []configs.Finding) []configs.Finding {
	var list []configs.Finding
	for _, f := range fs {
		if f.Level() >= configs.Skip {
			list = append(list, f)
		}
	}
	return list
}

func levelWord(l configs.Level) (word, colour string) {
	switch l {
	case configs.Alarm:
		return "alarm", red
	case configs.Block:
		return "blocked", red
	case configs.Wait:
		return "waits", yellow
	case configs.Skip:
		return "skipped", yellow
	}
	return "fine", green
}
