package emulator

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
)

// canonical turns settings as sent into settings as read back: write-only fields are gone, defaults
// are filled in, values of policies injected, lists in the service's order. It works in place, and but
// for orders it changes nothing that it made. old is what the job had before, nil for a new one.
func (w *Workspace) canonical(settings, old map[string]any, j *job) (map[string]any, *failure) {
	for _, field := range outputOnly {
		delete(settings, field)
	}
	delete(settings, "access_control_list")
	u := w.o.Unverified
	if u.ParentPathFixed && old != nil {
		delete(settings, "parent_path")
		if old["parent_path"] != nil {
			settings["parent_path"] = old["parent_path"]
		}
	}
	dropConditions(settings)
	fillJob(settings)
	if u.TriggersPreview {
		for _, t := range objects(settings["triggers"]) {
			fill(t, "pause_status", "UNPAUSED")
		}
	}

	tasks := objects(settings["tasks"])
	_, fromGit := settings["git_source"]
	for _, t := range tasks {
		if f := w.fillTask(t, fromGit, j.creator); f != nil {
			return nil, f
		}
	}
	for _, jc := range objects(settings["job_clusters"]) {
		if cluster, has := jc["new_cluster"].(map[string]any); has {
			if f := w.fillCluster(cluster, j.creator, u.JobClustersBare); f != nil {
				return nil, f
			}
		}
	}
	if slices.ContainsFunc(tasks, serverless) {
		fill(settings, "performance_target", "PERFORMANCE_OPTIMIZED")
	}
	w.echo(settings)
	w.reorder(settings, j)
	return settings, nil
}

// outputOnly are fields that the service writes beside or into settings and never takes.
var outputOnly = []string{"job_id", "created_time", "creator_user_name", "run_as_user_name", "effective_budget_policy_id",
	"effective_usage_policy_id", "trigger_state", "trigger_details", "has_more", "next_page_token"}

// fill sets a field that is absent.
func fill(object map[string]any, field string, v any) {
	if _, has := object[field]; !has {
		object[field] = v
	}
}

func zero() any { return json.Number("0") }

func empty() any { return map[string]any{} }

// objects are the elements of a list that are objects, or nothing.
func objects(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, e := range list {
		if object, isObject := e.(map[string]any); isObject {
			out = append(out, object)
		}
	}
	return out
}

// dropConditions removes what a table trigger takes and never shows.
func dropConditions(settings map[string]any) {
	triggers := objects(settings["triggers"])
	if t, has := settings["trigger"].(map[string]any); has {
		triggers = append(triggers, t)
	}
	for _, t := range triggers {
		if update, has := t["table_update"].(map[string]any); has {
			delete(update, "condition")
		}
	}
}

func fillJob(settings map[string]any) {
	fill(settings, "name", "Untitled")
	fill(settings, "max_concurrent_runs", json.Number("1"))
	fill(settings, "timeout_seconds", zero())
	fill(settings, "email_notifications", empty())
	fill(settings, "webhook_notifications", empty())
	fill(settings, "edit_mode", "EDITABLE")
	fill(settings, "queue", map[string]any{"enabled": true})
	settings["format"] = "MULTI_TASK" // ignored on write
	for _, kind := range []string{"schedule", "trigger", "continuous"} {
		if object, has := settings[kind].(map[string]any); has {
			fill(object, "pause_status", "UNPAUSED")
		}
	}
	if object, has := settings["continuous"].(map[string]any); has {
		fill(object, "task_retry_mode", "NEVER")
	}
	if git, has := settings["git_source"].(map[string]any); has {
		if provider, isText := git["git_provider"].(string); isText {
			git["git_provider"] = gitProvider(provider)
		}
	}
}

