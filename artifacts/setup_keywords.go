package artifacts

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// keyword reads one argument of setup() into s.
type keyword func(s *Setup, name string, v starlark.Value) error

// keywords are the arguments of setup() that a wheel is made of, and how they are read.
var keywords = map[string]keyword{
	"name":                 text(func(s *Setup) *string { return &s.Name }),
	"version":              readVersion,
	"description":          text(func(s *Setup) *string { return &s.Description }),
	"long_description":     text(func(s *Setup) *string { return &s.LongDescription }),
	"packages":             list(func(s *Setup) *[]string { return &s.Packages }),
	"py_modules":           list(func(s *Setup) *[]string { return &s.Modules }),
	"package_dir":          readPackageDir,
	"package_data":         patterns(func(s *Setup) *map[string][]string { return &s.PackageData }),
	"exclude_package_data": patterns(func(s *Setup) *map[string][]string { return &s.ExcludePackageData }),
	"include_package_data": flag(func(s *Setup) *bool { return &s.IncludePackageData }),
	"zip_safe":             flag(func(s *Setup) *bool { return &s.ZipSafe }),
	"data_files":           readDataFiles,
	"install_requires":     lines(func(s *Setup) *[]string { return &s.InstallRequires }),
	"extras_require":       readExtras,
	"entry_points":         readEntryPoints,
	"classifiers":          list(func(s *Setup) *[]string { return &s.Classifiers }),
	"keywords":             commaList(func(s *Setup) *[]string { return &s.Keywords }),
	"platforms":            commaList(func(s *Setup) *[]string { return &s.Platforms }),
	"license_files":        readLicenseFiles,
	"license_file":         readLicenseFiles,
	"project_urls":         readProjectURLs,
}

// headers are the arguments that become one header of METADATA each, in the order in which
// setuptools writes them; "project_urls" stands for its place among them.
var headers = []struct{ keyword, header string }{
	{"url", "Home-page"}, {"download_url", "Download-URL"}, {"author", "Author"}, {"author_email", "Author-email"},
	{"maintainer", "Maintainer"}, {"maintainer_email", "Maintainer-email"}, {"license", "License"},
	{"project_urls", "Project-URL"}, {"python_requires", "Requires-Python"},
	{"long_description_content_type", "Description-Content-Type"},
}

// harmless are arguments that leave the wheel as it is.
var harmless = []string{"test_suite", "tests_require", "test_loader", "test_runner"}

// unbuilt are arguments that change what a wheel holds or how it comes about, in ways that are not
// built here. An empty value is accepted.
var unbuilt = []string{
	"ext_modules", "ext_package", "libraries", "headers", "include_dirs", "scripts", "cmdclass", "command_options",
	"command_packages", "distclass", "options", "script_args", "script_name", "namespace_packages",
	"eager_resources", "dependency_links", "setup_requires", "src_root", "use_2to3", "requires", "provides",
	"obsoletes", "cffi_modules", "rust_extensions", "use_scm_version",
}

// readKeywords reads the arguments of setup(). The files are those of the tree, for the one argument
// whose meaning depends on them.
func readKeywords(kwargs []starlark.Tuple, files []string) (*Setup, error) {
	s := &Setup{}
	given := map[string]bool{}
	for _, kw := range kwargs {
		name, _ := starlark.AsString(kw[0])
		if kw[1] == starlark.None {
			continue // setuptools takes None for "not given"
		}
		given[name] = true
		read := keywords[name]
		switch {
		case read != nil:
		case slices.ContainsFunc(headers, func(h struct{ keyword, header string }) bool { return h.keyword == name }):
			read = readHeader
		case slices.Contains(harmless, name):
			continue
		case slices.Contains(unbuilt, name):
			if !kw[1].Truth() {
				continue
			}
			return nil, &refusal{Text: "gives setup() " + name + ", which is not built here", Next: "remove it"}
		default:
			return nil, &refusal{Text: "gives setup() " + clip(name) + ", which is not known", Next: "remove it"}
		}
		if err := read(s, name, kw[1]); err != nil {
			return nil, err
		}
	}
	if s.Name == "" {
		return nil, &refusal{Text: "gives setup() no name", Next: "add name = '...'"}
	}
	if !given["packages"] && !given["py_modules"] {
		return nil, &refusal{Text: "names neither packages nor py_modules", Next: "add packages = find_packages(...)"}
	}
	if s.IncludePackageData && slices.Contains(files, "MANIFEST.in") {
		return nil, &refusal{Text: "uses include_package_data with MANIFEST.in, which is not built here", Next: "list the files in package_data"}
	}
	slices.SortStableFunc(s.Fields, func(a, b Field) int { return headerRank(a.Name) - headerRank(b.Name) })
	return s, nil
}

