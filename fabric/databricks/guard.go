package databricks

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"selvage/configs"
	"selvage/fabric"
)

// mostViolations bounds how many of one job are told, of a definition that may hold thousands.
const mostViolations = 4

// violation is one thing that a guardrail does not allow.
type violation struct {
	at   *spot
	text string // the value and the limit
}

// guard blocks the job where its rendered definition violates a guardrail of the fabric. What can't be judged is a
// violation too. It looks at what would be sent, with the overlay in it.
func (n *rendering) guard(d *draft) {
	if n.Guardrails == nil {
		return
	}
	g := guarded{Guardrails: n.Guardrails, deployer: n.Deployer, at: d.at, request: d.request}
	found := append(d.denied, g.judge()...)
	if len(found) == 0 {
		return
	}
	var texts []string
	for i, v := range found {
		if i == mostViolations {
			texts = append(texts, fmt.Sprintf("and %d more", len(found)-i))
			break
		}
		texts = append(texts, v.at.String()+" "+v.text)
	}
	d.block(configs.Guardrail, nil, strings.Join(texts, "; "))
}

// guardAccess notes who may not stand in the access list, which is no part of the settings.
func (n *rendering) guardAccess(d *draft) {
	if n.Guardrails == nil || n.Guardrails.Principals == nil {
		return
	}
	d.denied = slices.Concat(d.denied, deniedPrincipals(n.Guardrails.Principals, d.at.member("access_control_list"), d.request["access_control_list"]))
}

// deniedPrincipals are the entries of an access list whose principal is not among the allowed ones.
func deniedPrincipals(allowed []string, at *spot, list any) (found []violation) {
	entries, ok := list.([]any)
	if list != nil && !ok {
		return []violation{{at, "can't be judged: expected a list"}}
	}
	for i, e := range entries {
		name, kind, ok := principalIn(e)
		switch {
		case !ok:
			found = append(found, violation{at.element(i), "can't be judged: expected one user_name, group_name or service_principal_name"})
		case !listsPrincipal(allowed, name):
			found = append(found, violation{at.element(i).member(kind), fmt.Sprintf("is %q; principals allows %s", shorten(name, mostOfKey), fewOf(allowed))})
		}
	}
	return found
}

// principalIn is the one that an entry of an access list or a run_as names.
func principalIn(v any) (name, kind string, ok bool) {
	m, _ := v.(map[string]any)
	for _, k := range []string{"user_name", "service_principal_name", "group_name"} {
		if m[k] == nil {
			continue
		}
		s, isText := m[k].(string)
		if !isText || s == "" || kind != "" {
			return "", "", false
		}
		name, kind = s, k
	}
	return name, kind, kind != ""
}

// listsPrincipal reports that a principal is in a list. Workspaces don't tell the case of e-mail addresses apart.
func listsPrincipal(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return s == name || strings.Contains(s, "@") && strings.EqualFold(s, name) })
}

