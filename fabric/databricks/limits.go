package databricks

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"unicode/utf8"

	"selvage/configs"
	"selvage/fabric"
)

// What the Jobs API takes at most, by its reference and limits pages. Sizes in bytes unless they say characters. What is above
// is refused there, field by field and only when it is sent; here the job is blocked before anything of the
// release is written. A limit that depends on the cloud, as the characters of tags, is left to the service.
const (
	mostTasks       = 1000
	mostName        = 4096
	mostDescription = 27_700 // characters
	mostRuns        = 1000   // at once
	mostWebhooks    = 3      // destinations of one event
	mostIterations  = 100    // of a for_each_task at once
	mostCommands    = 10     // of a dbt_task
	mostParameters  = 1 << 20
	mostScripts     = 10 // init scripts of a cluster; SSH keys too
	mostBody        = 10 << 20
	// envelope is what a request holds beside the settings: the mark, the job's id, and field names.
	envelope = 1 << 10
)

var parameterName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// limits blocks a job whose settings, which are those of its Doc, are over a limit of the service: overlay,
// placeholders and all.
func (d *draft) limits(settings map[string]any) {
	if d.blocked != nil {
		return
	}
	over := func(at *spot, format string, args ...any) {
		d.block(configs.OverLimit, at, at.String()+": "+fmt.Sprintf(format, args...)) // a plan shows the text alone
	}
	most := func(at *spot, v any, limit int, of string) {
		if list, _ := v.([]any); len(list) > limit {
			over(at, "%d %s; at most %d are taken", len(list), of, limit)
		}
	}
	atMost := func(at *spot, v any, limit float64) {
		number, _ := v.(json.Number)
		if n, _ := number.Float64(); n > limit { // one that is too large for it is infinite
			over(at, "%s; at most %.0f is taken", shorten(number.String(), mostOfKey), limit)
		}
	}
	at := d.at
	most(at.member("tasks"), settings["tasks"], mostTasks, "tasks")
	if s, _ := settings["name"].(string); len(s) > mostName {
		over(at.member("name"), "%d bytes; at most %d are taken", len(s), mostName)
	}
	if s, _ := settings["description"].(string); utf8.RuneCountInString(s) > mostDescription {
		over(at.member("description"), "%d characters; at most %d are taken", utf8.RuneCountInString(s), mostDescription)
	}
	atMost(at.member("max_concurrent_runs"), settings["max_concurrent_runs"], mostRuns)
	webhooks := func(at *spot, settings map[string]any) {
		hooks, _ := settings["webhook_notifications"].(map[string]any)
		for _, event := range slices.Sorted(maps.Keys(hooks)) {
			most(at.member("webhook_notifications").member(event), hooks[event], mostWebhooks, "destinations")
		}
	}
	webhooks(at, settings)
	list, _ := settings["parameters"].([]any)
	for i, e := range list {
		p, _ := e.(map[string]any)
		if name, ok := p["name"].(string); ok && !parameterName.MatchString(name) {
			over(at.member("parameters").element(i).member("name"), "%q; letters, digits, _, - and . are taken", shorten(name, mostOfKey))
		}
	}
	for _, t := range tasksOf(at, settings) {
		webhooks(t.at, t.settings)
		of := func(kind string) (*spot, map[string]any) {
			o, _ := t.settings[kind].(map[string]any)
			return t.at.member(kind), o
		}
		where, loop := of("for_each_task")
		atMost(where.member("concurrency"), loop["concurrency"], mostIterations)
		where, dbt := of("dbt_task")
		most(where.member("commands"), dbt["commands"], mostCommands, "commands")
		where, notebook := of("notebook_task")
		if p, ok := notebook["base_parameters"].(map[string]any); ok && size(p) > mostParameters/2 {
			if n := len(fabric.NewDoc(p).Canonical()); n > mostParameters {
				over(where.member("base_parameters"), "%d bytes; at most %d are taken", n, mostParameters)
			}
		}
	}
	for _, c := range clustersOf(at, settings) {
		most(c.at.member("init_scripts"), c.settings["init_scripts"], mostScripts, "scripts")
		most(c.at.member("ssh_public_keys"), c.settings["ssh_public_keys"], mostScripts, "keys")
	}
	if size(settings) > mostBody/8 {
		if n := len(d.Doc.Canonical()); n > mostBody-envelope {
			over(at, "%d bytes; at most %d are taken", n, mostBody-envelope)
		}
	}
}

// size is a rough measure of a value's JSON, which is at most six times that long: it is cheap, and tells most jobs from
// those that are worth measuring.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 2
	case map[string]any:
		n := 2
		for k, e := range v {
			n += len(k) + 4 + size(e)
		}
		return n
	case []any:
		n := 2
		for _, e := range v {
			n += 1 + size(e)
		}
		return n
	}
	return 32
}
