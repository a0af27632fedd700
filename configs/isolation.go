package configs

import (
	"regexp"
	"strings"
)

// isolatedHost is a host, or with *. before it everything below a domain, without a scheme, port or path.
var isolatedHost = regexp.MustCompile(`^(?:\*\.)?[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$`)

// isolation reads which hosts no job may call.
func (l *loader) isolation(m *mapping) []string {
	v, ok := m.values["isolation"]
	if !ok {
		return []string{DefaultIsolation}
	}
	i, ok := l.mapping(v, &hostsScope)
	if !ok {
		return nil
	}
	i.need(`add hosts: ["`+DefaultIsolation+`"], or remove isolation`, "hosts")
	v, ok = i.values["hosts"]
	if !ok {
		return nil
	}
	list, _ := l.list(v, false)
	var hosts []string
	seen := map[string]bool{}
	for _, v := range list {
		t, ok := l.text(v, false)
		if !ok {
			continue
		}
		host := strings.ToLower(t.text)
		switch {
		case !isolatedHost.MatchString(host) || strings.Contains(host, ".."):
			l.bad(t.at, "write the name of a host, or *.DOMAIN for all hosts below a domain and itself", "%s: %s is not a host", t.path, t.quoted())
		case seen[host]:
			l.bad(t.at, "keep one of them", "%s stands twice in the list", t.path)
		}
		seen[host] = true
		hosts = append(hosts, host)
	}
	return hosts
}

// allowed reads which jobs of a deployment may call those hosts all the same.
func (l *loader) allowed(v value) []string {
	m, ok := l.mapping(v, &allowScope)
	if !ok {
		return nil
	}
	m.need("add allow: [jobs/NAME], or remove isolation", "allow")
	if v, ok := m.values["allow"]; ok {
		return l.jobs(v)
	}
	return nil
}
