package configs

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// namePattern is a name that the file chooses: of a fabric, a project or a policy. Both halves of a
// deployment's name fit it, so project@fabric never needs quotes, in a shell or in a path.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// config reads the file and those that it includes.
func (l *loader) config(main value) *Config {
	m, ok := l.mapping(main, &fileScope)
	if !ok {
		return nil
	}
	c := &Config{File: l.sources[0].file, State: l.state(m), Policies: map[string]*Policy{DefaultPolicy: defaultPolicy(DefaultPolicy)}}
	c.Isolation = l.isolation(m)
	included, ok := l.include(m)
	if !ok {
		return nil // what the other files say is not known
	}
	tops := append([]*mapping{m}, included...)
	c.Fabrics = named(l, tops, "fabrics", l.fabric)
	c.Projects = named(l, tops, "projects", l.project)
	l.projects()
	for name, p := range named(l, tops, "policies", l.policy) {
		c.Policies[name] = p
	}
	l.fabricDefaults(c)
	c.Deployments = l.deployments(tops, c)
	for _, s := range l.sources {
		c.Files = append(c.Files, absolute(s.file))
	}
	return c
}

func (l *loader) state(m *mapping) string {
	if m.has("state") {
		t, ok := m.text("state")
		if !ok {
			return ""
		}
		return l.path(t)
	}
	dir := l.options.Getenv("STATE_DIRECTORY")
	const next = "add state: /var/lib/selvage; for the service, StateDirectory=selvage in its unit file does it too"
	switch {
	case dir == "" && !m.flawed:
		l.bad(place{}, next, "the file has no state, and $STATE_DIRECTORY is not set")
	case strings.Contains(dir, ":"):
		l.bad(place{}, next, "the file has no state, and $STATE_DIRECTORY names several folders")
	}
	return m.at.in.resolve(dir)
}

// named decodes a mapping of names that several files may say a part of, each by read. A name whose value is
// wrong stays in the result as nil, and a mapping that can't be read is nil, so that what refers to it isn't
// reported as dangling too.
func named[T any](l *loader, tops []*mapping, key string, read func(name string, v value) *T) map[string]*T {
	out, first, whole := map[string]*T{}, map[string]place{}, true
	for _, top := range tops {
		v, ok := top.values[key]
		if !ok {
			whole = whole && !top.flawed
			continue
		}
		names, ok := l.mapping(v, nil)
		if !ok {
			whole = false
			continue
		}
		for _, name := range names.order {
			child := names.values[name]
			if at, twice := first[name]; twice {
				l.bad(child.key, "keep one of them", "%s is defined twice; the first is on %s", child.path, at.from(child.key))
				continue
			}
			first[name] = child.key
			if !namePattern.MatchString(name) {
				l.bad(child.key, "use at most 63 of a-z, 0-9, _ and -, with a letter or digit first", "%s is not a name for one of %s", quoted(name), key)
				out[name] = nil
				continue
			}
			out[name] = read(name, child)
		}
	}
	if !whole {
		return nil
	}
	return out
}

// from is where p is, seen from another place: its line, and its file where that is another one.
func (p place) from(other place) string {
	if p.in == other.in {
		return "line " + strconv.Itoa(p.line)
	}
	return fmt.Sprintf("line %d of %s", p.line, p.in.file)
}

func (l *loader) fabric(name string, v value) *Fabric {
	m, ok := l.mapping(v, &fabricScope)
	if !ok {
		return nil
	}
	m.need("add databricks: {host: ..., token: ...}", "databricks")
	f := &Fabric{Name: name, Visibility: SeesAll}
	if d, ok := m.values["databricks"]; ok {
		f.Databricks = l.databricks(d)
	}
	if v, ok := m.values["defaults"]; ok {
		l.defaultsOf[name] = v
	}
	if t, ok := m.text("visibility"); ok {
		f.Visibility = Visibility(l.oneOf(t, string(SeesAll), string(SeesOwn)))
	}
	if v, ok := m.values["guardrails"]; ok {
		f.Guardrails = l.guardrails(v)
	}
	whole := true
	if v, ok := m.values["prophecy_ids"]; ok {
		f.ProphecyIDs, whole = l.ids(v)
	}
	if t, ok := m.text("artifacts"); ok {
		f.Artifacts = t.text
		parts := strings.Split(t.text, "/")
		switch {
		case path.Clean(t.text) != t.text || strings.ContainsFunc(t.text, unicode.IsControl):
			l.bad(t.at, "write it without . and .. and without a slash at its end", "%s: %s is not a clean path", t.path, t.quoted())
		case len(parts) >= 5 && parts[0] == "" && parts[1] == "Volumes", len(parts) >= 3 && parts[0] == "" && parts[1] == "Workspace":
		default:
			l.bad(t.at, "write /Volumes/CATALOG/SCHEMA/VOLUME, with a folder or without, or /Workspace/FOLDER", "%s: %s is neither in a volume nor in the workspace", t.path, t.quoted())
		}
	}
	if !whole || m.flawed {
		return nil // which jobs it stands for is not known
	}
	return f
}

