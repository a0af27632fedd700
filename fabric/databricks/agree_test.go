package databricks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// scheduled makes a job with a schedule at an hour, and looks at it as an apply does.
func (r *rig) scheduled(t *testing.T, name string, hour int) fabric.Object {
	t.Helper()
	c := creation(t, "jobs/"+name, name)
	d := c.Desired.Object()
	d["schedule"] = map[string]any{"quartz_cron_expression": fmt.Sprintf("0 0 %d * * ?", hour), "timezone_id": "UTC"}
	c.Desired = fabric.NewDoc(d)
	o := r.w.Do(t.Context(), fabric.Step{Changes: []fabric.Change{c}}, r.journal)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	return r.only(t, o.Results[0].ID)
}

func (r *rig) only(t *testing.T, id string) fabric.Object {
	t.Helper()
	live, err := r.w.Observe(t.Context(), fabric.Scope{Only: []fabric.Owned{owned(id)}})
	if err != nil || len(live.Objects()) != 1 {
		t.Fatalf("%v, %d jobs", err, len(live.Objects()))
	}
	return live.Objects()[0]
}

// edit sets the hour of a job's schedule by hand.
func (r *rig) edit(t *testing.T, id string, hour int) {
	t.Helper()
	n, _ := strconv.ParseInt(id, 10, 64)
	if err := r.e.EditJob(n, func(m map[string]any) {
		m["schedule"].(map[string]any)["quartz_cron_expression"] = fmt.Sprintf("0 0 %d * * ?", hour)
	}); err != nil {
		t.Fatal(err)
	}
}

func at(o fabric.Object) string {
	s, _ := o.Doc.At("schedule", "quartz_cron_expression").(string)
	return s
}

// TestListsThatAgree: to compare what was read with the next list costs no request.
func TestListsThatAgree(t *testing.T) {
	r := overTCP(t, emulator.Options{Unverified: emulator.Unverified{ListOmitsDefaults: true, ListsReordered: true}}, Options{})
	id := r.scheduled(t, "daily", 5).ID
	r.e.ResetJournal()
	for range 2 {
		if o := r.object(t, id); at(o) != "0 0 5 * * ?" || len(o.Notes) > 0 {
			t.Errorf("%s, %v", at(o), o.Notes)
		}
	}
	if n := r.e.Count("*"); n != 2 {
		t.Errorf("%d requests for two lists", n)
	}
	// Between the look and the list somebody edits it: the list is right.
	r.only(t, id)
	r.edit(t, id, 6)
	if o := r.object(t, id); at(o) != "0 0 6 * * ?" || len(o.Notes) > 0 {
		t.Errorf("%s, %v", at(o), o.Notes)
	}
}

// TestListsThatDiffer: where the list never shows a field, the job itself is believed, at the cost of few requests.
func TestListsThatDiffer(t *testing.T) {
	r := overTCP(t, emulator.Options{Unverified: emulator.Unverified{ListOmits: "schedule"}}, Options{})
	var ids []string
	for i := range 5 {
		ids = append(ids, r.scheduled(t, fmt.Sprint("job", i), i).ID)
	}
	want := configs.Found(configs.ListDiffers, "job "+ids[3], "schedule.quartz_cron_expression, schedule.timezone_id")
	if o := r.object(t, ids[3]); at(o) != "0 0 3 * * ?" || len(o.Notes) != 1 || o.Notes[0] != want {
		t.Errorf("%s, %v", at(o), o.Notes)
	}
	r.e.ResetJournal()
	if o := r.object(t, ids[3]); at(o) != "0 0 3 * * ?" || len(o.Notes) != 1 {
		t.Errorf("again: %s, %v", at(o), o.Notes)
	}
	if list, get := r.e.Count("GET "+listPath), r.e.Count("GET "+getPath); list != 1 || get != mostReadAgain {
		t.Errorf("%d lists and %d gets", list, get)
	}

	// A change that the list shows too is seen at once, and with it one that it never shows.
	n, _ := strconv.ParseInt(ids[3], 10, 64)
	if err := r.e.EditJob(n, func(m map[string]any) { m["timeout_seconds"] = json.Number("77") }); err != nil {
		t.Fatal(err)
	}
	r.edit(t, ids[3], 23)
	if o := r.object(t, ids[3]); at(o) != "0 0 23 * * ?" || o.Doc.At("timeout_seconds") != json.Number("77") {
		t.Errorf("after an edit: %s, %v", at(o), o.Doc.At("timeout_seconds"))
	}
	// One that it never shows is seen after a few looks.
	r.edit(t, ids[1], 22)
	seen := false
	for range 3 {
		seen = seen || at(r.object(t, ids[1])) == "0 0 22 * * ?"
	}
	if !seen {
		t.Error("an edit that the list does not show was not seen in three looks")
	}
	if err := r.e.DeleteJob(n); err != nil {
		t.Fatal(err)
	}
	r.look(t)
	if len(r.w.differing) != 4 {
		t.Errorf("%d jobs differ, and one of five is gone", len(r.w.differing))
	}
}

