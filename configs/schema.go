package configs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// scope is one kind of mapping in the file: what it is called and which keys it may hold.
type scope struct {
	name string
	keys []string
}

var (
	fileScope       = scope{"the file", []string{"state", "include", "isolation", "fabrics", "projects", "policies", "deployments"}}
	includedScope   = scope{"an included file", []string{"fabrics", "projects", "policies", "deployments"}}
	hostsScope      = scope{"isolation at the top of the file", []string{"hosts"}}
	databricksScope = scope{"databricks", append([]string{"host", "requests_per_second", "managed_by"}, attributeNames...)}
	fabricScope     = scope{"a fabric", []string{"databricks", "prophecy_ids", "artifacts", "visibility", "guardrails", "defaults"}}
	guardrailsScope = scope{"guardrails", []string{"run_as", "principals", "policies", "tags", "max_workers", "forbid", "init_scripts", "least_interval", "continuous"}}
	defaultsScope   = scope{"defaults", []string{"policy", "mode", "follow", "overlay"}}
	projectScope    = scope{"a project", []string{"git", "path", "prophecy_id", "prophecy_url", "tags", "poll", "auth"}}
	authScope       = scope{"auth", []string{"username", "password", "ssh_key", "known_hosts"}}
	policyScope     = scope{"a policy", []string{"prune", "heal", "protect"}}
	pruneScope      = scope{"prune", []string{"max", "percent", "quarantine", "active_runs"}}
	deploymentScope = scope{"a deployment", []string{"project", "projects", "fabric", "fabrics", "except", "policy", "mode", "follow", "jobs", "moved", "protect", "restart", "isolation", "overlay"}}
	allowScope      = scope{"isolation of a deployment", []string{"allow"}}
	followScope     = scope{"follow", []string{"branch", "tag", "order"}}
	overlayScope    = scope{"overlay", []string{"config_instance", "schedule", "tags", "job_clusters", "parameters", "libraries", "notifications", "run_as", "patch"}}
	librariesScope  = scope{"libraries", []string{"pypi", "maven"}}
	eventsScope     = scope{"notifications", emailEvents}
	runAsScope      = scope{"run_as", []string{"user", "service_principal"}}

	scopes = []scope{fileScope, hostsScope, fabricScope, databricksScope, projectScope, authScope, policyScope, pruneScope, deploymentScope, defaultsScope,
		allowScope, followScope, overlayScope, librariesScope, eventsScope, runAsScope, guardrailsScope}
)

// unbuilt keys are designed and not there yet, wherever they stand. To accept one would be to promise
// what nobody keeps: a reader of `require: {approvals: 2}` believes that two people will be asked.
var unbuilt = []string{
	"after", "airflow", "hold", "listen", "require", "team", "teams", "window",
}

// value is a node with the way to it from the top of the file ("fabrics.qa.databricks.host").
type value struct {
	path string
	node ast.Node
	at   place
	key  place // of its key; the zero place in a list
}

// start is where a person would look for the value: at its key.
func (v value) start() place {
	if v.key != (place{}) {
		return v.key
	}
	return v.at
}

// mapping is a mapping whose keys were checked against a scope.
type mapping struct {
	l *loader
	value
	order  []string
	values map[string]value
	// flawed says that a key was refused. What seems to be missing may be that key, so missing keys
	// are not reported as well.
	flawed bool
}

// mapping checks the keys of v. With a nil scope the keys are names that the file chooses.
func (l *loader) mapping(v value, s *scope) (*mapping, bool) {
	all, ok := l.keys(v)
	if !ok {
		return nil, false
	}
	m := &mapping{l: l, value: v, values: make(map[string]value, len(all.order)), flawed: all.flawed}
	for _, name := range all.order {
		child := all.values[name]
		if s != nil && !slices.Contains(s.keys, name) {
			l.refuse(child.key, v.path, name, s)
			if s.name == databricksScope.name || s.name == authScope.name {
				child.hide()
			}
			m.flawed = true
			continue
		}
		if _, null := child.node.(*ast.NullNode); null {
			l.bad(child.key, "give it a value, or remove the key", "%s has no value", child.path)
			m.flawed = true
			continue
		}
		m.order = append(m.order, name)
		m.values[name] = child
	}
	return m, true
}

