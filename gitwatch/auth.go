package gitwatch

import (
	"fmt"
	"io"
)

// Auth is how we prove who we are to a remote, and how an SSH remote proves it to us. Nothing of it
// comes from the environment: no agent, no ~/.ssh, no netrc, no credential store of git.
//
// Its secrets can't print: every formatter shows "Auth(redacted)".
type Auth struct {
	Username string // for https; for ssh the one of the address rules, and "git" is the default
	Password string // password or token for https; password for ssh
	SSHKey   string // private key in PEM or OpenSSH form, not encrypted
	// KnownHosts is the path of a known_hosts file; required for ssh.
	KnownHosts string
}

const redactedAuth = "Auth(redacted)"

func (a Auth) String() string               { return redactedAuth }
func (a Auth) GoString() string             { return redactedAuth }
func (a Auth) Format(w fmt.State, _ rune)   { _, _ = io.WriteString(w, redactedAuth) }
func (a Auth) MarshalText() ([]byte, error) { return []byte(redactedAuth), nil }
