package databricks

import (
	"encoding/json"
	"path"
	"strings"

	"selvage/fabric"
)

// Job is one kind of resource here; Permissions is the other.
const Job fabric.Kind = "job"

// Rules says how live and desired job settings are compared.
func (w *Workspace) Rules(k fabric.Kind) *fabric.Rules {
	switch k {
	case Job:
		return jobRules
	case Permissions:
		return accessRules
	}
	return &fabric.Rules{}
}

// The tables below say what the service does to settings between a write and a read: what it fills
// in, what it reorders, what it forgets. Paths are relative to the object that the table is for.

var (
	zero  = fabric.Value(`0`)
	no    = fabric.Value(`false`)
	yes   = fabric.Value(`true`)
	whole = fabric.AnyValue // whatever the service put there
)

// jobDefaults are what it fills in at the top of a job.
var jobDefaults = map[string]fabric.Default{
	"name":                                  fabric.Value(`"Untitled"`),
	"format":                                fabric.Value(`"MULTI_TASK"`, `"SINGLE_TASK"`),
	"max_concurrent_runs":                   fabric.Value(`1`),
	"timeout_seconds":                       zero,
	"queue":                                 fabric.Value(`{"enabled":false}`), // may be left out when off; we always send it
	"edit_mode":                             fabric.Value(`"EDITABLE"`),
	"performance_target":                    fabric.Value(`"PERFORMANCE_OPTIMIZED"`),
	"run_as":                                whole, // a reset does not clear it
	"budget_policy_id":                      whole,
	"usage_policy_id":                       whole,
	"schedule.pause_status":                 fabric.Value(`"UNPAUSED"`),
	"trigger.pause_status":                  fabric.Value(`"UNPAUSED"`),
	"triggers[].pause_status":               fabric.Value(`"UNPAUSED"`),
	"continuous.pause_status":               fabric.Value(`"UNPAUSED"`),
	"continuous.task_retry_mode":            fabric.Value(`"NEVER"`),
	"git_source.job_source":                 whole,
	"git_source.git_snapshot":               whole,
	"notification_settings.*":               no,
	"email_notifications." + skippedRunsKey: no,
}

const skippedRunsKey = "no_alert_for_skipped_runs"

// taskDefaults are what it fills in for a task, and for the task inside a for_each_task.
var taskDefaults = map[string]fabric.Default{
	"run_if":                                fabric.Value(`"ALL_SUCCESS"`),
	"timeout_seconds":                       zero,
	"disabled":                              no,
	"max_retries":                           zero,
	"min_retry_interval_millis":             zero,
	"retry_on_timeout":                      whole,
	"notebook_task.source":                  whole,
	"spark_python_task.source":              whole,
	"sql_task.file.source":                  whole,
	"dbt_task.source":                       whole,
	"dbt_task.schema":                       fabric.Value(`"default"`),
	"pipeline_task.full_refresh":            no,
	"spark_jar_task.run_as_repl":            whole,
	"notification_settings.*":               no,
	"email_notifications." + skippedRunsKey: no,
}

// clusterDefaults are what it fills in for each new_cluster.
var clusterDefaults = map[string]fabric.Default{
	"aws_attributes":               whole,
	"aws_attributes.*":             whole,
	"azure_attributes":             whole,
	"azure_attributes.*":           whole,
	"gcp_attributes":               whole,
	"gcp_attributes.*":             whole,
	"enable_elastic_disk":          whole,
	"enable_local_disk_encryption": whole,
	"node_type_id":                 whole,
	"driver_node_type_id":          whole,
	"driver_instance_pool_id":      whole,
	"data_security_mode":           whole,
	"single_user_name":             whole,
	"num_workers":                  zero,
	"spark_conf.spark.databricks.delta.preview.enabled": whole,
	"workload_type.clients.notebooks":                   yes,
	"workload_type.clients.jobs":                        yes,
}

// jobOutput are the service's own: nobody asks for them.
var jobOutput = []string{
	"job_id", "created_time", "creator_user_name", "run_as_user_name", "effective_budget_policy_id",
	"effective_usage_policy_id", "trigger_state", "trigger_details", "has_more", "next_page_token",
}

// What is accepted and never given back.
var (
	jobWriteOnly     = []string{"trigger.table_update.condition", "triggers[].table_update.condition"}
	clusterWriteOnly = []string{"apply_policy_default_values"}
)

// Lists whose order means nothing: by the field that names an element, or as sets.
var (
	jobKeys  = map[string]string{"tasks": "task_key", "job_clusters": "job_cluster_key", "parameters": "name", "environments": "environment_key"}
	taskKeys = map[string]string{"depends_on": "task_key"}
	jobSets  = []string{"health.rules", "trigger.table_update.table_names", "triggers[].table_update.table_names"}
	taskSets = []string{"health.rules"}
	events   = []string{"on_start", "on_success", "on_failure", "on_duration_warning_threshold_exceeded", "on_streaming_backlog_exceeded"}
)