func headerRank(header string) int {
	return slices.IndexFunc(headers, func(h struct{ keyword, header string }) bool { return h.header == header })
}

func wrong(name, want string, got starlark.Value) error {
	return &refusal{Text: fmt.Sprintf("gives setup() %s as %s", clip(name), got.Type()), Next: "write it as " + want}
}

// plain is the Go string of a Starlark one. Slicing can leave half a character behind, which is no
// text.
func plain(name string, v starlark.Value) (string, error) {
	s, ok := starlark.AsString(v)
	if !ok {
		return "", wrong(name, "a string", v)
	}
	if !utf8.ValidString(s) {
		return "", &refusal{Text: "gives " + clip(name) + " a string that is not UTF-8", Next: "write it as a literal"}
	}
	return s, nil
}

// stringList reads a list or tuple of strings.
func stringList(name string, v starlark.Value) ([]string, error) {
	var items starlark.Sequence
	switch v := v.(type) {
	case *starlark.List:
		items = v
	case starlark.Tuple:
		items = v
	default:
		return nil, wrong(name, "a list of strings", v)
	}
	all := make([]string, 0, items.Len())
	for item := range starlark.Elements(items) {
		s, err := plain("an item of "+name, item)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// requirementLines reads what setuptools takes for lines: a text of lines, or a list of such texts.
// Comment lines and empty ones are dropped.
func requirementLines(name string, v starlark.Value) ([]string, error) {
	texts := []string{}
	if s, ok := starlark.AsString(v); ok {
		texts = append(texts, s)
	} else {
		var err error
		if texts, err = stringList(name, v); err != nil {
			return nil, err
		}
	}
	var all []string
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				all = append(all, line)
			}
		}
	}
	return all, nil
}

func text(field func(*Setup) *string) keyword {
	return func(s *Setup, name string, v starlark.Value) (err error) {
		*field(s), err = plain(name, v)
		return err
	}
}

func list(field func(*Setup) *[]string) keyword {
	return func(s *Setup, name string, v starlark.Value) (err error) {
		*field(s), err = stringList(name, v)
		return err
	}
}

func lines(field func(*Setup) *[]string) keyword {
	return func(s *Setup, name string, v starlark.Value) (err error) {
		*field(s), err = requirementLines(name, v)
		return err
	}
}

func flag(field func(*Setup) *bool) keyword {
	return func(s *Setup, _ string, v starlark.Value) error {
		*field(s) = bool(v.Truth())
		return nil
	}
}

// commaList reads a list of strings or a text of comma-separated ones.
func commaList(field func(*Setup) *[]string) keyword {
	return func(s *Setup, name string, v starlark.Value) error {
		text, ok := starlark.AsString(v)
		if !ok {
			return list(field)(s, name, v)
		}
		for _, item := range strings.Split(text, ",") {
			*field(s) = append(*field(s), strings.TrimSpace(item))
		}
		return nil
	}
}

func readVersion(s *Setup, name string, v starlark.Value) (err error) {
	switch v.(type) {
	case starlark.Int, starlark.Float: // setuptools takes version=1.0 for "1.0"
		s.Version = v.String()
	default:
		s.Version, err = plain(name, v)
	}
	return err
}

func readHeader(s *Setup, name string, v starlark.Value) error {
	value, err := plain(name, v)
	for _, h := range headers {
		if h.keyword == name {
			s.Fields = append(s.Fields, Field{h.header, value})
		}
	}
	return err
}

// dictItems lists a dictionary with string keys, in its order.
func dictItems(name string, v starlark.Value) ([]starlark.Tuple, error) {
	d, ok := v.(*starlark.Dict)
	if !ok {
		return nil, wrong(name, "a dictionary", v)
	}
	for _, k := range d.Keys() {
		if _, err := plain("a key of "+name, k); err != nil {
			return nil, err
		}
	}
	return d.Items(), nil
}

