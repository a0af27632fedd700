package reconciler

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
)

var update = flag.Bool("update", false, "write what comes of the odd projects into testdata/odd/*/expect.txt")

const odds = "../testdata/odd"

// oddYAML is the configuration that an odd project is deployed with. The file selvage.yaml beside it replaces
// whole sections of it; WORKSPACE and REPOSITORIES stand for the address of the workspace and the folder of the remotes.
const oddYAML = `
state: STATE
policies:
  p: {prune: {max: 9, percent: 100}, heal: true}
fabrics:
  production: {databricks: {host: "WORKSPACE", token: "${env:TOKEN}", managed_by: none}, prophecy_ids: [4004]}
projects:
  odd: {git: "file://REPOSITORIES/project", prophecy_id: 3224, poll: 1s}
deployments:
  - {project: odd, fabric: production, mode: apply, policy: p, follow: {tag: "Odd/*"}}
`

// TestOdd deploys every project of testdata/odd, each of which is odd in the way that its folder says, to an emulated
// workspace, and compares what comes of it with expect.txt. Whatever that is, nothing is left to do after it; what
// runs holds no placeholder and no address of the authoring tool; and what is gone from git goes from the workspace.
func TestOdd(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(odds)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newOddity(t, filepath.Join(odds, f.Name())).test() })
		})
	}
}

// oddity is a site with the repositories of one odd project.
type oddity struct {
	*site
	folder  string
	repos   []oddRepo
	digests map[string]int // that were masked, to their numbers
}

// oddRepo is a remote, and the content of its main branch by path: names that not every system can hold stay in memory.
type oddRepo struct {
	remote string
	files  map[string]string
}

