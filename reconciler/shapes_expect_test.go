package reconciler_test

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"
)

// What is said here about the Jobs API is taken from its reference and from what its users report, once more and
// apart from fabric/databricks: a wrong entry there fails the shapes. Places are keys joined by dots, with [] for a list.

type order int

const (
	ordered order = iota // compared by place
	named                // compared by the names of the elements
	set                  // compared as a whole, in any order
)

var events = []string{"on_start", "on_success", "on_failure", "on_duration_warning_threshold_exceeded", "on_streaming_backlog_exceeded"}

// level says whether a place is in a task, in a cluster or in the job itself, and where there.
func level(at string) (of, place string) {
	for _, task := range []string{"tasks[].for_each_task.task.", "tasks[]."} {
		if rest, ok := strings.CutPrefix(at, task); ok {
			if rest, ok := strings.CutPrefix(rest, "new_cluster."); ok {
				return "cluster", rest
			}
			return "task", rest
		}
	}
	if rest, ok := strings.CutPrefix(at, "job_clusters[].new_cluster."); ok {
		return "cluster", rest
	}
	return "job", at
}

// listAt says how the list at a place is compared, and by which field its elements are named.
func listAt(at string) (field string, kind order) {
	of, place := level(at)
	block, event, _ := strings.Cut(place, ".")
	switch {
	case of == "cluster":
		return "", ordered
	case block == "webhook_notifications" && slices.Contains(events, event):
		return "id", named
	case block == "email_notifications" && slices.Contains(events, event), place == "health.rules":
		return "", set
	case of == "task" && place == "depends_on":
		return "task_key", named
	case of == "task" && place == "libraries":
		return "library", named
	case of == "job" && (place == "trigger.table_update.table_names" || place == "triggers[].table_update.table_names"):
		return "", set
	}
	if of == "job" {
		switch place {
		case "tasks":
			return "task_key", named
		case "job_clusters":
			return "job_cluster_key", named
		case "parameters":
			return "name", named
		case "environments":
			return "environment_key", named
		}
	}
	return "", ordered
}

// anything are the fields that the service may fill in as it likes where nobody asked for them.
var anything = map[string][]string{
	"job":  {"run_as", "budget_policy_id", "usage_policy_id", "git_source.job_source", "git_source.git_snapshot"},
	"task": {"retry_on_timeout", "notebook_task.source", "spark_python_task.source", "sql_task.file.source", "dbt_task.source", "spark_jar_task.run_as_repl"},
	"cluster": {"aws_attributes", "azure_attributes", "gcp_attributes", "enable_elastic_disk", "enable_local_disk_encryption", "node_type_id",
		"driver_node_type_id", "driver_instance_pool_id", "data_security_mode", "single_user_name", "spark_conf.spark.databricks.delta.preview.enabled"},
}

// anythingIn are objects each of whose fields is like that.
var anythingIn = []string{"aws_attributes", "azure_attributes", "gcp_attributes"}

// standard are the values that a field has when nobody asks for one, as JSON.
var standard = map[string]map[string]string{
	"job": {"name": `"Untitled"`, "max_concurrent_runs": `1`, "timeout_seconds": `0`, "edit_mode": `"EDITABLE"`, "performance_target": `"PERFORMANCE_OPTIMIZED"`,
		"schedule.pause_status": `"UNPAUSED"`, "trigger.pause_status": `"UNPAUSED"`, "continuous.pause_status": `"UNPAUSED"`, "triggers[].pause_status": `"UNPAUSED"`,
		"continuous.task_retry_mode": `"NEVER"`, "email_notifications.no_alert_for_skipped_runs": `false`, "notification_settings.no_alert_for_skipped_runs": `false`,
		"notification_settings.no_alert_for_canceled_runs": `false`, "queue": `{"enabled":false}`},
	"task": {"run_if": `"ALL_SUCCESS"`, "timeout_seconds": `0`, "disabled": `false`, "max_retries": `0`, "min_retry_interval_millis": `0`,
		"pipeline_task.full_refresh": `false`, "dbt_task.schema": `"default"`, "email_notifications.no_alert_for_skipped_runs": `false`,
		"notification_settings.no_alert_for_skipped_runs": `false`, "notification_settings.no_alert_for_canceled_runs": `false`, "notification_settings.alert_on_last_attempt": `false`},
	"cluster": {"num_workers": `0`, "workload_type.clients.notebooks": `true`, "workload_type.clients.jobs": `true`},
}

