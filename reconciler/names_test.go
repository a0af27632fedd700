package reconciler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

var warehouse = fabric.Outside{Kind: fabric.NamedWarehouse, Name: "BI"}

// refersTo is a job that refers to things by their names.
func refersTo(k fabric.Key, x string, things ...fabric.Outside) fabric.Resource {
	root := map[string]any{"x": json.Number(x)}
	for i, t := range things {
		root[fmt.Sprint("id", i)] = t.Ref()
	}
	return fabric.Resource{Key: k, Kind: "job", Name: string(k), Doc: fabric.NewDoc(root), Outside: things}
}

func TestNewPlanNames(t *testing.T) {
	t.Parallel()
	live := fabric.Outside{Kind: fabric.NamedJob, Name: "theirs"}
	theirs := func(id string) fabric.Object { return fabric.Object{ID: id, Kind: "job", Name: "theirs"} }
	found := func(s fabric.Sight) map[fabric.Outside]fabric.Sight {
		return map[fabric.Outside]fabric.Sight{warehouse: s}
	}
	one := fabric.Alone([]string{"w1"})
	ask := []fabric.Outside{warehouse}
	for _, tt := range []struct {
		name   string
		things []fabric.Outside
		setup  func(*testing.T, *world)
		want   string
		asks   []fabric.Outside
		text   string // of the reason
	}{
		{"nobody has asked", ask, func(*testing.T, *world) {}, "create a commit blocked not_seen", ask, `SQL warehouse "BI"`},
		{"it is there", ask, func(_ *testing.T, w *world) { w.Outside = found(one) }, "create a commit changed", ask, ""},
		{"it is missing", ask, func(_ *testing.T, w *world) { w.Outside = found(fabric.Alone(nil)) }, "create a commit blocked reference_missing", ask,
			`id0 refers to SQL warehouse "BI"`},
		{"there are two", ask, func(_ *testing.T, w *world) { w.Outside = found(fabric.Alone([]string{"w1", "w2"})) }, "create a commit blocked reference_ambiguous", ask,
			`id0 refers to SQL warehouse "BI", and 2 bear that name`},
		{"nobody could tell", ask, func(_ *testing.T, w *world) { w.Outside = found(fabric.Sight{}) }, "create a commit blocked not_seen", ask, `SQL warehouse "BI"`},
		{"what is live may be right, nobody has asked", ask, func(t *testing.T, w *world) { w.live(w.own(t, "a", "1", `{"x":1,"id0":"w1"}`)) },
			"update a commit blocked not_seen", ask, ""},
		{"what is live is right", ask, func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":1,"id0":"w1"}`))
			w.Outside = found(one)
		}, "keep a up_to_date", nil, ""},
		{"what is live is right as far as was known last", ask, func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":1,"id0":"w1"}`))
			w.Outside = found(fabric.Sight{ID: "w1"})
		}, "keep a up_to_date", nil, ""},
		{"it was known, and nobody can tell now", ask, func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":2,"id0":"w1"}`))
			w.Outside = found(fabric.Sight{ID: "w1"})
		}, "update a commit blocked not_seen", ask, ""},
		{"it was made anew", ask, func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":1,"id0":"w0"}`))
			w.Outside = found(one)
		}, "update a commit changed", ask, ""},
		{"somebody edited it", ask, func(t *testing.T, w *world) {
			w.own(t, "a", "1", `{"x":1,"id0":"w1"}`)
			w.live(w.object(t, "a", "1", `{"x":1,"id0":"w9"}`))
			w.Outside = found(one)
		}, "update a drift drifted", ask, ""},
		{"it is gone, and what is live has its id", ask, func(t *testing.T, w *world) {
			w.live(w.own(t, "a", "1", `{"x":1,"id0":"w1"}`))
			w.Outside = found(fabric.Alone(nil))
		}, "update a commit blocked reference_missing", ask, ""},
		{"blocked anyway, and its id is asked for", ask, func(_ *testing.T, w *world) { w.Open["a"] = true }, "create a commit blocked intent_open", ask, ""},
		{"a move", ask, func(t *testing.T, w *world) {
			w.live(w.own(t, "z", "1", `{"x":1,"id0":"w1"}`))
			w.move("z", "a")
			w.Outside = found(fabric.Alone(nil))
		}, "move z>a commit blocked reference_missing", ask, ""},

		{"a live job", []fabric.Outside{live}, func(_ *testing.T, w *world) { w.live(theirs("7")) }, "create a commit changed", nil, ""},
		{"a live job, as it is", []fabric.Outside{live}, func(t *testing.T, w *world) { w.live(theirs("7"), w.own(t, "a", "1", `{"x":1,"id0":7}`)) },
			"keep a up_to_date", nil, ""},
		{"a live job that is not there", []fabric.Outside{live}, func(*testing.T, *world) {}, "create a commit blocked reference_missing", nil, `id0 refers to live job "theirs"`},
		{"two live jobs", []fabric.Outside{live}, func(_ *testing.T, w *world) { w.live(theirs("7"), theirs("8")) }, "create a commit blocked reference_ambiguous", nil, ""},
		{"a live job and half a listing", []fabric.Outside{live}, func(t *testing.T, w *world) {
			w.Live = fabric.NewLive(noon, false, "", []fabric.Object{theirs("7"), w.own(t, "a", "1", `{"x":0,"id0":7}`)}, nil)
		}, "update a commit blocked not_seen", nil, ""},
		{"a live job of ours that goes", []fabric.Outside{live}, func(t *testing.T, w *world) {
			o := w.own(t, "gone", "7", `{}`)
			o.Name = "theirs"
			w.live(o)
		}, "create a commit blocked reference_missing", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.Desired.Add(refersTo("a", "1", tt.things...))
			tt.setup(t, w)
			p := NewPlan(w.PlanInput)
			if got := lines(p)[0]; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.asks, p.Asks); diff != "" {
				t.Errorf("asks: %s", diff)
			}
			if c := p.Changes[0]; tt.text != "" && !strings.HasSuffix(c.Reason.Text, ": "+tt.text) || c.Hindrance == fabric.Blocked && c.Reason.Code.Level() == configs.Block && c.Reason.Next == "" {
				t.Errorf("%q, next %q", c.Reason.Text, c.Reason.Next)
			}
			for _, c := range p.Free() {
				if len(c.Desired.Refs()) > 0 {
					t.Errorf("%s %s without knowing %v", c.Action, c.Key, c.Desired.Refs())
				}
			}
		})
	}
}

