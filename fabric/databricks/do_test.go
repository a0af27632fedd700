package databricks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

func step(c fabric.Change) fabric.Step {
	return fabric.Step{ID: stepID(c), Changes: []fabric.Change{c}}
}

func TestCreateResetDelete(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	c := creation(t, "jobs/daily", "daily")
	c.Desired = doc(t, strings.Replace(settings("daily", 1), `"name"`, `"tags":{"team":"sales"},"name"`, 1))
	o := r.w.Do(t.Context(), step(c), r.journal)
	if o.Status != fabric.Done || len(o.Results) != 1 || o.Results[0].Key != "jobs/daily" || o.Results[0].ID == "" {
		t.Fatalf("create: %+v", o)
	}
	obj := r.object(t, o.Results[0].ID)
	if obj.Mark.Nonce != o.Results[0].Nonce || !obj.Mark.Owns(installation, c.Owner) {
		t.Errorf("mark %+v of intent %s", obj.Mark, o.Results[0].Nonce)
	}
	if diff := cmp.Diff(map[string]any{"team": "sales"}, obj.Doc.At("tags")); diff != "" {
		t.Errorf("tags: %s", diff)
	}

	u := c
	u.Action, u.ID, u.Mark, u.Live = fabric.Update, obj.ID, obj.Mark, obj.Doc
	u.Desired = doc(t, settings("renamed", 2))
	if o := r.w.Do(t.Context(), step(u), r.journal); o.Status != fabric.Done {
		t.Fatalf("reset: %+v", o)
	}
	after := r.object(t, obj.ID)
	if after.Name != "renamed" || after.Mark != obj.Mark || after.Doc.At("tags") != nil {
		t.Errorf("after the reset: %+v", after)
	}

	d := u
	d.Action, d.Desired, d.Live = fabric.Delete, fabric.Doc{}, after.Doc
	for range 2 { // the second time it is gone already
		if o := r.w.Do(t.Context(), step(d), r.journal); o.Status != fabric.Done {
			t.Fatalf("delete: %+v", o)
		}
	}
	if n := len(r.e.Jobs()); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
	if len(r.journal.open) != 0 || len(r.journal.results) != 3 {
		t.Errorf("%d intents are open, %d outcomes written", len(r.journal.open), len(r.journal.results))
	}
	var got []string
	for _, q := range r.e.Requests() {
		if q.Method == "POST" {
			got = append(got, fmt.Sprint(q.Path, " ", q.Status))
			if q.Intent == "" {
				t.Errorf("%s came without an intent", q.Path)
			}
		}
	}
	if diff := cmp.Diff([]string{createPath + " 200", resetPath + " 200", deletePath + " 200"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestFaults loses, refuses and delays each changing request. Whatever happens, it is sent once, and
// the outcome that is reported is the one that is true.
func TestFaults(t *testing.T) {
	type want struct {
		status fabric.Status
		effect bool // it is in effect in the end
	}
	for _, f := range []struct {
		name  string
		fault emulator.Fault
		want  want
	}{
		{"answer lost, connection closed", emulator.Fault{After: true, Close: true}, want{fabric.Done, true}},
		{"answer lost, connection reset", emulator.Fault{After: true, Reset: true}, want{fabric.Done, true}},
		{"500 after the handler", emulator.Fault{After: true, Status: 500}, want{fabric.Done, true}},
		{"503 after the handler", emulator.Fault{After: true, Status: 503}, want{fabric.Done, true}},
		{"408 after the handler", emulator.Fault{After: true, Status: 408}, want{fabric.Done, true}},
		{"answer that breaks off", emulator.Fault{After: true, Cut: 5}, want{fabric.Done, true}},
		{"answer too late", emulator.Fault{After: true, Delay: 5 * time.Minute}, want{fabric.Done, true}},
		{"closed before", emulator.Fault{Close: true}, want{fabric.Doubtful, false}},
		{"reset before", emulator.Fault{Reset: true}, want{fabric.Doubtful, false}},
		{"500 before", emulator.Fault{Status: 500}, want{fabric.Doubtful, false}},
		{"503 before", emulator.Fault{Status: 503}, want{fabric.Doubtful, false}},
		{"504 before", emulator.Fault{Status: 504}, want{fabric.Doubtful, false}},
		{"429", emulator.Fault{Status: 429}, want{fabric.Later, false}},
		{"429 with Retry-After", emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "30"}}, want{fabric.Later, false}},
		{"400", emulator.Fault{Status: 400}, want{fabric.Refused, false}},
		{"401", emulator.Fault{Status: 401}, want{fabric.Later, false}},
		{"403", emulator.Fault{Status: 403}, want{fabric.Refused, false}},
		{"404", emulator.Fault{Status: 404, Body: `{"error_code":"FEATURE_DISABLED","message":"off"}`}, want{fabric.Refused, false}},
		{"409", emulator.Fault{Status: 409}, want{fabric.Later, false}},
		{"redirect", emulator.Fault{Status: 307, Header: map[string]string{"Location": "https://elsewhere.example/"}}, want{fabric.Later, false}},
	} {
		for _, action := range []fabric.Action{fabric.Create, fabric.Update, fabric.Move, fabric.Delete} {
			t.Run(fmt.Sprintf("%s/%s", action, f.name), func(t *testing.T) {
				inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
					c := creation(t, "jobs/daily", "daily")
					path := createPath
					if action != fabric.Create {
						obj := r.create(t, "jobs/daily", "daily")
						c.Action, c.ID, c.Mark, c.Live = action, obj.ID, obj.Mark, obj.Doc
						c.Desired = doc(t, settings("daily", 5))
						path = resetPath
					}
					if action == fabric.Move { // its definition is there already: only the mark tells
						c.Desired, c.From, c.Key, c.Owner.Key = c.Live, c.Key, "jobs/nightly", "jobs/nightly"
					}
					if action == fabric.Delete {
						c.Desired, path = fabric.Doc{}, deletePath
					}
					fault := f.fault
					fault.Pattern = "POST " + path
					r.e.Fault(fault)
					r.e.ResetJournal()
					r.journal.results = nil
					begin := time.Now()
					o := r.w.Do(t.Context(), step(c), r.journal)

					if n := r.e.Count("POST *"); n != 1 {
						t.Errorf("%d requests were sent", n)
					}
					res := o.Results[0]
					if o.Status != f.want.status || res.Status != f.want.status || (o.Err == nil) != (o.Status == fabric.Done) {
						t.Errorf("got %s, %+v, want %s", o.Status, res, f.want.status)
					}
					time.Sleep(time.Until(o.Again))
					jobs := r.e.Jobs()
					effect := len(jobs) == 0
					if action != fabric.Delete {
						if len(jobs) > 1 {
							t.Fatalf("%d jobs", len(jobs))
						}
						effect = len(jobs) == 1 && len(r.object(t, strconv.FormatInt(jobs[0].ID, 10)).Doc.At("tasks").([]any)) == len(c.Desired.At("tasks").([]any))
					}
					if action == fabric.Move {
						mark := r.object(t, c.ID).Mark
						if effect = mark.Owns(installation, c.Owner); mark.Nonce != c.Mark.Nonce {
							t.Errorf("the nonce was %s and is %s", c.Mark.Nonce, mark.Nonce)
						}
					}
					if effect != f.want.effect {
						t.Errorf("in effect: %v", effect)
					}
					if res.Status == fabric.Done && action == fabric.Create && res.ID != strconv.FormatInt(jobs[0].ID, 10) {
						t.Errorf("id %s, not %d", res.ID, jobs[0].ID)
					}
					if open := len(r.journal.open); (open == 1) != (o.Status == fabric.Doubtful) || len(r.journal.results) != 1-open {
						t.Errorf("%s, and %d intents are open, %d outcomes written", o.Status, open, len(r.journal.results))
					}
					if o.Err != nil {
						canaryIn(t, o.Err.Error())
					}
					if wait := f.fault.Header["Retry-After"]; wait != "" && o.Again.Sub(begin) != 30*time.Second {
						t.Errorf("again in %s, the workspace asked for %s s", o.Again.Sub(begin), wait)
					}
				})
			})
		}
	}
}

