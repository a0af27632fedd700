package configs

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
)

// deployments reads the list. The key must be there even when the list is empty: half of a file that lost
// its end would otherwise read as "deploy nothing any more".
func (l *loader) deployments(m *mapping, c *Config) []*Deployment {
	v, ok := m.values["deployments"]
	if !ok {
		if !m.flawed {
			l.bad(place{}, "list them, or write deployments: [] to have none", "the file has no deployments")
		}
		return nil
	}
	list, ok := l.list(v, true)
	if !ok {
		return nil
	}
	var out []*Deployment
	lines := map[string]int{}
	for _, v := range list {
		d := l.deployment(v, c)
		if d == nil {
			continue
		}
		if line, twice := lines[d.Name()]; twice {
			l.bad(v.at, "keep one of them: a deployment is one project on one fabric", "%s stands twice; the first is on line %d", d.Name(), line)
			continue
		}
		lines[d.Name()] = v.at.line
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *Deployment) int { return cmp.Compare(a.Name(), b.Name()) })
	return out
}

// deployment returns nil where the deployment can't even be named.
func (l *loader) deployment(v value, c *Config) *Deployment {
	m, ok := l.mapping(v, &deploymentScope)
	if !ok {
		return nil
	}
	m.need("add it: a deployment needs project, fabric and follow", "project", "fabric", "follow")
	d := &Deployment{Mode: Observe, Policy: c.Policies[DefaultPolicy]}
	d.Project = lookup(m, "project", c.Projects)
	d.Fabric = lookup(m, "fabric", c.Fabrics)
	if m.has("policy") {
		d.Policy = lookup(m, "policy", c.Policies)
	}
	if t, ok := m.text("mode"); ok {
		d.Mode = Mode(l.oneOf(t, string(Observe), string(Apply)))
	}
	if v, ok := m.values["follow"]; ok {
		d.Follow = l.follow(v)
	}
	if v, ok := m.values["jobs"]; ok {
		d.Jobs = l.jobs(v)
	} else if d.Fabric != nil && len(d.Fabric.ProphecyIDs) == 0 && !m.flawed {
		l.bad(m.at, "give the fabric prophecy_ids, or the deployment jobs: [\"jobs/*\"]", "%s selects no job: it has no jobs, and fabric %s has no prophecy_ids", m.path, d.Fabric.Name)
	}
	if v, ok := m.values["overlay"]; ok {
		d.Overlay = l.overlay(v)
	}
	if d.Project == nil || d.Fabric == nil {
		return nil
	}
	return d
}

