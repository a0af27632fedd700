package reconciler

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
	"selvage/fabric/fabrictest"
	"selvage/gitwatch"
	"selvage/testdata"
)

func TestWatched(t *testing.T) {
	c := &configs.Config{Projects: map[string]*configs.Project{
		"alone":  {Name: "alone", Git: "https://git.example.com/data/alone.git", ProphecyID: "1"},
		"left":   {Name: "left", Git: "git@git.example.com:data/both.git", Path: "left", ProphecyID: "2"},
		"right":  {Name: "right", Git: "git@git.example.com:data/both.git", Path: "right"},
		"twice":  {Name: "twice", Git: "https://git.example.com/data/twice", ProphecyID: "4"},
		"twice2": {Name: "twice2", Git: "https://git.example.com/data/twice", ProphecyID: "4"},
		"odd":    {Name: "odd", Git: "https://git.example.com/data/odd", ProphecyID: "5"},
		"odd2":   {Name: "odd2", Git: "https://git.example.com/data/odd2", ProphecyID: "5"},
	}}
	for _, tt := range []struct {
		want artifacts.Subscription
		name string // of the project; or of the error
	}{
		{artifacts.Subscription{ProjectID: "1"}, "alone"},
		{artifacts.Subscription{ProjectID: "2"}, "left"},
		{artifacts.Subscription{ProjectID: "3"}, "not watched"},
		{artifacts.Subscription{}, "not watched"},
		{artifacts.Subscription{Git: "https://GIT.example.com/data/alone/"}, "alone"},
		{artifacts.Subscription{Git: "https://git.example.com:443/data/alone.git", SubPath: "sub"}, "alone"}, // its folder is found in the tree
		{artifacts.Subscription{Git: "ssh://git@git.example.com:22/data/both", SubPath: "/right/"}, "right"},
		{artifacts.Subscription{Git: "https://git.example.com/data/both", SubPath: "left"}, "left"},
		{artifacts.Subscription{Git: "https://git.example.com/data/both", SubPath: "other"}, "not watched"},
		{artifacts.Subscription{Git: "https://git.example.com/data/both"}, "not released"}, // which of the two?
		{artifacts.Subscription{Git: "https://git.example.com/data/both", ProjectID: "2"}, "left"},
		{artifacts.Subscription{Git: "https://git.example.com/data/both", SubPath: "right", ProjectID: "2"}, "not watched"}, // they don't agree
		{artifacts.Subscription{Git: "https://git.example.com/data/both", SubPath: "right", ProjectID: "9"}, "right"},
		{artifacts.Subscription{Git: "https://git.example.com/data/other", ProjectID: "1"}, "not watched"},
		{artifacts.Subscription{Git: "https://git.example.com:8443/data/alone", ProjectID: "1"}, "not watched"},
		{artifacts.Subscription{Git: "https://git.example.com", ProjectID: "1"}, "not watched"},
		{artifacts.Subscription{Git: "\x00", ProjectID: "1"}, "not watched"},
		{artifacts.Subscription{ProjectID: "4"}, "twice"},
		{artifacts.Subscription{ProjectID: "5"}, "not released"},
		{artifacts.Subscription{Git: "https://git.example.com/data/odd2", ProjectID: "5"}, "odd2"},
	} {
		p, err := watched(c, tt.want)
		got := ""
		switch {
		case errors.Is(err, artifacts.ErrNotWatched):
			got = "not watched"
		case errors.Is(err, artifacts.ErrNotReleased):
			got = "not released"
		case err == nil:
			got = p.Name
		}
		if got != tt.name {
			t.Errorf("%+v: %s, %v; want %s", tt.want, got, err, tt.name)
		}
	}
}

