package artifacts

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	// maxCalls bounds the calls that are listed of one text.
	maxCalls = 1000
	// maxHostText bounds the spelling of a host in bytes: 253 characters, each as an escape like \u002e.
	maxHostText = 253 * 6
	// maxUserInfo bounds what is looked at before a host for the // that makes it one.
	maxUserInfo = 512
)

// Call is a place in a text that names the address of a host which jobs must not call.
type Call struct {
	Line int    // from 1
	Host string // as it stands there
}

// Calls finds the addresses in a text whose host matches one of the patterns ("*.prophecy.io": any
// host below the domain, and the domain itself; otherwise one host). It lists the first 1000, in the
// order of the text, in a time that grows with its length alone. An address is:
//
//   - the host of a URL of any scheme, of //host/path, and of user:password@host in them, also where
//     its front is filled in later (https://{env}.prophecy.io), is escaped (https:\/\/app.prophecy.io,
//     %2F, \u002e) or is written in characters that clients turn into these (IDNA);
//   - host:port;
//   - a host that is all of a string: "app.prophecy.io". A text of no known language is one string.
//
// What only mentions a host is no call: package coordinates (io.prophecy:prophecy-libs), e-mail
// addresses, the folder of a path (/prophecy.io/), names in code (import prophecy.io), and comments.
//
// The language is "python", "scala", "sql", "yaml", "hocon" or "json"; any other is plain text, which has no
// comments. In Python and Scala only strings count, and lines of Databricks notebooks that are run although
// they are comments ("# MAGIC %sh curl ..."). A Python string that is a statement of its own, such as a
// docstring, goes nowhere and counts as a comment. Lines of a YAML block scalar are data: they have no
// comments. Where a comment is in doubt, it is none.
//
// It finds what is written down. Code that puts a host together from parts is not understood.
func Calls(language, text string, patterns []string) []Call {
	f := callFinder{text: text, hosts: newHosts(patterns), line: 1}
	if len(f.hosts.exact)+len(f.hosts.below) > 0 {
		spansOf(language)(text, f.span)
	}
	return f.calls
}

// hosts are the hosts of patterns in lower case, in ASCII, without a last dot.
type hosts struct {
	exact, below map[string]bool
	last         [256]bool // bytes that a host can end with, however it is written
}

func newHosts(patterns []string) hosts {
	h := hosts{exact: map[string]bool{}, below: map[string]bool{}}
	for c := utf8.RuneSelf; c < len(h.last); c++ {
		h.last[c] = true
	}
	for _, p := range patterns {
		base, below := strings.CutPrefix(p, "*.")
		base = plainHost(base)
		switch {
		case base == "":
			continue
		case below:
			h.below[base] = true
		default:
			h.exact[base] = true
		}
		end := base[len(base)-1:]
		h.last[end[0]] = true
		h.last[strings.ToUpper(end)[0]] = true
	}
	return h
}

func (h hosts) match(host string) bool {
	if h.exact[host] {
		return true
	}
	for below := true; below; _, host, below = strings.Cut(host, ".") {
		if h.below[host] {
			return true
		}
	}
	return false
}

// plainHost is a host as a resolver is asked for it.
func plainHost(host string) string {
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		host, _ = idna.Lookup.ToASCII(host) // what it makes of an invalid one is as good as any
	}
	return strings.Trim(strings.ToLower(host), ".")
}

// span is a part of a text that is looked at.
type span struct {
	from, to int
	whole    bool // it is all of a string, or all of a value
}

type callFinder struct {
	text  string
	hosts hosts
	calls []Call
	line  int // of the last call
	at    int // where that is
}

// span looks through one span, which begins behind those before it. It returns false once there are
// enough calls.
func (f *callFinder) span(s span) bool {
	if s.whole {
		inner := strings.TrimLeft(f.text[s.from:s.to], " \t\r\n")
		s.from = s.to - len(inner)
		s.to = s.from + len(strings.TrimRight(inner, " \t\r\n"))
	}
	for i := s.from; i < s.to; {
		n, odd := hostText(f.text[i:s.to])
		if n == 0 {
			i += separator(f.text[i:s.to])
			continue
		}
		if f.isHost(f.text[i:i+n], odd) && f.isAddress(s, i, i+n) {
			f.line += strings.Count(f.text[f.at:i], "\n")
			f.at = i
			shown := strings.NewReplacer("\\\r\n", "", "\\\n", "").Replace(f.text[i : i+n])
			if f.calls = append(f.calls, Call{f.line, strings.Trim(shown, ".")}); len(f.calls) == maxCalls {
				return false
			}
		}
		i += n
	}
	return true
}

