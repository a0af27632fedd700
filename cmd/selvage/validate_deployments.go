package main

import (
	"fmt"
	"strings"

	"selvage/configs"
)

// deploymentCheck is what the configuration comes to for one deployment, once included files, lists and the
// defaults of its fabric are resolved.
type deploymentCheck struct {
	Deployment string            `json:"deployment"`
	Project    string            `json:"project"`
	Fabric     string            `json:"fabric"`
	Follow     configs.Follow    `json:"follow"`
	Mode       configs.Mode      `json:"mode"`
	Policy     string            `json:"policy"`
	Jobs       []string          `json:"jobs,omitempty"`       // patterns over keys
	FabricIDs  []string          `json:"fabric_ids,omitempty"` // that select jobs where jobs does not
	Moved      map[string]string `json:"moved,omitempty"`
	Allow      []string          `json:"allow,omitempty"`
	Overlay    configs.Overlay   `json:"overlay,omitzero"`
	Digest     string            `json:"digest"`
}

// deploymentsOf lists the deployments of a configuration by name.
func deploymentsOf(c *configs.Config) []deploymentCheck {
	out := make([]deploymentCheck, 0, len(c.Deployments))
	for _, d := range c.Deployments {
		k := deploymentCheck{Deployment: d.Name(), Project: d.Project.Name, Fabric: d.Fabric.Name, Follow: d.Follow, Mode: d.Mode,
			Policy: d.Policy.Name, Jobs: d.Jobs, Moved: d.Moved, Allow: d.Allow, Overlay: d.Overlay, Digest: d.Digest}
		if len(d.Jobs) == 0 {
			k.FabricIDs = d.Fabric.ProphecyIDs
		}
		out = append(out, k)
	}
	return out
}

// deployments is their table for a person, apart from what stands before and, with more, after it.
func (s screen) deployments(b *strings.Builder, list []deploymentCheck, more bool) {
	if len(list) == 0 {
		return
	}
	t := table{gap: 2}
	var head []cell
	for _, h := range []string{"DEPLOYMENT", "FOLLOWS", "MODE", "POLICY", "JOBS", "OVERLAY"} {
		head = append(head, cell{h, faint})
	}
	t.add(head...)
	for _, d := range list {
		t.add(plain(visible(d.Deployment), visible(follows(d.Follow)), string(d.Mode), visible(d.Policy), visible(selects(d)), visible(overlaid(d.Overlay)))...)
	}
	b.WriteByte('\n')
	t.write(b, s, "", widestName)
	if more {
		b.WriteByte('\n')
	}
}

// follows is what a deployment takes its releases from.
func follows(f configs.Follow) string {
	switch {
	case f.Branch != "":
		return "branch " + cut(f.Branch, 40)
	case f.Order == configs.Tagged:
		return "tags " + cut(f.Tag, 40) + " by date"
	}
	return "tags " + cut(f.Tag, 40)
}

// selects is which jobs of the release are the deployment's.
func selects(d deploymentCheck) string {
	if len(d.Jobs) > 0 {
		return cut(strings.Join(d.Jobs, " "), 40)
	}
	return cut("of fabric "+strings.Join(d.FabricIDs, " "), 40)
}

// overlaid is an overlay in few words: the values where there is one, and else how many.
func overlaid(o configs.Overlay) string {
	var words []string
	say := func(name, value string) {
		if value != "" {
			words = append(words, name+" "+cut(value, 40))
		}
	}
	count := func(name string, n int) {
		if n > 0 {
			say(name, fmt.Sprint(n))
		}
	}
	say("config_instance", o.ConfigInstance)
	if o.Schedule != "keep" {
		say("schedule", o.Schedule)
	}
	count("tags", len(o.Tags))
	count("job_clusters", len(o.JobClusters))
	count("parameters", len(o.Parameters))
	switch l := o.Libraries; {
	case l.PyPI != "" && l.Maven != "":
		say("libraries", "pypi maven")
	case l.PyPI != "":
		say("libraries", "pypi")
	case l.Maven != "":
		say("libraries", "maven")
	}
	if o.Notifications != nil && len(o.Notifications) == 0 {
		say("notifications", "nobody")
	}
	count("notifications", len(o.Notifications))
	say("run_as", o.RunAs.User+o.RunAs.ServicePrincipal)
	count("patch", len(o.Patch))
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}
