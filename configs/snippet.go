package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// OverlaySnippet writes the job_clusters and the patch of an overlay as they stand under overlay: of a deployment. What
// the other parts say is left out. ParseOverlay reads it.
func OverlaySnippet(o Overlay) []byte {
	var b bytes.Buffer
	if len(o.JobClusters) > 0 {
		b.WriteString("job_clusters:\n")
		for _, c := range o.JobClusters {
			fmt.Fprintf(&b, "  %s:\n", flow(c.Key))
			writeFields(&b, "    ", c.Merge)
		}
	}
	if len(o.Patch) > 0 {
		b.WriteString("patch:\n")
		for _, p := range o.Patch {
			fmt.Fprintf(&b, "  %s:\n", flow(p.Jobs))
			writeFields(&b, "    ", p.Merge)
			if len(p.Tasks) == 0 {
				continue
			}
			b.WriteString("    tasks:\n")
			for _, t := range p.Tasks {
				fmt.Fprintf(&b, "      %s:\n", flow(t.Key))
				writeFields(&b, "        ", t.Merge)
			}
		}
	}
	return b.Bytes()
}

func writeFields(b *bytes.Buffer, indent string, fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(b, "%s%s: %s\n", indent, flow(name), flow(escaped(fields[name])))
	}
}

// escaped is a value in which no ${ is taken for a reference.
func escaped(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "${", "$${")
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = escaped(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = escaped(e)
		}
		return list
	}
	return v
}

// flow is a value as JSON, which YAML reads too. A space keeps a key and its value apart in every reader.
func flow(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, flow(name)+": "+flow(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, flow(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "null" // nothing that JSON was decoded into is that
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ParseOverlay reads what stands under overlay: of a deployment. name is what its mistakes call it; any error is Problems.
func ParseOverlay(name string, text []byte) (Overlay, error) {
	l := newLoader(name, Options{Getenv: func(string) string { return "" }, Credentials: "."})
	s := l.sources[0]
	if len(text) > maxFile {
		l.unreadable(s, nil, "the file is larger than 1 MiB", "check that this is the right file")
		return Overlay{}, l.finish()
	}
	s.lines = strings.Split(string(text), "\n")
	root, ok := l.parse(s, string(text))
	if !ok {
		return Overlay{}, l.finish()
	}
	o := l.overlay(value{path: "overlay", node: root, at: placeOfNode(root, place{s, 1, 1})})
	if len(l.problems) > 0 {
		return Overlay{}, l.finish()
	}
	return o, nil
}

// Over lays o over another overlay: what both say is o's, and its merge patches come last.
func (o Overlay) Over(other Overlay) Overlay {
	inherited := other.Inherited
	out := o.over(other)
	out.Inherited = inherited
	return out
}
