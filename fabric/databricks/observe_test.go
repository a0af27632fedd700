package databricks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

func owned(id string) fabric.Owned { return fabric.Owned{Kind: Job, ID: id} }

func TestObserveListsOnce(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	for i := range 250 {
		if _, err := r.e.CreateJob([]byte(settings(fmt.Sprint("job ", i), 3))); err != nil {
			t.Fatal(err)
		}
	}
	r.look(t)
	r.e.ResetJournal()
	live := r.look(t)
	if !live.Complete || len(live.Objects()) != 250 {
		t.Errorf("complete %v, %d jobs", live.Complete, len(live.Objects()))
	}
	if n := r.e.Count("*"); n != 3 {
		t.Errorf("%d requests for 250 jobs, want 3: %v", n, r.e.Requests())
	}
	for _, o := range live.Objects() {
		if !o.Doc.IsZero() || o.Managed {
			t.Fatalf("the settings of a foreign job are kept: %+v", o)
		}
	}
	if want := "/Workspace/Users/deployer@selvage.example/.selvage/artifacts"; live.Root != want {
		t.Errorf("root %q, want %q", live.Root, want)
	}
}

func TestObserveReadsOurOwnWhole(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	c := creation(t, "jobs/big", "big")
	c.Desired = doc(t, settings("big", 250))
	o := r.w.Do(t.Context(), fabric.Step{Changes: []fabric.Change{c}}, r.journal)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	r.e.ResetJournal()
	obj := r.object(t, o.Results[0].ID)
	fields, _ := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: c.Desired, Live: obj.Doc})
	if len(fields) > 0 {
		t.Errorf("read back: %d fields differ, the first is %s", len(fields), fields[0].Path)
	}
	if list, get := r.e.Count("GET "+listPath), r.e.Count("GET "+getPath); list != 1 || get != 3 {
		t.Errorf("%d lists and %d gets, want 1 and 3", list, get)
	}
	if !obj.Mark.Owns(installation, c.Owner) || obj.Doc.At("tags") != nil {
		t.Errorf("mark %+v, tags %v", obj.Mark, obj.Doc.At("tags"))
	}
}