func TestRepositoryName(t *testing.T) {
	for address, want := range map[string]string{
		"https://git.example.com/a/b.git":        "git.example.com/a/b",
		"https://git.example.com:443/a/b/":       "git.example.com/a/b",
		"http://127.0.0.1:8080/a":                "127.0.0.1:8080/a",
		"ssh://git@Git.Example.com:22/a/b.git":   "git.example.com/a/b",
		"ssh://git@git.example.com:2222/a/b.git": "git.example.com:2222/a/b",
		"git@git.example.com:a/b.git":            "git.example.com/a/b",
		"git.example.com:a/b":                    "git.example.com/a/b",
		"file:///srv/a.git":                      "/srv/a",
		"https://git.example.com/A":              "git.example.com/A",
		"https://git.example.com/":               "",
		"/srv/a":                                 "",
		"a/b:c":                                  "",
		"":                                       "",
		"://":                                    "",
		"%zz://x":                                "",
	} {
		if got := repositoryName(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

// library makes another repository, with a project in it, and returns its work tree and address.
func (s *site) library(name string, files map[string]string) (work, address string) {
	s.t.Helper()
	remote, work := filepath.Join(s.dir, name+".git"), filepath.Join(s.dir, name)
	s.git(s.dir, "init", "-q", "--bare", "-b", "main", remote)
	s.git(s.dir, "clone", "-q", remote, work)
	s.git(work, "checkout", "-q", "-b", "main")
	for file, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(work, file)), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, file), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git(work, "add", "-A")
	s.git(work, "commit", "-q", "-m", "first")
	s.git(work, "push", "-q", "origin", "main")
	return work, "file://" + remote
}

func (s *site) tag(work, name string) {
	s.t.Helper()
	s.git(work, "tag", "-a", "-m", name, name)
	s.git(work, "push", "-q", "origin", "refs/tags/"+name)
}

// newRound is one that has begun.
func (s *site) newRound() *round {
	d, _ := s.Config.Deployment(deployment)
	return &round{Reconciler: s.Reconciler, Setup: s.Setup, d: d, name: d.Name()}
}

// The release of another project is found by tag or version, in a mirror that no deployment keeps fresh; one that is not there
// is looked for again, and one that was moved is none.
func TestSubscribed(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	work, address := s.library("library", map[string]string{"lib/pbt_project.yml": "name: Lib\n", "README.md": "x"})
	s.yaml = strings.Replace(s.yaml, "deployments:", "  library: {git: \""+address+"\", prophecy_id: 7234}\ndeployments:", 1)
	s.commit("HelloSelvage/1.0.0")
	s.tag(work, "Lib/0.1")
	s.open()
	s.round()
	if s.Repositories["library"].Last() != nil {
		t.Error("a repository that no deployment follows was read without need")
	}
	find := func(want artifacts.Subscription) (artifacts.Source, error) {
		t.Helper()
		return s.newRound().subscribed(t.Context(), want)
	}
	none := func(what string, want artifacts.Subscription, says string) {
		t.Helper()
		if src, err := find(want); !errors.Is(err, artifacts.ErrNotReleased) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %s, %v; want an error that says %q", what, src.Commit, err, says)
		}
	}
	head := s.git(work, "rev-parse", "HEAD")
	byTag := artifacts.Subscription{ProjectID: "7234", Git: address, SubPath: "lib", Tag: "Lib/0.1", Version: "0.1", Pipeline: "pipelines/x"}
	src, err := find(byTag)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := fs.ReadFile(src.Tree, "lib/pbt_project.yml"); err != nil || string(text) != "name: Lib\n" || src.Root != "lib" || src.Commit != head || src.Project != "library" || src.Subscribed != nil {
		t.Errorf("%q, %v, %+v", text, err, src)
	}
	number := s.Repositories["library"].Last().Number
	for _, want := range []artifacts.Subscription{byTag, {ProjectID: "7234", Version: "0.1"}, {Git: strings.TrimSuffix(address, ".git"), Tag: "Lib/0.1"}} {
		if src, err := find(want); err != nil || src.Commit != head {
			t.Errorf("%+v: %s, %v", want, src.Commit, err)
		}
	}
	if s.Repositories["library"].Last().Number != number {
		t.Error("a tag that the mirror holds was asked for again")
	}

	if _, err := find(artifacts.Subscription{ProjectID: "99", Tag: "Lib/0.1"}); !errors.Is(err, artifacts.ErrNotWatched) {
		t.Errorf("a project that nobody configured: %v", err)
	}
	none("a tag that is not there", artifacts.Subscription{ProjectID: "7234", Tag: "Lib/0.2"}, `no tag "Lib/0.2"`)
	none("a pattern", artifacts.Subscription{ProjectID: "7234", Tag: "Lib/*"}, `no tag "Lib/*"`)
	none("braces", artifacts.Subscription{ProjectID: "7234", Tag: "Lib/{0.1,0.2}"}, `no tag "Lib/{0.1,0.2}"`)
	none("an odd name", artifacts.Subscription{ProjectID: "7234", Tag: "../x"}, `no tag "../x"`)
	none("a version that is not there", artifacts.Subscription{ProjectID: "7234", Version: "0.2"}, `ends in "0.2"`)
	none("neither", artifacts.Subscription{ProjectID: "7234"}, "neither tag nor version")
	none("another folder", artifacts.Subscription{ProjectID: "7234", Git: address, SubPath: "elsewhere", Tag: "Lib/0.1"}, "not in elsewhere")

	// What was not there is there now; several of one version need to be told apart.
	s.tag(work, "Lib/0.2")
	if src, err := find(artifacts.Subscription{ProjectID: "7234", Version: "0.2"}); err != nil || src.Commit != head {
		t.Errorf("a version that came since: %s, %v", src.Commit, err)
	}
	s.tag(work, "Other/0.3")
	s.tag(work, "Lib/0.3")
	none("several", artifacts.Subscription{ProjectID: "7234", Version: "0.3"}, "(Lib/0.3, Other/0.3)")
	s.Config.Projects["library"].Tags = []string{"Lib/*"}
	if src, err := find(artifacts.Subscription{ProjectID: "7234", Version: "0.3"}); err != nil || src.Commit != head {
		t.Errorf("one of several: %s, %v", src.Commit, err)
	}
	s.git(work, "tag", "-a", "-m", "no commit", "Lib/0.4", "HEAD:README.md")
	s.git(work, "push", "-q", "origin", "refs/tags/Lib/0.4")
	none("a tag of a file", artifacts.Subscription{ProjectID: "7234", Tag: "Lib/0.4"}, "blob")

	// A tag that was moved is another release under an old name.
	if tags := s.entries(kindTag); len(tags) != 4 {
		t.Errorf("%d tags were written down, want that of the project and three of the library", len(tags))
	}
	s.git(work, "commit", "-q", "--allow-empty", "-m", "second")
	s.git(work, "push", "-q", "origin", "main")
	s.git(work, "tag", "-f", "-a", "-m", "again", "Lib/0.1")
	s.git(work, "push", "-q", "-f", "origin", "refs/tags/Lib/0.1")
	if _, err := s.Repositories["library"].Poll(t.Context(), []gitwatch.Follow{{Tag: "**"}}); err != nil {
		t.Fatal(err)
	}
	rd := s.newRound()
	if _, err := rd.subscribed(t.Context(), byTag); !errors.Is(err, artifacts.ErrNotReleased) || len(rd.out.Findings) != 1 || rd.out.Findings[0].Code != configs.TagMoved {
		t.Errorf("a tag that was moved: %v, %v", err, rd.out.Findings)
	}

	// A remote that can't be read says nothing about what it holds.
	if err := os.RemoveAll(filepath.Join(s.dir, "library.git")); err != nil {
		t.Fatal(err)
	}
	if _, err := find(artifacts.Subscription{ProjectID: "7234", Tag: "Lib/0.5"}); err == nil || errors.Is(err, artifacts.ErrNotReleased) || errors.Is(err, artifacts.ErrNotWatched) {
		t.Errorf("a remote that can't be read: %v", err)
	}
	if src, err := find(artifacts.Subscription{ProjectID: "7234", Tag: "Lib/0.2"}); err != nil || src.Commit != head {
		t.Errorf("what the mirror holds, without the remote: %s, %v", src.Commit, err)
	}
	s.shut()
}

