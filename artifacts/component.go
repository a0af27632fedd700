package artifacts

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"selvage/configs"
)

// definition reads the decoded databricks-job.json of one job into it. What it doesn't handle blocks
// the job; the fields that it doesn't know pass through to the fabric as they are.
type definition struct {
	job     *Job
	project *Project
	runs    []jobReference
}

func (d *definition) read(doc map[string]any) {
	j := d.job
	switch id := doc["fabric_id"].(type) {
	case nil:
	case string:
		j.FabricID = id
	case json.Number:
		j.FabricID = id.String()
	default:
		d.broken("fabric_id", id, "a text")
	}
	d.components(doc["components"])
	d.request(doc["request"])
}

func (d *definition) broken(field string, found any, expected string) {
	d.job.block(configs.JobBroken, field, fmt.Sprintf("expected %s, found %s", expected, kindOf(found)))
}

func (d *definition) components(v any) {
	list, ok := v.([]any)
	if !ok && v != nil {
		d.broken("components", v, "a list")
		return
	}
	owner := map[string]string{} // path -> pipeline
	for i, item := range list {
		field := fmt.Sprintf("components[%d]", i)
		object, ok := item.(map[string]any)
		if !ok || len(object) != 1 {
			d.broken(field, item, `an object with one key, as {"PipelineComponent": {...}}`)
			continue
		}
		for kind, body := range object {
			field += "." + shorten(kind)
			fields, ok := body.(map[string]any)
			if !ok {
				d.broken(field, body, "an object")
				continue
			}
			c, ok := d.component(kind, field, fields)
			d.job.Components = append(d.job.Components, c)
			switch {
			case kind != PipelineComponent:
				d.job.block(configs.JobNotSupported, field, "expected a PipelineComponent")
				continue
			case !ok || !d.pipeline(c, field):
				continue
			}
			if first, twice := owner[c.Path]; twice && first != c.PipelineID {
				d.job.block(configs.JobBroken, field+".path", fmt.Sprintf("%s and %s have the same path", first, c.PipelineID))
			}
			owner[c.Path] = c.PipelineID
			d.job.Pipelines = append(d.job.Pipelines, c.PipelineID)
		}
	}
	sort.Strings(d.job.Pipelines)
	d.job.Pipelines = slices.Compact(d.job.Pipelines)
}

// component reads the fields of a component, and reports whether they have the types they should.
func (d *definition) component(kind, field string, fields map[string]any) (c Component, ok bool) {
	c, ok = Component{Kind: kind}, true
	for _, f := range []struct {
		key  string
		into *string
	}{
		{"path", &c.Path}, {"nodeName", &c.NodeName}, {"id", &c.ID}, {"pipelineId", &c.PipelineID},
		{"language", &c.Language}, {"releaseVersion", &c.ReleaseVersion}, {"configPath", &c.ConfigPath},
	} {
		switch v := fields[f.key].(type) {
		case nil:
		case string:
			*f.into = v
		default:
			d.broken(field+"."+f.key, v, "a text")
			ok = false
		}
	}
	if c.PipelineID == "" && kind == PipelineComponent {
		c.PipelineID = c.ID
	}
	return c, ok
}

