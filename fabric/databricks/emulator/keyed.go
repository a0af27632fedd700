package emulator

import (
	"slices"
	"strings"
)

// keyedLists are the lists of a job's settings whose elements have names, and the field of the name.
// They are also the lists that are read 100 at a time.
var keyedLists = map[string]string{
	"tasks":        "task_key",
	"job_clusters": "job_cluster_key",
	"parameters":   "name",
	"environments": "environment_key",
}

// replaceElements is what jobs/update does to a top-level field: the elements of a keyed list replace
// those of the same name and join the rest; anything else replaces the old value.
func replaceElements(field string, old, patch any) any {
	return mergeElements(field, old, patch, func(_, element any) any { return element })
}

func mergeElements(field string, old, patch any, merge func(old, element any) any) any {
	key := keyedLists[field]
	list, isList := patch.([]any)
	kept, wasList := old.([]any)
	if key == "" || !isList || !wasList {
		return patch
	}
	kept = slices.Clone(kept)
	for _, element := range list {
		i := slices.IndexFunc(kept, func(e any) bool { return textField(e, key) != "" && textField(e, key) == textField(element, key) })
		if i < 0 {
			kept = append(kept, element)
			continue
		}
		kept[i] = merge(kept[i], element)
	}
	return kept
}

// textField is a string field of an object, or "".
func textField(v any, name string) string {
	object, _ := v.(map[string]any)
	s, _ := object[name].(string)
	return s
}

// removeField is one of jobs/update's fields_to_remove: a top-level name, or "tasks/KEY".
func removeField(settings map[string]any, path string) {
	field, element, nested := strings.Cut(path, "/")
	if !nested {
		delete(settings, field)
		return
	}
	if list, isList := settings[field].([]any); isList && keyedLists[field] != "" {
		settings[field] = slices.DeleteFunc(list, func(e any) bool { return textField(e, keyedLists[field]) == element })
	}
}

// mergePatch applies a JSON merge patch (RFC 7396), except that elements of keyed lists are merged
// by name, so that one field of one task can be patched. An edit by hand, as in the workspace's pages.
func mergePatch(field string, old, patch any) any {
	if keyedLists[field] != "" {
		return mergeElements(field, old, patch, func(old, element any) any { return mergePatch("", old, element) })
	}
	changes, isObject := patch.(map[string]any)
	if !isObject {
		return patch
	}
	merged := map[string]any{}
	if object, wasObject := old.(map[string]any); wasObject {
		merged = deepCopy(object).(map[string]any)
	}
	for k, v := range changes {
		if v == nil {
			delete(merged, k)
			continue
		}
		merged[k] = mergePatch(k, merged[k], v)
	}
	return merged
}
