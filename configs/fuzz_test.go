package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
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