// TestFirstSight: each job of ours is read on its own once, a part of them with each look that may; what came of it is
// not found out again.
func TestFirstSight(t *testing.T) {
	for _, tt := range []struct {
		omits string
		want  fabric.Accord
	}{{"", fabric.Agrees}, {"schedule", fabric.Differs}} {
		r := overTCP(t, emulator.Options{Unverified: emulator.Unverified{ListOmitsDefaults: true, ListsReordered: true, ListOmits: tt.omits}}, Options{})
		const jobs = leastFirstReads*2 + 10
		var ours []fabric.Owned
		for i := range jobs {
			c := creation(t, fmt.Sprint("jobs/job", i), fmt.Sprint("job", i))
			d := c.Desired.Object()
			d["schedule"] = map[string]any{"quartz_cron_expression": "0 0 5 * * ?", "timezone_id": "UTC"}
			c.Desired = fabric.NewDoc(d)
			o := r.w.Do(t.Context(), fabric.Step{Changes: []fabric.Change{c}}, r.journal)
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			ours = append(ours, owned(o.Results[0].ID))
		}
		looks := func(compare bool) *fabric.Live {
			t.Helper()
			r.e.ResetJournal()
			live, err := r.w.Observe(t.Context(), fabric.Scope{Owned: ours, Compare: compare})
			if err != nil || !live.Complete {
				t.Fatal(err)
			}
			return live
		}
		if live := looks(false); len(live.Accords) != 0 || r.e.Count("GET "+getPath) != 0 {
			t.Errorf("a look that may not compare: %v, %d jobs read", live.Accords, r.e.Count("GET "+getPath))
		}
		for n, want := range []int{leastFirstReads, 2 * leastFirstReads, jobs, jobs} {
			live := looks(true)
			told := 0
			for _, a := range live.Accords {
				if a != tt.want {
					t.Fatalf("look %d: %s, want %s", n, a, tt.want)
				}
				told++
			}
			read := min(leastFirstReads, jobs-n*leastFirstReads)
			if n == 3 {
				read = 0
			}
			if tt.want == fabric.Differs && n > 0 {
				read += mostReadAgain
			}
			if told != want || r.e.Count("GET "+getPath) != read {
				t.Errorf("look %d: %d jobs are known, want %d; %d were read, want %d", n, told, want, r.e.Count("GET "+getPath), read)
			}
		}
		// The ledger knows it now, and another process asks for nothing that agreed.
		for i := range ours {
			ours[i].Accord = tt.want
		}
		if live := looks(true); len(live.Accords) != 0 {
			t.Errorf("what is known is told again: %v", live.Accords)
		}
		again, err := New(Options{Name: "again", Config: pat(r.w.host, token), Installation: installation})
		if err != nil {
			t.Fatal(err)
		}
		r.w = again
		live := looks(true)
		read := 0
		if tt.want == fabric.Differs {
			read = jobs // at once: what the list says of them is drift otherwise
		}
		if len(live.Accords) != 0 || r.e.Count("GET "+getPath) != read {
			t.Errorf("another process: %v, %d jobs read, want %d", live.Accords, r.e.Count("GET "+getPath), read)
		}
		for _, o := range live.Objects() {
			if at(o) != "0 0 5 * * ?" || len(o.Notes) > 0 != (tt.want == fabric.Differs) {
				t.Fatalf("%s, %v", at(o), o.Notes)
			}
		}
		again.Close()
	}
}

// One job can't be read on its own: the look goes on, and so does comparing the others. Unless the service only asked for
// patience, that job is not asked for again.
func TestFirstSightOfWhatCantBeRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault emulator.Fault
		again bool
	}{
		{"forbidden", emulator.Fault{Status: 403}, false},
		{"broken", emulator.Fault{Status: 500}, false},
		{"no answer", emulator.Fault{Reset: true}, false},
		{"no JSON", emulator.Fault{Status: 200, Body: "<html>"}, false},
		{"too many requests", emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "60"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				var ours []fabric.Owned
				for i := range 3 * getsAtOnce {
					ours = append(ours, owned(r.scheduled(t, fmt.Sprint("job", i), 5).ID))
				}
				r.w.takeReads()
				tt.fault.Pattern, tt.fault.Times = "GET "+getPath+"?job_id="+ours[0].ID, -1
				r.e.Fault(tt.fault)
				r.e.ResetJournal()
				told := 0
				for range 5 {
					live, err := r.w.Observe(t.Context(), fabric.Scope{Owned: ours, Compare: true})
					if err != nil || !live.Complete || len(live.Objects()) != len(ours) {
						t.Fatalf("%v, %+v", err, live)
					}
					told = len(live.Accords)
					time.Sleep(2 * time.Minute)
				}
				if told != len(ours)-1 {
					t.Errorf("%d of %d are known", told, len(ours))
				}
				r.e.ClearFaults()
				r.e.ResetJournal()
				live, err := r.w.Observe(t.Context(), fabric.Scope{Owned: ours, Compare: true})
				if err != nil || r.e.Count("GET "+getPath) > 0 != tt.again || (len(live.Accords) == len(ours)) != tt.again {
					t.Errorf("%v: %d known after %d reads", err, len(live.Accords), r.e.Count("GET "+getPath))
				}
			})
		})
	}
}

// TestCheckComparesReads: doctor says what differs.
func TestCheckComparesReads(t *testing.T) {
	for _, tt := range []struct {
		un   emulator.Unverified
		want string
		note bool
	}{
		{emulator.Unverified{ListOmitsDefaults: true}, "3 of them, read one by one, are as the list says", false},
		{emulator.Unverified{ListOmits: "schedule"}, "of 3 of them, read one by one, the list differs in 1; the jobs themselves are believed. job ", true},
	} {
		r := overTCP(t, emulator.Options{Unverified: tt.un}, Options{})
		r.create(t, "jobs/plain", "plain")
		r.scheduled(t, "daily", 5)
		if _, err := r.e.CreateJob([]byte(settings("foreign", 2))); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.w.Check(t.Context()) {
			if c.Name == "read jobs" && (!c.OK || c.Note != tt.note || !strings.HasPrefix(c.Text, tt.want)) {
				t.Errorf("%+v\nwant %s", c, tt.want)
			}
		}
	}
}
