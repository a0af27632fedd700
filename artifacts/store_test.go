package artifacts

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
)

func openStore(t testing.TB) *Store {
	t.Helper()
	s, err := OpenStore(filepath.Join(t.TempDir(), "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Store, content string) string {
	t.Helper()
	sum, size, err := s.Put(strings.NewReader(content))
	if err != nil || size != int64(len(content)) || sum != hexDigest([]byte(content)) {
		t.Fatalf("put %d bytes: %s, %d, %v", len(content), sum, size, err)
	}
	return sum
}

// corrupt writes other bytes over a blob, as a bad disk would.
func corrupt(t testing.TB, s *Store, sum, content string) {
	t.Helper()
	if err := os.Chmod(s.blob(sum), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.blob(sum), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	s := openStore(t)
	for _, content := range []string{"", "a wheel", strings.Repeat("x", 1<<20)} {
		sum := put(t, s, content)
		f, err := s.Open(sum)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		f.Close()
		if err != nil || string(got) != content {
			t.Errorf("open %s: %d bytes, %v", sum, len(got), err)
		}
		if got, err := s.Read(sum); err != nil || string(got) != content {
			t.Errorf("read %s: %d bytes, %v", sum, len(got), err)
		}
		info, err := os.Stat(s.blob(sum))
		if err != nil || info.Mode().Perm() != 0o444 || !s.Has(sum) {
			t.Errorf("%s: %v, %v, Has %v", sum, info.Mode(), err, s.Has(sum))
		}
		// Again: the file on disk is the same one.
		put(t, s, content)
		if again, err := os.Stat(s.blob(sum)); err != nil || !os.SameFile(info, again) {
			t.Errorf("%s was written again: %v", sum, err)
		}
	}
	if left, _ := os.ReadDir(s.path("new")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestStoreAbsent(t *testing.T) {
	s := openStore(t)
	sum := hexDigest([]byte("never put"))
	if _, err := s.Open(sum); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	if _, err := s.Read(sum); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read: %v", err)
	}
	if s.Has(sum) {
		t.Error("Has")
	}
}

// A name that is no SHA-256 reaches no file, wherever it came from.
func TestStoreNames(t *testing.T) {
	s := openStore(t)
	sum := put(t, s, "a")
	for _, name := range []string{"", "..", sum[:63], sum + "0", strings.ToUpper(sum), "../" + sum, sum[:60] + "/../", "\x00" + sum[1:]} {
		if _, err := s.Open(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v", name, err)
		}
		if _, err := s.Read(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %q: %v", name, err)
		}
		if s.Has(name) {
			t.Errorf("has %q", name)
		}
	}
}

// A blob that changed on disk is never handed out; putting its content again mends it.
func TestStoreCorrupt(t *testing.T) {
	for name, read := range map[string]func(*Store, string) error{
		"Open": func(s *Store, sum string) error { _, err := s.Open(sum); return err },
		"Read": func(s *Store, sum string) error { _, err := s.Read(sum); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			sum, other := put(t, s, "a wheel"), put(t, s, "another")
			corrupt(t, s, sum, "a weasel")
			if err := read(s, sum); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), sum) {
				t.Errorf("%v", err)
			}
			if kept, err := os.ReadFile(s.path("corrupt", sum)); string(kept) != "a weasel" {
				t.Errorf("kept %q, %v", kept, err)
			}
			if err := read(s, sum); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the second time: %v", err)
			}
			put(t, s, "a wheel")
			if err := read(s, sum); err != nil {
				t.Errorf("put again: %v", err)
			}
			if err := read(s, other); err != nil {
				t.Errorf("the blob beside it: %v", err)
			}
		})
	}
	t.Run("Put", func(t *testing.T) {
		s := openStore(t)
		sum := put(t, s, "a wheel")
		corrupt(t, s, sum, "") // cut off
		put(t, s, "a wheel")
		if b, err := s.Read(sum); string(b) != "a wheel" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestOpenStoreCleansUp(t *testing.T) {
	s := openStore(t)
	sum := put(t, s, "a wheel")
	if err := os.WriteFile(s.path("new", "half"), []byte("a wh"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := OpenStore(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(again.path("new")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if _, err := again.Read(sum); err != nil {
		t.Error(err)
	}
}

// A reader that breaks leaves nothing behind.
func TestStorePutBroken(t *testing.T) {
	s := openStore(t)
	lost := errors.New("lost")
	if sum, _, err := s.Put(io.MultiReader(strings.NewReader("a wh"), iotest.ErrReader(lost))); !errors.Is(err, lost) || sum != "" {
		t.Errorf("%q, %v", sum, err)
	}
	if left, _ := os.ReadDir(s.path("new")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestStoreConcurrent(t *testing.T) {
	s := openStore(t)
	contents := []string{"one", "two", strings.Repeat("three", 1<<16)}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			content := contents[i%len(contents)]
			sum, _, err := s.PutBytes([]byte(content))
			if err != nil {
				t.Errorf("put: %v", err)
				return
			}
			if b, err := s.Read(sum); err != nil || !bytes.Equal(b, []byte(content)) {
				t.Errorf("read: %d bytes, %v", len(b), err)
			}
		})
	}
	wg.Wait()
}

// What the disk refuses is a sentence that names the place and the next step.
func TestStoreDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenStore(filepath.Join(file, "artifacts"))
	if want := "open " + file + "/artifacts: mkdir " + file + ": not a directory; a part of that path is a file: move it away"; err == nil || err.Error() != want {
		t.Errorf("below a file:\n got %v\nwant %s", err, want)
	}

	// The blob's folder can't be made, because something else has its name.
	s := openStore(t)
	sum := hexDigest([]byte("a wheel"))
	if err := os.WriteFile(s.path(sum[:2]), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.PutBytes([]byte("a wheel")); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), s.dir) {
		t.Errorf("put: %v", err)
	}
	if left, _ := os.ReadDir(s.path("new")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	_, err = full.WriteString("a wheel")
	err = diskError("write", "/srv/artifacts", err)
	if want := "write /srv/artifacts: write /dev/full: no space left on device; the disk is full: make room and it goes on"; err.Error() != want {
		t.Errorf("full disk:\n got %v\nwant %s", err, want)
	}
	if err := diskError("write", "/srv/artifacts", syscall.EROFS); !strings.HasSuffix(err.Error(), "mount it writable") {
		t.Errorf("read-only disk: %v", err)
	}
}
