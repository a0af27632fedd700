package reconciler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks"
	"selvage/fabric/databricks/emulator"
	"selvage/reconciler"
)

// shapeWorld is a kind of workspace that all shapes are deployed to.
type shapeWorld struct {
	name  string
	o     emulator.Options
	edits int    // of one definition, at most, that are planned for
	heals int    // of one definition that are put right
	takes int    // fields that are taken out of one definition
	large bool   // of the definitions only those of half a megabyte and more; else only the others
	says  string // how jobs say whose they are
}

// shapePolicies are cluster policies: what they fix is put into clusters that name them.
var shapePolicies = map[string]map[string]any{
	"9A3F": {"spark_version": "15.4.x-scala2.12", "custom_tags": map[string]any{"cost_center": "7", "policy": "small"}, "spark_conf": map[string]any{"spark.shop.guard": "on"},
		"cluster_log_conf": map[string]any{"volumes": map[string]any{"destination": "/Volumes/main/shop/logs"}}},
	"BEEF": {"runtime_engine": "PHOTON", "num_workers": json.Number("1"), "spark_env_vars": map[string]any{"GUARD": "on"},
		"init_scripts": []any{map[string]any{"workspace": map[string]any{"destination": "/Shared/guard.sh"}}}, "aws_attributes": map[string]any{"zone_id": "auto"}},
	"D00D": {},
}

func shapeWorlds() []shapeWorld {
	var worlds []shapeWorld
	for i, p := range []emulator.Profile{emulator.AWS, emulator.Azure, emulator.GCP} {
		worlds = append(worlds,
			shapeWorld{name: string(p), o: emulator.Options{Profile: p, Seed: int64(i)}, says: configs.ManagedByDescription},
			shapeWorld{name: string(p) + " with policies", o: emulator.Options{Profile: p, Seed: int64(i), Policies: shapePolicies}, says: configs.ManagedByDescription})
	}
	unlikely := emulator.Unverified{ListOmitsDefaults: true, ListByOffset: true, TasksAsSent: true, ListsReordered: true, ResetReorders: true, JobClustersBare: true,
		QueueHidesDisabled: true, QueueKept: true, MissingIs404: true, EnvironmentEcho: "client", EmptyBlocksDropped: true, EmailsLowered: true,
		EmailFlagEchoed: true, EmptyTagsEchoed: true, RetriesEchoed: true, DeltaPreview: true, RunJobUnchecked: true, TriggersPreview: true, BudgetPolicy: "b"}
	worlds = append(worlds, shapeWorld{name: "unlikely", o: emulator.Options{Seed: 9, Policies: shapePolicies, Unverified: unlikely}, says: configs.ManagedByLock},
		shapeWorld{name: "renamed", o: emulator.Options{Seed: 10, Unverified: emulator.Unverified{EnvironmentEcho: "environment_version"}}, says: configs.ManagedByNone})
	for i := range worlds {
		worlds[i].edits, worlds[i].heals = 8, 1
	}
	worlds[0].edits, worlds[0].heals, worlds[0].takes = 1000, 1000, 2
	worlds[1].edits, worlds[1].heals, worlds[1].takes = 40, 2, 1 // with policies
	worlds[6].heals, worlds[6].takes = 2, 1                      // unlikely
	if reconciler.UnderRace {
		worlds = worlds[6:7]
	}
	return append(worlds, shapeWorld{name: "large", o: emulator.Options{}, large: true, says: configs.ManagedByDescription})
}

// TestShapes deploys every definition of testdata/shapes to every kind of workspace. In each: what was deployed is no
// change, not even to a selvage that has forgotten what it sent; a definition in another order is none; one field edited
// in the workspace is named, that one alone, and put right; a field taken out of a definition is named and goes; what a
// definition is over a limit by is named, and nothing is written; and what is gone from git is deleted, once.
func TestShapes(t *testing.T) {
	t.Parallel()
	shapes := loadShapes(t)
	if len(shapes) < 80 {
		t.Fatalf("only %d definitions", len(shapes))
	}
	var mu sync.Mutex
	var total shapeCounts
	began := time.Now()
	t.Run("in", func(t *testing.T) {
		for _, sw := range shapeWorlds() {
			t.Run(sw.name, func(t *testing.T) {
				t.Parallel()
				n := inShapeWorld(t, sw, shapes)
				mu.Lock()
				defer mu.Unlock()
				total.add(n)
			})
		}
	})
	if total.deployed > 1000 && (total.edits < 10_000 || total.healed < 1000 || total.ignored < 500) {
		t.Errorf("too little was edited: %+v", total)
	}
	if reconciler.UnderRace {
		return
	}
	shapesReport(t, "shapes: %d definitions in %d workspaces in %.0f s: %d deployed, %d refused as expected, %d live edits planned for (%d of them no drift, %d refused by the workspace), %d put right, %d fields taken out of definitions",
		len(shapes), len(shapeWorlds()), time.Since(began).Seconds(), total.deployed, total.refused, total.edits, total.ignored, total.rejected, total.healed, total.removed)
}