// Where the tables apply.
var (
	taskShapes    = []string{"tasks[]", "tasks[].for_each_task.task"}
	clusterShapes = []string{"tasks[].new_cluster", "tasks[].for_each_task.task.new_cluster", "job_clusters[].new_cluster"}
)

var jobRules = newJobRules()

func newJobRules() *fabric.Rules {
	r := &fabric.Rules{
		Keys:       map[string]string{},
		KeyFuncs:   map[string]func(any) string{},
		Sets:       map[string]bool{},
		Defaults:   map[string]fabric.Default{},
		WriteOnly:  map[string]bool{},
		OutputOnly: map[string]bool{},
		Aliases:    map[string]func(desired, live string) bool{},
		Folded:     map[string]bool{"run_as.user_name": true},
		Renamed:    map[string][2]string{"environments[].spec": {"client", "environment_version"}},
		Injected:   map[string]string{},
		Rest:       paused,
		Stands:     map[string]string{},
		Rival:      rival,
		Endless:    neverEnds,
		Label:      func(key string) bool { return strings.HasSuffix(key, "metadata.job.branch") },
	}
	add := func(shape string, defaults map[string]fabric.Default, keys map[string]string, sets, writeOnly []string) {
		at := func(p string) string { return strings.TrimPrefix(shape+"."+p, ".") }
		for p, d := range defaults {
			r.Defaults[at(p)] = d
		}
		for p, field := range keys {
			r.Keys[at(p)] = field
		}
		for _, p := range sets {
			r.Sets[at(p)] = true
		}
		for _, p := range writeOnly {
			r.WriteOnly[at(p)] = true
		}
	}
	notifications := func(shape string) {
		keys, sets := map[string]string{}, []string{}
		for _, e := range events {
			keys["webhook_notifications."+e] = "id"
			sets = append(sets, "email_notifications."+e)
		}
		add(shape, nil, keys, sets, nil)
		for _, s := range sets {
			r.Folded[strings.TrimPrefix(shape+"."+s, ".")+"[]"] = true
		}
	}

	add("", jobDefaults, jobKeys, jobSets, jobWriteOnly)
	notifications("")
	r.KeyFuncs[accessField] = principalOf // until it is taken out of the request
	for _, p := range jobOutput {
		r.OutputOnly[p] = true
	}
	r.Aliases["format"] = func(_, _ string) bool { return true } // ignored on write
	r.Aliases["git_source.git_provider"] = strings.EqualFold
	for _, p := range pauses {
		r.Stands[p] = `"PAUSED"`
	}
	for _, shape := range taskShapes {
		add(shape, taskDefaults, taskKeys, taskSets, nil)
		notifications(shape)
		r.KeyFuncs[shape+".libraries"] = libraryName
	}
	for _, shape := range clusterShapes {
		add(shape, clusterDefaults, nil, nil, clusterWriteOnly)
		r.Injected[shape] = "policy_id"
		r.Folded[shape+".single_user_name"] = true
		r.Aliases[shape+".data_security_mode"] = sameSecurityMode
	}
	return r
}

// libraryName names a library without its version, so that a new version of it is a change and not
// one library less and another more: "whl clean_orders", "pypi prophecy-libs",
// "maven io.prophecy:prophecy-libs_2.12".
func libraryName(e any) string {
	m, _ := e.(map[string]any)
	text := func(v any, key string) string {
		if o, ok := v.(map[string]any); ok {
			v = o[key]
		}
		s, _ := v.(string)
		return s
	}
	switch {
	case m["whl"] != nil:
		name, _, _ := strings.Cut(path.Base(text(m["whl"], "")), "-")
		return "whl " + name
	case m["pypi"] != nil:
		s := strings.TrimSpace(text(m["pypi"], "package"))
		if i := strings.IndexAny(s, "=<>!~;[ @"); i > 0 {
			s = s[:i]
		}
		return "pypi " + s
	case m["maven"] != nil:
		parts := strings.SplitN(text(m["maven"], "coordinates"), ":", 3)
		return "maven " + strings.Join(parts[:min(2, len(parts))], ":")
	case m["cran"] != nil:
		return "cran " + text(m["cran"], "package")
	}
	for _, kind := range []string{"jar", "egg", "requirements"} {
		if m[kind] != nil {
			return kind + " " + path.Base(text(m[kind], ""))
		}
	}
	b, err := json.Marshal(e)
	if err != nil {
		return "?"
	}
	return string(b)
}

// sameSecurityMode knows the two generations of names, and that AUTO comes back as what it chose.
func sameSecurityMode(desired, live string) bool {
	canonical := func(s string) string {
		s = strings.TrimPrefix(s, "DATA_SECURITY_MODE_")
		switch s {
		case "STANDARD":
			return "USER_ISOLATION"
		case "DEDICATED":
			return "SINGLE_USER"
		}
		return s
	}
	d, l := canonical(desired), canonical(live)
	return d == l || d == "AUTO" && (l == "USER_ISOLATION" || l == "SINGLE_USER")
}
