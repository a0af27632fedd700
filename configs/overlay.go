package configs

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Tags become tags of the clusters' machines too, so only what every cloud takes is allowed: the rules
// of Google Cloud, which the others include.
var (
	tagText      = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	instanceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	eMail        = regexp.MustCompile(`^[^\s@<>,;"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$`)
)

const (
	maxTags = 25 // of a Databricks job
	ownTags = "selvage"
	// maxOverlay bounds the JSON of one overlay, in bytes. Each of its deployments reads it.
	maxOverlay = 64 << 10
)

// emailEvents are those that a Databricks job sends e-mail on (Jobs API 2.2, email_notifications).
var emailEvents = []string{"on_start", "on_success", "on_failure", "on_duration_warning_threshold_exceeded", "on_streaming_backlog_exceeded"}

func (l *loader) overlay(v value) Overlay {
	m, ok := l.mapping(v, &overlayScope)
	if !ok {
		return Overlay{}
	}
	var o Overlay
	if t, ok := m.text("config_instance"); ok {
		o.ConfigInstance = t.text
		if !instanceName.MatchString(t.text) {
			l.bad(t.at, "write the name of a configuration of the pipelines, such as prod", "%s: %s is not the name of a configuration", t.path, t.quoted())
		}
	}
	if t, ok := m.text("schedule"); ok {
		o.Schedule = l.oneOf(t, "keep", "enabled", "paused")
	}
	read := map[string]func(value, *Overlay){
		"tags": l.tags, "job_clusters": l.jobClusters, "parameters": l.parameters, "libraries": l.libraries,
		"notifications": l.notifications, "run_as": l.runAs, "patch": l.patch,
	}
	for _, key := range m.order {
		if part, ok := read[key]; ok {
			part(m.values[key], &o)
		}
	}
	if data, err := json.Marshal(o); err == nil && len(data) > maxOverlay {
		l.bad(v.start(), "change large settings in the project instead", "%s is larger than %d KiB", v.path, maxOverlay>>10)
	}
	return o
}

func (l *loader) tags(v value, o *Overlay) {
	tags, ok := l.mapping(v, nil)
	if !ok {
		return
	}
	if len(tags.order) > maxTags {
		l.bad(v.at, "remove some", "%s: %d tags, and a job takes %d", v.path, len(tags.order), maxTags)
	}
	if len(tags.order) > 0 {
		o.Tags = map[string]string{}
	}
	const next = "use at most 63 letters, digits, _, . and -, with a letter or digit first and last"
	for _, name := range tags.order {
		child := tags.values[name]
		switch {
		case !tagText.MatchString(name):
			l.bad(child.key, next, "%s: not every cloud takes the tag %s", v.path, quoted(name))
		case ownTag(name):
			l.bad(child.key, "name it otherwise", "%s: tags that begin with %s mark what selvage owns", v.path, ownTags)
		}
		if t, ok := l.text(child, false); ok {
			if !tagText.MatchString(t.text) {
				l.bad(child.at, next, "%s: not every cloud takes the value %s", child.path, t.quoted())
			}
			o.Tags[name] = t.text
		}
	}
}

func ownTag(name string) bool { return strings.HasPrefix(strings.ToLower(name), ownTags) }

// some reads a mapping of names that holds at least one.
func (l *loader) some(v value) (*mapping, bool) {
	m, ok := l.mapping(v, nil)
	if ok && len(m.order) == 0 && !m.flawed {
		l.bad(v.start(), "name something, or remove the key", "%s is empty", v.path)
	}
	return m, ok
}

func (l *loader) jobClusters(v value, o *Overlay) {
	m, ok := l.some(v)
	if !ok {
		return
	}
	for _, key := range m.order {
		child := m.values[key]
		l.pattern(value{path: v.path, at: child.key}, key)
		if merge, ok := l.merge(child); ok {
			l.references(child, "job_clusters[].new_cluster")
			o.JobClusters = append(o.JobClusters, ClusterOverlay{Key: key, Merge: merge})
		}
	}
}

// merge reads a JSON merge patch.
func (l *loader) merge(v value) (map[string]any, bool) {
	merge, ok := l.object(v, 1)
	if ok && len(merge) == 0 {
		l.bad(v.start(), "name the settings that change, or remove it", "%s changes nothing", v.path)
	}
	return merge, ok
}