type shapeCounts struct{ deployed, refused, edits, ignored, rejected, healed, removed int }

func (c *shapeCounts) add(n shapeCounts) {
	c.deployed += n.deployed
	c.refused += n.refused
	c.edits += n.edits
	c.ignored += n.ignored
	c.rejected += n.rejected
	c.healed += n.healed
	c.removed += n.removed
}

func inShapeWorld(t *testing.T, sw shapeWorld, shapes []shape) shapeCounts {
	x := newShapeSite(t, sw)
	var n shapeCounts
	shapes = slices.DeleteFunc(slices.Clone(shapes), func(s shape) bool { return s.size > 1<<19 != sw.large })

	// Deployed: what can be, and what can't is refused by name.
	p := x.apply(shapes)
	var live []shape
	for _, s := range shapes {
		c := change(t, p, s.key())
		failed := x.failed[s.key()]
		delete(x.failed, s.key())
		switch code := s.code; {
		case code == "fabric_refused" && !(s.name == "triggers" && sw.o.Unverified.TriggersPreview):
			n.refused++
			if failed == nil || !strings.Contains(failed.Error(), s.says) {
				t.Errorf("%s: the workspace said %v, expected %q in it", s.name, failed, s.says)
			}
		case code != "" && code != "fabric_refused":
			n.refused++
			if c.Hindrance != fabric.Blocked || c.Reason.Code != code || !strings.HasSuffix(c.Reason.Subject, "databricks-job.json: "+s.says) {
				t.Errorf("%s: %s %s %q: %s; expected %s of %s", s.name, c.Action, c.Hindrance, c.Reason.Subject, c.Reason.Text, code, s.says)
			}
			x.refuses(s)
		default:
			if c.Action != fabric.Create || c.Hindrance != fabric.Free || failed != nil {
				t.Errorf("%s: %s %s %s: %v", s.name, c.Action, c.Hindrance, c.Reason.Text, failed)
				continue
			}
			n.deployed++
			live = append(live, s)
		}
	}
	if jobs := x.e.Jobs(); len(jobs) != len(live) {
		t.Errorf("%d jobs are there, expected %d", len(jobs), len(live))
	}
	x.saysWhose(live)
	x.empty("deployed", x.plan(live, nil))
	if !sw.large { // each look at ten megabytes takes its time
		x.empty("in another order", x.plan(live, rand.New(rand.NewPCG(uint64(sw.o.Seed), 1))))
		x.forgetting("deployed", live)
	}

	var heals map[fabric.Key][]edit
	if sw.edits > 0 {
		heals = x.plansEdits(live, &n)
	}
	for round := range sw.heals {
		if !x.heal(live, heals, round, &n) {
			break
		}
	}
	for round := range sw.takes {
		x.withdraw(live, round, &n)
	}
	x.prunes(live)
	return n
}

// saysWhose looks whether the jobs say in the workspace that they are ours.
func (x *shapeSite) saysWhose(live []shape) {
	x.t.Helper()
	const line = "Managed by Selvage (deployment shapes@place, installation inst0001). Change it in git, not here."
	for _, s := range live {
		settings := x.settings(s.key())
		description, _ := settings["description"].(string)
		committed, _ := s.request["description"].(string)
		block, _ := settings["deployment"].(map[string]any)
		metadata, _ := block["metadata_file_path"].(string)
		_, there := x.e.Files()[metadata]
		switch has := strings.HasSuffix(description, line); {
		case x.says == configs.ManagedByDescription && has == (s.name == "description_full"):
			x.t.Errorf("%s: its description is %.200q", s.name, description)
		case x.says == configs.ManagedByDescription && has && !strings.HasPrefix(description, committed) && s.name != "labels":
			x.t.Errorf("%s: its description is %.200q, and it was committed as %.200q", s.name, description, committed)
		case x.says != configs.ManagedByDescription && has:
			x.t.Errorf("%s: its description is %.200q", s.name, description)
		case x.says == configs.ManagedByLock && (settings["edit_mode"] != "UI_LOCKED" || block["kind"] != "BUNDLE" || !there):
			x.t.Errorf("%s: %v, %v, file there: %v", s.name, settings["edit_mode"], block, there)
		case x.says == configs.ManagedByNone && s.name != "locked" && (block != nil || settings["edit_mode"] != "EDITABLE"):
			x.t.Errorf("%s: %v, %v", s.name, settings["edit_mode"], block)
		}
	}
}

