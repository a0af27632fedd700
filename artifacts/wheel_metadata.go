package artifacts

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// metadata writes the METADATA file of a wheel (core metadata 2.1), header by header in the order
// of setuptools and wheel, so that both can be compared byte by byte. The name and the version are
// those of METADATA: safeName'd and normalised.
func metadata(s Setup, name, version string, licenses []string) ([]byte, error) {
	requires, err := requiresHeaders(s.InstallRequires, s.Extras)
	if err != nil {
		return nil, err
	}
	h := headerWriter{}
	h.add("Metadata-Version", "2.1")
	h.add("Name", name)
	h.add("Version", version)
	if summary := s.Description; summary != "" {
		// Only the first line counts, as in setuptools.
		if strings.Contains(summary, "\n") {
			summary, _, _ = strings.Cut(strings.TrimSpace(summary), "\n")
		}
		h.add("Summary", summary)
	}
	late := headerRank("Requires-Python")
	for _, f := range s.Fields {
		if headerRank(f.Name) < late {
			h.field(f)
		}
	}
	if keywords := strings.Join(s.Keywords, ","); keywords != "" {
		h.add("Keywords", keywords)
	}
	for _, p := range s.Platforms {
		h.add("Platform", p)
	}
	for _, c := range s.Classifiers {
		h.add("Classifier", c)
	}
	for _, f := range s.Fields {
		if headerRank(f.Name) >= late {
			h.field(f)
		}
	}
	for _, l := range licenses {
		h.add("License-File", l)
	}
	for _, r := range requires {
		h.add(r.Name, r.Value)
	}
	if h.err != nil {
		return nil, h.err
	}
	h.b.WriteByte('\n')
	if body := s.LongDescription; body != "" {
		body = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(body)
		h.b.WriteString(strings.TrimSuffix(body, "\n") + "\n")
	}
	return []byte(h.b.String()), nil
}

// headerWriter writes headers and keeps the first error.
type headerWriter struct {
	b   strings.Builder
	err error
}

func (h *headerWriter) add(name, value string) {
	if h.err == nil && hasControl(value) {
		h.err = fmt.Errorf("%s %q has a line break or a control character; write it on one line", name, clip(value))
	}
	h.b.WriteString(name + ": " + strings.TrimLeft(value, " ") + "\n")
}

// field writes a header of setup()'s own. Some that are empty are left out, and a license may have
// several lines.
func (h *headerWriter) field(f Field) {
	switch f.Name {
	case "License", "Requires-Python", "Description-Content-Type":
		if f.Value == "" {
			return
		}
	}
	if f.Name == "Requires-Python" {
		for _, v := range strings.Split(f.Value, ",") {
			if v = strings.TrimSpace(v); v == "" {
				continue
			}
			if _, rest, err := parseSpecifiers(v); (err != nil || rest != "") && h.err == nil {
				h.err = fmt.Errorf("python_requires %q is no version specifier", clip(f.Value))
			}
		}
	}
	if headerRank(f.Name) < 0 && h.err == nil {
		h.err = fmt.Errorf("%q is no header that setup() sets", clip(f.Name))
	}
	if f.Name != "License" {
		h.add(f.Name, f.Value)
		return
	}
	first, more, several := strings.Cut(f.Value, "\n")
	h.add(f.Name, first)
	if several {
		for _, line := range strings.Split(more, "\n") {
			if hasControl(strings.ReplaceAll(line, "\t", " ")) && h.err == nil {
				h.err = errors.New("license has a control character")
			}
			h.b.WriteString("        " + line + "\n")
		}
	}
}

// hasControl reports characters that end a line or have no place in one, in Python's eyes.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
	})
}

var (
	entryPointValue = regexp.MustCompile(`^[\p{L}\p{N}_.]+\s*(:\s*[\p{L}\p{N}_.]+\s*)?(\[.*\]\s*)?$`)
	sectionHeader   = regexp.MustCompile(`^\[(.*)\]$`)
)

// entryPoints writes entry_points.txt, groups and names sorted; nil if there are none.
func entryPoints(groups []EntryPoints) ([]byte, error) {
	type entry struct{ name, value string }
	all := map[string][]entry{}
	seen := map[[2]string]bool{}
	for _, g := range groups {
		group := g.Group
		for _, line := range g.Lines {
			if m := sectionHeader.FindStringSubmatch(line); m != nil {
				if g.Group != "" {
					return nil, fmt.Errorf("entry_points %q holds %q; give each group a list of its own", clip(g.Group), clip(line))
				}
				group = m[1]
				continue
			}
			name, value, ok := strings.Cut(line, "=")
			e := entry{strings.TrimSpace(name), strings.TrimSpace(value)}
			if !ok || e.name == "" || group == "" || hasControl(line) || hasControl(group) || strings.ContainsAny(group, "[]") {
				return nil, fmt.Errorf("entry point %q is not written as: name = module:function", clip(line))
			}
			if !entryPointValue.MatchString(e.value) {
				return nil, fmt.Errorf("entry point %q names no function of a module; write: name = package.module:function", clip(line))
			}
			key := [2]string{group, e.name}
			if seen[key] {
				return nil, fmt.Errorf("entry point %q of %s is there twice", clip(e.name), clip(group))
			}
			seen[key] = true
			all[group] = append(all[group], e)
		}
	}
	var sections []string
	for _, group := range sortedKeys(all) {
		entries := all[group]
		slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
		section := "[" + group + "]\n"
		for _, e := range entries {
			section += e.name + " = " + e.value + "\n"
		}
		sections = append(sections, section)
	}
	if len(sections) == 0 {
		return nil, nil
	}
	return []byte(strings.Join(sections, "\n")), nil
}
