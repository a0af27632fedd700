package emulator

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// What people make in a workspace that a job refers to by an id of the workspace's own: SQL warehouses, cluster
// policies, instance pools, all-purpose clusters, notification destinations and pipelines of Delta Live Tables. They
// can be listed, and nothing else. Names are not unique, but for those of policies on the real service.

// thing is one of them.
type thing struct {
	kind, id, name string
	source         string // of a cluster: who made it
	hidden         bool   // from the list: the caller may not use it
}

// SetThing makes a thing of a kind ("warehouse", "policy", "pool", "cluster", "destination" or "pipeline"), and
// returns the id that the workspace gives it: no two workspaces of different seeds give the same.
func (w *Workspace) SetThing(kind, name string) (id string, err error) {
	return w.addThing(thing{kind: kind, name: name, source: "UI"})
}

// SetJobCluster makes the cluster of a run of a job, which is in the list of clusters as long as the run lasts.
func (w *Workspace) SetJobCluster(name string) string {
	id, _ := w.addThing(thing{kind: "cluster", name: name, source: "JOB"}) // the kind is one that there is
	return id
}

func (w *Workspace) addThing(t thing) (string, error) {
	form, known := idForms[t.kind]
	if !known {
		return "", fmt.Errorf("make a %s by hand: the kinds are %s", t.kind, strings.Join(slices.Sorted(maps.Keys(idForms)), ", "))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.id = fmt.Sprintf(form, w.rng.Uint64()>>1, w.rng.Uint64()>>1)
	if t.kind == "pipeline" {
		w.state.pipelines[t.id] = true
	}
	w.state.things = append(slices.Clone(w.state.things), t)
	return t.id, nil
}

// idForms are how ids of each kind look.
var idForms = map[string]string{
	"warehouse":   "%016[1]x",
	"policy":      "%016[1]X",
	"pool":        "0101-120000-pool-%[1]x",
	"cluster":     "0101-120000-%[1]x",
	"destination": "%016[1]x-%016[2]x",
	"pipeline":    "%016[1]x-%016[2]x",
}

// RenameThing gives a thing another name. It tells whether it was there.
func (w *Workspace) RenameThing(id, name string) bool {
	return w.changeThing(id, func(t *thing) { t.name = name })
}

// HideThing leaves a thing out of the list, as the service does with what the caller may not use.
func (w *Workspace) HideThing(id string) bool {
	return w.changeThing(id, func(t *thing) { t.hidden = true })
}

func (w *Workspace) changeThing(id string, change func(*thing)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.things = slices.Clone(w.state.things)
	for i := range w.state.things {
		if w.state.things[i].id == id {
			change(&w.state.things[i])
			return true
		}
	}
	return false
}

// DropThing takes a thing away. It tells whether it was there.
func (w *Workspace) DropThing(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.state.things)
	w.state.things = slices.DeleteFunc(slices.Clone(w.state.things), func(t thing) bool { return t.id == id })
	delete(w.state.pipelines, id)
	return len(w.state.things) < before
}

// pagesOf are the parameters and the page sizes of a list.
type pagesOf struct {
	size           string // parameter; empty: the list has no pages
	usual, largest int
}