// Another project of the same repository: reading it takes nothing from those who follow the repository.
func TestSubscribedInTheSameRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.yaml = strings.Replace(s.yaml, "deployments:", "  library: {git: \"file://%[3]s\", path: lib, prophecy_id: 7234}\ndeployments:", 1)
	s.yaml = strings.Replace(s.yaml, `prophecy_id: 3224,`, `prophecy_id: 3224, path: ".",`, 1)
	if err := os.MkdirAll(filepath.Join(s.work, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.work, "lib/pbt_project.yml"), []byte("name: Lib\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	s.tag(s.work, "Lib/0.1")
	s.commit("HelloSelvage/1.1.0")
	if src, err := s.newRound().subscribed(t.Context(), artifacts.Subscription{ProjectID: "7234", Version: "0.1"}); err != nil || src.Root != "lib" {
		t.Fatalf("%+v, %v", src, err)
	}
	d, _ := s.Config.Deployment(deployment)
	candidates, _, err := s.Repositories["hello"].Candidates(t.Context(), follow(d))
	var names []string
	for _, c := range candidates {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"HelloSelvage/1.1.0", "HelloSelvage/1.0.0"}, names); diff != "" || err != nil {
		t.Errorf("candidates: %v\n%s", err, diff)
	}
	s.shut()
}