func TestWhatWasHeldIsNotSent(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		r.e.Fault(emulator.Fault{Pattern: "POST " + createPath, Status: 429, Header: map[string]string{"Retry-After": "60"}})
		c := creation(t, "jobs/daily", "daily")
		first := r.w.Do(t.Context(), step(c), r.journal)
		second := r.w.Do(t.Context(), step(c), r.journal)
		if second.Status != fabric.Later || !second.Again.Equal(first.Again) || r.e.Count("POST *") != 1 || len(r.journal.intents) != 1 {
			t.Errorf("%+v after %d requests and %d intents", second, r.e.Count("POST *"), len(r.journal.intents))
		}
		time.Sleep(time.Until(second.Again))
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Done {
			t.Errorf("afterwards: %+v", o)
		}
	})
}

// TestCreateFoundLate: the list shows a new job only after a while.
func TestCreateFoundLate(t *testing.T) {
	inBubble(t, emulator.Options{Unverified: emulator.Unverified{ListLag: 10 * time.Second}}, Options{}, func(t *testing.T, r *rig) {
		r.e.Fault(emulator.Fault{Pattern: "POST " + createPath, After: true, Close: true})
		o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal)
		if o.Status != fabric.Done {
			t.Errorf("%+v", o)
		}
	})
}

