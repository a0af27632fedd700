package artifacts

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// The versions of setuptools and wheel whose wheels ours are compared with.
const (
	setuptoolsPin = "66.1.1"
	wheelPin      = "0.38.4"
)

// testPython is a Python with the pinned setuptools and wheel: that of SELVAGE_TEST_PYTHON, or one of
// a virtual environment that is made once under the user's cache folder.
func testPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("SELVAGE_TEST_PYTHON")
	if python == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		venv := filepath.Join(cache, "selvage-test-venv-"+setuptoolsPin+"-"+wheelPin)
		python = filepath.Join(venv, "bin", "python")
		complete := filepath.Join(venv, "complete")
		if _, err := os.Stat(complete); err != nil {
			runPython(t, "python3", "-m", "venv", "--clear", venv)
			runPython(t, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
				"setuptools=="+setuptoolsPin, "wheel=="+wheelPin)
			if err := os.WriteFile(complete, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	versions := runPython(t, python, "-c", "import setuptools, wheel; print(setuptools.__version__, wheel.__version__)")
	if got, want := strings.TrimSpace(versions), setuptoolsPin+" "+wheelPin; got != want {
		t.Fatalf("%s has setuptools and wheel %s; want %s", python, got, want)
	}
	return python
}

func runPython(t *testing.T, argv ...string) string {
	t.Helper()
	command := exec.Command(argv[0], argv[1:]...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, stderr.String())
	}
	return string(out)
}

// wheelTree is one file of testdata/wheels: a pipeline's code folder, and who refuses it.
type wheelTree struct {
	name    string
	archive *txtar.Archive
	refused string // "", "by us" or "by both"
	message string // part of our refusal
}

var refusedLine = regexp.MustCompile(`^refused (by us|by both): (.+)\n`)

func wheelTrees(t testing.TB) []wheelTree {
	t.Helper()
	files, err := filepath.Glob("testdata/wheels/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no trees: %v", err)
	}
	var trees []wheelTree
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tree := wheelTree{name: strings.TrimSuffix(filepath.Base(f), ".txtar"), archive: a}
		if m := refusedLine.FindSubmatch(a.Comment); m != nil {
			tree.refused, tree.message = string(m[1]), string(m[2])
		}
		trees = append(trees, tree)
	}
	return trees
}

func (w wheelTree) script() setupScript {
	s := setupScript{Pipeline: "pipelines/" + w.name}
	for _, f := range w.archive.Files {
		s.Files = append(s.Files, f.Name)
		if f.Name == "setup.py" {
			s.Source = f.Data
		}
	}
	slices.Sort(s.Files)
	return s
}

func (w wheelTree) write(t *testing.T, dir string) {
	t.Helper()
	for _, f := range w.archive.Files {
		file := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// bdistWheel runs `setup.py bdist_wheel` in every folder below the one given, each in a fork of one
// interpreter that has setuptools loaded, and prints {folder: its output if it failed, else ""}.
const bdistWheel = `
import json, os, runpy, sys, tempfile
import setuptools, wheel.bdist_wheel
failed = {}
for folder in sorted(os.listdir(sys.argv[1])):
    log = tempfile.TemporaryFile()
    pid = os.fork()
    if pid == 0:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        status = 1
        try:
            os.chdir(os.path.join(sys.argv[1], folder))
            sys.argv = ["setup.py", "-q", "bdist_wheel"]
            sys.path.insert(0, os.getcwd())
            runpy.run_path("setup.py", run_name="__main__")
            status = 0
        except BaseException as e:
            print(repr(e), flush=True)
        sys.stdout.flush()
        os._exit(status)
    _, status = os.waitpid(pid, 0)
    log.seek(0)
    failed[folder] = "" if status == 0 else "failed: " + log.read().decode("utf-8", "replace")
json.dump(failed, sys.stdout)
`

// TestWheelsAreThoseOfSetuptools builds every tree twice, here and with setuptools, and compares the
// names of the wheels and the names, bytes and order of what they hold.
func TestWheelsAreThoseOfSetuptools(t *testing.T) {
	python := testPython(t)
	trees := wheelTrees(t)
	root := t.TempDir()
	var scripts []setupScript
	for _, tree := range trees {
		tree.write(t, filepath.Join(root, tree.name))
		scripts = append(scripts, tree.script())
	}
	results, err := evaluateSetups(t.Context(), EvalChild(), scripts)
	if err != nil {
		t.Fatal(err)
	}
	// Ours first: theirs leave build/ and egg-info folders behind.
	ours := make([]Wheel, len(trees))
	refusals := make([]error, len(trees))
	for i, tree := range trees {
		if p := results[i].Problem; p != nil {
			refusals[i] = errors.New(p.Text)
			continue
		}
		ours[i], refusals[i] = buildWheel(os.DirFS(filepath.Join(root, tree.name)), results[i].Setup)
	}
	failures := map[string]string{}
	if err := json.Unmarshal([]byte(runPython(t, python, "-c", bdistWheel, root)), &failures); err != nil {
		t.Fatal(err)
	}

	for i, tree := range trees {
		t.Run(tree.name, func(t *testing.T) {
			if (refusals[i] != nil) != (tree.refused != "") {
				t.Fatalf("we say %v; the tree says refused %q", refusals[i], tree.refused)
			}
			if (failures[tree.name] != "") != (tree.refused == "by both") {
				t.Fatalf("setuptools says %q; the tree says refused %q", failures[tree.name], tree.refused)
			}
			if tree.refused != "" {
				if !strings.Contains(refusals[i].Error(), tree.message) {
					t.Errorf("refused with %q; want %q in it", refusals[i], tree.message)
				}
				return
			}
			dist, err := filepath.Glob(filepath.Join(root, tree.name, "dist", "*.whl"))
			if err != nil || len(dist) != 1 {
				t.Fatalf("setuptools built %q: %v", dist, err)
			}
			theirs, err := os.ReadFile(dist[0])
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ours[i].Name, filepath.Base(dist[0]); got != want {
				t.Errorf("named %s; want %s", got, want)
			}
			if diff := cmp.Diff(wheelContent(t, theirs), wheelContent(t, ours[i].Content)); diff != "" {
				t.Errorf("setuptools (-) and we (+) differ:\n%s", diff)
			}
		})
	}
}

type namedText struct{ Name, Text string }

var (
	generatorLine = regexp.MustCompile(`(?m)^Generator: .*$`)
	wheelRecord   = regexp.MustCompile(`(?m)^(.*\.dist-info/WHEEL),sha256=.*$`)
)

// wheelContent lists the files of a wheel in their order, without the line that names its builder and
// the digest of the file that has it.
func wheelContent(t *testing.T, content []byte) []namedText {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var files []namedText
	for _, f := range r.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(rc)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		rc.Close()
		switch filepath.Base(f.Name) {
		case "WHEEL":
			text = generatorLine.ReplaceAll(text, []byte("Generator: X"))
		case "RECORD":
			text = wheelRecord.ReplaceAll(text, []byte("$1,X"))
		}
		files = append(files, namedText{f.Name, string(text)})
	}
	return files
}
