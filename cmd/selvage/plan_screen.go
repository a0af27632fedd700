package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler"
)

const (
	widestName = 40 // of a resource's key, in characters
	widestPath = 56 // of a field
	mostFields = 40 // shown of one resource, and of the overlay
)

// plan is what a person sees of a plan: what it is for, what changes, what holds it back, and what happens
// next. revision is what the person asked for, if anything.
func (s screen) plan(d reconciler.Decision, now reconciler.Status, revision string) string {
	var b strings.Builder
	s.planHead(&b, d, now)
	s.changes(&b, d)
	s.stripped(&b, d.Plan)
	s.overlay(&b, d.Plan)
	s.gates(&b, d, "\n  gates\n")
	if odd := append(elsewhere(worthShowing(d.Findings), d.Plan), d.Plan.Notes...); len(odd) > 0 {
		b.WriteString("\n  noticed\n")
		s.findings(&b, odd, d.Deployment, "    ")
	}
	b.WriteString("\n" + s.planFoot(d, revision) + "\n")
	return b.String()
}

func (s screen) planHead(b *strings.Builder, d reconciler.Decision, now reconciler.Status) {
	t := table{gap: 2}
	r := d.Revision
	said := ""
	switch {
	case r.By != "":
		said = fmt.Sprintf("released %s by %s (claimed)", s.clock(r.When), visible(r.By))
	case !r.When.IsZero():
		said = "of " + s.clock(r.When)
	}
	t.add(cell{d.Deployment, bold}, cell{text: visible(r.Name)}, cell{text: short(r.Commit, 7)}, cell{text: said})
	live := plain("live", "nothing yet", "", "")
	if !now.Live.IsZero() {
		live = plain("live", visible(now.Live.Name), short(now.Live.Commit, 7), "")
		if now.State != "" {
			live[3].text = fmt.Sprintf("%s since %s", now.State, s.clock(now.Since))
		}
	}
	t.add(live...)
	if c := d.Seen; c != nil {
		t.add(plain("fabric", s.census(d))...)
	}
	t.write(b, s, "", widestName)
	b.WriteString("\n")
}

// census says whose the jobs on the fabric are.
func (s screen) census(d reconciler.Decision) string {
	c := *d.Seen
	more := ""
	if c.Unseen != "" {
		more = "; there may be more, which selvage can't see"
	}
	if c.Total() == 0 {
		return "no jobs" + more
	}
	parts := []string{"none of this deployment"}
	if n := d.Plan.Owned; n > 0 {
		parts[0] = fmt.Sprintf("%d of this deployment", n)
	}
	if n := c.Ours - d.Plan.Owned; n > 0 {
		parts = append(parts, fmt.Sprintf("%d of other deployments", n))
	}
	if c.Others > 0 {
		parts = append(parts, fmt.Sprintf("%d of other installations", c.Others))
	}
	if c.Free > 0 {
		parts = append(parts, fmt.Sprintf("%d that selvage does not manage and leaves alone", c.Free))
	}
	return plural(c.Total(), "job") + ": " + strings.Join(parts, ", ") + more
}

