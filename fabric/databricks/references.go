package databricks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// outsideKinds are the kinds of references to what is not of the release.
var outsideKinds = map[string]fabric.OutsideKind{
	configs.RefJob: fabric.NamedJob, configs.RefPipeline: fabric.NamedPipeline, configs.RefWarehouse: fabric.NamedWarehouse,
	configs.RefPolicy: fabric.NamedPolicy, configs.RefPool: fabric.NamedPool, configs.RefCluster: fabric.NamedCluster,
	configs.RefDestination: fabric.NamedDestination,
}

// link puts a fabric.Ref in place of each reference by name, {"warehouse": "BI"}, that stands where an id of its
// kind belongs. One to a job is to a job of the release by its key or its name, else to one on the fabric by its name.
func (n *rendering) link(d *draft) {
	n.linkIn(d, d.at, "", d.request)
	slices.Sort(d.Needs)
}

func (n *rendering) linkIn(d *draft, at *spot, shape string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		kind, name, why := configs.ReadRef(shape, v)
		switch {
		case why != "":
			d.block(configs.ReferenceBroken, at, why)
			return v
		case kind != "":
			return n.reference(d, at, kind, name)
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if e := v[k]; holdsMore(e) {
				v[k] = n.linkIn(d, at.member(k), joinShape(shape, k), e)
			}
		}
	case []any:
		for i, e := range v {
			if holdsMore(e) {
				v[i] = n.linkIn(d, at.element(i), shape+"[]", e)
			}
		}
	}
	return v
}

func holdsMore(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// joinShape is the shape of a key. Shapes are no longer than any of those where ids stand.
func joinShape(shape, key string) string {
	switch {
	case len(shape)+len(key) > longestShape:
		return deepShape
	case shape == "":
		return key
	}
	return shape + "." + key
}

const (
	longestShape = 200
	deepShape    = "..." // of all that lies deeper: no id stands there
)

// reference is the Ref for what is referred to by name. Without one it blocks the job.
func (n *rendering) reference(d *draft, at *spot, kind, name string) any {
	if kind == configs.RefJob {
		key, code, why := n.jobNamed(name)
		switch {
		case why != "":
			d.block(code, at, why)
			return nil
		case key != "":
			if !slices.Contains(d.Needs, key) {
				d.Needs = append(d.Needs, key)
			}
			return fabric.Ref{Kind: Job, Key: key}
		}
	}
	t := fabric.Outside{Kind: outsideKinds[kind], Name: name}
	d.needs(t.Kind, t.Name)
	return t.Ref()
}

// jobNamed finds a job of the release by its key, or by a name that only one has. It gives no key for the name of
// none: that is one on the fabric.
func (n *rendering) jobNamed(name string) (key fabric.Key, code configs.Code, why string) {
	if n.keys[fabric.Key(name)] {
		return fabric.Key(name), "", ""
	}
	switch keys := n.names[name]; {
	case len(keys) == 1:
		return keys[0], "", ""
	case len(keys) > 1:
		return "", configs.ReferenceAmbiguous, fmt.Sprintf("%q is the name of %d jobs of this project; write the key of one", shorten(name, mostOfKey), len(keys))
	case strings.HasPrefix(name, "jobs/"):
		return "", configs.ReferenceMissing, fmt.Sprintf("%q is no job of this project", shorten(name, mostOfKey))
	}
	return "", "", ""
}

// references blocks what refers in a circle, and what refers to a job that will not be there.
func (n *rendering) references() {
	keys := slices.Sorted(maps.Keys(n.drafts))
	for _, k := range keys {
		if d := n.drafts[k]; n.reaches(k) {
			d.block(configs.ReferenceCycle, nil, fmt.Sprintf("%s needs %s", k, strings.Join(texts(d.Needs), ", ")))
		}
	}
	for again := true; again; {
		again = false
		for _, k := range keys {
			d := n.drafts[k]
			for _, need := range d.Needs {
				to := n.drafts[need]
				switch {
				case d.blocked != nil:
				case to.unselected != "":
					d.block(configs.ReferenceUnselected, nil, fmt.Sprintf("%s: %s", need, to.unselected))
					again = true
				case to.blocked != nil:
					d.block(configs.ReferenceBlocked, nil, fmt.Sprintf("%s: %s", need, to.blocked.Text))
					again = true
				}
			}
		}
	}
}

// reaches reports that a job needs itself, directly or through others.
func (n *rendering) reaches(start fabric.Key) bool {
	seen := map[fabric.Key]bool{}
	next := slices.Clone(n.drafts[start].Needs)
	for len(next) > 0 {
		k := next[len(next)-1]
		next = next[:len(next)-1]
		if k == start {
			return true
		}
		if !seen[k] {
			seen[k] = true
			next = append(next, n.drafts[k].Needs...)
		}
	}
	return false
}

func texts(keys []fabric.Key) []string {
	s := make([]string, len(keys))
	for i, k := range keys {
		s[i] = string(k)
	}
	return s
}
