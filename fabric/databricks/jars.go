package databricks

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
)

// jars are those of a Scala pipeline. Which one a task gets follows from the cluster that it runs on: code for
// one Scala version does not run on another.
type jars struct {
	pipeline string
	by       map[string]*artifacts.Artifact // by Scala version
	suffix   string                         // version that the committed name says; may be empty
	used     map[string]bool                // versions of the tasks that have it among their libraries
}

// anyScala stands for the version of a place that runs on no cluster: what tasks use is meant there.
const anyScala = "any"

// choose takes the jar for a Scala version; where nothing says that, for the version that the committed jar was
// for. Without a jar it says why.
func (j *jars) choose(scala string) (jar *artifacts.Artifact, code configs.Code, why string) {
	if scala == anyScala {
		scala = ""
		if len(j.used) == 1 {
			for v := range j.used {
				scala = v
			}
		}
	}
	if scala == "" {
		scala = j.suffix
	}
	switch {
	case scala == "":
		return nil, configs.ScalaUnknown, j.pipeline
	case j.by[scala] == nil:
		return nil, configs.ScalaUnbuilt, fmt.Sprintf("%s for Scala %s", j.pipeline, scala)
	}
	return j.by[scala], "", ""
}

var (
	jarSuffix     = regexp.MustCompile(`_(2\.1[23])(?:[-.]|$)`)
	runtimeScala  = regexp.MustCompile(`scala(\d\.\d{1,3})\b`)
	runtimeNumber = regexp.MustCompile(`^(\d{1,4})\.(\d{1,4})\.`)
)

// scalaSuffix is the Scala version in the name of a jar: "orders_2.12.jar", "orders_2.13-1.0.jar".
func scalaSuffix(name string) string {
	if m := jarSuffix.FindStringSubmatch(strings.TrimSuffix(name, "jar")); m != nil {
		return m[1]
	}
	return ""
}

// scalaOf is the Scala version of a cluster, by its runtime: "15.4.x-scala2.12". Without a suffix it is 2.12
// up to 16.3 and 2.13 from 17.0; 16.4 exists for both. Empty where nothing says it.
func scalaOf(cluster map[string]any) string {
	runtime, _ := cluster["spark_version"].(string)
	if m := runtimeScala.FindStringSubmatch(runtime); m != nil {
		return m[1]
	}
	m := runtimeNumber.FindStringSubmatch(runtime)
	if m == nil {
		return ""
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	switch {
	case major >= 17:
		return "2.13"
	case major < 16 || minor < 4:
		return "2.12"
	}
	return ""
}

// scalaOfTask is that of the cluster that a task runs on; empty on one that the job only names, and without any.
func scalaOfTask(request map[string]any, t task) string {
	if own, ok := t.settings["new_cluster"].(map[string]any); ok {
		return scalaOf(own)
	}
	key, _ := t.settings["job_cluster_key"].(string)
	if key == "" {
		return ""
	}
	list, _ := request["job_clusters"].([]any)
	for _, e := range list {
		c, _ := e.(map[string]any)
		if c["job_cluster_key"] == key {
			settings, _ := c["new_cluster"].(map[string]any)
			return scalaOf(settings)
		}
	}
	return ""
}

// findScala finds out which versions of each jar the tasks use.
func (f *filing) findScala() {
	for _, t := range tasksOf(f.d.at, f.d.request) {
		scala := scalaOfTask(f.d.request, t)
		walk(t.at.member("libraries"), t.settings["libraries"], func(_ *spot, s string) string {
			for _, r := range f.routes.mentioned(s) {
				if r.jars == nil {
					continue
				}
				if v := scala; v != "" {
					r.jars.used[v] = true
				} else if r.jars.suffix != "" {
					r.jars.used[r.jars.suffix] = true
				}
			}
			return s
		})
	}
}
