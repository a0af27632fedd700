package configs

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// transport is how a git URL is reached.
type transport string

const (
	overWeb  transport = "https"
	overSSH  transport = "ssh"
	overFile transport = "file"
)

// scpLike is git's short form of an ssh URL. A host or a user that begins with a dash would be an option
// of the ssh command to other tools.
var scpLike = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*@(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\]):[^-:@][^@]*$`)

var userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func (l *loader) gitURL(t text) (transport, bool) {
	how, message, next := checkGit(t.text)
	if how == "" {
		l.bad(t.at, next, "%s %s", t.path, message)
	}
	return how, how != ""
}

// checkGit checks the address of a repository. Without a transport it says what is wrong and what to do;
// the address itself stands in neither, since it may hold what it must not.
func checkGit(address string) (how transport, message, next string) {
	const (
		forms = "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH"
		auth  = `remove it from the address, and give auth: {username: ..., password: "${credential:NAME}"}`
	)
	if strings.ContainsFunc(address, notPlain) {
		return "", "holds a space or a control character", "remove it"
	}
	if !strings.Contains(address, "://") {
		if scpLike.MatchString(address) {
			return overSSH, "", ""
		}
		return "", "is not an address of a repository", forms
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", "is not an address of a repository", forms
	}
	if u.User != nil {
		if _, has := u.User.Password(); has {
			return "", "holds a password", auth
		}
	}
	host := hostName.MatchString(bracketed(u))
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", "holds a query or a fragment", "remove it"
	case strings.Trim(u.Path, "/") == "":
		return "", "names no repository", forms
	case u.Scheme == "https" || u.Scheme == "http":
		switch {
		case u.User != nil:
			return "", "holds a user, which may be a token", auth
		case !host:
			return "", "names no host", forms
		case u.Scheme == "http" && !loopback(u.Hostname()):
			return "", "wants https", "write https://; http is for loopback only"
		}
		return overWeb, "", ""
	case u.Scheme == "ssh":
		switch {
		case !host:
			return "", "names no host", forms
		case u.User == nil || !userName.MatchString(u.User.Username()):
			return "", "names no user", "write ssh://git@HOST/PATH"
		}
		return overSSH, "", ""
	case u.Scheme == "file":
		if u.Host != "" || u.User != nil {
			return "", "names a host", "write file:///PATH, with three slashes"
		}
		return overFile, "", ""
	}
	return "", "wants https, ssh or file", forms
}

// auth reads how the remote is logged in to, and refuses what the transport does not use.
func (l *loader) auth(m *mapping, how transport, ok bool) GitAuth {
	v, given := m.values["auth"]
	if !given {
		if ok && how == overSSH {
			l.bad(m.values["git"].at, `add auth: {ssh_key: "${credential:NAME}", known_hosts: /PATH}`, "%s has no auth, and ssh needs ssh_key and known_hosts", m.path)
		}
		return GitAuth{}
	}
	a, isMapping := l.mapping(v, &authScope)
	if !isMapping {
		return GitAuth{}
	}
	var auth GitAuth
	if t, ok := a.text("username"); ok {
		auth.Username = t.text
		if strings.ContainsFunc(t.text, unicode.IsControl) || strings.Contains(t.text, ":") {
			l.bad(t.at, "write the name only", "%s holds a colon or a control character", t.path)
		}
	}
	auth.Password, _ = a.secret("password", false)
	auth.SSHKey, _ = a.secret("ssh_key", true)
	if !auth.SSHKey.IsZero() && !strings.HasPrefix(auth.SSHKey.Reveal(), "-----BEGIN ") {
		l.bad(a.values["ssh_key"].at, "store the whole private key file, which begins with -----BEGIN", "%s: %s does not hold a private key", a.values["ssh_key"].path, auth.SSHKey.Source())
	}
	if t, ok := a.text("known_hosts"); ok {
		auth.KnownHosts = l.path(t)
	}
	if !ok {
		return auth // which keys are needed is not known
	}
	needs := map[transport][]string{overWeb: {"username", "password"}, overSSH: {"ssh_key", "known_hosts"}}[how]
	for _, name := range a.order {
		if !slices.Contains(needs, name) {
			l.bad(a.values[name].key, "remove it", "%s is not used with %s", a.values[name].path, how)
		}
	}
	if how != overFile {
		a.need("add it: "+string(how)+" needs "+strings.Join(needs, " and "), needs...)
	}
	return auth
}