// TestCreateCopied: somebody copies our job, mark and all, before we look for it. Whichever of the two
// has the smaller id, or is listed first, nothing says that it is the original.
func TestCreateCopied(t *testing.T) {
	for seed := range int64(4) {
		inBubble(t, emulator.Options{Seed: seed}, Options{}, func(t *testing.T, r *rig) {
			r.e.Fault(emulator.Fault{Pattern: "POST " + createPath, After: true, Close: true, Hook: func() {
				if _, err := r.e.CreateJob(r.e.Jobs()[0].Settings); err != nil {
					t.Error(err)
				}
			}})
			o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal)
			if o.Status != fabric.Doubtful || o.Results[0].ID != "" || len(r.journal.open) != 1 {
				t.Errorf("%+v, %d intents open", o, len(r.journal.open))
			}
			if n := r.e.Count("POST *"); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
			live := r.look(t)
			if n := len(live.ByNonce(o.Results[0].Nonce)); n != 2 {
				t.Errorf("%d jobs carry the nonce", n)
			}
			owner := fabric.Owner{Deployment: "shop@test", Key: "jobs/daily"}
			if _, p, why := live.Lookup(installation, Job, owner, ""); p != fabric.Unknown || why.Code != configs.MarkCopied {
				t.Errorf("two that may be it: %s, %s", p, why.Code)
			}
		})
	}
}

