package configs

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"
)

func seeds(f *testing.F) {
	f.Helper()
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for i, file := range files {
		if i%8 != 0 && !strings.Contains(file, "good") {
			continue // a few of each kind; TestBad runs them all
		}
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, part := range []string{
		"include: [\"*.yaml\", ./x, \"{a,b}.yaml\"]\n" + small, "isolation: {hosts: [\"*.a\", ${env:A}]}\n" + small,
		strings.ReplaceAll(small, "project: hello", "projects: [\"h*\", \"[\"], except: [\"*\"]"), strings.ReplaceAll(small, "fabric: qa", "fabrics: [\"{qa,\\\\}\"]"),
		strings.ReplaceAll(small, "[4005]", "[4005]\n    defaults: {follow: {tag: \"{project}/{x}*\"}, overlay: {tags: {a: b}}}"),
		strings.ReplaceAll(small, "follow:", "moved: {jobs/a: jobs/b, jobs/b: jobs/a}, isolation: {allow: [jobs/x]}, follow:"),
		strings.ReplaceAll(small, "follow:", "overlay: {patch: {\"jobs/*\": {a: [1e3, .inf, null, ~, yes, \"$${x}${env:A}\"], tasks: {\"*\": {b: {}}}}}, run_as: {user: x}}, follow:"),
		strings.ReplaceAll(small, "follow:", "overlay: {job_clusters: {\"*\": {a: &x b}}, parameters: {a: \"\", b: ${credential:token}}, notifications: {on_start: []}, libraries: {pypi: \"http://a:b@c\"}}, follow:"),
	} {
		f.Add("state: /s\n" + part)
	}
	for _, s := range []string{"", "\x00", "\xff", "a", "a:", "- ", "[", "{", "? ", "? a\n: b", "&a *a", "a: &a [*a, *a]", "<<: *a", "--- |\n a\n--- >\n", "%", "!", "\t",
		"a: |2\n x", "a: >-\n\n", "{a: {a: {a: }}}", "\"\\x\"", "a: 'b\n", "state: ${env:A}${credential:token}\n", "state: /${env:A}\n" + small,
		strings.ReplaceAll(small, "main", "${env:X}"), strings.ReplaceAll(small, "https://qa.example.com", "${env:X}"), strings.Repeat("[", 5000), strings.Repeat("- ", 5000),
		"a: !!binary x", "null: null", "~: ~", "1: 2", "true: false", "a: 0x", "a: .inf", "\uFEFFa: b", "a: \u202e", "state: /s\nfabrics: {qa: 1}\n",
	} {
		f.Add(s)
	}
}

// FuzzLoad loads any text where every credential and every variable holds a canary: whatever is wrong
// with the text, the error has places and no canary.
func FuzzLoad(f *testing.F) {
	seeds(f)
	file := filepath.Join(f.TempDir(), "selvage.yaml")
	o := testOptions()
	o.Getenv = func(string) string { return "CANARY-of-the-environment" }
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file, o)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err == nil {
			if c.State == "" || len(c.Digest) != 64 || c.Policies[DefaultPolicy] == nil {
				t.Fatalf("%+v", c)
			}
			for _, d := range c.Deployments {
				if d.Project == nil || d.Fabric == nil || d.Policy == nil || d.Fabric.Databricks.Host == "" || d.Project.Git == "" || (d.Follow.Branch == "") == (d.Follow.Tag == "") {
					t.Fatalf("%+v", d)
				}
				wholeDeployment(t, c, d)
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("%T", err)
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range problems {
			if p.Message == "" || p.Next == "" || p.Line < 0 || p.Line > lines || (p.Line == 0) != (p.Column == 0) {
				t.Errorf("%+v of %d lines", p, lines)
			}
		}
		if s := err.Error(); strings.Contains(s, canary+"-of") && !strings.Contains(text, canary) {
			t.Errorf("a canary is printed:\n%s", s)
		}
		for _, r := range err.Error() {
			if unicode.IsControl(r) && r != '\n' {
				t.Errorf("a control character %U is printed:\n%q", r, err.Error())
			}
		}
	})
}

