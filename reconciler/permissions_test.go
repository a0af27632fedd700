package reconciler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

const setKey = fabric.Key("a:permissions")

// wantSet declares an access list for the job a.
func (w *world) wantSet(t testing.TB, json string) {
	w.Desired.Add(fabric.Resource{Key: setKey, Kind: fabric.Permissions, Needs: []fabric.Key{"a"}, Doc: doc(t, json)})
}

func (w *world) ownSet(t testing.TB, k fabric.Key, id, json string) {
	d := doc(t, json)
	w.Owned[k] = Owning{Applied{Kind: fabric.Permissions, ID: id, Sent: d.Digest()}, d, d}
}

func liveSet(t testing.TB, id, json string) fabric.Object {
	return fabric.Object{Kind: fabric.Permissions, ID: id, Doc: doc(t, json), Read: noon}
}

// An access list goes with its job: it is ours where the job is, and what becomes of the job becomes of it.
func TestNewPlanAttached(t *testing.T) {
	t.Parallel()
	unread := fabric.Object{Kind: fabric.Permissions, ID: "1", Unread: true}
	tests := []struct {
		name  string
		setup func(t *testing.T, w *world)
		want  []string
		reads int
	}{
		{"a new job", func(t *testing.T, w *world) { w.want(t, "a", `{"x":1}`); w.wantSet(t, `{"l":1}`) },
			[]string{"create a commit changed", "create a:permissions commit changed"}, 0},
		{"a new job that may not be made", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.live(fabric.Object{ID: "7", Kind: "job", Name: "a"})
		}, []string{"create a commit blocked name_taken", "create a:permissions commit blocked name_taken"}, 0},
		{"a job that was deleted by hand", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.own(t, "a", "1", `{"x":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.Live = fabric.NewLive(noon, true, "", nil, []string{"1"})
		}, []string{"create a drift drifted", "create a:permissions drift drifted"}, 0},
		{"as it should be", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":1}`))
		}, []string{"keep a up_to_date", "keep a:permissions up_to_date"}, 0},
		{"somebody changed it", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":2}`))
		}, []string{"keep a up_to_date", "update a:permissions drift drifted"}, 0},
		{"somebody changed it, heal off", func(t *testing.T, w *world) {
			w.Heal = false
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":2}`))
		}, []string{"keep a up_to_date", "update a:permissions drift blocked heal_off"}, 0},
		{"git changed it", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":2}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":1}`))
		}, []string{"keep a up_to_date", "update a:permissions commit changed"}, 0},
		{"not read yet, and nothing new is wanted", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`))
		}, []string{"keep a up_to_date", "keep a:permissions acl_in_turn"}, 0},
		{"not read yet, and git changed it", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":2}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`))
		}, []string{"keep a up_to_date", "update a:permissions blocked not_seen"}, 1},
		{"not read yet, and never written to this job", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, setKey, "7", `{"l":1}`) // the job was another one then
			w.live(w.own(t, "a", "1", `{"x":1}`))
		}, []string{"keep a up_to_date", "update a:permissions blocked not_seen"}, 1},
		{"it may not be read", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), unread)
		}, []string{"keep a up_to_date", "update a:permissions blocked not_seen"}, 0},
		{"the job lost its mark", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.own(t, "a", "1", `{"x":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(fabric.Object{ID: "1", Kind: "job", Name: "a"}, liveSet(t, "1", `{"l":2}`))
		}, []string{"update a blocked mark_missing", "update a:permissions blocked mark_missing"}, 0},
		{"live as declared, and never written by us", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":1}`))
		}, []string{"keep a up_to_date", "update a:permissions commit changed"}, 0},
		{"the definition has none any more", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":1}`))
		}, []string{"keep a up_to_date", "release a:permissions released"}, 0},
		{"it was released, and is declared again", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.Formerly[setKey] = w.Owned[setKey]
			delete(w.Owned, setKey)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":1}`))
		}, []string{"keep a up_to_date", "keep a:permissions up_to_date"}, 0},
		{"the job is absent", func(t *testing.T, w *world) {
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{}`), liveSet(t, "1", `{"l":1}`))
		}, []string{"delete a prune deferred absent_once"}, 0},
		{"the job is left out by the configuration", func(t *testing.T, w *world) {
			w.Desired.Unselect("a")
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{}`))
		}, []string{"release a released"}, 0},
		{"the job can't be rendered", func(t *testing.T, w *world) {
			w.Desired.Block("a", configs.Found(configs.AccessBroken, "a", ""))
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{}`))
		}, []string{"keep a blocked acl_broken"}, 0},
		{"the job goes on under another key", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":1}`)
			w.ownSet(t, "b:permissions", "1", `{"l":1}`)
			w.move("b", "a")
			w.live(w.own(t, "b", "1", `{"x":1}`))
		}, []string{"move b>a commit moved", "keep a:permissions acl_in_turn"}, 0},
		{"an intent is open", func(t *testing.T, w *world) {
			w.want(t, "a", `{"x":1}`)
			w.wantSet(t, `{"l":2}`)
			w.ownSet(t, setKey, "1", `{"l":1}`)
			w.live(w.own(t, "a", "1", `{"x":1}`), liveSet(t, "1", `{"l":1}`))
			w.Open[setKey] = true
		}, []string{"keep a up_to_date", "update a:permissions commit blocked intent_open"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.setup(t, w)
			p := NewPlan(w.PlanInput)
			if diff := cmp.Diff(tt.want, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if len(p.Reads) != tt.reads {
				t.Errorf("%d have to be read, want %d", len(p.Reads), tt.reads)
			}
			jobs := 0
			for _, o := range w.Owned {
				if o.Kind == "job" {
					jobs++
				}
			}
			if p.Owned != jobs {
				t.Errorf("the plan counts %d as owned, and there are %d jobs", p.Owned, jobs)
			}
		})
	}
}

