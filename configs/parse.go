package configs

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of the tree: the parser recurses, its time grows with the square of the keys of a mapping, and a
// file that a person can read is not deeper or longer. A deployment takes about 25 tokens.
const (
	maxTokens    = 50_000
	maxAllTokens = 200_000 // in all files of the configuration
	maxNesting   = 16      // brackets open at once, or dashes on a line
	maxIndent    = 128     // columns
)

// place is where something stands in a file, from 1; columns are characters.
type place struct {
	in           *source
	line, column int
}

func (s *source) placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{s, 1, 1}
	}
	return place{s, max(tk.Position.Line, 1), max(tk.Position.Column, 1)}
}

// parse turns the text into the tree of its only document. What YAML offers beyond plain mappings,
// lists and scalars is refused by its tokens, before the parser may expand or recurse into it.
func (l *loader) parse(s *source, text string) (root ast.Node, ok bool) {
	// The parser has seen less hostile input than this file may be.
	defer func() {
		if r := recover(); r != nil {
			root, ok = nil, false
			l.bad(place{in: s}, "simplify the file, a half at a time, until it loads", "the file can't be parsed as YAML")
		}
	}()
	tokens := lexer.Tokenize(text)
	if !l.plain(s, tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntax(s, err)
		return nil, false
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		l.unreadable(s, nil, "the file holds nothing but comments", s.fill())
		return nil, false
	}
	return file.Docs[0].Body, true
}

// plain refuses anchors, aliases, merge keys, tags, directives, further documents and deep nesting.
func (l *loader) plain(s *source, tokens token.Tokens) bool {
	const quote = "put quotes around text that begins with this character"
	if len(tokens) > maxTokens {
		l.bad(s.placeOf(tokens[maxTokens]), "split it into several files with include, or over several installations", "the file says more than selvage reads: it goes on after %d words and signs", maxTokens)
		return false
	}
	if l.tokens += len(tokens); l.tokens > maxAllTokens {
		l.bad(place{in: s}, "split the configuration over several installations", "with this file, the configuration says more than selvage reads: more than %d words and signs", maxAllTokens)
		return false
	}
	open, line, dashes, content := 0, 0, 0, false
	for _, tk := range tokens {
		at := s.placeOf(tk)
		if at.line != line {
			line, dashes = at.line, 0
			if indent := s.indent(line); open == 0 && indent > maxIndent && tk.Type != token.CommentType {
				l.bad(place{s, line, indent + 1}, "indent by two columns", "indented by more than %d columns", maxIndent)
				return false
			}
		}
		switch tk.Type {
		case token.CommentType:
			continue
		case token.AnchorType, token.AliasType:
			l.bad(at, quote+", or write the value out", "anchors (&name) and aliases (*name) are not allowed here")
			return false
		case token.MergeKeyType:
			l.bad(at, "write the keys out", "merge keys (<<) are not allowed here")
			return false
		case token.TagType:
			l.bad(at, quote+", or remove the tag", "tags (!name) are not allowed here")
			return false
		case token.DirectiveType:
			l.bad(at, quote+", or remove the line", "directives (%%NAME) are not allowed here")
			return false
		case token.DocumentHeaderType, token.DocumentEndType:
			if content || tk.Type == token.DocumentEndType {
				l.bad(at, "keep one document, and remove this line and what follows", "a second document: the file holds just one")
				return false
			}
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open--
		case token.SequenceEntryType, token.MappingKeyType:
			dashes++
		}
		if open > maxNesting || dashes > maxNesting {
			l.bad(at, "flatten it", "nested deeper than %d levels", maxNesting)
			return false
		}
		content = true
	}
	return true
}

// indent counts the spaces before a line. The position of a token does not tell: that of a block of text is
// its end.
func (s *source) indent(line int) int {
	if line > len(s.lines) {
		return 0
	}
	return len(s.lines[line-1]) - len(strings.TrimLeft(s.lines[line-1], " "))
}

// plainly says in a person's words what the parser says in its own; matched by prefix.
var plainly = []struct{ theirs, ours, next string }{
	{"mapping value is not allowed", "a second key on this line, or a line that is indented too far", `put quotes around text that holds ": ", and align the keys of a mapping`},
	{"unexpected key name", `this line is not "key: value"`, "put a space after the colon"},
	{"non-map value is specified", `this line is not "key: value"`, "put a space after the colon, and align the keys of a mapping"},
	{"value is not allowed in this context", "this does not belong to the lines before it", "align it with the keys or the dashes before it"},
	{"block sequence entries are not allowed", "a list can't begin on the line of its key", "put the dash on a line of its own"},
	{"tab character", "a tab", "indent with spaces"},
	{"found character '\t'", "a tab", "indent with spaces"},
	{"found a tab character", "a tab", "indent with spaces"},
	{"sequence end token ']' not found", "this [ is never closed", "close it with ]"},
	{"could not find flow mapping end token", "this { is never closed", "close it with }"},
	{"could not find flow map content", `a key without a value, or { that is never closed`, "write {key: value, key: value}"},
	{"',' or '}' must be specified", "a comma or } is missing before this", "write {key: value, key: value}"},
	{"',' or ']' must be specified", "a comma or ] is missing before this", "write [value, value]"},
	{"could not find end character of", "this quote is never closed", "close it"},
}

// words is what a message of the parser may quote out of the file: more than one character.
var words = regexp.MustCompile(`:? "[^"]{2,}"`)

func (l *loader) syntax(s *source, err error) {
	e, ok := err.(yaml.Error)
	if !ok {
		l.bad(place{in: s}, "simplify the file, a half at a time, until it loads", "the file can't be parsed as YAML")
		return
	}
	at := s.placeOf(e.GetToken())
	theirs := e.GetMessage()
	for _, p := range plainly {
		if strings.HasPrefix(theirs, p.theirs) {
			l.bad(at, p.next, "%s", p.ours)
			return
		}
	}
	l.bad(at, "put quotes around text with special characters", "not YAML: %s", printable(words.ReplaceAllString(theirs, "")))
}

// hide keeps every scalar under the value out of what is printed of its file.
func (v value) hide() {
	if v.at.in.hidden == nil {
		v.at.in.hidden = map[int]int{}
	}
	ast.Walk(hider{v.at.in}, v.node)
}

type hider struct{ in *source }

func (h hider) Visit(n ast.Node) ast.Visitor {
	if m, ok := n.(*ast.MappingValueNode); ok {
		ast.Walk(h, m.Value) // keys stay readable
		return nil
	}
	scalar, ok := n.(ast.ScalarNode)
	if !ok {
		return h
	}
	tk := scalar.GetToken()
	at := h.in.placeOf(tk)
	last := at.line + strings.Count(strings.TrimSpace(tk.Origin), "\n")
	if block, ok := n.(*ast.LiteralNode); ok {
		last = at.line + strings.Count(block.Value.GetToken().Origin, "\n")
	}
	h.in.conceal(at.line, at.column)
	for line := at.line + 1; line <= last; line++ {
		h.in.conceal(line, 1)
	}
	return nil
}

func (s *source) conceal(line, column int) {
	if c, ok := s.hidden[line]; !ok || column < c {
		s.hidden[line] = column
	}
}

// kind names what a node is, for messages.
func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.NullNode:
		return "nothing"
	}
	return fmt.Sprintf("a %s", strings.ToLower(n.Type().String()))
}
