package reconciler

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// wheels are those that sites of this process have built. Each would cost a site a process of its own, and nearly
// all sites have the same.
var wheels lending

// lending is files of the folders artifacts and built of a state, by their paths in it.
type lending struct {
	mu    sync.Mutex
	files map[string][]byte
}

// lend gives a new state what is there already, and takes what is new in it when the test is over. The builder looks at
// each wheel before it takes it, so that one that a test has damaged is built again.
func (l *lending) lend(t testing.TB, state string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(state, "built")); err == nil {
		return // it was built into before, and keeps what a test has made of it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, content := range l.files {
		to := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { l.take(state) })
}

func (l *lending) take(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files == nil {
		l.files = map[string][]byte{}
	}
	notes, _ := filepath.Glob(filepath.Join(state, "built", "*.json"))
	blobs, _ := filepath.Glob(filepath.Join(state, "artifacts", "??", "*"))
	for _, path := range append(blobs, notes...) {
		name, err := filepath.Rel(state, path)
		if err != nil || l.files[name] != nil {
			continue
		}
		if content, err := os.ReadFile(path); err == nil && len(content) < 1<<20 && len(l.files) < 200 {
			l.files[name] = content
		}
	}
}