// declare has a job of the work tree say who may do what with it.
func (s *site) declare(job, list string) {
	s.t.Helper()
	s.replace("jobs/"+job+"/code/databricks-job.json", `"format" : "MULTI_TASK",`, `"format" : "MULTI_TASK", "access_control_list" : [ `+list+` ],`)
}

const (
	analystsView = `{ "group_name" : "analysts", "permission_level" : "CAN_VIEW" }`
	leadManages  = `{ "user_name" : "lead@shop.example", "permission_level" : "CAN_MANAGE" }`
	deployerOwns = "user_name deployer@selvage.example IS_OWNER"
)

func (s *site) idOf(name string) int64 {
	for _, j := range s.workspace.Jobs() {
		if j.Name == name {
			return j.ID
		}
	}
	s.t.Fatalf("no job %s among %v", name, s.names())
	return 0
}

func (s *site) access(name string) string {
	return strings.Join(s.workspace.Access(s.idOf(name)), ", ")
}

// byHand gives somebody else the job, and nobody else anything.
func (s *site) editAccess(name string) {
	s.t.Helper()
	err := s.workspace.SetAccess(s.idOf(name), []byte(`{"access_control_list": [{"user_name": "deployer@selvage.example", "permission_level": "IS_OWNER"}, {"group_name": "users", "permission_level": "CAN_MANAGE"}]}`))
	if err != nil {
		s.t.Fatal(err)
	}
}