// modes are names of one data security mode.
var modes = map[string]string{"STANDARD": "USER_ISOLATION", "DATA_SECURITY_MODE_STANDARD": "USER_ISOLATION", "DEDICATED": "SINGLE_USER", "DATA_SECURITY_MODE_DEDICATED": "SINGLE_USER"}

// oracle says which fields somebody changed.
type oracle struct {
	paths []string
	// anyway names fields that the service may fill in, too: they were ours before.
	anyway bool
}

// changed are the paths of what differs between two states of a job, but for what makes no difference to what
// somebody asked for. d is that: the settings as they are sent.
func (o *oracle) changed(d, before, now map[string]any) []string {
	o.paths = nil
	o.object("", "", d, before, now, false)
	slices.Sort(o.paths)
	return o.paths
}

func (o *oracle) object(path, at string, d, before, now map[string]any, policy bool) {
	if strings.HasSuffix(at, "new_cluster") && d["policy_id"] != nil {
		policy = true
	}
	keys := map[string]bool{}
	for k := range before {
		keys[k] = true
	}
	for k := range now {
		keys[k] = true
	}
	for k := range keys {
		if at == "environments[].spec" && (k == "client" || k == "environment_version") {
			continue
		}
		o.value(member(path, k), under(at, k), d[k], before[k], now[k], policy)
	}
	if at == "environments[].spec" { // two names of one field, and either may be read back
		name := "environment_version"
		if d["client"] != nil {
			name = "client"
		}
		either := func(m map[string]any) any {
			if m["client"] != nil {
				return m["client"]
			}
			return m["environment_version"]
		}
		o.value(member(path, name), under(at, name), either(d), either(before), either(now), policy)
	}
}

func (o *oracle) value(path, at string, d, before, now any, policy bool) {
	if nothing(before) && nothing(now) || o.free(at, d, before, now, policy) {
		return
	}
	bm, bObject := before.(map[string]any)
	nm, nObject := now.(map[string]any)
	if (bObject || before == nil) && (nObject || now == nil) {
		dm, _ := d.(map[string]any)
		o.object(path, at, dm, bm, nm, policy)
		return
	}
	bl, bList := before.([]any)
	nl, nList := now.([]any)
	if (bList || before == nil) && (nList || now == nil) {
		dl, _ := d.([]any)
		o.list(path, at, dl, bl, nl, policy)
		return
	}
	if text(before) != text(now) {
		o.paths = append(o.paths, path)
	}
}

func (o *oracle) list(path, at string, d, before, now []any, policy bool) {
	field, kind := listAt(at)
	if kind == set {
		if !slices.Equal(sortedTexts(before), sortedTexts(now)) {
			o.paths = append(o.paths, path)
		}
		return
	}
	if kind == named {
		bn, nn, dn := byName(field, before), byName(field, now), byName(field, d)
		names := map[string]bool{}
		for name := range bn {
			names[name] = true
		}
		for name := range nn {
			names[name] = true
		}
		for name := range names {
			el := path + "[" + quotedName(name) + "]"
			if bn[name] == nil || nn[name] == nil {
				o.paths = append(o.paths, el)
				continue
			}
			o.value(el, at+"[]", dn[name], bn[name], nn[name], policy)
		}
		return
	}
	if len(before) != len(now) {
		o.paths = append(o.paths, path)
		return
	}
	for i := range before {
		var de any
		if i < len(d) {
			de = d[i]
		}
		o.value(path+"["+strconv.Itoa(i)+"]", at+"[]", de, before[i], now[i], policy)
	}
}

