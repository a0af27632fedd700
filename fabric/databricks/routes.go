package databricks

import (
	"strings"

	"selvage/fabric"
)

// route is a committed path, and what a job finds instead. One of blob, jars, text, outside and missing says what.
type route struct {
	from committed
	as   string // what it is, so that two components of one path can be compared

	blob    *fabric.Blob
	jars    *jars
	text    *text
	file    int    // of text's files; -1 for the folder that they lie in
	outside bool   // it stays, and must be there
	missing string // nothing can be found there
	// unsure is set for a folder that two components lay claim to: only who mentions it is blocked.
	unsure bool
}

// routes are those of one job, to be found by the last part of their paths: a text is read once, however
// many there are.
type routes struct {
	plain map[string][]*route // by a last part of path bytes alone
	odd   []*route            // the others
}

func newRoutes(all ...*route) routes {
	r := routes{plain: map[string][]*route{}}
	for _, one := range all {
		base := one.from.base()
		if strings.ContainsFunc(base, func(c rune) bool { return c < 0x80 && !pathByte(byte(c)) }) {
			r.odd = append(r.odd, one)
		} else {
			r.plain[base] = append(r.plain[base], one)
		}
	}
	return r
}

// candidates are the routes that a text may mention: those whose last part stands in it behind a slash.
func (all routes) candidates(s string) []*route {
	found := all.odd[:len(all.odd):len(all.odd)]
	if len(all.plain) == 0 {
		return found
	}
	var seen map[string]bool
	for i := strings.IndexByte(s, '/'); i >= 0; {
		begin := i + 1
		end := begin
		for end < len(s) && s[end] != '/' && pathByte(s[end]) {
			end++
		}
		if known := all.plain[s[begin:end]]; known != nil && !seen[s[begin:end]] {
			if seen == nil {
				seen = map[string]bool{}
			}
			seen[s[begin:end]] = true
			found = append(found, known...)
		}
		next := strings.IndexByte(s[end:], '/')
		if next < 0 {
			break
		}
		i = end + next
	}
	return found
}

// replace puts what to gives in place of each mention of any of them; one of which it gives nothing stays. It
// reads s once: what was put in is not looked at again. Of mentions that begin together the longest counts.
func (all routes) replace(s string, to func(*route) (string, bool)) string {
	type mention struct {
		*route
		start, end int
	}
	var next []mention // the first of each at or after the position
	for _, r := range all.candidates(s) {
		if start, end, ok := r.from.find(s, 0); ok {
			next = append(next, mention{r, start, end})
		}
	}
	if len(next) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for len(next) > 0 {
		best := next[0]
		for _, m := range next[1:] {
			if m.start < best.start || m.start == best.start && m.end > best.end {
				best = m
			}
		}
		b.WriteString(s[at:best.start])
		if ours, ok := to(best.route); ok {
			b.WriteString(ours)
		} else {
			b.WriteString(s[best.start:best.end])
		}
		at = best.end
		kept := next[:0]
		for _, m := range next {
			if m.start < at {
				var ok bool
				if m.start, m.end, ok = m.from.find(s, at); !ok {
					continue
				}
			}
			kept = append(kept, m)
		}
		next = kept
	}
	b.WriteString(s[at:])
	return b.String()
}

// mentioned are those that a text mentions, each once.
func (all routes) mentioned(s string) []*route {
	var found []*route
	seen := map[*route]bool{}
	all.replace(s, func(r *route) (string, bool) {
		if !seen[r] {
			seen[r] = true
			found = append(found, r)
		}
		return "", false
	})
	return found
}