// forgetting plans as a selvage that has lost what it sent and read: the tables alone have to say what is no difference.
func (x *shapeSite) forgetting(when string, live []shape) {
	x.t.Helper()
	kept := x.owned
	x.owned = map[fabric.Key]reconciler.Owning{}
	for k, o := range kept {
		o.Sent, o.Read = fabric.Doc{}, fabric.Doc{}
		x.owned[k] = o
	}
	x.empty(when+", and forgotten what was sent", x.plan(live, nil))
	x.owned = kept
}

// alike is in how many jobs one place is edited in one way.
const alike = 3

// plansEdits edits each live job in each way that there is, one at a time, and looks at the plan for it.
func (x *shapeSite) plansEdits(live []shape, n *shapeCounts) map[fabric.Key][]edit {
	t := x.t
	desired := x.render(live, nil)
	heals := map[fabric.Key][]edit{}
	tried := map[string]int{}
	x.e.Snapshot("before")
	for _, s := range live {
		k := s.key()
		res, _ := desired.Lookup(k)
		res.Doc = res.Doc.Resolve(x.resolve)
		asked, before := res.Doc.Object(), x.settings(k)
		edits := editsOf(before)
		most := x.edits
		if s.size > 20_000 { // each edit costs what the whole job does
			most = min(most, 6)
		}
		h := fnv.New64a()
		h.Write([]byte(s.name)) // a hash never fails
		rng := rand.New(rand.NewPCG(uint64(x.o.Seed), h.Sum64()))
		rng.Shuffle(len(edits), func(i, j int) { edits[i], edits[j] = edits[j], edits[i] })
		// What most jobs have in common is edited in a few of them. A cluster's fields depend on each other.
		kept := 0
		edits = slices.DeleteFunc(edits, func(e edit) bool {
			kind := e.kind
			if valueAt(asked, e.way) == nil { // what nobody asked for is another matter
				kind += " unasked"
			}
			tried[kind]++
			kept++
			return kept > 10 && tried[kind] > alike && !strings.Contains(kind, "new_cluster")
		})
		for _, e := range edits[:min(most, len(edits))] {
			if err := x.e.EditJob(x.id(k), e.do); err != nil {
				n.rejected++
				continue
			}
			n.edits++
			now := x.settings(k)
			want := (&oracle{}).changed(unmarkedTags(asked), unmarkedTags(before), unmarkedTags(now))
			c := x.planOne(k, res, now)
			got := pathsOf(c)
			if len(want) == 1 && strings.HasSuffix(want[0], "pause_status") && pausedIn(before, now, want[0]) {
				// Who pauses a job means it.
				if len(got) != 0 || c.Action != fabric.Keep || c.Reason.Code != configs.PausedByHand {
					t.Errorf("%s: %s: %s of %q, %s", s.name, e.what, c.Action, got, c.Reason.Text)
				}
				n.ignored++
				x.e.Restore("before")
				continue
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s: the plan names %q, expected %q", s.name, e.what, got, want)
			}
			if len(want) == 0 {
				n.ignored++
			} else {
				heals[k] = append(heals[k], e)
				if c.Cause != fabric.Drift || c.Action != fabric.Update || c.Hindrance != fabric.Free {
					t.Errorf("%s: %s: %s by %s, %s", s.name, e.what, c.Action, c.Cause, c.Reason.Text)
				}
			}
			x.e.Restore("before")
		}
	}
	return heals
}

// pausedIn reports that settings pause what started the job before, at a path such as schedule.pause_status.
func pausedIn(before, now map[string]any, path string) bool {
	field, _, _ := strings.Cut(path, ".")
	starter, _ := now[field].(map[string]any)
	return before[field] != nil && starter["pause_status"] == "PAUSED"
}

