package databricks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"selvage/fabric"
)

// register is how the workspace lists the things of a kind: in pages, each under a field of the answer, with
// the token of the next one beside it where there is one.
type register struct {
	path     string
	query    url.Values
	field    string // of the answer, a list of objects; not there where it is empty
	id, name string // fields of each object
	// but says which objects are not meant; nil: all are.
	but func(object map[string]any) bool
	// filter narrows the list to those of one name and perhaps more; nil: it can't be. It is false for a name that
	// it can't express.
	filter func(name string) (query url.Values, ok bool)
}

// The registers. A list may hold less than there is: what the principal may not use is left out of some, and clusters
// that ended more than 30 days ago without being pinned are gone. What is not in the list can't be named then.
var registers = map[fabric.OutsideKind]register{
	fabric.NamedPipeline:  {path: "/api/2.0/pipelines", query: url.Values{"max_results": {"100"}}, field: "statuses", id: "pipeline_id", name: "name", filter: pipelinesNamed},
	fabric.NamedWarehouse: {path: "/api/2.0/sql/warehouses", query: url.Values{"page_size": {"100"}}, field: "warehouses", id: "id", name: "name"},
	fabric.NamedPolicy:    {path: "/api/2.0/policies/clusters/list", field: "policies", id: "policy_id", name: "name"},
	fabric.NamedPool: {path: "/api/2.0/instance-pools/list", field: "instance_pools", id: "instance_pool_id", name: "instance_pool_name",
		but: func(pool map[string]any) bool { return pool["state"] == "DELETED" }},
	fabric.NamedCluster: {path: "/api/2.1/clusters/list", query: url.Values{"page_size": {"100"}, "filter_by.cluster_sources": {"UI", "API"}},
		field: "clusters", id: "cluster_id", name: "cluster_name", but: notAllPurpose},
	fabric.NamedDestination: {path: "/api/2.0/notification-destinations", query: url.Values{"page_size": {"100"}}, field: "results", id: "id", name: "display_name"},
}

// notAllPurpose reports a cluster that something made for itself: a run of a job, a pipeline, a warehouse, a model.
func notAllPurpose(cluster map[string]any) bool {
	switch cluster["cluster_source"] {
	case "JOB", "PIPELINE", "PIPELINE_MAINTENANCE", "MODELS", "SQL":
		return true
	}
	return false
}

// pipelinesNamed is a pattern that fits the name. _ stands for any character in it and % for any number, so that
// others may fit too. How a quote or a backslash would have to be written nobody has said.
func pipelinesNamed(name string) (url.Values, bool) {
	if strings.ContainsAny(name, `'"\`) {
		return nil, false
	}
	return url.Values{"filter": {"name LIKE '" + name + "'"}}, true
}

// mostFiltered is how many names are asked for one by one; for more, all of the kind are listed.
const mostFiltered = 4

// named looks for things of one kind by their names. Names are compared as they are: upper and lower case differ.
func (w *Workspace) named(ctx context.Context, kind fabric.OutsideKind, of []fabric.Outside) (map[fabric.Outside]fabric.Sight, error) {
	l := registers[kind]
	queries := []url.Values{{}}
	if l.filter != nil && len(of) <= mostFiltered {
		queries = nil
		for _, t := range of {
			query, ok := l.filter(t.Name)
			if !ok {
				queries = []url.Values{{}}
				break
			}
			queries = append(queries, query)
		}
	}
	ids := map[string][]string{}
	for _, query := range queries {
		if err := w.listNamed(ctx, l, query, ids); err != nil {
			return nil, fmt.Errorf("list each %s: %w", kind, err)
		}
	}
	seen := map[fabric.Outside]fabric.Sight{}
	for _, t := range of {
		seen[t] = fabric.Alone(ids[t.Name])
	}
	return seen, nil
}

// listNamed reads all pages of a listing and adds the ids that it holds by their names, each once. Its error means
// that there may be things that it did not see.
func (w *Workspace) listNamed(ctx context.Context, l register, query url.Values, ids map[string][]string) error {
	all := maps.Clone(l.query)
	if all == nil {
		all = url.Values{}
	}
	maps.Copy(all, query)
	tokens := map[string]bool{}
	for range maxPages {
		var page map[string]json.RawMessage
		if err := w.get(ctx, l.path+"?"+all.Encode(), nil, &page); err != nil {
			return err
		}
		var list []map[string]any
		if raw, ok := page[l.field]; ok {
			if err := json.Unmarshal(raw, &list); err != nil {
				return fmt.Errorf("%s: %s is not the list that the API promises", l.path, l.field)
			}
		}
		for i, object := range list {
			id, hasID := object[l.id].(string)
			name, hasName := object[l.name].(string)
			switch {
			case l.but != nil && l.but(object):
			case !hasID || id == "" || !hasName && object[l.name] != nil:
				return fmt.Errorf("%s: %s[%d] has no %s and %s as text", l.path, l.field, i, l.id, l.name)
			case !slices.Contains(ids[name], id): // it stands twice where a page shifts under the reader
				ids[name] = append(ids[name], id)
			}
		}
		var next string
		if raw, ok := page["next_page_token"]; ok {
			if err := json.Unmarshal(raw, &next); err != nil {
				return fmt.Errorf("%s: next_page_token is no text", l.path)
			}
		}
		switch {
		case next == "":
			return nil
		case tokens[next]:
			return fmt.Errorf("%s: the workspace gives the same page twice", l.path)
		}
		tokens[next] = true
		all.Set("page_token", next)
	}
	return fmt.Errorf("%s: no end after %d pages", l.path, maxPages)
}