// free reports a difference that is none to what was asked for.
func (o *oracle) free(at string, d, before, now any, policy bool) bool {
	of, place := level(at)
	block, rest, below := strings.Cut(place, ".")
	if d == nil && !o.anyway {
		if policy || slices.Contains(anything[of], place) || of == "cluster" && below && slices.Contains(anythingIn, block) {
			return true
		}
	}
	if std, ok := standard[of][place]; ok {
		is := func(v any) bool { return v == nil || text(v) == std }
		if is(d) && is(before) && is(now) {
			return true
		}
	}
	bs, bText := before.(string)
	ns, nText := now.(string)
	same := bText && nText
	switch {
	case of == "job" && place == "format": // ignored on write
		return true
	case of == "job" && (place == "git_source.git_provider" || place == "run_as.user_name"):
		return same && strings.EqualFold(bs, ns)
	case of == "cluster" && place == "single_user_name":
		return same && strings.EqualFold(bs, ns)
	case of == "cluster" && place == "data_security_mode" && same:
		asked, _ := d.(string)
		if strings.HasSuffix(asked, "AUTO") && (ns == "SINGLE_USER" || ns == "USER_ISOLATION") {
			return true
		}
		plain := func(s string) string {
			if m := modes[s]; m != "" {
				return m
			}
			return s
		}
		return plain(bs) == plain(ns)
	}
	_ = rest
	return false
}

func nothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what a decoder made always encodes
	}
	return string(b)
}

// sortedTexts are the elements of a set. The strings in sets are addresses and names of tables: their case means nothing.
func sortedTexts(list []any) []string {
	var texts []string
	for _, e := range list {
		texts = append(texts, strings.ToLower(text(e)))
	}
	slices.Sort(texts)
	return texts
}

// byName are the elements of a list by their names; those of one name are numbered in the order of their content.
func byName(field string, list []any) map[string]any {
	twins := map[string][]any{}
	for _, e := range list {
		m, _ := e.(map[string]any)
		name, _ := m[field].(string)
		if field == "library" {
			name = library(m)
		}
		twins[name] = append(twins[name], e)
	}
	out := map[string]any{}
	for name, elements := range twins {
		slices.SortFunc(elements, func(a, b any) int { return strings.Compare(text(a), text(b)) })
		for i, e := range elements {
			if i > 0 {
				out[name+" #"+strconv.Itoa(i+1)] = e
			} else {
				out[name] = e
			}
		}
	}
	return out
}

// library is the name of a library without its version.
func library(m map[string]any) string {
	of := func(kind, field string) string {
		o, _ := m[kind].(map[string]any)
		s, _ := o[field].(string)
		return s
	}
	for kind, v := range m {
		s, _ := v.(string)
		switch kind {
		case "whl":
			name, _, _ := strings.Cut(path.Base(s), "-")
			return "whl " + name
		case "jar", "egg", "requirements":
			return kind + " " + path.Base(s)
		case "pypi":
			name := of(kind, "package")
			if i := strings.IndexAny(name, "=<>!~;[ @"); i > 0 {
				name = name[:i]
			}
			return "pypi " + name
		case "maven":
			parts := strings.Split(of(kind, "coordinates"), ":")
			return "maven " + strings.Join(parts[:min(2, len(parts))], ":")
		case "cran":
			return "cran " + of(kind, "package")
		}
	}
	return ""
}

// under is the place of an object's member, member its path, and quotedName a name in a path.
func under(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

func member(path, key string) string {
	if q := quotedName(key); q != key || strings.Contains(key, ".") {
		return path + "[" + q + "]"
	}
	return under(path, key)
}

func quotedName(name string) string {
	base, twin, isTwin := strings.Cut(name, " #")
	if isTwin && base != "" {
		return quotedName(base) + " #" + twin
	}
	if name == "" || strings.ContainsAny(name, `[]"#`) {
		return strconv.Quote(name)
	}
	return name
}
