package artifacts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
)

// tinyTree is a project with a pipeline "a" and one job, whose components are given.
func tinyTree(components ...string) memTree {
	const yml = "name: Tiny\nversion: 1\nlanguage: python\npipelines:\n  pipelines/a: {}\njobs:\n  jobs/daily:\n    fabricUID: 7\n    scheduler: {Databricks: {}}\n"
	const setup = "from setuptools import setup\nsetup(name = 'a', version = '1.0', py_modules = ['a'])\n"
	tree := memTree{files: fstest.MapFS{}}
	return tree.with(ProjectFile, yml).with("pipelines/a/code/setup.py", setup).with("pipelines/a/code/a.py", "x = 1\n").with("jobs/daily/code/databricks-job.json",
		`{"components": [`, strings.Join(components, ","), `], "request": {"name": "daily", "tasks": []}}`)
}

// uses is a component that runs a pipeline.
func uses(id, file, more string) string {
	return fmt.Sprintf(`{"PipelineComponent": {"pipelineId": %q, "path": "dbfs:/x/prophecy/artifacts/s/a/7234/0.1/pipeline/%s"%s}}`, id, file, more)
}

const (
	ownWheel     = "a-1.0-py3-none-any.whl"
	cleanWheel   = "clean_orders-1.0-py3-none-any.whl"
	cleanShort   = "7234/pipelines/clean_orders"
	cleanGit     = "gitUri=http://g/base.git&subPath=data/base&tag=Base/0.1&projectSubscriptionProjectId=7234&path=pipelines/clean_orders"
	cleanRelease = `, "releaseVersion": "0.1"`
)

// watched gives the sample project in the folder data/base for every subscription, and counts.
func watched(t testing.TB, asked *[]Subscription) func(context.Context, Subscription) (Source, error) {
	base := helloTree(t, "data/base")
	return func(_ context.Context, s Subscription) (Source, error) {
		*asked = append(*asked, s)
		return Source{Tree: base, Project: "base", Root: "data/base", Commit: "b1"}, nil
	}
}

func reasons(r *Release) []string {
	var all []string
	for _, j := range r.Jobs {
		for _, f := range j.Blocked {
			all = append(all, fmt.Sprintf("%s %s", f.Code, f.Text))
		}
	}
	return all
}

// A pipeline of a watched project is read and built there, once, and only that one.
func TestBuildSubscribed(t *testing.T) {
	var asked []Subscription
	w := newWorkshop(t)
	tree := tinyTree(uses("pipelines/a", ownWheel, ""), uses(cleanShort, cleanWheel, cleanRelease), uses(cleanShort, cleanWheel, cleanRelease), uses(cleanGit, cleanWheel, ""))
	s := Source{Tree: tree, Project: "tiny", Root: ".", Commit: "c1", Subscribed: watched(t, &asked)}
	r, findings, err := w.builder(thisBinary).Build(t.Context(), s)
	if err != nil || len(findings) > 0 {
		t.Fatalf("%v, %v", findings, err)
	}
	if len(asked) != 2 {
		t.Errorf("asked for %+v", asked)
	}
	if len(r.Subscribed) != 1 || r.Subscribed[0].Key != "7234/pipelines/clean_orders@0.1" || r.Subscribed[0].Artifact.Name != cleanWheel || !slices.Equal(r.Subscribed[0].Instances, []string{"default", "dev", "prod"}) {
		t.Fatalf("subscribed: %+v", r.Subscribed)
	}
	if !slices.Contains(r.Artifacts, *r.Subscribed[0].Artifact) || len(r.Artifacts) != 2 {
		t.Errorf("artifacts: %+v", r.Artifacts)
	}
	if c := r.Jobs[0].Components[1]; c.PipelineID != cleanShort || c.Subscribed.Key() != r.Subscribed[0].Key {
		t.Errorf("component: %+v", c)
	}
	if !slices.Equal(r.Jobs[0].Pipelines, []string{"pipelines/a"}) {
		t.Errorf("own pipelines: %q", r.Jobs[0].Pipelines)
	}
	// The wheel is the one that the other project itself builds, and is not built again.
	base, _, err := w.builder(noChild).Build(t.Context(), Source{Tree: tinyTree(), Project: "tiny", Root: ".", Commit: "c2", Subscribed: s.Subscribed})
	if err != nil || len(base.Subscribed) != 0 {
		t.Errorf("without subscriptions: %v, %v", base, err)
	}
	again, _, err := w.builder(noChild).Build(t.Context(), s)
	if diff := cmp.Diff(r, again); err != nil || diff != "" {
		t.Errorf("built again: %v\n%s", err, diff)
	}
	without, _, err := w.builder(noChild).Build(t.Context(), Source{Tree: tree, Project: "tiny", Root: ".", Commit: "c1"})
	if err != nil || len(without.Subscribed) != 0 || len(reasons(without)) != 0 || without.Digest == r.Digest {
		t.Errorf("not watched: %+v, %v", without, err)
	}
}

