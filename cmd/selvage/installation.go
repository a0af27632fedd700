package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
	"go.uber.org/zap"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/gitwatch"
	"selvage/reconciler"
	"selvage/reconciler/ledger"
)

// The files of an installation, below the folder of the state.
//
//	installation   its id: part of the mark on everything that it owns
//	ledger/        the reconcile log; its lock is the lock on the state
//	selvage.db     derived from the ledger, may be lost
//	mirrors/       a bare git repository for each remote, may be lost
//	artifacts/     wheels and jars, by digest
//	documents/     what was sent to fabrics and read back, by digest; private
//	built/         which artifact was built from what, may be lost
//	control.sock   where the running daemon answers
const (
	idFile       = "installation"
	ledgerDir    = "ledger"
	databaseFile = "selvage.db"
	mirrorsDir   = "mirrors"
	artifactsDir = "artifacts"
	documentsDir = "documents"
	builtDir     = "built"
	socketFile   = "control.sock"
)

// installation is the state, opened under its lock, with a reconciler on it.
type installation struct {
	*reconciler.Reconciler
	dir     string
	id      string
	ledger  *ledger.Log
	blobs   *artifacts.Store
	log     *zap.Logger
	closers []func() error

	now *equipment // in force

	mu    sync.Mutex // guards what follows
	parts map[*part]bool
}

// openInstallation takes the state and connects everything that the configuration names, without talking to
// any of it. The first time it makes the state.
func openInstallation(ctx context.Context, c *configs.Config, log *zap.Logger) (_ *installation, err error) {
	if log == nil {
		log = zap.NewNop()
	}
	i := &installation{dir: c.State, log: log, parts: map[*part]bool{}}
	defer func() {
		if err != nil {
			_ = i.Close() // nothing was begun
		}
	}()
	if err := os.MkdirAll(i.dir, 0o750); err != nil {
		return nil, unusable(i.dir, err)
	}
	if err := i.lock(); err != nil {
		return nil, err
	}
	o := reconciler.Options{
		Installation: i.id, Ledger: i.ledger, Database: i.path(databaseFile), Log: log,
	}
	if i.blobs, err = artifacts.OpenStore(i.path(artifactsDir)); err != nil {
		return nil, unusable(i.dir, err)
	}
	if err := os.MkdirAll(i.path(documentsDir), 0o700); err != nil {
		return nil, unusable(i.dir, err)
	}
	if o.Documents, err = artifacts.OpenStore(i.path(documentsDir)); err != nil {
		return nil, unusable(i.dir, err)
	}
	o.Builder = artifacts.NewBuilder(i.blobs, i.path(builtDir), artifacts.EvalChild())
	i.closing(i.closeParts)
	if i.now, err = i.equip(c); err != nil {
		return nil, err
	}
	if i.Reconciler, err = reconciler.New(ctx, o, i.setup(i.now)); err != nil {
		return nil, err
	}
	i.closing(i.Reconciler.Close)
	return i, nil
}

func (i *installation) path(name string) string { return filepath.Join(i.dir, name) }

func (i *installation) closing(f func() error) { i.closers = append(i.closers, f) }

// Close closes everything, last in first out.
func (i *installation) Close() error {
	var err error
	for n := len(i.closers) - 1; n >= 0; n-- {
		err = errors.Join(err, i.closers[n]())
	}
	i.closers = nil
	return err
}

// closeParts closes what is open of any equipment.
func (i *installation) closeParts() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var err error
	for p := range i.parts {
		err = errors.Join(err, p.close())
	}
	clear(i.parts)
	return err
}

// unusable is an error of the disk below the state.
func unusable(dir string, err error) error {
	return fmt.Errorf("the state in %s can't be used: %w", dir, err)
}

var idPattern = regexp.MustCompile(`^[a-z0-9]{16}$`)

