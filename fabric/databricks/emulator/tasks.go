package emulator

import (
	"regexp"
	"slices"
	"strings"
)

// tasks checks the tasks of a job against each other and against its clusters and environments.
func (v *validator) tasks(s map[string]any, clusters, environments map[string]bool) {
	tasks := v.elements(s["tasks"], "tasks")
	if len(tasks) > maxTasks {
		v.reject("A job has at most %d tasks, this one has %d", maxTasks, len(tasks))
	}
	keys := v.names(s, "tasks")
	edges := map[string][]string{}
	for _, t := range tasks {
		key := textField(t, "task_key")
		v.task(t, key, clusters, environments)
		for _, d := range v.elements(t["depends_on"], "tasks."+key+".depends_on") {
			on := textField(d, "task_key")
			if !keys[on] {
				v.reject("Task %s depends on task %q, which the job does not have", key, on)
			}
			edges[key] = append(edges[key], on)
		}
	}
	if circle := cycle(edges); circle != "" && v.first == nil {
		v.reject("The dependencies of task %s form a circle", circle)
	}
}

var taskKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// runIfs are the conditions of run_if.
var runIfs = []string{"ALL_SUCCESS", "ALL_DONE", "NONE_FAILED", "AT_LEAST_ONE_SUCCESS", "ALL_FAILED", "AT_LEAST_ONE_FAILED"}

// task checks one task by itself. key is the path for messages too.
func (v *validator) task(t map[string]any, key string, clusters, environments map[string]bool) {
	if v.types(t, "tasks."+key+"."); v.first != nil {
		return
	}
	if len(key) > maxTaskKey || !taskKey.MatchString(key) {
		v.reject("task_key %q must be 1 to %d letters, digits, _ and -", key, maxTaskKey)
	}
	v.oneOf(t, "run_if", runIfs...)
	v.between(t, "timeout_seconds", 0, 1<<31-1, "tasks."+key+".")
	v.between(t, "max_retries", -1, 1<<31-1, "tasks."+key+".")
	v.webhooks(t, "tasks."+key+".")
	var kinds []string
	for field := range t {
		if strings.HasSuffix(field, "_task") {
			kinds = append(kinds, field)
		}
	}
	if len(kinds) != 1 {
		slices.Sort(kinds)
		v.reject("Task %s must say exactly one thing to do, and says %d: %s", key, len(kinds), strings.Join(kinds, ", "))
	}
	if count(t, "new_cluster", "job_cluster_key", "existing_cluster_id") > 1 {
		v.reject("Task %s names more than one of new_cluster, job_cluster_key and existing_cluster_id", key)
	}
	if c := textField(t, "job_cluster_key"); c != "" && !clusters[c] {
		v.reject("Task %s runs on job cluster %q, which the job does not have", key, c)
	}
	if e := textField(t, "environment_key"); e != "" && !environments[e] {
		v.reject("Task %s runs in environment %q, which the job does not have", key, e)
	}
	if c, has := t["new_cluster"].(map[string]any); has {
		v.cluster(c, "tasks."+key+".new_cluster")
	}
	v.libraries(t, key)
	v.kind(t, key)
	if inner := innerTask(t); inner != nil {
		if each := t["for_each_task"].(map[string]any); each["concurrency"] != nil {
			v.between(each, "concurrency", 1, maxForEach, "tasks."+key+".for_each_task.")
		}
		if inner["for_each_task"] != nil {
			v.reject("Task %s: a for_each_task can't hold another", key)
			return
		}
		v.task(inner, textField(inner, "task_key"), clusters, environments)
	}
}

// libraryKinds are the kinds of library; each library is one of them.
var libraryKinds = []string{"whl", "jar", "egg", "pypi", "maven", "cran", "requirements"}

func (v *validator) libraries(t map[string]any, key string) {
	for i, l := range v.elements(t["libraries"], "tasks."+key+".libraries") {
		if len(l) != 1 || count(l, libraryKinds...) != 1 {
			v.reject("Task %s: library %d must be exactly one of %s", key, i, strings.Join(libraryKinds, ", "))
		}
		for _, kind := range []string{"whl", "jar", "egg", "requirements"} {
			if value, has := l[kind]; has && textField(l, kind) == "" {
				v.reject("Task %s: library %d has no %s path: %v", key, i, kind, value)
			}
		}
	}
}

// kind checks what a task does.
func (v *validator) kind(t map[string]any, key string) {
	if o, has := t["python_wheel_task"].(map[string]any); has && (textField(o, "package_name") == "" || textField(o, "entry_point") == "") {
		v.reject("Task %s: python_wheel_task needs package_name and entry_point", key)
	}
	if o, has := t["notebook_task"].(map[string]any); has {
		if textField(o, "notebook_path") == "" {
			v.reject("Task %s: notebook_task needs notebook_path", key)
		}
		if body, err := marshal(o["base_parameters"]); err == nil && len(body) > maxBaseParams {
			v.reject("Task %s: base_parameters are over %d bytes", key, maxBaseParams)
		}
	}
	if o, has := t["spark_python_task"].(map[string]any); has && textField(o, "python_file") == "" {
		v.reject("Task %s: spark_python_task needs python_file", key)
	}
	if o, has := t["dbt_task"].(map[string]any); has {
		if list, _ := o["commands"].([]any); len(list) > maxDbtCommands {
			v.reject("Task %s: at most %d dbt commands are allowed", key, maxDbtCommands)
		}
	}
	if o, has := t["run_job_task"].(map[string]any); has {
		id, f := number(o["job_id"], "run_job_task.job_id")
		if f != nil {
			v.reject("Task %s: %s", key, f.message)
		} else if !v.exists(id) && !v.o.Unverified.RunJobUnchecked {
			v.reject("Task %s: Job %d does not exist.", key, id)
		}
	}
}

// cycle is a task on a circle of dependencies, or "".
func cycle(edges map[string][]string) string {
	const visiting, done = 1, 2
	mark := map[string]int{}
	var visit func(string) string
	visit = func(key string) string {
		switch mark[key] {
		case done:
			return ""
		case visiting:
			return key
		}
		mark[key] = visiting
		for _, on := range edges[key] {
			if found := visit(on); found != "" {
				return found
			}
		}
		mark[key] = done
		return ""
	}
	keys := make([]string, 0, len(edges))
	for key := range edges {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if found := visit(key); found != "" {
			return found
		}
	}
	return ""
}
