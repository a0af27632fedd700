package reconciler

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"selvage/fabric/databricks/emulator"
	"selvage/reconciler/ledger"
)

const shopYAML = `
state: %[1]s/state
fabrics:
  production:
    databricks: {host: "%[2]s", token: "${env:TOKEN}", requests_per_second: 1000}
    prophecy_ids: [4004]
policies:
  p: {prune: {max: 2, percent: 100}, heal: true}
projects:
  hello: {git: "file://%[3]s", prophecy_id: 3224, poll: 1s}
deployments:
  - project: hello
    fabric: production
    mode: apply
    policy: p
    follow: {tag: "Shop/*"}
    overlay: {config_instance: prod, tags: {env: prod}}
`

// release is one commit of the shop, tagged with its version.
type release struct {
	version string
	change  func(shop)
}

// step is one thing that happens to the shop, and the version that is live once it is over. What the fabric must
// hold then, and which requests that may take, follows from the versions alone: see (*story).goesTo.
type step struct {
	about    string
	releases []release
	tags     []string        // pushed now, in one push; nil: those of the releases
	apply    func(st *story) // how it comes about; nil: the daemon polls, and goes on by itself
	live     string
}

// TestReleases is the life of a project over many releases, as people who did not read the manual lead it.
func TestReleases(t *testing.T) {
	t.Parallel()
	steps := []step{
		{"the first release, applied by a person", []release{
			{"1.0.0", func(p shop) {
				p.pipelines["ingest"] = shopPipeline{name: "ingest", module: "ingest", code: "return 1"}
				p.pipelines["clean"] = shopPipeline{name: "clean", module: "clean", code: "return 1"}
				p.jobs["daily"] = shopJob{name: "daily", runs: []string{"ingest", "clean"}, fabric: 4004}
				p.jobs["report"] = shopJob{name: "report", runs: []string{"clean"}, fabric: 4004}
			}},
		}, nil, byPerson("1.0.0"), "1.0.0"},

		{"a pipeline and a job are added", []release{
			{"1.1.0", func(p shop) {
				p.pipelines["revenue"] = shopPipeline{name: "revenue", module: "revenue", code: "return 1"}
				p.jobs["weekly"] = shopJob{name: "weekly", runs: []string{"clean", "revenue"}, fabric: 4004}
			}},
		}, nil, nil, "1.1.0"},

		{"a job gets another name", []release{
			{"1.2.0", func(p shop) { p.job("daily", func(j *shopJob) { j.name = "Daily revenue" }) }},
		}, nil, nil, "1.2.0"},

		{"a pipeline gets another name, and its wheel with it", []release{
			{"1.3.0", func(p shop) { p.pipeline("clean", func(x *shopPipeline) { x.name = "clean_orders" }) }},
		}, nil, nil, "1.3.0"},

		{"a pipeline gets another folder: its wheel is the same", []release{
			{"1.4.0", func(p shop) { p.movePipeline("clean", "clean_orders") }},
		}, nil, nil, "1.4.0"},

		{"a release without changes", []release{{"1.5.0", func(shop) {}}}, nil, nil, "1.5.0"},

		{"five releases in one push, while the deployment is suspended", []release{
			{"1.6.0", func(p shop) { delete(p.jobs, "weekly") }},
			{"1.7.0", func(p shop) { p.pipeline("ingest", func(x *shopPipeline) { x.code = "return 2" }) }},
			{"1.8.0", func(p shop) {
				p.jobs["weekly"] = shopJob{name: "weekly", runs: []string{"clean_orders", "revenue"}, fabric: 4004}
			}},
			{"1.9.0", func(p shop) { p.job("report", func(j *shopJob) { j.broken = true }) }},
			{"1.10.0", func(p shop) { p.job("report", func(j *shopJob) { j.broken, j.retries = false, 1 }) }},
		}, nil, whileSuspended, "1.10.0"},

		{"a tag is pushed before the one of the release before it", []release{
			{"1.11.0", func(p shop) { p.job("daily", func(j *shopJob) { j.retries = 1 }) }},
			{"1.12.0", func(p shop) { p.pipeline("revenue", func(x *shopPipeline) { x.code = "return 2" }) }},
		}, []string{"1.12.0"}, nil, "1.12.0"},

		{"the older tag comes late, and changes nothing", nil, []string{"1.11.0"}, nil, "1.12.0"},

		{"a job is dropped, and the pipeline that only it ran", []release{
			{"1.13.0", func(p shop) { delete(p.jobs, "weekly"); delete(p.pipelines, "revenue") }},
		}, nil, nil, "1.13.0"},

		{"it is brought back: the job is a new one, its wheel is there already", []release{
			{"1.14.0", func(p shop) {
				p.pipelines["revenue"] = shopPipeline{name: "revenue", module: "revenue", code: "return 2"}
				p.jobs["weekly"] = shopJob{name: "weekly", runs: []string{"clean_orders", "revenue"}, fabric: 4004}
			}},
		}, nil, nil, "1.14.0"},

		{"a job is dropped, and is back before it was missed twice", []release{
			{"1.15.0", func(p shop) { delete(p.jobs, "report") }},
			{"1.16.0", func(p shop) { p.jobs["report"] = shopJob{name: "report", runs: []string{"clean_orders"}, fabric: 4004} }},
		}, []string{}, oneByOne("1.15.0", "1.16.0"), "1.16.0"},

		{"a job and a pipeline are broken: what is live of them stays, all else goes on", []release{
			{"1.17.0", func(p shop) {
				p.job("weekly", func(j *shopJob) { j.name, j.broken = "every week", true })
				p.pipeline("ingest", func(x *shopPipeline) { x.code, x.broken = "return 3", true })
				p.job("report", func(j *shopJob) { j.retries = 2 })
			}},
		}, nil, nil, "1.17.0"},

		{"both are mended", []release{
			{"1.18.0", func(p shop) {
				p.job("weekly", func(j *shopJob) { j.broken = false })
				p.pipeline("ingest", func(x *shopPipeline) { x.broken = false })
			}},
		}, nil, nil, "1.18.0"},

		{"a job is committed for another fabric: it is left as it is", []release{
			{"1.19.0", func(p shop) { p.job("report", func(j *shopJob) { j.fabric, j.retries = 4005, 3 }) }},
		}, nil, nil, "1.19.0"},

		{"it comes back: the same job goes on", []release{
			{"1.20.0", func(p shop) { p.job("report", func(j *shopJob) { j.fabric = 4004 }) }},
		}, nil, nil, "1.20.0"},

		{"a person goes back to the first release, from before the renames and a job", nil, nil, byPerson("1.0.0"), "1.0.0"},
		{"and the daemon stays there", nil, nil, nil, "1.0.0"},
		{"a person goes forward again", nil, nil, byPerson("1.20.0"), "1.20.0"},

		{"three releases while the daemon is down", []release{
			{"1.21.0", func(p shop) {
				for _, name := range []string{"a", "b", "c"} {
					p.jobs[name] = shopJob{name: "job " + name, runs: []string{"ingest"}, fabric: 4004}
				}
			}},
			{"1.22.0", func(p shop) { p.job("a", func(j *shopJob) { j.retries = 5 }) }},
			{"2.0.0", func(p shop) { p.pipeline("clean_orders", func(x *shopPipeline) { x.code = "return 4" }) }},
		}, nil, whileDown, "2.0.0"},

		{"more jobs are dropped than the budget allows: all of them stay", []release{
			{"2.1.0", func(p shop) { delete(p.jobs, "a"); delete(p.jobs, "b"); delete(p.jobs, "c") }},
		}, nil, nil, "2.1.0"},

		{"one is brought back, and the others go", []release{
			{"2.2.0", func(p shop) { p.jobs["c"] = shopJob{name: "job c", runs: []string{"ingest"}, fabric: 4004} }},
		}, nil, nil, "2.2.0"},

		{"a job gets another folder: by the rules it is a new one, and the old one goes", []release{
			{"2.3.0", func(p shop) { p.moveJob("c", "closing") }},
		}, nil, nil, "2.3.0"},

		{"the configuration says which folder another job is going to get", nil, nil, toldOfMove("report", "customer_report"), "2.3.0"},

		{"it gets that folder, and another name: it is the same job", []release{
			{"2.4.0", func(p shop) {
				p.moveJob("report", "customer_report")
				p.job("customer_report", func(j *shopJob) { j.name = "customers" })
			}},
		}, nil, nil, "2.4.0"},

		{"a version that is older by number and newer in time is passed over", []release{
			{"1.99.0", func(p shop) { p.job("daily", func(j *shopJob) { j.retries = 9 }) }},
		}, nil, nil, "2.4.0"},

		{"everything at once", []release{
			{"2.5.0", func(p shop) {
				p.movePipeline("ingest", "load")
				p.pipeline("load", func(x *shopPipeline) { x.name, x.code = "load", "return 5" })
				p.job("daily", func(j *shopJob) { j.name = "Revenue of the day" })
				delete(p.jobs, "closing")
				p.jobs["monthly"] = shopJob{name: "monthly", runs: []string{"load", "clean_orders", "revenue"}, fabric: 4004, retries: 2}
			}},
		}, nil, nil, "2.5.0"},
	}

	synctest.Test(t, func(t *testing.T) {
		st := &story{site: newBubbleSite(t, emulator.Options{}), released: map[string]shop{}, fabric: map[string]held{}, uploaded: map[string]bool{}, ids: map[int64]bool{}, moves: map[string]string{}}
		st.yaml = shopYAML
		st.shop = shop{map[string]shopPipeline{}, map[string]shopJob{}}
		for i, x := range steps {
			if st.take(x); t.Failed() {
				t.Logf("step %d failed, and the rest would only follow from it", i+1)
				break
			}
		}
		st.shut()
		st.sound()
		t.Logf("%d releases in %d steps: %+v, %d requests", len(st.released), len(steps), st.total, st.requests)
	})
}