func TestNothingWithoutAnIntent(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	r.journal.refuse = true
	o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal)
	if o.Status != fabric.Later || r.e.Count("*") != 0 || !strings.Contains(o.Err.Error(), "write down the intent: no space left on device") {
		t.Errorf("%+v after %d requests", o, r.e.Count("*"))
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		if _, err := r.w.send(t.Context(), call{method: method, path: createPath}); !errors.Is(err, fabric.ErrNoIntent) {
			t.Errorf("%s: %v", method, err)
		}
	}
	ctx := fabric.WithPermit(t.Context(), fabric.Intent{Nonce: "n", Op: fabric.OpDelete}, nil)
	if _, _, err := r.w.stat(ctx, fabric.Blob{Path: "/Workspace/x"}); err != nil {
		t.Errorf("a read under a permit: %v", err)
	}
	if n := r.e.Count("POST *"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestDoChecksWhatItIsGiven(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	unresolved := creation(t, "jobs/a", "a")
	unresolved.Desired = fabric.NewDoc(map[string]any{"name": "a", "tasks": []any{map[string]any{"run_job_task": map[string]any{"job_id": fabric.Ref{Kind: Job, Key: "jobs/b"}}}}})
	nothing := creation(t, "jobs/a", "a")
	nothing.Desired = fabric.Doc{}
	noID := creation(t, "jobs/a", "a")
	noID.Action, noID.ID = fabric.Update, "12; drop"
	deletion := noID
	deletion.Action = fabric.Delete
	for _, c := range []fabric.Change{unresolved, nothing, noID, deletion} {
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Refused || o.Err == nil {
			t.Errorf("%+v", o)
		}
	}
	release := creation(t, "jobs/a", "a")
	release.Action = fabric.Release
	if o := r.w.Do(t.Context(), step(release), r.journal); o.Status != fabric.Done {
		t.Errorf("%+v", o)
	}
	if r.e.Count("*") != 0 || len(r.journal.intents) != 0 {
		t.Error("something was sent")
	}
}

func TestCancelled(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		r.e.Fault(emulator.Fault{Pattern: "POST " + createPath, After: true, Hook: func() {
			cancel()
			time.Sleep(time.Second)
		}})
		o := r.w.Do(ctx, step(creation(t, "jobs/daily", "daily")), r.journal)
		if o.Status != fabric.Doubtful || !errors.Is(o.Err, context.Canceled) || len(r.journal.open) != 1 {
			t.Errorf("%+v", o)
		}
		o = r.w.Do(ctx, step(creation(t, "jobs/other", "other")), r.journal)
		if o.Status != fabric.Later || r.e.Count("POST *") != 1 {
			t.Errorf("%+v after %d requests", o, r.e.Count("POST *"))
		}
		time.Sleep(2 * time.Second) // the hook ends
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              -1,
		"0":                             0,
		"7":                             7 * time.Second,
		"-1":                            -1,
		"99999999999":                   maxHold,
		"99999999999999999999999999":    -1,
		"soon":                          -1,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 11:00:00 GMT": 0,
		"Mon, 23 Nov 2027 12:00:30 GMT": maxHold,
	} {
		got, ok := retryAfter(header, now)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

// TestResetOverTCP: the vendor's SDK would send again after a connection that is reset, were it to
// see the error. A pipe knows no such thing.
func TestResetOverTCP(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	r.e.Fault(emulator.Fault{Pattern: "POST " + createPath, After: true, Reset: true, Times: -1})
	o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal)
	if o.Status != fabric.Done || r.e.Count("POST *") != 1 || len(r.e.Jobs()) != 1 {
		t.Errorf("%+v after %d requests", o, r.e.Count("POST *"))
	}
}

// TestOneAttempt: the vendor's SDK, left to itself, sends each of these again.
func TestOneAttempt(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	for _, f := range []emulator.Fault{{Reset: true}, {Close: true}, {Status: 429}, {Status: 503}, {Status: 500, Body: `{"error_code":"REQUEST_LIMIT_EXCEEDED"}`}} {
		f.Pattern, f.Times = "GET "+listPath, -1
		r.e.ClearFaults()
		r.e.Fault(f)
		r.e.ResetJournal()
		if _, err := r.w.send(t.Context(), call{method: http.MethodGet, path: listPath}); err == nil || r.e.Count("*") != 1 {
			t.Errorf("%+v: %d requests, %v", f, r.e.Count("*"), err)
		}
	}
}

// TestResetWithoutMark: what is live looks as it should, but nobody can tell that our reset, which
// also puts the mark on it, made it so.
func TestResetWithoutMark(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		id, err := r.e.CreateJob([]byte(settings("daily", 2)))
		if err != nil {
			t.Fatal(err)
		}
		c := creation(t, "jobs/daily", "daily")
		c.Action, c.ID, c.Live = fabric.Update, strconv.FormatInt(id, 10), doc(t, string(r.e.Jobs()[0].Settings))
		r.e.Fault(emulator.Fault{Pattern: "POST " + resetPath, Close: true})
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Doubtful {
			t.Errorf("%+v", o)
		}
		if o := r.w.Do(t.Context(), step(c), r.journal); o.Status != fabric.Done || r.object(t, c.ID).Mark.Nonce != o.Results[0].Nonce {
			t.Errorf("%+v", o)
		}
	})
}

