package databricks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
)

// store is where the authoring tool would put the files of the project.
const toolStore = "dbfs:/FileStore/prophecy/artifacts/saas/app/" + projectIDPlaceholder + "/" + versionPlaceholder

// spelling is a committed path in one of the ways in which definitions have it.
func (g *generator) spelling(p string) string {
	rest := strings.TrimPrefix(p, "dbfs:")
	return g.one(p, "/dbfs"+rest, rest, "dbfs:/"+rest, "dbfs:"+strings.ReplaceAll(rest, "/app/", "/app//")).(string)
}

// code is a text of a script or configuration, which may mention the paths and call the tool.
func (g *generator) code(mentions ...string) string {
	lines := []string{"x = 1"}
	for range g.IntN(4) {
		lines = append(lines, g.one("# https://app.prophecy.io", `y = "`+tagPlaceholder+`"`, `z = "`+projectIDPlaceholder+`/é"`,
			`w = "`+g.spelling(mentions[g.IntN(len(mentions))])+`"`, `v = open("`+g.spelling(mentions[g.IntN(len(mentions))])+`")`).(string))
	}
	if g.IntN(16) == 0 {
		lines = append(lines, `call("https://app.prophecy.io/x")`)
	}
	return strings.Join(lines, "\n") + "\n"
}

// committedJob adds components of every kind, and tasks that use them, to a request.
func (g *generator) committedJob(request object, name string) []artifacts.Component {
	wheel, jar := committedWheel("clean_orders"), toolStore+"/pipeline/scala_job.jar"
	script, profile := toolStore+"/"+name+"/s--34.py", toolStore+"/"+name+"/m-1/profiles.yml"
	dbt := toolStore + "/" + name + "/m-1/dbt_script.py"
	other := "dbfs:/FileStore/prophecy/artifacts/saas/app/7234/0.1/pipeline/customers-1.0-py3-none-any.whl"
	conf, folder := toolStore+"/configurations/7234/pipelines/customers/ours.json", toolStore+"/configurations"
	tasks, _ := request["tasks"].([]any)
	add := func(t object) {
		t["task_key"] = fmt.Sprint("c", len(tasks))
		if t["new_cluster"] == nil && t["pipeline_task"] == nil {
			t["existing_cluster_id"] = "0923-164208-meows279"
		}
		tasks = append(tasks, t)
	}
	cs := []artifacts.Component{{Kind: artifacts.PipelineComponent, Path: wheel, PipelineID: "pipelines/clean_orders", ID: "w", Language: "python"}}
	if g.often() {
		cs = append(cs, artifacts.Component{Kind: artifacts.ScriptComponent, Path: script, ID: "s", Language: "python", Content: g.code(wheel, profile, script)})
		add(object{"spark_python_task": object{"python_file": g.spelling(script), "parameters": []any{g.text(), g.spelling(wheel)}}})
	}
	if g.often() {
		cs = append(cs, artifacts.Component{Kind: artifacts.DBTComponent, Path: dbt, ID: "d", Language: "sql", Content: g.code(profile, path.Dir(profile)+"/", script),
			ProfilePath: profile, ProfileContent: "a:\n  schema: s" + projectIDPlaceholder + "\n", FilesDirectory: path.Dir(profile), SecretKey: "key"})
		add(object{"spark_python_task": object{"python_file": g.spelling(dbt), "parameters": []any{"-p", g.spelling(profile)}}})
	}
	if g.often() {
		cs = append(cs, artifacts.Component{Kind: artifacts.PipelineComponent, Path: jar, PipelineID: "pipelines/scala_job", ID: "j", Language: "scala"})
		for range 1 + g.IntN(3) {
			cluster := g.cluster()
			cluster["spark_version"] = g.one("15.4.x-scala2.12", "16.4.x-scala2.13", "17.3.x")
			add(object{"spark_jar_task": object{"main_class_name": "M"}, "libraries": []any{object{"jar": g.spelling(jar)}}, "new_cluster": cluster})
		}
	}
	if g.often() {
		cs = append(cs, artifacts.Component{Kind: artifacts.PipelineComponent, Path: other, PipelineID: "7234/pipelines/customers", ID: "o", Language: "python",
			Subscribed: &artifacts.Subscription{ProjectID: "7234", Version: "0.1", Pipeline: "pipelines/customers"}})
		add(object{"python_wheel_task": object{"package_name": "customers", "entry_point": "main", "parameters": []any{"-f", g.spelling(conf), "-pc", g.spelling(folder)}},
			"libraries": []any{object{"whl": g.spelling(other)}}})
	}
	if g.rarely() {
		cs = append(cs, artifacts.Component{Kind: artifacts.DLTComponent, ID: "l"})
		add(object{"pipeline_task": object{"pipeline_id": "3f1c5a8e"}})
	}
	if g.IntN(16) == 0 {
		request["description"] = g.one("see https://app.prophecy.io/x", urlPlaceholder+"/x")
	}
	request["tasks"] = tasks
	return cs
}