// keys reads a mapping of any keys, each of which is text and stands there once.
func (l *loader) keys(v value) (*mapping, bool) {
	node, ok := v.node.(ast.MapNode)
	if !ok {
		l.bad(v.at, "write it as key: value, a line each", "%s wants a mapping, not %s", v.path, kind(v.node))
		return nil, false
	}
	m := &mapping{l: l, value: v, values: map[string]value{}}
	for it := node.MapRange(); it.Next(); {
		key, ok := it.Key().(*ast.StringNode)
		at := v.at.in.placeOf(it.Key().GetToken())
		if !ok {
			l.bad(at, "put quotes around the key", "a key in %s must be text", v.path)
			m.flawed = true
			continue
		}
		name := key.Value
		child := value{path: join(v.path, name), node: it.Value(), at: placeOfNode(it.Value(), at), key: at}
		if first, twice := m.values[name]; twice {
			l.bad(at, "keep one of them", "%s stands twice in %s; the first is on line %d", quoted(name), v.path, first.key.line)
			m.flawed = true
			continue
		}
		m.order = append(m.order, name)
		m.values[name] = child
	}
	return m, true
}

// refuse says why a key is not one of the scope's.
func (l *loader) refuse(at place, path, name string, s *scope) {
	if slices.Contains(unbuilt, name) {
		l.bad(at, "remove the key: nothing is accepted and ignored", "%q in %s is not built yet", name, path)
		return
	}
	for _, other := range scopes {
		if slices.Contains(other.keys, name) {
			owner := other.name
			if other.name == fileScope.name {
				owner = "the file that includes this one" // only there another scope has none of its own
			}
			l.bad(at, "move it there, or remove it", "%q does not belong in %s; it is a key of %s", name, path, owner)
			return
		}
	}
	meant := ""
	if near := nearest(name, s.keys); near != "" {
		meant = fmt.Sprintf("; did you mean %q?", near)
	}
	l.bad(at, "the keys of "+s.name+" are "+strings.Join(s.keys, ", "), "unknown key %s in %s%s", quoted(name), path, meant)
}

// need reports keys that are missing.
func (m *mapping) need(next string, keys ...string) {
	if m.flawed {
		return
	}
	for _, k := range keys {
		if _, ok := m.values[k]; !ok {
			m.l.bad(m.start(), next, "%s has no %s", m.path, k)
		}
	}
}

func (m *mapping) has(key string) bool { _, ok := m.values[key]; return ok }

// list returns the elements of a list that holds at least one.
func (l *loader) list(v value, empty bool) ([]value, bool) {
	node, ok := v.node.(*ast.SequenceNode)
	if !ok {
		l.bad(v.at, "write it as [a, b], or with a dash before each", "%s wants a list, not %s", v.path, kind(v.node))
		return nil, false
	}
	if len(node.Values) == 0 && !empty {
		l.bad(v.at, "list something, or remove the key", "%s is an empty list", v.path)
		return nil, false
	}
	out := make([]value, 0, len(node.Values))
	for _, child := range v.elements(node) {
		if _, null := child.node.(*ast.NullNode); null {
			l.bad(child.at, "give it a value, or remove the dash", "%s has no value", child.path)
			continue
		}
		out = append(out, child)
	}
	return out, true
}

// elements are the values of the list that v is.
func (v value) elements(node *ast.SequenceNode) []value {
	out := make([]value, 0, len(node.Values))
	for i, n := range node.Values {
		dash := v.at
		if i < len(node.Entries) && node.Entries[i].Start != nil {
			dash = v.at.in.placeOf(node.Entries[i].Start)
		}
		out = append(out, value{path: fmt.Sprintf("%s[%d]", v.path, i), node: n, at: placeOfNode(n, dash)})
	}
	return out
}

// placeOfNode is where a person would say that a node begins. The token of a mapping in block style is
// its first colon.
func placeOfNode(n ast.Node, parent place) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return parent.in.placeOf(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return parent.in.placeOf(n.Key.GetToken())
	case *ast.NullNode:
		return parent
	}
	if n == nil || n.GetToken() == nil {
		return parent
	}
	return parent.in.placeOf(n.GetToken())
}

func join(path, key string) string {
	if !namePattern.MatchString(key) {
		key = quoted(key)
	}
	if path == fileScope.name || path == includedScope.name {
		return key
	}
	return path + "." + key
}

// nearest is the known key that is at most two typing mistakes away.
func nearest(name string, keys []string) string {
	if len(name) > 40 {
		return ""
	}
	best, least := "", min(3, 1+(len(name)+1)/2)
	for _, k := range keys {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the single-byte insertions, deletions and replacements between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
