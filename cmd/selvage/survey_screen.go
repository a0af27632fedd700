package main

import (
	"fmt"
	"strconv"
	"strings"
)

// mostDetailed is how many projects are shown one by one; more stand in a table.
const mostDetailed = 6

// survey is what a person sees of a survey.
func (s screen) survey(v *survey) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  branch %s %s: %s, %s\n\n", s.paint(bold, visible(v.Git)), visible(v.Branch), short(v.Commit, 7), plural(len(v.Projects), "project"), plural(v.Tags, "tag"))
	if len(v.Projects) > mostDetailed {
		s.surveyTable(&b, v)
	} else {
		for _, p := range v.Projects {
			s.surveyProject(&b, p)
		}
	}
	s.surveyFabrics(&b, v)
	if v.OtherTags > 0 {
		fmt.Fprintf(&b, "%s that release none of these projects, or of which it is not clear\n", plural(v.OtherTags, "tag"))
		t := table{gap: 2}
		for _, tag := range v.Others {
			t.add(plain(visible(tag.Name), short(tag.Commit, 7), s.clock(tag.Tagged), visible(cut(tag.Why, 240)))...)
		}
		t.write(&b, s, "  ", 40)
		more(&b, "  ", v.OtherTags-len(v.Others))
		b.WriteString("\n")
	}
	if v.Unread > 0 {
		fmt.Fprintf(&b, "The oldest %s were not looked at.\n\n", plural(v.Unread, "tag"))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// faults sums up what is wrong with the projects.
func (s screen) faults(v *survey) string {
	if n := v.faults(); n > 0 {
		return fmt.Sprintf("%s  %d of %s can't be deployed as a whole; --output json has all findings\n", s.paint(red, "FAIL"), n, plural(len(v.Projects), "project"))
	}
	return fmt.Sprintf("%s    %s can be read\n", s.paint(green, "ok"), plural(len(v.Projects), "project"))
}

// more tells how many are not shown.
func more(b *strings.Builder, indent string, n int) {
	if n > 0 {
		fmt.Fprintf(b, "%sand %d more\n", indent, n)
	}
}

func (s screen) surveyProject(b *strings.Builder, p surveyedProject) {
	if p.Error != "" {
		fmt.Fprintf(b, "%s  %s\n  %s\n\n", s.paint(bold, "project"), whereabouts(p.Path), visible(p.Error))
		return
	}
	fmt.Fprintf(b, "%s  %s  %s  %s, %s\n", s.paint(bold, "project"), visible(p.Name), visible(p.Version), visible(p.Language), whereabouts(p.Path))
	s.surveyed(b, p, "  ")
	b.WriteString("\n")
}

// surveyed lists the parts of a project.
func (s screen) surveyed(b *strings.Builder, p surveyedProject, indent string) {
	const mostNames = 8
	line := plural(len(p.Pipelines), "pipeline")
	if n := len(p.Pipelines); n > 0 && n <= mostNames {
		line += ": " + strings.Join(p.Pipelines, ", ")
	}
	b.WriteString(indent + visible(line) + "\n")
	fmt.Fprintf(b, "%s%s\n", indent, plural(len(p.Jobs), "job"))
	const mostJobs = 20
	t := table{gap: 2}
	for i, j := range p.Jobs {
		if i == mostJobs {
			break
		}
		fabric, scheduler, enabled := "no fabric", j.Scheduler, "disabled"
		if j.FabricID != "" {
			fabric = "fabric " + j.FabricID
		}
		if scheduler == "" {
			scheduler = "no scheduler"
		}
		if j.Enabled {
			enabled = "enabled"
		}
		row := plain(visible(j.Key), visible(fabric), visible(scheduler), enabled)
		if j.Blocked != "" {
			row = append(row, cell{"not deployed: " + visible(cut(j.Blocked, 90)), yellow})
		}
		t.add(row...)
	}
	t.write(b, s, indent+"  ", 40)
	more(b, indent+"  ", len(p.Jobs)-mostJobs)
	if p.TagCount == 0 {
		return
	}
	fmt.Fprintf(b, "%s%s\n", indent, plural(p.TagCount, "tag"))
	t = table{gap: 2}
	for _, tag := range p.Tags {
		t.add(plain(visible(tag.Name), short(tag.Commit, 7), s.clock(tag.Tagged), tag.Rule.Why())...)
	}
	t.write(b, s, indent+"  ", 40)
	more(b, indent+"  ", p.TagCount-len(p.Tags))
}

func (s screen) surveyTable(b *strings.Builder, v *survey) {
	t := table{gap: 2}
	t.add(plain("PROJECT", "VERSION", "LANGUAGE", "PIPELINES", "JOBS", "FABRICS", "TAGS", "NEWEST", "FOLDER")...)
	for _, p := range v.Projects {
		if p.Error != "" {
			t.add(cell{"?", red}, cell{}, cell{}, cell{}, cell{}, cell{}, cell{strconv.Itoa(p.TagCount), ""}, cell{}, cell{visible(p.Path) + ": " + visible(cut(p.Error, 90)), red})
			continue
		}
		var ids []string
		blocked := 0
		for _, j := range p.Jobs {
			if j.Blocked != "" {
				blocked++
			}
			if j.FabricID != "" && (len(ids) == 0 || !strings.Contains(" "+strings.Join(ids, " ")+" ", " "+j.FabricID+" ")) {
				ids = append(ids, j.FabricID)
			}
		}
		jobs := strconv.Itoa(len(p.Jobs))
		if blocked > 0 {
			jobs += fmt.Sprintf(", %d blocked", blocked)
		}
		if len(ids) > 3 {
			ids = append(ids[:3], "...")
		}
		newest := "-"
		if len(p.Tags) > 0 {
			newest = fmt.Sprintf("%s (%s)", p.Tags[0].Name, p.Tags[0].Rule)
		}
		t.add(plain(visible(cut(p.Name, 30)), visible(cut(p.Version, 16)), visible(p.Language), strconv.Itoa(len(p.Pipelines)), jobs,
			visible(strings.Join(ids, " ")), strconv.Itoa(p.TagCount), visible(cut(newest, 40)), visible(p.Path))...)
	}
	t.write(b, s, "", 40)
	b.WriteString("\n")
}

func (s screen) surveyFabrics(b *strings.Builder, v *survey) {
	if len(v.Fabrics) == 0 {
		return
	}
	const most = 12
	var parts []string
	for i, f := range v.Fabrics {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(v.Fabrics)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", visible(f.ID), plural(f.Jobs, "job")))
	}
	fmt.Fprintf(b, "fabric ids  %s\n\n", strings.Join(parts, ", "))
}

// whereabouts is the folder of a project as a person says it.
func whereabouts(root string) string {
	if root == "." {
		return "at the root"
	}
	return "in " + visible(root)
}
