package databricks

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// kinds of things that go by a name, as the emulator calls them.
var kinds = map[string]fabric.OutsideKind{
	"pipeline": fabric.NamedPipeline, "warehouse": fabric.NamedWarehouse, "policy": fabric.NamedPolicy,
	"pool": fabric.NamedPool, "cluster": fabric.NamedCluster, "destination": fabric.NamedDestination,
}

// setThings makes things of every kind, more than a page of them, and says what looking for them should come to.
func setThings(t *testing.T, e *emulator.Workspace) map[fabric.Outside]fabric.Sight {
	t.Helper()
	want := map[fabric.Outside]fabric.Sight{}
	for kind, k := range kinds {
		set := func(name string) string {
			id, err := e.SetThing(kind, name)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		set("twice")
		for i := range 120 {
			set(fmt.Sprint("another ", i))
		}
		want[fabric.Outside{Kind: k, Name: "BI"}] = fabric.Sight{Presence: fabric.Present, ID: set("BI"), Count: 1}
		set("bi")
		set("BI 2")
		set("twice")
		e.HideThing(set("hidden"))
		e.DropThing(set("dropped"))
		want[fabric.Outside{Kind: k, Name: "O'Hara's"}] = fabric.Sight{Presence: fabric.Present, ID: set("O'Hara's"), Count: 1}
		want[fabric.Outside{Kind: k, Name: "a_b%"}] = fabric.Sight{Presence: fabric.Present, ID: set("a_b%"), Count: 1}
		set("axb and more")
		want[fabric.Outside{Kind: k, Name: "twice"}] = fabric.Sight{Presence: fabric.Present, Count: 2}
		for _, name := range []string{"hidden", "dropped", "nobody's", "B"} {
			want[fabric.Outside{Kind: k, Name: name}] = fabric.Sight{Presence: fabric.Absent}
		}
	}
	e.SetJobCluster("BI")
	e.SetJobCluster("nobody's")
	return want
}

// TestNamed looks for things of every kind by their names, all at once and one by one.
func TestNamed(t *testing.T) {
	for name, u := range map[string]emulator.Unverified{"likely": {}, "otherwise": {ClusterFilterIgnored: true, LikeIgnoresCase: true}} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t, emulator.Options{Unverified: u}, Options{})
			want := setThings(t, r.e)
			var all []fabric.Outside
			for o := range want {
				all = append(all, o, o)
			}
			got, err := r.w.Outside(t.Context(), all)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
			// Two pages of each kind but of those that have none.
			if n := r.e.Count("GET *"); n != 2*len(kinds)-2 {
				t.Errorf("%d requests", n)
			}
			for o, s := range want {
				got, err := r.w.Outside(t.Context(), []fabric.Outside{o})
				if diff := cmp.Diff(map[fabric.Outside]fabric.Sight{o: s}, got); diff != "" || err != nil {
					t.Errorf("%s: %v\n%s", o, err, diff)
				}
			}
		})
	}
}

// TestNamedFaults: whatever goes wrong, on the first page or on the second, nothing becomes absent by it.
func TestNamedFaults(t *testing.T) {
	for name, f := range map[string]emulator.Fault{
		"403":           {Status: http.StatusForbidden},
		"404":           {Status: http.StatusNotFound, Body: `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"x does not exist"}`},
		"400":           {Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"x does not exist"}`},
		"500":           {Status: http.StatusInternalServerError},
		"closed":        {Close: true},
		"cut":           {Cut: 40},
		"not JSON":      {Status: http.StatusOK, Body: "<html>"},
		"another list":  {Status: http.StatusOK, Body: `{"statuses":{},"warehouses":{},"policies":{},"instance_pools":{},"clusters":{},"results":{}}`},
		"no ids":        {Status: http.StatusOK, Body: `{"statuses":[{}],"warehouses":[{}],"policies":[{}],"instance_pools":[{}],"clusters":[{}],"results":[{}]}`},
		"an odd token":  {Status: http.StatusOK, Body: `{"next_page_token":7}`},
		"no end":        {Status: http.StatusOK, Body: `{"next_page_token":"again"}`},
		"ids as number": {Status: http.StatusOK, Body: `{"statuses":[{"pipeline_id":1,"name":"BI"}],"warehouses":[{"id":1,"name":"BI"}],"policies":[{"policy_id":1,"name":"BI"}],"instance_pools":[{"instance_pool_id":1,"instance_pool_name":"BI"}],"clusters":[{"cluster_id":1,"cluster_name":"BI"}],"results":[{"id":1,"display_name":"BI"}]}`},
	} {
		for _, skip := range []int{0, 1} {
			t.Run(fmt.Sprint(name, " after ", skip), func(t *testing.T) {
				inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
					f.Pattern, f.Times, f.Offset = "GET *", -1, skip
					r.e.Fault(f)
					for kind, k := range kinds {
						for range 150 {
							if _, err := r.e.SetThing(kind, "BI"); err != nil {
								t.Fatal(err)
							}
						}
						if skip > 0 && (kind == "policy" || kind == "pool") {
							continue // without a second page
						}
						r.e.ClearFaults()
						r.e.Fault(f)
						one, other := fabric.Outside{Kind: k, Name: "BI"}, fabric.Outside{Kind: k, Name: "nobody's"}
						seen, err := r.w.Outside(t.Context(), []fabric.Outside{one, other})
						if diff := cmp.Diff(map[fabric.Outside]fabric.Sight{one: {}, other: {}}, seen); diff != "" || err != nil {
							t.Errorf("%s: %v\n%s", kind, err, diff)
						}
					}
				})
			})
		}
	}
}
