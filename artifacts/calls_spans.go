package artifacts

import (
	"path"
	"strings"
	"unicode/utf8"
)

// languageOf is the language of a file for Calls, by its name; "" where it is plain text.
func languageOf(file string) string {
	switch strings.ToLower(path.Ext(file)) {
	case ".py":
		return "python"
	case ".scala", ".java":
		return "scala"
	case ".sql":
		return "sql"
	case ".yml", ".yaml":
		return "yaml"
	case ".conf":
		return "hocon"
	case ".json":
		return "json"
	}
	return ""
}

// spansOf returns the function that cuts a text of a language into the spans in which an address can
// stand, in their order and until yield returns false. They run once through the text and never fail:
// what is not well-formed is cut somehow.
func spansOf(language string) func(text string, yield func(span) bool) {
	switch language {
	case "python":
		return pythonSpans
	case "scala":
		return codeSpans(syntaxScala)
	case "sql":
		return codeSpans(syntaxSQL)
	case "json":
		return codeSpans(syntaxJSON)
	case "hocon":
		return hoconSpans
	case "yaml":
		return yamlSpans
	}
	return func(text string, yield func(span) bool) { yield(span{0, len(text), true}) }
}

// notebookLine begins the lines of a Databricks notebook that are run although they are comments.
const notebookLine = " MAGIC"

// pythonSpans are the strings of a Python text, except those that are statements of their own.
func pythonSpans(text string, yield func(span) bool) {
	depth, fresh := 0, true // fresh: a statement may begin here
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '#':
			end := i + lineLength(text[i:])
			if strings.HasPrefix(text[i+1:], notebookLine) && !yield(span{i + 1, end, false}) {
				return
			}
			i = end
		case c == '\n':
			fresh = depth == 0
			i++
		case c == '\\':
			fresh = false
			i += 1 + lineEnd(text[i+1:])
		case c == ' ' || c == '\t' || c == '\r' || c == '\f':
			i++
		case c == '"' || c == '\'' || wordByte[c]:
			quote := i
			for quote < len(text) && wordByte[text[quote]] {
				quote++
			}
			isString := quote < len(text) && (text[quote] == '"' || text[quote] == '\'') && quote-i <= 2 && strings.Trim(text[i:quote], "rRbBuUfFtT") == ""
			if !isString {
				fresh = false
				i = quote
				continue
			}
			s, end := quoting{triple: true}.read(text, quote)
			after := strings.TrimLeft(text[end:], " \t\f")
			statement := fresh && (after == "" || strings.IndexByte("\r\n;#", after[0]) >= 0)
			if !statement && !yield(s) {
				return
			}
			fresh = false
			i = end
		default:
			switch c {
			case '(', '[', '{':
				depth++
			case ')', ']', '}':
				depth = max(0, depth-1)
			}
			fresh = c == ';' && depth == 0
			i++
		}
	}
}

var wordByte = func() (is [256]bool) {
	for c := range is {
		is[c] = hostByte[c] && c != '.' && c != '-' || c >= 0x80
	}
	return is
}()

// lineEnd is the length of the line break at the beginning of s.
func lineEnd(s string) int {
	switch {
	case strings.HasPrefix(s, "\n"):
		return 1
	case strings.HasPrefix(s, "\r\n"):
		return 2
	}
	return 0
}

// quoting is how a language writes strings.
type quoting struct {
	triple  bool // """strings""", too
	raw     bool // those have no escapes
	lines   bool // any string may have many lines; else an unfinished one ends with its line
	doubled bool // a quote is written as two; there are no escapes
}

// read returns the content of the literal whose quote stands at the place at, and where it ends.
func (q quoting) read(text string, at int) (s span, end int) {
	quote := text[at : at+1]
	if long := strings.Repeat(quote, 3); q.triple && strings.HasPrefix(text[at:], long) {
		quote = long
	}
	escapes := !q.doubled && !(q.raw && len(quote) == 3)
	i := at + len(quote)
	s = span{from: i, whole: true}
	for i < len(text) {
		switch {
		case text[i] == '\\' && escapes && i+1 < len(text):
			i += 1 + max(1, lineEnd(text[i+1:]))
		case strings.HasPrefix(text[i:], quote):
			if q.doubled && strings.HasPrefix(text[i+1:], quote) {
				i += 2
				continue
			}
			s.to = i
			return s, i + len(quote)
		case text[i] == '\n' && len(quote) == 1 && !q.lines:
			s.to = i
			return s, i
		default:
			i++
		}
	}
	s.to = len(text)
	return s, len(text)
}

