package artifacts

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"selvage/configs"
)

// reason is why a job is blocked, without the field.
type reason struct {
	code configs.Code
	text string
}

var (
	// template is a template expression within a line, as in token: {{ TOKEN }}.
	template = regexp.MustCompile(`\{\{[^{}\n]*\}\}`)
	// reference is a template expression that stands for a value which is kept elsewhere. A default
	// value in it would be a secret itself.
	reference = regexp.MustCompile(`^\{\{-?\s*([A-Za-z_][A-Za-z0-9_.]*|(env_var|var)\(\s*('[^']*'|"[^"]*")\s*(,\s*(''|""|none|None)\s*)?\))\s*(\|\s*[a-z_]+\s*)*-?\}\}$`)
	// doubled is a text in single quotes within a YAML text in single quotes.
	doubled = regexp.MustCompile(`''([^']+)''`)
	// written is a secret wherever it stands: a workspace's token, a private key.
	written = regexp.MustCompile(`\bdapi[0-9a-f]{32}|-----BEGIN [A-Z ]*PRIVATE KEY`)
)

// profileProblems looks into a dbt profile for secrets that are written out, and returns what it found
// without their values. The tool writes token: {{ TOKEN }}, which is no YAML until the running script
// has filled it in, so template expressions are read as plain words.
func profileProblems(profile string) []reason {
	word := "template"
	for strings.Contains(profile, word) {
		word += "_"
	}
	p := profileReader{words: regexp.MustCompile(word + `([0-9]+)\.`)}
	top, err := parseYML("profile", []byte(template.ReplaceAllStringFunc(profile, func(e string) string {
		p.expressions = append(p.expressions, doubled.ReplaceAllString(strings.ReplaceAll(e, `\"`, `"`), "'$1'"))
		return fmt.Sprintf("%s%d.", word, len(p.expressions)-1)
	})))
	if err != nil {
		var yml *ymlError
		errors.As(err, &yml) // its sentence may quote the value, so only the line is said
		p.broken(yml.Line)
		return p.found
	}
	p.entries(top)
	return p.found
}

// profileReader reads one dbt profile.
type profileReader struct {
	words       *regexp.Regexp // the words that stand for expressions, with their number
	expressions []string       // in their order
	found       []reason
}

// replaced puts what with says of an expression in the place of its word.
func (p *profileReader) replaced(text string, with func(expression string) string) string {
	return p.words.ReplaceAllStringFunc(text, func(word string) string {
		n, err := strconv.Atoi(p.words.FindStringSubmatch(word)[1])
		if err != nil || n >= len(p.expressions) {
			return word
		}
		return with(p.expressions[n])
	})
}

func (p *profileReader) broken(line int) {
	text := "expected the YAML of a dbt profile, without anchors"
	if line > 0 {
		text = fmt.Sprintf("line %d: %s", line, text)
	}
	p.found = append(p.found, reason{configs.JobBroken, text})
}

func (p *profileReader) entries(entries []ymlEntry) {
	for _, e := range entries {
		p.value(e.key, e.value, e.line)
	}
}

// value looks at what stands under a key; a list is as many values.
func (p *profileReader) value(key string, n ast.Node, line int) {
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, v := range list.Values {
			p.value(key, v, line)
		}
		return
	}
	text, null, ok := scalar(n)
	switch {
	case ok && !null:
		_, flag := n.(*ast.BoolNode)
		if !flag && p.secret(key, text) {
			p.found = append(p.found, reason{configs.SecretInGit, fmt.Sprintf("line %d: the value of %q is written out; expected a reference, as {{ TOKEN }} or {{ env_var('NAME') }}",
				line, shorten(p.replaced(key, func(e string) string { return e })))})
		}
	case !ok:
		entries, ok := mapping(n)
		if !ok {
			p.broken(line)
			return
		}
		p.entries(entries)
	}
}

// secret reports whether text, the value of a key, is a secret and not a reference to one.
func (p *profileReader) secret(key, text string) bool {
	if written.MatchString(text) {
		return true
	}
	if !secretKey(key) {
		return false
	}
	return strings.TrimSpace(p.replaced(text, func(e string) string {
		if reference.MatchString(e) {
			return ""
		}
		return e
	})) != ""
}

// secretKey reports whether a key of a dbt profile holds a secret: token, password, client_secret.
// Those that only say where or of what kind it is do not: token_uri, private_key_path.
func secretKey(key string) bool {
	key = strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || c == ' ' || c == '.' {
			return -1
		}
		return c
	}, strings.ToLower(key))
	for _, end := range []string{"url", "uri", "path", "file", "type", "endpoint", "scope", "name", "id", "method", "seconds", "lifetime", "expiry"} {
		if strings.HasSuffix(key, end) {
			return false
		}
	}
	for _, part := range []string{"token", "password", "passwd", "passphrase", "secret", "credential", "privatekey", "apikey", "accesskey"} {
		if strings.Contains(key, part) {
			return true
		}
	}
	return key == "pass" || key == "pwd"
}
