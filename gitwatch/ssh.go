package gitwatch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// sshOpener logs in and starts git-upload-pack there. The host key must stand in the known_hosts
// file that the configuration names, and only the kinds of keys that stand there are negotiated:
// else a server that has another kind as well would seem to have changed its key.
func sshOpener(a address, auth Auth) func(context.Context) (*stream, error) {
	return func(ctx context.Context) (*stream, error) {
		config, err := sshConfig(a, auth)
		if err != nil {
			return nil, err
		}
		conn, err := (&net.Dialer{Timeout: 20 * time.Second}).DialContext(ctx, "tcp", a.hostPort("22"))
		if err != nil {
			return nil, err
		}
		// Closing the connection is what ends a handshake or a read that hangs.
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		st, err := sshStart(conn, a, config)
		if err != nil {
			stop()
			conn.Close()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
		end := st.close
		st.close = sync.OnceValue(func() error {
			stop()
			return end()
		})
		return st, nil
	}
}

func sshConfig(a address, auth Auth) (*ssh.ClientConfig, error) {
	known, err := knownhosts.NewDB(auth.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("read known_hosts for %s: %w", a, err)
	}
	algorithms := known.HostKeyAlgorithms(a.hostPort("22"))
	if len(algorithms) == 0 {
		return nil, fmt.Errorf("%w: %s has no key of %s: add the line that ssh-keyscan prints, after you have checked it", ErrDenied, auth.KnownHosts, a.hostPort("22"))
	}
	config := &ssh.ClientConfig{
		User:              a.user,
		HostKeyCallback:   known.HostKeyCallback(),
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-selvage",
	}
	if config.User == "" {
		config.User = "git"
		if auth.Username != "" {
			config.User = auth.Username
		}
	}
	if auth.SSHKey != "" {
		key, err := ssh.ParsePrivateKey([]byte(auth.SSHKey))
		if err != nil {
			// The parser's error could quote the key; which key it is, is all that a reader needs.
			return nil, fmt.Errorf("%w: the private key for %s can't be read: it must be in PEM or OpenSSH form and have no passphrase", ErrDenied, a)
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(key))
	}
	if auth.Password != "" {
		config.Auth = append(config.Auth, ssh.Password(auth.Password))
	}
	return config, nil
}

func sshStart(conn net.Conn, a address, config *ssh.ClientConfig) (*stream, error) {
	c, channels, requests, err := ssh.NewClientConn(conn, a.hostPort("22"), config)
	if err != nil {
		switch {
		case knownhosts.IsHostKeyChanged(err):
			return nil, fmt.Errorf("%w: %s shows another host key than the one in known_hosts: find out why before you replace it", ErrDenied, a.hostname())
		case knownhosts.IsHostUnknown(err):
			return nil, fmt.Errorf("%w: the host key of %s is not in known_hosts", ErrDenied, a.hostname())
		case strings.Contains(err.Error(), "unable to authenticate"):
			return nil, fmt.Errorf("%w: %s does not accept the key or password of %s", ErrDenied, a.hostname(), config.User)
		}
		return nil, err
	}
	client := ssh.NewClient(c, channels, requests)
	st, err := sshUploadPack(client, a)
	if err != nil {
		client.Close()
		_ = client.Wait() // says only that we closed it
		return nil, err
	}
	return st, nil
}

func sshUploadPack(client *ssh.Client, a address) (*stream, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	stderr := &tail{}
	session.Stderr = stderr
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.Start("git-upload-pack " + shellQuote(a.path)); err != nil {
		return nil, err
	}
	return &stream{in: in, out: out, stderr: stderr, close: func() error {
		_ = in.Close() // the session may have ended by itself
		err := client.Close()
		_ = client.Wait() // waits for its goroutines; says only that we closed it
		_ = session.Wait()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
		return err
	}}, nil
}

// shellQuote makes one word of a path for the shell on the other side, which may be csh, where "!"
// is special even between quotes (git's quote.c, sq_quote_buf).
func shellQuote(word string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(word) + "'"
}