func newOddity(t *testing.T, folder string) *oddity {
	t.Helper()
	o := &oddity{site: bareSite(t, emulator.Options{}).pipes(), folder: folder, digests: map[string]int{}}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, packed := strings.CutSuffix(e.Name(), ".txtar")
		if !e.IsDir() && !packed {
			continue
		}
		r := oddRepo{filepath.Join(o.dir, "repositories", name), map[string]string{}}
		o.git(o.dir, "init", "-q", "--bare", "--template=", "-b", "main", r.remote)
		content := os.DirFS(filepath.Join(folder, e.Name()))
		if packed {
			a, err := txtar.ParseFile(filepath.Join(folder, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range a.Files {
				r.files[f.Name] = string(f.Data)
			}
		} else if err := fs.WalkDir(content, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := fs.ReadFile(content, name)
			r.files[name] = strings.ReplaceAll(string(text), "REPOSITORIES", filepath.Join(o.dir, "repositories"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		o.repos = append(o.repos, r)
		o.release(r)
	}
	o.furnish()
	yaml := oddYAML
	if text, err := os.ReadFile(filepath.Join(folder, "selvage.yaml")); err == nil {
		yaml = overlaid(yaml, string(text))
	}
	o.yaml = strings.NewReplacer("WORKSPACE", "%[2]s", "REPOSITORIES", "%[1]s/repositories", "STATE", "%[1]s/state").Replace(yaml)
	return o
}

// furnish puts what the file workspace.txt lists into the workspace, as others do: a line each, "file PATH", "secret
// SCOPE/KEY" or "pipeline ID".
func (o *oddity) furnish() {
	text, err := os.ReadFile(filepath.Join(o.folder, "workspace.txt"))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		kind, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "file":
			if err := o.workspace.SetFile(name, []byte("others'")); err != nil {
				o.t.Fatal(err)
			}
		case "secret":
			scope, key, _ := strings.Cut(name, "/")
			o.workspace.SetSecret(scope, key)
		case "pipeline":
			o.workspace.SetPipeline(name)
		default:
			o.t.Fatalf("workspace.txt: %q is neither a file nor a secret nor a pipeline", line)
		}
	}
}

// overlaid replaces the top-level sections of one YAML text by those of another.
func overlaid(base, over string) string {
	section := regexp.MustCompile(`(?m)^[a-z]+:.*\n(?:[ #].*\n)*`)
	sections := map[string]string{}
	for _, text := range []string{base, over} {
		for _, s := range section.FindAllString(text, -1) {
			name, _, _ := strings.Cut(s, ":")
			sections[name] = s
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		all = append(all, sections[name])
	}
	return strings.Join(all, "")
}

var (
	projectName    = regexp.MustCompile(`(?m)^name: (.*)$`)
	projectVersion = regexp.MustCompile(`(?m)^version: (.*)$`)
	projectJobs    = regexp.MustCompile(`(?m)^jobs:.*\n(?:  .*\n)*`)
)

// release commits the files and tags the commit for each of its projects, as the authoring tool does: NAME/VERSION.
func (o *oddity) release(r oddRepo) {
	const person = "Dev <dev1@shop.example> 1795000000 +0000\ndata 7\nrelease\n"
	stream := "commit refs/heads/main\nmark :1\ncommitter " + person
	if _, err := os.Stat(filepath.Join(r.remote, "refs/heads/main")); err == nil {
		stream += "from refs/heads/main^0\ndeleteall\n"
	}
	tags := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		text := r.files[name]
		stream += fmt.Sprintf("M 100644 inline %s\ndata %d\n%s\n", name, len(text), text)
		if path.Base(name) == "pbt_project.yml" {
			tags[projectName.FindStringSubmatch(text)[1]+"/"+projectVersion.FindStringSubmatch(text)[1]] = true
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		stream += "tag " + tag + "\nfrom :1\ntagger " + person
	}
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = r.remote, strings.NewReader(stream)
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
}

// drop removes all jobs from git, and releases that.
func (o *oddity) drop() {
	for _, r := range o.repos {
		for name, text := range r.files {
			if path.Base(name) != "pbt_project.yml" {
				continue
			}
			r.files[name] = projectVersion.ReplaceAllString(projectJobs.ReplaceAllString(text, "jobs: {}\n"), "version: 99.0.0")
			maps.DeleteFunc(r.files, func(other, _ string) bool { return strings.HasPrefix(other, path.Join(path.Dir(name), "jobs")+"/") })
		}
		o.release(r)
	}
}

func (o *oddity) test() {
	t := o.t
	o.open()
	defer func() {
		o.shut()
		o.sound()
	}()
	var report strings.Builder
	for _, d := range o.Config.Deployments {
		o.deploy(&report, d)
	}
	o.workspaceHolds(&report)
	o.compare(report.String())

	o.poll()
	for _, d := range o.Config.Deployments {
		p, err := o.Plan(t.Context(), d.Name(), "")
		c := p.Plan.Counts
		if err == nil && c.Create+c.Update+c.Delete+c.Deferred+c.Drifted > 0 {
			t.Errorf("%s: a second plan has %s: %v", d.Name(), c, lines(p.Plan))
		}
	}
	o.clean()

	live := len(o.workspace.Jobs())
	o.drop()
	for range 2 {
		o.poll()
		for _, d := range o.Config.Deployments {
			o.roundOf(d)
		}
	}
	if left := o.names(); len(left) > 0 {
		t.Errorf("%d jobs were live and are gone from git, and these are still there: %v", live, left)
	}
}

// deploy does what a person does: looks at the plan, and applies it. It reports what the person is told.
func (o *oddity) deploy(report *strings.Builder, d *configs.Deployment) {
	t := o.t
	fmt.Fprintf(report, "\n%s\n", d.Name())
	seen, err := o.Plan(t.Context(), d.Name(), "")
	told, blocked := map[string]bool{}, map[configs.Finding]bool{}
	say := func(f configs.Finding, what string) {
		line := fmt.Sprintf("  %-8s %s  %s", what, f.Code, o.masked(f.Subject))
		particulars := strings.TrimPrefix(f.Text, f.Code.Sentence()+": ")
		switch f.Code {
		case configs.Stripped:
			line = fmt.Sprintf("  stripped %s  %s", f.Subject, particulars)
		case configs.OutsideMissing:
			line += "  " + particulars
		}
		told[line] = true
		t.Logf("%s %s: %s [%s]", f.Code, f.Subject, f.Text, f.Next)
	}
	for _, c := range seen.Plan.Changes {
		for _, f := range c.Stripped {
			say(f, "stripped")
		}
		if c.Hindrance == fabric.Blocked {
			blocked[c.Reason] = true
			say(c.Reason, "blocked")
		}
	}
	for _, f := range seen.Findings {
		if !blocked[f] {
			say(f, "finding")
		}
	}
	for _, line := range slices.Sorted(maps.Keys(told)) {
		fmt.Fprintln(report, line)
	}
	if err != nil {
		fmt.Fprintf(report, "  result   %s\n", seen.Result.Code)
		t.Logf("%v", err)
		return
	}
	done, err := o.Apply(t.Context(), ApplyRequest{Deployment: d.Name(), Plan: seen.Plan.Digest, By: "lead@shop.example"})
	if err != nil {
		t.Errorf("%s: %v", d.Name(), err)
	}
	fmt.Fprintf(report, "  result   %s\n", done.Result.Code)
	t.Logf("%s: %s", done.Result.Code, done.Result.Text)
}

// roundOf polls and reconciles a deployment once, as the daemon does.
func (o *oddity) roundOf(d *configs.Deployment) {
	ctx := o.t.Context()
	var follows []gitwatch.Follow
	for _, other := range o.Config.Deployments {
		follows = append(follows, follow(other))
	}
	if _, err := o.Repositories[d.Project.Name].Poll(ctx, follows); err != nil {
		o.t.Fatal(err)
	}
	o.sighted(ctx, o.Setup, d)
	if _, err := o.reconcile(ctx, d, ask{}); err != nil {
		o.t.Logf("%s, without jobs: %v", d.Name(), err)
	}
}

// compare holds the report against expect.txt, whose head is for people and kept.
func (o *oddity) compare(report string) {
	file := filepath.Join(o.folder, "expect.txt")
	text, err := os.ReadFile(file)
	if err != nil {
		o.t.Fatal(err)
	}
	want := string(text)
	head := regexp.MustCompile(`^(?:#.*\n)+`).FindString(want)
	if head == "" {
		o.t.Errorf("%s does not begin with a comment that says what is odd", file)
	}
	if *update {
		if err := os.WriteFile(file, []byte(head+report), 0o644); err != nil {
			o.t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, head+report); diff != "" {
		o.t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

var digests = regexp.MustCompile(`[0-9a-f]{64}`)

// masked takes out of a text what differs from run to run, or says nothing. Digests are numbered as they come.
func (o *oddity) masked(text string) string {
	text = strings.ReplaceAll(text, filepath.Join(o.dir, "repositories"), "REPOSITORIES")
	text = strings.ReplaceAll(text, "/Workspace/Users/deployer@selvage.example/.selvage/artifacts", "ROOT")
	return digests.ReplaceAllStringFunc(text, func(digest string) string {
		if o.digests[digest] == 0 {
			o.digests[digest] = len(o.digests) + 1
		}
		return fmt.Sprintf("DIGEST%d", o.digests[digest])
	})
}
