package configs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// maxCredential is the largest credential file that is read, in bytes. systemd's own limit is 1 MiB for
// all credentials of a unit.
const maxCredential = 1 << 20

var (
	reference      = regexp.MustCompile(`\$\{[^}]*\}?`)
	credentialName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}$`)
	envName        = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// text is a scalar of the file after ${...} was filled in.
type text struct {
	value
	text string // what it means
	raw  string // what the file says; the only one of the two that may be printed
}

func (t text) quoted() string { return quoted(t.raw) }

// text returns the text under a key, with environment variables filled in. A credential is refused: where
// it isn't a secret, it would be printed in plans and kept in the ledger.
func (m *mapping) text(key string) (text, bool) {
	v, ok := m.values[key]
	if !ok {
		return text{}, false
	}
	return m.l.text(v, false)
}

func (l *loader) text(v value, credentials bool) (text, bool) {
	raw, ok := l.raw(v)
	if !ok {
		return text{}, false
	}
	into := intoText
	if credentials {
		into = intoLogin
	}
	expanded, ok := l.expand(v, raw, into)
	if !ok {
		return text{}, false
	}
	return text{value: v, text: expanded, raw: raw}, true
}

// raw returns the text of a scalar as the file says it.
func (l *loader) raw(v value) (string, bool) {
	var s string
	switch n := v.node.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		l.bad(v.at, "write one value", "%s wants text, not %s", v.path, kind(v.node))
		return "", false
	default:
		l.bad(v.at, "put quotes around it", "%s wants text, not %s", v.path, kind(v.node))
		return "", false
	}
	if strings.TrimSpace(s) == "" {
		l.bad(v.at, "give it a value, or remove the key", "%s is empty", v.path)
		return "", false
	}
	return s, true
}

// into says what becomes of a text, and so what may be filled in.
type into int

const (
	intoText  into = iota // printed in plans and kept in the ledger
	intoLogin             // kept as a Secret
	intoJob               // part of the definition of a job
)

// expand fills in every ${credential:NAME} and ${env:NAME}. What it put in is never in a message.
func (l *loader) expand(v value, raw string, into into) (string, bool) {
	ok := true
	forms := "write ${credential:NAME} or ${env:NAME}"
	if into == intoJob {
		forms = "write ${env:NAME}, or $${ for a ${ of the job's own"
	}
	out := reference.ReplaceAllStringFunc(raw, func(ref string) string {
		kind, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}"), ":")
		var s string
		good := false
		switch {
		case !strings.HasSuffix(ref, "}"):
			l.bad(v.at, forms, "%s: a ${ that is never closed", v.path)
		case kind == "credential" && into == intoJob:
			l.bad(v.at, secretScope, "%s would put a credential into the definition of a job, where everybody who sees the job reads it", v.path)
		case kind == "credential" && into == intoText:
			l.bad(v.at, "use ${env:NAME}, or write the value out", "%s would print a credential: credentials belong in databricks and auth", v.path)
		case kind == "credential" && credentialName.MatchString(name):
			s, good = l.credential(v, name)
		case kind == "env" && envName.MatchString(name):
			s, good = l.env(v, name)
		case kind == "credential" || kind == "env":
			l.bad(v.at, "names are letters, digits and _ (credentials also . @ -)", "%s: %s is not a name of a %s", v.path, quoted(name), map[string]string{"env": "variable", "credential": "credential"}[kind])
		default:
			l.bad(v.at, forms, "%s: %s is neither a credential nor a variable", v.path, quoted(ref))
		}
		ok = ok && good
		return s
	})
	return out, ok
}

func (l *loader) env(v value, name string) (string, bool) {
	s := l.options.Getenv(name)
	if s == "" {
		l.bad(v.at, "set "+name+" for this process; for the service, in its unit file", "%s: the environment variable %s is not set", v.path, name)
		return "", false
	}
	return s, true
}

// credential is one credential that was looked up, with what was wrong with it.
type credential struct {
	text, message, next string
}

func (l *loader) credential(v value, name string) (string, bool) {
	c, ok := l.credentials[name]
	if !ok {
		c = readCredential(l.options.Credentials, name)
		l.credentials[name] = c
	}
	if c.message != "" {
		l.bad(v.at, c.next, "%s: credential %s: %s", v.path, name, c.message)
		return "", false
	}
	return c.text, true
}

// readCredential reads a credential; a newline at its end, which editors and echo leave, is not part of it.
func readCredential(dir, name string) credential {
	if dir == "" {
		return credential{message: "there is no folder of credentials",
			next: "name one with --credentials DIR; for the service, add LoadCredential=" + name + ":/path to its unit file"}
	}
	path := filepath.Join(dir, name)
	data, err := readRegular(path, maxCredential)
	var tooLarge *tooLargeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return credential{message: "there is no file " + path,
			next: "put the secret there; for the service, add LoadCredential=" + name + ":/path to its unit file"}
	case errors.As(err, &tooLarge):
		return credential{message: path + " is larger than 1 MiB", next: "check that this is the right file"}
	case err != nil:
		return credential{message: path + " can't be read: " + reason(err), next: "check its owner and mode, and those of its folders"}
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case strings.TrimSpace(s) == "":
		return credential{message: path + " is empty", next: "put the secret there"}
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return credential{message: path + " does not hold text", next: "put the secret there as text"}
	}
	return credential{text: s}
}

// secret returns the secret under a key. It must be made of references alone: no part of a secret stands
// in the file. Only a secret of many lines may hold a line break.
func (m *mapping) secret(key string, lines bool) (Secret, bool) {
	v, ok := m.values[key]
	if !ok {
		return Secret{}, false
	}
	l := m.l
	literal := false
	var raw string
	switch v.node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode, *ast.BoolNode:
		literal = true
	default:
		if raw, ok = l.raw(v); !ok {
			v.hide()
			return Secret{}, false
		}
		raw = strings.TrimSpace(raw)
		literal = reference.ReplaceAllString(raw, "") != ""
	}
	if literal {
		v.hide()
		l.bad(v.at, "write ${credential:NAME} and put the secret into the credential of that name; replace the secret, since it stood here", "%s: a secret stands in the file", v.path)
		return Secret{}, false
	}
	s, ok := l.expand(v, raw, intoLogin)
	if !ok {
		return Secret{}, false
	}
	if !lines && strings.ContainsFunc(s, unicode.IsControl) {
		l.bad(v.at, "store it as one line", "%s: the value of %s holds a line break or another control character", v.path, raw)
		return Secret{}, false
	}
	return secretFrom(s, raw), true
}
