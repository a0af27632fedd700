package artifacts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// wheelTree is a pipeline's code folder, and who refuses it.
type wheelTree struct {
	name    string
	archive *txtar.Archive
	modes   map[string]uint32 // of files, where it is not 0644
	refused string            // "", "by us" or "by both"
	message string            // part of our refusal
}

var refusedLine = regexp.MustCompile(`^refused (by us|by both): (.+)\n`)

// wheelTrees reads the trees of testdata/wheels.
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

func (w wheelTree) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for _, f := range w.archive.Files {
		m[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return m
}

func (w wheelTree) write(dir string) error {
	for _, f := range w.archive.Files {
		file := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			return err
		}
		if mode, ok := w.modes[f.Name]; ok {
			if err := os.Chmod(file, os.FileMode(mode)); err != nil {
				return err
			}
		}
	}
	return nil
}

// String shows a tree so that a person can see what is in it.
func (w wheelTree) String() string {
	var b strings.Builder
	for _, f := range w.archive.Files {
		if f.Name == "setup.py" {
			fmt.Fprintf(&b, "-- setup.py --\n%s", f.Data)
			continue
		}
		text := strconv.Quote(string(f.Data[:min(len(f.Data), 60)]))
		fmt.Fprintf(&b, "-- %q, %d bytes, mode %o -- %s\n", f.Name, len(f.Data), w.modes[f.Name], text)
	}
	return b.String()
}

// built is one side's wheel, or why there is none.
type built struct {
	wheel   *openWheel
	refused string
}

// ourWheels builds trees here.
func ourWheels(t *testing.T, trees []wheelTree) []built {
	t.Helper()
	var scripts []setupScript
	for _, tree := range trees {
		scripts = append(scripts, tree.script())
	}
	results, err := evaluateSetups(t.Context(), EvalChild(), scripts)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]built, len(trees))
	for i, tree := range trees {
		if p := results[i].Problem; p != nil {
			list[i].refused = p.Text
			continue
		}
		w, err := buildWheel(tree.fs(), results[i].Setup)
		var refused *refusal
		if errors.As(err, &refused) {
			list[i].refused = err.Error()
		} else if err != nil {
			t.Fatalf("%s: %v", tree.name, err)
		} else if list[i].wheel, err = unpack(w.Name, w.Content); err != nil {
			t.Errorf("%s: our wheel: %v", tree.name, err)
		}
	}
	return list
}

