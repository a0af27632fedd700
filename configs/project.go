package configs

import (
	"net/url"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Bounds of the patterns over tags, each of which is compared with those of the other projects.
const (
	maxProjectTags    = 100
	maxRepositoryTags = 2000
)

// marks are the places of what tells a project from others.
type marks struct {
	project *Project
	at      value // the project
	id      value // its prophecy_id; the zero value without one
	tags    []text
}

func (l *loader) releaseTags(v value) []text {
	list, _ := l.list(v, false)
	if len(list) > maxProjectTags {
		l.bad(v.start(), "use fewer patterns: * stands for any characters but /, ** for any", "%s: %d patterns, and %d are the most", v.path, len(list), maxProjectTags)
		return nil
	}
	var tags []text
	for _, v := range list {
		t, ok := l.text(v, false)
		if !ok {
			continue
		}
		l.tagPattern(t, "")
		if slices.ContainsFunc(tags, func(o text) bool { return o.text == t.text }) {
			l.bad(t.at, "keep one of them", "%s stands twice in the list", t.path)
			continue
		}
		tags = append(tags, t)
	}
	return tags
}

// projects compares the projects: an id of the authoring tool is one project's, and so is a tag of a
// repository.
func (l *loader) projects() {
	ids := map[string]marks{}
	repositories := map[string][]marks{}
	var order []string
	for _, m := range l.marks {
		if id := m.project.ProphecyID; id != "" {
			if other, taken := ids[id]; taken {
				l.bad(m.id.at, "give each project its own id: a job that names a pipeline of project "+quoted(id)+" could mean either", "%s: project %s has this id too, on %s", m.id.path, other.project.Name, other.id.at.from(m.id.at))
			} else {
				ids[id] = m
			}
		}
		if len(m.tags) == 0 || m.project.Git == "" {
			continue
		}
		key := repository(m.project.Git)
		if repositories[key] == nil {
			order = append(order, key)
		}
		repositories[key] = append(repositories[key], m)
	}
	for _, key := range order {
		l.sharedTags(repositories[key])
	}
}

// sharedTags reports the tags that would release two projects of one repository.
func (l *loader) sharedTags(projects []marks) {
	type owned struct {
		text
		by *Project
	}
	first := map[string]owned{}
	var globs, literals []owned
	for _, m := range projects {
		for _, t := range m.tags {
			o := owned{t, m.project}
			if other, taken := first[t.text]; taken {
				l.bad(t.at, "keep it with the project that it releases", "%s: project %s of the same repository has %s too, on %s", t.path, other.by.Name, t.quoted(), other.at.from(t.at))
				continue
			}
			first[t.text] = o
			if strings.ContainsAny(t.text, meta) {
				globs = append(globs, o)
			} else {
				literals = append(literals, o)
			}
		}
	}
	if len(globs)+len(literals) > maxRepositoryTags {
		l.bad(projects[0].tags[0].at, "use fewer patterns: * stands for any characters but /, ** for any", "the projects of this repository have more than %d patterns over its tags", maxRepositoryTags)
		return
	}
	for _, t := range literals {
		for _, g := range globs {
			if g.by != t.by && doublestar.MatchUnvalidated(g.text.text, t.text.text) {
				l.bad(t.at, "narrow the pattern, or remove the tag", "%s: the tag %s would release project %s too, by %s on %s", t.path, t.quoted(), g.by.Name, g.quoted(), g.at.from(t.at))
			}
		}
	}
}

// repository is one text for all spellings of the address of a repository: with and without .git, over
// https or ssh, whoever logs in.
func repository(git string) string {
	host, path := "", git
	if u, err := url.Parse(git); err == nil && strings.Contains(git, "://") {
		host, path = u.Host, u.Path
		switch port := u.Port(); {
		case u.Scheme == "https" && port == "443", u.Scheme == "http" && port == "80", u.Scheme == "ssh" && port == "22":
			host = strings.TrimSuffix(host, ":"+port)
		}
	} else if _, address, ok := strings.Cut(git, "@"); ok {
		// USER@HOST:PATH, where HOST may be an IPv6 address in brackets
		i := strings.Index(address, "]") + 1
		j := i + strings.Index(address[i:], ":")
		host, path = address[:j], address[j+1:]
	}
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	return strings.ToLower(host) + "/" + path
}
