package gitwatch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// heldRefs are the refs that a mirror holds completely, by name: everything that their objects reach
// is in the mirror.
type heldRefs map[string]string

// keptPrefix is where old positions of refs stay, named by their object, so that neither git's
// garbage collection nor anything else takes what was once deployed.
const keptPrefix = "refs/selvage/kept/"

// fileStamp tells whether a file was replaced since it was read.
type fileStamp struct {
	modified time.Time
	size     int64
}

// readHeld reads the packed-refs of a mirror; a mirror without the file holds nothing yet.
func readHeld(dir string) (heldRefs, fileStamp, error) {
	f, err := os.Open(filepath.Join(dir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return heldRefs{}, fileStamp{}, nil
	}
	if err != nil {
		return nil, fileStamp{}, fmt.Errorf("read the refs of the mirror: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fileStamp{}, fmt.Errorf("read the refs of the mirror: %w", err)
	}
	held := heldRefs{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "^") {
			continue // the header, and what the tag of the line before peels to
		}
		id, name, ok := strings.Cut(line, " ")
		if !ok || !isObjectID(id) || oddRefName(name) != "" {
			return nil, fileStamp{}, fmt.Errorf("read the refs of the mirror: %s is damaged; delete the folder %s, and the next poll makes it anew", f.Name(), dir)
		}
		held[name] = id
	}
	if err := lines.Err(); err != nil {
		return nil, fileStamp{}, fmt.Errorf("read the refs of the mirror: %w", err)
	}
	return held, fileStamp{st.ModTime(), st.Size()}, nil
}

// writeHeld replaces the packed-refs of a mirror in one step, durably.
func writeHeld(dir string, held heldRefs) error {
	var out bytes.Buffer
	out.WriteString("# pack-refs with: sorted \n")
	for _, name := range slices.Sorted(maps.Keys(held)) {
		fmt.Fprintf(&out, "%s %s\n", held[name], name)
	}
	if err := renameio.WriteFile(filepath.Join(dir, "packed-refs"), out.Bytes(), 0o640); err != nil {
		return fmt.Errorf("write the refs of the mirror: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// loadHeld reads packed-refs again if it was replaced since the last time.
func (r *Repository) loadHeld() (heldRefs, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st, err := os.Stat(filepath.Join(r.options.Dir, "packed-refs"))
	if err == nil && r.held != nil && r.heldStamp == (fileStamp{st.ModTime(), st.Size()}) {
		return r.held, nil
	}
	held, stamp, err := readHeld(r.options.Dir)
	if err != nil {
		return nil, err
	}
	r.held, r.heldStamp = held, stamp
	return held, nil
}
