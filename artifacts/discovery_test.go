package artifacts

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// packedTree is a Tree in an archive, which finds a folder without going through all files as a map
// must.
type packedTree struct{ fs.FS }

func (t packedTree) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(t.FS, name) }
func (t packedTree) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.FS, name) }

func (t packedTree) Digest(dir string) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(t, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(t, name)
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(content))
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// manyProjects is a repository of n projects of one name, each in a folder of its own with two
// pipelines and two jobs.
func manyProjects(t testing.TB, n int) packedTree {
	t.Helper()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	add := func(name, content string) {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		root := fmt.Sprintf("teams/t%d/project_%d", i%20, i)
		yml := "name: Same\nversion: 1.0\nlanguage: python\npipelines:\n"
		for _, p := range []string{"a", "b"} {
			yml += "  pipelines/" + p + ": {name: " + p + "}\n"
			code := root + "/pipelines/" + p + "/code/"
			add(code+"setup.py", "from setuptools import setup\n")
			add(code+p+"/pipeline.py", "x = 1\n")
			add(code+"configs/resources/config/default.json", "{}\n")
		}
		yml += "jobs:\n"
		for _, j := range []string{"x", "y"} {
			yml += "  jobs/" + j + ": {fabricUID: 7, scheduler: {Databricks: {}}}\n"
			add(root+"/jobs/"+j+"/code/databricks-job.json", fmt.Sprintf(`{"components": [{"PipelineComponent": {"pipelineId": "pipelines/a", "path": "dbfs:/x/y/a-1.0-py3-none-any.whl"}}], "request": {"name": "%s of %d"}}`, j, i))
		}
		add(root+"/"+ProjectFile, yml)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return packedTree{r}
}

// Projects side by side, of one name: each has its own jobs and nobody else's.
func TestDiscoverMany(t *testing.T) {
	tree := manyProjects(t, 500)
	roots, err := FindProjects(tree)
	if err != nil || len(roots) != 500 {
		t.Fatalf("%d projects, %v", len(roots), err)
	}
	seen := map[string]string{}
	for _, root := range []string{roots[0], roots[250], roots[499]} {
		p, findings, err := ReadProject(tree, root)
		if err != nil || len(findings) > 0 || p.Name != "Same" || len(p.Jobs) != 2 || len(p.Pipelines) != 2 {
			t.Fatalf("%s: %+v, %v, %v", root, p, findings, err)
		}
		for _, j := range p.Jobs {
			if seen[j.Name] != "" {
				t.Errorf("%q is a job of %s and of %s", j.Name, seen[j.Name], root)
			}
			seen[j.Name] = root
		}
	}
}

// Every shape of nesting, with a project at the root of the repository: what each project holds.
func TestDiscoverNested(t *testing.T) {
	definition := func(name string) string { return `{"request": {"name": "` + name + `"}}` }
	tree := memTree{files: fstest.MapFS{}}.
		with("pbt_project.yml", "name: P\njobs: {jobs/top: {scheduler: {Databricks: {}}}}\n").
		with("jobs/top/code/databricks-job.json", definition("top")).
		with("jobs/in/pbt_project.yml", "name: P\njobs: {jobs/deep: {scheduler: {Databricks: {}}}}\n").
		with("jobs/in/jobs/deep/code/databricks-job.json", definition("deep")).
		with("jobs/in/code/databricks-job.json", definition("stray")).
		with("pipelines/in/pbt_project.yml", "name: P\nlanguage: python\npipelines: {pipelines/q: {}}\n").
		with("pipelines/in/pipelines/q/code/setup.py", "x\n").
		with("side/pbt_project.yml", "name: P\njobs: {jobs/top: {scheduler: {Databricks: {}}}}\n").
		with("side/jobs/top/code/databricks-job.json", definition("side")).
		with("Side/pbt_project.yml", "name: P\njobs: {jobs/Top: {scheduler: {Databricks: {}}}}\n").
		with("Side/jobs/Top/code/databricks-job.json", definition("Side")).
		with("side/jobs/in/er/pbt_project.yml", "name: P\n").
		with("side/jobs/in/er/jobs/z/code/databricks-job.json", definition("z"))
	roots, err := FindProjects(tree)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, root := range roots {
		p, _, err := ReadProject(tree, root)
		if err != nil {
			t.Fatal(err)
		}
		got[root] = []string{}
		for _, j := range p.Jobs {
			got[root] = append(got[root], j.Key+" "+j.Name)
		}
		for _, x := range p.Pipelines {
			got[root] = append(got[root], x.Key)
		}
		slices.Sort(got[root])
	}
	want := map[string][]string{
		".":               {"jobs/top top"},
		"jobs/in":         {"jobs/deep deep"},
		"pipelines/in":    {"pipelines/q"},
		"side":            {"jobs/top side"},
		"Side":            {"jobs/Top Side"},
		"side/jobs/in/er": {"jobs/z z"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
}

// The version is the text that stands in the file, never a number or a date.
func TestReadProjectVersions(t *testing.T) {
	for text, want := range map[string]string{
		"2": "2", "1.00": "1.00", "2.0": "2.0", "1.10": "1.10", "3245345634": "3245345634", "12345678901234567890123": "12345678901234567890123",
		"1e3": "1e3", "1_000": "1_000", "0755": "0755", "0o17": "0o17", "0x1F": "0x1F", "007": "007", ".5": ".5", "-1": "-1", "+1": "+1", ".inf": ".inf", ".nan": ".nan",
		"v22": "v22", "22.0.0": "22.0.0", "v1-release": "v1-release", "0.0.1-SNAPSHOT": "0.0.1-SNAPSHOT", "hghj": "hghj", "1.0 # not 2": "1.0",
		"2024-01-01": "2024-01-01", "2024-01-01 10:00:00": "2024-01-01 10:00:00", "1:30": "1:30", "true": "true", "yes": "yes",
		"'1.0'": "1.0", `"2.0"`: "2.0", "'1''0'": "1'0", "!!str 1.0": "1.0", "|\n  1.2\n": "1.2", "": "", "~": "", "null": "",
	} {
		p, _, err := ReadProject(tinyTree().with(ProjectFile, "name: x\nversion: "+text+"\nlanguage: python\n"), ".")
		if err != nil || p.Version != want || p.Language != "python" {
			t.Errorf("version: %s: %+v, %v; want %q", text, p, err, want)
		}
	}
}

func BenchmarkDiscover500(b *testing.B) {
	tree := manyProjects(b, 500)
	for b.Loop() {
		roots, err := FindProjects(tree)
		if err != nil || len(roots) != 500 {
			b.Fatalf("%d projects, %v", len(roots), err)
		}
	}
}

func BenchmarkReadAllOf500(b *testing.B) {
	tree := manyProjects(b, 500)
	roots, err := FindProjects(tree)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, root := range roots {
			if _, _, err := ReadProject(tree, root); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// The other 499 must cost a project nothing.
func BenchmarkReadOneOf500(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tree := manyProjects(b, n)
			for b.Loop() {
				if _, _, err := ReadProject(tree, "teams/t0/project_0"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
