package artifacts

import "strings"

// yamlSpans are the scalars of a YAML text: quoted ones, plain ones without their comments, and the
// lines of block scalars.
func yamlSpans(text string, yield func(span) bool) {
	y := yamlReader{text: text, block: -1}
	for y.at < len(text) {
		if !y.line(yield) {
			return
		}
	}
}

type yamlReader struct {
	text  string
	at    int
	flow  int // open brackets
	block int // column of what the block scalar belongs to; -1 outside of one
}

// line reads what begins in one line; a quoted scalar may end in a later one.
func (y *yamlReader) line(yield func(span) bool) bool {
	start := y.at
	end := start + lineLength(y.text[start:])
	first := start
	for first < end && y.text[first] == ' ' {
		first++
	}
	if y.block >= 0 && (first-start > y.block || strings.TrimSpace(y.text[first:end]) == "") {
		y.at = min(end+1, len(y.text))
		return yield(span{first, end, true})
	}
	y.block = -1
	parent := first - start // column of the key or dash that a value on this line belongs to
	fresh := true           // a scalar may begin here
	for i := first; i < end; {
		c := y.text[i]
		blank := i+1 >= end || y.text[i+1] == ' ' || y.text[i+1] == '\t' || y.text[i+1] == '\r'
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#' && (i == start || y.text[i-1] == ' ' || y.text[i-1] == '\t'):
			i = end
		case fresh && (c == '-' || c == '?') && blank:
			parent = i - start
			i++
		case c == ':' && (blank || y.flow > 0):
			fresh = true
			i++
		case y.flow > 0 && (c == ',' || c == ']' || c == '}'), fresh && (c == '[' || c == '{'):
			switch c {
			case '[', '{':
				y.flow++
			case ']', '}':
				y.flow--
			}
			fresh = c != ']' && c != '}'
			i++
		case fresh && (c == '"' || c == '\''):
			s, after := quoting{lines: true, doubled: c == '\''}.read(y.text, i)
			if !yield(s) {
				return false
			}
			fresh = false
			i = after
			if i > end { // it went on over lines
				start, end = i, i+lineLength(y.text[i:])
			}
		case fresh && (c == '|' || c == '>') && blockHeader(y.text[i+1:end]):
			y.block = parent
			i = end
		case fresh && (c == '&' || c == '!' || c == '*'):
			for i < end && y.text[i] > ' ' {
				i++
			}
		default:
			to := y.plain(i, end)
			if fresh && parent < i-start {
				if rest := y.text[to:end]; strings.HasPrefix(rest, ":") {
					parent = i - start
				}
			}
			if !yield(span{i, to, fresh}) {
				return false
			}
			fresh = false
			i = max(to, i+1)
		}
	}
	y.at = min(end+1, len(y.text))
	return true
}

// plain is the end of the plain scalar at the place i.
func (y *yamlReader) plain(i, end int) int {
	for to := i; to < end; to++ {
		switch c := y.text[to]; {
		case c == ':' && (to+1 >= end || y.text[to+1] <= ' '):
			return to
		case c == '#' && to > i && y.text[to-1] <= ' ':
			return to
		case y.flow > 0 && (c == ',' || c == ']' || c == '}'):
			return to
		}
	}
	return end
}

// blockHeader reports whether a block scalar begins behind its | or >.
func blockHeader(s string) bool {
	s = strings.TrimLeft(s, "+-0123456789")
	trimmed := strings.TrimSpace(s)
	return trimmed == "" || trimmed[0] == '#' && s[0] <= ' '
}