// byPerson applies a release as a person who has seen its plan.
func byPerson(version string) func(*story) {
	return func(st *story) {
		d := st.approve("Shop/" + version)
		if d.Revision.Version != version {
			st.t.Errorf("a person asked for %s and got %s: %s", version, d.Revision, d.Result.Text)
		}
	}
}

// whileSuspended polls while the deployment is suspended, which must write nothing, and goes on then.
func whileSuspended(st *story) {
	if err := st.Suspend(st.t.Context(), Suspension{Target: deployment, By: "oncall", Why: "quarter close"}); err != nil {
		st.t.Fatal(err)
	}
	for range 3 {
		st.poll()
		st.round()
	}
	if w := st.written(); w != (writes{}) {
		st.t.Errorf("suspended, and written: %+v", w)
	}
	if err := st.Resume(st.t.Context(), deployment, "oncall"); err != nil {
		st.t.Fatal(err)
	}
	st.round()
}

// whileDown starts the daemon that was stopped before the releases were pushed.
func whileDown(st *story) {
	st.shut()
	st.open()
	st.round()
}

// toldOfMove starts the daemon anew with a configuration that says which folder a job moves to.
func toldOfMove(from, to string) func(*story) {
	return func(st *story) {
		st.shut()
		st.yaml += fmt.Sprintf("    moved: {jobs/%s: jobs/%s}\n", from, to)
		st.moves[from] = to
		st.open()
		st.round()
	}
}

