package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeAll writes a configuration of several files and returns the path of selvage.yaml.
func writeAll(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "selvage.yaml")
}

const (
	someFabrics  = "fabrics:\n  qa:\n    databricks: {host: https://qa.example.com, token: \"${credential:token}\"}\n    prophecy_ids: [4005]\n"
	someProjects = "projects:\n  hello: {git: https://git.example.com/hello.git}\n"
)

func TestInclude(t *testing.T) {
	file := writeAll(t, map[string]string{
		"selvage.yaml":           "state: /s\ninclude: [\"conf.d/*.yaml\", \"teams/*/*.yaml\", all.yaml]\n" + someFabrics,
		"conf.d/20-risk.yaml":    "projects:\n  risk:\n    git: git@git.example.com:risk.git\n    auth: {ssh_key: \"${credential:git_key}\", known_hosts: known_hosts}\n",
		"conf.d/10-hello.yaml":   someProjects,
		"conf.d/.#10-hello.yaml": "what an editor leaves",
		"conf.d/README":          "not a .yaml",
		"teams/a/a.yaml":         "deployments:\n  - {project: hello, fabric: qa, policy: careful, follow: {branch: main}}\n",
		"teams/.git/a.yaml":      "no team",
		"all.yaml":               "policies:\n  careful: {heal: false}\ndeployments:\n  - {project: risk, fabric: qa, follow: {branch: main}}\n",
		"elsewhere/shared.yaml":  "policies:\n  shared: {heal: false}\n",
	})
	dir := filepath.Dir(file)
	// The operator's own link may lead anywhere.
	if err := os.Symlink("../elsewhere/shared.yaml", filepath.Join(dir, "conf.d/30-shared.yaml")); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range c.Files {
		name, err := filepath.Rel(dir, f)
		if err != nil || !filepath.IsAbs(f) {
			t.Errorf("%s: %v", f, err)
		}
		got = append(got, name)
	}
	want := []string{"selvage.yaml", "conf.d/10-hello.yaml", "conf.d/20-risk.yaml", "conf.d/30-shared.yaml", "teams/a/a.yaml", "all.yaml"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"hello@qa", "risk@qa"}, names(c)); diff != "" {
		t.Error(diff)
	}
	if d, _ := c.Deployment("hello@qa"); d.Policy != c.Policies["careful"] || d.Fabric != c.Fabrics["qa"] {
		t.Errorf("%+v", d)
	}
	if got := c.Projects["risk"].Auth.KnownHosts; got != filepath.Join(dir, "conf.d/known_hosts") {
		t.Errorf("known_hosts is looked for from another file: %s", got)
	}
	if c.Policies["shared"] == nil {
		t.Error("the link was passed over")
	}
	if state, err := Locate(file, testOptions()); state != "/s" || err != nil {
		t.Errorf("%s %v", state, err)
	}

	// One file or several: the same configuration.
	one := writeAll(t, map[string]string{"selvage.yaml": "state: /s\n" + someFabrics + someProjects + "deployments:\n  - {project: hello, fabric: qa, follow: {branch: main}}\n"})
	several := writeAll(t, map[string]string{"selvage.yaml": "include: [a.yaml]\nstate: /s\n" + someProjects, "a.yaml": someFabrics + "deployments:\n  - {project: hello, fabric: qa, follow: {branch: main}}\n"})
	a, err := Load(one, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(several, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest != b.Digest || a.Deployments[0].Digest != b.Deployments[0].Digest {
		t.Error("another digest")
	}
}

func names(c *Config) []string {
	var out []string
	for _, d := range c.Deployments {
		out = append(out, d.Name())
	}
	return out
}

// TestIncludeBad has what can't stand in a repository, and what is too much.
func TestIncludeBad(t *testing.T) {
	rest := someFabrics + someProjects + "deployments: []\n"
	many := map[string]string{"selvage.yaml": "state: /s\ninclude: [\"*/*.yaml\"]\n" + rest}
	for i := range maxIncluded + 1 {
		many[fmt.Sprintf("d/%04d.yaml", i)] = "policies: {}\n"
	}
	large := map[string]string{"selvage.yaml": "state: /s\ninclude: [\"d/*.yaml\"]\n" + rest}
	for i := range 9 {
		large[fmt.Sprintf("d/%d.yaml", i)] = "policies: {}\n" + strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 1000)
	}
	long := map[string]string{"selvage.yaml": "state: /s\ninclude: [\"d/*.yaml\"]\n" + rest}
	for i := range 5 {
		long[fmt.Sprintf("d/%d.yaml", i)] = "deployments: [" + strings.Repeat("a,", 22_000) + "a]\n"
	}
	itself := map[string]string{"selvage.yaml": "state: /s\ninclude: [\"*.yaml\"]\n" + rest, "other.yaml": "policies: {}\n"}
	for name, c := range map[string]struct {
		files map[string]string
		mend  func(dir string) error
		want  string
	}{
		"many":   {many, nil, `include[0]: "*/*.yaml" matches too many files`},
		"large":  {large, nil, "with this file, the configuration is larger than 8 MiB"},
		"long":   {long, nil, "with this file, the configuration says more than selvage reads: more than 200000 words and signs"},
		"itself": {itself, nil, `include[0]: "*.yaml" matches the file itself`},
		"by another name": {map[string]string{"selvage.yaml": "state: /s\ninclude: [link.yaml]\n" + rest},
			func(dir string) error { return os.Symlink("selvage.yaml", filepath.Join(dir, "link.yaml")) }, `include[0]: "link.yaml" matches the file itself`},
		"dangling link": {map[string]string{"selvage.yaml": "state: /s\ninclude: [\"d/*.yaml\"]\n" + rest, "d/a.yaml": "policies: {}\n"},
			func(dir string) error { return os.Symlink("nowhere", filepath.Join(dir, "d/b.yaml")) }, "there is no such file"},
		"not UTF-8": {map[string]string{"selvage.yaml": "state: /s\ninclude: [a.yaml]\n" + rest, "a.yaml": "policies: {}\n# \xff\n"}, nil, "this is not UTF-8"},
		// What can't be looked at is not taken for nothing: here a link that leads in a circle, as a folder that may
		// not be read would be.
		"circle": {map[string]string{"selvage.yaml": "state: /s\ninclude: [\"d/*/*.yaml\"]\n" + rest, "d/a/a.yaml": "policies: {}\n"},
			func(dir string) error { return os.Symlink("b", filepath.Join(dir, "d/b")) }, `include[0]: "d/*/*.yaml" can't be looked up: too many levels of symbolic links`},
		"folder": {map[string]string{"selvage.yaml": "state: /s\ninclude: [d]\n" + rest, "d/a.yaml": ""}, nil, "the file can't be read: not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeAll(t, c.files)
			if c.mend != nil {
				if err := c.mend(filepath.Dir(file)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Load(file, testOptions())
			var problems Problems
			if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Message != c.want || problems[0].Next == "" {
				t.Errorf("%.2000s", err)
			}
		})
	}
}
