package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of the Jobs API. Sizes in bytes unless they say characters.
const (
	maxName        = 4096
	maxDescription = 27_700 // characters
	maxTags        = 25
	maxTasks       = 1000
	maxTaskKey     = 100 // assumed
	maxConcurrent  = 1000
	maxWebhooks    = 3 // destinations of one event
	maxForEach     = 100
	maxDbtCommands = 10
	maxInitScripts = 10 // and SSH keys
	maxBaseParams  = 1 << 20
)

// validator collects the first thing that is wrong with some settings.
type validator struct {
	o      Options
	exists func(id int64) bool // is there such a job?
	first  *failure
}

// validate refuses what the real service refuses, as far as we know it. The caller holds the lock.
func (w *Workspace) validate(settings map[string]any) *failure {
	v := &validator{o: w.o, exists: func(id int64) bool { return w.state.jobs[id] != nil }}
	v.job(settings)
	return v.first
}

func (v *validator) reject(format string, a ...any) {
	if v.first == nil {
		v.first = invalid(format, a...)
	}
}

// parse refuses a field of the wrong type.
func (v *validator) parse(path, want string) {
	if v.first == nil {
		v.first = malformed("Could not parse request object: %s is not %s", path, want)
	}
}

// fieldTypes are the types of the fields that we know, at the top of settings and of a task.
var fieldTypes = map[string]string{
	"name": "string", "description": "string", "parent_path": "string", "edit_mode": "string", "format": "string",
	"budget_policy_id": "string", "usage_policy_id": "string", "performance_target": "string",
	"max_concurrent_runs": "integer", "timeout_seconds": "integer",
	"tasks": "list", "job_clusters": "list", "parameters": "list", "environments": "list", "triggers": "list",
	"tags": "object", "email_notifications": "object", "webhook_notifications": "object", "notification_settings": "object",
	"queue": "object", "run_as": "object", "schedule": "object", "continuous": "object", "trigger": "object",
	"git_source": "object", "health": "object", "deployment": "object",

	"task_key": "string", "run_if": "string", "job_cluster_key": "string", "existing_cluster_id": "string", "environment_key": "string",
	"max_retries": "integer", "min_retry_interval_millis": "integer", "retry_on_timeout": "boolean", "disabled": "boolean",
	"depends_on": "list", "libraries": "list", "new_cluster": "object",
}

func (v *validator) types(object map[string]any, path string) {
	for _, field := range slices.Sorted(maps.Keys(object)) {
		value, want := object[field], fieldTypes[field]
		if strings.HasSuffix(field, "_task") {
			want = "object"
		}
		right := true
		switch want {
		case "string":
			_, right = value.(string)
		case "boolean":
			_, right = value.(bool)
		case "integer":
			_, f := number(value, field)
			right = f == nil
		case "list":
			_, right = value.([]any)
		case "object":
			_, right = value.(map[string]any)
		}
		if !right {
			v.parse(path+field, "a valid "+want)
		}
	}
}

// elements are the objects of a list; an element that is none is an error.
func (v *validator) elements(value any, path string) []map[string]any {
	list, _ := value.([]any)
	found := objects(value)
	if len(found) != len(list) {
		v.parse(path, "a list of objects")
	}
	return found
}

