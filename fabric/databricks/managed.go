package databricks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"selvage/configs"
	"selvage/fabric"
)

// managedStart is how the line begins that says in a job's description whose it is. What follows is plain text
// without quotes, and nothing in it changes with a release.
const managedStart = "Managed by Selvage"

// managed has the job say in the workspace that it is ours, as the binding wants it.
func (n *rendering) managed(d *draft) {
	switch n.ManagedBy {
	case configs.ManagedByDescription:
		n.describe(d)
	case configs.ManagedByLock:
		n.lock(d)
	}
}

// managedLine is what stands in a description.
func (n *rendering) managedLine() string {
	return fmt.Sprintf("%s (deployment %s, installation %s). Change it in git, not here.", managedStart, n.Deployment, n.Installation)
}

// describe adds the line to the description. Where there is no room for it, the committed one stays as it is.
func (n *rendering) describe(d *draft) {
	text, isText := d.request["description"].(string)
	if d.request["description"] != nil && !isText {
		return // the service will refuse it by name
	}
	line := n.managedLine()
	whole := line
	if text != "" {
		whole = text + "\n\n" + line
	}
	if filled, _ := put(n.placeholders.usable, whole); utf8.RuneCountInString(filled) > mostDescription {
		n.found(configs.ManagedLeftOut, d.subject(d.at.member("description")), fmt.Sprintf("%d characters are taken, and the line has %d", mostDescription, utf8.RuneCountInString(line)))
		return
	}
	d.request["description"], d.says = whole, line
}

// labelLine has the line come along with a job's next change, instead of being one by itself: a newer Selvage that
// says it in other words writes to no job for that. Once a job has been sent with the line, taking it out in the
// workspace is an edit like any other.
func (d *draft) labelLine() {
	text, _ := d.Doc.At("description").(string)
	if d.says == "" || d.blocked != nil || !strings.HasSuffix(text, d.says) {
		return
	}
	const anyLine = managedStart + `[^"\\]*`
	inner := func(s string) string { s = spelled(s); return s[1 : len(s)-1] }
	label := "null|\"\"|\"" + anyLine + `"`
	if text != d.says { // it follows a text
		whole := string(d.Labels["description"]) // which may name the release itself
		if whole == "" {
			whole = `^` + regexp.QuoteMeta(spelled(text)) + `$`
		}
		end := regexp.QuoteMeta(inner("\n\n" + d.says))
		start := strings.TrimSuffix(strings.TrimPrefix(whole, "^"), end+`"$`)
		label = start + `(?:` + regexp.QuoteMeta(inner("\n\n")) + anyLine + `)?"`
	}
	if d.Labels == nil {
		d.Labels = map[string]fabric.Label{}
	}
	d.Labels["description"] = fabric.Label("^(?:" + label + ")$")
}

// lock makes the page of the job read-only in the workspace, which shows it as deployed from a bundle. The block
// names a file that is there, for the page reads it.
//
// The file is one for the deployment: with the release in it, or with the list of jobs, each release would change every job.
func (n *rendering) lock(d *draft) {
	_, target, _ := strings.Cut(n.Deployment, "@")
	content := fabric.NewDoc(map[string]any{
		"version": 1,
		"config":  map[string]any{"bundle": map[string]any{"name": n.Deployment, "target": target, "mode": "production"}},
		"extra":   map[string]any{"managed_by": n.managedLine()},
	}).Canonical()
	digest := sha256.Sum256(content)
	sum := hex.EncodeToString(digest[:])
	const name = "metadata.json"
	blob := fabric.Blob{SHA256: sum, Name: name, Size: int64(len(content)), Path: path.Join(n.Root, sum, name), Content: content}
	d.request["edit_mode"] = "UI_LOCKED"
	d.request["deployment"] = map[string]any{"kind": "BUNDLE", "metadata_file_path": blob.Path}
	d.Blobs = append(d.Blobs, blob)
}
