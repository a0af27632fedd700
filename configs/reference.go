package configs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A setting of a job that is the id of something may name that thing instead: {warehouse: BI}. The id differs
// from fabric to fabric, and the name, one hopes, does not. Such a mapping is a reference only where an id of
// its kind belongs; anywhere else it is what it looks like, a mapping.

// The kinds of references, as they are written.
const (
	RefJob         = "job"
	RefPipeline    = "pipeline" // of Delta Live Tables
	RefWarehouse   = "warehouse"
	RefPolicy      = "policy"
	RefPool        = "pool"
	RefCluster     = "cluster"
	RefDestination = "destination" // of notifications
)

// RefKinds are all of them.
var RefKinds = []string{RefJob, RefPipeline, RefWarehouse, RefPolicy, RefPool, RefCluster, RefDestination}

// Where ids stand (Jobs API 2.2), as shapes relative to a job, a task and a cluster.
var (
	jobIDs  = map[string]string{}
	taskIDs = map[string]string{
		"existing_cluster_id":                                      RefCluster,
		"pipeline_task.pipeline_id":                                RefPipeline,
		"run_job_task.job_id":                                      RefJob,
		"notebook_task.warehouse_id":                               RefWarehouse,
		"sql_task.warehouse_id":                                    RefWarehouse,
		"dbt_task.warehouse_id":                                    RefWarehouse,
		"dashboard_task.warehouse_id":                              RefWarehouse,
		"alert_task.warehouse_id":                                  RefWarehouse,
		"power_bi_task.warehouse_id":                               RefWarehouse,
		"sql_task.alert.subscriptions[].destination_id":            RefDestination,
		"sql_task.dashboard.subscriptions[].destination_id":        RefDestination,
		"dashboard_task.subscription.subscribers[].destination_id": RefDestination,
		"alert_task.subscribers[].destination_id":                  RefDestination,
	}
	clusterIDs = map[string]string{
		"policy_id":               RefPolicy,
		"instance_pool_id":        RefPool,
		"driver_instance_pool_id": RefPool,
	}
)

// refFields are the kinds of things whose ids stand in a job, by shape.
var refFields = map[string]string{}

func init() {
	for _, event := range emailEvents { // webhooks tell of the same events
		shape := "webhook_notifications." + event + "[].id"
		jobIDs[shape], taskIDs[shape] = RefDestination, RefDestination
	}
	add := func(prefix string, shapes map[string]string) {
		for shape, kind := range shapes {
			refFields[prefix+shape] = kind
		}
	}
	add("", jobIDs)
	add("tasks[].", taskIDs)
	for _, owner := range []string{"job_clusters[].", "tasks[]."} {
		add(owner+"new_cluster.", clusterIDs)
	}
}

// RefKind is the kind of thing whose id stands at a shape of a job's settings, such as
// tasks[].sql_task.warehouse_id; false where none does. A task inside a for_each_task is like any other.
func RefKind(shape string) (string, bool) {
	kind, ok := refFields[strings.ReplaceAll(shape, ".for_each_task.task.", ".")]
	return kind, ok
}

// ReadRef reads what stands at a shape as a reference. kind is empty for what is none, such as an id; name may
// hold anything but control characters. why says what is wrong with a mapping that has to be a reference there, or
// that looks like one at a field of another id.
func ReadRef(shape string, v any) (kind, name, why string) {
	m, isMapping := v.(map[string]any)
	if !isMapping {
		return "", "", ""
	}
	want, belongs := RefKind(shape)
	if !belongs {
		for k, v := range m {
			_, isText := v.(string)
			if isText && len(m) == 1 && slices.Contains(RefKinds, k) && idField(shape) {
				return "", "", "no name is resolved here; expected the id itself"
			}
		}
		return "", "", ""
	}
	expected := fmt.Sprintf("expected an id, or {%s: NAME}", want)
	if len(m) != 1 {
		return "", "", fmt.Sprintf("a mapping of %d keys; %s", len(m), expected)
	}
	for k, v := range m {
		text, isText := v.(string)
		switch {
		case !slices.Contains(RefKinds, k):
			return "", "", fmt.Sprintf("%s is no kind of reference; %s", quoted(k), expected)
		case k != want:
			return "", "", fmt.Sprintf("a reference to a %s; %s", k, expected)
		case !isText || strings.TrimSpace(text) == "" || len(text) > maxRefName || strings.ContainsFunc(text, notShown):
			return "", "", "expected a name after " + k
		}
		name = text
	}
	return want, name, ""
}

// maxRefName bounds a name, in bytes: that of a job may have 4096.
const maxRefName = 4096

// idField reports a shape that ends with a key that names an id.
func idField(shape string) bool {
	key := shape[strings.LastIndexByte(shape, '.')+1:]
	return strings.HasSuffix(key, "_id")
}

// references checks the references in settings that an overlay merges; shape is what they are merged into.
func (l *loader) references(v value, shape string) {
	switch n := v.node.(type) {
	case ast.MapNode:
		if _, belongs := RefKind(shape); belongs || idField(shape) {
			l.reference(v, n, shape)
			return
		}
		for it := n.MapRange(); it.Next(); {
			if key, child, ok := v.member(it); ok {
				l.references(child, strings.TrimPrefix(shape+"."+key, "."))
			}
		}
	case *ast.SequenceNode:
		for _, child := range v.elements(n) {
			l.references(child, shape+"[]")
		}
	}
}

// reference checks the mapping v, which stands where an id does.
func (l *loader) reference(v value, n ast.MapNode, shape string) {
	m := map[string]any{}
	for it := n.MapRange(); it.Next(); {
		key, child, ok := v.member(it)
		if !ok {
			return
		}
		m[key] = nil
		if s, isText := child.node.(*ast.StringNode); isText {
			m[key] = s.Value
		}
	}
	if _, _, why := ReadRef(shape, m); why != "" {
		want, belongs := RefKind(shape)
		next := fmt.Sprintf("write the id as text, or {%s: NAME}", want)
		if !belongs {
			next = "write the id as text; names are resolved for jobs, pipelines, warehouses, policies, pools, clusters and destinations"
		}
		l.bad(v.at, next, "%s: %s", v.path, why)
	}
}

// member is a key of the mapping that v is, and its value; false for a key that is no text, which is told of elsewhere.
func (v value) member(it *ast.MapNodeIter) (string, value, bool) {
	key, ok := it.Key().(*ast.StringNode)
	if !ok {
		return "", value{}, false
	}
	at := v.at.in.placeOf(it.Key().GetToken())
	return key.Value, value{path: join(v.path, key.Value), node: it.Value(), at: placeOfNode(it.Value(), at), key: at}, true
}
