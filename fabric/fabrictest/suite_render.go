package fabrictest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

func renderIsPure(w *world) {
	specs := chain()
	w.binding.Overlay.Tags = map[string]string{"env": "prod", "cost-center": "7"}
	r := w.Release(w, specs...)
	for i := range 2 {
		r.Jobs[i].Blocked = []configs.Finding{configs.Found(configs.NotBuilt, r.Jobs[i].Key, "")}
	}
	w.observe(fabric.Scope{})
	text := func(r *artifacts.Release) string {
		d, findings, err := w.f.Render(r, w.binding)
		if err != nil {
			w.Fatalf("render: %v", err)
		}
		var b strings.Builder
		for _, k := range d.Keys() {
			res, p := d.Lookup(k)
			why, _ := d.Why(k)
			fmt.Fprintf(&b, "%s %s %s %q %s needs %v blobs %v labels %v overlaid %v stripped %v why %v\n",
				k, p, res.Kind, res.Name, res.Doc.Canonical(), res.Needs, res.Blobs, res.Labels, res.Overlaid, res.Stripped, why)
		}
		fmt.Fprintf(&b, "%v", findings)
		return b.String()
	}
	first := text(r)
	for range 20 {
		if diff := cmp.Diff(first, text(r)); diff != "" {
			w.Fatalf("not the same twice (-first +again):\n%s", diff)
		}
	}
	shuffled := *r
	shuffled.Jobs = []artifacts.Job{r.Jobs[2], r.Jobs[1], r.Jobs[0]}
	if diff := cmp.Diff(first, text(&shuffled)); diff != "" {
		w.Errorf("the order of the jobs matters (-first +shuffled):\n%s", diff)
	}
	w.restart()
	if diff := cmp.Diff(first, text(r)); diff != "" {
		w.Errorf("another process renders otherwise (-first +again):\n%s", diff)
	}
	if n := w.Requests(); n != 0 {
		w.Errorf("rendering sent %d changing requests", n)
	}
}

func notRenderable(w *world) {
	good := w.Release(w, one("a"), one("b"))
	w.deploy(good)
	before := w.Requests()
	for _, raw := range []string{"", "{", "null", "[]", "\xff", `{"request":7}`} {
		bad := *good
		bad.Jobs = slices.Clone(good.Jobs)
		bad.Jobs[0].Raw = []byte(raw)
		w.staysUnknown(&bad, fmt.Sprintf("a job that is %q", raw))
	}
	bad := *good
	bad.Jobs = slices.Clone(good.Jobs)
	bad.Jobs[0].Blocked = []configs.Finding{configs.Found(configs.NotBuilt, bad.Jobs[0].Key, "setup.py")}
	w.staysUnknown(&bad, "a blocked job")
	w.deployIgnoringErrors(&bad)
	missing := w.Release(w, Spec{Key: "jobs/a", Name: "a", Runs: []string{"jobs/nowhere"}}, one("b"))
	w.staysUnknown(missing, "a job that refers to nothing")
	w.deployIgnoringErrors(missing)
	if n := w.Requests() - before; n != 0 {
		w.Errorf("%d requests for releases that can't be carried over", n)
	}
	w.converged(good, "jobs/a", "jobs/b")
}

func (w *world) deployIgnoringErrors(r *artifacts.Release) {
	Deploy(w.Context(), w.f, r, w.binding, w.book)
}

// staysUnknown fails the test if jobs/a of the release is anything but Unknown, with a reason.
func (w *world) staysUnknown(r *artifacts.Release, what string) {
	w.Helper()
	d, _, err := w.f.Render(r, w.binding)
	if err != nil {
		return // the whole release can't be rendered: nothing is planned
	}
	_, p := d.Lookup("jobs/a")
	if why, ok := d.Why("jobs/a"); p != fabric.Unknown || !ok || why.Text == "" || why.Code == "" {
		w.Errorf("%s is %s, because %q", what, p, why.Text)
	}
}

func notSelected(w *world) {
	r := w.Release(w, one("a"), one("b"))
	w.deploy(r)
	before := w.Requests()
	w.binding.Jobs = []string{"jobs/a"}
	d := w.render(r)
	if _, p := d.Lookup("jobs/b"); p != fabric.Absent || !d.Unselected("jobs/b") || d.Unselected("jobs/a") {
		w.Errorf("jobs/b is %s, unselected %v; jobs/a unselected %v", p, d.Unselected("jobs/b"), d.Unselected("jobs/a"))
	}
	for _, c := range w.plan(r) {
		if want := map[fabric.Key]fabric.Action{"jobs/a": fabric.Keep, "jobs/b": fabric.Release}[c.Key]; c.Action != want {
			w.Errorf("%s: %s, want %s", c.Key, c.Action, want)
		}
	}
	w.deploy(r)
	if _, p, why := w.lookup(w.observe(fabric.Scope{Owned: w.book.Owned()}), "jobs/b"); p != fabric.Present {
		w.Errorf("what is no longer selected is %s: %s", p, why.Text)
	}
	if n := w.Requests() - before; n != 0 {
		w.Errorf("%d requests to let go of a resource", n)
	}
	w.binding.Jobs = []string{"[", "jobs/a"}
	if _, _, err := w.f.Render(r, w.binding); err == nil {
		w.Error("a pattern that is none is accepted")
	}
}
