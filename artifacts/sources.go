package artifacts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"selvage/configs"
)

// Limits on the files of the repository that the jobs of one project name.
const (
	maxSource      = 10 << 20 // bytes of one: a workspace takes no larger notebook
	maxSourceBytes = 64 << 20 // of all
	maxSources     = 2000
	maxFolderFiles = 1000
	maxFolderDepth = 12
)

// File is a file of the repository that a job names by its path there. Its bytes are those of the commit.
type File struct {
	Path   string // relative to the folder of the project, or to its Folder
	SHA256 string
	Size   int64
	// Notebook is the language of the notebook that the file is, PYTHON, SQL, SCALA or R, or JUPYTER; empty for a
	// file that is none.
	Notebook string
	Calls    []Call // hosts that jobs must not call, in what runs
}

// Folder is a folder of the repository that a job names, with the files in it at any depth.
type Folder struct {
	Path   string // relative to the folder of the project
	Digest string // of paths and contents
	Files  []File // by Path
}

// notebookEnds are the endings of files that may be notebooks, in the order in which a path without one is looked
// for, with the first line that makes one and its language.
var notebookEnds = []struct{ end, head, language string }{
	{".py", "# Databricks notebook source", "PYTHON"},
	{".sql", "-- Databricks notebook source", "SQL"},
	{".scala", "// Databricks notebook source", "SCALA"},
	{".r", "# Databricks notebook source", "R"},
	{".R", "# Databricks notebook source", "R"},
	{".ipynb", "", "JUPYTER"},
}

// notebookIn is the language of the notebook that a file is; empty where it is none.
func notebookIn(name string, content []byte) string {
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	for _, n := range notebookEnds {
		switch {
		case path.Ext(name) != n.end:
		case n.language == "JUPYTER":
			var doc struct {
				Cells  *json.RawMessage `json:"cells"`
				Format *json.Number     `json:"nbformat"`
			}
			if json.Unmarshal(content, &doc) == nil && doc.Cells != nil && doc.Format != nil {
				return n.language
			}
		default:
			line, _, _ := bytes.Cut(content, []byte("\n"))
			if strings.TrimRight(string(line), " \r") == n.head {
				return n.language
			}
		}
	}
	return ""
}

// FileAt is the file that a job names by a path; nil where the release holds none, or several that it may mean.
func (r *Release) FileAt(p string, kind UseKind) *File {
	at := func(p string) *File {
		if i, ok := slices.BinarySearchFunc(r.Files, p, func(f File, p string) int { return strings.Compare(f.Path, p) }); ok {
			return &r.Files[i]
		}
		return nil
	}
	if f := at(p); f != nil || kind != UseNotebook {
		return f
	}
	var found *File
	for _, n := range notebookEnds {
		if f := at(p + n.end); f != nil && found != nil {
			return nil
		} else if f != nil {
			found = f
		}
	}
	return found
}

// FolderAt is the folder that a job names by a path; nil where the release holds none.
func (r *Release) FolderAt(p string) *Folder {
	if i, ok := slices.BinarySearchFunc(r.Folders, p, func(f Folder, p string) int { return strings.Compare(f.Path, p) }); ok {
		return &r.Folders[i]
	}
	return nil
}

// gathered is what came of looking for a file or folder, which many may use.
type gathered struct {
	code configs.Code // why it can't be used; empty where it can
	why  string
}

// sources finds the files of the repository that a job names, and blocks the job where one can't be had.
func (r *reader) sources(j *Job, settings map[string]any, field string) error {
	for _, u := range Uses(settings) {
		at := field + "." + u.Field
		if u.Why != "" {
			j.block(configs.FileMissing, at, u.Why)
			continue
		}
		g, err := r.gather(u)
		if err != nil {
			return err
		}
		if g.code != "" {
			j.block(g.code, at, g.why)
		}
	}
	return nil
}

// notebookForm says what would make a notebook of a file.
func notebookForm(name string) string {
	for _, n := range notebookEnds {
		switch {
		case path.Ext(name) != n.end:
		case n.head == "":
			return "JSON with cells and nbformat"
		default:
			return fmt.Sprintf("the first line %q", n.head)
		}
	}
	return "a file that ends in .py, .sql, .scala, .r or .ipynb"
}

// gather finds what a use names. Its error is about the tree, never about what the commit holds.
func (r *reader) gather(u Use) (gathered, error) {
	key := fmt.Sprint(u.Kind, " ", u.Path)
	g, known := r.gathered[key]
	if known {
		return g, nil
	}
	p := u.Path
	var err error
	if u.Kind == UseNotebook {
		if p, g, err = r.notebook(p); err != nil {
			return g, err
		}
	}
	switch {
	case g.code != "":
	case u.Kind == UseFolder:
		g, err = r.takeFolder(p)
	default:
		g, err = r.takeFile(p, u.Kind)
	}
	if err == nil {
		r.gathered[key] = g
	}
	return g, err
}

