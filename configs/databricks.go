package configs

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// login is one way of logging in to a workspace, under its databricks-sdk-go name (auth_type). Ways that
// ask the environment, a command or a person are not among them: what one fabric may use, no other finds.
type login struct {
	name     string
	required []string
	optional []string
}

var logins = []login{
	{"pat", []string{"token"}, nil},
	{"oauth-m2m", []string{"client_id", "client_secret"}, nil},
	{"basic", []string{"username", "password"}, nil},
	{"azure-client-secret", []string{"azure_client_id", "azure_client_secret", "azure_tenant_id"}, []string{"azure_workspace_resource_id", "azure_environment"}},
	{"azure-msi", []string{"azure_use_msi"}, []string{"azure_client_id", "azure_workspace_resource_id", "azure_environment"}},
	{"google-credentials", []string{"google_credentials"}, nil},
	{"google-id", []string{"google_service_account"}, nil},
	{"file-oidc", []string{"client_id", "databricks_id_token_filepath"}, []string{"audience"}},
}

// attributeNames are the keys of databricks that databricks-sdk-go knows under the same name
// (config.Config, `name` tags; v0.180.0).
var attributeNames = []string{
	"auth_type", "token", "client_id", "client_secret", "username", "password",
	"azure_client_id", "azure_client_secret", "azure_tenant_id", "azure_workspace_resource_id", "azure_environment", "azure_use_msi",
	"google_credentials", "google_service_account",
	"databricks_id_token_filepath", "audience",
}

// secretAttributes may only be references.
var secretAttributes = []string{"token", "client_secret", "password", "azure_client_secret", "google_credentials"}

func (l *loader) databricks(v value) *Databricks {
	m, ok := l.mapping(v, &databricksScope)
	if !ok {
		return nil
	}
	m.need("add host: https://WORKSPACE", "host")
	d := &Databricks{Attributes: map[string]Secret{}}
	if v, ok := m.values["host"]; ok {
		if t, ok := l.text(v, true); ok {
			d.Host, _ = l.origin(t)
		}
	}
	if v, ok := m.values["requests_per_second"]; ok {
		d.RequestsPerSecond = l.rate(v)
	}
	d.ManagedBy = ManagedByDescription
	if v, ok := m.values["managed_by"]; ok {
		if t, ok := l.text(v, true); ok {
			d.ManagedBy = l.oneOf(t, ManagedByDescription, ManagedByLock, ManagedByNone)
		}
	}
	good := true
	for _, name := range attributeNames {
		v, given := m.values[name]
		if !given {
			continue
		}
		s, ok := m.attribute(name, v)
		d.Attributes[name] = s
		good = good && ok
	}
	if good && !m.flawed {
		m.login(d)
	}
	return d
}

func (m *mapping) attribute(name string, v value) (Secret, bool) {
	l := m.l
	switch {
	case slices.Contains(secretAttributes, name):
		return m.secret(name, name == "google_credentials")
	case name == "azure_use_msi":
		on, ok := l.boolean(v)
		if ok && !on {
			l.bad(v.at, "write true, or remove the key", "%s: false says nothing", v.path)
			return Secret{}, false
		}
		return secretFrom("true", "true"), ok
	}
	t, ok := l.text(v, true)
	if !ok {
		return Secret{}, false
	}
	if strings.ContainsFunc(t.text, notPlain) {
		l.bad(t.at, "write it without spaces and line breaks", "%s holds a space or a control character", t.path)
		return Secret{}, false
	}
	return secretFrom(t.text, t.raw), true
}

// login finds the one way of logging in that the attributes are complete for, and sets auth_type to it.
// Attributes that it does not use are refused: a person who wrote them meant something.
func (m *mapping) login(d *Databricks) {
	l := m.l
	has := func(name string) bool { return !d.Attributes[name].IsZero() }
	var chosen *login
	if want, ok := d.Attributes["auth_type"]; ok {
		v := m.values["auth_type"]
		i := slices.IndexFunc(logins, func(w login) bool { return w.name == want.Reveal() })
		if i < 0 {
			l.bad(v.at, "write one of "+strings.Join(loginNames(), ", "), "%s: %s is not a way of logging in that selvage knows", v.path, quoted(want.Source()))
			return
		}
		chosen = &logins[i]
		for _, name := range chosen.required {
			if !has(name) {
				l.bad(v.at, "add "+name, "%s: %s needs %s", m.path, chosen.name, name)
				return
			}
		}
	} else {
		var complete []string
		for i, w := range logins {
			if !slices.ContainsFunc(w.required, func(name string) bool { return !has(name) }) {
				complete, chosen = append(complete, w.name), &logins[i]
			}
		}
		switch len(complete) {
		case 0:
			l.bad(m.start(), "add token, or client_id and client_secret, or what another auth_type needs; selvage takes no login from the environment or from a profile", "%s: nothing to log in with is complete", m.path)
			return
		case 1:
		default:
			l.bad(m.start(), "keep what one of them needs", "%s: more than one way of logging in: %s", m.path, strings.Join(complete, ", "))
			return
		}
	}
	for _, name := range m.order {
		v := m.values[name]
		if slices.Contains(attributeNames, name) && name != "auth_type" && !slices.Contains(chosen.required, name) && !slices.Contains(chosen.optional, name) {
			l.bad(v.key, "remove it, or name another way of logging in by auth_type", "%s is not used by %s", v.path, chosen.name)
		}
	}
	if _, ok := d.Attributes["auth_type"]; !ok {
		d.Attributes["auth_type"] = secretFrom(chosen.name, chosen.name)
	}
}

func loginNames() []string {
	var names []string
	for _, w := range logins {
		names = append(names, w.name)
	}
	return names
}

// hostName is a DNS name, or an address as it stands in a URL.
var hostName = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])$`)

// origin checks an address that requests with credentials go to, and returns scheme and authority.
func (l *loader) origin(t text) (string, bool) {
	fail := func(next, message string) (string, bool) {
		l.bad(t.at, next, "%s %s", t.path, message)
		return "", false
	}
	if !strings.Contains(t.text, "://") {
		return fail("put https:// before it", "wants an address that begins with https://")
	}
	u, err := url.Parse(t.text)
	if err != nil || strings.ContainsFunc(t.text, notPlain) {
		return fail("write https://NAME", "is not an address")
	}
	switch {
	case u.User != nil:
		return fail("remove what stands before the @", "holds a user or a password")
	case !hostName.MatchString(bracketed(u)):
		return fail("write https://NAME", "names no host")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return fail("write https://; http is for loopback only", "wants https")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fail("keep scheme and host only", "wants an address without a path, a query or a fragment")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), true
}

// bracketed is the host of u without its port, in brackets where it is an IPv6 address.
func bracketed(u *url.URL) string {
	if strings.Contains(u.Hostname(), ":") {
		return "[" + u.Hostname() + "]"
	}
	return u.Hostname()
}

// loopback reports a host that a request can't leave this machine for.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
