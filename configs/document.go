package configs

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxDepth is how deep the settings that an overlay merges may be nested.
const maxDepth = 16

// jsonNumber is a number as JSON writes it, with as many digits as a setting can mean.
var jsonNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?$`)

// anyNumber is what other readers take for a number.
var anyNumber = regexp.MustCompile(`^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$`)

// otherWords are what YAML 1.1 calls true and false and YAML 1.2 calls text.
var otherWords = []string{"yes", "no", "on", "off", "y", "n"}

// document decodes settings of a job: any YAML that JSON has a form for, as encoding/json with UseNumber
// decodes it: map[string]any, []any, string, bool, json.Number with the digits of the file, and nil.
func (l *loader) document(v value, depth int) (any, bool) {
	if depth > maxDepth {
		l.bad(v.start(), "flatten it", "%s is nested deeper than %d levels", v.path, maxDepth)
		return nil, false
	}
	switch n := v.node.(type) {
	case ast.MapNode:
		return l.object(v, depth)
	case *ast.SequenceNode:
		return l.array(v, n, depth)
	case *ast.StringNode:
		if n.GetToken().Type == token.StringType {
			switch s := n.Value; {
			case jsonNumber.MatchString(s):
				return json.Number(s), true // too large for what reads YAML, or with an exponent
			case anyNumber.MatchString(s):
				return nil, l.notNumber(v, s)
			case slices.Contains(otherWords, strings.ToLower(s)):
				l.bad(v.at, "write true or false, or put quotes around it if it is text", "%s: %s is text in one YAML and true or false in another", v.path, s)
				return nil, false
			}
		}
		return l.jobText(v)
	case *ast.LiteralNode:
		return l.jobText(v)
	case *ast.IntegerNode, *ast.FloatNode:
		s := n.GetToken().Value
		if !jsonNumber.MatchString(s) {
			return nil, l.notNumber(v, s)
		}
		return json.Number(s), true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.NullNode:
		if n.GetToken().Type == token.ImplicitNullType {
			l.bad(v.start(), "give it a value, or write null to remove the field", "%s has no value", v.path)
			return nil, false
		}
		return nil, true
	}
	l.bad(v.at, "write a number, or put quotes around it if it is text", "%s: JSON has no form for it", v.path)
	return nil, false
}

func (l *loader) notNumber(v value, s string) bool {
	l.bad(v.at, "write it in plain digits, or put quotes around it if it is text", "%s: %s is not a number as JSON writes it", v.path, quoted(s))
	return false
}

func (l *loader) object(v value, depth int) (map[string]any, bool) {
	m, ok := l.keys(v)
	if !ok {
		return nil, false
	}
	return l.fields(m, depth)
}

// fields decodes the values of m.
func (l *loader) fields(m *mapping, depth int) (map[string]any, bool) {
	out, whole := make(map[string]any, len(m.order)), !m.flawed
	for _, name := range m.order {
		child := m.values[name]
		switch {
		case strings.Contains(name, "${"):
			l.bad(child.key, "write the key out", "%s: a reference can't be a key", m.path)
			whole = false
		case name == "" || !utf8.ValidString(name):
			l.bad(child.key, "name the field", "%s holds a key that is no name", m.path)
			whole = false
		}
		x, ok := l.document(child, depth+1)
		whole = whole && ok
		out[name] = x
	}
	return out, whole
}

func (l *loader) array(v value, n *ast.SequenceNode, depth int) ([]any, bool) {
	out, whole := make([]any, 0, len(n.Values)), true
	for _, child := range v.elements(n) {
		x, ok := l.document(child, depth+1)
		whole = whole && ok
		out = append(out, x)
	}
	return out, whole
}

const secretScope = "keep it in a secret scope of the workspace, and write {{secrets/SCOPE/NAME}} where the API takes that"

// jobText is text that goes into a job: with environment variables filled in, and ${ where the file says $${,
// for what the job itself is to fill in.
func (l *loader) jobText(v value) (string, bool) {
	var raw string
	switch n := v.node.(type) {
	case *ast.StringNode:
		raw = n.Value
	case *ast.LiteralNode:
		raw = n.Value.Value
	default:
		_, ok := l.raw(v) // which says what it is instead
		return "", ok
	}
	switch {
	case !utf8.ValidString(raw):
		l.bad(v.at, "write it as text", "%s does not hold text", v.path)
		return "", false
	case typedToken.MatchString(raw):
		v.hide()
		l.bad(v.at, secretScope+"; replace the secret, since it stood here", "%s: a secret stands in the file", v.path)
		return "", false
	}
	parts, whole := strings.Split(raw, "$${"), true
	for i, part := range parts {
		s, ok := l.expand(v, part, intoJob)
		parts[i], whole = s, whole && ok
	}
	return strings.Join(parts, "${"), whole
}
