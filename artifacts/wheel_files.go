package artifacts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxGlobWork bounds the comparisons of a pattern with a path in one wheel.
const maxGlobWork = 1_000_000

// codeTree is a pipeline's code folder: its regular files, and their contents as they are needed.
type codeTree struct {
	fs    fs.FS
	files []string // sorted
	bytes int64    // read so far
	globs int      // comparisons so far
}

// unreadError is a failure to read the tree, as opposed to something in it that can't be built.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }
func (e *unreadError) Unwrap() error { return e.err }

// readTree lists the regular files. Links and everything else that is no regular file are not there.
func readTree(code fs.FS) (*codeTree, error) {
	t := &codeTree{fs: code}
	err := fs.WalkDir(code, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			t.files = append(t.files, p)
		}
		return err
	})
	if err != nil {
		return nil, &unreadError{fmt.Errorf("list the pipeline's files: %w", err)}
	}
	slices.Sort(t.files)
	return t, nil
}

func (t *codeTree) has(file string) bool {
	_, found := slices.BinarySearch(t.files, file)
	return found
}

// below lists the files below a folder, by their whole paths; the folder "" is the tree.
func (t *codeTree) below(dir string) []string {
	if dir == "" {
		return t.files
	}
	from, _ := slices.BinarySearch(t.files, dir+"/")
	to, _ := slices.BinarySearch(t.files, dir+"0") // '0' follows '/'
	return t.files[from:to]
}

func (t *codeTree) read(file string) ([]byte, error) {
	f, err := t.fs.Open(file)
	if err != nil {
		return nil, &unreadError{fmt.Errorf("read %s: %w", file, err)}
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxWheelBytes-t.bytes+1))
	if err != nil {
		return nil, &unreadError{fmt.Errorf("read %s: %w", file, err)}
	}
	if t.bytes += int64(len(content)); t.bytes > maxWheelBytes {
		return nil, fmt.Errorf("the files of the wheel are larger than %d MiB together; move data out of the pipeline", maxWheelBytes>>20)
	}
	return content, nil
}

// match reports whether any of the patterns matches a path, by a matching function of this package.
func (t *codeTree) match(matches func(pattern, file string) bool, patterns []string, file string) (bool, error) {
	for _, p := range patterns {
		if t.globs += 1 + len(p)/64; t.globs > maxGlobWork {
			return false, errors.New("its patterns have too many files to match; list fewer patterns")
		}
		if matches(p, file) {
			return true, nil
		}
	}
	return false, nil
}

// checkSideConfiguration refuses files beside setup.py that would change what setuptools builds.
func checkSideConfiguration(t *codeTree) error {
	if t.has("MANIFEST.in") { // read even where it says nothing about the wheel
		text, err := t.read("MANIFEST.in")
		if err != nil {
			return err
		}
		if !utf8.Valid(text) {
			return errors.New("MANIFEST.in is not UTF-8 text; save it as UTF-8, or remove it")
		}
	}
	for _, c := range []struct {
		file string
		ours func(section string) bool // the section is of some other tool
	}{
		{"setup.cfg", func(section string) bool {
			return strings.Contains(section, ":") || slices.Contains([]string{"flake8", "mypy", "isort", "pycodestyle", "pep8", "pylint", "yapf", "pydocstyle"}, section)
		}},
		{"pyproject.toml", func(section string) bool {
			tool, isTool := strings.CutPrefix(section, "tool.")
			tool, _, _ = strings.Cut(tool, ".")
			return section == "build-system" || isTool && tool != "setuptools" && tool != "distutils" && projectName.FindString(tool) == tool && tool != ""
		}},
	} {
		if !t.has(c.file) {
			continue
		}
		content, err := t.read(c.file)
		if err != nil {
			return err
		}
		inSection := false
		for line := range strings.Lines(string(content)) {
			line = strings.TrimSpace(line)
			section, isSection := strings.CutPrefix(line, "[")
			switch {
			case isSection && (c.file == "setup.cfg" || !strings.HasSuffix(line, ",")): // not an item of a TOML array
				section, _, _ = strings.Cut(strings.TrimPrefix(section, "["), "]")
				inSection = true
				if !c.ours(section) {
					return fmt.Errorf("%s has a section [%s], which would change the wheel and is not built here; move it into setup.py", c.file, clip(section))
				}
			case !inSection && line != "" && line[0] != '#' && line[0] != ';':
				return fmt.Errorf("%s sets %q outside of any section, which is not built here; move it into setup.py", c.file, clip(line))
			}
		}
	}
	return nil
}