// gitProvider is the service's spelling of a provider, which it takes in any case.
func gitProvider(s string) string {
	for _, known := range []string{"gitHub", "gitHubEnterprise", "bitbucketCloud", "bitbucketServer",
		"azureDevOpsServices", "gitLab", "gitLabEnterpriseEdition", "awsCodeCommit"} {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	return s
}

// fillTask completes a task, and the task inside a for_each_task.
func (w *Workspace) fillTask(t map[string]any, fromGit bool, owner string) *failure {
	fill(t, "run_if", "ALL_SUCCESS")
	fill(t, "timeout_seconds", zero())
	fill(t, "email_notifications", empty())
	fill(t, "webhook_notifications", empty())
	if w.o.Unverified.RetriesEchoed {
		fill(t, "max_retries", zero())
		fill(t, "min_retry_interval_millis", zero())
		fill(t, "retry_on_timeout", false)
	}
	source := "WORKSPACE"
	if fromGit {
		source = "GIT"
	}
	for _, kind := range []string{"notebook_task", "spark_python_task", "dbt_task"} {
		if object, has := t[kind].(map[string]any); has {
			fill(object, "source", source)
		}
	}
	if sql, has := t["sql_task"].(map[string]any); has {
		if file, has := sql["file"].(map[string]any); has {
			fill(file, "source", source)
		}
	}
	if object, has := t["pipeline_task"].(map[string]any); has {
		fill(object, "full_refresh", false)
	}
	if object, has := t["spark_jar_task"].(map[string]any); has {
		fill(object, "run_as_repl", true)
	}
	if object, has := t["dbt_task"].(map[string]any); has {
		fill(object, "schema", "default")
	}
	if cluster, has := t["new_cluster"].(map[string]any); has {
		if f := w.fillCluster(cluster, owner, false); f != nil {
			return f
		}
	}
	if inner := innerTask(t); inner != nil {
		return w.fillTask(inner, fromGit, owner)
	}
	return nil
}

// innerTask is the task that a for_each_task repeats, or nil.
func innerTask(t map[string]any) map[string]any {
	each, _ := t["for_each_task"].(map[string]any)
	inner, _ := each["task"].(map[string]any)
	return inner
}

// serverless tells whether a task runs on compute that it does not name.
func serverless(t map[string]any) bool {
	if inner := innerTask(t); inner != nil {
		return serverless(inner)
	}
	for _, field := range []string{"new_cluster", "job_cluster_key", "existing_cluster_id"} {
		if t[field] != nil {
			return false
		}
	}
	for _, kind := range []string{"notebook_task", "spark_python_task", "python_wheel_task", "spark_jar_task", "dbt_task"} {
		if t[kind] != nil {
			return true
		}
	}
	return false
}

// echo applies the switches for how some fields read back.
func (w *Workspace) echo(settings map[string]any) {
	u := w.o.Unverified
	if u.ParentPathHidden {
		delete(settings, "parent_path")
	}
	if u.EmptyBlocksDropped {
		for _, field := range []string{"notification_settings", "health"} {
			if reflect.DeepEqual(settings[field], empty()) {
				delete(settings, field)
			}
		}
	}
	if tags, has := settings["tags"].(map[string]any); u.EmptyTagsEchoed {
		fill(settings, "tags", empty())
	} else if has && len(tags) == 0 {
		delete(settings, "tags")
	}
	if queue, has := settings["queue"].(map[string]any); u.QueueHidesDisabled && has && queue["enabled"] != true {
		delete(settings, "queue")
	}
	if mail, has := settings["email_notifications"].(map[string]any); has {
		if u.EmailFlagEchoed {
			fill(mail, "no_alert_for_skipped_runs", false)
		}
		if u.EmailsLowered {
			lowerAll(mail)
		}
	}
	if echoed := u.EnvironmentEcho; echoed != "" {
		for _, e := range objects(settings["environments"]) {
			spec, _ := e["spec"].(map[string]any)
			for _, name := range []string{"client", "environment_version"} {
				if v, has := spec[name]; has && name != echoed {
					delete(spec, name)
					fill(spec, echoed, v)
				}
			}
		}
	}
}

func lowerAll(mail map[string]any) {
	for event, v := range mail {
		list, isList := v.([]any)
		if !isList {
			continue
		}
		lowered := slices.Clone(list)
		for i, e := range lowered {
			if s, isText := e.(string); isText {
				lowered[i] = strings.ToLower(s)
			}
		}
		mail[event] = lowered
	}
}

// webhookEvents are the lists below webhook_notifications.
var webhookEvents = []string{"on_start", "on_success", "on_failure", "on_duration_warning_threshold_exceeded",
	"on_streaming_backlog_exceeded"}

// reorder puts lists in the service's order. A list of two or more is never left as it was sent, so that
// a client that compares by index fails in every test and not in one of two.
func (w *Workspace) reorder(settings map[string]any, j *job) {
	rng := w.orders(j)
	u := w.o.Unverified
	if tasks, isList := settings["tasks"].([]any); isList && !u.TasksAsSent {
		slices.SortStableFunc(tasks, func(a, b any) int { return strings.Compare(textField(a, "task_key"), textField(b, "task_key")) })
	}
	reorderWebhooks(settings, rng)
	for _, t := range objects(settings["tasks"]) {
		rotate(t["depends_on"], rng)
		reorderWebhooks(t, rng)
		if inner := innerTask(t); inner != nil {
			rotate(inner["depends_on"], rng)
			reorderWebhooks(inner, rng)
		}
		if u.ListsReordered {
			rotate(t["libraries"], rng)
		}
	}
	if u.ListsReordered {
		for _, field := range []string{"parameters", "job_clusters", "environments"} {
			rotate(settings[field], rng)
		}
	}
}

func reorderWebhooks(object map[string]any, rng *rand.Rand) {
	hooks, _ := object["webhook_notifications"].(map[string]any)
	for _, event := range webhookEvents {
		rotate(hooks[event], rng)
	}
}

// rotate moves the elements of a list round by at least one place.
func rotate(v any, rng *rand.Rand) {
	list, _ := v.([]any)
	if len(list) < 2 {
		return
	}
	by := 1 + rng.IntN(len(list)-1)
	rotated := append(slices.Clone(list[by:]), list[:by]...)
	copy(list, rotated)
}
