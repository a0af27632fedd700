package databricks

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"selvage/configs"
	"selvage/fabric"
)

// Grant is one right that the daemon's principal, or who its jobs run as, needs on a workspace.
type Grant struct {
	For       string `json:"for"`       // what it is needed for
	By        By     `json:"by"`        // how an admin gives it
	Statement string `json:"statement"` // ready to be run; a sentence for Console
	// Unverified: the vendor's pages say so, or say nothing clear, and nobody has tried the least right here yet.
	Unverified bool `json:"unverified,omitempty"`
}

// By is how an admin gives a grant.
type By string

const (
	SQL     By = "sql"     // in a SQL editor, by an owner of the object or a metastore admin
	CLI     By = "cli"     // with the vendor's command line, as an admin of the workspace
	Console By = "console" // in the admin's settings
)

// Needs is what grants follow from.
type Needs struct {
	Principal string // that logs in
	Artifacts string // folder of the artifacts as configured; empty for the principal's own
	SeesOwn   bool   // visibility: own
	Overlays  []configs.Overlay
	Sent      []fabric.Doc // settings of jobs, as last sent
}

// mostNeeds bounds the things of one kind that are listed.
const mostNeeds = 1000

// mentioned is what definitions name, each once, by kind.
type mentioned map[string]map[string]bool

func (m mentioned) add(kind, name string) {
	if m[kind] == nil {
		m[kind] = map[string]bool{}
	}
	if name != "" && len(m[kind]) < mostNeeds {
		m[kind][name] = true
	}
}

func (m mentioned) sorted(kind string) []string { return slices.Sorted(maps.Keys(m[kind])) }

var secretReference = regexp.MustCompile(`\{\{\s*secrets/([\w.@-]{1,128})/`)

// gather collects what stands in whole settings, or in a patch of them, under the names that the Jobs API has for ids.
func (m mentioned) gather(v any, whole bool) {
	switch v := v.(type) {
	case string:
		for _, match := range secretReference.FindAllStringSubmatch(v, -1) {
			m.add("scope", match[1])
		}
	case []any:
		for _, e := range v {
			m.gather(e, whole)
		}
	case map[string]any:
		for key, e := range v {
			switch key {
			case "policy_id", "existing_cluster_id", "instance_pool_id", "driver_instance_pool_id", "warehouse_id", "pipeline_id":
				m.add(strings.TrimPrefix(key, "driver_"), identified(e))
			case "run_as":
				if name, kind, ok := principalIn(e); ok {
					m.add(kind, name)
				}
			case "new_cluster":
				if c, ok := e.(map[string]any); ok && whole && c["policy_id"] == nil {
					m.add("cluster", "without a policy")
				}
			}
			m.gather(e, whole)
		}
	}
}

// identified is an id, or for a reference by name {"policy": "small jobs"} what stands in place of the id.
func identified(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		for kind, name := range v {
			if s, ok := name.(string); ok && len(v) == 1 {
				return fmt.Sprintf("ID_OF_%s(%s)", strings.ToUpper(kind), s)
			}
		}
	}
	return ""
}

