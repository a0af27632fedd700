package configs

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
)

// maxDeployments bounds what a few lists of projects and fabrics can ask for.
const maxDeployments = 10_000

// deployments reads the lists. One must be there even when it is empty: half of a file that lost its end would
// otherwise read as "deploy nothing any more".
func (l *loader) deployments(tops []*mapping, c *Config) []*Deployment {
	var out []*Deployment
	first := map[string]place{}
	listed := false
	for _, top := range tops {
		v, ok := top.values["deployments"]
		listed = listed || ok || top.flawed
		if !ok {
			continue
		}
		entries, ok := l.list(v, true)
		if !ok {
			continue
		}
		for _, v := range entries {
			if out, ok = l.entry(v, c, out, first); !ok {
				return nil
			}
		}
	}
	if !listed {
		l.bad(place{}, "list them, or write deployments: [] to have none", "the file has no deployments")
	}
	slices.SortFunc(out, func(a, b *Deployment) int { return cmp.Compare(a.Name(), b.Name()) })
	return out
}

// entry is one element of the list: some projects on some fabrics, and what their deployments have in common.
// It is false when there are too many of them to go on.
func (l *loader) entry(v value, c *Config, out []*Deployment, first map[string]place) ([]*Deployment, bool) {
	m, ok := l.mapping(v, &deploymentScope)
	if !ok {
		return out, true
	}
	projects := chosen(m, "project", "projects", c.Projects)
	fabrics := chosen(m, "fabric", "fabrics", c.Fabrics)
	own := l.settings(m, c)
	common := Deployment{Mode: Observe, Policy: c.Policies[DefaultPolicy]}
	if v, ok := m.values["jobs"]; ok {
		common.Jobs = l.jobs(v)
	}
	if v, ok := m.values["moved"]; ok {
		common.Moved = l.moved(v)
	}
	if v, ok := m.values["protect"]; ok {
		common.Protect = l.jobs(v)
	}
	if v, ok := m.values["restart"]; ok {
		common.Restart = l.restart(v)
	}
	if v, ok := m.values["isolation"]; ok {
		common.Allow = l.allowed(v)
	}
	if len(out)+len(projects)*len(fabrics) > maxDeployments {
		l.bad(v.at, "split the configuration over several installations", "%s: with it, there are more than %d deployments", v.path, maxDeployments)
		return nil, false
	}
	except := l.except(m, projects, fabrics)
	var twice []string
	var before place
	meant := 0
	for _, f := range fabrics {
		on := l.on(m, f, own, common)
		for _, p := range projects {
			d := on
			d.Project, d.Follow = p, on.Follow.of(p.Name)
			name := d.Name()
			if except[name] {
				continue
			}
			meant++
			if at, ok := first[name]; ok {
				if len(twice) == 0 {
					before = at
				}
				twice = append(twice, name)
				continue
			}
			first[name] = v.at
			out = append(out, &d)
		}
	}
	if meant == 0 && len(except) > 0 && len(projects)*len(fabrics) > 0 {
		l.bad(m.values["except"].key, "mend except, or remove "+m.path, "%s is about no deployment: except names them all", m.path)
	}
	if len(twice) > 0 {
		what := twice[0] + " stands twice"
		if len(twice) > 1 {
			what = fmt.Sprintf("%s and %d more stand twice", twice[0], len(twice)-1)
		}
		next := "keep one of them: a deployment is one project on one fabric"
		if m.has("projects") || m.has("fabrics") {
			next += "; this list passes over what stands under except: [" + twice[0] + "]"
		}
		l.bad(v.at, next, "%s; the first is on %s", what, before.from(v.at))
	}
	return out, true
}

// on is what an entry means on a fabric, for any project.
func (l *loader) on(m *mapping, f *Fabric, own settings, common Deployment) Deployment {
	d := common
	d.Fabric = f
	var usual settings
	if s := l.defaults[f.Name]; s != nil {
		usual = *s
	}
	if p := cmp.Or(own.policy, usual.policy); p != nil {
		d.Policy = p
	}
	d.Mode = cmp.Or(own.mode, usual.mode, d.Mode)
	d.Overlay = own.overlay.over(usual.overlay)
	switch follow := cmp.Or(own.follow, usual.follow); {
	case follow != nil:
		d.Follow = *follow
	case !m.flawed:
		l.bad(m.start(), "add it, here or under defaults of fabric "+f.Name+": a deployment needs project, fabric and follow", "%s has no follow", m.path)
		m.flawed = true // once is enough
	}
	if !m.has("jobs") && len(f.ProphecyIDs) == 0 && !m.flawed {
		l.bad(m.at, "give the fabric prophecy_ids, or the deployment jobs: [\"jobs/*\"]", "%s selects no job: it has no jobs, and fabric %s has no prophecy_ids", m.path, f.Name)
	}
	return d
}

