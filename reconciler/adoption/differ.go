package adoption

import (
	"slices"
	"strings"

	"selvage/fabric"
)

// Class says where a difference between a live job and what its first apply would make of it comes from.
type Class string

const (
	// Paths: where its files lie, placeholders and what the workspace would fill in otherwise. Nothing runs differently.
	Paths Class = "paths"
	// Stripped: it would call the authoring tool.
	Stripped Class = "stripped"
	// Release: the live job is of another release than the baseline.
	Release Class = "release"
	// Overlay: the configuration of the deployment says so.
	Overlay Class = "overlay"
	// Edited: somebody edited the live job. It is kept by an overlay, or given up.
	Edited Class = "edited"
)

// Difference is one field that the first apply would change.
type Difference struct {
	fabric.Field
	Class Class `json:"class"`
	// GivenUp: a person says that the edit may be lost.
	GivenUp bool `json:"given_up,omitempty"`
	// Cant is why no overlay keeps the edit.
	Cant string `json:"cant,omitempty"`
}

// Comparing is a live job and everything that it is compared with.
type Comparing struct {
	Rules    *fabric.Rules
	Resource fabric.Resource // of the baseline, its references resolved
	Live     fabric.Doc
	Before   fabric.Before // the baseline as the previous tool wrote it
	Own      fabric.Before // the release that the live job says it is of; the baseline where that is not known
	Kept     []fabric.Kept
}

// Differences sorts what the first apply would change, by path, and counts the fields that only name the release.
// What the live job has otherwise than its own release, as the previous tool wrote it, is an edit.
func Differences(c Comparing) (ds []Difference, labels int) {
	edited, moved := map[string]bool{}, map[string]bool{}
	if !c.Own.Doc.IsZero() {
		fields, _ := fabric.Compare(fabric.Comparison{Rules: c.Rules, Desired: c.Own.Doc, Live: c.Live, Labels: c.Own.Labels})
		for _, f := range fields {
			edited[f.Path] = true
		}
		fields, _ = fabric.Compare(fabric.Comparison{Rules: c.Rules, Desired: c.Before.Doc, Live: c.Own.Doc, Labels: c.Before.Labels})
		for _, f := range fields {
			moved[f.Path] = true
		}
	}
	desired, _ := c.Resource.Doc.Keep(c.Kept)
	fields, labels := fabric.Compare(fabric.Comparison{Rules: c.Rules, Desired: desired, Live: c.Live, Labels: c.Resource.Labels, Overlaid: c.Resource.Overlaid})
	for _, f := range fields {
		d := Difference{Field: f, Class: Paths}
		switch {
		case stripped(c, f.Path):
			d.Class = Stripped
		case fabric.Covers(edited, f.Path), c.Own.Doc.IsZero():
			d.Class = Edited // where nothing says what it was, every difference may be an edit
		case f.Cause == fabric.Overlay:
			d.Class = Overlay
		case fabric.Covers(moved, f.Path):
			d.Class = Release
		}
		ds = append(ds, d)
	}
	return ds, labels
}

// stripped reports a field that isolation takes out or sets, and that it would take out of the live job too.
func stripped(c Comparing, path string) bool {
	return c.Before.Stripped[path] || c.Own.Stripped[path]
}

// Edits are the paths of the edits that are neither given up nor kept.
func Edits(ds []Difference) []string {
	var paths []string
	for _, d := range ds {
		if d.Class == Edited && !d.GivenUp {
			paths = append(paths, d.Path)
		}
	}
	return paths
}

// GiveUp marks the edits of a job that a person gives up. Each of what is given up is "all", the key of a job, or a key
// and a path with a colon between them. hit notes which of them were about something.
func GiveUp(k fabric.Key, ds []Difference, up []string, hit map[string]bool) {
	for _, u := range up {
		key, path, one := strings.Cut(u, ":")
		if u != "all" && key != string(k) {
			continue
		}
		for i, d := range ds {
			if d.Class == Edited && (!one || fabric.Covers(map[string]bool{path: true}, d.Path)) {
				ds[i].GivenUp, hit[u] = true, true
			}
		}
	}
}

// Unkept is what is kept of a job without the fields that a person gives up by their paths.
func Unkept(k fabric.Key, kept []fabric.Kept, up []string, hit map[string]bool) []fabric.Kept {
	return slices.DeleteFunc(slices.Clone(kept), func(f fabric.Kept) bool {
		u := string(k) + ":" + f.Path
		given := slices.Contains(up, u)
		if given {
			hit[u] = true
		}
		return given
	})
}
