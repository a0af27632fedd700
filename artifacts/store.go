package artifacts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Store is a folder of files named by their SHA-256: put once, never changed, verified each time
// they are read. It holds artifacts, and in a second folder whatever else must be found again by
// digest. It may be used from many goroutines, and by one process at a time.
//
//	DIR/ab/abcdef...   a blob, mode 0444
//	DIR/new/           blobs being written
//	DIR/corrupt/       blobs whose content no longer fitted their name, kept to be looked at
type Store struct {
	dir string
}

// ErrCorrupt is what Open and Read return for a blob whose content no longer fits its name. The blob
// is out of the way then: putting the same content again mends the store.
var ErrCorrupt = errors.New("the stored file is corrupt")

// OpenStore opens the store in dir, makes it if there is none, and removes what a crash left half
// written.
func OpenStore(dir string) (*Store, error) {
	s := &Store{dir: dir}
	for _, d := range []string{dir, s.path("new"), s.path("corrupt")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, diskError("open", s.dir, err)
		}
	}
	left, err := os.ReadDir(s.path("new"))
	if err != nil {
		return nil, diskError("open", s.dir, err)
	}
	for _, e := range left {
		if err := os.Remove(s.path("new", e.Name())); err != nil {
			return nil, diskError("open", s.dir, err)
		}
	}
	return s, nil
}

// Put stores what r gives and returns its SHA-256 in hex and its size in bytes. When it returns, the
// blob is on disk under its name, whole. What is there already is verified and not written again.
func (s *Store) Put(r io.Reader) (sum string, size int64, err error) {
	f, err := os.CreateTemp(s.path("new"), "*")
	if err != nil {
		return "", 0, diskError("write", s.dir, err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	h := sha256.New()
	size, err = io.Copy(f, io.TeeReader(r, h))
	if err != nil {
		return "", 0, diskError("write", s.dir, err)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if s.intact(sum) {
		return sum, size, os.Remove(f.Name())
	}
	if err = errors.Join(f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
		return "", 0, diskError("write", s.dir, err)
	}
	// The rename also replaces a corrupt blob of this name.
	target := s.blob(sum)
	if err = os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", 0, diskError("write", s.dir, err)
	}
	if err = os.Rename(f.Name(), target); err != nil {
		return "", 0, diskError("write", s.dir, err)
	}
	for _, d := range []string{filepath.Dir(target), s.dir} {
		if err = syncDir(d); err != nil {
			return "", 0, diskError("write", s.dir, err)
		}
	}
	return sum, size, nil
}

// Open returns the blob named sum after reading it once through: what it gives has that SHA-256. It
// returns fs.ErrNotExist where there is no such blob, and ErrCorrupt where its content changed.
func (s *Store) Open(sum string) (io.ReadSeekCloser, error) {
	if !validSum(sum) {
		return nil, fmt.Errorf("%q is not a SHA-256 in hex", sum)
	}
	f, err := os.Open(s.blob(sum))
	if err != nil {
		return nil, diskError("read", s.dir, err)
	}
	h := sha256.New()
	if _, err = io.Copy(h, f); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, diskError("read", s.dir, err)
	}
	if hex.EncodeToString(h.Sum(nil)) != sum {
		f.Close()
		return nil, s.quarantine(sum)
	}
	return f, nil
}

// Read returns the content of the blob named sum. Its errors are those of Open.
func (s *Store) Read(sum string) ([]byte, error) {
	if !validSum(sum) {
		return nil, fmt.Errorf("%q is not a SHA-256 in hex", sum)
	}
	b, err := os.ReadFile(s.blob(sum))
	if err != nil {
		return nil, diskError("read", s.dir, err)
	}
	if hexDigest(b) != sum {
		return nil, s.quarantine(sum)
	}
	return b, nil
}

// Has reports whether there is a blob named sum, without reading it.
func (s *Store) Has(sum string) bool {
	if !validSum(sum) {
		return false
	}
	info, err := os.Lstat(s.blob(sum))
	return err == nil && info.Mode().IsRegular()
}

// PutBytes stores b. See Put.
func (s *Store) PutBytes(b []byte) (sum string, size int64, err error) {
	return s.Put(bytes.NewReader(b))
}

// intact reports whether the blob named sum is there with the content of its name.
func (s *Store) intact(sum string) bool {
	if !s.Has(sum) {
		return false
	}
	f, err := s.Open(sum)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// quarantine takes a corrupt blob out of the way. Where even that is refused (a read-only disk), it
// stays, and every reading finds it corrupt again.
func (s *Store) quarantine(sum string) error {
	kept := s.path("corrupt", sum)
	if err := os.Rename(s.blob(sum), kept); err != nil {
		kept = s.blob(sum)
	}
	return fmt.Errorf("%w: %s, kept as %s; it is made anew when it is built or written again", ErrCorrupt, sum, kept)
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *Store) blob(sum string) string { return s.path(sum[:2], sum) }

// validSum reports whether sum is a SHA-256 in lower-case hex, and so safe as a file name.
func validSum(sum string) bool {
	if len(sum) != 2*sha256.Size {
		return false
	}
	for _, c := range sum {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// diskError turns an error of the file system below dir into a sentence with the next step. doing is
// what it was done for: "write".
func diskError(doing, dir string, err error) error {
	next := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		next = "; the disk is full: make room and it goes on"
	case errors.Is(err, syscall.EROFS):
		next = "; the disk is read-only: mount it writable"
	case errors.Is(err, fs.ErrPermission):
		next = "; give the folder to the user that selvage runs as"
	case errors.Is(err, syscall.ENOTDIR):
		next = "; a part of that path is a file: move it away"
	}
	return fmt.Errorf("%s %s: %w%s", doing, dir, err, next)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