// notation is what codeSpans has to know of a language.
type notation struct {
	comment   string // until the end of the line; "" where there is none
	block     bool   // /* comments */
	nested    bool   // /* of them /* in each other */ */
	quotes    string
	quoting   quoting
	character bool // 'x' is a character, and a single quote may stand alone
	strings   bool // only strings are looked at
}

var (
	syntaxScala = notation{comment: "//", block: true, nested: true, quotes: `"`, quoting: quoting{triple: true, raw: true}, character: true, strings: true}
	syntaxSQL   = notation{comment: "--", block: true, quotes: "'\"`", quoting: quoting{lines: true}}
	syntaxJSON  = notation{quotes: `"`, quoting: quoting{lines: true}}
)

// codeSpans are the strings of a text and, if that is wanted, what is between them.
func codeSpans(l notation) func(string, func(span) bool) {
	var marks [256]bool // bytes that more than text may begin with
	for _, c := range []byte(l.quotes + l.comment) {
		marks[c] = true
	}
	marks['/'] = marks['/'] || l.block
	marks['\''] = marks['\''] || l.character
	return func(text string, yield func(span) bool) {
		from := 0 // of what is between strings and not yet yielded
		between := func(to int) bool { return l.strings || from >= to || yield(span{from, to, false}) }
		for i := 0; i < len(text); {
			if !marks[text[i]] {
				i++
				continue
			}
			rest := text[i:]
			switch c := text[i]; {
			case l.comment != "" && strings.HasPrefix(rest, l.comment):
				end := i + lineLength(rest)
				if !between(i) {
					return
				}
				if strings.HasPrefix(rest[len(l.comment):], notebookLine) && !yield(span{i + len(l.comment), end, false}) {
					return
				}
				i, from = end, end
			case l.block && strings.HasPrefix(rest, "/*"):
				if !between(i) {
					return
				}
				i += blockComment(rest, l.nested)
				from = i
			case l.character && c == '\'':
				i += character(rest)
			case strings.IndexByte(l.quotes, c) >= 0:
				if !between(i) {
					return
				}
				s, end := l.quoting.read(text, i)
				if !yield(s) {
					return
				}
				i, from = end, end
			default:
				i++
			}
		}
		between(len(text))
	}
}

// blockComment is the length of the block comment at the beginning of s.
func blockComment(s string, nested bool) int {
	depth := 0
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "*/"):
			i += 2
			if depth--; depth == 0 {
				return i
			}
		case strings.HasPrefix(s[i:], "/*") && (nested || depth == 0):
			i += 2
			depth++
		default:
			i++
		}
	}
	return len(s)
}

// character is the length of the character literal at the beginning of s, or of its quote where it is none.
func character(s string) int {
	if len(s) < 3 {
		return 1
	}
	if s[1] == '\\' {
		if end := strings.IndexByte(s[3:min(len(s), 12)], '\''); end >= 0 {
			return 3 + end + 1
		}
		return 1
	}
	if _, width := utf8.DecodeRuneInString(s[1:]); strings.HasPrefix(s[1+width:], "'") {
		return 1 + width + 1
	}
	return 1
}

// hoconSpans are the strings of a HOCON text or of properties, and its values without quotes. The dots
// of a key are no host's.
func hoconSpans(text string, yield func(span) bool) {
	lists := 0
	from := -1 // of a value without quotes
	value := false
	finish := func(to int) bool {
		ok := from < 0 || yield(span{from, to, true})
		from = -1
		return ok
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		switch c := text[i]; {
		case c == '#' || strings.HasPrefix(rest, "//") && (i == 0 || text[i-1] != ':'): // :// is a URL's
			if !finish(i) {
				return
			}
			i += lineLength(rest)
		case c == '"':
			if !finish(i) {
				return
			}
			s, end := quoting{triple: true, raw: true}.read(text, i)
			if !yield(s) {
				return
			}
			i = end
		case c == '\n' || c == ',' || c == '{' || c == '}' || c == '[' || c == ']':
			if !finish(i) {
				return
			}
			switch c {
			case '[':
				lists++
			case ']':
				lists = max(0, lists-1)
			}
			value = lists > 0 && c != '{'
			i++
		case (c == '=' || c == ':') && !value:
			value = true
			i++
		default:
			if value && from < 0 && c > ' ' {
				from = i
			}
			i++
		}
	}
	finish(len(text))
}
