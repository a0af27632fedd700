package configs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everyKey has each key that a file may say, but those of other ways to log in, and names four deployments:
// hello@prod, hello@qa, risk@prod and risk@qa.
const everyKey = `state: /s
include: [more.yaml]
isolation: {hosts: ["*.prophecy.io"]}
fabrics:
  qa:
    databricks: {host: https://qa.example.com, token: "${credential:token}", requests_per_second: 5, managed_by: lock}
    prophecy_ids: [4005]
    artifacts: /Workspace/artifacts
    visibility: all
    guardrails:
      run_as: [runner@shop.example]
      principals: [developers]
      policies: ["9A3F"]
      tags: [cost_center]
      max_workers: 8
      forbid: [git_source]
      init_scripts: [/Volumes/main/ops/scripts]
      least_interval: 15m
      continuous: false
    defaults: {policy: careful, mode: observe, follow: {branch: main}, overlay: {config_instance: qa}}
  prod:
    databricks: {host: https://prod.example.com, token: "${credential:token}"}
    prophecy_ids: [4004]
    defaults: {policy: quick}
policies:
  careful: {prune: {max: 1, percent: 10, quarantine: 24h, active_runs: wait}, heal: false, protect: [jobs/pay_*]}
  quick: {}
projects:
  hello:
    git: https://git.example.com/hello.git
    path: prophecy
    prophecy_id: 3224
    prophecy_url: https://app.example.com
    tags: ["Hello/*"]
    poll: 1m
    auth: {username: reader, password: "${credential:token}"}
  risk:
    git: git@git.example.com:risk.git
    auth: {ssh_key: "${credential:git_key}", known_hosts: /etc/known_hosts}
deployments:
  - project: hello
    fabric: prod
    policy: careful
    mode: apply
    follow: {tag: "Hello/*", order: semver}
    jobs: ["jobs/*"]
    moved: {jobs/old: jobs/new}
    protect: [jobs/keep]
    restart: {jobs/stream: on_change}
    isolation: {allow: [jobs/calls]}
    overlay:
      config_instance: prod
      schedule: enabled
      tags: {env: prod}
      job_clusters: {"*": {num_workers: 2}}
      parameters: {region: eu}
      libraries: {pypi: https://pypi.example, maven: https://maven.example}
      notifications:
        on_start: [a@b]
        on_success: [c@d]
        on_failure: [e@f]
        on_duration_warning_threshold_exceeded: [g@h]
        on_streaming_backlog_exceeded: [i@j]
      run_as: {user: lead@shop.example}
      patch: {"jobs/daily": {max_concurrent_runs: 1, tasks: {clean: {max_retries: 3}}}}
  - {projects: ["*"], fabrics: [qa, prod], except: [hello@prod], follow: {branch: next}, overlay: {run_as: {service_principal: 4f1c}}}
`

