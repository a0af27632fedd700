package artifacts

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits on pbt_project.yml. The parser needs time in the square of the keys of one mapping and a
// stack in the depth, so both are bounded on the tokens, before it sees them.
const (
	maxYML      = 2 << 20    // bytes; a project of a thousand pipelines is a few hundred KiB
	maxYMLKeys  = 3000       // of one mapping
	maxYMLWork  = 10_000_000 // half the sum of the squares of all mappings; some 1 s
	maxYMLDepth = 100
)

// ymlError is a fault of a YAML file, with its place.
type ymlError struct {
	File string
	Line int // from 1; 0 where no line is to blame
	Text string
}

func (e *ymlError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// ymlEntry is a key of a mapping with its value.
type ymlEntry struct {
	key   string
	line  int
	value ast.Node
}

// parseYML reads one YAML document whose top is a mapping. Anchors and aliases are refused: the
// authoring tool writes none, and they are how a small file becomes a huge one.
func parseYML(file string, src []byte) (entries []ymlEntry, err error) {
	// The parser is not ours and the bytes are anybody's: its panic on some odd file must not end
	// a daemon that serves other deployments.
	defer func() {
		if r := recover(); r != nil {
			entries, err = nil, &ymlError{file, 0, fmt.Sprintf("not readable as YAML: %v", r)}
		}
	}()
	if line := conflict(src); line > 0 {
		return nil, &ymlError{file, line, "a merge conflict that nobody resolved"}
	}
	tokens := lexer.Tokenize(string(src))
	if line, text := checkTokens(tokens); text != "" {
		return nil, &ymlError{file, line, text}
	}
	doc, err := parser.Parse(tokens, 0)
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			return nil, &ymlError{file, at.GetToken().Position.Line, at.GetMessage()}
		}
		return nil, &ymlError{file, 0, err.Error()}
	}
	var body ast.Node
	for _, d := range doc.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return nil, &ymlError{file, lineOf(d.Body), "a second YAML document; expected one"}
		}
		body = d.Body
	}
	if body == nil {
		return nil, &ymlError{file, 0, "the file is empty"}
	}
	entries, ok := mapping(body)
	if !ok || entries == nil {
		return nil, &ymlError{file, lineOf(body), "expected a mapping with name, version, pipelines and jobs"}
	}
	return entries, nil
}

// checkTokens finds what must not reach the parser, and returns its line and a sentence.
func checkTokens(tokens token.Tokens) (int, string) {
	flow, row, work := 0, 0, 0
	keys := map[int]int{} // column -> keys of the mapping that is open there
	columns := []int{}    // of the mappings open, outermost first
	for _, t := range tokens {
		line := t.Position.Line
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return line, "anchors, aliases and merge keys are not accepted in a project file"
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		}
		switch t.Type {
		case token.SequenceEntryType, token.MappingKeyType, token.TagType:
			row++
		default:
			row = 0
		}
		if flow > maxYMLDepth || row > maxYMLDepth {
			return line, fmt.Sprintf("nested deeper than %d", maxYMLDepth)
		}
		if t.Type != token.MappingValueType || t.Prev == nil {
			continue
		}
		column := t.Prev.Position.Column
		for len(columns) > 0 && columns[len(columns)-1] > column {
			delete(keys, columns[len(columns)-1])
			columns = columns[:len(columns)-1]
		}
		if keys[column] == 0 {
			columns = append(columns, column)
		}
		if keys[column]++; keys[column] > maxYMLKeys {
			return line, fmt.Sprintf("more than %d keys in one mapping", maxYMLKeys)
		}
		if work += keys[column]; work > maxYMLWork {
			return line, "too many large mappings"
		}
	}
	return 0, ""
}

// mapping returns the entries of a mapping in file order; none and true for null. It reports false
// for any other node.
func mapping(n ast.Node) ([]ymlEntry, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil, true
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.TagNode:
		return mapping(n.Value)
	default:
		return nil, false
	}
	entries := make([]ymlEntry, 0, len(values))
	for _, v := range values {
		key, ok := ymlKey(v.Key)
		if !ok {
			return nil, false
		}
		entries = append(entries, ymlEntry{key, v.Key.GetToken().Position.Line, v.Value})
	}
	return entries, true
}

func ymlKey(k ast.MapKeyNode) (string, bool) {
	if explicit, ok := k.(*ast.MappingKeyNode); ok {
		text, _, ok := scalar(explicit.Value)
		return text, ok
	}
	text, _, ok := scalar(k)
	return text, ok
}

// scalar returns the text of a scalar as it stands in the file (a version 1.00 is "1.00", not a
// number), and whether it is null. It reports false for a mapping or a sequence.
func scalar(n ast.Node) (text string, null, ok bool) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "", true, true
	case *ast.StringNode:
		return n.Value, false, true
	case *ast.LiteralNode:
		return n.Value.Value, false, true
	case *ast.TagNode:
		return scalar(n.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, false, true
	}
	return "", false, false
}

// lookup returns the value of key, nil where there is none.
func lookup(entries []ymlEntry, key string) ast.Node {
	for _, e := range entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// lineOf is the line that a node begins at.
func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// conflict is the line of the first mark that git leaves in a file it could not merge; 0 if there is none.
func conflict(src []byte) int {
	at := 0
	if mark := []byte("<<<<<<< "); !bytes.HasPrefix(src, mark) {
		if at = bytes.Index(src, append([]byte("\n"), mark...)) + 1; at == 0 {
			return 0
		}
	}
	return 1 + bytes.Count(src[:at], []byte("\n"))
}