// wholeDeployment is what every room may rely on in a deployment that was loaded.
func wholeDeployment(t *testing.T, c *Config, d *Deployment) {
	t.Helper()
	if found, ok := c.Deployment(d.Name()); !ok || found != d || len(d.Digest) != 64 || len(c.Isolation) == 0 {
		t.Fatalf("%+v", d)
	}
	patterns := slices.Concat(d.Jobs, d.Allow, d.Project.Tags)
	o := d.Overlay
	for _, j := range o.JobClusters {
		patterns = append(patterns, j.Key)
		if len(j.Merge) == 0 {
			t.Fatalf("%+v", j)
		}
	}
	for _, p := range o.Patch {
		patterns = append(patterns, p.Jobs)
		if len(p.Merge)+len(p.Tasks) == 0 || p.Merge["name"] != nil || p.Merge["tasks"] != nil {
			t.Fatalf("%+v", p)
		}
		for _, task := range p.Tasks {
			patterns = append(patterns, task.Key)
		}
	}
	for _, p := range patterns {
		if !doublestar.ValidatePattern(p) || p == "" {
			t.Fatalf("%q is no pattern", p)
		}
	}
	for event, addresses := range o.Notifications {
		if len(addresses) == 0 || !slices.Contains(emailEvents, event) {
			t.Fatalf("%v", o.Notifications)
		}
	}
	if o.RunAs.User != "" && o.RunAs.ServicePrincipal != "" || o.Parameters["-i"] != "" {
		t.Fatalf("%+v", o)
	}
	for old, now := range d.Moved {
		if _, chain := d.Moved[now]; chain || !strings.HasPrefix(old, "jobs/") || !strings.HasPrefix(now, "jobs/") {
			t.Fatalf("%v", d.Moved)
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "CANARY-of-a-credential") {
		t.Fatalf("a credential is part of a job: %s", text)
	}
}

// FuzzInclude loads any text as a file that is included by a good one, and the other way round.
func FuzzInclude(f *testing.F) {
	seeds(f)
	dir := f.TempDir()
	o := testOptions()
	o.Getenv = func(string) string { return "CANARY-of-the-environment" }
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include") {
			return // what else lies in the folder is not this test's
		}
		for name, files := range map[string][2]string{
			"included":  {"state: /s\ninclude: [other.yaml]\n" + small, text},
			"including": {"include: [other.yaml]\n" + text, someProjects},
		} {
			for i, file := range []string{"selvage.yaml", "other.yaml"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(files[i]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Load(filepath.Join(dir, "selvage.yaml"), o)
			if err == nil {
				for _, d := range c.Deployments {
					wholeDeployment(t, c, d)
				}
				continue
			}
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%T", err)
			}
			for _, p := range problems {
				at := files[0]
				switch p.File {
				case filepath.Join(dir, "selvage.yaml"):
				case filepath.Join(dir, "other.yaml"):
					at = files[1]
				default:
					t.Errorf("%s: a mistake in %s", name, p.File)
				}
				lines := strings.Split(strings.ReplaceAll(at, "\r\n", "\n"), "\n")
				if p.Message == "" || p.Next == "" || p.Line < 0 || p.Line > len(lines) || (p.Line == 0) != (p.Column == 0) {
					t.Errorf("%s: %+v of %d lines", name, p, len(lines))
				}
			}
			if s := err.Error(); strings.Contains(s, canary+"-of") && !strings.Contains(text, canary) {
				t.Errorf("a canary is printed:\n%s", s)
			}
		}
	})
}

// FuzzDocument writes JSON as the YAML that it is, where an overlay merges it: what is read is what
// encoding/json reads, to the digit.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{
		`{"a": 1}`, `{"a": -0.0, "b": 1e400, "c": 12345678901234567890, "d": 1E+2, "e": 0.1000}`, `{"a": [null, true, false, [], {}, [[1]], {"b": {"c": null}}]}`,
		`{"a": "yes", "b": "", "c": " x ", "d": "1", "e": "null", "f": "~", "g": "a: b # c", "h": "{{secrets/a/b}}"}`,
		`{"a": "\n\t\"\\ \/ \u00e9 \u2028", "ü": "😀", "b": "\ud83d\ude00"}`, `{"a b": 1, "": 2}`, `{"<<": 1, "a": "<<"}`, `{"x": "*a", "y": "&b", "z": "!c", "*": "%d"}`,
		`{"a": "\u0000\u001f"}`, `{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}}}}`, "{\"a\":\n  [1,\n 2]}", `{"a": "x\ud800"}`,
		`{"0":0E0000}`,
	} {
		f.Add(s)
	}
	file := filepath.Join(f.TempDir(), "selvage.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var want map[string]any
		if d.Decode(&want) != nil || d.More() || len(want) == 0 || strings.Contains(text, "$") {
			return
		}
		indented := "  " + strings.ReplaceAll(text[:d.InputOffset()], "\n", "\n                  ")
		if err := os.WriteFile(file, []byte("state: /s\n"+strings.Replace(small, "follow:", "overlay: {job_clusters: {\"*\":\n          "+indented+"}}, follow:", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file, testOptions())
		if err != nil {
			return // stricter than JSON
		}
		if diff := cmp.Diff(want, c.Deployments[0].Overlay.JobClusters[0].Merge); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	})
}

// FuzzLiteralSecret types a secret into the file, in one of YAML's styles, between any two texts.
func FuzzLiteralSecret(f *testing.F) {
	for _, before := range []string{"", "fabrics:\n  qa:\n    databricks:\n      host: x\n      ", "fabrics: {qa: {databricks: {host: http://x, ", "a: [", "x: \"", "x: '", "mode: ", "- ", "# ", "a: {b: ", "jobs: [\"", "${", "? "} {
		for style := range styles {
			for key := range 2 {
				f.Add(before, uint8(key), uint8(style), "\nb: {\n")
			}
		}
	}
	f.Add("projects: {p: {git: x, auth: {", uint8(2), uint8(1), ", a: b}}}\n")
	file := filepath.Join(f.TempDir(), "selvage.yaml")
	keys := []string{"token", "client_secret", "password", "ssh_key", "google_credentials", "azure_client_secret", "tokn", "pasword"}
	f.Fuzz(func(t *testing.T, before string, key, style uint8, after string) {
		text := before + keys[int(key)%len(keys)] + styles[int(style)%len(styles)] + after
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file, testOptions())
		if err != nil && strings.Contains(err.Error(), "CANARY-typed") && !strings.Contains(before+after, canary) {
			t.Errorf("a secret is printed:\n%s\nof\n%s", err, text)
		}
	})
}

var styles = []string{": CANARY-typed", ": \"CANARY-typed\"", ": 'CANARY-typed'", ":CANARY-typed", " : CANARY-typed", "\": CANARY-typed", "': CANARY-typed",
	": |\n            CANARY-typed\n            more\n", ": >-\n\n            CANARY-typed", ": \"one\n            CANARY-typed\"", ":\n            CANARY-typed", ":\n            - CANARY-typed",
	": {a: CANARY-typed}", ": ${credential:CANARY-typed", ": ${env:A}CANARY-typed", ": | CANARY-typed\n", ": !CANARY-typed x", ": *CANARY-typed", ": &CANARY-typed x", "=CANARY-typed"}