func key(item starlark.Tuple) string {
	s, _ := starlark.AsString(item[0])
	return s
}

func patterns(field func(*Setup) *map[string][]string) keyword {
	return func(s *Setup, name string, v starlark.Value) error {
		items, err := dictItems(name, v)
		if err != nil {
			return err
		}
		m := map[string][]string{}
		for _, item := range items {
			if m[key(item)], err = stringList(name, item[1]); err != nil {
				return err
			}
		}
		*field(s) = m
		return nil
	}
}

func readPackageDir(s *Setup, name string, v starlark.Value) error {
	items, err := dictItems(name, v)
	if err != nil {
		return err
	}
	s.PackageDir = map[string]string{}
	for _, item := range items {
		if s.PackageDir[key(item)], err = plain(name, item[1]); err != nil {
			return err
		}
	}
	return nil
}

// readDataFiles reads a list of (folder, [files]) pairs and of plain files.
func readDataFiles(s *Setup, name string, v starlark.Value) error {
	iterable, ok := v.(starlark.Iterable)
	if _, isDict := v.(*starlark.Dict); !ok || isDict {
		return wrong(name, "a list of (folder, [files]) pairs", v)
	}
	for item := range starlark.Elements(iterable) {
		if file, ok := starlark.AsString(item); ok {
			s.DataFiles = append(s.DataFiles, DataFiles{Files: []string{file}})
			continue
		}
		pair, ok := item.(starlark.Indexable)
		if !ok || pair.Len() != 2 {
			return wrong(name, "a list of (folder, [files]) pairs", v)
		}
		dir, err := plain("a folder of "+name, pair.Index(0))
		if err != nil {
			return err
		}
		files, err := stringList(name, pair.Index(1))
		if err != nil {
			return err
		}
		s.DataFiles = append(s.DataFiles, DataFiles{Dir: dir, Files: files})
	}
	return nil
}

func readExtras(s *Setup, name string, v starlark.Value) error {
	items, err := dictItems(name, v)
	if err != nil {
		return err
	}
	for _, item := range items {
		requires, err := requirementLines(name, item[1])
		if err != nil {
			return err
		}
		s.Extras = append(s.Extras, Extra{key(item), requires})
	}
	return nil
}

func readEntryPoints(s *Setup, name string, v starlark.Value) error {
	if _, ok := starlark.AsString(v); ok {
		lines, err := requirementLines(name, v)
		s.EntryPoints = []EntryPoints{{Lines: lines}}
		return err
	}
	items, err := dictItems(name, v)
	if err != nil {
		return err
	}
	for _, item := range items {
		lines, err := requirementLines(name, item[1])
		if err != nil {
			return err
		}
		if key(item) == "" {
			return &refusal{Text: "gives entry_points a group without a name", Next: "name it"}
		}
		s.EntryPoints = append(s.EntryPoints, EntryPoints{key(item), lines})
	}
	return nil
}

// readLicenseFiles reads license_files, a list, and its forerunner license_file, one name. If both are
// given, the one name comes last.
func readLicenseFiles(s *Setup, name string, v starlark.Value) error {
	if name == "license_file" {
		file, err := plain(name, v)
		s.LicenseFiles = append(s.LicenseFiles, file)
		return err
	}
	files, err := stringList(name, v)
	s.LicenseFiles = append(files, s.LicenseFiles...)
	return err
}

func readProjectURLs(s *Setup, name string, v starlark.Value) error {
	items, err := dictItems(name, v)
	if err != nil {
		return err
	}
	for _, item := range items {
		url, err := plain(name, item[1])
		if err != nil {
			return err
		}
		s.Fields = append(s.Fields, Field{"Project-URL", key(item) + ", " + url})
	}
	return nil
}

// treePath cleans a slash path that must stay below the folder of setup.py. The folder itself is "". A ".."
// is refused anywhere: whether a/../b is there depends on a.
func treePath(p string) (string, error) {
	clean := path.Clean(p)
	switch {
	case path.IsAbs(p) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(p, "\\\x00"):
		return "", fmt.Errorf("%q leads out of the pipeline's code folder", p)
	case slices.Contains(strings.Split(p, "/"), ".."):
		return "", fmt.Errorf("%q goes up and down again; write the path without a .. in it", p)
	case clean == ".":
		return "", nil
	}
	return clean, nil
}
