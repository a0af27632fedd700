package artifacts

import (
	"fmt"
	"strings"

	"selvage/configs"
)

// Limits on the files that stand inline in a definition, in bytes. The authoring tool's longest scripts
// are some 10 KiB.
const (
	maxScript  = 2 << 20
	maxProfile = 64 << 10
	// maxProfiles is for those of one job: reading YAML takes far longer than reading JSON.
	maxProfiles = 256 << 10
	maxPath     = 1000
	maxSecret   = 128 // of the name of a scope or key; the Secrets API takes no more
)

// placed is what a component puts at a path.
type placed struct {
	content string // what tells two contents apart
	label   string // for people
}

// place notes that a component puts a content at p. The same wheel six times in a job is one file; two
// contents at one path block the job.
func (d *definition) place(p, content, label, field string) {
	key := spelled(p)
	first, twice := d.files[key]
	switch {
	case !twice:
		d.files[key] = placed{content, label}
	case first.content != content:
		d.job.block(configs.JobBroken, field, fmt.Sprintf("%s and %s have the same path", shorten(first.label), shorten(label)))
	}
}

// file checks a file that stands inline in the definition.
func (d *definition) file(pathField, p, contentField, content string, present bool) {
	limit := maxScript
	if strings.HasSuffix(contentField, ".profileContent") {
		limit = maxProfile
	}
	switch {
	case !present:
		d.job.block(configs.JobBroken, contentField, "expected the text of the file, found null")
	case len(content) > limit:
		d.job.block(configs.JobBroken, contentField, fmt.Sprintf("%d KiB; expected at most %d KiB", len(content)>>10, limit>>10))
	case !fullPath(p):
		d.job.block(configs.JobBroken, pathField, fmt.Sprintf("%q; expected the full path of a file", shorten(p)))
	default:
		d.place(p, "file "+hexDigest([]byte(content)), contentField, pathField)
	}
}

// dbt checks a DBTComponent: a script, and often a profile and a secret that the script reads.
func (d *definition) dbt(c *Component, field string, fields map[string]any) {
	j := d.job
	d.file(field+".path", c.Path, field+".content", c.Content, fields["content"] != nil)
	if c.ProfilePath != "" || fields["profileContent"] != nil {
		d.file(field+".profilePath", c.ProfilePath, field+".profileContent", c.ProfileContent, fields["profileContent"] != nil)
		d.profile(field+".profileContent", c.ProfileContent, fields["profileContent"] != nil)
	}
	switch {
	case c.SecretKey == "":
	case !secretName(c.SecretKey):
		j.block(configs.JobBroken, field+".secretKey", fmt.Sprintf("%q; expected the name of a secret: at most %d characters, without a slash", shorten(c.SecretKey), maxSecret))
	case j.SecretScope == "":
		j.block(configs.JobBroken, "secret_scope", fmt.Sprintf("expected the scope of the secret that %s.secretKey names, found none", field))
	case !secretName(j.SecretScope):
		j.block(configs.JobBroken, "secret_scope", fmt.Sprintf("%q; expected the name of a scope: at most %d characters, without a slash", shorten(j.SecretScope), maxSecret))
	}
}

// profile looks for secrets in a dbt profile.
func (d *definition) profile(field, content string, present bool) {
	d.profiles += len(content)
	switch {
	case !present, len(content) > maxProfile: // file said so
	case d.profiles > maxProfiles:
		d.job.block(configs.JobBroken, field, fmt.Sprintf("the profiles of the job have more than %d KiB; expected less", maxProfiles>>10))
	default:
		for _, r := range profileProblems(content) {
			d.job.block(r.code, field, r.text)
		}
	}
}

// secretName reports whether s may be the name of a scope or key: they become parts of a path.
func secretName(s string) bool {
	return len(s) <= maxSecret && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == '/' || c == '\\' || c == 0x7f })
}

// fullPath reports whether p is the full path of a file. Every mention of it in the job is replaced, so
// it must be a path and nothing less. It may hold placeholders.
func fullPath(p string) bool {
	if len(p) > maxPath || strings.HasSuffix(p, "/") || strings.ContainsAny(p, "\"'\\\n\r\t\x00") ||
		!strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "dbfs:/") {
		return false
	}
	segments := 0
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "dbfs:"), "/") {
		switch part {
		case "":
		case ".", "..":
			return false
		default:
			segments++
		}
	}
	return segments > 1
}

// spelled brings a path into one of the forms that mean the same: dbfs:/a/b, /dbfs/a/b and //a//b.
func spelled(p string) string {
	var parts []string
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "dbfs:"), "/") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) > 1 && parts[0] == "dbfs" {
		parts = parts[1:]
	}
	return "/" + strings.Join(parts, "/")
}