func (v *validator) job(s map[string]any) {
	v.types(s, "")
	if v.first != nil {
		return
	}
	if !v.o.Lenient {
		for _, field := range append([]string{"access_control_list"}, outputOnly...) {
			if s[field] != nil {
				v.reject("%s is not part of a job's settings", field)
			}
		}
	}
	if name, has := s["name"].(string); has && len(name) > maxName {
		v.reject("The job name is %d bytes long; at most %d are allowed", len(name), maxName)
	}
	if text, has := s["description"].(string); has && utf8.RuneCountInString(text) > maxDescription {
		v.reject("The job description is over %d characters long", maxDescription)
	}
	v.between(s, "max_concurrent_runs", 0, maxConcurrent, "")
	v.between(s, "timeout_seconds", 0, 1<<31-1, "")
	v.oneOf(s, "edit_mode", "UI_LOCKED", "EDITABLE")
	v.tags(s["tags"])
	v.schedules(s)
	v.webhooks(s, "")
	if who, has := s["run_as"].(map[string]any); has && count(who, "user_name", "service_principal_name", "group_name") != 1 {
		v.reject("run_as must name exactly one of user_name, service_principal_name and group_name")
	}
	if git, has := s["git_source"].(map[string]any); has && (textField(git, "git_provider") == "" || textField(git, "git_url") == "") {
		v.reject("git_source needs git_url and git_provider")
	}
	if d, has := s["deployment"].(map[string]any); has && d["kind"] == "BUNDLE" && v.o.Unverified.BundleRejected {
		v.reject("deployment.kind BUNDLE is reserved")
	}
	if s["triggers"] != nil && !v.o.Unverified.TriggersPreview && v.first == nil {
		v.first = refused(http.StatusNotFound, "FEATURE_DISABLED", "The feature Multiple Triggers is not enabled in this workspace.")
	}
	names := v.names(s, "parameters")
	for name := range names {
		if !parameterName.MatchString(name) {
			v.reject("Parameter name %q may only hold letters, digits, _, - and .", name)
		}
	}
	environments, clusters := v.names(s, "environments"), v.names(s, "job_clusters")
	for _, jc := range v.elements(s["job_clusters"], "job_clusters") {
		if jc["libraries"] != nil {
			v.reject("Libraries cannot be declared in a shared job cluster")
		}
		if c, has := jc["new_cluster"].(map[string]any); has {
			v.cluster(c, "job_clusters."+textField(jc, "job_cluster_key"))
		}
	}
	v.tasks(s, clusters, environments)
}

var parameterName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// names are the keys of a keyed list; a missing or doubled one is an error.
func (v *validator) names(s map[string]any, list string) map[string]bool {
	key, seen := keyedLists[list], map[string]bool{}
	for _, e := range v.elements(s[list], list) {
		name := textField(e, key)
		if name == "" {
			v.reject("An element of %s has no %s", list, key)
		}
		if seen[name] {
			v.reject("Duplicate %s %q in %s", key, name, list)
		}
		seen[name] = true
	}
	return seen
}

func (v *validator) between(s map[string]any, field string, low, high int64, path string) {
	if s[field] == nil {
		return
	}
	if n, f := number(s[field], field); f == nil && (n < low || n > high) {
		v.reject("%s%s must be between %d and %d, is %d", path, field, low, high, n)
	}
}

func (v *validator) oneOf(s map[string]any, field string, values ...string) {
	if s[field] == nil {
		return
	}
	for _, allowed := range values {
		if s[field] == allowed {
			return
		}
	}
	v.reject("%s must be one of %s, is %v", field, strings.Join(values, ", "), s[field])
}

// count is how many of the fields are there.
func count(object map[string]any, fields ...string) int {
	n := 0
	for _, f := range fields {
		if object[f] != nil {
			n++
		}
	}
	return n
}

// tagRules are the clouds' rules for tags, which job clusters hand on to the cloud.
var tagRules = map[Profile]struct {
	key, value       *regexp.Regexp
	maxKey, maxValue int
	forbidden        string // in keys
}{
	AWS:   {regexp.MustCompile(`^[\p{L}\p{N} _.:/=+\-@]+$`), regexp.MustCompile(`^[\p{L}\p{N} _.:/=+\-@]*$`), 127, 255, ""},
	Azure: {regexp.MustCompile(`^.+$`), regexp.MustCompile(`(?s)^.*$`), 512, 256, `<>*&%;\/+?`},
	GCP:   {regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`), regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$`), 63, 63, ""},
}