// job is a job with its file.
func (g *generator) job(t *testing.T, name string) artifacts.Job {
	request := g.request(name)
	j := artifacts.Job{Key: "jobs/" + name, Name: name, FabricID: "17", File: "jobs/" + name + "/code/databricks-job.json", SecretScope: "scope",
		Components: g.committedJob(request, name)}
	var cs []any
	for _, c := range j.Components {
		cs = append(cs, object{c.Kind: object{"path": c.Path, "content": c.Content, "profileContent": c.ProfileContent}})
	}
	var err error
	if j.Raw, err = json.MarshalIndent(object{"fabric_id": "17", "components": cs, "request": request}, "", " "); err != nil {
		t.Fatal(err)
	}
	return j
}

func (g *generator) artifact(name, kind string) *artifacts.Artifact {
	sum := sha256.Sum256([]byte(name))
	return &artifacts.Artifact{SHA256: hex.EncodeToString(sum[:]), Name: name, Size: 1, Kind: kind}
}

func (g *generator) release(t *testing.T, jobs int) *artifacts.Release {
	r := &artifacts.Release{Project: "shop", Pipelines: []artifacts.Pipeline{
		{Key: "pipelines/clean_orders", Language: "python", Instances: []string{"default", "prod"}, Artifact: g.artifact("clean_orders-1.0-py3-none-any.whl", "wheel")},
		{Key: "pipelines/scala_job", Language: "scala", Jars: map[string]*artifacts.Artifact{"2.12": g.artifact("scala_job_2.12.jar", "jar"), "2.13": g.artifact("scala_job_2.13.jar", "jar")}}}}
	if g.often() {
		r.Subscribed = []artifacts.Pipeline{{Key: "7234/pipelines/customers@0.1", Language: "python", Artifact: g.artifact("customers-1.0-py3-none-any.whl", "wheel")}}
	}
	for _, c := range [][2]string{{"7234/pipelines/customers", "ours"}, {"7234/pipelines/customers", "prod"}, {artifacts.ProjectConfiguration, "default"}, {artifacts.ProjectConfiguration, "prod"}} {
		text, err := json.Marshal(object{"a": g.text(), "b": g.one(1, "io.prophecy:x", tagPlaceholder)})
		if err != nil {
			t.Fatal(err)
		}
		r.Configurations = append(r.Configurations, artifacts.Configuration{Owner: c[0], Name: c[1], File: c[0] + "/" + c[1] + ".json", Content: text})
	}
	for n := range jobs {
		name := fmt.Sprintf("job_%03d", n)
		r.Jobs = append(r.Jobs, g.job(t, name))
		g.earlier = append(g.earlier, "jobs/"+name)
	}
	return r
}

