package configs

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Guardrails are limits on what the jobs of a fabric may say, whatever their projects and overlays say. They are the
// operator's, and out of the reach of who releases. What is not set limits nothing.
type Guardrails struct {
	// RunAs are whom jobs may run as, by the name of a user or group or the application id of a service principal. The
	// principal that deploys is not among them unless it is named.
	RunAs []string `json:"run_as,omitzero"`
	// Principals are who may stand in the access list of a job. Not nil and empty: nobody.
	Principals []string `json:"principals,omitzero"`
	// Policies are the cluster policies, by id or by name as the job has it, of which each new cluster must name one.
	Policies []string `json:"policies,omitzero"`
	// Tags are the names of tags that each job must have, or else every cluster of it.
	Tags []string `json:"tags,omitzero"`
	// MaxWorkers is how many workers a cluster may have, or grow to.
	MaxWorkers *int `json:"max_workers,omitzero"`
	// Forbid are settings that no job may have: some of ForbiddenSettings.
	Forbid []string `json:"forbid,omitzero"`
	// InitScripts are folders and files that init scripts may come from. Not nil and empty: from nowhere.
	InitScripts []string `json:"init_scripts,omitzero"`
	// LeastInterval is how far apart two runs that nobody asked for must be at least.
	LeastInterval time.Duration `json:"least_interval,omitzero"`
	// Continuous allows jobs that never pause although there is a LeastInterval.
	Continuous bool `json:"continuous,omitzero"`
}

// ForbiddenSettings are what Guardrails.Forbid may name.
var ForbiddenSettings = []string{"existing_cluster_id", "git_source"}

const mostGuards = 1000 // entries of one list

func (l *loader) guardrails(v value) *Guardrails {
	m, ok := l.mapping(v, &guardrailsScope)
	if !ok {
		return nil
	}
	g := &Guardrails{
		RunAs: m.names("run_as", false), Principals: m.names("principals", true),
		Policies: m.names("policies", false), Tags: m.names("tags", false),
		Forbid: m.names("forbid", false), InitScripts: m.names("init_scripts", true),
	}
	for i, s := range g.Forbid {
		if !slices.Contains(ForbiddenSettings, s) {
			v := m.values["forbid"]
			l.bad(v.start(), "write "+strings.Join(ForbiddenSettings, " or "), "%s[%d]: %s is not a setting that can be forbidden", v.path, i, quoted(s))
		}
	}
	for i, s := range g.InitScripts {
		g.InitScripts[i] = strings.TrimRight(s, "/")
		if !scriptPlace(g.InitScripts[i]) {
			v := m.values["init_scripts"]
			l.bad(v.start(), "write a whole path as jobs have it, such as /Volumes/main/ops/scripts or s3://bucket/scripts", "%s[%d]: %s is not a place of init scripts", v.path, i, quoted(s))
		}
	}
	if v, ok := m.values["max_workers"]; ok {
		n := l.integer(v, 100_000)
		g.MaxWorkers = &n
	}
	if v, ok := m.values["least_interval"]; ok {
		g.LeastInterval = l.duration(v, time.Second)
	}
	if v, ok := m.values["continuous"]; ok {
		if g.Continuous, ok = l.boolean(v); ok && !m.has("least_interval") && !m.flawed {
			l.bad(v.key, "remove it: without a least_interval, jobs may run all the time", "%s is about least_interval, and %s has none", v.path, m.path)
		}
	}
	if len(m.order) == 0 && !m.flawed {
		l.bad(v.start(), "give some of "+strings.Join(guardrailsScope.keys, ", ")+", or remove the key", "%s says nothing", v.path)
	}
	return g
}

var placeOfScripts = regexp.MustCompile(`^(?:[a-z0-9]+:/{1,2}|/)([^/].*)$`)

// scriptPlace reports a whole, clean path, with a scheme or without.
func scriptPlace(s string) bool {
	m := placeOfScripts.FindStringSubmatch(s)
	return m != nil && path.Clean(m[1]) == m[1] && m[1] != ".." && !strings.HasPrefix(m[1], "../")
}

// names reads a list of texts, each once. It is nil where the key is not there.
func (m *mapping) names(key string, empty bool) []string {
	v, ok := m.values[key]
	if !ok {
		return nil
	}
	l := m.l
	list, _ := l.list(v, empty)
	if len(list) > mostGuards {
		l.bad(v.start(), "name a group or a folder instead of each", "%s: %d entries, and %d are the most", v.path, len(list), mostGuards)
		return nil
	}
	out := []string{}
	for _, v := range list {
		t, ok := l.text(v, false)
		switch {
		case !ok:
			continue
		case strings.TrimSpace(t.text) != t.text || t.text == "" || strings.ContainsFunc(t.text, notShown):
			l.bad(t.at, "write it as jobs have it", "%s: %s is not a name", t.path, t.quoted())
		case slices.Contains(out, t.text):
			l.bad(t.at, "keep one of them", "%s stands twice in the list", t.path)
		}
		out = append(out, t.text)
	}
	return out
}

func notShown(r rune) bool { return r < ' ' || r == 0x7f }

// Visibility says which jobs of a workspace its principal is meant to see.
type Visibility string

const (
	SeesAll Visibility = "all" // every job: one that it does not see may be there, so nothing is created
	SeesOwn Visibility = "own" // its own and those it is let see: of the others it needs to know nothing
)