// A job waits for the release of another project, is made once that is there, and stays as it is while the other repository
// can't be read.
func TestLifeOfASubscriber(t *testing.T) {
	t.Parallel()
	s := newSite(t, emulator.Options{})
	s.yaml = s.yaml[:strings.Index(s.yaml, "    overlay:")]
	memory := fabrictest.NewMemory(fabrictest.MemoryOptions{Installation: "inst0001"})
	s.places = map[string]fabric.Fabric{"production": memory}
	files := map[string]string{}
	hello, err := fs.Sub(testdata.Hello, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := fs.WalkDir(hello, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(hello, name)
		files[name] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	work, address := s.library("library", files)
	s.yaml = strings.Replace(s.yaml, "deployments:", "  library: {git: \""+address+"\", prophecy_id: 7234}\ndeployments:", 1)
	const file = "jobs/customer_report/code/databricks-job.json"
	s.replace(file, `"pipelineId" : "pipelines/customer_report"`, `"pipelineId" : "7234/pipelines/customer_report", "releaseVersion" : "0.1"`)
	s.commit("HelloSelvage/1.0.0")
	s.open()
	s.round()
	d := s.approve("")
	if d.Plan.Counts.Blocked != 1 || d.Plan.Counts.Keep != 2 {
		t.Fatalf("without the other release: %s, %s\n%v\n%v", d.Plan.Counts, d.Result.Text, lines(d.Plan), d.Findings)
	}
	s.finds(d, configs.SubscriptionMissing)

	s.tag(work, "Lib/0.1")
	s.poll()
	s.verified(s.round())
	if owned := s.ownedIDs(deployment); len(owned) != 3 {
		t.Fatalf("with it: %v", owned)
	}
	number := s.Repositories["library"].Last().Number
	s.poll()
	s.verified(s.round())
	if s.Repositories["library"].Last().Number != number {
		t.Error("a release that is built reads the other remote again")
	}

	// Another version is wanted, and the remote is gone: nobody knows, what is live stays, and its drift is put right.
	s.replace(file, `"releaseVersion" : "0.1"`, `"releaseVersion" : "0.2"`)
	s.commit("HelloSelvage/1.1.0")
	if err := os.RemoveAll(filepath.Join(s.dir, "library.git")); err != nil {
		t.Fatal(err)
	}
	if err := memory.Edit("customer_report", "max_concurrent_runs", json.Number("9")); err != nil {
		t.Fatal(err)
	}
	s.poll()
	commits := memory.Commits()
	d, err = s.try()
	if err == nil || d.Result.Code != configs.GitUnreachable || d.Revision.Version != "1.0.0" || memory.Commits() != commits+1 {
		t.Errorf("%s, %s, %v, %d commits", d.Revision, d.Result.Text, err, memory.Commits()-commits)
	}
	if owned := s.ownedIDs(deployment); len(owned) != 3 {
		t.Errorf("what is owned: %v", owned)
	}
	s.shut()
	s.sound()
}
