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
	job      *Job
	project  *Project
	ownID    string            // of the project, as the definition says; may be empty
	files    map[string]placed // what the components put where; see place
	runs     []jobReference
	profiles int // bytes of dbt profiles so far
}

func (d *definition) read(doc map[string]any) {
	j := d.job
	d.number("fabric_id", doc["fabric_id"], &j.FabricID)
	d.text("secret_scope", doc["secret_scope"], &j.SecretScope)
	request, field, err := Request(doc)
	if err == nil {
		d.ownID = projectID(request)
	}
	d.components(doc["components"])
	if err != nil {
		j.block(configs.JobBroken, field, err.Error())
		return
	}
	d.request(request, field)
}

func (d *definition) broken(field string, found any, expected string) {
	d.job.block(configs.JobBroken, field, fmt.Sprintf("expected %s, found %s", expected, kindOf(found)))
}

// text reads a text, and reports whether v was one, or nothing.
func (d *definition) text(field string, v any, into *string) bool {
	switch v := v.(type) {
	case nil:
	case string:
		*into = v
	default:
		d.broken(field, v, "a text")
		return false
	}
	return true
}

// number reads a number that most files have as a text.
func (d *definition) number(field string, v any, into *string) bool {
	if n, ok := v.(json.Number); ok {
		*into = n.String()
		return true
	}
	return d.text(field, v, into)
}

func (d *definition) components(v any) {
	list, ok := v.([]any)
	if !ok && v != nil {
		d.broken("components", v, "a list")
		return
	}
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
			if ok {
				d.check(&c, field, fields)
			}
			d.job.Components = append(d.job.Components, c)
		}
	}
	sort.Strings(d.job.Pipelines)
	d.job.Pipelines = slices.Compact(d.job.Pipelines)
}

// component reads the fields of a component, and reports whether they have the types they should.
func (d *definition) component(kind, field string, fields map[string]any) (c Component, ok bool) {
	c, ok = Component{Kind: kind}, true
	read := func(one func(string, any, *string) bool, key string, into *string) {
		if !one(field+"."+key, fields[key], into) {
			ok = false
		}
	}
	read(d.number, "projectId", &c.ProjectID)
	read(d.number, "releaseVersion", &c.ReleaseVersion)
	read(d.number, "sqlFabricId", &c.SQLFabricID)
	for _, f := range []struct {
		key  string
		into *string
	}{
		{"path", &c.Path}, {"nodeName", &c.NodeName}, {"id", &c.ID}, {"pipelineId", &c.PipelineID},
		{"language", &c.Language}, {"configPath", &c.ConfigPath}, {"content", &c.Content},
		{"profilePath", &c.ProfilePath}, {"profileContent", &c.ProfileContent}, {"secretKey", &c.SecretKey},
		{"componentFilesDirectory", &c.FilesDirectory}, {"currentProjectDBFSPath", &c.ProjectPath},
	} {
		read(d.text, f.key, f.into)
	}
	if c.PipelineID == "" && kind == PipelineComponent {
		c.PipelineID = c.ID
	}
	return c, ok
}

// check looks whether a component has what its kind needs.
func (d *definition) check(c *Component, field string, fields map[string]any) {
	switch c.Kind {
	case PipelineComponent:
		d.pipeline(c, field)
	case ScriptComponent:
		d.file(field+".path", c.Path, field+".content", c.Content, fields["content"] != nil)
	case DBTComponent:
		d.dbt(c, field, fields)
	case DLTComponent: // its task names a pipeline that is on the fabric already
	default:
		d.job.block(configs.JobNotSupported, field, fmt.Sprintf("expected %s, %s, %s or %s",
			PipelineComponent, ScriptComponent, DBTComponent, DLTComponent))
	}
}