// fewOf is a list for people, of a bearable length.
func fewOf(list []string) string {
	const most = 5
	switch {
	case len(list) == 0:
		return "none"
	case len(list) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// guarded is one job before the guardrails of a fabric.
type guarded struct {
	*configs.Guardrails
	deployer string
	at       *spot
	request  map[string]any
	found    []violation
}

func (g *guarded) refuse(at *spot, format string, args ...any) {
	g.found = append(g.found, violation{at, fmt.Sprintf(format, args...)})
}

func (g *guarded) judge() []violation {
	g.runAs()
	g.shape()
	g.forbidden()
	clusters := clustersOf(g.at, g.request)
	for _, c := range clusters {
		g.policy(c)
		g.workers(c)
		g.scripts(c)
	}
	g.tags(clusters)
	g.intervals()
	return g.found
}

// shape refuses what looks like something that is judged and can't be found where it is looked for.
func (g *guarded) shape() {
	list := func(at *spot, v any) []any {
		l, ok := v.([]any)
		if v != nil && !ok {
			g.refuse(at, "can't be judged: expected a list")
		}
		return l
	}
	object := func(at *spot, v any) map[string]any {
		m, ok := v.(map[string]any)
		if v != nil && !ok {
			g.refuse(at, "can't be judged: expected an object")
		}
		return m
	}
	for i, e := range list(g.at.member("job_clusters"), g.request["job_clusters"]) {
		at := g.at.member("job_clusters").element(i)
		object(at.member("new_cluster"), object(at, e)["new_cluster"])
	}
	for i, e := range list(g.at.member("tasks"), g.request["tasks"]) {
		at := g.at.member("tasks").element(i)
		for t := object(at, e); t != nil; {
			object(at.member("new_cluster"), t["new_cluster"])
			loop := object(at.member("for_each_task"), t["for_each_task"])
			at = at.member("for_each_task").member("task")
			t = object(at, loop["task"])
		}
	}
	// The API's first version had the one task of a job at its top.
	for _, old := range []string{"new_cluster", "existing_cluster_id"} {
		if g.request[old] != nil {
			g.refuse(g.at.member(old), "can't be judged: expected it in a task")
		}
	}
}

func (g *guarded) runAs() {
	if g.RunAs == nil {
		return
	}
	at, v := g.at.member("run_as"), g.request["run_as"]
	if v == nil {
		who := g.deployer
		if listsPrincipal(g.RunAs, who) && who != "" {
			return
		}
		if who != "" {
			who = ", " + who
		}
		g.refuse(at, "is not set, so that the job runs as the one who deploys it%s; run_as allows %s", who, fewOf(g.RunAs))
		return
	}
	name, kind, ok := principalIn(v)
	switch {
	case !ok:
		g.refuse(at, "can't be judged: expected one user_name, service_principal_name or group_name")
	case !listsPrincipal(g.RunAs, name):
		g.refuse(at.member(kind), "is %q; run_as allows %s", shorten(name, mostOfKey), fewOf(g.RunAs))
	}
}

func (g *guarded) forbidden() {
	if slices.Contains(g.Forbid, "git_source") && g.request["git_source"] != nil {
		g.refuse(g.at.member("git_source"), "is set; forbid has git_source")
	}
	if slices.Contains(g.Forbid, "existing_cluster_id") {
		for _, t := range tasksOf(g.at, g.request) {
			if t.settings["existing_cluster_id"] != nil {
				g.refuse(t.at.member("existing_cluster_id"), "is set; forbid has existing_cluster_id")
			}
		}
	}
}

// policy judges the cluster's policy: an id, or the name by which the definition refers to it.
func (g *guarded) policy(c cluster) {
	if g.Policies == nil {
		return
	}
	at := c.at.member("policy_id")
	var id string
	switch v := c.settings["policy_id"].(type) {
	case nil:
		g.refuse(at, "is not set; policies allows %s", fewOf(g.Policies))
		return
	case string:
		id = v
	case fabric.Ref:
		id = string(v.Key)
	case map[string]any:
		id, _ = v["policy"].(string)
	}
	if !slices.Contains(g.Policies, id) {
		g.refuse(at, "is %q; policies allows %s", shorten(id, mostOfKey), fewOf(g.Policies))
	}
}

// workers judges the size of a cluster. One that says none has none, or what its policy gives it, which is the
// operator's.
func (g *guarded) workers(c cluster) {
	if g.MaxWorkers == nil {
		return
	}
	judge := func(at *spot, v any) {
		n, ok := wholeNumber(v)
		switch {
		case !ok:
			g.refuse(at, "can't be judged: expected a whole number")
		case n > int64(*g.MaxWorkers):
			g.refuse(at, "is %d; max_workers allows %d", n, *g.MaxWorkers)
		}
	}
	if v := c.settings["num_workers"]; v != nil {
		judge(c.at.member("num_workers"), v)
	}
	if v := c.settings["autoscale"]; v != nil {
		scale, _ := v.(map[string]any)
		at := c.at.member("autoscale")
		judge(at.member("max_workers"), scale["max_workers"])
		if v := scale["min_workers"]; v != nil {
			judge(at.member("min_workers"), v)
		}
	}
}

var schemeOfPath = regexp.MustCompile(`^[a-z0-9]+:/{1,2}(.*)$`)

// scripts judges where the init scripts of a cluster come from.
func (g *guarded) scripts(c cluster) {
	v := c.settings["init_scripts"]
	if g.InitScripts == nil || v == nil {
		return
	}
	list, ok := v.([]any)
	if !ok {
		g.refuse(c.at.member("init_scripts"), "can't be judged: expected a list")
		return
	}
	for i, e := range list {
		at := c.at.member("init_scripts").element(i)
		m, _ := e.(map[string]any)
		if len(m) != 1 {
			g.refuse(at, "can't be judged: expected one kind of storage")
			continue
		}
		for kind, storage := range m {
			s, _ := storage.(map[string]any)
			destination, _ := s["destination"].(string)
			at := at.member(kind).member("destination")
			place := destination
			if kind == "workspace" && !strings.HasPrefix(place, "/Workspace/") { // the workspace knows both spellings
				place = "/Workspace" + place
			}
			rest := place
			if m := schemeOfPath.FindStringSubmatch(place); m != nil {
				rest = m[1]
			}
			switch {
			case rest == "" || path.Clean("/"+rest) != "/"+strings.TrimPrefix(rest, "/") || strings.ContainsAny(place, `\%*?`):
				g.refuse(at, "can't be judged: %q is not a clean path", shorten(destination, mostOfKey))
			case !slices.ContainsFunc(g.InitScripts, func(p string) bool { return place == p || strings.HasPrefix(place, p+"/") }):
				g.refuse(at, "is %q; init_scripts allows %s", shorten(destination, mostOfKey), fewOf(g.InitScripts))
			}
		}
	}
}

// tags judges the tags of the job, which its clusters get too, or else those of all clusters.
func (g *guarded) tags(clusters []cluster) {
	has := func(v any, name string) bool {
		tags, _ := v.(map[string]any)
		s, _ := tags[name].(string)
		return strings.TrimSpace(s) != ""
	}
	for _, name := range g.Tags {
		everywhere := len(clusters) > 0
		for _, c := range clusters {
			everywhere = everywhere && has(c.settings["custom_tags"], name)
		}
		if !everywhere && !has(g.request["tags"], name) {
			g.refuse(g.at.member("tags").member(name), "is not set, neither of the job nor in custom_tags of all its clusters; tags asks for %s", fewOf(g.Tags))
		}
	}
}

// intervals judges how often the job runs when nobody asks. A pause counts for nothing: it is a switch.
func (g *guarded) intervals() {
	if g.LeastInterval == 0 {
		return
	}
	judge := func(at *spot, value string, gap time.Duration, err error) {
		switch {
		case err != nil:
			g.refuse(at, "is %q: %v", shorten(value, mostOfKey), err)
		case gap < g.LeastInterval:
			g.refuse(at, "is %q, which may run again after %s; least_interval allows %s", shorten(value, mostOfKey), gap, g.LeastInterval)
		}
	}
	if v := g.request["schedule"]; v != nil {
		schedule, _ := v.(map[string]any)
		expression, _ := schedule["quartz_cron_expression"].(string)
		gap, err := quartzInterval(expression)
		judge(g.at.member("schedule").member("quartz_cron_expression"), expression, gap, err)
	}
	trigger := func(at *spot, v any) {
		m, _ := v.(map[string]any)
		gap, err := triggerInterval(m)
		said, _ := json.Marshal(v) // what was decoded encodes again
		judge(at, string(said), gap, err)
	}
	if v := g.request["trigger"]; v != nil {
		trigger(g.at.member("trigger"), v)
	}
	if v := g.request["triggers"]; v != nil {
		list, ok := v.([]any)
		if !ok {
			trigger(g.at.member("triggers"), v)
		}
		for i, e := range list {
			trigger(g.at.member("triggers").element(i), e)
		}
	}
	if g.request["continuous"] != nil && !g.Continuous {
		g.refuse(g.at.member("continuous"), "is set, so that the job never pauses; least_interval allows %s", g.LeastInterval)
	}
}
