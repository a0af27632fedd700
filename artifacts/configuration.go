package artifacts

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"selvage/configs"
)

// Limits on the configurations of one project.
const (
	maxConfiguration     = 1 << 20 // bytes of one; they are lists of settings
	maxConfigurationText = 8 << 20 // bytes of all
	maxConfigurations    = 2000
)

// ownConfigurations is where a project's own configurations lie.
const ownConfigurations = ProjectConfiguration + "/code/configs"

// configurations reads those that jobs read at run time: the project's own, which lie in one folder,
// and those for subscribed pipelines and projects, which pbt_project.yml lists. One that can't be read
// is in the release all the same, with the reason.
func (r *reader) configurations(top []ymlEntry) error {
	if err := r.ownConfigurations(); err != nil {
		return err
	}
	for _, section := range []string{"pipelineConfigurations", "projectConfigurations"} {
		n := lookup(top, section)
		entries, ok := mapping(n)
		if text, _, isText := scalar(n); isText && (text == "{}" || text == "[]") {
			ok = true // the tool writes an empty list of dependencies so
		}
		if !ok {
			return r.broken(lineOf(n), fmt.Sprintf("%s: expected a mapping from %s/NAME to its entry", section, section))
		}
		for _, e := range entries {
			if err := r.listedConfigurations(section, e); err != nil {
				return err
			}
		}
	}
	r.sameConfiguration()
	return nil
}

// ownConfigurations reads the files of the project's own configurations, config.metadata.json included.
func (r *reader) ownConfigurations() error {
	inner, err := r.inner(ownConfigurations)
	if err != nil || inner != "" {
		return err
	}
	folder := path.Join(r.root, ownConfigurations)
	names, err := fileNames(r.tree, folder)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotFollowed):
		return nil
	case err != nil:
		return fmt.Errorf("list %s: %w", folder, err)
	}
	for _, name := range names {
		stem, ok := strings.CutSuffix(name, ".json")
		if !ok || stem == "" {
			continue
		}
		if err := r.configuration(Configuration{Owner: ProjectConfiguration, Name: stem, File: path.Join(folder, name)}); err != nil {
			return err
		}
	}
	return nil
}

// listedConfigurations reads the configurations of one entry of a section of pbt_project.yml. Without
// a basePipeline they are a project's.
func (r *reader) listedConfigurations(section string, e ymlEntry) error {
	passed := func(line int, field, particulars string) {
		r.found(configs.EntryPassedOver, r.at(line, section), shorten(e.key)+field+": "+particulars)
	}
	fields, ok := mapping(e.value)
	if !ok {
		passed(e.line, "", "expected a mapping with basePipeline and configurations")
		return nil
	}
	owner := ProjectConfiguration
	base, _, ok := scalar(lookup(fields, "basePipeline"))
	switch {
	case ok && base != "":
		switch _, refused := parseIdentifier(base); {
		case refused != nil && refused.code == configs.SecretInGit:
			r.found(refused.code, r.at(e.line, section), shorten(e.key)+".basePipeline: "+refused.text)
			return nil
		case refused != nil:
			passed(e.line, ".basePipeline", refused.text)
			return nil
		}
		owner = base
	case section == "pipelineConfigurations":
		passed(e.line, ".basePipeline", "expected the pipeline that it configures, as 7234/pipelines/NAME")
		return nil
	}
	listed, ok := mapping(lookup(fields, "configurations"))
	if !ok {
		passed(e.line, ".configurations", "expected a mapping from the name of a file, without .json, to its entry")
		return nil
	}
	for _, c := range listed {
		name := path.Base(c.key)
		if of, ok := mapping(c.value); ok {
			if text, _, ok := scalar(lookup(of, "name")); ok && text != "" {
				name = text
			}
		}
		if !strings.HasPrefix(c.key, section+"/") || !fs.ValidPath(c.key) || !printable(c.key) || len(c.key) > maxPath {
			passed(c.line, ".configurations", fmt.Sprintf("%q; expected a file below %s, without .json", shorten(c.key), section))
			continue
		}
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "/\\") || !printable(name) || len(name) > maxSecret {
			passed(c.line, ".configurations", fmt.Sprintf("%q; expected the name of a configuration, which becomes that of a file", shorten(name)))
			continue
		}
		if err := r.configuration(Configuration{Owner: owner, Name: name, File: path.Join(r.root, c.key+".json")}); err != nil {
			return err
		}
	}
	return nil
}

// configuration reads the file of c and adds it to the project.
func (r *reader) configuration(c Configuration) error {
	if len(r.project.Configurations) == maxConfigurations {
		return r.broken(0, fmt.Sprintf("more than %d configurations", maxConfigurations))
	}
	inner, err := r.inner(relative(r.root, path.Dir(c.File)))
	if err != nil {
		return err
	}
	limit := min(maxConfiguration, maxConfigurationText-r.configured)
	text, err := readFile(r.tree, c.File, int64(limit))
	why := ""
	switch {
	case inner != "":
		why = fmt.Sprintf("it is part of the project in %s", inner)
	case errors.Is(err, fs.ErrNotExist):
		why = fmt.Sprintf("the file is not in this commit, and %s lists it", r.file)
	case errors.Is(err, errTooLarge) && limit < maxConfiguration:
		why = fmt.Sprintf("the configurations of the project have more than %d KiB; expected less", maxConfigurationText>>10)
	case errors.Is(err, errTooLarge), errors.Is(err, errNotFollowed):
		why = err.Error()
	case err != nil:
		return fmt.Errorf("read %s: %w", c.File, err)
	case !utf8.Valid(text):
		why = "expected UTF-8"
	case conflict(text) > 0:
		why = fmt.Sprintf("line %d: a merge conflict that nobody resolved", conflict(text))
	default:
		c.Content = text
		r.configured += len(text)
	}
	if why != "" {
		r.unconfigured(&c, why)
	}
	r.project.Configurations = append(r.project.Configurations, c)
	return nil
}

func (r *reader) unconfigured(c *Configuration, why string) {
	f := configs.Found(configs.ConfigurationMissing, c.File, why)
	c.Content, c.Blocked = nil, &f
	r.findings = append(r.findings, f)
}

// sameConfiguration sorts the configurations, and marks those that two files say different things of:
// which one a job would read is not for us to guess.
func (r *reader) sameConfiguration() {
	all := r.project.Configurations
	slices.SortStableFunc(all, func(a, b Configuration) int {
		return cmp.Or(strings.Compare(a.Owner, b.Owner), strings.Compare(a.Name, b.Name), strings.Compare(a.File, b.File))
	})
	kept := all[:0]
	for _, c := range all {
		last := len(kept) - 1
		if last < 0 || kept[last].Owner != c.Owner || kept[last].Name != c.Name {
			kept = append(kept, c)
			continue
		}
		first := &kept[last]
		if first.Blocked == nil && (c.Blocked != nil || string(c.Content) != string(first.Content)) {
			r.unconfigured(first, fmt.Sprintf("%s says something else for %s of %s; expected one of the two", c.File, c.Name, shorten(c.Owner)))
		}
	}
	r.project.Configurations = kept
}
