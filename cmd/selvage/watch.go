package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing may happen in the watched folders before somebody looks: editors write in several steps,
	// and cp in pieces.
	quiet = 500 * time.Millisecond
	// quietLimit is how long a folder in which something happens all the time keeps anybody from looking.
	quietLimit = 5 * time.Second
)

// pathWatch notices that files may have changed.
type pathWatch struct{ notify *fsnotify.Watcher } // nil: it notices nothing

// watchPaths watches the folders of files, and folders, for something being made, written, renamed or removed in them. Files
// themselves are not watched: editors and Kubernetes put another file in the place of the one that was. With an error, what
// it returns may notice some changes and not others.
func watchPaths(paths []string) (*pathWatch, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return &pathWatch{}, err
	}
	var errs []error
	for _, dir := range foldersOf(paths) {
		errs = append(errs, n.Add(dir))
	}
	return &pathWatch{n}, errors.Join(errs...)
}

func (w *pathWatch) close() {
	if w.notify != nil {
		w.notify.Close()
	}
}

// wait returns onChange some time after something happened, when it has become quiet, or onSignal at once. It
// returns when ctx ends, too.
func (w *pathWatch) wait(ctx context.Context, hup <-chan os.Signal) (trigger string) {
	var events chan fsnotify.Event
	var faults chan error
	if w.notify != nil {
		events, faults = w.notify.Events, w.notify.Errors
	}
	var calm, enough <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return onChange
		case <-hup:
			return onSignal
		case <-calm:
			return onChange
		case <-enough:
			return onChange
		case <-events:
		case <-faults: // at worst events were lost
		}
		calm = time.After(quiet)
		if enough == nil {
			enough = time.After(quietLimit)
		}
	}
}

// foldersOf are the folders in which something happens when what the paths lead to changes: that of each file, each
// path that is a folder itself, and those of the symlinks on the way. Of a path that leads nowhere it is the folder in which
// the next step would be.
func foldersOf(paths []string) []string {
	var dirs []string
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			dirs = append(dirs, foldersOn(abs)...)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// maxLinks is how many symlinks are followed, as in the kernel.
const maxLinks = 40

func foldersOn(path string) []string {
	var dirs []string
	at, rest, links := "/", strings.Split(strings.TrimPrefix(path, "/"), "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return append(dirs, at)
		case info.Mode()&os.ModeSymlink != 0:
			dirs = append(dirs, at)
			to, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return dirs
			}
			if filepath.IsAbs(to) {
				at = "/"
			}
			rest = append(strings.Split(to, "/"), rest...)
		case info.IsDir():
			at = next
		default: // a file is the end
			return append(dirs, at)
		}
	}
	return append(dirs, at)
}

// contentsOf is a digest of what the files at the paths hold, and the files in those that are folders, and of which YAML files
// lie beside them: while it stays the same, nothing is read that was not there before.
func contentsOf(paths []string) string {
	h := sha256.New()
	for _, path := range paths {
		fmt.Fprintf(h, "%q\n", path)
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			entries, err := os.ReadDir(path)
			fmt.Fprintf(h, "%v\n", err)
			for _, e := range entries {
				addFile(h, filepath.Join(path, e.Name()))
			}
			continue
		}
		addFile(h, path)
		entries, _ := os.ReadDir(filepath.Dir(path))
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
				fmt.Fprintf(h, "%q\n", e.Name())
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// mostBytes is more than any file of a configuration may have.
const mostBytes = 4 << 20

// addFile adds the name of a file, and what it holds or why that can't be read. A pipe would block.
func addFile(h io.Writer, path string) {
	info, err := os.Stat(path)
	fmt.Fprintf(h, "%q %v\n", path, err)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		_, err = io.Copy(h, io.LimitReader(f, mostBytes))
	}
	fmt.Fprintf(h, "%v\n", err)
}
