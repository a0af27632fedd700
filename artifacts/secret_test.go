package artifacts

import (
	"strings"
	"testing"

	"selvage/configs"
)

func TestProfileProblems(t *testing.T) {
	const refused, broken = configs.SecretInGit, configs.JobBroken
	for profile, want := range map[string]configs.Code{
		"token: {{ TOKEN }}":                       "",
		"token: {{TOKEN}}":                         "",
		"token: '{{ TOKEN }}'":                     "",
		`token: "{{ env_var('A') }}"`:              "",
		`token: '{{ env_var("A") }}'`:              "",
		`token: '{{ env_var(''A'') }}'`:            "",
		`token: "{{ env_var(\"A\") }}"`:            "",
		`token: "{{ env_var('A', '') }}"`:          "",
		`token: "{{ var('a') | as_text }}"`:        "",
		`token: "{{ var('a') }}{{ b.c }}"`:         "",
		"token:":                                   "",
		`token: ""`:                                "",
		"token: ~":                                 "",
		"use_token: true":                          "",
		"token_uri: https://x":                     "",
		"private_key_path: /x":                     "",
		"aws_access_key_id: AKIA":                  "",
		"host: dbc-1.cloud.databricks.com":         "",
		"a: {b: [{token: {{ T }}}]}":               "",
		"token: hunter2":                           refused,
		"token: 123456":                            refused,
		"'token': \"hunter2\"":                     refused,
		"a: {b: [{password: hunter2}]}":            refused,
		"a:\n- b:\n    PASSWORD: hunter2":          refused,
		"pass: hunter2":                            refused,
		"client_secret: hunter2":                   refused,
		"client-secret: !!str hunter2":             refused,
		"clientSecret: |\n  hunter2":               refused,
		"token: >-\n  hunter2\n  more":             refused,
		"token:\n  hunter2":                        refused,
		"token: [hunter2]":                         refused,
		"? token\n: hunter2":                       refused,
		"token: hunter2 # {{ TOKEN }}":             refused,
		"token: hunter2{{ TOKEN }}":                refused,
		"token: {{ 'hunter2' }}":                   refused,
		`token: "{{ env_var('A', 'hunter2') }}"`:   refused,
		`token: "{{ env_var('A') or 'hunter2' }}"`: refused,
		`token: "{{ env_var('A') ~ 'hunter2' }}"`:  refused,
		"keyfile_json: {private_key: hunter2}":     refused,
		"x: dapi0123456789abcdef0123456789abcdef":  refused,
		"x: '-----BEGIN RSA PRIVATE KEY-----'":     refused,
		"template0.: x\ntoken: template0.":         refused,
		"template_: {{ T }}\ntoken: template0.":    refused,
		"":                                         broken,
		"a: [":                                     broken,
		"- token":                                  broken,
		"a: &a x\nb: *a":                           broken,
		"a: b\n---\ntoken: hunter2":                broken,
		"token: \"hunter2":                         broken,
		"token: {{ TOKEN":                          broken,
		"a: {? [token]: hunter2}":                  broken,
	} {
		found := profileProblems(profile)
		if want == "" && len(found) > 0 || want != "" && (len(found) != 1 || found[0].code != want) {
			t.Errorf("%q: %v; want %q", profile, found, want)
		}
		for _, r := range found {
			if strings.Contains(r.text, "hunter2") || strings.Contains(r.text, "dapi") || strings.Contains(r.text, "\n") {
				t.Errorf("%q: %s", profile, r.text)
			}
		}
	}
}

// No finding about a profile holds a value of it, and no literal token passes.
func FuzzProfile(f *testing.F) {
	f.Add("run_profile:\n  outputs:\n    o:\n      token: {{ TOKEN }}\n")
	f.Add("p: {token: 'x', password: {{ env_var('A') }}}")
	f.Add("a: |\n  x\ntoken: >\n  y")
	f.Fuzz(func(t *testing.T, profile string) {
		const canary = "c4n4ryc4n4ry"
		for _, r := range profileProblems("token: " + canary + "\n" + profile) {
			if strings.Contains(r.text, canary) || r.text == "" {
				t.Errorf("%q", r.text)
			}
		}
		if len(profileProblems("token: "+canary+"\n"+profile)) == 0 {
			t.Errorf("a token passed before %q", profile)
		}
	})
}
