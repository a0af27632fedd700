package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one mistake in a configuration file.
type Problem struct {
	File string `json:"file"`
	// Line and Column count from 1; columns are characters. Both are 0 where the mistake has no
	// place: the file can't be read, or something is missing from it.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Message is one sentence without a full stop. It never holds the value of a credential or of
	// an environment variable.
	Message string `json:"message"`
	// Source is the text of the line, with what looks like a secret masked.
	Source string `json:"source,omitempty"`
	// Next says what to do about it.
	Next string `json:"next,omitempty"`

	cause error
	rank  int // of the file among those of the configuration
}

// Error is the place and the message, then the source line with a caret under the column, then what to
// do: several lines, without a newline at the end.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": " + p.Message)
	if p.Line > 0 && p.Source != "" {
		line, caret := window(p.Source, p.Column)
		b.WriteString("\n    " + line + "\n    " + strings.Repeat(" ", caret) + "^")
	}
	if p.Next != "" {
		b.WriteString("\n  next: " + p.Next)
	}
	return b.String()
}

// Unwrap is the error of the operating system, where there is one.
func (p Problem) Unwrap() error { return p.cause }

// Problems are all mistakes of a configuration in the order of its files and of their places in them. [Load] returns no other error.
type Problems []Problem

// maxPrinted keeps the answer to a hopeless file on a screen or two.
const maxPrinted = 20

func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i == maxPrinted {
			fmt.Fprintf(&b, "\nand %d more", len(ps)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// Unwrap lets errors.Is see the causes.
func (ps Problems) Unwrap() []error {
	all := make([]error, len(ps))
	for i, p := range ps {
		all[i] = p
	}
	return all
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
}

// maxWidth is how much of a source line is shown.
const maxWidth = 120

// window cuts a long line around the column and returns how many characters stand before the caret.
func window(line string, column int) (string, int) {
	text := []rune(line)
	at := min(max(column-1, 0), len(text))
	from, to := 0, len(text)
	if to > maxWidth {
		from = max(0, min(at-maxWidth/2, len(text)-maxWidth))
		to = from + maxWidth
	}
	shown, caret := string(text[from:to]), at-from
	if from > 0 {
		shown, caret = "…"+shown, caret+1
	}
	if to < len(text) {
		shown += "…"
	}
	return shown, caret
}

// printable keeps a line of the file from steering a terminal: control characters, and the invisible
// ones that turn text around, become one visible character each, so that columns stay right.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '·'
		}
		return r
	}, line)
}

// quoted is text of the file in a message: masked, and not longer than a line can bear.
func quoted(text string) string {
	const limit = 80
	text = mask(text)
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