// changes lists what changes, then how much does not.
func (s screen) changes(b *strings.Builder, d reconciler.Decision) {
	var shown []fabric.Change
	name := 0
	for _, c := range d.Plan.Changes {
		if c.Action == fabric.Keep && c.Hindrance == fabric.Free && c.Reason.Code != configs.Protected && len(c.Stands) == 0 {
			continue
		}
		shown = append(shown, c)
		if n := len([]rune(visible(string(c.Key)))); n <= widestName {
			name = max(name, n)
		}
	}
	fields := table{gap: 2} // of all changes, so that their columns line up
	var from []int
	for _, c := range shown {
		from = append(from, len(fields.rows))
		for i, f := range c.Fields {
			if i == mostFields {
				fields.add(cell{fmt.Sprintf("and %d more fields", len(c.Fields)-mostFields), faint})
				break
			}
			was, is := values(f.Old, f.New)
			fields.add(cell{text: cut(visible(f.Path), widestPath)}, cell{text: was + " -> " + is}, cell{fieldCause(f.Cause), faint})
		}
		for _, f := range c.Stands {
			was, is := values(f.Old, f.New)
			fields.add(cell{text: cut(visible(f.Path), widestPath)}, cell{text: was + " stays"}, cell{"paused by hand, git: " + is, faint})
		}
	}
	from = append(from, len(fields.rows))
	var all strings.Builder
	fields.write(&all, s, "      ", widestPath)
	rendered := strings.SplitAfter(all.String(), "\n")
	told := map[string]bool{}
	for i, c := range shown {
		sign, colour := s.sign(c)
		what := changeWords(c)
		line := "  " + s.paint(colour, sign) + " " + fmt.Sprintf("%-*s", name, visible(string(c.Key))) + "  " + what
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for _, l := range rendered[from[i]:from[i+1]] {
			b.WriteString(l)
		}
		if c.Hindrance == fabric.Free && c.Reason.Code != configs.PausedByHand {
			continue
		}
		b.WriteString("      " + visible(c.Reason.Text) + "\n")
		if n := next(c.Reason, d.Deployment); n != "" && !told[n] {
			told[n] = true // what is to be done about many is said once
			b.WriteString("      next: " + visible(n) + "\n")
		}
	}
	n := d.Plan.Counts
	for _, c := range shown {
		if c.Reason.Code == configs.PausedByHand {
			n.Keep-- // it has its own line
		}
	}
	if n.Keep > 0 {
		b.WriteString("  = " + plural(n.Keep, "resource") + " unchanged")
		if n.Labels > 0 {
			fmt.Fprintf(b, "; in %d of them only the name of the release differs: it rides along with the next change", n.Labels)
		}
		b.WriteString("\n")
	}
	if len(d.Plan.Changes) == 0 {
		b.WriteString("  = nothing in the release is for this deployment\n")
		for _, f := range d.Findings {
			if f.Code == configs.JobUnselected {
				b.WriteString("      " + visible(f.Subject+": "+f.Text) + "\n        next: " + visible(next(f, d.Deployment)) + "\n")
			}
		}
	}
}

// sign is the mark of a change at the beginning of its line.
func (s screen) sign(c fabric.Change) (sign, colour string) {
	switch {
	case c.Hindrance == fabric.Blocked:
		return "!", red
	case c.Action == fabric.Create:
		return "+", green
	case c.Action == fabric.Update:
		return "~", yellow
	case c.Action == fabric.Move:
		return ">", yellow
	case c.Action == fabric.Restart:
		return "*", yellow
	case c.Action.Rests() && c.Hindrance == fabric.Deferred:
		return "-", faint
	case c.Action.Rests():
		return "-", yellow
	case c.Action == fabric.Delete && c.Hindrance == fabric.Deferred:
		return "-", faint
	case c.Action == fabric.Delete:
		return "-", red
	}
	return "=", ""
}

// changeWords says what a change is about, and what keeps it back.
func changeWords(c fabric.Change) string {
	what := string(c.Kind)
	switch {
	case c.Kind.Attached():
		what = attachedWords(c)
	case c.Action == fabric.Create && c.ID == "":
		what += " is new"
		if c.Cause == fabric.Drift {
			what = string(c.Kind) + " was deleted by somebody, made again"
		}
	case c.ID != "":
		what += " " + visible(c.ID)
	}
	if what == "" {
		what = "job"
	}
	switch {
	case c.Reason.Code == configs.NameTaken && c.Action == fabric.Create:
		return "a name that is taken  blocked"
	case c.Hindrance == fabric.Blocked:
		return what + "  blocked"
	case c.Hindrance == fabric.Deferred:
		return what + "  deferred"
	case c.Action == fabric.Restart:
		return what + "  restarts: " + visible(c.Reason.Text)
	case c.Reason.Code == configs.PausedByHand:
		return what + "  stays paused"
	case c.Cause == fabric.Adoption && len(c.Fields) == 0:
		return what + "  is taken over: it gets its mark"
	case c.Cause == fabric.Adoption:
		return what + "  is taken over"
	case c.Action == fabric.Move:
		return what + "  was " + visible(string(c.From))
	case c.Action == fabric.Quarantine:
		return what + "  is paused and renamed, to be deleted later: " + visible(c.Reason.Text)
	case c.Action == fabric.Leave:
		return what + "  is paused and released: " + visible(c.Reason.Text)
	case c.Reason.Code == configs.Protected:
		return what + "  is kept: " + visible(c.Reason.Text)
	case c.Action == fabric.Delete:
		return what + "  is deleted: " + visible(c.Reason.Text)
	case c.Action == fabric.Release:
		return what + "  is released: " + visible(c.Reason.Text)
	}
	return what
}

