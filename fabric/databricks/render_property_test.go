package databricks

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"selvage/artifacts"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

// generator makes small job definitions as somebody might commit them. The same seed makes the same ones.
type generator struct {
	*rand.Rand
	earlier []string // keys of the jobs before this one, which it may run
}

type object = map[string]any

func (g *generator) often() bool  { return g.IntN(3) > 0 }
func (g *generator) rarely() bool { return g.IntN(4) == 0 }

func (g *generator) one(of ...any) any { return of[g.IntN(len(of))] }

// some calls add for each of a few indexes.
func (g *generator) some(most int, add func(i int) any) []any {
	list := []any{}
	for i := range g.IntN(most + 1) {
		list = append(list, add(i))
	}
	return list
}

// text is a value that may name the release, and may look like a secret.
func (g *generator) text() string {
	return g.one("plain", "", "quote \" back \\ <&> é", "of __PROJECT_RELEASE_VERSION_PLACEHOLDER__", "__PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__",
		"password=hunter2;v=__PROJECT_RELEASE_VERSION_PLACEHOLDER__", `{"a":"__PROJECT_RELEASE_VERSION_PLACEHOLDER__/__PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__"}`,
		"__PROJECT_ID_PLACEHOLDER__/jobs/x", "{{secrets/scope/key}}").(string)
}

func (g *generator) cluster() object {
	c := object{"spark_version": "15.4.x-scala2.12", "node_type_id": g.one("m5d.large", "i3.xlarge")}
	if g.often() {
		c["num_workers"] = g.IntN(4)
	} else {
		c["autoscale"] = object{"min_workers": 1, "max_workers": 2 + g.IntN(3)}
	}
	if g.often() {
		conf := object{"spark.databricks.isv.product": "prophecy", "spark.prophecy.metadata.job.branch": "__PROJECT_RELEASE_VERSION_PLACEHOLDER__",
			"spark.prophecy.metadata.url": "__PROPHECY_URL_PLACEHOLDER__", "spark.shop.api_token": g.text(), "spark.shop.note": g.text()}
		c["spark_conf"] = conf
	}
	if g.rarely() {
		c["spark_env_vars"] = object{"RELEASE": g.text(), "DB_PASSWORD": g.text()}
	}
	if g.rarely() {
		c["custom_tags"] = object{"cost_center": "7"}
	}
	if g.rarely() {
		c["data_security_mode"] = g.one("SINGLE_USER", "USER_ISOLATION", "NONE")
	}
	if g.rarely() {
		c["spark_conf"], c["aws_attributes"] = nil, object{"zone_id": "auto", "first_on_demand": 1}
	}
	return c
}

// action is what a task does.
func (g *generator) action(t object, deep bool) {
	switch n := g.IntN(7); {
	case n == 0:
		t["notebook_task"] = object{"notebook_path": "/Workspace/n", "base_parameters": object{"release": g.text()}}
	case n == 1:
		t["spark_jar_task"] = object{"main_class_name": "M", "parameters": g.some(3, func(int) any { return g.text() })}
	case n == 2 && len(g.earlier) > 0:
		t["run_job_task"] = object{"job_id": object{"job": g.earlier[g.IntN(len(g.earlier))]}}
		return
	case n == 3 && deep:
		inner := object{"task_key": "inner"}
		g.action(inner, false)
		t["for_each_task"] = object{"inputs": "[1,2]", "concurrency": 1 + g.IntN(3), "task": inner}
		return
	case n == 4:
		t["spark_python_task"] = object{"python_file": "/Workspace/x.py", "parameters": []any{"--token", g.text()}}
	default:
		t["python_wheel_task"] = object{"package_name": "clean_orders", "entry_point": "main", "parameters": []any{"-i", "default", "-O", g.text()}}
		t["libraries"] = []any{object{"whl": committedWheel("clean_orders")}, object{"pypi": object{"package": "requests==2"}},
			object{"maven": object{"coordinates": "io.prophecy:prophecy-libs_2.12:3.5.0-9.2.0"}}}
	}
	switch g.IntN(3) {
	case 0:
		t["job_cluster_key"] = "main"
	case 1:
		t["existing_cluster_id"] = "0923-164208-meows279"
	default:
		t["new_cluster"] = g.cluster()
	}
}

func (g *generator) notifications(o object) {
	if g.rarely() {
		o["email_notifications"] = object{"on_failure": []any{"b@shop.example", "a@shop.example"}, "on_success": []any{}}
	}
	if g.rarely() {
		o["webhook_notifications"] = object{"on_failure": g.some(3, func(i int) any { return object{"id": fmt.Sprint("hook", i)} })}
	}
	if g.rarely() {
		o["notification_settings"] = object{"no_alert_for_skipped_runs": g.often()}
	}
	if g.rarely() {
		o["timeout_seconds"] = g.IntN(3) * 600
	}
}