var (
	digits     = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,18})$`)
	prophecyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// id reads an id of the authoring tool, a number or text; it is compared as text.
func (l *loader) id(v value) (string, bool) {
	if n, ok := v.node.(*ast.IntegerNode); ok {
		if s := n.GetToken().Value; digits.MatchString(s) {
			return s, true
		}
		l.bad(v.at, "write it as committed jobs have it, such as 1174", "%s is not an id", v.path)
		return "", false
	}
	t, ok := l.text(v, false)
	if ok && !prophecyID.MatchString(t.text) {
		l.bad(v.at, "write it as committed jobs have it, such as 1174", "%s: %s is not an id", v.path, t.quoted())
		return "", false
	}
	return t.text, ok
}

func (l *loader) ids(v value) ([]string, bool) {
	list, whole := l.list(v, false)
	var ids []string
	seen := map[string]bool{}
	for _, v := range list {
		id, ok := l.id(v)
		if !ok {
			whole = false
			continue
		}
		if seen[id] {
			l.bad(v.at, "keep one of them", "%s stands twice in the list", v.path)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids, whole
}

func (l *loader) project(name string, v value) *Project {
	m, ok := l.mapping(v, &projectScope)
	if !ok {
		return nil
	}
	m.need("add git: https://HOST/PATH", "git")
	p := &Project{Name: name, Poll: DefaultPoll}
	var how transport
	good := false
	if t, ok := m.text("git"); ok {
		p.Git = t.text
		how, good = l.gitURL(t)
	}
	p.Auth = l.auth(m, how, good)
	if t, ok := m.text("path"); ok {
		p.Path = path.Clean(t.text)
		if notFolder(t.text) {
			l.bad(t.at, "write the folder of pbt_project.yml with slashes, as in: teams/sales", "%s: %s is not a folder in the repository", t.path, t.quoted())
		}
	}
	marked := marks{project: p, at: v}
	if v, ok := m.values["prophecy_id"]; ok {
		p.ProphecyID, _ = l.id(v)
		marked.id = v
	}
	if v, ok := m.values["tags"]; ok {
		marked.tags = l.releaseTags(v)
		for _, t := range marked.tags {
			p.Tags = append(p.Tags, t.text)
		}
	}
	l.marks = append(l.marks, marked)
	if t, ok := m.text("prophecy_url"); ok {
		p.ProphecyURL, _ = l.origin(t)
	}
	if v, ok := m.values["poll"]; ok {
		p.Poll = l.duration(v, MinPoll)
	}
	return p
}

// notFolder reports what is not a folder inside a repository.
func notFolder(name string) bool {
	clean := path.Clean(name)
	return path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(name, `\`) || strings.ContainsFunc(name, unicode.IsControl)
}

func (l *loader) duration(v value, least time.Duration) time.Duration {
	if _, ok := v.node.(*ast.IntegerNode); ok {
		l.bad(v.at, "write it with its unit, such as 30s, 5m or 1h", "%s has no unit", v.path)
		return 0
	}
	t, ok := l.text(v, false)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(t.text)
	switch {
	case err != nil:
		l.bad(v.at, "write it as 30s, 5m or 1h", "%s: %s is not a duration", v.path, t.quoted())
	case d < least:
		l.bad(v.at, "write "+least.String()+" or more", "%s: %s is too short", v.path, t.quoted())
	}
	return d
}

func (l *loader) policy(name string, v value) *Policy {
	m, ok := l.mapping(v, &policyScope)
	if !ok {
		return nil
	}
	if name == DefaultPolicy {
		l.bad(v.key, "name it otherwise, and give the deployments that want it policy: NAME", "%q is the name of the built-in policy", name)
	}
	p := defaultPolicy(name)
	if v, ok := m.values["heal"]; ok {
		p.Heal, p.HealSaid = l.boolean(v)
	}
	if v, ok := m.values["prune"]; ok {
		l.prune(v, &p.Prune)
	}
	if v, ok := m.values["protect"]; ok {
		p.Protect = l.jobs(v)
	}
	return p
}

func (l *loader) boolean(v value) (bool, bool) {
	n, ok := v.node.(*ast.BoolNode)
	if !ok {
		l.bad(v.at, "write true or false, without quotes", "%s wants true or false, not %s", v.path, kind(v.node))
		return false, false
	}
	return n.Value, true
}

// integer reads a whole number from 0 to most.
func (l *loader) integer(v value, most int) int {
	if _, ok := v.node.(*ast.IntegerNode); ok {
		if s := v.node.GetToken().Value; digits.MatchString(s) {
			if n, err := strconv.Atoi(s); err == nil && n <= most {
				return n
			}
		}
	}
	l.bad(v.at, "write a whole number from 0 to "+strconv.Itoa(most), "%s wants a whole number from 0 to %d", v.path, most)
	return 0
}

var decimal = regexp.MustCompile(`^[0-9]{1,4}(?:\.[0-9]{1,6})?$`)

func (l *loader) rate(v value) float64 {
	const most = 1000
	switch v.node.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		if s := v.node.GetToken().Value; decimal.MatchString(s) {
			if f, err := strconv.ParseFloat(s, 64); err == nil && f > 0 && f <= most {
				return f
			}
		}
	}
	l.bad(v.at, "write such as 10 or 0.5", "%s wants a number above 0 and up to %d", v.path, most)
	return 0
}
