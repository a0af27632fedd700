package databricks

import (
	"fmt"
	"slices"

	"selvage/configs"
	"selvage/fabric"
)

// hits counts what the overlay found to change, or to leave as it wants it, in the whole deployment.
type hits struct {
	jobs     int // that it was laid over
	unread   int // selected jobs that could not be read
	instance int
	schedule int
}

// overlay lays the deployment's overlay over the job. tasks says which tasks run which pipeline.
func (n *rendering) overlay(d *draft, tasks map[string]string) {
	o := n.Overlay
	pause := map[string]string{"enabled": "UNPAUSED", "paused": "PAUSED"}[o.Schedule]
	if o.ConfigInstance == "" && pause == "" && len(o.Tags) == 0 {
		return
	}
	n.hits.jobs++
	before := fabric.NewDoc(d.request).Object()
	if o.ConfigInstance != "" {
		for _, t := range tasksOf(d.request) {
			if pipeline, ok := tasks[t.field]; ok {
				n.instance(d, t, pipeline)
			}
		}
	}
	for _, by := range []string{"schedule", "trigger", "continuous"} {
		if m, ok := d.request[by].(map[string]any); ok && pause != "" {
			m["pause_status"] = pause
			n.hits.schedule++
		}
	}
	if len(o.Tags) > 0 {
		tags, _ := d.request["tags"].(map[string]any)
		if tags == nil {
			tags = map[string]any{}
			d.request["tags"] = tags
		}
		for name, value := range o.Tags {
			tags[name] = value
		}
	}
	d.Overlaid = map[string]bool{}
	fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: fabric.NewDoc(d.request), Live: fabric.NewDoc(before)})
	for _, f := range fields {
		d.Overlaid[f.Path] = true
	}
}

// instance replaces the value of each -i among the parameters of a pipeline's task.
func (n *rendering) instance(d *draft, t task, pipeline string) {
	want := n.Overlay.ConfigInstance
	for _, kind := range []string{"python_wheel_task", "spark_jar_task", "spark_python_task"} {
		runs, _ := t.settings[kind].(map[string]any)
		parameters, _ := runs["parameters"].([]any)
		for i := 0; i+1 < len(parameters); i++ {
			if parameters[i] != "-i" {
				continue
			}
			i++
			if _, ok := parameters[i].(string); !ok {
				continue
			}
			n.hits.instance++
			if p := n.pipelines[pipeline]; p != nil && len(p.Instances) > 0 && !slices.Contains(p.Instances, want) {
				d.block(configs.InstanceMissing, fmt.Sprintf("%s.%s.parameters", t.field, kind), fmt.Sprintf("%s has no %s", pipeline, want))
				return
			}
			parameters[i] = want
		}
	}
}

// noHits reports the parts of the overlay that no job of the deployment has a place for.
func (n *rendering) noHits() {
	if n.hits.jobs == 0 || n.hits.unread > 0 {
		return
	}
	if n.Overlay.ConfigInstance != "" && n.hits.instance == 0 {
		n.found(configs.OverlayNoHit, n.Deployment, "config_instance: no task of a pipeline has the parameter -i")
	}
	if s := n.Overlay.Schedule; (s == "enabled" || s == "paused") && n.hits.schedule == 0 {
		n.found(configs.OverlayNoHit, n.Deployment, "schedule: no job has a schedule or trigger")
	}
}