// pipeline checks a PipelineComponent: it must name a pipeline of this project or one in a release of
// another project, and the artifact of it.
func (d *definition) pipeline(c *Component, field string) {
	j := d.job
	id := field + ".pipelineId"
	if c.PipelineID == c.ID {
		id = field + ".id"
	}
	s, own, refused := d.subscription(*c)
	switch {
	case refused != nil:
		j.block(refused.code, id, refused.text)
		return
	case !own:
		c.Subscribed = &s
		if d.artifactPath(c.Path, c.Language, field+".path") {
			d.place(c.Path, s.Key(), s.Key(), field+".path")
		}
		return
	}
	c.PipelineID = s.Pipeline
	p := d.project.pipeline(c.PipelineID)
	switch {
	case p == nil:
		j.block(configs.JobPipelineMissing, id, fmt.Sprintf("%q is not under pipelines in %s", shorten(c.PipelineID), path.Join(d.project.Path, ProjectFile)))
		return
	case buildFile[p.Language] == "":
		j.block(configs.JobNotSupported, id, fmt.Sprintf("the language of %s is %q; expected python or scala", p.Key, shorten(p.Language)))
		return
	case c.Language != "" && c.Language != p.Language:
		j.block(configs.JobBroken, field+".language", fmt.Sprintf("%q; expected %s, the language of %s", shorten(c.Language), p.Language, p.Key))
		return
	case p.Tree == "":
		j.block(configs.JobPipelineMissing, id, fmt.Sprintf("%s is not in this commit", path.Join(d.project.Path, p.Key, "code", buildFile[p.Language])))
		return
	}
	if d.artifactPath(c.Path, p.Language, field+".path") {
		d.place(c.Path, p.Key, p.Key, field+".path")
		j.Pipelines = append(j.Pipelines, p.Key)
	}
}

// artifactPath reports whether p is the full path of an artifact, a wheel or a jar as the language
// says; either of them where it says nothing.
func (d *definition) artifactPath(p, language, field string) bool {
	base := path.Base(p)
	wheel := strings.HasSuffix(base, ".whl") && len(base) >= len("a-1-py3-none-any.whl")
	jar := strings.HasSuffix(base, ".jar") && len(base) > len(".jar")
	expected, fits := "a wheel or a jar", wheel || jar
	switch language {
	case python:
		expected, fits = "a wheel", wheel
	case scala:
		expected, fits = "a jar", jar
	}
	if fits && fullPath(p) {
		return true
	}
	d.job.block(configs.JobBroken, field, fmt.Sprintf("%q; expected the full path of %s", shorten(p), expected))
	return false
}

// request reads the settings of the job, which stand in field.
func (d *definition) request(request map[string]any, field string) {
	j := d.job
	name, ok := request["name"].(string)
	if !ok || strings.TrimSpace(name) == "" {
		d.broken(field+".name", request["name"], "the name of the job")
	}
	j.Name = name
	switch tasks := request["tasks"].(type) {
	case nil, []any:
	default:
		d.broken(field+".tasks", tasks, "a list")
	}
	paths := map[string]bool{}
	for _, c := range j.Components {
		paths[spelled(c.Path)] = true
	}
	visit(request, &fieldPath{key: field}, func(at *fieldPath, v any) {
		switch v := v.(type) {
		case string:
			if isArtifactPath(v) && !paths[spelled(v)] {
				j.block(configs.ArtifactMissing, at.String(), fmt.Sprintf("%q is the path of no component of the job", shorten(v)))
			}
		case map[string]any:
			if at.key == "run_job_task" {
				d.reference(at.String()+".job_id", v["job_id"])
			} else if strings.HasSuffix(at.key, "id") && at.parent.key != "run_job_task" {
				if _, _, why := configs.ReadRef(at.shape(), v); why != "" {
					j.block(configs.ReferenceBroken, at.String(), why)
				}
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
// workspace; ours may also name a job of the project, as {"job": "jobs/daily_revenue"} or by its name, or else one
// that is on the fabric, which becomes the number that it has there.
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
	d.broken(field, v, `the number of a job, or {"job": NAME}`)
}
