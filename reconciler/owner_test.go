package reconciler

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric/databricks/emulator"
	"selvage/gitwatch"
)

// newSharedSite is a site whose repository holds the projects hello and risk, each in a folder of its name. Both
// call themselves HelloSelvage, version 1.0.0.
func newSharedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, emulator.Options{})
	for _, name := range []string{"hello", "risk"} {
		if err := os.CopyFS(filepath.Join(s.dir, "both", name), os.DirFS(s.work)); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(s.dir, "both", name, ".git")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pbt_project.yml", "jobs", "pipelines"} {
		if err := os.RemoveAll(filepath.Join(s.work, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(s.work, os.DirFS(filepath.Join(s.dir, "both"))); err != nil {
		t.Fatal(err)
	}
	s.yaml = strings.Replace(s.yaml, "prophecy_id: 3224,", "path: hello, prophecy_id: 3224,", 1)
	s.yaml = strings.Replace(s.yaml, "deployments:", "  risk: {git: \"file://%[3]s\", path: risk, poll: 1s}\ndeployments:", 1)
	s.yaml = strings.Replace(s.yaml, "HelloSelvage/*", "**", 1)
	s.commit("")
	return s
}

// release does what the authoring tool does: one commit that changes the version of one project, and its tag.
func (s *site) release(project, version, tag string) {
	s.t.Helper()
	file := filepath.Join(s.work, project, "pbt_project.yml")
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "version:") {
			lines[i] = "version: " + version
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.commit(tag)
}

// says fails the test unless the decision holds a finding of that code about that subject, whose text holds the words.
func (s *site) says(d Decision, code configs.Code, subject, words string) {
	s.t.Helper()
	for _, f := range d.Findings {
		if f.Code == code && f.Subject == subject && strings.Contains(f.Text, words) {
			return
		}
	}
	s.t.Errorf("no %s about %s that says %q: %v", code, subject, words, d.Findings)
}

func (s *site) silent(d Decision, code configs.Code) {
	s.t.Helper()
	for _, f := range d.Findings {
		if f.Code == code {
			s.t.Errorf("%v", f)
		}
	}
}

func TestForeignTagsArePassedOver(t *testing.T) {
	t.Parallel()
	s := newSharedSite(t)
	s.release("hello", "1.1.0", "Hello-Shop/1.1.0")
	s.release("risk", "9.0.0", "RiskModel/9.0.0")
	s.git(s.work, "tag", "v0.19.0") // of another tool, on the same commit
	s.git(s.work, "push", "-q", "origin", "v0.19.0")
	s.open()
	d := s.round()
	if d.Revision.Name != "Hello-Shop/1.1.0" {
		t.Fatalf("chosen: %s\n%v", d.Revision, d.Findings)
	}
	s.says(d, configs.TagForeign, "RiskModel/9.0.0", "it does not release this project: it releases risk, in risk")
	s.verified(s.approve(""))
	s.verified(s.round())

	// A foreign release neither becomes live nor stops anything, nor does one of nobody's.
	hello := s.git(s.work, "rev-parse", "Hello-Shop/1.1.0^{}")
	s.release("risk", "10.0.0", "RiskModel/10.0.0")
	head, _ := s.log.Head()
	d = s.round()
	s.verified(d)
	if d.Revision.Name != "Hello-Shop/1.1.0" || s.newest[deployment].commit != hello {
		t.Errorf("%s, newest %s", d.Revision, s.newest[deployment].commit)
	}
	// The foreign tag is written down as seen, and nothing else happens.
	for e, err := range s.log.Entries(head) {
		if err != nil || e.Kind != kindTag {
			t.Errorf("%+v, %v", e, err)
		}
	}
	s.git(s.work, "commit", "-q", "--allow-empty", "-m", "work")
	s.git(s.work, "push", "-q", "origin", "main")
	s.git(s.work, "tag", "v99")
	s.git(s.work, "push", "-q", "origin", "v99")
	d = s.round()
	s.verified(d)
	s.says(d, configs.TagAmbiguous, "v99", "one of 2 projects: hello (HelloSelvage 1.1.0), risk (HelloSelvage 10.0.0)")
	if s.newest[deployment].commit != hello {
		t.Errorf("newest %s", s.newest[deployment].commit)
	}

	// Both ymls change in one commit: the version decides, and one commit is the release of two projects.
	s.replace("risk/pbt_project.yml", "version: 10.0.0", "version: 11.0.0")
	s.release("hello", "1.2.0", "")
	for _, tag := range []string{"Hello-Shop/1.2.0", "RiskModel/11.0.0"} {
		s.git(s.work, "tag", "-a", "-m", tag, tag)
		s.git(s.work, "push", "-q", "origin", tag)
	}
	d = s.round()
	s.verified(d)
	if d.Revision.Name != "Hello-Shop/1.2.0" {
		t.Errorf("chosen: %s\n%v", d.Revision, d.Findings)
	}
	var told bool
	for e, err := range s.log.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		told = told || e.Kind == kindRelease && strings.Contains(e.Text, "it is this project's tag: it ends in the version of this project alone")
	}
	if !told {
		t.Error("the ledger does not say by which rule Hello-Shop/1.2.0 is this project's")
	}
	s.verified(s.round())
	s.shut()
	s.sound()
}

func TestNothingButForeignAndAmbiguousTags(t *testing.T) {
	t.Parallel()
	s := newSharedSite(t)
	s.release("risk", "2.0.0", "RiskModel/2.0.0")
	s.open()
	d := s.round()
	if want := "nothing in the repository matches what the deployment follows: tags **: 1 match, and release other projects of the repository"; d.Result.Text != want {
		t.Error(d.Result.Text)
	}
	s.commit("HelloSelvage/1.0.0-x")
	d = s.round()
	want := configs.Finding{Code: configs.TagAmbiguous, Subject: deployment, Next: "set tags: of the project in selvage.yaml",
		Text: "it is not clear which project the tag releases, so that it is not taken: HelloSelvage/1.0.0-x releases one of 2 projects: hello (HelloSelvage 1.0.0), risk (HelloSelvage 2.0.0)"}
	if diff := cmp.Diff(want, d.Result); diff != "" {
		t.Error(diff)
	}
	s.shut()
	s.sound()
}

// What the configuration says of tags goes before all else.
func TestTagsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := newSharedSite(t)
	s.release("hello", "1.1.0", "Ours/1.1.0")
	s.release("risk", "5.0.0", "Ours/5.0.0") // looks like a release of risk
	s.release("hello", "6.0.0", "Theirs/6.0.0")
	s.release("hello", "7.0.0", "Else/7.0.0")
	for _, test := range []struct {
		name         string
		hello, risk  []string
		want         string
		foreign, why string
	}{
		{"ours", []string{"Ours/*"}, nil, "Ours/5.0.0", "Else/7.0.0", "tags: of project hello does not name it"},
		{"theirs", nil, []string{"Else/*", "Theirs/{6,7}.*"}, "Ours/1.1.0", "Theirs/6.0.0", "tags: of project risk names it"},
		{"both", []string{"Ours/*"}, []string{"Theirs/*"}, "Ours/5.0.0", "Theirs/6.0.0", "tags: of project risk names it"},
		{"none", nil, nil, "Else/7.0.0", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			s.open()
			defer s.shut()
			s.Config.Projects["hello"].Tags, s.Config.Projects["risk"].Tags = test.hello, test.risk
			d := s.round()
			if d.Revision.Name != test.want {
				t.Errorf("chosen: %s\n%v", d.Revision, d.Findings)
			}
			if test.foreign != "" {
				s.says(d, configs.TagForeign, test.foreign, test.why)
			}
			s.silent(d, configs.TagAmbiguous)
		})
	}
}

