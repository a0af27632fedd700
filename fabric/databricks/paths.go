package databricks

import (
	"strings"
)

// committed is where the authoring tool would put a file, or a folder of files. A definition mentions it in
// several spellings: "dbfs:/a/b", "/dbfs/a/b", "/a//b", and "\/a\/b" in JSON within a string.
type committed struct {
	segments []string // placeholders included
	folder   bool     // slashes may follow it
}

// newCommitted reads a path; false where it has fewer than two segments, so that too much would match it.
func newCommitted(p string) (committed, bool) {
	var c committed
	for s := range strings.SplitSeq(strings.TrimPrefix(p, "dbfs:"), "/") {
		if s != "" {
			c.segments = append(c.segments, s)
		}
	}
	if len(c.segments) > 0 && c.segments[0] == "dbfs" {
		c.segments = c.segments[1:]
	}
	return c, len(c.segments) > 1
}

// newFolder reads the path of a folder.
func newFolder(p string) (committed, bool) {
	c, ok := newCommitted(p)
	c.folder = true
	return c, ok
}

// key is the same for all spellings.
func (c committed) key() string { return strings.Join(c.segments, "/") }

func (c committed) base() string { return c.segments[len(c.segments)-1] }

// dir is the folder that it lies in; false where that is too short.
func (c committed) dir() (committed, bool) {
	n := len(c.segments) - 1
	return committed{c.segments[:n:n], true}, n > 1
}

// file is a file in the folder.
func (c committed) file(name string) committed {
	return committed{segments: append(c.segments[:len(c.segments):len(c.segments)], name)}
}

// inTool reports that it lies in the authoring tool's store of artifacts.
func (c committed) inTool() bool { return c.toolAt() >= 0 }

func (c committed) toolAt() int {
	for i := range len(c.segments) - 1 {
		if c.segments[i] == "prophecy" && c.segments[i+1] == "artifacts" {
			return i
		}
	}
	return -1
}

// project is the project that it belongs to: BASE/prophecy/artifacts/CUSTOMER/CONTROL_PLANE/PROJECT/VERSION/...
// It is empty where the path says none.
func (c committed) project() string {
	i := c.toolAt()
	if i < 0 || i+5 >= len(c.segments) {
		return ""
	}
	return c.segments[i+4]
}

// below reports that it lies in the folder, at any depth.
func (c committed) below(folder committed) bool {
	return len(folder.segments) < len(c.segments) && strings.HasPrefix(c.key(), folder.key()+"/")
}

// onFabric is the path as the workspace knows it: of a volume or of workspace files as it is, else dbfs:/.
func (c committed) onFabric() string {
	if c.segments[0] == "Volumes" || c.segments[0] == "Workspace" {
		return "/" + c.key()
	}
	return "dbfs:/" + c.key()
}

// find is the first mention in s at or after from.
func (c committed) find(s string, from int) (start, end int, ok bool) {
	last := c.base()
	first := from
	for {
		i := strings.Index(s[from:], last)
		if i < 0 {
			return 0, 0, false
		}
		i += from
		from = i + 1
		end = i + len(last)
		after := s[end:]
		if c.folder {
			after = after[slashes(after):]
		}
		if after != "" && pathByte(after[0]) {
			continue
		}
		if start, ok := c.begin(s, i); ok && start >= first {
			return start, end, true
		}
	}
}

// slashes is the length of the slashes, plain or escaped, at the beginning of s.
func slashes(s string) int {
	n := 0
	for {
		switch {
		case strings.HasPrefix(s[n:], "/"):
			n++
		case strings.HasPrefix(s[n:], `\/`):
			n += 2
		default:
			return n
		}
	}
}

// begin matches the path backwards from its last segment, which begins at s[i].
func (c committed) begin(s string, i int) (start int, ok bool) {
	for k := len(c.segments) - 2; k >= -1; k-- {
		rest, slashes := trimSlashes(s[:i])
		if slashes == 0 {
			return 0, false
		}
		if k < 0 {
			i = len(rest)
			break
		}
		if !strings.HasSuffix(rest, c.segments[k]) {
			return 0, false
		}
		i = len(rest) - len(c.segments[k])
	}
	before := s[:i]
	if b, ok := strings.CutSuffix(before, "dbfs:"); ok {
		before = b
	} else if b, ok := strings.CutSuffix(before, "dbfs"); ok {
		if b, slashes := trimSlashes(b); slashes > 0 {
			before = b
		}
	}
	if before != "" && pathByte(before[len(before)-1]) {
		return 0, false
	}
	return len(before), true
}

// trimSlashes takes slashes, plain or escaped, off the end.
func trimSlashes(s string) (rest string, n int) {
	for strings.HasSuffix(s, "/") {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "/"), `\`)
		n++
	}
	return s, n
}

// pathByte reports a byte that makes a longer path of what it stands beside.
func pathByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("._-/", b) >= 0 || b >= 0x80
}