// isHost reports whether a text of hostText names a host of the patterns.
func (f *callFinder) isHost(host string, odd bool) bool {
	tail := strings.TrimRight(host, ".")
	if len(host) > maxHostText || tail == "" || !odd && !f.hosts.last[tail[len(tail)-1]] {
		return false
	}
	if odd {
		host = unescape(host)
	}
	return f.hosts.match(plainHost(host))
}

// hostText is the length of the text at the beginning of s that can be part of a host, escapes
// included. odd reports that it must be unescaped.
func hostText(s string) (n int, odd bool) {
	for n < len(s) {
		c := s[n]
		switch {
		case hostByte[c]:
			n++
			continue
		case c >= utf8.RuneSelf:
			r, width := utf8.DecodeRuneInString(s[n:])
			if r == utf8.RuneError || !unicode.In(r, unicode.L, unicode.N, unicode.M, unicode.Cf) && !strings.ContainsRune("。．｡", r) {
				return n, odd
			}
			n += width
			continue
		case c == '%' || c == '\\':
			r, width := escaped(s[n:])
			if width == 0 || r != 0 && r < utf8.RuneSelf && !hostByte[r] {
				return n, odd
			}
			n += width
			odd = true
			continue
		}
		return n, odd
	}
	return n, odd
}

var hostByte = func() (is [256]bool) {
	for c := range is {
		is[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'
	}
	return is
}()

// escaped reads one escape at the beginning of s: %2e, \x2e, \u002e, or the end of a line that goes
// on, which stands for nothing (0). A width of 0 means that there is none.
func escaped(s string) (r rune, width int) {
	for _, e := range []struct {
		prefix string
		digits int
	}{{"%", 2}, {`\x`, 2}, {`\u`, 4}} {
		if rest, ok := strings.CutPrefix(s, e.prefix); ok && len(rest) >= e.digits {
			if v, err := strconv.ParseUint(rest[:e.digits], 16, 32); err == nil && v != 0 {
				return rune(v), len(e.prefix) + e.digits
			}
		}
	}
	for _, end := range []string{"\\\n", "\\\r\n"} {
		if strings.HasPrefix(s, end) {
			return 0, len(end)
		}
	}
	return 0, 0
}

// unescape is what a text of hostText stands for.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, width := rune(0), 0
		if s[i] == '%' || s[i] == '\\' {
			r, width = escaped(s[i:])
		}
		switch {
		case width == 0:
			b.WriteByte(s[i])
			width = 1
		case s[i] == '%':
			raw, _ := hex.DecodeString(s[i+1 : i+3]) // a byte of UTF-8
			b.Write(raw)
		case r != 0:
			b.WriteRune(r)
		}
		i += width
	}
	return b.String()
}

// separator is the length of what stands at the beginning of s and is no part of a host: a character,
// or an escape whose letters could be taken for a host's, like \n.
func separator(s string) int {
	if s[0] != '\\' && s[0] != '%' {
		return 1
	}
	if s[0] == '\\' && len(s) > 1 && strings.IndexByte("nrt", s[1]) >= 0 {
		return 2
	}
	_, width := escaped(s)
	return max(1, width)
}