// notebook is the path of the file that is meant by the path of a notebook, which may lack its ending.
func (r *reader) notebook(p string) (string, gathered, error) {
	exact, err := isFile(r.tree, path.Join(r.root, p))
	if exact || err != nil && !errors.Is(whyNot(r.tree, path.Join(r.root, p), err), errNotFollowed) {
		return p, gathered{}, err
	}
	var found []string
	for _, n := range notebookEnds {
		there, err := isFile(r.tree, path.Join(r.root, p+n.end))
		if err != nil && !errors.Is(whyNot(r.tree, path.Join(r.root, p+n.end), err), errNotFollowed) {
			return "", gathered{}, err
		}
		if there {
			found = append(found, p+n.end)
		}
	}
	switch len(found) {
	case 0:
		return p, gathered{}, nil // it is said to be missing by that name
	case 1:
		return found[0], gathered{}, nil
	}
	return "", gathered{code: configs.FileMissing, why: fmt.Sprintf("%s may be %s; write which", shorten(p), strings.Join(found, " or "))}, nil
}

// takeFile takes a file into the release.
func (r *reader) takeFile(p string, kind UseKind) (gathered, error) {
	refuse := func(why string) (gathered, error) { return gathered{code: configs.FileMissing, why: why}, nil }
	full := path.Join(r.root, p)
	if inner, err := r.inner(path.Dir(p)); err != nil {
		return gathered{}, err
	} else if inner != "" && inner != r.root {
		return refuse(fmt.Sprintf("%s is part of the project in %s", shorten(full), inner))
	}
	content, why, err := r.take(full)
	switch {
	case err != nil:
		return gathered{}, err
	case why != "":
		return refuse(why)
	}
	f := r.newFile(p, content)
	if kind == UseNotebook && f.Notebook == "" {
		return gathered{code: configs.NotNotebook, why: fmt.Sprintf("%s; expected %s", shorten(p), notebookForm(p))}, nil
	}
	if kind == UseRequirements {
		if line := includes(content); line > 0 {
			return gathered{code: configs.FileIncludes, why: fmt.Sprintf("%s, line %d", shorten(p), line)}, nil
		}
	}
	if kind == UseNotebook {
		if line, what := runsOther(content); line > 0 {
			return gathered{code: configs.FileIncludes, why: fmt.Sprintf("%s, line %d: %%run %s", shorten(p), line, shorten(what))}, nil
		}
	}
	if err := r.store(content); err != nil {
		return gathered{}, err
	}
	if !slices.ContainsFunc(r.project.Files, func(other File) bool { return other.Path == p }) {
		r.project.Files = append(r.project.Files, f)
	}
	return gathered{}, nil
}

// included is a line of a list of packages that names another file; run is one of a notebook that runs another
// notebook by a path that begins beside it.
var (
	included = regexp.MustCompile(`^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)`)
	run      = regexp.MustCompile(`^\s*"?(?:(?:#|--|//)\s*MAGIC\s+)?%run\s+\\?"?\$?([A-Za-z0-9_.][^"\s\\]*)`)
)

// includes is the line, from 1, on which a list of packages names another file of the repository; 0 where it does not.
func includes(content []byte) int {
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		if m := included.FindStringSubmatch(line); m != nil && !ofFabric.MatchString(m[1]) {
			return n
		}
	}
	return 0
}

// runsOther is the line, from 1, on which a notebook runs another one by a relative path, and that path.
func runsOther(content []byte) (int, string) {
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		if m := run.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			return n, m[1]
		}
	}
	return 0, ""
}

// take reads a file within the limits; why says what keeps it from being taken.
func (r *reader) take(full string) (content []byte, why string, err error) {
	if r.taken == maxSources {
		return nil, fmt.Sprintf("the jobs of the project name more than %d files; expected less", maxSources), nil
	}
	limit := min(maxSource, maxSourceBytes-r.takenBytes)
	content, err = readFile(r.tree, full, int64(limit))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Sprintf("%s is not in this commit", shorten(full)), nil
	case errors.Is(err, errTooLarge) && limit < maxSource:
		return nil, fmt.Sprintf("the files that the jobs of the project name have more than %d MiB; expected less", maxSourceBytes>>20), nil
	case errors.Is(err, errTooLarge), errors.Is(err, errNotFollowed):
		return nil, err.Error(), nil
	case err != nil:
		return nil, "", fmt.Errorf("read %s: %w", full, err)
	}
	r.taken++
	r.takenBytes += len(content)
	return content, "", nil
}

