package databricks

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"selvage/configs"
)

// metricsOff keeps the tool's library from reporting runs to an address that is not there any more.
const metricsOff = "spark.prophecy.execution.metrics.disabled"

var (
	// toolURL is an address of the authoring tool's makers. "io.prophecy:prophecy-libs" is a package.
	toolURL = regexp.MustCompile(`(?i)://(?:[^\s/?#@]*@)?(?:[a-z0-9-]+\.)*prophecy\.io\.?(?:$|[^a-z0-9.-])`)
	// toolHost is the same without a scheme; it needs a name before the domain.
	toolHost = regexp.MustCompile(`(?i)(?:^|[^a-z0-9.@-])(?:[a-z0-9-]+\.)+prophecy\.io\.?(?:$|[^a-z0-9.-])`)
)

// strip takes out of the clusters' settings what makes a running job call the authoring tool.
func (n *rendering) strip(d *draft) {
	for _, c := range clustersOf(d.request) {
		stripped := false
		for _, part := range []string{"spark_conf", "spark_env_vars"} {
			m, _ := c.settings[part].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(m)) {
				value, _ := m[key].(string)
				if !callsTool(key, value) {
					continue
				}
				delete(m, key)
				stripped = true
				d.Stripped = append(d.Stripped, configs.Found(configs.Stripped, d.job.Key, fmt.Sprintf("%s (%s of %s)", key, part, c.name)))
			}
		}
		if !stripped {
			continue
		}
		conf, ok := c.settings["spark_conf"].(map[string]any)
		if !ok {
			conf = map[string]any{}
			c.settings["spark_conf"] = conf
		}
		conf[metricsOff] = "true"
	}
}

func callsTool(key, value string) bool {
	return strings.HasSuffix(key, "prophecy.execution.service.url") || strings.HasSuffix(key, "prophecy.metadata.url") ||
		strings.Contains(value, urlPlaceholder) || toolURL.MatchString(value) || toolHost.MatchString(value)
}

// homeCalls blocks a job that names the authoring tool's address anywhere else: whether it can do
// without is not for us to guess. Who configures the tool's address allows it.
func (n *rendering) homeCalls(d *draft) {
	if n.ProphecyURL != "" {
		return
	}
	walk("request", d.request, func(field, s string) string {
		if toolURL.MatchString(s) {
			d.block(configs.CallsTool, field, "")
		}
		return s
	})
}

// cluster is one new_cluster, and what people know it by.
type cluster struct {
	name     string
	settings map[string]any
}

func clustersOf(request map[string]any) []cluster {
	var found []cluster
	add := func(owner map[string]any, kind, key string) {
		if c, ok := owner["new_cluster"].(map[string]any); ok {
			name, _ := owner[key].(string)
			found = append(found, cluster{kind + " " + name, c})
		}
	}
	list, _ := request["job_clusters"].([]any)
	for _, e := range list {
		c, _ := e.(map[string]any)
		add(c, "cluster", "job_cluster_key")
	}
	for _, t := range tasksOf(request) {
		add(t.settings, "task", "task_key")
	}
	return found
}