// oneByOne pushes the tags of a step one by one, with a round after each.
func oneByOne(versions ...string) func(*story) {
	return func(st *story) {
		for _, v := range versions {
			st.git(st.work, "push", "-q", "origin", "Shop/"+v)
			st.round()
		}
	}
}

// take takes one step, and checks everything that must hold after it.
func (st *story) take(x step) {
	st.t.Helper()
	tags := x.tags
	for _, r := range x.releases {
		st.shop = st.shop.clone()
		r.change(st.shop)
		if err := st.shop.write(st.work, r.version); err != nil {
			st.t.Fatal(err)
		}
		st.git(st.work, "add", "-A")
		st.git(st.work, "commit", "-q", "--allow-empty", "-m", "[Prophecy] Release version "+r.version)
		st.git(st.work, "tag", "-a", "-m", x.about, "Shop/"+r.version)
		st.released[r.version] = st.shop
		if x.tags == nil {
			tags = append(tags, r.version)
		}
	}
	if st.Reconciler == nil {
		st.open()
	}
	st.workspace.ResetJournal()
	before, _ := st.log.Head()
	st.push(tags)

	next, due := st.goesTo(st.released[x.live], x.live)
	if x.apply != nil {
		x.apply(st)
	} else {
		st.round()
	}
	gone := func(folders []string, but ...string) {
		for _, folder := range folders {
			if !slices.Contains(but, folder) {
				delete(next, folder)
			}
		}
	}
	gone(due.dropped, due.missed...)
	st.holds("after the first round", next)
	st.poll()
	st.round()
	gone(due.dropped)
	st.holds("after the second", next)
	st.fabric = next

	w := st.written()
	if w != due.writes {
		st.t.Errorf("%s: written %+v, due %+v", x.about, w, due.writes)
	}
	st.counts(x, w)
	st.atRest(x, due)
	after, _ := st.log.Head()
	st.t.Logf("%-6s %+v, %d ledger entries: %s", x.live, w, after-before, x.about)
}