func (g *generator) request(name string) object {
	r := object{"name": name, "description": g.text(), "job_clusters": []any{object{"job_cluster_key": "main", "new_cluster": g.cluster()}}}
	g.notifications(r)
	for i := range 1 + g.IntN(4) {
		t := object{"task_key": fmt.Sprint("t", (i*7+3)%10)}
		g.action(t, true)
		g.notifications(t)
		if i > 0 {
			t["depends_on"] = []any{}
			for _, before := range r["tasks"].([]any) {
				if g.often() {
					t["depends_on"] = append(t["depends_on"].([]any), object{"task_key": before.(object)["task_key"]})
				}
			}
		}
		if g.rarely() {
			t["run_if"], t["max_retries"] = g.one("ALL_DONE", "ALL_SUCCESS"), g.IntN(2)
		}
		tasks, _ := r["tasks"].([]any)
		r["tasks"] = append(tasks, t)
	}
	for field, v := range map[string]any{
		"format": "MULTI_TASK", "max_concurrent_runs": 1 + g.IntN(2), "queue": object{"enabled": g.often()}, "tags": object{"team": "sales", "cost.center": "7"},
		"parameters": g.some(3, func(i int) any { return object{"name": fmt.Sprint("p", 9-i), "default": g.text()} }),
		"environments": g.some(2, func(i int) any {
			return object{"environment_key": fmt.Sprint("e", i), "spec": object{"client": "1", "dependencies": []any{"requests==2"}}}
		}),
		"health":              object{"rules": []any{object{"metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": 600}}},
		"access_control_list": []any{object{"user_name": "a@shop.example", "permission_level": "CAN_VIEW"}},
	} {
		if g.rarely() {
			r[field] = v
		}
	}
	switch g.IntN(4) {
	case 0:
		r["schedule"] = object{"quartz_cron_expression": "0 0 5 * * ?", "timezone_id": "UTC"}
	case 1:
		r["continuous"] = object{"pause_status": "PAUSED"}
	case 2:
		r["trigger"] = object{"table_update": object{"table_names": []any{"b", "a"}, "condition": "ANY_UPDATED"}}
	}
	return r
}

// TestRandomDefinitions: whatever is committed, what arrives does not differ from it, a second look
// writes nothing, the second rendering is the first, and another name of the release alone is no
// functional change.
func TestRandomDefinitions(t *testing.T) {
	const each = 70
	for i, profile := range []emulator.Profile{emulator.AWS, emulator.Azure, emulator.GCP} {
		t.Run(string(profile), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, emulator.Options{Profile: profile, Seed: int64(i)}, "")
				g := &generator{Rand: rand.New(rand.NewPCG(uint64(i), 0x5e1))}
				wheel := blobIn(t, p.store, []byte("a wheel"), "")
				release := &artifacts.Release{Project: "shop", Pipelines: []artifacts.Pipeline{{Key: "pipelines/clean_orders", Language: "python",
					Artifact: &artifacts.Artifact{SHA256: wheel.SHA256, Name: wheel.Name, Size: wheel.Size, Kind: "wheel"}}}}
				for n := range each {
					name := fmt.Sprintf("job_%03d", n)
					raw, err := json.Marshal(object{"fabric_id": "17", "request": g.request(name)})
					if err != nil {
						t.Fatal(err)
					}
					release.Jobs = append(release.Jobs, artifacts.Job{Key: "jobs/" + name, Name: name, FabricID: "17", Raw: raw,
						Components: []artifacts.Component{{Kind: artifacts.PipelineComponent, Path: committedWheel("clean_orders"), PipelineID: "pipelines/clean_orders"}}})
					g.earlier = append(g.earlier, "jobs/"+name)
				}
				arrives(t, p, release)
			})
		})
	}
}

// settles deploys a release and compares what is live then with what is rendered, by the rules alone.
func settles(t *testing.T, p *place, release *artifacts.Release) (fabric.Fabric, fabric.Binding, *fabrictest.Book) {
	t.Helper()
	f, b, book := p.Open(t), p.Binding(), fabrictest.NewBook(p.Binding().Deployment)
	report, err := fabrictest.Deploy(t.Context(), f, release, b, book)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Changes {
		if c.Action != fabric.Create || c.Hindrance != fabric.Free {
			t.Fatalf("%s is not deployed: %s", c.Key, c.Reason.Text)
		}
	}
	live, err := f.Observe(t.Context(), fabric.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	b.Root = live.Root
	d, findings := render(t, release, b)
	if again, findingsAgain := render(t, release, b); shownAs(t, release, d, findings) != shownAs(t, release, again, findingsAgain) {
		t.Error("the second rendering is another")
	}
	id := func(ref fabric.Ref) (any, bool) { return json.Number(book.Known(ref.Key).ID), true }
	for _, j := range release.Jobs {
		res, _ := d.Lookup(fabric.Key(j.Key))
		obj, _, _ := live.Lookup(b.Installation, Job, fabric.Owner{Deployment: b.Deployment, Key: res.Key}, "")
		// Nothing is known of what was sent and read back: the rules alone must explain what the service did to it.
		fields, labels := fabric.Compare(fabric.Comparison{Rules: jobRules, Desired: res.Doc.Resolve(id), Live: obj.Doc, Labels: res.Labels})
		if len(fields) > 0 || labels > 0 {
			t.Errorf("%s: %d labels, and %s\n%s", j.Key, labels, fieldPaths(fields), j.Raw)
		}
	}
	return f, b, book
}

func arrives(t *testing.T, p *place, release *artifacts.Release) {
	t.Helper()
	f, b, book := settles(t, p, release)
	named := 0
	for _, version := range []string{"1.2.0", "1.3.0-rc.1+build"} {
		b.Version, b.Tag = version, "Shop/"+version
		changes, err := fabrictest.Plan(t.Context(), f, release, b, book)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range changes {
			named += c.Labels
			if c.Action != fabric.Keep || c.Hindrance != fabric.Free {
				t.Errorf("%s as %s: %s %s: %s\n%s", c.Key, version, c.Action, c.Reason.Text, fieldPaths(c.Fields), release.Jobs[i].Raw)
			}
		}
	}
	if named < len(release.Jobs)/2 {
		t.Errorf("only %d places name the release", named)
	}
}