func TestObserveLooksForWhatTheListLacks(t *testing.T) {
	for _, tt := range []struct {
		name string
		un   emulator.Unverified
		gone bool
	}{
		{"400", emulator.Unverified{}, true},
		{"404", emulator.Unverified{MissingIs404: true}, true},
		{"403", emulator.Unverified{DeletedIs403: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := overTCP(t, emulator.Options{Unverified: tt.un}, Options{})
			obj := r.create(t, "jobs/daily", "daily")
			n, _ := strconv.ParseInt(obj.ID, 10, 64)
			if err := r.e.DeleteJob(n); err != nil {
				t.Fatal(err)
			}
			for _, s := range []fabric.Scope{{Owned: []fabric.Owned{owned(obj.ID)}}, {Only: []fabric.Owned{owned(obj.ID)}}} {
				live, err := r.w.Observe(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				want := fabric.Unknown
				if tt.gone {
					want = fabric.Absent
				}
				_, got, _ := live.Lookup(installation, Job, fabric.Owner{Deployment: "shop@test", Key: "jobs/daily"}, obj.ID)
				if got != want {
					t.Errorf("%+v: %s, want %s", s, got, want)
				}
			}
		})
	}
}

func TestObserveHiddenIsUnknown(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	obj := r.create(t, "jobs/daily", "daily")
	n, _ := strconv.ParseInt(obj.ID, 10, 64)
	r.e.HideJob(n, "")
	live, err := r.w.Observe(t.Context(), fabric.Scope{Owned: []fabric.Owned{owned(obj.ID)}})
	if err != nil {
		t.Fatal(err)
	}
	_, got, why := live.Lookup(installation, Job, fabric.Owner{Deployment: "shop@test", Key: "jobs/daily"}, obj.ID)
	if got != fabric.Unknown || why.Code == "" {
		t.Errorf("%s, %+v", got, why)
	}
}

// TestObserveCutOffAndHidden: the list shows the first part of our job, mark and all, and the rest
// can't be read. It is there: were it absent, it would be made a second time.
func TestObserveCutOffAndHidden(t *testing.T) {
	for name, f := range map[string]emulator.Fault{
		"403": {Status: http.StatusForbidden},
		"404": {Status: http.StatusNotFound, Body: `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`},
		"400": {Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t, emulator.Options{}, Options{})
			c := creation(t, "jobs/big", "big")
			c.Desired = doc(t, settings("big", 101))
			o := r.w.Do(t.Context(), step(c), r.journal)
			small := r.create(t, "jobs/small", "small")
			f.Pattern, f.Times = "GET "+getPath, -1
			r.e.Fault(f)
			live, err := r.w.Observe(t.Context(), fabric.Scope{Owned: []fabric.Owned{owned(o.Results[0].ID), owned(small.ID)}})
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"", o.Results[0].ID} {
				obj, p, why := live.Lookup(installation, Job, c.Owner, id)
				if p != fabric.Unknown || why.Code != configs.NotSeen || !obj.Doc.IsZero() {
					t.Errorf("by the id %q: %s, %s, %d bytes", id, p, why.Code, len(obj.Doc.Canonical()))
				}
			}
			if len(live.ByNonce(o.Results[0].Nonce)) != 1 || len(live.Named(Job, "big")) != 1 {
				t.Error("its mark or its name seems to be nowhere")
			}
			if _, p, _ := live.Lookup(installation, Job, fabric.Owner{Deployment: "shop@test", Key: "jobs/small"}, small.ID); p != fabric.Present {
				t.Errorf("the job beside it is %s", p)
			}
			r.e.ClearFaults()
			if _, p, why := r.look(t).Lookup(installation, Job, c.Owner, ""); p != fabric.Present {
				t.Errorf("when it can be read again: %s, %s", p, why.Text)
			}
		})
	}
}

// TestObserveCutOffAndGone: it was deleted between the list and the look at the rest of it.
func TestObserveCutOffAndGone(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	c := creation(t, "jobs/big", "big")
	c.Desired = doc(t, settings("big", 101))
	id := r.w.Do(t.Context(), step(c), r.journal).Results[0].ID
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r.e.Fault(emulator.Fault{Pattern: "GET " + getPath, Hook: func() {
		if err := r.e.DeleteJob(n); err != nil {
			t.Error(err)
		}
	}})
	live := r.look(t)
	for _, id := range []string{"", id} {
		if _, p, why := live.Lookup(installation, Job, c.Owner, id); p != fabric.Absent {
			t.Errorf("by the id %q: %s, %s", id, p, why.Text)
		}
	}
}

func TestObserveOnly(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	a, b := r.create(t, "jobs/a", "a"), r.create(t, "jobs/b", "b")
	r.e.ResetJournal()
	live, err := r.w.Observe(t.Context(), fabric.Scope{Only: []fabric.Owned{owned(a.ID), owned(a.ID), owned(b.ID)}})
	if err != nil {
		t.Fatal(err)
	}
	if live.Complete || len(live.Objects()) != 2 || r.e.Count("*") != 2 {
		t.Errorf("complete %v, %d jobs, %d requests", live.Complete, len(live.Objects()), r.e.Count("*"))
	}
}

