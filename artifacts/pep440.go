package artifacts

import (
	"fmt"
	"regexp"
	"strings"
)

// maxVersionLength bounds a version in bytes; it becomes part of file names.
const maxVersionLength = 128

// pep440 is the pattern of PEP 440, appendix B, without its optional white space at both ends.
// It is matched against lower-case text.
var pep440 = regexp.MustCompile(`^v?` +
	`(?:(?P<epoch>[0-9]+)!)?` +
	`(?P<release>[0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<preN>[0-9]+)?)?` +
	`(?P<post>-(?P<postN1>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<postN2>[0-9]+)?)?` +
	`(?P<dev>[-_.]?dev[-_.]?(?P<devN>[0-9]+)?)?` +
	`(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

var preReleaseNames = map[string]string{
	"alpha": "a", "a": "a", "beta": "b", "b": "b",
	"c": "rc", "rc": "rc", "pre": "rc", "preview": "rc",
}

// normalizeVersion returns the one spelling that PEP 440 gives to a version: "v1.0-RC.1" is
// "1.0rc1", "1.0-1" is "1.0.post1". A text that is no version of PEP 440 ("0.0.1-SNAPSHOT") is an
// error: installers would refuse a wheel of that name.
func normalizeVersion(version string) (string, error) {
	if len(version) > maxVersionLength {
		return "", fmt.Errorf("the version is %d characters long; at most %d are allowed", len(version), maxVersionLength)
	}
	m := pep440.FindStringSubmatch(strings.ToLower(strings.TrimSpace(version)))
	if m == nil {
		return "", fmt.Errorf("version %q is not a Python version (PEP 440); write it like 1.2.0, 1.2.0rc1 or 1.2.0.dev3", version)
	}
	part := func(name string) string { return m[pep440.SubexpIndex(name)] }

	var b strings.Builder
	if epoch := number(part("epoch")); epoch != "0" {
		b.WriteString(epoch + "!")
	}
	for i, n := range strings.Split(part("release"), ".") {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(number(n))
	}
	if pre := part("pre"); pre != "" {
		b.WriteString(preReleaseNames[pre] + number(part("preN")))
	}
	if part("post") != "" {
		b.WriteString(".post" + number(part("postN1")+part("postN2")))
	}
	if part("dev") != "" {
		b.WriteString(".dev" + number(part("devN")))
	}
	if local := part("local"); local != "" {
		b.WriteByte('+')
		segments := strings.FieldsFunc(local, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
		for i, s := range segments {
			if i > 0 {
				b.WriteByte('.')
			}
			if strings.Trim(s, "0123456789") == "" {
				s = number(s)
			}
			b.WriteString(s)
		}
	}
	return b.String(), nil
}

// number writes a run of digits as an integer of any size; no digits mean 0.
func number(digits string) string {
	if n := strings.TrimLeft(digits, "0"); n != "" {
		return n
	}
	return "0"
}
