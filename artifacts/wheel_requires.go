package artifacts

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// requirement is one parsed line of install_requires or extras_require (PEP 508).
type requirement struct {
	name   string   // as written: "prophecy_libs"
	extras []string // "sql" of "pkg[sql]", sorted
	specs  []string // "==2.1.16", sorted
	url    string   // of "pkg @ https://..."
	marker string   // `python_version < "3.8"`, in the one form that is written
}

var (
	safeNameRuns  = regexp.MustCompile(`[^A-Za-z0-9.]+`)
	safeExtraRuns = regexp.MustCompile(`[^A-Za-z0-9.-]+`)
	// projectName is what PEP 508 allows as the name of a distribution or an extra.
	projectName = regexp.MustCompile(`^[A-Za-z0-9](?:[-_.]*[A-Za-z0-9])*`)
	specifier   = regexp.MustCompile(`^(===|~=|==|!=|<=|>=|<|>)\s*([^,;\s()]+)$`)
)

// safeName replaces runs of characters other than letters, digits and dots by one dash.
func safeName(name string) string { return safeNameRuns.ReplaceAllString(name, "-") }

// safeExtra is the name of an extra as METADATA has it.
func safeExtra(name string) string {
	return strings.ToLower(safeExtraRuns.ReplaceAllString(name, "_"))
}

// parseRequirement reads one line: a name, extras, and version specifiers or a URL, and a marker.
func parseRequirement(line string) (requirement, error) {
	invalid := func(why string) (requirement, error) {
		return requirement{}, fmt.Errorf("requirement %q is not valid: %s", clip(line), why)
	}
	if strings.HasSuffix(line, `\`) {
		return invalid("it is continued on the next line; write it on one")
	}
	rest, _, _ := strings.Cut(line, " #") // a comment
	rest = strings.TrimSpace(rest)
	r := requirement{name: projectName.FindString(rest)}
	if r.name == "" {
		return invalid("it does not begin with a name")
	}
	rest = strings.TrimSpace(rest[len(r.name):])
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		list, after, closed := strings.Cut(inner, "]")
		if !closed {
			return invalid("its [ is not closed")
		}
		for _, extra := range strings.Split(list, ",") {
			extra = strings.TrimSpace(extra)
			if extra == "" && strings.TrimSpace(list) == "" {
				continue
			}
			if projectName.FindString(extra) != extra || extra == "" {
				return invalid("its extras are not names")
			}
			if !slices.Contains(r.extras, extra) {
				r.extras = append(r.extras, extra)
			}
		}
		slices.Sort(r.extras)
		rest = strings.TrimSpace(after)
	}

	var marker string
	var marked bool
	if target, ok := strings.CutPrefix(rest, "@"); ok {
		target = strings.TrimSpace(target)
		r.url, rest, _ = strings.Cut(target, " ")
		u, err := url.Parse(r.url)
		if err != nil || u.Scheme == "" || (u.Host == "" && u.Scheme != "file") {
			return invalid("its URL is not one")
		}
		rest = strings.TrimSpace(rest)
		if marker, marked = strings.CutPrefix(rest, ";"); !marked && rest != "" {
			return invalid("something follows its URL")
		}
	} else {
		var versions string
		versions, marker, marked = strings.Cut(rest, ";")
		versions = strings.TrimSpace(versions)
		if strings.HasPrefix(versions, "(") && strings.HasSuffix(versions, ")") {
			versions = versions[1 : len(versions)-1]
		}
		if versions != "" {
			for _, v := range strings.Split(versions, ",") {
				m := specifier.FindStringSubmatch(strings.TrimSpace(v))
				if m == nil {
					return invalid(fmt.Sprintf("%q is no version specifier", clip(v)))
				}
				if s := m[1] + m[2]; !slices.Contains(r.specs, s) {
					r.specs = append(r.specs, s)
				}
			}
			slices.Sort(r.specs)
		}
	}
	if marked {
		var err error
		if r.marker, err = formatMarker(marker); err != nil {
			return invalid(err.Error())
		}
	}
	return r, nil
}

// dist is the requirement as a value of Requires-Dist, without its marker.
func (r requirement) dist() string {
	s := safeName(r.name)
	if len(r.extras) > 0 {
		var extras []string
		for _, e := range r.extras {
			extras = append(extras, safeExtra(e))
		}
		slices.Sort(extras)
		s += "[" + strings.Join(extras, ",") + "]"
	}
	if r.url != "" {
		return s + " @ " + r.url
	}
	if len(r.specs) > 0 {
		s += " (" + strings.Join(r.specs, ",") + ")"
	}
	return s
}

// requiresHeaders returns the Requires-Dist and Provides-Extra headers in the order of wheel: what is
// required always first, then the extras by name. A requirement with a marker counts as one of an
// extra without a name, as setuptools has it.
func requiresHeaders(install []string, extras []Extra) ([]Field, error) {
	sections := map[string][]requirement{} // "extra:marker"
	add := func(section, line string) error {
		r, err := parseRequirement(line)
		if err != nil {
			return err
		}
		if r.marker != "" {
			if strings.Contains(section, ":") {
				return fmt.Errorf("requirement %q and its extra %q both have a marker; keep one", clip(line), clip(section))
			}
			section += ":" + r.marker
		}
		sections[section] = append(sections[section], r)
		return nil
	}
	for _, line := range install {
		if err := add("", line); err != nil {
			return nil, fmt.Errorf("install_requires: %w", err)
		}
	}
	for _, e := range extras {
		name, marker, marked := strings.Cut(e.Name, ":")
		if strings.ContainsAny(name, "[]\r\n") || (strings.TrimSpace(name) == "" && !marked) {
			return nil, fmt.Errorf("extras_require: %q is no name of an extra", clip(e.Name))
		}
		if marked {
			if _, err := formatMarker(marker); err != nil {
				return nil, fmt.Errorf("extras_require %q: %w", clip(e.Name), err)
			}
		}
		if sections[e.Name] == nil {
			sections[e.Name] = []requirement{} // an extra without requirements is provided, too
		}
		for _, line := range e.Requires {
			if err := add(e.Name, line); err != nil {
				return nil, fmt.Errorf("extras_require %q: %w", clip(e.Name), err)
			}
		}
	}

	var headers []Field
	emit := func(name, value string) {
		if f := (Field{name, value}); !slices.Contains(headers, f) {
			headers = append(headers, f)
		}
	}
	for _, section := range sortedKeys(sections) {
		extra, condition, _ := strings.Cut(section, ":")
		if extra = safeExtra(extra); extra != "" {
			emit("Provides-Extra", extra)
			if condition != "" {
				condition = "(" + condition + ") and "
			}
			condition += "extra == '" + extra + "'"
		}
		if condition != "" {
			condition = " ; " + condition
		}
		for _, r := range sections[section] {
			emit("Requires-Dist", r.dist()+condition)
		}
	}
	return headers, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