// except reads which of an entry's deployments it is not about: patterns over their names.
func (l *loader) except(m *mapping, projects []*Project, fabrics []*Fabric) map[string]bool {
	v, ok := m.values["except"]
	if !ok {
		return nil
	}
	if !m.has("projects") && !m.has("fabrics") && !m.flawed {
		l.bad(v.key, "remove it", "%s passes over some of a list, and %s lists neither projects nor fabrics", v.path, m.path)
	}
	names := make([]string, 0, len(projects)*len(fabrics))
	for _, p := range projects {
		for _, f := range fabrics {
			names = append(names, p.Name+"@"+f.Name)
		}
	}
	slices.Sort(names)
	out := map[string]bool{}
	list, _ := l.list(v, false)
	for _, v := range list {
		t, ok := l.text(v, false)
		if !ok || !l.pattern(t.value, t.text) {
			continue
		}
		matched := match(names, t.text)
		if len(matched) == 0 && len(names) > 0 {
			l.bad(t.at, "mend or remove it; names are PROJECT@FABRIC", "%s: %s is none of the deployments of %s", t.path, t.quoted(), m.path)
		}
		for _, name := range matched {
			out[name] = true
		}
	}
	return out
}

// jobs reads patterns over the keys of jobs.
func (l *loader) jobs(v value) []string {
	list, _ := l.list(v, false)
	var globs []string
	seen := map[string]bool{}
	for _, v := range list {
		t, ok := l.text(v, false)
		if !ok {
			continue
		}
		if l.jobPattern(t) && seen[t.text] {
			l.bad(t.at, "keep one of them", "%s stands twice in the list", t.path)
		}
		seen[t.text] = true
		globs = append(globs, t.text)
	}
	return globs
}

func (l *loader) jobPattern(t text) bool {
	if !l.pattern(t.value, t.text) {
		return false
	}
	if !strings.HasPrefix(t.text, "jobs/") {
		l.bad(t.at, "write jobs/ before it", "%s: %s matches no job; their names begin with jobs/", t.path, t.quoted())
		return false
	}
	return true
}

// isPattern reports a doublestar pattern over names.
func isPattern(s string) bool {
	return s != "" && doublestar.ValidatePattern(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// moved reads which jobs have another key than in earlier releases.
func (l *loader) moved(v value) map[string]string {
	m, ok := l.some(v)
	if !ok {
		return nil
	}
	out, to := map[string]string{}, map[string]string{}
	for _, old := range m.order {
		child := m.values[old]
		if why := notJob(old); why != "" {
			l.bad(child.key, "write the whole key of one job, as in jobs/old: jobs/new", "%s: %s %s", v.path, quoted(old), why)
			continue
		}
		t, ok := l.text(child, false)
		if !ok {
			continue
		}
		switch other, taken := to[t.text]; {
		case notJob(t.text) != "":
			l.bad(t.at, "write the whole key of one job, as in jobs/old: jobs/new", "%s: %s %s", t.path, t.quoted(), notJob(t.text))
		case t.text == old:
			l.bad(t.at, "remove it: the job keeps its key", "%s moves a job to itself", t.path)
		case taken:
			l.bad(t.at, "keep the one whose live job is to become it", "%s: %s moves there too", t.path, quoted(other))
		case m.has(t.text):
			l.bad(t.at, "write where the job is now: each key leads to the last one", "%s: %s moves on itself", t.path, t.quoted())
		}
		to[t.text] = old
		out[old] = t.text
	}
	return out
}

// notJob says why a text is not the key of a job, or nothing.
func notJob(key string) string {
	switch {
	case !strings.HasPrefix(key, "jobs/") || path.Clean(key) != key || strings.ContainsFunc(key, unicode.IsControl):
		return "is not the key of a job; they begin with jobs/"
	case strings.ContainsAny(key, "*?"):
		return "is a pattern"
	}
	return ""
}
