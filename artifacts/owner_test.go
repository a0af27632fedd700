package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// projects is a tree of pbt_project.yml files, by folder, with what each says.
func projects(ymls map[string]string) memTree {
	tree := memTree{files: fstest.MapFS{"README.md": {Data: []byte("x"), Mode: 0o644}}}
	for root, yml := range ymls {
		name := ProjectFile
		if root != "." {
			name = root + "/" + ProjectFile
		}
		tree.files[name] = &fstest.MapFile{Data: []byte(yml), Mode: 0o644}
	}
	return tree
}

func TestOwner(t *testing.T) {
	say := func(name, version string) string {
		return fmt.Sprintf("name: %s\nversion: %s\npipelines: {}\njobs: {}\n", name, version)
	}
	three := map[string]string{"a": say("Alpha", "1.0.0"), "b": say("Beta", "2.0"), "b/inner": say("Inner", "v22")}
	twins := map[string]string{".": say("Hello", "1.0.0"), "x": say("Hello", "1.0.0"), "y": say("hello", "3")}
	tests := []struct {
		name    string
		ymls    map[string]string
		tag     string
		touched []string
		want    Owned
		claims  string // of an Ambiguous error: the paths
	}{
		{name: "the only one", ymls: map[string]string{"p": say("x", "1")}, tag: "v0.19.0", want: Owned{"p", ByOnly}},
		{name: "the only one, unread", ymls: map[string]string{"p": "<<<<<<< "}, tag: "pbt-reference-do-not-delete", want: Owned{"p", ByOnly}},
		{name: "the commit", ymls: three, tag: "Alpha/1.0.0", touched: []string{"b/pbt_project.yml"}, want: Owned{"b", ByCommit}},
		{name: "the commit, at the root", ymls: twins, tag: "t", touched: []string{"pbt_project.yml"}, want: Owned{".", ByCommit}},
		{name: "the version", ymls: three, tag: "Display Name/2.0", want: Owned{"b", ByVersion}},
		{name: "the version as text", ymls: three, tag: "Display/2.0.0", claims: "a b b/inner"},
		{name: "the version of a tag without a slash", ymls: three, tag: "v22", want: Owned{"b/inner", ByVersion}},
		{name: "the last slash", ymls: three, tag: "team/Alpha/2.0", want: Owned{"b", ByVersion}},
		{name: "the version before the name", ymls: three, tag: "Alpha/v22", want: Owned{"b/inner", ByVersion}},
		{name: "the name", ymls: three, tag: "Alpha/hghj", want: Owned{"a", ByName}},
		{name: "the name in its case", ymls: twins, tag: "hello/9", want: Owned{"y", ByName}},
		{name: "no name without a slash", ymls: map[string]string{"a": say("main", "1"), "b": say("x", "1")}, tag: "main", claims: "a b"},
		{name: "an empty name is no prefix", ymls: map[string]string{"a": "version: 1\n", "b": say("x", "2")}, tag: "3", claims: "a b"},
		{name: "one version, two names", ymls: map[string]string{"a": say("A", "1.0"), "b": say("B", "1.0"), "c": say("C", "2")}, tag: "B/1.0", want: Owned{"b", ByName}},
		{name: "one version, another's name", ymls: map[string]string{"a": say("A", "1.0"), "b": say("B", "1.0"), "c": say("C", "2")}, tag: "C/1.0", claims: "a b"},
		{name: "twins", ymls: twins, tag: "Hello/1.0.0", claims: ". x"},
		{name: "twins, one of them released", ymls: twins, tag: "Hello/1.0.0", touched: []string{"x/pbt_project.yml"}, want: Owned{"x", ByCommit}},
		{name: "two touched, the version", ymls: three, tag: "Whoever/1.0.0", touched: []string{"a/pbt_project.yml", "b/pbt_project.yml"}, want: Owned{"a", ByVersion}},
		{name: "two touched, the name", ymls: three, tag: "Beta/7", touched: []string{"a/pbt_project.yml", "b/pbt_project.yml"}, want: Owned{"b", ByName}},
		{name: "two touched, neither", ymls: three, tag: "Inner/v22", touched: []string{"a/pbt_project.yml", "b/pbt_project.yml"}, claims: "a b"},
		{name: "two touched, beside a broken one", ymls: map[string]string{"a": say("A", "1"), "b": say("B", "2"), "c": "["}, tag: "B/2",
			touched: []string{"a/pbt_project.yml", "b/pbt_project.yml"}, want: Owned{"b", ByVersion}},
		{name: "a broken one could be it", ymls: map[string]string{"a": say("A", "1"), "b": say("B", "2"), "c": "["}, tag: "B/2", claims: "c a b"},
		{name: "a version that is no text", ymls: map[string]string{"a": "name: A\nversion: [1]\n", "b": say("B", "2")}, tag: "B/2", claims: "a b"},
		{name: "nobody", ymls: three, tag: "v0.19.0", claims: "a b b/inner"},
	}
	for _, form := range []string{"2.50", "'2.50'", `"2.50"`, "!!str 2.50", "|-\n  2.50", "  2.50   # released"} {
		tests = append(tests, struct {
			name    string
			ymls    map[string]string
			tag     string
			touched []string
			want    Owned
			claims  string
		}{name: "version: " + form, ymls: map[string]string{"a": say("A", form), "b": say("B", "2.5")}, tag: "X/2.50", want: Owned{"a", ByVersion}})
	}
	var o Owners
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second time from memory
				got, err := o.Owner(projects(test.ymls), test.tag, test.touched)
				var many *Ambiguous
				errors.As(err, &many)
				claims := ""
				if many != nil {
					var paths []string
					for _, c := range many.Claims {
						paths = append(paths, c.Path)
					}
					claims = strings.Join(paths, " ")
				}
				if (err != nil) != (many != nil) || got != test.want || claims != test.claims {
					t.Errorf("%+v, claims %q, %v", got, claims, err)
				}
			}
		})
	}
}