// pipeline checks a PipelineComponent: it must name a Python pipeline of this project, and a wheel. It
// reports whether it names one that can be built.
func (d *definition) pipeline(c Component, field string) bool {
	j := d.job
	id := field + ".pipelineId"
	switch {
	case c.ReleaseVersion != "":
		j.block(configs.JobNotSupported, field+".releaseVersion",
			fmt.Sprintf("%q is a pipeline of another project (release %q); expected one of this project", shorten(c.PipelineID), shorten(c.ReleaseVersion)))
		return false
	case c.ConfigPath != "":
		j.block(configs.JobNotSupported, field+".configPath",
			fmt.Sprintf("%q is the configuration of a subscribed pipeline; expected a pipeline of this project", shorten(c.ConfigPath)))
		return false
	case !strings.HasPrefix(c.PipelineID, "pipelines/"):
		j.block(configs.JobNotSupported, id, fmt.Sprintf("%q; expected pipelines/NAME, a pipeline of this project", shorten(c.PipelineID)))
		return false
	}
	p := d.project.pipeline(c.PipelineID)
	switch {
	case p == nil:
		j.block(configs.JobPipelineMissing, id, fmt.Sprintf("%q is not under pipelines in %s", shorten(c.PipelineID), path.Join(d.project.Path, ProjectFile)))
		return false
	case p.Language != "python" || c.Language != "" && c.Language != "python":
		j.block(configs.JobNotSupported, field+".language", fmt.Sprintf("%s is a %s pipeline; expected python", p.Key, shorten(firstOf(c.Language, p.Language))))
		return false
	case p.Tree == "":
		j.block(configs.JobPipelineMissing, id, fmt.Sprintf("%s is not in this commit", path.Join(d.project.Path, p.Key, "code/setup.py")))
		return false
	}
	// Every mention of this path in the job is replaced, so it must be a path and nothing less.
	base := path.Base(c.Path)
	switch {
	case !strings.HasSuffix(base, ".whl") || len(base) < len("a-1-py3-none-any.whl"),
		!strings.HasPrefix(c.Path, "/") && !strings.HasPrefix(c.Path, "dbfs:/"),
		strings.ContainsAny(c.Path, "\"'\\\n\r\t"):
		j.block(configs.JobBroken, field+".path", fmt.Sprintf("%q; expected the full path of a wheel", shorten(c.Path)))
		return false
	}
	return true
}

func firstOf(a, b string) string {
	if a != "" && a != "python" {
		return a
	}
	return b
}

func (d *definition) request(v any) {
	j := d.job
	request, ok := v.(map[string]any)
	if !ok {
		d.broken("request", v, "an object")
		return
	}
	if _, wrapped := request["CreateNewJobRequest"]; wrapped {
		j.block(configs.JobNotSupported, "request.CreateNewJobRequest", "expected the settings of the job in request itself; save the job again in the authoring tool")
		return
	}
	name, ok := request["name"].(string)
	if !ok || strings.TrimSpace(name) == "" {
		d.broken("request.name", request["name"], "the name of the job")
	}
	j.Name = name
	switch tasks := request["tasks"].(type) {
	case nil, []any:
	default:
		d.broken("request.tasks", tasks, "a list")
	}
	paths := map[string]bool{}
	for _, c := range j.Components {
		paths[c.Path] = true
	}
	visit(request, &fieldPath{key: "request"}, func(at *fieldPath, v any) {
		switch v := v.(type) {
		case string:
			if isArtifactPath(v) && !paths[v] {
				j.block(configs.ArtifactMissing, at.String(), fmt.Sprintf("%q is the path of no component of the job", shorten(v)))
			}
		case map[string]any:
			if at.key == "run_job_task" {
				d.reference(at.String()+".job_id", v["job_id"])
			}
		}
	})
	for _, r := range d.runs {
		j.Runs = append(j.Runs, r.to)
	}
	sort.Strings(j.Runs)
	j.Runs = slices.Compact(j.Runs)
}

// isArtifactPath reports whether a text is the path of a wheel or jar in the tool's artifact store.
func isArtifactPath(s string) bool {
	return strings.Contains(s, "/prophecy/artifacts/") && (strings.HasSuffix(s, ".whl") || strings.HasSuffix(s, ".jar"))
}

// reference reads the job_id of a run_job_task. The tool's format has only the number of a job in one
// workspace; ours may also name a job of the project, as {"job": "jobs/daily_revenue"}, which becomes
// the number that it has on the fabric.
func (d *definition) reference(field string, v any) {
	switch v := v.(type) {
	case json.Number:
		return
	case map[string]any:
		if key, ok := v["job"].(string); ok && len(v) == 1 {
			d.runs = append(d.runs, jobReference{d.job.Key, field, key})
			return
		}
	}
	d.broken(field, v, `the number of a job or {"job": "jobs/NAME"}`)
}