// heal edits the next field of every job that has one, and puts all of them right. It reports whether there was any.
func (x *shapeSite) heal(live []shape, heals map[fabric.Key][]edit, round int, n *shapeCounts) bool {
	t := x.t
	before := map[fabric.Key]map[string]any{}
	done, paths := map[fabric.Key]edit{}, map[fabric.Key][]string{}
	desired := x.render(live, nil)
	for _, s := range live {
		k := s.key()
		all := heals[k]
		if len(all) == 0 {
			t.Fatalf("%s: no edit of it is drift", s.name)
		}
		if round >= len(all) {
			continue
		}
		before[k], done[k] = x.settings(k), all[round]
		if err := x.e.EditJob(x.id(k), done[k].do); err != nil {
			t.Fatalf("%s: %s: %v", s.name, done[k].what, err)
		}
		res, _ := desired.Lookup(k)
		paths[k] = (&oracle{}).changed(res.Doc.Resolve(x.resolve).Object(), unmarkedTags(before[k]), unmarkedTags(x.settings(k)))
	}
	if len(done) == 0 {
		return false
	}
	resets := x.e.Count("POST /api/2.2/jobs/reset")
	p := x.apply(live)
	for _, s := range live {
		k := s.key()
		if _, edited := done[k]; !edited {
			continue
		}
		if c := change(t, p, k); !slices.Equal(pathsOf(c), paths[k]) || len(paths[k]) == 0 || c.Cause != fabric.Drift {
			t.Errorf("%s: %s: the plan names %q by %s, expected %q", s.name, done[k].what, pathsOf(c), c.Cause, paths[k])
		}
		n.healed++
		if left := (&oracle{anyway: true}).changed(nil, withoutTag(before[k], "selvage-wrote"), withoutTag(x.settings(k), "selvage-wrote")); len(left) > 0 {
			t.Errorf("%s: %s: it was put right, and differs from before in %q", s.name, done[k].what, left)
		}
	}
	if sent := x.e.Count("POST /api/2.2/jobs/reset") - resets; sent != len(done) {
		t.Errorf("%d resets put %d jobs right", sent, len(done))
	}
	x.empty("put right", x.plan(live, nil))
	return true
}

// withdraw takes a field out of every definition, and puts it back.
func (x *shapeSite) withdraw(live []shape, round int, n *shapeCounts) {
	t := x.t
	rng := rand.New(rand.NewPCG(uint64(x.o.Seed), uint64(round)))
	edited := slices.Clone(live)
	what := map[fabric.Key]string{}
	for i, s := range live {
		edited[i].request = copyOf(s.request).(map[string]any)
		// Of what holds no other part of the job together.
		var can [][]any
		objects := [][]any{nil}
		for _, list := range []string{"tasks", "job_clusters"} {
			elements, _ := s.request[list].([]any)
			for j := range min(len(elements), 3) {
				objects = append(objects, []any{list, j}, []any{list, j, "new_cluster"})
			}
		}
		for _, way := range objects {
			m, _ := valueAt(s.request, way).(map[string]any)
			for k := range m {
				if !slices.Contains([]string{"name", "tasks", "task_key", "job_cluster_key", "job_clusters", "environments", "new_cluster", "spark_version", "environment_key", "policy_id",
					"instance_pool_id", "tags", "num_workers", "existing_cluster_id"}, k) && !strings.HasSuffix(k, "_task") {
					can = append(can, append(slices.Clip(way), k))
				}
			}
		}
		if len(can) == 0 {
			continue
		}
		slices.SortFunc(can, func(a, b []any) int { return strings.Compare(fmt.Sprint(a...), fmt.Sprint(b...)) })
		way := can[rng.IntN(len(can))]
		what[s.key()] = fmt.Sprint(way...)
		putAt(edited[i].request, way, nil)
	}
	asked, sent := x.render(edited, nil), maps.Clone(x.owned)
	was := map[fabric.Key]map[string]any{}
	for _, s := range live {
		was[s.key()] = x.settings(s.key())
	}
	p := x.apply(edited)
	for _, s := range edited {
		k := s.key()
		res, _ := asked.Lookup(k)
		before, now := sent[k].Sent.Object(), res.Doc.Resolve(x.resolve).Object()
		// What is not as we last sent it, unless it happens to be live already; what is write-only is never to be seen there.
		want := (&oracle{anyway: true}).changed(now, before, now)
		differs := (&oracle{anyway: true}).changed(now, unmarkedTags(was[k]), now)
		want = slices.DeleteFunc(want, func(p string) bool {
			return !slices.Contains(differs, p) && !strings.HasSuffix(p, ".condition") && !strings.HasSuffix(p, ".apply_policy_default_values")
		})
		c := change(t, p, k)
		if !slices.Equal(pathsOf(c), want) || len(want) > 0 && c.Cause != fabric.Commit {
			t.Errorf("%s: without %s the plan names %q by %s, expected %q", s.name, what[k], pathsOf(c), c.Cause, want)
		}
		n.removed += len(want)
	}
	x.empty("a field less", x.plan(edited, nil))
	x.forgetting("a field less", edited)
	x.apply(live)
	x.empty("the field again", x.plan(live, nil))
}