func (g *generator) overlay() configs.Overlay {
	var o configs.Overlay
	if g.often() {
		o = configs.Overlay{ConfigInstance: "prod", Schedule: "paused", Tags: map[string]string{"env": "prod"},
			JobClusters:   []configs.ClusterOverlay{{Key: "*", Merge: object{"policy_id": "p", "num_workers": nil, "custom_tags": object{"release": versionPlaceholder}}}},
			Parameters:    map[string]string{"-O": "{}", "p9": projectIDPlaceholder},
			Libraries:     configs.Libraries{PyPI: "https://pypi.shop.example"},
			Notifications: map[string][]string{"on_failure": {"ops@shop.example"}},
			Patch: []configs.Patch{{Jobs: "jobs/*", Merge: object{"max_concurrent_runs": json.Number("3"), "tags": object{"selvage-key": "x", "b": "c"},
				"parameters": []any{object{"name": "wheel", "default": committedWheel("clean_orders"), "removed": nil}}},
				Tasks: []configs.TaskPatch{{Key: "c*", Merge: object{"max_retries": json.Number("2"), "email_notifications": object{"on_failure": []any{"x@shop.example"}}}}}}},
		}
	}
	return o
}

// anyHost is an address of the authoring tool wherever it stands. The generator has none that is only mentioned,
// but in comments.
var anyHost = regexp.MustCompile(`(?i)[a-z0-9-]\.prophecy\.io`)

// TestRandomReleases: whatever is committed, and laid over it, what Render makes is the same each time, holds
// no placeholder and calls nobody that it should not, its files are what their paths say, and the order of the
// components has no part in it.
func TestRandomReleases(t *testing.T) {
	blocked, texts, calls := 0, 0, 0
	for seed := range uint64(40) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 0xfab))}
		r := g.release(t, 12)
		b := binding()
		b.ProjectID, b.Overlay = "3224", g.overlay()
		b.ManagedBy = []string{"", configs.ManagedByDescription, configs.ManagedByLock}[seed%3]
		if g.rarely() {
			b.ProphecyURL = "https://app.prophecy.io"
		}
		if g.rarely() {
			b.Allow = []string{"jobs/*"}
		}
		said := fmt.Sprintf("%+v", b)
		d, findings := render(t, r, b)
		first := shownAs(t, r, d, findings)
		if said != fmt.Sprintf("%+v", b) {
			t.Fatalf("seed %d: the binding was changed", seed)
		}
		for i := range r.Jobs {
			g.Shuffle(len(r.Jobs[i].Components), func(k, l int) {
				cs := r.Jobs[i].Components
				cs[k], cs[l] = cs[l], cs[k]
			})
		}
		again, findingsAgain := render(t, r, b)
		for _, k := range d.Keys() {
			res, presence := d.Lookup(k)
			other, _ := again.Lookup(k)
			if presence == fabric.Unknown {
				why, _ := d.Why(k)
				blocked++
				if why.Code == configs.CallsTool {
					calls++
				} else if why.Code != configs.PlaceholderLeft && why.Code != configs.ReferenceBlocked || why.Code == configs.PlaceholderLeft && !strings.Contains(why.Text, urlPlaceholder) {
					t.Errorf("seed %d: %s is blocked: %s", seed, k, why.Text)
				}
				continue
			}
			texts += checkFiles(t, b, res)
			if !slices.EqualFunc(res.Blobs, other.Blobs, func(a, b fabric.Blob) bool { return a.Path == b.Path && string(a.Content) == string(b.Content) }) ||
				res.Doc.Digest() != other.Doc.Digest() || !slices.Equal(res.Outside, other.Outside) {
				t.Errorf("seed %d: %s depends on the order of its components", seed, k)
			}
			said := []string{string(res.Doc.Canonical())}
			for _, blob := range res.Blobs {
				for line := range strings.Lines(string(blob.Content)) {
					if !strings.HasPrefix(line, "#") {
						said = append(said, line)
					}
				}
			}
			for _, s := range said {
				if placeholder.MatchString(s) || strings.Contains(s, "_PLACEHOLDER__") {
					t.Errorf("seed %d: %s holds a placeholder: %s", seed, k, s)
				}
				if b.Allow == nil && anyHost.MatchString(s) {
					t.Errorf("seed %d: %s calls the tool: %s", seed, k, s)
				}
				if strings.Contains(s, "selvage-key") {
					t.Errorf("seed %d: %s has a tag of ours", seed, k)
				}
			}
		}
		if third, f := render(t, r, b); shownAs(t, r, third, f) != shownAs(t, r, again, findingsAgain) {
			t.Errorf("seed %d: the second time it is different", seed)
		}
		if len(first) == 0 {
			t.Error("nothing is shown")
		}
	}
	t.Logf("%d blocked, %d of them for calls; %d texts", blocked, calls, texts)
	if blocked == 0 || calls == 0 || texts < 500 {
		t.Errorf("%d blocked, %d of them for calls; %d texts", blocked, calls, texts)
	}
}