// attachedWords says what a change of the permissions of a job is about.
func attachedWords(c fabric.Change) string {
	switch {
	case c.Action == fabric.Create:
		return string(c.Kind) + " are set once the job is made"
	case c.Action == fabric.Update && c.Hindrance == fabric.Free && len(c.Fields) == 0:
		return string(c.Kind) + " of job " + visible(c.ID) + "  are as declared already, and looked after from now on"
	case c.ID != "":
		return string(c.Kind) + " of job " + visible(c.ID)
	}
	return string(c.Kind)
}

func fieldCause(c fabric.Cause) string {
	if c == fabric.Drift {
		return "drift: edited in the workspace"
	}
	return string(c)
}

// stripped tells what was taken out of the definitions that are written: each setting once, with the
// resources that had it.
func (s screen) stripped(b *strings.Builder, p reconciler.Plan) {
	by := map[string][]string{}
	for _, c := range p.Changes {
		if !c.Action.Sends() {
			continue
		}
		for _, f := range c.Stripped {
			setting, _, _ := strings.Cut(strings.TrimPrefix(f.Text, f.Code.Sentence()+": "), " (")
			if key := visible(string(c.Key)); !slices.Contains(by[setting], key) {
				by[setting] = append(by[setting], key)
			}
		}
	}
	if len(by) == 0 {
		return
	}
	b.WriteString("\n  stripped: " + configs.Stripped.Sentence() + "\n")
	t := table{gap: 2}
	for _, setting := range slices.Sorted(maps.Keys(by)) {
		t.add(cell{text: cut(visible(setting), widestPath)}, cell{ofKeys(by[setting]), faint})
	}
	t.write(b, s, "    ", widestPath)
}

// overlay tells what the overlay did to the definitions that are written, as committed and as overlaid: each
// field once, with the resources that have it. Most of it stands in no change: it is live already.
func (s screen) overlay(b *strings.Builder, p reconciler.Plan) {
	type effect struct{ path, old, new string }
	by := map[effect][]string{}
	fields := map[effect]fabric.Field{}
	for _, c := range p.Changes {
		if !c.Action.Sends() {
			continue
		}
		for _, f := range c.Overlay {
			e := effect{f.Path, string(f.Old), string(f.New)}
			fields[e], by[e] = f, append(by[e], visible(string(c.Key)))
		}
	}
	if len(by) == 0 {
		return
	}
	effects := slices.SortedFunc(maps.Keys(by), func(a, b effect) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.old, b.old), cmp.Compare(a.new, b.new))
	})
	b.WriteString("\n  overlay: what the deployment changes in the committed definitions\n")
	t := table{gap: 2}
	for i, e := range effects {
		if i == mostFields {
			t.add(cell{fmt.Sprintf("and %d more fields", len(effects)-mostFields), faint})
			break
		}
		was, is := values(fields[e].Old, fields[e].New)
		t.add(cell{text: cut(visible(e.path), widestPath)}, cell{text: was + " -> " + is}, cell{ofKeys(by[e]), faint})
	}
	t.write(b, s, "    ", widestPath)
}

// ofKeys names the first of the resources that have something.
func ofKeys(keys []string) string {
	if len(keys) > 3 {
		keys = append(keys[:3:3], fmt.Sprintf("and %d more", len(keys)-3))
	}
	return "of " + strings.Join(keys, ", ")
}

