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

// fill puts the values of the placeholders in and finds out which places only name the release.
func (n *rendering) fill(d *draft) {
	values := map[string]string{projectIDPlaceholder: n.ProjectID, versionPlaceholder: n.Version, tagPlaceholder: n.Tag, urlPlaceholder: n.ProphecyURL}
	usable := map[string]string{}
	for token, v := range values {
		if safeValue.MatchString(v) && !strings.Contains(v, "..") {
			usable[token] = v
		}
	}
	labels := false
	put := func(values map[string]string) map[string]any {
		return substitute("request", d.request, func(field, s string) string {
			return placeholder.ReplaceAllStringFunc(s, func(token string) string {
				v, ok := values[token]
				switch {
				case ok:
					labels = labels || token == versionPlaceholder || token == tagPlaceholder
					return v
				case n.value(token) != "":
					d.block(configs.PlaceholderUnsafe, field, fmt.Sprintf("%s: %q", token, n.value(token)))
				default:
					d.block(configs.PlaceholderLeft, field, token)
				}
				return token
			})
		}).(map[string]any)
	}
	d.Doc = fabric.NewDoc(put(usable))
	d.Name, _ = d.Doc.At("name").(string)
	if !labels || d.blocked != nil {
		return
	}
	// The same definition under a name that no content holds shows where the release is named.
	sum := sha256.Sum256(d.job.Raw)
	marks := maps.Clone(usable)
	version, tag := "version"+hex.EncodeToString(sum[:8]), "tag"+hex.EncodeToString(sum[8:16])
	marks[versionPlaceholder], marks[tagPlaceholder] = version, tag
	d.Labels = n.labelsOf(d.Doc, fabric.NewDoc(put(marks)), version, tag)
}

func (n *rendering) value(token string) string {
	return map[string]string{projectIDPlaceholder: n.ProjectID, versionPlaceholder: n.Version, tagPlaceholder: n.Tag, urlPlaceholder: n.ProphecyURL}[token]
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
func substitute(field string, v any, put func(field, s string) string) any {
	switch v := v.(type) {
	case string:
		if !strings.Contains(v, "_PLACEHOLDER__") {
			return v
		}
		return put(field, v)
	case map[string]any:
		m := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			key := k
			if strings.Contains(k, "_PLACEHOLDER__") {
				key = put(field+"."+k, k)
			}
			m[key] = substitute(field+"."+k, v[k], put)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = substitute(fmt.Sprintf("%s[%d]", field, i), e, put)
		}
		return s
	}
	return v
}
