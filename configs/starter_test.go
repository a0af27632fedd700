package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// loadStarter loads what Starter wrote, with a credential for each reference in it.
func loadStarter(t testing.TB, s StarterData) *Config {
	t.Helper()
	text := Starter(s)
	o := Options{Credentials: t.TempDir(), Getenv: func(string) string { return "" }}
	for _, m := range regexp.MustCompile(`\$\{credential:([a-z0-9_-]+)\}`).FindAllSubmatch(text, -1) {
		if err := os.WriteFile(filepath.Join(o.Credentials, string(m[1])), []byte("-----BEGIN x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(write(t, string(text)), o)
	if err != nil {
		t.Fatalf("%v\nof\n%s", err, text)
	}
	for _, d := range c.Deployments {
		if d.Mode != Observe {
			t.Errorf("%s is not in mode observe", d.Name())
		}
	}
	if len(c.Deployments) == 0 {
		t.Errorf("no deployment in\n%s", text)
	}
	return c
}

func TestStarter(t *testing.T) {
	c := loadStarter(t, StarterData{Git: "https://git.example.com/data/all.git", Projects: []StarterProject{
		{Name: "Hello World", Path: "teams/a b", FabricIDs: []string{"1174", "4005", "1174"}, TagPrefix: "HelloWorld/"},
		{Name: "hello-world", Path: "", FabricIDs: []string{"4005"}, TagPrefix: "R[1]"},
		{Name: "…", Path: "x"},
	}})
	type line struct{ Name, Path, Tag, IDs, Jobs string }
	var got []line
	for _, d := range c.Deployments {
		got = append(got, line{d.Name(), d.Project.Path, d.Follow.Tag, strings.Join(d.Fabric.ProphecyIDs, " "), strings.Join(d.Jobs, " ")})
	}
	want := []line{
		{"hello-world@fabric_4005", "", `R\[1\]/*`, "4005", ""},
		{"project@production", "x", "*", "", "jobs/*"},
		{"teams-a-b@fabric_1174", "teams/a b", "HelloWorld/*", "1174", ""},
		{"teams-a-b@fabric_4005", "teams/a b", "HelloWorld/*", "4005", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, p := range c.Projects {
		if p.Git != "https://git.example.com/data/all.git" {
			t.Error(p.Git)
		}
	}
}

func TestStarterForms(t *testing.T) {
	one := []StarterProject{{Name: "a", FabricIDs: []string{"1"}}}
	for git, want := range map[string]string{
		"":                          "https://git.example.com/data/hello.git",
		"git@h:a/b.git":             "git@h:a/b.git",
		"ssh://git@h/a":             "ssh://git@h/a",
		"file:///srv/a b":           "https://git.example.com/data/hello.git",
		"file:///srv/a":             "file:///srv/a",
		"http://127.0.0.1:80/a.git": "http://127.0.0.1:80/a.git",
		"https://u:CANARY@h/a":      "https://git.example.com/data/hello.git",
		"https://h/${env:HOME}":     "https://git.example.com/data/hello.git",
		"/srv/a":                    "https://git.example.com/data/hello.git",
	} {
		c := loadStarter(t, StarterData{Git: git, Projects: one})
		if got := c.Projects["a"].Git; got != want {
			t.Errorf("%s: %s", git, got)
		}
		if strings.Contains(string(Starter(StarterData{Git: git, Projects: one})), canary) {
			t.Errorf("%s: the password is written down", git)
		}
	}
	empty := loadStarter(t, StarterData{})
	if _, ok := empty.Deployment("hello@production"); !ok {
		t.Errorf("%v", empty.Deployments)
	}
	text := string(Starter(StarterData{Projects: []StarterProject{{Name: "x", Path: "../x\n- evil"}}}))
	if !strings.Contains(text, `  # Left out: a project in the folder "../x\n- evil", whose name can't stand in this file.`) {
		t.Error(text)
	}
}

// Projects of one name, whatever its case, are told apart by their folders, and folders that become one name by a number.
func TestStarterNamesakes(t *testing.T) {
	c := loadStarter(t, StarterData{Git: "https://h/a.git", Projects: []StarterProject{
		{Name: "Hello", Path: "."}, {Name: "hello", Path: "a/b"}, {Name: "HELLO", Path: "a-b"}, {Name: "hello-2", Path: "c"}, {Name: "other", Path: "hello"},
	}})
	got := map[string]string{}
	for name, p := range c.Projects {
		got[name] = p.Path
	}
	want := map[string]string{"hello": "", "a-b": "a/b", "a-b-2": "a-b", "hello-2": "c", "other": "hello"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStarterSaysWhatIsNotClear(t *testing.T) {
	left := []StarterJob{{"jobs/nightly\n", "Composer"}}
	for i := range 11 {
		left = append(left, StarterJob{fmt.Sprintf("jobs/j%d", i), "MWAA"})
	}
	s := StarterData{Git: "https://h/a.git", Projects: []StarterProject{
		{Name: "A", Path: "a", FabricIDs: []string{"1"}, TagPrefix: "A[1]", OwnTags: true},
		{Name: "B", Path: "b", FabricIDs: []string{"1"}, TagPrefix: "B", Unclear: 7},
		{Name: "C", Path: "c", FabricIDs: []string{"1"}, OwnTags: true}, // which tags, nobody knows
		{Name: "D", Path: "d", Left: left},
	}}
	c := loadStarter(t, s)
	for name, want := range map[string][]string{"a": {`A\[1\]/*`}, "b": nil, "c": nil, "d": nil} {
		if diff := cmp.Diff(want, c.Projects[name].Tags); diff != "" {
			t.Errorf("tags of %s: %s", name, diff)
		}
	}
	text := string(Starter(s))
	for _, line := range []string{
		`    tags: ["A\\[1\\]/*"]   # that release this project: the repository does not say so of all of them`,
		`    # tags: ["B/*"]   # say which release this project: of 7 it is not clear`,
		`    # Not deployed: "jobs/nightly\n", whose scheduler is "Composer".`,
		`    # Not deployed: "jobs/j8", whose scheduler is "MWAA".`,
		`    # and 2 more.`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if n := strings.Count(text, "tags: ["); n != 2 {
		t.Errorf("%d lines of tags in\n%s", n, text)
	}
	if strings.Contains(text, "- project: d\n") {
		t.Errorf("a project without a job to deploy has a deployment in\n%s", text)
	}
	// With nothing to deploy there is no deployment, and the file still loads.
	text = string(Starter(StarterData{Git: s.Git, Projects: s.Projects[3:]}))
	o := Options{Credentials: t.TempDir()}
	if err := os.WriteFile(filepath.Join(o.Credentials, "production_token"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(write(t, text), o); err != nil || len(c.Deployments) != 0 || len(c.Projects) != 1 {
		t.Errorf("%v\n%s", err, text)
	}
}

// FuzzStarter gives Starter any names that a repository can hold: what it writes loads.
func FuzzStarter(f *testing.F) {
	f.Add("https://h/a.git", "Hello", "teams/sales", "1174", "Hello")
	f.Add("git@h:a", "", ".", "", "")
	f.Add("${env:A}", "a\nb: c", "..", "${env:A}", "\"*[")
	f.Add("x", "\xff", "a\u2028b", "4005,1", "a b")
	f.Add("https://h/a", "2024", "true", "null", "0")
	f.Add("file:///a#b", "- -", "# x", "0", `\`)
	f.Fuzz(func(t *testing.T, git, name, folder, id, prefix string) {
		if !slices.ContainsFunc([]string{git, name, folder, id, prefix}, func(s string) bool { return !utf8.ValidString(s) || len(s) > 500 }) {
			loadStarter(t, StarterData{Git: git, Projects: []StarterProject{
				{Name: name, Path: folder, FabricIDs: []string{id}, TagPrefix: prefix, OwnTags: true, Left: []StarterJob{{name, folder}}},
				{Name: name, Path: folder, FabricIDs: []string{id, "7"}, TagPrefix: prefix, OwnTags: true, Unclear: 2},
				{Name: name, Path: folder, Left: []StarterJob{{name, id}}},
			}})
		}
	})
}
