package gitwatch

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// version is what people number their releases by, read leniently: v1.2, 22.0.0, 1.00, 1.2.3.4,
// 1.0.0-rc.1+build.5, 1.2.3dev0.
//
// Where Masterminds/semver reads a version too, the two agree (a test compares them). It is not asked
// itself because it refuses a fourth part and numbers of twenty digits: one comparison for some pairs of a
// list and another for the rest need not make an order.
type version struct {
	parts []string // decimal numbers without leading zeros
	pre   []string // identifiers of the prerelease; none: a release
}

// versionForm is an optional v, numbers, and at will a prerelease and a build. A prerelease follows a
// hyphen, or is one of the words that Python writes without one.
var versionForm = regexp.MustCompile(`^[vV]?([0-9]+(?:\.[0-9]+)*)` +
	`(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)|((?:alpha|beta|dev|pre|rc|a|b)[0-9]*))?` +
	`(?:\+[0-9A-Za-z.-]+)?$`)

// parseVersion reports whether the suffix of a tag is a version.
func parseVersion(text string) (version, bool) {
	found := versionForm.FindStringSubmatch(text)
	if found == nil {
		return version{}, false
	}
	v := version{parts: strings.Split(found[1], ".")}
	if found[3] != "" && len(v.parts) < 2 {
		return version{}, false // 3345b456 and 1a are rather the beginning of a hash than a version
	}
	for i, p := range v.parts {
		v.parts[i] = trimZeros(p)
	}
	if pre := found[2] + found[3]; pre != "" {
		v.pre = strings.Split(pre, ".")
	}
	return v, true
}

// compare is negative if v is older than o, and 0 if they are one version, as 1.0 and v1. Builds don't count. The
// rules are those of semver.org, section 11, for any count of numbers of any size.
func (v version) compare(o version) int {
	for i := range max(len(v.parts), len(o.parts)) {
		if c := compareNumbers(part(v.parts, i), part(o.parts, i)); c != 0 {
			return c
		}
	}
	switch {
	case len(v.pre) == 0 || len(o.pre) == 0:
		return cmp.Compare(len(o.pre), len(v.pre)) // a prerelease is older than its release
	default:
		return slices.CompareFunc(v.pre, o.pre, compareIdentifiers)
	}
}

func part(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return "0"
}

// compareIdentifiers compares two identifiers of prereleases: numbers by size and before words.
func compareIdentifiers(a, b string) int {
	switch an, bn := number(a), number(b); {
	case an && bn:
		return compareNumbers(trimZeros(a), trimZeros(b))
	case an:
		return -1
	case bn:
		return 1
	}
	return strings.Compare(a, b)
}

// compareNumbers compares decimal numbers without leading zeros.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func number(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func trimZeros(digits string) string {
	if trimmed := strings.TrimLeft(digits, "0"); trimmed != "" {
		return trimmed
	}
	return "0"
}
