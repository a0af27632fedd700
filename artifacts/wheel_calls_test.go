package artifacts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
)

func callFindings(t *testing.T, b *Builder, tree Tree, commit string, patterns ...string) []string {
	t.Helper()
	_, findings, err := b.Build(t.Context(), Source{Tree: tree, Project: "hello", Root: ".", Commit: commit, Isolation: patterns})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, f := range findings {
		if f.Code != configs.WheelCalls {
			t.Errorf("%s: %s", f.Code, f.Text)
		}
		if f.Level() != configs.Note || f.Next == "" || strings.Contains(f.Text, "\n") {
			t.Errorf("not a note of one line with a next step: %+v", f)
		}
		texts = append(texts, f.Subject+": "+strings.TrimPrefix(f.Text, f.Code.Sentence()+": "))
	}
	return texts
}

// Whether a wheel is built or found again, by this process or a later one, its calls are named.
func TestBuildNamesCalls(t *testing.T) {
	const code = "pipelines/clean_orders/code/"
	tree := helloTree(t, ".").
		with(code+"clean_orders/udfs/UDFs.py", "# https://docs.prophecy.io\nimport requests\n\nrequests.post('https://app.prophecy.io/x')\n").
		with(code+"configs/resources/config/prod.json", "{\n\"host\": \"execution.prophecy.io\",\n\"mail\": \"x@prophecy.io\"}\n").
		with(code+"clean_orders/binary.py", "\x00 https://app.prophecy.io\n").
		with(code+"main.py", "print('https://app.prophecy.io')\n"). // is not packed
		with(code+".prophecy/workflow.latest.json", `{"url": "https://app.prophecy.io"}`)
	want := []string{
		"pipelines/clean_orders: clean_orders/udfs/UDFs.py line 4 of clean_orders-1.0-py3-none-any.whl names app.prophecy.io",
		"pipelines/clean_orders: prophecy_config_instances/prod.json line 2 of clean_orders-1.0-py3-none-any.whl names execution.prophecy.io",
	}
	w := newWorkshop(t)
	first := w.builder(thisBinary)
	if got := callFindings(t, first, tree, "c1"); got != nil {
		t.Errorf("without patterns: %q", got)
	}
	for _, b := range []*Builder{first, first, w.builder(noChild)} {
		if diff := cmp.Diff(want, callFindings(t, b, tree, "c2", "*.prophecy.io")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	// Other patterns are another question.
	if diff := cmp.Diff(want[:1], callFindings(t, w.builder(noChild), tree, "c2", "app.prophecy.io")); diff != "" {
		t.Errorf("one host (-want +got):\n%s", diff)
	}
	if got := callFindings(t, w.builder(noChild), tree, "c2", "*.example.com"); got != nil {
		t.Errorf("another host: %q", got)
	}
}

// A wheel is scanned once; a note that says nothing is no answer.
func TestCallsAreNoted(t *testing.T) {
	tree := helloTree(t, ".").with("pipelines/clean_orders/code/clean_orders/x.py", "x = 'https://app.prophecy.io'\n")
	w := newWorkshop(t)
	b := w.builder(thisBinary)
	want := callFindings(t, b, tree, "c1", "*.prophecy.io")
	notes, err := filepath.Glob(filepath.Join(w.cache, "calls-*.json"))
	if err != nil || len(notes) != 4 || len(want) != 1 {
		t.Fatalf("%d notes, %v; findings %q", len(notes), err, want)
	}
	before := map[string]int64{}
	for _, n := range notes {
		before[n] = modified(t, n)
	}
	callFindings(t, b, tree, "c1", "*.prophecy.io", "*.prophecy.io")
	for _, n := range notes {
		if modified(t, n) != before[n] {
			t.Errorf("%s was written again", n)
		}
		for _, broken := range []string{"", "{", "null", `{"Total":0}`} {
			if err := os.WriteFile(n, []byte(broken), 0o644); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, callFindings(t, b, tree, "c1", "*.prophecy.io")); diff != "" {
				t.Errorf("with the note %q (-want +got):\n%s", broken, diff)
			}
		}
	}
}

func modified(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime().UnixNano()
}

// However many calls there are, a pipeline has 20 findings and one that counts the others.
func TestManyCalls(t *testing.T) {
	tree := helloTree(t, ".")
	for i := range 3 {
		tree = tree.with(fmt.Sprintf("pipelines/clean_orders/code/clean_orders/a%d.py", i), strings.Repeat("x = 'https://app.prophecy.io'\n", 9))
	}
	got := callFindings(t, newWorkshop(t).builder(thisBinary), tree, "c1", "*.prophecy.io")
	if len(got) != maxWheelCalls+1 {
		t.Fatalf("%d findings: %q", len(got), got)
	}
	if want := "pipelines/clean_orders: and 7 more in clean_orders-1.0-py3-none-any.whl"; got[maxWheelCalls] != want {
		t.Errorf("last: %q; want %q", got[maxWheelCalls], want)
	}
	if !slices.Contains(got, "pipelines/clean_orders: clean_orders/a2.py line 2 of clean_orders-1.0-py3-none-any.whl names app.prophecy.io") {
		t.Errorf("not by file and line: %q", got)
	}
}