// TestDigestOfDeployments changes each key and sees which deployments mean something else. A key without a line
// here is a mistake, so that none is left out of the digest unseen.
func TestDigestOfDeployments(t *testing.T) {
	const (
		onQA    = "hello@qa risk@qa"
		onProd  = "hello@prod risk@prod"
		ofHello = "hello@prod hello@qa"
		ofRisk  = "risk@prod risk@qa"
		all     = "hello@prod hello@qa risk@prod risk@qa"
		one     = "hello@prod"
		rest    = "hello@qa risk@prod risk@qa"
		none    = ""
	)
	changes := []struct{ key, from, to, want string }{
		{"the file: state", "state: /s", "state: /t", none},
		{"the file: isolation", `isolation: {hosts: ["*.prophecy.io"]}` + "\n", `isolation: {hosts: ["*.prophecy.example"]}` + "\n", all},
		{"isolation at the top of the file: hosts", `["*.prophecy.io"]`, `["*.prophecy.io", tool.example]`, all},
		{"the file: fabrics", "fabrics:\n", "fabrics:\n  dev: {databricks: {host: https://dev.example.com, token: \"${credential:token}\"}}\n", none},
		{"the file: projects", "projects:\n", "projects:\n  other: {git: https://git.example.com/other.git}\n", "+other@prod +other@qa"},
		{"the file: policies", "policies:\n", "policies:\n  other: {heal: false}\n", none},
		{"the file: deployments", "deployments:\n", "deployments:\n  - {project: hello, fabric: extra, follow: {branch: main}}\n", "+hello@extra"},
		{"a fabric: databricks", "host: https://qa.", "host: https://qb.", onQA},
		{"a fabric: prophecy_ids", "[4005]", "[4005, 4006]", onQA},
		{"a fabric: artifacts", "/Workspace/artifacts", "/Workspace/other", onQA},
		{"a fabric: defaults", "    defaults: {policy: quick}\n", "    defaults: {policy: quick, mode: apply}\n", "risk@prod"},
		{"a fabric: visibility", "visibility: all", "visibility: own", onQA},
		{"a fabric: guardrails", "    guardrails:\n      run_as: [runner@shop.example]\n", "    guardrails:\n", onQA},
		{"guardrails: run_as", "[runner@shop.example]", "[runner@shop.example, 4f1c]", onQA},
		{"guardrails: principals", "[developers]", "[]", onQA},
		{"guardrails: principals", "      principals: [developers]\n", "", onQA},
		{"guardrails: policies", `["9A3F"]`, `["9A3G"]`, onQA},
		{"guardrails: tags", "[cost_center]", "[cost_center, team]", onQA},
		{"guardrails: max_workers", "max_workers: 8", "max_workers: 0", onQA},
		{"guardrails: forbid", "[git_source]", "[existing_cluster_id]", onQA},
		{"guardrails: init_scripts", "[/Volumes/main/ops/scripts]", "[]", onQA},
		{"guardrails: least_interval", "least_interval: 15m", "least_interval: 16m", onQA},
		{"guardrails: continuous", "continuous: false", "continuous: true", onQA},
		{"databricks: host", "https://prod.example.com", "https://prod.example.org", onProd},
		{"databricks: requests_per_second", "requests_per_second: 5", "requests_per_second: 6", onQA},
		{"databricks: managed_by", "managed_by: lock", "managed_by: none", onQA},
		{"databricks: token", `https://prod.example.com, token: "${credential:token}"`, `https://prod.example.com, token: "${credential:other}"`, onProd},
		{"defaults: policy", "defaults: {policy: careful", "defaults: {policy: quick", onQA},
		{"defaults: mode", "mode: observe", "mode: apply", onQA},
		{"defaults: follow", "follow: {branch: main}", "follow: {branch: other}", none}, // nobody takes it
		{"defaults: overlay", "config_instance: qa", "config_instance: qb", onQA},
		{"a project: git", "hello.git", "hallo.git", ofHello},
		{"a project: path", "path: prophecy", "path: .", ofHello},
		{"a project: prophecy_id", "3224", "3225", ofHello},
		{"a project: prophecy_url", "https://app.", "https://apq.", ofHello},
		{"a project: tags", `tags: ["Hello/*"]`, `tags: ["Hello/*", "v*"]`, ofHello},
		{"a project: poll", "poll: 1m", "poll: 2m", ofHello},
		{"a project: auth", "username: reader", "username: writer", ofHello},
		{"auth: username", "reader", "reader2", ofHello},
		{"auth: password", `password: "${credential:token}"`, `password: "${credential:other}"`, ofHello},
		{"auth: ssh_key", "${credential:git_key}", "${credential:git_key}${credential:git_key}", ofRisk},
		{"auth: known_hosts", "/etc/known_hosts", "/etc/known_hosts2", ofRisk},
		{"a policy: prune", "{max: 1, percent: 10, quarantine: 24h, active_runs: wait}", "{max: 1}", one + " " + onQA},
		{"a policy: heal", "heal: false", "heal: true", one + " " + onQA},
		{"prune: max", "max: 1", "max: 2", one + " " + onQA},
		{"prune: percent", "percent: 10", "percent: 11", one + " " + onQA},
		{"prune: quarantine", "quarantine: 24h", "quarantine: 48h", one + " " + onQA},
		{"prune: active_runs", "active_runs: wait", "active_runs: cancel", one + " " + onQA},
		{"a policy: protect", "[jobs/pay_*]", "[jobs/pay_*, jobs/tax]", one + " " + onQA},
		{"a deployment: protect", "[jobs/keep]", "[jobs/kept]", one},
		{"a deployment: project", "- project: hello\n    fabric: prod", "- project: hello\n    fabric: extra", "-hello@prod +hello@extra"},
		{"a deployment: fabric", "    fabric: prod\n", "    fabrics: [prod, extra]\n", "+hello@extra"},
		{"a deployment: projects", `projects: ["*"]`, "projects: [hello]", "-risk@prod -risk@qa"},
		{"a deployment: fabrics", "fabrics: [qa, prod]", "fabrics: [qa, prod, extra]", "+hello@extra +risk@extra"},
		{"a deployment: except", "except: [hello@prod]", "except: [hello@prod, risk@qa]", "-risk@qa"},
		{"a deployment: policy", "    policy: careful\n", "    policy: quick\n", one},
		{"a deployment: mode", "    mode: apply\n", "    mode: observe\n", one},
		{"a deployment: follow", "follow: {branch: next}", "follow: {branch: next2}", rest},
		{"a deployment: jobs", `jobs: ["jobs/*"]`, `jobs: ["jobs/**"]`, one},
		{"a deployment: restart", "restart: {jobs/stream: on_change}", "restart: on_change", one},
		{"a deployment: restart", "restart: {jobs/stream: on_change}", "restart: {jobs/streams: on_change}", one},
		{"a deployment: moved", "jobs/old: jobs/new", "jobs/old: jobs/newer", one},
		{"a deployment: isolation", "    isolation: {allow: [jobs/calls]}\n", "", one},
		{"isolation of a deployment: allow", "[jobs/calls]", "[jobs/calls, jobs/x]", one},
		{"a deployment: overlay", "service_principal: 4f1c", "service_principal: 4f1d", rest},
		{"follow: branch", "{branch: next}", "{branch: nexu}", rest},
		{"follow: tag", `{tag: "Hello/*"`, `{tag: "Hello/1*"`, one},
		{"follow: order", "order: semver", "order: tagged", one},
		{"overlay: config_instance", "config_instance: prod", "config_instance: live", one},
		{"overlay: schedule", "schedule: enabled", "schedule: paused", one},
		{"overlay: tags", "{env: prod}", "{env: live}", one},
		{"overlay: job_clusters", "num_workers: 2", "num_workers: 2.0", one},
		{"overlay: parameters", "region: eu", "region: us", one},
		{"overlay: libraries", "pypi: https://pypi.example, ", "", one},
		{"libraries: pypi", "https://pypi.example", "https://pypi.example/simple", one},
		{"libraries: maven", "https://maven.example", "https://maven.example/2", one},
		{"overlay: notifications", "        on_start: [a@b]\n", "", one},
		{"notifications: on_start", "[a@b]", "[a@c]", one},
		{"notifications: on_success", "[c@d]", "[c@d, x@y]", one},
		{"notifications: on_failure", "[e@f]", "[]", one},
		{"notifications: on_duration_warning_threshold_exceeded", "[g@h]", "[g@i]", one},
		{"notifications: on_streaming_backlog_exceeded", "[i@j]", "[i@k]", one},
		{"overlay: run_as", "{user: lead@shop.example}", "{service_principal: 7e}", one},
		{"run_as: user", "lead@shop.example", "head@shop.example", one},
		{"run_as: service_principal", "4f1c", "4f1e", rest},
		{"overlay: patch", "jobs/daily", "jobs/weekly", one},
		{"overlay: patch", "max_concurrent_runs: 1", "max_concurrent_runs: null", one},
		{"overlay: patch", "clean: {max_retries: 3}", "clea: {max_retries: 3}", one},
		{"overlay: patch", "max_retries: 3", `max_retries: "3"`, one},

		// Other words for the same.
		{"", "config_instance: prod", `"config_instance": 'prod'   # as before`, "="},
		{"", "    poll: 1m\n", "", "="},
		{"", ", active_runs: wait", "", "="},
		{"", "quarantine: 24h", "quarantine: 1440m", "="},
		{"", "order: semver", `"order": "semver"`, "="},
		{"", `tags: {env: prod}`, "tags:\n        env: prod", "="},
		{"", "fabrics: [qa, prod]", "fabrics: [prod, qa]", "="},
		{"", "    visibility: all\n", "", "="},
		{"", "least_interval: 15m", "least_interval: 900s", "="},
		{"", "isolation: {hosts: [\"*.prophecy.io\"]}\n", "", "="},
		{"", "{projects: [\"*\"]", "{projects: [risk, hello]", "="},
	}
	load := func(t *testing.T, text string) *Config {
		t.Helper()
		o := testOptions()
		o.Credentials = t.TempDir()
		for name, value := range map[string]string{"token": "x", "other": "x", "git_key": "-----BEGIN x"} {
			if err := os.WriteFile(filepath.Join(o.Credentials, name), []byte(value), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Load(writeAll(t, map[string]string{"selvage.yaml": text,
			"more.yaml": "fabrics:\n  extra: {databricks: {host: https://extra.example.com, token: \"${credential:token}\"}, prophecy_ids: [1]}\n"}), o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := load(t, everyKey)
	if diff := cmp.Diff(strings.Fields(all), names(before)); diff != "" {
		t.Fatal(diff)
	}
	digests := map[string]bool{}
	for _, c := range changes {
		name := c.key
		if name == "" {
			name = "the same: " + c.from
		}
		t.Run(name, func(t *testing.T) {
			if n := strings.Count(everyKey, c.from); n < 1 {
				t.Fatalf("%q is not in the file", c.from)
			}
			after := load(t, strings.Replace(everyKey, c.from, c.to, 1))
			if c.want == "=" {
				if after.Digest != before.Digest || digestsDiffer(before, after) != "" {
					t.Errorf("other digests: %s", digestsDiffer(before, after))
				}
				return
			}
			want := strings.Fields(c.want)
			slices.Sort(want)
			if got := digestsDiffer(before, after); got != strings.Join(want, " ") {
				t.Errorf("changed: %s\nwant:    %s", got, c.want)
			}
			if c.key != "defaults: follow" && after.Digest == before.Digest {
				t.Error("the digest of the configuration is the same")
			}
		})
		digests[c.key] = true
	}
	for _, s := range scopes {
		for _, key := range s.keys {
			if !digests[s.name+": "+key] && key != "include" && (key == "token" || !slices.Contains(attributeNames, key) || s.name != databricksScope.name) {
				t.Errorf("%s: %s is changed by no line of this test", s.name, key)
			}
		}
	}
}

// digestsDiffer are the deployments whose digest differs, with + and - for those that are only in one.
func digestsDiffer(a, b *Config) string {
	var out []string
	for _, d := range a.Deployments {
		if e, ok := b.Deployment(d.Name()); !ok {
			out = append(out, "-"+d.Name())
		} else if d.Digest != e.Digest {
			out = append(out, d.Name())
		}
	}
	for _, d := range b.Deployments {
		if _, ok := a.Deployment(d.Name()); !ok {
			out = append(out, "+"+d.Name())
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
