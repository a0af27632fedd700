package gitwatch

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRefName is the longest ref name that we take, in bytes. A file name on Linux ends at 255, and
// a ref that git itself could not store is not a ref that anyone made in good faith.
const maxRefName = 1024

// oddRefName says what is odd about the full name of a ref, or "" if git would make such a ref
// itself. The rules are those of git check-ref-format, and some more against names made to
// confuse a person or a program that reads them.
func oddRefName(name string) string {
	switch {
	case len(name) > maxRefName:
		return "is longer than " + strconv.Itoa(maxRefName) + " bytes"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsFunc(name, deceptive):
		return "holds a control character"
	case strings.ContainsAny(name, " ~^:?*[\\"):
		return "holds a character that git does not allow in a ref"
	case strings.Contains(name, ".."), strings.Contains(name, "@{"), name == "@":
		return "holds a sequence that git does not allow in a ref"
	case strings.HasSuffix(name, "."):
		return "ends with a dot"
	case !strings.HasPrefix(name, "refs/"):
		return "does not begin with refs/"
	case strings.Count(name, "/") < 2:
		return "has no name after its kind"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return "has an empty path element"
		case strings.HasPrefix(part, "."):
			return "has a path element that begins with a dot"
		case strings.HasPrefix(part, "-"):
			return "has a path element that begins with a dash"
		case strings.HasSuffix(part, ".lock"):
			return "has a path element that ends with .lock"
		case len(part) > 255:
			return "has a path element longer than 255 bytes"
		}
	}
	return ""
}

// deceptive tells whether a character is a control character or one that reorders the text around it.
func deceptive(c rune) bool {
	return unicode.IsControl(c) ||
		(c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f ||
		c == 0x2028 || c == 0x2029
}

// shortRef is the name that people use for a branch or tag.
func shortRef(full string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if short, ok := strings.CutPrefix(full, prefix); ok {
			return short
		}
	}
	return full
}

// printable makes one line of hostile text fit for a log: control characters become spaces, and it
// ends after max bytes.
func printable(text string, max int) string {
	text = strings.Map(func(c rune) rune {
		if deceptive(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) > max {
		cut := max
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "..."
	}
	return text
}