// licenseFiles lists the files that go beside METADATA: those of the patterns, or of setuptools' own.
func licenseFiles(t *codeTree, patterns []string) ([]string, error) {
	if patterns == nil {
		patterns = []string{"LICEN[CS]E*", "COPYING*", "NOTICE*", "AUTHORS*"}
	}
	var found []string
	seen := map[string]bool{}
	for _, p := range patterns {
		if _, err := treePath(p); err != nil {
			return nil, fmt.Errorf("license_files: %w", err)
		}
		for _, f := range t.files {
			matched, err := t.match(matchPath, []string{p}, f)
			if err != nil {
				return nil, fmt.Errorf("license_files: %w", err)
			}
			if matched && !strings.HasSuffix(f, "~") && !seen[f] {
				seen[f] = true
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// packFiles collects what goes into the wheel beside its .dist-info: modules, packages, package data
// and, below dataDir, data files.
func packFiles(t *codeTree, s Setup, dataDir string) ([]wheelFile, error) {
	p := packer{tree: t, setup: s, from: map[string]string{}}
	for _, name := range s.Packages {
		if err := p.pack(name); err != nil {
			return nil, err
		}
	}
	for _, name := range s.Modules {
		if err := p.module(name); err != nil {
			return nil, err
		}
	}
	for _, d := range s.DataFiles {
		if err := p.data(d, dataDir); err != nil {
			return nil, err
		}
	}
	files := make([]wheelFile, 0, len(p.from))
	for _, to := range sortedKeys(p.from) {
		content, err := t.read(p.from[to])
		if err != nil {
			return nil, err
		}
		files = append(files, wheelFile{to, content})
	}
	return files, nil
}

type packer struct {
	tree  *codeTree
	setup Setup
	from  map[string]string // place in the wheel -> file of the tree
}

// put plans one file of the wheel.
func (p *packer) put(to, from string) error {
	if strings.ContainsFunc(to, func(r rune) bool { return r == '\\' }) || hasControl(to) {
		return fmt.Errorf("%q can't go into a wheel, because of the characters in its name; rename it", clip(from))
	}
	if other, taken := p.from[to]; taken && other != from {
		return fmt.Errorf("%s and %s claim the same place %s in the wheel", clip(other), clip(from), clip(to))
	}
	p.from[to] = from
	if len(p.from) > maxWheelFiles {
		return fmt.Errorf("the wheel would hold more than %d files; move data out of the pipeline", maxWheelFiles)
	}
	return nil
}

// dir is the folder of a package by the rules of package_dir: that of the longest name of it that
// is there, else that of the root package.
func (p *packer) dir(name string) (string, error) {
	parts := strings.Split(name, ".")
	if name == "" {
		parts = nil
	}
	base, rest := p.setup.PackageDir[""], parts
	for n := len(parts); n > 0; n-- {
		if d, ok := p.setup.PackageDir[strings.Join(parts[:n], ".")]; ok {
			base, rest = d, parts[n:]
			break
		}
	}
	dir, err := treePath(path.Join(append([]string{orElse(base, ".")}, rest...)...))
	if err == nil {
		_, err = treePath(base)
	}
	if err != nil {
		return "", fmt.Errorf("package_dir: %w", err)
	}
	return dir, nil
}

// wheelPlace is where a package lies in the wheel.
func wheelPlace(name string) (string, error) {
	for _, part := range strings.Split(name, ".") {
		if part == "" || strings.ContainsAny(part, `/\`) || hasControl(part) {
			return "", fmt.Errorf("%q is not the dotted name of a package or module", clip(name))
		}
	}
	return strings.ReplaceAll(name, ".", "/"), nil
}

// pack takes the modules of a package and the files that package_data adds to them.
func (p *packer) pack(name string) error {
	to, err := wheelPlace(name)
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	dir, err := p.dir(name)
	if err != nil {
		return err
	}
	if p.tree.has(dir) {
		return fmt.Errorf("package %s: %s is a file, not a folder", clip(name), clip(dir))
	}
	files := p.tree.below(dir)
	if len(files) == 0 {
		return fmt.Errorf("package %s: its folder %s does not exist or is empty", clip(name), clip(dir))
	}
	include, err := dataPatterns("package_data", p.setup.PackageData, name)
	if err != nil {
		return err
	}
	exclude, err := dataPatterns("exclude_package_data", p.setup.ExcludePackageData, name)
	if err != nil {
		return err
	}
	if len(include)+len(exclude) > 0 && strings.ContainsAny(dir, "*?[") {
		return fmt.Errorf("package %s: its folder %s has a *, ? or [ in its name, which package_data takes for a pattern; rename it", clip(name), clip(dir))
	}
	if err := p.checkIncluded(dir); err != nil {
		return err
	}
	for _, file := range files {
		relative := strings.TrimPrefix(strings.TrimPrefix(file, dir), "/")
		if matchPath("*.py", relative) && file != "setup.py" {
			if err := p.put(to+"/"+relative, file); err != nil {
				return err
			}
			continue
		}
		included, err := p.tree.match(matchPath, include, relative)
		if err == nil && included {
			var excluded bool
			if excluded, err = p.tree.match(matchName, exclude, relative); err == nil && !excluded {
				err = p.put(to+"/"+relative, file)
			}
		}
		if err != nil {
			return fmt.Errorf("package_data of %s: %w", clip(name), err)
		}
	}
	return nil
}

// dataPatterns are the patterns for a package: those of every package, then its own.
func dataPatterns(keyword string, patterns map[string][]string, name string) ([]string, error) {
	all := patterns[""]
	if name != "" {
		all = slices.Concat(all, patterns[name])
	}
	for _, pattern := range all {
		if _, err := treePath(pattern); err != nil || slices.Contains(strings.Split(pattern, "/"), "..") {
			return nil, fmt.Errorf("%s: %q leads out of the package %s", keyword, clip(pattern), clip(name))
		}
	}
	return all, nil
}

// checkIncluded refuses the one case in which include_package_data adds a file without a
// MANIFEST.in: data_files that lie inside a package.
func (p *packer) checkIncluded(dir string) error {
	if !p.setup.IncludePackageData {
		return nil
	}
	for _, d := range p.setup.DataFiles {
		for _, f := range d.Files {
			if clean := path.Clean(f); dir == "" || strings.HasPrefix(clean, dir+"/") {
				return fmt.Errorf("include_package_data would pack %s a second time, which is not built here; list it in package_data", clip(f))
			}
		}
	}
	return nil
}

// module takes one entry of py_modules, and the __init__.py of the package that it is in.
func (p *packer) module(name string) error {
	to, err := wheelPlace(name)
	if err != nil {
		return fmt.Errorf("py_modules: %w", err)
	}
	in := ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		in = name[:dot]
	}
	dir, err := p.dir(in)
	if err != nil {
		return err
	}
	file := path.Join(dir, baseName(to)+".py")
	if !p.tree.has(file) {
		return fmt.Errorf("py_modules: module %s: %s does not exist", clip(name), clip(file))
	}
	if init := path.Join(dir, "__init__.py"); in != "" && p.tree.has(init) {
		if err := p.put(path.Dir(to)+"/__init__.py", init); err != nil {
			return err
		}
	}
	return p.put(to+".py", file)
}

// data takes one entry of data_files. Files keep their base names.
func (p *packer) data(d DataFiles, dataDir string) error {
	dir, err := treePath(d.Dir)
	if err != nil {
		return fmt.Errorf("data_files: folder %w", err)
	}
	for _, f := range d.Files {
		from, err := treePath(f)
		if err != nil {
			return fmt.Errorf("data_files: %w", err)
		}
		if !p.tree.has(from) {
			return fmt.Errorf("data_files: can't copy %q: it does not exist or is not a regular file", clip(f))
		}
		if err := p.put(path.Join(dataDir, dir, baseName(from)), from); err != nil {
			return err
		}
	}
	return nil
}

func baseName(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
