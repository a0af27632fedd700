package reconciler_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
	"selvage/fabric/databricks/emulator"
	"selvage/reconciler"
)

// shapeSite is a workspace with a ledger in memory.
type shapeSite struct {
	shapeWorld
	t        *testing.T
	e        *emulator.Workspace
	w        *databricks.Workspace
	root     string
	intents  map[string]fabric.Intent
	owned    map[fabric.Key]reconciler.Owning
	absences map[fabric.Key]reconciler.Absence
	failed   map[fabric.Key]error
	refusals int // requests that the workspace was meant to refuse
}

func newShapeSite(t *testing.T, sw shapeWorld) *shapeSite {
	t.Helper()
	sw.o.Token = "shapes-token"
	x := &shapeSite{shapeWorld: sw, t: t, e: emulator.New(sw.o), intents: map[string]fabric.Intent{}, owned: map[fabric.Key]reconciler.Owning{},
		absences: map[fabric.Key]reconciler.Absence{}, failed: map[fabric.Key]error{}}
	url, stop, err := x.e.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	store, err := artifacts.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	x.w, err = databricks.New(databricks.Options{Name: "place", Installation: "inst0001", Blobs: store, Config: configs.Databricks{Host: url, RequestsPerSecond: 1e6,
		Attributes: map[string]configs.Secret{"auth_type": configs.NewSecret("pat"), "token": configs.NewSecret(sw.o.Token)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.w.Close)
	x.e.SetPipeline("3f1c5a8e-0000-4000-8000-000000000001")
	t.Cleanup(func() {
		if v := x.e.Violations(); len(v) != x.refusals {
			t.Errorf("the workspace refused %d requests, expected %d:\n%s", len(v), x.refusals, strings.Join(v, "\n"))
		}
	})
	return x
}

func (x *shapeSite) render(shapes []shape, rng *rand.Rand) *fabric.Desired {
	x.t.Helper()
	desired, _, err := x.w.Render(committed(x.t, shapes, rng), fabric.Binding{Installation: "inst0001", Deployment: "shapes@place", Tag: "Shapes/1.0.0", Version: "1.0.0",
		ProjectID: "3224", FabricIDs: []string{"17"}, Root: "/Workspace/Users/me/.selvage/artifacts", Isolation: []string{"*.prophecy.io"}, ManagedBy: x.says})
	if err != nil {
		x.t.Fatal(err)
	}
	return desired
}

// plan looks and plans; what others have to put there is looked for.
func (x *shapeSite) plan(shapes []shape, rng *rand.Rand) reconciler.Plan {
	x.t.Helper()
	var owned []fabric.Owned
	for k, o := range x.owned {
		owned = append(owned, fabric.Owned{Owner: fabric.Owner{Deployment: "shapes@place", Key: k}, Kind: o.Kind, ID: o.ID})
	}
	live := x.look(fabric.Scope{Owned: owned})
	in := x.input(x.render(shapes, rng), live)
	p := reconciler.NewPlan(in)
	if len(p.Asks) > 0 {
		var err error
		if in.Outside, err = x.w.Outside(x.t.Context(), p.Asks); err != nil {
			x.t.Fatal(err)
		}
		p = reconciler.NewPlan(in)
	}
	if len(p.Reads) > 0 {
		in.Live = live.Updated(x.look(fabric.Scope{Only: p.Reads}))
		p = reconciler.NewPlan(in)
	}
	if len(p.Runs) > 0 { // of what is to be deleted
		var ids []string
		for _, k := range p.Runs {
			ids = append(ids, x.owned[k].ID)
		}
		active, err := x.w.Active(x.t.Context(), databricks.Job, ids)
		if err != nil {
			x.t.Fatal(err)
		}
		in.Active = map[fabric.Key]int{}
		for _, k := range p.Runs {
			if n, known := active[x.owned[k].ID]; known {
				in.Active[k] = n
			}
		}
		p = reconciler.NewPlan(in)
	}
	return p
}

func (x *shapeSite) look(s fabric.Scope) *fabric.Live {
	x.t.Helper()
	live, err := x.w.Observe(x.t.Context(), s)
	if err != nil {
		x.t.Fatal(err)
	}
	return live
}

func (x *shapeSite) input(desired *fabric.Desired, live *fabric.Live) reconciler.PlanInput {
	return reconciler.PlanInput{Installation: "inst0001", Deployment: "shapes@place", Desired: desired, Live: live, Rules: x.w.Rules, Owned: x.owned,
		Absences: x.absences, Sighting: time.Now(), Apart: time.Minute, Prune: configs.Prune{Max: 10_000, Percent: 100, ActiveRuns: configs.RunsIgnore}, Heal: true}
}

// planOne plans for one job whose live settings are these, without asking the workspace.
func (x *shapeSite) planOne(k fabric.Key, res fabric.Resource, settings map[string]any) fabric.Change {
	x.t.Helper()
	tags, _ := settings["tags"].(map[string]any)
	tag := func(name string) string { s, _ := tags["selvage-"+name].(string); return s }
	o := x.owned[k]
	name, _ := settings["name"].(string)
	obj := fabric.Object{ID: o.ID, Kind: o.Kind, Name: name, Managed: true, Doc: fabric.NewDoc(unmarkedTags(settings)),
		Mark: fabric.Mark{Installation: tag("installation"), Deployment: tag("deployment"), Key: tag("key"), Nonce: tag("nonce")}}
	desired := fabric.NewDesired()
	desired.Add(res)
	in := x.input(desired, fabric.NewLive(time.Now(), true, x.root, []fabric.Object{obj}, nil))
	in.Owned = map[fabric.Key]reconciler.Owning{k: o}
	in.Outside = map[fabric.Outside]fabric.Sight{}
	for _, t := range res.Outside {
		in.Outside[t] = fabric.Sight{Presence: fabric.Present}
	}
	return change(x.t, reconciler.NewPlan(in), k)
}

// apply plans for the shapes, does what the plan says, and reads back what was touched.
func (x *shapeSite) apply(shapes []shape) reconciler.Plan {
	x.t.Helper()
	p := x.plan(shapes, nil)
	x.do(p)
	for _, k := range p.Released { // an access list that a definition no longer has
		delete(x.owned, k)
	}
	var only []fabric.Owned
	for _, c := range p.Free() {
		if o, ours := x.owned[c.Key]; ours {
			only = append(only, fabric.Owned{Owner: c.Owner, Kind: o.Kind, ID: o.ID})
		}
	}
	var apart []fabric.Owned
	for _, w := range only {
		if w.Kind.Attached() {
			apart = append(apart, w)
		}
	}
	live := x.look(fabric.Scope{}) // all at once: nearly all were touched
	if len(apart) > 0 {
		live = live.Updated(x.look(fabric.Scope{Only: apart}))
	}
	for _, w := range only {
		obj, seen, _ := live.Lookup("inst0001", w.Kind, w.Owner, w.ID)
		if seen != fabric.Present {
			x.t.Fatalf("%s is %s after it was written", w.Key, seen)
		}
		o := x.owned[w.Key]
		o.Read = obj.Doc
		x.owned[w.Key] = o
	}
	return p
}

// do carries out what may be done of a plan, each step after those that it waits for.
func (x *shapeSite) do(p reconciler.Plan) {
	x.t.Helper()
	x.failed = map[fabric.Key]error{}
	waiting := x.w.Steps(p.Free())
	done := map[string]bool{}
	for len(waiting) > 0 {
		i := slices.IndexFunc(waiting, func(s fabric.Step) bool {
			return !slices.ContainsFunc(s.After, func(id string) bool { return !done[id] })
		})
		if i < 0 {
			x.t.Fatalf("%d steps wait for each other: %s", len(waiting), waiting[0].ID)
		}
		s := waiting[i]
		waiting = slices.Delete(waiting, i, i+1)
		for i, c := range s.Changes {
			s.Changes[i].Desired = c.Desired.Resolve(x.resolve)
		}
		out := x.w.Do(x.t.Context(), s, x)
		done[s.ID] = true
		for _, r := range out.Results {
			if r.Status != fabric.Done {
				x.failed[r.Key] = r.Err
			}
			if r.Status == fabric.Refused && !strings.Contains(r.Err.Error(), "FEATURE_DISABLED") { // which nobody can know before
				x.refusals++
			}
		}
	}
}

func (x *shapeSite) resolve(r fabric.Ref) (any, bool) {
	o, ours := x.owned[r.Key]
	n, err := strconv.ParseInt(o.ID, 10, 64)
	return n, ours && err == nil
}

func (x *shapeSite) id(k fabric.Key) int64 {
	n, err := strconv.ParseInt(x.owned[k].ID, 10, 64)
	if err != nil {
		x.t.Fatal(err)
	}
	return n
}

// settings are those of the live job.
func (x *shapeSite) settings(k fabric.Key) map[string]any {
	x.t.Helper()
	j, found := x.e.Job(x.id(k))
	if !found {
		x.t.Fatalf("%s is not there", k)
	}
	return decoded(x.t, j.Settings)
}

// empty fails the test unless there is nothing to do.
func (x *shapeSite) empty(when string, p reconciler.Plan) {
	x.t.Helper()
	for _, c := range p.Changes {
		if c.Action != fabric.Keep || c.Hindrance != fabric.Free || c.Labels > 0 {
			x.t.Errorf("%s: %s: %s %s %q, %d labels: %s", when, c.Key, c.Action, c.Hindrance, pathsOf(c), c.Labels, c.Reason.Text)
		}
	}
	if !p.Empty() {
		x.t.Errorf("%s: the plan is not empty", when)
	}
}

// refuses looks whether the workspace would refuse the definition, too.
func (x *shapeSite) refuses(s shape) {
	x.t.Helper()
	request := copyOf(s.request).(map[string]any)
	tags, _ := request["tags"].(map[string]any)
	if tags == nil {
		tags = map[string]any{}
		request["tags"] = tags
	}
	for _, name := range []string{"installation", "deployment", "key", "nonce", "wrote"} {
		tags["selvage-"+name] = "x"
	}
	if id, err := x.e.CreateJob(written(request, nil)); err == nil {
		x.t.Errorf("%s: the workspace takes it", s.name)
		_ = x.e.DeleteJob(id) // it is there
	}
}
