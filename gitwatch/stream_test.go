package gitwatch

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

func TestFileAddress(t *testing.T) {
	o := newOrigin(t)
	id := o.commit("main", map[string]string{"a": "1"})
	r := openAt(t, "file://"+o.dir)
	poll(t, r, followMain)
	if rev, err := r.Resolve(t.Context(), "main"); err != nil || rev.Commit != id {
		t.Errorf("%v, %v", rev, err)
	}
	for _, path := range []string{"/nonexistent/shop.git", t.TempDir()} {
		gone := openAt(t, "file://"+path)
		if _, err := gone.Poll(t.Context(), nil); !errors.Is(err, ErrNoRepository) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// sshServer is an SSH server on loopback that runs git-upload-pack for one key and one password.
type sshServer struct {
	address    string // host:port
	knownHosts string // path
	clientKey  string // PEM
}

func newKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

func serveSSH(t *testing.T) *sshServer {
	t.Helper()
	host, _ := newKey(t)
	client, clientPEM := newKey(t)
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() == "git" && string(key.Marshal()) == string(client.PublicKey().Marshal()) {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		},
		PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) == canary {
				return nil, nil
			}
			return nil, errors.New("wrong password")
		},
	}
	config.AddHostKey(host)
	// A key of another kind, which clients prefer unless they ask for the kind that they know.
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherHost, err := ssh.NewSignerFromKey(other)
	if err != nil {
		t.Fatal(err)
	}
	config.AddHostKey(otherHost)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serveSSHConn(conn, config) })
		}
	})
	known := filepath.Join(t.TempDir(), "known_hosts")
	line := knownhosts.Line([]string{l.Addr().String()}, host.PublicKey())
	if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &sshServer{l.Addr().String(), known, clientPEM}
}

func serveSSHConn(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer c.Close()
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		channel, requests, err := ch.Accept()
		if err != nil {
			return
		}
		for req := range requests {
			var exec struct{ Command string }
			if req.Type != "exec" || ssh.Unmarshal(req.Payload, &exec) != nil {
				_ = req.Reply(false, nil)
				continue
			}
			_ = req.Reply(true, nil)
			status := runUploadPack(exec.Command, channel)
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			channel.Close()
		}
	}
}

func runUploadPack(command string, channel ssh.Channel) uint32 {
	if !strings.HasPrefix(command, "git-upload-pack '") {
		fmt.Fprintln(channel.Stderr(), "permission denied")
		return 1
	}
	cmd := exec.Command("sh", "-c", "git "+strings.TrimPrefix(command, "git-"))
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(in, channel)
		in.Close()
	}()
	if err := cmd.Run(); err != nil {
		return 128
	}
	return 0
}

func TestSSH(t *testing.T) {
	o := newOrigin(t)
	quoted := filepath.Join(o.root, "it's $(odd)!.git")
	if err := os.Rename(o.dir, quoted); err != nil {
		t.Fatal(err)
	}
	o.dir = quoted
	id := o.commit("main", map[string]string{"a": "1"})
	server := serveSSH(t)
	url := "ssh://git@" + server.address + strings.ReplaceAll(quoted, " ", "%20")
	_, strangerKey := newKey(t)
	stranger, _ := newKey(t)
	none := filepath.Join(t.TempDir(), "none")
	changed := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(none, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, []byte(knownhosts.Line([]string{server.address}, stranger.PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		url  string
		auth Auth
		is   error
		says string
	}{
		{"key", url, Auth{SSHKey: server.clientKey, KnownHosts: server.knownHosts}, nil, ""},
		{"password", url, Auth{Password: canary, KnownHosts: server.knownHosts}, nil, ""},
		{"wrong key", url, Auth{SSHKey: strangerKey, KnownHosts: server.knownHosts}, ErrDenied, "does not accept the key"},
		{"not a key", url, Auth{SSHKey: canary, KnownHosts: server.knownHosts}, ErrDenied, "can't be read"},
		{"unknown host", url, Auth{SSHKey: server.clientKey, KnownHosts: none}, ErrDenied, "has no key of"},
		{"changed host key", url, Auth{SSHKey: server.clientKey, KnownHosts: changed}, ErrDenied, "another host key"},
		{"no known_hosts file", url, Auth{SSHKey: server.clientKey, KnownHosts: "/nonexistent"}, os.ErrNotExist, "known_hosts"},
		{"no repository", "ssh://git@" + server.address + "/nonexistent.git", Auth{SSHKey: server.clientKey, KnownHosts: server.knownHosts}, ErrNoRepository, "nonexistent.git"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := openAt(t, test.url, func(o *Options) { o.Auth = test.auth })
			_, err := r.Poll(t.Context(), []Follow{followMain})
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if rev, err := r.Resolve(t.Context(), "main"); err != nil || rev.Commit != id {
					t.Errorf("%v, %v", rev, err)
				}
				return
			}
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "PRIVATE KEY")) {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

func TestSSHServerThatHangs(t *testing.T) {
	server := serveSSH(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text, err := os.ReadFile(server.knownHosts)
	if err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(t.TempDir(), "known_hosts")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, oldPort, _ := net.SplitHostPort(server.address)
	if err := os.WriteFile(known, []byte(strings.ReplaceAll(string(text), oldPort, port)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := openAt(t, "ssh://"+l.Addr().String()+"/shop.git", func(o *Options) {
		o.Auth = Auth{SSHKey: server.clientKey, KnownHosts: known}
		o.ListTimeout = 100 * time.Millisecond
	})
	if _, err := r.Poll(t.Context(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
