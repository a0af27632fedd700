package configs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDeployments(t *testing.T) {
	top := "state: /s\nfabrics:\n"
	for i, name := range []string{"development", "production", "qa"} {
		top += fmt.Sprintf("  %s:\n    databricks: {host: https://%s.example.com, token: \"${credential:token}\"}\n    prophecy_ids: [%d]\n", name, name, i)
		if name == "qa" {
			top += "    defaults: {mode: apply, policy: careful, follow: {branch: qa}}\n"
		}
	}
	top += "policies: {careful: {heal: false}}\nprojects:\n"
	for _, name := range []string{"a", "b", "team_x", "team_y"} {
		top += fmt.Sprintf("  %s: {git: https://git.example.com/%s.git}\n", name, name)
	}
	for name, c := range map[string]struct{ entries, want string }{
		"one of each": {"{project: a, fabric: qa, follow: {branch: main}}", "a@qa main apply careful"},
		"defaults":    {"{project: a, fabric: qa}", "a@qa qa apply careful"},
		"own before defaults": {"{project: a, fabric: qa, mode: observe, policy: default, follow: {tag: \"v*\"}}",
			"a@qa v* observe default"},
		"lists": {"{projects: [b, a], fabrics: [qa, development], follow: {branch: main}}",
			"a@development main observe default, a@qa main apply careful, b@development main observe default, b@qa main apply careful"},
		"one and a list": {"{project: a, fabrics: [qa, production], follow: {branch: main}}",
			"a@production main observe default, a@qa main apply careful"},
		"patterns": {"{projects: [\"team_*\", a], fabric: production, follow: {tag: \"{project}/*\"}}",
			"a@production a/* observe default, team_x@production team_x/* observe default, team_y@production team_y/* observe default"},
		"overlapping patterns": {"{projects: [\"team_*\", \"*_x\", team_y, \"{a,b}\"], fabric: qa}",
			"a@qa qa apply careful, b@qa qa apply careful, team_x@qa qa apply careful, team_y@qa qa apply careful"},
		"patterns over fabrics": {"{project: a, fabrics: [\"*\"], follow: {branch: main}}",
			"a@development main observe default, a@production main observe default, a@qa main apply careful"},
		"except": {"{projects: [\"*\"], fabrics: [production, qa], except: [\"team_*@qa\", b@production], follow: {branch: main}}\n  - {project: b, fabric: production, mode: apply, follow: {tag: \"*\"}}",
			"a@production main observe default, a@qa main apply careful, b@production * apply default, b@qa main apply careful, team_x@production main observe default, team_y@production main observe default"},
		"a brace in a tag": {"{project: a, fabric: qa, follow: {tag: '\\{a\\}/{x,{project}}*'}}", `a@qa \{a\}/{x,a}* apply careful`},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := Load(write(t, top+"deployments:\n  - "+c.entries+"\n"), testOptions())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range c2.Deployments {
				got = append(got, fmt.Sprintf("%s %s%s %s %s", d.Name(), d.Follow.Branch, d.Follow.Tag, d.Mode, d.Policy.Name))
				if found, ok := c2.Deployment(d.Name()); !ok || found != d {
					t.Errorf("%s is not found", d.Name())
				}
			}
			if diff := cmp.Diff(strings.Split(c.want, ", "), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTooManyDeployments asks for a million of them on a screen of YAML.
func TestTooManyDeployments(t *testing.T) {
	var text strings.Builder
	text.WriteString("state: /s\nfabrics:\n")
	for i := range 101 {
		fmt.Fprintf(&text, "  f%d: {databricks: {host: https://f.example.com, token: \"${credential:token}\"}, prophecy_ids: [%d]}\n", i, i)
	}
	text.WriteString("projects:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  p%d: {git: https://git.example.com/p.git}\n", i)
	}
	text.WriteString("deployments: [{projects: [\"*\"], fabrics: [\"*\"], follow: {branch: main}}]\n")
	_, err := Load(write(t, text.String()), testOptions())
	if err == nil || !strings.Contains(err.Error(), "deployments[0]: with it, there are more than 10000 deployments") {
		t.Errorf("%.300v", err)
	}
	c, err := Load(write(t, strings.Replace(text.String(), `fabrics: ["*"]`, `fabrics: ["f[1-9]*"]`, 1)), testOptions())
	if err != nil || len(c.Deployments) != maxDeployments {
		t.Errorf("%.300v", err)
	}
}

func TestRepository(t *testing.T) {
	for _, same := range [][]string{
		{"https://git.example.com/data/all.git", "https://GIT.example.com/data/all", "https://git.example.com:443/data/all.git/", "git@git.example.com:data/all.git", "ssh://git@git.example.com:22/data/all", "deploy@git.example.com:/data/all"},
		{"https://git.example.com/data/ALL"},
		{"https://git.example.com:8443/data/all"},
		{"ssh://git@[::1]:2222/all"},
		{"ssh://git@[::1]/all", "git@[::1]:all.git"},
		{"file:///data/all.git", "file:///data/all"},
	} {
		for _, address := range same {
			if how, message, _ := checkGit(address); how == "" {
				t.Errorf("%s %s", address, message)
			}
			if got := repository(address); got != repository(same[0]) {
				t.Errorf("%s is %s, not %s", address, got, repository(same[0]))
			}
		}
	}
	seen := map[string]bool{}
	for _, address := range []string{"https://h/a", "https://h/a/b", "https://h/A", "https://h:1/a", "https://i/a", "file:///h/a", "file:///a", "git@h:b", "ssh://git@h:2222/a"} {
		if key := repository(address); seen[key] {
			t.Errorf("%s is another repository than it seems: %s", address, key)
		} else {
			seen[key] = true
		}
	}
}
