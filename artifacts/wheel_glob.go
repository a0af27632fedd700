package artifacts

import (
	"path"
	"strings"
	"unicode/utf8"
)

// matchName reports whether a whole name matches a shell pattern as Python's fnmatch.fnmatchcase
// does: * any run of characters (dots too), ? one character, [seq] and [!seq] one of a set. There
// is no escape character, and a [ without its ] stands for itself.
func matchName(pattern, name string) bool {
	// The last * is the only one worth going back to, so the time is len(pattern) x len(name).
	starPattern, starName := -1, 0
	p, n := 0, 0
	for n < len(name) {
		_, width := utf8.DecodeRuneInString(name[n:])
		if p < len(pattern) {
			if pattern[p] == '*' {
				starPattern, starName = p, n
				p++
				continue
			}
			if size, ok := matchOne(pattern[p:], name[n:n+width]); ok {
				p += size
				n += width
				continue
			}
		}
		if starPattern < 0 {
			return false
		}
		_, width = utf8.DecodeRuneInString(name[starName:])
		starName += width
		p, n = starPattern+1, starName
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne matches the first element of a pattern, which is not a *, against one character. It
// returns the length of the element in bytes.
func matchOne(pattern, char string) (size int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		if set, size := charSet(pattern); size > 0 {
			return size, inSet(set, char)
		}
	}
	_, size = utf8.DecodeRuneInString(pattern)
	return size, pattern[:size] == char
}

// charSet splits "[seq]rest" into seq and the length of "[seq]"; the length is 0 where no ] ends it.
func charSet(pattern string) (set string, size int) {
	start := 1
	if strings.HasPrefix(pattern[start:], "!") {
		start++
	}
	if strings.HasPrefix(pattern[start:], "]") {
		start++ // a ] in first place is a member
	}
	end := strings.IndexByte(pattern[start:], ']')
	if end < 0 {
		return "", 0
	}
	return pattern[1 : start+end], start + end + 1
}

func inSet(set, char string) bool {
	want := true
	if strings.HasPrefix(set, "!") {
		want, set = false, set[1:]
	}
	c, _ := utf8.DecodeRuneInString(char)
	members := []rune(set)
	for i := 0; i < len(members); i++ {
		low, high := members[i], members[i]
		if i+2 < len(members) && members[i+1] == '-' {
			high = members[i+2]
			i += 2
		}
		if low <= c && c <= high {
			return want
		}
	}
	return !want
}

// matchPath reports whether a slash path matches a pattern as Python's glob.glob(recursive=True)
// does: * and ** leave out names that begin with a dot, ** alone between slashes is any number of
// folders, and everything else is matched name by name.
func matchPath(pattern, file string) bool {
	if strings.HasSuffix(pattern, "/") {
		return false // folders only, and a wheel packs files
	}
	patterns := strings.Split(path.Clean(pattern), "/")
	names := strings.Split(file, "/")
	// reach[i] says: the patterns so far can consume exactly the first i names.
	reach := make([]bool, len(names)+1)
	reach[0] = true
	for _, p := range patterns {
		next := make([]bool, len(names)+1)
		if p == "**" {
			for i, open := 0, false; i <= len(names); i++ {
				open = reach[i] || (open && !strings.HasPrefix(names[i-1], "."))
				next[i] = open
			}
		} else {
			for i, name := range names {
				next[i+1] = reach[i] && matchComponent(p, name)
			}
		}
		reach = next
	}
	return reach[len(names)]
}

func matchComponent(pattern, name string) bool {
	if !strings.ContainsAny(pattern, "*?[") {
		return pattern == name
	}
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(pattern, ".") {
		return false
	}
	return matchName(pattern, name)
}