// listThings makes the endpoint of a list: of a kind, under a field of the answer, each as view shows it.
func listThings(kind, field string, pages pagesOf, wanted func(*Workspace, *call, thing) bool, view func(thing) map[string]any) endpoint {
	return endpoint{serve: func(w *Workspace, c *call) (answer, *failure) {
		size, start := 0, 0
		if pages.size != "" {
			size = pages.usual
			if text := c.param(pages.size); text != "" {
				n, err := strconv.Atoi(text)
				if err != nil || n < 1 || n > pages.largest {
					return answer{}, invalid("%s must be between 1 and %d, is %s", pages.size, pages.largest, text)
				}
				size = n
			}
			if token := c.param("page_token"); token != "" {
				fields, f := openToken(token, field, 1)
				if f != nil {
					return answer{}, f
				}
				start = fields[0]
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		list := []any{}
		out := map[string]any{}
		for i, t := range w.state.things {
			if t.kind != kind || t.hidden || i < start || wanted != nil && !wanted(w, c, t) {
				continue
			}
			if size > 0 && len(list) == size {
				out["next_page_token"] = pageToken(field, i)
				break
			}
			list = append(list, view(t))
		}
		if len(list) > 0 { // an empty list is left out
			out[field] = list
		}
		return ok(out)
	}}
}

// namedRoutes are the lists, by method and path without the version.
var namedRoutes = map[string]endpoint{
	"GET sql/warehouses": listThings("warehouse", "warehouses", pagesOf{"page_size", 20, 100}, nil, func(t thing) map[string]any {
		return map[string]any{"id": t.id, "name": t.name, "state": "STOPPED", "cluster_size": "Small", "warehouse_type": "PRO", "num_clusters": 0}
	}),
	"GET policies/clusters/list": listThings("policy", "policies", pagesOf{}, nil, func(t thing) map[string]any {
		return map[string]any{"policy_id": t.id, "name": t.name, "definition": "{}", "creator_user_name": byHand, "is_default": false}
	}),
	"GET instance-pools/list": listThings("pool", "instance_pools", pagesOf{}, nil, func(t thing) map[string]any {
		return map[string]any{"instance_pool_id": t.id, "instance_pool_name": t.name, "state": "ACTIVE", "node_type_id": "m5d.large", "min_idle_instances": 0}
	}),
	"GET clusters/list": listThings("cluster", "clusters", pagesOf{"page_size", 20, 100}, ofSource, func(t thing) map[string]any {
		return map[string]any{"cluster_id": t.id, "cluster_name": t.name, "cluster_source": t.source, "state": "TERMINATED", "spark_version": "15.4.x-scala2.12"}
	}),
	"GET notification-destinations": listThings("destination", "results", pagesOf{"page_size", 20, 100}, nil, func(t thing) map[string]any {
		return map[string]any{"id": t.id, "display_name": t.name, "destination_type": "SLACK"}
	}),
	"GET pipelines": listThings("pipeline", "statuses", pagesOf{"max_results", 25, 100}, likeName, func(t thing) map[string]any {
		return map[string]any{"pipeline_id": t.id, "name": t.name, "state": "IDLE", "creator_user_name": byHand}
	}),
}

// ofSource is the filter of clusters/list.
func ofSource(w *Workspace, c *call, t thing) bool {
	sources := c.query["filter_by.cluster_sources"]
	return len(sources) == 0 || w.o.Unverified.ClusterFilterIgnored || slices.Contains(sources, t.source)
}

// likeName is the filter of the list of pipelines: name LIKE 'PATTERN', and no other here.
func likeName(w *Workspace, c *call, t thing) bool {
	pattern, found := strings.CutPrefix(c.param("filter"), "name LIKE '")
	if !found {
		return true
	}
	pattern = strings.TrimSuffix(pattern, "'")
	if w.o.Unverified.LikeIgnoresCase {
		return like(strings.ToLower(pattern), strings.ToLower(t.name))
	}
	return like(pattern, t.name)
}

// like matches as SQL does: % is any text, _ any character.
func like(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '%' {
		for i := 0; i <= len(s); i++ {
			if like(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && (pattern[0] == '_' || pattern[0] == s[0]) && like(pattern[1:], s[1:])
}

// thingCommand is the control of things: POST KIND?name=NAME makes one, PATCH ID?name=NAME renames it, DELETE ID
// takes it away, POST ID/hide leaves it out of the lists, GET lists all.
func (w *Workspace) thingCommand(c *call, rest string) (any, error) {
	switch id, hide := strings.CutSuffix(rest, "/hide"); c.method {
	case http.MethodGet:
		w.mu.Lock()
		defer w.mu.Unlock()
		list := []any{}
		for _, t := range w.state.things {
			list = append(list, map[string]any{"kind": t.kind, "id": t.id, "name": t.name})
		}
		return list, nil
	case http.MethodPost:
		if hide {
			return found(w.HideThing(id), id)
		}
		id, err := w.SetThing(rest, c.param("name"))
		return map[string]any{"id": id}, err
	case http.MethodPatch:
		return found(w.RenameThing(rest, c.param("name")), rest)
	case http.MethodDelete:
		return found(w.DropThing(rest), rest)
	}
	return nil, fmt.Errorf("the emulator has no control %s %s", c.method, c.path)
}

func found(there bool, id string) (any, error) {
	if !there {
		return nil, fmt.Errorf("there is nothing with the id %q", id)
	}
	return done, nil
}