// lock opens the ledger, which one process at a time may do, and finds the installation's id, or makes one.
func (i *installation) lock() error {
	id, err := i.identify()
	if err != nil {
		return err
	}
	fresh := id == ""
	if fresh {
		id = newID()
	}
	// The writer begins with the id: should its file be lost, the ledger still says it.
	i.ledger, err = ledger.Open(i.path(ledgerDir), ledger.Options{Writer: fmt.Sprintf("%s/%d", id, os.Getpid())})
	switch {
	case errors.Is(err, ledger.ErrLocked):
		return hinted("ask the running one (selvage status), or stop it first", "%s holds the state in %s", holder(i.path(ledgerDir)), i.dir)
	case err != nil:
		return err
	}
	i.closing(i.ledger.Close)
	if fresh { // another process may have been here between our look and our lock
		if seen, err := i.identify(); err != nil {
			return err
		} else if seen != "" {
			id = seen
		}
	}
	i.id = id
	if _, err := os.Stat(i.path(idFile)); err == nil {
		return nil
	}
	if err := renameio.WriteFile(i.path(idFile), []byte(id+"\n"), 0o640); err != nil {
		return unusable(i.dir, err)
	}
	return nil
}

// identify reads the installation's id; empty where there is no installation yet.
func (i *installation) identify() (string, error) {
	written := false
	var first ledger.Entry
	for e, err := range ledger.Read(i.path(ledgerDir), 0) {
		if errors.Is(err, ledger.ErrNoLog) || errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		first, written = e, true
		break
	}
	text, err := os.ReadFile(i.path(idFile))
	id := strings.TrimSpace(string(text))
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", unusable(i.dir, err)
	case err == nil && !idPattern.MatchString(id):
		return "", hinted("restore it from a backup: it is part of the mark on every job that this installation owns", "%s does not hold the id of an installation", i.path(idFile))
	case err == nil && !written && !i.empty():
		return "", hinted("restore the state from a backup. To begin anew, with the jobs that are there owned by nobody, remove "+i.path(idFile),
			"the reconcile log of installation %s is lost: %s holds no segment", id, i.path(ledgerDir))
	case err == nil:
		return id, nil
	case !written:
		return "", nil
	}
	if id, _, _ = strings.Cut(first.Writer, "/"); !idPattern.MatchString(id) {
		return "", hinted("restore it from a backup", "%s is lost, and the reconcile log does not say what it was", i.path(idFile))
	}
	return id, nil
}

// empty reports a ledger folder with a segment that holds no entry yet: a crash in the first moment of
// an installation.
func (i *installation) empty() bool {
	segments, err := filepath.Glob(filepath.Join(i.path(ledgerDir), "*.jsonl"))
	return err == nil && len(segments) > 0
}

// newID is 80 random bits in the charset that every cloud's tags can hold.
func newID() string { return strings.ToLower(rand.Text()[:16]) }

// holder names the process that has the lock of the ledger.
func holder(dir string) string {
	if text, err := os.ReadFile(filepath.Join(dir, "lock")); err == nil {
		if pid := strings.TrimSpace(string(text)); pid != "" && strings.Trim(pid, "0123456789") == "" {
			return "another selvage (pid " + pid + ")"
		}
	}
	return "another selvage"
}

func openRepository(dir string, p *configs.Project) (*gitwatch.Repository, error) {
	return gitwatch.Open(gitwatch.Options{Dir: dir, URL: p.Git, Auth: authOf(p)})
}

func authOf(p *configs.Project) gitwatch.Auth {
	return gitwatch.Auth{Username: p.Auth.Username, Password: p.Auth.Password.Reveal(), SSHKey: p.Auth.SSHKey.Reveal(), KnownHosts: p.Auth.KnownHosts}
}

// mirrorName is the folder of a remote's mirror: its last names for people, and a digest of its address and of
// whose login it is read with, for two logins may not see the same. A rotated credential keeps the mirror.
func mirrorName(p *configs.Project) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{p.Git, p.Auth.Username, p.Auth.Password.Source(), p.Auth.SSHKey.Source()}, "\x00")))
	words := strings.FieldsFunc(strings.TrimSuffix(strings.ToLower(p.Git), ".git"), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_')
	})
	words = append(words[max(0, len(words)-2):], hex.EncodeToString(sum[:6]))
	name := strings.Join(words, "-")
	return name[max(0, len(name)-100):]
}