// namedSite is a site whose fabric names a policy, a pool and a destination in its defaults.
func namedSite(t *testing.T) *site {
	s := newBubbleSite(t, emulator.Options{})
	s.yaml = s.yaml[:strings.Index(s.yaml, "    overlay:")]
	s.yaml = strings.Replace(s.yaml, "    prophecy_ids: [4004]", `    prophecy_ids: [4004]
    defaults:
      overlay:
        job_clusters: {"*": {policy_id: {policy: Small jobs}}}
        patch: {"jobs/*": {webhook_notifications: {on_failure: [{id: {destination: On call}}]}}}`, 1)
	s.commit("HelloSelvage/1.0.0")
	return s
}

// namesOf are what the live jobs say where names were, each once.
func (s *site) namesOf(t *testing.T) string {
	t.Helper()
	all := map[string]bool{}
	for _, j := range s.workspace.Jobs() {
		var live struct {
			Hooks struct {
				Failure []struct{ ID string } `json:"on_failure"`
			} `json:"webhook_notifications"`
			Clusters []struct {
				Cluster struct {
					Policy string `json:"policy_id"`
				} `json:"new_cluster"`
			} `json:"job_clusters"`
		}
		if err := json.Unmarshal(j.Settings, &live); err != nil || len(live.Clusters) == 0 || len(live.Hooks.Failure) != 1 {
			t.Fatalf("%v: %s", err, j.Settings)
		}
		all[live.Clusters[0].Cluster.Policy+" "+live.Hooks.Failure[0].ID] = true
	}
	if len(all) != 1 {
		t.Fatalf("%d jobs say %v", len(s.workspace.Jobs()), all)
	}
	for one := range all {
		return one
	}
	return ""
}

