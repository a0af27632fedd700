package gitwatch

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// address is where a remote is. It holds no password.
type address struct {
	scheme string // http, https, ssh, file
	user   string
	host   string // with port, if one was given
	path   string
	scp    bool // written as user@host:path, where path is relative to the home folder of user
}

// scpLike is the short form of an ssh address that git accepts.
var scpLike = regexp.MustCompile(`^(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*):([^:].*)$`)

// parseAddress reads the address of a remote, and refuses what we would not dial. Its errors don't
// repeat the text, which may hold a password.
func parseAddress(text string) (address, error) {
	if text == "" {
		return address{}, errors.New("the address of a git repository is empty")
	}
	for _, c := range text {
		if c <= ' ' || c == 0x7f || c == '\\' {
			return address{}, errors.New("the address of a git repository holds a space, a backslash or a control character")
		}
	}
	if !strings.Contains(text, "://") {
		m := scpLike.FindStringSubmatch(text)
		if m == nil {
			return address{}, errors.New("the address of a git repository needs a scheme: https://, ssh:// or file://")
		}
		return address{scheme: "ssh", user: m[1], host: m[2], path: m[3], scp: true}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("the address of a git repository is not a URL")
	}
	a := address{scheme: u.Scheme, user: u.User.Username(), host: u.Host, path: u.Path}
	if _, set := u.User.Password(); set {
		return address{}, fmt.Errorf("the address of %s holds a password: remove it, and give it as a credential", a)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return address{}, fmt.Errorf("the address %s has a query or fragment, which a git repository can't have", a)
	}
	if strings.ContainsFunc(a.path, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return address{}, errors.New("the address of a git repository holds a control character")
	}
	switch a.scheme {
	case "file":
		if (a.host != "" && a.host != "localhost") || !path.IsAbs(a.path) {
			return address{}, fmt.Errorf("the address %s must be file:// followed by an absolute path", a)
		}
		a.host, a.path = "", path.Clean(a.path)
	case "https", "ssh", "http":
		if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") {
			return address{}, fmt.Errorf("the address %s names no host", a)
		}
		if strings.Trim(a.path, "/") == "" {
			return address{}, fmt.Errorf("the address %s names a host but no repository on it", a)
		}
		if a.scheme == "http" && !isLoopback(u.Hostname()) {
			return address{}, fmt.Errorf("the address %s is not encrypted: use https (http is for loopback only)", a)
		}
	default:
		return address{}, fmt.Errorf("the scheme %q of %s is not supported: use https, ssh or file", a.scheme, a)
	}
	return a, nil
}

// accepts tells whether the credentials fit the address.
func (a address) accepts(auth Auth) error {
	if a.scheme != "ssh" {
		return nil
	}
	if auth.KnownHosts == "" {
		return fmt.Errorf("%s needs known_hosts: a file with the host key of %s, such as ssh-keyscan prints after you have checked it", a, a.hostname())
	}
	if auth.SSHKey == "" && auth.Password == "" {
		return fmt.Errorf("%s needs a credential: a private key or a password", a)
	}
	return nil
}

func (a address) String() string {
	if a.scp {
		if a.user == "" {
			return a.host + ":" + a.path
		}
		return a.user + "@" + a.host + ":" + a.path
	}
	u := url.URL{Scheme: a.scheme, Host: a.host, Path: a.path}
	if a.user != "" {
		u.User = url.User(a.user)
	}
	return u.String()
}

func (a address) hostname() string {
	u := url.URL{Host: a.host}
	return u.Hostname()
}

// hostPort is the address to dial, with the given port unless another one is named.
func (a address) hostPort(port string) string {
	u := url.URL{Host: a.host}
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
