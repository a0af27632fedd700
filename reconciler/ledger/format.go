package ledger

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// formatWidth is the column that the number of an entry ends in, where the text leaves room for it.
const formatWidth = 101

// Format gives the line that a person reads, without a newline:
//
//	14:02:11  release   Hello/1.4.0 is a1b2c3d, 4 pipelines (1 changed), 3 jobs             #10412
//
// The clock is that of e.Time: give it the zone to show, e.Time = e.Time.Local(). What a terminal would obey instead of showing it is
// written as an escape, for the text may come from a repository.
func Format(e Entry) string {
	line := fmt.Sprintf("%s  %-9s %s", e.Time.Format("15:04:05"), visible(string(e.Kind)), visible(e.Text))
	seq := "#" + strconv.FormatUint(e.Seq, 10)
	gap := formatWidth - utf8.RuneCountInString(line) - len(seq)
	return line + strings.Repeat(" ", max(gap, 2)) + seq
}

// visible escapes everything in s that is not a printable character or a space.
func visible(s string) string {
	clean := func(r rune) bool { return r != utf8.RuneError && (r == ' ' || unicode.IsPrint(r)) }
	if !strings.ContainsFunc(s, func(r rune) bool { return !clean(r) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case clean(r), r == utf8.RuneError:
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}
