package databricks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// The tokens that the authoring tool writes in place of what it knows only on release.
const (
	projectIDPlaceholder = "__PROJECT_ID_PLACEHOLDER__"
	versionPlaceholder   = "__PROJECT_RELEASE_VERSION_PLACEHOLDER__"
	tagPlaceholder       = "__PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__"
	urlPlaceholder       = "__PROPHECY_URL_PLACEHOLDER__"
)

var (
	placeholder = regexp.MustCompile(`__[A-Z][A-Z_]*_PLACEHOLDER__`)
	// safeValue keeps a value from meaning anything in JSON, in JSON within JSON, in a path or in a shell.
	safeValue = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+~=,-]*$`)
)

// placeholders are the values of the tokens, and which of them may be put in.
type placeholders struct {
	values, usable map[string]string
}

func newPlaceholders(b fabric.Binding) placeholders {
	p := placeholders{usable: map[string]string{}, values: map[string]string{
		projectIDPlaceholder: b.ProjectID, versionPlaceholder: b.Version, tagPlaceholder: b.Tag, urlPlaceholder: b.ProphecyURL}}
	for token, v := range p.values {
		if safeValue.MatchString(v) && !strings.Contains(v, "..") {
			p.usable[token] = v
		}
	}
	return p
}

// put fills a text. What has no value that may be put in stays; left is the first such token.
func put(values map[string]string, s string) (filled, left string) {
	if !strings.Contains(s, "_PLACEHOLDER__") {
		return s, ""
	}
	filled = placeholder.ReplaceAllStringFunc(s, func(token string) string {
		v, ok := values[token]
		if !ok && left == "" {
			left = token
		}
		if !ok {
			return token
		}
		return v
	})
	return filled, left
}

// unfilled says why a token is left.
func (p placeholders) unfilled(token string) (configs.Code, string) {
	if v := p.values[token]; v != "" {
		return configs.PlaceholderUnsafe, fmt.Sprintf("%s: %q", token, v)
	}
	return configs.PlaceholderLeft, token
}

// filled puts the values of the placeholders into a text that stands at a spot of the job's file, and
// blocks the job where one is left.
func (n *rendering) filled(d *draft, at *spot, s string) string {
	s, left := put(n.placeholders.usable, s)
	if left != "" {
		code, particulars := n.placeholders.unfilled(left)
		d.block(code, at, particulars)
	}
	return s
}

// fill puts the values of the placeholders in, looks for hosts that jobs must not call in what comes of it,
// and finds out which places only name the release.
//
// The address of the authoring tool is a value like the others where strip leaves it: it is a call only
// where its host is one of those that jobs must not call. Where it is not configured, the job is blocked
// for want of a value.
func (n *rendering) fill(d *draft) {
	labels := false
	filled := substitute(d.at, d.request, func(at *spot, s string) string {
		labels = labels || strings.Contains(s, versionPlaceholder) || strings.Contains(s, tagPlaceholder)
		s = n.filled(d, at, s)
		n.isolate(d, at, s)
		return s
	})
	for _, t := range tasksOf(d.at, filled.(map[string]any)) {
		run, _ := t.settings["pipeline_task"].(map[string]any)
		if id, ok := run["pipeline_id"].(string); ok {
			d.needs(fabric.OutsidePipeline, id)
		}
	}
	d.Doc = fabric.NewDoc(filled.(map[string]any))
	d.Name, _ = d.Doc.At("name").(string)
	d.limits(filled.(map[string]any))
	if !labels || d.blocked != nil {
		return
	}
	// The same definition under a name that no content holds shows where the release is named.
	sum := sha256.Sum256(d.job.Raw)
	marks := maps.Clone(n.placeholders.usable)
	version, tag := "version"+hex.EncodeToString(sum[:8]), "tag"+hex.EncodeToString(sum[8:16])
	marks[versionPlaceholder], marks[tagPlaceholder] = version, tag
	renamed := substitute(d.at, d.request, func(_ *spot, s string) string {
		s, _ = put(marks, s)
		return s
	})
	d.Labels = n.labelsOf(d.Doc, fabric.NewDoc(renamed.(map[string]any)), version, tag)
}

// labelsOf goes through the strings of a document and of the same document under another name of the
// release, given as they stand there. Each place that differs is a label, and the rest of its value
// what must not differ. It looks at the strings themselves: a diff would show secrets redacted.
func (n *rendering) labelsOf(d, renamed fabric.Doc, version, tag string) map[string]fabric.Label {
	now := map[string]string{}
	fabric.WalkStrings(jobRules, d, func(path, s string) { now[path] = s })
	back := strings.NewReplacer(version, n.Version, tag, n.Tag)
	anyName := strings.NewReplacer(version, `[A-Za-z0-9._:@+~=,-]*`, tag, `[A-Za-z0-9._:/@+~=,-]*`)
	labels := map[string]fabric.Label{}
	fabric.WalkStrings(jobRules, renamed, func(path, s string) {
		// What stands elsewhere under the other name, in an element that is itself named after the
		// release or beside a twin of it, is no pair to compare.
		if was, ok := now[path]; ok && was != s && was == back.Replace(s) {
			labels[path] = fabric.Label("^" + anyName.Replace(regexp.QuoteMeta(spelled(s))) + "$")
		}
	})
	return labels
}

// spelled is a string as canonical JSON.
func spelled(s string) string {
	const head = `{"s":`
	return strings.TrimSuffix(string(fabric.NewDoc(map[string]any{"s": s}).Canonical())[len(head):], "}")
}

// substitute returns a copy of v with put applied to each string, keys of objects included.
func substitute(at *spot, v any, put func(at *spot, s string) string) any {
	switch v := v.(type) {
	case string:
		return put(at, v)
	case map[string]any:
		m := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			here := at.member(k)
			m[put(here, k)] = substitute(here, v[k], put)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = substitute(at.element(i), e, put)
		}
		return s
	}
	return v
}
