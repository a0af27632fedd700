package configs

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of testdata/bad")

// Each place that a secret may come from holds one of these; none may ever be printed.
const canary = "CANARY"

func testOptions() Options {
	return Options{Credentials: "testdata/credentials", Getenv: func(name string) string {
		return map[string]string{
			"CANARY":        "CANARY-of-the-environment-5555555555",
			"HOST":          "prod.example.com",
			"CLIENT":        "4f1c",
			"OTHER_STATE":   "/srv/selvage",
			"MANY_FOLDERS":  "/a:/b",
			"KNOWN_HOSTS":   "/etc/ssh",
			"SEVERAL_LINES": "a\nb",
		}[name]
	}}
}

// TestBad loads every file of testdata/bad and compares the whole error with the file beside it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d bad files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			c, err := Load(file, testOptions())
			if err == nil {
				t.Fatalf("loaded: %+v", c)
			}
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%T is not Problems", err)
			}
			for _, p := range problems {
				if p.Next == "" {
					t.Errorf("no next step: %s", p.Message)
				}
			}
			got := err.Error() + "\n"
			if strings.Contains(got, canary+"-") {
				t.Errorf("a secret is printed:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	goldens, _ := filepath.Glob("testdata/bad/*.txt")
	if len(goldens) != len(files) {
		t.Errorf("%d bad files and %d messages", len(files), len(goldens))
	}
}

func TestGood(t *testing.T) {
	files, _ := filepath.Glob("testdata/good/*.yaml")
	if len(files) == 0 {
		t.Fatal("no good files")
	}
	for _, file := range append(files, "selvage.example.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Digest) != 64 {
				t.Errorf("digest %q", c.Digest)
			}
		})
	}
}

func TestLoadFull(t *testing.T) {
	c, err := Load("testdata/good/full.yaml", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	token := "CANARY-of-a-credential-9876543210"
	qa := &Fabric{Name: "qa", Visibility: SeesAll, ProphecyIDs: []string{"4005", "4006"}, Databricks: &Databricks{
		Host:              "https://qa.example.com",
		Attributes:        map[string]Secret{"auth_type": NewSecret("pat"), "token": NewSecret(token)},
		RequestsPerSecond: 12.5,
		ManagedBy:         ManagedByLock,
	}}
	production := &Fabric{Name: "production", Visibility: SeesAll, Artifacts: "/Volumes/main/selvage/artifacts", Databricks: &Databricks{
		Host: "https://prod.example.com",
		Attributes: map[string]Secret{"auth_type": NewSecret("oauth-m2m"), "client_id": NewSecret("id-4f1c"),
			"client_secret": NewSecret(token)},
		ManagedBy: ManagedByDescription,
	}}
	emulated := &Fabric{Name: "emulated", Visibility: SeesAll, Databricks: &Databricks{
		Host:       "http://[::1]:8080",
		Attributes: map[string]Secret{"auth_type": NewSecret("basic"), "username": NewSecret("me"), "password": NewSecret(token + token)},
		ManagedBy:  ManagedByDescription,
	}}
	hello := &Project{Name: "hello", Git: "https://git.example.com/data/hello.git", Path: "teams/sales", ProphecyID: "3224",
		ProphecyURL: "https://app.example.com", Poll: 90 * time.Second,
		Auth: GitAuth{Username: "deploy", Password: NewSecret(token)}}
	absolute, err := filepath.Abs("testdata/good/known_hosts")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(absolute), "full.yaml")
	risk := &Project{Name: "risk", Git: "git@git.example.com:data/risk.git", Poll: time.Minute,
		Auth: GitAuth{SSHKey: NewSecret("-----BEGIN OPENSSH PRIVATE KEY-----\n" + token + "\n-----END OPENSSH PRIVATE KEY-----"), KnownHosts: absolute}}
	local := &Project{Name: "local", Git: "file:///srv/git/local.git", Path: ".", Poll: time.Minute}
	standard := &Policy{Name: "default", Prune: Prune{5, 20, 0, RunsWait}, Heal: true}
	careful := &Policy{Name: "careful", Prune: Prune{0, 20, 24 * time.Hour, RunsCancel}, HealSaid: true, Protect: []string{"jobs/payroll_*"}}
	want := &Config{
		File:     "testdata/good/full.yaml",
		Files:    []string{file},
		State:    "/srv/selvage",
		Fabrics:  map[string]*Fabric{"qa": qa, "production": production, "emulated": emulated},
		Projects: map[string]*Project{"hello": hello, "risk": risk, "local": local},
		Policies: map[string]*Policy{"default": standard, "careful": careful},
		Deployments: []*Deployment{
			{Project: hello, Fabric: production, Policy: careful, Mode: Apply, Follow: Follow{Tag: "Hello/*", Order: Tagged},
				Jobs: []string{"jobs/daily_*", "jobs/{a,b}/**"}, Protect: []string{"jobs/daily_close"},
				Overlay: Overlay{ConfigInstance: "prod", Schedule: "enabled", Tags: map[string]string{"env": "prod", "Cost.Center": "a-1"}}},
			{Project: hello, Fabric: qa, Policy: standard, Mode: Observe, Follow: Follow{Tag: "Hello/*", Order: Semver}},
			{Project: local, Fabric: emulated, Policy: standard, Mode: Observe, Follow: Follow{Branch: "main"}, Jobs: []string{"jobs/*"}},
			{Project: risk, Fabric: qa, Policy: standard, Mode: Observe, Follow: Follow{Branch: "release/2.x"}},
		},
		Isolation: []string{"*.prophecy.io"},
		Digest:    c.Digest,
	}
	for i, d := range c.Deployments {
		want.Deployments[i].Digest = d.Digest
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if d, ok := c.Deployment("hello@qa"); !ok || d.Fabric != c.Fabrics["qa"] || d.Project != c.Projects["hello"] {
		t.Errorf("hello@qa: %v %v", d, ok)
	}
	if _, ok := c.Deployment("hello@emulated"); ok {
		t.Error("a deployment that is not there")
	}
	if got := c.Fabrics["production"].Databricks.Attributes["client_secret"].Source(); got != "${credential:token}" {
		t.Errorf("source %q", got)
	}
	if got := c.Fabrics["production"].Databricks.Attributes["client_id"].Source(); got != "id-${env:CLIENT}" {
		t.Errorf("source %q", got)
	}
}

const small = `fabrics:
  qa:
    databricks: {host: https://qa.example.com, token: "${credential:token}"}
    prophecy_ids: [4005]
projects:
  hello:
    git: https://git.example.com/hello.git
deployments:
  - {project: hello, fabric: qa, follow: {branch: main}}
`

func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "selvage.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestState(t *testing.T) {
	getenv := func(state string) Options {
		o := testOptions()
		o.Getenv = func(name string) string { return map[string]string{"STATE_DIRECTORY": state}[name] }
		return o
	}
	file := write(t, small)
	c, err := Load(file, getenv("/run/state"))
	if err != nil || c.State != "/run/state" {
		t.Errorf("%v %v", c, err)
	}
	if _, err := Load(file, getenv("/a:/b")); err == nil || !strings.Contains(err.Error(), "names several folders") {
		t.Errorf("two state folders: %v", err)
	}
	c, err = Load(write(t, "state: here\n"+small), getenv("/run/state"))
	if err != nil || filepath.Base(c.State) != "here" || !filepath.IsAbs(c.State) {
		t.Errorf("%v %v", c, err)
	}
}

func TestCredentialsDirectory(t *testing.T) {
	file := write(t, "state: /s\n"+small)
	o := testOptions()
	dir := o.Credentials
	o.Credentials = ""
	_, err := Load(file, o)
	if err == nil || !strings.Contains(err.Error(), "there is no folder of credentials") {
		t.Errorf("no folder: %v", err)
	}
	o.Getenv = func(name string) string { return map[string]string{"CREDENTIALS_DIRECTORY": dir}[name] }
	if _, err := Load(file, o); err != nil {
		t.Error(err)
	}
}

// TestUnreadable has what can't stand in a repository.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "there is no such file",
		dir:                             "the file can't be read: not a regular file",
		"/dev/zero":                     "the file can't be read: not a regular file",
		large:                           "the file is larger than 1 MiB",
	} {
		_, err := Load(file, testOptions())
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Message != want {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), testOptions()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not ErrNotExist", err)
	}
	if err := os.Rename(large, filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	o := testOptions()
	o.Credentials = dir
	if _, err := Load(write(t, "state: /s\n"+small), o); err == nil || !strings.Contains(err.Error(), "is larger than 1 MiB") {
		t.Errorf("large credential: %v", err)
	}
}

// TestEncodings loads the same file with other line ends and a byte order mark.
func TestEncodings(t *testing.T) {
	text := "state: /s\n" + small
	c, err := Load(write(t, text), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"\uFEFF" + text, strings.ReplaceAll(text, "\n", "\r\n"), "---\n" + text, "# ü\n---\n" + text} {
		o, err := Load(write(t, other), testOptions())
		if err != nil {
			t.Errorf("%q: %v", other[:10], err)
		} else if o.Digest != c.Digest {
			t.Errorf("%q: another digest", other[:10])
		}
	}
}

func TestDigest(t *testing.T) {
	text := "state: /s\n" + small
	load := func(text string, o Options) string {
		t.Helper()
		c, err := Load(write(t, text), o)
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest
	}
	want := load(text, testOptions())
	same := map[string]string{
		"comment": "# x\n" + text,
		"style":   strings.Replace(text, "{branch: main}", `{"branch": 'main'}`, 1),
		"default": strings.Replace(text, "follow:", "mode: observe, follow:", 1),
		"order":   small + "state: /s\n",
	}
	for name, text := range same {
		if got := load(text, testOptions()); got != want {
			t.Errorf("%s changes the digest", name)
		}
	}
	other := map[string]string{
		"state":      "state: /t\n" + small,
		"branch":     strings.Replace(text, "main", "next", 1),
		"credential": strings.Replace(text, "credential:token", "credential:google", 1),
		"mode":       strings.Replace(text, "follow:", "mode: apply, follow:", 1),
		"host":       strings.Replace(text, "qa.example", "qb.example", 1),
		"id":         strings.Replace(text, "4005", "4006", 1),
		"poll":       strings.Replace(text, "hello.git", "hello.git\n    poll: 2m", 1),
		"auth":       strings.Replace(text, "hello.git", "hello.git\n    auth: {username: a, password: \"${env:CANARY}\"}", 1),
		"policy":     strings.Replace(text, "deployments:", "policies: {p: {}}\ndeployments:", 1),
		"tags":       strings.Replace(text, "follow:", "overlay: {tags: {a: b}}, follow:", 1),
	}
	delete(other, "credential") // its value has two lines; see below
	for name, text := range other {
		if got := load(text, testOptions()); got == want {
			t.Errorf("%s leaves the digest as it is", name)
		}
	}
	// A rotated credential is no other configuration; another credential is.
	o := testOptions()
	o.Credentials = t.TempDir()
	for _, name := range []string{"token", "other"} {
		if err := os.WriteFile(filepath.Join(o.Credentials, name), []byte("rotated"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := load(text, o); got != want {
		t.Error("the digest holds a secret")
	}
	if got := load(strings.Replace(text, "credential:token", "credential:other", 1), o); got == want {
		t.Error("another credential leaves the digest as it is")
	}
}

// TestTooMuch has files within the limit of size that would take the parser minutes, or more memory than
// there is: keys by the ten thousand, and nesting by the hundred thousand.
func TestTooMuch(t *testing.T) {
	const n = maxTokens
	for _, text := range []string{
		strings.Repeat("a: b\n", n), strings.Repeat("[", n+1), strings.Repeat("{a: ", n), strings.Repeat("- ", n+1),
		"a: [" + strings.Repeat("[], ", n/2) + "]", strings.Repeat("? ", n+1), strings.Repeat("- a\n", n),
	} {
		_, err := Load(write(t, text), testOptions())
		if err == nil || !strings.Contains(err.Error(), "more than selvage reads") {
			t.Errorf("%q: %v", text[:8], err)
		}
	}
	long := "state: >-\n  /" + strings.Repeat("s", 200) + "\n" + small
	if _, err := Load(write(t, long), testOptions()); err != nil {
		t.Error(err)
	}
}

func TestManyProblems(t *testing.T) {
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	_, err := Load(write(t, b.String()), testOptions())
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != maxProblems {
		t.Fatalf("%d problems", len(problems))
	}
	if s := err.Error(); strings.Count(s, "unknown key") != maxPrinted || !strings.HasSuffix(s, fmt.Sprintf("\nand %d more", maxProblems-maxPrinted)) {
		t.Error(s)
	}
}

// BenchmarkLoad has 40 projects on 3 fabrics: each of the 120 deployments by itself in one file, the same in 40
// included files, and all of them in one list.
func BenchmarkLoad(b *testing.B) {
	const projects, fabrics = 40, 3
	top := "state: /s\nfabrics:\n"
	for f := range fabrics {
		top += fmt.Sprintf("  f%d:\n    databricks: {host: \"https://f%d.example.com\", token: \"${credential:token}\"}\n    prophecy_ids: [%d]\n", f, f, f)
	}
	top += "policies:\n  careful: {prune: {max: 5, percent: 20}, heal: true}\n"
	settings := "    policy: careful\n    mode: apply\n    overlay:\n      config_instance: prod\n      tags: {env: prod}\n      job_clusters: {\"*\": {policy_id: \"9A3F\", node_type_id: m5d.xlarge}}\n" +
		"      patch: {\"jobs/daily_*\": {max_concurrent_runs: 1, tasks: {\"*\": {max_retries: 2}}}}\n"
	project := func(p int) string {
		return fmt.Sprintf("  p%d:\n    git: https://git.example.com/p%d.git\n    path: prophecy\n    poll: 30s\n    tags: [\"P%d/*\"]\n", p, p%4, p)
	}
	single := map[string]string{"selvage.yaml": top + "projects:\n"}
	included := map[string]string{"selvage.yaml": top + "include: [\"conf.d/*.yaml\"]\n"}
	list := map[string]string{"selvage.yaml": top + "projects:\n"}
	entries := "deployments:\n"
	for p := range projects {
		own := ""
		for f := range fabrics {
			own += fmt.Sprintf("  - project: p%d\n    fabric: f%d\n    follow: {tag: \"P%d/*\", order: semver}\n%s", p, f, p, settings)
		}
		entries += own
		single["selvage.yaml"] += project(p)
		list["selvage.yaml"] += project(p)
		included[fmt.Sprintf("conf.d/%02d.yaml", p)] = "projects:\n" + project(p) + "deployments:\n" + own
	}
	single["selvage.yaml"] += entries
	list["selvage.yaml"] += "deployments:\n  - projects: [\"*\"]\n    fabrics: [\"*\"]\n    follow: {tag: \"{project}/*\"}\n" + settings
	for _, c := range []struct {
		name  string
		files map[string]string
	}{{"single", single}, {"included", included}, {"list", list}} {
		b.Run(c.name, func(b *testing.B) {
			file := writeAll(b, c.files)
			size := 0
			for _, text := range c.files {
				size += len(text)
			}
			b.ReportAllocs()
			for b.Loop() {
				c, err := Load(file, testOptions())
				if err != nil {
					b.Fatal(err)
				}
				if len(c.Deployments) != projects*fabrics {
					b.Fatal(len(c.Deployments))
				}
			}
			b.ReportMetric(projects*fabrics, "deployments")
			b.ReportMetric(float64(size)/1024, "KiB")
		})
	}
}

// TestExampleHasEveryKey reads the example as a person does: a key may stand in a comment.
func TestExampleHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("selvage.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scopes {
		for _, key := range s.keys {
			attribute := s.name == databricksScope.name && slices.Contains(attributeNames, key) || s.name == eventsScope.name
			if !regexp.MustCompile(`(?m)(?:^|[\s{])`+key+`:`).Match(text) && !(attribute && regexp.MustCompile(`\b`+key+`\b`).Match(text)) {
				t.Errorf("%s: %s is not in the example", s.name, key)
			}
		}
	}
}
