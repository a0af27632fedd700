package artifacts

import (
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// findPackages is setuptools.find_packages(where, exclude, include), or find_namespace_packages
// where anyFolder is set: the dotted names of the folders that hold an __init__.py, sorted. Below
// a folder without one, or with a dot in its name, nothing is looked for. Patterns match whole
// dotted names.
func findPackages(function string, anyFolder bool, files []string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	where := "."
	var exclude, include starlark.Value = starlark.Tuple{}, starlark.Tuple{starlark.String("*")}
	if err := starlark.UnpackArgs(function, args, kwargs, "where?", &where, "exclude?", &exclude, "include?", &include); err != nil {
		return nil, err
	}
	excluded, err := patternList(function+" exclude", exclude)
	if err != nil {
		return nil, err
	}
	included, err := patternList(function+" include", include)
	if err != nil {
		return nil, err
	}
	excluded = append(excluded, "ez_setup", "*__pycache__")
	root, err := treePath(where)
	if err != nil {
		return nil, &refusal{Text: function + "(where): " + err.Error(), Next: "name a folder beside setup.py"}
	}

	var found []starlark.Value
	for _, p := range packageFolders(files, root, anyFolder) {
		matches := func(pattern string) bool { return matchName(pattern, p) }
		if slices.ContainsFunc(included, matches) && !slices.ContainsFunc(excluded, matches) {
			found = append(found, starlark.String(p))
		}
	}
	return starlark.NewList(found), nil
}

// packageFolders lists the dotted names of all packages below root, which is "" for the whole tree.
func packageFolders(files []string, root string, anyFolder bool) []string {
	folders := map[string]bool{} // path below root -> holds an __init__.py
	for _, f := range files {
		if root != "" {
			var below bool
			if f, below = strings.CutPrefix(f, root+"/"); !below {
				continue
			}
		}
		dir := path.Dir(f)
		if dir != "." && path.Base(f) == "__init__.py" {
			folders[dir] = true
		}
		for ; dir != "."; dir = path.Dir(dir) {
			if _, known := folders[dir]; known && path.Base(f) != "__init__.py" {
				break
			}
			folders[dir] = folders[dir] || anyFolder
		}
	}
	var names []string
	for dir := range folders {
		whole := !strings.Contains(dir, ".")
		for d := dir; whole && d != "."; d = path.Dir(d) {
			whole = folders[d]
		}
		if whole {
			names = append(names, strings.ReplaceAll(dir, "/", "."))
		}
	}
	slices.Sort(names)
	return names
}

// patternList reads include and exclude. As in Python, a plain string is a sequence of
// one-character patterns: include="raw*" matches everything, because one of them is "*".
func patternList(what string, v starlark.Value) ([]string, error) {
	if s, ok := starlark.AsString(v); ok {
		return strings.Split(s, ""), nil
	}
	return stringList(what, v)
}
