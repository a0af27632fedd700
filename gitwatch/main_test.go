package gitwatch

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"selvage/gitwatch/githttp"
)

// TestMain lets the test binary be the fetching child, as the daemon's own binary is in production.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == ChildArg {
		os.Exit(ChildMain(os.Stdin, os.Stdout, os.Stderr))
	}
	// Else every child that is built with the race detector sleeps for a second when it ends.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// git runs git without any configuration but its own, and gives its trimmed output.
func git(t testing.TB, dir, input string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=dev", "GIT_AUTHOR_EMAIL=dev@shop.example",
		"GIT_COMMITTER_NAME=dev", "GIT_COMMITTER_EMAIL=dev@shop.example",
	)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// origin is a bare repository that tests write to with git, and that remotes serve.
type origin struct {
	testing.TB
	root, dir string
	clock     int // committer dates grow by a minute with every commit and tag
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "shop.git")
	git(t, root, "", "init", "-q", "--bare", "-b", "main", dir)
	return &origin{TB: t, root: root, dir: dir, clock: 1_700_000_000}
}

func (o *origin) git(args ...string) string { o.Helper(); return git(o, o.dir, "", args...) }

func (o *origin) tick() int { o.clock += 60; return o.clock }

// commit adds a commit to a branch that changes the given files, and gives its id.
func (o *origin) commit(branch string, files map[string]string) string {
	o.Helper()
	var in strings.Builder
	ref := "refs/heads/" + branch
	fmt.Fprintf(&in, "commit %s\ncommitter dev <dev@shop.example> %d +0000\ndata 6\nchange\n", ref, o.tick())
	if exec.Command("git", "-C", o.dir, "rev-parse", "-q", "--verify", ref).Run() == nil {
		fmt.Fprintf(&in, "from %s^0\n", ref)
	}
	for name, content := range files {
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
	}
	git(o, o.dir, in.String(), "fast-import", "--quiet", "--force")
	return o.git("rev-parse", ref)
}

// history adds n commits to main, each changing one file, and gives their ids from the oldest on.
func (o *origin) history(n int) []string {
	o.Helper()
	var in strings.Builder
	for i := range n {
		content := fmt.Sprintf("content %d", i)
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter dev <dev@shop.example> %d +0000\ndata 6\nchange\nM 100644 inline f%d\ndata %d\n%s\n",
			o.tick(), i%100, len(content), content)
	}
	git(o, o.dir, in.String(), "fast-import", "--quiet", "--force")
	return strings.Fields(o.git("rev-list", "--reverse", "main"))
}

// tag makes or moves an annotated tag, and gives the id of the tag object.
func (o *origin) tag(name, commit string) string {
	o.Helper()
	body := fmt.Sprintf("object %s\ntype commit\ntag %s\ntagger lead <lead@shop.example> %d +0000\n\nrelease %s\n\nnotes\n", commit, name, o.tick(), name)
	id := git(o, o.dir, body, "mktag")
	o.git("update-ref", "refs/tags/"+name, id)
	return id
}

// serve serves the origin over HTTP.
func (o *origin) serve() (url string, requests *githttp.Counter) {
	o.Helper()
	requests = githttp.Count(githttp.Handler(o.root))
	return o.listen(requests) + "/shop.git", requests
}

func (o *origin) listen(h http.Handler) string {
	s := httptest.NewServer(h)
	o.Cleanup(s.Close)
	return s.URL
}

func openAt(t testing.TB, url string, change ...func(*Options)) *Repository {
	t.Helper()
	o := Options{Dir: filepath.Join(t.TempDir(), "mirror.git"), URL: url}
	for _, c := range change {
		c(&o)
	}
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func poll(t testing.TB, r *Repository, follows ...Follow) *Sighting {
	t.Helper()
	s, err := r.Poll(t.Context(), follows)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	followMain = Follow{Branch: "main"}
	followTags = Follow{Tag: "Shop/*"}
)
