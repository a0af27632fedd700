package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"selvage/configs"
)

// Project is what a commit says about one project, before anything is built.
type Project struct {
	Name      string // as pbt_project.yml says; not unique
	Version   string // the text as it stands in the file: "0.12.0", "1.00", "v22"
	Language  string
	Path      string     // folder of pbt_project.yml; "." for the root
	Jobs      []Job      // by key; also those that can't be deployed, with their reason
	Pipelines []Pipeline // by key
	// Configurations are the files that jobs read at run time, by Owner and Name.
	Configurations []Configuration
	Files          []File   // that jobs name by their paths in the repository; by Path
	Folders        []Folder // the same of folders
}

// ErrNotProject is what ReadProject returns for a folder without a pbt_project.yml.
var ErrNotProject = errors.New("not a project")

// ReadProject reads the project whose pbt_project.yml lies in the folder root.
//
// An error means that the project as a whole is not known: there is none, its pbt_project.yml can't
// be read, or the tree could not be. What is wrong with one job or pipeline is a finding; a job that
// can't be deployed carries it in Blocked as well.
func ReadProject(t Tree, root string) (*Project, []configs.Finding, error) {
	return readProject(t, root, nil, nil)
}

// readProject is ReadProject which also keeps the files that jobs name, and looks for hosts in them that match the
// patterns of isolation.
func readProject(t Tree, root string, keep *Store, isolation []string) (*Project, []configs.Finding, error) {
	r, top, err := openProject(t, root)
	if err != nil {
		return nil, nil, err
	}
	r.keep, r.isolation = keep, isolation
	for _, read := range []func([]ymlEntry) error{r.pipelines, r.jobs, r.configurations} {
		if err := read(top); err != nil {
			return nil, nil, err
		}
	}
	sort.Slice(r.project.Files, func(i, k int) bool { return r.project.Files[i].Path < r.project.Files[k].Path })
	sort.Slice(r.project.Folders, func(i, k int) bool { return r.project.Folders[i].Path < r.project.Folders[k].Path })
	for _, j := range r.project.Jobs {
		r.findings = append(r.findings, j.Blocked...)
	}
	return &r.project, r.findings, nil
}

// openProject reads the pbt_project.yml in the folder root, and its header.
func openProject(t Tree, root string) (*reader, []ymlEntry, error) {
	root = path.Clean(root)
	if !fs.ValidPath(root) {
		return nil, nil, fmt.Errorf("%w: %q is not a folder of the repository; give the folder of %s relative to its root", ErrNotProject, root, ProjectFile)
	}
	r := &reader{tree: t, root: root, gathered: map[string]gathered{}, file: path.Join(root, ProjectFile)}
	src, err := readFile(t, r.file, maxYML)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("%w: %s is not in this commit; name the folder that holds it with path", ErrNotProject, r.file)
	case err != nil:
		return nil, nil, fmt.Errorf("read %s: %w", r.file, err)
	}
	top, err := parseYML(r.file, src)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; mend the file in git and push again", err)
	}
	return r, top, r.header(top)
}

// ofContent reports that an error of openProject is about what the commit holds: a tree that can't be
// read gives others.
func ofContent(err error) bool {
	var yml *ymlError
	return errors.As(err, &yml) || errors.Is(err, ErrNotProject) || errors.Is(err, errTooLarge) || errors.Is(err, errNotFollowed)
}

// reader gathers a project.
type reader struct {
	tree     Tree
	root     string
	file     string // pbt_project.yml
	project  Project
	runs     []jobReference // of all jobs
	findings []configs.Finding

	configured int // bytes of configurations so far

	gathered   map[string]gathered // files and folders that jobs name
	taken      int                 // files among them
	takenBytes int
	keep       *Store   // for their contents; nil keeps none
	isolation  []string // see Calls
}

func (r *reader) found(code configs.Code, subject, particulars string) {
	r.findings = append(r.findings, configs.Found(code, subject, particulars))
}

// at is the subject of a finding about a line of pbt_project.yml.
func (r *reader) at(line int, field string) string {
	return fmt.Sprintf("%s:%d: %s", r.file, line, field)
}

func (r *reader) header(top []ymlEntry) error {
	r.project.Path = r.root
	for _, f := range []struct {
		key  string
		into *string
	}{{"name", &r.project.Name}, {"version", &r.project.Version}, {"language", &r.project.Language}} {
		text, _, ok := scalar(lookup(top, f.key))
		if !ok {
			return r.broken(lineOf(lookup(top, f.key)), f.key+": expected a text")
		}
		*f.into = strings.TrimSpace(text)
	}
	return nil
}

// broken is the error for a pbt_project.yml that can't be understood as a whole.
func (r *reader) broken(line int, text string) error {
	return fmt.Errorf("%w; mend the file in git and push again", &ymlError{r.file, line, text})
}

// section returns the entries of a top-level mapping (pipelines, jobs) in order of their keys. Keys
// that are no folder of this project ("7234/pipelines/x", "../x") are findings.
func (r *reader) section(top []ymlEntry, name string) ([]ymlEntry, error) {
	n := lookup(top, name)
	all, ok := mapping(n)
	if !ok {
		return nil, r.broken(lineOf(n), fmt.Sprintf("%s: expected a mapping from %s/NAME to its entry", name, name))
	}
	seen := map[string]int{}
	var entries []ymlEntry
	for _, e := range all {
		if first, twice := seen[e.key]; twice {
			return nil, r.broken(e.line, fmt.Sprintf("%s: %q is listed already in line %d", name, e.key, first))
		}
		seen[e.key] = e.line
		if !validKey(e.key, name) {
			r.found(configs.EntryPassedOver, r.at(e.line, name), fmt.Sprintf("%q; expected %s/ and a folder of this project", e.key, name))
			continue
		}
		entries = append(entries, e)
	}
	sort.Slice(entries, func(i, k int) bool { return entries[i].key < entries[k].key })
	return entries, nil
}

