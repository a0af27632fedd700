package databricks

import (
	"fmt"
	"testing"

	"selvage/artifacts"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

// TestRequestsOfAThousandJobs: what nobody changed costs ten pages of the list; one changed job costs
// a look right before its reset, the reset, and a look at what came of it.
func TestRequestsOfAThousandJobs(t *testing.T) {
	const jobs, pages = 1000, 10
	e := emulator.New(emulator.Options{Token: token})
	url, stop, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	w, err := New(Options{Name: "thousand", Config: pat(url, token), Installation: installation})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	b := binding()
	b.Jobs = []string{"**"}
	release := func(changed int) *artifacts.Release {
		r := &artifacts.Release{Project: "shop"}
		for i := range jobs {
			name, tasks := fmt.Sprintf("job_%04d", i), 3
			if i == changed {
				tasks = 4
			}
			r.Jobs = append(r.Jobs, artifacts.Job{Key: "jobs/" + name, Name: name, Raw: fmt.Appendf(nil, `{"request":%s}`, settings(name, tasks))})
		}
		return r
	}
	desired, _ := render(t, release(-1), b)
	for _, k := range desired.Keys() {
		res, _ := desired.Lookup(k)
		mark := fabric.MarkOf(installation, fabric.Owner{Deployment: b.Deployment, Key: k}, fabric.NewNonce())
		if _, err := e.CreateJob(fabric.NewDoc(marked(res.Doc, mark, mark.Nonce)).Canonical()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.artifactRoot(t.Context()); err != nil { // asked once in a process's life
		t.Fatal(err)
	}
	book := fabrictest.NewBook(b.Deployment)
	for _, tt := range []struct {
		name             string
		changed          int
		list, get, reset int
	}{
		{"nothing changed", -1, pages, 0, 0},
		{"one changed", jobs / 2, pages, 2, 1},
		{"nothing changed since", jobs / 2, pages, 0, 0},
		{"it is as before", -1, pages, 2, 1},
	} {
		e.ResetJournal()
		if _, err := fabrictest.Deploy(t.Context(), w, release(tt.changed), b, book); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		list, get, reset := e.Count("GET "+listPath), e.Count("GET "+getPath), e.Count("POST "+resetPath)
		if list != tt.list || get != tt.get || reset != tt.reset || e.Count("*") != list+get+reset {
			t.Errorf("%s: %d lists, %d gets, %d resets, %d requests in all; want %d, %d, %d", tt.name, list, get, reset, e.Count("*"), tt.list, tt.get, tt.reset)
		}
	}
	if n := len(e.Jobs()); n != jobs {
		t.Errorf("%d jobs", n)
	}
	for _, v := range e.Violations() {
		t.Errorf("the real API would reject: %s", v)
	}
}
