package reconciler_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// edit is one thing that somebody does to a live job.
type edit struct {
	what string
	kind string // what it does, and at which place
	way  []any  // to the place
	do   func(settings map[string]any)
}

// additions are fields that somebody may set where nobody asked for them.
var additions = map[string]map[string]any{
	"job": {"description": "by hand", "run_as": map[string]any{"user_name": "someone@shop.example"}, "budget_policy_id": "by-hand", "max_concurrent_runs": json.Number("7"),
		"timeout_seconds": json.Number("77"), "parameters": []any{map[string]any{"name": "by_hand", "default": "1"}}, "tags": map[string]any{"byhand": "1"},
		"queue": map[string]any{"enabled": false}, "health": map[string]any{"rules": []any{map[string]any{"metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": json.Number("7")}}},
		"continuous": map[string]any{"pause_status": "PAUSED"}, "format": "SINGLE_TASK"},
	"task": {"max_retries": json.Number("7"), "timeout_seconds": json.Number("77"), "disabled": true, "retry_on_timeout": true, "description": "by hand", "run_if": "ALL_DONE",
		"min_retry_interval_millis": json.Number("7"), "notification_settings": map[string]any{"alert_on_last_attempt": true}},
	"cluster": {"driver_node_type_id": "by-hand", "enable_elastic_disk": true, "single_user_name": "someone@shop.example", "spark_env_vars": map[string]any{"BY_HAND": "1"},
		"custom_tags": map[string]any{"by_hand": "1"}, "runtime_engine": "PHOTON", "aws_attributes": map[string]any{"zone_id": "by-hand"}, "policy_id": "D00D"},
}

// editsOf are all the ways to change one field of a live job that the suite knows: each value, each member and each element
// taken away, a member more in each object and an element more in each list.
func editsOf(settings map[string]any) []edit {
	var edits []edit
	add := func(what string, way []any, value any) {
		way = slices.Clone(way)
		edits = append(edits, edit{fmt.Sprintf("%s at %v", what, way), what + placeOf(way), way, func(s map[string]any) { putAt(s, way, value) }})
	}
	var visit func(way []any, at string, v any)
	visit = func(way []any, at string, v any) {
		_, place := level(at)
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if at == "tags" && strings.HasPrefix(k, "selvage-") {
					continue // the mark says whose the job is, and is looked at before any field
				}
				step := append(slices.Clip(way), any(k))
				if at != "" || k != "tags" { // which would take the mark off, too
					add("remove", step, nil)
				}
				visit(step, under(at, k), v[k])
			}
			add("add", append(slices.Clip(way), "edited_by_hand"), "x")
			var more map[string]any
			switch {
			case at == "":
				more = additions["job"]
			case strings.HasSuffix(at, "new_cluster"):
				more = additions["cluster"]
			case at == "tasks[]" || at == "tasks[].for_each_task.task":
				more = additions["task"]
			}
			for _, k := range slices.Sorted(maps.Keys(more)) {
				if v[k] == nil {
					add("add", append(slices.Clip(way), k), more[k])
				}
			}
		case []any:
			field, kind := listAt(at)
			for i, e := range v {
				step := append(slices.Clip(way), any(i))
				visit(step, at+"[]", e)
				if i == 0 || i == len(v)-1 {
					add("remove", step, nil)
				}
			}
			if len(v) > 0 {
				add("append to", way, append(slices.Clone(v), another(field, kind, v[len(v)-1])))
			}
		case string:
			add("change", way, otherText(place, v))
			if strings.Contains(v, "@") {
				add("upper case", way, strings.ToUpper(v))
			}
			if place == "data_security_mode" {
				add("another mode", way, "USER_ISOLATION")
			}
		case bool:
			add("change", way, !v)
		case json.Number:
			n, err := v.Int64()
			switch {
			case err != nil:
				add("change", way, json.Number("7.5"))
			case n == 1<<63-1 || n == 1000 || n == 100:
				add("change", way, json.Number(fmt.Sprint(n-1)))
			default:
				add("change", way, json.Number(fmt.Sprint(n+1)))
			}
		}
	}
	visit(nil, "", settings)
	return edits
}

// placeOf is the place that a way leads to.
func placeOf(way []any) string {
	at := ""
	for _, step := range way {
		if key, ok := step.(string); ok {
			at = under(at, key)
		} else {
			at += "[]"
		}
	}
	return at
}

// another is one more element of a list.
func another(field string, kind order, last any) any {
	e := copyOf(last)
	m, isMap := e.(map[string]any)
	switch {
	case field == "library":
		return map[string]any{"cran": map[string]any{"package": "byhand"}}
	case kind == named && isMap:
		name, _ := m[field].(string)
		m[field] = name + "_by_hand"
	case isMap:
		m["edited_by_hand"] = "x"
	default:
		return "edited@shop.example"
	}
	return e
}

// otherText is another value of a field, as far as possible one that the workspace takes.
func otherText(place, old string) string {
	for _, pair := range [][2]string{{"PAUSED", "UNPAUSED"}, {"UI_LOCKED", "EDITABLE"}, {"gitLab", "gitHub"}, {"NONE", "LEGACY_TABLE_ACL"}, {"STANDARD", "PERFORMANCE_OPTIMIZED"}} {
		if old == pair[0] {
			return pair[1]
		}
		if old == pair[1] {
			return pair[0]
		}
	}
	switch key := place[strings.LastIndex(place, ".")+1:]; {
	case key == "run_if" && old == "ALL_DONE":
		return "ALL_SUCCESS"
	case key == "run_if":
		return "ALL_DONE"
	case key == "git_provider":
		return "awsCodeCommit"
	case key == "quartz_cron_expression":
		return "0 1 1 * * ?"
	case old == "":
		return "edited"
	}
	return old + "-edited"
}