// prunes takes all shapes out of git.
func (x *shapeSite) prunes(live []shape) {
	t := x.t
	p := x.plan(nil, nil)
	if len(p.Free()) > 0 || len(p.Absent) != len(live) {
		t.Fatalf("absent once: %d to do, %d absent of %d", len(p.Free()), len(p.Absent), len(live))
	}
	for _, k := range p.Absent {
		x.absences[k] = reconciler.Absence{Sighting: time.Now().Add(-time.Hour), Listing: time.Now().Add(-time.Hour)}
	}
	p = x.plan(nil, nil)
	x.do(p)
	if deletes := x.e.Count("POST /api/2.2/jobs/delete"); deletes != len(live) || len(x.e.Jobs()) != 0 || len(x.owned) != 0 {
		t.Errorf("%d deletions of %d jobs, %d are left, %d are ours", deletes, len(live), len(x.e.Jobs()), len(x.owned))
	}
	x.do(p) // once more, as after an answer that was lost
	for k, err := range x.failed {
		t.Errorf("deleted again: %s: %v", k, err)
	}
	if p = x.plan(nil, nil); len(p.Changes) != 0 || len(x.e.Jobs()) != 0 {
		t.Errorf("%d changes are left", len(p.Changes))
	}
}

// shapesReport logs a line and adds it to the file of SELVAGE_TEST_REPORT, which `make test` prints.
func shapesReport(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	name := os.Getenv("SELVAGE_TEST_REPORT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, p reconciler.Plan, k fabric.Key) fabric.Change {
	t.Helper()
	for _, c := range p.Changes {
		if c.Key == k {
			return c
		}
	}
	t.Fatalf("the plan has nothing for %s", k)
	return fabric.Change{}
}

func pathsOf(c fabric.Change) []string {
	var paths []string
	for _, f := range c.Fields {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	return paths
}

// unmarkedTags are settings without the tags of the mark.
func unmarkedTags(settings map[string]any) map[string]any { return withoutTag(settings, "selvage-") }

// withoutTag is a copy without the tags whose names begin so.
func withoutTag(settings map[string]any, prefix string) map[string]any {
	m := maps.Clone(settings)
	tags, _ := m["tags"].(map[string]any)
	tags = maps.Clone(tags)
	maps.DeleteFunc(tags, func(name string, _ any) bool { return strings.HasPrefix(name, prefix) })
	delete(m, "tags")
	if len(tags) > 0 {
		m["tags"] = tags
	}
	return m
}

var _ fabric.Journal = (*shapeSite)(nil)

// Begin and End are the ledger of a shapeSite.
func (x *shapeSite) Begin(ctx context.Context, i fabric.Intent) (context.Context, error) {
	x.intents[i.Nonce] = i
	return fabric.WithPermit(ctx, i, nil), nil
}

func (x *shapeSite) End(_ context.Context, nonce string, rs ...fabric.Result) error {
	i := x.intents[nonce]
	for n, k := range i.Keys {
		if rs[n].Status != fabric.Done {
			continue
		}
		if i.Op == fabric.OpDelete {
			delete(x.owned, k)
			delete(x.owned, fabric.Attach(k, fabric.Permissions))
			continue
		}
		o := x.owned[k]
		o.Kind, o.ID, o.Sent, o.Read = databricks.Job, rs[n].ID, i.Sent[n], fabric.Doc{}
		if _, attached := k.AttachedTo(fabric.Permissions); attached {
			o.Kind = fabric.Permissions
		}
		x.owned[k] = o
	}
	return nil
}
