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

// Login checks that the remote can be logged in to with a, as Open does, and returns the function that has polls do so
// from then on: a credential was replaced. The mirror, and what was seen, stay.
func (r *Repository) Login(a Auth) (change func(), err error) {
	if err := r.address.accepts(a); err != nil {
		return nil, err
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.options.Auth = a
	}, nil
}

func (r *Repository) auth() Auth {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.options.Auth
}