// lookup looks up the thing that a key names. It is nil when the name dangles, and when what it names
// is itself wrong.
func lookup[T any](m *mapping, key string, among map[string]*T) *T {
	t, ok := m.text(key)
	if !ok {
		return nil
	}
	found, ok := among[t.text]
	if !ok && among != nil {
		names := make([]string, 0, len(among))
		for name := range among {
			if namePattern.MatchString(name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		next := "add it to the file"
		switch near := nearest(t.raw, names); {
		case near != "":
			next = "did you mean " + near + "?"
		case len(names) > 0 && len(names) <= 10:
			next = "write one of " + strings.Join(names, ", ") + ", or add it to the file"
		}
		m.l.bad(t.at, next, "%s: there is no %s %s", t.path, key, t.quoted())
	}
	return found
}

func (l *loader) oneOf(t text, words ...string) string {
	if !slices.Contains(words, t.text) {
		l.bad(t.at, "write "+strings.Join(words, " or "), "%s: %s is not one of %s", t.path, t.quoted(), strings.Join(words, ", "))
	}
	return t.text
}

func (l *loader) follow(v value) Follow {
	m, ok := l.mapping(v, &followScope)
	if !ok {
		return Follow{}
	}
	var f Follow
	if t, ok := m.text("branch"); ok {
		f.Branch = t.text
		if why := notBranch(t.text); why != "" {
			l.bad(t.at, "write the name of the branch alone, such as main", "%s: %s %s", t.path, t.quoted(), why)
		}
	}
	if t, ok := m.text("tag"); ok {
		f.Tag, f.Order = t.text, Semver
		l.tagPattern(t)
	}
	if t, ok := m.text("order"); ok {
		f.Order = Order(l.oneOf(t, string(Semver), string(Tagged)))
	}
	switch {
	case m.flawed:
	case m.has("branch") && m.has("tag"):
		l.bad(m.values["tag"].key, "keep one: a branch deploys its head, tags deploy releases", "%s names a branch and a tag", m.path)
	case !m.has("branch") && !m.has("tag"):
		l.bad(m.start(), `add branch: main, or tag: "NAME/*"`, "%s names neither a branch nor a tag", m.path)
	case m.has("branch") && m.has("order"):
		l.bad(m.values["order"].key, "remove it: a branch has one head", "%s.order orders tags, and this follows a branch", m.path)
	}
	return f
}

func (l *loader) tagPattern(t text) {
	if why := notTag(t.text); why != "" {
		l.bad(t.at, "write a pattern such as Hello/*: * stands for any characters but /, ** for any; [ and { are closed by ] and }", "%s: %s %s", t.path, t.quoted(), why)
	}
}

// notTag says why a text is not a pattern over the names of tags, or nothing.
func notTag(pattern string) string {
	switch {
	case strings.HasPrefix(pattern, "refs/"):
		return "is a ref, not the name of a tag"
	case strings.ContainsFunc(pattern, notPlain) || strings.ContainsAny(pattern, "~^:"):
		return "holds a character that no tag has"
	case !doublestar.ValidatePattern(pattern):
		return "is not a pattern"
	}
	return ""
}

func (l *loader) jobs(v value) []string {
	list, _ := l.list(v, false)
	var globs []string
	for _, v := range list {
		t, ok := l.text(v, false)
		if !ok {
			continue
		}
		switch {
		case !doublestar.ValidatePattern(t.text) || strings.ContainsFunc(t.text, unicode.IsControl):
			l.bad(t.at, `* stands for any characters but /, ** for any; [ and { are closed by ] and }`, "%s: %s is not a pattern", t.path, t.quoted())
		case !strings.HasPrefix(t.text, "jobs/"):
			l.bad(t.at, "write jobs/ before it", "%s: %s matches no job; their names begin with jobs/", t.path, t.quoted())
		case slices.Contains(globs, t.text):
			l.bad(t.at, "keep one of them", "%s stands twice in the list", t.path)
		}
		globs = append(globs, t.text)
	}
	return globs
}

// Tags become tags of the clusters' machines too, so only what every cloud takes is allowed: the rules
// of Google Cloud, which the others include.
var (
	tagText      = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	instanceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
)

const (
	maxTags = 25 // of a Databricks job
	ownTags = "selvage"
)

func (l *loader) overlay(v value) Overlay {
	m, ok := l.mapping(v, &overlayScope)
	if !ok {
		return Overlay{}
	}
	var o Overlay
	if t, ok := m.text("config_instance"); ok {
		o.ConfigInstance = t.text
		if !instanceName.MatchString(t.text) {
			l.bad(t.at, "write the name of a configuration of the pipelines, such as prod", "%s: %s is not the name of a configuration", t.path, t.quoted())
		}
	}
	if t, ok := m.text("schedule"); ok {
		o.Schedule = l.oneOf(t, "keep", "enabled", "paused")
	}
	v, ok = m.values["tags"]
	if !ok {
		return o
	}
	tags, ok := l.mapping(v, nil)
	if !ok {
		return o
	}
	if len(tags.order) > maxTags {
		l.bad(v.at, "remove some", "%s: %d tags, and a job takes %d", v.path, len(tags.order), maxTags)
	}
	o.Tags = map[string]string{}
	const next = "use at most 63 letters, digits, _, . and -, with a letter or digit first and last"
	for _, name := range tags.order {
		child := tags.values[name]
		switch {
		case !tagText.MatchString(name):
			l.bad(child.key, next, "%s: not every cloud takes the tag %s", v.path, quoted(name))
		case strings.HasPrefix(strings.ToLower(name), ownTags):
			l.bad(child.key, "name it otherwise", "%s: tags that begin with %s mark what selvage owns", v.path, ownTags)
		}
		if t, ok := l.text(child, false); ok {
			if !tagText.MatchString(t.text) {
				l.bad(child.at, next, "%s: not every cloud takes the value %s", child.path, t.quoted())
			}
			o.Tags[name] = t.text
		}
	}
	return o
}

// notBranch says why git would not take a name for a branch (git-check-ref-format), or nothing.
func notBranch(name string) string {
	switch {
	case strings.HasPrefix(name, "refs/"):
		return "is a ref, not the name of a branch"
	case strings.ContainsFunc(name, notPlain) || strings.ContainsAny(name, `~^:?*[\`):
		return "holds a character that no branch has"
	case strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.Contains(name, "//") || strings.Contains(name, "/."),
		strings.HasPrefix(name, "-") || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "."),
		strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, ".lock") || strings.Contains(name, ".lock/"),
		name == "@" || name == "HEAD":
		return "is not the name of a branch"
	}
	return ""
}

// notPlain reports spaces and control characters.
func notPlain(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
