package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"selvage/reconciler"
	"selvage/reconciler/adoption"
)

// takeover is what a person sees of a proposal: the answer first, then what needs a look, then what to run next.
func (s screen) takeover(t reconciler.Takeover, flags *pflag.FlagSet, args []string, patchFile string) string {
	var b strings.Builder
	c := t.Count()
	b.WriteString(s.paint(bold, c.String()) + "\n")
	if t.Accepted {
		for _, a := range t.Deployments {
			if a.Digest != "" {
				fmt.Fprintf(&b, "%s takes over %s, and is held at %s. Nothing is written to them yet.\n", a.Deployment, plural(len(a.Free()), "job"), visible(a.Baseline.String()))
			}
		}
		b.WriteString("next: selvage plan " + t.Deployments[0].Deployment + "\n")
		return b.String()
	}
	for _, a := range t.Deployments {
		if len(t.Deployments) > 1 && dull(a) {
			continue
		}
		s.adoption(&b, a)
	}
	if n := len(t.Deployments); n > 1 {
		quiet := 0
		for _, a := range t.Deployments {
			if dull(a) {
				quiet++
			}
		}
		if quiet > 0 {
			fmt.Fprintf(&b, "\n%s of %d: nothing but mark and paths differs.\n", plural(quiet, "deployment"), n)
		}
	}
	b.WriteString("\n" + s.takeoverFoot(t, flags, args, patchFile) + "\n")
	return b.String()
}

// dull reports a proposal about which there is nothing to decide.
func dull(a reconciler.Adoption) bool {
	return len(a.Unclear)+len(a.Missing)+len(a.Strays)+len(a.Findings) == 0 && len(a.Versions) < 2 &&
		!slices.ContainsFunc(a.Matched, func(m reconciler.Match) bool { return notable(m) })
}

// notable reports a match of which more differs than mark and paths.
func notable(m reconciler.Match) bool {
	return m.Blocked.Code != "" || len(m.Kept) > 0 || m.Count(adoption.Edited)+m.Count(adoption.Overlay)+m.Count(adoption.Release) > 0
}

func (s screen) adoption(b *strings.Builder, a reconciler.Adoption) {
	t := table{gap: 2}
	t.add(cell{a.Deployment, bold}, cell{text: "baseline " + visible(a.Baseline.Name)}, cell{text: short(a.Baseline.Commit, 7)}, cell{versions(a.Versions), faint})
	b.WriteString("\n")
	t.write(b, s, "", widestName)
	for _, f := range a.Findings {
		b.WriteString("  " + visible(f.Text) + "\n    next: " + visible(next(f, a.Deployment)) + "\n")
	}
	plain, stripped := 0, 0
	by := map[string]int{}
	for _, m := range a.Matched {
		stripped += min(m.Count(adoption.Stripped), 1)
		if !notable(m) {
			plain++
			by[m.Evidence[0].Kind]++
			continue
		}
		s.match(b, m, a.Deployment)
	}
	for _, u := range a.Unclear {
		b.WriteString("  " + s.paint(red, "?") + " " + visible(string(u.Key)) + "  ambiguous: " + visible(u.Why) + "\n")
		for _, p := range u.Candidates {
			fmt.Fprintf(b, "      job %s  %q  %s  --match %s\n", visible(p.ID), visible(p.Name), visible(evidence(p)), shellWord(string(u.Key)+"="+p.ID))
		}
	}
	for _, k := range a.Missing {
		b.WriteString("  " + s.paint(green, "+") + " " + visible(string(k)) + "  not live: the first apply makes it\n")
	}
	for _, x := range a.Strays {
		what := "is no job of the release"
		switch {
		case x.Twin != "":
			what = fmt.Sprintf("says that it is %s too, as job %s does", visible(string(x.Key)), visible(x.Twin))
		case x.Key != "":
			what = fmt.Sprintf("says that it is %s, which the release does not hold", visible(string(x.Key)))
		}
		fmt.Fprintf(b, "  %s job %s  %q  %s: it is left alone\n", s.paint(yellow, "!"), visible(x.ID), visible(x.Name), what)
	}
	if plain > 0 {
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(by)) {
			kinds = append(kinds, fmt.Sprintf("%d by %s", by[k], k))
		}
		fmt.Fprintf(b, "  = %s: nothing but mark and paths differs (%s)\n", plural(plain, "job"), strings.Join(kinds, ", "))
	}
	if stripped > 0 {
		fmt.Fprintf(b, "  stripped: settings of %s that make it call the authoring tool\n", plural(stripped, "job"))
	}
}