// theirWheels builds trees with an oracle, each in a folder of its own below root.
func theirWheels(b *builds, root string, trees []wheelTree) ([]built, error) {
	list := make([]built, len(trees))
	for i, tree := range trees {
		dir := filepath.Join(root, strings.ReplaceAll(b.name, " ", "-"), tree.name)
		if err := tree.write(dir); err != nil {
			return nil, err
		}
		a, err := b.build(dir)
		if err != nil {
			return nil, err
		}
		if list[i].refused = a.Failed; a.Failed == "" {
			content, err := os.ReadFile(a.Wheel)
			if err != nil {
				return nil, err
			}
			if list[i].wheel, err = unpack(filepath.Base(a.Wheel), content); err != nil {
				return nil, fmt.Errorf("%s: wheel of %s: %w", tree.name, b.name, err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// compare returns how two wheels differ, but for what differs by design.
func (o oracle) compare(theirs, ours *openWheel) string {
	theirs = &openWheel{theirs.Name, slices.Clone(theirs.Files)}
	ours = &openWheel{ours.Name, slices.Clone(ours.Files)}
	for _, d := range o.differs {
		if d.theirs != nil {
			d.theirs(theirs)
		}
		if d.ours != nil {
			d.ours(ours)
		}
	}
	return cmp.Diff(theirs, ours)
}

// TestWheelsAreThoseOfSetuptools builds every tree of testdata/wheels here and with each setuptools, and
// compares the names of the wheels and the names, bytes and order of what they hold.
func TestWheelsAreThoseOfSetuptools(t *testing.T) {
	trees := wheelTrees(t)
	ours := ourWheels(t, trees)
	for _, o := range oracles {
		theirs, err := theirWheels(o.start(t), t.TempDir(), trees)
		if err != nil {
			t.Fatal(err)
		}
		for i, tree := range trees {
			t.Run(o.name+"/"+tree.name, func(t *testing.T) {
				if (ours[i].refused != "") != (tree.refused != "") {
					t.Fatalf("we say %q; the tree says refused %q", ours[i].refused, tree.refused)
				}
				if (theirs[i].refused != "") != (tree.refused == "by both") {
					t.Fatalf("setuptools says %q; the tree says refused %q", theirs[i].refused, tree.refused)
				}
				if tree.refused != "" {
					if !strings.Contains(ours[i].refused, tree.message) {
						t.Errorf("refused with %q; want %q in it", ours[i].refused, tree.message)
					}
					return
				}
				if diff := o.compare(theirs[i].wheel, ours[i].wheel); diff != "" {
					t.Errorf("setuptools (-) and we (+) differ:\n%s", diff)
				}
			})
		}
	}
}

// refusalRule is a kind of tree that one side refuses and the other builds, on purpose.
type refusalRule struct {
	message *regexp.Regexp // in the refusal
	why     string
}

// oursAlone are the trees that we refuse although every setuptools builds a wheel. None of them is a shape that
// the authoring tool writes; each would be a wheel that lacks something, that no installer understands, or
// that depends on more than the tree.
var oursAlone = []refusalRule{
	rule(`because of the characters in its name`, "a line break, another control character or a backslash in a file's name: not every system can unpack it"),
	rule(`py_modules: module .* does not exist`, "setuptools leaves the module out and only warns"),
	rule(`claim the same place`, "setuptools packs the one that comes last"),
	rule(`goes up and down again|leads out of the package`, "a .. in a path"),
	rule(`has a \*, \? or \[ in its name`, "setuptools takes the folder's name for a pattern, and cuts the names of what it finds at the wrong place"),
	rule(`(setup\.cfg|pyproject\.toml) has a section`, "a second place for what setup.py says"),
	rule(`include_package_data`, "what it packs depends on MANIFEST.in, and without one on data_files"),
	rule(`duplicate key`, "one key twice in a dictionary: Python takes the last one"),
	rule(`give each group a list of its own`, "a section in the list of a group begins another group"),
	rule(`both have a marker`, "setuptools 66 writes a condition that no installer understands"),
	rule(`=== takes everything|compares with no version`, "setuptools 66 takes the marker for a part of the version"),
	rule(`would hold no file`, "a wheel of nothing"),
	rule(`entry point "=`, "an entry point without a name, which nobody can call"),
	rule(`it is continued on the next line`, "setuptools drops a requirement whose next line is missing"),
}

// oddEnds is our refusal of a name that does not begin and end with a letter or digit.
const oddEnds = `name "(?:[^A-Za-z0-9].*|.*[^A-Za-z0-9])" can't be the name of a distribution`

// oldBuilds are the trees that only the oldest setuptools builds.
var oldBuilds = []refusalRule{
	rule(oddEnds, "such a name passes where the version has an epoch"),
	rule(`is not a Python version`, "of some texts that are no version it makes another that is one"),
}

// newRefuses are the trees that only the newest setuptools refuses. An installer may refuse the wheel, too; it
// has been built and installed for years.
var newRefuses = []refusalRule{
	rule(`Local version label can only be used|suffix can only be used|Invalid specifier: |after name with no version specifier|Expected comma \(within version specifier`, "comparisons of versions that are not of PEP 440"),
	rule(`Expected a marker variable or quoted string\\n    \\n    \^`, "an extra without a name and without a condition"),
	rule(`UndefinedComparison`, "~= and === of what is no version, in the condition of an extra"),
	rule(`Invalid version: ''`, "an empty version is 0.0.0 for setuptools 66"),
}

// newBuilds are the trees that only the newest setuptools builds.
var newBuilds = []refusalRule{
	rule(oddEnds, "it takes separators off the ends of a name"),
	rule(`asks for an extra`, "an extra counts as empty while a wheel is built"),
	rule(`not +in`, "more than one blank in: not in"),
	rule(`is no version specifier`, "a comma at the end"),
	rule(`its URL is not one`, "a path instead of a URL"),
}

func rule(message, why string) refusalRule { return refusalRule{regexp.MustCompile(message), why} }

// TestWheelsOfRandomTrees builds random trees here and with each setuptools: the wheels are the same, and
// what one refuses the others refuse. The same trees are built each time; other ones, or more of them,
// with SELVAGE_TEST_SEED (the first seed) and SELVAGE_TEST_TREES.
func TestWheelsOfRandomTrees(t *testing.T) {
	const batch = 100
	first, count := numberOf(t, "SELVAGE_TEST_SEED", 1), numberOf(t, "SELVAGE_TEST_TREES", 300)
	began := time.Now()
	var running []*builds
	for _, o := range oracles {
		running = append(running, o.start(t))
	}
	tally := parityTally{}
	failed := 0
	for done := 0; done < count && failed < 5; done += batch {
		var trees []wheelTree
		for i := range min(batch, count-done) {
			trees = append(trees, randomTree(uint64(first+done+i)))
		}
		theirs := make([][]built, len(running))
		errs := make([]error, len(running))
		root := t.TempDir()
		var wg sync.WaitGroup
		for k, b := range running {
			wg.Go(func() { theirs[k], errs[k] = theirWheels(b, root, trees) })
		}
		ours := ourWheels(t, trees)
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i, tree := range trees {
			for k, b := range running {
				if problem := tally.judge(b.oracle, theirs[k][i], ours[i]); problem != "" {
					if failed++; failed > 5 {
						continue // it is counted
					}
					t.Errorf("%s, %s: %s\nThe tree; again with SELVAGE_TEST_SEED=%d SELVAGE_TEST_TREES=1:\n%s", tree.name, b.name, problem, first+done+i, tree)
				}
			}
		}
	}
	report(t, "parity: %d random trees from seed %d in %.0f s: %s", count, first, time.Since(began).Seconds(), tally)
}

func numberOf(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// parityTally counts what became of the trees, by oracle.
type parityTally map[string]map[string]int

// judge counts one tree, and says what is wrong with it.
func (p parityTally) judge(o oracle, theirs, ours built) string {
	if p[o.name] == nil {
		p[o.name] = map[string]int{}
	}
	declared := func(rules []refusalRule, text string) bool {
		return slices.ContainsFunc(rules, func(r refusalRule) bool { return r.message.MatchString(text) })
	}
	outcome, problem := "", ""
	switch {
	case ours.refused != "" && theirs.refused != "":
		outcome = "refused by both"
	case ours.refused != "" && declared(oursAlone, ours.refused):
		outcome = "refused by us alone, as declared"
	case ours.refused != "" && declared(o.builds, ours.refused):
		outcome = "built by it alone, as declared"
	case ours.refused != "":
		outcome, problem = "wrong", "we refuse what setuptools builds: "+ours.refused
	case theirs.refused != "" && declared(o.refuses, theirs.refused):
		outcome = "refused by it alone, as declared"
	case theirs.refused != "":
		outcome, problem = "wrong", "we build what setuptools refuses: "+theirs.refused
	default:
		outcome = "built alike"
		if diff := o.compare(theirs.wheel, ours.wheel); diff != "" {
			outcome, problem = "wrong", "setuptools (-) and we (+) differ:\n"+diff
		}
	}
	p[o.name][outcome]++
	return problem
}

func (p parityTally) String() string {
	var all []string
	for _, name := range sortedKeys(p) {
		var counts []string
		for _, outcome := range sortedKeys(p[name]) {
			counts = append(counts, fmt.Sprintf("%d %s", p[name][outcome], outcome))
		}
		all = append(all, name+": "+strings.Join(counts, ", "))
	}
	return strings.Join(all, "; ")
}

// report logs a line and adds it to the file of SELVAGE_TEST_REPORT, which `make test` prints: the
// output of a test that passes is not shown.
func report(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	name := os.Getenv("SELVAGE_TEST_REPORT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}
