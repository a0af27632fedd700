package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"selvage/fabric"
)

// widestValue is how many characters of each side of a difference are shown.
const widestValue = 48

// artifactPath is the path of a wheel or jar in the folder of artifacts: ROOT/SHA256/NAME-VERSION....whl.
var artifactPath = regexp.MustCompile(`[^\s"'=,;\[\]{}]*/([0-9a-f]{64})/([A-Za-z0-9_.]+?)-[^/\s"',;\]}]*\.(?:whl|jar)`)

// namedDigest is what shortArtifacts makes of the path of an artifact.
var namedDigest = regexp.MustCompile(`^(\S+) ([0-9a-f]{6})$`)

// shortArtifacts writes the paths of artifacts as name and the beginning of the digest: clean_orders 41ce07.
func shortArtifacts(s string) string {
	return artifactPath.ReplaceAllStringFunc(s, func(path string) string {
		m := artifactPath.FindStringSubmatch(path)
		return m[2] + " " + m[1][:6]
	})
}

// unresolved is how a fabric.Ref is spelled, and nothing else: it stands for an id.
var unresolved = regexp.MustCompile(`\{"\\u0024ref":\{"key":("(?:[^"\\]|\\.)*"),"kind":("(?:[^"\\]|\\.)*")\}\}`)

// withoutRefs says of each id that is not known when it will be.
func withoutRefs(s string) string {
	return unresolved.ReplaceAllStringFunc(s, func(ref string) string {
		m := unresolved.FindStringSubmatch(ref)
		var key, kind string
		if json.Unmarshal([]byte(m[1]), &key) != nil || json.Unmarshal([]byte(m[2]), &kind) != nil {
			return ref
		}
		if t, named := (fabric.Ref{Kind: fabric.Kind(kind), Key: fabric.Key(key)}).Outside(); named {
			return "(the id of " + t.String() + ")"
		}
		return "(known after apply: " + kind + " " + key + ")"
	})
}

// values shows the two sides of a difference, absent as "-". Two that are long are cut where they agree,
// so that what differs is seen.
func values(was, is json.RawMessage) (string, string) {
	a, b := value(was), value(is)
	if m, n := namedDigest.FindStringSubmatch(a), namedDigest.FindStringSubmatch(b); m != nil && n != nil && m[1] == n[1] {
		return a, n[2] // clean_orders 41ce07 -> 9d0211
	}
	if utf8.RuneCountInString(a) <= widestValue && utf8.RuneCountInString(b) <= widestValue {
		return a, b
	}
	if was != nil && is != nil {
		a, b = telling([]rune(a), []rune(b))
	}
	return cut(a, widestValue), cut(b, widestValue)
}

// margin is how many characters are shown on either side of what differs.
const margin = 12

// telling takes most of what two texts have in common at their beginnings and ends out of both.
func telling(a, b []rune) (string, string) {
	head, tail := 0, 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	trim := func(s []rune) string {
		from, to := max(0, head-margin), min(len(s), len(s)-tail+margin)
		for from > 0 && head-from < 2*margin && wordRune(s[from-1]) {
			from--
		}
		out := string(s[from:to])
		if from > 0 {
			out = "…" + out
		}
		if to < len(s) {
			out += "…"
		}
		return out
	}
	return trim(a), trim(b)
}

func wordRune(r rune) bool { return r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// value shows a JSON value: text without quotes where it can't be taken for something else.
func value(raw json.RawMessage) string {
	if raw == nil {
		return "-"
	}
	var text string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		switch text = shortArtifacts(text); {
		case unambiguous(text):
			return text
		case strings.Contains(text, `"`) && !strings.ContainsFunc(text, hidden) && !strings.Contains(text, "'"):
			return "'" + text + "'" // JSON within a text: quoting it again would make it unreadable
		}
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return visible(string(raw))
	}
	return visible(withoutRefs(shortArtifacts(b.String())))
}

// unambiguous reports that a text without quotes is still seen to be a text, and where it ends.
func unambiguous(s string) bool {
	switch {
	case s == "", s == "-", s != strings.TrimSpace(s), strings.ContainsFunc(s, hidden), strings.Contains(s, "->"),
		strings.Contains(s, "  "), strings.ContainsAny(s[:1], "\"[{…"):
		return false
	}
	return !json.Valid([]byte(s)) // a number, true, false or null
}