// store keeps the content of a file where the release is built.
func (r *reader) store(content []byte) error {
	if r.keep == nil {
		return nil
	}
	_, _, err := r.keep.PutBytes(content)
	return err
}

func (r *reader) newFile(p string, content []byte) File {
	f := File{Path: p, SHA256: hexDigest(content), Size: int64(len(content)), Notebook: notebookIn(p, content)}
	if language, runs := languages[strings.ToLower(path.Ext(p))]; runs && utf8.Valid(content) {
		f.Calls = Calls(language, string(content), r.isolation)
	}
	return f
}

// languages are those of files that run, or that say what runs how, by their endings.
var languages = map[string]string{
	".py": "python", ".scala": "scala", ".sql": "sql", ".yml": "yaml", ".yaml": "yaml", ".ipynb": "json", ".json": "json",
	".conf": "hocon", ".r": "", ".sh": "", ".toml": "", ".cfg": "", "": "",
}

// takeFolder takes a folder into the release, with all regular files below it. It has to be a dbt project.
func (r *reader) takeFolder(p string) (gathered, error) {
	refuse := func(code configs.Code, format string, a ...any) (gathered, error) {
		return gathered{code: code, why: fmt.Sprintf(format, a...)}, nil
	}
	full := path.Join(r.root, p)
	if inner, err := r.inner(p); err != nil {
		return gathered{}, err
	} else if inner != "" && inner != r.root {
		return refuse(configs.FileMissing, "%s is part of the project in %s", shorten(full), inner)
	}
	names, g, err := r.filesBelow(full)
	if err != nil || g.code != "" {
		return g, err
	}
	if !slices.Contains(names, "dbt_project.yml") {
		return refuse(configs.FileMissing, "%s is not in this commit; expected a dbt project in the folder", shorten(path.Join(full, "dbt_project.yml")))
	}
	folder := Folder{Path: p}
	digest := sha256.New()
	for _, name := range names {
		content, why, err := r.take(path.Join(full, name))
		switch {
		case err != nil:
			return gathered{}, err
		case why != "":
			return refuse(configs.FileMissing, "%s", why)
		}
		if base := path.Base(name); base == "profiles.yml" || base == "profiles.yaml" {
			for _, problem := range profileProblems(string(content[:min(len(content), maxProfile)])) {
				return refuse(problem.code, "%s: %s", shorten(path.Join(p, name)), problem.text)
			}
		}
		f := r.newFile(name, content)
		f.Notebook = "" // dbt reads files
		fmt.Fprintf(digest, "%s %s\n", f.SHA256, name)
		if err := r.store(content); err != nil {
			return gathered{}, err
		}
		folder.Files = append(folder.Files, f)
	}
	folder.Digest = hex.EncodeToString(digest.Sum(nil))
	r.project.Folders = append(r.project.Folders, folder)
	return gathered{}, nil
}

// filesBelow lists the regular files below a folder, by their paths in it. Links and submodules are no part of it.
func (r *reader) filesBelow(full string) (names []string, g gathered, err error) {
	refused := errors.New("refused")
	refuse := func(format string, a ...any) error {
		g = gathered{code: configs.FileMissing, why: fmt.Sprintf(format, a...)}
		return refused
	}
	err = fs.WalkDir(r.tree, full, func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && at == full && errors.Is(err, fs.ErrNotExist):
			return refuse("%s is not in this commit", shorten(full))
		case err != nil:
			return err
		case at == full && !d.IsDir():
			return refuse("%s is no folder", shorten(full))
		case at == full:
			return nil
		}
		name := relative(full, at)
		switch {
		case strings.Count(name, "/") >= maxFolderDepth:
			return refuse("%s has more than %d levels of folders; expected less", shorten(full), maxFolderDepth)
		case !d.Type().IsRegular():
			return nil
		case len(names) == maxFolderFiles:
			return refuse("%s has more than %d files; expected less", shorten(full), maxFolderFiles)
		case !utf8.ValidString(name) || !printable(name) || len(name) > maxPath || strings.Contains(name, `\`):
			return refuse("%q; expected a plain name", shorten(at))
		}
		names = append(names, name)
		return nil
	})
	if errors.Is(err, refused) {
		return nil, g, nil
	}
	if err != nil {
		if err = whyNot(r.tree, full, err); errors.Is(err, errNotFollowed) {
			return nil, gathered{code: configs.FileMissing, why: err.Error()}, nil
		}
		return nil, g, fmt.Errorf("list %s: %w", full, err)
	}
	slices.Sort(names)
	return names, g, nil
}