// validKey reports whether key names a folder below top, in the characters that the authoring tool
// accepts for one. Keys become file names, tags and URLs.
func validKey(key, top string) bool {
	if !strings.HasPrefix(key, top+"/") || !fs.ValidPath(key) || len(key) > 200 {
		return false
	}
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("-_./ ", c):
		default:
			return false
		}
	}
	return true
}

// inner returns the root of the project nested in this one that the folder name, relative to the root,
// belongs to; empty where it is this project's own.
func (r *reader) inner(name string) (string, error) {
	at := r.root
	for part := range strings.SplitSeq(name, "/") {
		at = path.Join(at, part)
		file := path.Join(at, ProjectFile)
		nested, err := isFile(r.tree, file)
		switch {
		case err != nil && errors.Is(whyNot(r.tree, file, err), errNotFollowed):
			return "", nil // what is not followed holds no project
		case err != nil:
			return "", fmt.Errorf("look for %s: %w", file, err)
		case nested:
			return at, nil
		}
	}
	return "", nil
}

func (r *reader) pipelines(top []ymlEntry) error {
	entries, err := r.section(top, "pipelines")
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.key] = true
		p, err := r.onePipeline(e)
		if err != nil {
			return err
		}
		r.project.Pipelines = append(r.project.Pipelines, p)
	}
	folders, err := codeFolders(r.tree, r.root, "pipelines")
	if err != nil {
		return err
	}
	for _, key := range folders {
		if !listed[key] {
			r.found(configs.PipelineUnlisted, path.Join(r.root, key), fmt.Sprintf("it is not under pipelines in %s", r.file))
		}
	}
	return nil
}

func (r *reader) onePipeline(e ymlEntry) (Pipeline, error) {
	p := Pipeline{Key: e.key, Name: path.Base(e.key), Language: r.project.Language}
	fields, ok := mapping(e.value)
	if !ok {
		r.found(configs.PipelineIncomplete, r.at(e.line, e.key), "expected a mapping with name and language")
	}
	for key, into := range map[string]*string{"name": &p.Name, "language": &p.Language} {
		if text, _, ok := scalar(lookup(fields, key)); ok && text != "" {
			*into = strings.TrimSpace(text)
		}
	}
	return p, r.code(&p, e)
}

// The languages of pipelines that become artifacts.
const (
	python = "python"
	scala  = "scala"
)

// buildFile is what a pipeline is built by, and configFolder where its configurations lie, in its code
// folder.
var (
	buildFile    = map[string]string{python: "setup.py", scala: "pom.xml"}
	configFolder = map[string]string{python: "configs/resources/config", scala: "src/main/resources/config"}
)

// code looks at the code folder of a pipeline: what is needed to build it, its digest, and its
// configurations.
func (r *reader) code(p *Pipeline, e ymlEntry) error {
	folder := path.Join(r.root, p.Key, "code")
	if buildFile[p.Language] == "" {
		r.found(configs.PipelineNotSupported, r.at(e.line, p.Key+".language"), fmt.Sprintf("%q; expected python or scala", shorten(p.Language)))
		return nil
	}
	incomplete := func(why string) error {
		r.found(configs.PipelineIncomplete, r.at(e.line, p.Key), why)
		return nil
	}
	inner, err := r.inner(path.Join(p.Key, "code"))
	switch {
	case err != nil:
		return err
	case inner != "":
		return incomplete(fmt.Sprintf("%s is part of the project in %s", folder, inner))
	}
	names, err := fileNames(r.tree, folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return incomplete(fmt.Sprintf("%s is not in this commit", folder))
	case errors.Is(err, errNotFollowed):
		return incomplete(err.Error())
	case err != nil:
		return fmt.Errorf("list %s: %w", folder, err)
	}
	if !slices.Contains(names, buildFile[p.Language]) {
		return incomplete(fmt.Sprintf("%s is not in this commit", path.Join(folder, buildFile[p.Language])))
	}
	if p.Tree, err = r.tree.Digest(folder); err != nil {
		return fmt.Errorf("digest of %s: %w", folder, err)
	}
	instances := path.Join(folder, configFolder[p.Language])
	names, err = fileNames(r.tree, instances)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotFollowed) {
		return fmt.Errorf("list %s: %w", instances, err)
	}
	for _, name := range names {
		if stem, ok := strings.CutSuffix(name, ".json"); ok && stem != "" {
			p.Instances = append(p.Instances, stem)
		}
	}
	sort.Strings(p.Instances)
	return nil
}

// pipeline finds a pipeline by key.
func (p *Project) pipeline(key string) *Pipeline {
	i := slices.IndexFunc(p.Pipelines, func(x Pipeline) bool { return x.Key == key })
	if i < 0 {
		return nil
	}
	return &p.Pipelines[i]
}

// oneKey is the key of a mapping with a single entry, as in `scheduler: {Databricks: {}}`, or what
// stands there as a text.
func oneKey(n ast.Node) (string, bool) {
	if text, null, ok := scalar(n); ok && !null {
		return text, text != ""
	}
	entries, ok := mapping(n)
	if !ok || len(entries) != 1 {
		return "", false
	}
	return entries[0].key, true
}
