package configs

import (
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
)

// follow reads what a deployment follows. projectName may stand for the name of the project in it.
func (l *loader) follow(v value) Follow {
	m, ok := l.mapping(v, &followScope)
	if !ok {
		return Follow{}
	}
	var f Follow
	if t, ok := m.text("branch"); ok {
		f.Branch = t.text
		if why := notBranch(strings.ReplaceAll(t.text, projectName, "x")); why != "" {
			l.bad(t.at, "write the name of the branch alone, such as main", "%s: %s %s", t.path, t.quoted(), why)
		}
	}
	if t, ok := m.text("tag"); ok {
		f.Tag, f.Order = t.text, Semver
		t.text = strings.ReplaceAll(t.text, projectName, "x")
		l.tagPattern(t, projectName+" for the name of the project")
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

// tagPattern checks a pattern over tags. known says which braces are no alternatives, if there are any.
func (l *loader) tagPattern(t text, known string) {
	if why := notTag(t.text); why != "" {
		l.bad(t.at, "write a pattern such as Hello/*: * stands for any characters but /, ** for any; [ and { are closed by ] and }", "%s: %s %s", t.path, t.quoted(), why)
		return
	}
	if braces := lonelyBraces.FindStringSubmatch(t.text); braces != nil {
		if known != "" {
			known += ", "
		}
		l.bad(t.at, "write "+known+`{a,b} for one of several, or \{ for a brace in the name of a tag`, "%s: nothing is filled in for %s", t.path, quoted(braces[1]))
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