// isAddress reports whether text[from:to], a matching host, stands where an address does.
func (f *callFinder) isAddress(s span, from, to int) bool {
	before, after := f.text[s.from:from], f.text[to:s.to]
	if s.whole && before == "" && after == "" {
		return true
	}
	var last byte
	if before != "" {
		last = before[len(before)-1]
	}
	opened := strings.IndexByte("\"'`", last) >= 0 && last != 0
	if opened && strings.HasPrefix(strings.TrimLeft(after, `\`), string(last)) {
		return true
	}
	if s.whole && before == "" || opened {
		// "https://" + environment + ".prophecy.io/x"
		if f.text[from] == '.' && strings.HasPrefix(strings.TrimLeft(after, `\`), "/") {
			return true
		}
	}
	if inAuthority(before, f.text[from]) {
		return true
	}
	return hasPort(after) && !endsInSlash(before)
}

// hasPort reports whether a text begins with a port: ":443".
func hasPort(after string) bool {
	digits, ok := strings.CutPrefix(after, ":")
	n := 0
	for ok && n < len(digits) && '0' <= digits[n] && digits[n] <= '9' {
		n++
	}
	if n == 0 || n > 5 {
		return false
	}
	port, _ := strconv.Atoi(digits[:n])
	return port <= 65535 && (n == len(digits) || !hostByte[digits[n]] || digits[n] == '.' && (n+1 == len(digits) || !hostByte[digits[n+1]]))
}

// inAuthority reports whether a host that begins with the character first and follows the text before
// is in the authority of a URL: right behind its //, or behind a user, other hosts, or a front
// that is filled in later.
func inAuthority(before string, first byte) bool {
	if i := len(before) - slashes(before); i < len(before) {
		return beginsURL(before[:i], before[i:])
	}
	if special := schemeOf(before); special != "" && slices.Contains(webSchemes, special) {
		return true // browsers take https:host for https://host
	}
	if before == "" {
		return false
	}
	filled := first == '.' || first == '-'
	switch last := before[len(before)-1]; {
	case last == '@', last == ',', last == '$':
	case (last == '%' || last == ')') && (first == 's' || first == 'd'): // %s and %(environment)s
	case filled && strings.IndexByte("})>", last) >= 0:
	default:
		return false
	}
	for i := len(before); i > 0 && len(before)-i < maxUserInfo; i-- {
		switch c := before[i-1]; {
		case c == '}':
			// What is in braces is code.
			from := max(0, i-maxUserInfo)
			open := strings.LastIndexByte(before[from:i], '{')
			if open < 0 {
				return false
			}
			i = from + open + 1
		case c <= ' ' || c == '?' || c == '#' || strings.IndexByte("\"'`", c) >= 0:
			return false
		case c == '/' || c == '\\':
			n := slashes(before[:i])
			return n > 0 && beginsURL(before[:i-n], before[i-n:i])
		}
	}
	return false
}

// slashes is the length of the slashes at the end of s, escaped ones and backslashes before them
// included.
func slashes(s string) int {
	i := len(s)
	for i > 0 {
		rest := s[:i]
		switch {
		case rest[i-1] == '/' || rest[i-1] == '\\':
			i--
		case i >= 3 && strings.EqualFold(rest[i-3:], "%2f"):
			i -= 3
		case i >= 4 && strings.EqualFold(rest[i-4:], `\x2f`):
			i -= 4
		case i >= 6 && strings.EqualFold(rest[i-6:], `\u002f`):
			i -= 6
		default:
			return len(s) - i
		}
	}
	return len(s)
}

func endsInSlash(s string) bool { return slashes(s) > 0 }

// webSchemes are those whose clients forgive a wrong number of slashes.
var webSchemes = []string{"http", "https", "ws", "wss"}

// beginsURL reports whether the slashes that follow the text before begin the authority of a URL.
func beginsURL(before, run string) bool {
	forward := strings.Count(run, "/") + strings.Count(strings.ToLower(run), "2f")
	scheme := schemeOf(before)
	switch {
	case slices.Contains(webSchemes, scheme):
		return true
	case scheme != "":
		return forward == 2 // file:///prophecy.io is a path, and C:\\prophecy.io another
	case forward != 2:
		return false
	case before == "":
		return true
	}
	last, _ := utf8.DecodeLastRuneInString(before)
	return unicode.IsSpace(last) || strings.ContainsRune("\"'`=(,@[{<>;|:", last)
}

// schemeOf is the scheme whose colon a text ends in, in lower case; "" where it ends in none.
func schemeOf(s string) string {
	switch {
	case strings.HasSuffix(s, ":"):
		s = s[:len(s)-1]
	case len(s) >= 3 && strings.EqualFold(s[len(s)-3:], "%3a"):
		s = s[:len(s)-3]
	default:
		return ""
	}
	i := len(s)
	for i > 0 && len(s)-i < 32 && (hostByte[s[i-1]] || s[i-1] == '+') && s[i-1] != '_' {
		i--
	}
	return strings.ToLower(s[i:])
}