// A list that is declared is set, looked after in turns, released when it is no longer declared, and goes with its job.
func TestPermissions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleSite(t, emulator.Options{})
		for _, job := range []string{"daily_revenue", "month_end", "customer_report"} {
			s.declare(job, analystsView+", "+leadManages)
		}
		s.commit("HelloSelvage/1.0.0")
		s.open()
		s.round()
		if d := s.approve(""); d.Plan.Counts.Keep != 6 {
			t.Fatalf("%s: %v", d.Result.Text, lines(d.Plan))
		}
		const declared = "group_name analysts CAN_VIEW, " + deployerOwns + ", user_name lead@shop.example CAN_MANAGE"
		for _, job := range s.names() {
			if got := s.access(job); got != declared {
				t.Errorf("%s: %s", job, got)
			}
		}
		list, _ := s.Status(t.Context(), deployment)
		if list[0].Owned != 3 {
			t.Errorf("%d are owned, and there are three jobs", list[0].Owned)
		}
		const reads, writes = "GET /api/2.0/permissions/*", "PUT /api/2.0/permissions/*"
		count := func(what string, wantReads, wantWrites int) {
			t.Helper()
			if r, w := s.workspace.Count(reads), s.workspace.Count(writes); r != wantReads || w != wantWrites {
				t.Errorf("%s: %d reads and %d writes of access lists, want %d and %d", what, r, w, wantReads, wantWrites)
			}
			s.workspace.ResetJournal()
		}
		count("the first apply", 6, 3) // before and after each write

		// Nobody asks: it shows once it is its turn, within two looks of two lists.
		s.editAccess("month_end")
		healed := 0
		for range 2 {
			s.poll()
			d := s.round()
			if d.Phase != Sound {
				t.Fatalf("%s: %v", d.Result.Text, lines(d.Plan))
			}
			if s.access("month_end") == declared {
				healed++
			}
		}
		if healed == 0 {
			t.Error("nobody noticed: " + s.access("month_end"))
		}
		if s.workspace.Count(writes) != 1 {
			t.Errorf("%d writes to put one right", s.workspace.Count(writes))
		}

		// A process that has just begun has read nothing, and keeps what it wrote.
		s.shut()
		s.open()
		s.workspace.ResetJournal()
		s.verified(s.round())
		count("the first look of a process", 2, 0)

		// A person who looks is shown what is there now.
		s.editAccess("customer_report")
		s.poll()
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil || p.Plan.Counts.Drifted != 1 || !slices.Contains(lines(p.Plan), "update jobs/customer_report:permissions drift drifted") {
			t.Errorf("%v, %v", lines(p.Plan), err)
		}
		s.poll()
		s.verified(s.approve(""))
		if got := s.access("customer_report"); got != declared {
			t.Errorf("after the apply: %s", got)
		}
		s.workspace.ResetJournal()

		// One job declares nothing any more, one declares another list, and one goes on under another key.
		s.replace("jobs/customer_report/code/databricks-job.json", ` "access_control_list" : [ `+analystsView+", "+leadManages+` ],`, "")
		s.replace("jobs/month_end/code/databricks-job.json", analystsView+", "+leadManages, leadManages)
		s.commit("HelloSelvage/1.1.0")
		s.poll()
		s.verified(s.round())
		if got := s.access("customer_report"); got != declared {
			t.Errorf("the released list: %s", got)
		}
		if got := s.access("month_end"); got != deployerOwns+", user_name lead@shop.example CAN_MANAGE" {
			t.Errorf("the changed list: %s", got)
		}
		if owned := s.ownedIDs(deployment); owned["jobs/customer_report:permissions"] != "" || owned["jobs/month_end:permissions"] == "" {
			t.Errorf("owned: %v", owned)
		}
		s.editAccess("customer_report") // that is nobody's business now
		s.workspace.ResetJournal()

		s.moved = map[string]string{"jobs/daily_revenue": "jobs/revenue_of_the_day"}
		id := s.idOf("daily_revenue")
		s.rename("daily_revenue", "revenue_of_the_day")
		s.commit("HelloSelvage/1.2.0")
		s.shut()
		s.open()
		s.poll()
		s.verified(s.round())
		owned := s.ownedIDs(deployment)
		if n := s.idOf("revenue_of_the_day"); n != id || owned["jobs/revenue_of_the_day:permissions"] != strconv.FormatInt(id, 10) || owned["jobs/daily_revenue:permissions"] != "" {
			t.Errorf("moved: job %d is %d now, owned %v", id, n, owned)
		}
		if got := s.access("revenue_of_the_day"); got != declared || s.workspace.Count(writes) != 0 {
			t.Errorf("the list of a job that moved: %s, %d writes", got, s.workspace.Count(writes))
		}
		if !strings.Contains(s.access("customer_report"), "users") {
			t.Error("a list that is not declared was changed")
		}

		// A deleted job takes its list along.
		if err := s.workspace.DeleteJob(s.idOf("month_end")); err != nil {
			t.Fatal(err)
		}
		s.poll()
		s.verified(s.round())
		if got := s.access("month_end"); got != deployerOwns+", user_name lead@shop.example CAN_MANAGE" {
			t.Errorf("made again: %s", got)
		}
		s.inProject(func(text string) string {
			return strings.Replace(text, "  jobs/month_end:\n", "  jobs/gone:\n", 1)
		})
		s.shut()
		s.sound()
	})
}

