package databricks

import (
	"fmt"
	"strings"

	"selvage/fabric"
)

// pauses are the fields by which a person pauses a job by hand.
var pauses = []string{"schedule.pause_status", "trigger.pause_status", "triggers[].pause_status", "continuous.pause_status"}

// toolFolder stands in every path below which the authoring tool puts artifacts.
const toolFolder = "/prophecy/artifacts/"

// rival guesses who else writes to a job, from fields that came back after they were put right. It is sure where an
// artifact lies in the authoring tool's folder again: nobody else puts it there.
func rival(drift []fabric.Field, live fabric.Doc) (who string, sure bool) {
	bundle, terraform, policies := false, false, map[string]bool{}
	governed := len(drift) > 0
	for _, f := range drift {
		if strings.Contains(string(f.Old), toolFolder) && !strings.Contains(string(f.New), toolFolder) {
			return "the authoring tool, or a script around it, deploys this job too", true
		}
		bundle = bundle || f.Path == "edit_mode" || f.Path == "deployment" || strings.HasPrefix(f.Path, "deployment.")
		policy, inside := policyAt(f.Path, live)
		governed = governed && inside
		if inside {
			policies[policy] = true
		}
	}
	tags, _ := live.At("tags").(map[string]any)
	for k, v := range tags {
		terraform = terraform || strings.Contains(strings.ToLower(fmt.Sprint(k, " ", v)), "terraform")
	}
	switch {
	case bundle && live.At("deployment", "kind") == "BUNDLE":
		return "an asset bundle holds this job too", false
	case terraform:
		return "Terraform, which the job's tags name", false
	case governed && len(policies) == 1:
		for id := range policies {
			return "the enforcement of cluster policy " + id, false
		}
	case governed:
		return "the enforcement of cluster policies", false
	}
	return "", false
}

// policyAt is the policy of the cluster in which a field stands; false where that is no cluster with a policy.
func policyAt(path string, live fabric.Doc) (id string, inside bool) {
	for _, c := range clustersOf(nil, live.Object()) {
		policy, _ := c.settings["policy_id"].(string)
		if policy == "" {
			continue
		}
		list := "tasks["
		if c.kind == "cluster" {
			list = "job_clusters["
		}
		if rest, ok := strings.CutPrefix(path, list+c.key+"]"); ok && strings.Contains(rest+".", ".new_cluster.") {
			return policy, true
		}
	}
	return "", false
}

// neverEnds reports a job whose runs do not end by themselves, and of which the service begins another when one does.
func neverEnds(d fabric.Doc) bool {
	_, ok := d.At("continuous").(map[string]any)
	return ok
}
