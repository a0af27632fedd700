package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"selvage/configs"
)

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"HERE": "elsewhere", "STATE_DIRECTORY": "/var/lib/unit"}
	rest := "fabrics:\n  qa: {databricks: {host: https://qa.example, token: \"${credential:nobody_has_it}\"}}\n"
	for _, c := range []struct{ name, text, want, wrong string }{
		{"absolute", "state: /srv/selvage\n" + rest, "/srv/selvage", ""},
		{"relative to the file", "state: state\n" + rest, filepath.Join(dir, "state"), ""},
		{"from the environment", "state: ${env:HERE}/s\n" + rest, filepath.Join(dir, "elsewhere/s"), ""},
		{"from systemd", rest, "/var/lib/unit", ""},
		{"the rest may be wrong", "state: /s\nfabrics: 7\n", "/s", ""},
		{"broken elsewhere", "fabrics: [a\nstate: \"state\" # here\n", filepath.Join(dir, "state"), ""},
		{"an unknown key beside it", "state: /s\nfabricks: {}\n", "/s", ""},
		{"broken, and not to be seen", "fabrics: [a\nstate: ${env:HERE}\n", "", "selvage.yaml:"},
		{"no such variable", "state: ${env:NOWHERE}\n", "", "the environment variable NOWHERE is not set"},
		{"a credential", "state: ${credential:x}\n", "", "would print a credential"},
		{"no text", "state: [a]\n", "", "state wants text"},
		{"no YAML", "state: [a\n", "", "selvage.yaml:"},
		{"no mapping", "- state\n", "", "wants a mapping"},
		{"an unknown key", "stat: /s\n", "", `"stat"`},
		{"nothing", "", "", "the file is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(dir, "selvage.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := configs.Locate(file, configs.Options{Getenv: func(name string) string { return env[name] }})
			var problems configs.Problems
			switch {
			case c.wrong == "" && (err != nil || got != c.want):
				t.Errorf("%q, %v, want %q", got, err, c.want)
			case c.wrong != "" && (!errors.As(err, &problems) || !strings.Contains(err.Error(), c.wrong) || got != ""):
				t.Errorf("%q, %v, want %q", got, err, c.wrong)
			}
		})
	}
}
