package databricks

import (
	"strings"

	"selvage/fabric"
)

// The mark stands in four tags of the job, and the intent that wrote it last in a fifth. Tags are forwarded to the
// clusters of a job, so keys and values keep to what every cloud takes.
const (
	tagPrefix       = "selvage-"
	tagInstallation = tagPrefix + "installation"
	tagDeployment   = tagPrefix + "deployment"
	tagKey          = tagPrefix + "key"
	tagNonce        = tagPrefix + "nonce"
	tagWrote        = tagPrefix + "wrote"
)

var ownTags = []string{tagInstallation, tagDeployment, tagKey, tagNonce, tagWrote}

// maxTags is how many tags a job takes, ours among them.
const (
	maxTags = 25
	ourTags = 5
)

// ownTag reports a tag that is not the definition's to set.
func ownTag(name string) bool { return strings.HasPrefix(strings.ToLower(name), tagPrefix) }

// markOf reads the mark from a job's tags; false where there is none of it.
func markOf(tags map[string]any) (fabric.Mark, bool) {
	text := func(name string) string {
		s, _ := tags[name].(string)
		return s
	}
	m := fabric.Mark{Installation: text(tagInstallation), Deployment: text(tagDeployment), Key: text(tagKey), Nonce: text(tagNonce)}
	return m, m != fabric.Mark{}
}

// wroteOf is the nonce of the intent that wrote a job with these tags last; empty where none says so.
func wroteOf(tags map[string]any) string {
	s, _ := tags[tagWrote].(string)
	return s
}

// marked returns a copy of the settings with the mark among its tags, unless that is zero, and the nonce of the intent that
// writes them.
func marked(d fabric.Doc, m fabric.Mark, wrote string) map[string]any {
	settings := d.Object()
	tags, _ := settings["tags"].(map[string]any)
	if tags == nil {
		tags = map[string]any{}
	}
	if m != (fabric.Mark{}) {
		tags[tagInstallation], tags[tagDeployment], tags[tagKey], tags[tagNonce] = m.Installation, m.Deployment, m.Key, m.Nonce
	}
	tags[tagWrote] = wrote
	settings["tags"] = tags
	return settings
}

// unmarked takes the mark out of settings, which it changes, and who wrote them.
func unmarked(settings map[string]any) fabric.Doc {
	if tags, ok := settings["tags"].(map[string]any); ok {
		for _, name := range ownTags {
			delete(tags, name)
		}
		if len(tags) == 0 {
			delete(settings, "tags")
		}
	}
	return fabric.NewDoc(settings)
}