func (v *validator) tags(value any) {
	tags, _ := value.(map[string]any)
	if len(tags) > maxTags {
		v.reject("A job has at most %d tags, this one has %d", maxTags, len(tags))
	}
	rule := tagRules[v.o.Profile]
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		text, isText := value.(string)
		switch {
		case !isText:
			v.parse("tags."+key, "a string")
		case !latin1(key) || !latin1(text):
			v.reject("Tag %q holds characters outside Latin-1", key)
		case utf8.RuneCountInString(key) > rule.maxKey || utf8.RuneCountInString(text) > rule.maxValue:
			v.reject("Tag %q is too long: at most %d characters of key and %d of value", key, rule.maxKey, rule.maxValue)
		case !rule.key.MatchString(key) || !rule.value.MatchString(text) || strings.ContainsAny(key, rule.forbidden):
			v.reject("Tag %q: %q holds characters that %s does not allow", key, text, v.o.Profile)
		}
	}
}

func latin1(s string) bool {
	for _, r := range s {
		if r > 0xff {
			return false
		}
	}
	return true
}

func (v *validator) schedules(s map[string]any) {
	if count(s, "schedule", "continuous", "trigger") > 1 || s["triggers"] != nil && count(s, "schedule", "continuous", "trigger") > 0 {
		v.reject("A job has only one of schedule, continuous, trigger and triggers")
	}
	for _, kind := range []string{"schedule", "continuous", "trigger"} {
		if object, has := s[kind].(map[string]any); has {
			v.oneOf(object, "pause_status", "PAUSED", "UNPAUSED")
		}
	}
	if schedule, has := s["schedule"].(map[string]any); has {
		fields := len(strings.Fields(textField(schedule, "quartz_cron_expression")))
		if fields != 6 && fields != 7 {
			v.reject("schedule.quartz_cron_expression %q is not a Quartz expression of 6 or 7 fields", textField(schedule, "quartz_cron_expression"))
		}
		if textField(schedule, "timezone_id") == "" {
			v.reject("schedule needs a timezone_id")
		}
	}
}

func (v *validator) webhooks(s map[string]any, path string) {
	hooks, _ := s["webhook_notifications"].(map[string]any)
	for _, event := range webhookEvents {
		list := v.elements(hooks[event], path+"webhook_notifications."+event)
		if len(list) > maxWebhooks {
			v.reject("%swebhook_notifications.%s has %d destinations; at most %d are allowed", path, event, len(list), maxWebhooks)
		}
		for _, hook := range list {
			if textField(hook, "id") == "" {
				v.reject("%swebhook_notifications.%s has a destination without id", path, event)
			}
		}
	}
}

func (v *validator) cluster(c map[string]any, path string) {
	if c["autoscale"] != nil && c["num_workers"] != nil {
		v.reject("%s: only one of autoscale and num_workers is allowed", path)
	}
	if textField(c, "spark_version") == "" && c["policy_id"] == nil {
		v.reject("%s: spark_version is missing", path)
	}
	for _, field := range []string{"init_scripts", "ssh_public_keys"} {
		if list, _ := c[field].([]any); len(list) > maxInitScripts {
			v.reject("%s: at most %d %s are allowed", path, maxInitScripts, field)
		}
	}
	for _, field := range []string{"spark_conf", "spark_env_vars", "custom_tags"} {
		values, isObject := c[field].(map[string]any)
		if c[field] != nil && !isObject {
			v.parse(path+"."+field, "an object")
		}
		for k, value := range values {
			if _, isText := value.(string); !isText {
				v.parse(fmt.Sprintf("%s.%s.%s", path, field, k), "a string")
			}
		}
	}
	if n, isNumber := c["num_workers"].(json.Number); isNumber {
		if workers, err := n.Int64(); err != nil || workers < 0 {
			v.reject("%s: num_workers %s is not a count", path, n)
		}
	}
}