// Grants are the least rights that are needed, in the order in which an admin would give them.
func Grants(n Needs) []Grant {
	m := mentioned{}
	for _, d := range n.Sent {
		m.gather(d.Object(), true)
	}
	for _, o := range n.Overlays {
		m.add("user_name", o.RunAs.User)
		m.add("service_principal_name", o.RunAs.ServicePrincipal)
		for _, c := range o.JobClusters {
			m.gather(c.Merge, false)
		}
		for _, p := range o.Patch {
			m.gather(p.Merge, false)
			for _, t := range p.Tasks {
				m.gather(t.Merge, false)
			}
		}
	}
	delete(m["user_name"], n.Principal)
	delete(m["service_principal_name"], n.Principal)

	out := []Grant{{For: "log in and make jobs", By: Console, Statement: fmt.Sprintf("Settings, Identity and access: add %s to the workspace, with the entitlement Workspace access", n.Principal)}}
	add := func(g Grant) { out = append(out, g) }
	if n.SeesOwn {
		add(Grant{For: "jobs that others made and that it is to manage", By: Console, Statement: fmt.Sprintf("each such job, Permissions: %s CAN_MANAGE; it owns those that it makes", n.Principal)})
	} else {
		add(Grant{For: "see every job, and manage those that others made", By: Console, Statement: fmt.Sprintf("Settings, Identity and access, Groups: add %s to %s; without it, say visibility: own of the fabric", n.Principal, admins)})
	}
	if len(m["cluster"]) > 0 {
		add(Grant{For: "clusters that no policy is named for", By: Console, Statement: fmt.Sprintf("Settings, Identity and access: the entitlement Unrestricted cluster creation for %s", n.Principal), Unverified: true})
	}
	runners := slices.Concat(m.sorted("group_name"), m.sorted("service_principal_name"), m.sorted("user_name"))
	out = append(out, n.artifacts(runners)...)
	for _, k := range []struct {
		kind, object, level, what string
		unverified                bool
	}{
		{"policy_id", "cluster-policies", "CAN_USE", "cluster policy", false},
		{"existing_cluster_id", "clusters", "CAN_ATTACH_TO", "cluster", true},
		{"instance_pool_id", "instance-pools", "CAN_ATTACH_TO", "instance pool", false},
		{"warehouse_id", "warehouses", "CAN_USE", "SQL warehouse", false},
		{"pipeline_id", "pipelines", "CAN_VIEW", "pipeline", true},
	} {
		for _, id := range m.sorted(k.kind) {
			add(Grant{For: k.what + " of jobs", By: CLI, Unverified: k.unverified || strings.HasPrefix(id, "ID_OF_"),
				Statement: "databricks permissions update " + k.object + " " + inShell(id) + " --json " + inShell(accessTo(n.Principal, k.level))})
		}
	}
	for _, scope := range m.sorted("scope") {
		add(Grant{For: "see that secrets of jobs are there", By: CLI, Unverified: true, Statement: "databricks secrets put-acl " + inShell(scope) + " " + inShell(n.Principal) + " READ"})
	}
	for _, name := range m.sorted("service_principal_name") {
		add(Grant{For: "let jobs run as a service principal", By: Console, Statement: fmt.Sprintf("Account console, Service principals, %s, Permissions: %s as Service Principal: User", name, n.Principal)})
	}
	for _, name := range slices.Concat(m.sorted("user_name"), m.sorted("group_name")) {
		add(Grant{For: "let jobs run as " + name, By: Console, Unverified: true, Statement: fmt.Sprintf("only an admin of the workspace sets that jobs run as another user or a group: add %s to %s, or have them run as a service principal", n.Principal, admins)})
	}
	return out
}

// artifacts are the rights to put artifacts into their folder, and for who runs the jobs to read them there.
func (n Needs) artifacts(runners []string) []Grant {
	parts := strings.Split(n.Artifacts, "/")
	if len(parts) >= 5 && parts[1] == "Volumes" {
		catalog, schema := inSQL(parts[2]), inSQL(parts[2])+"."+inSQL(parts[3])
		volume := schema + "." + inSQL(parts[4])
		var out []Grant
		give := func(rights, who, why string) {
			for _, s := range []string{"USE CATALOG ON CATALOG " + catalog, "USE SCHEMA ON SCHEMA " + schema, rights + " ON VOLUME " + volume} {
				out = append(out, Grant{For: why, By: SQL, Statement: "GRANT " + s + " TO " + inSQL(who) + ";"})
			}
		}
		give("READ VOLUME, WRITE VOLUME", n.Principal, "upload artifacts")
		for _, who := range runners {
			give("READ VOLUME", who, "read artifacts in runs")
		}
		for _, who := range runners {
			out = append(out, Grant{For: "read notebooks, SQL files and dbt projects of the repository in runs", By: Console, Unverified: true,
				Statement: fmt.Sprintf("folder %s, Share: %s CAN_READ", sourcesRoot(n.Artifacts, n.Principal), who)})
		}
		return out
	}
	folder := cmp.Or(n.Artifacts, "/Workspace/Users/"+n.Principal+"/.selvage/artifacts")
	var out []Grant
	if n.Artifacts != "" {
		out = append(out, Grant{For: "upload and remove artifacts", By: Console, Unverified: true, Statement: fmt.Sprintf("make the folder %s; Share: %s CAN_MANAGE", folder, n.Principal)})
	}
	for _, who := range runners {
		out = append(out, Grant{For: "read artifacts in runs", By: Console, Unverified: true, Statement: fmt.Sprintf("folder %s, Share: %s CAN_READ", folder, who)})
	}
	return out
}

// accessTo is the body of a request that gives a principal a level, as JSON.
func accessTo(principal, level string) string {
	kind := "service_principal_name"
	if strings.Contains(principal, "@") {
		kind = "user_name"
	}
	b, err := json.Marshal(map[string]any{"access_control_list": []any{map[string]any{kind: principal, "permission_level": level}}})
	if err != nil {
		return "" // texts always encode
	}
	return string(b)
}

// inSQL is an identifier in SQL.
func inSQL(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// inShell is an argument as a person can paste it into a shell.
func inShell(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./@:+-", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Principal is who logs in, as the workspace says it.
func (w *Workspace) Principal(ctx context.Context) (string, error) { return w.whoAmI(ctx) }