func TestOwnerErrors(t *testing.T) {
	var o Owners
	if _, err := o.Owner(projects(nil), "a/1", nil); !errors.Is(err, ErrNotProject) {
		t.Errorf("no project: %v", err)
	}
	lost := errors.New("lost object")
	two := projects(map[string]string{"a": "name: A\nversion: 1\n", "b": "name: B\nversion: 2\n"})
	for _, at := range []string{"b", "b/" + ProjectFile} {
		got, err := o.Owner(two.failing(at, lost), "A/1", nil)
		var many *Ambiguous
		if !errors.Is(err, lost) || errors.As(err, &many) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v, %v", at, got, err)
		}
	}

	many := map[string]string{}
	for i := range 40 {
		many[fmt.Sprintf("p%02d", i)] = "name: Hello\nversion: '1'\n"
	}
	_, err := o.Owner(projects(many), "Hello/1", nil)
	want := "Hello/1 releases one of 40 projects: p00 (Hello 1), p01 (Hello 1), p02 (Hello 1), p03 (Hello 1), p04 (Hello 1), p05 (Hello 1), " +
		"p06 (Hello 1), p07 (Hello 1), p08 (Hello 1), p09 (Hello 1) and 30 more: set tags: of the project in selvage.yaml"
	if d := cmp.Diff(want, fmt.Sprint(err)); d != "" {
		t.Error(d)
	}
	many["p39"] = "name: [\n"
	many["p38"] = strings.Repeat("#", maxYML+1)
	_, err = o.Owner(projects(many), "Hello/1", nil)
	for _, says := range []string{"p38 (can't be understood: p38/pbt_project.yml: too large", "p39 (can't be understood: pbt_project.yml:1: "} {
		if !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

// found is a tree that finds files by itself.
type found struct {
	memTree
	files []string
	err   error
}

func (f found) Find(string) ([]string, error) { return f.files, f.err }

func TestFindProjectsAsksTheTree(t *testing.T) {
	got, err := FindProjects(found{files: []string{"a-b/pbt_project.yml", "a/pbt_project.yml", "pbt_project.yml"}})
	if d := cmp.Diff([]string{".", "a", "a-b"}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	lost := errors.New("lost object")
	if got, err := FindProjects(found{err: lost}); !errors.Is(err, lost) {
		t.Error(got, err)
	}
}