// gates lists the verdicts, if there are any, under a heading.
func (s screen) gates(b *strings.Builder, d reconciler.Decision, heading string) {
	if len(d.Verdicts) == 0 {
		return
	}
	b.WriteString(heading)
	t := table{gap: 2}
	for _, v := range d.Verdicts {
		colour := map[reconciler.VerdictState]string{reconciler.Pass: green, reconciler.Hold: yellow, reconciler.Stop: red}[v.State]
		t.add(cell{string(v.State), colour}, cell{text: v.Gate}, cell{text: visible(v.Reason.Text)})
	}
	t.write(b, s, "    ", widestName)
}

// planFoot is the last line: what the plan comes to, and what happens next.
func (s screen) planFoot(d reconciler.Decision, revision string) string {
	p := d.Plan
	if p.Digest == "" {
		switch {
		case p.Counts.Release > 0:
			return fmt.Sprintf("%s. Nothing is written to the fabric.", p.Counts)
		case p.Counts.Blocked > 0 && p.Counts.Deferred == 0:
			return fmt.Sprintf("%s. Nothing is written until its cause is mended.", p.Counts)
		case p.Counts.Deferred > 0:
			return fmt.Sprintf("Nothing to change now: %s.", p.Counts)
		}
		return "Nothing to change: the fabric runs what the release says."
	}
	head := fmt.Sprintf("plan %s: %s.", short(p.Digest, 6), p.Counts)
	if p.Counts.Blocked > 0 && len(p.Free()) > 0 {
		head += " What is blocked waits."
	}
	apply := approving(d, revision)
	held, person := holding(d)
	switch {
	case len(p.Free()) > 0:
	case liftable(p) && person:
		return head + " Nothing of it is written by itself: " + apply
	default:
		return head + " Nothing is written until the cause is mended."
	}
	switch {
	case held == 0 && revision == "":
		return head + " Every gate passes: the daemon applies it at its next look, or now: " + apply
	case held == 0:
		return head + " Every gate passes: " + apply
	case person:
		return head + " Nothing is written until a person approves it: " + apply
	}
	for _, v := range d.Verdicts {
		if v.State != reconciler.Pass && v.Reason.Next != "" {
			return head + " Nothing is written until every gate passes: " + visible(next(v.Reason, d.Deployment))
		}
	}
	return head + " Nothing is written until every gate passes."
}

// approving is the command by which a person approves the plan.
func approving(d reconciler.Decision, revision string) string {
	apply := "selvage apply " + d.Deployment
	if revision != "" {
		apply += " --revision " + shellWord(revision)
	}
	return apply + " --plan " + short(d.Plan.Digest, 6)
}

// holding counts the gates that hold a plan back, and reports whether a person's approval lifts all of them.
func holding(d reconciler.Decision) (held int, person bool) {
	person = true
	for _, v := range d.Verdicts {
		if v.State == reconciler.Pass {
			continue
		}
		held++
		switch v.Reason.Code {
		case configs.FirstApply, configs.TagMoved, configs.NotDescendant:
		default:
			person = false
		}
	}
	return held, person
}

// liftable reports that something is blocked which a person lifts by asking for an apply.
func liftable(p reconciler.Plan) bool {
	return slices.ContainsFunc(p.Changes, func(c fabric.Change) bool {
		return c.Hindrance == fabric.Blocked && (c.Reason.Code == configs.HealOff || c.Reason.Code == configs.OtherWriter || c.Reason.Code == configs.AdoptedHealOff || c.Reason.Code == configs.FabricRefused)
	})
}

// elsewhere are the findings that no change of the plan tells.
func elsewhere(fs []configs.Finding, p reconciler.Plan) []configs.Finding {
	return slices.DeleteFunc(slices.Clone(fs), func(f configs.Finding) bool {
		return slices.ContainsFunc(p.Changes, func(c fabric.Change) bool { return c.Hindrance != fabric.Free && c.Reason.Text == f.Text })
	})
}

// hindered are the changes that something holds back in the wanted way.
func hindered(p reconciler.Plan, want fabric.Hindrance) []fabric.Change {
	var list []fabric.Change
	for _, c := range p.Changes {
		if c.Hindrance == want {
			list = append(list, c)
		}
	}
	return list
}
