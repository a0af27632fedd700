package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// screen is how things are shown to people.
type screen struct {
	now    time.Time
	zone   *time.Location
	colour bool
}

// newScreen colours only where a terminal is, and not where NO_COLOR asks for none (no-color.org).
func newScreen(out io.Writer) screen {
	return screen{now: time.Now(), zone: time.Local, colour: terminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// terminal reports that a person is at the other end.
func terminal(of any) bool {
	f, ok := of.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// The colours there are. None carries a meaning that a word or a sign beside it does not.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
	bold   = "1"
)

func (s screen) paint(colour, text string) string {
	if !s.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// visible writes what a terminal would obey instead of showing as an escape. All text that comes from a
// repository, a fabric or a git remote goes through it.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r != utf8.RuneError && hidden(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func hidden(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }

// lines is visible for a text of several lines.
func lines(s string) string {
	parts := strings.Split(s, "\n")
	for i, p := range parts {
		parts[i] = visible(p)
	}
	return strings.Join(parts, "\n")
}

// cut shortens a text to at most limit characters, in its middle.
func cut(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	head := (limit - 1) * 2 / 3
	return string(r[:head]) + "…" + string(r[len(r)-(limit-1-head):])
}

// table is rows whose columns line up. The last cell of a row is as long as it is.
type table struct {
	rows [][]cell
	gap  int // spaces between two columns
}

type cell struct{ text, colour string }

// plain makes cells without colour.
func plain(texts ...string) []cell {
	cells := make([]cell, len(texts))
	for i, t := range texts {
		cells[i].text = t
	}
	return cells
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// write writes the rows, each after indent. A cell is not wider than the column may be; one that is
// pushes the rest of its row to the right.
func (t *table) write(b *strings.Builder, s screen, indent string, widest int) {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row[:max(len(row)-1, 0)] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if n := utf8.RuneCountInString(c.text); n <= widest {
				widths[i] = max(widths[i], n)
			}
		}
	}
	for _, row := range t.rows {
		line := indent
		for i, c := range row {
			line += s.paint(c.colour, c.text)
			if i < len(row)-1 {
				line += strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(c.text), 0)+t.gap)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// clock is a time as a person says it: without the date today, without the year this year.
func (s screen) clock(t time.Time) string {
	t, now := t.In(s.zone), s.now.In(s.zone)
	switch {
	case t.IsZero():
		return "-"
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		return t.Format("15:04")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// ago is how long ago a time was, in the largest unit.
func (s screen) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := s.now.Sub(t); {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	}
}

// short is a commit or digest as people quote it.
func short(id string, n int) string {
	if len(id) > n {
		return visible(id[:n])
	}
	return visible(id)
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