// TestRefusedConnection: nothing was sent, so there is nothing to doubt.
func TestRefusedConnection(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	s := httptest.NewServer(nil)
	s.Close()
	r.w.Close()
	r.open(t, s.URL, Options{})
	begin := time.Now()
	o := r.w.Do(t.Context(), step(creation(t, "jobs/daily", "daily")), r.journal)
	if o.Status != fabric.Later || len(r.journal.open) != 0 || time.Since(begin) > 5*time.Second {
		t.Errorf("%+v after %s", o, time.Since(begin))
	}
}

// TestReleaseArrives carries a release from its definitions to the workspace and back.
func TestReleaseArrives(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	release := releaseOf(t, map[string]string{
		"jobs/daily": job(`{"name":"daily","tasks":[
			{"task_key":"clean","existing_cluster_id":"c","python_wheel_task":{"package_name":"clean_orders","entry_point":"main","parameters":["-i","default"]},
			 "libraries":[{"whl":"dbfs:/FileStore/prophecy/artifacts/saas/app/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/clean_orders-1.0-py3-none-any.whl"}]},
			{"task_key":"then","depends_on":[{"task_key":"clean"}],"run_job_task":{"job_id":{"job":"jobs/weekly"}}}]}`),
		"jobs/weekly": job(`{"name":"weekly","tasks":[{"task_key":"n","existing_cluster_id":"c","notebook_task":{"notebook_path":"/Workspace/n"}}]}`),
	})
	wheel := blobIn(t, r.store, []byte("a wheel"), "")
	release.Pipelines[0].Artifact.SHA256, release.Pipelines[0].Artifact.Size = wheel.SHA256, wheel.Size
	b := binding()
	b.Root = r.look(t).Root
	desired, findings, err := r.w.Render(release, b)
	if err != nil || len(findings) > 0 {
		t.Fatal(err, findings)
	}
	var changes []fabric.Change
	for _, k := range desired.Keys() {
		res, p := desired.Lookup(k)
		if p != fabric.Present {
			why, _ := desired.Why(k)
			t.Fatalf("%s: %s", k, why.Text)
		}
		changes = append(changes, fabric.Change{Key: k, Kind: res.Kind, Name: res.Name, Action: fabric.Create,
			Owner: fabric.Owner{Deployment: b.Deployment, Key: k}, Desired: res.Doc, Needs: res.Needs, Blobs: res.Blobs})
	}
	steps := r.w.Steps(changes)
	ids := map[fabric.Key]string{}
	known := func(ref fabric.Ref) (any, bool) { return json.Number(ids[ref.Key]), ids[ref.Key] != "" }
	done := map[string]bool{}
	r.e.ResetJournal()
	for range steps {
		for _, s := range steps {
			if done[s.ID] || slices.ContainsFunc(s.After, func(id string) bool { return !done[id] }) {
				continue
			}
			for i := range s.Changes {
				s.Changes[i].Desired = s.Changes[i].Desired.Resolve(known)
			}
			o := r.w.Do(t.Context(), s, r.journal)
			if o.Status != fabric.Done {
				t.Fatalf("%s: %v", s.ID, o.Err)
			}
			for _, res := range o.Results {
				ids[res.Key] = res.ID
			}
			if state, _, err := r.w.Settled(t.Context(), s); state != fabric.Settled || err != nil {
				t.Errorf("%s: %v, %v", s.ID, state, err)
			}
			done[s.ID] = true
		}
	}
	if n := r.e.Count("*"); n != 5 { // look, folder, file, two jobs
		t.Errorf("%d requests: %+v", n, r.e.Requests())
	}
	live := r.look(t)
	for _, c := range changes {
		obj, p, why := live.Lookup(installation, Job, c.Owner, ids[c.Key])
		if p != fabric.Present {
			t.Fatalf("%s: %s: %s", c.Key, p, why.Text)
		}
		fields, _ := fabric.Compare(fabric.Comparison{Rules: r.w.Rules(Job), Desired: c.Desired.Resolve(known), Live: obj.Doc})
		for _, f := range fields {
			t.Errorf("%s: %s: %s -> %s", c.Key, f.Path, f.Old, f.New)
		}
	}
}
