package configs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// settings are what a deployment says and the defaults of a fabric may say for it.
type settings struct {
	policy  *Policy // nil: not given, or wrong
	mode    Mode    // empty: not given
	follow  *Follow // nil: not given
	overlay Overlay
}

// settings reads the keys that deployments and defaults have in common.
func (l *loader) settings(m *mapping, c *Config) settings {
	var s settings
	if m.has("policy") {
		s.policy = lookup(m, "policy", c.Policies)
	}
	if t, ok := m.text("mode"); ok {
		s.mode = Mode(l.oneOf(t, string(Observe), string(Apply)))
	}
	if v, ok := m.values["follow"]; ok {
		f := l.follow(v)
		s.follow = &f
	}
	if v, ok := m.values["overlay"]; ok {
		s.overlay = l.overlay(v)
	}
	return s
}

// fabricDefaults reads the defaults of each fabric, once all policies are known.
func (l *loader) fabricDefaults(c *Config) {
	for _, name := range slices.Sorted(maps.Keys(l.defaultsOf)) {
		v := l.defaultsOf[name]
		s := &settings{}
		m, ok := l.mapping(v, &defaultsScope)
		if ok {
			*s = l.settings(m, c)
			if len(m.order) == 0 && !m.flawed {
				l.bad(v.start(), "give some of "+strings.Join(defaultsScope.keys, ", ")+", or remove the key", "%s says nothing", v.path)
			}
		}
		if (!ok || m.flawed) && s.follow == nil {
			s.follow = &Follow{} // what was refused may be that
		}
		l.defaults[name] = s
	}
}

// projectName stands for the name of the project in what defaults and lists of projects follow.
const projectName = "{project}"

// lonelyBraces are braces without alternatives that are not projectName: a name that nobody fills in.
var lonelyBraces = regexp.MustCompile(`(?:^|[^\\])(\{[^{},\\]*\})`)

// of is what a project follows by f.
func (f Follow) of(project string) Follow {
	f.Branch = strings.ReplaceAll(f.Branch, projectName, project)
	f.Tag = strings.ReplaceAll(f.Tag, projectName, project)
	return f
}

// over lays o over the defaults of a fabric: what both say is o's. Merge patches are in order, so that o's
// come last.
func (o Overlay) over(defaults Overlay) Overlay {
	out := o
	out.Inherited = nil
	inherit := func(part string, own, given bool) bool {
		if given && !own {
			out.Inherited = append(out.Inherited, part)
		}
		return given && !own
	}
	if inherit("config_instance", o.ConfigInstance != "", defaults.ConfigInstance != "") {
		out.ConfigInstance = defaults.ConfigInstance
	}
	if inherit("schedule", o.Schedule != "", defaults.Schedule != "") {
		out.Schedule = defaults.Schedule
	}
	if inherit("run_as", o.RunAs != RunAs{}, defaults.RunAs != RunAs{}) {
		out.RunAs = defaults.RunAs
	}
	if inherit("libraries.pypi", o.Libraries.PyPI != "", defaults.Libraries.PyPI != "") {
		out.Libraries.PyPI = defaults.Libraries.PyPI
	}
	if inherit("libraries.maven", o.Libraries.Maven != "", defaults.Libraries.Maven != "") {
		out.Libraries.Maven = defaults.Libraries.Maven
	}
	out.Tags = layer(o.Tags, defaults.Tags, "tags.", inherit)
	out.Parameters = layer(o.Parameters, defaults.Parameters, "parameters.", inherit)
	out.Notifications = layer(o.Notifications, defaults.Notifications, "notifications.", inherit)

	own := map[string]bool{}
	for _, c := range o.JobClusters {
		own[c.Key] = true
	}
	for _, c := range defaults.JobClusters {
		inherit("job_clusters."+c.Key, own[c.Key], true)
	}
	out.JobClusters = slices.Concat(defaults.JobClusters, o.JobClusters)
	out.Patch = slices.Concat(defaults.Patch, o.Patch)
	for _, p := range defaults.Patch {
		inherit("patch."+p.Jobs, slices.ContainsFunc(o.Patch, func(q Patch) bool { return q.Jobs == p.Jobs }), true)
	}
	if out.Notifications != nil {
		out.Notifications = maps.Clone(out.Notifications)
		maps.DeleteFunc(out.Notifications, func(_ string, addresses []string) bool { return len(addresses) == 0 })
	}
	slices.Sort(out.Inherited)
	return out
}

// layer is own over the defaults; nil where neither is given.
func layer[V any](own, defaults map[string]V, part string, inherit func(string, bool, bool) bool) map[string]V {
	if defaults == nil {
		return own
	}
	out := maps.Clone(defaults)
	for name := range defaults {
		_, mine := own[name]
		inherit(part+name, mine, true)
	}
	maps.Copy(out, own)
	return out
}
