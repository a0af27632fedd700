package artifacts

import (
	"fmt"
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
	// specifier is one comparison of a version at the beginning of a text, as setuptools 66 reads it. Only ~=
	// needs a version of PEP 440, of two parts at least; === takes everything up to a blank.
	specifier     = regexp.MustCompile(`^(?:(~=)\s*(` + compatibleVersion + `)|(===)\s*(\S*)|(==|!=|<=|>=|<|>)\s*([^,;\s)]*))`)
	releaseDigits = regexp.MustCompile(`^(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*`)
	urlScheme     = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)`)
)

const compatibleVersion = `(?i:v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)+(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?` +
	`(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?(?:[-_.]?dev[-_.]?[0-9]*)?)`

// parseSpecifiers reads comparisons separated by commas at the beginning of a text: ">=1.0, <2". It
// returns them sorted, each once and without blanks, and what follows.
func parseSpecifiers(s string) (specs []string, rest string, err error) {
	seen := map[string]bool{}
	for {
		s = strings.TrimSpace(s)
		m := specifier.FindStringSubmatch(s)
		if m == nil {
			return nil, s, fmt.Errorf("%q is no version specifier", clip(s))
		}
		operator, version := m[1]+m[3]+m[5], m[2]+m[4]+m[6]
		switch {
		case version == "":
			return nil, s, fmt.Errorf("%q compares with no version", clip(s))
		case operator == "===" && strings.ContainsAny(version, ",;)"):
			return nil, s, fmt.Errorf("=== takes everything up to a blank for the version, here %q", clip(version))
		}
		// Of two spellings of one comparison, the first stays.
		if key := operator + comparedVersion(version); !seen[key] {
			seen[key] = true
			specs = append(specs, operator+version)
		}
		s = strings.TrimSpace(s[len(m[0]):])
		var more bool
		if s, more = strings.CutPrefix(s, ","); !more {
			slices.Sort(specs)
			return specs, s, nil
		}
	}
}

// comparedVersion is a version in the form in which setuptools compares two of them: 1.0 is 1.
func comparedVersion(version string) string {
	normal, err := normalizeVersion(version)
	if err != nil {
		return version
	}
	release := releaseDigits.FindString(normal)
	short := release
	for strings.HasSuffix(short, ".0") {
		short = strings.TrimSuffix(short, ".0")
	}
	return short + normal[len(release):]
}

// isRequirementURL reports whether a requirement can be taken from a URL.
func isRequirementURL(u string) bool {
	m := urlScheme.FindStringSubmatch(u)
	if m == nil {
		return false
	}
	if strings.EqualFold(m[1], "file") {
		return m[1] == "file" && !strings.HasSuffix(u, "?") && !strings.HasSuffix(u, "#")
	}
	return m[2] != ""
}

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
			r.extras = append(r.extras, extra)
		}
		slices.Sort(r.extras)
		r.extras = slices.Compact(r.extras)
		rest = strings.TrimSpace(after)
	}

	var marker string
	var marked bool
	if target, ok := strings.CutPrefix(rest, "@"); ok {
		target = strings.TrimSpace(target)
		r.url, rest, _ = strings.Cut(target, " ")
		if !isRequirementURL(r.url) {
			return invalid("its URL is not one")
		}
		rest = strings.TrimSpace(rest)
		if marker, marked = strings.CutPrefix(rest, ";"); !marked && rest != "" {
			return invalid("something follows its URL")
		}
	} else {
		inner, bracket := strings.CutPrefix(rest, "(")
		if bracket || rest != "" && rest[0] != ';' {
			var err error
			if r.specs, rest, err = parseSpecifiers(inner); err != nil {
				return invalid(err.Error())
			}
		}
		if bracket && !strings.HasPrefix(rest, ")") {
			return invalid("its ( is not closed")
		} else if bracket {
			rest = strings.TrimSpace(rest[1:])
		}
		if marker, marked = strings.CutPrefix(rest, ";"); !marked && rest != "" {
			return invalid(fmt.Sprintf("%q is not expected", clip(rest)))
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

// identity is the same for two requirements that are one for setuptools, however they are spelled.
func (r requirement) identity() string {
	parts := []string{r.url, r.marker}
	for _, s := range r.specs {
		operator := s[:len(s)-len(strings.TrimLeft(s, "=<>!~"))]
		parts = append(parts, operator+comparedVersion(s[len(operator):]))
	}
	for _, e := range r.extras {
		parts = append(parts, "["+safeExtra(e))
	}
	slices.Sort(parts)
	return strings.ToLower(safeName(r.name)) + "\n" + strings.Join(slices.Compact(parts), "\n")
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
	seen := map[string]bool{}
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
		section = strings.TrimSpace(section) // a blank ahead of the colon stays, and is a part of the name
		// Of the requirements of an extra, and of those with one marker, the first of a kind stays.
		key := section + "\n" + r.identity()
		if section != "" && seen[key] {
			return nil
		}
		seen[key] = true
		sections[section] = append(sections[section], r)
		return nil
	}
	for _, line := range install {
		if err := add("", line); err != nil {
			return nil, fmt.Errorf("install_requires: %w", err)
		}
	}
	for _, e := range extras {
		if hasControl(e.Name) {
			return nil, fmt.Errorf("extras_require: %q is no name of an extra", clip(e.Name))
		}
		if _, marker, _ := strings.Cut(e.Name, ":"); marker != "" {
			if err := checkCondition(marker); err != nil {
				return nil, fmt.Errorf("extras_require %q: %w", clip(e.Name), err)
			}
		}
		if section := strings.TrimSpace(e.Name); sections[section] == nil {
			sections[section] = []requirement{} // an extra without requirements is provided, too
		}
		for _, line := range e.Requires {
			if err := add(e.Name, line); err != nil {
				return nil, fmt.Errorf("extras_require %q: %w", clip(e.Name), err)
			}
		}
	}

	var headers []Field
	written := map[Field]bool{}
	emit := func(name, value string) {
		if f := (Field{name, value}); !written[f] {
			written[f] = true
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
