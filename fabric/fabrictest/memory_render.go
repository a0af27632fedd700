package fabrictest

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// Render implements fabric.Fabric. The overlay's tags are laid over the definition's, and its
// schedule over paused; a config_instance has nothing to change here and blocks each job.
func (m *Memory) Render(r *artifacts.Release, b fabric.Binding) (*fabric.Desired, []configs.Finding, error) {
	d := fabric.NewDesired()
	var findings []configs.Finding
	block := func(f configs.Finding) {
		d.Block(fabric.Key(f.Subject), f)
		findings = append(findings, f)
	}
	names := map[string]string{} // key -> id
	keys := map[string]string{}  // id -> key
	docs := map[string]map[string]any{}
	jobs := slices.SortedFunc(slices.Values(r.Jobs), func(a, b artifacts.Job) int { return strings.Compare(a.Key, b.Key) })
	for _, j := range jobs {
		mine, err := selected(j, b)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("render %s: %w", b.Deployment, err)
		case !mine:
			d.Unselect(fabric.Key(j.Key))
			findings = append(findings, configs.Found(configs.JobUnselected, j.Key, ""))
			continue
		case len(j.Blocked) > 0:
			d.Block(fabric.Key(j.Key), j.Blocked[0])
			findings = append(findings, j.Blocked...)
			continue
		}
		o, err := definition(j)
		if err != nil {
			block(notRendered(j.Key, err.Error()))
			continue
		}
		name, _ := o["name"].(string)
		if other, taken := keys[name]; taken {
			block(notRendered(j.Key, fmt.Sprintf("%s has the same name %q", other, name)))
			continue
		}
		names[j.Key], keys[name], docs[j.Key] = name, j.Key, o
	}
	for _, j := range jobs {
		o, ok := docs[j.Key]
		if !ok {
			continue
		}
		res := fabric.Resource{Key: fabric.Key(j.Key), Kind: DAG, Name: names[j.Key], Labels: map[string]fabric.Label{}, Overlaid: map[string]bool{}}
		var missing string
		if res.Needs, missing = resolve(o, names); missing != "" {
			block(configs.Found(configs.ReferenceMissing, j.Key, missing))
			continue
		}
		if b.Overlay.ConfigInstance != "" {
			block(configs.Found(configs.OverlayNoHit, j.Key, "config_instance"))
			continue
		}
		if release, _ := o["release"].(string); strings.Contains(release, "{tag}") {
			o["release"] = strings.ReplaceAll(release, "{tag}", b.Tag)
			res.Labels["release"] = `"[^"]*"`
		}
		paths, _ := o["outside"].([]any)
		for _, p := range paths {
			if name, ok := p.(string); ok {
				res.Outside = append(res.Outside, fabric.Outside{Kind: fabric.OutsideFile, Name: name})
			}
		}
		overlay(&res, o, b.Overlay)
		res.Doc = fabric.NewDoc(o)
		d.Add(res)
	}
	return d, findings, nil
}

// selected reports that the binding takes the job: by its globs, or else by the fabric it is committed for.
func selected(j artifacts.Job, b fabric.Binding) (bool, error) {
	for _, glob := range b.Jobs {
		ok, err := doublestar.Match(glob, j.Key)
		if err != nil {
			return false, fmt.Errorf("jobs: %q is not a pattern", glob)
		}
		if ok {
			return true, nil
		}
	}
	return len(b.Jobs) == 0 && slices.Contains(b.FabricIDs, j.FabricID), nil
}

// definition is what a job's file defines, with its name in it.
func definition(j artifacts.Job) (map[string]any, error) {
	d, err := fabric.ParseDoc(j.Raw)
	if err != nil {
		return nil, err
	}
	o := d.Object()
	if request, ok := o["request"]; ok {
		if o, ok = request.(map[string]any); !ok {
			return nil, fmt.Errorf("request is no object")
		}
	}
	if name, _ := o["name"].(string); name == "" {
		if o["name"] = j.Name; j.Name == "" {
			o["name"] = path.Base(j.Key)
		}
	}
	return o, nil
}

// resolve puts ids in place of the keys under runs; missing is the first that there is not.
func resolve(o map[string]any, names map[string]string) (needs []fabric.Key, missing string) {
	runs, _ := o["runs"].([]any)
	for i, e := range runs {
		key, _ := e.(string)
		name, ok := names[key]
		if !ok {
			text, _ := json.Marshal(e)
			return nil, "runs: " + string(text)
		}
		runs[i] = name
		needs = append(needs, fabric.Key(key))
	}
	return needs, ""
}

func overlay(r *fabric.Resource, o map[string]any, v configs.Overlay) {
	if len(v.Tags) > 0 {
		tags, _ := o["tags"].(map[string]any)
		if tags == nil {
			tags = map[string]any{}
			o["tags"] = tags
		}
		for k, value := range v.Tags {
			tags[k] = value
		}
		r.Overlaid["tags"] = true
	}
	if v.Schedule == "enabled" || v.Schedule == "paused" {
		o["paused"] = v.Schedule == "paused"
		r.Overlaid["paused"] = true
	}
}