// A tag whose tree can't be read is nobody's, and nothing older or other is taken in its place; the drift of what
// is live is put right.
func TestTagOfUnreadableTree(t *testing.T) {
	t.Parallel()
	s := newSharedSite(t)
	s.release("hello", "1.1.0", "Hello/1.1.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	deep := filepath.Join(s.work, strings.Repeat("d/", 70))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.release("risk", "2.0.0", "Risk/2.0.0")
	s.workspace.ResetJournal()
	job := s.workspace.Jobs()[0]
	if err := s.workspace.EditJob(job.ID, func(m map[string]any) { m["max_concurrent_runs"] = 7 }); err != nil {
		t.Fatal(err)
	}
	d, err := s.try()
	if err == nil || d.Result.Code != configs.NotBuilt || !strings.Contains(d.Result.Text, "Risk/2.0.0") || !strings.Contains(d.Result.Text, "which project the tag releases is not known") {
		t.Errorf("%v, %+v", err, d.Result)
	}
	s.silent(d, configs.TagForeign)
	if n := s.workspace.Count("POST /api/2.2/jobs/reset"); n != 1 {
		t.Errorf("drift was put right by %d resets", n)
	}
	if st, err := s.Status(t.Context(), deployment); err != nil || st[0].Live.Version != "1.1.0" {
		t.Errorf("%+v, %v", st, err)
	}
	s.shut()
	s.sound()
}

// A tag that is moved is an alarm to those whose it was or is, and to nobody else.
func TestMovedTagsOfSharedRepositories(t *testing.T) {
	t.Parallel()
	s := newSharedSite(t)
	s.release("hello", "1.1.0", "Hello/1.1.0")
	s.release("risk", "2.0.0", "Risk/2.0.0")
	s.release("risk", "3.0.0", "Risk/3.0.0")
	s.open()
	s.round()
	s.verified(s.approve(""))
	move := func(tag, to string) Decision {
		s.git(s.work, "tag", "-f", "-a", "-m", "again", tag, to)
		s.git(s.work, "push", "-q", "-f", "origin", tag)
		s.workspace.ResetJournal()
		d := s.round()
		if n := s.workspace.Count("POST *"); n != 0 || d.Revision.Version != "1.1.0" {
			t.Errorf("after %s was moved: %s, %d requests that change something", tag, d.Revision, n)
		}
		return d
	}
	s.silent(move("Risk/2.0.0", "Risk/3.0.0^{}"), configs.TagMoved)
	d := move("Hello/1.1.0", "Risk/3.0.0^{}")
	s.says(d, configs.TagMoved, "Hello/1.1.0", "is "+s.git(s.work, "rev-parse", "Risk/3.0.0^{}")[:7]+" now")
	alarms := 0
	for e, err := range s.log.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Code == string(configs.TagMoved) && e.Kind == kindTag {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms in the ledger, want one", alarms)
	}
	s.shut()
	s.sound()
}

// Where no path is set, the project is the one that the commit holds, unless it is another's.
func TestProjectsWithoutAPath(t *testing.T) {
	t.Parallel()
	s := newSharedSite(t)
	for _, name := range []string{"hello", "risk"} { // a repository that began with risk alone
		s.git(s.work, "rm", "-q", "-r", "--cached", name)
	}
	s.git(s.work, "add", "risk")
	s.git(s.work, "commit", "-q", "-m", "risk alone")
	s.git(s.work, "tag", "v1")
	s.git(s.work, "rm", "-q", "-r", "--cached", "risk")
	s.git(s.work, "add", "hello")
	s.git(s.work, "commit", "-q", "-m", "hello alone")
	s.git(s.work, "tag", "v2")
	s.git(s.work, "push", "-q", "origin", "main", "v1", "v2")
	s.yaml = strings.Replace(s.yaml, "path: hello, ", "", 1)
	s.open()
	d := s.round()
	if d.Revision.Name != "v2" || d.Plan.Counts.Create != 3 {
		t.Errorf("%s, %s\n%v", d.Revision, d.Result.Text, d.Findings)
	}
	s.git(s.work, "tag", "v3", "v1^{}") // the newest is risk's
	s.git(s.work, "push", "-q", "origin", "v3")
	d = s.round()
	s.says(d, configs.TagForeign, "v3", "it releases risk, in risk")
	if d.Revision.Name != "v2" {
		t.Errorf("%s, %s\n%v", d.Revision, d.Result.Text, d.Findings)
	}
	s.shut()
}

func TestSieveCounts(t *testing.T) {
	t.Parallel()
	s := newSharedSite(t)
	s.open()
	defer s.shut()
	d, _ := s.Config.Deployment(deployment)
	s.Config.Projects["hello"].Tags = []string{"Hello/*"}
	var candidates []gitwatch.Revision
	for i := range 30 {
		candidates = append(candidates, gitwatch.Revision{Ref: fmt.Sprintf("refs/tags/Risk/%d", i), Name: fmt.Sprintf("Risk/%d", i), Version: fmt.Sprint(i)})
	}
	candidates = append(candidates, gitwatch.Revision{Ref: "refs/tags/Hello/1", Name: "Hello/1", Version: "1"}, gitwatch.Revision{Ref: "refs/tags/Hello/0", Name: "Hello/0", Version: "0"})
	sieve := s.owners.sieve(s.Setup.tenants["hello"], follow(d), candidates)
	if c, any, err := sieve.at(t.Context(), 0); err != nil || !any || c.Name != "Hello/1" {
		t.Fatal(c, any, err)
	}
	if len(sieve.left) != 1 {
		t.Errorf("it looked at more than it was asked to: %d left", len(sieve.left))
	}
	told := sieve.told()
	if n := len(told); n != maxForeign+2 || told[maxForeign].Text != configs.TagForeign.Sentence()+": and 10 more" || told[n-1].Text != configs.TagSkipped.Sentence()+": older than Hello/1" {
		t.Errorf("%d: %v", n, told)
	}
	if _, any, err := sieve.at(t.Context(), 2); any || err != nil {
		t.Error(any, err)
	}
	if !slices.Equal([]string{"Hello/1", "Hello/0"}, []string{sieve.own[0].Name, sieve.own[1].Name}) {
		t.Error(sieve.own)
	}
}
