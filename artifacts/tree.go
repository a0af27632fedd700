package artifacts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// Tree is the repository at one commit, read-only. An error of it that is not fs.ErrNotExist means
// that nobody knows what the commit holds, and is never taken for absence (law 1).
type Tree interface {
	fs.FS
	// Digest names the content of the folder dir: two folders with one digest hold the same files.
	Digest(dir string) (string, error)
}

// ProjectFile is the file that makes a folder a project.
const ProjectFile = "pbt_project.yml"

// finder is a Tree that finds all regular files of a name faster than a walk does, and in larger trees.
type finder interface {
	Find(base string) ([]string, error)
}

// FindProjects returns the root of every project in the tree in alphabetical order, "." for the
// root of the repository. Projects may lie inside one another.
func FindProjects(t Tree) ([]string, error) {
	var roots []string
	if f, ok := t.(finder); ok {
		files, err := f.Find(ProjectFile)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			roots = append(roots, path.Dir(file))
		}
		sort.Strings(roots)
		return roots, nil
	}
	err := fs.WalkDir(t, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == ProjectFile && d.Type().IsRegular() {
			roots = append(roots, path.Dir(name))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for projects: %w", err)
	}
	sort.Strings(roots)
	return roots, nil
}

// codeFolders returns the folders below root/top that have a folder "code", relative to root, in
// alphabetical order: "jobs/daily_revenue". Folders of projects nested in this one are not its own.
func codeFolders(t Tree, root, top string) ([]string, error) {
	var found []string
	start := path.Join(root, top)
	err := fs.WalkDir(t, start, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if name == start && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
			return err
		}
		if !d.IsDir() {
			return nil
		}
		nested, err := isFile(t, path.Join(name, ProjectFile))
		if err != nil {
			return err
		}
		if nested {
			return fs.SkipDir
		}
		if d.Name() == "code" && name != start {
			owner := path.Dir(name)
			if owner != start {
				found = append(found, relative(root, owner))
			}
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", start, err)
	}
	sort.Strings(found)
	return found, nil
}

// relative is name seen from root, which it lies below.
func relative(root, name string) string {
	if root == "." {
		return name
	}
	return name[len(root)+1:]
}

// isFile reports whether the tree holds a regular file called name.
func isFile(t Tree, name string) (bool, error) {
	info, err := fs.Stat(t, name)
	switch {
	case err == nil:
		return info.Mode().IsRegular(), nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

// errTooLarge is what readFile returns for a file above its limit.
var errTooLarge = errors.New("too large")

// errNotFollowed is what readFile and fileNames return where a folder stands in the place of a file or
// a file in that of a folder, and where the way leads through a symlink or submodule.
var errNotFollowed = errors.New("not a file or folder of its own here")

// readFile reads a regular file of at most limit bytes.
func readFile(t Tree, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(t, name)
	switch {
	case err != nil:
		return nil, whyNot(t, name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w", name, errNotFollowed)
	case info.Size() > limit:
		return nil, fmt.Errorf("%s: %w: more than %d KiB", name, errTooLarge, limit>>10)
	}
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d KiB", name, errTooLarge, limit>>10)
	}
	return b, nil
}

// fileNames lists the regular files of a folder.
func fileNames(t Tree, dir string) ([]string, error) {
	entries, err := fs.ReadDir(t, dir)
	if err != nil {
		return nil, whyNot(t, dir, err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// whyNot turns err, which the tree gave for name, into errNotFollowed where it is not the tree that
// is at fault but what the commit holds on the way to name.
func whyNot(t Tree, name string, err error) error {
	parts := strings.Split(name, "/")
	for i := range parts {
		at := strings.Join(parts[:i+1], "/")
		info, statErr := fs.Stat(t, at)
		if statErr != nil {
			return err
		}
		if !info.IsDir() && (i < len(parts)-1 || !info.Mode().IsRegular()) {
			return fmt.Errorf("%s: %w", at, errNotFollowed)
		}
	}
	return err
}