func versions(vs []adoption.Version) string {
	var parts []string
	for i, v := range vs {
		if i == 4 {
			parts = append(parts, fmt.Sprintf("and %d more releases", len(vs)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s say %s", plural(v.Jobs, "job"), visible(v.Version)))
	}
	return strings.Join(parts, ", ")
}

func evidence(p adoption.Pair) string {
	var parts []string
	for _, e := range p.Evidence {
		parts = append(parts, e.Kind)
	}
	return strings.Join(parts, ", ")
}

// match shows a live job of which more differs than mark and paths.
func (s screen) match(b *strings.Builder, m reconciler.Match, deployment string) {
	fmt.Fprintf(b, "  %s %s  job %s  by %s\n", s.paint(yellow, "~"), visible(string(m.Key)), visible(m.ID), visible(evidence(m.Pair)))
	if m.Blocked.Code != "" {
		b.WriteString("      not taken over now: " + visible(m.Blocked.Text) + "\n        next: " + visible(next(m.Blocked, deployment)) + "\n")
	}
	t := table{gap: 2}
	for _, k := range m.Kept {
		_, is := values(k.Over, k.Value)
		t.add(cell{text: cut(visible(k.Path), widestPath)}, cell{text: is}, cell{"stays as it is", faint})
	}
	shown := 0
	for _, d := range m.Differs {
		if d.Class == adoption.Paths || d.Class == adoption.Stripped {
			continue
		}
		if shown++; shown > mostFields {
			continue
		}
		was, is := values(d.Old, d.New)
		t.add(cell{text: cut(visible(d.Path), widestPath)}, cell{text: was + " -> " + is}, cell{classWords(d), faint})
	}
	if shown > mostFields {
		t.add(cell{fmt.Sprintf("and %d more fields", shown-mostFields), faint})
	}
	t.write(b, s, "      ", widestPath)
}

func classWords(d adoption.Difference) string {
	switch {
	case d.Class == adoption.Edited && d.GivenUp:
		return "edited by hand: given up"
	case d.Class == adoption.Edited && d.Cant != "":
		return "edited by hand: can't be kept, " + visible(d.Cant)
	case d.Class == adoption.Edited:
		return "edited by hand"
	case d.Class == adoption.Release:
		return "of another release"
	}
	return string(d.Class)
}

// takeoverFoot says what to run next.
func (s screen) takeoverFoot(t reconciler.Takeover, flags *pflag.FlagSet, args []string, patchFile string) string {
	if t.Digest == "" {
		return "There is nothing to take over."
	}
	command := "selvage adopt " + strings.Join(words(args), " ")
	flags.Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "state", "baseline":
			command += " --" + f.Name + " " + shellWord(f.Value.String())
		case "match", "give-up":
			for _, v := range f.Value.(pflag.SliceValue).GetSlice() {
				command += " --" + f.Name + " " + shellWord(v)
			}
		}
	})
	head := fmt.Sprintf("proposal %s. Nothing is written until it is accepted", short(t.Digest, 6))
	kept, lost := 0, 0
	var first string
	for _, a := range t.Deployments {
		for _, m := range a.Matched {
			for _, d := range m.Differs {
				switch {
				case d.Class != adoption.Edited || d.GivenUp:
				case d.Cant != "":
					if lost++; lost == 1 {
						first = string(m.Key) + ":" + d.Path
					}
				default:
					kept++
				}
			}
		}
	}
	switch {
	case patchFile != "":
		foot := fmt.Sprintf("%s written, with what keeps %s: put it under overlay: of %s in selvage.yaml, then: %s", visible(patchFile), plural(kept, "edit"), t.Deployments[0].Deployment, command)
		if lost > 0 {
			foot += fmt.Sprintf("\n%s can't be kept: change the project, or give it up: --give-up %s", plural(lost, "edit"), shellWord(first))
		}
		return foot
	case kept > 0:
		one := command
		if len(t.Deployments) > 1 {
			one = "selvage adopt DEPLOYMENT"
		}
		return head + fmt.Sprintf(", and %s would be lost: keep them with %s --write-patch FILE, or give them up with --give-up all", plural(kept+lost, "edit"), one)
	case lost > 0:
		return head + fmt.Sprintf(", and %s can't be kept by an overlay: change the project, or give it up: %s --give-up %s", plural(lost, "edit"), command, shellWord(first))
	}
	return head + ": " + command + " --accept " + short(t.Digest, 6)
}
