package artifacts

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
)

// thisBinary evaluates setup.py files when it is started so; see TestMain.
var thisBinary = []string{"/proc/self/exe", EvalChildArg}

// noChild is a command that is not there: a Build that needs no evaluation does not notice.
var noChild = []string{"/nonexistent/evaluator"}

// workshop is a store and the notes of what was built, as a daemon keeps them.
type workshop struct {
	store *Store
	cache string
}

func newWorkshop(t testing.TB) workshop {
	return workshop{openStore(t), filepath.Join(t.TempDir(), "built")}
}

func (w workshop) builder(child []string) *Builder { return NewBuilder(w.store, w.cache, child) }

func build(t testing.TB, b *Builder, tree Tree, commit string) (*Release, []configs.Finding) {
	t.Helper()
	r, findings, err := b.Build(t.Context(), Source{Tree: tree, Project: "hello", Root: ".", Commit: commit})
	if err != nil {
		t.Fatal(err)
	}
	return r, findings
}

func TestBuildHello(t *testing.T) {
	w := newWorkshop(t)
	r, findings := build(t, w.builder(thisBinary), helloTree(t, "."), "c1")
	if len(findings) > 0 {
		t.Errorf("findings: %v", findings)
	}
	if r.Project != "hello" || r.Path != "." || r.Commit != "c1" || r.Version != "1.0.0" || len(r.Jobs) != 3 || len(r.Digest) != 64 {
		t.Errorf("release %s of %s at %s: version %s, path %s, %d jobs", r.Digest, r.Project, r.Commit, r.Version, r.Path, len(r.Jobs))
	}
	var names []string
	for _, p := range r.Pipelines {
		if p.Artifact == nil {
			t.Fatalf("%s has no artifact", p.Key)
		}
		names = append(names, p.Artifact.Name)
		if !slices.Contains(r.Artifacts, *p.Artifact) {
			t.Errorf("%s is not among the artifacts", p.Artifact.Name)
		}
		blob, err := w.store.Read(p.Artifact.SHA256)
		if err != nil || int64(len(blob)) != p.Artifact.Size || p.Artifact.Kind != "wheel" {
			t.Errorf("%s: %d bytes, %v", p.Artifact.Name, len(blob), err)
		}
		z, err := zip.NewReader(bytes.NewReader(blob), int64(len(blob)))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{p.Name + "/pipeline.py", "prophecy_config_instances/prod.json", p.Name + "-1.0.dist-info/RECORD"} {
			if _, err := fs.Stat(z, want); err != nil {
				t.Errorf("%s: %v", p.Artifact.Name, err)
			}
		}
	}
	want := []string{"clean_orders-1.0-py3-none-any.whl", "customer_report-1.0-py3-none-any.whl", "ingest_orders-1.0-py3-none-any.whl", "revenue_by_day-1.0-py3-none-any.whl"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("wheels (-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(r.Artifacts, func(a, b Artifact) int { return strings.Compare(a.SHA256, b.SHA256) }) || len(r.Artifacts) != 4 {
		t.Errorf("artifacts are not sorted and unique: %v", r.Artifacts)
	}
}

// A release is named by what it holds: whoever builds it, by whatever ref, gets the same digest, and
// any other content or commit another one.
func TestReleaseIdentity(t *testing.T) {
	tree := helloTree(t, ".")
	main, _ := build(t, newWorkshop(t).builder(thisBinary), tree, "c1")
	tag, _ := build(t, newWorkshop(t).builder(thisBinary), tree, "c1")
	if diff := cmp.Diff(main, tag); diff != "" {
		t.Errorf("two builds of one commit differ (-first +second):\n%s", diff)
	}
	later, _ := build(t, newWorkshop(t).builder(thisBinary), tree.with("README.md", "new"), "c2")
	if later.Digest == main.Digest {
		t.Error("another commit has the same digest")
	}
	if diff := cmp.Diff(main.Artifacts, later.Artifacts); diff != "" {
		t.Errorf("the same code gives other wheels at another commit:\n%s", diff)
	}
	digests := map[string]string{main.Digest: "main"}
	const job = "jobs/daily_revenue/code/databricks-job.json"
	for name, other := range map[string]memTree{
		"a job":      tree.with(job, strings.Replace(string(tree.files[job].Data), `"num_workers" : 2`, `"num_workers" : 3`, 1)),
		"a pipeline": tree.with("pipelines/clean_orders/code/clean_orders/udfs/UDFs.py", "# nothing\n"),
		"a space":    tree.with(job, string(tree.files[job].Data)+" "),
	} {
		r, _ := build(t, newWorkshop(t).builder(thisBinary), other, "c1")
		if same, ok := digests[r.Digest]; ok {
			t.Errorf("with %s changed, the digest is that of %s", name, same)
		}
		digests[r.Digest] = name
	}
	elsewhere, _, err := newWorkshop(t).builder(thisBinary).Build(t.Context(), Source{Tree: helloTree(t, "prophecy"), Project: "hello", Root: "prophecy", Commit: "c1"})
	if err != nil || digests[elsewhere.Digest] != "" {
		t.Errorf("in another folder: the same digest, or %v", err)
	}
	if diff := cmp.Diff(main.Artifacts, elsewhere.Artifacts); diff != "" {
		t.Errorf("in another folder the wheels differ:\n%s", diff)
	}
}

// The bytes that were tested are the bytes that run: what was built is found again, by any later
// process, without evaluating or building anything.
func TestBuildOnce(t *testing.T) {
	w := newWorkshop(t)
	tree := helloTree(t, ".")
	first, _ := build(t, w.builder(thisBinary), tree, "c1")
	second, _ := build(t, w.builder(noChild), tree.with("README.md", "new"), "c2")
	if diff := cmp.Diff(first.Artifacts, second.Artifacts); diff != "" {
		t.Errorf("artifacts (-first +second):\n%s", diff)
	}
	// One changed pipeline is evaluated, so a child is needed, and is not there.
	changed := tree.with("pipelines/clean_orders/code/main.py", "print()\n")
	if _, _, err := w.builder(noChild).Build(t.Context(), Source{Tree: changed, Project: "hello", Root: ".", Commit: "c3"}); err == nil || !strings.Contains(err.Error(), noChild[0]) {
		t.Errorf("without an evaluator: %v", err)
	}
	third, _ := build(t, w.builder(thisBinary), changed, "c3")
	for i, p := range third.Pipelines {
		if p.Key != "pipelines/clean_orders" && *p.Artifact != *first.Pipelines[i].Artifact {
			t.Errorf("%s changed", p.Key)
		}
	}
}

// Whatever happens to the notes or the blobs, building again mends it, to the same bytes.
func TestBuildMends(t *testing.T) {
	tree := helloTree(t, ".")
	for name, harm := range map[string]func(*testing.T, workshop, *Release){
		"notes lost": func(t *testing.T, w workshop, _ *Release) {
			if err := os.RemoveAll(w.cache); err != nil {
				t.Fatal(err)
			}
		},
		"notes cut off": func(t *testing.T, w workshop, _ *Release) {
			notes, err := filepath.Glob(filepath.Join(w.cache, "*.json"))
			if err != nil || len(notes) != 4 {
				t.Fatalf("%d notes, %v", len(notes), err)
			}
			for _, n := range notes {
				if err := os.Truncate(n, 20); err != nil {
					t.Fatal(err)
				}
			}
		},
		"blob lost": func(t *testing.T, w workshop, r *Release) {
			if err := os.Remove(w.store.blob(r.Artifacts[0].SHA256)); err != nil {
				t.Fatal(err)
			}
		},
		"blob corrupt": func(t *testing.T, w workshop, r *Release) { corrupt(t, w.store, r.Artifacts[0].SHA256, "PK") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t)
			before, _ := build(t, w.builder(thisBinary), tree, "c1")
			harm(t, w, before)
			after, _ := build(t, w.builder(thisBinary), tree, "c1")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
			for _, a := range after.Artifacts {
				if _, err := w.store.Read(a.SHA256); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A pipeline that can't be built leaves out the jobs that need it, and no other.
func TestBuildBlocks(t *testing.T) {
	const setup = "pipelines/clean_orders/code/setup.py"
	tree := helloTree(t, ".")
	for name, tree := range map[string]memTree{
		"endless":       tree.with(setup, "while True:\n    pass\n"),
		"reads a file":  tree.with(setup, "x = open('/etc/passwd').read()\n"),
		"no python":     tree.with(setup, "from setuptools import setup\nsetup(\n"),
		"lost data":     tree.with("pipelines/clean_orders/code/.prophecy/workflow.latest.json"),
		"larger than 1": tree.with(setup, strings.Repeat("#", maxSetupSource+2)),
	} {
		t.Run(name, func(t *testing.T) {
			r, findings := build(t, newWorkshop(t).builder(thisBinary), tree, "c1")
			var blocked []string
			for _, j := range r.Jobs {
				if len(j.Blocked) > 0 {
					blocked = append(blocked, j.Key)
				}
				if len(j.Blocked) == 1 && (j.Blocked[0].Code != configs.JobPipelineNotBuilt || !strings.Contains(j.Blocked[0].Text, "pipelines/clean_orders")) {
					t.Errorf("%s: %v", j.Key, j.Blocked)
				}
			}
			if diff := cmp.Diff([]string{"jobs/daily_revenue"}, blocked); diff != "" {
				t.Errorf("blocked (-want +got):\n%s", diff)
			}
			if len(r.Artifacts) != 3 || len(findings) != 2 {
				t.Errorf("%d artifacts, findings %v", len(r.Artifacts), findings)
			}
			for _, f := range findings {
				t.Log(f.Code, f.Subject, f.Text)
				if f.Next == "" || strings.Contains(f.Text, "\n") {
					t.Errorf("not a sentence with a next step: %+v", f)
				}
			}
		})
	}
}

// A wheel follows its setup.py, not the job: the difference is said, and the job gets the built one.
func TestBuildRenamed(t *testing.T) {
	const setup = "pipelines/customer_report/code/setup.py"
	tree := helloTree(t, ".")
	tree = tree.with(setup, strings.Replace(string(tree.files[setup].Data), "version = '1.0'", "version = '2.1'", 1))
	r, findings := build(t, newWorkshop(t).builder(thisBinary), tree, "c1")
	var got []string
	for _, f := range findings {
		got = append(got, string(f.Code)+" "+f.Subject+": "+f.Text)
	}
	const text = ": the wheel is built under another file name than the job names; the job gets the built one: customer_report-2.1-py3-none-any.whl instead of customer_report-1.0-py3-none-any.whl"
	want := []string{
		"wheel_renamed jobs/customer_report/code/databricks-job.json: components[0].PipelineComponent.path" + text,
		"wheel_renamed jobs/month_end/code/databricks-job.json: components[0].PipelineComponent.path" + text,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, j := range r.Jobs {
		if len(j.Blocked) > 0 {
			t.Errorf("%s is blocked: %v", j.Key, j.Blocked)
		}
	}
}

// What is wrong with the tree or the disk gives no release at all.
func TestBuildErrors(t *testing.T) {
	lost := errors.New("object not found")
	tree := helloTree(t, ".")
	for _, name := range []string{"pbt_project.yml", "pipelines/clean_orders/code/setup.py", "pipelines/clean_orders/code/test"} {
		if r, _, err := newWorkshop(t).builder(thisBinary).Build(t.Context(), Source{Tree: tree.failing(name, lost), Project: "hello", Root: ".", Commit: "c1"}); !errors.Is(err, lost) || r != nil {
			t.Errorf("with %s lost there is a release: %v, %v", name, r != nil, err)
		}
	}
	w := newWorkshop(t)
	if err := os.WriteFile(w.cache, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, _, err := w.builder(thisBinary).Build(t.Context(), Source{Tree: tree, Project: "hello", Root: ".", Commit: "c1"}); err == nil || r != nil || !strings.Contains(err.Error(), w.cache) {
		t.Errorf("with a file in the place of the notes there is a release: %v, %v", r != nil, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, _, err := newWorkshop(t).builder(thisBinary).Build(ctx, Source{Tree: tree, Project: "hello", Root: ".", Commit: "c1"}); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("cancelled: there is a release: %v, %v", r != nil, err)
	}
}

func TestBuildConcurrent(t *testing.T) {
	w := newWorkshop(t)
	b := w.builder(thisBinary)
	tree := helloTree(t, ".")
	digests := make([]string, 8)
	var wg sync.WaitGroup
	for i := range digests {
		wg.Go(func() {
			project := []string{"hello", "other"}[i%2]
			r, _, err := b.Build(t.Context(), Source{Tree: tree, Project: project, Root: ".", Commit: "c1"})
			if err != nil {
				t.Errorf("build: %v", err)
				return
			}
			digests[i] = project + " " + r.Digest
		})
	}
	wg.Wait()
	slices.Sort(digests)
	if digests = slices.Compact(digests); len(digests) != 2 {
		t.Errorf("digests %q", digests)
	}
}

func BenchmarkBuildUnchanged(b *testing.B) {
	w := newWorkshop(b)
	tree := helloTree(b, ".")
	build(b, w.builder(thisBinary), tree, "c1")
	again := w.builder(noChild)
	for b.Loop() {
		build(b, again, tree, "c2")
	}
}