// checkFiles looks whether the files are what their paths say, and returns how many Render made.
func checkFiles(t *testing.T, b fabric.Binding, res fabric.Resource) int {
	t.Helper()
	made := 0
	sets := map[string]string{} // folder to what names it
	for _, blob := range res.Blobs {
		sum := sha256.Sum256(blob.Content)
		content := hex.EncodeToString(sum[:])
		if blob.Content != nil {
			made++
			if content != blob.SHA256 || int64(len(blob.Content)) != blob.Size {
				t.Errorf("%s: %s is not what its digest says", res.Key, blob.Path)
			}
			sets[path.Dir(blob.Path)] += fmt.Sprintf("%s %s\n", blob.SHA256, blob.Name)
		}
		if path.Base(blob.Path) != blob.Name || path.Dir(path.Dir(blob.Path)) != b.Root || path.Clean(blob.Path) != blob.Path {
			t.Errorf("%s: %s is in no folder of its own", res.Key, blob.Path)
		}
	}
	for _, blob := range res.Blobs {
		folder := path.Dir(blob.Path)
		set := sha256.Sum256([]byte(sets[folder]))
		if name := path.Base(folder); name != blob.SHA256 && name != hex.EncodeToString(set[:]) {
			t.Errorf("%s: %s is not named by what it holds", res.Key, blob.Path)
		}
		if !strings.Contains(string(res.Doc.Canonical()), blob.Path) && !slices.ContainsFunc(res.Blobs, func(o fabric.Blob) bool { return strings.Contains(string(o.Content), blob.Path) }) &&
			!strings.Contains(string(res.Doc.Canonical()), folder) {
			t.Errorf("%s: nothing mentions %s", res.Key, blob.Path)
		}
	}
	return made
}

// TestRandomReleasesArrive: what is applied does not differ from what is rendered again.
func TestRandomReleasesArrive(t *testing.T) {
	for i, root := range []string{"", "/Volumes/main/selvage/artifacts"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t, emulator.Options{Seed: int64(i)}, root)
			g := &generator{Rand: rand.New(rand.NewPCG(uint64(i), 0xa))}
			r := g.release(t, 25)
			for _, pipelines := range [][]artifacts.Pipeline{r.Pipelines, r.Subscribed} {
				for k := range pipelines {
					all := []*artifacts.Artifact{pipelines[k].Artifact, pipelines[k].Jars["2.12"], pipelines[k].Jars["2.13"]}
					for _, a := range all {
						if a == nil {
							continue
						}
						sum, size, err := p.store.PutBytes([]byte("the content of " + a.Name))
						if err != nil {
							t.Fatal(err)
						}
						a.SHA256, a.Size = sum, size
					}
				}
			}
			var free []artifacts.Job
			rooted := p.Binding()
			rooted.Root = "/Workspace/x"
			d, _ := render(t, r, rooted)
			for _, j := range r.Jobs {
				if _, presence := d.Lookup(fabric.Key(j.Key)); presence == fabric.Present {
					free = append(free, j)
				}
			}
			if r.Jobs = free; len(free) < 10 {
				t.Fatalf("only %d jobs can be deployed", len(free))
			}
			f, b, book := settles(t, p, r)
			changes, err := fabrictest.Plan(t.Context(), f, r, b, book)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				if c.Action != fabric.Keep || c.Hindrance != fabric.Free || c.Labels != 0 {
					t.Errorf("%s: %s %s: %s", c.Key, c.Action, c.Reason.Text, fieldPaths(c.Fields))
				}
			}
			live := p.Files()
			if len(live) < 10 {
				t.Errorf("only %d files arrived", len(live))
			}
		})
	}
}
