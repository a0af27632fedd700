package reconciler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler/adoption"
)

// keepEdits writes the part of an overlay that keeps the edits which nobody gave up, and finds out by rendering with it
// which of them it does not keep. Those say why.
func (rd *round) keepEdits(ctx context.Context, place fabric.Adopter, a *Adoption, before map[fabric.Key]fabric.Before) error {
	for range 3 { // what can't be kept is left out, and the rest is tried again
		o := rd.editsOf(place, a, before)
		if len(o.Patch)+len(o.JobClusters) == 0 {
			return nil
		}
		text := configs.OverlaySnippet(o)
		lost, err := rd.lostBy(ctx, a, string(text))
		if err != nil {
			return err
		}
		if len(lost) == 0 {
			a.Patch = rd.patchHead(a) + string(text)
			return nil
		}
		for i, m := range a.Matched {
			for j, d := range m.Differs {
				if why, is := lost[m.Key][d.Path]; is {
					a.Matched[i].Differs[j].Cant = why
				}
			}
		}
	}
	return nil
}

func (rd *round) patchHead(a *Adoption) string {
	n := 0
	for _, m := range a.Matched {
		for _, d := range m.Differs {
			if d.Class == adoption.Edited && !d.GivenUp && d.Cant == "" {
				n++
			}
		}
	}
	return fmt.Sprintf("# What was edited by hand in the jobs that %s takes over from another tool: %d fields.\n"+
		"# It stands under overlay: of the deployment. A key that is there already is to hold both.\n", rd.name, n)
}

// editsOf is the overlay of all edits that may be kept.
func (rd *round) editsOf(place fabric.Adopter, a *Adoption, before map[fabric.Key]fabric.Before) configs.Overlay {
	var o configs.Overlay
	clusters := map[string]configs.ClusterOverlay{}
	owner := map[string]fabric.Key{}
	for i, m := range a.Matched {
		var paths []string
		for _, d := range m.Differs {
			switch {
			case d.Class != adoption.Edited || d.GivenUp || d.Cant != "":
			case strings.Contains(string(d.Old), redactedText):
				a.refuse(i, d.Path, "it holds a secret, which belongs into a secret scope")
			default:
				paths = append(paths, d.Path)
			}
		}
		if len(paths) == 0 {
			continue
		}
		part, cant := place.Patch(m.Key, before[m.Key], a.documents[m.Key], paths)
		for _, p := range paths {
			if why, is := cant[p]; is {
				a.refuse(i, p, why)
			}
		}
		o.Patch = append(o.Patch, part.Patch...)
		for _, c := range part.JobClusters {
			known, twice := clusters[c.Key]
			shared := fabric.Key("")
			for k, b := range before {
				if _, wanted := rd.desired.Lookup(k); k != m.Key && wanted == fabric.Present && slices.Contains(b.Clusters, unescaped(c.Key)) {
					shared = k
				}
			}
			switch {
			case twice && string(encode(known.Merge)) == string(encode(c.Merge)):
			case twice || shared != "" && !alikeIn(a, shared, m.Key):
				other := shared
				if twice {
					other = owner[c.Key]
				}
				for _, p := range paths {
					if strings.HasPrefix(p, "job_clusters["+unescaped(c.Key)+"]") {
						a.refuse(i, p, fmt.Sprintf("%s has a cluster of that key too, which the overlay would change as well", other))
					}
				}
			default:
				clusters[c.Key], owner[c.Key] = c, m.Key
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(clusters)) {
		o.JobClusters = append(o.JobClusters, clusters[key])
	}
	return o
}

// alikeIn reports that two jobs have the same edits of their clusters.
func alikeIn(a *Adoption, one, other fabric.Key) bool {
	edits := func(k fabric.Key) string {
		var all []string
		for _, m := range a.Matched {
			for _, d := range m.Differs {
				if m.Key == k && d.Class == adoption.Edited && strings.HasPrefix(d.Path, "job_clusters[") {
					all = append(all, d.Path, string(d.Old))
				}
			}
		}
		return strings.Join(all, "\n")
	}
	return edits(one) == edits(other)
}

func unescaped(pattern string) string { return strings.ReplaceAll(pattern, `\`, "") }

// redactedText is what stands for a secret in a field that is shown.
const redactedText = "(redacted)"

func (a *Adoption) refuse(match int, path, why string) {
	for j, d := range a.Matched[match].Differs {
		if d.Path == path {
			a.Matched[match].Differs[j].Cant = why
		}
	}
}

// lostBy renders the baseline with a text under the overlay too, and says which of the edits differ all the same.
func (rd *round) lostBy(ctx context.Context, a *Adoption, text string) (map[fabric.Key]map[string]string, error) {
	lost := map[fabric.Key]map[string]string{}
	all := func(why string) {
		for _, m := range a.Matched {
			for _, d := range m.Differs {
				if d.Class == adoption.Edited && !d.GivenUp && d.Cant == "" {
					lose(lost, m.Key, d.Path, why)
				}
			}
		}
	}
	o, err := configs.ParseOverlay("overlay", []byte(text))
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		all("the configuration does not take it: " + first)
		return lost, nil
	}
	b := rd.bindingOf(rd.target)
	b.Overlay = o.Over(b.Overlay)
	desired, _, err := rd.Fabrics[rd.d.Fabric.Name].Render(rd.release, b)
	if err != nil {
		return nil, rd.fail(configs.NotRendered, err)
	}
	planned, err := rd.planAs(ctx, a, desired)
	if err != nil {
		return nil, err
	}
	for _, m := range a.Matched {
		edits := map[string]bool{}
		for _, d := range m.Differs {
			if d.Class == adoption.Edited && !d.GivenUp && d.Cant == "" {
				edits[d.Path] = true
			}
		}
		if len(edits) == 0 {
			continue
		}
		r, presence := desired.Lookup(m.Key)
		if presence != fabric.Present {
			why, _ := desired.Why(m.Key)
			for p := range edits {
				lose(lost, m.Key, p, "with it the job is blocked: "+why.Text)
			}
			continue
		}
		fields, _ := fabric.Compare(fabric.Comparison{Rules: rd.Fabrics[rd.d.Fabric.Name].Rules(m.Kind), Desired: planned[m.Key].Desired, Live: a.documents[m.Key], Labels: r.Labels})
		for _, f := range fields {
			for p := range edits {
				if fabric.Covers(map[string]bool{p: true}, f.Path) {
					lose(lost, m.Key, p, "an overlay does not come to the same")
				}
			}
		}
	}
	return lost, nil
}

func lose(lost map[fabric.Key]map[string]string, k fabric.Key, path, why string) {
	if lost[k] == nil {
		lost[k] = map[string]string{}
	}
	lost[k][path] = why
}