// What the other repository does not hold blocks the jobs that want it; what nobody could read ends the
// Build, because it is not known.
func TestBuildSubscribedBroken(t *testing.T) {
	lost := errors.New("connection refused")
	base := helloTree(t, "data/base")
	at := func(tree memTree, root string) func(context.Context, Subscription) (Source, error) {
		return func(context.Context, Subscription) (Source, error) {
			return Source{Tree: tree, Root: root, Commit: "b1"}, nil
		}
	}
	fails := func(err error) func(context.Context, Subscription) (Source, error) {
		return func(context.Context, Subscription) (Source, error) { return Source{}, err }
	}
	const missing = "subscription_missing the job names a pipeline of another project that its release does not hold: its live job stays as it is: 7234/pipelines/clean_orders@0.1: "
	const yml, setup = "data/base/pbt_project.yml", "data/base/pipelines/clean_orders/code/setup.py"
	for _, c := range []struct {
		name string
		find func(context.Context, Subscription) (Source, error)
		want string // of the job's reason; empty where it is deployed
		err  error
	}{
		{"not watched", fails(fmt.Errorf("7234: %w", ErrNotWatched)), "", nil},
		{"no such tag", fails(fmt.Errorf("tag Base/0.1 in http://g/base.git: %w", ErrNotReleased)), missing + "tag Base/0.1 in http://g/base.git: there is no such release", nil},
		{"git is away", fails(lost), "", lost},
		{"no project there", at(base, "."), missing + "not a project: pbt_project.yml is not in this commit; name the folder that holds it with path", nil},
		{"yml broken", at(base.with(yml, "a: ["), "data/base"), missing + "data/base/pbt_project.yml:1: sequence end token ']' not found; mend the file in git and push again", nil},
		{"yml a folder", at(base.with(yml).with(yml+"/x", ""), "data/base"), missing + "read data/base/pbt_project.yml: data/base/pbt_project.yml: not a file or folder of its own here", nil},
		{"not listed", at(base.with(yml, "name: x\npipelines: {}\n"), "data/base/"), missing + "expected it under pipelines in data/base/pbt_project.yml at b1", nil},
		{"no code", at(base.with(setup), "data/base"), missing + "data/base/pipelines/clean_orders/code/setup.py is not in this commit", nil},
		{"not buildable", at(base.with(setup, "while True:\n  pass\n"), "data/base"), "job_pipeline_not_built a pipeline of the job could not be built: its live job stays as it is: 7234/pipelines/clean_orders@0.1: ", nil},
		{"tree unreadable", at(base.failing(setup, lost), "data/base"), "", lost},
		{"yml unreadable", at(base.failing(yml, lost), "data/base"), "", lost},
		{"scala", at(base.with(yml, "pipelines: {pipelines/clean_orders: {language: scala}}\n").with("data/base/pipelines/clean_orders/code/pom.xml", ""), "data/base"),
			"jar_missing no jar of a Scala pipeline of the job is known, and building Scala comes later: its live job stays as it is: 7234/pipelines/clean_orders@0.1: it is a Scala pipeline", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := tinyTree(uses("pipelines/a", ownWheel, ""), uses(cleanShort, cleanWheel, cleanRelease))
			r, findings, err := newWorkshop(t).builder(thisBinary).Build(t.Context(), Source{Tree: tree, Project: "tiny", Root: ".", Commit: "c1", Subscribed: c.find})
			if c.err != nil {
				if !errors.Is(err, c.err) || r != nil || !strings.Contains(err.Error(), "7234/pipelines/clean_orders@0.1") {
					t.Errorf("there is a release: %v, %v", r != nil, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(reasons(r), "\n")
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" || len(findings) != len(reasons(r)) {
				t.Errorf("got  %s\nwant %s\nfindings %v", got, c.want, findings)
			}
			if len(r.Subscribed) != 0 || len(r.Artifacts) != 1 {
				t.Errorf("subscribed %+v, artifacts %+v", r.Subscribed, r.Artifacts)
			}
		})
	}
}

// Two names of one release that lead to different code, and a pipeline in another language than the
// committed path says.
func TestBuildSubscribedDiffers(t *testing.T) {
	base := helloTree(t, ".")
	other := base.with("pipelines/clean_orders/code/main.py", "print()\n")
	find := func(_ context.Context, s Subscription) (Source, error) {
		if s.Git == "" {
			return Source{Tree: base, Root: ".", Commit: "b1"}, nil
		}
		return Source{Tree: other, Root: ".", Commit: "b2"}, nil
	}
	for components, want := range map[string]string{
		uses(cleanShort, cleanWheel, cleanRelease) + "," + uses(cleanGit, cleanWheel, ""): "another component names it otherwise, and that leads to other code; expected one release of one project",
		uses(cleanShort, "clean_orders.jar", cleanRelease):                                `it is a python pipeline, and path is "clean_orders.jar"; expected a path that ends in .whl`,
	} {
		r, _, err := newWorkshop(t).builder(thisBinary).Build(t.Context(), Source{Tree: tinyTree(components), Project: "tiny", Root: ".", Commit: "c1", Subscribed: find})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(reasons(r), "\n"); !strings.HasSuffix(got, ": 7234/pipelines/clean_orders@0.1: "+want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A subscribed project subscribes as well: that is its own affair.
func TestBuildSubscribedOnce(t *testing.T) {
	inner := tinyTree(uses(cleanShort, cleanWheel, cleanRelease))
	calls := 0
	find := func(_ context.Context, s Subscription) (Source, error) {
		calls++
		return Source{Tree: inner, Root: ".", Commit: "b1", Subscribed: func(context.Context, Subscription) (Source, error) {
			t.Error("followed further")
			return Source{}, ErrNotWatched
		}}, nil
	}
	r, _, err := newWorkshop(t).builder(thisBinary).Build(t.Context(), Source{Tree: tinyTree(uses("9/pipelines/a", ownWheel, `, "releaseVersion": "3"`)), Project: "tiny", Root: ".", Commit: "c1", Subscribed: find})
	if err != nil || calls != 1 || len(r.Subscribed) != 1 || r.Subscribed[0].Key != "9/pipelines/a@3" {
		t.Errorf("%d calls, %+v, %v", calls, r, err)
	}
}

// A job that is left out anyway asks for nothing: an unreachable repository must not hold up the others.
func TestBuildSubscribedBlocked(t *testing.T) {
	tree := tinyTree(uses(cleanShort, cleanWheel, cleanRelease), `{"FutureComponent": {}}`)
	find := func(context.Context, Subscription) (Source, error) { return Source{}, errors.New("connection refused") }
	r, _, err := newWorkshop(t).builder(thisBinary).Build(t.Context(), Source{Tree: tree, Project: "tiny", Root: ".", Commit: "c1", Subscribed: find})
	if err != nil || len(r.Jobs[0].Blocked) != 1 || r.Jobs[0].Blocked[0].Code != configs.JobNotSupported {
		t.Errorf("%v, %v", reasons(r), err)
	}
}

// One release can't make us ask for any number of others.
func TestBuildSubscribedMany(t *testing.T) {
	var components []string
	for i := range maxSubscriptions + 5 {
		components = append(components, uses(fmt.Sprintf("%d/pipelines/x", i), fmt.Sprintf("x%d-1.0-py3-none-any.whl", i), cleanRelease))
	}
	calls := 0
	find := func(context.Context, Subscription) (Source, error) { calls++; return Source{}, ErrNotWatched }
	r, _, err := newWorkshop(t).builder(noChild).Build(t.Context(), Source{Tree: tinyTree(components...).with("pipelines/a/code/setup.py"), Project: "tiny", Root: ".", Commit: "c1", Subscribed: find})
	if err != nil || calls != maxSubscriptions || len(r.Jobs[0].Blocked) != 5 || !strings.HasSuffix(r.Jobs[0].Blocked[0].Text, "expected at most 200 pipelines of other projects in one release") {
		t.Errorf("%d calls, %q, %v", calls, reasons(r), err)
	}
}
