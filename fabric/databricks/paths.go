package databricks

import (
	"fmt"
	"path"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// committed is where the authoring tool would put an artifact: the path of a component. A definition
// mentions it in several spellings: "dbfs:/a/b", "/dbfs/a/b", "/a//b", and "\/a\/b" in JSON within a string.
type committed struct {
	segments []string // placeholders included
	pipeline string   // key
}

func newCommitted(p, pipeline string) (committed, bool) {
	c := committed{pipeline: pipeline}
	for _, s := range strings.Split(strings.TrimPrefix(p, "dbfs:"), "/") {
		if s != "" {
			c.segments = append(c.segments, s)
		}
	}
	if len(c.segments) > 0 && c.segments[0] == "dbfs" {
		c.segments = c.segments[1:]
	}
	return c, len(c.segments) > 1
}

// find is the first mention in s at or after from.
func (c committed) find(s string, from int) (start, end int, ok bool) {
	last := c.segments[len(c.segments)-1]
	first := from
	for {
		i := strings.Index(s[from:], last)
		if i < 0 {
			return 0, 0, false
		}
		i += from
		from = i + 1
		end = i + len(last)
		if end < len(s) && pathByte(s[end]) {
			continue
		}
		if start, ok := c.begin(s, i); ok && start >= first {
			return start, end, true
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

// replace puts to in place of every mention.
func (c committed) replace(s, to string) (string, bool) {
	start, end, ok := c.find(s, 0)
	if !ok {
		return s, false
	}
	var b strings.Builder
	at := 0
	for ok {
		b.WriteString(s[at:start])
		b.WriteString(to)
		at = end
		start, end, ok = c.find(s, at)
	}
	b.WriteString(s[at:])
	return b.String(), true
}

// artifactPaths are the committed paths of the job's components, each once.
func (d *draft) artifactPaths() []committed {
	var paths []committed
	seen := map[string]bool{}
	for _, c := range d.job.Components {
		pipeline := c.PipelineID
		if pipeline == "" {
			pipeline = c.ID
		}
		p, ok := newCommitted(c.Path, pipeline)
		if key := strings.Join(p.segments, "/"); ok && !seen[key] {
			seen[key] = true
			paths = append(paths, p)
		}
	}
	return paths
}

// rewrite puts the paths of our artifacts in place of the committed ones.
func (n *rendering) rewrite(d *draft) {
	for _, p := range d.artifactPaths() {
		var blob fabric.Blob
		if pipeline := n.pipelines[p.pipeline]; pipeline != nil && pipeline.Artifact != nil {
			a := pipeline.Artifact
			blob = fabric.Blob{SHA256: a.SHA256, Name: a.Name, Size: a.Size, Path: path.Join(n.Root, a.SHA256, a.Name)}
		}
		used := false
		walk("request", d.request, func(field, s string) string {
			replaced, ok := p.replace(s, blob.Path)
			if !ok {
				return s
			}
			if blob.Path == "" {
				d.block(configs.ArtifactMissing, field, fmt.Sprintf("%s of %s", p.segments[len(p.segments)-1], p.pipeline))
				return s
			}
			used = true
			return replaced
		})
		if used && !contains(d.Blobs, blob) {
			d.Blobs = append(d.Blobs, blob)
		}
	}
	for _, t := range tasksOf(d.request) {
		walk(t.field+".libraries", t.settings["libraries"], func(field, s string) string {
			if strings.Contains(s, "/prophecy/artifacts/") && !strings.HasSuffix(field, ".coordinates") {
				d.block(configs.ArtifactMissing, field, fmt.Sprintf("%q is the path of no component of the job", s))
			}
			return s
		})
	}
}

func contains(blobs []fabric.Blob, b fabric.Blob) bool {
	for _, other := range blobs {
		if other.Path == b.Path {
			return true
		}
	}
	return false
}

// pipelineTasks are the tasks that run a pipeline, with its key: those that have its artifact among
// their libraries. It looks for committed paths, and so must come before rewrite.
func (n *rendering) pipelineTasks(d *draft) map[string]string {
	pipelines := map[string]string{} // field of the task -> pipeline
	paths := d.artifactPaths()
	for _, t := range tasksOf(d.request) {
		walk("", t.settings["libraries"], func(_, s string) string {
			for _, p := range paths {
				if _, _, ok := p.find(s, 0); ok && pipelines[t.field] == "" {
					pipelines[t.field] = p.pipeline
				}
			}
			return s
		})
		key, _ := t.settings["task_key"].(string)
		for _, c := range d.job.Components {
			if pipelines[t.field] == "" && c.PipelineID != "" && c.NodeName != "" && c.NodeName == key {
				pipelines[t.field] = c.PipelineID
			}
		}
	}
	return pipelines
}