// In each case one request about access lists goes wrong in one way. The next rounds converge, and every list is as declared.
func TestEveryFaultAtAccessLists(t *testing.T) {
	t.Parallel()
	all := slices.Clone(faults)
	all = append(all, struct {
		name  string
		fault emulator.Fault
		kill  bool
	}{name: "403", fault: emulator.Fault{Status: 403}})
	for _, f := range all {
		for _, method := range []string{"GET", "PUT"} {
			t.Run(method+" "+f.name, func(t *testing.T) {
				t.Parallel()
				tried := 0
				for k, more := 0, true; more; k++ {
					synctest.Test(t, func(t *testing.T) {
						more = accessFaultAt(t, method, f.fault, k, f.kill)
					})
					if more {
						tried++
					}
				}
				if t.Logf("%d positions tried", tried); tried < 2 {
					t.Error("two lists are declared")
				}
			})
		}
	}
}

func accessFaultAt(t *testing.T, method string, fault emulator.Fault, k int, kill bool) bool {
	s := newBubbleSite(t, emulator.Options{})
	s.declare("daily_revenue", analystsView)
	s.declare("month_end", analystsView+", "+leadManages)
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	p, err := s.Plan(t.Context(), deployment, "")
	if err != nil {
		t.Fatal(err)
	}
	pattern := method + " /api/2.0/permissions/*"
	fault.Pattern, fault.Offset, fault.Times = pattern, k, 1
	if kill {
		fault.Hook = func() { s.log.Close() }
	}
	s.workspace.Fault(fault)
	s.workspace.ResetJournal()
	applied, err := s.Apply(t.Context(), ApplyRequest{Deployment: deployment, Plan: p.Plan.Digest, By: "lead"}) // may fail: that is the point
	t.Logf("request %d: %s: %s, %v", k, applied.Phase, applied.Result.Text, err)
	n := s.workspace.Count(pattern)
	s.recover(k, kill)
	for job, want := range map[string]string{
		"daily_revenue":   "group_name analysts CAN_VIEW, " + deployerOwns,
		"month_end":       "group_name analysts CAN_VIEW, " + deployerOwns + ", user_name lead@shop.example CAN_MANAGE",
		"customer_report": deployerOwns,
	} {
		if got := s.access(job); got != want {
			t.Errorf("%s: %s, want %s", job, got, want)
		}
	}
	if owned := s.ownedIDs(deployment); len(owned) != 5 {
		t.Errorf("owned: %v", owned)
	}
	s.shut()
	s.sound()
	return k < n
}

// With a list for each of many jobs, a look costs two requests more.
func TestPermissionsOfManyJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const jobs, pages = 120, 2
		s := newBubbleSite(t, emulator.Options{}).many(jobs, benchList)
		s.round()
		if d := s.approve(""); d.Phase != Sound || d.Plan.Digest != "" {
			t.Fatalf("%s: %s %v", d.Phase, d.Result.Text, d.Plan.Counts)
		}
		for s.untold() > 0 {
			s.verified(s.round())
		}
		const looks = 3
		s.workspace.ResetJournal()
		for range looks {
			time.Sleep(time.Hour) // its poll
			s.verified(s.round())
		}
		n, reads := s.workspace.Count("*")-s.workspace.Count("GET /api/2.0/preview/*"), s.workspace.Count("GET /api/2.0/permissions/*")
		if n != (pages+2)*looks || reads != 2*looks {
			t.Errorf("%d looks took %d requests, %d of them for lists", looks, n, reads)
		}
		s.workspace.ResetJournal()
		s.poll()
		p, err := s.Plan(t.Context(), deployment, "")
		if err != nil || !slices.ContainsFunc(p.Findings, func(f configs.Finding) bool { return f.Code == configs.AccessInTurn }) {
			t.Errorf("a person is not told how old the look at so many lists is: %v %v", p.Findings, err)
		}
		if reads := s.workspace.Count("GET /api/2.0/permissions/*"); reads != 2 {
			t.Errorf("%d lists were read for a plan", reads)
		}
		s.shut()
		s.sound()
	})
}

// benchList is a list that is declared with a job.
func benchList(i int) string {
	return fmt.Sprintf(`{ "group_name" : "team_%d", "permission_level" : "CAN_MANAGE_RUN" }`, i%7)
}