// An error on the way never becomes a shorter list.
func TestObserveErrorsAreNotEmpty(t *testing.T) {
	for name, f := range map[string]emulator.Fault{
		"500 on the second page":   {Status: 500},
		"403 on the second page":   {Status: 403},
		"reset on the second page": {Reset: true},
		"a page that breaks off":   {Cut: 2000, After: true},
		"html in place of a page":  {Status: 200, Body: "<html>log in</html>"},
		"a list in place of it":    {Status: 200, Body: `[]`},
		"more, and not where":      {Status: 200, Body: `{"jobs":[],"has_more":true}`},
		"a job without settings":   {Status: 200, Body: `{"jobs":[{"job_id":7}]}`},
		"a job without id":         {Status: 200, Body: `{"jobs":[{"settings":{}}]}`},
		"a job with a huge id":     {Status: 200, Body: `{"jobs":[{"job_id":1e400,"settings":{}}]}`},
		"the same page for ever":   {Status: 200, Body: `{"jobs":[],"next_page_token":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				for i := range 150 {
					if _, err := r.e.CreateJob([]byte(settings(fmt.Sprint("job ", i), 1))); err != nil {
						t.Fatal(err)
					}
				}
				f.Pattern, f.Offset, f.Times = "GET "+listPath, 1, -1
				r.e.Fault(f)
				live, err := r.w.Observe(t.Context(), fabric.Scope{})
				if err == nil {
					t.Fatalf("%d jobs and no error", len(live.Objects()))
				}
				if !strings.HasPrefix(err.Error(), "look at fabric test (http://emulator): ") {
					t.Errorf("the error does not say where: %v", err)
				}
				canaryIn(t, err.Error())
				r.e.ClearFaults()
				if n := len(r.look(t).Objects()); n != 150 {
					t.Errorf("%d jobs after it", n)
				}
			})
		})
	}
}

func TestObserveTriesAgain(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		r.create(t, "jobs/a", "a")
		for _, f := range []emulator.Fault{{Status: 503}, {Status: 429, Header: map[string]string{"Retry-After": "2"}}, {Close: true}} {
			f.Pattern = "GET " + listPath
			r.e.ClearFaults()
			r.e.Fault(f)
			r.e.ResetJournal()
			begin := time.Now()
			if n := len(r.look(t).Objects()); n != 1 || r.e.Count("GET "+listPath) != 2 {
				t.Errorf("%+v: %d jobs in %d requests", f, n, r.e.Count("GET "+listPath))
			}
			if took := time.Since(begin); f.Status == 429 && took < 2*time.Second {
				t.Errorf("came again after %s", took)
			}
		}
	})
}

// TestObserveToleratesDoubles: while pages are turned, jobs come and go.
func TestObserveToleratesDoubles(t *testing.T) {
	pages := []string{
		`{"jobs":[{"job_id":1,"settings":{"name":"a"}},{"job_id":2,"settings":{"name":"b"}}],"next_page_token":"p2","has_more":true}`,
		`{"jobs":[{"job_id":2,"settings":{"name":"b2"}},{"job_id":9223372036854775807,"settings":{"name":"c"}}],"has_more":false}`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path != listPath:
			fmt.Fprint(rw, `{"userName":"me@example.com"}`)
		case r.URL.Query().Get("page_token") == "p2":
			fmt.Fprint(rw, pages[1])
		default:
			fmt.Fprint(rw, pages[0])
		}
	}))
	defer s.Close()
	w, err := New(Options{Name: "test", Config: pat(s.URL, token)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	live, err := w.Observe(t.Context(), fabric.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range live.Objects() {
		got = append(got, o.ID+" "+o.Name)
	}
	if diff := cmp.Diff([]string{"1 a", "2 b2", "9223372036854775807 c"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestArtifactRootNeedsAPlainName(t *testing.T) {
	for _, me := range []string{"", "..", "a/../b", "a b", "a\nb"} {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			json.NewEncoder(rw).Encode(map[string]string{"userName": me})
		}))
		w, err := New(Options{Name: "test", Config: pat(s.URL, token)})
		if err != nil {
			t.Fatal(err)
		}
		if root, err := w.artifactRoot(t.Context()); err == nil {
			t.Errorf("%q gives %s", me, root)
		}
		w.Close()
		s.Close()
	}
}

func TestObserveUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := emulator.NewPipeListener()
		l.Close()
		w, err := New(Options{Name: "test", Config: pat("http://emulator", token), Transport: &http.Transport{DialContext: l.DialContext}})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		_, err = w.Observe(t.Context(), fabric.Scope{})
		var e *CallError
		if !errors.As(err, &e) || e.Sent || e.Status != 0 {
			t.Errorf("got %v", err)
		}
	})
}