func (s *site) thing(kind, name string) string {
	s.t.Helper()
	id, err := s.workspace.SetThing(kind, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// TestNames takes what a deployment names through its life: missing, there, there twice, made anew, out of sight.
func TestNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := namedSite(t)
		s.open()
		defer s.sound()
		defer s.shut()
		blocked := func(d Decision, code configs.Code) {
			t.Helper()
			n := len(d.Plan.Changes)
			if n == 0 || d.Plan.Counts.Blocked != n {
				t.Fatalf("%s: %s\n%v", code, d.Plan.Counts, lines(d.Plan))
			}
			for _, c := range d.Plan.Changes {
				if c.Reason.Code != code {
					t.Errorf("%s: %s %s", code, c.Key, c.Reason.Text)
				}
			}
		}
		quiet := func(pattern string, want int) {
			t.Helper()
			if n := s.workspace.Count(pattern); n != want {
				t.Errorf("%d requests like %s, want %d", n, pattern, want)
			}
			s.workspace.ResetJournal()
		}
		later := func() { time.Sleep(namesLast + time.Second) }

		blocked(s.round(), configs.ReferenceMissing)
		s.approve("")
		quiet("POST *", 0)
		policy, destination := s.thing("policy", "Small jobs"), s.thing("destination", "On call")
		s.thing("policy", "small jobs") // another name
		for range 150 {
			s.thing("destination", "others")
		}
		s.poll()
		s.verified(s.approve(""))
		if got := s.namesOf(t); got != policy+" "+destination {
			t.Fatalf("%s, not %s %s", got, policy, destination)
		}
		s.workspace.ResetJournal()
		for range 5 {
			s.poll()
			s.verified(s.round())
		}
		quiet("GET /api/2.0/*", 0) // what it costs to find out that nothing changed is what it was
		later()
		s.verified(s.round())
		quiet("GET /api/2.0/policies/clusters/list", 1)

		// Two bear the name: nothing is written until one is gone. Then it is the other one.
		second := s.thing("policy", "Small jobs")
		later()
		blocked(s.round(), configs.ReferenceAmbiguous)
		s.workspace.DropThing(policy)
		s.poll()
		s.verified(s.round())
		if got := s.namesOf(t); got != second+" "+destination {
			t.Errorf("%s, not %s %s", got, second, destination)
		}

		// Nobody can tell: what is live stays, and is not said to differ. What would be written waits.
		s.workspace.Fault(emulator.Fault{Pattern: "GET /api/2.0/policies/clusters/list", Status: 403, Times: -1})
		later()
		s.verified(s.round())
		s.workspace.ResetJournal()
		s.replace("jobs/daily_revenue/code/databricks-job.json", `"max_retries" : 0`, `"max_retries" : 3`)
		s.commit("HelloSelvage/1.1.0")
		s.poll()
		d := s.round()
		if d.Plan.Counts.Blocked != 1 || d.Result.Code == configs.Verified {
			t.Errorf("%s: %s\n%v", d.Plan.Counts, d.Result.Text, lines(d.Plan))
		}
		quiet("POST *", 0)
		s.workspace.ClearFaults()
		s.poll()
		s.verified(s.round())

		// It gets another name: what is live has an id that nothing stands for any more.
		s.workspace.RenameThing(second, "Large jobs")
		later()
		s.workspace.ResetJournal()
		blocked(s.round(), configs.ReferenceMissing)
		s.poll()
		quiet("POST *", 0)
		s.workspace.RenameThing(second, "Small jobs")
		s.verified(s.round())

		// A daemon that has just started has to ask.
		s.shut()
		s.open()
		s.workspace.ResetJournal()
		s.workspace.Fault(emulator.Fault{Pattern: "GET /api/2.0/policies/clusters/list", Close: true, Times: -1})
		s.poll()
		blocked(s.round(), configs.NotSeen)
		quiet("POST *", 0)
		s.workspace.ClearFaults()
		s.poll()
		s.verified(s.round())
	})
}

// A job that is made on the fabric by others can be run, and a circle of our own can't be made.
func TestNamesOfJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		s.yaml = s.yaml[:strings.Index(s.yaml, "    overlay:")] + `    overlay:
      patch: {"jobs/customer_report": {tasks: {"*": {run_job_task: {job_id: {job: Load all}}, python_wheel_task: null, libraries: null, job_cluster_key: null}}}}
`
		s.commit("HelloSelvage/1.0.0")
		s.open()
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil || p.Plan.Counts.Blocked != 1 || p.Plan.Counts.Create != 2 {
			t.Fatalf("%v: %s\n%v", err, p.Plan.Counts, lines(p.Plan))
		}
		id, err := s.workspace.CreateJob([]byte(`{"name":"Load all","tasks":[{"task_key":"a","notebook_task":{"notebook_path":"/x"}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		s.poll()
		s.verified(s.approve(""))
		found := false
		for _, j := range s.workspace.Jobs() {
			found = found || strings.Contains(string(j.Settings), fmt.Sprintf(`"run_job_task":{"job_id":%d}`, id))
		}
		if !found {
			t.Errorf("no job runs %d", id)
		}
		s.poll()
		s.verified(s.round())

		// By the name of a job of the release it is that one, which has to be there first; a circle is refused.
		s.yaml = strings.Replace(s.yaml, "{job: Load all}", "{job: daily_revenue}", 1)
		s.shut()
		s.open()
		s.poll()
		if d := s.round(); d.Plan.Counts.Blocked > 0 || d.Phase != Sound {
			t.Errorf("%s: %s\n%v", d.Plan.Counts, d.Result.Text, lines(d.Plan))
		}
		s.yaml = strings.Replace(s.yaml, "{job: daily_revenue}", "{job: jobs/customer_report}", 1)
		s.shut()
		s.open()
		s.poll()
		d := s.round()
		codes := map[configs.Code]int{}
		for _, c := range d.Plan.Changes {
			codes[c.Reason.Code]++
		}
		if codes[configs.ReferenceCycle] != 1 {
			t.Errorf("%v: %v", codes, lines(d.Plan))
		}
		s.shut()
		s.sound()
	})
}