// pattern checks a doublestar pattern; at is where it stands.
func (l *loader) pattern(at value, pattern string) bool {
	if !isPattern(pattern) || strings.Contains(pattern, "${") {
		l.bad(at.at, `* stands for any characters but /, ** for any; [ and { are closed by ] and }`, "%s: %s is not a pattern", at.path, quoted(pattern))
		return false
	}
	return true
}

func (l *loader) parameters(v value, o *Overlay) {
	m, ok := l.some(v)
	if !ok {
		return
	}
	o.Parameters = map[string]string{}
	for _, name := range m.order {
		child := m.values[name]
		switch {
		case name == "-i":
			l.bad(child.key, "write config_instance: NAME instead, which also checks that the pipelines have it", "%s: -i names the configuration of a pipeline", v.path)
		case strings.TrimSpace(name) == "" || len(name) > 255 || strings.ContainsFunc(name, unicode.IsControl):
			l.bad(child.key, "write its name as the job has it", "%s: %s is not the name of a parameter", v.path, quoted(name))
		}
		if s, ok := l.jobText(child); ok {
			o.Parameters[name] = s
		}
	}
}

func (l *loader) libraries(v value, o *Overlay) {
	m, ok := l.mapping(v, &librariesScope)
	if !ok {
		return
	}
	if len(m.order) == 0 && !m.flawed {
		l.bad(v.start(), "add pypi: https://INDEX or maven: https://REPOSITORY, or remove the key", "%s names no mirror", v.path)
	}
	o.Libraries = Libraries{PyPI: m.mirror("pypi"), Maven: m.mirror("maven")}
}

// mirror reads the address that clusters get libraries from. It stands in the definition of the job, so that
// nothing secret can be part of it.
func (m *mapping) mirror(key string) string {
	t, ok := m.text(key)
	if !ok {
		return ""
	}
	fail := func(next, message string) {
		m.l.bad(t.at, next, "%s %s", t.path, message)
	}
	u, err := url.Parse(t.text)
	switch {
	case !strings.Contains(t.text, "://"):
		fail("put https:// before it", "wants an address that begins with https://")
	case err != nil || strings.ContainsFunc(t.text, notPlain):
		fail("write https://HOST/PATH", "is not an address")
	case u.User != nil:
		fail("remove what stands before the @: everybody who sees the job would read it", "holds a user or a password")
	case !hostName.MatchString(bracketed(u)):
		fail("write https://HOST/PATH", "names no host")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		fail("write https://; http is for loopback only", "wants https")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		fail("remove it", "holds a query or a fragment")
	}
	return t.text
}

// notifications may give an event nobody: a list without addresses.
func (l *loader) notifications(v value, o *Overlay) {
	m, ok := l.mapping(v, &eventsScope)
	if !ok {
		return
	}
	o.Notifications = map[string][]string{}
	for _, event := range m.order {
		child := m.values[event]
		list, ok := l.list(child, true)
		if !ok {
			continue
		}
		addresses := []string{}
		for _, v := range list {
			t, ok := l.text(v, false)
			switch {
			case !ok:
				continue
			case !eMail.MatchString(t.text):
				l.bad(t.at, "write it as team@shop.example", "%s: %s is not an e-mail address", t.path, t.quoted())
			case slices.Contains(addresses, t.text):
				l.bad(t.at, "keep one of them", "%s stands twice in the list", t.path)
			}
			addresses = append(addresses, t.text)
		}
		o.Notifications[event] = addresses
	}
}

func (l *loader) runAs(v value, o *Overlay) {
	m, ok := l.mapping(v, &runAsScope)
	if !ok {
		return
	}
	for _, key := range []string{"user", "service_principal"} {
		t, ok := m.text(key)
		if ok && strings.ContainsFunc(t.text, notPlain) {
			l.bad(t.at, "write a user by name, and a service principal by its application id", "%s holds a space or a control character", t.path)
		}
		if key == "user" {
			o.RunAs.User = t.text
		} else {
			o.RunAs.ServicePrincipal = t.text
		}
	}
	switch {
	case m.flawed:
	case m.has("user") && m.has("service_principal"):
		l.bad(m.values[m.order[1]].key, "keep one: a job runs as one of them", "%s names a user and a service principal", m.path)
	case len(m.order) == 0:
		l.bad(m.start(), "add user: NAME, or service_principal: APPLICATION_ID", "%s names nobody", m.path)
	}
}