// push pushes main and tags in one push.
func (st *story) push(versions []string) {
	args := []string{"push", "-q", "origin", "main"}
	for _, v := range versions {
		args = append(args, "Shop/"+v)
	}
	st.git(st.work, args...)
}

// atRest checks that nothing is left to do, and that nothing happened that must not.
func (st *story) atRest(x step, d due) {
	st.t.Helper()
	p, err := st.Plan(st.t.Context(), deployment, "")
	if err != nil {
		st.t.Fatal(err)
	}
	c := p.Plan.Counts
	if c.Create+c.Update+c.Delete+c.Deferred > 0 || (p.Plan.Digest != "") != d.overBudget || c.Blocked != d.blocked || c.Drifted != 0 {
		st.t.Errorf("%s: a second plan has %s, want %d blocked\n%v\n%v", x.about, c, d.blocked, lines(p.Plan), p.Findings)
	}
	s, err := st.Status(st.t.Context(), deployment)
	if err != nil || s[0].Live.Version != x.live || s[0].Live.Name != "Shop/"+x.live {
		st.t.Errorf("%s: live is %s (%s), want %s; %v", x.about, s[0].Live, s[0].Result.Text, x.live, err)
	}
	for _, v := range st.workspace.Violations() {
		st.t.Errorf("%s: the workspace saw: %s", x.about, v)
	}
	if _, err := ledger.Verify(filepath.Join(st.dir, "state", "ledger")); err != nil {
		st.t.Errorf("%s: %v", x.about, err)
	}
}

// counts checks that a step takes no more requests than its writes explain: a listing for each look, and a few
// reads beside each write.
func (st *story) counts(x step, w writes) {
	st.t.Helper()
	n := len(st.workspace.Requests()) - st.workspace.Count("GET /api/2.0/workspace/export") // those are our own
	st.requests += n
	st.total = writes{st.total.create + w.create, st.total.update + w.update, st.total.delete + w.delete, st.total.upload + w.upload}
	if most := 10 + 2*(w.create+w.update+w.delete) + 3*w.upload; n > most {
		st.t.Errorf("%s: %d requests for %+v, want at most %d", x.about, n, w, most)
	}
}
